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
#include "server/base/log.h"
#include "server/base/reactor.h"

enum {
	NONCE_SECRET_BYTES = 32,
	NONCE_TIME_DIGITS = 16,
	NONCE_HASH_BYTES = 16,
	NONCE_BYTES = NONCE_TIME_DIGITS + 1 + 2 * NONCE_HASH_BYTES + 1,
};
#define NONCE_LIFE_US (INT64_C(300) * 1000000)

static struct {
	const struct auth_users *users;
	unsigned char secret[NONCE_SECRET_BYTES];
	bool has_secret;
} authenticate_state;

void authenticate_set_users(const struct auth_users *users)
{
	authenticate_state.users = users;
}

bool authenticate_is_open(void)
{
	return !authenticate_state.users || TAILQ_EMPTY(authenticate_state.users);
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

static enum authenticate_result authenticate_basic(
	const struct digest_credentials *c, const struct auth_user **ret)
{
	const struct auth_user *user =
		auth_find(authenticate_state.users, c->user, strlen(c->user));

	if (!auth_check_password(user, c->password, strlen(c->password)))
		return AUTHENTICATE_WRONG;
	*ret = user;
	return AUTHENTICATED;
}

static enum authenticate_result authenticate_credentials(struct digest_credentials *c,
	struct message_text method, struct message_text target, struct message_text authorization,
	const struct auth_user **user)
{
	const char *why;

	if (digest_parse_credentials(c, authorization.p, authorization.n, &why) < 0)
		return AUTHENTICATE_WRONG;
	switch (c->scheme) {
	case DIGEST_NONE:
		return AUTHENTICATE_MISSING;
	case DIGEST_BASIC:
		return authenticate_basic(c, user);
	case DIGEST_DIGEST:
		return authenticate_digest(c, method, target, user);
	}
	return AUTHENTICATE_WRONG;
}

enum authenticate_result authenticate(struct message_text method, struct message_text target,
	struct message_text authorization, const struct auth_user **user)
{
	struct digest_credentials credentials;

	*user = NULL;
	if (authenticate_is_open())
		return AUTHENTICATED;
	if (!authorization.p)
		return AUTHENTICATE_MISSING;
	enum authenticate_result result =
		authenticate_credentials(&credentials, method, target, authorization, user);
	OPENSSL_cleanse(credentials.password, sizeof(credentials.password));
	return result;
}

bool authenticate_name(char *ret, size_t size, struct message_text authorization)
{
	struct digest_credentials credentials;
	const char *why;
	bool found = authorization.p && digest_parse_credentials(&credentials, authorization.p,
						authorization.n, &why) == 0;

	if (found) {
		(void)snprintf(ret, size, "%s", credentials.user);
		OPENSSL_cleanse(credentials.password, sizeof(credentials.password));
	}
	return found;
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
