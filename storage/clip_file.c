/*
 * Reading a clip: each read is answered from one of its parts, with what of it is at hand or one read of a file gives. The
 * index and the file of one recording are held at a time, and where the moof of one fragment ends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/clip_private.h"
#include "storage/recordings.h"

enum {
	MOOF_USUAL = 4096, /* one read of so much has most of them whole */
	BOX_HEADER = 8,
	NONE = UINT32_MAX,
};

struct clip_file {
	struct clips *clips;
	struct clip *clip;
	struct event *timer; /* for what needs no waiting */
	/* the read */
	volume_reader_data_fn *on_data;
	void *arg;
	uint64_t offset, at; /* of the clip; within the part */
	size_t n;
	/* the recording at hand */
	size_t segment;
	struct catalogue_query *query;
	struct catalogue_fragment *fragments; /* of the clip's segment; NULL until they are there */
	struct recording_file *recording;     /* its file; NULL until it was asked for */
	bool open;
	struct clip_walk walk;
	uint32_t moof_of; /* the fragment of which the moof's length is known, or NONE */
	size_t moof_bytes;
	bool again;       /* it is read as more than usual */
	uint64_t file_at; /* where the last read began */
};

static void file_step(struct clip_file *file);

/* --- telling --- */

static void file_tell(struct clip_file *file, int error, struct evbuffer *data)
{
	volume_reader_data_fn *on_data = file->on_data;

	file->on_data = NULL;
	on_data(file->arg, error, data);
}

/* Tells of no bytes. */
static void file_fail(struct clip_file *file, int error)
{
	struct evbuffer *none = evbuffer_new();

	file_tell(file, error, none);
	evbuffer_free(none);
}

/* Tells of bytes, from file->at on and as many as were asked for. */
static void file_tell_bytes(struct clip_file *file, const uint8_t *p, uint64_t n)
{
	struct evbuffer *data = evbuffer_new();
	uint64_t left = n - file->at;

	(void)evbuffer_add(data, p + file->at, left < file->n ? (size_t)left : file->n);
	file_tell(file, 0, data);
	evbuffer_free(data);
}

/* --- the recording at hand --- */

static void file_leave(struct clip_file *file)
{
	catalogue_cancel(file->query);
	recording_file_close(file->recording);
	free(file->fragments);
	file->query = NULL;
	file->recording = NULL;
	file->fragments = NULL;
	file->open = false;
	file->moof_of = NONE;
}

static void file_on_index(
	void *arg, int error, const struct catalogue_fragment *fragments, size_t n)
{
	struct clip_file *file = arg;
	const struct clip_segment *segment = &file->clip->segments[file->segment];
	size_t bytes = segment->n * sizeof(*fragments);

	file->query = NULL;
	if (!error && n < segment->first + segment->n)
		error = -ENOENT;
	if (error) {
		file_fail(file, error);
		return;
	}
	file->fragments = xmalloc(bytes);
	memcpy(file->fragments, fragments + segment->first, bytes);
	clip_walk_begin(&file->walk, file->clip, segment, file->fragments);
	file_step(file);
}

/* Whether the index of that segment is there; if not it is asked for. */
static bool file_has_index(struct clip_file *file, size_t segment)
{
	if (file->segment != segment)
		file_leave(file);
	file->segment = segment;
	if (file->fragments)
		return true;
	file->query = catalogue_index(
		file->clips->catalogue, file->clip->segments[segment].row->id, file_on_index, file);
	if (!file->query)
		file_fail(file, -EAGAIN);
	return false;
}

static void file_on_open(void *arg, int error)
{
	struct clip_file *file = arg;

	file->open = !error;
	if (!error) {
		file_step(file);
		return;
	}
	file_leave(file);
	file_fail(file, error);
}

static bool file_is_open(struct clip_file *file)
{
	if (file->open)
		return true;
	file->recording = recording_file_open(file->clips->catalogue, file->clips->volume,
		file->clip->segments[file->segment].row, file_on_open, file);
	if (!file->recording)
		file_fail(file, -EAGAIN);
	return false;
}

/* What a segment is found by: what is before it of that. */
enum clip_by {
	CLIP_BY_MEDIA,     /* bytes */
	CLIP_BY_REFERENCE, /* of the lead */
	CLIP_BY_FRAGMENT
};

static uint64_t segment_before(const struct clip_segment *segment, enum clip_by by)
{
	return by == CLIP_BY_MEDIA       ? segment->at
	       : by == CLIP_BY_REFERENCE ? segment->reference
					 : segment->number - 1;
}

/* The segment in which a place is. */
static size_t file_find_segment(const struct clip *clip, uint64_t place, enum clip_by by)
{
	size_t low = 0, high = clip->n;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (segment_before(&clip->segments[middle], by) <= place)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* --- the sidx boxes --- */

static void file_read_references(struct clip_file *file)
{
	uint64_t place = file->at - CLIP_SIDX_BYTES;
	const struct clip *clip = file->clip;
	size_t i = file_find_segment(clip, place / CLIP_REFERENCE_BYTES, CLIP_BY_REFERENCE);
	const struct clip_segment *segment = &clip->segments[i];
	struct box_writer w = { 0 };

	if (!file_has_index(file, i))
		return;
	(void)clip_references(&w, clip, segment, file->fragments, clip_segment_us(clip, i + 1));
	file->at = place - (uint64_t)segment->reference * CLIP_REFERENCE_BYTES;
	file_tell_bytes(file, w.p, w.n);
	free(w.p);
}

/* Goes to a fragment by its number in the clip, in the segment at hand. */
static void file_go_to(struct clip_file *file, uint32_t number)
{
	struct clip_walk *walk = &file->walk;

	clip_walk_begin(walk, file->clip, walk->segment, file->fragments);
	while (walk->segment->number - 1 + walk->i < number)
		clip_walk_next(walk);
}

/* Of the boxes of another track than the lead; file->at is the place in them. */
static void file_read_other(struct clip_file *file, unsigned other)
{
	const uint64_t whole =
		CLIP_SIDX_BYTES + (uint64_t)CLIP_REFERENCES_MOST * CLIP_REFERENCE_BYTES;
	const struct clip *clip = file->clip;
	uint32_t box = (uint32_t)(file->at / whole), number = box * CLIP_REFERENCES_MOST;
	uint64_t at = file->at % whole, left = whole - at;
	bool is_head = at < CLIP_SIDX_BYTES;
	struct box_writer w = { 0 };
	size_t i;

	if (!is_head)
		number += (uint32_t)((at - CLIP_SIDX_BYTES) / CLIP_REFERENCE_BYTES);
	i = file_find_segment(clip, number, CLIP_BY_FRAGMENT);
	if (!file_has_index(file, i))
		return;
	if (is_head) {
		file_go_to(file, number);
		clip_other_write(&w, clip, other, box, &file->walk);
		file->at = at;
	} else {
		clip_other_references(&w, clip, &clip->others[other], &clip->segments[i],
			file->fragments, clip_segment_us(clip, i + 1));
		file->at =
			(at - CLIP_SIDX_BYTES) % CLIP_REFERENCE_BYTES +
			(uint64_t)(number - (clip->segments[i].number - 1)) * CLIP_REFERENCE_BYTES;
	}
	if (left < file->n) /* the next box begins */
		file->n = (size_t)left;
	file_tell_bytes(file, w.p, w.n);
	free(w.p);
}

/* --- the media --- */

static const struct catalogue_fragment *file_fragment(const struct clip_file *file)
{
	return &file->fragments[file->walk.i];
}

/* Reads from the recording's file; `done` is given what comes. */
static void file_read(struct clip_file *file, uint64_t at, uint64_t n, volume_reader_data_fn *done)
{
	file->file_at = at;
	if (recording_file_read(file->recording, at, (size_t)n, done, file) < 0)
		file_fail(file, -EAGAIN);
}

/* The length of the moof that begins at p, if that is one; n is at least 8. */
static int moof_length(size_t *ret, const uint8_t *p, size_t n, uint64_t most)
{
	struct mp4_box box;
	const char *why;

	if (mp4_box_parse(&box, p, n, &why) <= 0 || box.to_end || box.header_bytes != BOX_HEADER ||
		box.type != MP4_TYPE('m', 'o', 'o', 'f') || box.bytes > most ||
		box.bytes > CLIP_MOOF_MOST)
		return -EBADMSG;
	*ret = (size_t)box.bytes;
	return 0;
}

/* Changes a whole moof: that of the fragment at hand. */
static int file_patch(const struct clip_file *file, uint8_t *moof)
{
	const struct clip *clip = file->clip;
	struct clip_shift shift;

	clip_walk_shift(&file->walk, &shift);
	return clip_patch_moof(moof, file->moof_bytes,
		clip->sidx_bytes ? file->walk.segment->number + file->walk.i : 0, &shift);
}

/* The moof of the fragment at hand has come, or the first bytes of it. */
static void moof_on_data(void *arg, int error, struct evbuffer *data)
{
	struct clip_file *file = arg;
	size_t n = evbuffer_get_length(data);
	uint8_t *p = n ? evbuffer_pullup(data, -1) : NULL;

	if (!error)
		error = n < BOX_HEADER
				? -EBADMSG
				: moof_length(&file->moof_bytes, p, n, file_fragment(file)->bytes);
	if (!error && n < file->moof_bytes && file->again)
		error = -EBADMSG; /* it was cut */
	if (error) {
		file_fail(file, error);
	} else if (file->at >= file->moof_bytes) {
		file->moof_of = file->walk.i;
		file_step(file);
	} else if (n < file->moof_bytes) {
		file->again = true;
		file_read(file, file->file_at, file->moof_bytes, moof_on_data);
	} else if (file_patch(file, p) < 0) {
		file_fail(file, -EBADMSG);
	} else {
		file_tell_bytes(file, p, file->moof_bytes);
	}
}

static void file_read_moof(struct clip_file *file)
{
	const struct catalogue_fragment *f = file_fragment(file);

	file->again = false;
	file_read(file, f->offset, f->bytes < MOOF_USUAL ? f->bytes : MOOF_USUAL, moof_on_data);
}

/*
 * Changes the moofs in what was read from file_at on, in the fragment at hand. *usable: how much of it can be given: up to
 * the first moof that is not whole, or the end of the fragments that stand one behind the other.
 */
static int media_patch(struct clip_file *file, uint8_t *p, size_t n, size_t *usable)
{
	*usable = n;
	while (true) {
		const struct catalogue_fragment *f = file_fragment(file);
		uint64_t end = f->offset + f->bytes - file->file_at;

		if (f->offset >= file->file_at) {
			size_t at = (size_t)(f->offset - file->file_at);

			*usable = at;
			if (n - at < BOX_HEADER)
				return 0;
			if (moof_length(&file->moof_bytes, p + at, n - at, f->bytes) < 0)
				return -EBADMSG;
			if (file->moof_bytes > n - at)
				return 0;
			if (file_patch(file, p + at) < 0)
				return -EBADMSG;
			file->moof_of = file->walk.i;
		}
		*usable = end < n ? (size_t)end : n;
		if (end >= n)
			return 0;
		clip_walk_next(&file->walk);
		if (file->walk.i == file->walk.segment->n || clip_walk_is_tail(&file->walk) ||
			file_fragment(file)->offset != file->file_at + end)
			return 0;
	}
}

static void media_tell(struct clip_file *file, struct evbuffer *data, size_t usable)
{
	size_t n = usable < file->n ? usable : file->n;
	struct evbuffer *part;

	if (n == evbuffer_get_length(data)) {
		file_tell(file, 0, data);
		return;
	}
	part = evbuffer_new();
	(void)evbuffer_remove_buffer(data, part, n);
	file_tell(file, 0, part);
	evbuffer_free(part);
}

static void media_on_data(void *arg, int error, struct evbuffer *data)
{
	struct clip_file *file = arg;
	size_t n = evbuffer_get_length(data), usable = 0;

	if (!error && n)
		error = media_patch(file, evbuffer_pullup(data, -1), n, &usable);
	if (error)
		file_fail(file, error);
	else if (n && !usable)
		file_read_moof(file); /* a long one */
	else
		media_tell(file, data, usable);
}

static void tail_on_data(void *arg, int error, struct evbuffer *data)
{
	file_tell(arg, error, data);
}

/* The fragment that ends the clip: its own head, then parts of the file's. */
static void file_read_tail(struct clip_file *file)
{
	const struct clip_tail *tail = &file->clip->tail;
	uint64_t at = file->at, left;

	if (at < tail->head_bytes) {
		file_tell_bytes(file, tail->head, tail->head_bytes);
		return;
	}
	at -= tail->head_bytes;
	for (unsigned i = 0; i < tail->n; i++) {
		if (at < tail->spans[i].bytes) {
			left = tail->spans[i].bytes - at;
			file_read(file, file_fragment(file)->offset + tail->spans[i].at + at,
				left < file->n ? left : file->n, tail_on_data);
			return;
		}
		at -= tail->spans[i].bytes;
	}
	file_fail(file, -EBADMSG);
}

/* Goes to the fragment in which a place of the segment is; file->at is then the place in it. */
static void file_seek(struct clip_file *file, uint64_t place)
{
	struct clip_walk *walk = &file->walk;

	if (walk->i == walk->segment->n || walk->at > place)
		clip_walk_begin(walk, file->clip, walk->segment, file->fragments);
	while (place - walk->at >= walk->bytes)
		clip_walk_next(walk);
	file->at = place - walk->at;
}

static void file_read_media(struct clip_file *file)
{
	const struct clip *clip = file->clip;
	uint64_t place = file->at;
	size_t i = file_find_segment(clip, place, CLIP_BY_MEDIA), wanted = file->n;

	if (!file_has_index(file, i) || !file_is_open(file))
		return;
	file_seek(file, place - clip->segments[i].at);
	if (clip_walk_is_tail(&file->walk)) {
		file_read_tail(file);
		return;
	}
	if (file->at && (file->moof_of != file->walk.i || file->at < file->moof_bytes)) {
		file_read_moof(file);
		return;
	}
	if (wanted < MOOF_USUAL)
		wanted = MOOF_USUAL;
	file_read(file, file_fragment(file)->offset + file->at, wanted, media_on_data);
}

/* --- reads --- */

/* Goes on with the read as far as it can be done now. */
static void file_step(struct clip_file *file)
{
	const struct clip *clip = file->clip;
	unsigned other;

	file->at = file->offset;
	if (file->at < clip->head_bytes) {
		file_tell_bytes(file, clip->head, clip->head_bytes);
		return;
	}
	file->at -= clip->head_bytes;
	if (file->at >= clip->sidx_bytes + clip->n_others * clip->other_bytes) {
		file->at -= clip->sidx_bytes + clip->n_others * clip->other_bytes;
		file_read_media(file);
	} else if (file->at >= clip->sidx_bytes) {
		other = (unsigned)((file->at - clip->sidx_bytes) / clip->other_bytes);
		file->at = (file->at - clip->sidx_bytes) % clip->other_bytes;
		file_read_other(file, other);
	} else if (file->at < CLIP_SIDX_BYTES) {
		file_tell_bytes(file, clip->sidx, CLIP_SIDX_BYTES);
	} else {
		file_read_references(file);
	}
}

static void file_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct clip_file *file = arg;

	(void)fd, (void)what;
	if (file->n && file->offset < clip_bytes(file->clip))
		file_step(file);
	else
		file_fail(file, 0);
}

struct clip_file *clip_open(struct clips *clips, struct clip *clip)
{
	struct clip_file *file = xcalloc(1, sizeof(*file));

	file->clips = clips;
	file->clip = clip_ref(clip);
	file->moof_of = NONE;
	file->timer = reactor_timer_new(file_on_timer, file);
	return file;
}

void clip_file_read(struct clip_file *file, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg)
{
	file->on_data = on_data;
	file->arg = arg;
	file->offset = offset;
	file->n = n;
	reactor_timer_start(file->timer, 0);
}

void clip_file_close(struct clip_file *file)
{
	if (!file)
		return;
	file_leave(file);
	reactor_timer_free(&file->timer);
	clip_unref(&file->clip);
	free(file);
}
