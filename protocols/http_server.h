#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/http_date.h"
#include "protocols/message.h"
#include "server/base/attributes.h"
#include "server/base/auth.h"
#include "server/base/log.h"

struct authenticate_asker;
struct connection;
struct evbuffer;
struct file_pump;
struct sockaddr;
struct tls_server;

/*
 * HTTP/1.1 and, by TLS, HTTP/2 (RFC 9110, 9112, 9113): connections, requests, answers, and a table of routes. What a
 * path means is the handlers' business: http_files, dav, hls, mp4_live, prometheus, web.
 */
struct http_server;
struct http_request;

enum http_method {
	HTTP_GET = 1 << 0,
	HTTP_HEAD = 1 << 1,
	HTTP_OPTIONS = 1 << 2,
	HTTP_PROPFIND = 1 << 3,
	HTTP_PROPPATCH = 1 << 4,
	HTTP_MKCOL = 1 << 5,
	HTTP_PUT = 1 << 6, /* its handler takes the body as it comes: http_receive() */
	HTTP_DELETE = 1 << 7,
	HTTP_COPY = 1 << 8,
	HTTP_MOVE = 1 << 9,
	HTTP_LOCK = 1 << 10,
	HTTP_UNLOCK = 1 << 11,
	HTTP_PATCH = 1 << 12,
	HTTP_SEARCH = 1 << 13,
	HTTP_POST = 1 << 14,
	HTTP_PUBLIC = 1 << 15,      /* no method: a route's that asks nobody for a password */
	HTTP_ASKS_ITSELF = 1 << 16, /* no method: in a route's, see http_asker() */
};

/*
 * A route: a path prefix that ends at a '/' (everything below it, and itself without the '/') or is
 * matched whole, the methods it takes and the least role. A '*' in it stands for one path segment,
 * such as a camera's name. The longest prefix wins; rows with the same prefix and different methods
 * are allowed. A known path with another method gets 405 with Allow; OPTIONS is answered by the
 * server for routes that do not list it (with the union of the methods of the path; DAV: 1, 2, 3 where
 * PROPFIND is among them, DASL where SEARCH is).
 * Whatever the rows say, what follows "/live/", "/recordings/" and "/uploads/" is a camera, which the user must
 * be allowed to see (else 404).
 */
struct http_route {
	const char *prefix; /* "/metrics", "/recordings/" */
	unsigned methods;   /* of enum http_method; GET brings HEAD */
	enum auth_role role;
	void (*handle)(struct http_request *request); /* answers now or later */
};

/*
 * Listens, by TLS where `tls` is not NULL; that and the NULL-prefix-ended table must outlive the server. NULL
 * and errno when that fails.
 */
struct http_server *http_server_new(const char *address, bool loopback_only,
	const struct tls_server *tls, const struct http_route *routes) MUST_CHECK;
/* This camera alone is there below "/live/", and known to handlers as http_only_camera(). */
void http_server_show_only(struct http_server *server, const char *camera);
void http_server_free(struct http_server *server); /* closes all connections */
const char *http_server_address(const struct http_server *server);

/* What the configuration says about all servers. It is copied; NULL: nothing. */
struct http_settings {
	char *const *trusted_proxies; /* as network_parse() takes them, NULL-ended; or NULL */
	const char *base_path;        /* "/nvr", or NULL; less than HTTP_BASE_BYTES */
	bool hsts;                    /* RFC 6797 */
};
enum {
	HTTP_BASE_BYTES = 104
};
void http_configure(const struct http_settings *settings);

/* --- the request; lives until its answer has ended or the client has gone --- */

enum http_method http_method(const struct http_request *request);
bool http_is_head(const struct http_request *request);
/* Decoded, without dot segments and base path; a trailing '/' is kept. */
const char *http_path(const struct http_request *request);
/* What goes in front of the paths that are answered: "/nvr", or "". */
const char *http_base(const struct http_request *request);
/* Takes the base path off a decoded path, in place. False: it has none. */
bool http_below_base(char *path);
/* Whether the authority of a URI ("host", "host:port") is this server as the client knows it. */
bool http_is_us(const struct http_request *request, struct message_text authority);
/* The value of a query parameter, decoded into ret; false when absent. */
bool http_query(const struct http_request *request, const char *name, char *ret, size_t size);
struct message_text http_field(const struct http_request *request, const char *name);
/* NULL when no users are configured. Valid during handle() only; later use auth_user_copy(). */
const struct auth_user *http_user(const struct http_request *request);
/* Where the server listens that it came to. */
const char *http_server_address_of(const struct http_request *request);
/* Of http_server_show_only(), as long as the server is there; or NULL: all cameras. */
const char *http_only_camera(const struct http_request *request);
const struct log_name *http_log(const struct http_request *request);
/*
 * Of a route with HTTP_ASKS_ITSELF, whose protocol has ways of its own to say who asks. Who says so by HTTP is known as ever; who does
 * not (nor does the page's cookie, when a page of another server makes the request) comes through to handle() as http_user() NULL, and
 * may be judged there by this.
 */
struct authenticate_asker *http_asker(struct http_request *request);
/* The challenges of HTTP, for an answer of 401. */
void http_add_challenge(struct http_request *request);
/* Whether the client speaks TLS, to us or to a proxy that is trusted. */
bool http_is_secure(const struct http_request *request);
/* A line of who (NULL: without users) does what (see server/base/audit.h), and to what. */
void http_audit(const struct http_request *request, const struct auth_user *user, const char *what,
	const char *format, ...) PRINTF(4, 5);
/* The request's body, read whole before handle() (limit HTTP_BODY_BYTES; larger: 413); but that of PUT. */
enum {
	HTTP_BODY_BYTES = 1 << 20
};
struct evbuffer *http_body(struct http_request *request);

/*
 * The body of a PUT, as it comes, once its handler has found nothing against it: only now is the client told
 * "100 Continue". on_body is called with what came, all of which it drains, and `last` with the end of it;
 * perhaps before this returns. One that is larger than limit_bytes gets 413. When a handler answers without
 * this, or before the end, the connection is closed after it (by HTTP/2: the stream is reset).
 */
typedef void http_body_fn(void *context, struct evbuffer *data, bool last);
void http_receive(struct http_request *request, uint64_t limit_bytes, http_body_fn *on_body);
/* Nothing more is read until it is resumed: who takes the body is behind. */
void http_pause_body(struct http_request *request);
void http_resume_body(struct http_request *request);
/* How long the body is, as its head says, or HTTP_UNKNOWN; before http_receive(). */
uint64_t http_body_bytes(const struct http_request *request);

/* What the handler keeps with the request. on_gone comes exactly once, when the request ends for
 * whatever reason, after which nothing of it may be touched. */
void http_set_context(struct http_request *request, void *context, void (*on_gone)(void *context));
void *http_context(const struct http_request *request);

/* --- the end of HTTP on a connection --- */

/*
 * GET and POST with x-sessioncookie go to `handle`, whatever their path, and whoever asks: RTSP through HTTP/1,
 * whose requests say who it is. The body, if there is one, is not read. NULL: they are requests like any other.
 */
void http_set_tunnel(void (*handle)(void *arg, struct http_request *request), void *arg);

struct connection;
struct connection_events;
/*
 * In handle() of a tunnel, before anything was answered: the connection is another's from now on
 * (connection_adopt()), with what came behind the head in its input. The request has ended.
 */
struct connection *http_hand_over(struct http_request *request, const struct log_name *parent,
	const struct connection_events *events, void *arg);
/* The client's address, before that. */
const struct sockaddr *http_peer_address(const struct http_request *request);

/* --- the answer --- */

/*
 * Adds a field before the answer starts. The value is formatted; a CR or LF in it would be ours to
 * prevent and ends the process.
 */
void http_add_field(struct http_request *request, const char *name, const char *format, ...)
	PRINTF(3, 4);

/* A whole answer with a body (taken from `body`; NULL for none). HEAD leaves the body out. */
void http_answer(
	struct http_request *request, int status, const char *content_type, struct evbuffer *body);
/* An answer whose body is one plain sentence: what was wrong. */
void http_answer_error(struct http_request *request, int status, const char *format, ...)
	PRINTF(3, 4);

/*
 * Starts an answer whose body comes later: with `bytes` known it is Content-Length, with
 * HTTP_UNKNOWN it is chunked (HTTP/1.0: until close; HTTP/2 needs neither).
 */
#define HTTP_UNKNOWN UINT64_MAX
void http_start(struct http_request *request, int status, const char *content_type, uint64_t bytes);
/* Moves body bytes to what waits for the socket. */
void http_send(struct http_request *request, struct evbuffer *body);
/* Bytes not yet taken by the socket; on_drained is called each time they fall to low_water or less. */
size_t http_unsent(const struct http_request *request);
void http_set_drained(
	struct http_request *request, size_t low_water, void (*on_drained)(void *context));
/*
 * A stretch of a file as part of a body of known length. The pump tells its owner, who sets FILE_PUMP_BYTES as low water; what
 * it says that has been sent is told here.
 */
void http_send_file(
	struct http_request *request, struct file_pump *pump, uint64_t at, uint64_t bytes);
/* The connection by which it came, which is not its own by HTTP/2. */
struct connection *http_socket(const struct http_request *request);
void http_count_sent(struct http_request *request, size_t bytes);
void http_end(struct http_request *request);
/* Breaks off an answer that cannot be completed: closes the connection, or resets the stream. */
void http_abort(struct http_request *request);
