#include "server/media/stream_wait.h"

#include "server/base/attributes.h"
#include "server/base/reactor.h"

/* A reader that only waits for the beginning of a run. */

enum {
	WAIT_US = 10000000
};

bool stream_wait_is_needed(const struct stream *stream)
{
	return !stream_is_up(stream) && stream_is_on_demand(stream);
}

static void wait_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct stream_wait *wait = arg;

	(void)fd, (void)what;
	stream_wait_stop(wait);
	wait->on_ready(wait->arg);
}

/* Readers are called from the middle of the source's work: the owner is told in the next turn. */
static void wait_on_tracks(struct stream_reader *reader)
{
	reactor_timer_start(CONTAINER_OF(reader, struct stream_wait, reader)->timer, 0);
}

static const struct stream_reader_events wait_events = {
	.on_tracks = wait_on_tracks,
	.on_end = wait_on_tracks,
};

void stream_wait_start(
	struct stream_wait *wait, struct stream *stream, void (*on_ready)(void *arg), void *arg)
{
	wait->on_ready = on_ready;
	wait->arg = arg;
	wait->timer = reactor_timer_new(wait_on_timer, wait);
	reactor_timer_start(wait->timer, WAIT_US);
	stream_subscribe(stream, &wait->reader, &wait_events, false);
}

void stream_wait_stop(struct stream_wait *wait)
{
	if (!wait->timer)
		return;
	stream_unsubscribe(&wait->reader);
	reactor_timer_free(&wait->timer);
}
