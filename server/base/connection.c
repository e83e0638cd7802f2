/* TCP connections of all servers and clients, on libevent's bufferevents. */
#include "server/base/connection_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>

#include "server/base/address.h"
#include "server/base/memory.h"

enum {
	INPUT_LIMIT_BYTES = 256 << 10,
	DROP_BYTES = 64 << 10, /* of hostile bytes, before a close */
};

static void connection_free_bufferevent(struct connection *c)
{
	/* libevent keeps its part for as long as a look-up goes on */
	(void)evbuffer_remove_cb(bufferevent_get_output(c->bev), connection_on_output, c);
	(void)evbuffer_remove_cb(bufferevent_get_input(c->bev), connection_on_input, c);
	bufferevent_free(c->bev);
}

void connection_fini(void *object)
{
	struct connection *c = object;

	if (c->writable_event) /* before its descriptor is closed */
		event_free(c->writable_event);
	connection_free_bufferevent(c);
	reactor_timer_free(&c->idle_timer);
	reactor_timer_free(&c->state_timer);
	free(c);
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

static void connection_on_written(struct bufferevent *bev, void *arg)
{
	struct connection *c = arg;

	(void)bev;
	if (!connection_go_on(c) && c->state == CONNECTION_OPEN && c->events &&
		c->events->on_drained)
		c->events->on_drained(c->arg);
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
	bufferevent_set_max_single_read(c->bev, CONNECTION_READ_BYTES);
	bufferevent_set_max_single_write(c->bev, CONNECTION_READ_BYTES);
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
void connection_shake(struct connection *c)
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
