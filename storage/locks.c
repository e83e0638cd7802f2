/* Who has locked what, and for how long. A plain list: there are a few hundred at most. */
#include "storage/locks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/auth.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/catalogue_resource.h"
#include "storage/tree_name.h"

#define RECORDINGS "/recordings/"
#define ASK_AGAIN_US INT64_C(1000000)

struct locks {
	struct catalogue *catalogue;
	struct volume *volume;
	struct catalogue_resource_query *query; /* at the start */
	bool known;
	TAILQ_HEAD(, lock) all;
	size_t n;
	struct event *timer; /* the next that ends */
};

/* --- one lock --- */

/* A random UUID (RFC 4122 section 4.4). */
static void token_make(char ret[LOCK_TOKEN_BYTES])
{
	char hex[33];

	auth_random_hex(hex, 16);
	(void)snprintf(ret, LOCK_TOKEN_BYTES, "urn:uuid:%.8s-%.4s-4%.3s-%c%.3s-%.12s", hex, hex + 8,
		hex + 13, "89ab"[hex[16] & 3], hex + 17, hex + 20);
}

static void lock_free(struct locks *locks, struct lock *lock)
{
	TAILQ_REMOVE(&locks->all, lock, entry);
	locks->n--;
	for (size_t i = 0; i < lock->n_holds; i++)
		volume_release(&lock->holds[i]);
	free(lock->holds);
	free(lock->held_path);
	free(lock->path);
	free(lock->user);
	free(lock->owner);
	free(lock);
}

static void lock_end(struct locks *locks, struct lock *lock)
{
	catalogue_drop_lock(locks->catalogue, lock->token);
	lock_free(locks, lock);
}

/* A recording may move from volume to volume. */
static void lock_hold(const struct locks *locks, struct lock *lock)
{
	struct volume *volume;
	size_t n = 0;

	for (volume = locks->volume; volume; volume = volume_next(volume))
		n++;
	lock->held_path = xstrdup(lock->path + 1);
	lock->holds = xcalloc(n, sizeof(*lock->holds));
	for (volume = locks->volume; volume; volume = volume_next(volume))
		volume_hold(volume, &lock->holds[lock->n_holds++], lock->held_path);
}

static struct lock *lock_new(struct locks *locks, const char *path, const char *user,
	const char *owner, bool exclusive, bool deep)
{
	struct lock *lock = xcalloc(1, sizeof(*lock));

	lock->path = xstrdup(path);
	lock->user = xstrdup(user ? user : "");
	lock->owner = xstrdup(owner);
	lock->exclusive = exclusive;
	lock->deep = deep;
	if (tree_name_is_within(path, RECORDINGS))
		lock_hold(locks, lock);
	TAILQ_INSERT_TAIL(&locks->all, lock, entry);
	locks->n++;
	return lock;
}

/* Others may change it only by the functions of this module. */
static struct lock *locks_own(struct locks *locks, const struct lock *wanted)
{
	struct lock *lock;

	TAILQ_FOREACH (lock, &locks->all, entry) {
		if (lock == wanted)
			return lock;
	}
	return NULL;
}

/* --- time --- */

static void locks_expire(struct locks *locks)
{
	int64_t now_us = reactor_monotonic_us(), first_us = INT64_MAX;
	struct lock *lock, *next;

	if (!locks->known)
		return;
	for (lock = TAILQ_FIRST(&locks->all); lock; lock = next) {
		next = TAILQ_NEXT(lock, entry);
		if (lock->expires_us <= now_us)
			lock_end(locks, lock);
		else if (lock->expires_us < first_us)
			first_us = lock->expires_us;
	}
	if (first_us == INT64_MAX)
		reactor_timer_stop(locks->timer);
	else
		reactor_timer_start(locks->timer, first_us - now_us);
}

struct catalogue_change *locks_keep(
	struct locks *locks, const struct lock *lock, catalogue_changed_fn *done, void *arg)
{
	int64_t left_us = lock->expires_us - reactor_monotonic_us();
	struct catalogue_lock row = { lock->token, lock->path, lock->user, lock->owner,
		lock->exclusive, lock->deep, reactor_now_us() + left_us };

	return catalogue_keep_lock(locks->catalogue, &row, done, arg);
}

void locks_refresh(struct locks *locks, const struct lock *lock, int64_t timeout_us)
{
	struct lock *own = locks_own(locks, lock);

	if (!own)
		return;
	own->expires_us = reactor_monotonic_us() + timeout_us;
	locks_expire(locks);
}

/* --- life --- */

static void locks_hold_all(const struct locks *locks, bool all)
{
	for (struct volume *volume = locks->volume; volume; volume = volume_next(volume))
		volume_hold_all(volume, all);
}

static void locks_add_kept(struct locks *locks, const struct catalogue_lock *row)
{
	int64_t left_us = row->expires_us - reactor_now_us();
	struct lock *lock =
		lock_new(locks, row->path, row->user, row->owner, row->exclusive, row->deep);

	(void)snprintf(lock->token, sizeof(lock->token), "%s", row->token);
	lock->expires_us = reactor_monotonic_us() + left_us;
}

/* A catalogue that cannot be read is asked again. */
static void locks_on_rows(void *arg, int error, const struct catalogue_lock *rows, size_t n)
{
	struct locks *locks = arg;

	locks->query = NULL;
	locks->known = !error;
	if (error) {
		reactor_timer_start(locks->timer, ASK_AGAIN_US);
		return;
	}
	for (size_t i = 0; i < n && i < LOCKS_MOST; i++)
		locks_add_kept(locks, &rows[i]);
	locks_hold_all(locks, false);
	locks_expire(locks);
}

static void locks_ask(struct locks *locks)
{
	locks->query = catalogue_locks(locks->catalogue, locks_on_rows, locks);
	if (!locks->query)
		reactor_timer_start(locks->timer, ASK_AGAIN_US);
}

static void locks_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct locks *locks = arg;

	(void)fd, (void)what;
	if (locks->known)
		locks_expire(locks);
	else if (!locks->query)
		locks_ask(locks);
}

struct locks *locks_new(struct catalogue *catalogue, struct volume *volume)
{
	struct locks *locks = xcalloc(1, sizeof(*locks));

	locks->catalogue = catalogue;
	locks->volume = volume;
	TAILQ_INIT(&locks->all);
	locks_hold_all(locks, true); /* until they are known */
	locks->timer = reactor_timer_new(locks_on_timer, locks);
	locks_ask(locks);
	return locks;
}

bool locks_are_known(const struct locks *locks)
{
	return locks->known;
}

void locks_free(struct locks *locks)
{
	if (!locks)
		return;
	locks_hold_all(locks, false);
	catalogue_resource_cancel(locks->query);
	while (!TAILQ_EMPTY(&locks->all))
		lock_free(locks, TAILQ_FIRST(&locks->all));
	reactor_timer_free(&locks->timer);
	free(locks);
}

/* --- looking --- */

static bool lock_covers(const struct lock *lock, const char *path)
{
	return lock->deep ? tree_name_is_within(path, lock->path) : !strcmp(path, lock->path);
}

static const struct lock *next_over(
	const struct locks *locks, const char *path, const struct lock *after)
{
	const struct lock *lock = after ? TAILQ_NEXT(after, entry) : TAILQ_FIRST(&locks->all);

	while (lock && !lock_covers(lock, path))
		lock = TAILQ_NEXT(lock, entry);
	return lock;
}

const struct lock *locks_next(struct locks *locks, const char *path, const struct lock *after)
{
	if (!locks)
		return NULL;
	if (!after)
		locks_expire(locks);
	return next_over(locks, path, after);
}

const struct lock *locks_find(struct locks *locks, const char *token, size_t n)
{
	const struct lock *lock;

	locks_expire(locks);
	TAILQ_FOREACH (lock, &locks->all, entry) {
		if (strlen(lock->token) == n && !memcmp(lock->token, token, n))
			return lock;
	}
	return NULL;
}

/* --- taking and giving back --- */

static bool lock_conflicts(const struct lock *lock, const struct lock_wish *wish)
{
	bool meets = lock_covers(lock, wish->path) ||
		     (wish->deep && tree_name_is_within(lock->path, wish->path));

	return meets && (lock->exclusive || wish->exclusive);
}

int locks_add(struct locks *locks, const struct lock_wish *wish, const struct lock **ret)
{
	const char *user = wish->user ? wish->user : "";
	size_t of_user = 0;
	struct lock *lock;

	locks_expire(locks);
	TAILQ_FOREACH (lock, &locks->all, entry) {
		of_user += !strcmp(lock->user, user);
		if (lock_conflicts(lock, wish)) {
			*ret = lock;
			return -EBUSY;
		}
	}
	if (locks->n == LOCKS_MOST || of_user >= LOCKS_PER_USER)
		return -ENOSPC;
	lock = lock_new(locks, wish->path, user, wish->owner, wish->exclusive, wish->deep);
	token_make(lock->token);
	lock->expires_us = reactor_monotonic_us() + wish->timeout_us;
	locks_expire(locks);
	*ret = lock;
	return 0;
}

void locks_remove(struct locks *locks, const struct lock *lock)
{
	struct lock *own = locks_own(locks, lock);

	if (own)
		lock_end(locks, own);
}

void locks_forget(struct locks *locks, const char *path)
{
	struct lock *lock, *next;

	for (lock = TAILQ_FIRST(&locks->all); lock; lock = next) {
		next = TAILQ_NEXT(lock, entry);
		if (tree_name_is_within(lock->path, path))
			lock_end(locks, lock);
	}
}

/* --- what a change needs --- */

static bool tokens_have(const struct lock_tokens *tokens, const struct lock *lock)
{
	for (size_t i = 0; i < tokens->n; i++) {
		if (strlen(lock->token) == tokens->tokens[i].n &&
			!memcmp(lock->token, tokens->tokens[i].p, tokens->tokens[i].n))
			return !strcmp(lock->user, tokens->user);
	}
	return false;
}

/* Of several shared locks one is enough. */
static const struct lock *forbid_at(
	const struct locks *locks, const char *path, const struct lock_tokens *tokens)
{
	const struct lock *first = next_over(locks, path, NULL), *lock;

	for (lock = first; lock; lock = next_over(locks, path, lock)) {
		if (tokens_have(tokens, lock))
			return NULL;
	}
	return first;
}

static const struct lock *forbid_parent(
	const struct locks *locks, const char *path, const struct lock_tokens *tokens)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
	const struct lock *lock = forbid_at(locks, parent, tokens);

	free(parent);
	return lock;
}

const struct lock *locks_forbid(
	struct locks *locks, const char *path, unsigned reach, const struct lock_tokens *tokens)
{
	const struct lock *found = NULL, *lock;

	locks_expire(locks);
	if (reach & LOCK_SELF)
		found = forbid_at(locks, path, tokens);
	if (!found && reach & LOCK_PARENT)
		found = forbid_parent(locks, path, tokens);
	if (found || !(reach & LOCK_BELOW))
		return found;
	TAILQ_FOREACH (lock, &locks->all, entry) {
		if (strcmp(lock->path, path) != 0 && tree_name_is_within(lock->path, path) &&
			(found = forbid_at(locks, lock->path, tokens)))
			return found;
	}
	return NULL;
}
