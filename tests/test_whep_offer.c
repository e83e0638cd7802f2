/* Offers of browsers (RFC 8829), which of their formats take a stream, and our answers. */
#include "protocols/whep_offer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/whep_answer.h"

#define VIDEO_LINES                                                                              \
	"a=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=ice-ufrag:abcd\r\n"            \
	"a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\n" \
	"a=rtpmap:96 VP8/90000\r\n"                                                              \
	"a=rtpmap:102 H264/90000\r\na=rtcp-fb:102 goog-remb\r\na=rtcp-fb:102 transport-cc\r\n"   \
	"a=rtcp-fb:102 ccm fir\r\na=rtcp-fb:102 nack\r\na=rtcp-fb:102 nack pli\r\n"              \
	"a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f\r\n"  \
	"a=rtpmap:108 H264/90000\r\na=rtcp-fb:* nack pli\r\n"                                    \
	"a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"  \
	"a=rtpmap:116 h264/90000\r\n"                                                            \
	"a=fmtp:116 profile-level-id=4d001f; packetization-mode=1\r\n"                           \
	"a=rtpmap:41 H264/90000\r\na=fmtp:41 packetization-mode=1;profile-level-id=f4001f\r\n"   \
	"a=rtpmap:49 H265/90000\r\na=fmtp:49 level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST\r\n"

static const char chromium[] =
	"v=0\r\no=- 665686546263800035 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
	"m=video 9 UDP/TLS/RTP/SAVPF 96 102 108 116 41 49\r\nc=IN IP4 0.0.0.0\r\n" VIDEO_LINES
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=recvonly\r\n"
	"a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"
	"a=rtpmap:0 PCMU/8000\r\n";

static struct whep_offer offer;

static const struct whep_format *choose(const char *encoding, unsigned hz, unsigned channels,
	unsigned profile, unsigned constraints)
{
	struct whep_wanted wanted = { encoding, hz, channels, profile, constraints };
	const char *why = NULL;
	size_t i = channels > 0 ? 1 : 0;
	const struct whep_format *format = whep_offer_choose(&offer.media[i], &wanted, &why);

	if (!format)
		assert_non_null(why);
	return format;
}

static int parse(const char *text)
{
	const char *why = NULL;
	int result = whep_offer_parse(&offer, text, strlen(text), &why);

	if (result < 0)
		assert_non_null(why);
	return result;
}

static void test_an_offer_is_read(void **state)
{
	struct whep_security security;

	(void)state;
	assert_int_equal(parse(chromium), 0);
	assert_int_equal(offer.n_media, 2);
	assert_int_equal(offer.media[0].kind, WHEP_VIDEO);
	assert_true(offer.media[0].takes && offer.media[0].rtcp_mux && offer.media[0].rtcp_rsize);
	assert_int_equal(offer.media[0].n_formats, 6);
	assert_int_equal(offer.media[0].format[1].feedback, WHEP_NACK | WHEP_PLI | WHEP_FIR);
	assert_int_equal(offer.media[0].format[3].feedback, WHEP_PLI);
	security = whep_offer_security(&offer, &offer.media[0]);
	assert_true(message_text_is(security.ufrag, "abcd"));
	assert_true(message_text_is(security.hash, "sha-256"));
	assert_true(message_text_is(security.fingerprint, "AA:BB"));
	assert_true(whep_offer_bundles(&offer, offer.media[1].mid));
	assert_false(whep_offer_bundles(&offer, (struct message_text){ "01", 2 }));
}

/* A profile goes into those that include it (ITU-T H.264 annex A), and into packetization mode 1 only. */
static void test_formats_are_chosen_by_profile(void **state)
{
	static const struct {
		const char *encoding;
		unsigned hz, channels, profile, constraints;
		int type; /* -1: none */
	} rows[] = {
		{"H264",  90000, 0, 66,  0xc0, 108},
		{ "H264", 90000, 0, 66,  0,    108},
		{ "H264", 90000, 0, 77,  0,    116},
		{ "H264", 90000, 0, 77,  0x80, 108}, /* that keeps to Baseline */
		{ "H264", 90000, 0, 100, 0,    41 },
		{ "H264", 90000, 0, 88,  0,    -1 }, /* Extended */
		{ "H265", 90000, 0, 1,   0,    49 },
		{ "H265", 90000, 0, 2,   0,    -1 }, /* Main 10 */
		{ "JPEG", 90000, 0, 0,   0,    -1 },
		{ "opus", 48000, 2, 0,   0,    111},
		{ "opus", 48000, 1, 0,   0,    -1 },
		{ "PCMU", 8000,  1, 0,   0,    0  },
		{ "PCMA", 8000,  1, 0,   0,    8  }, /* RFC 3551: without an rtpmap, too */
		{ "PCMU", 16000, 1, 0,   0,    -1 },
	};

	(void)state;
	assert_int_equal(parse(chromium), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct whep_format *format = choose(rows[i].encoding, rows[i].hz,
			rows[i].channels, rows[i].profile, rows[i].constraints);
		assert_int_equal(format ? format->type : -1, rows[i].type);
	}
}

static void test_the_answer(void **state)
{
	static const char expected[] =
		"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=porch\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0\r\n"
		"a=msid-semantic: WMS nvrd\r\n"
		"m=video 9 UDP/TLS/RTP/SAVPF 108\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
		"a=mid:0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 CC\r\na=setup:passive\r\n"
		"a=sendonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:108 H264/90000\r\n"
		"a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
		"a=rtcp-fb:108 nack pli\r\na=msid:nvrd video\r\na=ssrc:7 cname:nvrd\r\n"
		"a=ssrc:7 msid:nvrd video\r\na=candidate:x\r\na=end-of-candidates\r\n"
		"m=audio 0 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=inactive\r\n";
	struct whep_answer answer = { .name = "porch",
		.offer = &offer,
		.ufrag = "u",
		.password = "p",
		.fingerprint = "CC",
		.candidates = "a=candidate:x\r\n" };
	struct evbuffer *out = evbuffer_new();

	(void)state;
	assert_int_equal(parse(chromium), 0);
	answer.media[0] = (struct whep_answer_media){ choose("H264", 90000, 0, 66, 0), 7 };
	whep_answer_write(&answer, out);
	assert_int_equal(evbuffer_get_length(out), strlen(expected));
	assert_memory_equal(evbuffer_pullup(out, -1), expected, strlen(expected));
	evbuffer_free(out);
}

static void test_what_is_said_of_the_session_holds_for_media(void **state)
{
	struct whep_security s;

	(void)state;
	assert_int_equal(parse("v=0\na=ice-ufrag:one\na=fingerprint:sha-512 11\na=setup:active\n"
			       "m=video 9 RTP/SAVPF 96\na=ice-ufrag:two\n"),
		0);
	s = whep_offer_security(&offer, &offer.media[0]);
	assert_true(message_text_is(s.ufrag, "two"));
	assert_true(message_text_is(s.hash, "sha-512") && message_text_is(s.fingerprint, "11"));
	assert_true(message_text_is(s.setup, "active"));
}

static void test_directions_and_refused_media(void **state)
{
	(void)state;
	assert_int_equal(
		parse("v=0\nm=video 9 RTP/SAVPF 96\na=sendonly\nm=video 0 RTP/SAVPF 96\n"
		      "m=audio 0 RTP/SAVPF 0\na=bundle-only\nm=application 9 UDP/DTLS/SCTP x\n"),
		0);
	assert_false(offer.media[0].takes);
	assert_true(offer.media[1].is_rejected && offer.media[1].takes);
	assert_false(offer.media[2].is_rejected);
	assert_int_equal(offer.media[3].kind, WHEP_OTHER);
	assert_int_equal(offer.media[3].n_formats, 0);
}

static void test_what_is_no_offer(void **state)
{
	char *many = malloc(WHEP_OFFER_BYTES + 2);
	const char *why;

	(void)state;
	assert_true(parse("") < 0);
	assert_true(parse("v=0\r\n") < 0);
	assert_true(parse("m=video 9 RTP/SAVPF 96\r\n") < 0);
	assert_true(parse("v=0\r\nm=video 9 RTP/SAVPF 96\r\na=mid:\001\r\n") < 0);
	assert_true(parse("v=0\r\nm=video 9 RTP/SAVPF 96\r\na=mid:1\rm=x\r\n") < 0);
	memset(many, 'a', WHEP_OFFER_BYTES + 1);
	assert_true(whep_offer_parse(&offer, many, WHEP_OFFER_BYTES + 1, &why) < 0);
	strcpy(many, "v=0\n");
	for (int i = 0; i < WHEP_MEDIA; i++)
		strcat(many, "m=audio 9 RTP/SAVPF 0\n");
	assert_int_equal(parse(many), 0);
	strcat(many, "m=audio 9 RTP/SAVPF 0\n");
	assert_true(parse(many) < 0);
	free(many);
}

static void test_every_cut(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(chromium); n++) {
		char *exact = malloc(n ? n : 1);
		const char *why = NULL;

		memcpy(exact, chromium, n);
		if (whep_offer_parse(&offer, exact, n, &why) < 0)
			assert_non_null(why);
		free(exact);
	}
}

static void test_fragments(void **state)
{
	static const char fragment[] = "a=ice-ufrag:EsAw\r\na=ice-pwd:x\r\nm=audio 9 RTP/AVP 0\r\n";

	(void)state;
	assert_true(message_text_is(whep_fragment_ufrag(fragment, strlen(fragment)), "EsAw"));
	assert_null(whep_fragment_ufrag("a=candidate:1", 13).p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_offer_is_read),
		cmocka_unit_test(test_formats_are_chosen_by_profile),
		cmocka_unit_test(test_the_answer),
		cmocka_unit_test(test_what_is_said_of_the_session_holds_for_media),
		cmocka_unit_test(test_directions_and_refused_media),
		cmocka_unit_test(test_what_is_no_offer),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
