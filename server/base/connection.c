/* TCP connections of all servers and clients, on libevent's bufferevents. */
#include "server/base/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/bufferevent_struct.h>
#include <event2/dns.h>

#include "server/base/address.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

enum {
	INPUT_LIMIT_BYTES = 256 << 10,
	SINGLE_READ_BYTES = 256 << 10,
	FINISH_US = 10000000, /* for the output to leave */
	FAREWELL_STEP_US = 20000,
	LINGER_US = 2000000, /* for the peer to see it, before a reset could overtake it */
	FLUSH_US = 500000,   /* at the end of the process */
	FLUSH_STEP_US = 1000,
	DROP_BYTES = 64 << 10, /* of hostile bytes, before a close */
	PEER_BYTES = 64,
	DETAIL_BYTES = 128,
};

static const struct {
	const char *metric;
	bool is_error;
	const char *words;
} close_reasons[] = {
#define X(id, metric, is_error, words) [id] = { metric, is_error, words },
	CLOSE_REASONS(X)
#undef X
};

const char *close_reason_metric(enum close_reason reason)
{
	return close_reasons[reason].metric;
}

const char *close_reason_words(enum close_reason reason)
{
	return close_reasons[reason].words;
}

bool close_reason_is_error(enum close_reason reason)
{
	return close_reasons[reason].is_error;
}

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
	char peer[PEER_BYTES];
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

/* Paced connections and their beat, which runs while there are any. */
static struct {
	TAILQ_HEAD(, connection) connections;
	struct event *timer;
} pace = { .connections = TAILQ_HEAD_INITIALIZER(pace.connections) };

/* Connections that send what is queued for nobody any more. */
static TAILQ_HEAD(, connection) released = TAILQ_HEAD_INITIALIZER(released);

static void connection_on_output(
	struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	struct connection *c = arg;

	if (!info->n_deleted)
		return;
	connection_count_written(c, info->n_deleted);
	if (c->on_writable && evbuffer_get_length(output) == 0)
		event_add(c->writable_event, NULL);
}

/*
 * A TLS record is read whole, but no more of it is handed on than the input may hold. libevent would wait
 * for the socket to go on with it.
 */
static void connection_read_pending(struct connection *c)
{
	if (c->ssl && c->state >= CONNECTION_OPEN && c->state != CONNECTION_CLOSED &&
		tls_has_pending(c->ssl))
		event_active(&c->bev->ev_read, EV_READ, 1);
}

static void connection_on_input(
	struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	(void)input;
	if (info->n_deleted)
		connection_read_pending(arg);
}

static void connection_free_bufferevent(struct connection *c)
{
	/* libevent keeps its part for as long as a look-up goes on */
	(void)evbuffer_remove_cb(bufferevent_get_output(c->bev), connection_on_output, c);
	(void)evbuffer_remove_cb(bufferevent_get_input(c->bev), connection_on_input, c);
	bufferevent_free(c->bev);
}

static void connection_fini(void *object)
{
	struct connection *c = object;

	if (c->writable_event) /* before its descriptor is closed */
		event_free(c->writable_event);
	connection_free_bufferevent(c);
	reactor_timer_free(&c->idle_timer);
	reactor_timer_free(&c->state_timer);
	free(c);
}

static void connection_leave_pace(struct connection *c)
{
	if (!c->paced)
		return;
	c->paced = false;
	TAILQ_REMOVE(&pace.connections, c, pace_entry);
	if (TAILQ_EMPTY(&pace.connections))
		reactor_timer_free(&pace.timer);
}

/* The one way to end. */
static void connection_end(struct connection *c, enum close_reason reason, const char *detail)
{
	const struct connection_events *events = c->events;

	if (c->state == CONNECTION_CLOSED)
		return;
	c->state = CONNECTION_CLOSED;
	c->events = NULL;
	connection_leave_pace(c);
	if (c->released)
		TAILQ_REMOVE(&released, c, released_entry);
	bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	if (c->writable_event)
		event_del(c->writable_event);
	reactor_timer_stop(c->idle_timer);
	reactor_timer_stop(c->state_timer);
	log_debug(&c->log, "closed: %s%s%s", close_reason_words(reason), detail ? ": " : "",
		detail ? detail : "");
	metric_add(c->open, -1);
	metric_add(
		metric_get(METRIC_CONNECTIONS_CLOSED, c->server, close_reason_metric(reason)), 1);
	if (events)
		events->on_close(c->arg, reason, detail);
	reactor_free_later(&c->dead, connection_fini, c);
}

void connection_close(struct connection *c, enum close_reason reason)
{
	if (c)
		connection_end(c, reason, NULL);
}

void connection_abandon(struct connection **c)
{
	if (*c) {
		(*c)->events = NULL;
		connection_end(*c, CLOSE_DONE, NULL);
	}
	*c = NULL;
}

/* --- ends --- */

void connection_shut(struct connection *c)
{
	if (c->ssl)
		(void)tls_shutdown(c->ssl);
	(void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
}

static void connection_linger(struct connection *c)
{
	/* without its farewell the peer could not know that it has all */
	if (c->ssl && !tls_shutdown(c->ssl) && reactor_monotonic_us() < c->finish_until_us) {
		reactor_timer_start(c->state_timer, FAREWELL_STEP_US);
		return;
	}
	c->state = CONNECTION_LINGERING;
	connection_shut(c);
	evbuffer_drain(
		bufferevent_get_input(c->bev), evbuffer_get_length(bufferevent_get_input(c->bev)));
	bufferevent_enable(c->bev, EV_READ);
	reactor_timer_start(c->state_timer, LINGER_US);
}

void connection_finish(struct connection *c)
{
	c->finish_when_open = c->state < CONNECTION_OPEN;
	if (c->state != CONNECTION_OPEN)
		return;
	c->state = CONNECTION_FINISHING;
	c->finish_until_us = reactor_monotonic_us() + FINISH_US;
	bufferevent_disable(c->bev, EV_READ);
	bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
	/* with nothing to send the timer only makes sure that nobody is called back from here */
	reactor_timer_start(c->state_timer,
		evbuffer_get_length(bufferevent_get_output(c->bev)) ? FINISH_US : 0);
}

void connection_release(struct connection **c)
{
	struct connection *it = *c;

	*c = NULL;
	if (!it)
		return;
	it->events = NULL;
	if (it->state == CONNECTION_CONNECTING) {
		connection_end(it, CLOSE_DONE, NULL);
		return;
	}
	it->log.parent = NULL; /* belongs to the owner, who does not wait for the end */
	it->released = true;
	TAILQ_INSERT_TAIL(&released, it, released_entry);
	if (it->state <= CONNECTION_OPEN)
		connection_finish(it);
}

static bool connection_is_any_unsent(void)
{
	struct connection *c;

	TAILQ_FOREACH (c, &released, released_entry) {
		if (evbuffer_get_length(bufferevent_get_output(c->bev)))
			return true;
	}
	return false;
}

void connection_fini_released(void)
{
	int64_t until_us = reactor_monotonic_us() + FLUSH_US;
	struct connection *c;

	while (connection_is_any_unsent() && reactor_monotonic_us() < until_us) {
		event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
		usleep(FLUSH_STEP_US);
	}
	while ((c = TAILQ_FIRST(&released)))
		connection_end(c, CLOSE_SHUTDOWN, NULL);
}

static void connection_shake(struct connection *c);

/* The output has gone: what is to come after it. False: nothing. */
static bool connection_go_on(struct connection *c)
{
	if (evbuffer_get_length(bufferevent_get_output(c->bev)))
		return false;
	if (c->state == CONNECTION_FINISHING)
		connection_linger(c);
	else if (c->state == CONNECTION_UPGRADING)
		connection_shake(c);
	else
		return false;
	return true;
}

static void connection_on_state_timer(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;

	(void)fd, (void)what;
	if (connection_go_on(c))
		return;
	if (c->state == CONNECTION_LINGERING)
		connection_end(c, CLOSE_DONE, NULL);
	else
		connection_end(c, CLOSE_TIMEOUT, NULL);
}

static void connection_on_idle_timer(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;
	int64_t left = c->active_us + c->idle_us - reactor_monotonic_us();

	(void)fd, (void)what;
	if (left > 0)
		reactor_timer_start(c->idle_timer, left);
	else
		connection_end(c, CLOSE_IDLE, NULL);
}

/* --- what libevent tells --- */

/* What else the socket has. Its end and its errors are for libevent to see. */
static void connection_read_bulk(struct connection *c)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);
	size_t held = evbuffer_get_length(input);
	struct evbuffer_iovec space;
	ssize_t n;

	if (!c->bulk || c->ssl || c->pauses || held >= c->input_limit)
		return;
	evbuffer_unfreeze(input, 0); /* the bufferevent keeps it for itself */
	if (evbuffer_reserve_space(input, (ev_ssize_t)(c->input_limit - held), &space, 1) == 1) {
		n = recv(bufferevent_getfd(c->bev), space.iov_base, c->input_limit - held,
			MSG_DONTWAIT);
		space.iov_len = n > 0 ? (size_t)n : 0;
		if (n > 0)
			(void)evbuffer_commit_space(input, &space, 1);
	}
	evbuffer_freeze(input, 0);
}

static void connection_on_read(struct bufferevent *bev, void *arg)
{
	struct connection *c = arg;

	c->active_us = reactor_monotonic_us();
	if (c->state == CONNECTION_OPEN)
		connection_read_bulk(c);
	if (c->state == CONNECTION_LINGERING)
		evbuffer_drain(bufferevent_get_input(bev),
			evbuffer_get_length(bufferevent_get_input(bev)));
	else if (c->state == CONNECTION_OPEN && !c->pauses && c->events)
		c->events->on_data(c->arg);
}

static void connection_on_written(struct bufferevent *bev, void *arg)
{
	struct connection *c = arg;

	(void)bev;
	if (!connection_go_on(c) && c->state == CONNECTION_OPEN && c->events &&
		c->events->on_drained)
		c->events->on_drained(c->arg);
}

static enum close_reason connection_reason_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return CLOSE_REFUSED;
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return CLOSE_TIMEOUT;
	case ECONNRESET:
	case EPIPE:
		return CLOSE_PEER;
	default:
		return CLOSE_ERROR;
	}
}

static void connection_set_peer(struct connection *c, const struct sockaddr *peer)
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool v6 = peer->sa_family == AF_INET6;
	const void *address =
		v6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr
		   : (const void *)&((const struct sockaddr_in *)(const void *)peer)->sin_addr;
	// NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): the kernel has filled it
	uint16_t port = v6 ? ((const struct sockaddr_in6 *)(const void *)peer)->sin6_port
			   : ((const struct sockaddr_in *)(const void *)peer)->sin_port;

	memcpy(&c->peer_address, peer,
		v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
	evutil_inet_ntop(peer->sa_family, address, host, sizeof(host));
	snprintf(c->peer, sizeof(c->peer), v6 ? "[%s]:%u" : "%s:%u", host, ntohs(port));
}

/* Whoever was connected to is the one that was meant. */
static bool connection_check_peer(struct connection *c)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t n = sizeof(peer);
	int one = 1, fd = bufferevent_getfd(c->bev);
	const char *why = c->ssl ? tls_client_check(&c->tls, c->ssl) : NULL;

	if (why) {
		connection_end(c, CLOSE_UNTRUSTED, why);
		return false;
	}
	if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0)
		connection_set_peer(c, (struct sockaddr *)&peer);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	return true;
}

static void connection_on_connected(struct connection *c)
{
	if (c->state == CONNECTION_CONNECTING && !connection_check_peer(c))
		return;
	c->state = CONNECTION_OPEN;
	c->active_us = reactor_monotonic_us();
	reactor_timer_stop(c->state_timer);
	bufferevent_enable(c->bev, c->pauses ? EV_WRITE : EV_READ | EV_WRITE);
	if (c->finish_when_open)
		connection_finish(c);
	else if (c->events && c->events->on_open)
		c->events->on_open(c->arg);
}

/* A close with unread bytes would be a reset, which overtakes the alert that says what was wrong. */
static void connection_drop_unread(struct connection *c)
{
	uint8_t block[4096];

	for (size_t n = 0; n < DROP_BYTES; n += sizeof(block)) {
		if (recv(bufferevent_getfd(c->bev), block, sizeof(block), MSG_DONTWAIT) <= 0)
			return;
	}
}

static void connection_on_eof(struct connection *c, const char *detail)
{
	if (c->ssl) /* a farewell for a farewell */
		(void)tls_shutdown(c->ssl);
	connection_end(c, c->state == CONNECTION_LINGERING ? CLOSE_DONE : CLOSE_PEER, detail);
}

static void connection_on_tls_error(struct connection *c, unsigned long error)
{
	if (tls_is_untrusted(c->ssl)) {
		connection_end(c, CLOSE_UNTRUSTED, tls_failure(c->ssl, error));
	} else if (tls_is_cut(error)) {
		connection_on_eof(c, tls_failure(c->ssl, error));
	} else {
		connection_drop_unread(c);
		connection_end(c, c->state < CONNECTION_OPEN ? CLOSE_HANDSHAKE : CLOSE_ERROR,
			tls_failure(c->ssl, error));
	}
}

/* The socket broke, or TLS found something wrong. */
static void connection_on_error(struct connection *c, int error)
{
	unsigned long tls_error = c->ssl ? bufferevent_get_openssl_error(c->bev) : 0;

	if (tls_error)
		connection_on_tls_error(c, tls_error);
	else
		connection_end(
			c, connection_reason_of(error), evutil_socket_error_to_string(error));
}

static void connection_on_event(struct bufferevent *bev, short what, void *arg)
{
	struct connection *c = arg;
	int error = EVUTIL_SOCKET_ERROR();
	int dns = bufferevent_socket_get_dns_error(bev);

	if (what & BEV_EVENT_CONNECTED)
		connection_on_connected(c);
	else if (what & BEV_EVENT_EOF)
		connection_on_eof(c, NULL);
	else if (dns)
		connection_end(c, CLOSE_NOT_FOUND, evutil_gai_strerror(dns));
	else if (what & BEV_EVENT_ERROR)
		connection_on_error(c, error);
}

/* --- pace --- */

/* Reads what has come since the last beat. The connection may end here. */
static void connection_read_now(struct connection *c)
{
	static uint8_t
		block[SINGLE_READ_BYTES]; /* of the reactor's thread: stays warm in the cache */
	struct evbuffer *input = bufferevent_get_input(c->bev);
	size_t held = evbuffer_get_length(input);
	size_t room = c->input_limit > held ? c->input_limit - held : 0;
	ssize_t n;

	if (c->pauses || c->state != CONNECTION_OPEN || room == 0)
		return;
	n = recv(bufferevent_getfd(c->bev), block, room < sizeof(block) ? room : sizeof(block),
		MSG_DONTWAIT);
	if (n > 0) {
		evbuffer_unfreeze(input, 0); /* the bufferevent keeps it for itself */
		evbuffer_add(input, block, (size_t)n);
		evbuffer_freeze(input, 0);
		connection_on_read(c->bev, c);
	} else if (n == 0) {
		connection_end(c, CLOSE_PEER, NULL);
	} else if (errno != EAGAIN && errno != EINTR) {
		connection_end(c, connection_reason_of(errno), strerror(errno));
	}
}

static void connection_on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c, *next;

	(void)fd, (void)what, (void)arg;
	reactor_timer_start(pace.timer, CONNECTION_PACE_US);
	/* a callback may end its own connection, whose memory stays until the end of this turn */
	for (c = TAILQ_FIRST(&pace.connections); c; c = next) {
		next = TAILQ_NEXT(c, pace_entry);
		connection_read_now(c);
	}
}

void connection_set_paced(struct connection *c)
{
	if (c->paced || c->ssl || c->state != CONNECTION_OPEN)
		return;
	bufferevent_disable(c->bev, EV_READ);
	if (TAILQ_EMPTY(&pace.connections)) {
		pace.timer = reactor_timer_new(connection_on_beat, NULL);
		reactor_timer_start(pace.timer, CONNECTION_PACE_US);
	}
	c->paced = true;
	TAILQ_INSERT_TAIL(&pace.connections, c, pace_entry);
}

/* --- beginnings --- */

static struct bufferevent *connection_new_bufferevent(
	int fd, SSL *ssl, enum bufferevent_ssl_state side)
{
	int options = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
	struct bufferevent *bev =
		ssl ? bufferevent_openssl_socket_new(reactor_base(), fd, ssl, side, options)
		    : bufferevent_socket_new(reactor_base(), fd, options);

	if (!bev)
		abort();
	if (ssl) /* cameras end without saying so by TLS */
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

/* Gives the connection its bufferevent, which belongs to `ssl` where that is not NULL. */
static void connection_attach(
	struct connection *c, int fd, SSL *ssl, enum bufferevent_ssl_state side)
{
	c->ssl = ssl;
	c->bev = connection_new_bufferevent(fd, ssl, side);
	bufferevent_setcb(
		c->bev, connection_on_read, connection_on_written, connection_on_event, c);
	bufferevent_set_max_single_read(c->bev, SINGLE_READ_BYTES);
	bufferevent_set_max_single_write(c->bev, SINGLE_READ_BYTES);
	bufferevent_setwatermark(c->bev, EV_READ, 0, c->input_limit);
	bufferevent_setwatermark(c->bev, EV_WRITE, c->low_water, 0);
	evbuffer_add_cb(bufferevent_get_output(c->bev), connection_on_output, c);
	if (ssl)
		evbuffer_add_cb(bufferevent_get_input(c->bev), connection_on_input, c);
}

static struct connection *connection_new(const char *server, const struct log_name *parent,
	const struct connection_events *events, void *arg)
{
	struct connection *c = xcalloc(1, sizeof(*c));

	c->events = events;
	c->arg = arg;
	c->server = server;
	c->log = (struct log_name){ .parent = parent, .kind = server, .name = c->peer };
	c->active_us = reactor_monotonic_us();
	c->idle_timer = reactor_timer_new(connection_on_idle_timer, c);
	c->state_timer = reactor_timer_new(connection_on_state_timer, c);
	c->open = metric_get(METRIC_CONNECTIONS, server);
	c->sent = metric_get(METRIC_SENT_BYTES, server);
	c->input_limit = INPUT_LIMIT_BYTES;
	metric_add(c->open, 1);
	return c;
}

/* Begins to shake hands on the socket. */
static void connection_shake_hands(struct connection *c, int fd)
{
	SSL *ssl = tls_server_session(c->tls_server);

	if (c->withholds_tickets)
		tls_withhold_tickets(ssl);
	c->state = CONNECTION_SHAKING;
	connection_attach(c, fd, ssl, BUFFEREVENT_SSL_ACCEPTING);
	reactor_timer_start(c->state_timer, CONNECTION_HANDSHAKE_US);
}

/* The same socket with another bufferevent. */
static void connection_shake(struct connection *c)
{
	int fd = bufferevent_getfd(c->bev);

	(void)bufferevent_setfd(c->bev, -1);
	connection_free_bufferevent(c);
	connection_shake_hands(c, fd);
}

void connection_offer(struct connection *c, const char *protocols)
{
	tls_offer(c->ssl, protocols);
}

bool connection_speaks(const struct connection *c, const char *protocol)
{
	return c->ssl && tls_speaks(c->ssl, protocol);
}

void connection_withhold_tickets(struct connection *c)
{
	c->withholds_tickets = true;
}

int connection_start_tls(struct connection *c, const struct tls_server *tls)
{
	if (c->ssl || c->state != CONNECTION_OPEN)
		return -EALREADY;
	if (evbuffer_get_length(bufferevent_get_input(c->bev)))
		return -EBADMSG;
	connection_leave_pace(c);
	c->tls_server = tls;
	c->state = CONNECTION_UPGRADING;
	bufferevent_disable(c->bev, EV_READ);
	bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
	/* with nothing to send it only makes sure that this is not done inside of a callback */
	reactor_timer_start(c->state_timer,
		evbuffer_get_length(bufferevent_get_output(c->bev)) ? CONNECTION_HANDSHAKE_US : 0);
	return 0;
}

struct connection *connection_accept(int fd, const struct sockaddr *peer, int peer_bytes,
	const struct tls_server *tls, const char *server, const struct log_name *parent,
	const struct connection_events *events, void *arg)
{
	struct connection *c = connection_new(server, parent, events, arg);

	(void)peer_bytes;
	connection_set_peer(c, peer);
	c->tls_server = tls;
	if (tls) {
		connection_shake_hands(c, fd);
		return c;
	}
	connection_attach(c, fd, NULL, BUFFEREVENT_SSL_OPEN);
	c->state = CONNECTION_OPEN;
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	return c;
}

struct connection *connection_connect(const struct connection_target *target, const char *server,
	const struct log_name *parent, const struct connection_events *events, void *arg)
{
	const char *host = target->host;
	size_t n = strlen(host);
	char *bare =
		host[0] == '[' && host[n - 1] == ']' ? xstrndup(host + 1, n - 2) : xstrdup(host);
	SSL *ssl = target->tls ? tls_client_new(target->tls, bare) : NULL;
	struct connection *c = connection_new(server, parent, events, arg);

	connection_attach(c, -1, ssl, BUFFEREVENT_SSL_CONNECTING);
	if (ssl)
		c->tls = *target->tls;
	snprintf(c->peer, sizeof(c->peer), strchr(bare, ':') ? "[%.50s]:%u" : "%.50s:%u", bare,
		target->port);
	c->state = CONNECTION_CONNECTING;
	reactor_timer_start(c->state_timer, target->timeout_us);
	/* a failure here comes as a deferred event too */
	(void)bufferevent_socket_connect_hostname(
		c->bev, reactor_dns(), AF_UNSPEC, bare, target->port);
	free(bare);
	return c;
}

/* --- use --- */

struct evbuffer *connection_input(struct connection *c)
{
	return bufferevent_get_input(c->bev);
}

struct evbuffer *connection_output(struct connection *c)
{
	return bufferevent_get_output(c->bev);
}

void connection_write(struct connection *c, const void *p, size_t n)
{
	evbuffer_add(bufferevent_get_output(c->bev), p, n);
}

void connection_pause(struct connection *c, enum connection_pause why)
{
	c->pauses |= why;
	if (c->state >= CONNECTION_OPEN) /* shaking hands is reading, too */
		bufferevent_disable(c->bev, EV_READ);
}

void connection_resume(struct connection *c, enum connection_pause why)
{
	if (!c->pauses)
		return;
	c->pauses &= ~(unsigned)why;
	if (c->pauses || c->state != CONNECTION_OPEN)
		return;
	if (!c->paced)
		bufferevent_enable(c->bev, EV_READ);
	connection_read_pending(c);
	if (evbuffer_get_length(bufferevent_get_input(c->bev)))
		bufferevent_trigger(
			c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void connection_adopt(struct connection *c, const struct log_name *parent,
	const struct connection_events *events, void *arg)
{
	c->log.parent = parent;
	c->events = events;
	c->arg = arg;
	connection_set_idle(c, 0);
	connection_set_low_water(c, 0);
	c->pauses |= PAUSE_BUSY;
	connection_resume(c, (enum connection_pause)c->pauses);
}

void connection_set_input_limit(struct connection *c, size_t bytes)
{
	c->input_limit = bytes;
	bufferevent_setwatermark(c->bev, EV_READ, 0, bytes);
}

void connection_set_bulk(struct connection *c)
{
	c->bulk = true;
}

void connection_set_low_water(struct connection *c, size_t bytes)
{
	c->low_water = bytes;
	bufferevent_setwatermark(c->bev, EV_WRITE, bytes, 0);
}

void connection_set_idle(struct connection *c, int64_t idle_us)
{
	c->idle_us = idle_us;
	c->active_us = reactor_monotonic_us();
	if (idle_us)
		reactor_timer_start(c->idle_timer, idle_us);
	else
		reactor_timer_stop(c->idle_timer);
}

const char *connection_peer(const struct connection *c)
{
	return c->peer;
}

const struct sockaddr *connection_peer_address(const struct connection *c)
{
	return (const struct sockaddr *)&c->peer_address;
}

int connection_local_address(const struct connection *c, struct sockaddr_storage *ret)
{
	socklen_t n = sizeof(*ret);

	return getsockname(connection_fd(c), (struct sockaddr *)ret, &n) == 0 ? 0 : -errno;
}

bool connection_peer_is_loopback(const struct connection *c)
{
	return address_is_loopback(connection_peer_address(c));
}

bool connection_is_tls(const struct connection *c)
{
	return c->ssl != NULL;
}

bool connection_peer_has_shut(const struct connection *c)
{
	char byte;

	if (c->ssl)
		return c->state >= CONNECTION_OPEN && tls_peer_has_shut(c->ssl);
	return recv(connection_fd(c), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool connection_ended_whole(const struct connection *c)
{
	return !c->ssl || tls_is_ended(c->ssl);
}

int connection_fd(const struct connection *c)
{
	return bufferevent_getfd(c->bev);
}

/* --- past the output --- */

static void connection_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;
	void (*on_writable)(void *) = c->on_writable;

	(void)fd, (void)what;
	c->on_writable = NULL;
	on_writable(c->writable_arg);
}

void connection_await_writable(struct connection *c, void (*on_writable)(void *arg), void *arg)
{
	if (!c->writable_event)
		c->writable_event = event_new(
			reactor_base(), connection_fd(c), EV_WRITE, connection_on_writable, c);
	if (!c->writable_event)
		abort();
	c->on_writable = on_writable;
	c->writable_arg = arg;
	if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		event_add(c->writable_event, NULL);
}

void connection_count_written(struct connection *c, size_t bytes)
{
	c->active_us = reactor_monotonic_us();
	metric_add(c->sent, (double)bytes);
}

size_t connection_write_now(struct connection *c, const struct iovec *parts, int n)
{
	ssize_t written;

	if (c->ssl || c->state != CONNECTION_OPEN || connection_has_unsent(c))
		return 0;
	written = writev(connection_fd(c), parts, n);
	if (written <= 0)
		return 0;
	connection_count_written(c, (size_t)written);
	return (size_t)written;
}

void connection_flush(struct connection *c)
{
	struct evbuffer *output = bufferevent_get_output(c->bev);

	if (c->ssl || c->state != CONNECTION_OPEN || evbuffer_get_length(output) == 0)
		return;
	evbuffer_unfreeze(output, 1); /* the bufferevent keeps it for itself */
	(void)evbuffer_write(output, connection_fd(c));
	evbuffer_freeze(output, 1);
	if (evbuffer_get_length(output) == 0)
		event_del(&c->bev->ev_write);
}

void connection_fail(struct connection *c, int error)
{
	connection_end(c, connection_reason_of(error), evutil_socket_error_to_string(error));
}

bool connection_has_unsent(const struct connection *c)
{
	return c->on_writable || evbuffer_get_length(bufferevent_get_output(c->bev)) > 0;
}
