/* The newest picture of a camera: the first one of the group of pictures that its stream keeps. */
#include "protocols/snapshot.h"

#include <stdlib.h>

#include "protocols/http_picture.h"
#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"

enum {
	KEYFRAME_US = 10000000, /* how long to wait for one */
	OFFLINE_RETRY_S = 2,
};

struct snapshot {
	struct stream_reader reader;
	struct http_picture answer;
	struct event *timer; /* for the keyframe */
};

static void snapshot_refuse(struct http_request *request, const char *why)
{
	http_add_field(request, "Retry-After", "%d", OFFLINE_RETRY_S);
	http_answer_error(request, 503, "%s", why);
}

static void snapshot_on_packet(struct stream_reader *reader, AVPacket *packet)
{
	struct snapshot *snapshot = CONTAINER_OF(reader, struct snapshot, reader);
	struct picture_order order;

	if (!http_picture_of_stream(&order, reader->stream, packet, snapshot->answer.width))
		return;
	reactor_timer_stop(snapshot->timer);
	stream_unsubscribe(reader);
	http_picture_answer(&snapshot->answer, &order, 0);
}

/* The answer goes out in another turn of the loop. */
static void snapshot_on_end(struct stream_reader *reader)
{
	reactor_timer_start(CONTAINER_OF(reader, struct snapshot, reader)->timer, 0);
}

static const struct stream_reader_events snapshot_events = {
	.on_packet = snapshot_on_packet,
	.on_end = snapshot_on_end,
};

static void snapshot_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct snapshot *snapshot = arg;

	(void)fd, (void)what;
	stream_unsubscribe(&snapshot->reader);
	snapshot_refuse(snapshot->answer.request, "The camera sends no picture.");
}

static void snapshot_on_gone(void *context)
{
	struct snapshot *snapshot = context;

	stream_unsubscribe(&snapshot->reader);
	http_picture_fini(&snapshot->answer);
	reactor_timer_free(&snapshot->timer);
	free(snapshot);
}

void snapshot_get(struct http_request *request, struct stream *stream, const char *file)
{
	struct snapshot *snapshot;

	(void)file;
	if (!stream_is_up(stream)) {
		snapshot_refuse(request, "The camera is offline.");
		return;
	}
	if (stream_find_track(stream, AVMEDIA_TYPE_VIDEO) < 0) {
		http_answer_error(request, 415, "The camera has no picture.");
		return;
	}
	snapshot = xcalloc(1, sizeof(*snapshot));
	snapshot->timer = reactor_timer_new(snapshot_on_timer, snapshot);
	http_set_context(request, snapshot, snapshot_on_gone);
	if (!http_picture_init(&snapshot->answer, request))
		return;
	reactor_timer_start(snapshot->timer, KEYFRAME_US);
	stream_subscribe(stream, &snapshot->reader, &snapshot_events, true);
}
