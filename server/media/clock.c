#include "server/media/clock.h"

/*
 * RTP time to UTC. A delay is (arrival - media time), counted from the first stamp; media time
 * includes what was steered, so a rising least delay is a camera whose clock is slow.
 */

enum {
	CLOCK_WINDOW_US = 10 * 1000000,
	CLOCK_JUMP_US = 1000000,
	CLOCK_STEER_FROM_US = 50000,
	CLOCK_ALIGN_FROM_US = 100000,
	CLOCK_STEER_PPM = 500,
	CLOCK_STEER_STEP_US = 500, /* at most at once, after a pause */
};

/* Seconds and their rest apart, since UTC in microseconds times 90000 is more than 63 bits. */
static int64_t clock_from_us(const struct clock *clock, int64_t us)
{
	return us / 1000000 * clock->hz + us % 1000000 * clock->hz / 1000000;
}

static int64_t clock_to_us(const struct clock *clock, int64_t time)
{
	return time / clock->hz * 1000000 + time % clock->hz * 1000000 / clock->hz;
}

void clock_init(struct clock *clock, uint32_t hz)
{
	*clock = (struct clock){ .hz = hz ? hz : 90000 };
}

static void clock_anchor(struct clock *clock, uint32_t rtp, int64_t utc_us)
{
	uint32_t hz = clock->hz;

	*clock = (struct clock){
		.hz = hz, .anchored = true, .last_rtp = rtp, .settled = clock->settled
	};
	clock->utc_base = clock_from_us(clock, utc_us);
}

/* Media time since the anchor, steering left out. */
static int64_t clock_media_us(const struct clock *clock)
{
	return clock_to_us(clock, clock->rtp - clock->rtp_base);
}

/* Adds a little of the error to the steering, as much as the time since the last stamp allows. */
static void clock_steer(struct clock *clock, int64_t monotonic_us)
{
	int64_t step = (monotonic_us - clock->steer_at_us) * CLOCK_STEER_PPM / 1000000;

	/* The rest of a division is kept for the next stamp. */
	if (!step || !clock->error_us) {
		if (!clock->error_us)
			clock->steer_at_us = monotonic_us;
		return;
	}
	clock->steer_at_us = monotonic_us;
	if (step > CLOCK_STEER_STEP_US)
		step = CLOCK_STEER_STEP_US;
	if (step > clock->error_us && step > -clock->error_us)
		step = clock->error_us > 0 ? clock->error_us : -clock->error_us;
	if (clock->error_us < 0)
		step = -step;
	clock->steered_us += step;
	clock->error_us -= step;
	clock->last_delay_us -= step;
	clock->window_min_us -= step;
	clock->lowest_us -= step;
}

static void clock_first_arrival(struct clock *clock, int64_t monotonic_us)
{
	clock->arrived = true;
	clock->arrival_base_us = monotonic_us - clock_media_us(clock);
	clock->window_start_us = monotonic_us;
	clock->window_min_us = INT64_MAX / 2;
	clock->steer_at_us = monotonic_us;
}

/* Closes a window of arrival: looks how far media time is off. Returns whether that is a jump. */
static bool clock_end_window(struct clock *clock, int64_t monotonic_us)
{
	int64_t error = clock->window_min_us;

	if (error > CLOCK_JUMP_US || error < -CLOCK_JUMP_US)
		return true;
	if (clock->error_us || error > CLOCK_STEER_FROM_US || error < -CLOCK_STEER_FROM_US)
		clock->error_us = error;
	clock->lowest_us = error;
	clock->window_start_us = monotonic_us;
	clock->window_min_us = INT64_MAX / 2;
	return false;
}

/* Follows one arrival. Returns whether the camera's time leapt. */
static bool clock_follow(struct clock *clock, int64_t rtp_step, int64_t monotonic_us)
{
	int64_t delay, earlier;

	if (!clock->arrived) {
		clock_first_arrival(clock, monotonic_us);
		return false;
	}
	if (clock_to_us(clock, rtp_step) < -CLOCK_JUMP_US)
		return true;
	clock_steer(clock, monotonic_us);
	delay = monotonic_us - clock->arrival_base_us - clock_media_us(clock) - clock->steered_us;
	earlier = clock->last_delay_us - delay;
	clock->last_delay_us = delay;
	/* Earlier at once, and earlier than anything can arrive: that is no end of a delay. */
	if (clock->settled && earlier > CLOCK_JUMP_US && delay < clock->lowest_us - CLOCK_JUMP_US)
		return true;
	if (delay < clock->window_min_us)
		clock->window_min_us = delay;
	if (delay < clock->lowest_us)
		clock->lowest_us = delay;
	return monotonic_us - clock->window_start_us >= CLOCK_WINDOW_US &&
	       clock_end_window(clock, monotonic_us);
}

int64_t clock_settle(struct clock *clock)
{
	int64_t early_us = clock->arrived && clock->lowest_us < 0 ? clock->lowest_us : 0;
	int64_t shift = clock_from_us(clock, early_us);

	clock->settled = true;
	clock->utc_base += shift;
	clock->arrival_base_us += early_us;
	clock->last_delay_us -= early_us;
	clock->window_min_us -= early_us;
	clock->lowest_us -= early_us;
	return shift;
}

static int64_t clock_time(const struct clock *clock, int64_t rtp)
{
	return clock->utc_base + (rtp - clock->rtp_base) + clock_from_us(clock, clock->steered_us);
}

enum clock_result clock_stamp(
	struct clock *clock, uint32_t rtp, int64_t utc_us, int64_t monotonic_us, int64_t *ret)
{
	enum clock_result result = CLOCK_OK;
	int32_t step;

	if (!clock->anchored)
		clock_anchor(clock, rtp, utc_us);
	step = (int32_t)(rtp - clock->last_rtp);
	clock->rtp += step;
	clock->last_rtp = rtp;
	if (clock_follow(clock, step, monotonic_us)) {
		clock_anchor(clock, rtp, utc_us);
		clock_first_arrival(clock, monotonic_us);
		result = CLOCK_JUMPED;
	}
	*ret = clock_time(clock, clock->rtp);
	return result;
}

int64_t clock_instant_us(const struct clock *clock, uint32_t rtp)
{
	return clock_to_us(clock, clock_time(clock, clock->rtp + (int32_t)(rtp - clock->last_rtp)));
}

bool clock_align(struct clock *clock, uint32_t rtp, int64_t utc_us)
{
	int64_t off_us;

	if (!clock->anchored) {
		clock_anchor(clock, rtp, utc_us);
		return true;
	}
	off_us = utc_us - clock_instant_us(clock, rtp);
	if (off_us <= CLOCK_ALIGN_FROM_US && off_us >= -CLOCK_ALIGN_FROM_US)
		return false;
	clock->utc_base += clock_from_us(clock, off_us);
	return true;
}
