/*
 * LOCK and UNLOCK (RFC 4918 sections 9.10 and 9.11). A lock on a name where nothing is makes an empty file (section
 * 7.3); one on a recording also keeps it from being deleted for its age.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/dav.h"
#include "protocols/dav_private.h"
#include "protocols/dav_properties.h"
#include "protocols/dav_update.h"
#include "protocols/markup.h"
#include "server/base/memory.h"

/* How long locks last, in seconds. */
enum {
	LOCK_STANDARD = 600,
	LOCK_UPLOAD_MOST = 86400,
	LOCK_RECORDING_MOST = 365 * 86400
};

struct dav_lock {
	struct dav_check check; /* first */
	struct dav_lock_wish wish;
	bool refreshes; /* no body: it is about one that there is */
	bool deep;
	char token[LOCK_TOKEN_BYTES]; /* of the lock that was taken for this request */
	bool created;
	struct tree_put *put; /* of the empty file */
	struct catalogue_change *pending;
};

static const struct lock *lock_taken(const struct dav_lock *l)
{
	return locks_find(tree_locks(dav_get_tree()), l->token, strlen(l->token));
}

/* Nobody learns of the lock. */
static void lock_give_back(struct dav_lock *l)
{
	const struct lock *lock = l->token[0] && !l->refreshes ? lock_taken(l) : NULL;

	if (lock)
		locks_remove(tree_locks(dav_get_tree()), lock);
	l->token[0] = '\0';
}

static void lock_on_gone(void *context)
{
	struct dav_lock *l = context;

	lock_give_back(l);
	tree_put_abort(l->put);
	catalogue_change_cancel(l->pending);
	dav_check_fini(&l->check);
	free(l);
}

static int64_t lock_timeout_us(const struct dav_lock *l)
{
	bool is_upload = tree_may_change(dav_get_tree(), l->check.path, l->check.user) == 0;
	uint32_t most = is_upload ? LOCK_UPLOAD_MOST : LOCK_RECORDING_MOST;
	uint32_t seconds = dav_if_timeout(http_field(l->check.request, "Timeout"), LOCK_STANDARD);

	if (seconds == 0)
		seconds = LOCK_STANDARD;
	return (int64_t)(seconds < most ? seconds : most) * 1000000;
}

/* --- the answer --- */

static void lock_answer(struct dav_lock *l)
{
	struct http_request *request = l->check.request;
	struct evbuffer *body = evbuffer_new();
	struct markup out = markup_begin(body);

	if (!body)
		abort();
	if (!l->refreshes)
		http_add_field(request, "Lock-Token", "<%s>", l->token);
	l->token[0] = '\0'; /* it is the client's now */
	markup_add(&out, DAV_XML_HEAD "<D:prop xmlns:D=\"DAV:\"><D:lockdiscovery>");
	dav_write_locks(&out, http_base(request), l->check.path);
	markup_add(&out, "</D:lockdiscovery></D:prop>\n");
	markup_end(&out);
	http_answer(request, l->created ? 201 : 200, DAV_CONTENT_TYPE, body);
	evbuffer_free(body);
}

static void lock_on_kept(void *arg, int error)
{
	struct dav_lock *l = arg;

	l->pending = NULL;
	if (error)
		http_tree_answer_error(l->check.request, error);
	else
		lock_answer(l);
}

/* Nobody is told of a lock before it would outlive us. */
static void lock_keep(struct dav_lock *l)
{
	const struct lock *lock = lock_taken(l);

	if (lock)
		l->pending = locks_keep(tree_locks(dav_get_tree()), lock, lock_on_kept, l);
	if (!l->pending)
		http_tree_answer_error(l->check.request, -EAGAIN);
}

/* --- an empty file --- */

static void lock_on_begun(void *arg)
{
	struct dav_lock *l = arg;

	tree_put_commit(l->put, "");
}

static void lock_on_end(void *arg, int error, bool created, const struct tree_entry *entry)
{
	struct dav_lock *l = arg;

	(void)entry;
	l->put = NULL;
	l->created = created;
	if (error && error != -EEXIST) /* somebody was faster: it is locked all the same */
		dav_answer_error(l->check.request, error);
	else
		lock_keep(l);
}

static const struct tree_put_events lock_put_events = {
	.on_begun = lock_on_begun,
	.on_end = lock_on_end,
};

static void lock_make_file(struct dav_lock *l)
{
	int error;

	l->put = tree_put(
		dav_get_tree(), l->check.path, 0, 0, l->check.user, &lock_put_events, l, &error);
	if (!l->put)
		dav_answer_error(l->check.request, error);
}

/* --- taking and refreshing --- */

static void lock_on_conflict(const struct dav_lock *l, int error, const struct lock *other)
{
	if (error == -EBUSY)
		dav_answer_condition(l->check.request, 423, "no-conflicting-lock", other->path);
	else
		http_answer_error(l->check.request, 507, "there are too many locks");
}

static void lock_on_checked(struct dav_check *check, const struct tree_entry *entry)
{
	struct dav_lock *l = CONTAINER_OF(check, struct dav_lock, check);
	const struct lock *lock = NULL;
	struct lock_wish wish = {
		.path = check->path,
		.user = check->user ? check->user->name : NULL,
		.owner = l->wish.owner,
		.exclusive = l->wish.exclusive,
		.deep = l->deep && (!entry || entry->kind == TREE_COLLECTION),
		.timeout_us = lock_timeout_us(l),
	};
	int error;

	if (!entry && tree_may_change(dav_get_tree(), check->path, check->user) < 0) {
		http_tree_answer_error(check->request, -ENOENT);
		return;
	}
	if (dav_is_locked(check, check->path, entry ? 0 : LOCK_PARENT))
		return;
	error = locks_add(tree_locks(dav_get_tree()), &wish, &lock);
	if (error) {
		lock_on_conflict(l, error, lock);
		return;
	}
	memcpy(l->token, lock->token, sizeof(l->token));
	if (entry)
		lock_keep(l);
	else
		lock_make_file(l);
}

/* The lock that a refresh is about: one that the path is under and of which the client has the token. */
static const struct lock *lock_to_refresh(const struct dav_check *check)
{
	struct locks *locks = tree_locks(dav_get_tree());
	const struct lock *lock;

	for (size_t i = 0; i < check->tokens.n; i++) {
		const char *p = check->tokens.tokens[i].p;
		size_t n = check->tokens.tokens[i].n;

		for (lock = locks_next(locks, check->path, NULL); lock;
			lock = locks_next(locks, check->path, lock)) {
			if (strlen(lock->token) == n && !memcmp(lock->token, p, n) &&
				!strcmp(lock->user, check->tokens.user))
				return lock;
		}
	}
	return NULL;
}

static void refresh_on_checked(struct dav_check *check, const struct tree_entry *entry)
{
	struct dav_lock *l = CONTAINER_OF(check, struct dav_lock, check);
	const struct lock *lock = lock_to_refresh(check);

	if (!entry) {
		http_tree_answer_error(check->request, -ENOENT);
	} else if (!lock) {
		dav_answer_condition(check->request, 412, "lock-token-matches-request-uri", NULL);
	} else {
		memcpy(l->token, lock->token, sizeof(l->token));
		locks_refresh(tree_locks(dav_get_tree()), lock, lock_timeout_us(l));
		lock_keep(l);
	}
}

/* Depth (0 or infinity) and the body; false: it has been answered. */
static bool lock_parse(struct dav_lock *l)
{
	struct http_request *request = l->check.request;
	struct evbuffer *body = http_body(request);
	size_t n = evbuffer_get_length(body);
	enum dav_depth depth = dav_depth_of(request);
	const char *why = NULL;

	l->refreshes = n == 0;
	l->deep = depth == DAV_DEPTH_INFINITY;
	if (n && dav_lock_parse(&l->wish, (const char *)evbuffer_pullup(body, -1), n, &why) < 0)
		http_answer_error(request, 400, "%s", why);
	else if (depth != DAV_DEPTH_0 && depth != DAV_DEPTH_INFINITY)
		http_answer_error(request, 400, "Depth must be 0 or infinity");
	else if (l->refreshes && !l->check.lists)
		http_answer_error(request, 400, "a lock is refreshed with its token in If");
	else
		return true;
	return false;
}

/* What can be deleted can be locked, and nothing else. */
void dav_lock(struct http_request *request)
{
	struct dav_lock *l = xcalloc(1, sizeof(*l));
	int error;

	http_set_context(request, l, lock_on_gone);
	if (!dav_check_init(&l->check, request))
		return;
	error = tree_may_delete(dav_get_tree(), l->check.path, l->check.user);
	if (error)
		dav_answer_error(request, error);
	else if (lock_parse(l))
		dav_check_start(&l->check, l->refreshes ? refresh_on_checked : lock_on_checked);
}

/* --- UNLOCK --- */

/* A lock is given back by who took it, or by an admin. */
static bool unlock_may(const struct auth_user *user, const struct lock *lock)
{
	return !user || user->role == ROLE_ADMIN || !strcmp(user->name, lock->user);
}

void dav_unlock(struct http_request *request)
{
	struct message_text token = dav_if_coded_url(http_field(request, "Lock-Token"));
	struct locks *locks = tree_locks(dav_get_tree());
	char path[HTTP_TREE_PATH_BYTES];
	const struct lock *lock = NULL;
	int error;

	if (!http_tree_path(request, path)) {
		http_tree_answer_error(request, -ENOENT);
		return;
	}
	error = tree_may_delete(dav_get_tree(), path, http_user(request));
	if (error) {
		dav_answer_error(request, error);
		return;
	}
	if (!token.p) {
		http_answer_error(request, 400, "the Lock-Token is missing or malformed");
		return;
	}
	if (!locks_are_known(locks)) {
		http_tree_answer_error(request, -EAGAIN);
		return;
	}
	do
		lock = locks_next(locks, path, lock);
	while (lock && (strlen(lock->token) != token.n || memcmp(lock->token, token.p, token.n)));
	if (!lock) {
		dav_answer_condition(request, 409, "lock-token-matches-request-uri", NULL);
	} else if (!unlock_may(http_user(request), lock)) {
		http_answer_error(request, 403, "somebody else took this lock");
	} else {
		locks_remove(locks, lock);
		http_answer(request, 204, NULL, NULL);
	}
}
