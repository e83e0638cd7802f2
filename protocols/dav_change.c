/* MKCOL, DELETE, COPY and MOVE (RFC 4918 sections 9.3, 9.6, 9.8, 9.9). All of it happens, or nothing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/dav.h"
#include "protocols/dav_private.h"
#include "server/base/memory.h"

struct dav_change {
	struct dav_check check; /* first */
	char to[HTTP_TREE_PATH_BYTES];
	unsigned flags; /* of tree_copy() */
	struct tree_request *pending;
};

static void change_on_gone(void *context)
{
	struct dav_change *c = context;

	tree_cancel(c->pending);
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

/* It is said now who did it: what has begun goes on when the client has gone. */
static void change_wait(struct dav_change *c, struct tree_request *pending, const char *what)
{
	const struct dav_check *check = &c->check;

	c->pending = pending;
	if (!pending)
		http_tree_answer_error(check->request, -EAGAIN);
	else
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

/* --- DELETE --- */

static void delete_on_checked(struct dav_check *check, const struct tree_entry *entry)
{
	struct dav_change *c = CONTAINER_OF(check, struct dav_change, check);

	if (!entry)
		http_tree_answer_error(check->request, -ENOENT);
	else if (entry->kind == TREE_COLLECTION &&
		 dav_depth_of(check->request) != DAV_DEPTH_INFINITY)
		http_answer_error(check->request, 400, "a collection is deleted with all in it");
	else if (!dav_is_locked(check, check->path, LOCK_SELF | LOCK_PARENT | LOCK_BELOW))
		change_wait(c,
			tree_delete(dav_get_tree(), check->path, check->user, change_on_done, c),
			"delete");
}

void dav_delete(struct http_request *request)
{
	struct dav_change *c = change_new(request, tree_may_delete);

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
