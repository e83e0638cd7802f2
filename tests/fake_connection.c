/* A connection without a socket, and a clock that stands until it is moved. */
#include "tests/fake_connection.h"

#include <netinet/in.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "server/base/connection.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

struct connection {
	const struct connection_events *events; /* NULL: the owner left */
	void *arg;
	struct evbuffer *input, *output;
	unsigned pauses;
	bool ended, again;
	struct reactor_dead dead;
};

static struct connection *fake; /* the newest */
static unsigned connects;
static int64_t clock_us = INT64_C(1700000000000000);

int64_t __wrap_reactor_monotonic_us(void);
int64_t __wrap_reactor_now_us(void);

int64_t __wrap_reactor_monotonic_us(void)
{
	return clock_us;
}

int64_t __wrap_reactor_now_us(void)
{
	return clock_us;
}

void fake_clock_set(int64_t us)
{
	clock_us = us;
}

int64_t fake_clock(void)
{
	return clock_us;
}

/* --- the peer's side --- */

bool fake_connection_is_open(void)
{
	return fake && !fake->ended;
}

unsigned fake_connections(void)
{
	return connects;
}

void fake_connection_accept(void)
{
	if (fake_connection_is_open() && fake->events)
		fake->events->on_open(fake->arg);
}

void fake_connection_feed(const void *p, size_t n)
{
	struct connection *c = fake;

	if (!fake_connection_is_open() || !c->events)
		return;
	evbuffer_add(c->input, p, n);
	do {
		c->again = false;
		if (!c->pauses && c->events)
			c->events->on_data(c->arg);
	} while (c->again && !c->ended);
}

static void fake_fini(void *object)
{
	struct connection *c = object;

	evbuffer_free(c->input);
	evbuffer_free(c->output);
	free(c);
}

static void fake_close(struct connection *c, enum close_reason reason)
{
	const struct connection_events *events = c->events;

	if (c->ended)
		return;
	c->ended = true;
	c->events = NULL;
	if (fake == c)
		fake = NULL;
	if (events)
		events->on_close(c->arg, reason, NULL);
	reactor_free_later(&c->dead, fake_fini, c);
}

void fake_connection_end(void)
{
	if (fake_connection_is_open())
		fake_close(fake, CLOSE_PEER);
}

struct evbuffer *fake_connection_output(void)
{
	return fake ? fake->output : NULL;
}

/* --- connection.h --- */

struct connection *connection_connect(const struct connection_target *target, const char *server,
	const struct log_name *parent, const struct connection_events *events, void *arg)
{
	struct connection *c = xcalloc(1, sizeof(*c));

	(void)target, (void)server, (void)parent;
	c->events = events;
	c->arg = arg;
	c->input = evbuffer_new();
	c->output = evbuffer_new();
	fake = c;
	connects++;
	return c;
}

struct connection *connection_accept(int fd, const struct sockaddr *peer, int peer_bytes,
	const char *server, const struct log_name *parent, const struct connection_events *events,
	void *arg)
{
	(void)fd, (void)peer, (void)peer_bytes, (void)server, (void)parent, (void)events, (void)arg;
	abort();
}

void connection_close(struct connection *c, enum close_reason reason)
{
	if (c)
		fake_close(c, reason);
}

void connection_finish(struct connection *c)
{
	fake_close(c, CLOSE_DONE);
}

void connection_abandon(struct connection **c)
{
	if (*c) {
		(*c)->events = NULL;
		fake_close(*c, CLOSE_DONE);
	}
	*c = NULL;
}

void connection_release(struct connection **c)
{
	connection_abandon(c);
}

struct evbuffer *connection_input(struct connection *c)
{
	return c->input;
}

struct evbuffer *connection_output(struct connection *c)
{
	return c->output;
}

void connection_write(struct connection *c, const void *p, size_t n)
{
	evbuffer_add(c->output, p, n);
}

void connection_pause(struct connection *c, enum connection_pause why)
{
	c->pauses |= why;
}

void connection_resume(struct connection *c, enum connection_pause why)
{
	c->pauses &= ~(unsigned)why;
	c->again = true;
}

void connection_set_input_limit(struct connection *c, size_t bytes)
{
	(void)c, (void)bytes;
}

void connection_set_low_water(struct connection *c, size_t bytes)
{
	(void)c, (void)bytes;
}

void connection_set_paced(struct connection *c)
{
	(void)c;
}

void connection_set_idle(struct connection *c, int64_t idle_us)
{
	(void)c, (void)idle_us;
}

const char *connection_peer(const struct connection *c)
{
	(void)c;
	return "192.0.2.1:554";
}

static const struct sockaddr_in fake_address = { .sin_family = AF_INET };

const struct sockaddr *connection_peer_address(const struct connection *c)
{
	(void)c;
	return (const struct sockaddr *)&fake_address;
}

int connection_local_address(const struct connection *c, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

	(void)c;
	*v4 = (struct sockaddr_in){ .sin_family = AF_INET };
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return 0;
}

bool connection_peer_is_loopback(const struct connection *c)
{
	(void)c;
	return false;
}

int connection_fd(const struct connection *c)
{
	(void)c;
	return -1;
}

static const char *const fake_words = "fake";

const char *close_reason_metric(enum close_reason reason)
{
	(void)reason;
	return fake_words;
}

const char *close_reason_words(enum close_reason reason)
{
	(void)reason;
	return fake_words;
}

bool close_reason_is_error(enum close_reason reason)
{
	(void)reason;
	return false;
}
