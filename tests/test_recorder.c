/* Names and boundaries of recordings: offsets from UTC, nights when the clock is changed. */
#include "storage/recorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void in_zone(const char *zone)
{
	(void)setenv("TZ", zone, 1);
	tzset();
}

static void test_names_carry_the_offset(void **state)
{
	static const struct {
		const char *zone;
		int64_t start_s;
		const char *path;
	} cases[] = {
		{"UTC",               1795185000, "recordings/porch/2026-11-20/14-30-00+0000.mp4"},
		{ "Europe/Berlin",    1795185000, "recordings/porch/2026-11-20/15-30-00+0100.mp4"},
 /* 2026-10-25: the hour from two to three comes twice */
		{ "Europe/Berlin",    1792888200, "recordings/porch/2026-10-25/02-30-00+0200.mp4"},
		{ "Europe/Berlin",    1792891800, "recordings/porch/2026-10-25/02-30-00+0100.mp4"},
		{ "Asia/Kolkata",     1795185000, "recordings/porch/2026-11-20/20-00-00+0530.mp4"},
		{ "America/New_York", 1795185000, "recordings/porch/2026-11-20/09-30-00-0500.mp4"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[128];

		in_zone(cases[i].zone);
		recorder_path(path, sizeof(path), "porch", cases[i].start_s * 1000000);
		assert_string_equal(path, cases[i].path);
	}
}

static void test_boundaries_are_on_the_wall_clock(void **state)
{
	static const struct {
		const char *zone;
		int64_t start_s, segment_s, boundary_s;
	} cases[] = {
		{"UTC",            1795185000, 600,   1795185600}, /* 14:30:00 -> 14:40 */
		{ "UTC",           1795185001, 600,   1795185600},
                { "UTC",           1795185000, 10,    1795185010},
		{ "UTC",           1795185000, 86400, 1795219200}, /* midnight */
		{ "Europe/Berlin", 1795185000, 86400, 1795215600}, /* midnight there */
		{ "Asia/Kolkata",  1795185000, 3600,  1795188600}, /* 20:00 -> 21:00 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in_zone(cases[i].zone);
		assert_true(recorder_boundary(cases[i].start_s * 1000000,
				    cases[i].segment_s * 1000000) == cases[i].boundary_s * 1000000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_carry_the_offset),
		cmocka_unit_test(test_boundaries_are_on_the_wall_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
