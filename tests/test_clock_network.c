/*
 * What a crowded network does to arrival (Q116), and cameras that lie about their rate (Q108), each
 * with jitter and reordered pictures: the one must not be taken for the other.
 */
#include "server/media/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/base/attributes.h"

#define SECOND_US INT64_C(1000000)
#define START_UTC (INT64_C(1795000000) * SECOND_US + 123457)
#define START_MONOTONIC (777 * SECOND_US)

enum {
	HZ = 90000,
	SETTLE_US = 250000
};

/* How long the way of a unit is that was made then; no unit overtakes another. */
typedef int64_t way_fn(int64_t made_us);

struct camera {
	double rate; /* of its time to true time */
	int jitter_ms, fps;
	bool b_frames;
	way_fn *way;
	int64_t seconds;
};

/* What came of it. */
struct outcome {
	unsigned runs;
	int64_t worst_us, later_us; /* how far from the truth, ever and after the first minute */
	double rate;
	bool by_arrival;
};

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void note_worst(int64_t *worst_us, int64_t us)
{
	if (llabs(us) > llabs(*worst_us))
		*worst_us = us;
}

static int64_t us_of(int64_t stamp)
{
	return stamp / HZ * SECOND_US + stamp % HZ * SECOND_US / HZ;
}

/* Presentation is up to three pictures from decoding. */
static int64_t camera_reorder_us(const struct camera *camera, int64_t i)
{
	return camera->b_frames ? (i % 4 ? -1 : 3) * SECOND_US / camera->fps : 0;
}

static struct outcome camera_play(const struct camera *camera)
{
	struct outcome outcome = { .runs = 0 };
	struct clock clock;
	int64_t last_us = 0, stamp;
	bool settled = false;
	uint32_t seed = 1;

	clock_init(&clock, HZ);
	for (int64_t i = 0; i < camera->seconds * camera->fps; i++) {
		int64_t made_us = i * SECOND_US / camera->fps, came_us = made_us + 20000;
		int64_t shown_us = made_us + camera_reorder_us(camera, i);
		double ticks = (double)shown_us * camera->rate * HZ / (double)SECOND_US;

		came_us += random_next(&seed) % (uint32_t)(camera->jitter_ms * 1000);
		came_us += camera->way ? camera->way(made_us) : 0;
		last_us = came_us = came_us > last_us ? came_us : last_us;
		outcome.runs += clock_stamp(&clock, 0xfff00000 + (uint32_t)(int64_t)ticks,
					START_UTC + came_us, START_MONOTONIC + came_us,
					&stamp) == CLOCK_JUMPED;
		if (!settled && came_us > SETTLE_US) {
			stamp += clock_settle(&clock, clock_early_us(&clock));
			settled = true;
		}
		note_worst(&outcome.worst_us, us_of(stamp) - START_UTC - shown_us);
		if (made_us > 60 * SECOND_US)
			note_worst(&outcome.later_us, us_of(stamp) - START_UTC - shown_us);
	}
	outcome.rate = clock.rate;
	outcome.by_arrival = clock.by_arrival;
	return outcome;
}

/* --- the way --- */

/* Each two minutes: for twenty seconds a fifth of the bytes stay behind, then they catch up. */
static int64_t way_too_narrow(int64_t made_us)
{
	int64_t into_us = made_us % (120 * SECOND_US) - 60 * SECOND_US;

	if (into_us < 0 || into_us >= 21 * SECOND_US)
		return 0;
	return into_us < 20 * SECOND_US ? into_us / 5 : 4 * (21 * SECOND_US - into_us);
}

/* Each quarter of a minute: eight seconds at 70 %, then a burst. */
static int64_t way_that_pulses(int64_t made_us)
{
	int64_t into_us = made_us % (15 * SECOND_US) - 5 * SECOND_US;

	return made_us < 60 * SECOND_US || into_us < 0 || into_us >= 8 * SECOND_US
		       ? 0
		       : into_us * 3 / 10;
}

static int64_t way_cut_for_twelve_seconds(int64_t made_us)
{
	int64_t end_us = 112 * SECOND_US;

	return made_us < 100 * SECOND_US || made_us >= end_us ? 0 : end_us - made_us;
}

/* Cut for eight seconds; what was made since comes a fifth faster than it was made. */
static int64_t way_that_recovers_slowly(int64_t made_us)
{
	int64_t since_us = made_us - 100 * SECOND_US;
	int64_t late_us = 8 * SECOND_US - since_us / 6;

	return since_us < 0 || late_us < 0 ? 0 : late_us;
}

static int64_t way_with_pauses(int64_t made_us)
{
	int64_t into_us = made_us % (20 * SECOND_US) - 10 * SECOND_US, pause_us;

	pause_us = (1 + made_us / (20 * SECOND_US) % 5) * SECOND_US;
	return into_us < 0 || into_us >= pause_us ? 0 : pause_us - into_us;
}

static void test_q116_a_crowded_network_is_no_rate_and_no_jump(void **state)
{
	static way_fn *const ways[] = { NULL, way_too_narrow, way_that_pulses,
		way_cut_for_twelve_seconds, way_that_recovers_slowly, way_with_pauses };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
		for (int k = 0; k < 4; k++) {
			struct outcome outcome = camera_play(&(struct camera){
				.rate = 1,
				.jitter_ms = k & 1 ? 200 : 30,
				.fps = k & 1 ? 10 : 25,
				.b_frames = k & 2,
				.way = ways[i],
				.seconds = 1800,
			});

			print_message("way %zu, %d: %u runs, %d ms off\n", i, k, outcome.runs,
				(int)(outcome.worst_us / 1000));
			assert_int_equal(outcome.runs, 0);
			assert_true(outcome.rate == 1);
			assert_in_range(outcome.worst_us + 500000, 0, 1000000);
		}
	}
}

/* A picture a second has no second in which some unit came without delay. */
static void test_q116_a_slow_camera_on_a_bad_way(void **state)
{
	struct outcome outcome = camera_play(
		&(struct camera){ .rate = 1, .jitter_ms = 1000, .fps = 1, .seconds = 86400 });

	(void)state;
	assert_int_equal(outcome.runs, 0);
	assert_true(outcome.rate == 1);
	assert_in_range(outcome.worst_us + SECOND_US, 0, 2 * SECOND_US);
}

/* --- lies --- */

static void test_q108_every_rate(void **state)
{
	static const struct {
		double rate;
		unsigned runs;
	} rates[] = {
		{0.55,      1},
		{ 0.7,      1},
		{ 21 / 25., 1},
		{ 0.9,      1},
		{ 0.98,     0},
		{ 0.995,    0},
		{ 0.999,    0},
		{ 0.9996,   0},
		{ 1.0004,   0},
		{ 1.001,    0},
		{ 1.005,    0},
		{ 1.02,     0},
		{ 1.1,      1},
		{ 25 / 21., 1},
		{ 1.42,     1},
		{ 1.45,     1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rates); i++) {
		for (int k = 0; k < 4; k++) {
			struct outcome outcome = camera_play(&(struct camera){
				.rate = rates[i].rate,
				.jitter_ms = k & 1 ? 200 : 30,
				.fps = 25,
				.b_frames = k & 2,
				.seconds = 1800,
			});
			double left = outcome.rate * rates[i].rate - 1;

			print_message("%.4f, %d: %u runs, %d ms off, then %d; %+d ppm left\n",
				rates[i].rate, k, outcome.runs, (int)(outcome.worst_us / 1000),
				(int)(outcome.later_us / 1000), (int)(left * 1e6));
			assert_int_equal(outcome.runs, rates[i].runs);
			assert_in_range(outcome.later_us + SECOND_US, 0, 2 * SECOND_US);
			assert_true(left < 0.003 && left > -0.003);
			assert_false(outcome.by_arrival);
		}
	}
}

/* --- sense and nonsense at the start and later --- */

/* Each step of RTP time comes after 40 ms; steps of `odd` every `every` units. */
static unsigned runs_with_odd_steps(uint32_t odd, int64_t every, bool *by_arrival)
{
	struct clock clock;
	uint32_t rtp = 1000;
	unsigned runs = 0;
	int64_t stamp;

	clock_init(&clock, HZ);
	for (int64_t i = 0; i < 25 * 3600; i++) {
		int64_t now_us = i * 40000;

		runs += clock_stamp(&clock, rtp, START_UTC + now_us, START_MONOTONIC + now_us,
				&stamp) == CLOCK_JUMPED;
		if (i == 5)
			(void)clock_settle(&clock, clock_early_us(&clock));
		assert_in_range(us_of(stamp) - START_UTC - now_us + 50000, 0, 100000);
		rtp += i % every == every - 1 ? odd : 3600;
	}
	*by_arrival = clock.by_arrival;
	return runs;
}

static void test_q107_leaps_at_all_distances(void **state)
{
	bool by_arrival;

	(void)state;
	/* each ten minutes: back to zero, by hours, across half of the range; five times in an hour */
	assert_int_equal(runs_with_odd_steps(0U - 600 * HZ, 15000, &by_arrival), 5);
	assert_false(by_arrival);
	assert_int_equal(runs_with_odd_steps(7200U * HZ, 15000, &by_arrival), 5);
	assert_false(by_arrival);
	assert_int_equal(runs_with_odd_steps(0x80000000, 15000, &by_arrival), 5);
	assert_false(by_arrival);
	/* each second */
	assert_int_equal(runs_with_odd_steps(7200U * HZ, 25, &by_arrival), 4);
	assert_true(by_arrival);
}

/* Pairs of pictures with the same time are no reason for anything. */
static void test_p4_the_same_time_for_two_pictures(void **state)
{
	struct clock clock;
	int64_t stamp;

	(void)state;
	clock_init(&clock, HZ);
	for (int64_t i = 0; i < 25 * 600; i++) {
		int64_t now_us = i * 40000;

		assert_int_equal(clock_stamp(&clock, (uint32_t)(i / 2 * 7200), START_UTC + now_us,
					 START_MONOTONIC + now_us, &stamp),
			CLOCK_OK);
		assert_in_range(START_UTC + now_us - us_of(stamp), 0, 40012);
	}
}

/* The first unit is one that the camera had kept, with a time from long ago, or any time. */
static void test_p4_a_first_picture_from_another_time(void **state)
{
	static const uint32_t first[] = { 0, 0U - 3600U * HZ, 3600U * HZ, 11 * HZ, 0U - 11 * HZ };

	(void)state;
	for (size_t k = 0; k < ARRAY_LENGTH(first); k++) {
		struct clock clock;
		unsigned runs = 0;

		clock_init(&clock, HZ);
		for (int64_t i = 0; i < 25 * 60; i++) {
			int64_t now_us = i * 40000, stamp;
			uint32_t rtp = (uint32_t)(0x50000000 + i * 3600);

			if (!i)
				rtp = 0x50000000 + first[k];
			runs += clock_stamp(&clock, rtp, START_UTC + now_us,
					START_MONOTONIC + now_us, &stamp) == CLOCK_JUMPED;
			if (i == 6)
				(void)clock_settle(&clock, clock_early_us(&clock));
			assert_in_range(us_of(stamp) - START_UTC - now_us + 100, 0, 200);
		}
		assert_int_equal(runs, first[k] ? 1 : 0);
	}
}

/* The local clock was set by an hour; when the camera's leaps then, both tracks keep their times. */
static void a_leap_after_a_local_step_stays_in_the_sessions_time(void **state)
{
	struct clock clock;
	unsigned runs = 0;

	(void)state;
	clock_init(&clock, HZ);
	for (int64_t i = 0; i < 25 * 60; i++) {
		int64_t now_us = i * 40000, stamp, step_us = i > 300 ? -3600 * SECOND_US : 0;

		runs += clock_stamp(&clock, (uint32_t)(i * 3600) + (i > 600 ? 0x12345678 : 0),
				START_UTC + now_us + step_us, START_MONOTONIC + now_us,
				&stamp) == CLOCK_JUMPED;
		if (i == 6)
			(void)clock_settle(&clock, clock_early_us(&clock));
		assert_in_range(us_of(stamp) - START_UTC - now_us + 100, 0, 200);
	}
	assert_int_equal(runs, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_q116_a_crowded_network_is_no_rate_and_no_jump),
		cmocka_unit_test(test_q116_a_slow_camera_on_a_bad_way),
		cmocka_unit_test(test_q108_every_rate),
		cmocka_unit_test(test_q107_leaps_at_all_distances),
		cmocka_unit_test(test_p4_the_same_time_for_two_pictures),
		cmocka_unit_test(test_p4_a_first_picture_from_another_time),
		cmocka_unit_test(a_leap_after_a_local_step_stays_in_the_sessions_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
