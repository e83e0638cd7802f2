#include "server/patience.h"

#include <event2/util.h>

#define SECOND_US INT64_C(1000000)
#define RETRY_MIN_US SECOND_US
#define RETRY_MAX_US (60 * SECOND_US)
#define RETRY_AFTER_MAX_US (3600 * SECOND_US)

/*
 * Waits grow slowly when the camera is merely away, so that it is back within a quarter of the time
 * that it was gone, and fast when it answered no. Repeated logins lock accounts and addresses out.
 */
static const struct row {
	enum source_end end;
	int64_t least_us, most_us;
	int percent; /* growth */
} rows[] = {
	{SOURCE_UNAUTHORIZED, 150 * SECOND_US, 900 * SECOND_US, 200},
	{ SOURCE_UNTRUSTED,   10 * SECOND_US,  RETRY_MAX_US,    200},
	{ SOURCE_BUSY,        5 * SECOND_US,   RETRY_MAX_US,    200},
	{ SOURCE_NOT_FOUND,   RETRY_MIN_US,    RETRY_MAX_US,    200},
	{ SOURCE_NO_VIDEO,    RETRY_MIN_US,    RETRY_MAX_US,    200},
	{ SOURCE_UNSUPPORTED, RETRY_MIN_US,    RETRY_MAX_US,    200},
	{ SOURCE_FAULT,       RETRY_MIN_US,    RETRY_MAX_US,    200},
	{ SOURCE_NO_KEYFRAME, RETRY_MIN_US,    RETRY_MAX_US,    200},
	{ SOURCE_STOPPED,     RETRY_MIN_US,    RETRY_MAX_US,    125}, /* all others */
};

static const struct row *row_of(enum source_end end)
{
	const struct row *row = rows;

	while (row->end != end && row->end != SOURCE_STOPPED)
		row++;
	return row;
}

void patience_reset(struct patience *patience)
{
	patience->wait_us = RETRY_MIN_US;
}

int64_t patience_next_us(struct patience *patience, enum source_end end, int64_t retry_after_us)
{
	const struct row *row = row_of(end);
	int64_t wait_us = patience->wait_us;
	uint32_t random;

	if (wait_us < row->least_us)
		wait_us = row->least_us;
	if (wait_us > row->most_us)
		wait_us = row->most_us;
	patience->wait_us = wait_us * row->percent / 100;
	if (wait_us < retry_after_us)
		wait_us = retry_after_us < RETRY_AFTER_MAX_US ? retry_after_us : RETRY_AFTER_MAX_US;
	evutil_secure_rng_get_bytes(&random, sizeof(random));
	return wait_us + (int64_t)(random % 1000) * wait_us / 5000;
}
