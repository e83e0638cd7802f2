#pragma once

#include <stdint.h>
#include <sys/socket.h>

/*
 * Who has given wrong passwords has to wait, twice as long with each failure up to a limit; all is forgotten
 * after LOGIN_LIMIT_FORGET_US. What counts is a login: a user at an address (of IPv6 at its /64, which one
 * customer has). An address as a whole has to wait when several users failed there, and a user when he
 * failed at several addresses; the first failures of each login count for that, and no more, since one
 * client with an old password must not shut out all others behind the same address. Nobody can lock a user
 * out: where he has logged in before, only what fails there for this very user counts, and elsewhere what
 * others do costs him a few seconds.
 *
 * No clock, no I/O: now_us is of a clock that never steps. At most LOGIN_LIMIT_ENTRIES of each kind are
 * remembered; the one that was longest without news makes room.
 */
struct login_limit;

enum {
	LOGIN_LIMIT_ENTRIES = 1024,
	LOGIN_LIMIT_USER_BYTES = 65, /* of a name that is told apart; no user's is longer */
};
#define LOGIN_LIMIT_FORGET_US (INT64_C(15) * 60 * 1000000)

struct login_limit *login_limit_new(void);
void login_limit_free(struct login_limit *limit); /* NULL is fine */

/* How long this user has to wait at this address before a password is looked at; 0: not at all. */
int64_t login_limit_wait_us(const struct login_limit *limit, const struct sockaddr *address,
	const char *user, int64_t now_us);

/* A password was looked at, and was wrong. The user need not exist. */
void login_limit_failed(struct login_limit *limit, const struct sockaddr *address, const char *user,
	int64_t now_us);
/* It was right: what failed from there for this user is forgotten. */
void login_limit_succeeded(struct login_limit *limit, const struct sockaddr *address,
	const char *user, int64_t now_us);
