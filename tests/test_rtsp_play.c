/* The fields of a PLAY of recordings (RFC 2326, ONVIF Streaming Specification), and ONVIF's extension of RTP headers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "protocols/rtp_onvif.h"
#include "protocols/rtsp_play.h"

#define S INT64_C(1000000)
/* 1996-11-08 14:37:20 UTC, of RFC 2326 section 3.7. */
#define EXAMPLE_US (INT64_C(847463840) * S)

static void ranges(void **state)
{
	static const struct {
		const char *text;
		int result;
		struct rtsp_range range;
		const char *written; /* NULL: as it was */
	} cases[] = {
  // clang-format off
		/* RFC 2326 sections 3.6, 3.7, 12.29 */
		{ "clock=19961108T143720.25Z-", 0, { true, true, false, EXAMPLE_US + 250000, 0 }, "clock=19961108T143720.250Z-" },
		{ "clock=19961108T143720Z-19961108T143740Z", 0, { true, true, true, EXAMPLE_US, EXAMPLE_US + 20 * S }, NULL },
		{ "clock=19961108T143720.25Z-;time=19970123T143720Z", 0, { true, true, false, EXAMPLE_US + 250000, 0 }, "clock=19961108T143720.250Z-" },
		{ "npt=123.45-125", 0, { false, true, true, 123450000, 125 * S }, "npt=123.450000-125.000000" },
		{ "npt=12:05:35.3-", 0, { false, true, false, 43535300000, 0 }, "npt=43535.300000-" },
		{ "npt=now-", 0, { false, false, false, 0, 0 }, NULL },
		{ "npt=-20", 0, { false, false, true, 0, 20 * S }, NULL },
		{ "npt=0-0", 0, { false, true, true, 0, 0 }, "npt=0.000000-0.000000" },
		{ "smpte=10:12:33:20-", -ENOTSUP, { 0 }, NULL },
		/* what players write */
		{ "npt=0.000-", 0, { false, true, false, 0, 0 }, "npt=0.000000-" },
		{ "npt=5.", -EBADMSG, { 0 }, NULL },
		{ " NPT = 1.5 - 2 ", 0, { false, true, true, 1500000, 2 * S }, "npt=1.500000-2.000000" },
		{ "clock=1996-11-08T14:37:20.250Z-1996-11-08T14:37:40Z", 0, { true, true, true, EXAMPLE_US + 250000, EXAMPLE_US + 20 * S }, "clock=19961108T143720.250Z-19961108T143740Z" },
		{ "clock=-19961108T143740Z", 0, { true, false, true, 0, EXAMPLE_US + 20 * S }, NULL },
		{ "clock=now-", 0, { true, false, false, 0, 0 }, NULL },
		{ "clock=19961108T143720.123456789Z-", 0, { true, true, false, EXAMPLE_US + 123456, 0 }, "clock=19961108T143720.123456Z-" },
		{ "clock=19000101T000000Z-", 0, { true, true, false, 0, 0 }, "clock=19700101T000000Z-" },
		{ "clock=18990101T000000Z-", -EBADMSG, { 0 }, NULL },
		{ "npt=-", -EBADMSG, { 0 }, NULL }, { "npt=", -EBADMSG, { 0 }, NULL },
		{ "npt", -EBADMSG, { 0 }, NULL }, { "", -EBADMSG, { 0 }, NULL },
		{ "npt=x-", -EBADMSG, { 0 }, NULL }, { "npt=1.x-", -EBADMSG, { 0 }, NULL },
		{ "npt=1:99:00-", -EBADMSG, { 0 }, NULL }, { "npt=1:2-", -EBADMSG, { 0 }, NULL },
		{ "npt=99999999999999999999-", -EBADMSG, { 0 }, NULL },
		{ "clock=", -EBADMSG, { 0 }, NULL }, { "clock=19961108T143720-", -EBADMSG, { 0 }, NULL },
		{ "clock=19961308T143720Z-", -EBADMSG, { 0 }, NULL },
		{ "clock=19961108T143720Z", -EBADMSG, { 0 }, NULL },
		{ "clock=19961108T143720Z-x", -EBADMSG, { 0 }, NULL },
		{ "clock=19961108T143720Z-19961108T143740Zx", -EBADMSG, { 0 }, NULL },
		{ "clock=Z-", -EBADMSG, { 0 }, NULL }, { "clock=-Z", -EBADMSG, { 0 }, NULL },
  // clang-format on
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rtsp_range range = { 0 };
		char text[2 * RTSP_TIME_BYTES];
		int result = rtsp_range_parse(&range, cases[i].text, strlen(cases[i].text));

		if (result != cases[i].result)
			fail_msg("%s: %d", cases[i].text, result);
		if (result != 0)
			continue;
		assert_int_equal(range.is_clock, cases[i].range.is_clock);
		assert_int_equal(range.has_from, cases[i].range.has_from);
		assert_int_equal(range.has_to, cases[i].range.has_to);
		assert_true(range.from_us == cases[i].range.from_us);
		assert_true(range.to_us == cases[i].range.to_us);
		if (!range.has_from)
			continue;
		assert_string_equal(rtsp_range_write(text, &range),
			cases[i].written ? cases[i].written : cases[i].text);
	}
}

static int parse(struct rtsp_play *play, const char *fields, const char **why)
{
	static char text[1024];
	struct message message;
	int n = snprintf(text, sizeof(text), "PLAY * RTSP/1.0\r\nCSeq: 258\r\n%s\r\n", fields);

	assert_int_equal(message_parse(&message, text, (size_t)n, 0, false, why), n);
	*why = NULL;
	return rtsp_play_parse(play, &message, why);
}

static void fields(void **state)
{
	static const struct {
		const char *fields;
		int status;
		struct rtsp_play play; /* without range */
	} cases[] = {
  // clang-format off
		{ "", 0, { .scale = 1000, .speed = 1000, .rate_control = true } },
		{ "Scale: 2\r\n", 0, { .has_scale = true, .scale = 2000, .speed = 1000, .rate_control = true } },
		{ "Scale: -1.0\r\nRate-Control: no\r\n", 0, { .has_scale = true, .scale = -1000, .speed = 1000 } },
		{ "Scale: +0.25\r\nSpeed: 4.0\r\n", 0, { .has_scale = true, .scale = 250, .speed = 4000, .rate_control = true } },
		{ "Scale: 1000000\r\n", 0, { .has_scale = true, .scale = RTSP_SCALE_MOST, .speed = 1000, .rate_control = true } },
		{ "Rate-Control: yes\r\nFrames: all\r\n", 0, { .scale = 1000, .speed = 1000, .rate_control = true, .frames = RTSP_FRAMES_ALL } },
		{ "Frames: intra\r\n", 0, { .scale = 1000, .speed = 1000, .rate_control = true, .frames = RTSP_FRAMES_INTRA } },
		{ "Frames: intra/4000\r\n", 0, { .scale = 1000, .speed = 1000, .rate_control = true, .frames = RTSP_FRAMES_INTRA, .interval_us = 4 * S } },
		{ "Frames: predicted\r\nRequire: onvif-replay\r\n", 0, { .scale = 1000, .speed = 1000, .rate_control = true, .frames = RTSP_FRAMES_PREDICTED, .onvif = true } },
		{ "Scale: 0\r\n", 400, { .scale = 0 } }, { "Scale: x\r\n", 400, { .scale = 0 } }, { "Scale: -\r\n", 400, { .scale = 0 } },
		{ "Scale:\r\n", 400, { .scale = 0 } }, { "Scale: 1e5\r\n", 400, { .scale = 0 } },
		{ "Speed: -1\r\n", 400, { .scale = 0 } }, { "Frames: some\r\n", 400, { .scale = 0 } },
		{ "Frames: all/3\r\n", 400, { .scale = 0 } }, { "Frames: intra/x\r\n", 400, { .scale = 0 } },
		{ "Range: smpte=0:0:0-\r\n", 457, { .scale = 0 } }, { "Range: x\r\n", 457, { .scale = 0 } },
		{ "Range: npt=20-10\r\n", 457, { .scale = 0 } },
		{ "Range: npt=10-20\r\nScale: -1\r\n", 457, { .scale = 0 } },
  // clang-format on
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rtsp_play play = { 0 };
		const struct rtsp_play *expected = &cases[i].play;
		const char *why;
		int status = parse(&play, cases[i].fields, &why);

		if (status != cases[i].status)
			fail_msg("%s: %d", cases[i].fields, status);
		if (status) {
			assert_non_null(why);
			continue;
		}
		assert_int_equal(play.has_scale, expected->has_scale);
		assert_int_equal(play.scale, expected->scale);
		assert_int_equal(play.speed, expected->speed);
		assert_int_equal(play.frames, expected->frames);
		assert_true(play.interval_us == expected->interval_us);
		assert_int_equal(play.rate_control, expected->rate_control);
		assert_int_equal(play.onvif, expected->onvif);
		assert_int_equal(play.cseq, 2); /* the low byte of 258 */
		assert_false(play.has_range);
	}
}

/* ONVIF Streaming Specification: "Reverse replay" gives a range from its later end. */
static void backward_a_range_begins_with_its_end(void **state)
{
	struct rtsp_play play;
	const char *why;

	(void)state;
	assert_int_equal(
		parse(&play,
			"Range: clock=20090615T114900.440Z-20090615T114500Z\r\nScale: -1.0\r\n",
			&why),
		0);
	assert_true(play.has_range && play.range.from_us - play.range.to_us == 240440000);
}

static void the_extension_is_as_the_specification_has_it(void **state)
{
	/* C E D T, then four bits of zero; CSeq; 16 of padding */
	static const uint8_t expected[RTP_ONVIF_BYTES] = { 0xab, 0xac, 0, 3, 0xe9, 0x39, 0x0a, 0xd1,
		0x80, 0, 0, 0, 0xa0, 0x7f, 0, 0 };
	const struct rtp_onvif extension = { .ntp = UINT64_C(0xe9390ad180000000),
		.flags = RTP_ONVIF_CLEAN | RTP_ONVIF_DISCONTINUITY,
		.cseq = 0x7f };
	uint8_t packet[RTP_HEADER_BYTES + RTP_ONVIF_BYTES + 1] = { 0x90, 0x60, 0, 1 };
	struct rtp_packet parsed;
	const char *why;

	(void)state;
	rtp_onvif_write(packet + RTP_HEADER_BYTES, &extension);
	assert_memory_equal(packet + RTP_HEADER_BYTES, expected, sizeof(expected));
	packet[sizeof(packet) - 1] = 0x65;
	assert_int_equal(rtp_parse(&parsed, packet, sizeof(packet), &why), 0);
	assert_int_equal(parsed.payload_bytes, 1);
	assert_int_equal(parsed.payload[0], 0x65);
	rtp_onvif_set(packet, RTP_ONVIF_END | RTP_ONVIF_TERMINAL);
	assert_int_equal(packet[RTP_HEADER_BYTES + 12], 0xf0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(fields),
		cmocka_unit_test(backward_a_range_begins_with_its_end),
		cmocka_unit_test(the_extension_is_as_the_specification_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
