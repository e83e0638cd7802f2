/*
 * How connections end: why, in one way, with what is queued still sent, and so that the peer can read it. Also of those that nobody
 * owns any more.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/connection_private.h"

enum {
	FINISH_US = 10000000, /* for the output to leave */
	FAREWELL_STEP_US = 20000,
	LINGER_US = 2000000, /* for the peer to see it, before a reset could overtake it */
	FLUSH_US = 500000,   /* at the end of the process */
	FLUSH_STEP_US = 1000,
};

/* Connections that send what is queued for nobody any more. */
static TAILQ_HEAD(, connection) released = TAILQ_HEAD_INITIALIZER(released);

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

enum close_reason connection_reason_of(int error)
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

void connection_end(struct connection *c, enum close_reason reason, const char *detail)
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

/* --- ends that take their time --- */

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

bool connection_go_on(struct connection *c)
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

void connection_on_state_timer(evutil_socket_t fd, short what, void *arg)
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
