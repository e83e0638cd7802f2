/* What cameras answer in Session, Transport, RTP-Info, Content-Base and Location: QUIRKS R1 to R9, Q49 to Q65. */
#include "protocols/rtsp_fields.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct uri connected_to(const char *text)
{
	struct uri uri;
	const char *why;

	assert_int_equal(uri_parse(&uri, text, strlen(text), &why), 0);
	return uri;
}

/* --- Session --- */

// clang-format off
static const struct {
	const char *text, *id; /* NULL: refused */
	unsigned timeout_s;
} sessions[] = {
	{ "12345678", "12345678", 60 },
	{ "12345678;timeout=30", "12345678", 30 },
	{ " 12345678 ; timeout = 30 ", "12345678", 30 },
	{ "12345678;Timeout=\"30\"", "12345678", 30 },
	{ "12345678;timeout=0", "12345678", 60 },
	{ "12345678;timeout=", "12345678", 60 },
	{ "12345678;timeout=-5", "12345678", 60 },
	{ "12345678;timeout=5.5", "12345678", 5 },
	{ "12345678;timeout=99999999999999999999999", "12345678", 60 },
	{ "12345678;timeout=300", "12345678", 60 },
	{ "12345678;", "12345678", 60 },
	{ "12345678;;x;timeout=10;y", "12345678", 10 },
	{ "a b$-_.+", "a b$-_.+", 60 },
	{ "", NULL, 0 },
	{ "  ", NULL, 0 },
	{ ";timeout=60", NULL, 0 },
	{ "1\r\nX: y", NULL, 0 },
};
// clang-format on

static void test_q49_session_and_its_timeout(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(sessions); i++) {
		struct rtsp_session session = { .timeout_s = 7 };
		int error =
			rtsp_parse_session(&session, sessions[i].text, strlen(sessions[i].text));

		if (!sessions[i].id) {
			assert_int_equal(error, -EBADMSG);
			assert_int_equal(session.timeout_s, 7);
			continue;
		}
		assert_int_equal(error, 0);
		assert_string_equal(session.id, sessions[i].id);
		assert_int_equal(session.timeout_s, sessions[i].timeout_s);
	}
	assert_int_equal(rtsp_parse_session(&(struct rtsp_session){ 0 }, NULL, 0), -EBADMSG);
}

/* A cut id would name another session: it is whole, or refused. */
static void test_r6_very_long_session_ids(void **state)
{
	char text[RTSP_SESSION_BYTES + 1];
	struct rtsp_session session;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(rtsp_parse_session(&session, text, RTSP_SESSION_BYTES - 1), 0);
	assert_int_equal(strlen(session.id), RTSP_SESSION_BYTES - 1);
	assert_int_equal(rtsp_parse_session(&session, text, RTSP_SESSION_BYTES), -EBADMSG);
}

/* --- Transport --- */

/* "tcp 0-1", "udp 6970-6971 ssrc=1a", "?" */
static void describe(const struct rtsp_transport_answer *t, char *ret, size_t size)
{
	static const char *const lower[] = { "?", "tcp", "udp" };
	int n = snprintf(ret, size, "%s", lower[t->lower]);

	if (t->has_channels)
		n += snprintf(ret + n, size - (size_t)n, " %u-%u", t->channels[0], t->channels[1]);
	if (t->server_ports[0])
		n += snprintf(ret + n, size - (size_t)n, " %u-%u", t->server_ports[0],
			t->server_ports[1]);
	if (t->has_ssrc)
		n += snprintf(ret + n, size - (size_t)n, " ssrc=%x", t->ssrc);
	if (t->multicast)
		n += snprintf(ret + n, size - (size_t)n, " multicast");
	if (t->source.n)
		n += snprintf(
			ret + n, size - (size_t)n, " from %.*s", (int)t->source.n, t->source.p);
	if (t->destination.n)
		(void)snprintf(ret + n, size - (size_t)n, " to %.*s", (int)t->destination.n,
			t->destination.p);
}

static void expect_transport(const char *text, const char *expected)
{
	struct rtsp_transport_answer answer;
	char described[512];

	rtsp_parse_transport_answer(&answer, text, strlen(text));
	describe(&answer, described, sizeof(described));
	if (strcmp(described, expected))
		fail_msg("\"%s\": %s and not %s", text, described, expected);
}

static void test_r8_interleaved_as_the_camera_says(void **state)
{
	(void)state;
	expect_transport("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=5A27F2C9;mode=\"PLAY\"",
		"tcp 0-1 ssrc=5a27f2c9");
	expect_transport("RTP/AVP/TCP;unicast;interleaved=10-11", "tcp 10-11");
	expect_transport("RTP/AVP/TCP;unicast", "tcp");
	expect_transport("rtp/avp/tcp ; unicast ; interleaved = 2 - 3 ", "tcp 2-3");
	expect_transport("", "?");
	expect_transport("garbage", "?");
	expect_transport("RTP/AVP;unicast", "?");
}

static void test_q51_odd_channels(void **state)
{
	(void)state;
	expect_transport("RTP/AVP/TCP;interleaved=0", "tcp 0-1");
	expect_transport("RTP/AVP/TCP;interleaved=5-", "tcp 5-6");
	expect_transport("RTP/AVP/TCP;interleaved=3-2", "tcp 3-2");
	expect_transport("RTP/AVP/TCP;interleaved=4-4", "tcp 4-4");
	expect_transport("RTP/AVP/TCP;interleaved=\"0-1\"", "tcp 0-1");
	expect_transport("RTP/AVP/TCP;interleaved=254-255", "tcp 254-255");
	expect_transport("RTP/AVP/TCP;interleaved=256-257", "tcp");
	expect_transport("RTP/AVP/TCP;interleaved=-1", "tcp");
	expect_transport("RTP/AVP/TCP;interleaved=99999999999999999999", "tcp");
}

static void test_q52_no_tcp_but_interleaved(void **state)
{
	(void)state;
	expect_transport("RTP/AVP;unicast;interleaved=0-1", "tcp 0-1");
	expect_transport("RTP/AVP/UDP;unicast;interleaved=0-1", "tcp 0-1");
}

static void test_q53_ssrc_is_read_loosely(void **state)
{
	(void)state;
	expect_transport("RTP/AVP/TCP;interleaved=0-1;ssrc= 1A2B", "tcp 0-1 ssrc=1a2b");
	expect_transport("RTP/AVP/TCP;interleaved=0-1;ssrc=0xDEADBEEF ", "tcp 0-1 ssrc=deadbeef");
	expect_transport("RTP/AVP/TCP;interleaved=0-1;ssrc=123456789", "tcp 0-1");
	expect_transport("RTP/AVP/TCP;interleaved=0-1;ssrc=xyz", "tcp 0-1");
	expect_transport("RTP/AVP/TCP;interleaved=0-1;ssrc=@GG", "tcp 0-1");
	expect_transport("RTP/AVP/TCP;interleaved=0-1;ssrc=", "tcp 0-1");
}

static void test_q54_server_ports(void **state)
{
	(void)state;
	expect_transport(
		"RTP/AVP;unicast;client_port=5000-5001;server_port=6970-6971", "udp 6970-6971");
	expect_transport("RTP/AVP/UDP;unicast;client_port=5000-5001", "udp");
	expect_transport("RTP/AVP/UDP;server_port=0-0", "udp");
	expect_transport("RTP/AVP;server_port=6970", "udp 6970-6971");
	expect_transport("RTP/AVP;server_port=6970-7001", "udp 6970-7001");
	expect_transport("RTP/AVP;server_port=6970-0", "udp 6970-6971");
	expect_transport("RTP/AVP/UDP;server_port=65536-65537", "udp");
	expect_transport("RTP/AVP/UDP;server_port=65535", "udp");
}

static void test_r9_server_port_missing(void **state)
{
	(void)state;
	expect_transport("RTP/AVP/UDP;unicast;client_port=5000-5001", "udp");
	expect_transport("RTP/AVP/UDP;unicast;server_port=", "udp");
}

static void test_q55_source_is_only_a_hint(void **state)
{
	(void)state;
	expect_transport("RTP/AVP/UDP;source=;server_port=1-2", "udp 1-2");
	expect_transport("RTP/AVP/UDP;source=cam.local;destination=192.0.2.9;server_port=1-2",
		"udp 1-2 from cam.local to 192.0.2.9");
	expect_transport(
		"RTP/AVP;multicast;destination=224.1.1.1;port=9-10", "? multicast to 224.1.1.1");
	expect_transport("RTP/AVP/TCP;interleaved=0-1, RTP/AVP;server_port=1-2", "tcp 0-1");
}

/* --- RTP-Info --- */

// clang-format off
static const struct {
	const char *text;
	size_t n;
	struct { const char *url; int sequence; int64_t time; } streams[2]; /* -1: unsaid */
} infos[] = {
	{ "url=rtsp://h/x/trackID=0;seq=1;rtptime=2,url=rtsp://h/x/trackID=1;seq=3;rtptime=4294967295", 2,
		{ { "rtsp://h/x/trackID=0", 1, 2 }, { "rtsp://h/x/trackID=1", 3, 4294967295 } } },
	{ "url=/trackID=0;seq=1;rtptime=2;", 1, { { "/trackID=0", 1, 2 } } },
	{ "url=rtsp://h/x;seq=0;rtptime=-1", 1, { { "rtsp://h/x", 0, -1 } } },
	{ "url=rtsp://h/x;seq=65536;rtptime=now", 1, { { "rtsp://h/x", -1, -1 } } },
	{ "url=rtsp://h/x", 1, { { "rtsp://h/x", -1, -1 } } },
	{ "seq=7;rtptime=8", 1, { { "", 7, 8 } } },
	{ "url=rtsp://h/x?a=1;b=2,3;seq=9 ; rtptime = 10 , url=b", 2,
		{ { "rtsp://h/x?a=1;b=2,3", 9, 10 }, { "b", -1, -1 } } },
	{ "url=\"rtsp://h/x\";seq=5", 1, { { "rtsp://h/x", 5, -1 } } },
	{ "", 0, { { "", 0, 0 } } },
	{ " ;", 1, { { "", -1, -1 } } },
};
// clang-format on

static void test_q65_rtp_info_is_a_hint(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(infos); i++) {
		struct rtsp_rtp_info got[4];
		size_t n = rtsp_parse_rtp_info(got, 4, infos[i].text, strlen(infos[i].text));

		assert_int_equal(n, infos[i].n);
		for (size_t k = 0; k < n; k++) {
			char url[64];

			message_text_copy(url, sizeof(url), got[k].url);
			assert_string_equal(url, infos[i].streams[k].url);
			assert_int_equal(got[k].has_sequence ? got[k].sequence : -1,
				infos[i].streams[k].sequence);
			assert_true((got[k].has_time ? (int64_t)got[k].time : -1) ==
				    infos[i].streams[k].time);
		}
	}
	assert_int_equal(rtsp_parse_rtp_info(NULL, 0, "url=a", 5), 0);
}

// clang-format off
static const struct {
	const char *text, *control;
	size_t place;
	int found;
} finds[] = {
	{ "url=rtsp://h/x/t=1;seq=1,url=rtsp://h/x/t=0;seq=2", "t=0", 0, 1 },
	{ "url=rtsp://h/x/t=1;seq=1,url=rtsp://h/x/t=0;seq=2", "rtsp://192.0.2.1/x/t=1/", 1, 0 },
	{ "url=rtsp://h/1/video,url=rtsp://h/2/video", "2/video", 0, 1 },
	{ "url=rtsp://h/x/t=1,url=rtsp://h/x/t=1", "t=1", 1, 1 },
	{ "url=wrong,url=wrong", "t=1", 1, 1 },
	{ "url=rtsp://h/x/t=11", "t=1", 1, -1 },
	{ "url=rtsp://h/x/at=1", "t=1", 1, -1 },
	{ "seq=1", "t=1", 0, 0 },
	{ "url=a,url=b", "", 1, 1 },
	{ "url=a/,url=/", "*", 1, 1 },
};
// clang-format on

static void test_q65_rtp_info_finds_its_track(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(finds); i++) {
		struct rtsp_rtp_info got[4];
		size_t n = rtsp_parse_rtp_info(got, 4, finds[i].text, strlen(finds[i].text));
		const struct rtsp_rtp_info *found =
			rtsp_find_rtp_info(got, n, finds[i].control, finds[i].place);
		int index = found ? (int)(found - got) : -1;

		if (index != finds[i].found)
			fail_msg("%s, %s: %d", finds[i].text, finds[i].control, index);
	}
}

/* --- Content-Base --- */

static void expect_base(const char *request, const char *base, const char *path)
{
	struct uri connected = connected_to(request), uri;

	rtsp_repair_base(&uri, &connected, base, strlen(base));
	if (strcmp(uri.path, path))
		fail_msg("%s with \"%s\": %s and not %s", request, base, uri.path, path);
	assert_string_equal(uri.scheme, connected.scheme);
	assert_string_equal(uri.host, connected.host);
	assert_int_equal(uri.port, connected.port);
	assert_string_equal(uri.user, connected.user);
	assert_string_equal(uri.password, connected.password);
}

static void test_r1_the_host_stays_the_connected_one(void **state)
{
	(void)state;
	expect_base("rtsp://u:p@192.0.2.9:8554/x", "rtsp://10.0.0.1/x/", "/x/");
	expect_base("rtsp://192.0.2.9/x", "192.0.2.1:1935/", "/");
	expect_base("rtsps://192.0.2.9/x", "rtsp://192.0.2.9/x?a=b/", "/x?a=b/");
	expect_base("rtsp://192.0.2.9/x", "", "/x");
	expect_base("rtsp://192.0.2.9/x", " rtsp://192.0.2.9/y ", "/y");
	expect_base("rtsp://192.0.2.9/x", "rtsp://u:pa/ss@192.0.2.9/y/", "/y/");
	expect_base("rtsp://192.0.2.9/x", "rtsp://192.0.2.9/a b/", "/a%20b/");
	expect_base("rtsp://192.0.2.9/x", "rtsp://192.0.2.9", "/");
	expect_base("rtsp://192.0.2.9/x", "rtsp://192.0.2.9?a=b", "/?a=b");
}

static void test_q22_ipv6_without_brackets(void **state)
{
	(void)state;
	expect_base("rtsp://192.0.2.9/x", "rtsp://::ffff:192.0.2.1/x/", "/x/");
	expect_base("rtsp://192.0.2.9/x", "rtsp://::ffff:192.0.2.1:554/", "/");
	expect_base("rtsp://[2001:db8::1]/x", "2001:db8::1/x/", "/x/");
	expect_base("rtsp://[2001:db8::1]/x", "[2001:db8::1]:554/x/", "/x/");
}

static void test_q23_schemes_hosts_and_relatives(void **state)
{
	char longest[4096];

	(void)state;
	expect_base("rtsp://192.0.2.9/x", "rtsp://rtsp://192.0.2.1/x/", "/x/");
	expect_base("rtsp://192.0.2.9/x", "rtsp://rtsp://rtsp://192.0.2.1:554/x/", "/x/");
	expect_base("rtsp://192.0.2.9/x", "rtsp://0.0.0.0:554/x/", "/x/");
	expect_base("rtsp://192.0.2.9/x", "0.0.0.0/x/", "/x/");
	expect_base("rtsp://192.0.2.9/x", "192.0.2.1/live/", "/live/");
	expect_base("rtsp://cam.local/x", "cam.local:554/live/", "/live/");
	expect_base("rtsp://192.0.2.9/x", "/live/", "/live/");
	expect_base("rtsp://192.0.2.9/live/ch0", "ch0/", "/live/ch0/");
	expect_base("rtsp://192.0.2.9/live/ch0", "live/ch0/", "/live/ch0/");
	expect_base("rtsp://192.0.2.9/live", "live/ch0/", "/live/ch0/");
	expect_base("rtsp://192.0.2.9/live/ch0", "li/", "/live/li/");
	expect_base("rtsp://192.0.2.9/", "ch0?a=b", "/ch0?a=b");
	expect_base("rtsp://192.0.2.9/x", "/y?u=http://z", "/y?u=http://z");
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	expect_base("rtsp://192.0.2.9/x", longest, "/x");
	longest[URI_PATH_BYTES + 1] = '\0';
	expect_base("rtsp://192.0.2.9/x", longest, "/x");
}

/* --- Location --- */

static void test_q41_redirects(void **state)
{
	// clang-format off
	static const struct {
		const char *connected, *location, *expected; /* with the user that goes along */
	} cases[] = {
		{ "rtsp://u:p@192.0.2.9:554/x", "rtsp://192.0.2.9:8554/y", "u rtsp://192.0.2.9:8554/y" },
		{ "rtsp://u:p@192.0.2.9:554/x", "rtsps://192.0.2.9/y", "u rtsps://192.0.2.9/y" },
		{ "rtsps://u:p@192.0.2.9/x", "rtsp://192.0.2.9/y", "- rtsp://192.0.2.9/y" },
		{ "rtsp://u:p@192.0.2.9:554/x", "rtsp://198.51.100.1/y", "- rtsp://198.51.100.1/y" },
		{ "rtsp://u:p@192.0.2.9:554/x", "rtsp://a:b@198.51.100.1/y", "a rtsp://198.51.100.1/y" },
		{ "rtsp://u:p@192.0.2.9:554/x", "/y?z", "u rtsp://192.0.2.9:554/y?z" },
		{ "rtsp://u:p@192.0.2.9:554/x", "rtsp://0.0.0.0:554/y", "u rtsp://192.0.2.9:554/y" },
		{ "rtsp://u:p@192.0.2.9:554/x", "rtsp://rtsp://192.0.2.9/y", "u rtsp://192.0.2.9/y" },
		{ "rtsp://u:p@192.0.2.9:554/x", " RTSP://192.0.2.9/y ", "u rtsp://192.0.2.9/y" },
		{ "rtsp://192.0.2.9/x", "http://192.0.2.9/y", NULL },
		{ "rtsp://192.0.2.9/x", "file:///etc/passwd", NULL },
		{ "rtsp://192.0.2.9/x", "y", NULL },
		{ "rtsp://192.0.2.9/x", "", NULL },
	};
	// clang-format on

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct uri connected = connected_to(cases[i].connected), uri;
		int error = rtsp_parse_location(
			&uri, &connected, cases[i].location, strlen(cases[i].location));
		char written[512], all[1024];

		assert_int_equal(error, cases[i].expected ? 0 : -EBADMSG);
		if (error)
			continue;
		snprintf(all, sizeof(all), "%s %s", uri.has_user ? uri.user : "-",
			uri_write(written, sizeof(written), &uri));
		assert_string_equal(all, cases[i].expected);
	}
}

static void test_every_cut_is_survived(void **state)
{
	static const char text[] =
		"url=rtsp://[::1]:5/x,y;seq=1;rtptime=2,url=b;timeout=5;interleaved=1-2;ssrc=a";
	struct uri connected = connected_to("rtsp://u:p@192.0.2.9:554/x");

	(void)state;
	for (size_t from = 0; from < sizeof(text); from++) {
		for (size_t n = 0; from + n < sizeof(text); n++) {
			char *exact = malloc(n ? n : 1);
			struct rtsp_transport_answer answer;
			struct rtsp_rtp_info info[2];
			struct rtsp_session session;
			struct uri uri;

			memcpy(exact, text + from, n);
			(void)!rtsp_parse_session(&session, exact, n);
			rtsp_parse_transport_answer(&answer, exact, n);
			assert_true(rtsp_parse_rtp_info(info, 2, exact, n) <= 2);
			rtsp_repair_base(&uri, &connected, exact, n);
			assert_string_equal(uri.host, "192.0.2.9");
			(void)!rtsp_parse_location(&uri, &connected, exact, n);
			free(exact);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_q49_session_and_its_timeout),
		cmocka_unit_test(test_r6_very_long_session_ids),
		cmocka_unit_test(test_r8_interleaved_as_the_camera_says),
		cmocka_unit_test(test_q51_odd_channels),
		cmocka_unit_test(test_q52_no_tcp_but_interleaved),
		cmocka_unit_test(test_q53_ssrc_is_read_loosely),
		cmocka_unit_test(test_q54_server_ports),
		cmocka_unit_test(test_r9_server_port_missing),
		cmocka_unit_test(test_q55_source_is_only_a_hint),
		cmocka_unit_test(test_q65_rtp_info_is_a_hint),
		cmocka_unit_test(test_q65_rtp_info_finds_its_track),
		cmocka_unit_test(test_r1_the_host_stays_the_connected_one),
		cmocka_unit_test(test_q22_ipv6_without_brackets),
		cmocka_unit_test(test_q23_schemes_hosts_and_relatives),
		cmocka_unit_test(test_q41_redirects),
		cmocka_unit_test(test_every_cut_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
