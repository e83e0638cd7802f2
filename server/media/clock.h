#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * From a camera's RTP time to UTC. The first picture is anchored to the local clock at its arrival;
 * from there the camera's clock counts, exactly, while a slow drift against the local clock is
 * steered out by at most 500 ppm (only once it is seen to exceed 50 ms, so that short runs keep the
 * camera's own spacing to the tick). The local clock's truth is the minimum of (arrival - media
 * time), since delay only adds. A jump of more than a second against arrival time starts a new run;
 * late arrival alone is no jump, unless it lasts for a whole window of ten seconds. Plain data.
 */
struct clock {
	uint32_t hz;
	bool anchored;
	uint32_t last_rtp;
	int64_t rtp;      /* unwrapped, of the last stamp */
	int64_t rtp_base; /* unwrapped, of the anchor */
	int64_t utc_base; /* the anchor, in hz since 1970 */

	/* arrival by the monotonic clock */
	bool arrived;            /* at least once since the anchor */
	int64_t arrival_base_us; /* of the first stamp; delays count from it */
	int64_t last_delay_us;   /* of the last stamp */
	int64_t window_start_us; /* ten seconds each */
	int64_t window_min_us;   /* the least delay of the window, steering included */
	int64_t lowest_us;       /* the least delay of the last window and this one */
	int64_t error_us;        /* still to be steered out; 0: not steering */
	int64_t steered_us;      /* added to media time so far */
	int64_t steer_at_us;     /* when it was last added to */
	bool settled;            /* what came at once in the beginning is behind us */
};

void clock_init(struct clock *clock, uint32_t hz);

enum clock_result {
	CLOCK_OK,
	CLOCK_JUMPED
};

/*
 * The presentation time of a unit, in hz since 1970 (not monotonic: pictures may be reordered).
 * `utc_us` and `monotonic_us` are the arrival by both local clocks: arrival is followed by the
 * monotonic one, so that a step of the local clock moves nothing within a run. CLOCK_JUMPED: the
 * camera's time leapt and the clock was anchored anew; the caller starts a new run.
 */
enum clock_result clock_stamp(
	struct clock *clock, uint32_t rtp, int64_t utc_us, int64_t monotonic_us, int64_t *ret);

/*
 * Some cameras begin with seconds of the past at once. Called some 200 ms after the first stamp,
 * while its units are still held back: moves the anchor so that nothing came before it was made.
 * Returns how far the stamps given so far must move, in hz; never forward. Before it no jump is
 * seen.
 */
int64_t clock_settle(struct clock *clock);

/*
 * Sender reports of two tracks align them: moves `clock` so that its RTP time `rtp` means the
 * instant `utc_us` of the leading track's timeline. Before the first stamp it sets the anchor; later
 * it steps only when it differs by more than 100 ms. Returns whether it moved.
 */
bool clock_align(struct clock *clock, uint32_t rtp, int64_t utc_us);
/* The instant (us) that an RTP time near the last one means; needs an anchored clock. */
int64_t clock_instant_us(const struct clock *clock, uint32_t rtp);
