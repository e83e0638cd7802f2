#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/message.h"
#include "server/base/attributes.h"
#include "server/base/auth.h"
#include "server/base/login_limit.h"
#include "server/base/login_session.h"
#include "server/base/login_store.h"
#include "server/base/recent.h"

struct evbuffer;
struct sockaddr;

/*
 * Who is asking? Basic and Digest (MD5 and SHA-256) for HTTP and RTSP servers, from one table of
 * users. Nonces are stateless: time and a keyed hash, good for five minutes, then `stale`. A password that is
 * kept by scrypt is checked by a worker: the first time it is PENDING; who was right is remembered for a while.
 */

enum authenticate_result {
	AUTHENTICATED,
	AUTHENTICATE_MISSING, /* no credentials: 401 with a challenge */
	AUTHENTICATE_STALE,   /* right, but the nonce is too old: 401, stale=true */
	AUTHENTICATE_WRONG,   /* 401; counted and logged here */
	AUTHENTICATE_UNFIT, /* Digest cannot check this user's password: 401 with Basic alone; counted */
	AUTHENTICATE_LATER, /* too many were wrong, or are being checked: 429, Retry-After: asker->retry_after_s */
	AUTHENTICATE_PENDING, /* asker->on_known comes; then the same is to be asked again */
};

/* Who asks: a connection, which embeds this. */
struct authenticate_asker {
	const char *protocol;           /* static, as in metrics: "http", "rtsp", "ftp" */
	const struct sockaddr *address; /* the client's */
	void (*on_known)(void *arg);    /* once after each AUTHENTICATE_PENDING, later */
	void *arg;
	unsigned retry_after_s; /* after AUTHENTICATE_LATER */
	/*
	 * After AUTHENTICATED: what the password is good for, of enum auth_scope. What it is not good for is
	 * refused by the caller, 403, and the user's role and cameras count besides.
	 */
	unsigned scopes;
	/* authenticate.c's */
	char known[LOGIN_LIMIT_USER_BYTES]; /* who has logged in by it, last; "": nobody */
	struct metric *failures, *limited;
	struct authenticate_check *check; /* that is under way; NULL: none */
	bool is_wrong;                    /* what wrong_key is of, and has just been checked */
	unsigned char wrong_key[RECENT_KEY_BYTES];
};
/* The address must live as long as the asker. */
void authenticate_asker_init(struct authenticate_asker *asker, const char *protocol,
	const struct sockaddr *address, void (*on_known)(void *arg), void *arg);
/* Another client asks from now on: a reverse proxy sends the requests of many by one connection. */
void authenticate_asker_move(struct authenticate_asker *asker, const struct sockaddr *address);
/* No on_known comes any more. */
void authenticate_asker_fini(struct authenticate_asker *asker);

/*
 * The users in force; replaced by a reload. NULL or empty: everybody is let in as NULL user (the
 * listeners are on loopback then). Not copied: must live until replaced.
 */
void authenticate_set_users(const struct auth_users *users);
bool authenticate_is_open(void); /* no users are configured */
/* At the end of the process: forgets everything. Blocks where sessions are kept. */
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

/* Sessions (server/base/login_session.h): a token stands for the password that this user has just shown. */
void authenticate_begin_session(const struct auth_user *user, char token[LOGIN_TOKEN_BYTES]);
/* Whose session it is, or NULL. He lives until the next reload. */
const struct auth_user *authenticate_session(const char *token);
void authenticate_end_session(const char *token);
/*
 * From now on they outlive the process, in a file of that folder (server/base/login_store.h), until authenticate_fini(). Blocks: once, at
 * the start, when the users are known.
 */
void authenticate_keep_sessions(login_store_folder_fn *folder, void *arg);
/* That folder has come. */
void authenticate_keep_sessions_again(void);

/*
 * The same for a WS-UsernameToken (OASIS UsernameToken Profile 1.0 section 3.1): the digest, in Base64, of a nonce, a text and the password.
 * Whether these are new is the caller's to know. Never MISSING, STALE or PENDING; UNFIT where the password is not kept as it is.
 */
struct authenticate_token {
	const char *name, *digest, *created;
	const uint8_t *nonce;
	size_t nonce_bytes;
};
enum authenticate_result authenticate_token(struct authenticate_asker *asker,
	const struct authenticate_token *token, const struct auth_user **user) MUST_CHECK;

/*
 * Appends the WWW-Authenticate fields (with CRLF): Digest MD5 first, then SHA-256, then
 * MD5 again (some clients take the first, ffmpeg the last), then Basic, if with_basic. Digest is left out where it
 * is of no use: to who is AUTHENTICATE_UNFIT, and to all when every password is kept by scrypt; then there is
 * Basic in any case.
 */
void authenticate_write_challenge(
	struct evbuffer *out, enum authenticate_result result, bool with_basic);
