/*
 * HTTP/2 (RFC 9113) by libnghttp2: the streams of a connection, each of which carries one request and its answer. A head is
 * put into the words of HTTP/1, so that both have one parser and one set of checks. All streams are served in turn, whatever
 * priority the client would give them: an endless one must not stop the others.
 */
#include "protocols/http_private.h"

#ifdef HAVE_NGHTTP2

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <nghttp2/nghttp2.h>

#include "protocols/file_pump.h"
#include "server/base/memory.h"

enum {
	HTTP2_STREAMS = 100,         /* of a connection */
	HTTP2_ALL_STREAMS = 2048,    /* of all connections; more are refused */
	HTTP2_OUTPUT = 64 << 10,     /* bytes in the socket's buffer; then the streams wait */
	HTTP2_WINDOW = 64 << 10,     /* of a body that nobody has asked for yet */
	HTTP2_ALL_WINDOWS = 4 << 20, /* of a connection; it never waits for one stream */
	HTTP2_COLLECTED = 4 << 20,   /* bytes of bodies that are held whole; more: 503 */
	HTTP2_FRAMES = 1000,         /* for a peer who takes nothing; more are a flood */
	HTTP2_RESETS = 100,          /* that may come at once */
	HTTP2_RESET_US = 100000,     /* how often one more is forgiven */
	HTTP2_FIELDS = 64,           /* of an answer */
	HTTP2_WORDS = 128,           /* bytes that HTTP/1 adds to a head */
	HTTP2_FRAME_HEAD = 9,
	HTTP2_BLOCK = (16 << 10) - 64, /* one record of TLS; with libevent's own head 16 KiB */
};

struct http2 {
	struct http_connection *connection;
	nghttp2_session *session;
	struct event *flush_timer; /* writes what the handlers have left, once they have returned */
	TAILQ_HEAD(, http2_stream) streams;
	size_t n_streams;
	int64_t idle_us;  /* since when there are none */
	bool lingers;     /* an answer is out, its request is not: the timer comes earlier */
	uint64_t written; /* into the socket's buffer */
	uint64_t taken;   /* out of it, when the timer last looked */
	int64_t taken_us; /* when the peer took something, or had nothing to take */
	unsigned resets;  /* not forgiven yet */
	int64_t reset_us;
};

struct http2_stream {
	TAILQ_ENTRY(http2_stream) entry;
	struct http2 *http2;
	int32_t id;
	enum http_state state;
	int64_t since_us;             /* of the state, or of its last progress */
	struct http_request *request; /* owned; NULL before and after */

	/* the head, until it is whole */
	char *method, *path, *authority;
	struct evbuffer *fields, *cookies;
	size_t head_bytes, n_fields;
	int refused; /* a status, or 0 */

	/* the body */
	struct evbuffer *input; /* what came and has not been read; its window is not given back */
	bool ended;             /* no more comes */
	bool body_paused;
	uint64_t came; /* of it, when the timer last looked */

	/* the answer */
	struct evbuffer *output; /* the owner of the request bounds it, as that of a connection */
	size_t low_water;
	bool is_complete; /* no more of it comes */
	bool end_sent;
	bool took;            /* nghttp2 has taken some of it: its owner is told */
	uint64_t moved, seen; /* out of it; that when the timer last looked */
};

static size_t http2_streams; /* of all connections */

static struct metric *http2_metric(void)
{
	return metric_get(METRIC_HTTP2_STREAMS);
}

static void http2_count_refused(const char *reason)
{
	metric_add(metric_get(METRIC_HTTP2_REFUSED, reason), 1);
}

static void http2_stream_enter(struct http2_stream *s, enum http_state state)
{
	s->state = state;
	s->since_us = reactor_monotonic_us();
}

static void http2_flush_later(struct http2 *h)
{
	reactor_timer_start(h->flush_timer, 0);
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

static struct http2_stream *http2_stream_new(struct http2 *h, int32_t id)
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

static void http2_stream_free(struct http2_stream *s)
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

static void http2_stream_reset(struct http2_stream *s, uint32_t error)
{
	http2_stream_end_request(s);
	http2_stream_enter(s, HTTP_DRAINING);
	(void)nghttp2_submit_rst_stream(s->http2->session, NGHTTP2_FLAG_NONE, s->id, error);
	http2_flush_later(s->http2);
}

static struct http2_stream *http2_stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
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

static int http2_on_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_bytes, const uint8_t *value, size_t value_bytes,
	uint8_t flags, void *arg)
{
	struct http2_stream *s = http2_stream_of(session, frame->hd.stream_id);
	char **part;

	(void)flags, (void)arg;
	if (!s || s->state != HTTP_READING || s->refused) /* trailers mean nothing */
		return 0;
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
	return 0;
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

static void http2_on_body(struct http2_stream *s)
{
	if (s->state == HTTP_COLLECTING)
		http2_collect(s);
	else if (s->state == HTTP_RECEIVING)
		http2_deliver(s);
}

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

/* --- what nghttp2 tells --- */

static int http2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	static const nghttp2_extpri in_turn = { .urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY,
		.inc = 1 };
	struct http2 *h = arg;
	int32_t id = frame->hd.stream_id;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST || h->resets >= HTTP2_RESETS)
		return 0;
	if (http2_streams >= HTTP2_ALL_STREAMS) {
		http2_count_refused("streams");
		return nghttp2_submit_rst_stream(
			session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
	}
	(void)nghttp2_session_set_stream_user_data(session, id, http2_stream_new(h, id));
	(void)nghttp2_session_change_extpri_stream_priority(session, id, &in_turn, 1);
	return 0;
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

static int http2_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct http2_stream *s;

	(void)arg;
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	s = http2_stream_of(session, frame->hd.stream_id);
	if (!s)
		return 0;
	s->ended |= (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	if (s->state == HTTP_READING)
		http2_on_head(s);
	else
		http2_on_body(s);
	return 0;
}

static int http2_on_data_chunk(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct http2_stream *s = http2_stream_of(session, id);

	(void)flags, (void)arg;
	(void)nghttp2_session_consume_connection(session, n);
	/* what comes for nobody does not get its window back, so that no more of it comes */
	if (s && s->request && s->request->phase == HTTP_NOT_STARTED)
		(void)evbuffer_add(s->input, p, n);
	return 0;
}

/* Requests that are taken back, or made to be reset, cost us more than who sends them (CVE-2023-44487, CVE-2025-8671). */
static void http2_count_reset(struct http2 *h)
{
	int64_t now_us = reactor_monotonic_us();
	uint64_t forgiven = (uint64_t)(now_us - h->reset_us) / HTTP2_RESET_US;

	h->resets = forgiven < h->resets ? h->resets - (unsigned)forgiven : 0;
	h->reset_us += (int64_t)forgiven * HTTP2_RESET_US;
	if (++h->resets != HTTP2_RESETS)
		return;
	http2_count_refused("resets");
	log_debug(&h->connection->log, "too many requests were taken back");
	(void)nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

static int http2_on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct http2 *h = arg;
	struct http2_stream *s = http2_stream_of(session, id);

	(void)error;
	if (!s)
		return 0;
	if (!s->end_sent)
		http2_count_reset(h);
	http2_stream_free(s);
	return 0;
}

/*
 * An answer that did not wait for the body wants no more of it (section 8.1). The peer may take it back, and is told to after a
 * moment: curl 7.88 loses an answer right behind which its stream is reset.
 */
static void http2_linger(struct http2 *h)
{
	if (!h->lingers)
		reactor_timer_start(h->connection->timer, HTTP_LINGER_US);
	h->lingers = true;
}

static void http2_on_end_sent(nghttp2_session *session, int32_t id)
{
	struct http2_stream *s = http2_stream_of(session, id);

	if (!s)
		return;
	s->end_sent = true;
	s->since_us = reactor_monotonic_us();
	if (!s->ended)
		http2_linger(s->http2);
}

static int http2_on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	(void)arg;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			http2_on_end_sent(session, frame->hd.stream_id);
		break;
	case NGHTTP2_GOAWAY:
		if (frame->goaway.error_code != NGHTTP2_NO_ERROR &&
			frame->goaway.error_code != NGHTTP2_ENHANCE_YOUR_CALM)
			http2_count_refused("malformed");
		break;
	default:
		break;
	}
	return 0;
}

/* --- writing --- */

static bool http2_is_full(const struct http2 *h)
{
	return evbuffer_get_length(connection_output(h->connection->socket)) >= HTTP2_OUTPUT;
}

static ssize_t http2_on_send(
	nghttp2_session *session, const uint8_t *p, size_t n, int flags, void *arg)
{
	struct http2 *h = arg;

	(void)session, (void)flags;
	if (http2_is_full(h))
		return NGHTTP2_ERR_WOULDBLOCK;
	connection_write(h->connection->socket, p, n);
	h->written += n;
	return (ssize_t)n;
}

/*
 * A frame of DATA: its head, and what http2_on_read() has promised, in one block. There is no padding. To copy it costs less than
 * what each block of the answer (a picture, in HLS) would: a record of TLS and a write(2).
 */
static int http2_on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
	size_t n, nghttp2_data_source *source, void *arg)
{
	struct http2 *h = arg;
	struct http2_stream *s = source->ptr;
	struct evbuffer *out = connection_output(h->connection->socket);
	struct evbuffer_iovec block;

	(void)session, (void)frame;
	if (http2_is_full(h))
		return NGHTTP2_ERR_WOULDBLOCK;
	if (evbuffer_reserve_space(out, (ev_ssize_t)(HTTP2_FRAME_HEAD + n), &block, 1) != 1)
		abort();
	memcpy(block.iov_base, head, HTTP2_FRAME_HEAD);
	(void)evbuffer_remove(s->output, (uint8_t *)block.iov_base + HTTP2_FRAME_HEAD, n);
	block.iov_len = HTTP2_FRAME_HEAD + n;
	(void)evbuffer_commit_space(out, &block, 1);
	h->written += HTTP2_FRAME_HEAD + n;
	s->moved += n;
	s->took = true;
	return 0;
}

static void http2_tell_drained(struct http2_stream *s)
{
	struct http_request *request = s->request;

	if (!s->took)
		return;
	s->took = false;
	if (request && request->phase == HTTP_STARTED && request->on_drained &&
		evbuffer_get_length(s->output) <= s->low_water)
		request->on_drained(request->context);
}

/* Writes what there is room for, then has the handlers go on. The connection may end here. */
static void http2_flush(struct http2 *h)
{
	struct http_connection *c = h->connection;
	struct http2_stream *s;

	/* no stream is freed by its handler */
	TAILQ_FOREACH (s, &h->streams, entry) {
		if (s->state == HTTP_RECEIVING) /* perhaps resumed */
			http2_deliver(s);
	}
	if (nghttp2_session_send(h->session) != 0 ||
		nghttp2_session_get_outbound_queue_size(h->session) > HTTP2_FRAMES) {
		http2_count_refused("flood");
		connection_close(c->socket, CLOSE_BAD_REQUEST);
		return;
	}
	TAILQ_FOREACH (s, &h->streams, entry)
		http2_tell_drained(s);
	if (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session))
		connection_finish(c->socket);
}

static void http2_on_flush_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	http2_flush(arg);
}

void http2_on_drained(struct http_connection *c)
{
	http2_flush(c->http2);
}

void http2_on_data(struct http_connection *c)
{
	struct http2 *h = c->http2;
	struct evbuffer *input = connection_input(c->socket);
	size_t n;

	while ((n = evbuffer_get_contiguous_space(input)) > 0) {
		ssize_t used =
			nghttp2_session_mem_recv(h->session, evbuffer_pullup(input, (ssize_t)n), n);

		if (used < 0) {
			bool flood = used == NGHTTP2_ERR_FLOODED;
			log_debug(&c->log, "%s", nghttp2_strerror((int)used));
			http2_count_refused(flood ? "flood" : "malformed");
			connection_close(c->socket, CLOSE_BAD_REQUEST);
			return;
		}
		(void)evbuffer_drain(input, (size_t)used);
	}
	http2_flush(h);
}

void http2_on_known(struct http_connection *c)
{
	struct http2_stream *s;

	TAILQ_FOREACH (s, &c->http2->streams, entry) {
		if (s->state == HTTP_JUDGING) {
			http2_judge(s);
			http2_on_body(s);
		}
	}
	http2_flush_later(c->http2);
}

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

static void http2_check(struct http2_stream *s, int64_t now_us)
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

/* Whether the peer takes nothing of what waits for it. */
static bool http2_is_stalled(struct http2 *h, int64_t now_us)
{
	size_t unsent = evbuffer_get_length(connection_output(h->connection->socket));

	if (unsent == 0 || h->written - unsent != h->taken)
		h->taken_us = now_us;
	h->taken = h->written - unsent;
	return now_us - h->taken_us >= 2 * HTTP_STALLED_US;
}

void http2_on_timer(struct http_connection *c)
{
	struct http2 *h = c->http2;
	int64_t now_us = reactor_monotonic_us();
	struct http2_stream *s;

	reactor_timer_start(c->timer, HTTP2_WATCH_US);
	h->lingers = false;
	if (http2_is_stalled(h, now_us)) {
		connection_close(c->socket, CLOSE_TOO_SLOW);
		return;
	}
	TAILQ_FOREACH (s, &h->streams, entry)
		http2_check(s, now_us);
	if (h->n_streams == 0 && now_us - h->idle_us >= HTTP_KEEPALIVE_US)
		(void)nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
	http2_flush(h);
}

/* --- life --- */

const char *http2_protocols(void)
{
	return "\2h2\10http/1.1";
}

static nghttp2_session_callbacks *http2_callbacks(void)
{
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		abort();
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, http2_on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, http2_on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, http2_on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, http2_on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, http2_on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, http2_on_sent);
	nghttp2_session_callbacks_set_send_callback(callbacks, http2_on_send);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, http2_on_send_data);
	return callbacks;
}

static nghttp2_session *http2_session_new(struct http2 *h)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS     },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,   HTTP2_WINDOW      },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,  MESSAGE_HEAD_BYTES},
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1                 },
	};
	nghttp2_session_callbacks *callbacks = http2_callbacks();
	nghttp2_session *session;
	nghttp2_option *option;

	if (nghttp2_option_new(&option) != 0)
		abort();
	nghttp2_option_set_no_auto_window_update(option, 1);
	if (nghttp2_session_server_new2(&session, callbacks, h, option) != 0 ||
		nghttp2_submit_settings(
			session, NGHTTP2_FLAG_NONE, settings, ARRAY_LENGTH(settings)) != 0 ||
		nghttp2_session_set_local_window_size(
			session, NGHTTP2_FLAG_NONE, 0, HTTP2_ALL_WINDOWS) != 0)
		abort();
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return session;
}

void http2_begin(struct http_connection *c)
{
	struct http2 *h = xcalloc(1, sizeof(*h));

	h->connection = c;
	TAILQ_INIT(&h->streams);
	h->flush_timer = reactor_timer_new(http2_on_flush_timer, h);
	h->idle_us = h->taken_us = h->reset_us = reactor_monotonic_us();
	h->session = http2_session_new(h);
	c->carrier = &http2_carrier;
	c->http2 = h;
	http_connection_set_low_water(c, HTTP2_OUTPUT / 2);
	http2_flush_later(h);
}

void http2_say_goodbye(struct http_connection *c)
{
	(void)nghttp2_session_terminate_session(c->http2->session, NGHTTP2_NO_ERROR);
	(void)nghttp2_session_send(c->http2->session);
}

void http2_free(struct http2 *h)
{
	struct http2_stream *s;

	if (!h)
		return;
	while ((s = TAILQ_FIRST(&h->streams)))
		http2_stream_free(s);
	nghttp2_session_del(h->session);
	reactor_timer_free(&h->flush_timer);
	free(h);
}

#else /* HTTP/1.1 is all there is */

const char *http2_protocols(void)
{
	return "\10http/1.1";
}

void http2_begin(struct http_connection *c)
{
	(void)c;
}

void http2_on_data(struct http_connection *c)
{
	(void)c;
}

void http2_on_drained(struct http_connection *c)
{
	(void)c;
}

void http2_on_timer(struct http_connection *c)
{
	(void)c;
}

void http2_on_known(struct http_connection *c)
{
	(void)c;
}

void http2_say_goodbye(struct http_connection *c)
{
	(void)c;
}

void http2_free(struct http2 *http2)
{
	(void)http2;
}

#endif
