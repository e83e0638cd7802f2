/* The tree of names: /recordings/<camera>/<date>/<time>.mp4, from the catalogue, and /uploads/, a plain folder. */
#include "storage/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/tree_private.h"

enum {
	BATCH = 500
};

static void tree_on_created(void *arg, const char *path)
{
	const struct tree *tree = arg;

	catalogue_forget_properties(tree->catalogue, path);
}

struct tree *tree_new(struct catalogue *catalogue, struct volume *volume)
{
	struct tree *tree = xcalloc(1, sizeof(*tree));

	tree->catalogue = catalogue;
	tree->volume = volume;
	tree->uploads = tree_folder_new(volume, TREE_UPLOADS, tree_on_created, tree);
	tree->locks = locks_new(catalogue, volume);
	tree->clips = clips_new(catalogue, volume);
	tree->log = (struct log_name){ .kind = "tree" };
	tree_rest_init(tree);
	return tree;
}

void tree_free(struct tree *tree)
{
	if (!tree)
		return;
	tree_rest_fini(tree);
	tree_folder_free(tree->uploads);
	clips_free(tree->clips);
	locks_free(tree->locks);
	tree->freed = true;
	if (!tree->removing)
		free(tree);
}

struct locks *tree_locks(struct tree *tree)
{
	return tree->locks;
}

void tree_set_reserve(struct tree *tree, const struct config_share *reserve)
{
	tree_folder_set_reserve(tree->uploads, reserve);
}

void tree_set_config(struct tree *tree, tree_config_post_fn *post, void *arg)
{
	tree->config_post = post;
	tree->config_arg = arg;
}

const char *tree_problem(const struct tree *tree)
{
	return tree->problem ? tree->problem : "";
}

/* --- entries --- */

static void entry_set_path(struct tree_entry *entry, const char *folder, const char *name)
{
	size_t n = strcmp(folder, "/") ? strlen(folder) : 0, bytes = strlen(name);

	if (n + bytes + 2 > sizeof(entry->path)) /* not of a catalogue of ours */
		bytes = n = 0;
	memcpy(entry->path, folder, n);
	entry->path[n] = '/';
	memcpy(entry->path + n + 1, name, bytes);
	entry->path[n + 1 + bytes] = '\0';
	entry->name = strrchr(entry->path, '/') + 1;
}

static void entry_of_collection(struct tree_entry *entry, const char *folder, const char *name)
{
	*entry = (struct tree_entry){ .kind = TREE_COLLECTION };
	entry_set_path(entry, folder, name);
}

void tree_entry_of_segment(struct tree_entry *entry, const struct catalogue_segment *segment)
{
	*entry = (struct tree_entry){
		.kind = TREE_FILE,
		.bytes = segment->bytes,
		.modified_us = segment->end_us,
		.created_us = segment->start_us,
		.content_type = "video/mp4",
		.segment = segment,
	};
	entry_set_path(entry, "/", segment->path);
	tree_write_etag(
		entry->etag, 2, (const uint64_t[]){ (uint64_t)segment->id, segment->bytes });
}

/* The path is the request's, without what tells how. */
static void entry_of_clip(
	struct tree_entry *entry, const struct tree_request *request, const struct clip *clip)
{
	*entry = (struct tree_entry){
		.kind = TREE_FILE,
		.bytes = clip_bytes(clip),
		.modified_us = clip_end_us(clip),
		.created_us = clip_start_us(clip),
		.content_type = "video/mp4",
	};
	snprintf(entry->path, sizeof(entry->path), "%.*s", (int)request->path.bytes, request->text);
	entry->name = strrchr(entry->path, '/') + 1;
	snprintf(entry->etag, sizeof(entry->etag), "\"c%016llx-%llx\"",
		(unsigned long long)clip_tag(clip), (unsigned long long)entry->bytes);
}

/* --- requests --- */

static void request_fini(void *object)
{
	struct tree_request *request = object;

	reactor_timer_free(&request->answer_timer);
	auth_user_free(request->user);
	catalogue_segment_free(request->segment);
	free(request->entry);
	free(request->entries);
	free(request->to);
	free(request->text);
	free(request->after);
	free(request);
}

void tree_request_end(struct tree_request *request)
{
	if (request->answer_timer)
		reactor_timer_stop(request->answer_timer);
	reactor_free_later(&request->dead, request_fini, request);
}

void tree_cancel(struct tree_request *request)
{
	if (!request)
		return;
	if (request->changing) {
		request->cancelled = true;
		return;
	}
	catalogue_cancel(request->query);
	tree_folder_cancel(request->folder);
	catalogue_resource_cancel(request->resource);
	clip_cancel(request->clip);
	tree_config_cancel(request->config);
	volume_reader_free(request->reader);
	tree_file_close(request->file);
	tree_request_end(request);
}

void tree_request_fail(struct tree_request *request, int error)
{
	tree_request_end(request);
	if (request->cancelled)
		return;
	if (request->on_entry)
		request->on_entry(request->arg, error, NULL);
	else if (request->on_list)
		request->on_list(request->arg, error, NULL, 0, false);
	else if (request->on_changed)
		request->on_changed(request->arg, error, false);
	else
		request->on_open(request->arg, error, NULL, NULL);
}

static void request_on_fail_timer(evutil_socket_t fd, short what, void *arg)
{
	struct tree_request *request = arg;

	(void)fd, (void)what;
	if (!request->error)
		request->error = request->path.place == PLACE_NONE ? -ENOENT : -EAGAIN;
	tree_request_fail(request, request->error);
}

/* Answers "not there" or "busy" without asking anybody, but not before the caller has returned. */
void tree_request_fail_soon(struct tree_request *request)
{
	request->answer_timer = reactor_timer_new(request_on_fail_timer, request);
	reactor_timer_start(request->answer_timer, 0);
}

/* A request with its path understood. What the user may not see is PLACE_NONE. */
struct tree_request *tree_request_new(
	struct tree *tree, const char *path, const struct auth_user *user, void *arg)
{
	struct tree_request *request = xcalloc(1, sizeof(*request));

	request->tree = tree;
	request->text = xstrdup(path);
	request->path = tree_parse(path);
	request->user = auth_user_copy(user);
	request->arg = arg;
	if (!tree_may_see(&request->path, path, user))
		request->path.place = PLACE_NONE;
	return request;
}

/* The query may have been refused because the catalogue's queue is full. */
struct tree_request *tree_request_started(struct tree_request *request)
{
	if (!request->query && !request->folder && !request->clip && !request->config &&
		!request->answer_timer)
		tree_request_fail_soon(request);
	return request;
}

/* The path on the volume: without the leading slash. */
const char *tree_request_volume_path(const struct tree_request *request)
{
	return request->text + 1;
}

/* --- clips --- */

static void request_on_clip(
	void *arg, int error, struct clip *clip, const struct catalogue_segment *where)
{
	struct tree_request *request = arg;
	struct tree_file *file = NULL;
	struct tree_entry entry;

	request->clip = NULL;
	if (!error && request->on_list)
		error = -ENOTDIR;
	if ((error && !where) || request->on_list) {
		tree_request_fail(request, error);
		return;
	}
	if (where)
		tree_entry_of_segment(&entry, where);
	else
		entry_of_clip(&entry, request, clip);
	tree_request_end(request);
	if (request->on_entry) {
		request->on_entry(request->arg, error, &entry);
		return;
	}
	if (clip) {
		file = xcalloc(1, sizeof(*file));
		file->bytes = entry.bytes;
		file->clip = clip_open(request->tree->clips, clip);
	}
	request->on_open(request->arg, error, &entry, file);
}

void tree_request_make_clip(struct tree_request *request)
{
	struct clip_wish wish = request->path.wish;
	char *path =
		xasprintf("%.*s", (int)request->path.bytes - 1, tree_request_volume_path(request));

	if (request->path.place == PLACE_CLIP)
		wish.camera = request->path.camera;
	else
		wish.path = path;
	request->clip = clip_make(request->tree->clips, &wish, request_on_clip, request);
	free(path);
}

/* --- find --- */

static void find_on_segments(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct tree_request *request = arg;
	struct tree_entry entry;

	if (error || n == 0) {
		tree_request_fail(request, error ? error : -ENOENT);
		return;
	}
	tree_request_end(request);
	tree_entry_of_segment(&entry, &rows[0]);
	request->on_entry(request->arg, 0, &entry);
}

static void find_tell_collection(struct tree_request *request)
{
	struct tree_entry entry;

	entry_of_collection(&entry, "/", request->text + 1);
	if (request->path.place == PLACE_ROOT)
		snprintf(entry.path, sizeof(entry.path), "/");
	tree_request_end(request);
	request->on_entry(request->arg, 0, &entry);
}

static void find_on_names(void *arg, int error, const char *const *names, size_t n)
{
	struct tree_request *request = arg;
	const char *wanted =
		request->path.place == PLACE_DAY ? request->path.day : request->path.camera;

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(names[i], wanted)) {
			find_tell_collection(request);
			return;
		}
	}
	tree_request_fail(request, error ? error : -ENOENT);
}

static void find_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	find_tell_collection(arg);
}

/* Both are sorted by path. */
static void upload_on_properties(
	void *arg, int error, const struct catalogue_property *properties, size_t n)
{
	struct tree_request *request = arg;
	size_t at = 0;

	if (error) {
		tree_request_fail(request, error);
		return;
	}
	for (size_t i = 0; i < request->n; i++) {
		struct tree_entry *entry = &request->entries[i];

		while (at < n && strcmp(properties[at].path, entry->path) < 0)
			at++;
		entry->properties = properties + at;
		while (at < n && !strcmp(properties[at].path, entry->path))
			entry->n_properties++, at++;
	}
	tree_request_end(request);
	if (request->on_entry)
		request->on_entry(request->arg, 0, request->entries);
	else
		request->on_list(request->arg, 0, request->entries, request->n, request->more);
}

/* Uploads have been found; what people have said of them is in the catalogue. */
static void uploads_on_entries(
	void *arg, int error, struct tree_entry *entries, size_t n, bool more)
{
	struct tree_request *request = arg;
	bool is_list = request->on_list;

	request->folder = NULL;
	request->entries = entries;
	if (error || n == 0) {
		tree_request_end(request);
		if (is_list)
			request->on_list(request->arg, error, NULL, 0, false);
		else
			request->on_entry(request->arg, error, NULL);
		return;
	}
	request->n = n;
	request->more = more;
	if (!catalogue_has_properties(request->tree->catalogue)) {
		upload_on_properties(request, 0, NULL, 0);
		return;
	}
	request->resource = catalogue_properties(request->tree->catalogue, request->text,
		is_list ? request->entries[0].name : NULL, request->entries[n - 1].name,
		upload_on_properties, request);
	if (!request->resource)
		tree_request_fail(request, -EAGAIN);
}

struct tree_request *tree_find(struct tree *tree, const char *path, const struct auth_user *user,
	tree_entry_fn *done, void *arg)
{
	struct tree_request *request = tree_request_new(tree, path, user, arg);
	const char *camera = request->path.camera;

	request->on_entry = done;
	switch (request->path.place) {
	case PLACE_NONE:
		break;
	case PLACE_ROOT:
	case PLACE_RECORDINGS:
		request->answer_timer = reactor_timer_new(find_on_timer, request);
		reactor_timer_start(request->answer_timer, 0);
		break;
	case PLACE_CAMERA:
		request->query = catalogue_names(tree->catalogue, NULL, find_on_names, request);
		break;
	case PLACE_DAY:
		request->query = catalogue_names(tree->catalogue, camera, find_on_names, request);
		break;
	case PLACE_FILE:
		request->query = catalogue_find(tree->catalogue, tree_request_volume_path(request),
			find_on_segments, request);
		break;
	case PLACE_UPLOADS:
		request->folder =
			tree_folder_find(tree->uploads, path, uploads_on_entries, request);
		break;
	case PLACE_CONFIG:
		tree_config_find(request);
		break;
	case PLACE_CLIP:
	case PLACE_VIEW:
		tree_request_make_clip(request);
		break;
	}
	return tree_request_started(request);
}

/* --- list --- */

void tree_request_tell_list(
	struct tree_request *request, const struct tree_entry *entries, size_t n, bool more)
{
	tree_request_end(request);
	request->on_list(request->arg, 0, entries, n, more);
}

static void list_on_segments(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct tree_request *request = arg;
	struct tree_entry *entries;

	if (error || (n == 0 && !request->after)) { /* a day without recordings does not exist */
		tree_request_fail(request, error ? error : -ENOENT);
		return;
	}
	entries = xcalloc(n, sizeof(*entries));
	for (size_t i = 0; i < n; i++)
		tree_entry_of_segment(&entries[i], &rows[i]);
	tree_request_tell_list(request, entries, n, n == BATCH);
	free(entries);
}

static void list_on_names(void *arg, int error, const char *const *names, size_t n)
{
	struct tree_request *request = arg;
	bool cameras = request->path.place == PLACE_RECORDINGS;
	struct tree_entry *entries;
	size_t used = 0;
	bool more = false;

	if (error || (n == 0 && !cameras)) {
		tree_request_fail(request, error ? error : -ENOENT);
		return;
	}
	entries = xcalloc(n < BATCH ? n : BATCH, sizeof(*entries));
	for (size_t i = 0; i < n && !more; i++) {
		if ((request->after && strcmp(names[i], request->after) <= 0) ||
			(cameras && !auth_may_see(request->user, names[i])))
			continue;
		more = used == BATCH;
		if (!more)
			entry_of_collection(&entries[used++], request->text, names[i]);
	}
	tree_request_tell_list(request, entries, used, more);
	free(entries);
}

static void list_on_root(evutil_socket_t fd, short what, void *arg)
{
	struct tree_request *request = arg;
	bool configures = request->tree->config_post && auth_may_configure(request->user);
	const struct {
		const char *name;
		bool shown;
	} rows[] = {
		{TREE_CONFIG,      configures                                   },
		{ TREE_DISCOVERED, configures && request->tree->shows_discovered},
		{ "recordings",    true					 },
		{ TREE_UPLOADS,    true					 },
	};
	struct tree_entry entries[ARRAY_LENGTH(rows)];
	size_t n = 0;

	(void)fd, (void)what;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (rows[i].shown && (!request->after || strcmp(rows[i].name, request->after) > 0))
			entry_of_collection(&entries[n++], "/", rows[i].name);
	}
	tree_request_tell_list(request, entries, n, false);
}

static void list_on_file(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	(void)rows;
	tree_request_fail(arg, error ? error : n ? -ENOTDIR : -ENOENT);
}

struct tree_request *tree_list(struct tree *tree, const char *path, const char *after,
	const struct auth_user *user, tree_list_fn *done, void *arg)
{
	struct tree_request *request = tree_request_new(tree, path, user, arg);
	const char *volume_path = tree_request_volume_path(request);

	request->on_list = done;
	request->after = after ? xstrdup(after) : NULL;
	switch (request->path.place) {
	case PLACE_NONE:
		break;
	case PLACE_ROOT:
		request->answer_timer = reactor_timer_new(list_on_root, request);
		reactor_timer_start(request->answer_timer, 0);
		break;
	case PLACE_RECORDINGS:
		request->query = catalogue_names(tree->catalogue, NULL, list_on_names, request);
		break;
	case PLACE_CAMERA:
		request->query = catalogue_names(
			tree->catalogue, request->path.camera, list_on_names, request);
		break;
	case PLACE_DAY:
		request->query = catalogue_list_folder(
			tree->catalogue, volume_path, after, BATCH, list_on_segments, request);
		break;
	case PLACE_FILE:
		request->query =
			catalogue_find(tree->catalogue, volume_path, list_on_file, request);
		break;
	case PLACE_UPLOADS:
		request->folder = tree_folder_list(
			tree->uploads, path, after, BATCH, user, uploads_on_entries, request);
		break;
	case PLACE_CONFIG:
		tree_config_list(request);
		break;
	case PLACE_CLIP:
	case PLACE_VIEW:
		tree_request_make_clip(request);
		break;
	}
	return tree_request_started(request);
}

struct tree_request *tree_search(struct tree *tree, const char *path,
	const struct catalogue_span *span, const struct auth_user *user, tree_list_fn *done,
	void *arg)
{
	struct tree_request *request = tree_request_new(tree, path, user, arg);
	enum tree_place place = request->path.place;

	request->on_list = done;
	request->after = xstrdup(""); /* that there are none is an answer */
	if (place == PLACE_CAMERA || place == PLACE_DAY)
		request->query = catalogue_search(tree->catalogue, request->path.camera,
			place == PLACE_DAY ? tree_request_volume_path(request) : NULL, span, BATCH,
			list_on_segments, request);
	else
		request->path.place = PLACE_NONE; /* nothing that can be searched */
	return tree_request_started(request);
}

/* --- for playlists --- */

struct recordings *tree_recordings(struct tree *tree, const char *camera, int64_t from_us,
	int64_t to_us, const struct auth_user *user, recordings_list_fn *done, void *arg)
{
	bool visible = auth_may_see(user, camera);

	return recordings_new(
		tree->catalogue, tree->volume, visible ? camera : "", from_us, to_us, done, arg);
}

struct footage *tree_footage(struct tree *tree, const char *camera, const struct footage_wish *wish,
	const struct auth_user *user)
{
	bool visible = auth_may_see(user, camera);

	return footage_new(tree->catalogue, tree->volume, visible ? camera : "", wish);
}
