#pragma once

#include <stdint.h>

/*
 * RTP carries presentation times in decoding order; files need decode times as well. Given the
 * depth of reordering (from the SPS), the decode time of a picture is the presentation time that
 * stood `depth` places before in sorted order. Plain data.
 */
enum {
	DECODE_TIME_DEPTH = 16
};

struct decode_time {
	unsigned depth, filled;
	int64_t frame; /* duration guess for the first `depth` pictures, in the track's units */
	int64_t last;  /* the last decode time given */
	int64_t sorted[DECODE_TIME_DEPTH + 1];
};

void decode_time_init(struct decode_time *d, unsigned depth, int64_t frame);
/* All times given so far were moved by so much. */
void decode_time_shift(struct decode_time *d, int64_t by);
/*
 * The decode time: more than any before, and at most pts. Where a stream reorders more than it said,
 * so that both cannot be, it still rises.
 */
int64_t decode_time_of(struct decode_time *d, int64_t pts);
