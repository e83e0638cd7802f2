#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "server/base/attributes.h"

/*
 * Times of the week, as people write them: "mon-fri 18:00-07:00, sat-sun". Days without times mean all day, times
 * without days mean every day; times that go past midnight end on the day after. Minutes, in local time.
 */
struct schedule {
	uint8_t minutes[7 * 24 * 60 / 8]; /* a bit each, from Sunday 0:00 on */
};

/* Returns NULL, or what is wrong with the text (static). */
const char *schedule_parse(struct schedule *ret, const char *text) MUST_CHECK;
bool schedule_has(const struct schedule *schedule, const struct tm *local);
