#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * When something was recorded, as a file's name or a container's creation_time says it: the first
 * date with a time in the text, else the first number that stands alone and counts seconds,
 * milliseconds or microseconds since 1970. Local time of the machine, or UTC where a Z follows.
 *
 *	2026-11-20_14-30-00		20261120143000		20261120T143000Z
 *	MDAlarm_20261120-143000		RLC_00_20261120143000	2026-11-20T14:30:00.000000Z
 *	192.0.2.1_01_20261120143000123_MOTION_DETECTION		1795185000
 *
 * Only what is plausible is a time: after the year 2000, where clocks begin that nobody has set, and
 * at most a day after now_us, unless that itself is none. Returns whether there is one, in us since 1970.
 */
bool upload_time_find(const char *text, int64_t now_us, int64_t *ret_us);
