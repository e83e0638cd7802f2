/* From notices of events to the catalogue and the recorders. */
#include "server/events.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/event.h"

enum {
	LASTING_MOST = 1024, /* what is more has no length */
	BEAT_US = 1000000,
	WRITE_US = 10000000, /* as much is forgotten of what lasts if the process ends */
	AHEAD_US = 10000000, /* of our clock, and behind it: what a camera may be to be believed */
	BEHIND_US = 600000000,
};

struct lasting {
	LIST_ENTRY(lasting) entry;
	char *camera, *source;
	enum event_kind kind;
	int64_t start_us;
	int64_t heard_us, written_us; /* monotonic */
};

struct events {
	struct event_listener listener;
	struct cameras *cameras;
	struct catalogue *catalogue;
	LIST_HEAD(, lasting) lasting;
	size_t n_lasting;
	struct event *timer;
};

static void events_write(struct events *events, struct lasting *e, int64_t end_us)
{
	e->written_us = reactor_monotonic_us();
	catalogue_add_event(events->catalogue, e->camera, e->kind, e->start_us,
		end_us > e->start_us ? end_us : e->start_us);
}

static void events_end(struct events *events, struct lasting *e, int64_t end_us)
{
	events_write(events, e, end_us);
	LIST_REMOVE(e, entry);
	events->n_lasting--;
	free(e->camera);
	free(e->source);
	free(e);
}

static void events_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct events *events = arg;
	struct lasting *e, *next;
	int64_t now_us = reactor_monotonic_us();

	(void)fd, (void)what;
	for (e = LIST_FIRST(&events->lasting); e; e = next) {
		next = LIST_NEXT(e, entry);
		if (now_us - e->heard_us >= cameras_event_hold_us(events->cameras, e->camera)) {
			log_warn(NULL, "camera %s: nobody says that the %s is over; it is now",
				e->camera, event_kind_name(e->kind));
			events_end(events, e, reactor_now_us());
			continue;
		}
		cameras_trigger(events->cameras, e->camera, 0);
		if (now_us - e->written_us >= WRITE_US)
			events_write(events, e, reactor_now_us());
	}
	if (events->n_lasting)
		reactor_timer_start(events->timer, BEAT_US);
}

static struct lasting *events_find(struct events *events, const struct event_notice *notice)
{
	const char *source = notice->source ? notice->source : "";
	struct lasting *e;

	LIST_FOREACH (e, &events->lasting, entry) {
		if (e->kind == notice->kind && !strcmp(e->camera, notice->camera) &&
			!strcmp(e->source, source))
			return e;
	}
	return NULL;
}

static void events_begin(struct events *events, const struct event_notice *notice)
{
	struct lasting *e = xcalloc(1, sizeof(*e));

	e->camera = xstrdup(notice->camera);
	e->source = xstrdup(notice->source ? notice->source : "");
	e->kind = notice->kind;
	e->start_us = notice->at_us;
	e->heard_us = reactor_monotonic_us();
	LIST_INSERT_HEAD(&events->lasting, e, entry);
	if (events->n_lasting++ == 0)
		reactor_timer_start(events->timer, BEAT_US);
	events_write(events, e, notice->at_us);
}

static void events_on_notice(struct event_listener *listener, const struct event_notice *notice)
{
	struct events *events = CONTAINER_OF(listener, struct events, listener);
	struct lasting *e;
	int64_t ago_us = reactor_now_us() - notice->at_us;

	if (notice->kind >= EVENT_KINDS)
		return;
	e = events_find(events, notice);
	if (!e && notice->phase == EVENT_ENDS)
		return;
	if (e)
		e->heard_us = reactor_monotonic_us();
	else
		metric_add(metric_get(METRIC_EVENTS, notice->camera, event_kind_name(notice->kind)),
			1);
	if (e && notice->phase == EVENT_ENDS)
		events_end(events, e, notice->at_us);
	else if (!e && notice->phase == EVENT_BEGINS && events->n_lasting < LASTING_MOST)
		events_begin(events, notice);
	else if (!e)
		catalogue_add_event(events->catalogue, notice->camera, notice->kind, notice->at_us,
			notice->at_us);
	cameras_trigger(events->cameras, notice->camera, ago_us > 0 ? ago_us : 0);
}

struct events *events_new(struct cameras *cameras, struct catalogue *catalogue)
{
	struct events *events = xcalloc(1, sizeof(*events));

	events->cameras = cameras;
	events->catalogue = catalogue;
	LIST_INIT(&events->lasting);
	events->timer = reactor_timer_new(events_on_timer, events);
	events->listener.on_notice = events_on_notice;
	event_subscribe(&events->listener);
	return events;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	event_unsubscribe(&events->listener);
	while (!LIST_EMPTY(&events->lasting))
		events_end(events, LIST_FIRST(&events->lasting), reactor_now_us());
	reactor_timer_free(&events->timer);
	free(events);
}
