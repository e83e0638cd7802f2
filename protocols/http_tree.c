/* From HTTP requests to the tree of names: paths, errors, and long collections in batches. */
#include "protocols/http_tree.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <event2/util.h>

#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "storage/clip.h"

/* The parts of a query that the tree has names for, storage/clip_name.h; all else of it means nothing to files. */
static bool http_tree_add_query(const struct http_request *request, char ret[HTTP_TREE_PATH_BYTES])
{
	static const char *const names[] = { "gaps", "origin" };
	size_t n = strlen(ret);
	char value[64];
	int added;

	if (strncmp(ret, "/recordings/", strlen("/recordings/")) != 0)
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (!http_query(request, names[i], value, sizeof(value)) ||
			!strcmp(value, "keep")) /* gaps=keep is how it is */
			continue;
		added = snprintf(ret + n, HTTP_TREE_PATH_BYTES - n, "?%s=%s", names[i], value);
		return added > 0 && (size_t)added < HTTP_TREE_PATH_BYTES - n;
	}
	return true;
}

bool http_tree_path(const struct http_request *request, char ret[HTTP_TREE_PATH_BYTES])
{
	const char *path = http_path(request);
	size_t n = strlen(path);

	if (n > 1 && path[n - 1] == '/')
		n--;
	if (n >= HTTP_TREE_PATH_BYTES)
		return false;
	memcpy(ret, path, n);
	ret[n] = '\0';
	return http_tree_add_query(request, ret);
}

bool http_tree_wants_collection(const struct http_request *request)
{
	const char *path = http_path(request);

	return path[0] && path[strlen(path) - 1] == '/';
}

void http_tree_answer_mismatch(struct http_request *request, const struct tree_entry *entry)
{
	char time[HTTP_TIMESTAMP_BYTES];

	http_answer_error(request, 409,
		"from %s on the camera sent something that does not go into one file with what was before: see %s",
		http_timestamp_write(time, entry->created_us), entry->path);
}

void http_tree_answer_error(struct http_request *request, int error)
{
	switch (error) {
	case -E2BIG:
		http_answer_error(request, 400, "a clip has at most %d days, and %d recordings",
			CLIP_DAYS_MOST, RECORDINGS_MOST);
		break;
	case -ENOENT:
	case -ENOTDIR:
		http_answer_error(request, 404, "there is nothing of this name");
		break;
	case -EAGAIN:
		http_add_field(request, "Retry-After", "1");
		http_answer_error(request, 503, "the storage is busy");
		break;
	default:
		http_answer_error(request, 500, "the storage cannot be read: %s",
			evutil_socket_error_to_string(-error));
		break;
	}
}

void http_walk_init(struct http_walk *walk, struct http_request *request, struct tree *tree,
	const char *path, const struct auth_user *user)
{
	walk->request = request;
	walk->tree = tree;
	walk->user = auth_user_copy(user);
	(void)snprintf(walk->path, sizeof(walk->path), "%s", path);
}

void http_walk_fini(struct http_walk *walk)
{
	tree_cancel(walk->pending);
	walk->pending = NULL;
	auth_user_free(walk->user);
	walk->user = NULL;
}

static void http_walk_go_on(struct http_walk *walk);

static void http_walk_on_list(
	void *arg, int error, const struct tree_entry *entries, size_t n, bool more)
{
	struct http_walk *walk = arg;

	walk->pending = NULL;
	if (error) {
		walk->on_error(walk, error);
		return;
	}
	if (n)
		(void)snprintf(walk->after, sizeof(walk->after), "%s", entries[n - 1].name);
	more = more && n > 0;
	walk->on_entries(walk, entries, n, !more);
	if (!more) /* the walk is gone */
		return;
	if (http_unsent(walk->request) <= HTTP_TREE_UNSENT_BYTES)
		http_walk_go_on(walk);
	else
		walk->waiting = true;
}

static void http_walk_go_on(struct http_walk *walk)
{
	walk->waiting = false;
	walk->pending = tree_list(walk->tree, walk->path, walk->after[0] ? walk->after : NULL,
		walk->user, http_walk_on_list, walk);
	if (!walk->pending)
		walk->on_error(walk, -EAGAIN);
}

/* The walk is found by its address: it stands first in the request's context. */
static void http_walk_on_drained(void *context)
{
	struct http_walk *walk = context;

	if (walk->waiting)
		http_walk_go_on(walk);
}

void http_walk_start(struct http_walk *walk)
{
	assert(http_context(walk->request) == walk);
	http_set_drained(walk->request, HTTP_TREE_UNSENT_BYTES, http_walk_on_drained);
	http_walk_go_on(walk);
}
