/* The event loop of the process: base, resolver, timers, deferred freeing, lag. */
#include "server/base/reactor.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <event2/dns.h>

#include "server/base/log.h"
#include "server/base/metrics.h"

enum {
	LAG_PERIOD_US = 100000,
	MALLOC_KEEP_BYTES = 32 << 20,
	MALLOC_MMAP_BYTES = 4 << 20,
	LAG_WINDOW_PERIODS = 600
};

static struct {
	struct event_base *base;
	struct evdns_base *dns;
	struct event *bury;
	STAILQ_HEAD(, reactor_dead) dead;
	struct event *lag_timer;
	int64_t lag_due_us;
	double lag_max, lag_max_before; /* of this minute and of the one before */
	unsigned lag_periods;
	struct metric *lag, *lag_max_metric;
} reactor;

int64_t reactor_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t reactor_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void reactor_bury(void)
{
	struct reactor_dead *dead;

	while ((dead = STAILQ_FIRST(&reactor.dead))) {
		STAILQ_REMOVE_HEAD(&reactor.dead, entry);
		dead->fini(dead->object);
	}
}

static void reactor_on_bury(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	reactor_bury();
}

/*
 * In the next turn, when epoll has been told what the object's sockets do not want any more: one that is closed before that, while
 * sendfile(2) still has a copy of it, would be watched until the copy goes.
 */
void reactor_free_later(struct reactor_dead *dead, void (*fini)(void *), void *object)
{
	static const struct timeval at_once;

	dead->fini = fini;
	dead->object = object;
	STAILQ_INSERT_TAIL(&reactor.dead, dead, entry);
	if (!event_pending(reactor.bury, EV_TIMEOUT, NULL))
		event_add(reactor.bury, &at_once);
}

/* Runs each 100 ms; how late it comes is how long the loop did not turn. */
static void reactor_on_lag(evutil_socket_t fd, short what, void *arg)
{
	int64_t now = reactor_monotonic_us();
	double lag = now > reactor.lag_due_us ? (double)(now - reactor.lag_due_us) / 1e6 : 0;

	(void)fd, (void)what, (void)arg;
	metric_observe(reactor.lag, lag);
	if (lag > reactor.lag_max)
		reactor.lag_max = lag;
	if (++reactor.lag_periods == LAG_WINDOW_PERIODS) {
		reactor.lag_max_before = reactor.lag_max;
		reactor.lag_max = 0;
		reactor.lag_periods = 0;
	}
	metric_set(reactor.lag_max_metric, reactor.lag_max > reactor.lag_max_before
						   ? reactor.lag_max
						   : reactor.lag_max_before);
	reactor.lag_due_us = now + LAG_PERIOD_US;
	reactor_timer_start(reactor.lag_timer, LAG_PERIOD_US);
}

static void reactor_on_fatal(int status)
{
	log_error(NULL, "libevent failed (%d)", status);
	abort();
}

/*
 * Whether a socket is read or written may change many times in a turn, for each request at least twice: the kernel is told
 * once, of what it came to. Nobody may look at a copy (dup(2)) of a socket that is looked at, which libevent would confuse.
 */
static struct event_base *reactor_new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config || event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST))
		abort();
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

void reactor_init(void)
{
	/* media come and go in blocks of this size all day: giving them back each time costs more */
	(void)mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP_BYTES);
	(void)mallopt(M_MMAP_THRESHOLD, MALLOC_MMAP_BYTES);
	(void)signal(SIGPIPE, SIG_IGN);
	event_set_fatal_callback(reactor_on_fatal);
	reactor.base = reactor_new_base();
	if (!reactor.base)
		reactor_on_fatal(-1);
	reactor.dns = evdns_base_new(
		reactor.base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (!reactor.dns) { /* no resolv.conf: /etc/hosts and numbers still work */
		reactor.dns = evdns_base_new(reactor.base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		if (reactor.dns)
			evdns_base_load_hosts(reactor.dns, "/etc/hosts");
	}
	STAILQ_INIT(&reactor.dead);
	reactor.bury = event_new(reactor.base, -1, 0, reactor_on_bury, NULL);
	reactor.lag = metric_get(METRIC_REACTOR_LAG);
	reactor.lag_max_metric = metric_get(METRIC_REACTOR_LAG_MAX);
	reactor.lag_timer = reactor_timer_new(reactor_on_lag, NULL);
	reactor.lag_due_us = reactor_monotonic_us() + LAG_PERIOD_US;
	reactor_timer_start(reactor.lag_timer, LAG_PERIOD_US);
}

void reactor_fini(void)
{
	if (reactor.dns)
		evdns_base_free(reactor.dns, 1);
	reactor.dns = NULL;
	/* whoever waited for a name is told that there will be none, and lets go */
	(void)event_base_loop(reactor.base, EVLOOP_NONBLOCK);
	reactor_bury();
	reactor_timer_free(&reactor.lag_timer);
	event_free(reactor.bury);
	event_base_free(reactor.base);
	reactor.base = NULL;
	libevent_global_shutdown();
}

void reactor_run(void)
{
	event_base_dispatch(reactor.base);
}

void reactor_stop(void)
{
	event_base_loopbreak(reactor.base);
}

struct event_base *reactor_base(void)
{
	return reactor.base;
}

struct evdns_base *reactor_dns(void)
{
	return reactor.dns;
}

struct event *reactor_timer_new(event_callback_fn on_timer, void *arg)
{
	struct event *timer = event_new(reactor.base, -1, 0, on_timer, arg);

	if (!timer)
		abort();
	return timer;
}

void reactor_timer_start(struct event *timer, int64_t after_us)
{
	struct timeval tv = { .tv_sec = after_us / 1000000, .tv_usec = after_us % 1000000 };

	event_add(timer, &tv);
}

void reactor_timer_stop(struct event *timer)
{
	event_del(timer);
}

void reactor_timer_free(struct event **timer)
{
	if (*timer)
		event_free(*timer);
	*timer = NULL;
}
