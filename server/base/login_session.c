/* Sessions of people: a list, the one that was used last first. */
#include "server/base/login_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <openssl/crypto.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/recent.h"

#define SECOND_US INT64_C(1000000)

struct login_session {
	TAILQ_ENTRY(login_session) entry;
	unsigned char id[LOGIN_HASH_BYTES], seal[LOGIN_HASH_BYTES];
	unsigned char
		mark[RECENT_KEY_BYTES]; /* of the user's name and password, for who has no token */
	char *user;
	int64_t begun_us, used_us;
	int64_t written_us; /* used_us, as it is on the disk */
};
TAILQ_HEAD(session_list, login_session);

struct login_sessions {
	struct session_list list;
	const struct auth_users *users;
	int64_t now_us; /* UTC as far as it is known: it never goes back, nor slower than time does */
	int64_t start_us;     /* of this process, by the same */
	int64_t monotonic_us; /* when it was now_us */
	bool is_new, is_used;
};

static const char *const reasons[] = { "logout", "expired", "changed", "full" };
enum reason {
	LOGOUT,
	EXPIRED,
	CHANGED,
	FULL
};

/* --- the list --- */

static void session_free(struct login_sessions *sessions, struct login_session *session)
{
	TAILQ_REMOVE(&sessions->list, session, entry);
	metric_add(metric_get(METRIC_LOGIN_SESSIONS), -1);
	free(session->user);
	free(session);
}

static void session_close(
	struct login_sessions *sessions, struct login_session *session, enum reason reason)
{
	session_free(sessions, session);
	metric_add(metric_get(METRIC_LOGIN_SESSIONS_ENDED, reasons[reason]), 1);
	sessions->is_new = true;
}

/* What can be written. */
static int64_t utc_of(struct login_now now)
{
	int64_t latest_us = LOGIN_FILE_LATEST_S * SECOND_US;

	return now.utc_us < 0 ? 0 : now.utc_us > latest_us ? latest_us : now.utc_us;
}

struct login_now login_now(void)
{
	return (struct login_now){ reactor_monotonic_us(), reactor_now_us() };
}

struct login_sessions *login_sessions_new(struct login_now now)
{
	struct login_sessions *sessions = xcalloc(1, sizeof(*sessions));

	TAILQ_INIT(&sessions->list);
	sessions->now_us = sessions->start_us = utc_of(now);
	sessions->monotonic_us = now.monotonic_us;
	return sessions;
}

void login_sessions_free(struct login_sessions *sessions)
{
	while (sessions && !TAILQ_EMPTY(&sessions->list))
		session_free(sessions, TAILQ_FIRST(&sessions->list));
	free(sessions);
}

static const struct auth_user *user_of(
	const struct login_sessions *sessions, const struct login_session *session)
{
	return sessions->users ? auth_find(sessions->users, session->user, strlen(session->user))
			       : NULL;
}

/* --- time --- */

/* Time was so much behind: what has happened in this process is as long ago as it was, all else longer. */
static void jump(struct login_sessions *sessions, int64_t by_us)
{
	struct login_session *session;

	TAILQ_FOREACH (session, &sessions->list, entry) {
		if (session->begun_us >= sessions->start_us)
			session->begun_us += by_us;
		if (session->used_us >= sessions->start_us)
			session->used_us += by_us;
	}
	sessions->start_us += by_us;
	sessions->now_us += by_us;
}

/* Time goes on, and what has expired goes. */
static void tick(struct login_sessions *sessions, struct login_now now)
{
	struct login_session *session, *next;

	sessions->now_us += now.monotonic_us - sessions->monotonic_us;
	sessions->monotonic_us = now.monotonic_us;
	if (TAILQ_EMPTY(&sessions->list)) /* a clock that was once ahead is forgotten */
		sessions->now_us = sessions->start_us = utc_of(now);
	else if (utc_of(now) > sessions->now_us)
		jump(sessions, utc_of(now) - sessions->now_us);
	for (session = TAILQ_FIRST(&sessions->list); session; session = next) {
		next = TAILQ_NEXT(session, entry);
		if (sessions->now_us - session->used_us >= LOGIN_SESSION_IDLE_US ||
			sessions->now_us - session->begun_us >= LOGIN_SESSION_LIFE_US)
			session_close(sessions, session, EXPIRED);
	}
}

/* --- hashes --- */

static void id_of(const char *token, unsigned char ret[LOGIN_HASH_BYTES])
{
	recent_key_by(ret, token, (const char *const[]){ "id", NULL });
}

static void seal_of(
	const char *token, const struct auth_user *user, unsigned char ret[LOGIN_HASH_BYTES])
{
	recent_key_by(
		ret, token, (const char *const[]){ "seal", user->name, user->password, NULL });
}

static void mark_of(const struct auth_user *user, unsigned char ret[RECENT_KEY_BYTES])
{
	recent_key(ret, (const char *const[]){ user->name, user->password, NULL });
}

/* --- beginning, using, ending --- */

/* The one that has to go before there can be one more of the user; NULL: there is room. */
static struct login_session *in_the_way(const struct login_sessions *sessions, const char *user)
{
	struct login_session *session, *oldest = NULL, *oldest_of_user = NULL;
	unsigned n = 0, n_of_user = 0;

	TAILQ_FOREACH (session, &sessions->list, entry) {
		oldest = session;
		n++;
		if (strcmp(session->user, user) != 0)
			continue;
		oldest_of_user = session;
		n_of_user++;
	}
	if (n_of_user >= LOGIN_SESSIONS_OF_USER)
		return oldest_of_user;
	return n >= LOGIN_SESSIONS ? oldest : NULL;
}

static struct login_session *session_new(const struct auth_user *user)
{
	struct login_session *session = xcalloc(1, sizeof(*session));

	mark_of(user, session->mark);
	session->user = xstrdup(user->name);
	metric_add(metric_get(METRIC_LOGIN_SESSIONS), 1);
	return session;
}

void login_session_begin(struct login_sessions *sessions, const struct auth_user *user,
	struct login_now now, char token[LOGIN_TOKEN_BYTES])
{
	struct login_session *session;

	tick(sessions, now);
	session = in_the_way(sessions, user->name);
	if (session)
		session_close(sessions, session, FULL);
	auth_random_hex(token, (LOGIN_TOKEN_BYTES - 1) / 2);
	session = session_new(user);
	id_of(token, session->id);
	seal_of(token, user, session->seal);
	session->begun_us = session->used_us = sessions->now_us;
	TAILQ_INSERT_HEAD(&sessions->list, session, entry);
	sessions->is_new = true;
}

static struct login_session *session_of(const struct login_sessions *sessions, const char *token)
{
	unsigned char id[LOGIN_HASH_BYTES];
	struct login_session *session;

	id_of(token, id);
	TAILQ_FOREACH (session, &sessions->list, entry) {
		if (CRYPTO_memcmp(session->id, id, sizeof(id)) == 0)
			return session;
	}
	return NULL;
}

const struct auth_user *login_session_find(
	struct login_sessions *sessions, const char *token, struct login_now now)
{
	unsigned char seal[LOGIN_HASH_BYTES];
	const struct auth_user *user;
	struct login_session *session;

	tick(sessions, now);
	session = session_of(sessions, token);
	if (!session)
		return NULL;
	user = user_of(sessions, session);
	if (user)
		seal_of(token, user, seal);
	if (!user || CRYPTO_memcmp(seal, session->seal, sizeof(seal)) != 0) {
		session_close(sessions, session, CHANGED);
		return NULL;
	}
	session->used_us = sessions->now_us;
	sessions->is_used = true;
	if (session->used_us - session->written_us >= LOGIN_SESSION_WRITE_US)
		sessions->is_new = true;
	TAILQ_REMOVE(&sessions->list, session, entry);
	TAILQ_INSERT_HEAD(&sessions->list, session, entry);
	return user;
}

void login_session_end(struct login_sessions *sessions, const char *token)
{
	struct login_session *session = session_of(sessions, token);

	if (session)
		session_close(sessions, session, LOGOUT);
}

static bool is_as_it_was(const struct login_sessions *sessions, const struct login_session *session)
{
	const struct auth_user *user = user_of(sessions, session);
	unsigned char mark[RECENT_KEY_BYTES];

	if (!user)
		return false;
	mark_of(user, mark);
	return CRYPTO_memcmp(mark, session->mark, sizeof(mark)) == 0;
}

void login_sessions_review(struct login_sessions *sessions, const struct auth_users *users)
{
	struct login_session *session, *next;

	sessions->users = users;
	for (session = TAILQ_FIRST(&sessions->list); session; session = next) {
		next = TAILQ_NEXT(session, entry);
		if (!is_as_it_was(sessions, session))
			session_close(sessions, session, CHANGED);
	}
}

/* --- from one process to the next --- */

bool login_sessions_are_new(const struct login_sessions *sessions)
{
	return sessions->is_new;
}

bool login_sessions_are_used(const struct login_sessions *sessions)
{
	return sessions->is_new || sessions->is_used;
}

void login_sessions_save(
	struct login_sessions *sessions, struct login_now now, struct login_file *ret)
{
	struct login_session *session;

	tick(sessions, now);
	ret->written_s = sessions->now_us / SECOND_US;
	ret->n = 0;
	TAILQ_FOREACH (session, &sessions->list, entry) {
		struct login_file_session *saved = &ret->sessions[ret->n++];

		memcpy(saved->id, session->id, sizeof(saved->id));
		memcpy(saved->seal, session->seal, sizeof(saved->seal));
		saved->begun_s = session->begun_us / SECOND_US;
		saved->used_s = session->used_us / SECOND_US;
		(void)snprintf(saved->user, sizeof(saved->user), "%s", session->user);
		session->written_us = session->used_us;
	}
	sessions->is_new = sessions->is_used = false;
}

void login_sessions_not_saved(struct login_sessions *sessions)
{
	sessions->is_new = true;
}

/* Where its user is still there, and has room. */
static void load_session(struct login_sessions *sessions, const struct login_file_session *saved)
{
	const struct auth_user *user =
		sessions->users ? auth_find(sessions->users, saved->user, strlen(saved->user))
				: NULL;
	struct login_session *session;

	if (!user || in_the_way(sessions, saved->user)) {
		metric_add(
			metric_get(METRIC_LOGIN_SESSIONS_ENDED, reasons[user ? FULL : CHANGED]), 1);
		sessions->is_new = true;
		return;
	}
	session = session_new(user);
	memcpy(session->id, saved->id, sizeof(session->id));
	memcpy(session->seal, saved->seal, sizeof(session->seal));
	session->begun_us = saved->begun_s * SECOND_US;
	session->used_us = session->written_us = saved->used_s * SECOND_US;
	TAILQ_INSERT_TAIL(&sessions->list, session, entry);
}

void login_sessions_load(
	struct login_sessions *sessions, const struct login_file *file, struct login_now now)
{
	int64_t written_us = file->written_s * SECOND_US;

	tick(sessions, now);
	if (file->n > 0 && written_us > sessions->start_us) {
		jump(sessions, written_us + LOGIN_SESSION_WRITE_US - sessions->start_us);
		sessions->is_new = true; /* each start with such a clock is to cost as much */
	}
	for (size_t i = 0; i < file->n; i++)
		load_session(sessions, &file->sessions[i]);
	if (!TAILQ_EMPTY(&sessions->list))
		tick(sessions, now);
}
