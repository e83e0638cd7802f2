#pragma once

#include <netinet/in.h>
#include <sys/queue.h>

#include "protocols/authenticate.h"
#include "protocols/http_chunked.h"
#include "protocols/http_server.h"
#include "protocols/uri.h"
#include "server/base/connection.h"
#include "server/base/metrics.h"
#include "server/base/network.h"
#include "server/base/reactor.h"

/* What http_server.c (connections), http_v1.c, http_v2.c, http_request.c, http_route.c and http_answer.c share. */

enum {
	HTTP_CONNECTIONS = 1024,
	HTTP_CONNECTIONS_PER_ADDRESS = 128, /* but for loopback */
	HTTP_CONNECTIONS_REFUSED = 64,      /* that may wait for their 503 at once */
	HTTP_TARGET_BYTES = 4096,
	HTTP_UNSENT_BYTES = 64 << 10, /* the next request waits until no more is unsent */
	HTTP_FIELD_BYTES = 2048,      /* the longest value of a field that we send */
	HTTP_INPUT_BYTES = 2 * MESSAGE_HEAD_BYTES,
	HTTP_RECEIVE_BYTES = 256 << 10, /* of a body that a handler takes as it comes */
	HTTP_TLS_HELLO = 0x16, /* with which TLS begins (RFC 8446 section 5.1), and no request */
	HTTP_TRICKLE_BYTES = 1024, /* so much of it must come in HTTP_STALLED_US */
};

#define HTTP_KEEPALIVE_US (INT64_C(60) * 1000000)
#define HTTP_HEAD_US (INT64_C(15) * 1000000)
#define HTTP_BODY_US (INT64_C(60) * 1000000)
#define HTTP_STALLED_US (INT64_C(30) * 1000000) /* twice without a byte taken: closed */
#define HTTP_LINGER_US (INT64_C(2) * 1000000)
#define HTTP2_WATCH_US (INT64_C(10) * 1000000)

/* Methods that change nothing. */
enum {
	HTTP_LOOKING = HTTP_GET | HTTP_HEAD | HTTP_OPTIONS | HTTP_PROPFIND | HTTP_SEARCH
};

enum http_state {
	HTTP_WAITING,    /* for a request's first byte */
	HTTP_READING,    /* a head */
	HTTP_JUDGING,    /* who asks is being found out */
	HTTP_COLLECTING, /* a body */
	HTTP_RECEIVING,  /* a handler has the request and takes its body */
	HTTP_ANSWERING,  /* a handler has the request */
	HTTP_DRAINING,   /* the answer is written, the peer has yet to take it */
	HTTP_LINGERING,  /* our end is shut; what the peer still sends is dropped */
	HTTP_SHARED,     /* it speaks HTTP/2: each of its streams has a state */
	HTTP_CLOSED,
};

/* What carries a request and its answer: a connection of HTTP/1, or a stream of one of HTTP/2. */
struct http_carrier {
	/* What the peer has not taken yet. */
	struct evbuffer *(*output)(const struct http_request *request);
	/* Sends the status and the fields. */
	void (*start)(struct http_request *request);
	/* Takes all of the body. */
	void (*send)(struct http_request *request, struct evbuffer *body);
	void (*pump)(
		struct http_request *request, struct file_pump *pump, uint64_t at, uint64_t bytes);
	void (*set_low_water)(struct http_request *request, size_t low_water);
	/* The answer is complete: the request ends. */
	void (*end)(struct http_request *request);
	/* The answer cannot be completed: the request ends. */
	void (*abort)(struct http_request *request);
	/* Gives the body to the handler, from now on. */
	void (*receive)(struct http_request *request);
	void (*set_body_paused)(struct http_request *request, bool paused);
};
extern const struct http_carrier http1_carrier, http2_carrier;

struct http_server {
	struct log_name log;
	const char *label;            /* of its connections in metrics */
	const struct tls_server *tls; /* NULL: plain */
	struct listener *listener;
	const struct http_route *routes;
	char *camera; /* that is shown; NULL: all */
	TAILQ_HEAD(, http_connection) connections;
	size_t n_connections;
	struct metric *sessions;
	struct log_repeated full;
};

struct http_connection {
	TAILQ_ENTRY(http_connection) entry;
	struct reactor_dead dead;
	struct http_server *server;
	struct connection *socket; /* NULL once closed */
	const struct http_carrier *carrier;
	struct http2 *http2; /* NULL: HTTP/1 */
	struct log_name log;
	char *peer;
	struct authenticate_asker asker;
	struct sockaddr_in6 asker_address; /* behind a trusted proxy: of who asked last */
	enum http_state state;
	struct event *timer;          /* ends the state */
	struct http_request *request; /* owned; NULL between requests */
	size_t low_water;             /* of the output, for on_drained */
	size_t seen;                  /* of the input, searched for a head's end */
	bool stepping;                /* http_step() runs further up the stack */
	bool paused;
	bool body_paused; /* by the handler that takes it */
	bool close_after; /* no further request is read */
	bool linger;      /* unread bytes may be on their way */
	uint64_t taken;   /* of the answer, when the timer last looked */
	uint64_t came;    /* of a body that is received, when the timer last looked */
	bool stalled;
};

/* One row per method that exists; bit 0 for those that no route takes. */
struct http_method_row {
	const char *name;
	unsigned bit; /* of enum http_method, or 0 */
	bool streams; /* its handler takes the body as it comes */
};

enum http_phase {
	HTTP_NOT_STARTED,
	HTTP_STARTED,
	HTTP_ENDED
};

struct http_request {
	struct reactor_dead dead;
	struct http_connection *client; /* NULL once the request has ended */
	struct http2_stream *stream;    /* NULL: HTTP/1 */
	char *head;                     /* what message points into */
	struct message message;
	const struct http_method_row *method;
	char path[URI_PATH_BYTES]; /* below the base path */
	struct message_text query, host;
	bool is_old;    /* HTTP/1.0 */
	bool is_tunnel; /* goes to http_set_tunnel()'s handler */

	/* what stands in front of the server */
	char base[HTTP_BASE_BYTES];   /* of what is answered */
	bool had_base;                /* the target begins with it */
	bool is_bare;                 /* and is nothing else, not even a '/' */
	bool is_proxied;              /* by a proxy that is trusted */
	bool is_secure;               /* the client speaks TLS, to us or to the proxy */
	struct network_address asker; /* behind the proxy */
	char address[INET6_ADDRSTRLEN];
	struct log_name log; /* of a client behind a proxy; else empty */

	/* the body */
	struct evbuffer *body;
	bool is_chunked; /* or of unknown length, by HTTP/2 */
	bool has_body;
	struct http_chunked chunked;
	uint64_t body_left;  /* chunked: what came */
	uint64_t body_limit; /* of a chunked one */
	bool body_whole;
	bool body_ended;    /* by HTTP/2: nothing more of it comes */
	bool owes_continue; /* the client waits for "100 Continue" */
	http_body_fn *on_body;
	uint64_t received; /* of what on_body got */

	/* the verdict: who handles it, or why nobody does */
	const struct auth_user *user; /* during handle() only */
	void (*handle)(struct http_request *request);
	bool is_pending; /* who asks is not known yet: judge it again, when it is */
	int refused;     /* a status, or 0 */
	bool counted;    /* among the sessions */
	char why[192];

	/* the answer */
	enum http_phase phase;
	int status;
	struct evbuffer *fields;
	bool is_chunked_answer, is_bodyless;
	uint64_t bytes_left; /* that Content-Length still promises, or HTTP_UNKNOWN */
	uint64_t sent;       /* given to the carrier */
	int64_t started_us;

	/* the handler's */
	void *context;
	void (*on_gone)(void *context);
	void (*on_drained)(void *context);
};

/* --- http_request.c --- */

struct http_request *http_request_new(struct http_connection *client);
/* Tells the handler that it is over, and frees it after the callback chain. */
void http_request_end(struct http_request *request);
/*
 * Takes the head's n bytes (copied) and sees that it is a request we can frame. Returns 0, or the
 * status of a refusal after which the connection cannot go on, and its reason.
 */
int http_request_read_head(
	struct http_request *request, const char *p, size_t n, const char **why) MUST_CHECK;
/* Has the verdict carried out: the handler has the request, or it is refused. */
void http_request_dispatch(struct http_request *request);
/* Takes body bytes from `input`. Returns 1: whole, 0: more to come, or minus a status and *why. */
int http_request_read_body(
	struct http_request *request, struct evbuffer *input, const char **why) MUST_CHECK;
/* Whether the client waits for "100 Continue" before it sends the body. */
bool http_request_expects_continue(const struct http_request *request);
/* Gives what was read of the body to the handler that takes it as it comes. */
void http_request_deliver(struct http_request *request, bool last);
/* Whether the body goes to the handler as it comes. */
bool http_request_streams(const struct http_request *request);

/* --- http_proxy.c --- */

/* Whether a proxy there is trusted. */
bool http_trusts(const struct sockaddr *peer);
/* Once the head is read: takes the base path off, and who asks from the proxy. */
void http_proxy_read(struct http_request *request);
/* Before it is judged: who asks by this connection is who asks by this request. */
void http_proxy_set_asker(const struct http_request *request);
/* The address of who asks. */
const struct sockaddr *http_asker_address(
	const struct http_request *request, struct sockaddr_in6 *room);
bool http_wants_hsts(const struct http_request *request);
/* The target as the client has signed it: a proxy may have taken the base path off. Perhaps in ret. */
enum {
	HTTP_SIGNED_BYTES = HTTP_BASE_BYTES + HTTP_TARGET_BYTES + 1
};
struct message_text http_signed_target(
	const struct http_request *request, char ret[HTTP_SIGNED_BYTES]);

/* --- http_route.c --- */

/* Whether the head asks for a tunnel, and there is somebody who takes it. */
bool http_is_tunnel(const struct http_request *request);

/* Decides who handles the request: sets `handle` and `user`, or `refused` and `why` with fields, or is_pending. */
void http_request_judge(struct http_request *request);
const struct http_method_row *http_method_find(struct message_text name);
const char *http_method_label(const struct http_request *request);

/* --- http_answer.c --- */

const char *http_status_words(int status);

/* --- http_server.c --- */

/* The request's answer is complete. */
void http_connection_answered(struct http_connection *c);
void http_connection_set_low_water(struct http_connection *c, size_t low_water);
/* The answer begins before the body has come: what is left of it is dropped, and the connection ends. */
void http_connection_leave_body(struct http_connection *c);
/* The handler takes the body. */
void http_connection_receive_body(struct http_connection *c);
void http_connection_set_body_paused(struct http_connection *c, bool paused);

/* --- http_v2.c --- */

/* For tls_offer(): HTTP/1.1, and HTTP/2 where nvrd was built with it. */
const char *http2_protocols(void);
/* The connection speaks HTTP/2 from now on. */
void http2_begin(struct http_connection *c);
/* Its input grew. It may end here, as in all below. */
void http2_on_data(struct http_connection *c);
void http2_on_drained(struct http_connection *c);
/* HTTP2_WATCH_US have gone by, or less: ends what stands still. */
void http2_on_timer(struct http_connection *c);
/* Who asks is known: the requests that waited for it are judged again. */
void http2_on_known(struct http_connection *c);
/* Writes that no further request will be answered. */
void http2_say_goodbye(struct http_connection *c);
/* Its requests end. */
void http2_free(struct http2 *http2);
