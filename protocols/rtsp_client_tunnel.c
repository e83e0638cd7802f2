/*
 * RTSP over HTTP: one connection whose GET never ends brings answers and media, another whose POST
 * never ends takes requests in base64 (Apple's tunnelling of 2001, ONVIF streaming 5.1.1.5).
 */
#include <stdlib.h>

#include <event2/buffer.h>

#include "protocols/base64.h"
#include "protocols/rtsp_client_private.h"
#include "server/base/auth.h"
#include "server/base/memory.h"

enum {
	TUNNEL_US = 10000000
};

void rtsp_tunnel_send_get(struct rtsp_client *client)
{
	struct evbuffer *out = connection_output(client->connection);

	if (!client->cookie[0])
		auth_random_hex(client->cookie, (RTSP_COOKIE_BYTES - 1) / 2);
	evbuffer_add_printf(out,
		"GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: nvrd/%s\r\nx-sessioncookie: %s\r\n"
		"Accept: application/x-rtsp-tunnelled\r\nPragma: no-cache\r\n"
		"Cache-Control: no-cache\r\n",
		client->uri.path, client->peer, NVRD_VERSION, client->cookie);
	rtsp_client_add_authorization(client, out, "GET", client->uri.path);
	evbuffer_add_printf(out, "\r\n");
}

static void tunnel_on_open(void *arg)
{
	struct rtsp_client *client = arg;
	struct evbuffer *out = connection_output(client->post);

	evbuffer_add_printf(out,
		"POST %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: nvrd/%s\r\nx-sessioncookie: %s\r\n"
		"Content-Type: application/x-rtsp-tunnelled\r\nPragma: no-cache\r\n"
		"Cache-Control: no-cache\r\nContent-Length: 32767\r\n"
		"Expires: Sun, 9 Jan 1972 00:00:00 GMT\r\n",
		client->uri.path, client->peer, NVRD_VERSION, client->cookie);
	rtsp_client_add_authorization(client, out, "POST", client->uri.path);
	evbuffer_add_printf(out, "\r\n");
}

/* Requests go in TLS records of their own: GStreamer's server overlooks what came with the POST. */
static void tunnel_on_drained(void *arg)
{
	struct rtsp_client *client = arg;

	if (client->state == RTSP_TUNNEL)
		rtsp_client_enter(client, RTSP_OPTIONS);
}

/* An answer to the POST says nothing that is needed. */
static void tunnel_on_data(void *arg)
{
	struct rtsp_client *client = arg;
	struct evbuffer *input = connection_input(client->post);

	evbuffer_drain(input, evbuffer_get_length(input));
}

static void tunnel_on_close(void *arg, enum close_reason reason, const char *detail)
{
	struct rtsp_client *client = arg;

	client->post = NULL;
	rtsp_client_end(client, reason == CLOSE_UNTRUSTED ? SOURCE_UNTRUSTED : SOURCE_CLOSED,
		detail ? detail : "the tunnel's way out");
}

static const struct connection_events tunnel_events = {
	.on_open = tunnel_on_open,
	.on_data = tunnel_on_data,
	.on_drained = tunnel_on_drained,
	.on_close = tunnel_on_close,
};

void rtsp_tunnel_on_answer(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	struct connection_target target = {
		.host = client->uri.host,
		.port = client->uri.port ? client->uri.port : client->scheme->port,
		.timeout_us = TUNNEL_US,
		.tls = client->scheme->tls ? &client->tls : NULL,
	};

	(void)answer, (void)body;
	if (client->post)
		return; /* one answer is enough */
	client->post =
		connection_connect(&target, "rtsp_client", &client->log, &tunnel_events, client);
}

void rtsp_tunnel_write(struct rtsp_client *client, struct evbuffer *text)
{
	size_t n = evbuffer_get_length(text), size = n / 3 * 4 + 8;
	char *encoded = xmalloc(size);
	ssize_t written = base64_write(encoded, size, evbuffer_pullup(text, -1), n);

	if (client->post && written > 0)
		connection_write(client->post, encoded, (size_t)written);
	evbuffer_drain(text, n);
	explicit_bzero(encoded, size);
	free(encoded);
}
