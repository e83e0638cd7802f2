/* Answers as HTTP/1.1 frames them (RFC 9112 sections 6 and 7), or HTTP/1.0. */
#include <event2/buffer.h>

#include "protocols/file_pump.h"
#include "protocols/http_private.h"

static struct evbuffer *http1_output(const struct http_request *request)
{
	return connection_output(request->client->socket);
}

/* What has no length goes in chunks, or for HTTP/1.0 ends with the connection. */
static void http1_frame(struct http_request *request, struct evbuffer *out)
{
	if (request->bytes_left != HTTP_UNKNOWN || request->status == 204 || request->status == 304)
		return;
	request->is_chunked_answer = !request->is_old;
	if (request->is_old)
		request->client->close_after = true;
	else
		(void)evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n");
}

static void http1_start(struct http_request *request)
{
	struct http_connection *c = request->client;
	struct evbuffer *out = http1_output(request);
	size_t before = evbuffer_get_length(out);

	if (!request->body_whole)
		http_connection_leave_body(c);
	(void)evbuffer_add_printf(
		out, "HTTP/1.1 %d %s\r\n", request->status, http_status_words(request->status));
	http1_frame(request, out);
	if (c->close_after)
		(void)evbuffer_add_printf(out, "Connection: close\r\n");
	(void)evbuffer_add_buffer(out, request->fields);
	(void)evbuffer_add(out, "\r\n", 2);
	request->sent += evbuffer_get_length(out) - before;
}

static void http1_send(struct http_request *request, struct evbuffer *body)
{
	struct evbuffer *out = http1_output(request);
	size_t before = evbuffer_get_length(out);

	if (request->is_chunked_answer)
		(void)evbuffer_add_printf(out, "%zx\r\n", evbuffer_get_length(body));
	(void)evbuffer_add_buffer(out, body);
	if (request->is_chunked_answer)
		(void)evbuffer_add(out, "\r\n", 2);
	request->sent += evbuffer_get_length(out) - before;
}

static void http1_pump(
	struct http_request *request, struct file_pump *pump, uint64_t at, uint64_t bytes)
{
	file_pump_send(pump, request->client->socket, at, bytes);
}

static void http1_set_low_water(struct http_request *request, size_t low_water)
{
	http_connection_set_low_water(request->client, low_water);
}

static void http1_end(struct http_request *request)
{
	if (request->is_chunked_answer && !request->is_bodyless)
		connection_write(request->client->socket, "0\r\n\r\n", 5);
	http_connection_answered(request->client);
}

static void http1_abort(struct http_request *request)
{
	connection_close(request->client->socket, CLOSE_ERROR);
}

static void http1_receive(struct http_request *request)
{
	http_connection_receive_body(request->client);
}

static void http1_set_body_paused(struct http_request *request, bool paused)
{
	http_connection_set_body_paused(request->client, paused);
}

const struct http_carrier http1_carrier = {
	.output = http1_output,
	.start = http1_start,
	.send = http1_send,
	.pump = http1_pump,
	.set_low_water = http1_set_low_water,
	.end = http1_end,
	.abort = http1_abort,
	.receive = http1_receive,
	.set_body_paused = http1_set_body_paused,
};
