#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/*
 * What happens at cameras, told to whoever listens, at once and on the reactor. (libevent has the
 * name `struct event`; ours is a notice.)
 */

enum event_kind {
	/* events; the numbers stand in catalogues: new ones come behind the last */
	EVENT_MOTION = 0,
	EVENT_TAMPER = 1,
	EVENT_LINE = 2,  /* somebody crossed one */
	EVENT_INPUT = 3, /* a digital input: a door contact, a bell */
	EVENT_PERSON = 4,
	EVENT_VEHICLE = 5,
	EVENT_MANUAL = 6, /* somebody said so */
	EVENT_KINDS = 7,
	/* what may tell of events */
	EVENT_METADATA =
		EVENT_KINDS, /* an ONVIF metadata document (tt:MetadataStream), as the camera sent it */
};

enum event_phase {
	EVENT_MOMENT, /* it has no length */
	EVENT_BEGINS, /* it lasts; said again now and then, or once */
	EVENT_ENDS,
};

struct event_notice {
	enum event_kind kind;
	enum event_phase phase;
	const char *camera; /* the stream's name */
	const char *source; /* what of the camera: a rule, an input; NULL: it has but one */
	int64_t at_us;      /* since 1970 UTC, by our clock */
	const void
		*data; /* of EVENT_METADATA: XML; valid during the call; as hostile as the camera */
	size_t bytes;
};

/* "motion", as in metrics and in the log; of events only. */
const char *event_kind_name(enum event_kind kind);

/* Embedded by whoever listens. */
struct event_listener {
	TAILQ_ENTRY(event_listener) entry;
	void (*on_notice)(struct event_listener *listener, const struct event_notice *notice);
};

void event_subscribe(struct event_listener *listener);
void event_unsubscribe(struct event_listener *listener); /* fine inside of its own callback */
void event_publish(const struct event_notice *notice);
