#include "onvif/xsd_time.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define MOST_US (INT64_C(100) * 365 * 86400 * SECOND_US)

enum {
	FRACTION_DIGITS = 6,
	ZONE_MINUTES = 14 * 60, /* the most that a zone may differ */
	TM_YEAR = 1900
};

/* What is left; the first thing that is wrong sticks. */
struct text {
	const char *p, *end;
	bool is_wrong;
};

static bool take(struct text *t, char c)
{
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

static void expect(struct text *t, char c)
{
	if (!take(t, c))
		t->is_wrong = true;
}

static bool at_digit(const struct text *t)
{
	return t->p < t->end && *t->p >= '0' && *t->p <= '9';
}

/* So many digits, of a number that is no more than `most`. */
static int take_number(struct text *t, int digits, int least, int most)
{
	int value = 0;

	for (; digits > 0; digits--) {
		if (!at_digit(t)) {
			t->is_wrong = true;
			return 0;
		}
		value = value * 10 + (*t->p++ - '0');
	}
	if (value < least || value > most)
		t->is_wrong = true;
	return value;
}

/* What stands behind the point of seconds, in microseconds. */
static int64_t take_fraction(struct text *t)
{
	int64_t us = 0, unit = SECOND_US / 10;

	if (!at_digit(t))
		t->is_wrong = true;
	for (; at_digit(t); unit /= 10)
		us += (*t->p++ - '0') * unit;
	return us;
}

static int take_zone_minutes(struct text *t)
{
	bool is_behind = take(t, '-');
	int minutes;

	if (t->p == t->end || take(t, 'Z'))
		return 0;
	if (!is_behind)
		expect(t, '+');
	minutes = take_number(t, 2, 0, ZONE_MINUTES / 60) * 60;
	expect(t, ':');
	minutes += take_number(t, 2, 0, 59);
	if (minutes > ZONE_MINUTES)
		t->is_wrong = true;
	return is_behind ? -minutes : minutes;
}

static int days_of_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && is_leap);
}

static void take_date(struct text *t, struct tm *tm)
{
	int year, month;

	year = take_number(t, 4, 1, 9999);
	expect(t, '-');
	month = take_number(t, 2, 1, 12);
	expect(t, '-');
	tm->tm_year = year - TM_YEAR;
	tm->tm_mon = month - 1;
	tm->tm_mday = take_number(t, 2, 1, t->is_wrong ? 1 : days_of_month(year, month));
}

int xsd_time_parse(const char *p, size_t n, int64_t *ret_us)
{
	struct text t = { .p = p, .end = p + n };
	struct tm tm = { 0 };
	int64_t fraction_us = 0, us;

	take_date(&t, &tm);
	expect(&t, 'T');
	tm.tm_hour = take_number(&t, 2, 0, 24);
	expect(&t, ':');
	tm.tm_min = take_number(&t, 2, 0, 59);
	expect(&t, ':');
	tm.tm_sec = take_number(&t, 2, 0, 60); /* a leap second is the next one */
	if (take(&t, '.'))
		fraction_us = take_fraction(&t);
	if (tm.tm_hour == 24 && (tm.tm_min || tm.tm_sec || fraction_us))
		t.is_wrong = true;
	us = -(int64_t)take_zone_minutes(&t) * 60 * SECOND_US + fraction_us;
	if (t.is_wrong || t.p != t.end)
		return -EBADMSG;
	*ret_us = us + (int64_t)timegm(&tm) * SECOND_US;
	return 0;
}

/* ".25", or "". */
static void write_fraction(char ret[FRACTION_DIGITS + 2], int64_t us)
{
	int n = us ? snprintf(ret, FRACTION_DIGITS + 2, ".%06d", (int)us) : 0;

	while (n && ret[n - 1] == '0')
		n--;
	ret[n] = '\0';
}

char *xsd_time_write(char ret[XSD_TIME_BYTES], int64_t utc_us)
{
	int64_t us = (utc_us % SECOND_US + SECOND_US) % SECOND_US;
	time_t seconds = (time_t)((utc_us - us) / SECOND_US);
	char fraction[FRACTION_DIGITS + 2];
	struct tm tm;
	int n;

	(void)gmtime_r(&seconds, &tm);
	write_fraction(fraction, us);
	n = snprintf(ret, XSD_TIME_BYTES, "%04d", tm.tm_year + TM_YEAR);
	n += (int)strftime(ret + n, XSD_TIME_BYTES - (size_t)n, "-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(ret + n, XSD_TIME_BYTES - (size_t)n, "%sZ", fraction);
	return ret;
}

/* --- durations --- */

/* What one of a unit is, in its order: of days, and behind the 'T' of times. */
static const struct unit {
	char letter;
	bool is_time;
	int64_t us;
} units[] = {
	{'Y',  false, 365 * 86400 * SECOND_US},
	{ 'M', false, 30 * 86400 * SECOND_US },
	{ 'D', false, 86400 * SECOND_US      },
	{ 'H', true,  3600 * SECOND_US       },
	{ 'M', true,  60 * SECOND_US         },
	{ 'S', true,  SECOND_US              },
};

static int64_t at_most(int64_t us)
{
	return us > MOST_US ? MOST_US : us;
}

/* A whole number; what is more than a hundred years of the smallest unit is cut there. */
static int64_t take_count(struct text *t)
{
	int64_t value = 0;

	if (!at_digit(t))
		t->is_wrong = true;
	for (; at_digit(t); t->p++) {
		value = value * 10 + (*t->p - '0');
		if (value > MOST_US / SECOND_US)
			value = MOST_US / SECOND_US;
	}
	return value;
}

/* One part, such as "5M", of the unit *at or a later one, which *at is then behind. */
static int64_t take_part(struct text *t, bool is_time, size_t *at)
{
	int64_t count = take_count(t), fraction_us = 0;
	bool has_point = take(t, '.');

	if (has_point)
		fraction_us = take_fraction(t);
	while (*at < ARRAY_LENGTH(units) && t->p < t->end) {
		const struct unit *unit = &units[(*at)++];

		if (unit->is_time != is_time || !take(t, unit->letter))
			continue;
		if (has_point && unit->letter != 'S')
			t->is_wrong = true;
		return count > MOST_US / unit->us ? MOST_US : count * unit->us + fraction_us;
	}
	t->is_wrong = true;
	return 0;
}

int xsd_duration_parse(const char *p, size_t n, int64_t *ret_us)
{
	struct text t = { .p = p, .end = p + n };
	bool is_negative = take(&t, '-'), is_time = false;
	int64_t us = 0;
	size_t at = 0;

	expect(&t, 'P');
	do {
		if (!is_time)
			is_time = take(&t, 'T');
		us = at_most(us + take_part(&t, is_time, &at));
	} while (!t.is_wrong && t.p < t.end);
	if (t.is_wrong)
		return -EBADMSG;
	*ret_us = is_negative ? -us : us;
	return 0;
}

char *xsd_duration_write(char ret[XSD_DURATION_BYTES], int64_t us)
{
	char fraction[FRACTION_DIGITS + 2];

	write_fraction(fraction, us % SECOND_US);
	snprintf(ret, XSD_DURATION_BYTES, "PT%lld%sS", (long long)(us / SECOND_US), fraction);
	return ret;
}
