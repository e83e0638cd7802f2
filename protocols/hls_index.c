/* The multivariant playlist of a camera: its stream and its substream (RFC 8216bis section 4.4.6). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>

#include "protocols/hls.h"
#include "protocols/hls_private.h"
#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"

enum {
	WAIT_US = 10000000,    /* for the stream itself */
	WAIT_SUB_US = 3000000, /* for its substream, which may have to be pulled first */
	STREAM_NAME_BYTES = 72,
};

/* A request that waits until there is something to measure. */
struct index_waiter {
	LIST_ENTRY(index_waiter) entry;
	struct http_request *request;
	char stream[STREAM_NAME_BYTES];
	int64_t began_us; /* monotonic */
	struct event *timer;
};

static LIST_HEAD(, index_waiter) waiters = LIST_HEAD_INITIALIZER(waiters);

/* What HLS has of a stream, and keeps from now on; NULL: nothing, nor will it soon. */
static const struct hls_window *index_window(struct stream *stream)
{
	const struct hls_window *window;

	if (!stream || !(stream_is_up(stream) || stream_is_on_demand(stream)))
		return NULL;
	window = hls_window_of(hls_wake(stream));
	return !window->init && stream_is_up(stream) ? NULL : window;
}

static bool index_is_full(const struct hls_window *window)
{
	return window && hls_window_last(window);
}

static void index_write(struct stream *stream, const struct hls_window *window, const char *uri,
	struct evbuffer *out)
{
	int track = stream_find_track(stream, AVMEDIA_TYPE_VIDEO);

	hls_playlist_write_variant(
		window, track < 0 ? 0 : stream_track(stream, (size_t)track)->rotation, uri, out);
}

/* Answers, unless something is not there yet that is worth waiting for. Returns whether it did. */
static bool index_answer(struct http_request *request, struct stream *stream, int64_t waited_us)
{
	bool is_sub = strchr(stream_name(stream), '/');
	struct stream *sub = is_sub ? NULL : hls_sibling(stream);
	const struct hls_window *window = index_window(stream), *sub_window = index_window(sub);
	struct evbuffer *body;

	if (!window || (!index_is_full(window) && waited_us >= WAIT_US)) {
		http_add_field(request, "Retry-After", "2");
		http_answer_error(request, 503, "The camera is offline.");
		return true;
	}
	if (!index_is_full(window) ||
		(sub_window && !index_is_full(sub_window) && waited_us < WAIT_SUB_US))
		return false;
	body = evbuffer_new();
	evbuffer_add_printf(body, "#EXTM3U\n");
	index_write(stream, window, "media.m3u8", body);
	if (index_is_full(sub_window))
		index_write(sub, sub_window, "sub/media.m3u8", body);
	http_add_field(request, "Cache-Control", "no-store");
	http_answer(request, 200, "application/vnd.apple.mpegurl", body);
	evbuffer_free(body);
	return true;
}

/* --- requests that wait --- */

static void index_on_gone(void *context)
{
	struct index_waiter *waiter = context;

	LIST_REMOVE(waiter, entry);
	reactor_timer_free(&waiter->timer);
	free(waiter);
}

/* Has another look, after which the waiter may be gone. */
static void index_look(struct index_waiter *waiter)
{
	struct stream *stream = stream_find(waiter->stream);
	int64_t waited_us = reactor_monotonic_us() - waiter->began_us;

	if (!stream)
		http_answer_error(waiter->request, 404, "There is no such live resource.");
	else
		(void)index_answer(waiter->request, stream, waited_us);
}

void hls_index_look(void)
{
	struct index_waiter *waiter, *next;

	for (waiter = LIST_FIRST(&waiters); waiter; waiter = next) {
		next = LIST_NEXT(waiter, entry);
		index_look(waiter);
	}
}

/* First for the substream, then for the stream. */
static void index_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct index_waiter *waiter = arg;

	(void)fd, (void)what;
	reactor_timer_start(waiter->timer, WAIT_US - WAIT_SUB_US);
	index_look(waiter);
}

void hls_get_index(struct http_request *request, struct stream *stream, const char *file)
{
	struct index_waiter *waiter;

	(void)file;
	if (index_answer(request, stream, 0))
		return;
	waiter = xcalloc(1, sizeof(*waiter));
	waiter->request = request;
	(void)snprintf(waiter->stream, sizeof(waiter->stream), "%s", stream_name(stream));
	waiter->began_us = reactor_monotonic_us();
	waiter->timer = reactor_timer_new(index_on_timer, waiter);
	reactor_timer_start(waiter->timer, WAIT_SUB_US);
	LIST_INSERT_HEAD(&waiters, waiter, entry);
	http_set_context(request, waiter, index_on_gone);
}
