#include "server/media/event.h"

/* The listeners, and telling them. */

/* reactor */
static TAILQ_HEAD(, event_listener) listeners = TAILQ_HEAD_INITIALIZER(listeners);

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
