#include "server/media/clock.h"

#include <math.h>

/*
 * RTP time to UTC. A delay is (arrival - media time), counted from the base; media time includes
 * what was steered, so a rising least delay is a camera whose clock is slow.
 */

#define SECOND_US INT64_C(1000000)

enum {
	CLOCK_WINDOW_US = 10 * 1000000,
	CLOCK_PAUSE_US = 2 * 1000000, /* at most what a window counts between two units */
	CLOCK_JUMP_US = 1000000,
	CLOCK_BEHIND_US = 150000,      /* what a camera's timing of pictures may be unsure of */
	CLOCK_AHEAD_US = 10 * 1000000, /* of media before the clock has settled */
	CLOCK_LATE_WINDOWS = 2,
	CLOCK_TRUSTED_US = 60 * 1000000, /* a rate that stood so long; else it is one window */
	CLOCK_CATCHING_UP_US = 300000,   /* less late than the window before: it is the network's */

	CLOCK_STEER_FROM_US = 50000,
	CLOCK_STEER_PPM = 500,
	CLOCK_STEER_LIAR_PPM = 10000, /* whose own spacing is worth less than what it adds up to */

	CLOCK_LED_FROM_US = 10000, /* steering after another clock; reports are exact to some ms */
	CLOCK_LED_US = 60 * 1000000,
	CLOCK_STEP_FROM_US = 100000,
	CLOCK_REPORTS_AGREE_US = 60000, /* steering and drift since the last one included */
	CLOCK_REPORT_NONSENSE_US = 2 * 1000000,

	/* A slope counts when it has led this far: late may be a crowded network, early may not. */
	CLOCK_LEARN_EARLY_US = 300000,
	CLOCK_LEARN_LATE_US = 700000,
	CLOCK_LEARN_AFTER_US = 4 * 1000000,
	CLOCK_EPOCH_STRETCHES = 16,
	CLOCK_SECOND_UNITS = 8,    /* at least, so that one of them came without delay */
	CLOCK_STEADY_PERCENT = 25, /* how far the slope of its first half may differ */
	CLOCK_LIE_PERCENT = 5,     /* more is set right at once */
	CLOCK_RATE_MOST = 128,
	CLOCK_MS_HZ = 1000, /* what some count by, whatever they say */

	CLOCK_JUMPS_MOST = 3, /* in two minutes; then arrival counts */
	CLOCK_JUMPS_US = 120 * 1000000,
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
static void clock_anchor(struct clock *clock, uint32_t rtp, int64_t utc)
{
	*clock = (struct clock){
		.hz = clock->hz,
		.anchored = true,
		.last_rtp = rtp,
		.utc_base = utc,
		.rate = clock->rate,
		.settled = clock->settled,
		.jumps = clock->jumps,
		.jump_us = clock->jump_us,
	};
}

/* Ticks of media since the base, scaled to true time; steering left out. */
static int64_t clock_scaled(const struct clock *clock, int64_t rtp)
{
	int64_t ticks = rtp - clock->rtp_base;

	/* a camera that says the truth keeps its own spacing exactly */
	return clock->rate == 1 ? ticks : llround((double)ticks * clock->rate);
}

/* What so many ticks of the camera are in true time. */
static int64_t clock_step_us(const struct clock *clock, int64_t rtp_step)
{
	return clock_to_us(clock, llround((double)rtp_step * clock->rate));
}

static int64_t clock_media_us(const struct clock *clock)
{
	return clock_to_us(clock, clock_scaled(clock, clock->rtp));
}

static int64_t clock_time(const struct clock *clock, int64_t rtp)
{
	return clock->utc_base + clock_scaled(clock, rtp) + clock_from_us(clock, clock->steered_us);
}

/* What a unit without delay would have, were it to come now. */
static int64_t clock_time_of_arrival(const struct clock *clock, int64_t monotonic_us)
{
	return clock->utc_base + clock_from_us(clock, monotonic_us - clock->arrival_base_us);
}

/* Counts delays from another zero: what was `by_us` is 0 from now on. */
static void clock_move_zero(struct clock *clock, int64_t by_us)
{
	clock->arrival_base_us += by_us;
	clock->last_delay_us -= by_us;
	clock->window_min_us -= by_us;
	clock->before_min_us -= by_us;
	clock->second_min_us -= by_us;
	clock->stretch_min_us -= by_us;
	clock->epoch_delay_us -= by_us;
	clock->floor_us -= by_us;
}

static bool clock_is_beyond(int64_t us, int64_t limit_us)
{
	return us > limit_us || us < -limit_us;
}

/* --- steering --- */

/* Adds a little of the error to the steering, as much as the time since the last stamp allows. */
static void clock_steer(struct clock *clock, int64_t monotonic_us)
{
	int64_t ppm = clock->rate == 1 ? CLOCK_STEER_PPM : CLOCK_STEER_LIAR_PPM;
	int64_t step = (monotonic_us - clock->steer_at_us) * ppm / SECOND_US;

	/* The rest of a division is kept for the next stamp. */
	if (!step && clock->error_us)
		return;
	clock->steer_at_us = monotonic_us;
	if (step > ppm) /* at once no more than for a second, after a pause */
		step = ppm;
	if (!clock_is_beyond(clock->error_us, step))
		step = clock->error_us;
	else if (clock->error_us < 0)
		step = -step;
	clock->steered_us += step;
	clock->error_us -= step;
	clock->last_delay_us -= step;
	clock->window_min_us -= step;
	clock->before_min_us -= step;
}

/* Another clock that was not heard for a minute leads no more. */
static bool clock_is_led(const struct clock *clock, int64_t monotonic_us)
{
	return clock->led_us && monotonic_us - clock->led_us < CLOCK_LED_US;
}

/* --- the slope --- */

static void clock_begin_second(struct clock *clock, int64_t at_us)
{
	clock->second_us = at_us;
	clock->second_min_us = INT64_MAX / 2;
	clock->second_units = 0;
}

static void clock_begin_stretch(struct clock *clock, int64_t at_us)
{
	clock->stretch_us = at_us;
	clock->stretch_min_us = INT64_MAX / 2;
}

/* The first second says from which delay on. */
static void clock_begin_epoch(struct clock *clock, int64_t at_us)
{
	clock->epoch_us = at_us;
	clock->epoch_measured = false;
	clock->check_us = clock->next_check_us = 0;
	clock_begin_second(clock, at_us);
	clock_begin_stretch(clock, at_us);
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

/* Whether a rise is neither the network's nor for steering to follow. */
static bool clock_is_lie(const struct clock *clock, int64_t past_us, int64_t risen_us)
{
	return past_us > CLOCK_LEARN_AFTER_US && risen_us < past_us &&
	       (risen_us > CLOCK_LEARN_LATE_US || risen_us < -CLOCK_LEARN_EARLY_US) &&
	       clock_is_beyond(risen_us, past_us / SECOND_US * CLOCK_STEER_PPM) &&
	       clock_is_steady(clock, past_us, risen_us);
}

/* The rate that makes the media of past_us last so long, when its delay has risen by so much. */
static double clock_rate_of(const struct clock *clock, int64_t past_us, int64_t risen_us)
{
	double factor = (double)past_us / (double)(past_us - risen_us);
	double of_ms = (double)clock->hz / CLOCK_MS_HZ, rate = clock->rate * factor;

	if (clock->rate == 1 && of_ms > 2 && factor > of_ms * 0.7 && factor < of_ms * 1.4)
		return of_ms;
	/* where steering is enough, the camera's own spacing is kept */
	return fabs(rate - 1) * 1e6 < CLOCK_STEER_PPM ? 1 : rate;
}

/* Learns the rate from a rise of the delay, if it is a lie. Returns whether it was a great one. */
static bool clock_learn(struct clock *clock, int64_t at_us, int64_t delay_us, int64_t monotonic_us)
{
	int64_t past_us = at_us - clock->epoch_us, risen_us = delay_us - clock->epoch_delay_us;
	double rate;

	if (!clock_is_lie(clock, past_us, risen_us)) {
		clock_take_check(clock, past_us, risen_us);
		return false;
	}
	rate = clock_rate_of(clock, past_us, risen_us);
	if (rate > CLOCK_RATE_MOST || rate * CLOCK_RATE_MOST < 1)
		return false;
	clock_set_rate(clock, rate);
	/* since then it has risen further */
	delay_us += (int64_t)((double)(monotonic_us - at_us) * (double)risen_us / (double)past_us);
	clock_begin_epoch(clock, monotonic_us);
	clock->floor_us = delay_us;
	return clock_is_beyond(risen_us, past_us * CLOCK_LIE_PERCENT / 100);
}

/*
 * Closes a second of arrival, and with it a stretch of them: the older the epoch, the longer, so that
 * a crowd on the way passes within each. Returns whether a great lie was found out.
 */
static bool clock_end_second(struct clock *clock, int64_t monotonic_us)
{
	int64_t at_us, delay_us;

	clock->floor_us = clock->second_min_us;
	if (clock->second_min_us < clock->stretch_min_us) {
		clock->stretch_min_us = clock->second_min_us;
		clock->stretch_min_at_us = clock->second_min_at_us;
	}
	clock_begin_second(clock, monotonic_us);
	if (monotonic_us - clock->stretch_us <
		(monotonic_us - clock->epoch_us) / CLOCK_EPOCH_STRETCHES)
		return false;
	at_us = clock->stretch_min_at_us;
	delay_us = clock->stretch_min_us;
	clock_begin_stretch(clock, monotonic_us);
	if (!clock->epoch_measured) {
		clock->epoch_measured = true;
		clock->epoch_us = at_us;
		clock->epoch_delay_us = delay_us;
		return false;
	}
	return clock_learn(clock, at_us, delay_us, monotonic_us);
}

/* --- following arrival --- */

static void clock_first_arrival(struct clock *clock, int64_t monotonic_us)
{
	clock->arrived = true;
	clock->arrival_base_us = monotonic_us - clock_media_us(clock);
	clock->last_arrival_us = monotonic_us;
	clock->window_min_us = INT64_MAX / 2;
	clock->steer_at_us = monotonic_us;
	clock_begin_epoch(clock, monotonic_us);
}

static int64_t clock_least_delay(const struct clock *clock)
{
	return clock->window_min_us < clock->before_min_us ? clock->window_min_us
							   : clock->before_min_us;
}

/* Whether a window's least delay says that times are wrong, not just late for a while. */
static bool clock_is_astray(struct clock *clock, int64_t error_us, int64_t monotonic_us)
{
	bool trusted = monotonic_us - clock->epoch_us > CLOCK_TRUSTED_US;
	bool catching_up = error_us < clock->before_min_us - CLOCK_CATCHING_UP_US;

	if (error_us <= CLOCK_JUMP_US || catching_up)
		clock->late_windows = 0;
	else
		clock->late_windows++;
	return error_us < -CLOCK_JUMP_US ||
	       clock->late_windows >= (trusted ? CLOCK_LATE_WINDOWS : 1);
}

/* Closes a window of arrival: looks how far media time is off. Returns whether that is a jump. */
static bool clock_end_window(struct clock *clock, int64_t monotonic_us)
{
	bool led = clock_is_led(clock, monotonic_us), astray;

	if (clock->led_us && !led) {
		/* where the other clock left it is right: no steering back */
		clock->led_us = 0;
		clock_move_zero(clock, clock->window_min_us);
	}
	astray = clock_is_astray(clock, clock->window_min_us, monotonic_us) && !led;
	if (!led && !clock_is_beyond(clock->window_min_us, CLOCK_JUMP_US) &&
		(clock->error_us || clock_is_beyond(clock->window_min_us, CLOCK_STEER_FROM_US)))
		clock->error_us = clock->window_min_us;
	clock->before_min_us = clock->window_min_us;
	clock->window_us = 0;
	clock->window_min_us = INT64_MAX / 2;
	return astray;
}

/* Takes what is known of the delay for none: times move by it, at once. */
static void clock_jump_to_floor(struct clock *clock, int64_t monotonic_us)
{
	int64_t by_us = clock->floor_us - clock->steered_us;

	clock->utc_base += clock_from_us(clock, by_us);
	clock_move_zero(clock, by_us);
	clock->error_us = 0;
	clock->late_windows = 0;
	clock->window_us = 0;
	clock->window_min_us = INT64_MAX / 2;
	clock->before_min_us = 0;
	clock_begin_epoch(clock, monotonic_us);
}

/* Whether media time leapt: back, or to be earlier at once than anything can arrive. */
static bool clock_is_leap(const struct clock *clock, int64_t step_us, int64_t delay_us)
{
	if (clock->leaps || step_us < -CLOCK_JUMP_US)
		return true;
	if (!clock->settled)
		return delay_us < -CLOCK_AHEAD_US;
	return clock->last_delay_us - delay_us > CLOCK_JUMP_US &&
	       delay_us < clock_least_delay(clock) - CLOCK_JUMP_US;
}

static void clock_take_delay(struct clock *clock, int64_t delay_us, int64_t monotonic_us)
{
	int64_t since_us = monotonic_us - clock->last_arrival_us;

	clock->window_us += since_us < CLOCK_PAUSE_US ? since_us : CLOCK_PAUSE_US;
	clock->last_arrival_us = monotonic_us;
	clock->last_delay_us = delay_us;
	if (delay_us < clock->window_min_us)
		clock->window_min_us = delay_us;
	delay_us += clock->steered_us;
	clock->second_units++;
	if (delay_us < clock->second_min_us) {
		clock->second_min_us = delay_us;
		clock->second_min_at_us = monotonic_us;
	}
}

enum clock_turn {
	CLOCK_GOES_ON,
	CLOCK_LIED,   /* about its rate, which is known now */
	CLOCK_STRAYS, /* is seconds away, since long */
	CLOCK_LEAPS   /* with this stamp */
};

static enum clock_turn clock_follow(struct clock *clock, int64_t rtp_step, int64_t monotonic_us)
{
	int64_t step_us = clock_step_us(clock, rtp_step), delay_us;
	bool lied = false, astray = false;

	clock_steer(clock, monotonic_us);
	delay_us =
		monotonic_us - clock->arrival_base_us - clock_media_us(clock) - clock->steered_us;
	if (clock_is_leap(clock, step_us, delay_us))
		return CLOCK_LEAPS;
	clock_take_delay(clock, delay_us, monotonic_us);
	if (monotonic_us - clock->second_us >= SECOND_US &&
		clock->second_units >= CLOCK_SECOND_UNITS)
		lied = clock_end_second(clock, monotonic_us);
	if (clock->window_us >= CLOCK_WINDOW_US)
		astray = clock_end_window(clock, monotonic_us);
	return lied ? CLOCK_LIED : astray ? CLOCK_STRAYS : CLOCK_GOES_ON;
}

/* --- times that make no sense --- */

static void clock_count_repeat(struct clock *clock, int64_t rtp_step, int64_t monotonic_us)
{
	if (rtp_step || !clock->repeats)
		clock->repeat_us = monotonic_us;
	clock->repeats = rtp_step ? 0 : clock->repeats + 1;
}

static void clock_count_jump(struct clock *clock, int64_t monotonic_us)
{
	if (!clock->jumps || monotonic_us - clock->jump_us > CLOCK_JUMPS_US) {
		clock->jumps = 0;
		clock->jump_us = monotonic_us;
	}
	clock->jumps++;
}

/* Whether the camera's times are to be given up: they stand still, or have jumped too often. */
static bool clock_is_hopeless(const struct clock *clock, int64_t monotonic_us)
{
	return clock->jumps > CLOCK_JUMPS_MOST ||
	       (clock->repeats > CLOCK_REPEATS_MOST && monotonic_us - clock->repeat_us > SECOND_US);
}

/* Takes the next unit into account; the clock is anchored and has a last arrival. */
static enum clock_result clock_go_on(struct clock *clock, uint32_t rtp, int64_t monotonic_us)
{
	int32_t step = (int32_t)(rtp - clock->last_rtp);
	enum clock_turn turn;

	clock->rtp += step;
	clock->last_rtp = rtp;
	if (clock->rtp > clock->newest)
		clock->newest = clock->rtp;
	clock_count_repeat(clock, step, monotonic_us);
	turn = clock_follow(clock, step, monotonic_us);
	if (turn == CLOCK_LEAPS) {
		clock_anchor(clock, rtp, clock_time_of_arrival(clock, monotonic_us));
		clock_first_arrival(clock, monotonic_us);
	} else if (turn != CLOCK_GOES_ON) {
		clock_jump_to_floor(clock, monotonic_us);
	}
	if (turn == CLOCK_LEAPS || turn == CLOCK_STRAYS)
		clock_count_jump(clock, monotonic_us);
	clock->by_arrival = clock_is_hopeless(clock, monotonic_us);
	return turn == CLOCK_GOES_ON && !clock->by_arrival ? CLOCK_OK : CLOCK_JUMPED;
}

enum clock_result clock_stamp(
	struct clock *clock, uint32_t rtp, int64_t utc_us, int64_t monotonic_us, int64_t *ret)
{
	enum clock_result result = CLOCK_OK;

	if (!clock->anchored)
		clock_anchor(clock, rtp, clock_from_us(clock, utc_us));
	if (clock->by_arrival) {
		clock->last_rtp = rtp;
		clock->last_arrival_us = monotonic_us;
	} else if (clock->arrived) {
		result = clock_go_on(clock, rtp, monotonic_us);
	} else {
		clock->rtp += (int32_t)(rtp - clock->last_rtp);
		clock->last_rtp = rtp;
		clock->newest = clock->rtp;
		clock_first_arrival(clock, monotonic_us);
	}
	*ret = clock->by_arrival ? clock_time_of_arrival(clock, monotonic_us)
				 : clock_time(clock, clock->rtp);
	return result;
}

bool clock_is_behind(const struct clock *clock, uint32_t rtp)
{
	int32_t step = (int32_t)(rtp - clock->last_rtp);
	int64_t behind_us = clock_step_us(clock, clock->newest - clock->rtp - step);

	return clock->arrived && !clock->by_arrival && behind_us > CLOCK_BEHIND_US &&
	       clock_step_us(clock, step) >= -CLOCK_JUMP_US;
}

void clock_expect_leap(struct clock *clock)
{
	clock->leaps = clock->arrived;
}

int64_t clock_early_us(const struct clock *clock)
{
	int64_t least_us = clock_least_delay(clock);

	return clock->arrived && !clock->by_arrival && least_us < 0 ? least_us : 0;
}

int64_t clock_settle(struct clock *clock, int64_t early_us)
{
	int64_t shift = clock_from_us(clock, early_us);

	clock->settled = true;
	clock->utc_base += shift;
	clock_move_zero(clock, early_us);
	clock_begin_epoch(clock, clock->last_arrival_us);
	return shift;
}

/* --- other clocks --- */

int64_t clock_arrival_us(const struct clock *clock, int64_t monotonic_us)
{
	return clock_to_us(clock, clock_time_of_arrival(clock, monotonic_us));
}

int64_t clock_instant_us(const struct clock *clock, uint32_t rtp)
{
	int32_t step = (int32_t)(rtp - clock->last_rtp);

	if (clock->by_arrival)
		return clock_arrival_us(clock, clock->last_arrival_us) + clock_to_us(clock, step);
	return clock_to_us(clock, clock_time(clock, clock->rtp + step));
}

bool clock_align(struct clock *clock, uint32_t rtp, int64_t utc_us, int64_t monotonic_us)
{
	if (clock->anchored)
		return false;
	clock_anchor(clock, rtp, clock_from_us(clock, utc_us));
	clock->led_us = monotonic_us;
	return true;
}

/* Whether a report that is so far away agrees with the one before, and is kept for the next. */
static bool clock_believes(struct clock *clock, int64_t off_us)
{
	int64_t apart_us = off_us - clock->report_off_us;
	bool agrees = clock->reported && !clock_is_beyond(apart_us, CLOCK_REPORTS_AGREE_US);

	clock->reported = !clock_is_beyond(off_us, CLOCK_REPORT_NONSENSE_US);
	clock->report_off_us = off_us;
	return agrees && clock->reported;
}

bool clock_follow_report(struct clock *clock, uint32_t rtp, int64_t utc_us, int64_t monotonic_us)
{
	int64_t off_us, step_from_us;

	if (!clock->arrived || clock->by_arrival)
		return false;
	off_us = utc_us - clock_instant_us(clock, rtp);
	if (!clock_believes(clock, off_us))
		return false;
	step_from_us = clock_is_led(clock, monotonic_us) ? CLOCK_STEP_FROM_US : CLOCK_LED_FROM_US;
	clock->led_us = monotonic_us;
	if (!clock_is_beyond(off_us, step_from_us)) {
		if (clock->error_us || clock_is_beyond(off_us, CLOCK_LED_FROM_US))
			clock->error_us = off_us;
		return false;
	}
	clock->error_us = 0;
	clock->report_off_us = 0;
	clock->utc_base += clock_from_us(clock, off_us);
	return true;
}
