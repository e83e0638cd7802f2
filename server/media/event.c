#include "server/media/event.h"

/* The listeners, and telling them. */

/* reactor */
static TAILQ_HEAD(, event_listener) listeners = TAILQ_HEAD_INITIALIZER(listeners);

static const char *const names[EVENT_KINDS] = {
	[EVENT_MOTION] = "motion",
	[EVENT_TAMPER] = "tamper",
	[EVENT_LINE] = "line",
	[EVENT_INPUT] = "input",
	[EVENT_PERSON] = "person",
	[EVENT_VEHICLE] = "vehicle",
	[EVENT_MANUAL] = "manual",
};

const char *event_kind_name(enum event_kind kind)
{
	return names[kind];
}

void event_subscribe(struct event_listener *listener)
{
	TAILQ_INSERT_TAIL(&listeners, listener, entry);
}

void event_unsubscribe(struct event_listener *listener)
{
	TAILQ_REMOVE(&listeners, listener, entry);
}

void event_publish(const struct event_notice *notice)
{
	struct event_listener *listener, *next;

	for (listener = TAILQ_FIRST(&listeners); listener; listener = next) {
		next = TAILQ_NEXT(listener, entry);
		listener->on_notice(listener, notice);
	}
}
