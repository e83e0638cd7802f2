/* What the RTSP server sends over TCP, UDP and multicast, also to readers that are slow and of streams that end. */
#include <poll.h>
#include <sys/socket.h>

#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "protocols/rtsp_server.h"
#include "server/base/metrics.h"
#include "tests/rtsp_conversation.h"
#include "tests/synthetic.h"

/* --- media over TCP --- */

struct packet {
	uint8_t channel;
	struct rtp_packet rtp;
};

static struct packet next_rtp(struct client *c)
{
	struct packet ret = { 0 };
	const char *why;
	size_t n;

	do {
		const uint8_t *p = client_packet(c, &n);
		assert_non_null(p);
		ret.channel = p[1];
		assert_int_equal(rtp_parse(&ret.rtp, p + 4, n, &why), 0);
	} while (ret.rtp.payload_type >= 72 && ret.rtp.payload_type <= 76); /* RTCP */
	return ret;
}

static struct rtcp_sender_report next_report(struct client *c, uint8_t channel)
{
	struct rtcp_compound report;
	const char *why;
	size_t n;
	const uint8_t *p = client_packet(c, &n);

	assert_non_null(p);
	assert_int_equal(p[1], channel);
	assert_int_equal(rtcp_parse(&report, p + 4, n, &why), 0);
	assert_true(report.has_sender_report);
	return report.sender;
}

/* Reports come first, then the group of pictures as RTP-Info said, then what is new. */
static void check_media(uint8_t video_channel, uint8_t audio_channel)
{
	struct client *c = client_new();
	unsigned sequences[2] = { 0 };
	uint32_t times[2] = { 0 };
	char *line = xasprintf("SETUP porch/trackID=0|Transport: RTP/AVP/TCP;interleaved=%u-%u",
		video_channel, video_channel + 1);

	expect(c, line, "200 OK*");
	free(line);
	line = xasprintf("SETUP porch/trackID=1|Transport: RTP/AVP/TCP;interleaved=%u-%u|" SESSION,
		audio_channel, audio_channel + 1);
	expect(c, line, "200 OK*");
	free(line);
	play(c, "porch", sequences, times);

	/* The keyframe, the sound, and with it the media, are at the very start. */
	struct rtcp_sender_report video = next_report(c, (uint8_t)(video_channel + 1));
	struct rtcp_sender_report audio = next_report(c, (uint8_t)(audio_channel + 1));
	assert_int_equal(rtcp_us_of_ntp(video.ntp), SYNTHETIC_START_US);
	assert_int_equal(rtcp_us_of_ntp(audio.ntp), SYNTHETIC_START_US);
	assert_int_equal(video.timestamp, times[0]);
	assert_int_equal(audio.timestamp, times[1]);

	publish_picture(porch, false, PICTURE_BYTES);
	publish_sound(1);
	/* SPS, PPS, three pieces of the keyframe; a sound; two pictures; a sound */
	static const struct {
		unsigned track, type, time;
		bool marker;
	} expected[] = {
		{0,  0x67, 0,    false},
		{ 0, 0x68, 0,    false},
		{ 0, 0x7c, 0,    false},
		{ 0, 0x7c, 0,    false},
		{ 0, 0x7c, 0,    true },
		{ 1, 0x00, 0,    true },
		{ 0, 0x41, 3600, true },
		{ 0, 0x41, 7200, true },
		{ 1, 0x00, 1024, true },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
		unsigned track = expected[i].track;
		struct packet p = next_rtp(c);
		assert_int_equal(p.channel, track == 0 ? video_channel : audio_channel);
		assert_int_equal(p.rtp.payload_type, 96 + track);
		assert_int_equal(p.rtp.ssrc, track == 0 ? video.ssrc : audio.ssrc);
		assert_int_equal(p.rtp.sequence, (uint16_t)sequences[track]++);
		assert_int_equal(p.rtp.timestamp, times[track] + expected[i].time);
		assert_int_equal(p.rtp.marker, expected[i].marker);
		assert_int_equal(p.rtp.payload[0], expected[i].type);
	}
	client_free(c);
}

static void tcp_readers_get_the_group_of_pictures(void **state)
{
	(void)state;
	check_media(0, 2);
}

static void tcp_readers_may_choose_channels(void **state)
{
	(void)state;
	check_media(7, 20);
}

static void a_session_of_one_track_gets_that_track(void **state)
{
	struct client *c = client_new();
	unsigned sequences[2] = { 0 };
	uint32_t times[2] = { 0 };

	(void)state;
	expect(c, "SETUP porch/trackID=1|" TCP01, "200 OK*");
	play(c, "porch", sequences, times);
	(void)next_report(c, 1);
	publish_picture(porch, true, PICTURE_BYTES);
	publish_sound(1);
	for (unsigned i = 0; i < 2; i++) {
		struct packet p = next_rtp(c);
		assert_int_equal(p.channel, 0);
		assert_int_equal(p.rtp.payload_type, 97);
		assert_int_equal(p.rtp.sequence, (uint16_t)(sequences[0] + i));
		assert_int_equal(p.rtp.timestamp, times[0] + 1024 * i);
	}
	client_free(c);
}

static void pause_stops_media(void **state)
{
	struct client *c = client_new();

	(void)state;
	expect(c, "SETUP yard/sub|" TCP01, "200 OK*");
	expect(c, "PLAY yard/sub|" SESSION, "200 OK*");
	assert_int_equal(stream_readers(yard), 1);
	expect(c, "PAUSE yard/sub|" SESSION, "200 OK*");
	assert_int_equal(stream_readers(yard), 0);
	expect(c, "PLAY yard/sub|" SESSION, "200 OK*");
	client_free(c);
	assert_int_equal(stream_readers(yard), 0); /* the connection took the session along */
}

static bool is_bye(const uint8_t *p, size_t n)
{
	struct rtcp_compound compound;
	const char *why;

	return rtcp_is(p, n) && rtcp_parse(&compound, p, n, &why) == 0 && compound.has_bye;
}

/* Tracks that change: BYE, and the connection is closed. */
static void changed_tracks_end_the_session(void **state)
{
	(void)state;
	struct client *c = client_new();
	const uint8_t *p;
	size_t n, byes = 0;

	expect(c, "SETUP porch/trackID=0|" TCP01, "200 OK*");
	expect(c, "SETUP porch/trackID=1|" TCP23 "|" SESSION, "200 OK*");
	expect(c, "PLAY porch|" SESSION, "200 OK*");
	begin(porch, 1);
	while ((p = client_packet(c, &n)))
		byes += (p[1] == 1 || p[1] == 3) && is_bye(p + 4, n);
	assert_int_equal(byes, 2);
	assert_true(c->closed);
	client_free(c);
}

/* A source that is lost and comes back: the session is silent meanwhile. */
static void a_session_outlasts_an_absence(void **state)
{
	struct client *c = client_new();
	size_t n;

	(void)state;
	expect(c, "SETUP porch/trackID=0|" TCP01, "200 OK*");
	expect(c, "PLAY porch|" SESSION, "200 OK*");
	stream_end(porch);
	begin(porch, 2);
	publish_picture(porch, true, 77);
	do /* what came before, then the new picture */
		assert_non_null(client_packet(c, &n));
	while (n != RTP_HEADER_BYTES + 77 - 4);
	client_free(c);
}

static void tracks_that_changed_before_play_are_not_played(void **state)
{
	struct client *c = client_new();

	(void)state;
	expect(c, "SETUP porch/trackID=0|" TCP01, "200 OK*");
	begin(porch, 1);
	expect(c, "PLAY porch|" SESSION, "503 Service Unavailable|Retry-After: 5");
	expect(c, "PLAY porch|" SESSION, "454 Session Not Found");
	client_free(c);
}
/* --- a slow reader --- */

static double skipped(void)
{
	return metric_value(metric_get(METRIC_READER_SKIPPED, "rtsp"));
}

/*
 * Does not read while 64 MiB are published: most of it is left out. What comes goes on with a
 * keyframe after each gap, and is far less.
 */
static void a_slow_reader_skips_to_a_keyframe(void **state)
{
	enum {
		GROUPS = 64,
		PICTURES = 16,
		BYTES = 65536
	};
	struct client *c = client_new();
	double before = skipped();
	unsigned sequences[2] = { 0 }, gaps = 0;
	uint32_t times[2] = { 0 };
	uint16_t due = 0;

	(void)state;
	expect(c, "SETUP porch/trackID=0|" TCP01, "200 OK*");
	play(c, "porch", sequences, times);
	for (unsigned i = 0; i < GROUPS * PICTURES; i++) {
		publish_picture(porch, i % PICTURES == 0, BYTES);
		turn();
	}
	assert_true((skipped() - before) * 4 > GROUPS * PICTURES);
	for (unsigned i = 0; i < 1000; i++) {
		client_read(c); /* catches up */
		if (i % 100 == 0)
			publish_picture(porch, true, PICTURE_BYTES);
	}
	expect(c, "TEARDOWN porch|" SESSION, "200 OK");
	assert_true(c->n < 24 << 20);
	assert_true(metric_value(metric_get(METRIC_SESSIONS, "rtsp")) == 0);

	/* From the beginning again: every gap is followed by the SPS before a keyframe. */
	const char *body = memmem(c->input, c->n, "\r\nRTP-Info", 10);
	assert_non_null(body);
	body = memmem(body, c->n - (size_t)(body - (char *)c->input), "\r\n\r\n", 4);
	c->used = (size_t)(body + 4 - (char *)c->input);
	for (due = (uint16_t)sequences[0]; c->input[c->used] == '$';) {
		struct packet p = next_rtp(c);
		if (p.rtp.sequence != due) {
			gaps++;
			assert_int_equal(p.rtp.payload[0], 0x67);
		}
		due = (uint16_t)(p.rtp.sequence + 1);
	}
	assert_true(gaps > 0);
	client_free(c);
}
/* --- UDP --- */

static size_t udp_receive(int fd, uint8_t *p, size_t size)
{
	int64_t end_us = reactor_monotonic_us() + LONGEST_US;

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		ssize_t n = recv(fd, p, size, 0);
		if (n >= 0)
			return (size_t)n;
		if (reactor_monotonic_us() > end_us)
			fail_msg("no datagram came");
		turn();
		(void)poll(&wait, 1, 1);
	}
}

static struct rtp_packet udp_packet(int fd, uint8_t *p, size_t size)
{
	struct rtp_packet packet;
	const char *why;
	size_t n = udp_receive(fd, p, size);

	assert_int_equal(rtp_parse(&packet, p, n, &why), 0);
	return packet;
}

static void udp_readers_get_the_same_packets(void **state)
{
	struct client *c = client_new();
	struct udp_client u = udp_open();
	unsigned sequences[2] = { 0 };
	uint32_t times[2] = { 0 };
	static uint8_t bytes[65536];
	const char *why;

	(void)state;
	char *line = xasprintf("SETUP porch/trackID=0|Transport: RTP/AVP;unicast;client_port=%u-%u",
		udp_port(u.fds[0]), udp_port(u.fds[1]));
	expect(c, line, "200 OK*");
	free(line);
	play(c, "porch", sequences, times);
	struct rtcp_compound report;
	size_t n = udp_receive(u.fds[1], bytes, sizeof(bytes));
	assert_int_equal(rtcp_parse(&report, bytes, n, &why), 0);
	assert_true(report.has_sender_report);
	assert_int_equal(report.sender.timestamp, times[0]);
	publish_picture(porch, true, 200000); /* more than goes at once */
	for (unsigned i = 0; i < 6 + 2 + 144; i++) {
		struct rtp_packet p = udp_packet(u.fds[0], bytes, sizeof(bytes));
		assert_int_equal(p.sequence, (uint16_t)(sequences[0] + i));
		assert_int_equal(p.ssrc, report.sender.ssrc);
	}

	/* The session outlives its connection, and can be reached by another. */
	struct client *other = client_new();
	memcpy(other->session, c->session, sizeof(c->session));
	client_free(c);
	publish_picture(porch, false, PICTURE_BYTES);
	(void)udp_packet(u.fds[0], bytes, sizeof(bytes));
	expect(other, "GET_PARAMETER porch|" SESSION, "200 OK|" SESSION);

	begin(porch, 1);
	n = udp_receive(u.fds[1], bytes, sizeof(bytes));
	assert_true(is_bye(bytes, n));
	expect(other, "PLAY porch|" SESSION, "454 Session Not Found");
	client_free(other);
	(void)close(u.fds[0]);
	(void)close(u.fds[1]);
}

/* The server's socket becomes one that takes nothing. */
static void what_the_kernel_does_not_take_is_counted(void **state)
{
	struct metric *dropped = metric_get(METRIC_READER_DROPPED, "rtsp");
	struct client *c = client_new();
	double before = metric_value(dropped);
	unsigned long port;

	(void)state;
	say(c, "SETUP yard/sub|Transport: RTP/AVP;unicast;client_port=9-10", false);
	char *answer = client_answer(c);
	remember_session(c, answer);
	const char *field = strstr(answer, "server_port=");
	assert_non_null(field);
	port = strtoul(field + 12, NULL, 10);
	free(answer);
	for (int fd = 3; fd < 1024; fd++) {
		struct sockaddr_in address = { 0 };
		socklen_t n = sizeof(address);
		if (getsockname(fd, (struct sockaddr *)&address, &n) == 0 &&
			ntohs(address.sin_port) == port)
			(void)shutdown(fd, SHUT_WR); /* says ENOTCONN, and does it */
	}
	expect(c, "PLAY yard/sub|" SESSION, "200 OK*");
	assert_true(metric_value(dropped) > before);
	client_free(c);
}

/* What opens a hole in a NAT tells where to send; another host would be ignored. */
static void udp_goes_where_the_client_sends_from(void **state)
{
	struct client *c = client_new();
	struct udp_client u = udp_open();
	struct sockaddr_in to = { .sin_family = AF_INET };
	static uint8_t bytes[65536];
	unsigned long port;

	(void)state;
	say(c, "SETUP yard/sub|Transport: RTP/AVP;unicast;client_port=9-10", false);
	char *answer = client_answer(c);
	remember_session(c, answer);
	const char *field = strstr(answer, "server_port=");
	assert_non_null(field);
	port = strtoul(field + 12, NULL, 10);
	assert_in_range(port, 1024, 65534);
	free(answer);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)port);
	assert_int_equal(
		sendto(u.fds[0], "\xce\xfa\xed\xfe", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
	turn();
	expect(c, "PLAY yard/sub|" SESSION, "200 OK*");
	struct rtp_packet p = udp_packet(u.fds[0], bytes, sizeof(bytes));
	assert_int_equal(p.payload[0], 0x67);
	client_free(c);
	(void)close(u.fds[0]);
	(void)close(u.fds[1]);
}
/* --- multicast --- */

#define GROUP "239.83.7.2"
#define MULTICAST "Transport: RTP/AVP;multicast"
#define MULTICAST_OF(ports) \
	MULTICAST ";destination=" GROUP ";source=127.0.0.1;port=" ports ";ttl=16"

static int set_up_multicast(void **state)
{
	static const char text[] = "cameras: {porch: {source: 'test:', multicast: " GROUP ":6000}}";
	char *errors = NULL;

	set_up(state);
	config_free(config);
	config = config_parse("nvrd.yaml", text, sizeof(text) - 1, &errors);
	assert_non_null(config);
	rtsp_server_apply(server, config);
	return 0;
}

/* A socket in the group, by loopback. */
static int group_open(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct ip_mreqn member = { .imr_address.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), one = 1;

	assert_int_equal(inet_pton(AF_INET, GROUP, &address.sin_addr), 1);
	member.imr_multiaddr = address.sin_addr;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &member, sizeof(member)), 0);
	return fd;
}

static void multicast_is_described_when_asked_for(void **state)
{
	struct client *c = client_new();

	(void)state;
	say(c, "DESCRIBE porch?multicast", false);
	char *answer = hear(c);
	assert_non_null(strstr(answer, "|Content-Base: rtsp://@HOST/porch/|"));
	assert_non_null(strstr(answer, "|c=IN IP4 " GROUP "/16|"));
	assert_non_null(strstr(answer, "|m=video 6000 RTP/AVP 96|"));
	assert_non_null(strstr(answer, "|m=audio 6002 RTP/AVP 97|"));
	free(answer);
	say(c, "DESCRIBE porch", false);
	answer = hear(c);
	assert_non_null(strstr(answer, "|c=IN IP4 0.0.0.0|"));
	free(answer);
	say(c, "DESCRIBE yard/sub?multicast", false); /* has no group */
	answer = hear(c);
	assert_non_null(strstr(answer, "|c=IN IP4 0.0.0.0|"));
	free(answer);
	expect(c, "SETUP yard/sub|" MULTICAST, "461 *");
	client_free(c);
}

static void a_group_is_sent_to_once(void **state)
{
	struct client *first = client_new(), *second = client_new();
	int rtp = group_open(6000), rtcp = group_open(6001);
	unsigned sequences[2] = { 0 }, later[2] = { 0 };
	uint32_t times[2] = { 0 };
	static uint8_t bytes[65536];
	struct rtcp_compound report;
	const char *why;

	(void)state;
	expect(first, "SETUP porch/trackID=0|" MULTICAST,
		"200 OK|" MULTICAST_OF("6000-6001") "|" NEW_SESSION);
	expect(first, "SETUP porch/trackID=1|" MULTICAST "|" SESSION,
		"200 OK|" MULTICAST_OF("6002-6003") "|" NEW_SESSION);
	expect(second, "SETUP porch/trackID=0|" MULTICAST,
		"200 OK|" MULTICAST_OF("6000-6001") "|" NEW_SESSION);
	publish_picture(
		porch, false, PICTURE_BYTES); /* nobody plays yet: it waits with its keyframe */
	play(first, "porch", sequences, times);
	size_t n = udp_receive(rtcp, bytes, sizeof(bytes));
	assert_int_equal(rtcp_parse(&report, bytes, n, &why), 0);
	assert_true(report.has_sender_report);
	assert_int_equal(report.sender.timestamp, times[0]);
	for (unsigned i = 0; i < 6 + 1; i++)
		assert_int_equal(udp_packet(rtp, bytes, sizeof(bytes)).sequence,
			(uint16_t)(sequences[0] + i));
	say(second, "PLAY porch/trackID=0|" SESSION, false);
	char *answer = client_answer(second);
	const char *field = strstr(answer, ";seq=");
	assert_non_null(field);
	later[0] = (unsigned)strtoul(field + 5, NULL, 10);
	assert_int_equal(later[0], (uint16_t)(sequences[0] + 7));
	free(answer);
	/* one goes, the other stays: each picture comes once */
	publish_picture(porch, true, PICTURE_BYTES);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			udp_packet(rtp, bytes, sizeof(bytes)).sequence, (uint16_t)(later[0] + i));
	expect(first, "TEARDOWN porch|" SESSION, "200 OK");
	publish_picture(porch, false, PICTURE_BYTES);
	assert_int_equal(udp_packet(rtp, bytes, sizeof(bytes)).sequence, (uint16_t)(later[0] + 3));
	/* the last pauses: nothing is sent */
	assert_int_equal(stream_readers(porch), 1);
	expect(second, "PAUSE porch/trackID=0|" SESSION, "200 OK|" SESSION);
	assert_int_equal(stream_readers(porch), 0);
	play(second, "porch/trackID=0", sequences, times);
	(void)udp_packet(rtp, bytes, sizeof(bytes));
	/* the camera is another, and all end with it */
	begin(porch, 1);
	do
		n = udp_receive(rtcp, bytes, sizeof(bytes));
	while (!is_bye(bytes, n));
	while (!client_is_closed(second))
		;
	client_free(first);
	client_free(second);
	assert_true(metric_value(metric_get(METRIC_SESSIONS, "rtsp")) == 0);
	(void)close(rtp);
	(void)close(rtcp);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_MULTICAST(name) cmocka_unit_test_setup_teardown(name, set_up_multicast, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tcp_readers_get_the_group_of_pictures),
		TEST(tcp_readers_may_choose_channels),
		TEST(a_session_of_one_track_gets_that_track),
		TEST(pause_stops_media),
		TEST(changed_tracks_end_the_session),
		TEST(a_session_outlasts_an_absence),
		TEST(tracks_that_changed_before_play_are_not_played),
		TEST(a_slow_reader_skips_to_a_keyframe),
		TEST(udp_readers_get_the_same_packets),
		TEST(what_the_kernel_does_not_take_is_counted),
		TEST(udp_goes_where_the_client_sends_from),
		TEST_MULTICAST(multicast_is_described_when_asked_for),
		TEST_MULTICAST(a_group_is_sent_to_once),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
