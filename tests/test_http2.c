/* HTTP/2 as nghttp2's own client and hostile bytes see it, by a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef HAVE_NGHTTP2

#include <event2/buffer.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>

#include "protocols/http_server.h"
#include "server/base/log.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/fake_connection.h"
#include "tests/http2_server.h"

#define SECOND_US INT64_C(1000000)

enum {
	ANSWERS = 1024,
	FIELDS_BYTES = 2048,
	TEXT_BYTES = 128,
	FRAME_HEAD_BYTES = 9,
	RECORD_BYTES = 16 << 10, /* the most of one (RFC 8446 section 5.1) */
	BLOCKS = 256,
	UNSENT_MOST = 128 << 10,   /* two pieces of /big */
	RECEIVED_MOST = 272 << 10, /* a window and a frame */
	PUT_BYTES = 3 << 20,
};

/* --- the client --- */

struct answer {
	int status;
	char fields[FIELDS_BYTES]; /* a line each */
	char text[TEXT_BYTES];     /* the beginning of the body, NUL-ended */
	size_t bytes;
	bool is_whole, is_closed;
	uint32_t error;
	bool continued;     /* 100 came */
	size_t to_send;     /* of the request's body */
	bool is_unfinished; /* of which the end is not said */
	bool is_reading;    /* gives back what it gets of the window */
};

static nghttp2_session *client;
static struct answer answers[ANSWERS]; /* by half their stream */
static int64_t goaway;                 /* the error of it, or -1 */

static struct answer *answer_of(int32_t id)
{
	assert_true(id > 0 && id / 2 < ANSWERS);
	return &answers[id / 2];
}

static int client_on_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_bytes, const uint8_t *value, size_t value_bytes,
	uint8_t flags, void *arg)
{
	struct answer *a = answer_of(frame->hd.stream_id);
	size_t n = strlen(a->fields);

	(void)session, (void)flags, (void)arg;
	if (name_bytes == 7 && memcmp(name, ":status", 7) == 0)
		a->status =
			atoi((const char *)value); // NOLINT(cert-err34-c): nghttp2 ends it with NUL
	if (a->status == 100)
		a->continued = true;
	(void)snprintf(a->fields + n, sizeof(a->fields) - n, "%.*s: %.*s\n", (int)name_bytes,
		(const char *)name, (int)value_bytes, (const char *)value);
	return 0;
}

static int client_on_chunk(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct answer *a = answer_of(id);

	(void)flags, (void)arg;
	for (size_t i = 0; i < n && a->bytes + i < sizeof(a->text) - 1; i++)
		a->text[a->bytes + i] = (char)p[i];
	a->bytes += n;
	(void)nghttp2_session_consume_connection(session, n);
	if (a->is_reading)
		(void)nghttp2_session_consume_stream(session, id, n);
	return 0;
}

static int client_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	(void)session, (void)arg;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		goaway = frame->goaway.error_code;
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
		(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		answer_of(frame->hd.stream_id)->is_whole = true;
	return 0;
}

static int client_on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	(void)session, (void)arg;
	answer_of(id)->is_closed = true;
	answer_of(id)->error = error;
	return 0;
}

static ssize_t client_on_body(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t most,
	uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct answer *a = answer_of(id);
	size_t n = a->to_send < most ? a->to_send : most;

	(void)session, (void)source, (void)arg;
	if (n == 0)
		return NGHTTP2_ERR_DEFERRED;
	memset(buffer, 'p', n);
	a->to_send -= n;
	if (a->to_send == 0 && !a->is_unfinished)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void client_new(void)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;

	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	assert_int_equal(nghttp2_option_new(&option), 0);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_close);
	assert_int_equal(nghttp2_session_client_new2(&client, callbacks, NULL, option), 0);
	assert_int_equal(nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, NULL, 0), 0);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	memset(answers, 0, sizeof(answers));
	goaway = -1;
}

/* Carries one round of bytes both ways. False: there were none. */
static bool carry(void)
{
	const uint8_t *p;
	ssize_t n = nghttp2_session_mem_send(client, &p);
	struct evbuffer *output;
	bool moved = n > 0;

	if (n > 0)
		fake_connection_feed(p, (size_t)n);
	fake_clock_set(fake_clock()); /* what is due at once */
	output = fake_connection_output();
	if (output && evbuffer_get_length(output)) {
		size_t bytes = evbuffer_get_length(output);

		moved = true;
		(void)nghttp2_session_mem_recv(client, evbuffer_pullup(output, -1), bytes);
		fake_connection_drain();
	}
	return moved;
}

static void converse(void)
{
	while (carry())
		;
	(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK); /* what has died is freed */
}

/* Time goes by, and whatever comes of it. */
static void wait_s(int seconds)
{
	for (int i = 0; i < seconds; i++) {
		fake_clock_set(fake_clock() + SECOND_US);
		converse();
	}
}

struct field {
	const char *name, *value;
};

/* nghttp2 copies them, and takes no const. */
static nghttp2_nv field_of(const char *name, const char *value)
{
	nghttp2_nv ret = { .namelen = strlen(name), .valuelen = strlen(value) };

	memcpy(&ret.name, &name, sizeof(ret.name));
	memcpy(&ret.value, &value, sizeof(ret.value));
	return ret;
}

/* Sends a request, with fields of the test's own and a body of so many bytes. Returns its stream. */
static int32_t ask_with(const char *method, const char *path, const struct field *more,
	size_t n_more, size_t body_bytes)
{
	nghttp2_nv fields[128] = {
		field_of(":method", method),
		field_of(":scheme", "https"),
		field_of(":path", path),
		field_of(":authority", "localhost"),
	};
	nghttp2_data_provider provider = { .read_callback = client_on_body };
	int32_t id;

	for (size_t i = 0; i < n_more; i++)
		fields[4 + i] = field_of(more[i].name, more[i].value);
	id = nghttp2_submit_request(
		client, NULL, fields, 4 + n_more, body_bytes ? &provider : NULL, NULL);
	answer_of(id)->to_send = body_bytes;
	answer_of(id)->is_reading = true;
	return id;
}

static int32_t ask(const char *method, const char *path)
{
	static const struct field none;

	return ask_with(method, path, &none, 0, 0);
}

static void assert_answer(int32_t id, int status, const char *text)
{
	const struct answer *a = answer_of(id);

	assert_int_equal(a->status, status);
	assert_string_equal(a->text, text);
	assert_true(a->is_whole);
	assert_int_equal(a->error, NGHTTP2_NO_ERROR);
}

static bool has_field(int32_t id, const char *line)
{
	return strstr(answer_of(id)->fields, line) != NULL;
}

/* Bytes past the client. */
static void feed_raw(const void *p, size_t n)
{
	fake_connection_feed(p, n);
	converse();
}

static void feed_frame(uint8_t type, uint8_t flags, uint32_t stream, const void *p, uint8_t n)
{
	const uint8_t head[FRAME_HEAD_BYTES] = { 0, 0, n, type, flags, 0, (uint8_t)(stream >> 16),
		(uint8_t)(stream >> 8), (uint8_t)stream };

	fake_connection_feed(head, sizeof(head));
	fake_connection_feed(p, n);
}

static double refused(const char *reason)
{
	return metric_value(metric_get(METRIC_HTTP2_REFUSED, reason));
}

static int set_up(void **state)
{
	(void)state;
	reactor_init();
	log_setup(LOG_ERROR, LOG_TEXT);
	http2_server_start();
	http2_server_connect();
	client_new();
	converse();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http2_server_stop();
	assert_int_equal(http2_server_requests(), 0);
	assert_true(metric_value(metric_get(METRIC_HTTP2_STREAMS)) == 0);
	assert_true(metric_value(metric_get(METRIC_SESSIONS, "http")) == 0);
	nghttp2_session_del(client);
	reactor_fini();
	metrics_fini();
	return 0;
}

/* --- requests and answers --- */

static void test_requests_are_answered_as_by_http1(void **state)
{
	int32_t get = ask("GET", "/hello"), head = ask("HEAD", "/hello");
	int32_t nothing = ask("GET", "/nothing"), wrong = ask("PUT", "/hello");
	int32_t unknown = ask("BREW", "/hello"), options = ask("OPTIONS", "/hello");

	(void)state;
	converse();
	assert_answer(get, 200, "hello");
	assert_true(has_field(get, "content-length: 5\n"));
	assert_true(has_field(get, "content-type: text/plain\n"));
	assert_true(has_field(get, "server: nvrd\n") && has_field(get, "date: "));
	assert_answer(head, 200, "");
	assert_true(has_field(head, "content-length: 5\n"));
	assert_answer(nothing, 404, "there is nothing of this name\n");
	assert_answer(wrong, 405, "this resource does not take this method\n");
	assert_true(has_field(wrong, "allow: OPTIONS, GET, HEAD\n"));
	assert_answer(unknown, 501, "this method is not known\n");
	assert_answer(options, 200, "");
	assert_int_equal(goaway, -1);
}

static void test_a_body_is_collected(void **state)
{
	static const struct field length[] = {
		{"content-length", "5"}
	};
	static const struct field none;
	int32_t known = ask_with("PROPFIND", "/echo", length, 1, 5);
	int32_t unknown = ask_with("PROPFIND", "/echo", &none, 0, 7);
	int32_t large = ask_with("PROPFIND", "/echo", &none, 0, HTTP_BODY_BYTES + 1);
	int32_t most = ask_with("PROPFIND", "/echo", &none, 0, HTTP_BODY_BYTES);

	(void)state;
	converse();
	assert_answer(known, 207, "ppppp");
	assert_answer(unknown, 207, "ppppppp");
	assert_answer(large, 413, "the body is too large\n");
	assert_int_equal(answer_of(most)->status, 207);
	assert_int_equal(answer_of(most)->bytes, HTTP_BODY_BYTES);
}

/* Each may have a megabyte, and none comes to its end. */
static void test_bodies_that_are_collected_are_bounded_together(void **state)
{
	static const struct field none;
	int32_t ids[6];
	size_t n_refused = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
		ids[i] = ask_with("PROPFIND", "/echo", &none, 0, HTTP_BODY_BYTES);
		answer_of(ids[i])->is_unfinished = true;
	}
	converse();
	for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
		n_refused += answer_of(ids[i])->status == 503;
	assert_in_range(n_refused, 1, 2); /* of six, when four are too many */
	assert_true(fake_connection_is_open());
}

static void test_cookies_come_in_pieces(void **state)
{
	static const struct field cookies[] = {
		{"cookie",  "a=1"},
                { "cookie", "b=2"}
	};
	int32_t id = ask_with("GET", "/hello", cookies, 2, 0);

	(void)state;
	converse();
	assert_answer(id, 200, "a=1; b=2");
}

static void test_the_host_is_said_once(void **state)
{
	static const struct field same[] = {
		{"host", "localhost"}
	};
	static const struct field other[] = {
		{"host", "elsewhere"}
	};
	int32_t fine = ask_with("GET", "/hello", same, 1, 0);
	int32_t wrong = ask_with("GET", "/hello", other, 1, 0);

	(void)state;
	converse();
	assert_answer(fine, 200, "hello");
	assert_answer(wrong, 400, "there must be one Host field\n");
}

static void test_a_target_is_one_word(void **state)
{
	static const char *const targets[] = { "/hello world", "/hello HTTP/2", "hello",
		"/hello\r\nx: y", "/\x7f", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
		int32_t id = ask("GET", targets[i]);

		converse();
		assert_true(answer_of(id)->status == 400 || answer_of(id)->status == 404 ||
			    answer_of(id)->error == NGHTTP2_PROTOCOL_ERROR);
	}
}

static void test_heads_are_bounded(void **state)
{
	static char value[40000], path[6000];
	struct field fields[110];
	int32_t large, many, path_id;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	memset(path, '/', sizeof(path) - 1);
	fields[0] = (struct field){ "x", value };
	large = ask_with("GET", "/hello", fields, 1, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++)
		fields[i] = (struct field){ "x", "y" };
	many = ask_with("GET", "/hello", fields, ARRAY_LENGTH(fields), 0);
	path_id = ask("GET", path);
	converse();
	assert_answer(large, 431, "the head is too large\n");
	assert_answer(many, 431, "the head is too large\n");
	assert_answer(path_id, 414, "the target is too long\n");
}

static void test_a_tunnel_stays_with_http1(void **state)
{
	static const struct field cookie[] = {
		{"x-sessioncookie", "1"}
	};
	int32_t id = ask_with("GET", "/hello", cookie, 1, 0);

	(void)state;
	http_set_tunnel((void (*)(void *, struct http_request *))abort, NULL);
	converse();
	http_set_tunnel(NULL, NULL);
	assert_answer(id, 200, "hello");
}

static void test_an_answer_that_is_broken_off_ends_its_stream(void **state)
{
	int32_t broken = ask("GET", "/abort"), other = ask("GET", "/hello");

	(void)state;
	converse();
	assert_int_equal(answer_of(broken)->error, NGHTTP2_INTERNAL_ERROR);
	assert_false(answer_of(broken)->is_whole);
	assert_answer(other, 200, "hello");
}

/* --- many at once --- */

static void test_a_stalled_stream_does_not_stop_the_others(void **state)
{
	int32_t stalled = ask("GET", "/big"), ticks = ask("GET", "/ticks");
	int32_t other = ask("GET", "/big"), small;

	(void)state;
	answer_of(stalled)->is_reading = false;
	answer_of(ticks)->is_reading = false; /* endless, and nobody wants it */
	converse();
	wait_s(30);
	small = ask("GET", "/hello");
	converse();
	assert_answer(small, 200, "hello");
	assert_true(answer_of(other)->is_whole);
	assert_int_equal(answer_of(other)->bytes, HTTP2_BIG_BYTES);
	assert_int_equal(answer_of(stalled)->bytes, NGHTTP2_INITIAL_WINDOW_SIZE);
	assert_int_equal(answer_of(ticks)->bytes, 30 * 5);
	assert_true(http2_server_most_unsent() <= UNSENT_MOST);
	answer_of(stalled)->is_reading = true;
	(void)nghttp2_session_consume_stream(client, stalled, NGHTTP2_INITIAL_WINDOW_SIZE);
	converse();
	assert_int_equal(answer_of(stalled)->bytes, HTTP2_BIG_BYTES);
	assert_true(answer_of(stalled)->is_whole);
}

static void test_a_stream_that_takes_nothing_is_reset(void **state)
{
	int32_t stalled = ask("GET", "/big"), never = ask("GET", "/never");

	(void)state;
	answer_of(stalled)->is_reading = false;
	converse();
	wait_s(55);
	assert_false(answer_of(stalled)->is_closed);
	wait_s(30);
	assert_int_equal(answer_of(stalled)->error, NGHTTP2_CANCEL);
	assert_int_equal(http2_server_requests(), 1);
	assert_false(answer_of(never)->is_closed);
	assert_true(fake_connection_is_open());
}

/* From now on the windows bound nothing. */
static void widen(void)
{
	static const nghttp2_settings_entry wide = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
		1 << 24 };

	(void)nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, &wide, 1);
	(void)nghttp2_session_set_local_window_size(client, NGHTTP2_FLAG_NONE, 0, 1 << 24);
	converse();
}

static void test_streams_are_served_in_turn(void **state)
{
	static const struct field urgent[] = {
		{"priority", "u=0"}
	};
	static const struct field idle[] = {
		{"priority", "u=7"}
	};
	int32_t first, second;

	(void)state;
	widen();
	first = ask_with("GET", "/big", urgent, 1, 0);
	second = ask_with("GET", "/big", idle, 1, 0);
	while (carry() && answer_of(first)->bytes < HTTP2_BIG_BYTES / 2)
		;
	assert_true(answer_of(second)->bytes > HTTP2_BIG_BYTES / 4);
}

/* libevent gives TLS one block after the other: each makes records of its own, and each record a write(2). */
static void test_an_answer_of_many_blocks_makes_few_records(void **state)
{
	struct evbuffer_iovec blocks[BLOCKS];
	size_t records = 0;
	const uint8_t *p;
	ssize_t n;

	(void)state;
	widen();
	(void)ask("GET", "/part");
	n = nghttp2_session_mem_send(client, &p);
	fake_connection_feed(p, (size_t)n);
	fake_clock_set(fake_clock());
	assert_true(evbuffer_get_length(fake_connection_output()) > HTTP2_PART_BYTES);
	n = evbuffer_peek(fake_connection_output(), -1, NULL, blocks, BLOCKS);
	assert_in_range(n, 1, BLOCKS);
	for (ssize_t i = 0; i < n; i++)
		records += (blocks[i].iov_len + RECORD_BYTES - 1) / RECORD_BYTES;
	assert_in_range(
		records, HTTP2_PART_BYTES / RECORD_BYTES + 1, HTTP2_PART_BYTES / RECORD_BYTES + 2);
}

static void test_a_client_that_takes_nothing_is_gone(void **state)
{
	const uint8_t *p;
	ssize_t n;

	(void)state;
	widen();
	for (int i = 0; i < 4; i++)
		(void)ask("GET", "/big");
	n = nghttp2_session_mem_send(client, &p);
	fake_connection_feed(p, (size_t)n); /* and its answer stays where it is */
	for (int i = 0; i < 100; i++) {
		fake_clock_set(fake_clock() + SECOND_US);
		if (i < 50)
			assert_in_range(evbuffer_get_length(fake_connection_output()), 1, 96 << 10);
	}
	assert_false(fake_connection_is_open());
}

static void test_there_is_a_limit_of_streams(void **state)
{
	int32_t id = 0;

	(void)state;
	assert_int_equal(nghttp2_session_get_remote_settings(
				 client, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
		100);
	for (int i = 0; i < 101; i++)
		id = ask("GET", "/never");
	converse();
	assert_int_equal(http2_server_requests(), 100);
	assert_true(metric_value(metric_get(METRIC_HTTP2_STREAMS)) == 100);
	(void)nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, 1, NGHTTP2_CANCEL);
	converse();
	assert_int_equal(http2_server_requests(), 100); /* the last one has its turn */
	assert_false(answer_of(id)->is_closed);
}

/* --- uploads --- */

/* The fake forgets the connections before; the server does not. */
static void test_there_is_a_limit_of_all_streams(void **state)
{
	int32_t ids[100];

	(void)state;
	for (int n = 0; n < 2048; n++) {
		if (n && n % 100 == 0) {
			nghttp2_session_del(client);
			http2_server_connect();
			client_new();
			converse();
		}
		ids[n % 100] = ask("GET", "/never");
		converse();
	}
	assert_int_equal(http2_server_requests(), 2048);
	assert_false(answer_of(ids[47])->is_closed);
	ids[48] = ask("GET", "/hello");
	converse();
	assert_int_equal(answer_of(ids[48])->error, NGHTTP2_REFUSED_STREAM);
	assert_true(refused("streams") == 1);
	(void)nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, ids[0], NGHTTP2_CANCEL);
	converse();
	ids[49] = ask("GET", "/hello");
	converse();
	assert_answer(ids[49], 200, "hello");
}

static void test_an_upload_goes_as_fast_as_it_is_taken(void **state)
{
	static const struct field none;
	int32_t slow = ask_with("PUT", "/put-slow", &none, 0, PUT_BYTES);
	int32_t quick = ask_with("PUT", "/put", &none, 0, PUT_BYTES);

	(void)state;
	converse();
	assert_answer(quick, 200, "3145728 bytes");
	assert_false(answer_of(slow)->is_whole); /* the clock stands */
	assert_true(answer_of(slow)->to_send > PUT_BYTES / 2);
	for (int i = 0; i < 1000 && !answer_of(slow)->is_whole; i++) {
		fake_clock_set(fake_clock() + SECOND_US / 50);
		converse();
	}
	assert_answer(slow, 200, "3145728 bytes");
	assert_true(http2_server_most_received() <= RECEIVED_MOST);
}

static void test_an_upload_may_be_refused_or_wait_to_be_asked(void **state)
{
	static const struct field expect[] = {
		{"expect", "100-continue"}
	};
	static const struct field none, large[] = {
		{"content-length", "99000000"}
	};
	int32_t no = ask_with("PUT", "/put-no", &none, 0, PUT_BYTES);
	int32_t yes = ask_with("PUT", "/put", expect, 1, 10);
	int32_t too_large = ask_with("PUT", "/put", large, 1, 99000000);
	int32_t unknown = ask_with("PUT", "/put", &none, 0, 17 << 20);

	(void)state;
	converse();
	assert_answer(no, 412, "no\n");
	assert_true(answer_of(no)->to_send > PUT_BYTES - RECEIVED_MOST);
	assert_false(answer_of(no)->is_closed); /* it has a moment to look at the answer */
	wait_s(3);
	assert_true(answer_of(no)->is_closed);
	assert_int_equal(answer_of(no)->error, NGHTTP2_NO_ERROR);
	assert_true(answer_of(yes)->continued);
	assert_answer(yes, 200, "10 bytes");
	assert_answer(too_large, 413, "the body is too large\n");
	assert_answer(unknown, 413, "the body is too large\n");
}

static void test_an_upload_that_trickles_is_given_up(void **state)
{
	static const struct field none;
	int32_t id = ask_with("PUT", "/put", &none, 0, 1);

	(void)state;
	answer_of(id)->to_send = 0;
	converse();
	wait_s(25);
	assert_int_equal(answer_of(id)->status, 0);
	wait_s(20);
	assert_answer(id, 408, "the body did not come in time\n");
}

/* --- ends --- */

/* A connection's output when it is gone, but not freed yet: it says that all is well. */
static void read_farewell(struct evbuffer *output)
{
	size_t n = evbuffer_get_length(output);

	assert_true(n >= FRAME_HEAD_BYTES + 8);
	(void)nghttp2_session_mem_recv(client, evbuffer_pullup(output, -1), n);
	assert_int_equal(goaway, NGHTTP2_NO_ERROR);
}

static void test_an_idle_connection_ends_with_goaway(void **state)
{
	int32_t never = ask("GET", "/never");
	struct evbuffer *output;

	(void)state;
	converse();
	wait_s(300);
	assert_true(fake_connection_is_open());
	(void)nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, never, NGHTTP2_CANCEL);
	converse();
	wait_s(55);
	assert_true(fake_connection_is_open());
	assert_int_equal(goaway, -1);
	output = fake_connection_output();
	fake_clock_set(fake_clock() + 20 * SECOND_US);
	assert_false(fake_connection_is_open());
	read_farewell(output);
}

static void test_half_a_head_is_not_waited_for(void **state)
{
	static const uint8_t get[] = { 0x82 };

	(void)state;
	feed_frame(NGHTTP2_HEADERS, 0, 1, get, sizeof(get));
	assert_true(metric_value(metric_get(METRIC_HTTP2_STREAMS)) == 1);
	wait_s(30);
	assert_true(metric_value(metric_get(METRIC_HTTP2_STREAMS)) == 0);
	wait_s(80);
	assert_false(fake_connection_is_open());
}

static void test_the_end_of_the_server_is_said(void **state)
{
	struct evbuffer *output;

	(void)state;
	(void)ask("GET", "/never");
	converse();
	output = fake_connection_output();
	http2_server_stop();
	assert_int_equal(http2_server_requests(), 0);
	read_farewell(output);
	http2_server_start();
}

/* --- abuse --- */

static void test_taking_back_requests_quickly_ends_it(void **state)
{
	(void)state;
	for (int i = 0; i < 300 && fake_connection_is_open(); i++) {
		int32_t id = ask("GET", "/never");

		(void)carry();
		(void)nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
		(void)carry();
		assert_true(id / 2 <= 110);
	}
	converse();
	assert_false(fake_connection_is_open());
	assert_true(refused("resets") == 1);
}

static void test_taking_back_requests_now_and_then_is_fine(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		int32_t id = ask("GET", "/never");

		converse();
		(void)nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
		fake_clock_set(fake_clock() + SECOND_US / 10);
		converse();
	}
	wait_s(20);
	(void)ask("GET", "/abort");
	converse();
	int32_t id = ask("GET", "/hello");
	converse();
	assert_answer(id, 200, "hello");
	assert_int_equal(goaway, -1);
}

/* Streams beyond the limit, of which the client does not say that it knows. */
static void test_a_flood_of_requests_ends_it(void **state)
{
	static const char preface[] =
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0"; /* and a NUL */
	static const char head[] = "\x82\x87\x04\x06/never\x01\x09localhost";

	(void)state;
	http2_server_connect();
	fake_connection_feed(preface, sizeof(preface));
	for (uint32_t n = 0; n < 20000 && fake_connection_is_open(); n++)
		feed_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM,
			2 * n + 1, head, sizeof(head) - 1);
	assert_false(fake_connection_is_open());
	assert_true(refused("flood") == 1);
}

/* The peer takes nothing of what it asks for. */
static void test_floods_end_it(void **state)
{
	static const uint8_t ping[8];
	static const struct {
		uint8_t type, bytes;
	} kinds[] = {
		{NGHTTP2_PING,      8},
		{ NGHTTP2_SETTINGS, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		size_t most = 0;

		for (int n = 0; n < 100000 && fake_connection_is_open(); n++) {
			feed_frame(kinds[i].type, 0, 0, ping, kinds[i].bytes);
			if (fake_connection_output())
				most = evbuffer_get_length(fake_connection_output());
		}
		assert_false(fake_connection_is_open());
		assert_true(most < 100 << 10);
		assert_true(refused("flood") == (double)i + 1);
		nghttp2_session_del(client);
		http2_server_connect();
		client_new();
		converse();
	}
}

static void test_a_head_without_end_ends_it(void **state)
{
	static const uint8_t field[] = { 0x82 };

	(void)state;
	feed_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, field, sizeof(field));
	for (int i = 0; i < 100 && fake_connection_is_open(); i++)
		feed_frame(NGHTTP2_CONTINUATION, 0, 1, field, sizeof(field));
	converse();
	assert_false(fake_connection_is_open());
}

static void test_what_is_not_http2_ends_it(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

	(void)state;
	http2_server_connect();
	feed_raw(request, sizeof(request) - 1);
	assert_false(fake_connection_is_open());
	assert_true(refused("malformed") == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_requests_are_answered_as_by_http1),
		TEST(test_a_body_is_collected),
		TEST(test_bodies_that_are_collected_are_bounded_together),
		TEST(test_cookies_come_in_pieces),
		TEST(test_the_host_is_said_once),
		TEST(test_a_target_is_one_word),
		TEST(test_heads_are_bounded),
		TEST(test_a_tunnel_stays_with_http1),
		TEST(test_an_answer_that_is_broken_off_ends_its_stream),
		TEST(test_a_stalled_stream_does_not_stop_the_others),
		TEST(test_a_stream_that_takes_nothing_is_reset),
		TEST(test_streams_are_served_in_turn),
		TEST(test_an_answer_of_many_blocks_makes_few_records),
		TEST(test_a_client_that_takes_nothing_is_gone),
		TEST(test_there_is_a_limit_of_streams),
		TEST(test_there_is_a_limit_of_all_streams),
		TEST(test_an_upload_goes_as_fast_as_it_is_taken),
		TEST(test_an_upload_may_be_refused_or_wait_to_be_asked),
		TEST(test_an_upload_that_trickles_is_given_up),
		TEST(test_an_idle_connection_ends_with_goaway),
		TEST(test_half_a_head_is_not_waited_for),
		TEST(test_the_end_of_the_server_is_said),
		TEST(test_taking_back_requests_quickly_ends_it),
		TEST(test_taking_back_requests_now_and_then_is_fine),
		TEST(test_a_flood_of_requests_ends_it),
		TEST(test_floods_end_it),
		TEST(test_a_head_without_end_ends_it),
		TEST(test_what_is_not_http2_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
	return 77; /* nvrd is built without it */
}

#endif
