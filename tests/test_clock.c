/* RTP time to UTC, against simulated cameras: drift, jitter, stalls, wraps and leaps. */
#include "server/media/clock.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/base/attributes.h"

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

static void small_leaps_back_that_the_caller_knows_of_anchor_anew(void **state)
{
	static const struct {
		int64_t back_us;
		bool behind;
	} rows[] = {
		{100000,   false}, /* what cameras are unsure of */
		{ 300000,  true },
                { 900000,  true },
                { 1500000, false}, /* a leap by itself */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct camera camera = camera_new(0, 20000);
		int64_t stamp = 0;

		for (int64_t k = 0; k < 25 * 30; k++) {
			enum clock_result want = CLOCK_OK;
			bool behind;

			if (k == 5)
				camera.clock.settled = true;
			camera.true_us = k * 40000;
			if (k == 400) {
				/* the picture before was shown late, as one that others are predicted from */
				(void)camera_stamp(&camera, &stamp);
				camera.rtp_start -= (uint32_t)(rows[i].back_us / 100 * 9);
			}
			behind = clock_is_behind(&camera.clock,
				camera.rtp_start + (uint32_t)(camera.true_us / 100 * 9));
			assert_int_equal(behind, k == 400 && rows[i].behind);
			if (behind)
				clock_expect_leap(&camera.clock);
			if (k == 400 && rows[i].back_us > 200000)
				want = CLOCK_JUMPED;
			assert_int_equal(camera_stamp(&camera, &stamp), want);
			if (rows[i].back_us > 200000)
				assert_in_range(utc_of(stamp) - START_UTC - camera.true_us + 1000,
					0, 22000);
		}
	}
}

static void a_leap_is_expected_of_no_clock_that_has_not_begun(void **state)
{
	struct camera camera = camera_new(0, 0);
	int64_t stamp;

	(void)state;
	assert_false(clock_is_behind(&camera.clock, camera.rtp_start - HZ / 2));
	clock_expect_leap(&camera.clock);
	assert_int_equal(camera_stamp(&camera, &stamp), CLOCK_OK);
	camera.true_us = 40000;
	assert_int_equal(camera_stamp(&camera, &stamp), CLOCK_OK);
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

/* A sound track that arrives as its time says, and what another clock says of it. */
struct sound {
	struct clock clock;
	int64_t now_us;
};

static uint32_t sound_rtp(const struct sound *sound)
{
	return (uint32_t)(1000 + sound->now_us * 48 / 1000);
}

static void sound_play(struct sound *sound, int64_t us)
{
	int64_t stamp;

	for (int64_t end = sound->now_us + us; sound->now_us < end; sound->now_us += 20000)
		assert_int_equal(
			clock_stamp(&sound->clock, sound_rtp(sound), START_UTC + sound->now_us,
				START_MONOTONIC + sound->now_us, &stamp),
			CLOCK_OK);
}

/* Five seconds, then a report that says what the sound's time means, `off_us` from arrival. */
static bool sound_report(struct sound *sound, int64_t off_us)
{
	sound_play(sound, 5 * SECOND_US);
	return clock_follow_report(&sound->clock, sound_rtp(sound),
		START_UTC + sound->now_us + off_us, START_MONOTONIC + sound->now_us);
}

static int64_t sound_off_us(const struct sound *sound)
{
	return clock_instant_us(&sound->clock, sound_rtp(sound)) - START_UTC - sound->now_us;
}

static void another_clock_anchors_a_track_before_its_first_stamp(void **state)
{
	struct clock clock;
	int64_t stamp;

	(void)state;
	clock_init(&clock, 48000);
	assert_true(clock_align(&clock, 1000, START_UTC, 1));
	assert_false(clock_align(&clock, 1000, START_UTC + SECOND_US, 1));
	assert_int_equal(
		clock_stamp(&clock, 1000 + 48000, START_UTC + 5 * SECOND_US, 0, &stamp), CLOCK_OK);
	assert_in_range(START_UTC + SECOND_US - clock_instant_us(&clock, 1000 + 48000), 0, 21);
	assert_int_equal(stamp, (START_UTC + SECOND_US) / SECOND_US * 48000 +
					(START_UTC + SECOND_US) % SECOND_US * 48000 / SECOND_US);
}

static void reports_that_agree_are_stepped_to_once_and_then_steered_to(void **state)
{
	struct sound sound = { .now_us = 0 };

	(void)state;
	clock_init(&sound.clock, 48000);
	assert_false(sound_report(&sound, 70000)); /* who knows */
	assert_true(sound_report(&sound, 68000));
	assert_in_range(sound_off_us(&sound), 67900, 68100);
	/* 99 ms from there are steered to: 500 ppm are 2.5 ms until the next report */
	assert_false(sound_report(&sound, 68000 - 50000));
	assert_false(sound_report(&sound, 68000 - 99000));
	sound_play(&sound, 5 * SECOND_US);
	assert_in_range(sound_off_us(&sound), 60000, 66000);
	for (unsigned i = 0; i < 50; i++)
		assert_false(sound_report(&sound, -31000));
	assert_in_range(sound_off_us(&sound) + 31000, 0, 10000);
	/* 150 ms are not */
	assert_false(sound_report(&sound, 150000));
	assert_true(sound_report(&sound, 150000));
	assert_in_range(sound_off_us(&sound), 149900, 150100);
	/* and so it stays when no more come: nothing is steered back */
	sound_play(&sound, 600 * SECOND_US);
	assert_in_range(sound_off_us(&sound), 149900, 150100);
}

static void test_q110_reports_that_make_no_sense(void **state)
{
	static const int64_t hour_us = INT64_C(3600000000);
	const int64_t nonsense_us[][2] = {
		{hour_us,       hour_us     },
		{ -7 * hour_us, -7 * hour_us},
		{ -START_UTC,   -START_UTC  }, /* NTP is zero */
		{ 400000,       -300000     },
		{ 800000,       hour_us     },
		{ 2100000,      2100000     },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(nonsense_us); i++) {
		struct sound sound = { .now_us = 0 };

		clock_init(&sound.clock, 48000);
		for (unsigned k = 0; k < 200; k++)
			assert_false(sound_report(&sound, nonsense_us[i][k % 2]));
		assert_in_range(sound_off_us(&sound) + 25, 0, 50);
		/* once they make sense they are followed */
		assert_false(sound_report(&sound, 300000));
		assert_true(sound_report(&sound, 301000));
		/* one in between that does not is passed over */
		assert_false(sound_report(&sound, hour_us));
		assert_false(sound_report(&sound, 301000));
		assert_in_range(sound_off_us(&sound), 300900, 301100);
	}
}

static void a_second_track_is_anchored_by_the_first_ones_clock(void **state)
{
	struct camera camera = camera_new(0, 10000);
	int64_t stamp;

	(void)state;
	for (int64_t k = 0; k < 25 * 60; k++) {
		if (k == 700)
			camera.utc_step_us = 3600 * INT64_C(1000000);
		camera.true_us = k * 40000;
		assert_int_equal(camera_stamp(&camera, &stamp), CLOCK_OK);
		assert_in_range(clock_arrival_us(&camera.clock, START_MONOTONIC + camera.true_us) -
					START_UTC - camera.true_us + 10000,
			0, 20000);
	}
}

/* A camera that promises 25 pictures a second and sends `percent` of them. */
static void lies_about_its_rate(int64_t percent, unsigned most_runs)
{
	struct camera camera = camera_new(0, 30000);
	int64_t late_us = 0, stamp = 0, last = 0;
	unsigned runs = 0;

	for (int64_t i = 0; i < 25 * 3600; i++) {
		int64_t delay = random_next(&camera.seed) % 30000;
		int64_t now = i * 40000 * 100 / percent;
		enum clock_result result = clock_stamp(&camera.clock, (uint32_t)(i * 3600),
			START_UTC + now + delay, START_MONOTONIC + now + delay, &stamp);

		if (i == 5)
			(void)clock_settle(&camera.clock, clock_early_us(&camera.clock));
		runs += result == CLOCK_JUMPED;
		/* once it is known, the recording runs at true speed */
		if (i > 25 * 60) {
			late_us = utc_of(stamp) - START_UTC - now;
			if (late_us > SECOND_US || late_us < -SECOND_US)
				fail_msg("%d %%: %d us off after %d pictures", (int)percent,
					(int)late_us, (int)i);
			if (result == CLOCK_OK)
				assert_in_range(
					stamp - last, 3600 * 90 / percent, 3600 * 110 / percent);
		}
		last = stamp;
	}
	print_message("%d %% of the pictures: %u new runs\n", (int)percent, runs);
	assert_in_range(runs, 0, most_runs);
}

static void test_q108_a_camera_that_lies_is_recorded_at_true_speed(void **state)
{
	(void)state;
	lies_about_its_rate(84, 1); /* 25 declared, 21 sent */
	lies_about_its_rate(142, 1);
	lies_about_its_rate(60, 1);
	lies_about_its_rate(98, 0);
	lies_about_its_rate(102, 0);
}

static void test_p4_milliseconds_in_place_of_90_khz(void **state)
{
	struct camera camera = camera_new(0, 0);
	int64_t stamp, last = 0;
	unsigned runs = 0;

	(void)state;
	for (int64_t i = 0; i < 25 * 600; i++) {
		int64_t now = i * 40000, delay = random_next(&camera.seed) % 5000;

		runs += clock_stamp(&camera.clock, (uint32_t)(i * 40), START_UTC + now + delay,
				START_MONOTONIC + now + delay, &stamp) == CLOCK_JUMPED;
		if (i == 5)
			(void)clock_settle(&camera.clock, clock_early_us(&camera.clock));
		if (i > 25 * 20) {
			assert_int_equal(stamp - last, 3600);
			assert_in_range(utc_of(stamp) - START_UTC - now + 10000, 0, 20000);
		}
		last = stamp;
	}
	assert_in_range(runs, 0, 2);
}

static void test_p4_times_that_stand_still(void **state)
{
	struct camera camera = camera_new(0, 0);
	int64_t stamp;
	unsigned runs = 0;

	(void)state;
	for (int64_t i = 0; i < 25 * 600; i++) {
		int64_t now = i * 40000;

		runs += clock_stamp(&camera.clock, 4711, START_UTC + now, START_MONOTONIC + now,
				&stamp) == CLOCK_JUMPED;
		if (i > 50)
			assert_in_range(utc_of(stamp) - START_UTC - now + 50, 0, 100);
	}
	assert_int_equal(runs, 1);
}

static void test_q107_times_that_jump_all_the_time(void **state)
{
	struct camera camera = camera_new(0, 0);
	int64_t stamp;
	unsigned runs = 0;

	(void)state;
	camera.clock.settled = true;
	for (int64_t i = 0; i < 25 * 600; i++) {
		int64_t now = i * 40000;

		/* back to zero each four seconds */
		runs += clock_stamp(&camera.clock, (uint32_t)(i % 100 * 3600), START_UTC + now,
				START_MONOTONIC + now, &stamp) == CLOCK_JUMPED;
		assert_in_range(utc_of(stamp) - START_UTC - now + 50, 0, 100);
	}
	assert_in_range(runs, 4, 5);
}

static void test_q109_a_burst_at_the_start(void **state)
{
	struct camera camera = camera_new(0, 0);
	int64_t stamp, shift = 0;

	(void)state;
	for (int64_t i = 0; i < 25 * 60; i++) {
		/* five seconds within a tenth of one, then as they are made */
		int64_t now = i < 125 ? i * 800 : (i - 124) * 40000 + 100000;

		assert_int_equal(clock_stamp(&camera.clock, (uint32_t)(i * 3600), START_UTC + now,
					 START_MONOTONIC + now, &stamp),
			CLOCK_OK);
		if (i == 126) {
			shift = clock_settle(&camera.clock, clock_early_us(&camera.clock));
			stamp += shift;
			assert_in_range(-shift, 4 * HZ, 5 * HZ);
		}
		if (i >= 126) /* nothing is stamped later than it came, nor much earlier */
			assert_in_range(START_UTC + now - utc_of(stamp) + 50, 0, 50000);
	}
}

static void test_q116_pauses_and_bursts_of_a_wireless_camera(void **state)
{
	struct camera camera = camera_new(0, 40000);
	int64_t stamp;

	(void)state;
	for (int64_t i = 0; i < 25 * 1800; i++) {
		/* each 20 s the network stands still for up to three, then all comes at once */
		int64_t into = (i * 40000 + 10 * SECOND_US) % (20 * SECOND_US);
		int64_t pause = (1 + i / 500 % 3) * SECOND_US;

		camera.true_us = i * 40000;
		camera.extra_delay_us = into < pause ? pause - into : 0;
		assert_int_equal(camera_stamp(&camera, &stamp), CLOCK_OK);
		if (i == 5)
			(void)clock_settle(&camera.clock, clock_early_us(&camera.clock));
		assert_true(camera.clock.rate == 1);
		assert_in_range(utc_of(stamp) - START_UTC - camera.true_us + 50000, 0, 100000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_q108_a_camera_that_lies_is_recorded_at_true_speed),
		cmocka_unit_test(test_p4_milliseconds_in_place_of_90_khz),
		cmocka_unit_test(test_p4_times_that_stand_still),
		cmocka_unit_test(test_q107_times_that_jump_all_the_time),
		cmocka_unit_test(test_q109_a_burst_at_the_start),
		cmocka_unit_test(test_q116_pauses_and_bursts_of_a_wireless_camera),
		cmocka_unit_test(first_stamp_is_arrival),
		cmocka_unit_test(short_runs_are_exact_to_the_tick_across_the_wrap),
		cmocka_unit_test(a_month_of_drift_stays_within_100_ms_and_never_steps),
		cmocka_unit_test(leaps_of_rtp_time_anchor_anew),
		cmocka_unit_test(small_leaps_are_followed_slowly),
		cmocka_unit_test(small_leaps_back_that_the_caller_knows_of_anchor_anew),
		cmocka_unit_test(a_leap_is_expected_of_no_clock_that_has_not_begun),
		cmocka_unit_test(a_stall_and_its_burst_change_nothing),
		cmocka_unit_test(a_burst_at_the_start_is_settled_by_one_new_run),
		cmocka_unit_test(a_camera_that_stays_behind_is_anchored_anew),
		cmocka_unit_test(a_step_of_the_local_clock_moves_nothing),
		cmocka_unit_test(reordered_pictures_keep_their_order),
		cmocka_unit_test(another_clock_anchors_a_track_before_its_first_stamp),
		cmocka_unit_test(reports_that_agree_are_stepped_to_once_and_then_steered_to),
		cmocka_unit_test(test_q110_reports_that_make_no_sense),
		cmocka_unit_test(a_second_track_is_anchored_by_the_first_ones_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
