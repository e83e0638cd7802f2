/* Decode times. The orders are x264's, as ffprobe shows them, and so are the decode times. */
#include "server/media/decode_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/base/attributes.h"
#include "server/media/clock.h"

enum {
	FRAME = 3600
};

/* Presentation order in decoding order, in frames; in each case ffmpeg's dts is i - depth. */
static const struct {
	unsigned depth;
	int64_t pts[24];
} orders[] = {
	{0,  { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
		     23 } },
 /* bframes=1 */
	{ 1, { 0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 11, 12, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21,
		     23 }},
 /* bframes=2 */
	{ 1, { 0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 11, 10, 12, 15, 13, 14, 18, 16, 17, 21, 19, 20, 23,
		     22 }},
 /* bframes=3:b-pyramid=normal */
	{ 2, { 0, 4, 2, 1, 3, 8, 6, 5, 7, 11, 9, 10, 12, 16, 14, 13, 15, 20, 18, 17, 19, 23, 21,
		     22 }},
};

/*
 * Whole sequences with changing depth, scene cuts and open groups: test pictures through x264
 * (bframes=3, b-pyramid normal; the same open-gop, b-pyramid strict) and x265 (bframes=4, b-pyramid,
 * open-gop), as ffprobe shows them. All three say in the SPS that two pictures are reordered.
 */
enum {
	SEQUENCE_DEPTH = 2
};
static const int64_t x264_closed[] = { 0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11, 16, 14, 13, 15, 20,
	18, 17, 19, 24, 22, 21, 23, 28, 26, 25, 27, 32, 30, 29, 31, 36, 34, 33, 35, 37, 41, 39, 38,
	40, 45, 43, 42, 44, 49, 47, 46, 48, 53, 51, 50, 52, 57, 55, 54, 56, 61, 59, 58, 60, 65, 63,
	62, 64, 69, 67, 66, 68, 73, 71, 70, 72, 77, 75, 74, 76, 81, 79, 78, 80, 85, 83, 82, 84,
	86 };
static const int64_t x264_open[] = { 0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11, 16, 14, 13, 15, 20,
	18, 17, 19, 24, 22, 21, 23, 27, 25, 26, 30, 28, 29, 34, 32, 31, 33, 38, 36, 35, 37, 41, 39,
	40, 45, 43, 42, 44, 49, 47, 46, 48, 53, 51, 50, 52, 57, 55, 54, 56, 60, 58, 59, 64, 62, 61,
	63, 68, 66, 65, 67, 72, 70, 69, 71, 76, 74, 73, 75, 80, 78, 77, 79, 84, 82, 81, 83, 86, 85,
	87, 91, 89, 88, 90 };
static const int64_t x265_open[] = { 0, 3, 2, 1, 8, 6, 4, 5, 7, 12, 10, 9, 11, 17, 15, 13, 14, 16,
	20, 19, 18, 25, 23, 21, 22, 24, 28, 27, 26, 33, 31, 29, 30, 32, 38, 36, 34, 35, 37, 41, 40,
	39, 46, 44, 42, 43, 45, 50, 48, 47, 49, 54, 52, 51, 53, 57, 56, 55, 62, 60, 58, 59, 61, 66,
	64, 63, 65, 70, 68, 67, 69, 74, 72, 71, 73, 79, 77, 75, 76, 78, 84, 82, 80, 81, 83, 88, 86,
	85, 87, 93, 91, 89, 90, 92, 98, 96, 94, 95, 97, 100, 99 };
static const struct {
	const int64_t *pts;
	size_t n;
} sequences[] = {
	{x264_closed, ARRAY_LENGTH(x264_closed)},
	{ x264_open,  ARRAY_LENGTH(x264_open)  },
	{ x265_open,  ARRAY_LENGTH(x265_open)  },
};

static void decode_times_are_those_of_x264(void **state)
{
	const int64_t start = (int64_t)1800000000 * 90000;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(orders); i++) {
		struct decode_time d;

		decode_time_init(&d, orders[i].depth, FRAME);
		for (int64_t k = 0; k < 24; k++) {
			int64_t pts = start + orders[i].pts[k] * FRAME;
			int64_t dts = decode_time_of(&d, pts);

			assert_int_equal(dts - start, (k - orders[i].depth) * FRAME);
			assert_true(dts <= pts);
		}
	}
}

/* The encoders' own decode times are those of the pictures in order, two frames before. */
static void decode_times_are_those_of_whole_sequences(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(sequences); i++) {
		struct decode_time d;

		decode_time_init(&d, SEQUENCE_DEPTH, FRAME);
		for (size_t k = 0; k < sequences[i].n; k++) {
			int64_t pts = sequences[i].pts[k] * FRAME;
			int64_t dts = decode_time_of(&d, pts);

			assert_int_equal(dts, ((int64_t)k - SEQUENCE_DEPTH) * FRAME);
			assert_true(dts <= pts);
		}
	}
}

/*
 * A sequence again and again, by a camera whose clock is so much fast: the clock steers while the
 * pictures come out of order. They are shown in their order, each a frame (but for 0.2 ms) after the one before.
 */
static void play_while_steering(const int64_t *order, size_t n, int64_t ppm)
{
	const int64_t start_us = INT64_C(1795000000) * 1000000, rounds = 400;
	int64_t stamps[128] = { 0 }, last_dts = INT64_MIN, before = 0;
	struct decode_time d;
	struct clock clock;

	clock_init(&clock, 90000);
	decode_time_init(&d, SEQUENCE_DEPTH, FRAME);
	assert_true(n <= ARRAY_LENGTH(stamps));
	for (int64_t round = 0; round < rounds; round++) {
		for (size_t k = 0; k < n; k++) {
			int64_t made = round * (int64_t)n + (int64_t)k, now_us = made * 40000, pts,
				dts;
			int64_t shown = round * (int64_t)n + order[k] + SEQUENCE_DEPTH;
			uint32_t rtp = (uint32_t)(shown * FRAME + shown * FRAME * ppm / 1000000);

			assert_int_equal(clock_stamp(&clock, rtp, start_us + now_us, now_us, &pts),
				CLOCK_OK);
			if (made == 6)
				(void)clock_settle(&clock, 0);
			dts = decode_time_of(&d, pts);
			assert_true(dts <= pts);
			assert_true(dts > last_dts);
			last_dts = dts;
			stamps[order[k]] = pts;
		}
		for (size_t k = 0; k < n; k++) {
			if (round || k)
				assert_in_range(stamps[k] - before, FRAME - 20, FRAME + 20);
			before = stamps[k];
		}
	}
	assert_true(clock.steered_us != 0);
}

static void test_p9_pictures_keep_their_order_while_the_clock_steers(void **state)
{
	static const int64_t ppms[] = { 300, -300, 450, -450 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(sequences); i++) {
		for (size_t k = 0; k < ARRAY_LENGTH(ppms); k++)
			play_while_steering(sequences[i].pts, sequences[i].n, ppms[k]);
	}
}

/* A run that begins with an open group: what leads its first picture cannot be decoded anyway. */
static void decode_times_rise_where_a_run_begins_with_an_open_group(void **state)
{
	static const int64_t pts[] = { 30, 28, 29, 34, 32, 31, 33, 38, 36, 35, 37, 41, 39, 40 };
	struct decode_time d;
	int64_t last = INT64_MIN;

	(void)state;
	decode_time_init(&d, SEQUENCE_DEPTH, FRAME);
	for (size_t i = 0; i < ARRAY_LENGTH(pts); i++) {
		int64_t dts = decode_time_of(&d, pts[i] * FRAME);

		assert_true(dts > last);
		assert_true(dts <= pts[i] * FRAME + 2);
		if (i > 2)
			assert_true(dts <= pts[i] * FRAME);
		last = dts;
	}
}

/* A depth that is too large costs delay, not order; a wrong guess of the frame rate neither. */
static void decode_times_rise_and_stay_below_for_every_larger_depth(void **state)
{
	static const int64_t guesses[] = { 0, 1, 1500, FRAME, 9000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(orders); i++) {
		for (unsigned depth = orders[i].depth; depth <= 40; depth++) {
			for (size_t g = 0; g < ARRAY_LENGTH(guesses); g++) {
				struct decode_time d;
				int64_t last = INT64_MIN;

				decode_time_init(&d, depth, guesses[g]);
				for (int k = 0; k < 24; k++) {
					int64_t pts = orders[i].pts[k] * FRAME;
					int64_t dts = decode_time_of(&d, pts);

					assert_true(dts > last);
					assert_true(dts <= pts);
					last = dts;
				}
			}
		}
	}
}

static void decode_times_rise_even_where_presentation_does_not(void **state)
{
	static const int64_t wild[] = { 100, 100, 50, 200, 0, 0, 300, 299, 298, 297 };
	struct decode_time d;
	int64_t last = INT64_MIN;

	(void)state;
	decode_time_init(&d, 0, FRAME);
	for (size_t i = 0; i < ARRAY_LENGTH(wild); i++) {
		int64_t dts = decode_time_of(&d, wild[i]);

		assert_true(dts > last);
		last = dts;
	}
}

/* Moved in the middle, all is as if it had been so from the beginning. */
static void a_shift_moves_what_is_under_way_too(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(orders); i++) {
		for (size_t at = 0; at < ARRAY_LENGTH(orders[i].pts); at++) {
			struct decode_time plain, shifted;

			decode_time_init(&plain, orders[i].depth, FRAME);
			decode_time_init(&shifted, orders[i].depth, FRAME);
			for (size_t k = 0; k < ARRAY_LENGTH(orders[i].pts); k++) {
				int64_t pts = orders[i].pts[k] * FRAME, by = k < at ? 360 : 0;

				if (k == at)
					decode_time_shift(&shifted, -360);
				assert_int_equal(decode_time_of(&shifted, pts + by) - by,
					decode_time_of(&plain, pts));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shift_moves_what_is_under_way_too),
		cmocka_unit_test(decode_times_are_those_of_x264),
		cmocka_unit_test(decode_times_are_those_of_whole_sequences),
		cmocka_unit_test(test_p9_pictures_keep_their_order_while_the_clock_steers),
		cmocka_unit_test(decode_times_rise_where_a_run_begins_with_an_open_group),
		cmocka_unit_test(decode_times_rise_and_stay_below_for_every_larger_depth),
		cmocka_unit_test(decode_times_rise_even_where_presentation_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
