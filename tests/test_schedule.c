/* The weekly schedule: what people write, and which minutes it means. */
#include "server/base/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	SUN,
	MON,
	TUE,
	WED,
	THU,
	FRI,
	SAT
};

static bool has(const char *text, int day, int hour, int minute)
{
	struct tm local = { .tm_wday = day, .tm_hour = hour, .tm_min = minute };
	struct schedule schedule;
	const char *why = schedule_parse(&schedule, text);

	if (why)
		fail_msg("%s: %s", text, why);
	return schedule_has(&schedule, &local);
}

static unsigned minutes(const char *text)
{
	unsigned count = 0;

	for (int day = SUN; day <= SAT; day++)
		for (int hour = 0; hour < 24; hour++)
			for (int minute = 0; minute < 60; minute++)
				count += has(text, day, hour, minute);
	return count;
}

static void test_nights_and_weekends(void **state)
{
	static const char text[] = "mon-fri 18:00-07:00, sat-sun";

	(void)state;
	assert_false(has(text, MON, 6, 59)); /* Sunday's day ends at midnight */
	assert_false(has(text, MON, 17, 59));
	assert_true(has(text, MON, 18, 0));
	assert_true(has(text, TUE, 0, 0));
	assert_true(has(text, TUE, 6, 59));
	assert_false(has(text, TUE, 7, 0));
	assert_true(has(text, FRI, 23, 59));
	assert_true(has(text, SAT, 12, 0));
	assert_true(has(text, SUN, 23, 59));
	assert_int_equal(minutes(text),
		5 * 13 * 60 + 2 * 24 * 60 - 7 * 60); /* Friday's night is in Saturday */
}

static void test_all_the_ways_to_write_it(void **state)
{
	(void)state;
	assert_int_equal(minutes("8:00-12:30"), 7 * 270);
	assert_int_equal(minutes("  Mon  08:00-12:30 ,tue 08:00-12:30 "), 2 * 270);
	assert_int_equal(minutes("sat-sun"), 2 * 24 * 60);
	assert_int_equal(minutes("fri-mon"), 4 * 24 * 60);
	assert_int_equal(minutes("wed"), 24 * 60);
	assert_int_equal(minutes("00:00-24:00"), 7 * 24 * 60);
	assert_true(has("sat 22:00-02:00", SUN, 1, 59)); /* over the week's end */
	assert_false(has("sat 22:00-02:00", SAT, 1, 59));
}

static void test_what_it_is_not(void **state)
{
	static const char *const wrong[] = { "", " ", "mo", "mon-", "mon-xyz", "mon 8-12",
		"mon 8:00", "mon 8:00-", "mon 8:60-9:00", "mon 24:01-25:00", "mon 8:00-8:00",
		"mon 8:00-9:00 tue", "mon,", ",mon", "mon;tue", "8:0-9:00", "118:00-19:00",
		"-1:00-2:00" };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct schedule schedule;

		if (!schedule_parse(&schedule, wrong[i]))
			fail_msg("\"%s\" was taken", wrong[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nights_and_weekends),
		cmocka_unit_test(test_all_the_ways_to_write_it),
		cmocka_unit_test(test_what_it_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
