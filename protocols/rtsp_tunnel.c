/*
 * RTSP through HTTP, as QuickTime began it ("Tunnelling RTSP and RTP over HTTP", Apple 2001): the answer to a GET brings
 * answers and media and never ends, a POST with the same x-sessioncookie brings the requests in Base64, and may
 * be closed and be followed by another. Both come from one host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/base64.h"
#include "protocols/http_server.h"
#include "protocols/rtsp_server_private.h"
#include "server/base/address.h"
#include "server/base/memory.h"

enum {
	COOKIE_BYTES = 129, /* longer ones are refused */
	DECODE_BYTES = 4096
};

struct rtsp_tunnel {
	struct rtsp_connection *owner; /* the GET's; NULL: that has ended */
	char cookie[COOKIE_BYTES];
	struct connection *post; /* NULL between two of them */
	struct base64_stream decoder;
	struct evbuffer *input; /* what the POSTs said; limit RTSP_INPUT_BYTES */
	bool paused;
	struct event *again_timer; /* the input is to be read anew */
	struct reactor_dead dead;
};

/* --- the POST --- */

/* Decodes what has come of the POST, as long as there is room. False: it is no Base64. */
static bool tunnel_decode(struct rtsp_tunnel *tunnel)
{
	struct evbuffer *from = connection_input(tunnel->post);
	uint8_t bytes[DECODE_BYTES];
	char text[DECODE_BYTES];

	while (evbuffer_get_length(tunnel->input) + sizeof(bytes) <= RTSP_INPUT_BYTES) {
		int n = evbuffer_remove(from, text, sizeof(text));
		if (n <= 0)
			return true;
		ssize_t written = base64_stream_parse(&tunnel->decoder, bytes, text, (size_t)n);
		if (written < 0)
			return false;
		evbuffer_add(tunnel->input, bytes, (size_t)written);
	}
	return true;
}

static void tunnel_read(struct rtsp_tunnel *tunnel)
{
	struct rtsp_connection *c = tunnel->owner;

	if (!c || c->ending || tunnel->paused)
		return;
	if (tunnel->post && !tunnel_decode(tunnel)) {
		rtsp_connection_refuse(c, 400, "the tunnel holds something else than Base64");
		return;
	}
	rtsp_connection_read(c);
	if (tunnel->post && evbuffer_get_length(connection_input(tunnel->post)) > 0)
		reactor_timer_start(tunnel->again_timer, 0); /* there was no room */
}

static void tunnel_on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	tunnel_read(arg);
}

static void tunnel_on_data(void *arg)
{
	tunnel_read(arg);
}

/* Another one may follow; what it brings begins with four new digits. */
static void tunnel_on_close(void *arg, enum close_reason reason, const char *detail)
{
	struct rtsp_tunnel *tunnel = arg;

	(void)detail;
	log_debug(&tunnel->owner->log, "the POST: %s", close_reason_words(reason));
	tunnel->post = NULL;
	memset(&tunnel->decoder, 0, sizeof(tunnel->decoder));
}

static const struct connection_events tunnel_post_events = {
	.on_data = tunnel_on_data,
	.on_close = tunnel_on_close,
};

static void tunnel_take_post(struct rtsp_tunnel *tunnel, struct http_request *request)
{
	struct rtsp_connection *c = tunnel->owner;

	connection_close(tunnel->post, CLOSE_DONE); /* its end has not been seen yet */
	tunnel->post = http_hand_over(request, &c->server->log, &tunnel_post_events, tunnel);
	connection_set_input_limit(tunnel->post, RTSP_INPUT_BYTES);
	if (tunnel->paused)
		connection_pause(tunnel->post, PAUSE_BUSY);
}

/* --- what the connection's owner asks for --- */

struct evbuffer *rtsp_tunnel_input(struct rtsp_tunnel *tunnel)
{
	return tunnel->input;
}

void rtsp_tunnel_pause(struct rtsp_tunnel *tunnel)
{
	tunnel->paused = true;
	if (tunnel->post)
		connection_pause(tunnel->post, PAUSE_BUSY);
}

void rtsp_tunnel_resume(struct rtsp_tunnel *tunnel)
{
	tunnel->paused = false;
	if (tunnel->post)
		connection_resume(tunnel->post, PAUSE_BUSY);
	reactor_timer_start(tunnel->again_timer, 0);
}

static void tunnel_fini(void *object)
{
	struct rtsp_tunnel *tunnel = object;

	reactor_timer_free(&tunnel->again_timer);
	evbuffer_free(tunnel->input);
	free(tunnel);
}

void rtsp_tunnel_free(struct rtsp_tunnel *tunnel)
{
	if (!tunnel)
		return;
	connection_abandon(&tunnel->post);
	reactor_timer_stop(tunnel->again_timer);
	tunnel->owner = NULL;
	reactor_free_later(&tunnel->dead, tunnel_fini, tunnel);
}

/* --- the GET --- */

static const char tunnel_answer[] = "HTTP/1.0 200 OK\r\n"
				    "Server: nvrd\r\n"
				    "Connection: close\r\n"
				    "Cache-Control: no-store\r\n"
				    "Pragma: no-cache\r\n"
				    "Content-Type: application/x-rtsp-tunnelled\r\n"
				    "\r\n";

static void tunnel_take_get(
	struct rtsp_server *server, struct http_request *request, const char *cookie)
{
	struct rtsp_connection *c = rtsp_connection_new(server);

	c->tunnel = xcalloc(1, sizeof(*c->tunnel));
	c->tunnel->owner = c;
	(void)snprintf(c->tunnel->cookie, COOKIE_BYTES, "%s", cookie);
	c->tunnel->input = evbuffer_new();
	c->tunnel->again_timer = reactor_timer_new(tunnel_on_again, c->tunnel);
	c->connection = http_hand_over(request, &server->log, &rtsp_connection_events, c);
	connection_write(c->connection, tunnel_answer, sizeof(tunnel_answer) - 1);
	rtsp_connection_start(c);
}

static struct rtsp_tunnel *tunnel_find(
	struct rtsp_server *server, const char *cookie, const struct sockaddr *peer)
{
	struct rtsp_connection *c;

	for (size_t i = 0; i < RTSP_STANDINGS; i++) {
		TAILQ_FOREACH (c, &server->connections[i], entry) {
			if (c->tunnel && strcmp(c->tunnel->cookie, cookie) == 0 &&
				address_is_same_host(connection_peer_address(c->connection), peer))
				return c->tunnel;
		}
	}
	return NULL;
}

void rtsp_tunnel_take(void *arg, struct http_request *request)
{
	struct rtsp_server *server = arg;
	struct message_text field = http_field(request, "x-sessioncookie");
	char cookie[COOKIE_BYTES];

	if (field.n == 0 || field.n >= sizeof(cookie)) {
		http_answer_error(request, 400, "x-sessioncookie is empty or too long");
		return;
	}
	message_text_copy(cookie, sizeof(cookie), field);
	struct rtsp_tunnel *tunnel = tunnel_find(server, cookie, http_peer_address(request));
	if (http_method(request) == HTTP_GET) {
		if (tunnel)
			http_answer_error(request, 409, "there is a tunnel of this cookie");
		else
			tunnel_take_get(server, request, cookie);
	} else if (!tunnel) {
		http_answer_error(request, 404, "there is no tunnel of this cookie");
	} else if (http_body_bytes(request) == HTTP_UNKNOWN) {
		http_answer_error(request, 501, "what comes in chunks is no tunnel");
	} else {
		tunnel_take_post(tunnel, request);
	}
}
