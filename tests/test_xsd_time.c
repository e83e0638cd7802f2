/* Instants and durations of XML Schema; expected values by the examples of the standard and by date(1). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "onvif/xsd_time.h"

static const struct {
	const char *text;
	int64_t us;
	const char *written; /* NULL: as it is */
} instants[] = {
	{"1970-01-01T00:00:00Z",             0,                           NULL                     },
	{ "2002-10-10T12:00:00-05:00",       INT64_C(1034269200000000),   "2002-10-10T17:00:00Z"   },
	{ "2026-11-20T14:30:00.123456Z",     INT64_C(1795185000123456),   NULL                     },
	{ "2026-11-20T14:30:00.1234567899Z", INT64_C(1795185000123456),
         "2026-11-20T14:30:00.123456Z"							     },
	{ "2026-11-20T14:30:00.250",         INT64_C(1795185000250000),   "2026-11-20T14:30:00.25Z"},
	{ "2024-02-29T23:59:60+14:00",       INT64_C(1709200800000000),   "2024-02-29T10:00:00Z"   },
	{ "1999-12-31T24:00:00Z",            INT64_C(946684800000000),    "2000-01-01T00:00:00Z"   },
	{ "1969-12-31T23:59:59.5Z",          -500000,                     NULL                     },
	{ "0001-01-01T00:00:00Z",            INT64_C(-62135596800000000), NULL                     },
	{ "9999-12-31T23:59:59.999999Z",     INT64_C(253402300799999999), NULL                     },
};

static void instants_are_what_they_say(void **state)
{
	char text[XSD_TIME_BYTES];
	int64_t us;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(instants); i++) {
		us = 7;
		assert_int_equal(
			xsd_time_parse(instants[i].text, strlen(instants[i].text), &us), 0);
		if (us != instants[i].us)
			fail_msg("%s: %lld", instants[i].text, (long long)us);
		assert_string_equal(xsd_time_write(text, us),
			instants[i].written ? instants[i].written : instants[i].text);
	}
}

static void what_is_no_instant_is_refused(void **state)
{
	static const char *const texts[] = { "", "2026", "2026-11-20", "2026-11-20 14:30:00Z",
		"2026-13-20T14:30:00Z", "2026-02-29T14:30:00Z", "2026-00-01T00:00:00Z",
		"2026-11-20T25:00:00Z", "2026-11-20T24:00:01Z", "2026-11-20T14:60:00Z",
		"2026-11-20T14:30:61Z", "2026-11-20T14:30:00.Z", "2026-11-20T14:30:00ZZ",
		"2026-11-20T14:30:00+15:00", "2026-11-20T14:30:00+0100", "-2026-11-20T14:30:00Z",
		"12026-11-20T14:30:00Z", "0000-11-20T14:30:00Z", "2026-11-20T14:30:00 Z" };
	int64_t us = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		if (xsd_time_parse(texts[i], strlen(texts[i]), &us) != -EBADMSG || us != 7)
			fail_msg("%s: %lld", texts[i], (long long)us);
	}
}

#define S INT64_C(1000000)

static const struct {
	const char *text;
	int64_t us;
} durations[] = {
	{"PT60S",				60 * S							  },
	{ "PT0S",				0							       },
	{ "PT1H30M",			     5400 * S							},
	{ "PT0.25S",			     250000							  },
	{ "P1D",				 86400 * S						       },
	{ "P1M",				 30 * 86400 * S						  },
	{ "PT1M",				60 * S							  },
	{ "P1Y2M3DT10H30M5.5S",                  (365 + 60 + 3) * 86400 * S + (10 * 3600 + 30 * 60) * S + 5500000},
	{ "-PT5S",			       -5 * S							  },
	{ "P99999999999999999999Y",              100 * 365 * (86400 * S)                                         },
	{ "PT99999999999999999999999999999999S", 100 * 365 * (86400 * S)                                         },
};

static void durations_are_what_they_say(void **state)
{
	int64_t us;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(durations); i++) {
		us = 7;
		if (xsd_duration_parse(durations[i].text, strlen(durations[i].text), &us) < 0 ||
			us != durations[i].us)
			fail_msg("%s: %lld", durations[i].text, (long long)us);
	}
}

static void what_is_no_duration_is_refused(void **state)
{
	static const char *const texts[] = { "", "P", "PT", "60", "PT60", "P60S", "PT1D", "P1S",
		"PT1S1M", "P1M1Y", "P1Y1Y", "PT1.S", "PT.5S", "PT1.5M", "P-1D", "P1DT", "PT1S ",
		"+PT1S" };
	int64_t us = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		if (xsd_duration_parse(texts[i], strlen(texts[i]), &us) != -EBADMSG || us != 7)
			fail_msg("%s: %lld", texts[i], (long long)us);
	}
}

static void durations_are_written_in_seconds(void **state)
{
	char text[XSD_DURATION_BYTES];

	(void)state;
	assert_string_equal(xsd_duration_write(text, 0), "PT0S");
	assert_string_equal(xsd_duration_write(text, 90 * S), "PT90S");
	assert_string_equal(xsd_duration_write(text, 1500000), "PT1.5S");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instants_are_what_they_say),
		cmocka_unit_test(what_is_no_instant_is_refused),
		cmocka_unit_test(durations_are_what_they_say),
		cmocka_unit_test(what_is_no_duration_is_refused),
		cmocka_unit_test(durations_are_written_in_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
