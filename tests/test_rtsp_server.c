/* The RTSP server's requests and answers, its limits and its users, as text. */
#include "protocols/authenticate.h"
#include "server/base/metrics.h"
#include "tests/http_conversation.h"
#include "tests/rtsp_conversation.h"

/* --- conversations --- */

#define PLAYS                                                                                \
	"PLAY porch/|" SESSION "\n"                                                          \
	"200 OK|Range: npt=now-|RTP-Info: url=rtsp://@HOST/porch/trackID=0;seq=#;rtptime=#," \
	"url=rtsp://@HOST/porch/trackID=1;seq=#;rtptime=#|" SESSION "\n"
#define SDP(n) "Content-Type: application/sdp|Content-Length: " n "||"
#define ANNOUNCES                                                                        \
	"ANNOUNCE gate|" SDP("111") "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" \
				    "a=control:streamid=0\r\nm=audio 0 RTP/AVP 0\r\n"    \
				    "a=control:streamid=1\r\n\n200 OK\n"
#define RECORDS                                                                                  \
	ANNOUNCES "SETUP gate/streamid=0|" TCP01 ";mode=record\n200 OK|" TCP01                   \
		  ";mode=record|" NEW_SESSION "\nSETUP gate/streamid=1|" TCP23 "|" SESSION       \
		  "\n200 OK|" TCP23 "|" NEW_SESSION "\nRECORD gate|" SESSION "\n200 OK|" SESSION \
		  "\n"

// clang-format off
static const struct conversation conversations[] = {
	{ "OPTIONS of the server", "OPTIONS -\n200 OK|Public: " PUBLIC "\n" },
	{ "OPTIONS of a stream", "OPTIONS porch\n200 OK|Public: " PUBLIC "\n" },
	{ "OPTIONS of what is not there tells nothing", "OPTIONS nowhere\n200 OK|Public: " PUBLIC "\n" },
	{ "an unknown method", "FETCH porch\n501 Not Implemented|Public: " PUBLIC "\n" },
	{ "a method that is not for a server", "REDIRECT porch\n405 Method Not Allowed|Allow: " PUBLIC "\n" },
	{ "an option that is required", "OPTIONS -|Require: implicit-play\n551 Option not supported|Unsupported: implicit-play\n" },
	{ "DESCRIBE of what is not there", "DESCRIBE nowhere\n404 Not Found\nDESCRIBE yard\n404 Not Found\n" },
	{ "DESCRIBE of a camera that is off", "DESCRIBE garden\n503 Service Unavailable|Retry-After: 5\n" },
	{ "DESCRIBE as something else", "DESCRIBE porch|Accept: text/html\n406 Not Acceptable\n" },
	{ "a path that climbs", "DESCRIBE ../porch\n400 *\n" },
	{ "DESCRIBE", "DESCRIBE yard/sub|Accept: application/sdp\n"
		"200 OK|Content-Base: rtsp://@HOST/yard/sub/|Content-Type: application/sdp|"
		"Cache-Control: no-cache|Content-Length: #|"
		"|v=0|o=- 1 1 IN IP4 127.0.0.1|s=yard/sub|c=IN IP4 0.0.0.0|t=0 0|a=tool:nvrd|a=control:*|"
		"a=range:npt=now-|m=video 0 RTP/AVP 96|a=rtpmap:96 H264/90000|"
		"a=fmtp:96 packetization-mode=1;profile-level-id=42C01E;sprop-parameter-sets=Z0LAHg==,aM48gA==|"
		"a=control:trackID=0|\n" },
	{ "SETUP of all tracks at once", "SETUP porch|" TCP01 "\n459 Aggregate Operation Not Allowed\n" },
	{ "SETUP of the only track by the stream's name", "SETUP yard/sub|" TCP01 "\n200 OK|" TCP01 "|" NEW_SESSION "\n" },
	{ "SETUP of a track that is not there", "SETUP porch/trackID=2|" TCP01 "\n404 Not Found\n"
		"SETUP porch/trackID=x|" TCP01 "\n404 Not Found\n" },
	{ "SETUP without Transport", "SETUP porch/trackID=0\n461 Unsupported Transport\n" },
	{ "SETUP of multicast", "SETUP porch/trackID=0|Transport: RTP/AVP;multicast\n461 Unsupported Transport\n" },
	{ "the first transport that can be had", "SETUP porch/trackID=0|Transport: RTP/SAVP;unicast;client_port=5000-5001,"
		"RTP/AVP/TCP;unicast;interleaved=6-7\n"
		"200 OK|Transport: RTP/AVP/TCP;unicast;interleaved=6-7|" NEW_SESSION "\n" },
	{ "channels when none were asked for", "SETUP porch/trackID=1|Transport: RTP/AVP/TCP\n200 OK|" TCP23 "|" NEW_SESSION "\n" },
	{ "SETUP over UDP", "SETUP porch/trackID=0|Transport: RTP/AVP;unicast;client_port=50000-50001\n"
		"200 OK|Transport: RTP/AVP;unicast;client_port=50000-50001;server_port=#-#|" NEW_SESSION "\n" },
	{ "both transports in one session", "SETUP porch/trackID=0|" TCP01 "\n200 OK|" TCP01 "|" NEW_SESSION "\n"
		"SETUP porch/trackID=1|Transport: RTP/AVP;unicast;client_port=50000-50001|" SESSION "\n461 Unsupported Transport\n" },
	{ "two streams in one session", "SETUP porch/trackID=0|" TCP01 "\n200 OK|" TCP01 "|" NEW_SESSION "\n"
		"SETUP yard/sub/trackID=0|" TCP23 "|" SESSION "\n459 Aggregate Operation Not Allowed\n" },
	{ "PLAY without a session", "PLAY porch\n454 Session Not Found\n" },
	{ "a session that is not there", "PLAY porch|Session: 00000000000000000000000000000000\n454 Session Not Found\n"
		"OPTIONS porch|Session: 1\n454 Session Not Found\n" },
	{ "SETUP and PLAY", SET_UP_BOTH PLAYS },
	{ "PLAY again", SET_UP_BOTH PLAYS PLAYS },
	{ "PLAY of one track of two", SET_UP_BOTH "PLAY porch/trackID=0|" SESSION "\n460 Only Aggregate Operation Allowed|" SESSION "\n" },
	{ "PLAY of the only track", "SETUP yard/sub/trackID=0|" TCP01 "\n200 OK|" TCP01 "|" NEW_SESSION "\n"
		"PLAY yard/sub/trackID=0|" SESSION "\n200 OK|Range: npt=now-|"
		"RTP-Info: url=rtsp://@HOST/yard/sub/trackID=0;seq=#;rtptime=#|" SESSION "\n" },
	{ "PLAY of another stream", SET_UP_BOTH "PLAY yard/sub|" SESSION "\n455 Method Not Valid in This State|" SESSION "\n" },
	{ "SETUP while playing", SET_UP_BOTH PLAYS "SETUP porch/trackID=1|" TCP23 "|" SESSION "\n455 Method Not Valid in This State|" SESSION "\n" },
	{ "PAUSE, and PLAY again", SET_UP_BOTH PLAYS "PAUSE porch|" SESSION "\n200 OK|" SESSION "\n" PLAYS },
	{ "a session ends by TEARDOWN", SET_UP_BOTH PLAYS "TEARDOWN porch|" SESSION "\n200 OK\nPLAY porch|" SESSION "\n454 Session Not Found\n" },
	{ "parameters keep alive", "GET_PARAMETER porch\n200 OK\n" SET_UP_BOTH "GET_PARAMETER porch|" SESSION "\n200 OK|" SESSION "\n"
		"SET_PARAMETER -|" SESSION "\n200 OK|" SESSION "\nOPTIONS -|" SESSION "\n200 OK|Public: " PUBLIC "|" SESSION "\n" },
	{ "there are no parameters", "GET_PARAMETER porch|Content-Length: 8||jitter\r\n\n451 Parameter Not Understood\n"
		"SET_PARAMETER porch|Content-Length: 4||a: 1\n451 Parameter Not Understood\nOPTIONS -\n200 OK|Public: " PUBLIC "\n" },
	{ "the session's field with its timeout", SET_UP_BOTH "PLAY porch/|Session: @ID ; timeout=60\n"
		"200 OK|Range: npt=now-|RTP-Info: url=rtsp://@HOST/porch/trackID=0;seq=#;rtptime=#,"
		"url=rtsp://@HOST/porch/trackID=1;seq=#;rtptime=#|" SESSION "\n" },
	{ "ANNOUNCE, SETUP, RECORD", RECORDS "GET_PARAMETER gate|" SESSION "\n200 OK|" SESSION "\nPAUSE gate|" SESSION "\n200 OK|" SESSION "\n"
		"RECORD gate|" SESSION "\n200 OK|" SESSION "\nTEARDOWN gate|" SESSION "\n200 OK\nRECORD gate|" SESSION "\n454 Session Not Found\n" },
	{ "ANNOUNCE of what cannot be published", "ANNOUNCE nowhere|" SDP("111") "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\nm=audio 0 RTP/AVP 0\r\na=control:streamid=1\r\n\n404 Not Found\n"
		"ANNOUNCE porch|" SDP("111") "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\nm=audio 0 RTP/AVP 0\r\na=control:streamid=1\r\n\n405 This camera is not one to publish to|Allow: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\n" },
	{ "ANNOUNCE of something else", "ANNOUNCE gate|Content-Type: text/plain|Content-Length: 5||v=0\r\n\n415 Unsupported Media Type\n"
		"ANNOUNCE gate|Content-Type: application/sdp\n415 Unsupported Media Type\n"
		"ANNOUNCE gate|" SDP("5") "v=0\r\n\n400 *\nANNOUNCE gate|" SDP("22") "m=video 0 RTP/AVP 31\r\n\n415 Unsupported Media Type\n" },
	{ "the only track, and no other one, by the URL that was announced", "ANNOUNCE gate|" SDP("22") "m=video 0 RTP/AVP 26\r\n\n200 OK\n"
		"SETUP gate|" TCP01 ";mode=record\n200 OK|" TCP01 ";mode=record|" NEW_SESSION "\n" },
	{ "a track that was not announced", ANNOUNCES "SETUP gate/streamid=2|" TCP01 ";mode=record\n459 Aggregate Operation Not Allowed\n"
		"SETUP gate/xstreamid=1|" TCP01 ";mode=record\n459 Aggregate Operation Not Allowed\n" },
	{ "to record without ANNOUNCE", "SETUP porch/trackID=0|" TCP01 ";mode=record\n455 Method Not Valid in This State\n"
		SET_UP_BOTH "RECORD porch|" SESSION "\n455 Method Not Valid in This State\n" },
	{ "to record without the picture", ANNOUNCES "SETUP gate/streamid=1|" TCP23 "\n200 OK|" TCP23 "|" NEW_SESSION "\n"
		"RECORD gate|" SESSION "\n455 Method Not Valid in This State|" SESSION "\n" },
	{ "to play what one publishes", RECORDS "PLAY gate|" SESSION "\n455 Method Not Valid in This State\n" },
	{ "ANNOUNCE while recording", RECORDS "ANNOUNCE gate|" SESSION "|" SDP("111") "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\nm=audio 0 RTP/AVP 0\r\na=control:streamid=1\r\n\n455 Method Not Valid in This State|" SESSION "\n" },
	{ "and as if it were another session", RECORDS "ANNOUNCE gate|" SDP("111") "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\nm=audio 0 RTP/AVP 0\r\na=control:streamid=1\r\n\n455 Method Not Valid in This State\n" },
	{ "a body that is too long", "SET_PARAMETER porch|Content-Length: 20000||\n413 *\n" },
	{ "a length that is none", "SET_PARAMETER porch|Content-Length: -1||\n400 *\n" },
};
// clang-format on

static void requests_are_answered_as_the_standard_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(conversations); i++)
		converse(&conversations[i], false);
}

static void requests_may_drip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(conversations); i++)
		converse(&conversations[i], true);
}

// clang-format off
/* Bytes out, bytes in, to the letter; "closed" follows when the server hangs up. */
static const struct {
	const char *request, *answer;
} exact[] = {
	{ "OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n",
		"RTSP/1.0 200 OK\r\nCSeq: 7\r\nServer: nvrd\r\nPublic: " PUBLIC "\r\n\r\n" },
	{ "\r\n\r\nOPTIONS * RTSP/1.0\ncseq:007\n\n",
		"RTSP/1.0 200 OK\r\nCSeq: 007\r\nServer: nvrd\r\nPublic: " PUBLIC "\r\n\r\n" },
	{ "OPTIONS * RTSP/1.0\r\n\r\n",
		"RTSP/1.0 400 CSeq is missing or no number\r\nServer: nvrd\r\n\r\n" },
	{ "OPTIONS * RTSP/1.0\r\nCSeq: x\r\n\r\n",
		"RTSP/1.0 400 CSeq is missing or no number\r\nServer: nvrd\r\n\r\n" },
	{ "OPTIONS * RTSP/2.0\r\nCSeq: 7\r\n\r\n",
		"RTSP/1.0 505 RTSP Version Not Supported\r\nCSeq: 7\r\nServer: nvrd\r\n\r\n" },
	{ "DESCRIBE /nowhere RTSP/1.0\r\nCSeq: 7\r\n\r\n",
		"RTSP/1.0 404 Not Found\r\nCSeq: 7\r\nServer: nvrd\r\n\r\n" },
	{ "$\1\0\4abcdOPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n",
		"RTSP/1.0 200 OK\r\nCSeq: 7\r\nServer: nvrd\r\nPublic: " PUBLIC "\r\n\r\n" },
};
// clang-format on

static void answers_are_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(exact); i++) {
		struct client *c = client_new();
		size_t n = exact[i].request[0] == '$' ? 8 + strlen(exact[i].request + 8)
						      : strlen(exact[i].request);
		client_send(c, exact[i].request, n, false);
		char *answer = client_answer(c);
		assert_string_equal(answer, exact[i].answer);
		free(answer);
		client_free(c);
	}
}

static void garbage_is_refused(void **state)
{
	static const char *const garbage[] = { "\x16\x03\x01\r\n\r\n", "OPTIONS\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(garbage); i++) {
		struct client *c = client_new();
		client_send(c, garbage[i], strlen(garbage[i]), false);
		char *answer = client_answer(c);
		assert_int_equal(strncmp(answer, "RTSP/1.0 400 ", 13), 0);
		free(answer);
		answer = client_answer(c);
		assert_string_equal(answer, "closed");
		free(answer);
		client_free(c);
	}
}

static void a_head_without_end_is_refused(void **state)
{
	struct client *c = client_new();
	char *long_line = xmalloc(60000);

	(void)state;
	memset(long_line, 'a', 60000);
	client_send(c, "OPTIONS * RTSP/1.0\r\nX: ", 23, false);
	client_send(c, long_line, 60000, false);
	char *answer = client_answer(c);
	assert_int_equal(strncmp(answer, "RTSP/1.0 400 ", 13), 0);
	free(answer);
	free(long_line);
	client_free(c);
}
/* --- limits, users --- */

static void sessions_have_a_limit(void **state)
{
	struct client *c = client_new();

	(void)state;
	assert_int_equal(config->rtsp.sessions, 1024);
	config->rtsp.sessions = 16;
	for (unsigned i = 0; i < 16; i++)
		expect(c, "SETUP yard/sub|" TCP01, "200 OK*");
	assert_true(metric_value(metric_get(METRIC_SESSIONS, "rtsp")) == 16);
	expect(c, "SETUP yard/sub|" TCP01, "503 Service Unavailable|Retry-After: 5");
	client_free(c);
	c = client_new();
	expect(c, "SETUP yard/sub|" TCP01, "200 OK*");
	client_free(c);
}

static void interleaved_sessions_belong_to_their_connection(void **state)
{
	struct client *c = client_new(), *other = client_new();

	(void)state;
	expect(c, "SETUP yard/sub|" TCP01, "200 OK*");
	memcpy(other->session, c->session, sizeof(c->session));
	expect(other, "PLAY yard/sub|" SESSION, "454 Session Not Found");
	expect(c, "PLAY yard/sub|" SESSION, "200 OK*");
	client_free(c);
	client_free(other);
}

static void users_see_their_cameras(void **state)
{
	struct auth_users users;
	struct client *c = client_new();
	double failures = metric_value(metric_get(METRIC_AUTH_FAILURES, "rtsp"));

	(void)state;
	http_test_users_init(&users);
	authenticate_set_users(&users);
	expect(c, "OPTIONS -", "200 OK*");
	say(c, "DESCRIBE porch", false);
	char *answer = hear(c);
	assert_int_equal(strncmp(answer, "401 Unauthorized|", 17), 0);
	const char *md5 = strstr(answer, "|WWW-Authenticate: Digest "),
		   *sha = strstr(answer, "SHA-256");
	assert_true(md5 && sha && md5 < sha);
	assert_null(strstr(answer, "Basic")); /* which sends the password itself */
	free(answer);
	config->rtsp.basic = true;
	say(c, "DESCRIBE porch", false);
	answer = hear(c);
	assert_true(strstr(answer, "|WWW-Authenticate: Basic ") > strstr(answer, "SHA-256"));
	free(answer);
	expect(c, "DESCRIBE nowhere", "401 *"); /* who is not known learns nothing */
	expect(c, "SETUP porch/trackID=0|" TCP01, "401 *");
	expect(c, "DESCRIBE porch|" ANNA, "200 OK*");
	expect(c, "DESCRIBE porch|" NAS, "200 OK*");
	expect(c, "DESCRIBE yard/sub|" NAS, "404 Not Found");
	expect(c, "SETUP yard/sub|" NAS "|" TCP01, "404 Not Found");
	expect(c, "SETUP yard/sub|" ANNA "|" TCP01, "200 OK*");
	expect(c, "PLAY yard/sub|" NAS "|" SESSION, "404 Not Found");
	expect(c, "PLAY porch|" NAS "|" SESSION, "454 *"); /* another's */
	expect(c, "PLAY yard/sub|" SESSION, "401 *");
	assert_true(metric_value(metric_get(METRIC_AUTH_FAILURES, "rtsp")) == failures);
	expect(c, "DESCRIBE porch|Authorization: Basic YW5uYTp3cm9uZw==", "401 *");
	assert_true(metric_value(metric_get(METRIC_AUTH_FAILURES, "rtsp")) == failures + 1);
	client_free(c);
	authenticate_set_users(NULL);
	http_test_users_fini(&users);
}
/* --- who has no session --- */

/* The oldest that has said nothing yet goes first, whoever has said something stays. */
static void strangers_make_room(void **state)
{
	enum {
		STRANGERS = 256
	};
	struct client *all[STRANGERS + 1], *served = client_new();
	double crowded = metric_value(metric_get(METRIC_CONNECTIONS_CLOSED, "rtsp", "crowded"));

	(void)state;
	expect(served, "SETUP yard/sub|" TCP01, "200 OK*");
	for (unsigned i = 0; i <= STRANGERS; i++) {
		all[i] = client_new();
		if (i == 0)
			expect(all[i], "OPTIONS -", "200 OK*");
		else
			client_send(all[i], "OPTIONS * RTS", 13, false);
		turn();
	}
	assert_true(metric_value(metric_get(METRIC_CONNECTIONS_CLOSED, "rtsp", "crowded")) ==
		    crowded + 1);
	while (!client_is_closed(all[1]))
		;
	assert_false(client_is_closed(all[2]));
	expect(all[0], "OPTIONS -", "200 OK*");
	expect(served, "PLAY yard/sub|" SESSION, "200 OK*");
	for (unsigned i = 0; i <= STRANGERS; i++)
		client_free(all[i]);
	client_free(served);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered_as_the_standard_says),
		TEST(requests_may_drip),
		TEST(answers_are_exact),
		TEST(garbage_is_refused),
		TEST(a_head_without_end_is_refused),
		TEST(sessions_have_a_limit),
		TEST(interleaved_sessions_belong_to_their_connection),
		TEST(users_see_their_cameras),
		TEST(strangers_make_room),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
