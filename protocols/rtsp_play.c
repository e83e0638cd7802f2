/* The fields of a PLAY request of recordings. */
#include "protocols/rtsp_play.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "storage/clip_name.h"

enum {
	THOUSAND = 1000,
	HOURS_MOST = 1000000,
	INTERVAL_MOST_MS = 24 * 3600 * 1000
};
#define SECOND_US INT64_C(1000000)
#define NTP_ZERO "19000101T000000Z"

/* --- numbers --- */

/* "12", "12.5" in thousandths of a thousandth; as many digits of a fraction as there are. False: it is none, or too large. */
static bool parse_decimal(struct message_text text, int64_t most, int64_t *us)
{
	struct message_text whole = message_text_cut(&text, '.');
	uint64_t number;
	int64_t ret, unit = SECOND_US;

	if (!message_text_number(whole, (uint64_t)most, &number))
		return false;
	ret = (int64_t)number * SECOND_US;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		unit /= 10;
		ret += (text.p[i] - '0') * unit;
	}
	*us = ret;
	return true;
}

static bool parse_scale(struct message_text text, int *ret)
{
	bool negative = text.n > 0 && text.p[0] == '-';
	int64_t us;

	if (negative || (text.n > 0 && text.p[0] == '+')) {
		text.p++;
		text.n--;
	}
	if (!parse_decimal(text, INT32_MAX, &us))
		return false;
	us /= SECOND_US / RTSP_SCALE_ONE;
	if (us < 1)
		return false;
	*ret = us > RTSP_SCALE_MOST ? RTSP_SCALE_MOST : (int)us;
	*ret = negative ? -*ret : *ret;
	return true;
}

/* --- ranges --- */

/* npt-time: seconds, or hours:minutes:seconds. */
static bool parse_npt(struct message_text text, int64_t *us)
{
	struct message_text rest = text, first = message_text_cut(&rest, ':'), second;
	uint64_t hours, minutes;

	if (first.n == text.n)
		return parse_decimal(text, HOURS_MOST * INT64_C(3600), us);
	second = message_text_cut(&rest, ':');
	if (!message_text_number(first, HOURS_MOST, &hours) ||
		!message_text_number(second, 59, &minutes) || !parse_decimal(rest, 59, us))
		return false;
	*us += (int64_t)(hours * 3600 + minutes * 60) * SECOND_US;
	return true;
}

static int parse_npt_range(struct rtsp_range *ret, struct message_text text)
{
	const char *dash = memchr(text.p, '-', text.n);
	struct message_text from, to;

	if (!dash)
		return -EBADMSG;
	from = message_text_trim((struct message_text){ text.p, (size_t)(dash - text.p) });
	to = message_text_trim(
		(struct message_text){ dash + 1, text.n - (size_t)(dash + 1 - text.p) });
	if (from.n == 0 && to.n == 0)
		return -EBADMSG;
	ret->has_from = from.n > 0 && !message_text_is(from, "now");
	ret->has_to = to.n > 0;
	if ((ret->has_from && !parse_npt(from, &ret->from_us)) ||
		(ret->has_to && !parse_npt(to, &ret->to_us)))
		return -EBADMSG;
	return 0;
}

/* Up to its Z, which *text moves behind; without the marks of the extended form. */
static bool parse_clock(struct message_text *text, int64_t *us)
{
	const char *end = text->n ? memchr(text->p, 'Z', text->n) : NULL, *at;
	char basic[RTSP_TIME_BYTES];
	size_t n = 0;

	for (at = text->p; end && at <= end; at++) {
		if (*at == '-' || *at == ':')
			continue;
		if (n == sizeof(basic) - 1)
			return false;
		basic[n++] = *at;
	}
	basic[n] = '\0';
	at = basic;
	if (!end)
		return false;
	if (!strcmp(basic, NTP_ZERO)) /* GStreamer's beginning of all */
		*us = 0;
	else if (!clip_time_parse(us, &at) || *at)
		return false;
	text->n -= (size_t)(end + 1 - text->p);
	text->p = end + 1;
	return true;
}

static int parse_clock_range(struct rtsp_range *ret, struct message_text text)
{
	ret->is_clock = true;
	ret->has_from = text.n > 0 && text.p[0] != '-';
	if (ret->has_from && message_text_starts(text, "now-")) {
		ret->has_from = false;
		text.p += 3;
		text.n -= 3;
	}
	if (ret->has_from && !parse_clock(&text, &ret->from_us))
		return -EBADMSG;
	if (text.n == 0 || text.p[0] != '-')
		return -EBADMSG;
	text.p++;
	text.n--;
	ret->has_to = text.n > 0;
	if (ret->has_to && (!parse_clock(&text, &ret->to_us) || text.n > 0))
		return -EBADMSG;
	return 0;
}

int rtsp_range_parse(struct rtsp_range *ret, const char *p, size_t n)
{
	struct message_text rest = { p, n }, range = message_text_cut(&rest, ';');
	struct message_text unit;
	struct rtsp_range parsed = { 0 };
	int result;

	if (!range.n || !memchr(range.p, '=', range.n))
		return -EBADMSG;
	unit = message_text_cut(&range, '=');
	if (!range.n)
		result = -EBADMSG;
	else if (message_text_is(unit, "npt"))
		result = parse_npt_range(&parsed, range);
	else if (message_text_is(unit, "clock"))
		result = parse_clock_range(&parsed, range);
	else
		result = -ENOTSUP;
	if (result == 0)
		*ret = parsed;
	return result;
}

/* Seconds with as many digits as are needed of three. */
static void write_time(char ret[RTSP_TIME_BYTES], bool is_clock, int64_t us)
{
	if (is_clock)
		(void)clip_time_write(ret, us);
	else
		(void)snprintf(ret, RTSP_TIME_BYTES, "%" PRId64 ".%06d", us / SECOND_US,
			(int)(us % SECOND_US));
}

char *rtsp_range_write(char ret[2 * RTSP_TIME_BYTES], const struct rtsp_range *range)
{
	char from[RTSP_TIME_BYTES], to[RTSP_TIME_BYTES] = "";

	write_time(from, range->is_clock, range->from_us);
	if (range->has_to)
		write_time(to, range->is_clock, range->to_us);
	(void)snprintf(
		ret, 2 * RTSP_TIME_BYTES, "%s=%s-%s", range->is_clock ? "clock" : "npt", from, to);
	return ret;
}

/* --- PLAY --- */

/* "intra/4000", "predicted", "all". */
static bool parse_frames(struct rtsp_play *play, struct message_text text)
{
	struct message_text kind = message_text_cut(&text, '/');
	uint64_t interval_ms = 0;

	if (message_text_is(kind, "intra"))
		play->frames = RTSP_FRAMES_INTRA;
	else if (message_text_is(kind, "predicted"))
		play->frames = RTSP_FRAMES_PREDICTED;
	else if (message_text_is(kind, "all"))
		play->frames = RTSP_FRAMES_ALL;
	else
		return false;
	if (text.n > 0 && (play->frames != RTSP_FRAMES_INTRA ||
				  !message_text_number(text, INTERVAL_MOST_MS, &interval_ms)))
		return false;
	play->interval_us = (int64_t)interval_ms * THOUSAND;
	return true;
}

static int fail(int status, const char *words, const char **why)
{
	*why = words;
	return status;
}

int rtsp_play_parse(struct rtsp_play *ret, const struct message *message, const char **why)
{
	struct message_text range = message_find(message, "Range");
	struct message_text scale = message_find(message, "Scale");
	struct message_text speed = message_find(message, "Speed");
	struct message_text frames = message_find(message, "Frames");
	struct message_text cseq = message_find(message, "CSeq");
	struct rtsp_play play = { .scale = RTSP_SCALE_ONE, .speed = RTSP_SCALE_ONE };
	uint64_t number;

	play.has_range = range.p != NULL;
	play.has_scale = scale.p != NULL;
	if (range.p && rtsp_range_parse(&play.range, range.p, range.n) < 0)
		return fail(457, "Invalid Range", why);
	if (scale.p && !parse_scale(scale, &play.scale))
		return fail(400, "the Scale makes no sense", why);
	if (speed.p && (!parse_scale(speed, &play.speed) || play.speed < 0))
		return fail(400, "the Speed makes no sense", why);
	if (frames.p && !parse_frames(&play, frames))
		return fail(400, "the Frames make no sense", why);
	if (message_text_number(cseq, UINT32_MAX, &number))
		play.cseq = (uint8_t)number;
	play.rate_control = !message_text_is(message_find(message, "Rate-Control"), "no");
	play.onvif = message_text_has_token(message_find(message, "Require"), "onvif-replay");
	if (play.range.has_from && play.range.has_to && play.range.from_us != play.range.to_us &&
		(play.range.from_us > play.range.to_us) != (play.scale < 0))
		return fail(457, "the Range does not go where the Scale does", why);
	*ret = play;
	return 0;
}
