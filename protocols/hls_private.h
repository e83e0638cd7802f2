#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "protocols/hls_directives.h"
#include "storage/fragment.h"

struct evbuffer;
struct stream;

/*
 * What the files hls*.c share. The numbers are the same for all streams, since what variants of one
 * multivariant playlist say in EXT-X-SERVER-CONTROL must be (RFC 8216bis section 6.2.4).
 */
enum {
	HLS_TARGET_S = 4,               /* EXT-X-TARGETDURATION */
	HLS_SKIP_S = 6 * HLS_TARGET_S,  /* CAN-SKIP-UNTIL: six of them at least */
	HLS_PARTS_S = 3 * HLS_TARGET_S, /* from the end on, parts are listed */
	HLS_PART_US = 540000,           /* PART-TARGET: a fragment, and some unevenness */
	HLS_HOLD_BACK_US = 3 * HLS_PART_US,
	HLS_ADVANCE_PARTS = 3000000 / HLS_PART_US, /* the Advance Part Limit */
	HLS_SEGMENT_PARTS = 64,
};

/* No part is asked for, or listed. */
#define HLS_NO_PART HLS_DIRECTIVE_NONE

/* --- the window: what a stream has in memory (hls_window.c) --- */

struct hls_part {
	struct fragment *fragment;
	struct evbuffer *body; /* as it is sent, shared by all answers; NULL: not asked for yet */
};

/* One that is open gets more parts. One that is a single fragment longer than HLS_PART_US has none to list. */
struct hls_segment {
	TAILQ_ENTRY(hls_segment) entry;
	uint64_t number;     /* media sequence number */
	uint64_t first_part; /* the number of parts[0]: they are counted over all segments */
	struct fragment_init *init;
	uint64_t init_number; /* of the first segment that has it */
	bool is_open, is_partless, discontinuity;
	int64_t origin_us; /* its decode times count from there */
	int64_t start_us, duration_us;
	size_t bytes, pictures;
	size_t n;
	struct hls_part parts[HLS_SEGMENT_PARTS];
};
TAILQ_HEAD(hls_segments, hls_segment);

struct hls_window {
	struct hls_segments segments;
	size_t n, bytes;
	int64_t duration_us;
	uint64_t next_segment, next_part;
	uint64_t discontinuities;   /* of segments that are gone */
	struct fragment_init *init; /* of the run; NULL: none, or nothing for browsers */
	uint64_t init_number;
	bool is_broken; /* the next segment follows a discontinuity */
};

/*
 * An empty one. Its numbers are greater than those of all windows before it, those of processes
 * before included, by the clock: what a player remembers, or a cache keeps, is never taken for new.
 */
void hls_window_init(struct hls_window *window, int64_t now_us);
void hls_window_fini(struct hls_window *window);
/* A run begins, with that (NULL: nothing for browsers), or ends. */
void hls_window_begin(struct hls_window *window, struct fragment_init *web);
void hls_window_add(struct hls_window *window, struct fragment *fragment);
/* Ends the open segment: there is no more of it, or it is wanted now. */
void hls_window_close_segment(struct hls_window *window);

/* The first segment that playlists list: there are some more, for players that are behind. NULL: it is empty. */
const struct hls_segment *hls_window_first(const struct hls_window *window);
const struct hls_segment *hls_window_last(const struct hls_window *window);
/* Whether a playlist has that segment, and part (or HLS_NO_PART: all of it), or something later. */
bool hls_window_has(const struct hls_window *window, uint64_t segment, uint64_t part);
/* Whether that is so far ahead that nobody should ask for it (section 6.2.5.2). */
bool hls_window_is_far(const struct hls_window *window, uint64_t segment, uint64_t part);
struct hls_segment *hls_window_find_segment(const struct hls_window *window, uint64_t number);
const struct fragment_init *hls_window_find_init(const struct hls_window *window, uint64_t number);
/* Appends references. A part that is not there: false. */
bool hls_window_append_part(const struct hls_window *window, uint64_t number, struct evbuffer *out);
void hls_segment_append(struct hls_segment *segment, struct evbuffer *out);

struct hls_rates {
	uint64_t peak, average; /* bit/s: EXT-X-STREAM-INF's BANDWIDTH and AVERAGE-BANDWIDTH */
	unsigned frames_1000;   /* per 1000 s; 0 without pictures */
};
/* Measured over what is there; a window that is not empty. */
struct hls_rates hls_window_measure(const struct hls_window *window);

/* --- playlists (hls_playlist.c) --- */

/* What another rendition has: EXT-X-RENDITION-REPORT. */
struct hls_report {
	const char *uri;
	uint64_t segment, part; /* the last of each; HLS_NO_PART */
};
/* Of a window that is not empty. `delta`: old segments are skipped. `report` may be NULL. */
void hls_playlist_write(const struct hls_window *window, bool delta,
	const struct hls_report *report, struct evbuffer *out);
/* An entry of a multivariant playlist; `rotation` as in struct stream_track. */
void hls_playlist_write_variant(
	const struct hls_window *window, int rotation, const char *uri, struct evbuffer *out);

/* --- streams (hls.c) --- */

struct hls;
/* The stream's, from now on for half a minute, whether the stream is up or not. */
struct hls *hls_wake(struct stream *stream);
const struct hls_window *hls_window_of(const struct hls *hls);
/* The other stream of the camera: its substream, or whose substream it is; NULL where there is none. */
struct stream *hls_sibling(const struct stream *stream);
/* To be called when a stream has something new, or has gone (hls_index.c). */
void hls_index_look(void);
