/* An HTTP camera: when to ask, and what becomes of its pictures. */
#include "protocols/http_camera.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/http_client.h"
#include "protocols/message.h"
#include "protocols/mjpeg.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "server/media/codec.h"

enum {
	TICK_US = 1000000,
	SILENCE_US = 10000000,
	PICTURELESS_US = 30000000, /* bytes come, but no whole picture */
	RETRY_AFTER_MOST_US = 600000000,
	REFUSALS_MOST = 10, /* in a row: 503, or no picture in the answer */
};

struct http_camera {
	struct source_order order;
	struct log_name log;
	struct http_client *client;
	struct mjpeg pictures;
	bool asking, answering, stream, ended; /* answering: has its head; stream: never ends */
	bool up, running, pictured;            /* pictured: the answer had a picture */
	unsigned refusals;
	struct jpeg last; /* what the run's parameters were made of */

	/* time: anchored once, so that a step of the local clock reorders nothing */
	int64_t utc_base_us; /* UTC when the monotonic clock was 0 */
	int64_t began_us;    /* monotonic: the first byte of this picture */
	int64_t heard_us;    /* monotonic: the last byte, or the last picture */
	int64_t beat_us;     /* monotonic: the last beat, or the next one when not asking */
	int64_t picture_us;  /* monotonic: the last picture, or the request */
	int64_t last_pts;
	struct event *beat_timer, *tick_timer;
	struct metric *bytes, *frames, *dropped;
	struct reactor_dead dead;
};

static void camera_end(struct http_camera *camera, enum source_end end, const char *detail)
{
	if (camera->ended)
		return;
	camera->ended = true;
	reactor_timer_stop(camera->beat_timer);
	reactor_timer_stop(camera->tick_timer);
	if (camera->order.retry_after_us)
		*camera->order.retry_after_us = http_client_retry_after_us(camera->client);
	http_client_free(camera->client);
	camera->client = NULL;
	camera->order.events->on_end(camera->order.arg, end, detail);
}

/* --- pictures --- */

static bool camera_begin_run(struct http_camera *camera, const struct jpeg *jpeg)
{
	const char *why = "";
	AVCodecParameters *parameters = codec_of_jpeg(jpeg, &why);
	struct stream_track track = {
		parameters, {1, 90000},
                 0
	};

	if (!parameters) {
		metric_add(camera->dropped, 1);
		return false;
	}
	camera->last = *jpeg;
	camera->running = true;
	stream_begin(camera->order.stream, &track, 1);
	avcodec_parameters_free(&parameters);
	return true;
}

static void camera_on_begin(void *arg)
{
	struct http_camera *camera = arg;

	camera->began_us = reactor_monotonic_us();
}

static void camera_on_picture(void *arg, const struct jpeg *jpeg, const uint8_t *p)
{
	struct http_camera *camera = arg;
	int64_t us = camera->utc_base_us + camera->began_us;
	int64_t pts = us / 1000000 * 90000 + us % 1000000 * 90000 / 1000000;
	AVPacket *packet;

	if (camera->ended || ((!camera->running || !jpeg_is_like(&camera->last, jpeg)) &&
				     !camera_begin_run(camera, jpeg)))
		return;
	packet = av_packet_alloc();
	if (!packet || av_new_packet(packet, (int)jpeg_write_bytes(jpeg)) < 0)
		abort();
	(void)jpeg_write(jpeg, p, packet->data, (size_t)packet->size);
	packet->pts = packet->dts = pts > camera->last_pts ? pts : camera->last_pts + 1;
	packet->flags = AV_PKT_FLAG_KEY;
	camera->last_pts = packet->pts;
	camera->heard_us = camera->picture_us = reactor_monotonic_us();
	camera->refusals = 0;
	camera->pictured = true;
	metric_add(camera->frames, 1);
	stream_publish(camera->order.stream, packet);
	av_packet_free(&packet);
	if (!camera->up) {
		camera->up = true;
		camera->order.events->on_up(camera->order.arg);
	}
}

static void camera_on_dropped(void *arg, const char *why)
{
	struct http_camera *camera = arg;

	log_debug(&camera->log, "a picture is dropped: %s", why);
	metric_add(camera->dropped, 1);
}

static const struct mjpeg_events picture_events = {
	.on_begin = camera_on_begin,
	.on_picture = camera_on_picture,
	.on_dropped = camera_on_dropped,
};

/* --- requests --- */

static void camera_ask(struct http_camera *camera)
{
	camera->asking = true;
	camera->pictured = false;
	camera->heard_us = camera->picture_us = reactor_monotonic_us();
	http_client_get(camera->client);
}

/* Waits for the next beat; those that passed meanwhile, or before Retry-After, are skipped. */
static void camera_wait(struct http_camera *camera)
{
	int64_t interval_us = camera->order.config->interval_us;
	int64_t now_us = reactor_monotonic_us();
	int64_t pause_us = http_client_retry_after_us(camera->client);
	int64_t late_us = now_us - camera->beat_us;

	late_us += pause_us < RETRY_AFTER_MOST_US ? pause_us : RETRY_AFTER_MOST_US;
	camera->beat_us += late_us > 0 ? (late_us / interval_us + 1) * interval_us : interval_us;
	camera->asking = false;
	reactor_timer_start(camera->beat_timer, camera->beat_us - now_us);
}

static void camera_on_beat(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	camera_ask(arg);
}

static void camera_on_head(void *arg, const char *content_type)
{
	struct http_camera *camera = arg;
	struct message_text type = { content_type, strlen(content_type) };

	camera->stream =
		message_text_starts(type, "multipart/") || message_text_starts(type, "video/");
	camera->answering = true;
	camera->heard_us = reactor_monotonic_us();
}

static void camera_on_body(void *arg, const uint8_t *p, size_t n)
{
	struct http_camera *camera = arg;

	camera->heard_us = reactor_monotonic_us();
	metric_add(camera->bytes, (double)n);
	mjpeg_push(&camera->pictures, p, n);
}

/* An answer without a picture is borne some times, where pictures are asked for one by one. */
static bool camera_bears(struct http_camera *camera, enum source_end end)
{
	if (camera->pictured && end == SOURCE_STOPPED)
		return true;
	return (end == SOURCE_STOPPED ||
		       (camera->up && (end == SOURCE_BUSY || end == SOURCE_CLOSED ||
					      end == SOURCE_TIMEOUT))) &&
	       ++camera->refusals < REFUSALS_MOST;
}

static void camera_on_answer_end(void *arg, enum source_end end, const char *detail)
{
	struct http_camera *camera = arg;

	camera->answering = false;
	mjpeg_end(&camera->pictures);
	if (camera->stream && end == SOURCE_STOPPED)
		camera_end(camera, SOURCE_CLOSED, "the stream of pictures ended");
	else if (!camera->stream && camera_bears(camera, end))
		camera_wait(camera);
	else if (end == SOURCE_STOPPED)
		camera_end(camera, camera->up ? SOURCE_STALLED : SOURCE_NO_VIDEO,
			"the answers are no JPEG pictures");
	else
		camera_end(camera, end, detail);
}

static const struct http_client_events client_events = {
	.on_head = camera_on_head,
	.on_body = camera_on_body,
	.on_end = camera_on_answer_end,
};

/* --- silence --- */

static void camera_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct http_camera *camera = arg;
	int64_t most_us = 3 * camera->order.config->interval_us, now_us = reactor_monotonic_us();

	(void)fd, (void)what;
	if (camera->stream || most_us < SILENCE_US)
		most_us = SILENCE_US;
	/* until a first answer begins, the client's own timers say what is wrong */
	if (camera->asking && (camera->up || camera->answering) &&
		now_us - camera->heard_us > most_us)
		camera_end(camera, SOURCE_STALLED, NULL);
	else if (camera->answering && now_us - camera->picture_us > PICTURELESS_US)
		camera_end(camera, camera->up ? SOURCE_STALLED : SOURCE_NO_VIDEO,
			"bytes, but no JPEG pictures");
	else
		reactor_timer_start(camera->tick_timer, TICK_US);
}

/* --- life --- */

struct http_camera *http_camera_new(const struct source_order *order, const char **why)
{
	struct http_camera *camera = xcalloc(1, sizeof(*camera));
	struct tls_client tls = { order->config->tls_verify, order->config->tls_fingerprint,
		order->config->tls == TLS_LEGACY };

	camera->order = *order;
	camera->log = (struct log_name){ .parent = order->log, .kind = "http" };
	camera->client = http_client_new(order->url, &tls, order->log, &client_events, camera, why);
	if (!camera->client) {
		free(camera);
		return NULL;
	}
	camera->pictures = (struct mjpeg){ .events = &picture_events, .arg = camera };
	camera->utc_base_us = wall_clock_media_us() - reactor_monotonic_us();
	camera->heard_us = camera->beat_us = reactor_monotonic_us();
	camera->bytes = metric_get(METRIC_CAMERA_BYTES, order->camera);
	camera->frames = metric_get(METRIC_CAMERA_FRAMES, order->camera, "video");
	camera->dropped = metric_get(METRIC_CAMERA_DROPPED_FRAMES, order->camera);
	camera->beat_timer = reactor_timer_new(camera_on_beat, camera);
	camera->tick_timer = reactor_timer_new(camera_on_tick, camera);
	reactor_timer_start(camera->tick_timer, TICK_US);
	camera_ask(camera);
	return camera;
}

static void camera_fini(void *object)
{
	struct http_camera *camera = object;

	mjpeg_fini(&camera->pictures);
	reactor_timer_free(&camera->beat_timer);
	reactor_timer_free(&camera->tick_timer);
	free(camera);
}

void http_camera_free(struct http_camera *camera)
{
	if (!camera)
		return;
	camera->ended = true;
	reactor_timer_stop(camera->beat_timer);
	reactor_timer_stop(camera->tick_timer);
	http_client_free(camera->client);
	camera->client = NULL;
	reactor_free_later(&camera->dead, camera_fini, camera);
}
