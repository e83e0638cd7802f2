#pragma once

#include <stdbool.h>

#include "server/media/stream.h"

/*
 * Waiting for a stream that is pulled only while somebody wants it: wanting it starts the pull.
 * Embedded by whoever waits.
 */
struct stream_wait {
	struct stream_reader reader;
	struct event *timer; /* NULL: not waiting */
	void (*on_ready)(void *arg);
	void *arg;
};

/* Whether it makes sense to wait: the stream is not up, but would be if it were wanted. */
bool stream_wait_is_needed(const struct stream *stream);

/*
 * Calls on_ready once, never from here, when the stream is up, or has gone, or ten seconds are over:
 * the caller looks what became of it.
 */
void stream_wait_start(
	struct stream_wait *wait, struct stream *stream, void (*on_ready)(void *arg), void *arg);
void stream_wait_stop(struct stream_wait *wait); /* fine when not waiting */
