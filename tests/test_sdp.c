/* Session descriptions of cameras (QUIRKS R17 to R19): right ones, odd ones, every cut. */
#include "protocols/sdp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char usual[] =
	"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=Media Server\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
	"a=fmtp:96 packetization-mode=1;profile-level-id=64001F;sprop-parameter-sets=Z2QAH6zZQFAFuw==,aOvjyyLA\r\n"
	"a=control:trackID=1\r\na=recvonly\r\n"
	"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\n"
	"a=fmtp:97 streamtype=5; profile-level-id=15; mode=AAC-hbr; config=1190; SizeLength=13\r\n"
	"a=control:trackID=2\r\n"
	"m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:trackID=3\r\n";

static void parse(struct sdp *sdp, const char *text)
{
	const char *why = NULL;

	if (sdp_parse(sdp, text, strlen(text), &why) < 0)
		fail_msg("%s", why);
}

static void test_the_usual_camera(void **state)
{
	struct sdp sdp;
	char value[64];

	(void)state;
	parse(&sdp, usual);
	assert_int_equal(sdp.n_media, 3);
	assert_string_equal(sdp.name, "Media Server");
	assert_string_equal(sdp.control, "*");
	assert_int_equal(sdp.media[0].kind, SDP_VIDEO);
	assert_int_equal(sdp.media[0].payload_type, 96);
	assert_string_equal(sdp.media[0].encoding, "H264");
	assert_int_equal(sdp.media[0].clock_hz, 90000);
	assert_string_equal(sdp.media[0].control, "trackID=1");
	assert_int_equal(sdp.media[0].direction, SDP_RECVONLY);
	assert_int_equal(
		sdp_fmtp_value(sdp.media[0].fmtp, "sprop-parameter-sets", value, sizeof(value)),
		25);
	assert_string_equal(value, "Z2QAH6zZQFAFuw==,aOvjyyLA");
	assert_int_equal(sdp.media[1].kind, SDP_AUDIO);
	assert_string_equal(sdp.media[1].encoding, "MPEG4-GENERIC");
	assert_int_equal(sdp.media[1].clock_hz, 48000);
	assert_int_equal(sdp.media[1].channels, 2);
	assert_int_equal(sdp_fmtp_value(sdp.media[1].fmtp, "sizelength", value, sizeof(value)), 2);
	assert_string_equal(value, "13");
	assert_int_equal(
		sdp_fmtp_value(sdp.media[1].fmtp, "indexlength", value, sizeof(value)), -1);
	assert_int_equal(sdp_fmtp_value(sdp.media[1].fmtp, "config", value, 3), -1);
	assert_int_equal(sdp.media[2].kind, SDP_APPLICATION);
}

/* What the first media line gives. */
static const struct {
	const char *name, *text, *encoding;
	uint32_t clock_hz;
} oddities[] = {
	{"Q7 trailing blanks",                      "m=video 0 RTP/AVP 96 \r\na=rtpmap:96\tH264/90000 \r\n", "H264",
         90000														     },
	{ "Q8 fmtp and rtpmap under another media",
         "m=video 0 RTP/AVP 96\nm=audio 0 RTP/AVP 0\na=rtpmap:96 H265/90000\n",                              "H265",
         90000														     },
	{ "Q8 rtpmap of another type",              "m=video 0 RTP/AVP 35\r\na=rtpmap:96 H264/90000\r\n",    "H264",
         90000														     },
	{ "static type",			    "m=audio 0 RTP/AVP 8\r\n",                               "PCMA",          8000 },
	{ "Q18 rtpmap beats the static table",
         "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 MPEG4-GENERIC/16000/1\r\n",                                      "MPEG4-GENERIC",
         16000														     },
	{ "Q2 Q4 Q5 broken session lines",          "o=-\r\nc=IN\r\nt=now-\r\nm=video 0 RTP/AVP 26\r\n",
         "JPEG",													      90000},
	{ "Q10 fmtp with nothing in it",
         "m=video 0 RTP/AVP 96\r\na=fmtp:96\r\na=rtpmap:96 H264/90000\r\n",                                  "H264",          90000},
	{ "Q6 unknown media keeps its place",       "m=vana 0 RTP/AVP 99\r\nm=video 0 RTP/AVP 96\r\n",       "",
         0															 },
	{ "HEVC by its other name",                 "m=video 0 RTP/AVP 96\r\na=rtpmap:96 hevc/90000\r\n",    "H265",
         90000														     },
	{ "LF alone, no end of line at the end",    "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000",
         "H264",													      90000},
};

static void test_oddities(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(oddities); i++) {
		struct sdp sdp;

		parse(&sdp, oddities[i].text);
		if (strcmp(sdp.media[0].encoding, oddities[i].encoding) ||
			sdp.media[0].clock_hz != oddities[i].clock_hz)
			fail_msg("%s: %s/%u", oddities[i].name, sdp.media[0].encoding,
				sdp.media[0].clock_hz);
	}
}

static void test_two_names_the_first_wins(void **state)
{
	struct sdp sdp;

	(void)state;
	parse(&sdp, "s=one\r\ns=two\r\nm=video 0 RTP/AVP 96\r\ns=three\r\n");
	assert_string_equal(sdp.name, "one");
}

static void test_every_cut_is_survived(void **state)
{
	(void)state;
	for (size_t n = 0; n < strlen(usual); n++) {
		char *exact = malloc(n ? n : 1);
		const char *why = NULL;
		struct sdp sdp;

		memcpy(exact, usual, n);
		if (sdp_parse(&sdp, exact, n, &why) < 0)
			assert_non_null(why);
		free(exact);
	}
}

static void test_no_media_is_an_error(void **state)
{
	const char *why = NULL;
	struct sdp sdp;

	(void)state;
	assert_true(sdp_parse(&sdp, "v=0\r\n", 5, &why) < 0);
	assert_non_null(why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_usual_camera),
		cmocka_unit_test(test_oddities),
		cmocka_unit_test(test_two_names_the_first_wins),
		cmocka_unit_test(test_every_cut_is_survived),
		cmocka_unit_test(test_no_media_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
