/*
 * MKCOL, DELETE, COPY and MOVE (RFC 4918 sections 9.3, 9.6, 9.8, 9.9). All of it happens, or nothing; but of a day's
 * recordings those are deleted that can be, and the answer names the others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/dav.h"
#include "protocols/dav_private.h"
#include "protocols/dav_properties.h"
#include "protocols/markup.h"
#include "server/base/memory.h"

struct dav_change {
	struct dav_check check; /* first */
	char to[HTTP_TREE_PATH_BYTES];
	unsigned flags; /* of tree_copy() */
	struct tree_request *pending;
	/* a day whose recordings are deleted */
	char **names; /* a batch of them */
	size_t n, at;
	bool more;            /* there are others behind it */
	struct evbuffer *out; /* what could not be deleted; NULL: nothing yet */
};

static void change_free_names(struct dav_change *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->names[i]);
	free(c->names);
	c->names = NULL;
	c->n = c->at = 0;
}

static void change_on_gone(void *context)
{
	struct dav_change *c = context;

	tree_cancel(c->pending);
	change_free_names(c);
	if (c->out)
		evbuffer_free(c->out);
	dav_check_fini(&c->check);
	free(c);
}

/* NULL: it has been answered. `may`: whether the user may. */
static struct dav_change *change_new(struct http_request *request,
	int (*may)(const struct tree *tree, const char *path, const struct auth_user *user))
{
	struct dav_change *c = xcalloc(1, sizeof(*c));
	int error;

	http_set_context(request, c, change_on_gone);
	if (!dav_check_init(&c->check, request))
		return NULL;
	error = may(dav_get_tree(), c->check.path, c->check.user);
	if (!error)
		return c;
	dav_answer_error(request, error);
	return NULL;
}

static void change_on_done(void *arg, int error, bool created)
{
	struct dav_change *c = arg;

	c->pending = NULL;
	if (error)
		dav_answer_error(c->check.request, error);
	else
		http_answer(c->check.request, created ? 201 : 204, NULL, NULL);
}

/* It is said now who did it, since what has begun goes on when the client has gone; `what` NULL: that was said. */
static void change_wait(struct dav_change *c, struct tree_request *pending, const char *what)
{
	const struct dav_check *check = &c->check;

	c->pending = pending;
	if (!pending)
		http_tree_answer_error(check->request, -EAGAIN);
	else if (what)
		http_audit(check->request, check->user, what, "%s%s%s", check->path,
			*c->to ? " to " : "", c->to);
}

/* --- MKCOL --- */

static void mkcol_on_checked(struct dav_check *check, const struct tree_entry *entry)
{
	struct dav_change *c = CONTAINER_OF(check, struct dav_change, check);

	if (entry)
		http_answer_error(check->request, 405, "there is something of this name");
	else if (!dav_is_locked(check, check->path, LOCK_SELF | LOCK_PARENT))
		change_wait(c,
			tree_make_collection(
				dav_get_tree(), check->path, check->user, change_on_done, c),
			"make-collection");
}

void dav_mkcol(struct http_request *request)
{
	struct dav_change *c = change_new(request, tree_may_change);

	if (!c)
		return;
	if (evbuffer_get_length(http_body(request)) > 0)
		http_answer_error(request, 415, "a body means nothing here");
	else
		dav_check_start(&c->check, mkcol_on_checked);
}

/* --- DELETE of a day: one recording after the other --- */

static void day_go_on(struct dav_change *c);

/* A member that stays, and why: "423 Locked". */
static void day_keep(struct dav_change *c, const char *path, const char *status)
{
	bool is_first = !c->out;
	struct markup out;

	if (is_first)
		c->out = evbuffer_new();
	if (!c->out)
		abort();
	out = markup_begin(c->out);
	if (is_first)
		dav_write_head(&out);
	dav_write_status(&out, http_base(c->check.request), path, status);
	markup_end(&out);
}

static const char *day_status(int error)
{
	return error == -EBUSY    ? "409 Conflict"
	       : error == -EAGAIN ? "503 Service Unavailable"
				  : "500 Internal Server Error";
}

/* Of the recording at hand; the caller frees it. */
static char *day_path(const struct dav_change *c)
{
	return xasprintf("%s/%s", c->check.path, c->names[c->at]);
}

static void day_on_deleted(void *arg, int error, bool created)
{
	struct dav_change *c = arg;
	char *path = day_path(c);

	(void)created;
	c->pending = NULL;
	if (error && error != -ENOENT)
		day_keep(c, path, day_status(error));
	free(path);
	c->at++;
	day_go_on(c);
}

/* The entries are valid now only. */
static void day_on_list(void *arg, int error, const struct tree_entry *entries, size_t n, bool more)
{
	struct dav_change *c = arg;

	c->pending = NULL;
	if (error && error != -ENOENT)
		day_keep(c, c->check.path, day_status(error));
	change_free_names(c);
	c->names = xcalloc(n + 1, sizeof(char *));
	for (; c->n < n; c->n++)
		c->names[c->n] = xstrdup(entries[c->n].name);
	c->more = more;
	day_go_on(c);
}

static void day_end(struct dav_change *c)
{
	struct markup out;

	if (!c->out) {
		http_answer(c->check.request, 204, NULL, NULL);
		return;
	}
	out = markup_begin(c->out);
	dav_write_tail(&out);
	markup_end(&out);
	http_answer(c->check.request, 207, DAV_CONTENT_TYPE, c->out);
}

/* Deletes the recording at hand, unless it is locked: false. */
static bool day_delete(struct dav_change *c)
{
	char *path = day_path(c);
	bool is_locked =
		locks_forbid(tree_locks(dav_get_tree()), path, LOCK_SELF, &c->check.tokens);

	if (is_locked)
		day_keep(c, path, "423 Locked");
	else
		change_wait(c, tree_delete(dav_get_tree(), path, c->check.user, day_on_deleted, c),
			NULL);
	free(path);
	return !is_locked;
}

static void day_go_on(struct dav_change *c)
{
	for (; c->at < c->n; c->at++) {
		if (day_delete(c))
			return;
	}
	if (c->more && c->n)
		change_wait(c,
			tree_list(dav_get_tree(), c->check.path, c->names[c->n - 1], c->check.user,
				day_on_list, c),
			NULL);
	else
		day_end(c);
}

/* --- DELETE --- */

static int delete_may(const struct tree *tree, const char *path, const struct auth_user *user)
{
	int error = tree_may_delete(tree, path, user);

	return error == -EPERM ? tree_may_clear(tree, path, user) : error;
}

static void delete_on_checked(struct dav_check *check, const struct tree_entry *entry)
{
	struct dav_change *c = CONTAINER_OF(check, struct dav_change, check);
	struct tree *tree = dav_get_tree();
	bool is_day = tree_may_clear(tree, check->path, check->user) == 0;
	unsigned below = is_day ? 0 : LOCK_BELOW; /* of a day each is asked for */

	if (!entry)
		http_tree_answer_error(check->request, -ENOENT);
	else if (entry->kind == TREE_COLLECTION &&
		 dav_depth_of(check->request) != DAV_DEPTH_INFINITY)
		http_answer_error(check->request, 400, "a collection is deleted with all in it");
	else if (dav_is_locked(check, check->path, LOCK_SELF | LOCK_PARENT | below))
		;
	else if (is_day)
		change_wait(c, tree_list(tree, check->path, NULL, check->user, day_on_list, c),
			"delete");
	else
		change_wait(c, tree_delete(tree, check->path, check->user, change_on_done, c),
			"delete");
}

void dav_delete(struct http_request *request)
{
	struct dav_change *c = change_new(request, delete_may);

	if (c)
		dav_check_start(&c->check, delete_on_checked);
}

/* --- COPY and MOVE --- */

static void copy_on_checked(struct dav_check *check, const struct tree_entry *entry)
{
	struct dav_change *c = CONTAINER_OF(check, struct dav_change, check);

	if (!entry) {
		http_tree_answer_error(check->request, -ENOENT);
		return;
	}
	if (c->flags & TREE_MOVE &&
		dav_is_locked(check, check->path, LOCK_SELF | LOCK_PARENT | LOCK_BELOW))
		return;
	if (dav_is_locked(check, c->to, LOCK_SELF | LOCK_PARENT | LOCK_BELOW))
		return;
	change_wait(c,
		tree_copy(dav_get_tree(), check->path, c->to, c->flags, check->user, change_on_done,
			c),
		c->flags & TREE_MOVE ? "move" : "copy");
}

/* Depth and Overwrite; false: it has been answered. */
static bool copy_parse_flags(struct dav_change *c)
{
	struct http_request *request = c->check.request;
	struct message_text overwrite = http_field(request, "Overwrite");
	enum dav_depth depth = dav_depth_of(request);

	if (!overwrite.p || message_text_is(overwrite, "T"))
		c->flags |= TREE_OVERWRITE;
	else if (!message_text_is(overwrite, "F")) {
		http_answer_error(request, 400, "Overwrite must be T or F");
		return false;
	}
	if (depth == DAV_DEPTH_0 && !(c->flags & TREE_MOVE)) {
		c->flags |= TREE_SHALLOW;
	} else if (depth != DAV_DEPTH_INFINITY) {
		http_answer_error(request, 400, "this Depth is not for this method");
		return false;
	}
	return true;
}

static void dav_copy_or_move(struct http_request *request, unsigned flags)
{
	struct dav_change *c = xcalloc(1, sizeof(*c));
	struct message_text destination = http_field(request, "Destination");
	bool is_collection;
	int refused;

	c->flags = flags;
	http_set_context(request, c, change_on_gone);
	if (!dav_check_init(&c->check, request) || !copy_parse_flags(c))
		return;
	refused = destination.p ? dav_path_of(request, destination, c->to, &is_collection) : 400;
	if (refused) {
		http_answer_error(request, refused,
			refused == 502 ? "the Destination is on another server"
				       : "the Destination is missing or malformed");
		return;
	}
	refused = tree_may_copy(dav_get_tree(), c->check.path, c->to, c->flags, c->check.user);
	if (refused)
		dav_answer_error(request, refused);
	else
		dav_check_start(&c->check, copy_on_checked);
}

void dav_copy(struct http_request *request)
{
	dav_copy_or_move(request, 0);
}

void dav_move(struct http_request *request)
{
	dav_copy_or_move(request, TREE_MOVE);
}

/* What recordings and uploads do not take, with the reason: PATCH everywhere, PUT of recordings. */
void dav_refuse(struct http_request *request)
{
	struct dav_change *c = change_new(request, tree_may_change);

	if (c)
		http_answer_error(request, 405, "files are written as a whole, by PUT");
}
