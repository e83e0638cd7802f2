/* Sessions of people: a list, the one that was used last first. */
#include "server/base/login_session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <openssl/crypto.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/recent.h"

struct login_session {
	TAILQ_ENTRY(login_session) entry;
	unsigned char key[RECENT_KEY_BYTES];  /* of the token */
	unsigned char mark[RECENT_KEY_BYTES]; /* of the user's name and password */
	char *user;
	int64_t begun_us, used_us;
};
TAILQ_HEAD(session_list, login_session);

struct login_sessions {
	struct session_list list;
};

static const char *const reasons[] = { "logout", "expired", "changed", "full" };
enum reason {
	LOGOUT,
	EXPIRED,
	CHANGED,
	FULL
};

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
}

struct login_sessions *login_sessions_new(void)
{
	struct login_sessions *sessions = xcalloc(1, sizeof(*sessions));

	TAILQ_INIT(&sessions->list);
	return sessions;
}

void login_sessions_free(struct login_sessions *sessions)
{
	while (sessions && !TAILQ_EMPTY(&sessions->list))
		session_free(sessions, TAILQ_FIRST(&sessions->list));
	free(sessions);
}

static void mark_of(const struct auth_user *user, unsigned char ret[RECENT_KEY_BYTES])
{
	recent_key(ret, (const char *const[]){ user->name, user->password, NULL });
}

static void expire(struct login_sessions *sessions, int64_t now_us)
{
	struct login_session *session, *next;

	for (session = TAILQ_FIRST(&sessions->list); session; session = next) {
		next = TAILQ_NEXT(session, entry);
		if (now_us - session->used_us >= LOGIN_SESSION_IDLE_US ||
			now_us - session->begun_us >= LOGIN_SESSION_LIFE_US)
			session_close(sessions, session, EXPIRED);
	}
}

/* Makes room for one more of the user. */
static void shrink(struct login_sessions *sessions, const char *user)
{
	struct login_session *session, *oldest_of_user = NULL;
	unsigned n = 0, n_of_user = 0;

	TAILQ_FOREACH (session, &sessions->list, entry) {
		n++;
		if (strcmp(session->user, user) != 0)
			continue;
		n_of_user++;
		oldest_of_user = session;
	}
	if (n_of_user >= LOGIN_SESSIONS_OF_USER)
		session_close(sessions, oldest_of_user, FULL);
	else if (n >= LOGIN_SESSIONS)
		session_close(sessions, TAILQ_LAST(&sessions->list, session_list), FULL);
}

void login_session_begin(struct login_sessions *sessions, const struct auth_user *user,
	int64_t now_us, char token[LOGIN_TOKEN_BYTES])
{
	struct login_session *session = xcalloc(1, sizeof(*session));

	expire(sessions, now_us);
	shrink(sessions, user->name);
	auth_random_hex(token, (LOGIN_TOKEN_BYTES - 1) / 2);
	recent_key(session->key, (const char *const[]){ token, NULL });
	mark_of(user, session->mark);
	session->user = xstrdup(user->name);
	session->begun_us = session->used_us = now_us;
	TAILQ_INSERT_HEAD(&sessions->list, session, entry);
	metric_add(metric_get(METRIC_LOGIN_SESSIONS), 1);
}

static struct login_session *session_of(const struct login_sessions *sessions, const char *token)
{
	unsigned char key[RECENT_KEY_BYTES];
	struct login_session *session;

	recent_key(key, (const char *const[]){ token, NULL });
	TAILQ_FOREACH (session, &sessions->list, entry) {
		if (CRYPTO_memcmp(session->key, key, sizeof(key)) == 0)
			return session;
	}
	return NULL;
}

const char *login_session_find(struct login_sessions *sessions, const char *token, int64_t now_us)
{
	struct login_session *session;

	expire(sessions, now_us);
	session = session_of(sessions, token);
	if (!session)
		return NULL;
	session->used_us = now_us;
	TAILQ_REMOVE(&sessions->list, session, entry);
	TAILQ_INSERT_HEAD(&sessions->list, session, entry);
	return session->user;
}

void login_session_end(struct login_sessions *sessions, const char *token)
{
	struct login_session *session = session_of(sessions, token);

	if (session)
		session_close(sessions, session, LOGOUT);
}

static bool is_as_it_was(const struct login_session *session, const struct auth_users *users)
{
	const struct auth_user *user =
		users ? auth_find(users, session->user, strlen(session->user)) : NULL;
	unsigned char mark[RECENT_KEY_BYTES];

	if (!user)
		return false;
	mark_of(user, mark);
	return CRYPTO_memcmp(mark, session->mark, sizeof(mark)) == 0;
}

void login_sessions_review(struct login_sessions *sessions, const struct auth_users *users)
{
	struct login_session *session, *next;

	for (session = TAILQ_FIRST(&sessions->list); session; session = next) {
		next = TAILQ_NEXT(session, entry);
		if (!is_as_it_was(session, users))
			session_close(sessions, session, CHANGED);
	}
}
