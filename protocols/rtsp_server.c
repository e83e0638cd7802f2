/* The RTSP server's listeners and connections: bytes in, requests and interleaved packets out. */
#include "protocols/rtsp_server.h"

#include <stdlib.h>

#include <event2/buffer.h>

#include "protocols/http_server.h"
#include "protocols/rtsp_server_private.h"
#include "server/base/memory.h"

enum {
	REQUESTS_PER_WAKE_UP = 16,
	PACKETS_PER_WAKE_UP = 512,
	IDLE_US = RTSP_TIMEOUT_S * 1000000,
	REQUEST_US = RTSP_REQUEST_S * 1000000,
	INTERLEAVED_BYTES = 4
};

/* --- who is known how well --- */

static void rtsp_connection_enter(struct rtsp_connection *c, enum rtsp_standing standing)
{
	struct rtsp_server *server = c->server;

	TAILQ_REMOVE(&server->connections[c->standing], c, entry);
	server->n_strangers += (standing != RTSP_SERVED) - (c->standing != RTSP_SERVED);
	c->standing = standing;
	TAILQ_INSERT_TAIL(&server->connections[standing], c, entry);
	/* a session has a timer of its own */
	connection_set_idle(c->connection, standing == RTSP_SERVED ? 0 : IDLE_US);
}

void rtsp_connection_update(struct rtsp_connection *c)
{
	bool served = !LIST_EMPTY(&c->sessions);

	if (c->connection && served != (c->standing == RTSP_SERVED))
		rtsp_connection_enter(c, served ? RTSP_SERVED : RTSP_HEARD);
}

/* Makes room for one more stranger. */
static void rtsp_server_evict(struct rtsp_server *server)
{
	struct rtsp_connection *oldest = TAILQ_FIRST(&server->connections[RTSP_SILENT]);

	if (server->n_strangers < RTSP_STRANGERS)
		return;
	if (!oldest)
		oldest = TAILQ_FIRST(&server->connections[RTSP_HEARD]);
	connection_close(oldest->connection, CLOSE_CROWDED);
}

/* A request has begun that must end in time, or has ended. */
static void rtsp_connection_set_half(struct rtsp_connection *c, bool half)
{
	if (half && !c->half)
		reactor_timer_start(c->request_timer, REQUEST_US);
	if (!half)
		reactor_timer_stop(c->request_timer);
	c->half = half;
}

static void rtsp_connection_on_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	rtsp_connection_refuse(arg, 408, "Request Time-out");
}

/* --- input --- */

static struct evbuffer *rtsp_connection_input(struct rtsp_connection *c)
{
	return c->tunnel ? rtsp_tunnel_input(c->tunnel) : connection_input(c->connection);
}

void rtsp_connection_pause(struct rtsp_connection *c)
{
	if (c->tunnel)
		rtsp_tunnel_pause(c->tunnel);
	else
		connection_pause(c->connection, PAUSE_BUSY);
}

void rtsp_connection_resume(struct rtsp_connection *c)
{
	if (c->tunnel)
		rtsp_tunnel_resume(c->tunnel);
	else
		connection_resume(c->connection, PAUSE_BUSY);
}

void rtsp_connection_finish(struct rtsp_connection *c)
{
	if (!c->connection || c->ending)
		return;
	c->ending = true;
	reactor_timer_stop(c->request_timer);
	connection_finish(c->connection);
}

/* The session whose channel it is, and its track. */
static struct rtsp_session *rtsp_find_channel(
	const struct rtsp_connection *c, unsigned channel, unsigned *track)
{
	struct rtsp_session *session;

	LIST_FOREACH (session, &c->sessions, connection_entry) {
		if (session->over != RTSP_OVER_TCP)
			continue;
		for (unsigned i = 0; i < STREAM_TRACKS; i++) {
			const struct rtsp_track *t = &session->tracks[i];
			if (!t->set_up || (t->channels[0] != channel && t->channels[1] != channel))
				continue;
			*track = i;
			return session;
		}
	}
	return NULL;
}

/* Media of who publishes; of others receiver reports, which say that they live. */
static void rtsp_take_interleaved(
	struct rtsp_connection *c, unsigned channel, const uint8_t *p, size_t n)
{
	unsigned track;
	struct rtsp_session *session = rtsp_find_channel(c, channel, &track);

	if (session)
		rtsp_session_on_packet(session, track, p, n);
}

/* Takes one interleaved packet from the input. Returns false when more bytes are needed. */
static bool rtsp_read_interleaved(struct rtsp_connection *c, struct evbuffer *input)
{
	unsigned char head[INTERLEAVED_BYTES];

	if (evbuffer_copyout(input, head, sizeof(head)) < (ssize_t)sizeof(head))
		return false;
	size_t n = sizeof(head) + ((size_t)head[2] << 8 | head[3]);
	if (evbuffer_get_length(input) < n)
		return false;
	const uint8_t *p = evbuffer_pullup(input, (ssize_t)n);
	rtsp_take_interleaved(c, head[1], p + sizeof(head), n - sizeof(head));
	if (c->connection)
		evbuffer_drain(input, n);
	return c->connection != NULL;
}

void rtsp_connection_refuse(struct rtsp_connection *c, int status, const char *why)
{
	log_info(&c->log, "%s", why);
	rtsp_answer_malformed(c, status, why);
	rtsp_connection_finish(c);
}

/* Takes one request from the input. Returns false when more bytes are needed, or it was refused. */
static bool rtsp_read_request(struct rtsp_connection *c, struct evbuffer *input)
{
	size_t n = evbuffer_get_length(input);
	struct message message;
	const char *why = NULL;
	uint64_t body_bytes = 0;

	if (n > MESSAGE_HEAD_BYTES + RTSP_BODY_BYTES)
		n = MESSAGE_HEAD_BYTES + RTSP_BODY_BYTES;
	const char *p = (const char *)evbuffer_pullup(input, (ssize_t)n);
	ssize_t used = message_parse(&message, p, n, c->seen, false, &why);
	if (used < 0) {
		rtsp_connection_refuse(c, 400, why);
		return false;
	}
	if (used == 0) {
		c->seen = n;
		rtsp_connection_set_half(c, true);
		return false;
	}
	if (message_content_length(&message, &body_bytes) < 0) {
		rtsp_connection_refuse(c, 400, "the Content-Length makes no sense");
		return false;
	}
	if (body_bytes > RTSP_BODY_BYTES) {
		rtsp_connection_refuse(c, 413, "Request Entity Too Large");
		return false;
	}
	if (body_bytes > n - (size_t)used) { /* `seen` stays: the head is parsed again */
		rtsp_connection_set_half(c, true);
		return false;
	}
	c->seen = 0;
	rtsp_connection_set_half(c, false);
	if (c->standing == RTSP_SILENT)
		rtsp_connection_enter(c, RTSP_HEARD);
	if (message.is_request && !rtsp_answer_request(c, &message,
					  (struct message_text){ p + used, (size_t)body_bytes }))
		return false;
	if (c->connection)
		evbuffer_drain(input, (size_t)used + (size_t)body_bytes);
	return c->connection != NULL;
}

void rtsp_connection_read(struct rtsp_connection *c)
{
	struct evbuffer *input = rtsp_connection_input(c);

	for (unsigned i = 0; c->connection && !c->ending; i++) {
		char first;
		if (evbuffer_copyout(input, &first, 1) < 1)
			return;
		if (first == '\r' || first == '\n') {
			evbuffer_drain(input, 1);
			c->seen = 0;
			continue;
		}
		if (i >= (first == '$' ? PACKETS_PER_WAKE_UP : REQUESTS_PER_WAKE_UP))
			break;
		bool again = first == '$' ? rtsp_read_interleaved(c, input)
					  : rtsp_read_request(c, input);
		if (!again)
			return;
	}
	if (c->connection && !c->ending && evbuffer_get_length(input) > 0) {
		/* The rest comes with the next turn of the loop. */
		rtsp_connection_pause(c);
		rtsp_connection_resume(c);
	}
}

static void rtsp_on_data(void *arg)
{
	struct rtsp_connection *c = arg;
	struct evbuffer *input = connection_input(c->connection);

	if (c->tunnel) /* a GET has nothing more to say */
		evbuffer_drain(input, evbuffer_get_length(input));
	else
		rtsp_connection_read(c);
}

static void rtsp_connection_fini(void *object)
{
	struct rtsp_connection *c = object;

	reactor_timer_free(&c->request_timer);
	free(c->peer);
	free(c);
}

static void rtsp_on_close(void *arg, enum close_reason reason, const char *detail)
{
	struct rtsp_connection *c = arg;
	struct rtsp_session *session;

	log_debug(&c->log, "%s%s%s", close_reason_words(reason), detail ? ": " : "",
		detail ? detail : "");
	c->connection = NULL;
	reactor_timer_stop(c->request_timer);
	rtsp_tunnel_free(c->tunnel);
	c->tunnel = NULL;
	rtsp_source_free(c->source);
	c->source = NULL;
	authenticate_asker_fini(&c->asker);
	LIST_FOREACH (session, &c->server->sessions, entry)
		if (session->source->waiting == c)
			session->source->waiting = NULL;
	while ((session = LIST_FIRST(&c->sessions)))
		rtsp_session_connection_ended(session);
	c->server->n_strangers -= c->standing != RTSP_SERVED;
	TAILQ_REMOVE(&c->server->connections[c->standing], c, entry);
	reactor_free_later(&c->dead, rtsp_connection_fini, c);
}

/* Who asks is known now: the request is read again. */
static void rtsp_on_known(void *arg)
{
	rtsp_connection_resume(arg);
}

static void rtsp_on_drained(void *arg)
{
	struct rtsp_connection *c = arg;
	struct rtsp_session *session, *next;

	for (session = LIST_FIRST(&c->sessions); session; session = next) {
		next = LIST_NEXT(session, connection_entry);
		if (session->over == RTSP_OVER_TCP)
			rtsp_session_on_drained(session);
	}
}

const struct connection_events rtsp_connection_events = {
	.on_data = rtsp_on_data,
	.on_drained = rtsp_on_drained,
	.on_close = rtsp_on_close,
};

struct rtsp_connection *rtsp_connection_new(struct rtsp_server *server)
{
	struct rtsp_connection *c = xcalloc(1, sizeof(*c));

	rtsp_server_evict(server);
	c->server = server;
	c->log.kind = "rtsp";
	c->request_timer = reactor_timer_new(rtsp_connection_on_late, c);
	LIST_INIT(&c->sessions);
	server->n_strangers++;
	TAILQ_INSERT_TAIL(&server->connections[RTSP_SILENT], c, entry);
	return c;
}

void rtsp_connection_start(struct rtsp_connection *c)
{
	c->peer = xstrdup(connection_peer(c->connection));
	c->log.name = c->peer;
	authenticate_asker_init(
		&c->asker, "rtsp", connection_peer_address(c->connection), rtsp_on_known, c);
	connection_set_input_limit(c->connection, RTSP_INPUT_BYTES);
	connection_set_idle(c->connection, IDLE_US);
	rtsp_connection_set_half(c, true);
}

static void rtsp_on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	struct rtsp_port *port = arg;
	struct rtsp_connection *c = rtsp_connection_new(port->server);

	c->connection = connection_accept(fd, peer, peer_bytes, port->tls, "rtsp",
		&port->server->log, &rtsp_connection_events, c);
	rtsp_connection_start(c);
}

/* --- life --- */

struct rtsp_server *rtsp_server_new(const struct config *config, struct tree *tree)
{
	struct rtsp_server *server = xcalloc(1, sizeof(*server));

	server->config = config;
	server->plain.server = server->secure.server = server;
	for (size_t i = 0; i < RTSP_STANDINGS; i++)
		TAILQ_INIT(&server->connections[i]);
	LIST_INIT(&server->sessions);
	LIST_INIT(&server->groups);
	server->tree = tree;
	server->log.kind = "rtsp server";
	server->sessions_metric = metric_get(METRIC_SESSIONS, "rtsp");
	server->skipped_metric = metric_get(METRIC_READER_SKIPPED, "rtsp");
	server->sent_metric = metric_get(METRIC_SENT_BYTES, "rtsp");
	server->queue_metric = metric_get(METRIC_READER_QUEUE_BYTES, "rtsp");
	server->dropped_metric = metric_get(METRIC_READER_DROPPED, "rtsp");
	rtp_sender_set_reconnect(config->rtsp.reconnect_us);
	http_set_tunnel(rtsp_tunnel_take, server);
	return server;
}

void rtsp_server_free(struct rtsp_server *server)
{
	struct rtsp_connection *c;
	struct rtsp_session *session;

	if (!server)
		return;
	http_set_tunnel(NULL, NULL);
	listener_free(server->plain.listener);
	listener_free(server->secure.listener);
	while ((session = LIST_FIRST(&server->sessions)))
		rtsp_session_end(session);
	for (size_t i = 0; i < RTSP_STANDINGS; i++) {
		while ((c = TAILQ_FIRST(&server->connections[i])))
			connection_close(c->connection, CLOSE_SHUTDOWN);
	}
	free(server);
}

const char *rtsp_server_listen(struct rtsp_server *server, const char *address, bool loopback_only,
	const struct tls_server *tls)
{
	struct rtsp_port *port = tls ? &server->secure : &server->plain;

	port->tls = tls;
	port->listener = listener_new(address, loopback_only, rtsp_on_accept, port);
	return port->listener ? listener_address(port->listener) : NULL;
}

void rtsp_server_apply(struct rtsp_server *server, const struct config *config)
{
	if (!server)
		return;
	server->config = config;
	rtp_sender_set_reconnect(config->rtsp.reconnect_us);
}
