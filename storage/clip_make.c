/*
 * Making a clip: which fragments are in it, from the catalogue's index, one recording after the other; and the few bytes of
 * the files that are needed for that: each one's head, and the moof of the first and the last fragment.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/clip_private.h"
#include "storage/recordings.h"

enum {
	REORDER_US = 1000000, /* pictures are shown at most so long after they are decoded */
	OVERLAP_US =
		40000, /* of recordings, by which the last frame's length was guessed too long */
	SEGMENTS_KEPT = 1024, /* a clip of more is not remembered */
};

#define DAY_US (INT64_C(86400) * 1000000)

struct clip_request {
	struct clips *clips;
	struct clip_wish wish; /* its texts are ours */
	char *camera, *path;
	clip_made_fn *done;
	void *arg;
	struct recordings *recordings;
	struct reactor_dead dead;
	struct clip *clip;
	struct clip_tail tail;
	uint8_t *bytes;   /* of the first file's head */
	int64_t shown_us; /* how long after its decode time the first frame is shown */
	size_t row;       /* at hand */
	bool went_back;   /* from the first one */
	size_t first_row, last_row;
	uint32_t first, last; /* of their fragments: the first, and the one behind the last */
	int64_t first_us;     /* the decode time of the first */
	struct catalogue_fragment fragment; /* whose moof is read */
	const struct recording *recording;  /* the one that is loaded */
};

/* --- the end --- */

static void request_fini(void *object)
{
	struct clip_request *request = object;

	recordings_free(request->recordings);
	clip_unref(&request->clip);
	free(request->tail.head);
	free(request->bytes);
	free(request->camera);
	free(request->path);
	free(request);
}

/* It may be in a callback of what it has. */
static void request_end(struct clip_request *request)
{
	reactor_free_later(&request->dead, request_fini, request);
}

void clip_cancel(struct clip_request *request)
{
	if (!request)
		return;
	recordings_free(request->recordings);
	request->recordings = NULL;
	request_end(request);
}

static void request_fail(struct clip_request *request, int error)
{
	request_end(request);
	request->done(request->arg, error, NULL, NULL);
}

static void request_tell(struct clip_request *request, struct clip *clip)
{
	request_end(request);
	request->done(request->arg, 0, clip, NULL);
}

static void request_load(struct clip_request *request, recordings_load_fn *done)
{
	request->recording = NULL;
	if (recordings_load(request->recordings, request->row, done, request) < 0)
		request_fail(request, -EAGAIN);
}

/* --- what was made for the last who asked --- */

static char *wish_name(const struct clip_wish *wish)
{
	return xasprintf("%s %" PRId64 " %" PRId64 " %d %s %" PRId64,
		wish->camera ? wish->camera : "", wish->from_us, wish->to_us, wish->close_gaps,
		wish->path ? wish->path : "", wish->origin_us);
}

/* What the catalogue says of a range; what comes behind it does not matter. */
static uint64_t recordings_hash(const struct recordings *recordings, int64_t to_us)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < recordings_count(recordings); i++) {
		const struct catalogue_segment *row = recordings_row(recordings, i);
		int64_t end_us = to_us < row->end_us - REORDER_US ? to_us : row->end_us;

		hash = clip_hash(hash, &row->id, sizeof(row->id));
		hash = clip_hash(hash, &row->start_us, sizeof(row->start_us));
		hash = clip_hash(hash, &end_us, sizeof(end_us));
		hash = clip_hash(hash, row->path, strlen(row->path) + 1);
	}
	return hash;
}

/* Moves those before a place one back, so that there is room for the first. */
static void clips_shift(struct clips *clips, size_t place)
{
	for (size_t i = place; i > 0; i--)
		clips->last[i] = clips->last[i - 1];
}

static struct clip *clips_find(struct clips *clips, const char *name, uint64_t recordings)
{
	for (size_t i = 0; i < ARRAY_LENGTH(clips->last) && clips->last[i]; i++) {
		struct clip *clip = clips->last[i];

		if (clip->recordings != recordings || strcmp(clip->name, name) != 0)
			continue;
		clips_shift(clips, i);
		clips->last[0] = clip;
		return clip;
	}
	return NULL;
}

static void clips_keep(struct clips *clips, struct clip *clip)
{
	size_t last = ARRAY_LENGTH(clips->last) - 1;

	if (clip->n > SEGMENTS_KEPT)
		return;
	clip_unref(&clips->last[last]);
	clips_shift(clips, last);
	clips->last[0] = clip_ref(clip);
}

/* --- the parts --- */

static void clip_add_parts(struct clip *clip, uint64_t *hash)
{
	*hash = clip_hash(*hash, clip->head, clip->head_bytes);
	*hash = clip_hash(*hash, &clip->origin_us, sizeof(clip->origin_us));
	*hash = clip_hash(*hash, &clip->close_gaps, sizeof(clip->close_gaps));
	*hash = clip_hash(*hash, clip->tail.head, clip->tail.head_bytes);
	for (size_t i = 0; i < clip->n; i++) {
		const struct clip_segment *s = &clip->segments[i];

		*hash = clip_hash(*hash, &s->row->id, sizeof(s->row->id));
		*hash = clip_hash(*hash, &s->first, sizeof(s->first));
		*hash = clip_hash(*hash, &s->n, sizeof(s->n));
		*hash = clip_hash(*hash, &s->at, sizeof(s->at));
	}
}

static struct clip_segment *clip_add_segment(struct clip *clip)
{
	if (clip->n == clip->size) {
		clip->size = clip->size ? clip->size * 2 : 4;
		clip->segments = xrealloc(clip->segments, clip->size * sizeof(*clip->segments));
	}
	clip->segments[clip->n] = (struct clip_segment){ 0 };
	return &clip->segments[clip->n++];
}

/* Adds fragments of a recording, and counts what is in them. */
static void clip_add(
	struct clip *clip, const struct recording *recording, uint32_t first, uint32_t n)
{
	struct clip_segment *s = clip_add_segment(clip);
	const struct clip_segment *before = clip->n > 1 ? s - 1 : NULL;
	const struct catalogue_fragment *fragments = recording->fragments + first;
	struct clip_walk walk;

	s->row = catalogue_segment_copy(recording->row);
	s->first = first;
	s->n = n;
	s->number = before ? before->number + before->n : 1;
	s->reference = clip->references;
	s->at = clip->media_bytes;
	s->start_us = fragments[0].start_us;
	s->file_origin_us = recording->head.origin_us;
	if (before) {
		s->closed_us = before->closed_end_us;
		if (clip->close_gaps && s->start_us - before->end_us > CLIP_GAP_US)
			s->closed_us += s->start_us - before->end_us - CLIP_GAP_US;
	}
	for (clip_walk_begin(&walk, clip, s, fragments); walk.i < n; clip_walk_next(&walk)) {
		s->end_us = fragments[walk.i].start_us + walk.duration_us;
		s->closed_end_us = walk.closed_us;
	}
	clip->media_bytes += walk.at;
	clip->end_us = s->end_us;
	clip->references += clip_references(NULL, clip, s, fragments, 0);
	clip->fragments += n;
}

/* --- a view: one file, from its first byte to its last fragment --- */

static void view_on_load(void *arg, int error, const struct recording *recording)
{
	struct clip_request *request = arg;
	struct clip *clip = request->clip;
	struct clip_shift shift;
	struct clip_walk walk;

	if (error) {
		request_fail(request, error);
		return;
	}
	clip->movie = recording->head;
	clip->hides = clip_is_web(&clip->movie.movie.tracks[clip->movie.lead]);
	clip->origin_us = request->wish.origin_us;
	clip_add(clip, recording, 0, (uint32_t)recording->n);
	clip->start_us = clip->segments[0].start_us;
	clip->head_bytes = recording->n_bytes;
	clip->head = xmalloc(clip->head_bytes);
	memcpy(clip->head, recording->bytes, clip->head_bytes);
	clip_walk_begin(&walk, clip, &clip->segments[0], recording->fragments);
	clip_walk_shift(&walk, &shift);
	clip_patch_head(clip->head, &clip->movie, &shift);
	clip_add_parts(clip, &clip->tag);
	clips_keep(request->clips, clip);
	request_tell(request, clip);
}

/* --- a clip: all recordings, when its first and last fragment are known --- */

/*
 * That of the track, which older libavformat takes for granted. Where a gap is so long that a reference's 32 bits do not hold
 * it (13 hours of 90 kHz), milliseconds.
 */
static uint32_t clip_index_timescale(const struct clip *clip, const struct mp4_track *track)
{
	uint32_t timescale = track->timescale;

	for (size_t i = 0; i < clip->n; i++) {
		int64_t us = clip_segment_us(clip, i + 1) - clip_segment_us(clip, i);

		if (us / 1000000 + 1 >= UINT32_MAX / timescale)
			return 1000;
	}
	return timescale;
}

static void clip_set_others(struct clip *clip)
{
	uint32_t boxes = (clip->fragments + CLIP_REFERENCES_MOST - 1) / CLIP_REFERENCES_MOST;

	for (unsigned i = 0; i < clip->movie.movie.n_tracks; i++) {
		const struct mp4_track *track = &clip->movie.movie.tracks[i];

		if (i != clip->movie.lead)
			clip->others[clip->n_others++] =
				(struct clip_other){ track->id, clip_index_timescale(clip, track) };
	}
	clip->other_bytes = (uint64_t)boxes * CLIP_SIDX_BYTES +
			    (uint64_t)clip->fragments * CLIP_REFERENCE_BYTES;
}

static int request_write_head(struct clip_request *request)
{
	struct clip *clip = request->clip;
	const struct mp4_track *lead = &clip->movie.movie.tracks[clip->movie.lead];
	int64_t start_us = clip_segment_us(clip, 0);
	struct box_writer w = { 0 };
	int error = clip_head_write(&w, request->bytes, &clip->movie,
		clip->segments[0].row->boot_us ? 0 : clip->start_us,
		clip_segment_us(clip, clip->n) - clip->origin_us);

	clip->head = w.p;
	clip->head_bytes = w.n;
	if (error)
		return error;
	w = (struct box_writer){ 0 };
	clip_set_others(clip);
	clip->timescale = clip_index_timescale(clip, lead);
	clip_sidx_write(
		&w, &(struct clip_sidx){
			    .id = lead->id,
			    .timescale = clip->timescale,
			    .first = clip_time(start_us + request->shown_us, clip->timescale) -
				     clip_time(clip->origin_us, clip->timescale),
			    .first_offset = clip->n_others * clip->other_bytes,
			    .n = clip->references,
		    });
	memcpy(clip->sidx, w.p, CLIP_SIDX_BYTES);
	free(w.p);
	clip->sidx_bytes = CLIP_SIDX_BYTES + (uint64_t)CLIP_REFERENCE_BYTES * clip->references;
	return 0;
}

static int request_patch_tail(struct clip *clip)
{
	const struct clip_segment *last = &clip->segments[clip->n - 1];
	struct clip_walk walk = { .clip = clip, .segment = last, .closed_us = last->closed_end_us };
	struct clip_shift shift;

	if (!clip->tail.head)
		return 0;
	clip_walk_shift(&walk, &shift);
	return clip_patch_moof(
		clip->tail.head, clip->tail.moof_bytes, last->number + last->n - 1, &shift);
}

static void request_finish(struct clip_request *request)
{
	struct clip *clip = request->clip;
	int error = clip->n ? 0 : -ENOENT;

	if (!error && clip->references > CLIP_REFERENCES_MOST)
		error = -E2BIG;
	if (!error)
		error = request_write_head(request);
	if (!error)
		error = request_patch_tail(clip);
	if (error) {
		request_fail(request, error);
		return;
	}
	clip_add_parts(clip, &clip->tag);
	clips_keep(request->clips, clip);
	request_tell(request, clip);
}

/*
 * The first fragment that goes on after what is there: when a clock was set back it may have been recorded in the same
 * minutes as what is in the clip already.
 */
static uint32_t each_first(const struct clip_request *request, const struct recording *recording)
{
	const struct clip *clip = request->clip;
	uint32_t i = 0;

	if (request->row == request->first_row)
		return request->first;
	if (!clip->n || recording->fragments[0].start_us >= clip->end_us - OVERLAP_US)
		return 0;
	while (i < recording->n && (!recording->fragments[i].keyframe ||
					   recording->fragments[i].start_us < clip->end_us))
		i++;
	return i;
}

static void each_on_load(void *arg, int error, const struct recording *recording)
{
	struct clip_request *request = arg;
	struct clip *clip = request->clip;
	uint32_t first, end;

	if (error && error != -ENOENT) {
		request_fail(request, error);
		return;
	}
	if (!error && recording->head.init != clip->movie.init) {
		request_end(request);
		request->done(request->arg, -EMEDIUMTYPE, NULL, recording->row);
		return;
	}
	if (!error) {
		first = each_first(request, recording);
		end = (uint32_t)recording->n;
		if (request->row == request->last_row) {
			end = request->last < end ? request->last : end;
			clip->tail = request->tail;
			request->tail.head = NULL;
		}
		if (first < end)
			clip_add(clip, recording, first, end - first);
	}
	if (request->row++ == request->last_row)
		request_finish(request);
	else
		request_load(request, each_on_load);
}

static void request_each(struct clip_request *request, int64_t end_us)
{
	int64_t reference_us = (end_us - request->first_us) / CLIP_REFERENCES;

	request->clip->reference_us =
		reference_us > CLIP_REFERENCE_US ? reference_us : CLIP_REFERENCE_US;
	request->row = request->first_row;
	request_load(request, each_on_load);
}

/* --- the last fragment --- */

static void last_on_load(void *arg, int error, const struct recording *recording);

static void last_on_moof(void *arg, int error, const uint8_t *moof, size_t n);

/* The first fragment of the row at hand that may be the last one. */
static uint32_t last_least(const struct clip_request *request)
{
	return request->row == request->first_row ? request->first : 0;
}

/* Looks at the fragment before request->last. */
static void last_look(struct clip_request *request)
{
	const struct catalogue_fragment *f;
	int64_t end_us;

	if (request->last <= last_least(request)) {
		if (request->row-- == request->first_row)
			request_fail(request, -ENOENT);
		else
			request_load(request, last_on_load);
		return;
	}
	request->last_row = request->row;
	f = &request->recording->fragments[request->last - 1];
	end_us = f->start_us + f->duration_us;
	request->fragment = *f;
	if (end_us + REORDER_US <= request->wish.to_us)
		request_each(request, end_us);
	else if (recordings_moof(request->recordings, f, last_on_moof, request) < 0)
		request_fail(request, -EAGAIN);
}

static void last_on_moof(void *arg, int error, const uint8_t *moof, size_t n)
{
	struct clip_request *request = arg;
	int64_t duration_us = request->fragment.duration_us;
	enum clip_cut cut;

	if (error) {
		request_fail(request, error);
		return;
	}
	cut = clip_cut(&request->tail, moof, n, &request->recording->head, request->wish.to_us);
	if (cut == CLIP_CUT_ALL) {
		request->last--;
		last_look(request);
		return;
	}
	if (cut == CLIP_CUT_SOME)
		duration_us = request->tail.duration_us;
	request_each(request, request->fragment.start_us + duration_us);
}

static void last_on_load(void *arg, int error, const struct recording *recording)
{
	struct clip_request *request = arg;

	if (error && error != -ENOENT) {
		request_fail(request, error);
		return;
	}
	request->recording = recording;
	request->last = recording ? (uint32_t)recording->n : 0;
	while (request->last > 0 &&
		recording->fragments[request->last - 1].start_us >= request->wish.to_us)
		request->last--;
	last_look(request);
}

/* --- the first fragment --- */

static void first_on_load(void *arg, int error, const struct recording *recording);

/* The last keyframe decoded at or before an instant; -1 when there is none. */
static int64_t first_find(const struct recording *recording, int64_t us)
{
	int64_t i = (int64_t)recording->n - 1;

	while (i >= 0 &&
		(!recording->fragments[i].keyframe || recording->fragments[i].start_us > us))
		i--;
	return i;
}

static void first_on_moof(void *arg, int error, const uint8_t *moof, size_t n);

/* Chooses a keyframe of the recording at hand, knowing how long after its decode time one is shown. */
static void first_choose(struct clip_request *request)
{
	const struct recording *recording = request->recording;
	int64_t i = first_find(recording, request->wish.from_us - request->shown_us);

	if (i < 0 && request->shown_us && request->row > 0 && !request->went_back) {
		request->went_back = true; /* the one before ends in between */
		request->row--;
		request_load(request, first_on_load);
		return;
	}
	for (i = i < 0 ? 0 : i; i + 1 < (int64_t)recording->n && !recording->fragments[i].keyframe;)
		i++;
	request->first = (uint32_t)i;
	request->fragment = recording->fragments[i];
	if (recordings_moof(request->recordings, &request->fragment, first_on_moof, request) < 0)
		request_fail(request, -EAGAIN);
}

static void first_on_moof(void *arg, int error, const uint8_t *moof, size_t n)
{
	struct clip_request *request = arg;
	const struct recording *recording = request->recording;
	struct clip *clip = request->clip;
	int64_t start_us = request->fragment.start_us;
	struct clip_first first;

	if (!error)
		error = clip_first_parse(&first, moof, n, &recording->head);
	if (error) {
		request_fail(request, error);
		return;
	}
	if (!request->shown_us && first.shown_us > 0 && first.shown_us <= REORDER_US &&
		start_us <= request->wish.from_us &&
		start_us + first.shown_us > request->wish.from_us) {
		request->shown_us = first.shown_us;
		first_choose(request);
		return;
	}
	request->shown_us = first.shown_us;
	request->first_us = start_us;
	request->first_row = request->row;
	clip->movie = recording->head;
	clip->origin_us = first.origin_us;
	clip->start_us = start_us + first.shown_us;
	request->bytes = xmalloc(recording->n_bytes);
	memcpy(request->bytes, recording->bytes, recording->n_bytes);
	request->row = recordings_count(request->recordings) - 1;
	request_load(request, last_on_load);
}

static void first_on_load(void *arg, int error, const struct recording *recording)
{
	struct clip_request *request = arg;

	if (error == -ENOENT && ++request->row < recordings_count(request->recordings)) {
		request_load(request, first_on_load);
		return;
	}
	request->recording = recording;
	if (error)
		request_fail(request, error);
	else
		first_choose(request);
}

/* --- the beginning --- */

static void request_on_list(void *arg, int error)
{
	struct clip_request *request = arg;
	const struct clip_wish *wish = &request->wish;
	const struct recordings *recordings = request->recordings;
	struct clip *found;

	if (!error && wish->to_us - wish->from_us > CLIP_DAYS_MOST * DAY_US)
		error = -E2BIG;
	if (error) {
		request_fail(request, error);
		return;
	}
	request->clip->recordings =
		recordings_hash(recordings, wish->camera ? wish->to_us : INT64_MAX);
	found = clips_find(request->clips, request->clip->name, request->clip->recordings);
	if (found) {
		request_tell(request, found);
		return;
	}
	/* what ended just before is only there for the sake of pictures that are shown later */
	while (wish->camera && request->row < recordings_count(recordings) &&
		recordings_row(recordings, request->row)->end_us <= wish->from_us)
		request->row++;
	if (request->row == recordings_count(recordings))
		request_fail(request, -ENOENT);
	else
		request_load(request, wish->camera ? first_on_load : view_on_load);
}

struct clip_request *clip_make(
	struct clips *clips, const struct clip_wish *wish, clip_made_fn *done, void *arg)
{
	struct clip_request *request = xcalloc(1, sizeof(*request));

	request->clips = clips;
	request->wish = *wish;
	request->wish.camera = request->camera = wish->camera ? xstrdup(wish->camera) : NULL;
	request->wish.path = request->path = wish->path ? xstrdup(wish->path) : NULL;
	request->done = done;
	request->arg = arg;
	request->clip = xcalloc(1, sizeof(*request->clip));
	request->clip->refs = 1;
	request->clip->timescale = 1; /* until it is known */
	request->clip->close_gaps = wish->close_gaps;
	request->clip->name = wish_name(wish);
	if (wish->camera)
		request->recordings = recordings_new(clips->catalogue, clips->volume, wish->camera,
			wish->from_us - REORDER_US, wish->to_us, request_on_list, request);
	else
		request->recordings = recordings_new_file(
			clips->catalogue, clips->volume, wish->path, request_on_list, request);
	if (request->recordings)
		return request;
	request_fini(request);
	return NULL;
}
