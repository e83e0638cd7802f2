/*
 * One HTTP request: its head checked so that nobody reads it differently (RFC 9112 sections 3 and
 * 6), its body, and what handlers ask about it.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/http_host.h"
#include "protocols/http_private.h"
#include "server/base/audit.h"
#include "server/base/memory.h"

struct http_request *http_request_new(struct http_connection *client)
{
	struct http_request *request = xcalloc(1, sizeof(*request));

	request->client = client;
	request->fields = evbuffer_new();
	request->body = evbuffer_new();
	if (!request->fields || !request->body)
		abort();
	request->started_us = reactor_monotonic_us();
	return request;
}

static void http_request_fini(void *object)
{
	struct http_request *request = object;

	evbuffer_free(request->fields);
	evbuffer_free(request->body);
	free(request->head);
	free(request);
}

void http_request_end(struct http_request *request)
{
	void (*on_gone)(void *) = request->on_gone;

	if (request->counted)
		metric_add(request->client->server->sessions, -1);
	if (request->client->request == request)
		request->client->request = NULL;
	request->client = NULL;
	request->on_gone = NULL;
	request->on_drained = NULL;
	if (on_gone)
		on_gone(request->context);
	reactor_free_later(&request->dead, http_request_fini, request);
}

static int http_check_protocol(struct http_request *request, const char **why)
{
	const struct message *m = &request->message;

	*why = "the target is malformed";
	if (request->stream) /* there may be a blank in it */
		return message_text_is(m->protocol, "HTTP/2") ? 0 : 400;
	*why = "this is not HTTP/1.1";
	if (!m->is_request || !message_text_starts(m->protocol, "HTTP/"))
		return 400;
	if (!message_text_starts(m->protocol, "HTTP/1."))
		return 505;
	request->is_old = message_text_is(m->protocol, "HTTP/1.0");
	return 0;
}

static int http_check_host(
	struct http_request *request, struct message_text authority, const char **why)
{
	const struct message_field *first = message_find_next(&request->message, "Host", NULL);

	*why = "there must be one Host field";
	if (first && message_find_next(&request->message, "Host", first))
		return 400;
	if (!first && !request->is_old)
		return 400;
	struct message_text value = authority;
	if (!value.p && first)
		value = first->value;
	*why = "the Host field is malformed";
	if (value.p && !http_host_parse(value, &request->host))
		return 400;
	return 0;
}

static int http_check_target(
	struct http_request *request, struct message_text *authority, const char **why)
{
	struct http_target target;

	*why = "the target is too long";
	if (request->message.target.n > HTTP_TARGET_BYTES)
		return 414;
	*why = "the target is malformed";
	if (!http_target_parse(&target, request->message.target))
		return 400;
	*authority = target.authority;
	request->query = target.query;
	if (message_text_is(target.path, "*")) { /* OPTIONS about the server: as about its root */
		(void)message_text_copy(
			request->path, sizeof(request->path), (struct message_text){ "/", 1 });
		return message_text_is(request->message.method, "OPTIONS") ? 0 : 400;
	}
	if (target.path.n >= sizeof(request->path)) {
		*why = "the target is too long";
		return 414;
	}
	return uri_decode_path(
		       request->path, sizeof(request->path), target.path.p, target.path.n, why) < 0
		       ? 400
		       : 0;
}

/* Whatever two servers could read differently is refused. */
static int http_check_coding(struct http_request *request, const char **why)
{
	const struct message *m = &request->message;
	const struct message_field *coding = message_find_next(m, "Transfer-Encoding", NULL);

	if (!coding)
		return 0;
	*why = "Transfer-Encoding and Content-Length exclude each other";
	if (message_find(m, "Content-Length").p || request->is_old)
		return 400;
	*why = "only the transfer coding chunked is known";
	if (!message_text_is(coding->value, "chunked") ||
		message_find_next(m, "Transfer-Encoding", coding))
		return 501;
	request->is_chunked = true;
	return 0;
}

/* How the body is framed. */
static int http_check_framing(struct http_request *request, const char **why)
{
	const struct message *m = &request->message;
	int status;

	*why = "the Content-Length is malformed";
	if (message_content_length(m, &request->body_left) < 0)
		return 400;
	status = http_check_coding(request, why);
	if (status)
		return status;
	if (request->stream)
		request->is_chunked = !request->body_ended && !message_find(m, "Content-Length").p;
	request->has_body = request->is_chunked || request->body_left > 0;
	request->body_whole = !request->has_body;
	request->body_limit = HTTP_BODY_BYTES;
	*why = "the body is too large";
	return request->body_left > HTTP_BODY_BYTES && !http_request_streams(request) ? 413 : 0;
}

int http_request_read_head(struct http_request *request, const char *p, size_t n, const char **why)
{
	struct message_text authority = { NULL, 0 };
	int status;

	request->head = xmalloc(n);
	memcpy(request->head, p, n);
	if (message_parse(&request->message, request->head, n, 0, true, why) < 0)
		return 400;
	request->method = http_method_find(request->message.method);
	request->is_tunnel = http_is_tunnel(request);
	status = http_check_protocol(request, why);
	if (status == 0)
		status = http_check_target(request, &authority, why);
	if (status == 0)
		status = http_check_host(request, authority, why);
	http_proxy_read(request);
	if (status == 0)
		status = http_check_framing(request, why);
	return status;
}

void http_request_dispatch(struct http_request *request)
{
	if (request->refused) {
		http_answer_error(request, request->refused, "%s", request->why);
		return;
	}
	request->counted = true;
	metric_add(request->client->server->sessions, 1);
	request->handle(request);
	request->user = NULL;
}

bool http_request_expects_continue(const struct http_request *request)
{
	return request->has_body && !request->is_old &&
	       message_text_is(message_find(&request->message, "Expect"), "100-continue");
}

bool http_request_streams(const struct http_request *request)
{
	return request->is_tunnel || (request->method && request->method->streams);
}

/* A refused request's body is read only to find its end. */
static void http_keep_body(struct http_request *request, const char *p, size_t n)
{
	if (!request->refused && n && evbuffer_add(request->body, p, n) < 0)
		abort();
}

static int http_read_counted(struct http_request *request, struct evbuffer *input)
{
	size_t n = evbuffer_get_length(input);

	if (n > request->body_left)
		n = (size_t)request->body_left;
	if (request->refused)
		(void)evbuffer_drain(input, n);
	else
		(void)evbuffer_remove_buffer(input, request->body, n);
	request->body_left -= n;
	return request->body_left == 0;
}

static int http_read_chunked(struct http_request *request, struct evbuffer *input, const char **why)
{
	while (request->chunked.state != HTTP_CHUNKED_DONE) {
		size_t n = evbuffer_get_contiguous_space(input);
		struct message_text data;
		if (n == 0)
			return 0;
		const char *p = (const char *)evbuffer_pullup(input, (ssize_t)n);
		ssize_t used = http_chunked_parse(&request->chunked, p, n, &data, why);
		if (used < 0)
			return -400;
		request->body_left += data.n; /* counts up here */
		if (request->body_left > request->body_limit) {
			*why = "the body is too large";
			return -413;
		}
		http_keep_body(request, data.p, data.n);
		(void)evbuffer_drain(input, (size_t)used);
	}
	return 1;
}

/* The stream's end is that of the body. */
static int http_read_stream(struct http_request *request, struct evbuffer *input, const char **why)
{
	request->body_left += evbuffer_get_length(input); /* counts up here, too */
	*why = "the body is too large";
	if (request->body_left > request->body_limit)
		return -413;
	(void)evbuffer_add_buffer(request->body, input);
	return request->body_ended;
}

int http_request_read_body(struct http_request *request, struct evbuffer *input, const char **why)
{
	int result;

	if (!request->is_chunked)
		result = http_read_counted(request, input);
	else if (request->stream)
		result = http_read_stream(request, input, why);
	else
		result = http_read_chunked(request, input, why);
	request->body_whole = result > 0;
	return result;
}

void http_request_deliver(struct http_request *request, bool last)
{
	request->received += evbuffer_get_length(request->body);
	if (last || evbuffer_get_length(request->body) > 0)
		request->on_body(request->context, request->body, last);
}

void http_receive(struct http_request *request, uint64_t limit_bytes, http_body_fn *on_body)
{
	request->on_body = on_body;
	request->body_limit = limit_bytes;
	if (!request->is_chunked && request->body_left > limit_bytes)
		http_answer_error(request, 413, "the body is too large");
	else if (!request->has_body)
		on_body(request->context, request->body, true);
	else
		request->client->carrier->receive(request);
}

void http_pause_body(struct http_request *request)
{
	request->client->carrier->set_body_paused(request, true);
}

void http_resume_body(struct http_request *request)
{
	request->client->carrier->set_body_paused(request, false);
}

enum http_method http_method(const struct http_request *request)
{
	return request->method->bit;
}

bool http_is_head(const struct http_request *request)
{
	return request->method->bit == HTTP_HEAD;
}

const char *http_path(const struct http_request *request)
{
	return request->path;
}

bool http_query(const struct http_request *request, const char *name, char *ret, size_t size)
{
	return http_query_find(request->query, name, ret, size);
}

struct message_text http_field(const struct http_request *request, const char *name)
{
	return message_find(&request->message, name);
}

const struct auth_user *http_user(const struct http_request *request)
{
	return request->user;
}

const char *http_server_address_of(const struct http_request *request)
{
	return http_server_address(request->client->server);
}

const char *http_only_camera(const struct http_request *request)
{
	return request->client->server->camera;
}

const struct log_name *http_log(const struct http_request *request)
{
	return request->log.kind ? &request->log : &request->client->log;
}

void http_audit(const struct http_request *request, const struct auth_user *user, const char *what,
	const char *format, ...)
{
	struct sockaddr_in6 room;
	const struct audit_actor actor = { user ? user->name : NULL,
		http_asker_address(request, &room), request->client->asker.protocol };
	char text[HTTP_TARGET_BYTES];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	audit(&actor, what, "%s", text);
}

struct evbuffer *http_body(struct http_request *request)
{
	return request->body;
}

uint64_t http_body_bytes(const struct http_request *request)
{
	return request->is_chunked ? HTTP_UNKNOWN : request->body_left;
}

void http_set_context(struct http_request *request, void *context, void (*on_gone)(void *context))
{
	request->context = context;
	request->on_gone = on_gone;
}

void *http_context(const struct http_request *request)
{
	return request->context;
}
