/* WHEP's resource: what is answered to whom, and what becomes of a session. draft-ietf-wish-whep, RFC 9725. */
#include "protocols/whep.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "protocols/authenticate.h"
#include "protocols/http_server.h"
#include "protocols/stun.h"
#include "server/base/config.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/http_conversation.h"
#include "tests/reactor_until.h"
#include "tests/synthetic.h"

#define FINGERPRINT                                                                         \
	"AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:" \
	"AA:AA:AA:AA:AA"
#define VIDEO(format)                                                                \
	"m=video 9 UDP/TLS/RTP/SAVPF 102\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n" \
	"a=rtpmap:102 " format "/90000\r\na=fmtp:102 packetization-mode=1\r\n"
#define SECURITY                                                                      \
	"a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n" \
	"a=fingerprint:sha-256 " FINGERPRINT "\r\n"
#define OFFER "v=0\r\n" SECURITY VIDEO("H264")

static struct http_server *server;
static struct config *config;
static struct stream *stream;
static struct stream_track tracks[2];
static char *media_address;

static const struct http_route routes[] = {
	{WHEP_ROUTE,      WHEP_METHODS, ROLE_VIEWER, whep_handle},
	{ WHEP_SUB_ROUTE, WHEP_METHODS, ROLE_VIEWER, whep_handle},
	{ NULL,           0,            ROLE_VIEWER, NULL       },
};

static void configure(const char *text)
{
	char *errors = NULL;
	struct config *before = config;

	config = config_parse("test.yaml", text, strlen(text), &errors);
	if (!config)
		fail_msg("%s", errors);
	authenticate_set_users(&config->users);
	if (before)
		whep_apply(config);
	config_free(before);
}

static int set_up(void **state)
{
	const char *at;

	(void)state;
	reactor_init();
	server = http_server_new("127.0.0.1:0", true, NULL, routes);
	configure("listen: {webrtc: '127.0.0.1:0'}\nwebrtc: {sessions: 3}\n");
	at = whep_start(config, true);
	media_address = at ? xstrdup(at) : NULL;
	stream = stream_new("porch");
	synthetic_tracks(tracks);
	return server && at ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	whep_stop();
	http_server_free(server);
	stream_free(stream);
	synthetic_tracks_free(tracks);
	authenticate_fini();
	config_free(config);
	config = NULL;
	free(media_address);
	reactor_fini();
	metrics_fini();
	return 0;
}

/* One picture of one slice, presented at that frame. */
static void publish(unsigned i, unsigned shown_at, bool key)
{
	AVPacket *packet = synthetic_video(i, key, 12);

	memcpy(packet->data, (const uint8_t[]){ 0, 0, 0, 8, key ? 0x65 : 0x41 }, 5);
	packet->pts += ((int64_t)shown_at - i) * SYNTHETIC_FRAME_90K;
	stream_publish(stream, packet);
	av_packet_free(&packet);
}

static void play(void)
{
	stream_begin(stream, tracks, 2);
	publish(0, 0, true);
	publish(1, 1, false);
}

/* Says a request and checks the status of the answer, which the caller frees. */
static char *say(
	int status, const char *method, const char *path, const char *fields, const char *body)
{
	char *text = xasprintf(
		"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
		method, path, fields, strlen(body), body);
	char *answer = http_say(http_server_address(server), text);
	char expected[32];

	(void)snprintf(expected, sizeof(expected), "HTTP/1.1 %d ", status);
	if (strncmp(answer, expected, strlen(expected)) != 0)
		fail_msg("%s %s: expected %d, not %s", method, path, status, answer);
	free(text);
	return answer;
}

#define SDP "Content-Type: application/sdp\r\n"

static char *post(int status, const char *offer)
{
	return say(status, "POST", "/live/porch/whep", SDP, offer);
}

/* The value of a field, or of a line of SDP, which the caller frees. */
static char *value_of(const char *answer, const char *name)
{
	const char *at = strstr(answer, name);

	assert_non_null(at);
	at += strlen(name);
	return xstrndup(at, strcspn(at, "\r"));
}

static double sessions(void)
{
	return metric_value(metric_get(METRIC_SESSIONS, "webrtc"));
}

static void check_say(int status, const char *method, const char *path, const char *fields,
	const char *body, const char *expected)
{
	char *answer = say(status, method, path, fields, body);

	if (!strstr(answer, expected))
		fail_msg("%s %s: \"%s\" is not in %s", method, path, expected, answer);
	free(answer);
}

static void test_a_session_is_a_resource(void **state)
{
	char *answer, *location, *tag, *match;

	(void)state;
	play();
	answer = post(201, OFFER);
	location = value_of(answer, "Location: ");
	tag = value_of(answer, "ETag: ");
	assert_non_null(strstr(answer, "Content-Type: application/sdp\r\n"));
	assert_non_null(strstr(answer, "\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\n"));
	assert_non_null(strstr(answer, "\r\na=candidate:1 1 udp 2130706431 127.0.0.1 "));
	assert_int_equal(strncmp(location, "/live/porch/whep/", 17), 0);
	assert_int_equal(strlen(location), 17 + 32);
	assert_true(sessions() == 1);

	match = xasprintf("Content-Type: application/trickle-ice-sdpfrag\r\nIf-Match: %s\r\n", tag);
	free(say(204, "PATCH", location, match, "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"));
	check_say(422, "PATCH", location, match, "a=ice-ufrag:other\r\n", "another session");
	free(say(204, "PATCH", location, match, "a=ice-ufrag:abcd\r\n"));
	check_say(415, "PATCH", location, SDP, "", "Accept-Patch: application/trickle-ice-sdpfrag");
	free(say(412, "PATCH", location,
		"Content-Type: application/trickle-ice-sdpfrag\r\nIf-Match: \"x\"\r\n", ""));
	check_say(
		204, "OPTIONS", location, "", "", "Accept-Patch: application/trickle-ice-sdpfrag");
	check_say(405, "POST", location, SDP, OFFER, "Allow: OPTIONS, PATCH, DELETE");
	location[5] = 'x';
	free(say(404, "DELETE", location, "", ""));
	location[5] = '/';
	location[strlen(location) - 1] ^= 1;
	free(say(404, "DELETE", location, "", ""));
	location[strlen(location) - 1] ^= 1;
	free(say(200, "DELETE", location, "", ""));
	free(say(404, "DELETE", location, "", ""));
	assert_true(sessions() == 0);
	assert_int_equal(stream_readers(stream), 0);
	free(match);
	free(tag);
	free(location);
	free(answer);
}

static void test_what_is_refused(void **state)
{
	(void)state;
	check_say(409, "POST", "/live/porch/whep", SDP, OFFER, "Retry-After: ");
	play();
	check_say(415, "POST", "/live/porch/whep", "Content-Type: text/plain\r\n", OFFER,
		"Accept-Post: application/sdp");
	check_say(404, "POST", "/live/nowhere/whep", SDP, OFFER, "");
	check_say(404, "POST", "/live/porch/sub/whep", SDP, OFFER, "");
	check_say(405, "DELETE", "/live/porch/whep", "", "", "Allow: OPTIONS, POST");
	check_say(405, "GET", "/live/porch/whep", "", "", "Allow: OPTIONS");
	check_say(204, "OPTIONS", "/live/porch/whep", "", "", "Accept-Post: application/sdp");
	check_say(400, "POST", "/live/porch/whep", SDP, "", "v=0");
	check_say(400, "POST", "/live/porch/whep", SDP, "v=0\r\n" VIDEO("H264"), "ice-ufrag");
	check_say(400, "POST", "/live/porch/whep", SDP,
		"v=0\r\na=ice-ufrag:abcd\r\na=fingerprint:sha-1 00\r\n" VIDEO("H264"),
		"fingerprint");
	check_say(400, "POST", "/live/porch/whep", SDP, OFFER "a=setup:passive\r\n", "DTLS");
	check_say(406, "POST", "/live/porch/whep", SDP, "v=0\r\n" SECURITY VIDEO("VP8"),
		"h264 (avc1.42c01e)");
	check_say(406, "POST", "/live/porch/whep", SDP, OFFER "a=sendonly\r\n",
		"Nothing that the camera sends");
	assert_true(sessions() == 0);
}

static void test_pictures_out_of_order_are_refused(void **state)
{
	char *answer;

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(0, 0, true);
	publish(1, 3, false);
	free(post(201, OFFER)); /* nobody can know it yet */
	assert_true(sessions() == 1);
	publish(2, 2, false);
	assert_true(sessions() == 0);
	answer = post(406, OFFER);
	assert_non_null(strstr(answer, "B-frames"));
	free(answer);
	assert_true(metric_value(metric_get(METRIC_WEBRTC_ENDED, "reordered")) == 2);
}

static void test_there_are_so_many_sessions(void **state)
{
	(void)state;
	play();
	for (int i = 0; i < 3; i++)
		free(post(201, OFFER));
	check_say(503, "POST", "/live/porch/whep", SDP, OFFER, "Retry-After: ");
	stream_end(stream);
	stream_begin(stream, tracks, 1); /* other tracks: what was described is over */
	assert_true(sessions() == 0);
}

/* anna:secret and nas:p:w */
#define USERS(nas)                                                               \
	"listen: {webrtc: '127.0.0.1:0'}\nwebrtc: {sessions_per_user: 1}\n"      \
	"cameras: {porch: {source: 'test:'}, yard: {source: 'test:'}}\nusers:\n" \
	"  anna: {password: secret, role: admin}\n  nas: {password: 'p:w', cameras: [" nas "]}\n"
#define ANNA SDP "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n"
#define NAS SDP "Authorization: Basic bmFzOnA6dw==\r\n"

static void test_users_and_what_they_may_see(void **state)
{
	(void)state;
	play();
	configure(USERS("porch"));
	free(say(401, "POST", "/live/porch/whep", SDP, OFFER));
	free(say(201, "POST", "/live/porch/whep", ANNA, OFFER));
	check_say(429, "POST", "/live/porch/whep", ANNA, OFFER, "Retry-After: ");
	free(say(201, "POST", "/live/porch/whep", NAS, OFFER));
	assert_true(sessions() == 2);
	configure(USERS("yard"));
	assert_true(sessions() == 1);
	free(say(404, "POST", "/live/porch/whep", NAS, OFFER));
	assert_true(metric_value(metric_get(METRIC_WEBRTC_ENDED, "forbidden")) == 1);
}

/* --- checks --- */

static int socket_to_media(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	to.sin_port = htons((uint16_t)strtoul(strrchr(media_address, ':') + 1, NULL, 10));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* Writes a check with these attributes besides the user's name. Returns its bytes. */
static size_t write_check(uint8_t ret[STUN_ANSWER_BYTES], const char *ufrag, const char *password,
	const uint8_t *more, size_t more_bytes)
{
	static const uint8_t head[STUN_HEADER_BYTES] = { 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2,
		3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	size_t n = strlen(ufrag);

	memset(ret, 0, STUN_ANSWER_BYTES);
	memcpy(ret, head, sizeof(head));
	ret[STUN_HEADER_BYTES + 1] = 6;
	ret[STUN_HEADER_BYTES + 3] = (uint8_t)n;
	memcpy(ret + STUN_HEADER_BYTES + 4, ufrag, n);
	n = STUN_HEADER_BYTES + 4 + (n + 3) / 4 * 4;
	if (more_bytes > 0)
		memcpy(ret + n, more, more_bytes);
	return stun_seal(ret, n + more_bytes, password);
}

/* Sends it and reads the answer. */
static void check(int fd, const uint8_t *p, size_t n, unsigned type, unsigned error)
{
	static uint8_t answer[STUN_ANSWER_BYTES];
	struct stun_message m;
	const char *why;
	ssize_t got = -1;

	assert_int_equal(send(fd, p, n, 0), n);
	REACTOR_UNTIL((got = recv(fd, answer, sizeof(answer), 0)) > 0);
	assert_int_equal(stun_parse(&m, answer, (size_t)got, &why), 0);
	assert_int_equal(m.type, type);
	assert_int_equal(m.error, error);
}

static void test_checks(void **state)
{
	static const uint8_t unknown[] = { 0x7f, 0xff, 0, 0 };
	static const uint8_t controlled[] = { 0x80, 0x29, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct metric *dropped;
	uint8_t bytes[STUN_ANSWER_BYTES];
	char *answer, *ufrag, *password, *user, *wrong;
	int fd;

	(void)state;
	play();
	fd = socket_to_media();
	answer = post(201, OFFER);
	ufrag = value_of(answer, "a=ice-ufrag:");
	password = value_of(answer, "a=ice-pwd:");
	user = xasprintf("%s:abcd", ufrag);
	wrong = xasprintf("%s:abce", ufrag);
	dropped = metric_get(METRIC_WEBRTC_DROPPED, "stun");

	check(fd, bytes, write_check(bytes, user, password, NULL, 0), STUN_BINDING_SUCCESS, 0);
	check(fd, bytes, write_check(bytes, user, password, unknown, sizeof(unknown)),
		STUN_BINDING_ERROR, 420);
	check(fd, bytes, write_check(bytes, user, password, controlled, sizeof(controlled)),
		STUN_BINDING_ERROR, 487);
	assert_true(metric_value(dropped) == 0);
	check(fd, bytes, write_check(bytes, user, "another", NULL, 0), STUN_BINDING_ERROR, 401);
	assert_true(metric_value(dropped) == 1);
	assert_true(send(fd, bytes, write_check(bytes, wrong, password, NULL, 0), 0) > 0);
	REACTOR_UNTIL(metric_value(dropped) == 2);

	/* DTLS and RTCP of an address that has been checked are the session's, others nobody's */
	assert_int_equal(send(fd, "\x80\xc9\0\1\0\0\0\1", 8, 0), 8);
	REACTOR_UNTIL(metric_value(metric_get(METRIC_WEBRTC_DROPPED, "rtcp")) == 1);
	assert_int_equal(send(fd, "\x80", 1, 0), 1);
	REACTOR_UNTIL(metric_value(metric_get(METRIC_WEBRTC_DROPPED, "other")) == 1);
	assert_true(sessions() == 1);
	close(fd);
	free(user);
	free(wrong);
	free(ufrag);
	free(password);
	free(answer);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_session_is_a_resource, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_pictures_out_of_order_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_there_are_so_many_sessions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_users_and_what_they_may_see, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_checks, set_up, tear_down),
	};

	if (!whep_is_possible())
		return 77; /* built without libsrtp2 */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
