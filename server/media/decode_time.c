#include "server/media/decode_time.h"

#include <limits.h>
#include <string.h>

/* Decode times from presentation times: a small sorted window of the latest ones. */

void decode_time_init(struct decode_time *d, unsigned depth, int64_t frame)
{
	*d = (struct decode_time){
		.depth = depth < DECODE_TIME_DEPTH ? depth : DECODE_TIME_DEPTH,
		.frame = frame > 0 ? frame : 1,
		.last = INT64_MIN,
	};
}

void decode_time_shift(struct decode_time *d, int64_t by)
{
	for (unsigned i = 0; i < d->filled; i++)
		d->sorted[i] += by;
	if (d->last != INT64_MIN)
		d->last += by;
}

static void decode_time_insert(struct decode_time *d, int64_t pts)
{
	unsigned i = d->filled++;

	for (; i > 0 && d->sorted[i - 1] > pts; i--)
		d->sorted[i] = d->sorted[i - 1];
	d->sorted[i] = pts;
}

static int64_t decode_time_take_first(struct decode_time *d)
{
	int64_t first = d->sorted[0];

	d->filled--;
	memmove(d->sorted, d->sorted + 1, d->filled * sizeof(d->sorted[0]));
	return first;
}

int64_t decode_time_of(struct decode_time *d, int64_t pts)
{
	int64_t dts;

	decode_time_insert(d, pts);
	if (d->filled > d->depth)
		dts = decode_time_take_first(d);
	else if (d->last == INT64_MIN)
		dts = pts - (int64_t)d->depth * d->frame;
	else /* the run has only begun: go on from the first guess */
		dts = d->last + d->frame;
	if (dts > pts)
		dts = pts;
	if (d->last != INT64_MIN && dts <= d->last)
		dts = d->last + 1;
	d->last = dts;
	return dts;
}
