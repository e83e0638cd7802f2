/* The weekly schedule: a line of text to the minutes of a week. */
#include "server/base/schedule.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "server/base/memory.h"

enum {
	DAYS = 7,
	DAY_MINUTES = 24 * 60,
	WEEK_MINUTES = DAYS * DAY_MINUTES
};

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* A day's name at *p, which moves on; or -1. */
static int parse_day(const char **p)
{
	static const char names[DAYS][4] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

	for (int day = 0; day < DAYS; day++) {
		if (strncasecmp(*p, names[day], 3) == 0) {
			*p += 3;
			return day;
		}
	}
	return -1;
}

/* "7:30", "07:30", "24:00" at *p, which moves on, as minutes; or -1. */
static int parse_time(const char **p)
{
	int parts[2] = { 0, 0 };

	for (int i = 0; i < 2; i++) {
		size_t digits = strspn(*p, "0123456789");

		if (digits < 1 + (size_t)i || digits > 2)
			return -1;
		for (; digits; digits--)
			parts[i] = parts[i] * 10 + *(*p)++ - '0';
		if (i == 0 && *(*p)++ != ':')
			return -1;
	}
	if (parts[1] > 59 || parts[0] * 60 + parts[1] > DAY_MINUTES)
		return -1;
	return parts[0] * 60 + parts[1];
}

static void schedule_add(struct schedule *schedule, int day, int from, int to)
{
	int end = to > from ? to : to + DAY_MINUTES;

	for (int minute = from; minute < end; minute++) {
		int at = (day * DAY_MINUTES + minute) % WEEK_MINUTES;

		schedule->minutes[at / 8] |= (uint8_t)(1 << at % 8);
	}
}

/* One item: "mon-fri 18:00-07:00". */
static const char *parse_item(struct schedule *ret, const char **p)
{
	static const char wrong[] =
		"holds something else than days and times such as mon-fri 18:00-07:00";
	int first = parse_day(p), last = first, from = 0, to = DAY_MINUTES;

	if (first < 0) {
		if (!isdigit((unsigned char)**p))
			return wrong;
		first = 0;
		last = DAYS - 1;
	} else if (**p == '-') {
		++*p;
		last = parse_day(p);
		if (last < 0)
			return "names no day after '-': mon, tue, wed, thu, fri, sat, sun";
	}
	*p = skip_blanks(*p);
	if (**p && **p != ',') {
		from = parse_time(p);
		if (from < 0 || *(*p)++ != '-' || (to = parse_time(p)) < 0)
			return wrong;
		if (from == to)
			return "holds times that begin where they end";
	}
	for (int day = first;; day = (day + 1) % DAYS) {
		schedule_add(ret, day, from, to);
		if (day == last)
			return NULL;
	}
}

const char *schedule_parse(struct schedule *ret, const char *text)
{
	const char *p = skip_blanks(text);

	memset(ret, 0, sizeof(*ret));
	if (!*p)
		return "is empty";
	for (;;) {
		const char *why = parse_item(ret, &p);

		if (why)
			return why;
		p = skip_blanks(p);
		if (!*p)
			return NULL;
		if (*p++ != ',')
			return "has no comma between two times";
		p = skip_blanks(p);
	}
}

bool schedule_has(const struct schedule *schedule, const struct tm *local)
{
	int at = local->tm_wday * DAY_MINUTES + local->tm_hour * 60 + local->tm_min;

	return schedule->minutes[at / 8] >> at % 8 & 1;
}
