#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/base/auth.h"
#include "server/base/login_file.h"

/*
 * People who have logged in once, and show a token from then on. A session is over when it was not used for
 * LOGIN_SESSION_IDLE_US or is LOGIN_SESSION_LIFE_US old, when its user logs out, and when he is gone or has another password. At
 * most LOGIN_SESSIONS are remembered, LOGIN_SESSIONS_OF_USER of them of one user: the one that was longest not used makes room.
 * METRIC_LOGIN_SESSIONS and METRIC_LOGIN_SESSIONS_ENDED count.
 *
 * They can be taken to another process (login_store.h does), by a list in which nothing is secret. The token is 256 random
 * bits. Of it there is the id, a hash by which it is found; and the seal, a hash of the user's name and password as they are
 * configured, with the token as its key: so who reads the list cannot guess passwords by it, and who writes it cannot make
 * a seal without the password. The seal is compared with each use, so that a password that was changed while no process
 * ran counts, too.
 */
struct login_sessions;

enum {
	LOGIN_SESSIONS = LOGIN_FILE_SESSIONS,
	LOGIN_SESSIONS_OF_USER = 32,
	LOGIN_TOKEN_BYTES = 65 /* of a token, and NUL */
};
#define LOGIN_SESSION_IDLE_US (INT64_C(7) * 86400 * 1000000)
#define LOGIN_SESSION_LIFE_US (INT64_C(30) * 86400 * 1000000)
/* A use that is longer than this after the one that is on the disk is worth writing. */
#define LOGIN_SESSION_WRITE_US (INT64_C(3600) * 1000000)

/*
 * An instant by both clocks: one that never steps, and UTC as the machine has it, which may be anything. What happened in this
 * process is as long ago as the first one says. How long no process ran only UTC can tell, perhaps after somebody has set it: it
 * counts as far as it goes beyond what was written. A clock that is behind that tells nothing; as the writer may have run for
 * LOGIN_SESSION_WRITE_US longer, so much has passed then.
 */
struct login_now {
	int64_t monotonic_us, utc_us;
};
struct login_now login_now(void); /* this one */

struct login_sessions *login_sessions_new(struct login_now now);
void login_sessions_free(struct login_sessions *sessions); /* NULL is fine */

/* A session of the user, who has just shown a password. Its token is said this once. */
void login_session_begin(struct login_sessions *sessions, const struct auth_user *user,
	struct login_now now, char token[LOGIN_TOKEN_BYTES]);

/* The user whose session it is; he lives until the next review. This is a use of it. NULL: there is none. */
const struct auth_user *login_session_find(
	struct login_sessions *sessions, const char *token, struct login_now now);

/* Its user logs out. Nothing happens where there is none. */
void login_session_end(struct login_sessions *sessions, const char *token);

/*
 * Ends those of users who are not among these (NULL: nobody is), or have another password there. Not copied: must live until
 * the next review.
 */
void login_sessions_review(struct login_sessions *sessions, const struct auth_users *users);

/* --- from one process to the next --- */

/* Whether they should be written now: one has begun or ended, or was used long after what is written. */
bool login_sessions_are_new(const struct login_sessions *sessions);
/* Whether they are in any way other than what is written: looked at before the process ends. */
bool login_sessions_are_used(const struct login_sessions *sessions);
/* What is to be written; it counts as written from now on. */
void login_sessions_save(
	struct login_sessions *sessions, struct login_now now, struct login_file *ret);
/* It could not be. */
void login_sessions_not_saved(struct login_sessions *sessions);
/* Adds those of a former process, behind those that there are, and without what is over. */
void login_sessions_load(
	struct login_sessions *sessions, const struct login_file *file, struct login_now now);
