/* The HTTP client's conversation: connect, ask, read the answer, keep the connection or not. */
#include "protocols/http_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/digest_client.h"
#include "protocols/http_chunked.h"
#include "protocols/http_date.h"
#include "protocols/message.h"
#include "protocols/uri.h"
#include "server/base/connection.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

enum {
	CONNECT_US = 10000000,
	HEAD_US = 15000000, /* some cameras need seconds for a picture */
	REDIRECTS_MOST = 3,
	INPUT_BYTES = 512 << 10,
};

enum http_client_state {
	HTTP_IDLE, /* no request under way; the connection may be kept */
	HTTP_CONNECTING,
	HTTP_HEAD,
	HTTP_BODY,
	HTTP_ENDED, /* freed */
};

struct http_client {
	struct log_name log;
	char peer[URI_HOST_BYTES + 8];
	struct tls_client tls;
	const struct http_client_events *events;
	void *arg;
	enum http_client_state state;
	struct connection *connection;
	struct event *head_timer;
	struct uri asked; /* what the owner wants */
	struct uri uri;   /* where it is asked for: elsewhere after a redirect */
	unsigned redirects;
	bool reused; /* the connection had an answer before */
	size_t seen;

	/* what is posted; NULL: it is a GET */
	char *type, *body;
	size_t body_bytes;
	int64_t patience_us; /* until the head of the answer */

	struct digest_client credentials;

	/* the body of the answer */
	bool chunked, until_close, keep;
	uint64_t left;
	struct http_chunked chunks;
	int64_t retry_after_us;
	struct reactor_dead dead;
};

static void client_connect(struct http_client *client);

static void client_enter(struct http_client *client, enum http_client_state state)
{
	static const char *const names[] = { "idle", "connecting", "request", "body", "ended" };

	client->state = state;
	client->log.doing = names[state];
	if (state == HTTP_HEAD)
		reactor_timer_start(client->head_timer, client->patience_us);
	else
		reactor_timer_stop(client->head_timer);
}

/* The answer is over, one way or the other. */
static void client_end(struct http_client *client, enum source_end end, const char *detail)
{
	if (!client->keep || end != SOURCE_STOPPED)
		connection_abandon(&client->connection);
	client->reused = client->connection != NULL;
	client_enter(client, HTTP_IDLE);
	client->events->on_end(client->arg, end, detail);
}

/* --- asking --- */

static void client_send(struct http_client *client)
{
	struct evbuffer *out = connection_output(client->connection);
	const char *method = client->body ? "POST" : "GET";

	client->seen = 0;
	client->retry_after_us = 0;
	evbuffer_add_printf(out,
		"%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: nvrd/%s\r\nAccept: */*\r\n", method,
		client->uri.path, client->peer, NVRD_VERSION);
	digest_client_authorize(&client->credentials, out, &client->uri, method, client->uri.path);
	if (client->body)
		evbuffer_add_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
			client->type, client->body_bytes);
	evbuffer_add_printf(out, "\r\n");
	if (client->body)
		(void)evbuffer_add(out, client->body, client->body_bytes);
	client_enter(client, HTTP_HEAD);
}

/* Sends the request once more, on a new connection unless this one is kept. */
static void client_ask_again(struct http_client *client)
{
	if (client->connection && client->keep) {
		client_send(client);
		return;
	}
	connection_abandon(&client->connection);
	client_connect(client);
}

/* Of what is to be asked: NULL for a GET. */
static void client_set_body(struct http_client *client, const char *type, const void *p, size_t n)
{
	free(client->body);
	free(client->type);
	client->body = p ? xmalloc(n + 1) : NULL;
	client->body_bytes = n;
	client->type = type ? xstrdup(type) : NULL;
	if (p)
		memcpy(client->body, p, n);
}

static void client_ask(struct http_client *client)
{
	if (client->redirects) { /* a redirect holds for one request, its host has no credentials */
		connection_abandon(&client->connection);
		client->uri = client->asked;
	}
	client->redirects = 0;
	digest_client_begin(&client->credentials);
	if (client->connection)
		client_send(client);
	else
		client_connect(client);
}

void http_client_get(struct http_client *client)
{
	client_set_body(client, NULL, NULL, 0);
	client->patience_us = HEAD_US;
	client_ask(client);
}

void http_client_post(struct http_client *client, const char *path, const char *type, const void *p,
	size_t n, int64_t patience_us)
{
	client_set_body(client, type, p, n);
	client->patience_us = patience_us;
	snprintf(client->asked.path, sizeof(client->asked.path), "%s", path);
	if (!client->redirects)
		memcpy(client->uri.path, client->asked.path, sizeof(client->uri.path));
	client_ask(client);
}

/* --- answers that are no picture --- */

static void client_end_by_status(struct http_client *client, int status)
{
	static const struct {
		int status;
		enum source_end end;
	} rows[] = {
		{401,  SOURCE_UNAUTHORIZED},
		{ 403, SOURCE_UNAUTHORIZED},
		{ 404, SOURCE_NOT_FOUND   },
		{ 410, SOURCE_NOT_FOUND   },
		{ 429, SOURCE_BUSY        },
		{ 500, SOURCE_BUSY        }, /* an ESP32 whose sensor gave nothing just now */
		{ 503, SOURCE_BUSY        },
	};
	enum source_end end = SOURCE_PROTOCOL;
	char detail[32];

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (rows[i].status == status)
			end = rows[i].end;
	}
	snprintf(detail, sizeof(detail), "status %d", status);
	client->keep = false;
	client_end(client, end, detail);
}

/* Follows Location; user and password go along only to the same host, and never out of TLS. */
static bool client_take_redirect(struct http_client *client, const struct message *answer)
{
	struct message_text location = message_find(answer, "Location");
	struct uri uri;
	const char *why;
	bool ok;

	if (++client->redirects > REDIRECTS_MOST || !location.n ||
		uri_parse(&uri, location.p, location.n, &why) < 0)
		return false;
	if (!uri.scheme[0]) { /* a path alone */
		struct uri same = client->uri;

		memcpy(same.path, uri.path, sizeof(same.path));
		uri = same;
	}
	ok = !strcmp(uri.scheme, "http") || !strcmp(uri.scheme, "https");
	if (ok && !uri.has_user && !strcmp(uri.host, client->uri.host) &&
		(!strcmp(uri.scheme, "https") || !strcmp(client->uri.scheme, "http"))) {
		uri.has_user = client->uri.has_user;
		memcpy(uri.user, client->uri.user, sizeof(uri.user));
		memcpy(uri.password, client->uri.password, sizeof(uri.password));
	}
	if (ok)
		client->uri = uri;
	explicit_bzero(&uri, sizeof(uri));
	client->keep = false;
	return ok;
}

/* --- the answer --- */

static void client_read_length(struct http_client *client, const struct message *answer)
{
	uint64_t length;

	client->chunked =
		message_text_has_token(message_find(answer, "Transfer-Encoding"), "chunked");
	client->left = 0;
	client->chunks = (struct http_chunked){ 0 };
	/* a length that makes no sense is none (RFC 9112 section 6.3) */
	client->until_close =
		!client->chunked && (!message_find(answer, "Content-Length").p ||
					    message_content_length(answer, &length) < 0);
	if (!client->chunked && !client->until_close)
		client->left = length;
	client->keep = !client->until_close && !message_text_is(answer->protocol, "HTTP/1.0") &&
		       !message_text_has_token(message_find(answer, "Connection"), "close");
}

/* Retry-After (RFC 9110 section 10.2.3): seconds, or a date. */
static int64_t client_read_retry_after(const struct message *answer)
{
	struct message_text text = message_find(answer, "Retry-After");
	uint64_t seconds;
	int64_t date_us, left_us;

	if (message_text_number(text, 1000000, &seconds))
		return (int64_t)seconds * 1000000;
	date_us = text.n ? http_date_parse(text) : -1;
	left_us = date_us < 0 ? 0 : date_us - reactor_now_us();
	return left_us > 0 ? left_us : 0;
}

static void client_on_head(struct http_client *client, const struct message *answer)
{
	char type[128];

	client_read_length(client, answer);
	client->retry_after_us = client_read_retry_after(answer);
	client_enter(client, HTTP_BODY);
	if (answer->status == 200 ||
		(client->body && (answer->status == 400 || answer->status == 500))) {
		message_text_copy(type, sizeof(type), message_find(answer, "Content-Type"));
		client->events->on_head(client->arg, type);
		return;
	}
	/* bodies of refusals are not waited for: the connection is made anew */
	client->keep = false;
	if ((answer->status == 401 &&
		    digest_client_take(&client->credentials, answer, &client->uri)) ||
		(answer->status >= 301 && answer->status <= 308 &&
			client_take_redirect(client, answer)))
		client_ask_again(client);
	else
		client_end_by_status(client, answer->status);
}

/* Takes a head from the input. Returns whether there was one. */
static bool client_take_head(struct http_client *client, struct evbuffer *input)
{
	size_t n = evbuffer_get_length(input);
	struct message answer;
	const char *p, *why;
	ssize_t used;

	if (n > MESSAGE_HEAD_BYTES)
		n = MESSAGE_HEAD_BYTES;
	p = (const char *)evbuffer_pullup(input, (ssize_t)n);
	used = message_parse(&answer, p, n, client->seen, false, &why);
	client->seen = n;
	if (used == 0)
		return false;
	if (used < 0 || answer.is_request) {
		client_end(client, SOURCE_PROTOCOL, used < 0 ? why : "a request for an answer");
		return false;
	}
	client->seen = 0;
	if (answer.status >= 200)
		client_on_head(client, &answer);
	if (client->connection && connection_input(client->connection) == input)
		evbuffer_drain(input, (size_t)used);
	return client->connection && connection_input(client->connection) == input;
}

/* Gives a part of the body. Returns the bytes used of it, or -1 when the answer makes no sense. */
static ssize_t client_take_part(struct http_client *client, const char *p, size_t n, bool *whole)
{
	struct message_text data = { p, n };
	const char *why;
	ssize_t used;

	if (client->chunked) {
		used = http_chunked_parse(&client->chunks, p, n, &data, &why);
		*whole = client->chunks.state == HTTP_CHUNKED_DONE;
	} else {
		if (!client->until_close && data.n > client->left)
			data.n = (size_t)client->left;
		used = (ssize_t)data.n;
		client->left -= client->until_close ? 0 : data.n;
		*whole = !client->until_close && client->left == 0;
	}
	if (used > 0 && data.n)
		client->events->on_body(client->arg, (const uint8_t *)data.p, data.n);
	return used;
}

/* Takes what is there of the body. Returns whether the answer is over. */
static bool client_take_body(struct http_client *client, struct evbuffer *input)
{
	bool whole = !client->chunked && !client->until_close && client->left == 0;

	while (!whole && client->state == HTTP_BODY && evbuffer_get_length(input)) {
		size_t n = evbuffer_get_contiguous_space(input);
		const char *p = (const char *)evbuffer_pullup(input, (ssize_t)n);
		ssize_t used = client_take_part(client, p, n, &whole);

		if (client->state != HTTP_BODY)
			return false;
		if (used < 0) {
			client_end(client, SOURCE_PROTOCOL, "a chunk that makes no sense");
			return false;
		}
		evbuffer_drain(input, (size_t)used);
		if (used == 0)
			break;
	}
	if (whole && client->state == HTTP_BODY)
		client_end(client, SOURCE_STOPPED, NULL);
	return false;
}

static void client_on_data(void *arg)
{
	struct http_client *client = arg;
	struct evbuffer *input = connection_input(client->connection);
	bool again = true;

	while (again && client->connection && connection_input(client->connection) == input) {
		switch (client->state) {
		case HTTP_HEAD:
			again = client_take_head(client, input);
			break;
		case HTTP_BODY:
			again = client_take_body(client, input);
			break;
		case HTTP_IDLE: /* nobody asked */
			evbuffer_drain(input, evbuffer_get_length(input));
			again = false;
			break;
		case HTTP_CONNECTING:
		case HTTP_ENDED:
			again = false;
			break;
		}
	}
}

/* --- the connection --- */

static void client_on_open(void *arg)
{
	client_send(arg);
}

static void client_on_close(void *arg, enum close_reason reason, const char *detail)
{
	static const enum source_end ends[] = {
		[CLOSE_NOT_FOUND] = SOURCE_HOST_UNKNOWN,
		[CLOSE_REFUSED] = SOURCE_REFUSED,
		[CLOSE_TIMEOUT] = SOURCE_TIMEOUT,
		[CLOSE_UNTRUSTED] = SOURCE_UNTRUSTED,
	};
	struct http_client *client = arg;
	enum source_end end = reason < ARRAY_LENGTH(ends) ? ends[reason] : SOURCE_CLOSED;

	client->connection = NULL;
	if (client->state == HTTP_IDLE)
		return; /* a kept connection that is not kept any more */
	if (client->state == HTTP_HEAD && client->reused) {
		client_connect(client); /* it closed while we asked */
		return;
	}
	if (client->state == HTTP_BODY && client->until_close)
		end = SOURCE_STOPPED;
	else if (end == SOURCE_STOPPED)
		end = SOURCE_CLOSED;
	client_end(client, end, detail);
}

static const struct connection_events client_events = {
	.on_open = client_on_open,
	.on_data = client_on_data,
	.on_close = client_on_close,
};

static void client_connect(struct http_client *client)
{
	bool tls = !strcmp(client->uri.scheme, "https");
	struct connection_target target = {
		.host = client->uri.host,
		.port = client->uri.port ? client->uri.port
			: tls            ? 443
					 : 80,
		.timeout_us = CONNECT_US,
		.tls = tls ? &client->tls : NULL,
	};

	snprintf(client->peer, sizeof(client->peer), strchr(target.host, ':') ? "[%s]:%u" : "%s:%u",
		target.host, target.port);
	client->reused = false;
	client->connection =
		connection_connect(&target, "http_client", &client->log, &client_events, client);
	connection_set_input_limit(client->connection, INPUT_BYTES);
	client_enter(client, HTTP_CONNECTING);
}

static void client_on_head_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	client_end(arg, SOURCE_TIMEOUT, NULL);
}

/* --- life --- */

struct http_client *http_client_new(const char *url, const struct tls_client *tls,
	const struct log_name *log, const struct http_client_events *events, void *arg,
	const char **why)
{
	struct http_client *client = xcalloc(1, sizeof(*client));

	*why = "the URL names no host";
	if (uri_parse(&client->uri, url, strlen(url), why) < 0 || !client->uri.host[0]) {
		explicit_bzero(&client->uri, sizeof(client->uri));
		free(client);
		return NULL;
	}
	client->asked = client->uri;
	client->log = (struct log_name){ .parent = log, .kind = "http", .name = client->peer };
	client->tls = *tls;
	client->events = events;
	client->arg = arg;
	client->head_timer = reactor_timer_new(client_on_head_timer, client);
	return client;
}

static void client_fini(void *object)
{
	struct http_client *client = object;

	reactor_timer_free(&client->head_timer);
	free(client->body);
	free(client->type);
	explicit_bzero(&client->asked, sizeof(client->asked));
	explicit_bzero(&client->uri, sizeof(client->uri));
	free(client);
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	connection_abandon(&client->connection);
	client_enter(client, HTTP_ENDED);
	reactor_free_later(&client->dead, client_fini, client);
}

int64_t http_client_retry_after_us(const struct http_client *client)
{
	return client->retry_after_us;
}
