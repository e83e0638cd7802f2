/*
 * A stream of HTTP/2: the request that it carries, and its answer. Its head is put into the words of HTTP/1, so that both have
 * one parser and one set of checks.
 */
#include "protocols/http_v2_private.h"

#ifdef HAVE_NGHTTP2

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/file_pump.h"
#include "server/base/memory.h"

enum {
	HTTP2_COLLECTED = 4 << 20, /* bytes of bodies that are held whole; more: 503 */
	HTTP2_FIELDS = 64,         /* of an answer */
	HTTP2_WORDS = 128,         /* bytes that HTTP/1 adds to a head */
};

static size_t http2_streams; /* of all connections */

static struct metric *http2_metric(void)
{
	return metric_get(METRIC_HTTP2_STREAMS);
}

static void http2_stream_enter(struct http2_stream *s, enum http_state state)
{
	s->state = state;
	s->since_us = reactor_monotonic_us();
}

/* --- a stream's beginning and end --- */

/* There is more of the answer, or the end of it. */
static void http2_resume(struct http2_stream *s)
{
	(void)nghttp2_session_resume_data(s->http2->session, s->id); /* if it waits */
	http2_flush_later(s->http2);
}

static void http2_on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	(void)output;
	if (info->n_added)
		http2_resume(arg);
}

static struct evbuffer *http2_buffer_new(void)
{
	struct evbuffer *buffer = evbuffer_new();

	if (!buffer)
		abort();
	return buffer;
}

struct http2_stream *http2_stream_new(struct http2 *h, int32_t id)
{
	struct http2_stream *s = xcalloc(1, sizeof(*s));

	s->http2 = h;
	s->id = id;
	s->fields = http2_buffer_new();
	s->cookies = http2_buffer_new();
	s->input = http2_buffer_new();
	s->output = http2_buffer_new();
	(void)evbuffer_add_cb(s->output, http2_on_output, s);
	TAILQ_INSERT_TAIL(&h->streams, s, entry);
	h->n_streams++;
	http2_streams++;
	metric_add(http2_metric(), 1);
	http2_stream_enter(s, HTTP_READING);
	return s;
}

static void http2_stream_end_request(struct http2_stream *s)
{
	struct http_request *request = s->request;

	s->request = NULL;
	if (request)
		http_request_end(request);
}

size_t http2_stream_count(void)
{
	return http2_streams;
}

void http2_stream_free(struct http2_stream *s)
{
	struct http2 *h = s->http2;

	http2_stream_end_request(s);
	TAILQ_REMOVE(&h->streams, s, entry);
	h->n_streams--;
	h->idle_us = reactor_monotonic_us();
	http2_streams--;
	metric_add(http2_metric(), -1);
	(void)evbuffer_remove_cb(s->output, http2_on_output, s);
	evbuffer_free(s->fields);
	evbuffer_free(s->cookies);
	evbuffer_free(s->input);
	evbuffer_free(s->output);
	free(s->method);
	free(s->path);
	free(s->authority);
	free(s);
}

void http2_stream_reset(struct http2_stream *s, uint32_t error)
{
	http2_stream_end_request(s);
	http2_stream_enter(s, HTTP_DRAINING);
	(void)nghttp2_submit_rst_stream(s->http2->session, NGHTTP2_FLAG_NONE, s->id, error);
	http2_flush_later(s->http2);
}

/* --- the head --- */

/* A line's end in it would be another field in HTTP/1's words; nghttp2 lets none through. */
static bool http2_is_text(const uint8_t *p, size_t n)
{
	return !memchr(p, '\r', n) && !memchr(p, '\n', n) && !memchr(p, '\0', n);
}

static bool http2_name_is(const uint8_t *name, size_t n, const char *wanted)
{
	return n == strlen(wanted) && memcmp(name, wanted, n) == 0;
}

/* Where the value of a pseudo-header field belongs, or NULL. */
static char **http2_start_part(struct http2_stream *s, const uint8_t *name, size_t n)
{
	if (http2_name_is(name, n, ":method"))
		return &s->method;
	if (http2_name_is(name, n, ":path"))
		return &s->path;
	return http2_name_is(name, n, ":authority") ? &s->authority : NULL;
}

static void http2_add_field(struct http2_stream *s, const uint8_t *name, size_t name_bytes,
	const uint8_t *value, size_t value_bytes)
{
	bool is_same_host = s->authority && http2_name_is(name, name_bytes, "host") &&
			    http2_name_is(value, value_bytes, s->authority);

	if (http2_name_is(name, name_bytes, "cookie")) { /* comes in pieces (section 8.2.3) */
		(void)evbuffer_add_printf(s->cookies, "%s%.*s",
			evbuffer_get_length(s->cookies) ? "; " : "", (int)value_bytes,
			(const char *)value);
	} else if (!is_same_host) {
		s->n_fields++;
		(void)evbuffer_add_printf(s->fields, "%.*s: %.*s\r\n", (int)name_bytes,
			(const char *)name, (int)value_bytes, (const char *)value);
	}
}

void http2_stream_on_field(struct http2_stream *s, const uint8_t *name, size_t name_bytes,
	const uint8_t *value, size_t value_bytes)
{
	char **part;

	if (s->state != HTTP_READING || s->refused) /* trailers mean nothing */
		return;
	s->head_bytes += name_bytes + value_bytes + sizeof(": \r\n");
	part = http2_start_part(s, name, name_bytes);
	/* Host and Cookie come besides */
	if (s->head_bytes > MESSAGE_HEAD_BYTES - HTTP2_WORDS || s->n_fields >= MESSAGE_FIELDS - 2)
		s->refused = 431;
	else if (!http2_is_text(name, name_bytes) || !http2_is_text(value, value_bytes))
		s->refused = 400;
	else if (part && !*part)
		*part = xstrndup((const char *)value, value_bytes);
	else if (name_bytes && name[0] != ':')
		http2_add_field(s, name, name_bytes, value, value_bytes);
}

/* In the words of HTTP/1. */
static int http2_read_head(struct http2_stream *s, const char **why)
{
	struct evbuffer *text;
	int status;

	*why = s->refused == 431 ? "the head is too large" : "a field is malformed";
	if (s->refused)
		return s->refused;
	text = http2_buffer_new();
	(void)evbuffer_add_printf(
		text, "%s %s HTTP/2\r\n", s->method ? s->method : "", s->path ? s->path : "");
	if (s->authority)
		(void)evbuffer_add_printf(text, "Host: %s\r\n", s->authority);
	(void)evbuffer_add_buffer(text, s->fields);
	if (evbuffer_get_length(s->cookies)) {
		(void)evbuffer_add_printf(text, "Cookie: ");
		(void)evbuffer_add_buffer(text, s->cookies);
		(void)evbuffer_add_printf(text, "\r\n");
	}
	(void)evbuffer_add(text, "\r\n", 2);
	size_t n = evbuffer_get_length(text);
	status =
		http_request_read_head(s->request, (const char *)evbuffer_pullup(text, -1), n, why);
	evbuffer_free(text);
	return status;
}

static void http2_fail(struct http2_stream *s, int status, const char *why)
{
	http2_stream_enter(s, HTTP_ANSWERING);
	http_answer_error(s->request, status, "%s", why);
}

/* --- the body --- */

static void http2_continue(struct http2_stream *s)
{
	static uint8_t name[] = ":status", value[] = "100";
	const nghttp2_nv field = { name, value, sizeof(name) - 1, sizeof(value) - 1, 0 };

	(void)nghttp2_submit_headers(
		s->http2->session, NGHTTP2_FLAG_NONE, s->id, NULL, &field, 1, NULL);
	http2_flush_later(s->http2);
}

static size_t http2_collected(const struct http2 *h)
{
	const struct http2_stream *s;
	size_t bytes = 0;

	TAILQ_FOREACH (s, &h->streams, entry) {
		if (s->request)
			bytes += evbuffer_get_length(s->request->body);
	}
	return bytes;
}

/* Reads what came of the body. Returns 1: that was all, 0, or -1: it was refused. */
static int http2_read_body(struct http2_stream *s)
{
	size_t n = evbuffer_get_length(s->input);
	const char *why = NULL;
	int result;

	s->request->body_ended = s->ended;
	result = http_request_read_body(s->request, s->input, &why);
	(void)nghttp2_session_consume_stream(
		s->http2->session, s->id, n - evbuffer_get_length(s->input));
	if (result < 0) {
		http2_fail(s, -result, why);
		return -1;
	}
	return result;
}

static void http2_deliver(struct http2_stream *s)
{
	int result;

	if (s->body_paused)
		return;
	result = http2_read_body(s);
	if (result < 0)
		return;
	if (result > 0)
		http2_stream_enter(s, HTTP_ANSWERING);
	http_request_deliver(s->request, result > 0);
}

/* With the head read, and again with the body: the users may have changed while it came. */
static void http2_judge(struct http2_stream *s)
{
	struct http_request *request = s->request;

	if (!request->refused)
		http_request_judge(request);
	if (request->is_pending) {
		http2_stream_enter(s, HTTP_JUDGING);
	} else if (request->refused || request->body_whole || http_request_streams(request)) {
		request->owes_continue = http_request_expects_continue(request);
		http2_stream_enter(s, HTTP_ANSWERING);
		http_request_dispatch(request);
	} else {
		if (http_request_expects_continue(request))
			http2_continue(s);
		http2_stream_enter(s, HTTP_COLLECTING);
	}
}

static void http2_collect(struct http2_stream *s)
{
	int result = http2_read_body(s);

	if (result > 0)
		http2_judge(s);
	else if (result == 0 && http2_collected(s->http2) > HTTP2_COLLECTED)
		http2_fail(s, 503, "too many bodies come at once");
}

/* --- what comes --- */

static void http2_on_body(struct http2_stream *s)
{
	if (s->state == HTTP_COLLECTING)
		http2_collect(s);
	else if (s->state == HTTP_RECEIVING)
		http2_deliver(s);
}

static void http2_on_head(struct http2_stream *s)
{
	const char *why = NULL;
	int status;

	s->request = http_request_new(s->http2->connection);
	s->request->stream = s;
	s->request->body_ended = s->ended;
	status = http2_read_head(s, &why);
	if (status)
		http2_fail(s, status, why);
	else
		http2_judge(s);
}

void http2_stream_on_frame(struct http2_stream *s, bool is_last)
{
	s->ended |= is_last;
	if (s->state == HTTP_READING)
		http2_on_head(s);
	else
		http2_on_body(s);
}

void http2_stream_on_data(struct http2_stream *s, const uint8_t *p, size_t n)
{
	if (s->request && s->request->phase == HTTP_NOT_STARTED)
		(void)evbuffer_add(s->input, p, n);
}

void http2_stream_on_known(struct http2_stream *s)
{
	if (s->state != HTTP_JUDGING)
		return;
	http2_judge(s);
	http2_on_body(s);
}

/* --- what the handler wants of the body --- */

static void http2_receive(struct http_request *request)
{
	struct http2_stream *s = request->stream;

	if (request->owes_continue)
		http2_continue(s);
	request->owes_continue = false;
	s->came = 0;
	(void)nghttp2_session_set_local_window_size(
		s->http2->session, NGHTTP2_FLAG_NONE, s->id, HTTP_RECEIVE_BYTES);
	http2_flush_later(s->http2);
	http2_stream_enter(s, HTTP_RECEIVING);
	http2_deliver(s);
}

static void http2_set_body_paused(struct http_request *request, bool paused)
{
	struct http2_stream *s = request->stream;

	if (s->body_paused == paused)
		return;
	s->body_paused = paused;
	if (!paused) /* what waits is delivered then: when the handler has returned */
		http2_flush_later(s->http2);
}

/* --- the answer --- */

static struct evbuffer *http2_output(const struct http_request *request)
{
	return request->stream->output;
}

/* The next of the fields. nghttp2 has their names in lower case. */
static bool http2_next_field(char **at, char *end, nghttp2_nv *ret)
{
	char *colon = memchr(*at, ':', (size_t)(end - *at));
	char *line_end = colon ? memmem(colon, (size_t)(end - colon), "\r\n", 2) : NULL;

	if (!line_end)
		return false;
	*ret = (nghttp2_nv){
		.name = (uint8_t *)*at,
		.namelen = (size_t)(colon - *at),
		.value = (uint8_t *)colon + 2,
		.valuelen = (size_t)(line_end - colon - 2),
	};
	*at = line_end + 2;
	return true;
}

/* Gives nghttp2 as much of the answer as the peer's windows take: it is moved when it asks for it to be written. */
static ssize_t http2_on_read(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t most,
	uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct http2_stream *s = source->ptr;
	size_t n = evbuffer_get_length(s->output);

	(void)session, (void)id, (void)buffer, (void)arg;
	if (n == 0 && !s->is_complete)
		return NGHTTP2_ERR_DEFERRED; /* until http2_resume() */
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (most > HTTP2_BLOCK - HTTP2_FRAME_HEAD)
		most = HTTP2_BLOCK - HTTP2_FRAME_HEAD;
	if (n <= most && s->is_complete)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)(n < most ? n : most);
}

static void http2_start(struct http_request *request)
{
	struct http2_stream *s = request->stream;
	char status[12];
	nghttp2_nv fields[HTTP2_FIELDS] = {
		{.name = (uint8_t[]){ ":status" }, .namelen = 7}
	};
	nghttp2_data_provider provider = { .source.ptr = s, .read_callback = http2_on_read };
	bool has_body = !request->is_bodyless && request->bytes_left > 0;
	char *at = (char *)evbuffer_pullup(request->fields, -1);
	char *end = at + evbuffer_get_length(request->fields);
	size_t n = 1;

	fields[0].value = (uint8_t *)status;
	fields[0].valuelen = (size_t)snprintf(status, sizeof(status), "%d", request->status);
	while (http2_next_field(&at, end, &fields[n])) {
		n++;
		assert(n < HTTP2_FIELDS);
	}
	(void)evbuffer_drain(s->input, evbuffer_get_length(s->input));
	(void)nghttp2_submit_response(
		s->http2->session, s->id, fields, n, has_body ? &provider : NULL);
	http2_flush_later(s->http2);
}

static void http2_send(struct http_request *request, struct evbuffer *body)
{
	request->sent += evbuffer_get_length(body);
	(void)evbuffer_add_buffer(request->stream->output, body);
}

static void http2_pump(
	struct http_request *request, struct file_pump *pump, uint64_t at, uint64_t bytes)
{
	file_pump_fill(pump, request->stream->output, at, bytes);
}

static void http2_set_low_water(struct http_request *request, size_t low_water)
{
	request->stream->low_water = low_water;
}

static void http2_end(struct http_request *request)
{
	struct http2_stream *s = request->stream;

	s->is_complete = true;
	http2_resume(s);
	http2_stream_enter(s, HTTP_DRAINING);
	http2_stream_end_request(s);
}

static void http2_abort(struct http_request *request)
{
	http2_stream_reset(request->stream, NGHTTP2_INTERNAL_ERROR);
}

void http2_stream_move(struct http2_stream *s, uint8_t *to, size_t n)
{
	(void)evbuffer_remove(s->output, to, n);
	s->moved += n;
	s->took = true;
}

void http2_stream_tell_drained(struct http2_stream *s)
{
	struct http_request *request = s->request;

	if (!s->took)
		return;
	s->took = false;
	if (request && request->phase == HTTP_STARTED && request->on_drained &&
		evbuffer_get_length(s->output) <= s->low_water)
		request->on_drained(request->context);
}

void http2_stream_on_end_sent(struct http2_stream *s)
{
	s->end_sent = true;
	s->since_us = reactor_monotonic_us();
	if (!s->ended)
		http2_linger(s->http2);
}

void http2_stream_go_on(struct http2_stream *s)
{
	if (s->state == HTTP_RECEIVING)
		http2_deliver(s);
}

const struct http_carrier http2_carrier = {
	.output = http2_output,
	.start = http2_start,
	.send = http2_send,
	.pump = http2_pump,
	.set_low_water = http2_set_low_water,
	.end = http2_end,
	.abort = http2_abort,
	.receive = http2_receive,
	.set_body_paused = http2_set_body_paused,
};

/* --- what stands still --- */

static void http2_check_answer(struct http2_stream *s, int64_t now_us)
{
	if (s->end_sent && now_us - s->since_us >= HTTP_LINGER_US)
		http2_stream_reset(s, NGHTTP2_NO_ERROR);
	else if (s->end_sent)
		http2_linger(s->http2);
	else if (s->moved == s->seen && evbuffer_get_length(s->output) > 0 &&
		 now_us - s->since_us >= 2 * HTTP_STALLED_US)
		http2_stream_reset(s, NGHTTP2_CANCEL);
	else if (s->moved != s->seen || evbuffer_get_length(s->output) == 0)
		s->since_us = now_us;
	s->seen = s->moved;
}

/* The body comes so slowly that it only keeps a place occupied. */
static void http2_check_receiving(struct http2_stream *s, int64_t now_us)
{
	uint64_t came = s->request->received - s->came;

	if (now_us - s->since_us < HTTP_STALLED_US)
		return;
	s->came = s->request->received;
	s->since_us = now_us;
	if (!s->body_paused && came < HTTP_TRICKLE_BYTES)
		http2_fail(s, 408, "the body did not come in time");
}

void http2_stream_check(struct http2_stream *s, int64_t now_us)
{
	int64_t took_us = now_us - s->since_us;

	switch (s->state) {
	case HTTP_READING:
		if (took_us >= HTTP_HEAD_US)
			http2_stream_reset(s, NGHTTP2_CANCEL);
		break;
	case HTTP_JUDGING:
		if (took_us >= HTTP_STALLED_US)
			http2_fail(s, 503, "who asks could not be found out in time");
		break;
	case HTTP_COLLECTING:
		if (took_us >= HTTP_BODY_US)
			http2_fail(s, 408, "the request did not come in time");
		break;
	case HTTP_RECEIVING:
		http2_check_receiving(s, now_us);
		break;
	case HTTP_ANSWERING:
	case HTTP_DRAINING:
		http2_check_answer(s, now_us);
		break;
	case HTTP_WAITING:
	case HTTP_LINGERING:
	case HTTP_SHARED:
	case HTTP_CLOSED:
		break;
	}
}

#endif
