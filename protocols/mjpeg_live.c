/* Pictures one after the other over HTTP (RFC 2046 section 5.1), each in place of the one before. */
#include "protocols/mjpeg_live.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "protocols/http_picture.h"
#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"

#define BOUNDARY "nvrd-picture"

enum {
	UNSENT_BYTES = 32 << 10, /* with more on its way the next picture waits */
	STUCK_US = 30000000,     /* a picture that takes so long is no live one: closed */
	OFFLINE_RETRY_S = 2,
};

/*
 * A viewer. One picture is on its way to him, at most one is being made for him, and at most one waits behind each of these:
 * the newest, METRIC_READER_SKIPPED counts the others.
 */
struct mjpeg_live {
	struct stream_reader reader;
	struct http_request *request;
	unsigned width;
	struct picture_request *making;
	AVPacket *keyframe;      /* waits for `making` */
	struct picture *picture; /* waits for the socket */
	int64_t sent_us;         /* monotonic: when the one on its way was given to the socket */
	struct metric *skipped, *sessions;
};

static void live_skip(struct mjpeg_live *live)
{
	metric_add(live->skipped, 1);
}

/* The boundary behind a picture goes with it, since browsers show a picture when they see that it has ended. */
static void live_send(struct mjpeg_live *live, const struct picture *picture)
{
	struct evbuffer *out = evbuffer_new();
	char name[HTTP_PICTURE_NAME_BYTES];

	if (!out)
		abort();
	(void)evbuffer_add_printf(out,
		"Content-Type: image/jpeg\r\nContent-Length: %zu\r\nContent-Disposition: %s\r\n\r\n",
		picture_bytes(picture),
		http_picture_name(name, picture_source(picture), picture_at_us(picture)));
	picture_append(picture, out);
	(void)evbuffer_add_printf(out, "\r\n--" BOUNDARY "\r\n");
	live->sent_us = reactor_monotonic_us();
	http_send(live->request, out);
	evbuffer_free(out);
}

static void live_offer(struct mjpeg_live *live, struct picture *picture)
{
	if (http_unsent(live->request) <= UNSENT_BYTES) {
		live_send(live, picture);
		return;
	}
	if (live->picture)
		live_skip(live);
	picture_unref(&live->picture);
	live->picture = picture_ref(picture);
}

static void live_on_drained(void *context)
{
	struct mjpeg_live *live = context;

	if (!live->picture)
		return;
	live_send(live, live->picture);
	picture_unref(&live->picture);
}

/* --- making --- */

static void live_begin(struct mjpeg_live *live, const AVPacket *packet);

static void live_on_made(void *arg, int error, struct picture *picture)
{
	struct mjpeg_live *live = arg;
	AVPacket *keyframe = live->keyframe;

	live->making = NULL;
	live->keyframe = NULL;
	if (error)
		live_skip(live);
	else
		live_offer(live, picture);
	if (keyframe)
		live_begin(live, keyframe);
	av_packet_free(&keyframe);
}

static void live_begin(struct mjpeg_live *live, const AVPacket *packet)
{
	struct picture_order order;
	struct picture *picture;
	int error;

	if (!http_picture_of_stream(&order, live->reader.stream, packet, live->width))
		return;
	error = picture_find(&order, &picture);
	if (error == -EINPROGRESS)
		live->making = picture_get(&order, live_on_made, live);
	if (!error) {
		live_offer(live, picture);
		picture_unref(&picture);
	} else if (!live->making) {
		live_skip(live);
	}
}

/* --- the stream --- */

static bool live_is_stuck(const struct mjpeg_live *live)
{
	return http_unsent(live->request) > UNSENT_BYTES &&
	       reactor_monotonic_us() - live->sent_us > STUCK_US;
}

static void live_on_packet(struct stream_reader *reader, AVPacket *packet)
{
	struct mjpeg_live *live = CONTAINER_OF(reader, struct mjpeg_live, reader);

	if (packet->stream_index != 0 || !(packet->flags & AV_PKT_FLAG_KEY))
		return;
	if (live_is_stuck(live)) {
		http_abort(live->request);
		return;
	}
	if (!live->making) {
		live_begin(live, packet);
		return;
	}
	if (live->keyframe)
		live_skip(live);
	av_packet_free(&live->keyframe);
	live->keyframe = av_packet_clone(packet);
	if (!live->keyframe)
		abort();
}

/* What waits would be taken for a picture of the new run. */
static void live_on_tracks(struct stream_reader *reader)
{
	av_packet_free(&CONTAINER_OF(reader, struct mjpeg_live, reader)->keyframe);
}

static void live_on_end(struct stream_reader *reader)
{
	struct mjpeg_live *live = CONTAINER_OF(reader, struct mjpeg_live, reader);

	live_on_tracks(reader);
	if (stream_is_leaving(reader->stream))
		http_end(live->request);
}

static const struct stream_reader_events live_events = {
	.on_tracks = live_on_tracks,
	.on_packet = live_on_packet,
	.on_end = live_on_end,
};

static void live_on_gone(void *context)
{
	struct mjpeg_live *live = context;

	stream_unsubscribe(&live->reader);
	picture_cancel(live->making);
	av_packet_free(&live->keyframe);
	picture_unref(&live->picture);
	metric_add(live->sessions, -1);
	free(live);
}

static void live_start(struct http_request *request, struct stream *stream, unsigned width)
{
	struct mjpeg_live *live = xcalloc(1, sizeof(*live));
	struct evbuffer *out = evbuffer_new();

	if (!out)
		abort();
	live->request = request;
	live->width = width;
	live->skipped = metric_get(METRIC_READER_SKIPPED, "mjpeg");
	live->sessions = metric_get(METRIC_SESSIONS, "mjpeg");
	metric_add(live->sessions, 1);
	http_set_context(request, live, live_on_gone);
	http_set_drained(request, UNSENT_BYTES, live_on_drained);
	http_start(request, 200, "multipart/x-mixed-replace; boundary=" BOUNDARY, HTTP_UNKNOWN);
	(void)evbuffer_add_printf(out, "--" BOUNDARY "\r\n");
	http_send(request, out);
	evbuffer_free(out);
	stream_subscribe(stream, &live->reader, &live_events, true);
}

void mjpeg_live_get(struct http_request *request, struct stream *stream, const char *file)
{
	unsigned width;

	(void)file;
	if (!stream_is_up(stream)) {
		http_add_field(request, "Retry-After", "%d", OFFLINE_RETRY_S);
		http_answer_error(request, 503, "The camera is offline.");
		return;
	}
	if (!http_picture_width(request, &width))
		return;
	http_add_field(request, "Cache-Control", "no-store");
	if (http_is_head(request))
		http_answer(request, 200, "multipart/x-mixed-replace; boundary=" BOUNDARY, NULL);
	else
		live_start(request, stream, width);
}
