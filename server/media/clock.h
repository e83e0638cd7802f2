#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * From a camera's RTP time to UTC. The first picture is anchored to the local clock at its arrival;
 * from there the camera's clock counts. What is known of the truth is the least delay (arrival less
 * media time), since the way to us only ever adds to it:
 *
 * - a slow drift of the least delay is steered out by at most 500 ppm, once it is seen to exceed
 *   50 ms, so that short runs keep the camera's own spacing to the tick;
 * - a steady slope beyond that is a camera that lies about its rate (25 pictures promised, 21 sent;
 *   milliseconds in place of 90 kHz): the rate is learned, media time scaled by it, and what the
 *   estimate leaves is steered out faster; a lie of more than 5 % is set right by one new run;
 * - a leap of more than a second starts a new run, and so does a smaller one that the caller knows
 *   of by other means; late arrival alone is none, unless it lasts for
 *   two windows of ten seconds of media and does not grow less: a crowded network recovers;
 * - times that stand still, or leap again and again, are given up: arrival counts.
 *
 * Only the first anchor looks at the local clock. From there on arrival is followed by the monotonic
 * one, through every jump, so that a step of the local clock moves nothing. Plain data.
 */
struct clock {
	uint32_t hz;
	bool anchored;
	uint32_t last_rtp;
	int64_t rtp;      /* unwrapped, of the last stamp */
	int64_t newest;   /* unwrapped, the latest since the anchor */
	int64_t rtp_base; /* unwrapped, of the anchor or of the last change of the rate */
	int64_t utc_base; /* what that means, in hz since 1970 */
	double rate;      /* true time per media time; 1 until the camera is seen to lie */

	/* arrival by the monotonic clock */
	bool arrived;            /* at least once since the anchor */
	bool settled;            /* what came at once in the beginning is behind us */
	int64_t arrival_base_us; /* of the base, were there no delay; delays count from it */
	int64_t last_arrival_us;
	int64_t last_delay_us; /* of the last stamp */
	int64_t window_us;     /* how long this window has lasted, pauses left out */
	int64_t window_min_us; /* the least delay of the window, steering included */
	int64_t before_min_us; /* that of the window before */
	unsigned late_windows; /* in a row */

	/* steering */
	int64_t error_us;    /* still to be steered out; 0: not steering */
	int64_t steered_us;  /* added to media time since the anchor */
	int64_t steer_at_us; /* when it was last added to */

	/* another clock's reports */
	int64_t led_us;        /* when one was last followed; 0: none is */
	bool reported;         /* at least once since the anchor */
	int64_t report_off_us; /* how far the last one was away */

	/* the slope: the least delay of each second, steering left out, since the rate is what it is */
	bool epoch_measured;
	int64_t epoch_us, epoch_delay_us;
	int64_t stretch_us, stretch_min_us, stretch_min_at_us; /* of seconds */
	int64_t second_us, second_min_us, second_min_at_us;
	unsigned second_units;
	int64_t floor_us; /* the least delay of the last second */
	/* the rise after a quarter to a half of the time, for whether the slope is steady; and the next */
	int64_t check_us, check_rise_us, next_check_us, next_rise_us;

	/* times that make no sense */
	bool leaps;       /* the next stamp does, as the caller knows */
	unsigned jumps;   /* in the last two minutes */
	int64_t jump_us;  /* the first of them */
	unsigned repeats; /* stamps in a row with the same time */
	int64_t repeat_us;
	bool by_arrival;
};

void clock_init(struct clock *clock, uint32_t hz);

enum clock_result {
	CLOCK_OK,
	CLOCK_JUMPED
};

/*
 * The presentation time of a unit, in hz since 1970 (not monotonic: pictures may be reordered).
 * `utc_us` and `monotonic_us` are the arrival by both local clocks. CLOCK_JUMPED: the camera's time
 * leapt, or is told otherwise from here on; the caller starts a new run.
 */
enum clock_result clock_stamp(
	struct clock *clock, uint32_t rtp, int64_t utc_us, int64_t monotonic_us, int64_t *ret);

/*
 * Whether an RTP time lies more than 150 ms before one that was stamped, and is no leap by itself. For a
 * keyframe it is: no picture that is decoded before it is shown after it.
 */
bool clock_is_behind(const struct clock *clock, uint32_t rtp);
/* The next stamp is a leap, however small it is. */
void clock_expect_leap(struct clock *clock);

/*
 * Some cameras begin with seconds of the past at once. Some 200 ms after the first stamp, while its
 * units are still held back, clock_early_us() says how much too late the anchor is (0 or less), and
 * clock_settle() moves it: by that, or by what another clock said that leads this one. Returns how
 * far the stamps given so far must move, in hz. Before it, media may run ahead by ten seconds.
 */
int64_t clock_early_us(const struct clock *clock);
int64_t clock_settle(struct clock *clock, int64_t early_us);

/*
 * Sets the anchor before the first stamp, from another clock: RTP time `rtp` means `utc_us`. Returns
 * whether it did.
 */
bool clock_align(struct clock *clock, uint32_t rtp, int64_t utc_us, int64_t monotonic_us);
/*
 * Another clock says what this one's RTP time `rtp` means, in us since 1970. Believed when it agrees
 * with the report before and is not seconds away; then the track's own arrival is no longer
 * followed, for as long as such reports come once a minute. The first is stepped to, the others
 * steered to, and stepped to only beyond 100 ms. Returns whether it stepped.
 */
bool clock_follow_report(struct clock *clock, uint32_t rtp, int64_t utc_us, int64_t monotonic_us);
/* The instant (us) that an RTP time near the last one means; needs an anchored clock. */
int64_t clock_instant_us(const struct clock *clock, uint32_t rtp);
/*
 * The instant of an arrival by this clock, which the local one may have left since: what the other
 * tracks of a session are to be anchored to. Needs a clock that has stamped.
 */
int64_t clock_arrival_us(const struct clock *clock, int64_t monotonic_us);
