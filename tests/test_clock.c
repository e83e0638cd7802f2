/* RTP time to UTC, against simulated cameras: drift, jitter, stalls, wraps and leaps. */
#include "server/media/clock.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
	HZ = 90000,
	SECOND_US = 1000000
};
static const int64_t START_UTC = INT64_C(1795000000123457);
static const int64_t START_MONOTONIC = INT64_C(777000000);

/* A small generator of its own: the same numbers everywhere. */
static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* A camera and the way to us. */
struct camera {
	struct clock clock;
	uint32_t rtp_start;
	int64_t true_us; /* since the start */
	int64_t ppm;     /* how much its clock is fast */
	uint32_t jitter_us;
	int64_t extra_delay_us;
	int64_t utc_step_us;
	uint32_t seed;
	uint32_t rtp; /* the last one */
};

static struct camera camera_new(int64_t ppm, uint32_t jitter_us)
{
	struct camera camera = {
		.ppm = ppm, .jitter_us = jitter_us, .seed = 1, .rtp_start = 0xfff00000
	};

	clock_init(&camera.clock, HZ);
	return camera;
}

static enum clock_result camera_stamp(struct camera *camera, int64_t *stamp)
{
	int64_t rtp = camera->true_us / 100 * 9 + camera->true_us / 100000000 * 9 * camera->ppm;
	int64_t delay = camera->extra_delay_us;

	rtp += camera->true_us % 100000000 * 9 / 100 * camera->ppm / SECOND_US;
	if (camera->jitter_us)
		delay += random_next(&camera->seed) % camera->jitter_us;
	camera->rtp = camera->rtp_start + (uint32_t)rtp;
	return clock_stamp(&camera->clock, camera->rtp,
		START_UTC + camera->true_us + delay + camera->utc_step_us,
		START_MONOTONIC + camera->true_us + delay, stamp);
}

static int64_t utc_of(int64_t stamp)
{
	return stamp / HZ * SECOND_US + stamp % HZ * SECOND_US / HZ;
}

static void first_stamp_is_arrival(void **state)
{
	struct camera camera = camera_new(0, 0);
	int64_t stamp;

	(void)state;
	assert_int_equal(camera_stamp(&camera, &stamp), CLOCK_OK);
	assert_in_range(START_UTC - utc_of(stamp), 0, 12); /* a tick */
	assert_in_range(utc_of(stamp) - clock_instant_us(&camera.clock, camera.rtp) + 1, 0, 2);
}

static void short_runs_are_exact_to_the_tick_across_the_wrap(void **state)
{
	struct camera camera = camera_new(0, 45000);
	int64_t first = 0;

	(void)state;
	for (int64_t i = 0; i < 25 * 600; i++) {
		int64_t stamp;

		camera.true_us = i * 40000;
		assert_int_equal(camera_stamp(&camera, &stamp), CLOCK_OK);
		if (i == 0)
			first = stamp;
		assert_int_equal(stamp - first, i * 3600);
	}
	assert_true(camera.rtp < camera.rtp_start); /* it did wrap */
}

static void month_of_drift(int64_t ppm)
{
	struct camera camera = camera_new(ppm, 30000);
	const int64_t frame_us = 200000;
	int64_t last = 0;
	int64_t worst = 0;

	for (int64_t i = 0; i < 30 * 86400 * INT64_C(5); i++) {
		int64_t stamp, off;

		camera.true_us = i * frame_us;
		assert_int_equal(camera_stamp(&camera, &stamp), CLOCK_OK);
		off = utc_of(stamp) - START_UTC - camera.true_us;
		worst = off > worst ? off : worst;
		worst = -off > worst ? -off : worst;
		/* never a step: 200 ms at 100 + 500 ppm is 120 us, and some for jitter and rounding */
		if (i && (stamp - last > 18000 + 14 || stamp - last < 18000 - 14))
			fail_msg("step of %" PRId64 " ticks", stamp - last - 18000);
		last = stamp;
	}
	print_message("%+d ppm: at most %d us off\n", (int)ppm, (int)worst);
	assert_true(worst < 100000);
}

static void a_month_of_drift_stays_within_100_ms_and_never_steps(void **state)
{
	(void)state;
	month_of_drift(100);
	month_of_drift(-100);
}

static void leaps_of_rtp_time_anchor_anew(void **state)
{
	static const int64_t leaps_us[] = { 1500000, -1500000, 3600 * INT64_C(1000000),
		-3600 * INT64_C(1000000), 7 * 3600 * INT64_C(1000000) };

	(void)state;
	for (size_t i = 0; i < sizeof(leaps_us) / sizeof(leaps_us[0]); i++) {
		struct camera camera = camera_new(0, 20000);
		int64_t stamp = 0;

		for (int64_t k = 0; k < 25 * 30; k++) {
			enum clock_result want = k == 400 ? CLOCK_JUMPED : CLOCK_OK;

			if (k == 5)
				camera.clock.settled = true; /* as clock_settle() leaves it */
			if (k == 400)
				camera.rtp_start += (uint32_t)(leaps_us[i] / 100 * 9);
			camera.true_us = k * 40000;
			assert_int_equal(camera_stamp(&camera, &stamp), want);
			assert_in_range(
				utc_of(stamp) - START_UTC - camera.true_us + 1000, 0, 22000);
		}
	}
}

static void small_leaps_are_followed_slowly(void **state)
{
	struct camera camera = camera_new(0, 0);
	int64_t stamp = 0;

	(void)state;
	for (int64_t k = 0; k < 25 * 1800; k++) {
		if (k == 400)
			camera.rtp_start += 9 * HZ / 10;
		camera.true_us = k * 40000;
		assert_int_equal(camera_stamp(&camera, &stamp), CLOCK_OK);
		if (k == 400)
			assert_in_range(utc_of(stamp) - START_UTC - camera.true_us, 899000, 901000);
	}
	/* 900 ms at 500 ppm are 1,800 s */
	assert_in_range(utc_of(stamp) - START_UTC - camera.true_us + 50000, 0, 100000);
}

/* The network stops for five seconds, then everything comes at once. */
static void a_stall_and_its_burst_change_nothing(void **state)
{
	struct camera camera = camera_new(0, 10000);
	int64_t first = 0;

	(void)state;
	for (int64_t k = 0; k < 25 * 60; k++) {
		int64_t stamp;

		camera.true_us = k * 40000;
		camera.extra_delay_us = 0;
		if (camera.true_us >= 20 * SECOND_US && camera.true_us < 25 * SECOND_US)
			camera.extra_delay_us = 25 * SECOND_US - camera.true_us;
		assert_int_equal(camera_stamp(&camera, &stamp), CLOCK_OK);
		if (k == 0)
			first = stamp;
		assert_int_equal(stamp - first, k * 3600);
	}
}

/* The camera keeps five seconds and sends them at once when asked to play. */
static void a_burst_at_the_start_is_settled_by_one_new_run(void **state)
{
	struct camera camera = camera_new(0, 10000);
	int64_t stamp = 0;
	int jumps = 0;

	(void)state;
	for (int64_t k = 0; k < 25 * 120; k++) {
		camera.true_us = k * 40000;
		camera.extra_delay_us = 0;
		if (camera.true_us < 5 * SECOND_US)
			camera.extra_delay_us = 5 * SECOND_US - camera.true_us;
		jumps += camera_stamp(&camera, &stamp) == CLOCK_JUMPED;
	}
	assert_int_equal(jumps, 1);
	assert_in_range(utc_of(stamp) - START_UTC - camera.true_us + 1000, 0, 12000);
}

static void a_camera_that_stays_behind_is_anchored_anew(void **state)
{
	struct camera camera = camera_new(0, 10000);
	int64_t stamp = 0;
	int jumps = 0;

	(void)state;
	for (int64_t k = 0; k < 25 * 60; k++) {
		if (k == 500)
			camera.extra_delay_us = 3 * SECOND_US;
		camera.true_us = k * 40000;
		jumps += camera_stamp(&camera, &stamp) == CLOCK_JUMPED;
	}
	assert_int_equal(jumps, 1);
}

static void a_step_of_the_local_clock_moves_nothing(void **state)
{
	struct camera camera = camera_new(0, 10000);
	int64_t first = 0;

	(void)state;
	for (int64_t k = 0; k < 25 * 60; k++) {
		int64_t stamp;

		if (k == 300)
			camera.utc_step_us = -3600 * INT64_C(1000000);
		if (k == 700)
			camera.utc_step_us = 86400 * INT64_C(1000000);
		camera.true_us = k * 40000;
		assert_int_equal(camera_stamp(&camera, &stamp), CLOCK_OK);
		if (k == 0)
			first = stamp;
		assert_int_equal(stamp - first, k * 3600);
	}
}

static void reordered_pictures_keep_their_order(void **state)
{
	static const uint32_t order[] = { 0, 3, 1, 2, 6, 4, 5 };
	struct clock clock;
	int64_t first = 0;

	(void)state;
	clock_init(&clock, HZ);
	for (int64_t i = 0; i < 7; i++) {
		int64_t stamp;

		assert_int_equal(clock_stamp(&clock, 0xffffff00 + order[i] * 3600,
					 START_UTC + i * 40000, i * 40000, &stamp),
			CLOCK_OK);
		if (i == 0)
			first = stamp;
		assert_int_equal(stamp - first, order[i] * INT64_C(3600));
	}
}

static void reports_align_a_track_before_and_after_its_first_stamp(void **state)
{
	struct clock clock;
	int64_t stamp;

	(void)state;
	clock_init(&clock, 48000);
	assert_true(clock_align(&clock, 1000, START_UTC));
	assert_int_equal(
		clock_stamp(&clock, 1000 + 48000, START_UTC + 5 * SECOND_US, 0, &stamp), CLOCK_OK);
	assert_in_range(START_UTC + SECOND_US - clock_instant_us(&clock, 1000 + 48000), 0, 21);
	assert_int_equal(stamp, (START_UTC + SECOND_US) / SECOND_US * 48000 +
					(START_UTC + SECOND_US) % SECOND_US * 48000 / SECOND_US);
	/* 99 ms are left alone, 101 ms are not */
	assert_false(clock_align(&clock, 1000 + 96000, START_UTC + 2 * SECOND_US + 99000));
	assert_true(clock_align(&clock, 1000 + 96000, START_UTC + 2 * SECOND_US + 101000));
	assert_in_range(
		START_UTC + 2 * SECOND_US + 101000 - clock_instant_us(&clock, 1000 + 96000) + 21, 0,
		42);
	/* and it stays so: the estimator does not steer back */
	for (int64_t i = 0; i < 100; i++)
		assert_int_equal(
			clock_stamp(&clock, (uint32_t)(1000 + 48000 * (2 + i)),
				START_UTC + (6 + i) * SECOND_US, (1 + i) * SECOND_US, &stamp),
			CLOCK_OK);
	assert_in_range(START_UTC + 101 * SECOND_US + 101000 -
				clock_instant_us(&clock, 1000 + 48000 * 101) + 21,
		0, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_stamp_is_arrival),
		cmocka_unit_test(short_runs_are_exact_to_the_tick_across_the_wrap),
		cmocka_unit_test(a_month_of_drift_stays_within_100_ms_and_never_steps),
		cmocka_unit_test(leaps_of_rtp_time_anchor_anew),
		cmocka_unit_test(small_leaps_are_followed_slowly),
		cmocka_unit_test(a_stall_and_its_burst_change_nothing),
		cmocka_unit_test(a_burst_at_the_start_is_settled_by_one_new_run),
		cmocka_unit_test(a_camera_that_stays_behind_is_anchored_anew),
		cmocka_unit_test(a_step_of_the_local_clock_moves_nothing),
		cmocka_unit_test(reordered_pictures_keep_their_order),
		cmocka_unit_test(reports_align_a_track_before_and_after_its_first_stamp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
