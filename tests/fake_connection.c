/* A connection without a socket, and a clock that stands until it is moved. */
#include "tests/fake_connection.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>

#include "server/base/connection.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

enum {
	TAKEN_BYTES = 2000
};

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

/* --- the clock and its timers --- */

struct fake_timer {
	LIST_ENTRY(fake_timer) entry;
	struct event *handle; /* what the owner knows it by; never added */
	event_callback_fn on_timer;
	void *arg;
	int64_t due_us; /* 0: stopped */
};
static LIST_HEAD(, fake_timer) timers = LIST_HEAD_INITIALIZER(timers);

int64_t __wrap_reactor_monotonic_us(void);
int64_t __wrap_reactor_now_us(void);
struct event *__wrap_reactor_timer_new(event_callback_fn on_timer, void *arg);
void __wrap_reactor_timer_start(struct event *timer, int64_t after_us);
void __wrap_reactor_timer_stop(struct event *timer);
void __wrap_reactor_timer_free(struct event **timer);
struct event *__real_reactor_timer_new(event_callback_fn on_timer, void *arg);
void __real_reactor_timer_start(struct event *timer, int64_t after_us);
void __real_reactor_timer_stop(struct event *timer);
void __real_reactor_timer_free(struct event **timer);

int64_t __wrap_reactor_monotonic_us(void)
{
	return clock_us;
}

int64_t __wrap_reactor_now_us(void)
{
	return clock_us;
}

static struct fake_timer *fake_timer_find(const struct event *handle)
{
	struct fake_timer *timer;

	LIST_FOREACH (timer, &timers, entry) {
		if (timer->handle == handle)
			return timer;
	}
	return NULL;
}

struct event *__wrap_reactor_timer_new(event_callback_fn on_timer, void *arg)
{
	struct fake_timer *timer = xcalloc(1, sizeof(*timer));

	timer->handle = __real_reactor_timer_new(on_timer, arg);
	timer->on_timer = on_timer;
	timer->arg = arg;
	LIST_INSERT_HEAD(&timers, timer, entry);
	return timer->handle;
}

/* The reactor's own timers were made inside of it, and are real. */
void __wrap_reactor_timer_start(struct event *timer, int64_t after_us)
{
	struct fake_timer *ours = fake_timer_find(timer);

	if (ours)
		ours->due_us = clock_us + after_us;
	else
		__real_reactor_timer_start(timer, after_us);
}

void __wrap_reactor_timer_stop(struct event *timer)
{
	struct fake_timer *ours = fake_timer_find(timer);

	if (ours)
		ours->due_us = 0;
	else
		__real_reactor_timer_stop(timer);
}

void __wrap_reactor_timer_free(struct event **timer)
{
	struct fake_timer *ours = fake_timer_find(*timer);

	if (ours) {
		LIST_REMOVE(ours, entry);
		free(ours);
	}
	__real_reactor_timer_free(timer);
}

static struct fake_timer *fake_timer_next(int64_t until_us)
{
	struct fake_timer *timer, *next = NULL;

	LIST_FOREACH (timer, &timers, entry) {
		if (timer->due_us && timer->due_us <= until_us &&
			(!next || timer->due_us < next->due_us))
			next = timer;
	}
	return next;
}

void fake_clock_set(int64_t us)
{
	struct fake_timer *timer;

	while ((timer = fake_timer_next(us))) {
		if (clock_us < timer->due_us)
			clock_us = timer->due_us;
		timer->due_us = 0;
		timer->on_timer(-1, EV_TIMEOUT, timer->arg);
	}
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

void fake_connection_drain(void)
{
	struct connection *c = fake;

	if (!c || !evbuffer_get_length(c->output))
		return;
	evbuffer_drain(c->output, evbuffer_get_length(c->output));
	if (c->events && c->events->on_drained)
		c->events->on_drained(c->arg);
}

/* --- connection.h --- */

static struct connection *fake_new(const struct connection_events *events, void *arg)
{
	struct connection *c = xcalloc(1, sizeof(*c));

	c->events = events;
	c->arg = arg;
	c->input = evbuffer_new();
	c->output = evbuffer_new();
	fake = c;
	return c;
}

struct connection *connection_connect(const struct connection_target *target, const char *server,
	const struct log_name *parent, const struct connection_events *events, void *arg)
{
	(void)target, (void)server, (void)parent;
	connects++;
	return fake_new(events, arg);
}

struct connection *connection_accept(int fd, const struct sockaddr *peer, int peer_bytes,
	const struct tls_server *tls, const char *server, const struct log_name *parent,
	const struct connection_events *events, void *arg)
{
	(void)fd, (void)peer, (void)peer_bytes, (void)tls, (void)server, (void)parent;
	return fake_new(events, arg);
}

void connection_offer(struct connection *c, const char *protocols)
{
	(void)c, (void)protocols;
}

bool connection_speaks(const struct connection *c, const char *protocol)
{
	(void)c;
	return strcmp(protocol, "h2") == 0;
}

bool connection_is_tls(const struct connection *c)
{
	(void)c;
	return false;
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

void connection_shut(struct connection *c)
{
	(void)c;
}

void connection_adopt(struct connection *c, const struct log_name *parent,
	const struct connection_events *events, void *arg)
{
	(void)parent;
	c->events = events;
	c->arg = arg;
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

/* The socket takes so much, then no more until the output has gone. */
size_t connection_write_now(struct connection *c, const struct iovec *parts, int n)
{
	size_t room = evbuffer_get_length(c->output) ? 0 : TAKEN_BYTES, taken = 0;

	for (int i = 0; i < n && room > 0; i++) {
		size_t bytes = parts[i].iov_len < room ? parts[i].iov_len : room;

		evbuffer_add(c->output, parts[i].iov_base, bytes);
		taken += bytes;
		room -= bytes;
	}
	return taken;
}

/* The socket takes nothing yet. */
void connection_flush(struct connection *c)
{
	(void)c;
}

void connection_await_writable(struct connection *c, void (*on_writable)(void *arg), void *arg)
{
	(void)c, (void)on_writable, (void)arg;
}

void connection_count_written(struct connection *c, size_t bytes)
{
	(void)c, (void)bytes;
}

void connection_fail(struct connection *c, int error)
{
	(void)error;
	fake_close(c, CLOSE_ERROR);
}

bool connection_peer_has_shut(const struct connection *c)
{
	(void)c;
	return false;
}

bool connection_has_unsent(const struct connection *c)
{
	return evbuffer_get_length(c->output) > 0;
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

static const struct sockaddr_in fake_address = { .sin_family = AF_INET,
	.sin_addr = { UINT32_MAX } }; /* any but 0.0.0.0, which is nobody's */

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
