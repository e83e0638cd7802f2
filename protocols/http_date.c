/*
 * Dates as HTTP writes them (RFC 9110 section 5.6.7): IMF-fixdate, and on reading also RFC 850 and
 * asctime. And RFC 3339's timestamps. Own calendar arithmetic, because the C library's depends on locale and time zone.
 */
#include "protocols/http_date.h"

#include <stdio.h>
#include <string.h>

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char day_names[] = "SunMonTueWedThuFriSat";
static const char *const long_day_names[] = { "Sunday", "Monday", "Tuesday", "Wednesday",
	"Thursday", "Friday", "Saturday" };

enum {
	SECONDS_PER_DAY = 86400
};
#define SECONDS_LAST 253402300799 /* the end of year 9999 */

struct http_calendar {
	int year, month, day; /* month and day count from 1 */
	int hour, minute, second;
	int weekday; /* 0: Sunday */
};

/* Days since 1970-01-01 in the Gregorian calendar; years begin in March, so leap days come last. */
static int64_t http_days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static struct http_calendar http_calendar_of(int64_t utc_us)
{
	int64_t seconds = utc_us < 0 ? 0 : utc_us / 1000000;
	struct http_calendar c;

	if (seconds > SECONDS_LAST)
		seconds = SECONDS_LAST;
	int64_t days = seconds / SECONDS_PER_DAY;
	int rest = (int)(seconds % SECONDS_PER_DAY);

	c.weekday = (int)((days + 4) % 7);
	int64_t z = days + 719468;
	int64_t era = z / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c.year = (int)(yoe + era * 400 + (c.month <= 2));
	c.hour = rest / 3600;
	c.minute = rest / 60 % 60;
	c.second = rest % 60;
	return c;
}

/* Two or four digits. */
static char *http_put_number(char *at, int value, int digits)
{
	for (int i = digits - 1; i >= 0; i--) {
		at[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return at + digits;
}

static char *http_put(char *at, const char *s, size_t n)
{
	memcpy(at, s, n);
	return at + n;
}

static char *http_put_time(char *at, const struct http_calendar *c)
{
	at = http_put_number(at, c->hour, 2);
	*at++ = ':';
	at = http_put_number(at, c->minute, 2);
	*at++ = ':';
	return http_put_number(at, c->second, 2);
}

char *http_date_write(char ret[HTTP_DATE_BYTES], int64_t utc_us)
{
	struct http_calendar c = http_calendar_of(utc_us);
	char *at = ret;

	at = http_put(at, &day_names[c.weekday * 3], 3);
	at = http_put(at, ", ", 2);
	at = http_put_number(at, c.day, 2);
	*at++ = ' ';
	at = http_put(at, &month_names[(c.month - 1) * 3], 3);
	*at++ = ' ';
	at = http_put_number(at, c.year, 4);
	*at++ = ' ';
	at = http_put_time(at, &c);
	(void)http_put(at, " GMT", 5);
	return ret;
}

char *http_timestamp_write(char ret[HTTP_TIMESTAMP_BYTES], int64_t utc_us)
{
	struct http_calendar c = http_calendar_of(utc_us);
	char *at = ret;

	at = http_put_number(at, c.year, 4);
	*at++ = '-';
	at = http_put_number(at, c.month, 2);
	*at++ = '-';
	at = http_put_number(at, c.day, 2);
	*at++ = 'T';
	at = http_put_time(at, &c);
	(void)http_put(at, "Z", 2);
	return ret;
}

/* A walk over the text; the first mismatch sticks. */
struct http_date_reader {
	const char *at, *end;
	bool failed;
};

static void http_expect(struct http_date_reader *r, const char *s)
{
	size_t n = strlen(s);

	if (r->failed || (size_t)(r->end - r->at) < n || memcmp(r->at, s, n) != 0)
		r->failed = true;
	else
		r->at += n;
}

static int http_number(struct http_date_reader *r, int digits)
{
	int value = 0;

	if (r->failed || r->end - r->at < digits) {
		r->failed = true;
		return 0;
	}
	for (int i = 0; i < digits; i++, r->at++) {
		if (*r->at < '0' || *r->at > '9')
			r->failed = true;
		value = value * 10 + (*r->at - '0');
	}
	return value;
}

/* The index of the three letters at r in a row of names, from 0. */
static int http_name(struct http_date_reader *r, const char *names)
{
	for (int i = 0; !r->failed && r->end - r->at >= 3 && names[i * 3]; i++) {
		if (memcmp(r->at, &names[i * 3], 3) == 0) {
			r->at += 3;
			return i;
		}
	}
	r->failed = true;
	return 0;
}

static void http_time(struct http_date_reader *r, struct http_calendar *c)
{
	c->hour = http_number(r, 2);
	http_expect(r, ":");
	c->minute = http_number(r, 2);
	http_expect(r, ":");
	c->second = http_number(r, 2);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static void http_parse_fixdate(struct http_date_reader *r, struct http_calendar *c)
{
	http_expect(r, ", ");
	c->day = http_number(r, 2);
	http_expect(r, " ");
	c->month = http_name(r, month_names) + 1;
	http_expect(r, " ");
	c->year = http_number(r, 4);
	http_expect(r, " ");
	http_time(r, c);
	http_expect(r, " GMT");
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static void http_parse_rfc850(struct http_date_reader *r, struct http_calendar *c)
{
	http_expect(r, ", ");
	c->day = http_number(r, 2);
	http_expect(r, "-");
	c->month = http_name(r, month_names) + 1;
	http_expect(r, "-");
	c->year = http_number(r, 2);
	c->year += c->year < 70 ? 2000 : 1900;
	http_expect(r, " ");
	http_time(r, c);
	http_expect(r, " GMT");
}

/* "Sun Nov  6 08:49:37 1994" */
static void http_parse_asctime(struct http_date_reader *r, struct http_calendar *c)
{
	http_expect(r, " ");
	c->month = http_name(r, month_names) + 1;
	http_expect(r, " ");
	if (!r->failed && r->at < r->end && *r->at == ' ') {
		r->at++;
		c->day = http_number(r, 1);
	} else {
		c->day = http_number(r, 2);
	}
	http_expect(r, " ");
	http_time(r, c);
	http_expect(r, " ");
	c->year = http_number(r, 4);
}

static bool http_calendar_is_valid(const struct http_calendar *c)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;

	/* 60 is a leap second */
	return c->year >= 1970 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
	       c->day <= days[c->month - 1] + (leap && c->month == 2 ? 1 : 0) && c->hour <= 23 &&
	       c->minute <= 59 && c->second <= 60;
}

static int64_t http_calendar_us(const struct http_calendar *c)
{
	int64_t seconds = http_days_of(c->year, c->month, c->day) * SECONDS_PER_DAY +
			  c->hour * 3600 + c->minute * 60 + c->second;

	return seconds * 1000000;
}

int64_t http_date_parse(struct message_text text)
{
	struct http_date_reader r = { .at = text.p, .end = text.p ? text.p + text.n : NULL };
	struct http_calendar c = { .month = 1 };

	if (!text.p)
		return -1;
	c.weekday = http_name(&r, day_names);
	if (!r.failed && r.at < r.end && *r.at == ',') {
		http_parse_fixdate(&r, &c);
	} else if (!r.failed && r.at < r.end && *r.at == ' ') {
		http_parse_asctime(&r, &c);
	} else {
		http_expect(&r, long_day_names[c.weekday] + 3);
		http_parse_rfc850(&r, &c);
	}
	if (r.failed || r.at != r.end || !http_calendar_is_valid(&c))
		return -1;
	return http_calendar_us(&c);
}

/* ".250", or nothing, in microseconds. */
static int http_fraction(struct http_date_reader *r)
{
	int us = 0, unit = 100000;

	if (r->failed || r->at == r->end || *r->at != '.')
		return 0;
	r->at++;
	us = http_number(r, 1) * unit;
	for (; !r->failed && r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
		unit /= 10;
		us += (*r->at - '0') * unit;
	}
	return us;
}

/* "Z", "+01:00": how many seconds ahead of UTC. */
static int http_offset(struct http_date_reader *r)
{
	int sign = 0, hours, minutes;

	if (!r->failed && r->at < r->end)
		sign = *r->at == '+' ? 1 : *r->at == '-' ? -1 : 0;
	if (!sign) {
		http_expect(r, "Z");
		return 0;
	}
	r->at++;
	hours = http_number(r, 2);
	http_expect(r, ":");
	minutes = http_number(r, 2);
	if (hours > 23 || minutes > 59)
		r->failed = true;
	return sign * (hours * 3600 + minutes * 60);
}

int64_t http_timestamp_parse(struct message_text text)
{
	struct http_date_reader r = { .at = text.p, .end = text.p ? text.p + text.n : NULL };
	struct http_calendar c = { 0 };
	int fraction_us, offset;
	int64_t us;

	if (!text.p)
		return -1;
	c.year = http_number(&r, 4);
	http_expect(&r, "-");
	c.month = http_number(&r, 2);
	http_expect(&r, "-");
	c.day = http_number(&r, 2);
	http_expect(&r, "T");
	http_time(&r, &c);
	fraction_us = http_fraction(&r);
	offset = http_offset(&r);
	if (r.failed || r.at != r.end || !http_calendar_is_valid(&c))
		return -1;
	us = http_calendar_us(&c) + fraction_us - (int64_t)offset * 1000000;
	return us < 0 ? -1 : us;
}
