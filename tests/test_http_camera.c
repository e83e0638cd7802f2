/* The HTTP camera against a server that plays a script over a real socket: what it asks and records. */
#include "protocols/http_camera.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/message.h"
#include "server/base/connection.h"
#include "server/base/listener.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/jpeg.h"
#include "tests/jpeg_pictures.h"
#include "tests/reactor_until.h"

enum {
	SEEN_MOST = 64
};

enum answer_end {
	KEEP,  /* with Content-Length; the next request comes on the same connection */
	CLOSE, /* closes behind the answer */
	HOLD,  /* as KEEP, but says nothing until server_release() */
	STREAM /* no length, and does not close */
};

/* One answer: its head behind "HTTP/1.1 " without the last empty line, and its body. */
struct answer {
	const char *head; /* NULL: the last answer is given again and again */
	const void *body;
	size_t n;
	enum answer_end end;
};

struct server {
	struct listener *listener;
	struct connection *connection;
	const struct answer *script;
	const struct answer *last;
	unsigned connections, requests, held;
	char asked[8192];
};

/* What the camera told and published. */
struct seen {
	bool up, ended;
	enum source_end end;
	char detail[100];
	unsigned runs, packets;
	int64_t pts[SEEN_MOST];
	int bytes[SEEN_MOST];
	bool key, same; /* all are key pictures; all are picture_q50_420 */
};

static struct server server;
static struct seen seen;
static struct stream *stream;
static int64_t retry_after_us;

/* --- the server --- */

static void server_send(const struct answer *answer)
{
	struct evbuffer *out = connection_output(server.connection);

	evbuffer_add_printf(out, "HTTP/1.1 %s\r\n", answer->head);
	if (answer->end == KEEP || answer->end == HOLD)
		evbuffer_add_printf(out, "Content-Length: %zu\r\n", answer->n);
	evbuffer_add_printf(out, "\r\n");
	evbuffer_add(out, answer->body, answer->n);
	if (answer->end == CLOSE)
		connection_finish(server.connection);
}

static void server_on_data(void *arg)
{
	struct evbuffer *input = connection_input(server.connection);
	size_t n = evbuffer_get_length(input), at = strlen(server.asked);
	const char *p = (const char *)evbuffer_pullup(input, -1), *why;
	struct message request;
	ssize_t used = message_parse(&request, p, n, 0, true, &why);

	(void)arg;
	assert_true(used >= 0);
	if (!used)
		return;
	server.requests++;
	assert_int_equal(server.held, 0); /* never two requests at once */
	snprintf(server.asked + at, sizeof(server.asked) - at, "%.*s", (int)used, p);
	evbuffer_drain(input, (size_t)used);
	if (server.script->head)
		server.last = server.script++;
	assert_non_null(server.last);
	if (server.last->end == HOLD)
		server.held++;
	else
		server_send(server.last);
}

static void server_on_close(void *arg, enum close_reason reason, const char *detail)
{
	(void)arg, (void)reason, (void)detail;
	server.connection = NULL;
}

static const struct connection_events server_events = { .on_data = server_on_data,
	.on_close = server_on_close };

static void server_on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	(void)arg;
	connection_abandon(&server.connection);
	server.connections++;
	server.connection =
		connection_accept(fd, peer, peer_bytes, NULL, "camera", NULL, &server_events, NULL);
}

/* Gives the answer that was held. */
static void server_release(void)
{
	assert_int_equal(server.held, 1);
	server.held = 0;
	server_send(server.last);
}

/* --- who takes the pictures --- */

static void on_up(void *arg)
{
	(void)arg;
	assert_false(seen.up);
	seen.up = true;
}

static void on_end(void *arg, enum source_end end, const char *detail)
{
	(void)arg;
	assert_false(seen.ended);
	seen.ended = true;
	seen.end = end;
	snprintf(seen.detail, sizeof(seen.detail), "%s", detail ? detail : "");
}

static void on_tracks(struct stream_reader *reader)
{
	(void)reader;
	assert_int_equal(stream_tracks(stream), 1);
	assert_int_equal(stream_track(stream, 0)->parameters->codec_id, AV_CODEC_ID_MJPEG);
	assert_int_equal(stream_track(stream, 0)->time_base.den, 90000);
	seen.runs++;
}

static void on_packet(struct stream_reader *reader, AVPacket *packet)
{
	(void)reader;
	if (seen.packets == SEEN_MOST)
		return;
	assert_int_equal(packet->pts, packet->dts);
	assert_true(!seen.packets || packet->pts > seen.pts[seen.packets - 1]);
	seen.key &= (packet->flags & AV_PKT_FLAG_KEY) != 0;
	seen.same &= packet->size == (int)sizeof(picture_q50_420) &&
		     !memcmp(packet->data, picture_q50_420, sizeof(picture_q50_420));
	seen.bytes[seen.packets] = packet->size;
	seen.pts[seen.packets++] = packet->pts;
}

static void on_stream_end(struct stream_reader *reader)
{
	(void)reader;
}

static const struct source_events source_events = { .on_up = on_up, .on_end = on_end };
static const struct stream_reader_events reader_events = { on_tracks, on_packet, on_stream_end };
static const struct config_camera config = { .interval_us = 2000 };
static struct stream_reader reader;

static struct http_camera *start(const char *user, const struct answer *script)
{
	struct http_camera *camera;
	const char *why = NULL;
	char url[128];

	server.script = script;
	server.last = NULL;
	server.connections = server.requests = server.held = 0;
	server.asked[0] = '\0';
	seen = (struct seen){ .key = true, .same = true };
	retry_after_us = 0;
	metrics_forget("camera", "porch");
	stream_subscribe(stream, &reader, &reader_events, false);
	snprintf(url, sizeof(url), "http://%s127.0.0.1:%u/cam.jpg?q=1", user,
		listener_port(server.listener));
	camera = http_camera_new(&(struct source_order){ .url = url,
					 .config = &config,
					 .stream = stream,
					 .camera = "porch",
					 .events = &source_events,
					 .retry_after_us = &retry_after_us },
		&why);
	assert_non_null(camera);
	return camera;
}

static void stop(struct http_camera *camera)
{
	http_camera_free(camera);
	stream_end(stream);
	stream_unsubscribe(&reader);
	connection_abandon(&server.connection);
}

static double dropped(void)
{
	return metric_value(metric_get(METRIC_CAMERA_DROPPED_FRAMES, "porch"));
}

/* How often the words stand in the text. */
static unsigned count(const char *text, const char *words)
{
	unsigned n = 0;

	for (; (text = strstr(text, words)); text += strlen(words))
		n++;
	return n;
}

#define PICTURE picture_q50_420
#define PICTURE_BYTES sizeof(picture_q50_420)
#define JPEG_HEAD "200 OK\r\nContent-Type: image/jpeg"

/* --- H3: pictures one by one --- */

static void test_h3_one_connection_serves_all_requests(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD, PICTURE, PICTURE_BYTES, KEEP},
                { NULL,     NULL,    0,             KEEP}
	};
	struct http_camera *camera = start("", script);

	(void)state;
	REACTOR_UNTIL(seen.packets >= 5);
	assert_true(seen.up && seen.key && seen.same);
	assert_false(seen.ended);
	assert_int_equal(seen.runs, 1);
	assert_int_equal(server.connections, 1);
	assert_int_equal(dropped(), 0);
	assert_int_equal(count(server.asked, "GET /cam.jpg?q=1 HTTP/1.1\r\n"), server.requests);
	assert_int_equal(count(server.asked, "\r\nHost: 127.0.0.1:"), server.requests);
	assert_true(metric_value(metric_get(METRIC_CAMERA_FRAMES, "porch", "video")) >= 5);
	assert_true(metric_value(metric_get(METRIC_CAMERA_BYTES, "porch")) >=
		    5 * sizeof(picture_q50_420));
	stop(camera);
}

static void test_h3_a_camera_that_closes_each_time(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD, PICTURE, PICTURE_BYTES, CLOSE},
                { NULL,     NULL,    0,             KEEP }
	};
	struct http_camera *camera = start("", script);

	(void)state;
	REACTOR_UNTIL(seen.packets >= 4);
	assert_true(server.connections >= 4);
	assert_int_equal(server.connections, server.requests);
	assert_true(seen.same && !seen.ended);
	assert_int_equal(dropped(), 0);
	stop(camera);
}

/* While an answer is awaited beats pass, and nothing is asked (server_on_data sees to that). */
static void test_h3_never_two_requests_at_once(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD,  PICTURE, PICTURE_BYTES, KEEP},
		{ JPEG_HEAD, PICTURE, PICTURE_BYTES, HOLD},
		{ JPEG_HEAD, PICTURE, PICTURE_BYTES, KEEP},
                { NULL,      NULL,    0,             KEEP}
	};
	struct http_camera *camera = start("", script);
	int64_t until_us;

	(void)state;
	REACTOR_UNTIL(server.held == 1);
	until_us = reactor_monotonic_us() + 10 * config.interval_us;
	REACTOR_UNTIL(reactor_monotonic_us() > until_us);
	assert_int_equal(server.requests, 2);
	assert_int_equal(server.connections, 1);
	server_release();
	REACTOR_UNTIL(seen.packets >= 3);
	/* the second picture has the time when it came, not when it was asked for */
	assert_true(seen.pts[1] - seen.pts[0] >= 10 * config.interval_us * 9 / 100);
	stop(camera);
}

static void test_h3_a_503_is_a_beat_that_is_skipped(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD,    PICTURE, PICTURE_BYTES, KEEP },
                { "500 Error", NULL,    0,             CLOSE},
		{ "503 Busy",  NULL,    0,             KEEP },
                { JPEG_HEAD,   PICTURE, PICTURE_BYTES, KEEP },
		{ NULL,        NULL,    0,             KEEP }
	};
	struct http_camera *camera = start("", script);

	(void)state;
	REACTOR_UNTIL(seen.packets >= 3);
	assert_false(seen.ended);
	assert_int_equal(seen.runs, 1);
	assert_true(server.requests >= 5);
	stop(camera);
}

static void test_h3_retry_after_holds_for_the_next_beat(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD,                     PICTURE, PICTURE_BYTES, KEEP},
		{ "503 Busy\r\nRetry-After: 1", NULL,    0,             KEEP},
		{ JPEG_HEAD,                    PICTURE, PICTURE_BYTES, KEEP},
                { NULL,                         NULL,    0,             KEEP}
	};
	struct http_camera *camera = start("", script);
	int64_t asked_us;

	(void)state;
	REACTOR_UNTIL(server.requests == 2);
	asked_us = reactor_monotonic_us();
	REACTOR_UNTIL(server.requests == 3);
	assert_true(reactor_monotonic_us() - asked_us >= 900000);
	REACTOR_UNTIL(seen.packets >= 2);
	assert_int_equal(seen.runs, 1);
	stop(camera);
}

/* A camera that gives its login page from now on does not stay "playing". */
static void test_h3_answers_without_a_picture_are_not_borne_for_ever(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD,                            PICTURE,  PICTURE_BYTES, KEEP},
		{ "200 OK\r\nContent-Type: text/html", "log in", 6,             KEEP},
                { NULL,                                NULL,     0,             KEEP}
	};
	struct http_camera *camera = start("", script);

	(void)state;
	REACTOR_UNTIL(seen.ended);
	assert_int_equal(seen.end, SOURCE_STALLED);
	assert_int_equal(server.requests, 11);
	stop(camera);
}

static void test_h1_a_length_that_makes_no_sense_is_none(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD "\r\nContent-Length: -1", PICTURE, PICTURE_BYTES, CLOSE},
		{ NULL,			      NULL,    0,             KEEP }
	};
	struct http_camera *camera = start("", script);

	(void)state;
	REACTOR_UNTIL(seen.packets >= 3);
	assert_true(seen.same && !seen.ended);
	stop(camera);
}

/* What a redirect names may be gone at the next beat. */
static void test_a_redirect_holds_for_one_request(void **state)
{
	static const struct answer script[] = {
		{"302 Found\r\nLocation: /1.jpg",  NULL,    0,             KEEP},
		{ JPEG_HEAD,                       PICTURE, PICTURE_BYTES, KEEP},
		{ "302 Found\r\nLocation: /2.jpg", NULL,    0,             KEEP},
		{ JPEG_HEAD,                       PICTURE, PICTURE_BYTES, KEEP},
                { NULL,                            NULL,    0,             KEEP}
	};
	struct http_camera *camera = start("", script);

	(void)state;
	REACTOR_UNTIL(seen.packets >= 2);
	assert_true(count(server.asked, "GET /cam.jpg?q=1 ") >= 2);
	assert_int_equal(count(server.asked, "GET /1.jpg "), 1);
	assert_int_equal(count(server.asked, "GET /2.jpg "), 1);
	stop(camera);
}

static void test_h3_ten_in_a_row_are_enough(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD,                     PICTURE, PICTURE_BYTES, KEEP},
		{ "503 Busy\r\nRetry-After: 0", NULL,    0,             KEEP},
                { NULL,                         NULL,    0,             KEEP}
	};
	struct http_camera *camera = start("", script);

	(void)state;
	REACTOR_UNTIL(seen.ended);
	assert_int_equal(seen.end, SOURCE_BUSY);
	assert_int_equal(server.requests, 11);
	stop(camera);
}

/* --- H2: pictures as they should not be --- */

static void test_h2_truncated_pictures_are_counted_and_left_out(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD,  PICTURE,         PICTURE_BYTES,               KEEP },
		{ JPEG_HEAD, picture_q50_420, sizeof(picture_q50_420) / 2, KEEP },
		{ JPEG_HEAD, PICTURE,         PICTURE_BYTES,               KEEP },
		{ JPEG_HEAD, picture_q50_420, sizeof(picture_q50_420) - 1, CLOSE},
		{ JPEG_HEAD, picture_q50_420, 100,                         KEEP },
		{ JPEG_HEAD, PICTURE,         PICTURE_BYTES,               KEEP },
                { NULL,      NULL,            0,                           KEEP }
	};
	struct http_camera *camera = start("", script);

	(void)state;
	REACTOR_UNTIL(seen.packets >= 3);
	assert_int_equal(dropped(), 3);
	assert_true(seen.same && !seen.ended);
	assert_int_equal(seen.runs, 1);
	stop(camera);
}

/* The camera promises more than it sends before it closes. */
static void test_h2_a_connection_that_breaks_in_a_picture(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD,                            PICTURE,         PICTURE_BYTES, KEEP },
		{ JPEG_HEAD "\r\nContent-Length: 746", picture_q50_420, 300,           CLOSE},
		{ JPEG_HEAD,                           PICTURE,         PICTURE_BYTES, KEEP },
                { NULL,                                NULL,            0,             KEEP }
	};
	struct http_camera *camera = start("", script);

	(void)state;
	REACTOR_UNTIL(seen.packets >= 2);
	assert_int_equal(dropped(), 1);
	assert_true(seen.same && !seen.ended);
	stop(camera);
}

static void test_h2_a_change_of_size_begins_anew(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD,  PICTURE,         PICTURE_BYTES,           KEEP},
		{ JPEG_HEAD, picture_q20_420, sizeof(picture_q20_420), KEEP},
		{ JPEG_HEAD, picture_restart, sizeof(picture_restart), KEEP},
		{ NULL,      NULL,            0,                       KEEP}
	};
	struct http_camera *camera = start("", script);

	(void)state;
	REACTOR_UNTIL(seen.packets >= 3);
	assert_int_equal(seen.runs, 2); /* another quality is no other size */
	assert_int_equal(stream_track(stream, 0)->parameters->height, 32);
	assert_false(seen.ended);
	stop(camera);
}

static void test_h2_missing_huffman_tables_and_bytes_behind(void **state)
{
	static uint8_t bare[sizeof(picture_q50_420) + 20];
	struct answer script[] = {
		{JPEG_HEAD, bare, 0, KEEP},
                { NULL,     NULL, 0, KEEP}
	};
	struct http_camera *camera;
	size_t n = 0;

	(void)state;
	for (size_t at = 0; at < sizeof(picture_q50_420);) { /* all segments but DHT */
		const uint8_t *p = picture_q50_420 + at;
		size_t bytes = p[1] == 0xd8   ? 2
			       : p[1] == 0xda ? sizeof(picture_q50_420) - at
					      : 2 + ((size_t)p[2] << 8 | p[3]);

		if (p[1] != 0xc4) {
			memcpy(bare + n, p, bytes);
			n += bytes;
		}
		at += bytes;
	}
	memcpy(bare + n, "padding", 7);
	script[0].n = n + 7;
	camera = start("", script);
	REACTOR_UNTIL(seen.packets >= 1);
	assert_int_equal(seen.bytes[0], n + JPEG_HUFFMAN_BYTES);
	assert_int_equal(dropped(), 0);
	stop(camera);
}

/* --- H1: one answer without end --- */

/* The end of a stream that said what it is ends the camera. */
static void check_end_of_stream(const char *head)
{
	connection_close(server.connection, CLOSE_DONE);
	if (!strstr(head, "Content-Type: m"))
		return;
	REACTOR_UNTIL(seen.ended);
	assert_int_equal(seen.end, SOURCE_CLOSED);
}

static void test_h1_a_stream_whatever_its_type_is_called(void **state)
{
	static const struct {
		const char *head, *part;
	} rows[] = {
		{"200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=x",
                 "--x\r\nContent-Type: image/jpeg\r\n\r\n"                                                    },
		{ "200 OK\r\ncontent-type: Multipart/X-Mixed-Replace; boundary=\"--x\"",
                 "--x\ncontent-length: 1\n\n"								 },
		{ "200 OK\r\nContent-Type: multipart/x-mixed-replace",                   "\r\n\r\n--y\r\n\r\n"},
		{ "200 OK\r\nContent-Type: video/x-motion-jpeg",                         ""                   },
		{ "200 OK",							      "--x\r\n\r\n"        },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct evbuffer *body = evbuffer_new();
		struct answer script[] = {
			{rows[i].head, NULL, 0, STREAM},
                        { NULL,        NULL, 0, KEEP  }
		};
		struct http_camera *camera;

		for (int part = 0; part < 5; part++) {
			evbuffer_add_printf(body, "%s", rows[i].part);
			evbuffer_add(body, PICTURE, PICTURE_BYTES);
			evbuffer_add_printf(body, "\r\n");
		}
		script[0].body = evbuffer_pullup(body, -1);
		script[0].n = evbuffer_get_length(body);
		camera = start("", script);
		REACTOR_UNTIL(seen.packets >= 5);
		assert_true(seen.up && seen.same && !seen.ended);
		assert_int_equal(server.requests, 1);
		assert_int_equal(dropped(), 0);
		check_end_of_stream(rows[i].head);
		stop(camera);
		evbuffer_free(body);
	}
}

static void test_h1_a_chunked_stream(void **state)
{
	struct evbuffer *body = evbuffer_new();
	struct answer script[] = {
		{"200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=x\r\nTransfer-Encoding: chunked",
                 NULL,											       0, STREAM},
		{ NULL,											NULL, 0, KEEP  }
	};
	struct http_camera *camera;

	(void)state;
	for (int part = 0; part < 3; part++) { /* two chunks for a picture */
		evbuffer_add_printf(body, "65\r\n%s", "");
		evbuffer_add(body, picture_q50_420, 0x65);
		evbuffer_add_printf(body, "\r\n%zx;x=y\r\n", sizeof(picture_q50_420) - 0x65);
		evbuffer_add(body, picture_q50_420 + 0x65, sizeof(picture_q50_420) - 0x65);
		evbuffer_add_printf(body, "\r\n");
	}
	evbuffer_add_printf(body, "0\r\n\r\n");
	script[0].body = evbuffer_pullup(body, -1);
	script[0].n = evbuffer_get_length(body);
	camera = start("", script);
	REACTOR_UNTIL(seen.ended);
	assert_int_equal(seen.packets, 3);
	assert_true(seen.same);
	assert_int_equal(seen.end, SOURCE_CLOSED);
	stop(camera);
	evbuffer_free(body);
}

/* --- who may look --- */

#define BASIC "\r\nWWW-Authenticate: Basic realm=\"r\""
#define DIGEST_MD5 \
	"\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\""
#define DIGEST_SHA \
	"\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\""

static void test_the_strongest_offer_is_taken(void **state)
{
	static const struct {
		const char *head, *expected;
	} rows[] = {
		{"401 No" BASIC,                        "\r\nAuthorization: Basic YW5uYTpwdw==\r\n"},
		{ "401 No" BASIC DIGEST_MD5,            "response=\""                              },
		{ "401 No" BASIC DIGEST_SHA DIGEST_MD5, "algorithm=SHA-256"                        },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct answer script[] = {
			{rows[i].head, NULL,    0,             KEEP},
			{ JPEG_HEAD,   PICTURE, PICTURE_BYTES, KEEP},
                        { NULL,        NULL,    0,             KEEP}
		};
		struct http_camera *camera = start("anna:pw@", script);

		REACTOR_UNTIL(seen.packets >= 3);
		assert_false(seen.ended);
		assert_int_equal(count(server.asked, rows[i].expected), server.requests - 1);
		assert_true(!i || !strstr(server.asked, "Basic "));
		assert_true(!i || strstr(server.asked, "nc=00000002")); /* the nonce is used on */
		stop(camera);
	}
}

/* Cameras lock addresses out: a wrong password is sent once. */
static void test_how_it_ends(void **state)
{
	static const struct {
		const char *name, *user, *head;
		enum source_end end;
		unsigned requests;
	} rows[] = {
		{"no credentials",       "",     "401 No" DIGEST_MD5,                        SOURCE_UNAUTHORIZED, 1 },
		{ "a wrong password",    "u:p@", "401 No" DIGEST_MD5,                        SOURCE_UNAUTHORIZED, 2 },
		{ "wrong, by Basic",     "u:p@", "401 No" BASIC,                             SOURCE_UNAUTHORIZED, 2 },
		{ "no challenge",        "u:p@", "401 No",                                   SOURCE_UNAUTHORIZED, 1 },
		{ "forbidden",           "u:p@", "403 No",                                   SOURCE_UNAUTHORIZED, 1 },
		{ "unknown path",        "",     "404 Not Found",                            SOURCE_NOT_FOUND,    1 },
		{ "busy at once",        "",     "503 Busy\r\nRetry-After: 77",              SOURCE_BUSY,         1 },
		{ "round and round",     "",     "302 Found\r\nLocation: /other",            SOURCE_PROTOCOL,     4 },
		{ "to another protocol", "",     "302 Found\r\nLocation: ftp://127.0.0.1/x",
                 SOURCE_PROTOCOL,										 1 },
		{ "to nowhere",          "",     "302 Found",                                SOURCE_PROTOCOL,     1 },
		{ "no pictures",         "",     "200 OK\r\nContent-Type: text/html",        SOURCE_NO_VIDEO,     10},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct answer script[] = {
			{rows[i].head, "hello", 5, KEEP},
                        { NULL,        NULL,    0, KEEP}
		};
		struct http_camera *camera = start(rows[i].user, script);

		REACTOR_UNTIL(seen.ended);
		if (seen.end != rows[i].end || server.requests != rows[i].requests)
			print_error("%s: %s (%s) after %u requests\n", rows[i].name,
				source_end_metric(seen.end), seen.detail, server.requests);
		assert_int_equal(seen.end, rows[i].end);
		assert_int_equal(server.requests, rows[i].requests);
		assert_false(seen.up);
		assert_int_equal(retry_after_us, strstr(rows[i].head, "77") ? 77000000 : 0);
		stop(camera);
	}
}

static void test_a_redirect_within_the_host_keeps_the_credentials(void **state)
{
	static const struct answer script[] = {
		{"302 Found\r\nLocation: /moved.jpg", NULL,    0,             KEEP},
		{ "401 No" BASIC,                     NULL,    0,             KEEP},
                { JPEG_HEAD,                          PICTURE, PICTURE_BYTES, KEEP},
		{ NULL,			       NULL,    0,             KEEP}
	};
	struct http_camera *camera = start("anna:pw@", script);

	(void)state;
	REACTOR_UNTIL(seen.packets >= 1);
	assert_non_null(strstr(server.asked, "GET /moved.jpg HTTP/1.1\r\n"));
	assert_non_null(strstr(server.asked, "Authorization: Basic YW5uYTpwdw==\r\n"));
	stop(camera);
}

/* Another host that asks for a password gets none: here the same server by another address. */
static void test_a_redirect_to_another_host_gets_no_credentials(void **state)
{
	struct listener *other = listener_new("[::1]:0", true, server_on_accept, NULL);
	char head[100];
	const struct answer script[] = {
		{"401 No" BASIC,  NULL, 0, KEEP},
                { head,           NULL, 0, KEEP},
		{ "401 No" BASIC, NULL, 0, KEEP},
                { NULL,           NULL, 0, KEEP}
	};
	struct http_camera *camera;

	(void)state;
	if (!other)
		skip();
	snprintf(head, sizeof(head), "302 Found\r\nLocation: http://[::1]:%u/x.jpg",
		listener_port(other));
	camera = start("anna:pw@", script);
	REACTOR_UNTIL(seen.ended);
	assert_int_equal(seen.end, SOURCE_UNAUTHORIZED);
	assert_int_equal(server.requests, 3);
	assert_non_null(strstr(server.asked, "GET /x.jpg HTTP/1.1\r\nHost: [::1]:"));
	assert_int_equal(count(server.asked, "Authorization"), 1); /* of the second request */
	stop(camera);
	listener_free(other);
}

/* --- life --- */

static void test_it_may_be_freed_at_any_time(void **state)
{
	static const struct answer script[] = {
		{JPEG_HEAD,  PICTURE, PICTURE_BYTES, KEEP},
		{ JPEG_HEAD, PICTURE, PICTURE_BYTES, HOLD},
                { NULL,      NULL,    0,             KEEP}
	};
	struct http_camera *camera;

	(void)state;
	stop(start("", script));
	camera = start("", script);
	REACTOR_UNTIL(server.requests == 1);
	stop(camera);
	camera = start("", script);
	REACTOR_UNTIL(server.held == 1);
	stop(camera);
	assert_false(seen.ended);
}

static void test_a_url_without_sense_is_refused(void **state)
{
	const char *why = NULL;

	(void)state;
	assert_null(http_camera_new(
		&(struct source_order){ .url = "http://", .config = &config }, &why));
	assert_non_null(why);
}

static int setup(void **state)
{
	(void)state;
	reactor_init();
	stream = stream_new("porch");
	server.listener = listener_new("127.0.0.1:0", true, server_on_accept, NULL);
	return server.listener ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	listener_free(server.listener);
	stream_free(stream);
	reactor_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_h1_a_stream_whatever_its_type_is_called),
		cmocka_unit_test(test_h1_a_chunked_stream),
		cmocka_unit_test(test_h2_truncated_pictures_are_counted_and_left_out),
		cmocka_unit_test(test_h2_a_connection_that_breaks_in_a_picture),
		cmocka_unit_test(test_h2_a_change_of_size_begins_anew),
		cmocka_unit_test(test_h2_missing_huffman_tables_and_bytes_behind),
		cmocka_unit_test(test_h3_one_connection_serves_all_requests),
		cmocka_unit_test(test_h3_a_camera_that_closes_each_time),
		cmocka_unit_test(test_h3_never_two_requests_at_once),
		cmocka_unit_test(test_h3_a_503_is_a_beat_that_is_skipped),
		cmocka_unit_test(test_h3_retry_after_holds_for_the_next_beat),
		cmocka_unit_test(test_h3_answers_without_a_picture_are_not_borne_for_ever),
		cmocka_unit_test(test_h1_a_length_that_makes_no_sense_is_none),
		cmocka_unit_test(test_a_redirect_holds_for_one_request),
		cmocka_unit_test(test_h3_ten_in_a_row_are_enough),
		cmocka_unit_test(test_the_strongest_offer_is_taken),
		cmocka_unit_test(test_how_it_ends),
		cmocka_unit_test(test_a_redirect_within_the_host_keeps_the_credentials),
		cmocka_unit_test(test_a_redirect_to_another_host_gets_no_credentials),
		cmocka_unit_test(test_it_may_be_freed_at_any_time),
		cmocka_unit_test(test_a_url_without_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
