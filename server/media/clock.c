#include "server/media/clock.h"

#include <math.h>

/*
 * RTP time to UTC. A delay is (arrival - media time), counted from the base; media time includes
 * what was steered, so a rising least delay is a camera whose clock is slow.
 */

#define SECOND_US INT64_C(1000000)

enum {
	CLOCK_WINDOW_US = 10 * 1000000,
	CLOCK_JUMP_US = 1000000,
	CLOCK_STEER_FROM_US = 50000,
	CLOCK_LED_FROM_US = 10000, /* steering after another clock; reports are exact to some ms */
	CLOCK_LED_US = 60 * 1000000,
	CLOCK_ALIGN_FROM_US = 100000,
	CLOCK_STEER_PPM = 500,
	CLOCK_STEER_STEP_US = 500, /* at most at once, after a pause */

	/* A slope counts when it has led this far: late may be a crowded network, early may not. */
	CLOCK_LEARN_EARLY_US = 300000,
	CLOCK_LEARN_LATE_US = 700000,
	CLOCK_LEARN_AFTER_US = 5 * 1000000,
	CLOCK_STEADY_PERCENT = 25, /* how far the slope of its first half may differ */
	CLOCK_MS_HZ = 1000,        /* what some count by, whatever they say */

	CLOCK_JUMPS_MOST = 3, /* in a minute; then arrival counts */
	CLOCK_REPEATS_MOST = 10,
};

/* Seconds and their rest apart, since UTC in microseconds times 90000 is more than 63 bits. */
static int64_t clock_from_us(const struct clock *clock, int64_t us)
{
	return us / SECOND_US * clock->hz + us % SECOND_US * clock->hz / SECOND_US;
}

static int64_t clock_to_us(const struct clock *clock, int64_t time)
{
	return time / clock->hz * SECOND_US + time % clock->hz * SECOND_US / clock->hz;
}

void clock_init(struct clock *clock, uint32_t hz)
{
	*clock = (struct clock){ .hz = hz ? hz : 90000, .rate = 1 };
}

/* Begins anew at this stamp; what was learned of the camera stays. */
static void clock_anchor(struct clock *clock, uint32_t rtp, int64_t utc_us)
{
	*clock = (struct clock){
		.hz = clock->hz,
		.anchored = true,
		.last_rtp = rtp,
		.rate = clock->rate,
		.settled = clock->settled,
		.jumps = clock->jumps,
		.jump_us = clock->jump_us,
		.by_arrival = clock->by_arrival,
	};
	clock->utc_base = clock_from_us(clock, utc_us);
}

/* Ticks of media since the base, scaled to true time; steering left out. */
static int64_t clock_scaled(const struct clock *clock, int64_t rtp)
{
	int64_t ticks = rtp - clock->rtp_base;

	/* a camera that says the truth keeps its own spacing exactly */
	return clock->rate == 1 ? ticks : llround((double)ticks * clock->rate);
}

static int64_t clock_media_us(const struct clock *clock)
{
	return clock_to_us(clock, clock_scaled(clock, clock->rtp));
}

static int64_t clock_time(const struct clock *clock, int64_t rtp)
{
	return clock->utc_base + clock_scaled(clock, rtp) + clock_from_us(clock, clock->steered_us);
}

/* --- steering --- */

/* Counts delays from another zero: what was `by` is 0 from now on. */
static void clock_shift_delays(struct clock *clock, int64_t by_us)
{
	clock->last_delay_us -= by_us;
	clock->window_min_us -= by_us;
	clock->lowest_us -= by_us;
	clock->second_min_us -= by_us;
}

/* Adds a little of the error to the steering, as much as the time since the last stamp allows. */
static void clock_steer(struct clock *clock, int64_t monotonic_us)
{
	int64_t step = (monotonic_us - clock->steer_at_us) * CLOCK_STEER_PPM / SECOND_US;

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
	clock_shift_delays(clock, step);
}

/* Another clock that was not heard for a minute leads no more. */
static bool clock_is_led(const struct clock *clock, int64_t monotonic_us)
{
	return clock->led_us && monotonic_us - clock->led_us < CLOCK_LED_US;
}

/* --- the slope --- */

/* From `at_us` on, when the delay was so much. */
static void clock_begin_epoch(struct clock *clock, int64_t at_us, int64_t delay_us)
{
	clock->epoch_us = clock->second_us = at_us;
	clock->epoch_delay_us = delay_us;
	clock->second_min_us = INT64_MAX / 2;
	clock->check_us = clock->next_check_us = 0;
}

/* Scales media time from here on, without a step. */
static void clock_set_rate(struct clock *clock, double rate)
{
	int64_t media_us = clock_media_us(clock);

	clock->utc_base += clock_scaled(clock, clock->rtp);
	clock->rtp_base = clock->rtp;
	clock->arrival_base_us += media_us;
	clock->rate = rate;
}

/* Whether the slope was about the same at half-time. */
static bool clock_is_steady(const struct clock *clock, int64_t past_us, int64_t risen_us)
{
	double slope = (double)risen_us / (double)past_us;
	double half = (double)clock->check_rise_us / (double)clock->check_us;

	return clock->check_us && fabs(half - slope) < fabs(slope) * CLOCK_STEADY_PERCENT / 100;
}

/* Each check stands from twice to four times its own time. */
static void clock_take_check(struct clock *clock, int64_t past_us, int64_t risen_us)
{
	if (past_us < 2 * clock->next_check_us)
		return;
	clock->check_us = clock->next_check_us;
	clock->check_rise_us = clock->next_rise_us;
	clock->next_check_us = past_us;
	clock->next_rise_us = risen_us;
}

/* The rate that makes the media of past_us last so long, when its delay has risen by so much. */
static double clock_rate_of(const struct clock *clock, int64_t past_us, int64_t risen_us)
{
	double factor = (double)past_us / (double)(past_us - risen_us);
	double of_ms = (double)clock->hz / CLOCK_MS_HZ;

	if (clock->rate == 1 && factor > of_ms * 0.7 && factor < of_ms * 1.4)
		return of_ms;
	return clock->rate * factor;
}

/*
 * Closes a second of arrival. Returns whether a rate was learned, and so late that times are to be
 * anchored anew.
 */
static bool clock_end_second(struct clock *clock, int64_t monotonic_us)
{
	int64_t at_us = clock->second_min_at_us, past_us = at_us - clock->epoch_us;
	int64_t delay_us = clock->second_min_us;
	int64_t risen_us = delay_us - clock->epoch_delay_us;
	bool enough = risen_us > CLOCK_LEARN_LATE_US || risen_us < -CLOCK_LEARN_EARLY_US;

	clock->second_us = monotonic_us;
	clock->second_min_us = INT64_MAX / 2;
	if (enough && past_us > CLOCK_LEARN_AFTER_US && risen_us < past_us &&
		clock_is_steady(clock, past_us, risen_us)) {
		clock_set_rate(clock, clock_rate_of(clock, past_us, risen_us));
		clock_begin_epoch(clock, at_us, delay_us);
		return delay_us > CLOCK_JUMP_US || delay_us < -CLOCK_JUMP_US;
	}
	clock_take_check(clock, past_us, risen_us);
	return false;
}

/* --- following arrival --- */

static void clock_first_arrival(struct clock *clock, int64_t monotonic_us)
{
	clock->arrived = true;
	clock->arrival_base_us = monotonic_us - clock_media_us(clock);
	clock->window_start_us = monotonic_us;
	clock->window_min_us = INT64_MAX / 2;
	clock->steer_at_us = monotonic_us;
	clock_begin_epoch(clock, monotonic_us, 0);
}

/* Closes a window of arrival: looks how far media time is off. Returns whether that is a jump. */
static bool clock_end_window(struct clock *clock, int64_t monotonic_us)
{
	int64_t error = clock->window_min_us;

	if (clock->led_us && !clock_is_led(clock, monotonic_us)) {
		/* where the other clock left it is right: no steering back */
		clock->led_us = 0;
		clock->arrival_base_us += error;
		clock_shift_delays(clock, error);
		error = 0;
	}
	if (error > CLOCK_JUMP_US || error < -CLOCK_JUMP_US)
		return true;
	if (!clock_is_led(clock, monotonic_us) &&
		(clock->error_us || error > CLOCK_STEER_FROM_US || error < -CLOCK_STEER_FROM_US))
		clock->error_us = error;
	clock->lowest_us = error;
	clock->window_start_us = monotonic_us;
	clock->window_min_us = INT64_MAX / 2;
	return false;
}

static void clock_take_delay(struct clock *clock, int64_t delay_us, int64_t monotonic_us)
{
	if (delay_us < clock->window_min_us)
		clock->window_min_us = delay_us;
	if (delay_us < clock->lowest_us)
		clock->lowest_us = delay_us;
	if (delay_us < clock->second_min_us) {
		clock->second_min_us = delay_us;
		clock->second_min_at_us = monotonic_us;
	}
}

/* Follows one arrival. Returns whether times are to be anchored anew. */
static bool clock_follow(struct clock *clock, int64_t rtp_step, int64_t monotonic_us)
{
	int64_t delay, earlier;
	bool jumped = false;

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
	clock_take_delay(clock, delay, monotonic_us);
	if (monotonic_us - clock->second_us >= SECOND_US)
		jumped = clock_end_second(clock, monotonic_us);
	if (monotonic_us - clock->window_start_us >= CLOCK_WINDOW_US)
		jumped = clock_end_window(clock, monotonic_us) || jumped;
	return jumped;
}

/* --- times that make no sense --- */

/* Whether the camera's times are to be given up: they stand still, or have jumped too often. */
static bool clock_is_hopeless(struct clock *clock, int64_t rtp_step, int64_t monotonic_us)
{
	if (rtp_step || !clock->repeats)
		clock->repeat_us = monotonic_us;
	clock->repeats = rtp_step ? 0 : clock->repeats + 1;
	return clock->jumps > CLOCK_JUMPS_MOST ||
	       (clock->repeats > CLOCK_REPEATS_MOST && monotonic_us - clock->repeat_us > SECOND_US);
}

static void clock_count_jump(struct clock *clock, int64_t monotonic_us)
{
	if (!clock->jumps || monotonic_us - clock->jump_us > 60 * SECOND_US) {
		clock->jumps = 0;
		clock->jump_us = monotonic_us;
	}
	clock->jumps++;
}

/* By arrival the base is an instant, and delays' zero the monotonic time of it. */
static int64_t clock_time_of_arrival(const struct clock *clock, int64_t monotonic_us)
{
	return clock->utc_base + clock_from_us(clock, monotonic_us - clock->arrival_base_us);
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
	if (clock->by_arrival) {
		*ret = clock_time_of_arrival(clock, monotonic_us);
		return CLOCK_OK;
	}
	if (clock_follow(clock, step, monotonic_us)) {
		clock_count_jump(clock, monotonic_us);
		clock_anchor(clock, rtp, utc_us);
		clock_first_arrival(clock, monotonic_us);
		result = CLOCK_JUMPED;
	}
	if (clock->arrived && clock_is_hopeless(clock, step, monotonic_us)) {
		clock_anchor(clock, rtp, utc_us);
		clock_first_arrival(clock, monotonic_us);
		clock->by_arrival = true;
		result = CLOCK_JUMPED;
	}
	*ret = clock_time(clock, clock->rtp);
	return result;
}

int64_t clock_early_us(const struct clock *clock)
{
	return clock->arrived && !clock->by_arrival && clock->lowest_us < 0 ? clock->lowest_us : 0;
}

int64_t clock_settle(struct clock *clock, int64_t early_us)
{
	int64_t shift = clock_from_us(clock, early_us);

	clock->settled = true;
	clock->utc_base += shift;
	clock->arrival_base_us += early_us;
	clock_shift_delays(clock, early_us);
	clock_begin_epoch(clock, clock->epoch_us, 0);
	return shift;
}

/* --- other clocks --- */

int64_t clock_instant_us(const struct clock *clock, uint32_t rtp)
{
	return clock_to_us(clock, clock_time(clock, clock->rtp + (int32_t)(rtp - clock->last_rtp)));
}

bool clock_align(struct clock *clock, uint32_t rtp, int64_t utc_us, int64_t monotonic_us)
{
	int64_t off_us;

	clock->led_us = monotonic_us;
	if (!clock->anchored) {
		clock_anchor(clock, rtp, utc_us);
		clock->led_us = monotonic_us;
		return true;
	}
	if (clock->by_arrival)
		return false;
	off_us = utc_us - clock_instant_us(clock, rtp);
	if (off_us <= CLOCK_ALIGN_FROM_US && off_us >= -CLOCK_ALIGN_FROM_US) {
		if (clock->error_us || off_us > CLOCK_LED_FROM_US || off_us < -CLOCK_LED_FROM_US)
			clock->error_us = off_us;
		return false;
	}
	clock->error_us = 0;
	clock->utc_base += clock_from_us(clock, off_us);
	return true;
}
