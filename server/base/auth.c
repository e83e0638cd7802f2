/*
 * Users, and the hashes of Basic and Digest (RFC 7616, RFC 2069) by OpenSSL's EVP.
 */
#include "server/base/auth.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "server/base/memory.h"
#include "server/base/scrypt.h"

/* A hashed password: this, the HA1 of MD5, '$', the HA1 of SHA-256. */
#define HASH_PREFIX "$nvrd$1$"

static const struct algorithm {
	const char *name;
	size_t bytes;
} algorithms[] = {
	[AUTH_MD5] = {"MD5",       16},
	[AUTH_SHA256] = { "SHA2-256", 32},
};

struct part {
	const void *p;
	size_t n;
};

static size_t hex_bytes(enum auth_algorithm algorithm)
{
	return 2 * algorithms[algorithm].bytes;
}

static void write_hex(char *ret, const unsigned char *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*ret++ = digits[p[i] >> 4];
		*ret++ = digits[p[i] & 15];
	}
	*ret = '\0';
}

/* Hashes the parts joined by ':'. Returns whether OpenSSL could. */
static bool digest(enum auth_algorithm algorithm, unsigned char ret[EVP_MAX_MD_SIZE],
	const struct part *parts, size_t count)
{
	EVP_MD *md = EVP_MD_fetch(NULL, algorithms[algorithm].name, NULL);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = md && context && EVP_DigestInit_ex2(context, md, NULL);

	for (size_t i = 0; ok && i < count; i++) {
		if (i > 0)
			ok = EVP_DigestUpdate(context, ":", 1);
		ok = ok && EVP_DigestUpdate(context, parts[i].p, parts[i].n);
	}
	ok = ok && EVP_DigestFinal_ex(context, ret, NULL);
	EVP_MD_CTX_free(context);
	EVP_MD_free(md);
	return ok;
}

static void hash_parts(enum auth_algorithm algorithm, char ret[AUTH_HASH_HEX_BYTES],
	const struct part *parts, size_t count)
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	if (digest(algorithm, hash, parts, count))
		write_hex(ret, hash, algorithms[algorithm].bytes);
	else
		auth_random_hex(ret, algorithms[algorithm].bytes);
	OPENSSL_cleanse(hash, sizeof(hash));
}

bool auth_has_algorithm(enum auth_algorithm algorithm)
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	return digest(algorithm, hash, NULL, 0);
}

void auth_hash(
	enum auth_algorithm algorithm, char ret[AUTH_HASH_HEX_BYTES], const char *const parts[])
{
	struct part list[8];
	size_t count = 0;

	for (; parts[count]; count++) {
		if (count == ARRAY_LENGTH(list))
			abort(); /* no scheme joins so many */
		list[count] = (struct part){ parts[count], strlen(parts[count]) };
	}
	hash_parts(algorithm, ret, list, count);
}

static void hash_ha1(enum auth_algorithm algorithm, const char *name, const char *password,
	size_t password_bytes, char ret[AUTH_HASH_HEX_BYTES])
{
	const struct part parts[] = {
		{name,        strlen(name)      },
		{ AUTH_REALM, strlen(AUTH_REALM)},
		{ password,   password_bytes    },
	};

	hash_parts(algorithm, ret, parts, ARRAY_LENGTH(parts));
}

struct auth_user *auth_user_new(const char *name)
{
	struct auth_user *user = xcalloc(1, sizeof(*user));

	user->name = xstrdup(name);
	TAILQ_INIT(&user->app_passwords);
	return user;
}

static void free_names(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

struct auth_app_password *auth_app_password_new(struct auth_user *user)
{
	struct auth_app_password *app = xcalloc(1, sizeof(*app));

	TAILQ_INSERT_TAIL(&user->app_passwords, app, entry);
	return app;
}

bool auth_app_password_is_valid(const struct auth_app_password *app, int64_t now_us)
{
	return !app->expires_us || (now_us >= app->written_us && now_us < app->expires_us);
}

unsigned auth_scope_find(const char *word)
{
	static const struct {
		const char *word;
		unsigned scopes;
	} rows[] = {
		{"dav",           SCOPE_DAV | SCOPE_DAV_READ},
		{ "dav:read",     SCOPE_DAV_READ            },
		{ "ftp",          SCOPE_FTP | SCOPE_FTP_READ},
		{ "ftp:read",     SCOPE_FTP_READ            },
		{ "live",         SCOPE_LIVE                },
		{ "rtsp",         SCOPE_RTSP                },
		{ "rtsp:publish", SCOPE_RTSP_PUBLISH        },
		{ "rtsp:talk",    SCOPE_RTSP_TALK           },
		{ "metrics",      SCOPE_METRICS             },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (strcmp(rows[i].word, word) == 0)
			return rows[i].scopes;
	}
	return 0;
}

void auth_user_free(struct auth_user *user)
{
	struct auth_app_password *app;

	if (!user)
		return;
	while ((app = TAILQ_FIRST(&user->app_passwords))) {
		TAILQ_REMOVE(&user->app_passwords, app, entry);
		free(app->name);
		memory_free_secret(app->password);
		free_names(app->scope);
		free(app);
	}
	free_names(user->cameras);
	memory_free_secret(user->password);
	free(user->name);
	free(user);
}

struct auth_user *auth_user_copy(const struct auth_user *user)
{
	struct auth_user *copy;
	size_t n = 0;

	if (!user)
		return NULL;
	copy = auth_user_new(user->name);
	copy->role = user->role;
	while (user->cameras && user->cameras[n])
		n++;
	if (user->cameras)
		copy->cameras = xcalloc(n + 1, sizeof(char *));
	for (size_t i = 0; i < n; i++)
		copy->cameras[i] = xstrdup(user->cameras[i]);
	return copy;
}

struct auth_user *auth_user_copy_for(const struct auth_user *user, const char *camera)
{
	struct auth_user *copy = auth_user_new(user ? user->name : "");

	copy->role = user ? user->role : ROLE_ADMIN;
	copy->cameras = xcalloc(2, sizeof(char *));
	if (auth_may_see(user, camera))
		copy->cameras[0] = xstrdup(camera);
	return copy;
}

const struct auth_user *auth_find(const struct auth_users *users, const char *name, size_t n)
{
	const struct auth_user *user;

	TAILQ_FOREACH (user, users, entry) {
		if (strlen(user->name) == n && memcmp(user->name, name, n) == 0)
			return user;
	}
	return NULL;
}

static bool is_hex(const char *p, size_t n)
{
	return strspn(p, "0123456789abcdef") >= n;
}

bool auth_is_hash(const char *password)
{
	size_t prefix = strlen(HASH_PREFIX);
	size_t md5 = hex_bytes(AUTH_MD5);
	size_t sha256 = hex_bytes(AUTH_SHA256);
	const char *p = password + prefix;

	return strncmp(password, HASH_PREFIX, prefix) == 0 && is_hex(p, md5) && p[md5] == '$' &&
	       is_hex(p + md5 + 1, sha256) && p[md5 + 1 + sha256] == '\0';
}

void auth_user_ha1(
	const struct auth_user *user, enum auth_algorithm algorithm, char ret[AUTH_HASH_HEX_BYTES])
{
	size_t n = hex_bytes(algorithm);

	/* Hashed in both cases, so that the time does not tell how the password is kept. */
	hash_ha1(algorithm, user->name, user->password, strlen(user->password), ret);
	if (scrypt_is_hash(user->password))
		auth_random_hex(ret, algorithms[algorithm].bytes);
	if (!auth_is_hash(user->password))
		return;
	const char *md5 = user->password + strlen(HASH_PREFIX);
	memcpy(ret, algorithm == AUTH_MD5 ? md5 : md5 + hex_bytes(AUTH_MD5) + 1, n);
	ret[n] = '\0';
}

bool auth_check_password(const struct auth_user *user, const char *password, size_t n)
{
	static char nothing[] = "";
	static const struct auth_user nobody = { .name = nothing, .password = nothing };
	const struct auth_user *checked = user ? user : &nobody;
	char expected[AUTH_HASH_HEX_BYTES];
	char given[AUTH_HASH_HEX_BYTES];

	auth_user_ha1(checked, AUTH_SHA256, expected);
	hash_ha1(AUTH_SHA256, checked->name, password, n, given);
	bool equal = auth_equal(expected, given);
	OPENSSL_cleanse(expected, sizeof(expected));
	OPENSSL_cleanse(given, sizeof(given));
	return equal && user;
}

void auth_digest_response(enum auth_algorithm algorithm, const char *ha1, const char *method,
	const char *uri, const char *nonce, const char *nonce_count, const char *cnonce,
	char ret[AUTH_HASH_HEX_BYTES])
{
	char ha2[AUTH_HASH_HEX_BYTES];

	auth_hash(algorithm, ha2, (const char *const[]){ method, uri, NULL });
	if (nonce_count)
		auth_hash(algorithm, ret,
			(const char *const[]){
				ha1, nonce, nonce_count, cnonce, "auth", ha2, NULL });
	else
		auth_hash(algorithm, ret, (const char *const[]){ ha1, nonce, ha2, NULL });
}

bool auth_equal(const char *a, const char *b)
{
	size_t n = strlen(a);

	return strlen(b) == n && CRYPTO_memcmp(a, b, n) == 0;
}

bool auth_may_see(const struct auth_user *user, const char *camera)
{
	if (!user || !user->cameras)
		return true;
	for (char **name = user->cameras; *name; name++) {
		if (strcmp(*name, camera) == 0)
			return true;
	}
	return false;
}

bool auth_may_configure(const struct auth_user *user)
{
	return !user || (user->role == ROLE_ADMIN && !user->cameras);
}

bool auth_may_operate(const struct auth_user *user)
{
	return !user || user->role >= ROLE_OPERATOR;
}

void auth_random_hex(char *ret, size_t n)
{
	unsigned char bytes[32];

	*ret = '\0';
	while (n > 0) {
		size_t now = n < sizeof(bytes) ? n : sizeof(bytes);

		/* A nonce that can be guessed is worse than no server. */
		if (RAND_bytes(bytes, (int)now) != 1)
			abort();
		write_hex(ret, bytes, now);
		ret += 2 * now;
		n -= now;
	}
}

char *auth_hash_password(const char *name, const char *password)
{
	char md5[AUTH_HASH_HEX_BYTES];
	char sha256[AUTH_HASH_HEX_BYTES];

	hash_ha1(AUTH_MD5, name, password, strlen(password), md5);
	hash_ha1(AUTH_SHA256, name, password, strlen(password), sha256);
	return xasprintf(HASH_PREFIX "%s$%s", md5, sha256);
}
