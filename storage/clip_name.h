#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * Names of what is made of recordings while it is read. Pure.
 *
 *	20261120T143000Z--20261120T150000.250Z.mp4               a clip
 *	20261120T143000Z--20261120T150000.250Z.mp4?gaps=close    one without gaps
 *	14-30-00+0100.mp4?origin=20261120T000000Z                a file whose decode times count from an instant
 *
 * Instants are RFC 3339 in its basic form, UTC, from 1970 on, with at most nine digits of a fraction, of which six count.
 */

enum {
	CLIP_TIME_BYTES = 24, /* "20261120T143000.250000Z" */
};

struct clip_range {
	int64_t from_us, to_us; /* from < to */
};

/* An instant at *at, which moves behind it. False, and *at stays, when there is none. */
bool clip_time_parse(int64_t *ret, const char **at) MUST_CHECK;
/* Writes it with as many digits as it needs: none, three or six. 1970 to 9999. Returns ret. */
char *clip_time_write(char ret[CLIP_TIME_BYTES], int64_t us);
/* "<from>--<to>" at *at, which moves behind it. False, and *at stays, when there is none. */
bool clip_range_parse(struct clip_range *ret, const char **at) MUST_CHECK;
