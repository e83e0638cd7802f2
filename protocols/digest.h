#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/base/attributes.h"
#include "server/base/auth.h"

/*
 * The grammar of WWW-Authenticate and Authorization: Basic (RFC 7617) and Digest (RFC 7616, and RFC
 * 2069 as old cameras speak it). Hashes are server/base/auth's.
 */

enum {
	DIGEST_VALUE_BYTES = 512
};

enum digest_scheme {
	DIGEST_NONE,
	DIGEST_BASIC,
	DIGEST_DIGEST
};

struct digest_challenge {
	enum digest_scheme scheme; /* DIGEST_NONE: a scheme or an algorithm that we do not speak */
	enum auth_algorithm algorithm;
	bool session;            /* "MD5-sess", "SHA-256-sess" */
	char algorithm_name[16]; /* as written, for it is echoed; "" when unsaid */
	char realm[DIGEST_VALUE_BYTES], nonce[DIGEST_VALUE_BYTES], opaque[DIGEST_VALUE_BYTES];
	bool qop_auth; /* qop offered with "auth" in its list */
	bool stale;
};

struct digest_credentials {
	enum digest_scheme scheme;
	enum auth_algorithm algorithm;
	/* Basic: user and password. Digest: all but password. */
	char user[DIGEST_VALUE_BYTES], password[DIGEST_VALUE_BYTES];
	char realm[DIGEST_VALUE_BYTES], nonce[DIGEST_VALUE_BYTES], uri[4096];
	char response[AUTH_HASH_HEX_BYTES], cnonce[DIGEST_VALUE_BYTES], nonce_count[9];
	bool has_qop; /* qop=auth */
};

/*
 * Parses one WWW-Authenticate value, which may hold several challenges: call with *at = 0, then
 * again while it returns 1. Returns 1 with a challenge, 0 at the end, -EBADMSG and *why.
 */
int digest_parse_challenge(struct digest_challenge *ret, const char *p, size_t n, size_t *at,
	const char **why) MUST_CHECK;

/* 0 for a challenge that we do not speak; what to prefer is greater: Basic, MD5, SHA-256. */
int digest_strength(const struct digest_challenge *challenge);

/* Parses an Authorization value. Returns 0, or -EBADMSG and a static *why. */
int digest_parse_credentials(
	struct digest_credentials *ret, const char *p, size_t n, const char **why) MUST_CHECK;

/*
 * Writes the Authorization value of a client for this challenge. `uri` is byte for byte the request
 * line's; nonce_count starts at 1 with each nonce, and cnonce is the caller's random text, the same
 * for all requests with that nonce ("-sess" may count on it). Returns 0 or -ENAMETOOLONG.
 */
int digest_write_credentials(char *ret, size_t size, const struct digest_challenge *challenge,
	const char *user, const char *password, const char *method, const char *uri,
	unsigned nonce_count, const char *cnonce) MUST_CHECK;
