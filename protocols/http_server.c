/*
 * The HTTP server's connections (RFC 9112 section 9): one state per connection, one request at a time, and
 * every wait with its end. Those of HTTP/2 are http_v2.c's but for their beginning and end.
 */
#include "protocols/http_server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <netinet/in.h>

#include "protocols/http_private.h"
#include "server/base/listener.h"
#include "server/base/memory.h"

/* clang-format off */
static const struct {
	const char *doing;
	int64_t limit_us; /* 0: the state is the last */
} http_states[] = {
	[HTTP_WAITING]    = { "waiting",    HTTP_KEEPALIVE_US },
	[HTTP_READING]    = { "head",       HTTP_HEAD_US },
	[HTTP_JUDGING]    = { "judging",    HTTP_STALLED_US },
	[HTTP_COLLECTING] = { "body",       HTTP_BODY_US },
	[HTTP_RECEIVING]  = { "receiving",  HTTP_STALLED_US },
	[HTTP_ANSWERING]  = { "answering",  HTTP_STALLED_US },
	[HTTP_DRAINING]   = { "draining",   HTTP_STALLED_US },
	[HTTP_LINGERING]  = { "lingering",  HTTP_LINGER_US },
	[HTTP_SHARED]     = { "streams",    HTTP2_WATCH_US },
	[HTTP_CLOSED]     = { "closed",     0 },
};
/* clang-format on */

static void http_connection_enter(struct http_connection *c, enum http_state state)
{
	c->state = state;
	c->log.doing = http_states[state].doing;
	c->stalled = false;
	if (http_states[state].limit_us)
		reactor_timer_start(c->timer, http_states[state].limit_us);
	else
		reactor_timer_stop(c->timer);
}

static void http_connection_pause(struct http_connection *c)
{
	if (!c->paused)
		connection_pause(c->socket, PAUSE_BUSY);
	c->paused = true;
}

static void http_connection_resume(struct http_connection *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	connection_resume(c->socket, PAUSE_BUSY); /* calls on_data for what came meanwhile */
}

void http_connection_set_body_paused(struct http_connection *c, bool paused)
{
	if (c->body_paused == paused)
		return;
	c->body_paused = paused;
	if (paused)
		connection_pause(c->socket, PAUSE_SLOW);
	else
		connection_resume(c->socket, PAUSE_SLOW);
}

/* --- the end of an answer, and of a connection --- */

static void http_connection_hang_up(struct http_connection *c)
{
	if (!c->linger) {
		connection_finish(c->socket);
		return;
	}
	/* a close with unread input would reset the connection before the answer is read */
	connection_shut(c->socket);
	http_connection_enter(c, HTTP_LINGERING);
	http_connection_resume(c);
}

void http_connection_set_low_water(struct http_connection *c, size_t low_water)
{
	c->low_water = low_water;
	connection_set_low_water(c->socket, low_water);
}

static bool http_connection_has_drained(struct http_connection *c)
{
	return evbuffer_get_length(connection_output(c->socket)) <= c->low_water;
}

static void http_connection_drained(struct http_connection *c)
{
	if (c->close_after) {
		http_connection_hang_up(c);
		return;
	}
	http_connection_enter(c, HTTP_WAITING);
	http_connection_resume(c);
}

/*
 * Goes on with what has come already; otherwise reading waits until the answer is out, because a
 * peer that shut its end after the request would close the connection before.
 */
void http_connection_answered(struct http_connection *c)
{
	bool more = !c->close_after && evbuffer_get_length(connection_input(c->socket)) > 0;

	http_connection_set_body_paused(c, false);
	if (c->request->on_body)
		connection_set_input_limit(c->socket, HTTP_INPUT_BYTES);
	http_request_end(c->request);
	http_connection_set_low_water(c, more ? HTTP_UNSENT_BYTES : 0);
	http_connection_enter(c, HTTP_DRAINING);
	if (!more)
		connection_flush(c->socket);
	if (http_connection_has_drained(c))
		http_connection_drained(c);
	else
		http_connection_pause(c);
}

static void http_connection_on_drained(void *arg)
{
	struct http_connection *c = arg;

	if (c->state == HTTP_SHARED) {
		http2_on_drained(c);
		return;
	}
	if (!http_connection_has_drained(c)) /* the call is of before the last bytes were added */
		return;
	if (c->state == HTTP_DRAINING)
		http_connection_drained(c);
	else if (c->state == HTTP_ANSWERING && c->request->on_drained &&
		 c->request->phase == HTTP_STARTED)
		c->request->on_drained(c->request->context);
}

/* The peer takes nothing of what waits for it, or has gone while nothing waits. */
static bool http_connection_is_stalled(struct http_connection *c)
{
	size_t unsent = evbuffer_get_length(connection_output(c->socket));
	uint64_t taken = (c->request ? c->request->sent : 0) - unsent;
	bool same = taken == c->taken &&
		    (connection_has_unsent(c->socket) || connection_peer_has_shut(c->socket));
	bool twice = same && c->stalled;

	c->stalled = same;
	c->taken = taken;
	return twice;
}

/* Answers what could not be read; nothing after it can be trusted. */
static void http_connection_fail(struct http_connection *c, int status, const char *why)
{
	c->close_after = true;
	c->linger = true;
	if (!c->request)
		c->request = http_request_new(c);
	http_connection_enter(c, HTTP_ANSWERING);
	http_answer_error(c->request, status, "%s", why);
}

void http_connection_leave_body(struct http_connection *c)
{
	c->close_after = true;
	c->linger = true;
}

/* The body comes so slowly that it only keeps a place occupied. */
static bool http_connection_trickles(struct http_connection *c)
{
	uint64_t came = c->request->received - c->came;

	c->came = c->request->received;
	return !c->body_paused && came < HTTP_TRICKLE_BYTES;
}

static void http_connection_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http_connection *c = arg;

	(void)fd;
	(void)what;
	switch (c->state) {
	case HTTP_WAITING:
		connection_close(c->socket, CLOSE_IDLE);
		break;
	case HTTP_READING:
	case HTTP_COLLECTING:
		http_connection_fail(c, 408, "the request did not come in time");
		break;
	case HTTP_JUDGING:
		authenticate_asker_fini(&c->asker);
		http_connection_fail(c, 503, "who asks could not be found out in time");
		break;
	case HTTP_RECEIVING:
		if (http_connection_trickles(c))
			http_connection_fail(c, 408, "the body did not come in time");
		else
			reactor_timer_start(c->timer, HTTP_STALLED_US);
		break;
	case HTTP_ANSWERING:
	case HTTP_DRAINING:
		if (http_connection_is_stalled(c))
			connection_close(c->socket, CLOSE_TOO_SLOW);
		else
			reactor_timer_start(c->timer, HTTP_STALLED_US);
		break;
	case HTTP_LINGERING:
		connection_close(c->socket, CLOSE_DONE);
		break;
	case HTTP_SHARED:
		http2_on_timer(c);
		break;
	case HTTP_CLOSED:
		break;
	}
}

/* --- reading --- */

static void http_connection_dispatch(struct http_connection *c)
{
	struct http_request *request = c->request;

	http_connection_enter(c, HTTP_ANSWERING);
	c->taken = 0;
	http_request_dispatch(request);
	if (c->state == HTTP_ANSWERING && c->request == request)
		http_connection_pause(c);
}

static void http_connection_continue(struct http_connection *c)
{
	connection_write(c->socket, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* Reads the body, where there is one and its handler does not take it, or answers. */
static void http_connection_on_judged(struct http_connection *c)
{
	struct http_request *request = c->request;

	if (request->body_whole || (http_request_streams(request) && !request->refused)) {
		request->owes_continue = http_request_expects_continue(request);
		http_connection_dispatch(c);
		return;
	}
	if (request->body_left > HTTP_BODY_BYTES) {
		http_connection_fail(c, request->refused, request->why);
		return;
	}
	if (http_request_expects_continue(request)) {
		if (request->refused) {
			http_connection_fail(c, request->refused, request->why);
			return;
		}
		http_connection_continue(c);
	}
	http_connection_enter(c, HTTP_COLLECTING);
}

/* With the head read, and again with the body: the users may have changed while it came. */
static void http_connection_judge(struct http_connection *c)
{
	if (!c->request->refused)
		http_request_judge(c->request);
	if (c->request->is_pending) {
		http_connection_enter(c, HTTP_JUDGING);
		http_connection_pause(c);
	} else {
		http_connection_on_judged(c);
	}
}

static void http_connection_on_data(void *arg);

static void http_connection_on_known(void *arg)
{
	struct http_connection *c = arg;

	if (c->state == HTTP_SHARED) {
		http2_on_known(c);
		return;
	}
	http_connection_resume(c);
	http_connection_on_data(c); /* also when nothing came meanwhile */
}

static void http_connection_on_head(struct http_connection *c)
{
	struct http_request *request = c->request;

	if (request->is_old ||
		message_text_has_token(message_find(&request->message, "Connection"), "close"))
		c->close_after = true;
	http_connection_judge(c);
}

/* True: something was done and there may be more to do. */
static bool http_connection_read_head(struct http_connection *c)
{
	struct evbuffer *input = connection_input(c->socket);
	size_t n = evbuffer_get_length(input);
	struct message message;
	const char *why = NULL;

	if (n == 0)
		return false;
	if (c->state == HTTP_WAITING)
		http_connection_enter(c, HTTP_READING);
	if (n > MESSAGE_HEAD_BYTES)
		n = MESSAGE_HEAD_BYTES;
	const char *p = (const char *)evbuffer_pullup(input, (ssize_t)n);
	if (p[0] == HTTP_TLS_HELLO) {
		http_connection_fail(c, 400, "this port speaks HTTP without TLS");
		return true;
	}
	ssize_t used = message_parse(&message, p, n, c->seen, true, &why);
	if (used < 0 || (used == 0 && n == MESSAGE_HEAD_BYTES)) {
		bool large = used == 0 || used == -EMSGSIZE;
		http_connection_fail(c, large ? 431 : 400, large ? "the head is too large" : why);
		return true;
	}
	c->seen = used ? 0 : n;
	if (used == 0)
		return false;
	c->request = http_request_new(c);
	int status = http_request_read_head(c->request, p, (size_t)used, &why);
	(void)evbuffer_drain(input, (size_t)used);
	if (status)
		http_connection_fail(c, status, why);
	else
		http_connection_on_head(c);
	return true;
}

static bool http_connection_read_body(struct http_connection *c)
{
	const char *why = NULL;
	int result = http_request_read_body(c->request, connection_input(c->socket), &why);

	if (result < 0) {
		http_connection_fail(c, -result, why);
		return true;
	}
	if (result == 0)
		return false;
	http_connection_judge(c);
	return true;
}

/* Gives the handler what has come. */
static bool http_connection_receive(struct http_connection *c)
{
	struct http_request *request = c->request;
	const char *why = NULL;
	int result;

	if (c->body_paused)
		return false;
	result = http_request_read_body(request, connection_input(c->socket), &why);
	if (result < 0) {
		http_connection_fail(c, -result, why);
		return true;
	}
	if (result > 0)
		http_connection_enter(c, HTTP_ANSWERING);
	http_request_deliver(request, result > 0);
	if (c->state == HTTP_ANSWERING && c->request == request)
		http_connection_pause(c);
	return c->state != HTTP_RECEIVING && c->state != HTTP_ANSWERING;
}

void http_connection_receive_body(struct http_connection *c)
{
	if (c->request->owes_continue)
		http_connection_continue(c);
	c->request->owes_continue = false;
	c->came = 0;
	connection_set_input_limit(c->socket, HTTP_RECEIVE_BYTES);
	http_connection_enter(c, HTTP_RECEIVING);
	http_connection_resume(c);
}

/* One step of a connection's life; true: look again. */
static bool http_connection_step(struct http_connection *c)
{
	switch (c->state) {
	case HTTP_WAITING:
	case HTTP_READING:
		return http_connection_read_head(c);
	case HTTP_JUDGING:
		if (c->paused) /* not known yet */
			return false;
		http_connection_judge(c);
		return true;
	case HTTP_COLLECTING:
		return http_connection_read_body(c);
	case HTTP_RECEIVING:
		return http_connection_receive(c);
	case HTTP_LINGERING:
		(void)evbuffer_drain(connection_input(c->socket),
			evbuffer_get_length(connection_input(c->socket)));
		return false;
	case HTTP_SHARED:
		http2_on_data(c);
		return false;
	case HTTP_ANSWERING:
	case HTTP_DRAINING:
	case HTTP_CLOSED:
		return false;
	}
	return false;
}

static void http_connection_on_data(void *arg)
{
	struct http_connection *c = arg;

	if (c->stepping) /* the loop below goes on by itself */
		return;
	c->stepping = true;
	while (http_connection_step(c))
		;
	c->stepping = false;
}

/* --- life --- */

static void http_connection_fini(void *object)
{
	struct http_connection *c = object;

	reactor_timer_free(&c->timer);
	free(c->peer);
	free(c);
}

/* The socket is gone, or another's. */
static void http_connection_end(struct http_connection *c)
{
	http_connection_enter(c, HTTP_CLOSED);
	c->socket = NULL;
	TAILQ_REMOVE(&c->server->connections, c, entry);
	c->server->n_connections--;
	authenticate_asker_fini(&c->asker);
	if (c->request)
		http_request_end(c->request);
	http2_free(c->http2);
	c->http2 = NULL;
	reactor_free_later(&c->dead, http_connection_fini, c);
}

static void http_connection_on_close(void *arg, enum close_reason reason, const char *detail)
{
	struct http_connection *c = arg;

	if (close_reason_is_error(reason))
		log_debug(&c->log, "%s%s%s", close_reason_words(reason), detail ? ": " : "",
			detail ? detail : "");
	http_connection_end(c);
}

const struct sockaddr *http_peer_address(const struct http_request *request)
{
	return connection_peer_address(request->client->socket);
}

struct connection *http_hand_over(struct http_request *request, const struct log_name *parent,
	const struct connection_events *events, void *arg)
{
	struct http_connection *c = request->client;
	struct connection *socket = c->socket;

	assert(request->phase == HTTP_NOT_STARTED);
	if (request->owes_continue)
		http_connection_continue(c);
	http_connection_end(c);
	connection_adopt(socket, parent, events, arg);
	return socket;
}

static void http_connection_on_open(void *arg)
{
	struct http_connection *c = arg;

	if (c->state == HTTP_WAITING && connection_speaks(c->socket, "h2")) {
		http_connection_enter(c, HTTP_SHARED);
		http2_begin(c);
	}
}

static const struct connection_events http_connection_events = {
	.on_open = http_connection_on_open,
	.on_data = http_connection_on_data,
	.on_drained = http_connection_on_drained,
	.on_close = http_connection_on_close,
};

static bool http_same_host(const struct sockaddr *a, const struct sockaddr *b)
{
	if (a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
	/* a customer's IPv6 network is a /64 */
	return a->sa_family == AF_INET6 &&
	       memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
		       &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr, 8) == 0;
}

static bool http_server_is_full(struct http_server *server, const struct http_connection *new)
{
	const struct sockaddr *peer = connection_peer_address(new->socket);
	const struct http_connection *c;
	size_t same = 0;

	if (server->n_connections > HTTP_CONNECTIONS)
		return true;
	if (connection_peer_is_loopback(new->socket) || http_trusts(peer))
		return false;
	TAILQ_FOREACH (c, &server->connections, entry)
		same += http_same_host(peer, connection_peer_address(c->socket));
	return same > HTTP_CONNECTIONS_PER_ADDRESS;
}

static void http_server_on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	struct http_server *server = arg;
	struct http_connection *c;

	if (server->n_connections >= HTTP_CONNECTIONS + HTTP_CONNECTIONS_REFUSED) {
		(void)close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->server = server;
	c->carrier = &http1_carrier;
	c->timer = reactor_timer_new(http_connection_on_timer, c);
	c->socket = connection_accept(fd, peer, peer_bytes, server->tls, server->label,
		&server->log, &http_connection_events, c);
	c->peer = xstrdup(connection_peer(c->socket));
	c->log = (struct log_name){ .parent = &server->log, .kind = "client", .name = c->peer };
	authenticate_asker_init(
		&c->asker, "http", connection_peer_address(c->socket), http_connection_on_known, c);
	connection_set_input_limit(c->socket, HTTP_INPUT_BYTES);
	TAILQ_INSERT_TAIL(&server->connections, c, entry);
	server->n_connections++;
	http_connection_enter(c, HTTP_WAITING);
	if (http_server_is_full(server, c)) {
		log_write_repeated(&server->full, LOG_WARN, &c->log,
			"refused: too many connections (%zu)", server->n_connections - 1);
		http_connection_fail(c, 503, "too many connections");
	} else if (server->tls) {
		connection_offer(c->socket, http2_protocols());
	}
}

struct http_server *http_server_new(const char *address, bool loopback_only,
	const struct tls_server *tls, const struct http_route *routes)
{
	struct http_server *server = xcalloc(1, sizeof(*server));

	server->label = tls ? "https" : "http";
	server->log.kind = server->label;
	server->tls = tls;
	server->routes = routes;
	server->sessions = metric_get(METRIC_SESSIONS, "http");
	TAILQ_INIT(&server->connections);
	server->listener = listener_new(address, loopback_only, http_server_on_accept, server);
	if (!server->listener) {
		free(server);
		return NULL;
	}
	return server;
}

void http_server_show_only(struct http_server *server, const char *camera)
{
	free(server->camera);
	server->camera = xstrdup(camera);
}

static void http_connection_stop(struct http_connection *c)
{
	struct connection *socket = c->socket;

	if (!c->http2) {
		connection_close(socket, CLOSE_SHUTDOWN);
		return;
	}
	http2_say_goodbye(c);
	http_connection_end(c);
	connection_release(&socket);
}

void http_server_free(struct http_server *server)
{
	struct http_connection *c;

	if (!server)
		return;
	listener_free(server->listener);
	while ((c = TAILQ_FIRST(&server->connections)))
		http_connection_stop(c);
	free(server->camera);
	free(server);
}

const char *http_server_address(const struct http_server *server)
{
	return listener_address(server->listener);
}
