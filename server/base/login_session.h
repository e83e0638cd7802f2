#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/base/auth.h"

/*
 * People who have logged in once, and show a token from then on. The token is random; of it only a hash is kept, with a key
 * that the process forgets (recent_key()). A session is over when it was not used for LOGIN_SESSION_IDLE_US or is
 * LOGIN_SESSION_LIFE_US old, when its user logs out, and when he is gone or has another password. At most
 * LOGIN_SESSIONS are remembered, LOGIN_SESSIONS_OF_USER of them of one user: the one that was longest not used makes room.
 * METRIC_LOGIN_SESSIONS and METRIC_LOGIN_SESSIONS_ENDED count.
 *
 * now_us is of a clock that never steps.
 */
struct login_sessions;

enum {
	LOGIN_SESSIONS = 256,
	LOGIN_SESSIONS_OF_USER = 32,
	LOGIN_TOKEN_BYTES = 65 /* of a token, and NUL */
};
#define LOGIN_SESSION_IDLE_US (INT64_C(7) * 86400 * 1000000)
#define LOGIN_SESSION_LIFE_US (INT64_C(30) * 86400 * 1000000)

struct login_sessions *login_sessions_new(void);
void login_sessions_free(struct login_sessions *sessions); /* NULL is fine */

/* A session of the user, who has just shown a password. Its token is said this once. */
void login_session_begin(struct login_sessions *sessions, const struct auth_user *user,
	int64_t now_us, char token[LOGIN_TOKEN_BYTES]);

/* The name of the user whose session it is, until the next call; this is a use of it. NULL: there is none. */
const char *login_session_find(struct login_sessions *sessions, const char *token, int64_t now_us);

/* Its user logs out. Nothing happens where there is none. */
void login_session_end(struct login_sessions *sessions, const char *token);

/* Ends those of users who are not among these (NULL: nobody is), or have another password there. */
void login_sessions_review(struct login_sessions *sessions, const struct auth_users *users);
