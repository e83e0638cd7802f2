#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "server/base/attributes.h"

struct evdns_base;

/*
 * The one libevent base of the process and its thread. Everything that names the reactor runs in
 * this thread; the only door from another thread is server/base/worker.h. Nothing waits here.
 */

/* Makes the base and the DNS resolver. Ends the process when libevent cannot be had. */
void reactor_init(void);
void reactor_fini(void);

/* Runs until reactor_stop(). */
void reactor_run(void);
void reactor_stop(void);

struct event_base *reactor_base(void);
struct evdns_base *reactor_dns(void);

/* Microseconds since 1970 UTC, and of a clock that never steps. Read the kernel's clock anew. */
int64_t reactor_now_us(void);
int64_t reactor_monotonic_us(void);

/*
 * Objects die after the callback chain in which they ended. Embed a reactor_dead; `fini` runs once,
 * later, from the loop (or from reactor_fini()).
 */
struct reactor_dead {
	STAILQ_ENTRY(reactor_dead) entry;
	void (*fini)(void *object);
	void *object;
};
void reactor_free_later(struct reactor_dead *dead, void (*fini)(void *), void *object);
/* Has them die now: from outside the loop, before what they still use is freed. */
void reactor_bury(void);

/* Timers: a one-shot event that is owned by its object. */
struct event *reactor_timer_new(event_callback_fn on_timer, void *arg);
void reactor_timer_start(struct event *timer, int64_t after_us);
void reactor_timer_stop(struct event *timer);
/* Clears the caller's pointer; NULL inside is fine. */
void reactor_timer_free(struct event **timer);
