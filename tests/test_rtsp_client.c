/* The RTSP client against a camera that plays a script over a real socket: what it asks, and how it ends. */
#include "protocols/rtsp_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/message.h"
#include "server/base/connection.h"
#include "server/base/listener.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/synthetic.h"

/* One answer of the script: sent when a request with that method comes. */
struct line {
	const char *method; /* expected; NULL ends the script */
	const char *
		answer; /* what follows "RTSP/1.0 ": status, further fields, body after an empty line */
	const void *media; /* bytes sent after the answer */
	size_t media_bytes;
};

struct camera {
	struct listener *listener;
	struct connection *connection;
	const struct line *script;
	char asked[4096]; /* all requests, for tests to look at */
	bool torn_down;
};

/* What the client told. */
struct told {
	bool up, ended;
	enum source_end end;
	char detail[200];
};

static struct camera camera;
static struct told told;
static struct stream *stream;

#define SPS_PPS "Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg=="
#define H264_SDP                                                           \
	"v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" \
	"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=" SPS_PPS     \
	"\r\na=control:trackID=1\r\n"

/* Interleaved RTP packets of one key picture each; between them what cameras put there. */
#define RTP(sequence, time) \
	"$\0\0\x12\x80\xe0\0" sequence "\0\0" time "\0\0\0\0\x01\x65\x88\x84\x21\x10\x42"
static const char media[] =
	RTP("\x01", "\x10") "garbage" RTP("\x02", "\x20") "$\x09\0\x02\0\0" RTP("\x03", "\x30");

/* --- the camera --- */

static void camera_answer(const struct message *request)
{
	struct message_text cseq = message_find(request, "CSeq");
	const char *body = strstr(camera.script->answer, "\r\n\r\n");
	size_t head = body ? (size_t)(body - camera.script->answer) : strlen(camera.script->answer);
	struct evbuffer *out = connection_output(camera.connection);

	body = body ? body + 4 : "";
	evbuffer_add_printf(out, "RTSP/1.0 %.*s\r\nCSeq: %.*s\r\nContent-Length: %zu\r\n\r\n%s",
		(int)head, camera.script->answer, (int)cseq.n, cseq.p, strlen(body), body);
	evbuffer_add(out, camera.script->media, camera.script->media_bytes);
}

static void camera_on_data(void *arg)
{
	struct evbuffer *input = connection_input(camera.connection);
	size_t n = evbuffer_get_length(input);
	const char *p = (const char *)evbuffer_pullup(input, -1), *why;
	struct message request;
	ssize_t used;

	(void)arg;
	if (n && p[0] == '$') { /* a receiver report */
		evbuffer_drain(input, n);
		return;
	}
	used = message_parse(&request, p, n, 0, true, &why);
	assert_true(used >= 0);
	if (!used)
		return;
	snprintf(camera.asked + strlen(camera.asked), sizeof(camera.asked) - strlen(camera.asked),
		"%.*s", (int)used, p);
	camera.torn_down = message_text_is(request.method, "TEARDOWN");
	if (!camera.torn_down) {
		assert_non_null(camera.script->method);
		assert_true(message_text_is(request.method, camera.script->method));
		camera_answer(&request);
		camera.script++;
	}
	evbuffer_drain(input, (size_t)used);
}

static void camera_on_close(void *arg, enum close_reason reason, const char *detail)
{
	(void)arg, (void)reason, (void)detail;
	camera.connection = NULL;
}

static const struct connection_events camera_events = { .on_data = camera_on_data,
	.on_close = camera_on_close };

static void camera_on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	(void)arg;
	connection_abandon(&camera.connection);
	camera.connection =
		connection_accept(fd, peer, peer_bytes, NULL, "camera", NULL, &camera_events, NULL);
}

/* --- the client --- */

static void on_up(void *arg)
{
	(void)arg;
	told.up = true;
}

static void on_end(void *arg, enum source_end end, const char *detail)
{
	(void)arg;
	told.ended = true;
	told.end = end;
	snprintf(told.detail, sizeof(told.detail), "%s", detail ? detail : "");
}

static const struct source_events source_events = { .on_up = on_up, .on_end = on_end };
static const struct config_camera tcp_config = { .transport = TRANSPORT_TCP };
static const struct config_camera aac_config = { .transport = TRANSPORT_TCP, .audio = AUDIO_AAC };
static const struct config_camera *config = &tcp_config;

static struct rtsp_client *start(const char *user, const struct line *script)
{
	static struct rtsp_client_memory memory;
	struct rtsp_client *client;
	const char *why = NULL;
	char url[128];

	memory = (struct rtsp_client_memory){ .transport = TRANSPORT_AUTO };
	camera.script = script;
	camera.asked[0] = '\0';
	camera.torn_down = false;
	told = (struct told){ 0 };
	snprintf(url, sizeof(url), "rtsp://%s127.0.0.1:%u/x", user, listener_port(camera.listener));
	client = rtsp_client_new(&(struct source_order){ .url = url,
					 .config = config,
					 .stream = stream,
					 .camera = "porch",
					 .events = &source_events },
		&memory, &why);
	assert_non_null(client);
	return client;
}

static void stop(struct rtsp_client *client)
{
	rtsp_client_free(client);
	stream_end(stream);
	connection_abandon(&camera.connection);
}

#define OPTIONS_OK                                                                            \
	{                                                                                     \
		"OPTIONS", "200 OK\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER", \
			NULL, 0                                                               \
	}

static void test_how_it_ends(void **state)
{
	static const struct {
		const char *name, *user;
		struct line script[6];
		enum source_end end;
		const char *detail; /* part of it */
	} cases[] = {
		{"no credentials",                 "",
                 { OPTIONS_OK,
				{ "DESCRIBE",
					"401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"",
					NULL, 0 } },
                 SOURCE_UNAUTHORIZED, "DESCRIBE: 401 Unauthorized"},
		{ "wrong password, asked once",    "u:p@",
                 { OPTIONS_OK,
				{ "DESCRIBE",
					"401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"",
					NULL, 0 },
				{ "DESCRIBE",
					"401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"c\"",
					NULL, 0 } },
                 SOURCE_UNAUTHORIZED, "401"                       },
		{ "unknown path",                  "",     { OPTIONS_OK, { "DESCRIBE", "404 Not Found", NULL, 0 } },
                 SOURCE_NOT_FOUND,    "DESCRIBE: 404 Not Found"   },
		{ "busy",			  "",     { OPTIONS_OK, { "DESCRIBE", "453 Not Enough Bandwidth", NULL, 0 } },
                 SOURCE_BUSY,         "453"                       },
		{ "no picture",                    "",
                 { OPTIONS_OK,
				{ "DESCRIBE", "200 OK\r\n\r\nm=audio 0 RTP/AVP 0\r\n", NULL, 0 } },
                 SOURCE_NO_VIDEO,     ""                          },
		{ "unknown codec",                 "",
                 { OPTIONS_OK,
				{ "DESCRIBE",
					"200 OK\r\n\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
					NULL, 0 } },
                 SOURCE_UNSUPPORTED,  "VP8"                       },
		{ "nonsense",                      "",     { OPTIONS_OK, { "DESCRIBE", "200 OK\r\n\r\nhello", NULL, 0 } },
                 SOURCE_PROTOCOL,     ""                          },
		{ "OPTIONS unknown to the camera", "",
                 { { "OPTIONS", "501 Not Implemented", NULL, 0 },
				{ "DESCRIBE", "404 Not Found", NULL, 0 } },
                 SOURCE_NOT_FOUND,    "404"                       },
		{ "the camera ends it",            "",
                 { OPTIONS_OK, { "DESCRIBE", "200 OK\r\n\r\n" H264_SDP, NULL, 0 },
				{ "SETUP",
					"200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1",
					NULL, 0 },
				{ "PLAY", "200 OK",
					"TEARDOWN rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\n\r\n", 41 } },
                 SOURCE_CLOSED,       "TEARDOWN"                  },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct rtsp_client *client = start(cases[i].user, cases[i].script);

		reactor_wait(&told.ended);
		if (told.end != cases[i].end || !strstr(told.detail, cases[i].detail))
			fail_msg("%s: %s (%s)", cases[i].name, source_end_metric(told.end),
				told.detail);
		assert_false(told.up);
		stop(client);
	}
}

static void test_media_between_garbage(void **state)
{
	static const struct line script[] = {
		OPTIONS_OK,
		{"DESCRIBE", "200 OK\r\nContent-Base: rtsp://10.0.0.1/y/\r\n\r\n" H264_SDP,             NULL,
                  0													      },
		{ "SETUP",
                  "200 OK\r\nSession: abc;timeout=30\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1",
                  NULL,											 0                },
		{ "PLAY",    "200 OK\r\nRTP-Info: url=x;seq=1;rtptime=16",                              media, sizeof(media) - 1},
		{ NULL,      NULL,								      NULL,  0                },
	};
	struct rtsp_client *client = start("u:p@", script);
	struct metric *frames = metric_get(METRIC_CAMERA_FRAMES, "porch", "video");
	double before = metric_value(frames);

	(void)state;
	reactor_wait(&told.up);
	assert_true(stream_is_up(stream));
	assert_int_equal(stream_track(stream, 0)->parameters->codec_id, AV_CODEC_ID_H264);
	assert_true(metric_value(frames) - before >=
		    1); /* the last picture waits for what follows it */
	assert_non_null(strstr(
		camera.asked, "/y/trackID=1 RTSP/1.0")); /* the base's path, the dialled host */
	assert_null(strstr(camera.asked, "10.0.0.1"));
	assert_non_null(strstr(camera.asked, "Session: abc\r\n"));
	assert_non_null(strstr(camera.asked, "User-Agent: nvrd/"));
	assert_null(strstr(camera.asked, "u:p@"));
	rtsp_client_free(client);
	reactor_wait(&camera.torn_down);
	stream_end(stream);
	connection_abandon(&camera.connection);
	if (told.ended)
		fail_msg("ended: %s", told.detail);
}

/* Pictures, then n packets of 20 ms of mu-law, in one buffer of the test's. */
static const struct line *script_with_sound(uint8_t *bytes, size_t n)
{
	static struct line script[6];
	uint8_t *to = bytes + sizeof(media) - 1;

	memcpy(bytes, media, sizeof(media) - 1);
	for (size_t i = 0; i < n; i++, to += 4 + 12 + 160) {
		const uint8_t head[] = { '$', 2, 0, 172, 0x80, 0, 0, (uint8_t)i, 0, 0,
			(uint8_t)(i * 160 >> 8), (uint8_t)(i * 160), 0, 0, 0, 9 };

		memcpy(to, head, sizeof(head));
		memset(to + sizeof(head), 0xff, 160);
	}
	script[0] = (struct line)OPTIONS_OK;
	script[1] = (struct line){ "DESCRIBE",
		"200 OK\r\n\r\n" H264_SDP "m=audio 0 RTP/AVP 0\r\na=control:trackID=2\r\n", NULL,
		0 };
	script[2] = (struct line){ "SETUP",
		"200 OK\r\nSession: abc\r\nTransport: RTP/AVP/TCP;interleaved=0-1", NULL, 0 };
	script[3] = (struct line){ "SETUP",
		"200 OK\r\nSession: abc\r\nTransport: RTP/AVP/TCP;interleaved=2-3", NULL, 0 };
	script[4] = (struct line){ "PLAY", "200 OK", bytes, (size_t)(to - bytes) };
	return script;
}

static bool heard_all;

static void on_sound(struct stream_reader *reader, AVPacket *packet)
{
	static int n;
	static int64_t before;

	(void)reader;
	if (packet->stream_index != 1)
		return;
	assert_true(packet->size > 0 && packet->size != 160);
	if (n++)
		assert_int_equal(packet->dts - before, 1024);
	before = packet->dts;
	heard_all = n >= 3;
}

static void test_sound_is_made_aac_where_that_is_wanted(void **state)
{
	static const struct stream_reader_events events = { .on_packet = on_sound };
	static uint8_t bytes[sizeof(media) + 40 * (4 + 12 + 160)];
	struct stream_reader reader = { 0 };
	struct rtsp_client *client;

	(void)state;
	config = &aac_config;
	client = start("", script_with_sound(bytes, 40));
	config = &tcp_config;
	stream_subscribe(stream, &reader, &events, true);
	reactor_wait(&told.up);
	assert_int_equal(stream_tracks(stream), 2);
	assert_int_equal(stream_track(stream, 0)->parameters->codec_id, AV_CODEC_ID_H264);
	assert_int_equal(stream_track(stream, 1)->parameters->codec_id, AV_CODEC_ID_AAC);
	assert_int_equal(stream_track(stream, 1)->time_base.den, 8000);
	reactor_wait(&heard_all);
	stream_unsubscribe(&reader);
	stop(client);
}

static void test_a_url_without_sense_is_refused(void **state)
{
	struct rtsp_client_memory memory = { TRANSPORT_AUTO };
	const char *why = NULL;

	(void)state;
	assert_null(rtsp_client_new(
		&(struct source_order){ .url = "rtsp://", .config = &tcp_config }, &memory, &why));
	assert_non_null(why);
}

static int setup(void **state)
{
	(void)state;
	reactor_init();
	stream = stream_new("porch");
	camera.listener = listener_new("127.0.0.1:0", true, camera_on_accept, NULL);
	return camera.listener ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	listener_free(camera.listener);
	stream_free(stream);
	reactor_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_how_it_ends),
		cmocka_unit_test(test_media_between_garbage),
		cmocka_unit_test(test_sound_is_made_aac_where_that_is_wanted),
		cmocka_unit_test(test_a_url_without_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
