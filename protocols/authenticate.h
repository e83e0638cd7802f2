#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "protocols/message.h"
#include "server/base/attributes.h"
#include "server/base/auth.h"
#include "server/base/login_limit.h"

struct evbuffer;
struct sockaddr;

/*
 * Who is asking? Basic and Digest (MD5 and SHA-256) for HTTP and RTSP servers, from one table of
 * users. Nonces are stateless: time and a keyed hash, good for five minutes, then `stale`.
 */

enum authenticate_result {
	AUTHENTICATED,
	AUTHENTICATE_MISSING, /* no credentials: 401 with a challenge */
	AUTHENTICATE_STALE,   /* right, but the nonce is too old: 401, stale=true */
	AUTHENTICATE_WRONG,   /* 401; counted and logged here */
	AUTHENTICATE_LATER,   /* too many were wrong: 429, Retry-After: asker->retry_after_s */
};

/* Who asks: a connection, which embeds this. */
struct authenticate_asker {
	const char *protocol;           /* static, as in metrics: "http", "rtsp", "ftp" */
	const struct sockaddr *address; /* the client's */
	unsigned retry_after_s;         /* after AUTHENTICATE_LATER */
	/* authenticate.c's */
	char known[LOGIN_LIMIT_USER_BYTES]; /* who has logged in by it, last; "": nobody */
	struct metric *failures, *limited;
};
/* The address must live as long as the asker. */
void authenticate_asker_init(
	struct authenticate_asker *asker, const char *protocol, const struct sockaddr *address);

/*
 * The users in force; replaced by a reload. NULL or empty: everybody is let in as NULL user (the
 * listeners are on loopback then). Not copied: must live until replaced.
 */
void authenticate_set_users(const struct auth_users *users);
bool authenticate_is_open(void); /* no users are configured */
/* At the end of the process: forgets everything. */
void authenticate_fini(void);

/*
 * Judges a request: `method` and `target` as in its request line, `authorization` the field's value
 * or { NULL }. *user is NULL when authenticate_is_open(), and lives until the next reload: whoever
 * outlives the request keeps an auth_user_copy().
 */
enum authenticate_result authenticate(struct authenticate_asker *asker, struct message_text method,
	struct message_text target, struct message_text authorization,
	const struct auth_user **user) MUST_CHECK;

/* The same for a name and a password, as FTP has them: never MISSING or STALE. */
enum authenticate_result authenticate_password(struct authenticate_asker *asker, const char *name,
	const char *password, const struct auth_user **user) MUST_CHECK;

/*
 * Appends the WWW-Authenticate fields (with CRLF): Digest MD5 first, then SHA-256, then
 * MD5 again (some clients take the first, ffmpeg the last), then Basic when basic is true.
 */
void authenticate_write_challenge(struct evbuffer *out, bool basic, bool stale);
