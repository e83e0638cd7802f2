#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "protocols/message.h"
#include "server/base/attributes.h"
#include "server/base/auth.h"

struct evbuffer;

/*
 * Who is asking? Basic and Digest (MD5 and SHA-256) for HTTP and RTSP servers, from one table of
 * users. Nonces are stateless: time and a keyed hash, good for five minutes, then `stale`.
 */

enum authenticate_result {
	AUTHENTICATED,
	AUTHENTICATE_MISSING, /* no credentials: 401 with a challenge */
	AUTHENTICATE_STALE,   /* right, but the nonce is too old: 401, stale=true */
	AUTHENTICATE_WRONG,   /* 401, counted, logged by the caller without the password */
};

/*
 * The users in force; replaced by a reload. NULL or empty: everybody is let in as NULL user (the
 * listeners are on loopback then). Not copied: must live until replaced.
 */
void authenticate_set_users(const struct auth_users *users);
bool authenticate_is_open(void); /* no users are configured */

/*
 * Judges a request: `method` and `target` as in its request line, `authorization` the field's value
 * or { NULL }. *user is NULL when authenticate_is_open(), and lives until the next reload: whoever
 * outlives the request keeps an auth_user_copy().
 */
enum authenticate_result authenticate(struct message_text method, struct message_text target,
	struct message_text authorization, const struct auth_user **user) MUST_CHECK;

/*
 * Appends the WWW-Authenticate fields (with CRLF): Digest MD5 first, then SHA-256, then
 * MD5 again (some clients take the first, ffmpeg the last), then Basic when basic is true.
 */
void authenticate_write_challenge(struct evbuffer *out, bool basic, bool stale);

/* The user name in an Authorization value, for a log line; false when there is none to be read. */
bool authenticate_name(char *ret, size_t size, struct message_text authorization);
