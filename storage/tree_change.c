/* Changing the tree: who may, and what of it is whose. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "storage/tree_private.h"
#include "storage/tree_put.h"

/* Whether the path is something that can be changed by this user, as recordings can but for being deleted. */
static int tree_may(const char *text, const struct auth_user *user, bool delete)
{
	struct tree_path path = tree_parse(text);

	if (user && user->role < ROLE_OPERATOR)
		return -EACCES;
	if (!tree_may_see(&path, text, user))
		return delete ? -ENOENT : -EACCES;
	if (path.place == PLACE_NONE && delete)
		return -ENOENT;
	if (path.place == PLACE_NONE && (tree_name_is_within(text, "/" TREE_UPLOADS) ||
						tree_name_is_within(text, "/" TREE_CONFIG)))
		return -EINVAL;
	if (path.place == PLACE_UPLOADS)
		return strcmp(text, "/" TREE_UPLOADS) ? 0 : -EPERM;
	if (path.place == PLACE_CONFIG && tree_name_is_within(text, "/" TREE_DISCOVERED))
		return -EPERM;
	if (path.place == PLACE_CONFIG) /* the keeper knows more */
		return strcmp(text, "/" TREE_CONFIG) ? 0 : -ENOTSUP;
	return path.place == PLACE_FILE && delete ? 0 : -EPERM;
}

int tree_may_change(const struct tree *tree, const char *path, const struct auth_user *user)
{
	(void)tree;
	return tree_may(path, user, false);
}

/* What a configuration has nothing of. */
static int tree_may_in_uploads(const char *path, const struct auth_user *user)
{
	int error = tree_may(path, user, false);

	return !error && tree_parse(path).place == PLACE_CONFIG ? -ENOTSUP : error;
}

int tree_may_delete(const struct tree *tree, const char *path, const struct auth_user *user)
{
	(void)tree;
	return tree_may(path, user, true);
}

int tree_may_clear(const struct tree *tree, const char *path, const struct auth_user *user)
{
	int error = tree_may_delete(tree, path, user);

	return error == -EPERM && tree_parse(path).place == PLACE_DAY ? 0 : error ? error : -EPERM;
}

/* A request for a change, or for the answer that it may not be made. */
static struct tree_request *change_new(struct tree *tree, const char *path,
	const struct auth_user *user, int error, tree_changed_fn *done, void *arg)
{
	struct tree_request *request = tree_request_new(tree, path, user, arg);

	request->on_changed = done;
	request->error = error;
	request->changing = !error;
	if (error)
		tree_request_fail_soon(request);
	return request;
}

/* What was said of a name goes where its file goes; locks stay behind, and end there. Called even after a cancel. */
static void change_follow(const struct tree_request *request)
{
	struct tree *tree = request->tree;
	bool move = request->flags & TREE_MOVE;

	if (request->to)
		catalogue_copy_properties(tree->catalogue, request->text, request->to, move,
			!(request->flags & TREE_SHALLOW));
	else
		catalogue_forget_properties(tree->catalogue, request->text);
	if (!request->to || move)
		locks_forget(tree->locks, request->text);
}

static void change_on_folder(void *arg, int error, bool created)
{
	struct tree_request *request = arg;

	if (!error)
		change_follow(request);
	tree_request_end(request);
	if (!request->cancelled)
		request->on_changed(request->arg, error, created);
}

struct tree_request *tree_make_collection(struct tree *tree, const char *path,
	const struct auth_user *user, tree_changed_fn *done, void *arg)
{
	struct tree_request *request =
		change_new(tree, path, user, tree_may_in_uploads(path, user), done, arg);

	if (!request->error)
		request->folder = tree_folder_make(tree->uploads, path, change_on_folder, request);
	return tree_request_started(request);
}

/* Whatever happened to the caller: the catalogue must know. */
static void delete_on_removed(void *arg, int error)
{
	struct tree_request *request = arg;
	struct tree *tree = request->tree;

	if (!error || error == -ENOENT) {
		if (!tree->freed)
			locks_forget(tree->locks, request->text);
		catalogue_forget(tree->catalogue, request->segment->id);
		log_info(&tree->log, "%s deleted%s%s", request->segment->path,
			request->user ? " by " : "", request->user ? request->user->name : "");
	}
	tree_request_end(request);
	if (!request->cancelled)
		request->on_changed(request->arg, error, false);
	tree->removing--;
	if (tree->freed && !tree->removing)
		free(tree);
}

static void delete_on_segments(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct tree_request *request = arg;
	struct volume *volume = n ? volume_find(request->tree->volume, rows[0].volume) : NULL;

	request->query = NULL;
	if (!error && n == 0)
		error = -ENOENT;
	else if (!error && !volume)
		error = -EAGAIN; /* it is not there now */
	else if (!error && (rows[0].state == SEGMENT_OPEN || volume_is_held(volume, rows[0].path)))
		error = -EBUSY;
	if (!error) {
		request->segment = catalogue_segment_copy(&rows[0]);
		error = volume_remove(volume, rows[0].path, delete_on_removed, request);
		request->tree->removing += !error;
	}
	if (error)
		tree_request_fail(request, error);
}

struct tree_request *tree_delete(struct tree *tree, const char *path, const struct auth_user *user,
	tree_changed_fn *done, void *arg)
{
	struct tree_request *request =
		change_new(tree, path, user, tree_may(path, user, true), done, arg);

	if (!request->error && request->path.place == PLACE_FILE)
		request->query = catalogue_find(tree->catalogue, tree_request_volume_path(request),
			delete_on_segments, request);
	else if (!request->error && request->path.place == PLACE_CONFIG)
		tree_config_remove(request);
	else if (!request->error)
		request->folder =
			tree_folder_delete(tree->uploads, path, change_on_folder, request);
	return tree_request_started(request);
}

struct tree_request *tree_remove_collection(struct tree *tree, const char *path,
	const struct auth_user *user, tree_changed_fn *done, void *arg)
{
	struct tree_request *request =
		change_new(tree, path, user, tree_may_in_uploads(path, user), done, arg);

	if (!request->error)
		request->folder =
			tree_folder_remove(tree->uploads, path, change_on_folder, request);
	return tree_request_started(request);
}

static void modified_on_folder(void *arg, int error, bool created)
{
	struct tree_request *request = arg;

	tree_request_end(request);
	if (!request->cancelled)
		request->on_changed(request->arg, error, created);
}

struct tree_request *tree_set_modified(struct tree *tree, const char *path, int64_t modified_us,
	const struct auth_user *user, tree_changed_fn *done, void *arg)
{
	struct tree_request *request =
		change_new(tree, path, user, tree_may_in_uploads(path, user), done, arg);

	if (!request->error)
		request->folder = tree_folder_set_modified(
			tree->uploads, path, modified_us, modified_on_folder, request);
	return tree_request_started(request);
}

int tree_may_copy(const struct tree *tree, const char *from, const char *to, unsigned flags,
	const struct auth_user *user)
{
	struct tree_path source = tree_parse(from), target = tree_parse(to);
	int error = tree_may_change(tree, to, user);

	if (!tree_may_see(&source, from, user) || source.place == PLACE_NONE)
		return error == -EACCES ? error : -ENOENT;
	if ((source.place == PLACE_CONFIG || target.place == PLACE_CONFIG) && !error) {
		if (source.place != target.place)
			return -EXDEV;
		return flags & TREE_MOVE ? -ENOTSUP : strcmp(from, to) ? 0 : -ELOOP;
	}
	if (source.place != PLACE_UPLOADS && error != -EACCES)
		return flags & TREE_MOVE || target.place != PLACE_UPLOADS ? -EPERM : -EXDEV;
	if (!error && flags & TREE_MOVE)
		error = tree_may_change(tree, from, user);
	if (!error && (tree_name_is_within(from, to) || tree_name_is_within(to, from)))
		error = -ELOOP;
	return error;
}

struct tree_request *tree_copy(struct tree *tree, const char *from, const char *to, unsigned flags,
	const struct auth_user *user, tree_changed_fn *done, void *arg)
{
	struct tree_request *request =
		change_new(tree, from, user, tree_may_copy(tree, from, to, flags, user), done, arg);

	request->to = xstrdup(to);
	request->flags = flags;
	if (!request->error && request->path.place == PLACE_CONFIG)
		tree_config_copy(request);
	else if (!request->error)
		request->folder =
			tree_folder_copy(tree->uploads, from, to, flags, change_on_folder, request);
	return tree_request_started(request);
}

struct catalogue_change *tree_change_properties(struct tree *tree, const char *path,
	const struct catalogue_property *changes, size_t n, catalogue_changed_fn *done, void *arg)
{
	return catalogue_change_properties(tree->catalogue, path, changes, n, done, arg);
}

struct tree_put *tree_put(struct tree *tree, const char *path, uint64_t bytes, uint64_t keep,
	const struct auth_user *user, const struct tree_put_events *events, void *arg, int *error)
{
	struct tree_put *put;
	int refused = tree_may(path, user, false);

	if (refused) {
		*error = refused;
		return NULL;
	}
	if (tree_parse(path).place != PLACE_CONFIG)
		put = tree_folder_put(tree->uploads, path, bytes, keep, events, arg);
	else
		put = keep ? NULL : tree_config_put(tree, path, user, events, arg);
	if (!put)
		*error = -EAGAIN;
	return put;
}

bool tree_put_write(struct tree_put *put, struct evbuffer *data)
{
	return put->methods->write(put, data);
}

void tree_put_commit(struct tree_put *put, const char *etag)
{
	put->methods->commit(put, etag, false);
}

void tree_put_commit_part(struct tree_put *put, const char *etag)
{
	put->methods->commit(put, etag, true);
}

void tree_put_abort(struct tree_put *put)
{
	if (put)
		put->methods->abort(put);
}

void tree_put_leave(struct tree_put *put)
{
	put->methods->leave(put);
}

uint64_t tree_put_limit(const char *path)
{
	return tree_parse(path).place == PLACE_CONFIG ? TREE_CONFIG_BYTES : UINT64_MAX;
}
