/* The fields of a PLAY request of recordings; and a range that was understood, written and read again, is the same. */
#include <stdlib.h>
#include <string.h>

#include "protocols/rtsp_play.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_range(const struct rtsp_range *range)
{
	char text[2 * RTSP_TIME_BYTES];
	struct rtsp_range again = { 0 };

	if (!range->has_from)
		return;
	rtsp_range_write(text, range);
	const char *value = text;
	if (rtsp_range_parse(&again, value, strlen(value)) < 0 ||
		again.is_clock != range->is_clock || again.from_us != range->from_us ||
		again.has_to != range->has_to || (range->has_to && again.to_us != range->to_us))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct message message;
	struct rtsp_play play;
	const char *why = NULL;

	if (message_parse(&message, (const char *)p, n, 0, false, &why) <= 0)
		return 0;
	why = NULL;
	if (rtsp_play_parse(&play, &message, &why) != 0) {
		if (!why)
			abort();
		return 0;
	}
	if (play.scale == 0 || play.scale > RTSP_SCALE_MOST || play.scale < -RTSP_SCALE_MOST ||
		play.speed < 1)
		abort();
	if (play.has_range)
		check_range(&play.range);
	return 0;
}
