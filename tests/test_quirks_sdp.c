/*
 * Oddities of cameras in descriptions, URLs, message heads and challenges; each test is named after
 * its row of docs/CAMERAS.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/digest.h"
#include "protocols/message.h"
#include "protocols/rtp_depacketiser.h"
#include "protocols/rtsp_fields.h"
#include "protocols/sdp.h"
#include "protocols/uri.h"

static struct sdp sdp;

/* From memory of the exact size, so that one byte too far is seen. */
static void parse(const char *text)
{
	size_t n = strlen(text);
	char *exact = malloc(n);
	const char *why = NULL;
	int error;

	assert_non_null(exact);
	memcpy(exact, text, n);
	error = sdp_parse(&sdp, exact, n, &why);
	free(exact);
	if (error)
		fail_msg("%s", why);
}

/* One media line as "encoding/clock type". */
static void expect_media(size_t i, const char *expected)
{
	char text[64];

	assert_true(i < sdp.n_media);
	snprintf(text, sizeof(text), "%s/%u %u", sdp.media[i].encoding, sdp.media[i].clock_hz,
		sdp.media[i].payload_type);
	assert_string_equal(text, expected);
}

#define VIDEO "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"

/* --- A: descriptions --- */

static void test_q1_two_session_names(void **state)
{
	(void)state;
	parse("v=0\r\ns=front door\r\ns=streamed by X\r\n" VIDEO
	      "s=media\r\ni=media\r\na=control:t\r\n");
	assert_string_equal(sdp.name, "front door");
	expect_media(0, "H264/90000 96");
	assert_string_equal(sdp.media[0].control, "t");
}

static void test_q2_broken_connection_lines(void **state)
{
	static const char *const lines[] = { "c=IN", "c=IN IPV4 0.0.0.0", "c=SM IP4 x",
		"IN c=IN IP4 0.0.0.0", "c=", "c=IN IP4" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
		char text[256];

		snprintf(text, sizeof(text), "v=0\r\n%s\r\n%s%s\r\na=control:t\r\n", lines[i],
			VIDEO, lines[i]);
		parse(text);
		expect_media(0, "H264/90000 96");
		assert_string_equal(sdp.media[0].control, "t");
	}
}

static void test_q3_no_origin(void **state)
{
	(void)state;
	parse("v=0\r\ns=x\r\nt=0 0\r\n" VIDEO);
	expect_media(0, "H264/90000 96");
}

static void test_q4_broken_origin(void **state)
{
	static const char *const lines[] = { "o=- 0xdeadbeef -1 IN IP4 192.0.2.1",
		"o=- 1.5 2 IP IP4 x ", "o=-", "o=", "o=- IN IP4 192.0.2.1",
		"o=root 99999999999999999999 1 IN IP4 h" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
		char text[256];

		snprintf(text, sizeof(text), "v=0\r\n%s\r\ns=x\r\n%s", lines[i], VIDEO);
		parse(text);
		expect_media(0, "H264/90000 96");
	}
}

static void test_q5_session_lines_are_optional(void **state)
{
	(void)state;
	parse(VIDEO);
	expect_media(0, "H264/90000 96");
	parse("t=now-\r\n" VIDEO);
	expect_media(0, "H264/90000 96");
}

static void test_q6_unknown_media_keep_their_place(void **state)
{
	(void)state;
	parse("m=application/TP-LINK 0 RTP/AVP smart/1/90000\r\na=rtpmap:95 TP-LINK/90000\r\n"
	      "m=vana 0 RTP/AVP 99\r\na=control:track0\r\n"
	      "m=meta\r\n" VIDEO "a=control:track3\r\n");
	assert_int_equal(sdp.n_media, 4);
	assert_int_equal(sdp.media[0].kind, SDP_OTHER);
	assert_int_equal(sdp.media[1].kind, SDP_OTHER);
	assert_string_equal(sdp.media[1].control, "track0");
	assert_int_equal(sdp.media[3].kind, SDP_VIDEO);
	assert_string_equal(sdp.media[3].control, "track3");
	expect_media(3, "H264/90000 96");
}

/* More media than are kept: what belongs to the last ones does not land on another. */
static void test_q6_too_many_media(void **state)
{
	char text[4096] = VIDEO "a=control:first\r\n";

	(void)state;
	for (int i = 0; i < 40; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			"m=x 0 RTP/AVP 99\r\na=control:%d\r\n", i);
	parse(text);
	assert_int_equal(sdp.n_media, SDP_MEDIA);
	assert_string_equal(sdp.media[SDP_MEDIA - 1].control, "14");
	expect_media(0, "H264/90000 96");
}

static void test_q7_blanks_and_tabs(void **state)
{
	(void)state;
	parse("m=video  0 RTP/AVP\t96 \t\r\na=rtpmap: 96\tH264/90000 \t\r\n a=control: t \r\n");
	expect_media(0, "H264/90000 96");
	assert_string_equal(sdp.media[0].control, "t");
	parse("m=audio 0 RTP/AVP 8\t\r\n");
	expect_media(0, "PCMA/8000 8");
}

static void test_q8_rtpmap_of_another_type(void **state)
{
	(void)state;
	parse("m=video 0 RTP/AVP 97\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 a=b\r\n");
	expect_media(0, "H264/90000 97");
	assert_string_equal(sdp.media[0].fmtp, "a=b");
	assert_true(sdp_has_type(&sdp.media[0], 96));
	assert_true(sdp_has_type(&sdp.media[0], 97));
	assert_false(sdp_has_type(&sdp.media[0], 98));
}

static void test_q8_lines_under_another_media(void **state)
{
	(void)state;
	parse("m=video 0 RTP/AVP 96\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:96 H265/90000\r\n"
	      "a=rtpmap:97 PCMA/16000\r\na=fmtp:96 sprop-sps=AAAA\r\n");
	expect_media(0, "H265/90000 96");
	assert_string_equal(sdp.media[0].fmtp, "sprop-sps=AAAA");
	expect_media(1, "PCMA/16000 97");
	assert_string_equal(sdp.media[1].fmtp, "");
}

/* Two media of one type each have their own; neither takes the other's. */
static void test_q8_one_type_for_two_media(void **state)
{
	(void)state;
	parse(VIDEO "a=fmtp:96 a=b\r\nm=audio 0 RTP/AVP 96\r\na=rtpmap:96 G726-32/8000\r\n");
	expect_media(0, "H264/90000 96");
	expect_media(1, "G726-32/8000 96");
	assert_string_equal(sdp.media[1].fmtp, "");
}

static void test_q9_attributes_in_any_order(void **state)
{
	(void)state;
	parse("a=control:*\r\nm=video 0 RTP/AVP 96\r\na=control:t\r\na=ssrc:1 cname:x\r\n"
	      "a=fmtp:96 packetization-mode=1\r\na=rtpmap:96 H264/90000\r\nb=AS:100\r\nc=IN IP4 0.0.0.0\r\n");
	assert_string_equal(sdp.control, "*");
	assert_string_equal(sdp.media[0].control, "t");
	assert_string_equal(sdp.media[0].fmtp, "packetization-mode=1");
	expect_media(0, "H264/90000 96");
}

static void test_q10_fmtp_with_nothing(void **state)
{
	(void)state;
	parse("m=video 0 RTP/AVP 96\r\na=fmtp:96\r\na=fmtp:96 \r\na=fmtp:\r\na=fmtp\r\na=fmtp:96 x=y\r\n");
	assert_string_equal(sdp.media[0].fmtp, "x=y");
}

/* --- parameter sets in the description --- */

/* 64x64, as libx264 makes them: level_idc 10, profile_idc 66. */
#define SPS_64 "Z0LACtkEJsBEAAADAAQAAAMAyDxImSA="
#define PPS_64 "aMuDyyA="

/* Whether the sets of an fmtp make a decoder's configuration; its profile and level bytes. */
static bool sets_of_fmtp(const char *fmtp, uint8_t avcc[4])
{
	static const struct rtp_depacketiser_events none = { NULL, NULL };
	struct rtp_format format = { .encoding = "H264", .fmtp = fmtp, .clock_hz = 90000 };
	const char *why = NULL;
	struct rtp_depacketiser *d = rtp_depacketiser_new(&format, &none, NULL, &why);
	uint8_t record[256];
	size_t n;

	if (!d)
		fail_msg("%s", why);
	n = h264_sets_write_avcc(rtp_depacketiser_h264(d), record, sizeof(record));
	if (n)
		memcpy(avcc, record, 4);
	rtp_depacketiser_free(d);
	return n > 0;
}

static void test_q11_sprop_parameter_sets(void **state)
{
	// clang-format off
	static const struct {
		const char *fmtp;
		bool usable;
	} cases[] = {
		{ "packetization-mode=1; sprop-parameter-sets=" SPS_64 "," PPS_64, true },
		{ "sprop-parameter-sets=" PPS_64 "," SPS_64, true },
		{ "sprop-parameter-sets=,,!!!," SPS_64 "," PPS_64 ",", true },
		/* without its padding */
		{ "sprop-parameter-sets=Z0LACtkEJsBEAAADAAQAAAMAyDxImSA,aMuDyyA", true },
		/* Annex B start codes in front: 00 00 00 01 */
		{ "sprop-parameter-sets=AAAAAWdCwArZBCbARAAAAwAEAAADAMg8SJkg,AAAAAWjLg8sg", true },
		/* both in one, with start codes between them */
		{ "sprop-parameter-sets=Z0LACtkEJsBEAAADAAQAAAMAyDxImSAAAAABaMuDyyA=", true },
		/* zeros behind the SPS */
		{ "sprop-parameter-sets=Z0LACtkEJsBEAAADAAQAAAMAyDxImSAAAAA=," PPS_64, true },
		{ "sprop-parameter-sets=" SPS_64, false },
		{ "sprop-parameter-sets=", false },
		{ "sprop-parameter-sets", false },
		{ "", false },
		{ "sprop-parameter-sets=%%%%", false },
	};
	// clang-format on
	uint8_t avcc[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		if (sets_of_fmtp(cases[i].fmtp, avcc) != cases[i].usable)
			fail_msg("%s", cases[i].fmtp);
	}
}

static void test_q12_profile_level_id_comes_from_the_sps(void **state)
{
	static const char *const lies[] = { "TeAo", "640028", "", "zzzzzzzzzzzz" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(lies); i++) {
		char fmtp[256];
		uint8_t avcc[4] = { 0 };

		snprintf(fmtp, sizeof(fmtp), "profile-level-id=%s;sprop-parameter-sets=%s,%s",
			lies[i], SPS_64, PPS_64);
		assert_true(sets_of_fmtp(fmtp, avcc));
		assert_memory_equal(avcc, ((const uint8_t[]){ 1, 66, 0xc0, 10 }), 4);
	}
}

#define VPS5_64 "sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwAelZgJ"
#define SPS5_64 "sprop-sps=QgEBAWAAAAMAkAAAAwAAAwAeoCCBBZZWaSTK8BaAgAAAAwCAAAAMhA=="
#define PPS5_64 "sprop-pps=RAHBcrQiQA=="

static bool sets5_of_fmtp(const char *fmtp)
{
	static const struct rtp_depacketiser_events none = { NULL, NULL };
	struct rtp_format format = { .encoding = "H265", .fmtp = fmtp, .clock_hz = 90000 };
	const char *why = NULL;
	struct rtp_depacketiser *d = rtp_depacketiser_new(&format, &none, NULL, &why);
	const struct h265_sets *sets;
	bool any;

	if (!d)
		fail_msg("%s", why);
	sets = rtp_depacketiser_h265(d);
	any = sets->vps[0].bytes || sets->sps[0].bytes || sets->pps[0].bytes;
	assert_true(any == h265_sets_complete(sets));
	rtp_depacketiser_free(d);
	return any;
}

static void test_q13_h265_sets_all_or_none(void **state)
{
	(void)state;
	assert_true(sets5_of_fmtp(VPS5_64 ";" SPS5_64 ";" PPS5_64));
	assert_false(sets5_of_fmtp(VPS5_64 ";" SPS5_64));
	assert_false(sets5_of_fmtp(SPS5_64 ";" PPS5_64));
	assert_false(sets5_of_fmtp(SPS5_64));
	assert_false(sets5_of_fmtp(""));
}

static void test_r18_parameter_sets_missing_or_wrong(void **state)
{
	test_q11_sprop_parameter_sets(state);
	test_q12_profile_level_id_comes_from_the_sps(state);
	test_q13_h265_sets_all_or_none(state);
}

/* The type of the body is not looked at; the body is. */
static void test_q16_the_body_says_what_it_is(void **state)
{
	const char *why = NULL;

	(void)state;
	parse("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n");
	assert_true(sdp_parse(&sdp, "<html>m=video</html>", 20, &why) < 0);
	assert_non_null(why);
}

static void test_q17_directions_in_every_confusion(void **state)
{
	(void)state;
	parse(VIDEO "a=sendonly\r\nm=audio 0 RTP/AVP 8\r\na=sendonly\r\n");
	assert_false(sdp_is_backchannel(&sdp, 0));
	assert_false(sdp_is_backchannel(&sdp, 1));
	parse(VIDEO
		"a=recvonly\r\nm=audio 0 RTP/AVP 8\r\na=recvonly\r\nm=audio 0 RTP/AVP 0\r\na=sendonly\r\n");
	assert_false(sdp_is_backchannel(&sdp, 1));
	assert_true(sdp_is_backchannel(&sdp, 2));
	parse("a=sendonly\r\n" VIDEO
	      "m=audio 0 RTP/AVP 8\r\nm=audio 0 RTP/AVP 0\r\na=recvonly\r\n");
	assert_int_equal(sdp.media[0].direction, SDP_SENDONLY);
	assert_true(sdp_is_backchannel(&sdp, 1));
	assert_false(sdp_is_backchannel(&sdp, 2));
}

static void test_r17_one_line_never_spoils_the_rest(void **state)
{
	(void)state;
	parse("v=0\r\no=broken\r\ns=a\r\ns=b\r\nc=IN\r\nnonsense\r\n=\r\na\r\na=\r\na=:\r\n"
	      "m=\r\nm=video 0 RTP/AVP 26\r\na=rtpmap\r\na=rtpmap:\r\na=rtpmap:x y\r\na=rtpmap:300 Z/1\r\n"
	      "m=audio 0 RTP/AVP 14\r\nm=audio 0 RTP/AVP 0\r\na=sendonly\r\n"
	      "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n");
	assert_int_equal(sdp.n_media, 5);
	expect_media(1, "JPEG/90000 26");
	expect_media(2, "MPA/90000 14");
	expect_media(3, "PCMU/8000 0");
	assert_true(sdp_is_backchannel(&sdp, 3));
	expect_media(4, "VND.ONVIF.METADATA/90000 107");
	assert_int_equal(sdp.media[4].kind, SDP_APPLICATION);
}

static void test_q21_several_types_in_one_line(void **state)
{
	(void)state;
	parse("m=video 0 RTP/AVP 96 97\r\na=rtpmap:97 H265/90000\r\na=fmtp:97 h265\r\n"
	      "a=rtpmap:96 H264/90000\r\na=fmtp:96 h264\r\n");
	expect_media(0, "H264/90000 96");
	assert_string_equal(sdp.media[0].fmtp, "h264");
	/* nothing says what 98 is */
	parse("m=video 0 RTP/AVP 98 97\r\na=rtpmap:97 H265/90000\r\na=fmtp:97 h265\r\n");
	expect_media(0, "H265/90000 97");
	/* the fmtp of another format is not this one's */
	parse("m=video 0 RTP/AVP 96 97\r\na=rtpmap:96 H264/90000\r\na=rtpmap:97 H265/90000\r\na=fmtp:97 h265\r\n");
	assert_string_equal(sdp.media[0].fmtp, "");
	parse("m=video 0 RTP/AVP 96 97\r\na=rtpmap:96 H264/90000\r\na=fmtp:97 h265\r\n");
	assert_string_equal(sdp.media[0].fmtp, "");
	/* a number of the static range with a map: Bosch */
	parse("m=video 0 RTP/AVP 35\r\na=rtpmap:35 H264/90000\r\n");
	expect_media(0, "H264/90000 35");
}

static void test_q26_no_end_of_line_at_the_end(void **state)
{
	(void)state;
	parse("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:trackID=1");
	expect_media(0, "H264/90000 96");
	assert_string_equal(sdp.media[0].control, "trackID=1");
}

/* --- controls and bases --- */

static void expect_control(const char *base, const char *control, const char *expected)
{
	static const char request[] = "rtsp://u:p@192.0.2.9:8554/live/ch0?a=b";
	struct uri connected, repaired, joined;
	char text[4096], written[4096];
	const char *why;

	assert_int_equal(uri_parse(&connected, request, strlen(request), &why), 0);
	rtsp_repair_base(&repaired, &connected, base, strlen(base));
	uri_write(text, sizeof(text), &repaired);
	assert_int_equal(uri_join_control(&joined, &connected, text, control), 0);
	uri_write(written, sizeof(written), &joined);
	if (strncmp(written, "rtsp://192.0.2.9:8554", 21) || strcmp(written + 21, expected))
		fail_msg("%s and %s: %s", base, control, written);
}

static void test_q24_controls_are_appended_as_text(void **state)
{
	(void)state;
	expect_control("rtsp://h/a/b", "trackID=1", "/a/b/trackID=1");
	expect_control("rtsp://h/a/b/", "trackID=1", "/a/b/trackID=1");
	expect_control("rtsp://h/cam?channel=1&subtype=0", "trackID=1",
		"/cam?channel=1&subtype=0/trackID=1");
	expect_control("rtsp://h/cam?channel=1&subtype=0/", "trackID=1",
		"/cam?channel=1&subtype=0/trackID=1");
	expect_control("", "trackID=1", "/live/ch0?a=b/trackID=1");
	expect_control("rtsp://h/a", "../b", "/a/../b");
	expect_control("rtsp://h/a", "track 1", "/a/track%201");
}

static void test_q25_controls_with_a_slash_or_a_host(void **state)
{
	(void)state;
	expect_control("rtsp://h/a/", "/trackID=1", "/a/trackID=1");
	expect_control("rtsp://h/a/b", "/a/b/trackID=1", "/a/b/trackID=1");
	expect_control("rtsp://h/a?b=c", "/a/trackID=1", "/a/trackID=1");
	expect_control("rtsp://h/a/", "rtsp://10.0.0.1:554/x/trackID=1?y", "/x/trackID=1?y");
	expect_control("rtsp://h/a/", "rtsp://rtsp://10.0.0.1/x/t", "/x/t");
	expect_control("rtsp://h/a/", "rtsp://::ffff:10.0.0.1/x/t", "/x/t");
	expect_control("rtsp://h/a/", "10.0.0.1:554/x/t", "/x/t");
}

static void test_r2_every_shape_of_control(void **state)
{
	(void)state;
	expect_control("rtsp://h/a/", "*", "/a/");
	expect_control("rtsp://h/a/", "", "/a/");
	expect_control("rtsp://h/a", "*", "/a");
	expect_control("rtsp://h/a", "?x=y", "/a/?x=y");
	expect_control("rtsp://h/", "trackID=1", "/trackID=1");
	expect_control("rtsp://h", "trackID=1", "/trackID=1");
	expect_control("rtsp://h/a?channel=1", "*", "/a?channel=1");
	test_q24_controls_are_appended_as_text(state);
	test_q25_controls_with_a_slash_or_a_host(state);
}

/* --- B: heads of messages --- */

static struct message answer_of(const char *text)
{
	struct message m;
	const char *why = NULL;

	if (message_parse(&m, text, strlen(text), 0, false, &why) != (ssize_t)strlen(text))
		fail_msg("%s", why ? why : "not whole");
	return m;
}

static void expect_field(const struct message *m, const char *name, const char *expected)
{
	char value[128];

	message_text_copy(value, sizeof(value), message_find(m, name));
	assert_string_equal(value, expected);
}

static void test_r4_header_names_in_odd_case(void **state)
{
	struct message m = answer_of(
		"RTSP/1.0 200 OK\r\ncseq :  7 \r\nSESSION:\t1\t\r\nno colon here\r\nb@d: x\r\nPublic:OPTIONS, play\r\n\r\n");

	(void)state;
	expect_field(&m, "CSeq", "7");
	expect_field(&m, "Session", "1");
	assert_true(message_text_has_token(message_find(&m, "public"), "PLAY"));
	m = answer_of("RTSP/1.0 200 OK\r\n\r\n");
	assert_null(message_find(&m, "CSeq").p);
}

static void test_q29_blanks_behind_values(void **state)
{
	struct message m = answer_of(
		"RTSP/1.0 200 OK\r\nContent-Length: 12  \t\r\nContent-Base: rtsp://h/ \r\n\r\n");
	uint64_t length;

	(void)state;
	assert_int_equal(message_content_length(&m, &length), 0);
	assert_int_equal(length, 12);
	expect_field(&m, "Content-Base", "rtsp://h/");
}

static void test_q30_no_reason_phrase(void **state)
{
	struct message m = answer_of("RTSP/1.0 200\r\nCSeq: 1\r\n\r\n");

	(void)state;
	assert_int_equal(m.status, 200);
	assert_int_equal(m.reason.n, 0);
	m = answer_of("RTSP/1.0 200 \nCSeq: 1\n\n");
	assert_int_equal(m.status, 200);
	expect_field(&m, "CSeq", "1");
}

static void test_r16_lf_alone_and_no_length(void **state)
{
	struct message m = answer_of("RTSP/1.0 200 OK\nCSeq: 3\nContent-Type: application/sdp\n\n");
	uint64_t length = 5;

	(void)state;
	expect_field(&m, "Content-Type", "application/sdp");
	assert_null(message_find(&m, "Content-Length").p);
	assert_int_equal(message_content_length(&m, &length), 0);
	assert_int_equal(length, 0);
	/* a length that is too long ends in the next message: the description is whole all the same */
	parse("m=video 0 RTP/AVP 26\r\nRTSP/1.");
	expect_media(0, "JPEG/90000 26");
}

/* --- B: challenges --- */

/* The strongest of the challenges of an answer; DIGEST_NONE when there is none that is spoken. */
static struct digest_challenge strongest(const char *text)
{
	struct message m = answer_of(text);
	struct digest_challenge best = { .scheme = DIGEST_NONE }, one;
	const struct message_field *field = NULL;

	while ((field = message_find_next(&m, "WWW-Authenticate", field))) {
		const char *why = NULL;
		size_t at = 0;

		while (digest_parse_challenge(&one, field->value.p, field->value.n, &at, &why) > 0)
			if (digest_strength(&one) > digest_strength(&best))
				best = one;
	}
	return best;
}

static void test_q33_the_strongest_of_several(void **state)
{
	struct digest_challenge c = strongest(
		"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a\"\r\n"
		"WWW-Authenticate: Digest realm=\"b\", nonce=\"c\"\r\n"
		"WWW-Authenticate: Digest realm=\"d\", nonce=\"e\", algorithm=\"SHA-256\"\r\n"
		"WWW-Authenticate: Digest realm=\"f\", nonce=\"g\", algorithm=SHA-512-256\r\n\r\n");

	(void)state;
	assert_int_equal(c.scheme, DIGEST_DIGEST);
	assert_int_equal(c.algorithm, AUTH_SHA256);
	assert_string_equal(c.realm, "d");
	c = strongest("RTSP/1.0 401 x\r\nWWW-Authenticate: Basic realm=\"a\"\r\n"
		      "WWW-Authenticate: Digest realm=\"b\", nonce=\"c\"\r\n\r\n");
	assert_int_equal(c.scheme, DIGEST_DIGEST);
	c = strongest(
		"RTSP/1.0 401 x\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=\"a\"\r\n\r\n");
	assert_int_equal(c.scheme, DIGEST_BASIC);
}

static struct digest_challenge challenge_of(const char *text)
{
	struct digest_challenge c = { .scheme = DIGEST_NONE };
	const char *why = NULL;
	size_t at = 0;

	if (digest_parse_challenge(&c, text, strlen(text), &at, &why) != 1)
		fail_msg("%s: %s", text, why ? why : "nothing");
	return c;
}

static void expect_credentials(const char *challenge, const char *expected)
{
	struct digest_challenge c = challenge_of(challenge);
	char text[2048];

	assert_int_equal(digest_write_credentials(text, sizeof(text), &c, "Mufasa",
				 "Circle Of Life", "GET", "/dir/index.html", 1, "0a4f113b"),
		0);
	if (!strstr(text, expected))
		fail_msg("%s: %s", challenge, text);
}

#define NONCE "nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\""

/* Responses computed with Python's hashlib by RFC 7616 section 3.4. */
static void test_q35_algorithms_are_spoken_and_echoed(void **state)
{
	static const char *const stale[] = { "stale=TRUE", "stale=\"true\"", "stale=true" };
	static const char *const fresh[] = { "stale=\"FALSE\"", "stale=false", "stale=\"\"" };

	(void)state;
	expect_credentials(
		"Digest realm=\"testrealm@host.com\", " NONCE ", algorithm=md5", ", algorithm=md5");
	expect_credentials("Digest realm=\"testrealm@host.com\", " NONCE ", algorithm=\"SHA-256\"",
		", algorithm=SHA-256");
	expect_credentials("Digest realm=\"testrealm@host.com\", " NONCE
			   ", algorithm=MD5-sess, qop=\"auth\"",
		"response=\"8e3825c57e897f5a0dec6c2d4e5059d0\", algorithm=MD5-sess, qop=auth, nc=00000001, cnonce=\"0a4f113b\"");
	expect_credentials("Digest realm=\"testrealm@host.com\", " NONCE ", algorithm=SHA-256-sess",
		"response=\"6f421709505a71923c950606510a113314a303e5224f5d6390e4ad42cb718479\", algorithm=SHA-256-sess, cnonce=\"0a4f113b\"");
	for (size_t i = 0; i < ARRAY_LENGTH(stale); i++) {
		char text[256];

		snprintf(text, sizeof(text), "Digest realm=\"x\", nonce=\"y\", %s", stale[i]);
		assert_true(challenge_of(text).stale);
		snprintf(text, sizeof(text), "Digest realm=\"x\", nonce=\"y\", %s", fresh[i]);
		assert_false(challenge_of(text).stale);
	}
}

/* RFC 2617 section 3.5 with qop; RFC 2069's formula for the same without. */
static void test_q36_with_and_without_qop(void **state)
{
	struct digest_challenge c;
	char text[2048];

	(void)state;
	expect_credentials("Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", " NONCE,
		"response=\"6629fae49393a05397450978507c4ef1\", qop=auth, nc=00000001, cnonce=\"0a4f113b\"");
	expect_credentials("Digest realm=\"testrealm@host.com\", " NONCE,
		"response=\"670fd8c2df070c60b045671b8b24ff02\"");
	c = challenge_of("Digest realm=\"testrealm@host.com\", " NONCE);
	assert_int_equal(
		digest_write_credentials(text, sizeof(text), &c, "u", "p", "GET", "/", 2, "c"), 0);
	assert_null(strstr(text, "nc="));
	assert_null(strstr(text, "cnonce="));
}

static void test_r5_challenges_as_cameras_write_them(void **state)
{
	struct uri uri;
	const char *why;
	static const char password[] = "rtsp://ad%40min:p@ss:w%2Fo%25rd@192.0.2.1/x";

	(void)state;
	assert_string_equal(challenge_of("Digest realm=\"the \"front\" door\", nonce=\"y\"").realm,
		"the \"front\" door");
	assert_string_equal(
		challenge_of("Digest realm=\"the \"front\" door\", nonce=\"y\"").nonce, "y");
	assert_string_equal(
		challenge_of("Digest realm=\"a \\\"b\\\"\", nonce=\"y\"").realm, "a \"b\"");
	assert_string_equal(challenge_of("Digest realm=\"\",nonce=\"y\",").nonce, "y");
	assert_string_equal(challenge_of("Digest nonce=y").nonce, "y");
	assert_string_equal(challenge_of("Digest realm=\"a\" nonce=\"y\" qop=\"auth\"").nonce, "y");
	assert_int_equal(
		challenge_of("Digest realm=\"a\", nonce=\"y\", algorithm=").scheme, DIGEST_DIGEST);
	assert_int_equal(uri_parse(&uri, password, strlen(password), &why), 0);
	assert_string_equal(uri.user, "ad@min");
	assert_string_equal(uri.password, "p@ss:w/o%rd");
	assert_string_equal(uri.host, "192.0.2.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_q1_two_session_names),
		cmocka_unit_test(test_q2_broken_connection_lines),
		cmocka_unit_test(test_q3_no_origin),
		cmocka_unit_test(test_q4_broken_origin),
		cmocka_unit_test(test_q5_session_lines_are_optional),
		cmocka_unit_test(test_q6_unknown_media_keep_their_place),
		cmocka_unit_test(test_q6_too_many_media),
		cmocka_unit_test(test_q7_blanks_and_tabs),
		cmocka_unit_test(test_q8_rtpmap_of_another_type),
		cmocka_unit_test(test_q8_lines_under_another_media),
		cmocka_unit_test(test_q8_one_type_for_two_media),
		cmocka_unit_test(test_q9_attributes_in_any_order),
		cmocka_unit_test(test_q10_fmtp_with_nothing),
		cmocka_unit_test(test_q11_sprop_parameter_sets),
		cmocka_unit_test(test_q12_profile_level_id_comes_from_the_sps),
		cmocka_unit_test(test_q13_h265_sets_all_or_none),
		cmocka_unit_test(test_r18_parameter_sets_missing_or_wrong),
		cmocka_unit_test(test_q16_the_body_says_what_it_is),
		cmocka_unit_test(test_q17_directions_in_every_confusion),
		cmocka_unit_test(test_r17_one_line_never_spoils_the_rest),
		cmocka_unit_test(test_q21_several_types_in_one_line),
		cmocka_unit_test(test_q26_no_end_of_line_at_the_end),
		cmocka_unit_test(test_q24_controls_are_appended_as_text),
		cmocka_unit_test(test_q25_controls_with_a_slash_or_a_host),
		cmocka_unit_test(test_r2_every_shape_of_control),
		cmocka_unit_test(test_r4_header_names_in_odd_case),
		cmocka_unit_test(test_q29_blanks_behind_values),
		cmocka_unit_test(test_q30_no_reason_phrase),
		cmocka_unit_test(test_r16_lf_alone_and_no_length),
		cmocka_unit_test(test_q33_the_strongest_of_several),
		cmocka_unit_test(test_q35_algorithms_are_spoken_and_echoed),
		cmocka_unit_test(test_q36_with_and_without_qop),
		cmocka_unit_test(test_r5_challenges_as_cameras_write_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
