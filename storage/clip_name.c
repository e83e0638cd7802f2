/* Instants and ranges as clips are named by them (RFC 3339, basic form, UTC). */
#include "storage/clip_name.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	FRACTION_DIGITS = 6,
	FRACTION_MOST = 9,
	FIRST_YEAR = 1970,
};

/* So many digits as a number; -1 when there are fewer. */
static int parse_digits(const char **at, int n)
{
	int value = 0;

	for (int i = 0; i < n; i++, (*at)++) {
		if (**at < '0' || **at > '9')
			return -1;
		value = value * 10 + (**at - '0');
	}
	return value;
}

static bool parse_letter(const char **at, char letter)
{
	if (**at != letter)
		return false;
	(*at)++;
	return true;
}

/* ".250": the microseconds of it; 0 without one; -1 when it makes no sense. */
static int parse_fraction(const char **at)
{
	int us = 0, n = 0;

	if (!parse_letter(at, '.'))
		return 0;
	for (; **at >= '0' && **at <= '9' && n < FRACTION_MOST; (*at)++, n++) {
		if (n < FRACTION_DIGITS)
			us = us * 10 + (**at - '0');
	}
	for (int i = n; i < FRACTION_DIGITS; i++)
		us *= 10;
	return n ? us : -1;
}

bool clip_time_parse(int64_t *ret, const char **at)
{
	const char *p = *at;
	int year = parse_digits(&p, 4), month = year < 0 ? -1 : parse_digits(&p, 2);
	int day = month < 0 ? -1 : parse_digits(&p, 2);
	struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day }, same;
	time_t seconds;
	int us;

	if (day < 0 || year < FIRST_YEAR || !parse_letter(&p, 'T'))
		return false;
	tm.tm_hour = parse_digits(&p, 2);
	tm.tm_min = tm.tm_hour < 0 ? -1 : parse_digits(&p, 2);
	tm.tm_sec = tm.tm_min < 0 ? -1 : parse_digits(&p, 2);
	us = tm.tm_sec < 0 ? -1 : parse_fraction(&p);
	if (us < 0 || !parse_letter(&p, 'Z'))
		return false;
	same = tm;
	seconds = timegm(
		&same); /* which makes the 1st of March of a 29th of February that was none */
	if (same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday || same.tm_hour != tm.tm_hour ||
		same.tm_min != tm.tm_min || same.tm_sec != tm.tm_sec)
		return false;
	*ret = (int64_t)seconds * 1000000 + us;
	*at = p;
	return true;
}

char *clip_time_write(char ret[CLIP_TIME_BYTES], int64_t us)
{
	time_t seconds = (time_t)(us / 1000000);
	int fraction = (int)(us % 1000000);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(ret, CLIP_TIME_BYTES, "%Y%m%dT%H%M%S", &tm);
	if (!fraction)
		(void)snprintf(ret + n, CLIP_TIME_BYTES - n, "Z");
	else if (fraction % 1000)
		(void)snprintf(ret + n, CLIP_TIME_BYTES - n, ".%06dZ", fraction);
	else
		(void)snprintf(ret + n, CLIP_TIME_BYTES - n, ".%03dZ", fraction / 1000);
	return ret;
}

bool clip_range_parse(struct clip_range *ret, const char **at)
{
	struct clip_range range = { 0 };
	const char *p = *at;

	if (!clip_time_parse(&range.from_us, &p) || !parse_letter(&p, '-') ||
		!parse_letter(&p, '-') || !clip_time_parse(&range.to_us, &p) ||
		range.from_us >= range.to_us)
		return false;
	*ret = range;
	*at = p;
	return true;
}
