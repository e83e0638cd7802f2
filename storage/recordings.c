/* The recordings of a range, one after the other. */
#include "storage/recordings.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "server/base/memory.h"

enum {
	HEAD_MOST = 2 << 20,
	MOOF_USUAL = 4096, /* one read of so much has most of them whole */
};

struct recordings {
	struct volume *volume;
	struct catalogue *catalogue;
	struct catalogue_query *query;
	recordings_list_fn *on_list;
	recordings_load_fn *on_load;
	recordings_moof_fn *on_moof;
	void *list_arg, *arg;
	struct catalogue_segment **rows;
	size_t n;
	/* the one that is loaded, or about to be */
	struct recording_file *file;
	struct recording loaded;
	struct catalogue_fragment *fragments;
	uint8_t *bytes;
	struct catalogue_fragment fragment; /* whose moof is read */
	bool again;                         /* as more than usual */
};

static void recordings_unload(struct recordings *r)
{
	recording_file_close(r->file);
	r->file = NULL;
	free(r->fragments);
	free(r->bytes);
	r->fragments = NULL;
	r->bytes = NULL;
	r->loaded = (struct recording){ 0 };
}

void recordings_free(struct recordings *r)
{
	if (!r)
		return;
	catalogue_cancel(r->query);
	recordings_unload(r);
	for (size_t i = 0; i < r->n; i++)
		catalogue_segment_free(r->rows[i]);
	free(r->rows);
	free(r);
}

size_t recordings_count(const struct recordings *r)
{
	return r->n;
}

const struct catalogue_segment *recordings_row(const struct recordings *r, size_t i)
{
	return r->rows[i];
}

/* --- which they are --- */

/* A camera may be recorded in several streams: those of the first one count. */
static void recordings_on_rows(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct recordings *r = arg;

	r->query = NULL;
	if (!error && n > RECORDINGS_MOST)
		error = -E2BIG;
	if (!error)
		r->rows = xcalloc(n, sizeof(struct catalogue_segment *));
	for (size_t i = 0; i < n && !error; i++) {
		if (!strcmp(rows[i].stream, rows[0].stream))
			r->rows[r->n++] = catalogue_segment_copy(&rows[i]);
	}
	r->on_list(r->list_arg, error);
}

static struct recordings *recordings_make(
	struct catalogue *catalogue, struct volume *volume, recordings_list_fn *done, void *arg)
{
	struct recordings *r = xcalloc(1, sizeof(*r));

	r->catalogue = catalogue;
	r->volume = volume;
	r->on_list = done;
	r->list_arg = arg;
	return r;
}

/* The queue may be full. */
static struct recordings *recordings_started(struct recordings *r)
{
	if (r->query)
		return r;
	free(r);
	return NULL;
}

struct recordings *recordings_new(struct catalogue *catalogue, struct volume *volume,
	const char *camera, int64_t from_us, int64_t to_us, recordings_list_fn *done, void *arg)
{
	struct recordings *r = recordings_make(catalogue, volume, done, arg);

	r->query = catalogue_list(catalogue, camera, from_us, to_us, NULL, RECORDINGS_MOST + 1,
		recordings_on_rows, r);
	return recordings_started(r);
}

struct recordings *recordings_new_file(struct catalogue *catalogue, struct volume *volume,
	const char *path, recordings_list_fn *done, void *arg)
{
	struct recordings *r = recordings_make(catalogue, volume, done, arg);

	r->query = catalogue_find(catalogue, path, recordings_on_rows, r);
	return recordings_started(r);
}

/* --- loading one: its index, then its file's head --- */

static void load_fail(struct recordings *r, int error)
{
	recordings_unload(r);
	r->on_load(r->arg, error, NULL);
}

static void load_on_head(void *arg, int error, struct evbuffer *data)
{
	struct recordings *r = arg;
	struct recording *loaded = &r->loaded;

	loaded->n_bytes = (size_t)loaded->fragments[0].offset;
	if (!error && evbuffer_get_length(data) < loaded->n_bytes)
		error = -EBADMSG;
	if (!error) {
		r->bytes = xmalloc(loaded->n_bytes);
		loaded->bytes = r->bytes;
		(void)evbuffer_remove(data, r->bytes, loaded->n_bytes);
		error = clip_head_parse(&loaded->head, loaded->bytes, loaded->n_bytes);
	}
	if (error)
		load_fail(r, error);
	else
		r->on_load(r->arg, 0, loaded);
}

static void load_on_open(void *arg, int error)
{
	struct recordings *r = arg;
	uint64_t n = r->loaded.fragments[0].offset;

	if (!error && (!n || n > HEAD_MOST))
		error = -EBADMSG;
	if (!error)
		error = recording_file_read(r->file, 0, (size_t)n, load_on_head, r);
	if (error)
		load_fail(r, error);
}

static void load_on_index(
	void *arg, int error, const struct catalogue_fragment *fragments, size_t n)
{
	struct recordings *r = arg;

	r->query = NULL;
	if (error || !n) {
		load_fail(r, error ? error : -ENOENT);
		return;
	}
	r->fragments = xmalloc(n * sizeof(*fragments));
	memcpy(r->fragments, fragments, n * sizeof(*fragments));
	r->loaded.fragments = r->fragments;
	r->loaded.n = n;
	r->file = recording_file_open(r->catalogue, r->volume, r->loaded.row, load_on_open, r);
	if (!r->file)
		load_fail(r, -EAGAIN);
}

int recordings_load(struct recordings *r, size_t i, recordings_load_fn *done, void *arg)
{
	recordings_unload(r);
	r->on_load = done;
	r->arg = arg;
	r->loaded.row = r->rows[i];
	r->query = catalogue_index(r->catalogue, r->rows[i]->id, load_on_index, r);
	return r->query ? 0 : -EAGAIN;
}

/* --- reading a moof --- */

static int moof_read(struct recordings *r, size_t n);

static void moof_on_data(void *arg, int error, struct evbuffer *data)
{
	struct recordings *r = arg;
	size_t n = evbuffer_get_length(data);
	const uint8_t *p = n ? evbuffer_pullup(data, -1) : NULL;
	struct mp4_box box = { 0 };
	const char *why;

	if (!error && (!p || mp4_box_parse(&box, p, n, &why) <= 0 ||
			      box.type != MP4_TYPE('m', 'o', 'o', 'f') || box.to_end ||
			      box.bytes > r->fragment.bytes || box.bytes > CLIP_MOOF_MOST))
		error = -EBADMSG;
	if (!error && n < box.bytes && r->again)
		error = -EBADMSG; /* it was cut */
	if (!error && n < box.bytes) {
		r->again = true;
		error = moof_read(r, (size_t)box.bytes);
	} else if (!error) {
		r->on_moof(r->arg, 0, p, (size_t)box.bytes);
	}
	if (error)
		r->on_moof(r->arg, error, NULL, 0);
}

static int moof_read(struct recordings *r, size_t n)
{
	return recording_file_read(r->file, r->fragment.offset, n, moof_on_data, r);
}

int recordings_moof(struct recordings *r, const struct catalogue_fragment *fragment,
	recordings_moof_fn *done, void *arg)
{
	r->on_moof = done;
	r->arg = arg;
	r->fragment = *fragment;
	r->again = false;
	return moof_read(r, fragment->bytes < MOOF_USUAL ? fragment->bytes : MOOF_USUAL);
}

int recordings_read(struct recordings *r, const struct catalogue_fragment *fragment,
	volume_reader_data_fn *on_data, void *arg)
{
	return recording_file_read(r->file, fragment->offset, fragment->bytes, on_data, arg);
}

/* --- the file of a row --- */

struct recording_file {
	struct catalogue *catalogue;
	struct volume *volume;
	int64_t id;
	char *path;
	struct catalogue_query *query;
	struct volume_reader *reader;
	bool again; /* it was not where the row had it */
	recording_file_fn *done;
	void *arg;
};

static int file_open(struct recording_file *file, int64_t volume_id);

static void file_on_row(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct recording_file *file = arg;

	file->query = NULL;
	if (!error && (!n || rows[0].id != file->id))
		error = -ENOENT;
	if (!error)
		error = file_open(file, rows[0].volume);
	if (error)
		file->done(file->arg, error);
}

static void file_on_open(void *arg, int error, uint64_t bytes, int64_t modified_us)
{
	struct recording_file *file = arg;

	(void)bytes, (void)modified_us;
	if (error)
		file->reader = NULL;
	if (error == -ENOENT && !file->again) {
		file->again = true;
		file->query = catalogue_find(file->catalogue, file->path, file_on_row, file);
		if (file->query)
			return;
		error = -EAGAIN;
	}
	file->done(file->arg, error);
}

static int file_open(struct recording_file *file, int64_t volume_id)
{
	struct volume *volume = volume_find(file->volume, volume_id);

	if (volume)
		file->reader = volume_reader_new(volume, file->path, file_on_open, file);
	return file->reader ? 0 : -EAGAIN;
}

struct recording_file *recording_file_open(struct catalogue *catalogue, struct volume *volume,
	const struct catalogue_segment *row, recording_file_fn *done, void *arg)
{
	struct recording_file *file = xcalloc(1, sizeof(*file));

	file->catalogue = catalogue;
	file->volume = volume;
	file->id = row->id;
	file->path = xstrdup(row->path);
	file->done = done;
	file->arg = arg;
	if (file_open(file, row->volume) == 0)
		return file;
	recording_file_close(file);
	return NULL;
}

int recording_file_read(struct recording_file *file, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg)
{
	return volume_reader_read(file->reader, offset, n, on_data, arg);
}

void recording_file_close(struct recording_file *file)
{
	if (!file)
		return;
	catalogue_cancel(file->query);
	volume_reader_free(file->reader);
	free(file->path);
	free(file);
}
