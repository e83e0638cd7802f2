#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/*
 * What happens at cameras, told to whoever listens, at once and on the reactor. (libevent has the
 * name `struct event`; ours is a notice.)
 */

enum event_kind {
	EVENT_METADATA, /* an ONVIF metadata document (tt:MetadataStream), as the camera sent it */
};

struct event_notice {
	enum event_kind kind;
	const char *camera; /* the stream's name */
	int64_t at_us;      /* since 1970 UTC */
	const void *data;   /* XML; valid during the call; as hostile as the camera */
	size_t bytes;
};

/* Embedded by whoever listens. */
struct event_listener {
	TAILQ_ENTRY(event_listener) entry;
	void (*on_notice)(struct event_listener *listener, const struct event_notice *notice);
};

void event_subscribe(struct event_listener *listener);
void event_unsubscribe(struct event_listener *listener); /* fine inside of its own callback */
void event_publish(const struct event_notice *notice);
