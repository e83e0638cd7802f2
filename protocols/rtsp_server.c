/* The RTSP server's listener and connections: bytes in, requests and interleaved packets out. */
#include "protocols/rtsp_server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "protocols/rtsp_server_private.h"
#include "server/base/memory.h"

enum {
	REQUESTS_PER_WAKE_UP = 16,
	IDLE_US = RTSP_TIMEOUT_S * 1000000,
	INTERLEAVED_BYTES = 4
};
enum {
	INPUT_BYTES = MESSAGE_HEAD_BYTES + RTSP_BODY_BYTES + 65540
};

void rtsp_connection_update_idle(struct rtsp_connection *c)
{
	struct rtsp_session *session;
	int64_t idle_us = IDLE_US;

	if (!c->connection)
		return;
	LIST_FOREACH (session, &c->server->sessions, entry)
		if (session->connection == c)
			idle_us = 0; /* the session has a timer of its own */
	connection_set_idle(c->connection, idle_us);
}

void rtsp_connection_finish(struct rtsp_connection *c)
{
	if (!c->connection || c->ending)
		return;
	c->ending = true;
	connection_finish(c->connection);
}

/* Media of the client: receiver reports, which say that it lives. */
static void rtsp_take_interleaved(struct rtsp_connection *c, unsigned channel)
{
	struct rtsp_session *session;

	LIST_FOREACH (session, &c->server->sessions, entry) {
		if (session->connection != c || session->udp)
			continue;
		for (size_t i = 0; i < STREAM_TRACKS; i++)
			if (session->tracks[i].set_up && session->tracks[i].channels[1] == channel)
				rtsp_session_touch(session);
	}
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
	evbuffer_drain(input, n);
	rtsp_take_interleaved(c, head[1]);
	return true;
}

static void rtsp_refuse(struct rtsp_connection *c, int status, const char *why)
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
		rtsp_refuse(c, 400, why);
		return false;
	}
	if (used == 0) {
		c->seen = n;
		return false;
	}
	if (message_content_length(&message, &body_bytes) < 0) {
		rtsp_refuse(c, 400, "the Content-Length makes no sense");
		return false;
	}
	if (body_bytes > RTSP_BODY_BYTES) {
		rtsp_refuse(c, 413, "Request Entity Too Large");
		return false;
	}
	if (body_bytes > n - (size_t)used)
		return false; /* `seen` stays: the head is parsed again */
	c->seen = 0;
	if (message.is_request && !rtsp_answer_request(c, &message,
					  (struct message_text){ p + used, (size_t)body_bytes }))
		return false;
	if (c->connection)
		evbuffer_drain(input, (size_t)used + (size_t)body_bytes);
	return c->connection != NULL;
}

static void rtsp_on_data(void *arg)
{
	struct rtsp_connection *c = arg;
	struct evbuffer *input = connection_input(c->connection);

	for (unsigned i = 0; c->connection && !c->ending; i++) {
		char first;
		if (evbuffer_copyout(input, &first, 1) < 1)
			return;
		if (first == '\r' || first == '\n') {
			evbuffer_drain(input, 1);
			c->seen = 0;
			continue;
		}
		if (i >= REQUESTS_PER_WAKE_UP)
			break;
		bool again = first == '$' ? rtsp_read_interleaved(c, input)
					  : rtsp_read_request(c, input);
		if (!again)
			return;
	}
	if (c->connection && !c->ending && evbuffer_get_length(input) > 0) {
		/* The rest comes with the next turn of the loop. */
		connection_pause(c->connection, PAUSE_BUSY);
		connection_resume(c->connection, PAUSE_BUSY);
	}
}

static void rtsp_connection_fini(void *object)
{
	struct rtsp_connection *c = object;

	free(c->peer);
	free(c);
}

static void rtsp_on_close(void *arg, enum close_reason reason, const char *detail)
{
	struct rtsp_connection *c = arg;
	struct rtsp_session *session, *next;

	log_debug(&c->log, "%s%s%s", close_reason_words(reason), detail ? ": " : "",
		detail ? detail : "");
	c->connection = NULL;
	rtsp_source_free(c->source);
	c->source = NULL;
	authenticate_asker_fini(&c->asker);
	for (session = LIST_FIRST(&c->server->sessions); session; session = next) {
		next = LIST_NEXT(session, entry);
		if (session->source->waiting == c)
			session->source->waiting = NULL;
		if (session->connection == c)
			rtsp_session_connection_ended(session);
	}
	c->server->n_connections--;
	LIST_REMOVE(c, entry);
	reactor_free_later(&c->dead, rtsp_connection_fini, c);
}

/* Who asks is known now: the request is read again. */
static void rtsp_on_known(void *arg)
{
	struct rtsp_connection *c = arg;

	connection_resume(c->connection, PAUSE_BUSY);
}

static const struct connection_events rtsp_connection_events = {
	.on_data = rtsp_on_data,
	.on_close = rtsp_on_close,
};

static void rtsp_on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	struct rtsp_server *server = arg;

	if (server->n_connections >= RTSP_CONNECTIONS) {
		close(fd);
		return;
	}
	struct rtsp_connection *c = xcalloc(1, sizeof(*c));
	c->server = server;
	c->log.kind = "rtsp";
	c->connection = connection_accept(
		fd, peer, peer_bytes, NULL, "rtsp", &server->log, &rtsp_connection_events, c);
	if (!c->connection) {
		free(c);
		return;
	}
	c->peer = xstrdup(connection_peer(c->connection));
	c->log.name = c->peer;
	authenticate_asker_init(
		&c->asker, "rtsp", connection_peer_address(c->connection), rtsp_on_known, c);
	connection_set_input_limit(c->connection, INPUT_BYTES);
	server->n_connections++;
	LIST_INSERT_HEAD(&server->connections, c, entry);
	rtsp_connection_update_idle(c);
}

struct rtsp_server *rtsp_server_new(const char *address, bool loopback_only)
{
	struct rtsp_server *server = xcalloc(1, sizeof(*server));

	LIST_INIT(&server->connections);
	LIST_INIT(&server->sessions);
	server->listener = listener_new(address, loopback_only, rtsp_on_accept, server);
	if (!server->listener) {
		int error = errno;
		free(server);
		errno = error;
		return NULL;
	}
	server->log.kind = "rtsp server";
	server->sessions_metric = metric_get(METRIC_SESSIONS, "rtsp");
	server->skipped_metric = metric_get(METRIC_READER_SKIPPED, "rtsp");
	server->sent_metric = metric_get(METRIC_SENT_BYTES, "rtsp");
	return server;
}

void rtsp_server_free(struct rtsp_server *server)
{
	struct rtsp_connection *c;
	struct rtsp_session *session;

	if (!server)
		return;
	listener_free(server->listener);
	while ((session = LIST_FIRST(&server->sessions)))
		rtsp_session_end(session);
	while ((c = LIST_FIRST(&server->connections)))
		connection_close(c->connection, CLOSE_SHUTDOWN);
	free(server);
}

const char *rtsp_server_address(const struct rtsp_server *server)
{
	return listener_address(server->listener);
}
