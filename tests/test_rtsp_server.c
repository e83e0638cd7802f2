/*
 * The RTSP server over real sockets on loopback: conversations as text, what is sent over TCP and
 * UDP, readers that are slow, streams that end, users.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>
#include <event2/event.h>

#include "protocols/authenticate.h"
#include "protocols/base64.h"
#include "protocols/http_server.h"
#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "protocols/rtsp_publish.h"
#include "protocols/rtsp_server.h"
#include "protocols/rtsp_talk.h"
#include "server/base/config.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"
#include "tests/http_conversation.h"
#include "tests/synthetic.h"

enum {
	LONGEST_US = 10 * 1000000,
	INPUT_BYTES = 32 << 20,
	KEY_BYTES = 4000,
	PICTURE_BYTES = 1000
};

static struct config *config;
static struct rtsp_server *server;
static const char *server_address;
static struct stream *porch, *yard; /* porch has video and audio; yard has video only */
static unsigned next_picture;       /* of the porch */
static struct rtsp_publish *gate;   /* others publish to it */

/* --- media --- */

static void begin(struct stream *stream, size_t n)
{
	struct stream_track tracks[2];

	synthetic_tracks(tracks);
	stream_begin(stream, tracks, n);
	synthetic_tracks_free(tracks);
}

static void publish_picture(struct stream *stream, bool key, size_t bytes)
{
	AVPacket *packet = synthetic_video(next_picture++, key, bytes);

	for (unsigned i = 0; i < 4; i++)
		packet->data[i] = (uint8_t)((bytes - 4) >> (24 - 8 * i));
	packet->data[4] = key ? 0x65 : 0x41;
	stream_publish(stream, packet);
	av_packet_free(&packet);
}

static void publish_sound(unsigned i)
{
	AVPacket *packet = synthetic_audio(i, 200);

	stream_publish(porch, packet);
	av_packet_free(&packet);
}

static void gate_on_up(void *arg)
{
	(void)arg;
}

static void gate_on_left(void *arg, enum source_end end, const char *detail)
{
	(void)arg, (void)detail;
	assert_int_equal(end, SOURCE_CLOSED);
}

static struct rtsp_publish *gate_new(void)
{
	static const struct source_events events = { .on_up = gate_on_up, .on_left = gate_on_left };
	static const struct config_camera options = { 0 };
	static const struct log_name log = { .kind = "camera", .name = "gate" };
	const struct source_order order = {
		.config = &options,
		.stream = stream_new("gate"),
		.camera = "gate",
		.log = &log,
		.events = &events,
	};

	return rtsp_publish_new(&order);
}

/* porch: a keyframe, a sound, a picture; yard: a keyframe; garden: off. */
static int set_up(void **state)
{
	char *errors = NULL;

	(void)state;
	porch = stream_new("porch");
	yard = stream_new("yard/sub");
	(void)stream_new("garden");
	gate = gate_new();
	begin(porch, 2);
	begin(yard, 1);
	publish_picture(yard, true, PICTURE_BYTES);
	next_picture = 0;
	publish_picture(porch, true, KEY_BYTES);
	publish_sound(0);
	publish_picture(porch, false, PICTURE_BYTES);
	authenticate_set_users(NULL);
	config = config_parse("nvrd.yaml", "", 0, &errors);
	assert_non_null(config);
	server = rtsp_server_new(config, NULL);
	server_address = rtsp_server_listen(server, "127.0.0.1:0", true, NULL);
	assert_non_null(server_address);
	return 0;
}

static void turn(void)
{
	for (int i = 0; i < 3; i++)
		(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
}

static int tear_down(void **state)
{
	(void)state;
	rtsp_server_free(server);
	rtsp_publish_free(gate);
	config_free(config);
	while (stream_next(NULL))
		stream_free(stream_next(NULL));
	turn();
	return 0;
}

/* --- a client --- */

struct client {
	int fd;
	size_t n;    /* bytes of the input */
	size_t used; /* of them were looked at */
	bool closed;
	unsigned cseq;
	char session[64];
	uint8_t input[INPUT_BYTES];
};

static struct client *client_to(const char *address)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->fd = http_connect(address);
	return c;
}

static struct client *client_new(void)
{
	return client_to(server_address);
}

static void client_free(struct client *c)
{
	(void)close(c->fd);
	free(c);
	turn();
}

/* Lets the server run, and takes what it sent. */
static void client_read(struct client *c)
{
	struct pollfd wait = { .fd = c->fd, .events = POLLIN };
	ssize_t n;

	turn();
	n = recv(c->fd, c->input + c->n, INPUT_BYTES - c->n, 0);
	if (n > 0)
		c->n += (size_t)n;
	else if (n == 0 || errno == ECONNRESET)
		c->closed = true;
	else
		(void)poll(&wait, 1, 1);
	assert_true(c->n < INPUT_BYTES);
}

static void client_send(struct client *c, const char *p, size_t n, bool byte_by_byte)
{
	while (n > 0) {
		ssize_t sent = send(c->fd, p, byte_by_byte ? 1 : n, MSG_NOSIGNAL);
		turn();
		if (sent < 0 && errno != EAGAIN)
			return;
		p += sent < 0 ? 0 : sent;
		n -= sent < 0 ? 0 : (size_t)sent;
	}
}

/* The next interleaved packet; NULL when none comes first, or the server closed. */
static const uint8_t *client_packet(struct client *c, size_t *bytes)
{
	int64_t end_us = reactor_monotonic_us() + LONGEST_US;

	for (;;) {
		const uint8_t *p = c->input + c->used;
		size_t n = c->n - c->used;
		size_t whole = n >= 4 ? 4 + ((size_t)p[2] << 8 | p[3]) : 4;
		if (n > 0 && p[0] != '$')
			return NULL;
		if (n >= 4 && n >= whole) {
			c->used += whole;
			*bytes = whole - 4;
			return p;
		}
		if (c->closed)
			return NULL;
		if (reactor_monotonic_us() > end_us)
			fail_msg("no packet came");
		client_read(c);
	}
}

/* The next answer with its body, which the caller frees; packets before it are passed over. */
static char *client_answer(struct client *c)
{
	int64_t end_us = reactor_monotonic_us() + LONGEST_US;
	size_t bytes;

	for (;;) {
		while (c->used < c->n && c->input[c->used] == '$')
			if (!client_packet(c, &bytes))
				break;
		const char *p = (const char *)c->input + c->used;
		const char *end = memmem(p, c->n - c->used, "\r\n\r\n", 4);
		if (end) {
			const char *field = memmem(p, (size_t)(end - p), "Content-Length: ", 16);
			size_t n =
				(size_t)(end + 4 - p) + (field ? strtoul(field + 16, NULL, 10) : 0);
			if (c->n - c->used >= n) {
				c->used += n;
				return xstrndup(p, n);
			}
		}
		if (c->closed)
			return xstrdup("closed");
		if (reactor_monotonic_us() > end_us)
			fail_msg("no answer came");
		client_read(c);
	}
}

/* --- texts --- */

/* Replaces all of `from` in text. The text is freed, the caller frees the result. */
static char *replaced(char *text, const char *from, const char *to)
{
	char *at;

	if (!*from)
		return text;
	while ((at = strstr(text, from))) {
		*at = '\0';
		char *next = xasprintf("%s%s%s", text, to, at + strlen(from));
		free(text);
		text = next;
	}
	return text;
}

/* The digits behind each `before` become '#'. */
static void blank_digits(char *text, const char *before)
{
	for (char *at = strstr(text, before); at; at = strstr(at, before)) {
		at += strlen(before);
		size_t n = strspn(at, "0123456789");
		if (n > 0) {
			*at = '#';
			memmove(at + 1, at + n, strlen(at + n) + 1);
		}
	}
}

/*
 * Sends "METHOD path|field|field||body" with CSeq, and Session if it has one. @HOST is the server,
 * @ID the session; the path "-" is "*".
 */
static void say(struct client *c, const char *line, bool byte_by_byte)
{
	char *text = xstrdup(line);
	char *body = strstr(text, "||");
	char *fields, *path;

	if (body) {
		*body = '\0';
		body += 2;
	}
	fields = strchr(text, '|');
	if (fields)
		*fields++ = '\0';
	path = strchr(text, ' ');
	assert_non_null(path);
	*path++ = '\0';
	char *request = xasprintf("%s %s%s RTSP/1.0|CSeq: %u|%s%s%s", text,
		*path == '-' ? "*" : "rtsp://@HOST/", *path == '-' ? "" : path, ++c->cseq,
		fields ? fields : "", fields ? "|" : "", "|");
	request = replaced(request, "@HOST", server_address);
	request = replaced(request, "@ID", c->session);
	request = replaced(request, "|", "\r\n");
	client_send(c, request, strlen(request), byte_by_byte);
	if (body)
		client_send(c, body, strlen(body), byte_by_byte);
	free(request);
	free(text);
}

static void remember_session(struct client *c, const char *answer)
{
	const char *field = strstr(answer, "\r\nSession: ");

	if (field && sscanf(field + 11, "%32[0-9a-f]", c->session) != 1)
		fail_msg("no session: %s", answer);
}

/*
 * The answer as "200 OK|field|field||body", without what every answer has (it is checked), and with
 * @HOST, @ID and # where it differs each time.
 */
static char *hear(struct client *c)
{
	char *answer = client_answer(c);
	char *start = xasprintf("\r\nCSeq: %u\r\nServer: nvrd\r\n", c->cseq);

	if (strncmp(answer, "RTSP/1.0 ", 9) == 0)
		memmove(answer, answer + 9, strlen(answer + 9) + 1);
	remember_session(c, answer);
	answer = replaced(answer, start, "\r\n");
	answer = replaced(answer, c->session, "@ID");
	answer = replaced(answer, server_address, "@HOST");
	answer = replaced(answer, "\r\n\r\n", "|\r\n");
	size_t n = strlen(answer);
	if (n >= 3 && strcmp(answer + n - 3, "|\r\n") == 0)
		answer[n - 3] = '\0';
	answer = replaced(answer, "\r\n", "|");
	blank_digits(answer, "seq=");
	blank_digits(answer, "rtptime=");
	blank_digits(answer, "server_port=");
	blank_digits(answer, "server_port=#-");
	free(start);
	return answer;
}

/* --- conversations --- */

#define PUBLIC                                                                                    \
	"OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, GET_PARAMETER, SET_PARAMETER, " \
	"TEARDOWN"
#define TCP01 "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
#define TCP23 "Transport: RTP/AVP/TCP;unicast;interleaved=2-3"
#define SESSION "Session: @ID"
#define NEW_SESSION "Session: @ID;timeout=60"
#define SET_UP_BOTH                                                           \
	"SETUP porch/trackID=0|" TCP01 "\n200 OK|" TCP01 "|" NEW_SESSION "\n" \
	"SETUP porch/trackID=1|" TCP23 "|" SESSION "\n200 OK|" TCP23 "|" NEW_SESSION "\n"
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
static const struct conversation {
	const char *rule;
	const char *lines; /* a request, its answer, a request, … */
} conversations[] = {
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

/* "400 *" stands for anything that begins so. */
static bool is_as_expected(const char *answer, const char *expected)
{
	size_t n = strlen(expected);

	if (n > 0 && expected[n - 1] == '*')
		return strncmp(answer, expected, n - 1) == 0;
	return strcmp(answer, expected) == 0;
}

/* The next line of *lines, in which "\r\n" does not end one; the caller frees it. */
static char *take_line(const char **lines)
{
	const char *end = *lines;

	while (*end != '\n' || (end > *lines && end[-1] == '\r'))
		end++;
	char *line = xstrndup(*lines, (size_t)(end - *lines));
	*lines = end + 1;
	return line;
}

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

static void converse(const char *rule, const char *lines, bool byte_by_byte)
{
	struct client *c = client_new();

	while (*lines) {
		char *request = take_line(&lines), *expected = take_line(&lines);
		say(c, request, byte_by_byte);
		char *answer = hear(c);
		blank_digits(answer, "Content-Length: ");
		if (!is_as_expected(answer, expected))
			fail_msg("%s: %s\nanswered:     %s\nand not: %s", rule, request, answer,
				expected);
		free(answer);
		free(expected);
		free(request);
	}
	client_free(c);
}

static void requests_are_answered_as_the_standard_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(conversations); i++)
		converse(conversations[i].rule, conversations[i].lines, false);
}

static void requests_may_drip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(conversations); i++)
		converse(conversations[i].rule, conversations[i].lines, true);
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

/* --- media over TCP --- */

static void expect(struct client *c, const char *request, const char *expected)
{
	say(c, request, false);
	char *answer = hear(c);
	if (!is_as_expected(answer, expected))
		fail_msg("%s\nanswered: %s", request, answer);
	free(answer);
}

/* PLAY; writes the RTP-Info of both tracks. */
static void play(struct client *c, const char *path, unsigned sequences[2], uint32_t times[2])
{
	char *request = xasprintf("PLAY %s|" SESSION, path);

	say(c, request, false);
	char *answer = client_answer(c);
	assert_int_equal(strncmp(answer, "RTSP/1.0 200 OK\r\n", 17), 0);
	const char *at = strstr(answer, "RTP-Info: ");
	for (int i = 0; i < 2 && at && (at = strstr(at, ";seq=")); i++) {
		char *end;
		sequences[i] = (unsigned)strtoul(at + 5, &end, 10);
		assert_int_equal(strncmp(end, ";rtptime=", 9), 0);
		times[i] = (uint32_t)strtoul(end + 9, NULL, 10);
		at = end;
	}
	free(answer);
	free(request);
}

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

struct udp_client {
	int fds[2];
};

static struct udp_client udp_open(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t n = sizeof(any);
	struct udp_client u = { 0 };

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 2; i++) {
		u.fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		any.sin_port = 0;
		assert_int_equal(bind(u.fds[i], (struct sockaddr *)&any, n), 0);
	}
	return u;
}

static uint16_t udp_port(int fd)
{
	struct sockaddr_in address = { 0 };
	socklen_t n = sizeof(address);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	return ntohs(address.sin_port);
}

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

#define ANNA "Authorization: Basic YW5uYTpzZWNyZXQ=" /* anna:secret */
#define NAS "Authorization: Basic bmFzOnA6dw=="      /* nas:p:w */

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

static bool client_is_closed(struct client *c)
{
	client_read(c);
	return c->closed;
}

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

/* --- talking --- */

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
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(talks); i++)
		converse(talks[i].rule, talks[i].lines, false);
	rtsp_talk_free(yard_ear);
	yard_ear = NULL;
	converse("a camera that does not listen",
		"DESCRIBE yard/sub|" REQUIRE "\n551 The camera has no back channel" UNSUPPORTED
		"SETUP yard/sub/trackID=3|" TCP67 "\n404 Not Found\n",
		false);
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

/* --- through HTTP --- */

static const struct http_route no_routes[] = {
	{NULL, 0, ROLE_VIEWER, NULL}
};
static struct http_server *http;

/* What HTTP says to it, head and body; the connection stays open. */
static struct client *tunnel_open(const char *method, const char *cookie, const char *fields)
{
	struct client *c = client_to(http_server_address(http));
	char *head = xasprintf("%s /porch HTTP/1.1\r\nHost: %s\r\nx-sessioncookie: %s\r\n%s\r\n",
		method, http_server_address(http), cookie, fields);

	client_send(c, head, strlen(head), false);
	free(head);
	return c;
}

#define POST_FIELDS "Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n"

/* The GET's; its answer is taken off. */
static struct client *tunnel_get(const char *cookie)
{
	struct client *c = tunnel_open("GET", cookie, "Accept: application/x-rtsp-tunnelled\r\n");
	char *answer = client_answer(c);

	assert_int_equal(strncmp(answer, "HTTP/1.0 200 OK\r\n", 17), 0);
	assert_non_null(strstr(answer, "\r\nContent-Type: application/x-rtsp-tunnelled\r\n"));
	free(answer);
	return c;
}

/* A request goes in by the POST in two pieces, each of its own Base64; the answer comes by the GET. */
static void tunnel_expect(struct client *get, struct client *post, const char *request,
	const char *expected, bool byte_by_byte)
{
	char *text = xasprintf("%s\r\nCSeq: %u\r\n%s%s\r\n\r\n", request, ++get->cseq,
		get->session[0] ? "Session: " : "X: ", get->session);
	size_t n = strlen(text), cut = n / 3 * 2 + 1;
	char base64[2048];

	assert_true(base64_write(base64, sizeof(base64), (const uint8_t *)text, cut) > 0);
	client_send(post, base64, strlen(base64), byte_by_byte);
	assert_true(base64_write(base64, sizeof(base64), (const uint8_t *)text + cut, n - cut) > 0);
	client_send(post, base64, strlen(base64), byte_by_byte);
	free(text);
	char *answer = client_answer(get);
	if (strncmp(answer + strlen("RTSP/1.0 "), expected, strlen(expected)) != 0)
		fail_msg("%s\nanswered: %s", request, answer);
	if (strstr(answer, "\r\nSession: "))
		remember_session(get, answer);
	free(answer);
}

static int set_up_http(void **state)
{
	set_up(state);
	http = http_server_new("127.0.0.1:0", true, NULL, no_routes);
	assert_non_null(http);
	return 0;
}

static int tear_down_http(void **state)
{
	http_server_free(http);
	return tear_down(state);
}

static void a_tunnel_plays(void **state)
{
	struct client *get = tunnel_get("a"), *post = tunnel_open("POST", "a", POST_FIELDS);
	size_t n;

	(void)state;
	tunnel_expect(get, post, "OPTIONS rtsp://h/porch RTSP/1.0", "200 OK", false);
	tunnel_expect(get, post,
		"SETUP rtsp://h/yard/sub RTSP/1.0\r\nTransport: RTP/AVP;unicast;client_port=5000-5001",
		"461 ", false);
	tunnel_expect(get, post,
		"SETUP rtsp://h/yard/sub RTSP/1.0\r\nTransport: RTP/AVP/TCP;interleaved=0-1",
		"200 OK", true);
	/* the POST goes, what it has begun is ended by another */
	client_send(post, "UExBW", 5, false); /* PLA, and bits of another byte */
	client_free(post);
	post = tunnel_open("POST", "a", POST_FIELDS);
	char *play = xasprintf(
		"Y rtsp://h/yard/sub RTSP/1.0\r\nCSeq: 9\r\nSession: %s\r\n\r\n", get->session);
	char base64[512];
	assert_true(base64_write(base64, sizeof(base64), (const uint8_t *)play, strlen(play)) > 0);
	client_send(post, base64, strlen(base64), false);
	free(play);
	char *answer = client_answer(get);
	assert_int_equal(strncmp(answer, "RTSP/1.0 200 OK\r\nCSeq: 9\r\n", 26), 0);
	free(answer);
	assert_non_null(client_packet(get, &n)); /* the report */
	assert_non_null(client_packet(get, &n));
	/* without any POST it plays on */
	client_free(post);
	publish_picture(yard, false, PICTURE_BYTES);
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(client_packet(get, &n));
	client_free(get);
	assert_true(metric_value(metric_get(METRIC_SESSIONS, "rtsp")) == 0);
}

static void http_refused(
	const char *method, const char *cookie, const char *fields, const char *status)
{
	struct client *c = tunnel_open(method, cookie, fields);
	char *answer = client_answer(c);

	if (strncmp(answer + strlen("HTTP/1.1 "), status, 3) != 0)
		fail_msg("%s: %s", method, answer);
	free(answer);
	client_free(c);
}

static void tunnels_are_told_apart_by_their_cookies(void **state)
{
	struct client *get = tunnel_get("a"), *other = tunnel_get("b");
	struct client *post = tunnel_open("POST", "b", POST_FIELDS);
	char longest[200];

	(void)state;
	http_refused("GET", "a", "", "409");
	http_refused("POST", "c", POST_FIELDS, "404");
	http_refused("POST", "a", "Transfer-Encoding: chunked\r\n", "501");
	http_refused("GET", "", "", "400");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	http_refused("GET", longest, "", "400");
	http_refused("PUT", "a", "Content-Length: 0\r\n", "404"); /* a request like any other */
	tunnel_expect(other, post, "OPTIONS * RTSP/1.0", "200 OK", false);
	assert_int_equal(get->n, get->used);
	client_free(get);
	client_free(post);
	client_free(other);
}

static void a_tunnel_of_something_else_is_closed(void **state)
{
	struct client *get = tunnel_get("a"), *post = tunnel_open("POST", "a", POST_FIELDS);

	(void)state;
	client_send(post, "T1BU*", 5, false);
	char *answer = client_answer(get);
	assert_int_equal(strncmp(answer, "RTSP/1.0 400 the tunnel ", 24), 0);
	free(answer);
	while (!client_is_closed(get) || !client_is_closed(post))
		;
	client_free(post);
	client_free(get);
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

static int init(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	reactor_init();
	return 0;
}

static int fini(void **state)
{
	(void)state;
	reactor_fini();
	metrics_fini();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_TALK(name) cmocka_unit_test_setup_teardown(name, set_up_talk, tear_down_talk)
#define TEST_HTTP(name) cmocka_unit_test_setup_teardown(name, set_up_http, tear_down_http)
#define TEST_MULTICAST(name) cmocka_unit_test_setup_teardown(name, set_up_multicast, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered_as_the_standard_says),
		TEST(requests_may_drip),
		TEST(answers_are_exact),
		TEST(garbage_is_refused),
		TEST(a_head_without_end_is_refused),
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
		TEST(sessions_have_a_limit),
		TEST(interleaved_sessions_belong_to_their_connection),
		TEST(users_see_their_cameras),
		TEST(strangers_make_room),
		TEST_TALK(a_camera_that_listens_is_described_so),
		TEST_TALK(what_is_said_goes_to_the_camera),
		TEST_TALK(what_is_said_over_udp_goes_to_the_camera),
		TEST_TALK(who_talks_to_a_camera_that_changed_is_told),
		TEST_TALK(viewers_do_not_talk),
		TEST_HTTP(a_tunnel_plays),
		TEST_HTTP(tunnels_are_told_apart_by_their_cookies),
		TEST_HTTP(a_tunnel_of_something_else_is_closed),
		TEST_MULTICAST(multicast_is_described_when_asked_for),
		TEST_MULTICAST(a_group_is_sent_to_once),
	};

	return cmocka_run_group_tests(tests, init, fini);
}
