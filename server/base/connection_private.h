#pragma once

#include <netinet/in.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "server/base/connection.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

/* What connection.c (life), connection_read.c, connection_write.c and connection_close.c share. */

enum {
	CONNECTION_READ_BYTES = 256 << 10, /* and as much is written at once */
	CONNECTION_PEER_BYTES = 64,
};

enum connection_state {
	CONNECTION_CONNECTING,
	CONNECTION_UPGRADING, /* the plain output leaves, then hands are shaken */
	CONNECTION_SHAKING,   /* TLS of one that was accepted */
	CONNECTION_OPEN,
	CONNECTION_FINISHING, /* the output leaves */
	CONNECTION_LINGERING, /* our side is shut, the peer's end is awaited */
	CONNECTION_CLOSED,
};

struct connection {
	struct bufferevent *bev;
	SSL *ssl; /* the bufferevent's, or NULL */
	struct tls_client tls;
	const struct tls_server *tls_server; /* of one that shakes hands as server */
	enum connection_state state;
	bool finish_when_open;
	const struct connection_events *events; /* NULL when the owner left */
	void *arg;
	bool withholds_tickets;
	unsigned pauses; /* set of enum connection_pause */
	struct log_name log;
	char peer[CONNECTION_PEER_BYTES];
	struct sockaddr_storage peer_address;
	const char *server;
	size_t input_limit, low_water;
	bool bulk;  /* all that has come is read, not 4 KiB of it as libevent does */
	bool paced; /* read with the beat, not when libevent says that there is something */
	TAILQ_ENTRY(connection) pace_entry;
	bool released; /* in the list of those that nobody owns */
	TAILQ_ENTRY(connection) released_entry;
	int64_t idle_us, active_us; /* active: last progress, monotonic */
	int64_t finish_until_us;
	struct event *writable_event;   /* NULL until it is needed */
	void (*on_writable)(void *arg); /* NULL: nobody waits */
	void *writable_arg;
	struct event *idle_timer;  /* idleness */
	struct event *state_timer; /* connecting, finishing, lingering */
	struct metric *open, *sent;
	struct reactor_dead dead;
};

/* --- connection.c --- */

/* The plain output has gone: hands are shaken. */
void connection_shake(struct connection *c);
/* The memory of one that has ended. */
void connection_fini(void *object);

/* --- connection_read.c --- */

/* Input that libevent has read. */
void connection_on_read(struct bufferevent *bev, void *arg);
/* The input of one with TLS changed. */
void connection_on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg);
void connection_leave_pace(struct connection *c);

/* --- connection_write.c --- */

/* The output changed. */
void connection_on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg);

/* --- connection_close.c --- */

/* The one way to end. */
void connection_end(struct connection *c, enum close_reason reason, const char *detail);
/* The socket failed with this errno. */
enum close_reason connection_reason_of(int error);
/* The output has gone: what is to come after it. False: nothing. */
bool connection_go_on(struct connection *c);
void connection_on_state_timer(evutil_socket_t fd, short what, void *arg);
