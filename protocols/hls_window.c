/*
 * What HLS has of a stream: segments made of parts, which are the fragments that recordings consist
 * of, by reference (RFC 8216bis sections 3.1, 6.2.2).
 */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/hls_private.h"
#include "server/base/memory.h"

enum {
	SEGMENT_MIN_US = 900000,  /* a keyframe later than this begins a new segment */
	SEGMENT_MAX_US = 4450000, /* cut even without a keyframe: rounds to the target duration */
	/* Parts are 85 % of the target at least (section 4.4.4.9), but for the last one of a segment. */
	PART_MIN_US = HLS_PART_US / 100 * 85,
	/* Playlists are so long that something can be skipped; then a segment lives on as long as a playlist lasts. */
	LISTED_US = (HLS_SKIP_S + HLS_TARGET_S) * 1000000,
	KEPT_US = LISTED_US + 3 * HLS_TARGET_S * 1000000,
	WINDOW_BYTES =
		32 << 20, /* above this the oldest goes, whatever its age; two segments stay */
	WINDOW_SEGMENTS = 512,
	PARTS_PER_S = 8, /* more than there usually are */
};

/* An hour before the first media: what came a little earlier from another stream still has a time. */
#define ORIGIN_BEFORE_US INT64_C(3600000000)

/* For the next window: no number comes twice. And one origin for all, so that their times agree. */
static struct {
	uint64_t segment, part, discontinuity;
	int64_t origin_us; /* 0: none yet */
} hls_next;

static void hls_segment_free(struct hls_segment *segment)
{
	for (size_t i = 0; i < segment->n; i++) {
		fragment_unref(&segment->parts[i].fragment);
		if (segment->parts[i].body)
			evbuffer_free(segment->parts[i].body);
	}
	fragment_init_unref(&segment->init);
	free(segment);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void hls_window_init(struct hls_window *window, int64_t now_us)
{
	uint64_t now_s = (uint64_t)now_us / 1000000;

	*window = (struct hls_window){
		.next_segment = later(hls_next.segment, now_s),
		.next_part = later(hls_next.part, now_s * PARTS_PER_S),
		.discontinuities = hls_next.discontinuity,
	};
	TAILQ_INIT(&window->segments);
}

static struct hls_segment *window_newest(const struct hls_window *window)
{
	return TAILQ_LAST(&window->segments, hls_segments);
}

static struct hls_segment *window_open(const struct hls_window *window)
{
	struct hls_segment *newest = window_newest(window);

	return newest && newest->is_open ? newest : NULL;
}

static void window_drop_oldest(struct hls_window *window)
{
	struct hls_segment *oldest = TAILQ_FIRST(&window->segments);

	TAILQ_REMOVE(&window->segments, oldest, entry);
	window->n--;
	window->bytes -= oldest->bytes;
	window->duration_us -= oldest->duration_us;
	window->discontinuities += oldest->discontinuity;
	hls_segment_free(oldest);
}

void hls_window_fini(struct hls_window *window)
{
	while (!TAILQ_EMPTY(&window->segments))
		window_drop_oldest(window);
	fragment_init_unref(&window->init);
	hls_next.segment = later(hls_next.segment, window->next_segment);
	hls_next.part = later(hls_next.part, window->next_part);
	hls_next.discontinuity = later(hls_next.discontinuity, window->discontinuities);
}

void hls_window_close_segment(struct hls_window *window)
{
	struct hls_segment *open = window_open(window);

	if (open)
		open->is_open = false;
}

void hls_window_begin(struct hls_window *window, struct fragment_init *web)
{
	hls_window_close_segment(window);
	window->is_broken = !TAILQ_EMPTY(&window->segments);
	if (web && window->init && fragment_init_equal(web, window->init))
		return;
	fragment_init_unref(&window->init);
	window->init = web ? fragment_init_ref(web) : NULL;
	window->init_number = window->next_segment;
}

/* --- a fragment more --- */

/* Whether the segment ends before this fragment. */
static bool segment_ends_before(const struct hls_segment *open, const struct fragment *next)
{
	const struct fragment *last = open->parts[open->n - 1].fragment;
	/* cut short by the keyframe, which is allowed at the end only */
	bool has_short_end = !last->keyframe && last->duration_us < PART_MIN_US;

	return (next->keyframe && (open->duration_us >= SEGMENT_MIN_US || has_short_end)) ||
	       open->duration_us + next->duration_us > SEGMENT_MAX_US ||
	       next->duration_us > HLS_PART_US || open->n == HLS_SEGMENT_PARTS;
}

static int64_t origin_for(int64_t start_us)
{
	if (!hls_next.origin_us || start_us < hls_next.origin_us)
		hls_next.origin_us = start_us - ORIGIN_BEFORE_US;
	return hls_next.origin_us;
}

/* Times go on from the segment before, unless something lies between. */
static struct hls_segment *window_new_segment(
	struct hls_window *window, const struct fragment *first)
{
	const struct hls_segment *before = window_newest(window);
	struct hls_segment *segment = xcalloc(1, sizeof(*segment));

	segment->number = window->next_segment++;
	segment->first_part = window->next_part;
	segment->init = fragment_init_ref(window->init);
	segment->init_number = window->init_number;
	segment->is_open = true;
	segment->discontinuity = window->is_broken;
	segment->start_us = first->start_us;
	segment->origin_us = before && !window->is_broken ? before->origin_us
							  : origin_for(fragment_origin_us(first));
	window->is_broken = false;
	TAILQ_INSERT_TAIL(&window->segments, segment, entry);
	window->n++;
	return segment;
}

static size_t fragment_pictures(const struct fragment *fragment)
{
	return fragment->init->width ? fragment->tracks[fragment->init->lead].n : 0;
}

static void window_trim(struct hls_window *window)
{
	const struct hls_segment *oldest;

	while (window->n > 2) {
		oldest = TAILQ_FIRST(&window->segments);
		if (window->duration_us - oldest->duration_us < KEPT_US &&
			window->bytes <= WINDOW_BYTES && window->n <= WINDOW_SEGMENTS)
			return;
		window_drop_oldest(window);
	}
}

/*
 * A picture that stood longer than a segment may last: the segment says as much as it may, what
 * follows is of another time.
 */
static int64_t window_clamp(struct hls_window *window, int64_t duration_us)
{
	if (duration_us <= SEGMENT_MAX_US)
		return duration_us;
	window->is_broken = true;
	return SEGMENT_MAX_US;
}

void hls_window_add(struct hls_window *window, struct fragment *fragment)
{
	struct hls_segment *open = window_open(window);
	int64_t duration_us;

	if (open && segment_ends_before(open, fragment)) {
		hls_window_close_segment(window);
		open = NULL;
	}
	if (!open)
		open = window_new_segment(window, fragment);
	duration_us = window_clamp(window, fragment->duration_us);
	open->parts[open->n++].fragment = fragment_ref(fragment);
	open->duration_us += duration_us;
	open->bytes += fragment->bytes;
	open->pictures += fragment_pictures(fragment);
	window->next_part++;
	window->duration_us += duration_us;
	window->bytes += fragment->bytes;
	open->is_partless = fragment->duration_us > HLS_PART_US;
	if (open->is_partless)
		hls_window_close_segment(window);
	window_trim(window);
}

/* --- what is there --- */

const struct hls_segment *hls_window_first(const struct hls_window *window)
{
	const struct hls_segment *segment = window_newest(window), *before;
	int64_t listed_us = 0;

	for (; segment; segment = before) {
		before = TAILQ_PREV(segment, hls_segments, entry);
		listed_us += segment->duration_us;
		if (!before || listed_us >= LISTED_US)
			break;
	}
	return segment;
}

const struct hls_segment *hls_window_last(const struct hls_window *window)
{
	return window_newest(window);
}

bool hls_window_has(const struct hls_window *window, uint64_t segment, uint64_t part)
{
	const struct hls_segment *last = window_newest(window);

	if (!last || segment > last->number)
		return false;
	if (segment < last->number) /* a part that it does not have is the first one of the next */
		return true;
	if (part == HLS_NO_PART)
		return !last->is_open;
	return !last->is_partless && part < last->n;
}

bool hls_window_is_far(const struct hls_window *window, uint64_t segment, uint64_t part)
{
	const struct hls_segment *last = window_newest(window);
	uint64_t parts = 0;

	if (!last)
		return false;
	if (segment > last->number - last->is_open + 2)
		return true;
	if (last->is_open && segment == last->number)
		parts = last->n;
	return part != HLS_NO_PART && segment >= last->number && part >= parts + HLS_ADVANCE_PARTS;
}

struct hls_segment *hls_window_find_segment(const struct hls_window *window, uint64_t number)
{
	struct hls_segment *segment;

	TAILQ_FOREACH (segment, &window->segments, entry) {
		if (segment->number == number)
			return segment;
	}
	return NULL;
}

const struct fragment_init *hls_window_find_init(const struct hls_window *window, uint64_t number)
{
	const struct hls_segment *segment;

	TAILQ_FOREACH (segment, &window->segments, entry) {
		if (segment->init_number == number)
			return segment->init;
	}
	return NULL;
}

static void segment_append_part(struct hls_segment *segment, size_t i, struct evbuffer *out)
{
	struct hls_part *part = &segment->parts[i];

	if (!part->body) {
		part->body = evbuffer_new();
		fragment_append(part->fragment, segment->origin_us, part->body);
	}
	if (evbuffer_add_buffer_reference(out, part->body))
		abort();
}

bool hls_window_append_part(const struct hls_window *window, uint64_t number, struct evbuffer *out)
{
	struct hls_segment *segment;

	TAILQ_FOREACH_REVERSE(segment, &window->segments, hls_segments, entry)
	{
		if (number >= segment->first_part && number - segment->first_part < segment->n) {
			segment_append_part(segment, number - segment->first_part, out);
			return true;
		}
	}
	return false;
}

void hls_segment_append(struct hls_segment *segment, struct evbuffer *out)
{
	for (size_t i = 0; i < segment->n; i++)
		segment_append_part(segment, i, out);
}

/* --- measuring --- */

/*
 * The largest rate of consecutive segments that last between half and one and a half target
 * durations together (section 4.4.6.2).
 */
static uint64_t window_peak(const struct hls_window *window)
{
	const struct hls_segment *first, *last;
	uint64_t peak = 0;

	TAILQ_FOREACH (first, &window->segments, entry) {
		int64_t duration_us = 0;
		uint64_t bytes = 0;

		for (last = first; last; last = TAILQ_NEXT(last, entry)) {
			duration_us += last->duration_us;
			bytes += last->bytes;
			if (duration_us * 2 > HLS_TARGET_S * INT64_C(3000000))
				break;
			if (duration_us * 2 >= HLS_TARGET_S * INT64_C(1000000))
				peak = later(peak, bytes * 8000000 / (uint64_t)duration_us);
		}
	}
	return peak;
}

struct hls_rates hls_window_measure(const struct hls_window *window)
{
	uint64_t duration_us = (uint64_t)window->duration_us, pictures = 0;
	const struct hls_segment *segment;
	struct hls_rates rates;

	if (!duration_us)
		duration_us = 1;
	TAILQ_FOREACH (segment, &window->segments, entry) {
		pictures += segment->pictures;
	}
	rates.average = window->bytes * UINT64_C(8000000) / duration_us;
	rates.peak = later(window_peak(window), rates.average);
	rates.frames_1000 = (unsigned)(pictures * UINT64_C(1000000000) / duration_us);
	return rates;
}
