/* A clip: which parts it has, in which order, and what they are in time. */
#include "storage/clip.h"

#include <stdlib.h>

#include <libavutil/mathematics.h>

#include "server/base/memory.h"
#include "storage/clip_private.h"

struct clips *clips_new(struct catalogue *catalogue, struct volume *volume)
{
	struct clips *clips = xcalloc(1, sizeof(*clips));

	clips->catalogue = catalogue;
	clips->volume = volume;
	return clips;
}

void clips_free(struct clips *clips)
{
	if (!clips)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(clips->last); i++)
		clip_unref(&clips->last[i]);
	free(clips);
}

struct clip *clip_ref(struct clip *clip)
{
	clip->refs++;
	return clip;
}

void clip_unref(struct clip **clip)
{
	struct clip *it = *clip;

	*clip = NULL;
	if (!it || --it->refs)
		return;
	for (size_t i = 0; i < it->n; i++)
		catalogue_segment_free(it->segments[i].row);
	free(it->segments);
	free(it->head);
	free(it->tail.head);
	free(it->name);
	free(it);
}

uint64_t clip_bytes(const struct clip *clip)
{
	return clip->head_bytes + clip->sidx_bytes + clip->n_others * clip->other_bytes +
	       clip->media_bytes;
}

int64_t clip_start_us(const struct clip *clip)
{
	return clip->start_us;
}

int64_t clip_end_us(const struct clip *clip)
{
	return clip->end_us;
}

uint64_t clip_tag(const struct clip *clip)
{
	return clip->tag;
}

/* --- a segment's fragments --- */

bool clip_walk_is_tail(const struct clip_walk *walk)
{
	const struct clip *clip = walk->clip;

	return clip->tail.head && walk->segment == &clip->segments[clip->n - 1] &&
	       walk->i + 1 == walk->segment->n;
}

static void walk_look(struct clip_walk *walk)
{
	if (walk->i == walk->segment->n)
		return;
	walk->bytes = walk->fragments[walk->i].bytes;
	walk->duration_us = walk->fragments[walk->i].duration_us;
	if (!clip_walk_is_tail(walk))
		return;
	walk->bytes = walk->clip->tail.bytes;
	walk->duration_us = walk->clip->tail.duration_us;
}

void clip_walk_begin(struct clip_walk *walk, const struct clip *clip,
	const struct clip_segment *segment, const struct catalogue_fragment *fragments)
{
	*walk = (struct clip_walk){
		.clip = clip,
		.segment = segment,
		.fragments = fragments,
		.closed_us = segment->closed_us,
	};
	walk_look(walk);
}

void clip_walk_next(struct clip_walk *walk)
{
	int64_t end_us = walk->fragments[walk->i].start_us + walk->duration_us, gap_us;

	walk->at += walk->bytes;
	walk->i++;
	if (walk->i == walk->segment->n)
		return;
	gap_us = walk->fragments[walk->i].start_us - end_us;
	if (walk->clip->close_gaps && gap_us > CLIP_GAP_US)
		walk->closed_us += gap_us - CLIP_GAP_US;
	walk_look(walk);
}

void clip_walk_shift(const struct clip_walk *walk, struct clip_shift *ret)
{
	struct clip_head file = walk->clip->movie;

	file.origin_us = walk->segment->file_origin_us;
	*ret = (struct clip_shift){ 0 };
	clip_shift_set(ret, &file, walk->clip->origin_us + walk->closed_us);
	for (unsigned i = 0; i < ret->n && walk->clip->hides; i++)
		ret->tracks[i].hidden = !clip_is_web(&file.movie.tracks[i]);
}

/* --- the index of the clip --- */

int64_t clip_segment_us(const struct clip *clip, size_t i)
{
	const struct clip_segment *last = &clip->segments[clip->n - 1];
	int64_t closed_us;

	if (i < clip->n)
		return clip->segments[i].start_us - clip->segments[i].closed_us;
	closed_us = last->closed_end_us;
	return clip->end_us - closed_us;
}

struct reference {
	const struct clip *clip;
	struct box_writer *w;
	uint32_t n;
	/* the one at hand */
	int64_t start_us;
	uint64_t bytes;
	bool keyframe;
};

int64_t clip_time(int64_t us, uint32_t timescale)
{
	return av_rescale_rnd(us, timescale, 1000000, AV_ROUND_UP);
}

static void reference_end(struct reference *r, int64_t end_us)
{
	uint32_t timescale = r->clip->timescale;
	int64_t duration = clip_time(end_us, timescale) - clip_time(r->start_us, timescale);

	r->n++;
	if (r->w)
		clip_reference_write(r->w, (uint32_t)r->bytes,
			duration > 0 ? (uint32_t)duration : 0, r->keyframe);
	r->bytes = 0;
}

static bool reference_is_over(const struct reference *r, const struct catalogue_fragment *next,
	uint64_t bytes, int64_t us)
{
	return r->bytes + bytes > CLIP_REFERENCE_MEDIA ||
	       (next->keyframe && us - r->start_us >= r->clip->reference_us);
}

uint32_t clip_references(struct box_writer *w, const struct clip *clip,
	const struct clip_segment *segment, const struct catalogue_fragment *fragments,
	int64_t next_us)
{
	struct reference r = { .clip = clip, .w = w };
	struct clip_walk walk;

	for (clip_walk_begin(&walk, clip, segment, fragments); walk.i < segment->n;
		clip_walk_next(&walk)) {
		const struct catalogue_fragment *f = &fragments[walk.i];
		int64_t us = f->start_us - walk.closed_us;

		if (r.bytes && reference_is_over(&r, f, walk.bytes, us))
			reference_end(&r, us);
		if (!r.bytes) {
			r.start_us = us;
			r.keyframe = f->keyframe;
		}
		r.bytes += walk.bytes;
	}
	reference_end(&r, next_us);
	return r.n;
}

/*
 * Where a fragment begins in another track: a little later than in the lead, since sound does not begin with the picture, and
 * libavformat must not be sent to what has no sample yet of the time it wants.
 */
static int64_t other_time(const struct clip *clip, const struct clip_other *other, int64_t us)
{
	bool first = us == clip_segment_us(clip, 0);

	return clip_time(us + (first ? 0 : CLIP_OTHER_LATER_US), other->timescale);
}

void clip_other_references(struct box_writer *w, const struct clip *clip,
	const struct clip_other *other, const struct clip_segment *segment,
	const struct catalogue_fragment *fragments, int64_t next_us)
{
	struct clip_walk walk;

	clip_walk_begin(&walk, clip, segment, fragments);
	while (walk.i < segment->n) {
		int64_t us = fragments[walk.i].start_us - walk.closed_us, end_us = next_us,
			duration;
		uint64_t bytes = walk.bytes;

		clip_walk_next(&walk);
		if (walk.i < segment->n)
			end_us = fragments[walk.i].start_us - walk.closed_us;
		duration = other_time(clip, other, end_us) - other_time(clip, other, us);
		clip_reference_write(
			w, (uint32_t)bytes, duration > 0 ? (uint32_t)duration : 0, true);
	}
}

void clip_other_write(struct box_writer *w, const struct clip *clip, unsigned other, uint32_t box,
	const struct clip_walk *walk)
{
	const struct clip_other *it = &clip->others[other];
	uint32_t before = box * CLIP_REFERENCES_MOST, left = clip->fragments - before;
	uint32_t n = left < CLIP_REFERENCES_MOST ? left : CLIP_REFERENCES_MOST;
	uint64_t end = (uint64_t)(box + 1) * CLIP_SIDX_BYTES +
		       (uint64_t)(before + n) * CLIP_REFERENCE_BYTES;
	int64_t us = walk->fragments[walk->i].start_us - walk->closed_us;

	clip_sidx_write(w, &(struct clip_sidx){
				   .id = it->id,
				   .timescale = it->timescale,
				   .first = other_time(clip, it, us) -
					    clip_time(clip->origin_us, it->timescale),
				   .first_offset = (clip->n_others - other) * clip->other_bytes -
						   end + walk->segment->at + walk->at,
				   .n = n,
			   });
}
