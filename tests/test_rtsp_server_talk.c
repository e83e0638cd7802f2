/* Readers of the RTSP server that talk to a camera: ONVIF's back channel. */
#include <sys/socket.h>

#include "protocols/authenticate.h"
#include "protocols/rtp.h"
#include "protocols/rtsp_talk.h"
#include "tests/http_conversation.h"
#include "tests/rtsp_conversation.h"

#define REQUIRE "Require: " RTSP_BACKCHANNEL
#define TCP67 "Transport: RTP/AVP/TCP;unicast;interleaved=6-7"
#define UNSUPPORTED "|Unsupported: " RTSP_BACKCHANNEL "\n"

// clang-format off
/* With a porch and a yard that listen. */
static const struct conversation talks[] = {
	{ "DESCRIBE with what the camera listens to", "DESCRIBE yard/sub|" REQUIRE "\n"
		"200 OK|Content-Base: rtsp://@HOST/yard/sub/|Content-Type: application/sdp|"
		"Cache-Control: no-cache|Content-Length: #|"
		"|v=0|o=- 1 1 IN IP4 127.0.0.1|s=yard/sub|c=IN IP4 0.0.0.0|t=0 0|a=tool:nvrd|a=control:*|"
		"a=range:npt=now-|m=video 0 RTP/AVP 96|a=rtpmap:96 H264/90000|"
		"a=fmtp:96 packetization-mode=1;profile-level-id=42C01E;sprop-parameter-sets=Z0LAHg==,aM48gA==|"
		"a=control:trackID=0|a=recvonly|m=audio 0 RTP/AVP 0|a=rtpmap:0 PCMU/8000|a=sendonly|a=control:trackID=3|\n" },
	{ "DESCRIBE without it", "DESCRIBE yard/sub\n"
		"200 OK|Content-Base: rtsp://@HOST/yard/sub/|Content-Type: application/sdp|"
		"Cache-Control: no-cache|Content-Length: #|"
		"|v=0|o=- 1 1 IN IP4 127.0.0.1|s=yard/sub|c=IN IP4 0.0.0.0|t=0 0|a=tool:nvrd|a=control:*|"
		"a=range:npt=now-|m=video 0 RTP/AVP 96|a=rtpmap:96 H264/90000|"
		"a=fmtp:96 packetization-mode=1;profile-level-id=42C01E;sprop-parameter-sets=Z0LAHg==,aM48gA==|"
		"a=control:trackID=0|\n" },
	{ "what else is required", "DESCRIBE porch|Require: www.onvif.org/ver20/other, " RTSP_BACKCHANNEL "\n"
		"551 Option not supported|Unsupported: www.onvif.org/ver20/other\n"
		"DESCRIBE porch|" REQUIRE "|Require: onvif-replay\n551 Option not supported|Unsupported: onvif-replay\n"
		"DESCRIBE recordings/porch|" REQUIRE "\n551 Option not supported" UNSUPPORTED },
	{ "an option that the server knows", "OPTIONS -|" REQUIRE "\n200 OK|Public: " PUBLIC "\n" },
	{ "the only track by the stream's name is still what it sends", "SETUP yard/sub|" TCP01 "\n200 OK|" TCP01 "|" NEW_SESSION "\n" },
	{ "SETUP, PLAY, PAUSE, TEARDOWN", SET_UP_BOTH
		"SETUP porch/trackID=3|" TCP67 "|" REQUIRE "|" SESSION "\n200 OK|" TCP67 "|" NEW_SESSION "\n"
		"PLAY porch/|" REQUIRE "|" SESSION "\n"
		"200 OK|Range: npt=now-|RTP-Info: url=rtsp://@HOST/porch/trackID=0;seq=#;rtptime=#,"
		"url=rtsp://@HOST/porch/trackID=1;seq=#;rtptime=#|" SESSION "\n"
		"PAUSE porch|" REQUIRE "|" SESSION "\n200 OK|" SESSION "\nTEARDOWN porch|" SESSION "\n200 OK\n" },
	{ "to talk and not to watch", "SETUP porch/trackID=3|Transport: RTP/AVP/TCP;unicast;mode=record\n200 OK|" TCP67 ";mode=record|" NEW_SESSION "\n"
		"PLAY porch|" SESSION "\n200 OK|Range: npt=now-|" SESSION "\n" },
	{ "SETUP over UDP", "SETUP porch/trackID=3|Transport: RTP/AVP;unicast;client_port=50000-50001\n"
		"200 OK|Transport: RTP/AVP;unicast;client_port=50000-50001;server_port=#-#|" NEW_SESSION "\n" },
	{ "SETUP over multicast", "SETUP porch/trackID=3|Transport: RTP/AVP;multicast\n461 Unsupported Transport\n" },
};
// clang-format on

/* What the cameras heard: the first byte of each payload. */
static char said[64];
static uint16_t last_said; /* its sequence number */
static struct rtsp_talk *porch_ear, *yard_ear;

static bool camera_hears(void *arg, uint8_t *p, size_t n)
{
	struct rtp_packet packet;
	const char *why;
	size_t length = strlen(said);

	assert_null(arg);
	assert_int_equal(rtp_parse(&packet, p, n, &why), 0);
	if (length > 0)
		assert_int_equal(packet.sequence, (uint16_t)(last_said + 1));
	last_said = packet.sequence;
	assert_true(length + 1 < sizeof(said));
	said[length] = (char)packet.payload[0];
	said[length + 1] = '\0';
	return true;
}

static struct rtsp_talk *ear_new(const char *camera, const char *encoding)
{
	struct sdp_media media = { .clock_hz = 8000, .channels = 1 };

	(void)strcpy(media.encoding, encoding);
	return rtsp_talk_new(camera, &media, camera_hears, NULL);
}

static int set_up_talk(void **state)
{
	said[0] = '\0';
	porch_ear = ear_new("porch", "PCMU");
	yard_ear = ear_new("yard", "PCMU");
	return set_up(state);
}

static int tear_down_talk(void **state)
{
	int result = tear_down(state);

	rtsp_talk_free(porch_ear);
	rtsp_talk_free(yard_ear);
	return result;
}

/* An interleaved packet of PCMU for each letter, numbered by it. */
static void talk(struct client *c, const char *letters)
{
	for (; *letters; letters++) {
		uint8_t bytes[4 + 12 + 160] = { '$', 6, 0, 172, 0x80, 0, 0, (uint8_t)*letters };

		memset(bytes + 16, *letters, 160);
		client_send(c, (const char *)bytes, sizeof(bytes), false);
	}
	turn();
}

static struct client *talker_new(void)
{
	struct client *c = client_new();

	expect(c, "SETUP porch/trackID=3|" TCP67, "200 OK*");
	expect(c, "PLAY porch|" SESSION, "200 OK*");
	return c;
}

static void a_camera_that_listens_is_described_so(void **state)
{
	static const struct conversation deaf = { "a camera that does not listen",
		"DESCRIBE yard/sub|" REQUIRE "\n551 The camera has no back channel" UNSUPPORTED
		"SETUP yard/sub/trackID=3|" TCP67 "\n404 Not Found\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(talks); i++)
		converse(&talks[i], false);
	rtsp_talk_free(yard_ear);
	yard_ear = NULL;
	converse(&deaf, false);
}

static void what_is_said_goes_to_the_camera(void **state)
{
	struct client *anna = client_new(), *bob, *eve;

	(void)state;
	expect(anna, "SETUP porch/trackID=0|" TCP01, "200 OK*");
	expect(anna, "SETUP porch/trackID=3|" TCP67 "|" SESSION, "200 OK*");
	talk(anna, "x"); /* does not play yet */
	expect(anna, "PLAY porch|" SESSION, "200 OK*");
	bob = talker_new();
	talk(anna, "abc");
	talk(bob, "xyz");
	assert_string_equal(said, "abc");

	eve = client_new();
	expect(eve, "DESCRIBE porch|" REQUIRE, "200 OK*");
	expect(eve, "SETUP porch/trackID=3|" TCP67, "453 Somebody else talks to this camera");
	expect(eve, "SETUP porch/trackID=0|" TCP01, "200 OK*"); /* but he may watch */

	expect(anna, "PAUSE porch|" SESSION, "200 OK*");
	talk(anna, "x");
	talk(bob, "def");
	assert_string_equal(said, "abcdef");
	client_free(bob); /* is lost */
	expect(eve, "SETUP porch/trackID=3|" TCP67 "|" SESSION, "200 OK*");
	expect(eve, "PLAY porch|" SESSION, "200 OK*");
	talk(eve, "gh");
	expect(eve, "TEARDOWN porch|" SESSION, "200 OK*");
	talk(eve, "x");
	expect(anna, "PLAY porch|" SESSION, "200 OK*");
	talk(anna, "i");
	assert_string_equal(said, "abcdefghi");
	client_free(anna);
	client_free(eve);
}

static void what_is_said_over_udp_goes_to_the_camera(void **state)
{
	struct client *c = client_new();
	struct udp_client u = udp_open();
	struct sockaddr_in to = { .sin_family = AF_INET };
	char *line = xasprintf("SETUP porch/trackID=3|Transport: RTP/AVP;unicast;client_port=%u-%u",
		udp_port(u.fds[0]), udp_port(u.fds[1]));
	uint8_t bytes[12 + 160] = { 0x80 };
	int64_t end_us = reactor_monotonic_us() + LONGEST_US;

	(void)state;
	say(c, line, false);
	free(line);
	char *answer = client_answer(c);
	remember_session(c, answer);
	const char *field = strstr(answer, "server_port=");
	assert_non_null(field);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)strtoul(field + 12, NULL, 10));
	free(answer);
	expect(c, "PLAY porch|" SESSION, "200 OK*");
	memset(bytes + 12, 'a', 160);
	assert_int_equal(
		sendto(u.fds[0], bytes, sizeof(bytes), 0, (struct sockaddr *)&to, sizeof(to)),
		sizeof(bytes));
	while (!*said && reactor_monotonic_us() < end_us)
		turn();
	assert_string_equal(said, "a");
	client_free(c);
	(void)close(u.fds[0]);
	(void)close(u.fds[1]);
}

static void who_talks_to_a_camera_that_changed_is_told(void **state)
{
	struct client *c = talker_new(), *late = client_new();

	(void)state;
	expect(late, "SETUP porch/trackID=0|" TCP01, "200 OK*");
	talk(c, "a");
	rtsp_talk_free(porch_ear);
	porch_ear = ear_new("porch", "PCMU"); /* it came back, another sender's numbers begin */
	said[0] = '\0';
	talk(c, "b");
	assert_string_equal(said, "b");
	rtsp_talk_free(porch_ear);
	porch_ear = ear_new("porch", "G728");
	expect(late, "SETUP porch/trackID=3|" TCP67 "|" SESSION, "455 *");
	talk(c, "x");
	assert_string_equal(said, "b");
	while (!client_is_closed(c))
		;
	client_free(c);
	client_free(late);
}

static void viewers_do_not_talk(void **state)
{
	static const char *const scopes[] = { "rtsp", "rtsp:talk" };
	struct auth_users users;
	struct client *c = client_new();

	(void)state;
	http_test_users_init(&users);
	authenticate_set_users(&users);
	expect(c, "DESCRIBE porch|" NAS "|" REQUIRE,
		"551 This user may not talk|Unsupported: " RTSP_BACKCHANNEL);
	expect(c, "DESCRIBE porch|" NAS, "200 OK*");
	expect(c, "SETUP porch/trackID=3|" NAS "|" TCP67, "403 Forbidden");
	expect(c, "DESCRIBE porch|" REQUIRE, "401 *");
	expect(c, "SETUP porch/trackID=3|" TCP67, "401 *");
	for (size_t i = 0; i < ARRAY_LENGTH(scopes); i++) { /* of anna's program */
		struct auth_app_password *app = auth_app_password_new(TAILQ_FIRST(&users));
		app->name = xstrdup(scopes[i]);
		app->password = xstrdup(scopes[i]);
		app->scopes = auth_scope_find(scopes[i]) | SCOPE_RTSP;
	}
	expect(c, "SETUP porch/trackID=3|Authorization: Basic YW5uYTpydHNw|" TCP67, "403 *");
	expect(c, "SETUP porch/trackID=3|Authorization: Basic YW5uYTpydHNwOnRhbGs=|" TCP67,
		"200 OK*");
	client_free(c);
	c = client_new();
	expect(c, "DESCRIBE porch|" ANNA "|" REQUIRE, "200 OK*");
	expect(c, "SETUP porch/trackID=3|" ANNA "|" TCP67, "200 OK*");
	expect(c, "PLAY porch|" ANNA "|" SESSION, "200 OK*");
	talk(c, "a");
	assert_string_equal(said, "a");
	client_free(c);
	authenticate_set_users(NULL);
	http_test_users_fini(&users);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_talk, tear_down_talk)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_camera_that_listens_is_described_so),
		TEST(what_is_said_goes_to_the_camera),
		TEST(what_is_said_over_udp_goes_to_the_camera),
		TEST(who_talks_to_a_camera_that_changed_is_told),
		TEST(viewers_do_not_talk),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
