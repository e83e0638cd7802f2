/* Opens files of the tree, and reads them: recordings, clips of them, uploads, the configuration. */
#include <errno.h>
#include <stdlib.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/tree_private.h"

static void open_on_segments(void *arg, int error, const struct catalogue_segment *rows, size_t n);

/* Between the look-up and the opening it may have moved to another volume. */
static bool open_again(struct tree_request *request)
{
	if (request->again)
		return false;
	request->again = true;
	catalogue_segment_free(request->segment);
	request->segment = NULL;
	request->query = catalogue_find(request->tree->catalogue, tree_request_volume_path(request),
		open_on_segments, request);
	return request->query;
}

static void open_on_file(void *arg, int error, uint64_t bytes, int64_t modified_us)
{
	struct tree_request *request = arg;
	struct tree_file *file;
	struct tree_entry entry;

	(void)modified_us;
	if (error) {
		request->reader = NULL;
		if (error != -ENOENT || !open_again(request))
			tree_request_fail(request, error);
		return;
	}
	if (request->segment->bytes > bytes)
		request->segment->bytes = bytes; /* somebody cut it */
	file = xcalloc(1, sizeof(*file));
	file->tree = request->tree;
	file->reader = request->reader;
	file->bytes = request->segment->bytes;
	if (request->segment->state == SEGMENT_CLOSED)
		file->segment = catalogue_segment_copy(request->segment);
	tree_entry_of_segment(&entry, request->segment);
	tree_request_end(request);
	request->on_open(request->arg, 0, &entry, file);
}

static void open_on_segments(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct tree_request *request = arg;
	struct volume *volume;

	request->query = NULL;
	if (error || n == 0) {
		tree_request_fail(request, error ? error : -ENOENT);
		return;
	}
	request->segment = catalogue_segment_copy(&rows[0]);
	volume = volume_find(request->tree->volume, rows[0].volume);
	if (volume)
		request->reader = volume_reader_new(volume, rows[0].path, open_on_file, request);
	if (!request->reader) /* busy, or the volume is not there now */
		tree_request_fail(request, -EAGAIN);
}

/* It was read a moment ago. */
static void open_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct tree_request *request = arg;
	struct tree_file *file = request->file;
	struct tree_entry entry;

	(void)fd, (void)what;
	tree_entry_of_segment(&entry, request->segment);
	tree_request_end(request);
	request->on_open(request->arg, 0, &entry, file);
}

static void open_recording(struct tree_request *request)
{
	request->file = tree_rest_find(request->tree, tree_request_volume_path(request));
	if (!request->file) {
		request->query = catalogue_find(request->tree->catalogue,
			tree_request_volume_path(request), open_on_segments, request);
		return;
	}
	request->segment = catalogue_segment_copy(request->file->segment);
	request->answer_timer = reactor_timer_new(open_on_timer, request);
	reactor_timer_start(request->answer_timer, 0);
}

/* The reader's thread finds the file by its name once more: it must still be the one. */
static void open_on_upload_file(void *arg, int error, uint64_t bytes, int64_t modified_us)
{
	struct tree_request *request = arg;
	struct tree_file *file;

	if (!error &&
		(bytes != request->entry->bytes || modified_us != request->entry->modified_us)) {
		volume_reader_free(request->reader);
		error = -EAGAIN;
	}
	if (error) {
		request->reader = NULL;
		tree_request_fail(request, error);
		return;
	}
	file = xcalloc(1, sizeof(*file));
	file->reader = request->reader;
	file->bytes = bytes;
	tree_request_end(request);
	request->on_open(request->arg, 0, request->entry, file);
}

static void open_on_upload(void *arg, int error, struct tree_entry *entries, size_t n, bool more)
{
	struct tree_request *request = arg;

	(void)n, (void)more;
	request->folder = NULL;
	request->entry = entries;
	if (!error && entries->kind != TREE_FILE)
		error = -EISDIR;
	if (error) {
		tree_request_fail(request, error);
		return;
	}
	request->reader = volume_reader_new(request->tree->volume,
		tree_request_volume_path(request), open_on_upload_file, request);
	if (!request->reader)
		tree_request_fail(request, -EAGAIN);
}

struct tree_request *tree_open(struct tree *tree, const char *path, const struct auth_user *user,
	tree_open_fn *done, void *arg)
{
	struct tree_request *request = tree_request_new(tree, path, user, arg);

	request->on_open = done;
	if (request->path.place == PLACE_FILE)
		open_recording(request);
	else if (request->path.place == PLACE_UPLOADS)
		request->folder = tree_folder_find(tree->uploads, path, open_on_upload, request);
	else if (request->path.place == PLACE_CONFIG)
		tree_config_open(request);
	else if (request->path.place == PLACE_CLIP || request->path.place == PLACE_VIEW)
		tree_request_make_clip(request);
	else if (request->path.place != PLACE_NONE) /* be it there or not */
		request->error = -EISDIR;
	return tree_request_started(request);
}

/* How much of n bytes there is. */
static size_t file_has(const struct tree_file *file, uint64_t offset, size_t n)
{
	if (offset >= file->bytes)
		return 0;
	return n > file->bytes - offset ? (size_t)(file->bytes - offset) : n;
}

int tree_file_read(struct tree_file *file, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg)
{
	n = file_has(file, offset, n);
	if (file->config) {
		tree_config_file_read(file->config, offset, n, on_data, arg);
		return 0;
	}
	if (file->clip) {
		clip_file_read(file->clip, offset, n, on_data, arg);
		return 0;
	}
	return volume_reader_read(file->reader, offset, n, on_data, arg);
}

int tree_file_send(struct tree_file *file, int socket, uint64_t offset, size_t n,
	volume_reader_sent_fn *on_sent, void *arg)
{
	if (!file->reader)
		return -EOPNOTSUPP;
	return volume_reader_send(
		file->reader, socket, offset, file_has(file, offset, n), on_sent, arg);
}

void tree_file_close(struct tree_file *file)
{
	if (file && !tree_rest(file))
		tree_file_free(file);
}

void tree_file_free(struct tree_file *file)
{
	volume_reader_free(file->reader);
	catalogue_segment_free(file->segment);
	clip_file_close(file->clip);
	tree_config_file_close(file->config);
	free(file);
}
