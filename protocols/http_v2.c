/*
 * HTTP/2 (RFC 9113) by libnghttp2: the session of a connection, whose streams carry one request each (http_v2_stream.c). All of
 * them are served in turn, whatever priority the client would give them: an endless one must not stop the others.
 */
#include "protocols/http_v2_private.h"

#ifdef HAVE_NGHTTP2

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "server/base/memory.h"

enum {
	HTTP2_STREAMS = 100,         /* of a connection */
	HTTP2_ALL_STREAMS = 2048,    /* of all connections; more are refused */
	HTTP2_OUTPUT = 64 << 10,     /* bytes in the socket's buffer; then the streams wait */
	HTTP2_WINDOW = 64 << 10,     /* of a body that nobody has asked for yet */
	HTTP2_ALL_WINDOWS = 4 << 20, /* of a connection; it never waits for one stream */
	HTTP2_FRAMES = 1000,         /* for a peer who takes nothing; more are a flood */
	HTTP2_RESETS = 100,          /* that may come at once */
	HTTP2_RESET_US = 100000,     /* how often one more is forgiven */
};

static void http2_count_refused(const char *reason)
{
	metric_add(metric_get(METRIC_HTTP2_REFUSED, reason), 1);
}

void http2_flush_later(struct http2 *h)
{
	reactor_timer_start(h->flush_timer, 0);
}

static struct http2_stream *http2_stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* --- what nghttp2 tells --- */

static int http2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	static const nghttp2_extpri in_turn = { .urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY,
		.inc = 1 };
	struct http2 *h = arg;
	int32_t id = frame->hd.stream_id;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST || h->resets >= HTTP2_RESETS)
		return 0;
	if (http2_stream_count() >= HTTP2_ALL_STREAMS) {
		http2_count_refused("streams");
		return nghttp2_submit_rst_stream(
			session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
	}
	(void)nghttp2_session_set_stream_user_data(session, id, http2_stream_new(h, id));
	(void)nghttp2_session_change_extpri_stream_priority(session, id, &in_turn, 1);
	return 0;
}

static int http2_on_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_bytes, const uint8_t *value, size_t value_bytes,
	uint8_t flags, void *arg)
{
	struct http2_stream *s = http2_stream_of(session, frame->hd.stream_id);

	(void)flags, (void)arg;
	if (s)
		http2_stream_on_field(s, name, name_bytes, value, value_bytes);
	return 0;
}

static int http2_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct http2_stream *s;

	(void)arg;
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	s = http2_stream_of(session, frame->hd.stream_id);
	if (s)
		http2_stream_on_frame(s, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	return 0;
}

static int http2_on_data_chunk(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct http2_stream *s = http2_stream_of(session, id);

	(void)flags, (void)arg;
	(void)nghttp2_session_consume_connection(session, n);
	/* what comes for nobody does not get its window back, so that no more of it comes */
	if (s)
		http2_stream_on_data(s, p, n);
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

void http2_linger(struct http2 *h)
{
	if (!h->lingers)
		reactor_timer_start(h->connection->timer, HTTP_LINGER_US);
	h->lingers = true;
}

static int http2_on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct http2_stream *s = http2_stream_of(session, frame->hd.stream_id);

	(void)arg;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			http2_stream_on_end_sent(s);
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
	http2_stream_move(s, (uint8_t *)block.iov_base + HTTP2_FRAME_HEAD, n);
	block.iov_len = HTTP2_FRAME_HEAD + n;
	(void)evbuffer_commit_space(out, &block, 1);
	h->written += HTTP2_FRAME_HEAD + n;
	return 0;
}

/* Writes what there is room for, then has the handlers go on. The connection may end here. */
static void http2_flush(struct http2 *h)
{
	struct http_connection *c = h->connection;
	struct http2_stream *s;

	/* no stream is freed by its handler */
	TAILQ_FOREACH (s, &h->streams, entry)
		http2_stream_go_on(s);
	if (nghttp2_session_send(h->session) != 0 ||
		nghttp2_session_get_outbound_queue_size(h->session) > HTTP2_FRAMES) {
		http2_count_refused("flood");
		connection_close(c->socket, CLOSE_BAD_REQUEST);
		return;
	}
	TAILQ_FOREACH (s, &h->streams, entry)
		http2_stream_tell_drained(s);
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

	TAILQ_FOREACH (s, &c->http2->streams, entry)
		http2_stream_on_known(s);
	http2_flush_later(c->http2);
}

/* --- what stands still --- */

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
		http2_stream_check(s, now_us);
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
