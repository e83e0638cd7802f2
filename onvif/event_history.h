#pragma once

#include "onvif/history.h"
#include "storage/catalogue.h"

/*
 * What happened at one camera, as the topics of the event service tell it. Events of a kind that overlap are one: the catalogue does not
 * know of which rule or input they are. Begins as zeroes but for what is lasting. Pure.
 */
struct event_history {
	unsigned lasting; /* 1 << each enum event_kind that is under way ... */
	int64_t fresh_us; /* ... of which the catalogue has an end of then or later */
	unsigned seen,
		were; /* kinds that there are, and those that were so where the history begins */
	struct {
		bool is_begun;
		int64_t start_us, end_us; /* INT64_MAX: it goes on */
	} spans[EVENT_KINDS];
};

/* The next event, by start; what changes is added to the history. */
void event_history_take(struct event_history *happened, struct history *history, size_t camera,
	const struct catalogue_event *row);
/* There are no more. */
void event_history_end(struct event_history *happened, struct history *history, size_t camera);
