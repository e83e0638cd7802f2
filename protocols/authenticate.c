/*
 * Basic (RFC 7617) and Digest (RFC 7616) as HTTP and RTSP servers ask for them. Nonces are
 * stateless, so a nonce count may be used again while its nonce lasts; TLS is what prevents replay.
 */
#include "protocols/authenticate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "protocols/authenticate_private.h"
#include "protocols/digest.h"
#include "server/base/audit.h"
#include "server/base/log.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/recent.h"

enum {
	NONCE_SECRET_BYTES = 32,
	NONCE_TIME_DIGITS = 16,
	NONCE_HASH_BYTES = 16,
	NONCE_BYTES = NONCE_TIME_DIGITS + 1 + 2 * NONCE_HASH_BYTES + 1,
};
enum {
	LOGINS = 256
};
#define NONCE_LIFE_US (INT64_C(300) * 1000000)
#define LOGIN_LIFE_US (INT64_C(600) * 1000000)

static struct {
	const struct auth_users *users;
	unsigned char secret[NONCE_SECRET_BYTES];
	bool has_secret;
	/* NULL until somebody connects: */
	struct login_limit *limit;
	struct recent
		*logins; /* that the audit has: without a session each connection would be one */
} authenticate_state;

void authenticate_set_users(const struct auth_users *users)
{
	authenticate_state.users = users;
}

bool authenticate_is_open(void)
{
	return !authenticate_state.users || TAILQ_EMPTY(authenticate_state.users);
}

void authenticate_fini(void)
{
	authenticate_set_users(NULL);
	login_limit_free(authenticate_state.limit);
	recent_free(authenticate_state.logins);
	authenticate_state.limit = NULL;
	authenticate_state.logins = NULL;
}

void authenticate_asker_init(
	struct authenticate_asker *asker, const char *protocol, const struct sockaddr *address)
{
	*asker = (struct authenticate_asker){ .protocol = protocol, .address = address };
	asker->failures = metric_get(METRIC_AUTH_FAILURES, protocol);
	asker->limited = metric_get(METRIC_AUTH_LIMITED, protocol);
	if (authenticate_state.limit)
		return;
	authenticate_state.limit = login_limit_new();
	authenticate_state.logins = recent_new(LOGINS, LOGIN_LIFE_US);
}

/* Made on first use, so that every process has its own. */
static const unsigned char *authenticate_secret(void)
{
	if (!authenticate_state.has_secret) {
		if (RAND_bytes(authenticate_state.secret, NONCE_SECRET_BYTES) != 1) {
			log_error(NULL, "no random numbers are to be had");
			abort();
		}
		authenticate_state.has_secret = true;
	}
	return authenticate_state.secret;
}

/* The nonce of that instant of the monotonic clock. */
static void authenticate_nonce_of(char ret[NONCE_BYTES], int64_t at_us)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_bytes = 0;
	char *at = ret + NONCE_TIME_DIGITS + 1;

	(void)snprintf(ret, NONCE_BYTES, "%016" PRIx64 "-", (uint64_t)at_us);
	if (!HMAC(EVP_sha256(), authenticate_secret(), NONCE_SECRET_BYTES,
		    (const unsigned char *)ret, NONCE_TIME_DIGITS, hash, &hash_bytes))
		abort();
	for (unsigned i = 0; i < NONCE_HASH_BYTES; i++, at += 2)
		(void)snprintf(at, 3, "%02x", hash[i]);
}

/* Ours, and not too old. */
static bool authenticate_nonce_is_fresh(const char *nonce, int64_t now_us)
{
	char expected[NONCE_BYTES];
	char *end;

	if (strlen(nonce) != NONCE_BYTES - 1)
		return false;
	int64_t at_us = (int64_t)strtoull(nonce, &end, 16);
	if (end != nonce + NONCE_TIME_DIGITS)
		return false;
	authenticate_nonce_of(expected, at_us);
	return auth_equal(expected, nonce) && at_us <= now_us && now_us - at_us < NONCE_LIFE_US;
}

/* The path and query of an absolute URI; relative ones are returned whole. */
static const char *authenticate_path_of(const char *uri)
{
	const char *host = strstr(uri, "://");
	const char *slash = strchr(uri, '/');

	if (!host || (slash && slash < host))
		return uri;
	slash = strchr(host + 3, '/');
	return slash ? slash : "/";
}

/* Whether `shorter` is `longer`, or one of its folders. */
static bool authenticate_is_prefix(const char *shorter, const char *longer)
{
	size_t n = strlen(shorter);

	if (n && shorter[n - 1] == '/')
		n--;
	return strncmp(shorter, longer, n) == 0 &&
	       (longer[n] == '\0' || longer[n] == '/' || longer[n] == '?');
}

bool authenticate_uri_matches(const char *uri, const char *target)
{
	if (strcmp(uri, target) == 0)
		return true;
	if (strncmp(target, "rtsp://", 7) != 0 && strncmp(target, "rtsps://", 8) != 0)
		return false;
	uri = authenticate_path_of(uri);
	target = authenticate_path_of(target);
	return *uri == '/' &&
	       (authenticate_is_prefix(uri, target) || authenticate_is_prefix(target, uri));
}

/* An unknown name costs the same work as a known one. */
static const struct auth_user *authenticate_find(const char *name, bool *known)
{
	static char nobody[] = "";
	static const struct auth_user stranger = { .name = nobody, .password = nobody };
	const struct auth_user *user = auth_find(authenticate_state.users, name, strlen(name));

	*known = user != NULL;
	return user ? user : &stranger;
}

static enum authenticate_result authenticate_digest(const struct digest_credentials *c,
	struct message_text method, struct message_text target, const struct auth_user **ret)
{
	char ha1[AUTH_HASH_HEX_BYTES], expected[AUTH_HASH_HEX_BYTES];
	char method_text[32], target_text[sizeof(c->uri)];
	bool known;
	const struct auth_user *user = authenticate_find(c->user, &known);

	if (method.n >= sizeof(method_text) || target.n >= sizeof(target_text))
		return AUTHENTICATE_WRONG;
	message_text_copy(method_text, sizeof(method_text), method);
	message_text_copy(target_text, sizeof(target_text), target);
	auth_user_ha1(user, c->algorithm, ha1);
	auth_digest_response(c->algorithm, ha1, method_text, c->uri, c->nonce,
		c->has_qop ? c->nonce_count : NULL, c->cnonce, expected);
	bool right = auth_equal(expected, c->response);
	if (!right || !known || strcmp(c->realm, AUTH_REALM) != 0 ||
		!authenticate_uri_matches(c->uri, target_text))
		return AUTHENTICATE_WRONG;
	if (!authenticate_nonce_is_fresh(c->nonce, reactor_monotonic_us()))
		return AUTHENTICATE_STALE;
	*ret = user;
	return AUTHENTICATED;
}

static enum authenticate_result authenticate_plain(
	const char *name, const char *password, const struct auth_user **ret)
{
	const struct auth_user *user = auth_find(authenticate_state.users, name, strlen(name));

	if (!auth_check_password(user, password, strlen(password)))
		return AUTHENTICATE_WRONG;
	*ret = user;
	return AUTHENTICATED;
}

/* Whether the user may be judged now; on a connection where he has logged in he always may. */
static bool authenticate_is_early(struct authenticate_asker *asker, const char *name)
{
	int64_t wait_us;

	if (asker->known[0] && strcmp(asker->known, name) == 0)
		return false;
	wait_us = login_limit_wait_us(
		authenticate_state.limit, asker->address, name, reactor_monotonic_us());
	if (wait_us == 0)
		return false;
	asker->retry_after_s = (unsigned)((wait_us + 999999) / 1000000);
	metric_add(asker->limited, 1);
	return true;
}

static void authenticate_on_wrong(
	struct authenticate_asker *asker, const char *name, int64_t now_us)
{
	const struct audit_actor actor = { name, asker->address, asker->protocol };

	asker->known[0] = '\0';
	metric_add(asker->failures, 1);
	login_limit_failed(authenticate_state.limit, asker->address, name, now_us);
	audit(&actor, "login-failed", "wrong user or password");
}

/* HTTP's connections come and go: what one user does there from one address within a while is one login. */
static bool authenticate_is_audited(
	const struct authenticate_asker *asker, const char *name, int64_t now_us)
{
	char address[AUDIT_ADDRESS_BYTES];
	unsigned char key[RECENT_KEY_BYTES];

	if (strcmp(asker->protocol, "http") != 0)
		return false;
	audit_write_address(address, asker->address);
	recent_key(key, (const char *const[]){ name, address, NULL });
	bool is_recent = recent_has(authenticate_state.logins, key, now_us);
	recent_add(authenticate_state.logins, key, now_us);
	return is_recent;
}

/* Only the first success on a connection counts: what plays all day would forgive others behind its address. */
static void authenticate_on_right(
	struct authenticate_asker *asker, const char *name, int64_t now_us)
{
	const struct audit_actor actor = { name, asker->address, asker->protocol };

	if (strcmp(asker->known, name) == 0)
		return;
	if (!authenticate_is_audited(asker, name, now_us))
		audit(&actor, "login", "logged in");
	(void)snprintf(asker->known, sizeof(asker->known), "%s", name);
	login_limit_succeeded(authenticate_state.limit, asker->address, name, now_us);
}

/* The verdict is in. Returns it. */
static enum authenticate_result authenticate_conclude(
	struct authenticate_asker *asker, const char *name, enum authenticate_result result)
{
	if (result == AUTHENTICATE_WRONG)
		authenticate_on_wrong(asker, name, reactor_monotonic_us());
	else if (result == AUTHENTICATED)
		authenticate_on_right(asker, name, reactor_monotonic_us());
	return result;
}

static enum authenticate_result authenticate_credentials(struct authenticate_asker *asker,
	const struct digest_credentials *c, struct message_text method, struct message_text target,
	const struct auth_user **user)
{
	enum authenticate_result result = AUTHENTICATE_WRONG;

	if (c->scheme == DIGEST_NONE)
		return AUTHENTICATE_MISSING;
	if (authenticate_is_early(asker, c->user))
		return AUTHENTICATE_LATER;
	if (c->scheme == DIGEST_BASIC)
		result = authenticate_plain(c->user, c->password, user);
	else
		result = authenticate_digest(c, method, target, user);
	return authenticate_conclude(asker, c->user, result);
}

enum authenticate_result authenticate(struct authenticate_asker *asker, struct message_text method,
	struct message_text target, struct message_text authorization,
	const struct auth_user **user)
{
	struct digest_credentials credentials;
	enum authenticate_result result;
	const char *why;

	*user = NULL;
	if (authenticate_is_open())
		return AUTHENTICATED;
	if (!authorization.p)
		return AUTHENTICATE_MISSING;
	if (digest_parse_credentials(&credentials, authorization.p, authorization.n, &why) < 0)
		return authenticate_conclude(asker, "", AUTHENTICATE_WRONG);
	result = authenticate_credentials(asker, &credentials, method, target, user);
	OPENSSL_cleanse(credentials.password, sizeof(credentials.password));
	return result;
}

enum authenticate_result authenticate_password(struct authenticate_asker *asker, const char *name,
	const char *password, const struct auth_user **user)
{
	*user = NULL;
	if (authenticate_is_open())
		return AUTHENTICATED;
	if (authenticate_is_early(asker, name))
		return AUTHENTICATE_LATER;
	return authenticate_conclude(asker, name, authenticate_plain(name, password, user));
}

void authenticate_write_challenge(struct evbuffer *out, bool basic, bool stale)
{
	/* some clients take the first Digest, ffmpeg the last, and both know MD5 only */
	static const char *const algorithms[] = { "MD5", "SHA-256", "MD5" };
	char nonce[NONCE_BYTES];

	authenticate_nonce_of(nonce, reactor_monotonic_us());
	for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++)
		(void)evbuffer_add_printf(out,
			"WWW-Authenticate: Digest realm=\"" AUTH_REALM "\", nonce=\"%s\", "
			"algorithm=%s, qop=\"auth\"%s\r\n",
			nonce, algorithms[i], stale ? ", stale=true" : "");
	if (basic)
		(void)evbuffer_add_printf(out,
			"WWW-Authenticate: Basic realm=\"" AUTH_REALM "\", charset=\"UTF-8\"\r\n");
}

void authenticate_write_nonce(char *ret, size_t size, int64_t at_us)
{
	char nonce[NONCE_BYTES];

	authenticate_nonce_of(nonce, at_us);
	(void)snprintf(ret, size, "%s", nonce);
}
