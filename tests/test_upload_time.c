/* Times in the names of uploads: the shapes that cameras use, and what looks like one and is none. */
#include "storage/upload_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "server/base/attributes.h"

#define SECOND_US INT64_C(1000000)
/* 2026-11-20 14:30:00 UTC, and in Berlin, where it is an hour later. */
#define UTC_US (1795185000 * SECOND_US)
#define BERLIN_US (UTC_US - 3600 * SECOND_US)
#define NOW_US (UTC_US + 3600 * SECOND_US)

static int set_zone(void **state)
{
	(void)state;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1); // NOLINT(concurrency-mt-unsafe): one thread
	tzset();
	return 0;
}

static void names_of_cameras_are_read(void **state)
{
	static const struct {
		const char *name;
		int64_t us;
	} rows[] = {
		{"2026-11-20_14-30-00.mp4",                              BERLIN_US             },
		{ "20261120143000.mp4",                                  BERLIN_US             },
		{ "20261120_143000.mkv",                                 BERLIN_US             },
		{ "20261120T143000Z.ts",                                 UTC_US                },
		{ "20261120T143000.ts",                                  BERLIN_US             },
		{ "2026-11-20T14:30:00.000000Z",                         UTC_US                },
		{ "2026-11-20T14:30:00.250Z",                            UTC_US + 250000       },
		{ "2026-11-20 14.30.00.mp4",                             BERLIN_US             },
		{ "2026_11_20_14_30_00.avi",                             BERLIN_US             },
		{ "porch - 2026-11-20 - 14-30-00.mp4",                   BERLIN_US             },
		{ "MDAlarm_20261120-143000.mkv",                         BERLIN_US             },
		{ "RLC_00_20261120143000.mp4",                           BERLIN_US             },
		{ "192.0.2.1_01_20261120143000123_MOTION_DETECTION.mp4", BERLIN_US + 123000    },
		{ "20261120143000_20261120143100.mp4",                   BERLIN_US             },
		{ "2026-11-20_14-30.mp4",                                BERLIN_US             },
		{ "2026-11-20_14-30-00-12.mp4",                          BERLIN_US             },
		{ "1795185000.mp4",				      UTC_US                },
		{ "clip-1795185000123.mp4",                              UTC_US + 123000       },
		{ "1795185000123456",                                    UTC_US + 123456       },
		{ "1795185060_20261120143000.mp4",                       BERLIN_US             },
 /* the wrong one is passed over */
		{ "20269920143000_20261120143000.mp4",                   BERLIN_US             },
 /* summer time, and the hour that comes twice is one of the two */
		{ "20260720_143000.mp4",                                 1784550600 * SECOND_US},
		{ "20240229_120000.mp4",                                 1709204400 * SECOND_US},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		int64_t us = -1;

		if (!upload_time_find(rows[i].name, NOW_US, &us) || us != rows[i].us)
			fail_msg("%s is %lld", rows[i].name, (long long)us);
	}
}

static void what_is_no_time_is_none(void **state)
{
	static const char *const names[] = {
		"",
		"clip.mp4",
		"porch_0001.mp4",
		"192.0.2.1.mp4",
		"2026-11-20.mp4",      /* a day has no beginning */
		"20261120_0001.mp4",   /* a number that is counted up */
		"20261320_143000.mp4", /* no such month */
		"20260229_143000.mp4", /* nor such a day */
		"20261120_243000.mp4", /* nor hour */
		"20261120_146000.mp4", /* nor minute */
		"20261120_143060.mp4", /* nor second */
		"20000101000012.mp4",  /* a clock that nobody has set */
		"19700101_000012.mp4",
		"1904-01-01T00:00:00.000000Z",
		"20261122_143000.mp4", /* more than a day ahead */
		"20261120    143000.mp4",
		"202611201430001234567.mp4",
		"0000000000",
		"1795365001.mp4", /* more than a day ahead */
		"999999999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		int64_t us = -1;

		if (upload_time_find(names[i], NOW_US, &us))
			fail_msg("%s is %lld", names[i], (long long)us);
		assert_int_equal(us, -1);
	}
}

static void a_clock_that_is_not_set_forbids_no_future(void **state)
{
	int64_t us = 0;

	(void)state;
	assert_true(upload_time_find("20261120T143000Z", 60 * SECOND_US, &us));
	assert_int_equal(us, UTC_US);
}

static void cut_anywhere_it_is_a_time_or_none(void **state)
{
	static const char whole[] = "2026-11-20T14:30:00.250Z";

	(void)state;
	for (size_t n = 0; n < sizeof(whole); n++) {
		char *part = strndup(whole, n); /* its end is the end of the block */
		int64_t us = UTC_US;

		(void)upload_time_find(part, NOW_US, &us);
		assert_true(us == UTC_US || us == UTC_US + 250000 || us == BERLIN_US ||
			    us == BERLIN_US + 250000);
		free(part);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_cameras_are_read),
		cmocka_unit_test(what_is_no_time_is_none),
		cmocka_unit_test(a_clock_that_is_not_set_forbids_no_future),
		cmocka_unit_test(cut_anywhere_it_is_a_time_or_none),
	};

	return cmocka_run_group_tests(tests, set_zone, NULL);
}
