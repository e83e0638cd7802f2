/* Decode times. The orders are x264's, as ffprobe shows them, and so are the decode times. */
#include "server/media/decode_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/base/attributes.h"

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
		cmocka_unit_test(decode_times_rise_and_stay_below_for_every_larger_depth),
		cmocka_unit_test(decode_times_rise_even_where_presentation_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
