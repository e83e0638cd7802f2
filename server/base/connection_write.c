/* Output: the bufferevent's, and past it. */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>

#include "server/base/connection_private.h"

struct evbuffer *connection_output(struct connection *c)
{
	return bufferevent_get_output(c->bev);
}

void connection_write(struct connection *c, const void *p, size_t n)
{
	evbuffer_add(bufferevent_get_output(c->bev), p, n);
}

void connection_on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	struct connection *c = arg;

	/* tried in this turn: mostly the socket takes it all, and epoll need not be asked */
	if (info->n_added && info->orig_size == 0 && c->state >= CONNECTION_OPEN &&
		c->state != CONNECTION_CLOSED) {
		event_add(&c->bev->ev_write, NULL);
		event_active(&c->bev->ev_write, EV_WRITE, 1);
	}
	if (!info->n_deleted)
		return;
	connection_count_written(c, info->n_deleted);
	if (c->on_writable && evbuffer_get_length(output) == 0)
		event_add(c->writable_event, NULL);
}

/* --- past it --- */

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
	connection_end(c, connection_reason_of(error), strerror(error));
}

bool connection_has_unsent(const struct connection *c)
{
	return c->on_writable || evbuffer_get_length(bufferevent_get_output(c->bev)) > 0;
}
