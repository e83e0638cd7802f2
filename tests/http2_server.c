/* An HTTP server without sockets, for what speaks HTTP/2 to it. */
#include "tests/http2_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "tests/fake_connection.h"
#include "tests/fake_listener.h"

enum {
	PIECE_BYTES = 64 << 10,
	PICTURE_BYTES = 1 << 10,
	PUT_MOST = 16 << 20,
	TICK_US = 1000000,
	SLOW_US = 10000,
};

static struct http_server *server;
static int requests;
static size_t most_unsent, most_received;

/* --- handlers --- */

struct work {
	struct http_request *request;
	struct event *timer;
	size_t bytes; /* of the body, there or here */
	bool slow;
};

static void work_on_gone(void *context)
{
	struct work *w = context;

	reactor_timer_free(&w->timer);
	free(w);
	requests--;
}

static struct work *work_new(struct http_request *request, event_callback_fn on_timer)
{
	struct work *w = xcalloc(1, sizeof(*w));

	w->request = request;
	w->timer = reactor_timer_new(on_timer, w);
	http_set_context(request, w, work_on_gone);
	requests++;
	return w;
}

static void work_on_nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

static void send_text(struct http_request *request, const char *p, size_t n)
{
	struct evbuffer *body = evbuffer_new();

	(void)evbuffer_add(body, p, n);
	http_send(request, body);
	evbuffer_free(body);
}

static void answer_text(struct http_request *request, const char *p, size_t n)
{
	http_start(request, 200, "text/plain", n);
	send_text(request, p, n);
	http_end(request);
}

static void on_hello(struct http_request *request)
{
	struct message_text cookie = http_field(request, "Cookie");

	(void)work_new(request, work_on_nothing);
	answer_text(request, cookie.p ? cookie.p : "hello", cookie.p ? cookie.n : 5);
}

static void on_echo(struct http_request *request)
{
	(void)work_new(request, work_on_nothing);
	http_answer(request, 207, "text/plain", http_body(request));
}

static void big_on_drained(void *context)
{
	static const char piece[PIECE_BYTES];
	struct work *w = context;
	size_t unsent = http_unsent(w->request);

	w->bytes += sizeof(piece);
	send_text(w->request, piece, sizeof(piece));
	if (unsent + sizeof(piece) > most_unsent)
		most_unsent = unsent + sizeof(piece);
	if (w->bytes == HTTP2_BIG_BYTES)
		http_end(w->request);
}

static void on_big(struct http_request *request)
{
	struct work *w = work_new(request, work_on_nothing);

	http_start(request, 200, NULL, HTTP2_BIG_BYTES);
	http_set_drained(request, PIECE_BYTES, big_on_drained);
	big_on_drained(w);
}

/* As a part of HLS: others have it, too, and each of its pictures is a block of its own. */
static void on_part(struct http_request *request)
{
	static const char picture[PICTURE_BYTES];
	struct evbuffer *body = evbuffer_new();

	(void)work_new(request, work_on_nothing);
	for (size_t n = 0; n < HTTP2_PART_BYTES; n += sizeof(picture))
		(void)evbuffer_add_reference(body, picture, sizeof(picture), NULL, NULL);
	http_answer(request, 200, NULL, body);
	evbuffer_free(body);
}

static void ticks_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct work *w = arg;

	(void)fd, (void)what;
	if (http_unsent(w->request) < PIECE_BYTES)
		send_text(w->request, "tick\n", 5);
	reactor_timer_start(w->timer, TICK_US);
}

static void on_ticks(struct http_request *request)
{
	struct work *w = work_new(request, ticks_on_timer);

	http_start(request, 200, "text/plain", HTTP_UNKNOWN);
	reactor_timer_start(w->timer, TICK_US);
}

static void on_never(struct http_request *request)
{
	(void)work_new(request, work_on_nothing);
}

static void on_abort(struct http_request *request)
{
	(void)work_new(request, work_on_nothing);
	http_start(request, 200, NULL, 10);
	send_text(request, "short", 5);
	http_abort(request);
}

static void put_on_body(void *context, struct evbuffer *data, bool last)
{
	struct work *w = context;
	size_t n = evbuffer_get_length(data);
	char text[32];

	if (n > most_received)
		most_received = n;
	w->bytes += n;
	(void)evbuffer_drain(data, n);
	if (last) {
		(void)snprintf(text, sizeof(text), "%zu bytes", w->bytes);
		answer_text(w->request, text, strlen(text));
	} else if (w->slow) {
		http_pause_body(w->request);
		reactor_timer_start(w->timer, SLOW_US);
	}
}

static void put_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct work *w = arg;

	(void)fd, (void)what;
	http_resume_body(w->request);
}

static void on_put(struct http_request *request)
{
	struct work *w = work_new(request, put_on_timer);

	w->slow = strcmp(http_path(request), "/put-slow") == 0;
	http_receive(request, PUT_MOST, put_on_body);
}

static void on_put_no(struct http_request *request)
{
	(void)work_new(request, work_on_nothing);
	http_answer_error(request, 412, "no");
}

/* clang-format off */
static const struct http_route routes[] = {
	{ "/hello",       HTTP_GET,      ROLE_VIEWER, on_hello },
	{ "/hello/admin", HTTP_GET,      ROLE_ADMIN,  on_hello },
	{ "/echo",        HTTP_PROPFIND, ROLE_VIEWER, on_echo },
	{ "/big",         HTTP_GET,      ROLE_VIEWER, on_big },
	{ "/part",        HTTP_GET,      ROLE_VIEWER, on_part },
	{ "/ticks",       HTTP_GET,      ROLE_VIEWER, on_ticks },
	{ "/never",       HTTP_GET,      ROLE_VIEWER, on_never },
	{ "/abort",       HTTP_GET,      ROLE_VIEWER, on_abort },
	{ "/put",         HTTP_PUT,      ROLE_VIEWER, on_put },
	{ "/put-slow",    HTTP_PUT,      ROLE_VIEWER, on_put },
	{ "/put-no",      HTTP_PUT,      ROLE_VIEWER, on_put_no },
	{ NULL, 0, ROLE_VIEWER, NULL },
};
/* clang-format on */

/* --- the server --- */

void http2_server_start(void)
{
	static const char shown; /* nobody looks at it: hands are not shaken */

	requests = 0;
	most_unsent = most_received = 0;
	server = http_server_new(
		"192.0.2.2:443", false, (const struct tls_server *)(const void *)&shown, routes);
}

void http2_server_stop(void)
{
	http_server_free(server);
	server = NULL;
}

void http2_server_connect(void)
{
	fake_listener_accept();
	fake_connection_accept();
}

int http2_server_requests(void)
{
	return requests;
}

size_t http2_server_most_unsent(void)
{
	return most_unsent;
}

size_t http2_server_most_received(void)
{
	return most_received;
}
