/*
 * Answers: their fields (RFC 9110 section 8), and the accounting of what was sent. Bodies are moved, never copied. How
 * they go out is the carrier's business.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/http_private.h"

static const struct {
	int status;
	const char *words;
} http_statuses[] = {
	{200,  "OK"			     },
	{ 201, "Created"                        },
	{ 204, "No Content"                     },
	{ 206, "Partial Content"                },
	{ 207, "Multi-Status"                   },
	{ 301, "Moved Permanently"              },
	{ 302, "Found"			  },
	{ 303, "See Other"                      },
	{ 304, "Not Modified"                   },
	{ 307, "Temporary Redirect"             },
	{ 308, "Permanent Redirect"             },
	{ 400, "Bad Request"                    },
	{ 401, "Unauthorized"                   },
	{ 403, "Forbidden"                      },
	{ 404, "Not Found"                      },
	{ 405, "Method Not Allowed"             },
	{ 406, "Not Acceptable"                 },
	{ 408, "Request Timeout"                },
	{ 409, "Conflict"                       },
	{ 412, "Precondition Failed"            },
	{ 413, "Content Too Large"              },
	{ 414, "URI Too Long"                   },
	{ 415, "Unsupported Media Type"         },
	{ 416, "Range Not Satisfiable"          },
	{ 421, "Misdirected Request"            },
	{ 422, "Unprocessable Content"          },
	{ 423, "Locked"			 },
	{ 424, "Failed Dependency"              },
	{ 429, "Too Many Requests"              },
	{ 431, "Request Header Fields Too Large"},
	{ 500, "Internal Server Error"          },
	{ 501, "Not Implemented"                },
	{ 502, "Bad Gateway"                    },
	{ 503, "Service Unavailable"            },
	{ 505, "HTTP Version Not Supported"     },
	{ 507, "Insufficient Storage"           },
};

const char *http_status_words(int status)
{
	for (size_t i = 0; i < ARRAY_LENGTH(http_statuses); i++) {
		if (http_statuses[i].status == status)
			return http_statuses[i].words;
	}
	return "Status";
}

static void http_write_field(
	struct http_request *request, const char *name, const char *value, size_t n)
{
	(void)evbuffer_add(request->fields, name, strlen(name));
	(void)evbuffer_add(request->fields, ": ", 2);
	(void)evbuffer_add(request->fields, value, n);
	(void)evbuffer_add(request->fields, "\r\n", 2);
}

void http_add_field(struct http_request *request, const char *name, const char *format, ...)
{
	char value[HTTP_FIELD_BYTES];
	va_list arguments;

	assert(request->phase == HTTP_NOT_STARTED);
	va_start(arguments, format);
	int n = vsnprintf(value, sizeof(value), format, arguments);
	va_end(arguments);
	assert(n >= 0 && (size_t)n < sizeof(value));
	assert(!strpbrk(value, "\r\n"));
	http_write_field(request, name, value, (size_t)n);
}

/* What every answer says, written anew each second. */
static void http_add_common_fields(struct http_request *request)
{
	static const char format[] =
		"Date: %s\r\nServer: nvrd\r\nX-Content-Type-Options: nosniff\r\n";
	static char text[sizeof(format) + HTTP_DATE_BYTES];
	static int64_t written_s = -1;
	static int n;
	int64_t now_us = reactor_now_us();
	char date[HTTP_DATE_BYTES];

	if (now_us / 1000000 != written_s)
		n = snprintf(text, sizeof(text), format, http_date_write(date, now_us));
	written_s = now_us / 1000000;
	(void)evbuffer_add(request->fields, text, (size_t)n);
}

static void http_count(struct http_request *request, int status)
{
	char text[12];

	(void)snprintf(text, sizeof(text), "%d", status);
	metric_add(metric_get(METRIC_HTTP_REQUESTS, http_method_label(request), text), 1);
}

void http_start(struct http_request *request, int status, const char *content_type, uint64_t bytes)
{
	bool empty = status == 204 || status == 304;

	assert(request->phase == HTTP_NOT_STARTED);
	request->phase = HTTP_STARTED;
	request->status = status;
	request->is_bodyless = empty || (request->method && http_is_head(request));
	request->bytes_left = bytes;
	http_count(request, status);
	http_add_common_fields(request);
	if (http_wants_hsts(request))
		(void)evbuffer_add_printf(
			request->fields, "Strict-Transport-Security: max-age=31536000\r\n");
	if (!empty && bytes != HTTP_UNKNOWN)
		(void)evbuffer_add_printf(
			request->fields, "Content-Length: %" PRIu64 "\r\n", bytes);
	if (content_type)
		http_write_field(request, "Content-Type", content_type, strlen(content_type));
	request->client->carrier->start(request);
}

void http_send(struct http_request *request, struct evbuffer *body)
{
	size_t n = evbuffer_get_length(body);

	assert(request->phase == HTTP_STARTED);
	if (request->bytes_left != HTTP_UNKNOWN) {
		assert(n <= request->bytes_left);
		request->bytes_left -= n;
	}
	if (request->is_bodyless || n == 0)
		(void)evbuffer_drain(body, n);
	else
		request->client->carrier->send(request, body);
}

void http_send_file(
	struct http_request *request, struct file_pump *pump, uint64_t at, uint64_t bytes)
{
	request->client->carrier->pump(request, pump, at, bytes);
}

struct connection *http_socket(const struct http_request *request)
{
	return request->client->socket;
}

void http_count_sent(struct http_request *request, size_t bytes)
{
	assert(request->phase == HTTP_STARTED && bytes <= request->bytes_left);
	request->bytes_left -= bytes;
	request->sent += bytes;
}

size_t http_unsent(const struct http_request *request)
{
	return evbuffer_get_length(request->client->carrier->output(request));
}

void http_set_drained(
	struct http_request *request, size_t low_water, void (*on_drained)(void *context))
{
	request->on_drained = on_drained;
	request->client->carrier->set_low_water(request, low_water);
}

void http_end(struct http_request *request)
{
	assert(request->phase == HTTP_STARTED);
	if (!request->is_bodyless && request->bytes_left != HTTP_UNKNOWN && request->bytes_left) {
		log_warn(http_log(request), "%s %s: the body ended %" PRIu64 " bytes early",
			http_method_label(request), request->path, request->bytes_left);
		http_abort(request);
		return;
	}
	request->phase = HTTP_ENDED;
	log_debug(http_log(request), "%s %s: %d, %" PRIu64 " bytes, %" PRId64 " us",
		http_method_label(request), request->path, request->status, request->sent,
		reactor_monotonic_us() - request->started_us);
	request->client->carrier->end(request);
}

void http_abort(struct http_request *request)
{
	request->client->carrier->abort(request);
}

void http_answer(
	struct http_request *request, int status, const char *content_type, struct evbuffer *body)
{
	http_start(request, status, content_type, body ? evbuffer_get_length(body) : 0);
	if (body)
		http_send(request, body);
	http_end(request);
}

void http_answer_error(struct http_request *request, int status, const char *format, ...)
{
	struct evbuffer *body = evbuffer_new();
	char text[512];
	va_list arguments;

	if (!body)
		abort();
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (status == 500 || status == 503) /* 501 and 505 are the client's doing */
		log_warn(http_log(request), "%s %s: %d %s", http_method_label(request),
			request->path, status, text);
	(void)evbuffer_add_printf(body, "%s\n", text);
	http_answer(request, status, "text/plain; charset=utf-8", body);
	evbuffer_free(body);
}
