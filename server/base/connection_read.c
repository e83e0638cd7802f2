/* Input: what libevent reads, what is read at once (bulk) and what is read with the beat (paced). */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>

#include "server/base/connection_private.h"

/* Paced connections and their beat, which runs while there are any. */
static struct {
	TAILQ_HEAD(, connection) connections;
	struct event *timer;
} pace = { .connections = TAILQ_HEAD_INITIALIZER(pace.connections) };

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

void connection_on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	(void)input;
	if (info->n_deleted)
		connection_read_pending(arg);
}

struct evbuffer *connection_input(struct connection *c)
{
	return bufferevent_get_input(c->bev);
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

void connection_on_read(struct bufferevent *bev, void *arg)
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

/* --- pace --- */

void connection_leave_pace(struct connection *c)
{
	if (!c->paced)
		return;
	c->paced = false;
	TAILQ_REMOVE(&pace.connections, c, pace_entry);
	if (TAILQ_EMPTY(&pace.connections))
		reactor_timer_free(&pace.timer);
}

/* Reads what has come since the last beat. The connection may end here. */
static void connection_read_now(struct connection *c)
{
	static uint8_t
		block[CONNECTION_READ_BYTES]; /* of the reactor's thread: stays warm in the cache */
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
