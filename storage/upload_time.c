/* Times in the names of files, as cameras write them. */
#include "storage/upload_time.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "server/base/attributes.h"

enum {
	YEAR_DIGITS = 4,
	DATE_DIGITS = 8,
	TIME_DIGITS = 6,
	DAYTIME_DIGITS = DATE_DIGITS + TIME_DIGITS,
	FRACTION_DIGITS = 6,
	BETWEEN_MOST = 3, /* characters between date and time */
	TM_YEAR = 1900
};

#define SECOND_US INT64_C(1000000)
#define DAY_US (24 * 60 * 60 * SECOND_US)
#define YEAR_2001_US (978307200 * SECOND_US)
#define YEAR_2026_US (1767225600 * SECOND_US) /* a clock that says less has not been set */

static bool is_plausible(int64_t us, int64_t now_us)
{
	return us >= YEAR_2001_US && (us <= now_us + DAY_US || now_us < YEAR_2026_US);
}

static size_t count_digits(const char *p)
{
	return strspn(p, "0123456789");
}

static const char *next_digits(const char *p)
{
	return p + strcspn(p, "0123456789");
}

/* The value of n digits, at most 18. */
static int64_t value_of(const char *p, size_t n)
{
	int64_t value = 0;

	while (n-- > 0)
		value = value * 10 + (*p++ - '0');
	return value;
}

/* A fraction of a second, of at most six digits. */
static int64_t fraction_us(const char *p, size_t n)
{
	int64_t us = value_of(p, n);

	for (; n < FRACTION_DIGITS; n++)
		us *= 10;
	return us;
}

/* --- parts of a text; each returns what follows it, or NULL --- */

/* Two digits, and no third. */
static const char *parse_pair(const char *p, int *ret)
{
	if (count_digits(p) != 2)
		return NULL;
	*ret = (int)value_of(p, 2);
	return p + 2;
}

static const char *skip_separator(const char *p)
{
	return *p && strchr("-_.: ", *p) ? p + 1 : NULL;
}

/* "11-20" or "30-00": two pairs. */
static const char *parse_pairs(const char *p, int *first, int *second)
{
	p = parse_pair(p, first);
	p = p ? skip_separator(p) : NULL;
	return p ? parse_pair(p, second) : NULL;
}

/* ".123" or ".123456" after the seconds, where there is one. */
static const char *parse_fraction(const char *p, int64_t *ret)
{
	size_t n = *p == '.' ? count_digits(p + 1) : 0;

	if (n != 3 && n != FRACTION_DIGITS)
		return p;
	*ret = fraction_us(p + 1, n);
	return p + 1 + n;
}

/* "143000", "143000123" */
static const char *parse_joint_time(const char *p, struct tm *tm, int64_t *fraction)
{
	size_t n = count_digits(p);

	if (n < TIME_DIGITS || n > TIME_DIGITS + FRACTION_DIGITS)
		return NULL;
	tm->tm_hour = (int)value_of(p, 2);
	tm->tm_min = (int)value_of(p + 2, 2);
	tm->tm_sec = (int)value_of(p + 4, 2);
	if (n == TIME_DIGITS)
		return parse_fraction(p + n, fraction);
	*fraction = fraction_us(p + TIME_DIGITS, n - TIME_DIGITS);
	return p + n;
}

/* "14-30-00", "14.30.00.123", and "14-30" where no seconds follow. */
static const char *parse_split_time(const char *p, struct tm *tm, int64_t *fraction)
{
	const char *seconds;

	p = parse_pairs(p, &tm->tm_hour, &tm->tm_min);
	seconds = p ? skip_separator(p) : NULL;
	seconds = seconds ? parse_pair(seconds, &tm->tm_sec) : NULL;
	return seconds ? parse_fraction(seconds, fraction) : p;
}

/* "-", "_", " ", "T", " - " … between date and time. */
static const char *skip_between(const char *p)
{
	size_t n = strspn(p, "-_.: T");

	return n >= 1 && n <= BETWEEN_MOST ? p + n : NULL;
}

static const char *parse_time(const char *p, struct tm *tm, int64_t *fraction)
{
	p = skip_between(p);
	if (!p)
		return NULL;
	return count_digits(p) == 2 ? parse_split_time(p, tm, fraction)
				    : parse_joint_time(p, tm, fraction);
}

static void take_date(const char *p, struct tm *tm)
{
	tm->tm_year = (int)value_of(p, YEAR_DIGITS) - TM_YEAR;
	tm->tm_mon = (int)value_of(p + 4, 2) - 1;
	tm->tm_mday = (int)value_of(p + 6, 2);
}

/* A date and a time from the beginning of a run of digits on. */
static const char *parse_daytime(const char *p, struct tm *tm, int64_t *fraction)
{
	size_t n = count_digits(p);

	if (n >= DAYTIME_DIGITS) {
		take_date(p, tm);
		return parse_joint_time(p + DATE_DIGITS, tm, fraction);
	}
	if (n == DATE_DIGITS) {
		take_date(p, tm);
		return parse_time(p + n, tm, fraction);
	}
	if (n != YEAR_DIGITS)
		return NULL;
	tm->tm_year = (int)value_of(p, n) - TM_YEAR;
	p = skip_separator(p + n);
	p = p ? parse_pairs(p, &tm->tm_mon, &tm->tm_mday) : NULL;
	tm->tm_mon--;
	return p ? parse_time(p, tm, fraction) : NULL;
}

/* --- times --- */

/* Whether a calendar and a clock have such fields. */
static bool is_daytime(const struct tm *tm)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = tm->tm_year + TM_YEAR;
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	if (tm->tm_mon < 0 || tm->tm_mon >= (int)ARRAY_LENGTH(days))
		return false;
	return tm->tm_mday >= 1 && tm->tm_mday <= days[tm->tm_mon] + (leap && tm->tm_mon == 1) &&
	       tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60;
}

static bool find_daytime(const char *p, int64_t now_us, int64_t *ret_us)
{
	struct tm tm = { .tm_isdst = -1 };
	int64_t fraction = 0, us;
	const char *end = parse_daytime(p, &tm, &fraction);
	bool utc = end && (*end == 'Z' || *end == 'z') && !isalnum((unsigned char)end[1]);

	if (!end || !is_daytime(&tm))
		return false;
	us = (int64_t)(utc ? timegm(&tm) : mktime(&tm)) * SECOND_US + fraction;
	if (!is_plausible(us, now_us))
		return false;
	*ret_us = us;
	return true;
}

static bool find_count(const char *p, int64_t now_us, int64_t *ret_us)
{
	static const struct {
		size_t digits;
		int64_t us;
	} units[] = {
		{10,  SECOND_US},
		{ 13, 1000     },
		{ 16, 1        },
	};
	size_t n = count_digits(p);

	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		if (n != units[i].digits || !is_plausible(value_of(p, n) * units[i].us, now_us))
			continue;
		*ret_us = value_of(p, n) * units[i].us;
		return true;
	}
	return false;
}

bool upload_time_find(const char *text, int64_t now_us, int64_t *ret_us)
{
	static bool (*const finds[])(
		const char *p, int64_t now_us, int64_t *ret_us) = { find_daytime, find_count };

	for (size_t i = 0; i < ARRAY_LENGTH(finds); i++) {
		for (const char *p = next_digits(text); *p; p = next_digits(p + count_digits(p))) {
			if (finds[i](p, now_us, ret_us))
				return true;
		}
	}
	return false;
}
