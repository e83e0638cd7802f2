/* The HTTP server in conversations: what is sent, and what must come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/authenticate.h"
#include "protocols/base64.h"
#include "protocols/http_server.h"
#include "protocols/prometheus.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/http_conversation.h"

enum {
	BIG_BYTES = 8 << 20,
	PIECE_BYTES = 64 << 10
};

static struct http_server *server;
static int handled, gone;     /* each request that reaches a handler ends once */
static size_t largest_unsent; /* while streaming */

static void count_gone(void *context)
{
	(void)context;
	gone++;
}

static void count(struct http_request *request)
{
	handled++;
	if (!http_context(request))
		http_set_context(request, &handled, count_gone);
}

static void answer_text(struct http_request *request, const char *s)
{
	struct evbuffer *body = evbuffer_new();

	(void)evbuffer_add(body, s, strlen(s));
	http_answer(request, 200, "text/plain", body);
	evbuffer_free(body);
}

static void on_hello(struct http_request *request)
{
	count(request);
	http_add_field(request, "X-Path", "%s", http_path(request));
	answer_text(request, http_user(request) ? http_user(request)->name : "hello");
}

static void on_query(struct http_request *request)
{
	char value[64];

	count(request);
	answer_text(request, http_query(request, "q", value, sizeof(value)) ? value : "none");
}

static void on_echo(struct http_request *request)
{
	count(request);
	http_answer(request, 207, "text/plain", http_body(request));
}

/* Three pieces, each in its own turn of the loop. */
struct pieces {
	struct http_request *request;
	struct event *timer;
	int sent;
};

static void pieces_on_gone(void *context)
{
	struct pieces *p = context;

	reactor_timer_free(&p->timer);
	free(p);
	gone++;
}

static void pieces_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct pieces *p = arg;
	struct evbuffer *piece = evbuffer_new();

	(void)fd, (void)what;
	if (p->sent == 0)
		http_start(p->request, 200, "text/plain", HTTP_UNKNOWN);
	(void)evbuffer_add_printf(piece, "piece %d\n", p->sent);
	http_send(p->request, piece);
	evbuffer_free(piece);
	if (++p->sent < 3)
		reactor_timer_start(p->timer, 0);
	else
		http_end(p->request);
}

static void on_pieces(struct http_request *request)
{
	struct pieces *p = xcalloc(1, sizeof(*p));

	p->request = request;
	p->timer = reactor_timer_new(pieces_on_timer, p);
	http_set_context(request, p, pieces_on_gone);
	count(request);
	reactor_timer_start(p->timer, 0);
}

/* A long body, made as the client takes it. */
struct big {
	struct http_request *request;
	size_t left;
};

static void big_on_gone(void *context)
{
	free(context);
	gone++;
}

static void big_on_drained(void *context)
{
	struct big *b = context;
	struct evbuffer *piece = evbuffer_new();
	char bytes[PIECE_BYTES];

	if (http_unsent(b->request) > largest_unsent)
		largest_unsent = http_unsent(b->request);
	memset(bytes, 'x', sizeof(bytes));
	(void)evbuffer_add(piece, bytes, sizeof(bytes));
	http_send(b->request, piece);
	evbuffer_free(piece);
	b->left -= PIECE_BYTES;
	if (b->left == 0)
		http_end(b->request);
}

static void on_big(struct http_request *request)
{
	struct big *b = xcalloc(1, sizeof(*b));

	*b = (struct big){ request, BIG_BYTES };
	http_set_context(request, b, big_on_gone);
	count(request);
	http_start(request, 200, NULL, BIG_BYTES);
	http_set_drained(request, PIECE_BYTES, big_on_drained);
	big_on_drained(b);
}

/* Promises ten bytes and gives five. */
static void on_short(struct http_request *request)
{
	struct evbuffer *body = evbuffer_new();

	count(request);
	(void)evbuffer_add(body, "short", 5);
	http_start(request, 200, NULL, 10);
	http_send(request, body);
	evbuffer_free(body);
	http_end(request);
}

static void on_never(struct http_request *request)
{
	count(request);
}

/* --- bodies as they come --- */

enum {
	RECEIVE_MOST = 300000,
	RECEIVE_PIECE_MOST = 320 << 10 /* what the server holds of it at once */
};

struct receiver {
	struct http_request *request;
	struct event *timer;
	size_t bytes, largest;
	unsigned sum;
	bool slow;
};
static struct receiver *receiver; /* of one at a time */

static void receiver_gone(void *context)
{
	struct receiver *r = context;

	reactor_timer_free(&r->timer);
	receiver = NULL;
	free(r);
	gone++;
}

static void receiver_on_body(void *context, struct evbuffer *data, bool last)
{
	struct receiver *r = context;
	size_t n = evbuffer_get_length(data);
	const unsigned char *p = evbuffer_pullup(data, -1);
	char text[64];

	for (size_t i = 0; i < n; i++)
		r->sum = r->sum * 31 + p[i];
	r->bytes += n;
	r->largest = n > r->largest ? n : r->largest;
	(void)evbuffer_drain(data, n);
	if (last) {
		(void)snprintf(text, sizeof(text), "%zu bytes, %x", r->bytes, r->sum);
		answer_text(r->request, text);
	} else if (r->slow) {
		http_pause_body(r->request);
		reactor_timer_start(r->timer, 1000);
	}
}

static void receiver_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct receiver *r = arg;

	(void)fd, (void)what;
	if (r->bytes)
		http_resume_body(r->request);
	else
		http_receive(r->request, r->slow ? BIG_BYTES : RECEIVE_MOST, receiver_on_body);
}

static struct receiver *receiver_new(struct http_request *request)
{
	handled++;
	receiver = xcalloc(1, sizeof(*receiver));
	receiver->request = request;
	receiver->timer = reactor_timer_new(receiver_on_timer, receiver);
	http_set_context(request, receiver, receiver_gone);
	return receiver;
}

static void on_put(struct http_request *request)
{
	(void)receiver_new(request);
	http_receive(request, RECEIVE_MOST, receiver_on_body);
}

static void on_put_later(struct http_request *request)
{
	reactor_timer_start(receiver_new(request)->timer, 1000);
}

static void on_put_slow(struct http_request *request)
{
	struct receiver *r = receiver_new(request);

	r->slow = true;
	reactor_timer_start(r->timer, 1000);
}

static void on_put_never(struct http_request *request)
{
	count(request);
	http_answer_error(request, 412, "no");
}

/* clang-format off */
static const struct http_route routes[] = {
	{ "/hello",          HTTP_GET,                ROLE_VIEWER, on_hello },
	{ "/query",          HTTP_GET,                ROLE_VIEWER, on_query },
	{ "/dav/",           HTTP_GET,                ROLE_VIEWER, on_hello },
	{ "/dav/",           HTTP_PROPFIND,           ROLE_VIEWER, on_echo },
	{ "/pieces",         HTTP_GET,                ROLE_VIEWER, on_pieces },
	{ "/big",            HTTP_GET,                ROLE_VIEWER, on_big },
	{ "/short",          HTTP_GET,                ROLE_VIEWER, on_short },
	{ "/never",          HTTP_GET,                ROLE_VIEWER, on_never },
	{ "/put",            HTTP_PUT,                ROLE_VIEWER, on_put },
	{ "/put-later",      HTTP_PUT,                ROLE_VIEWER, on_put_later },
	{ "/put-slow",       HTTP_PUT,                ROLE_VIEWER, on_put_slow },
	{ "/put-never",      HTTP_PUT,                ROLE_VIEWER, on_put_never },
	{ "/admin",          HTTP_GET,                ROLE_ADMIN,  on_hello },
	{ "/live/",          HTTP_GET,                ROLE_VIEWER, on_hello },
	{ "/live/*/special", HTTP_GET,                ROLE_VIEWER, on_query },
	{ "/metrics",        HTTP_GET,                ROLE_VIEWER, prometheus_get },
	{ NULL, 0, ROLE_VIEWER, NULL },
};
/* clang-format on */

static int set_up(void **state)
{
	(void)state;
	reactor_init();
	server = http_server_new("127.0.0.1:0", true, NULL, routes);
	return server ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	authenticate_set_users(NULL);
	http_server_free(server);
	reactor_fini();
	metrics_fini();
	return 0;
}

#define H "Host: localhost\r\n"
#define LAST "Connection: close\r\n\r\n"

struct conversation {
	const char *sent;
	int status;           /* of the first answer */
	const char *there[5]; /* must be in what comes, or must not after a '!' */
};

static void check(const struct conversation *c, enum http_conversation_pace pace)
{
	char status[32];
	char *answer = http_conversation(
		http_server_address(server), c->sent, strlen(c->sent), pace, NULL);

	(void)snprintf(status, sizeof(status), "HTTP/1.1 %d ", c->status);
	if (strncmp(answer, status, strlen(status)) != 0)
		fail_msg("expected %d for:\n%s\ngot:\n%s", c->status, c->sent, answer);
	for (size_t i = 0; i < ARRAY_LENGTH(c->there) && c->there[i]; i++) {
		bool wanted = c->there[i][0] != '!';
		const char *found = strstr(answer, c->there[i] + !wanted);
		if (wanted == !found)
			fail_msg("\"%s\" for:\n%s\nin:\n%s", c->there[i], c->sent, answer);
	}
	free(answer);
}

/* Each is sent whole, byte by byte, and with our end shut after it. */
static void check_all(const struct conversation *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		check(&cases[i], WHOLE);
		check(&cases[i], BYTE_BY_BYTE);
		check(&cases[i], HALF_CLOSED);
	}
	assert_int_equal(handled, gone);
	assert_true(metric_value(metric_get(METRIC_SESSIONS, "http")) == 0);
}

static void test_requests_are_answered(void **state)
{
	/* clang-format off */
	static const struct conversation cases[] = {
		{ "GET /hello HTTP/1.1\r\n" H LAST, 200, { "\r\nContent-Length: 5\r\n",
			"\r\nServer: nvrd\r\n", "\r\n\r\nhello",
			"\r\nX-Content-Type-Options: nosniff\r\n" } },
		{ "GET /hello HTTP/1.1\r\n" H LAST, 200, { " GMT\r\n", "\r\nConnection: close\r\n" } },
		{ "HEAD /hello HTTP/1.1\r\n" H LAST, 200, { "\r\nContent-Length: 5\r\n",
			"!\r\n\r\nhello" } },
		{ "GET /hello HTTP/1.0\r\n\r\n", 200, { "\r\n\r\nhello" } },
		{ "GET /pieces HTTP/1.0\r\n\r\n", 200, { "\r\n\r\npiece 0\npiece 1\npiece 2\n",
			"!Transfer-Encoding" } },
		{ "GET /pieces HTTP/1.1\r\n" H LAST, 200, { "\r\nTransfer-Encoding: chunked\r\n",
			"\r\n\r\n8\r\npiece 0\n\r\n8\r\npiece 1\n\r\n8\r\npiece 2\n\r\n0\r\n\r\n",
			"!Content-Length" } },
		{ "HEAD /pieces HTTP/1.1\r\n" H LAST, 200, { "\r\nTransfer-Encoding: chunked\r\n",
			"!piece" } },
		{ "GET http://localhost/hello HTTP/1.1\r\n" H LAST, 200, { "\r\nX-Path: /hello\r\n" } },
		{ "GET /query?q=a+b%21 HTTP/1.1\r\n" H LAST, 200, { "\r\n\r\na b!" } },
		{ "GET /query HTTP/1.1\r\n" H LAST, 200, { "\r\n\r\nnone" } },
		{ "GET /dav/a%20b/ HTTP/1.1\r\n" H LAST, 200, { "\r\nX-Path: /dav/a b/\r\n" } },
		{ "GET /dav HTTP/1.1\r\n" H LAST, 200, { "\r\nX-Path: /dav\r\n" } },
		{ "GET /metrics HTTP/1.1\r\n" H LAST, 200, {
			"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
			"# HELP nvrd_" } },
		{ "GET /live/porch/special?q=1 HTTP/1.1\r\n" H LAST, 200, { "\r\n\r\n1" } },
		{ "GET /live/porch/other HTTP/1.1\r\n" H LAST, 200, { "\r\n\r\nhello" } },
	};
	/* clang-format on */

	(void)state;
	check_all(cases, ARRAY_LENGTH(cases));
}

static void test_bodies_are_read_whole(void **state)
{
	/* clang-format off */
	static const struct conversation cases[] = {
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H "Content-Length: 4\r\n" LAST "body", 207, {
			"\r\n\r\nbody" } },
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" LAST
			"2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\nTrailer: x\r\n\r\n", 207, { "\r\n\r\nbody" } },
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H "Content-Length: 0\r\n" LAST, 207, { NULL } },
		{ "GET /hello HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbodyGET /hello HTTP/1.1\r\n"
			H LAST, 200, { "helloHTTP/1.1 200 OK\r\n" } },
		/* a refused request's body is skipped, and the connection goes on */
		{ "PUT /dav/ HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbodyGET /hello HTTP/1.1\r\n"
			H LAST, 405, { "\r\nAllow: OPTIONS, GET, HEAD, PROPFIND\r\n",
			"HTTP/1.1 200 OK\r\n" } },
		{ "PUT /dav/ HTTP/1.1\r\n" H
			"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
			"GET /hello HTTP/1.1\r\n" H LAST, 405, { "HTTP/1.1 200 OK\r\n" } },
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 4\r\n"
			LAST "body", 100, {
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 207 Multi-Status\r\n", "\r\n\r\nbody" } },
		{ "PUT /dav/ HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n",
			405, { "\r\nConnection: close\r\n", "!100 Continue" } },
	};
	/* clang-format on */

	(void)state;
	check_all(cases, ARRAY_LENGTH(cases));
}

static void test_what_is_wrong_is_said(void **state)
{
	/* clang-format off */
	static const struct conversation cases[] = {
		{ "GET /hello HTTP/1.1\r\n" LAST, 400, { "Host" } },
		{ "GET /hello HTTP/1.1\r\n" H H LAST, 400, { "Host" } },
		{ "GET /hello HTTP/1.1\r\nHost: a b\r\n" LAST, 400, { NULL } },
		{ "GET /hello HTTP/1.1\r\nHost : localhost\r\n" LAST, 400, { NULL } },
		{ "GET /hello HTTP/1.1\r\n folded: x\r\n" LAST, 400, { NULL } },
		{ "GET /hello\r\n\r\n", 400, { NULL } },
		{ "GET /hello HTTP/2.0\r\n" H LAST, 505, { NULL } },
		{ "OPTIONS * RTSP/1.0\r\n" H LAST, 400, { NULL } },
		{ "GET hello HTTP/1.1\r\n" H LAST, 400, { NULL } },
		{ "GET * HTTP/1.1\r\n" H LAST, 400, { NULL } },
		{ "GET /%2 HTTP/1.1\r\n" H LAST, 400, { NULL } },
		{ "GET /%00 HTTP/1.1\r\n" H LAST, 400, { NULL } },
		{ "GET /../etc/passwd HTTP/1.1\r\n" H LAST, 400, { NULL } },
		{ "GET /nothing HTTP/1.1\r\n" H LAST, 404, { NULL } },
		{ "GET /hello/ HTTP/1.1\r\n" H LAST, 404, { NULL } },
		{ "GET /hellox HTTP/1.1\r\n" H LAST, 404, { NULL } },
		{ "PUT /hello HTTP/1.1\r\n" H LAST, 405, { "\r\nAllow: OPTIONS, GET, HEAD\r\n" } },
		{ "get /hello HTTP/1.1\r\n" H LAST, 501, { NULL } },
		{ "BREW /hello HTTP/1.1\r\n" H LAST, 501, { NULL } },
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H "Content-Length: 1048577\r\n" LAST, 413, { NULL } },
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H "Content-Length: -1\r\n" LAST, 400, { NULL } },
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H "Content-Length: 4\r\nContent-Length: 5\r\n" LAST,
			400, { NULL } },
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H
			"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n" LAST "0\r\n\r\n", 400,
			{ NULL } },
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n" LAST, 501,
			{ NULL } },
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
			"Transfer-Encoding: chunked\r\n" LAST, 501, { NULL } },
		{ "PROPFIND /dav/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, {
			NULL } },
		{ "PROPFIND /dav/ HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" LAST "x\r\n",
			400, { NULL } },
		/* nothing after a request that could not be framed is taken for one */
		{ "GET /hello HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\n" H LAST, 400, {
			"\r\nConnection: close\r\n", "!200 OK" } },
	};
	/* clang-format on */

	(void)state;
	check_all(cases, ARRAY_LENGTH(cases));
}

static void test_options_names_the_methods(void **state)
{
	static const struct conversation cases[] = {
		{"OPTIONS /dav/x HTTP/1.1\r\n" H LAST,    200,
                 { "\r\nAllow: OPTIONS, GET, HEAD, PROPFIND\r\n", "\r\nDAV: 1, 2, 3\r\n",
				"\r\nMS-Author-Via: DAV\r\n", "\r\nContent-Length: 0\r\n" }},
		{ "OPTIONS /hello HTTP/1.1\r\n" H LAST,   200,
                 { "\r\nAllow: OPTIONS, GET, HEAD\r\n", "!DAV" }                           },
		{ "OPTIONS /nothing HTTP/1.1\r\n" H LAST, 404, { NULL }                    },
	};

	(void)state;
	check_all(cases, ARRAY_LENGTH(cases));
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
	static const struct conversation cases[] = {
		{"GET /pieces HTTP/1.1\r\n" H "\r\nGET /query?q=second HTTP/1.1\r\n" H
		  "\r\n\r\nHEAD /query?q=none HTTP/1.1\r\n" H
		  "\r\nGET /query?q=fourth HTTP/1.1\r\n" H LAST,
                 200, { "piece 2\n\r\n0\r\n\r\nHTTP/1.1 200 OK", "\r\n\r\nsecondHTTP/1.1 200 OK",
				"\r\n\r\nHTTP/1.1 200 OK", "\r\n\r\nfourth" }},
	};

	(void)state;
	check_all(cases, ARRAY_LENGTH(cases));
}

static void test_without_users_only_local_names_are_answered(void **state)
{
	static const struct conversation cases[] = {
		{"GET /hello HTTP/1.1\r\nHost: localhost:8080\r\n" LAST,   200, { NULL }},
		{ "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n" LAST,       200, { NULL }},
		{ "GET /hello HTTP/1.1\r\nHost: [::1]:1\r\n" LAST,         200, { NULL }},
		{ "GET /hello HTTP/1.1\r\nHost: rebound.example\r\n" LAST, 421,
                 { "localhost", "!\r\n\r\nhello" }                                      },
		{ "GET http://rebound.example/hello HTTP/1.1\r\n" H LAST,  421, { NULL }},
	};

	(void)state;
	check_all(cases, ARRAY_LENGTH(cases));
}

/* --- limits --- */

/* "GET <target of n bytes> HTTP/1.1" with a field of m bytes. */
static char *sized_request(size_t target_bytes, size_t field_bytes)
{
	char *target = xcalloc(1, target_bytes + 1), *field = xcalloc(1, field_bytes + 1);

	memset(target, 'a', target_bytes);
	target[0] = '/';
	memset(field, 'b', field_bytes);
	char *request = xasprintf("GET %s HTTP/1.1\r\n" H "X: %s\r\n" LAST, target, field);
	free(target);
	free(field);
	return request;
}

static void test_heads_have_limits(void **state)
{
	static const struct {
		size_t target_bytes, field_bytes;
		int status;
	} cases[] = {
		{2000,  10,                 404},
                { 2048, 10,                 414},
                { 5000, 10,                 414},
                { 10,   30000,              404},
		{ 10,   MESSAGE_HEAD_BYTES, 431},
                { 10,   60000,              431}
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *request = sized_request(cases[i].target_bytes, cases[i].field_bytes);
		check(&(struct conversation){ .sent = request, .status = cases[i].status }, WHOLE);
		free(request);
	}
}

static void test_a_chunked_body_has_a_limit(void **state)
{
	static const char head[] = "PROPFIND /dav/ HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
				   "\r\n200000\r\n";
	size_t n = strlen(head) + 0x200000;
	char *request = xmalloc(n);

	(void)state;
	memset(request, 'x', n);
	memcpy(request, head, strlen(head));
	char *answer = http_conversation(http_server_address(server), request, n, WHOLE, NULL);
	assert_memory_equal(answer, "HTTP/1.1 413 ", 13);
	free(answer);
	free(request);
}

static void test_a_long_answer_is_made_as_it_is_taken(void **state)
{
	static const char request[] = "GET /big HTTP/1.1\r\n" H LAST;
	size_t n;
	char *answer =
		http_conversation(http_server_address(server), request, strlen(request), WHOLE, &n);

	(void)state;
	assert_non_null(strstr(answer, "\r\nContent-Length: 8388608\r\n"));
	assert_int_equal(n - (size_t)(http_body_of(answer) - answer), BIG_BYTES);
	assert_true(largest_unsent <= 2 * PIECE_BYTES);
	assert_int_equal(handled, gone);
	free(answer);
}

static void test_an_answer_that_ends_early_breaks_the_connection(void **state)
{
	char *answer = http_say(http_server_address(server),
		"GET /short HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H LAST);

	(void)state;
	assert_null(strstr(answer, "hello"));
	assert_int_equal(handled, gone);
	free(answer);
}

static void test_too_many_connections_are_told_so(void **state)
{
	struct rlimit limit;
	int fds[1024];
	char *answer;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < 4096)
		skip();
	limit.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
		fds[i] = http_connect(http_server_address(server));
		(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
	}
	answer = http_say(http_server_address(server), "GET /hello HTTP/1.1\r\n" H LAST);
	assert_memory_equal(answer, "HTTP/1.1 503 ", 13);
	free(answer);
	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
		(void)close(fds[i]);
	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
		(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
	answer = http_say(http_server_address(server), "GET /hello HTTP/1.1\r\n" H LAST);
	assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
	free(answer);
}

static void stop_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	http_server_free(server);
	server = NULL;
}

/* Last of the tests: it takes the server with it. */
static void test_stopping_ends_requests_under_way(void **state)
{
	struct event *stop = reactor_timer_new(stop_on_timer, NULL);
	int before = handled;

	(void)state;
	reactor_timer_start(stop, 50000);
	char *answer = http_say(http_server_address(server), "GET /never HTTP/1.1\r\n" H LAST);
	assert_string_equal(answer, "");
	assert_int_equal(handled, before + 1);
	assert_int_equal(handled, gone);
	free(answer);
	reactor_timer_free(&stop);
}

/* --- users --- */

static char *basic(const char *user_and_password)
{
	char text[128];

	assert_true(base64_write(text, sizeof(text), (const uint8_t *)user_and_password,
			    strlen(user_and_password)) > 0);
	return xasprintf("Authorization: Basic %s\r\n", text);
}

static void check_as(const char *credentials, const char *path, int status, const char *there)
{
	char *field = credentials ? basic(credentials) : xstrdup("");
	char *request = xasprintf("GET %s HTTP/1.1\r\nHost: any.example\r\n%s" LAST, path, field);

	check(&(struct conversation){ .sent = request, .status = status, .there = { there } },
		WHOLE);
	free(request);
	free(field);
}

static void test_users_and_their_rights(void **state)
{
	struct metric *failures = metric_get(METRIC_AUTH_FAILURES, "http");
	double before = metric_value(failures);
	struct auth_users users;

	(void)state;
	http_test_users_init(&users);
	authenticate_set_users(&users);
	check_as(NULL, "/hello", 401, "\r\nWWW-Authenticate: Digest realm=\"nvrd\", nonce=\"");
	check_as(NULL, "/hello", 401, "algorithm=SHA-256, qop=\"auth\"\r\n");
	check_as(NULL, "/hello", 401, "\r\nWWW-Authenticate: Basic realm=\"nvrd\"");
	check_as(NULL, "/nothing", 401, NULL); /* what exists is nobody's business */
	assert_true(metric_value(failures) == before);
	check_as("anna:wrong", "/hello", 401, NULL);
	check_as("nobody:secret", "/hello", 401, NULL);
	assert_true(metric_value(failures) == before + 2);
	check_as("anna:secret", "/hello", 200, "\r\n\r\nanna");
	check_as("nas:p:w", "/hello", 200, "\r\n\r\nnas");
	check_as("anna:secret", "/admin", 200, NULL);
	check_as("nas:p:w", "/admin", 403, NULL);
	check_as("nas:p:w", "/live/porch/x", 200, NULL);
	check_as("nas:p:w", "/live/", 200, NULL);
	check_as("nas:p:w", "/live/attic/x", 404, NULL);
	check_as("nas:p:w", "/live/attic", 404, NULL);
	check_as("nas:p:w", "/live/attic/special", 404, NULL);
	check_as("anna:secret", "/live/attic/x", 200, NULL);
	authenticate_set_users(NULL);
	http_test_users_fini(&users);
	assert_int_equal(handled, gone);
}

static void test_requests_are_counted(void **state)
{
	struct metric *found = metric_get(METRIC_HTTP_REQUESTS, "GET", "200");
	struct metric *missing = metric_get(METRIC_HTTP_REQUESTS, "GET", "404");
	double found_before = metric_value(found), missing_before = metric_value(missing);

	(void)state;
	free(http_say(http_server_address(server), "GET /hello HTTP/1.1\r\n" H LAST));
	free(http_say(http_server_address(server), "GET /nothing HTTP/1.1\r\n" H LAST));
	assert_true(metric_value(found) == found_before + 1);
	assert_true(metric_value(missing) == missing_before + 1);
}

/* The sum of "hello" is that of receiver_on_body(). */
static void test_bodies_are_taken_as_they_come(void **state)
{
	/* clang-format off */
	static const struct conversation cases[] = {
		{ "PUT /put HTTP/1.1\r\n" H "Content-Length: 5\r\n" LAST "hello", 200,
			{ "\r\n\r\n5 bytes, 5e918d2", "!100 Continue" } },
		{ "PUT /put HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" LAST
			"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: t\r\n\r\n", 200, { "5 bytes, 5e918d2" } },
		{ "PUT /put-later HTTP/1.1\r\n" H "Content-Length: 5\r\n" LAST "hello", 200,
			{ "5 bytes, 5e918d2" } },
		{ "PUT /put HTTP/1.1\r\n" H "Content-Length: 0\r\n" LAST, 200, { "0 bytes" } },
		{ "PUT /put-later HTTP/1.1\r\n" H LAST, 200, { "0 bytes" } },
		{ "PUT /put HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" LAST "0\r\n\r\n", 200,
			{ "0 bytes" } },
		{ "PUT /put-later HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-continue\r\n" LAST
			"hello", 100, { "5 bytes, 5e918d2" } },
		/* what follows on the same connection */
		{ "PUT /put HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"
			"PUT /put-later HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nab"
			"GET /hello HTTP/1.1\r\n" H LAST, 200, { "5 bytes, 5e918d2", "2 bytes, c21", "\r\n\r\nhello" } },
		{ "PUT /put HTTP/1.1\r\n" H "Content-Length: 300001\r\n" LAST "x", 413, { NULL } },
		{ "PUT /put HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" LAST "x\r\n", 400, { NULL } },
		/* refused before the body was asked for: nothing behind it is read as a request */
		{ "PUT /put-never HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nGET /hello HTTP/1.1\r\n" H "\r\n", 412,
			{ "\r\nConnection: close\r\n", "!\r\n\r\nhello" } },
		{ "PUT /put-never HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", 412,
			{ "\r\nConnection: close\r\n", "!100 Continue" } },
		{ "PUT /put-never HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H LAST, 412,
			{ "\r\n\r\nhello" } },
		/* refused by the server: a short body is read to its end, a long one is not */
		{ "PUT /hello HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhelloGET /hello HTTP/1.1\r\n" H LAST, 405,
			{ "\r\n\r\nhello" } },
		{ "PUT /hello HTTP/1.1\r\n" H "Content-Length: 99999999999\r\n\r\n", 405,
			{ "\r\nConnection: close\r\n" } },
	};
	/* clang-format on */

	(void)state;
	check_all(cases, ARRAY_LENGTH(cases));
}

static void test_chunks_are_counted(void **state)
{
	static const char head[] =
		"PUT /put HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" LAST "493e1\r\n";
	char *request = xcalloc(1, sizeof(head) + RECEIVE_MOST + 1), *answer;

	(void)state;
	memcpy(request, head, sizeof(head) - 1);
	memset(request + sizeof(head) - 1, 'x', RECEIVE_MOST + 1);
	answer = http_say(http_server_address(server), request);
	assert_non_null(strstr(answer, "HTTP/1.1 413 "));
	assert_int_equal(handled, gone);
	free(answer);
	free(request);
}

static void test_a_slow_taker_holds_little(void **state)
{
	static const char head[] =
		"PUT /put-slow HTTP/1.1\r\n" H "Content-Length: 8388608\r\n" LAST;
	char *request = xcalloc(1, sizeof(head) + BIG_BYTES);
	char *answer;
	size_t sent = sizeof(head) - 1, got = 0;
	int fd = http_connect(http_server_address(server));
	size_t largest = 0;

	(void)state;
	memcpy(request, head, sent);
	memset(request + sent, 'x', BIG_BYTES);
	answer = xcalloc(1, 4096);
	for (size_t at = 0; got == 0 || !strstr(answer, " bytes, ");) {
		ssize_t n =
			send(fd, request + at, sent + BIG_BYTES - at, MSG_NOSIGNAL | MSG_DONTWAIT);

		at += n > 0 ? (size_t)n : 0;
		(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
		if (receiver && receiver->largest > largest)
			largest = receiver->largest;
		n = recv(fd, answer + got, 4095 - got, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
		assert_true(n != 0 || strstr(answer, " bytes, "));
	}
	assert_non_null(strstr(answer, "8388608 bytes, "));
	assert_true(largest > 0 && largest <= RECEIVE_PIECE_MOST);
	(void)close(fd);
	free(request);
	free(answer);
}

static void test_a_body_that_breaks_off_ends_its_request(void **state)
{
	static const struct conversation broken = {
		"PUT /put HTTP/1.1\r\n" H "Content-Length: 50\r\n" LAST "hello", 0, { NULL }
	};
	char *answer = http_conversation(
		http_server_address(server), broken.sent, strlen(broken.sent), HALF_CLOSED, NULL);

	(void)state;
	assert_null(strstr(answer, " 200 "));
	free(answer);
	assert_null(receiver);
	assert_int_equal(handled, gone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_are_answered),
		cmocka_unit_test(test_bodies_are_read_whole),
		cmocka_unit_test(test_what_is_wrong_is_said),
		cmocka_unit_test(test_options_names_the_methods),
		cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
		cmocka_unit_test(test_without_users_only_local_names_are_answered),
		cmocka_unit_test(test_heads_have_limits),
		cmocka_unit_test(test_a_chunked_body_has_a_limit),
		cmocka_unit_test(test_a_long_answer_is_made_as_it_is_taken),
		cmocka_unit_test(test_an_answer_that_ends_early_breaks_the_connection),
		cmocka_unit_test(test_users_and_their_rights),
		cmocka_unit_test(test_requests_are_counted),
		cmocka_unit_test(test_too_many_connections_are_told_so),
		cmocka_unit_test(test_bodies_are_taken_as_they_come),
		cmocka_unit_test(test_chunks_are_counted),
		cmocka_unit_test(test_a_slow_taker_holds_little),
		cmocka_unit_test(test_a_body_that_breaks_off_ends_its_request),
		cmocka_unit_test(test_stopping_ends_requests_under_way),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
