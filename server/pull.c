/* One pull: its source, its states, and when to try again. */
#include "server/pull.h"

#include <stdlib.h>
#include <string.h>

#include "onvif/camera_source.h"
#include "protocols/av_source.h"
#include "protocols/http_camera.h"
#include "protocols/rtsp_client.h"
#include "protocols/rtsp_publish.h"
#include "server/base/auth.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/codec.h"
#include "server/media/source.h"
#include "server/media/test_source.h"
#include "server/patience.h"
#include "storage/fragment.h"

#define SECOND_US INT64_C(1000000)
#define GOOD_US (60 * SECOND_US)
/* Between two starts, of whatever pulls: after a power cut not all cameras are visited at once. */
#define TURN_US INT64_C(50000)

/* id, name (metric label and log) */
#define PULL_STATES(X)                   \
	X(PULL_OFF, "off")               \
	X(PULL_CONNECTING, "connecting") \
	X(PULL_WAITING, "waiting")       \
	X(PULL_PLAYING, "playing")       \
	X(PULL_DEGRADED, "degraded")     \
	X(PULL_DOWN, "down")

enum pull_state {
#define X(id, name) id,
	PULL_STATES(X)
#undef X
	PULL_STATE_COUNT
};

static const char *const pull_state_names[] = {
#define X(id, name) [id] = (name),
	PULL_STATES(X)
#undef X
};

struct pull {
	const char *name, *url;
	const struct config_camera *config;
	struct stream *stream;
	const struct log_name *log;
	struct log_repeated again;
	enum pull_state state;
	const struct pull_source *kind;
	void *running; /* the source, of that kind; NULL between attempts */
	struct rtsp_client_memory memory;
	enum source_end last_end;
	struct patience patience;
	int64_t retry_after_us; /* what the camera asked for */
	struct event *start_timer, *good_timer;
	struct metric *up, *connects, *states[PULL_STATE_COUNT];
	void (*on_substream)(void *arg); /* NULL: nobody wants to know */
	void *on_substream_arg;
};

/* --- the kinds of sources --- */

static void *start_rtsp(struct pull *pull, const struct source_order *order, const char **why)
{
	return rtsp_client_new(order, &pull->memory, why);
}

static void stop_rtsp(void *running)
{
	rtsp_client_free(running);
}

static void *start_onvif(struct pull *pull, const struct source_order *order, const char **why)
{
	return camera_source_new(order, strchr(pull->name, '/') != NULL, &pull->memory, why);
}

static void stop_onvif(void *running)
{
	camera_source_free(running);
}

static void *start_http(struct pull *pull, const struct source_order *order, const char **why)
{
	(void)pull;
	return http_camera_new(order, why);
}

static void stop_http(void *running)
{
	http_camera_free(running);
}

static void *start_av(struct pull *pull, const struct source_order *order, const char **why)
{
	(void)pull;
	return av_source_new(order, why);
}

static void stop_av(void *running)
{
	av_source_free(running);
}

static void *start_test(struct pull *pull, const struct source_order *order, const char **why)
{
	(void)pull, (void)why;
	return test_source_new(order);
}

static void stop_test(void *running)
{
	test_source_free(running);
}

static void *start_publish(struct pull *pull, const struct source_order *order, const char **why)
{
	(void)pull, (void)why;
	return rtsp_publish_new(order);
}

static void stop_publish(void *running)
{
	rtsp_publish_free(running);
}

static const struct pull_source {
	const char *prefix; /* of the URL */
	void *(*start)(struct pull *pull, const struct source_order *order, const char **why);
	void (*stop)(void *running);
	bool waits; /* until somebody pushes */
} pull_sources[] = {
	{"rtsp://",              start_rtsp,    stop_rtsp,    false},
	{ "rtsps://",            start_rtsp,    stop_rtsp,    false},
	{ "rtsp+http://",        start_rtsp,    stop_rtsp,    false},
	{ "rtsp+https://",       start_rtsp,    stop_rtsp,    false},
	{ "onvif://",            start_onvif,   stop_onvif,   false},
	{ "onvif+https://",      start_onvif,   stop_onvif,   false},
	{ "http://",             start_http,    stop_http,    false},
	{ "https://",            start_http,    stop_http,    false},
	{ "av:",		 start_av,      stop_av,      false},
	{ "test:",               start_test,    stop_test,    false},
	{ CONFIG_SOURCE_PUBLISH, start_publish, stop_publish, true },
};

static const struct pull_source *pull_find_source(const char *url)
{
	for (size_t i = 0; i < ARRAY_LENGTH(pull_sources); i++) {
		if (!strncasecmp(url, pull_sources[i].prefix, strlen(pull_sources[i].prefix)))
			return &pull_sources[i];
	}
	return NULL;
}

/* --- attempts --- */

/* How long until it is this pull's turn to start, after those that asked before it. */
static int64_t pull_turn(void)
{
	static int64_t next_us;
	int64_t now_us = reactor_monotonic_us();
	int64_t at_us = now_us > next_us ? now_us : next_us;

	next_us = at_us + TURN_US;
	return at_us - now_us;
}

static void pull_enter(struct pull *pull, enum pull_state state)
{
	log_debug(pull->log, "%s -> %s", pull_state_names[pull->state], pull_state_names[state]);
	metric_set(pull->states[pull->state], 0);
	pull->state = state;
	metric_set(pull->states[state], 1);
	metric_set(pull->up, state == PULL_PLAYING || state == PULL_DEGRADED);
	if (state == PULL_PLAYING)
		reactor_timer_start(pull->good_timer, GOOD_US);
	else
		reactor_timer_stop(pull->good_timer);
}

/* Says once per connection what will be missing in recordings, and what helps. */
static void pull_tell_unfit_sound(const struct pull *pull)
{
	int track = stream_find_track(pull->stream, AVMEDIA_TYPE_AUDIO);
	const AVCodecParameters *sound;

	if (track < 0)
		return;
	sound = stream_track(pull->stream, (size_t)track)->parameters;
	if (!fragment_carries(sound))
		log_warn(pull->log, "MP4 cannot carry its sound (%s): it is not recorded%s",
			codec_name(sound),
			pull->config->audio == AUDIO_AAC ? "" : "; `audio: aac` would convert it");
}

static void pull_on_up(void *arg)
{
	struct pull *pull = arg;

	if (pull->kind->waits)
		metric_add(pull->connects, 1);
	pull_enter(pull, PULL_PLAYING);
	pull->again = (struct log_repeated){ 0 };
	log_info(pull->log, "media arrives");
	pull_tell_unfit_sound(pull);
}

static void pull_on_degraded(void *arg, const char *why)
{
	struct pull *pull = arg;

	if (why && pull->state == PULL_PLAYING) {
		log_warn(pull->log, "degraded: %s", why);
		pull_enter(pull, PULL_DEGRADED);
	} else if (!why && pull->state == PULL_DEGRADED) {
		log_info(pull->log, "all is well again");
		pull_enter(pull, PULL_PLAYING);
	}
}

static void pull_end_attempt(struct pull *pull)
{
	if (pull->running)
		pull->kind->stop(pull->running);
	pull->running = NULL;
	stream_end(pull->stream);
}

static void pull_on_end(void *arg, enum source_end end, const char *detail)
{
	struct pull *pull = arg;
	bool was_up = pull->state == PULL_PLAYING || pull->state == PULL_DEGRADED;
	int64_t wait_us;

	pull_end_attempt(pull);
	if (was_up || end != pull->last_end)
		pull->again = (struct log_repeated){ 0 };
	pull->last_end = end;
	wait_us = patience_next_us(&pull->patience, end, pull->retry_after_us);
	log_write_repeated(&pull->again, LOG_WARN, pull->log, "%s%s%s; trying again in %.1f s",
		source_end_words(end), detail ? ": " : "", detail ? detail : "",
		(double)wait_us / 1e6);
	metric_add(metric_get(METRIC_CAMERA_FAILURES, pull->name, source_end_metric(end)), 1);
	pull_enter(pull, PULL_DOWN);
	reactor_timer_start(pull->start_timer, wait_us);
}

static void pull_on_substream(void *arg)
{
	struct pull *pull = arg;

	if (pull->on_substream)
		pull->on_substream(pull->on_substream_arg);
}

static void pull_on_left(void *arg, enum source_end end, const char *detail)
{
	struct pull *pull = arg;

	stream_end(pull->stream);
	log_info(pull->log, "%s%s%s; waiting for the next one", source_end_words(end),
		detail ? ": " : "", detail ? detail : "");
	metric_add(metric_get(METRIC_CAMERA_FAILURES, pull->name, source_end_metric(end)), 1);
	pull_enter(pull, PULL_WAITING);
}

static const struct source_events pull_source_events = {
	.on_up = pull_on_up,
	.on_degraded = pull_on_degraded,
	.on_left = pull_on_left,
	.on_substream = pull_on_substream,
	.on_end = pull_on_end,
};

static void pull_connect(struct pull *pull)
{
	const char *why = "no such kind of source";
	struct source_order order = {
		.url = pull->url,
		.config = pull->config,
		.stream = pull->stream,
		.camera = pull->name,
		.log = pull->log,
		.events = &pull_source_events,
		.arg = pull,
		.retry_after_us = &pull->retry_after_us,
	};

	pull->retry_after_us = 0;
	pull->kind = pull_find_source(pull->url);
	if (!pull->kind || !pull->kind->waits)
		metric_add(pull->connects, 1);
	pull->running = pull->kind ? pull->kind->start(pull, &order, &why) : NULL;
	if (!pull->running)
		pull_on_end(pull, SOURCE_FAILED, why);
	else if (pull->kind->waits)
		pull_enter(pull, PULL_WAITING);
}

/* Queues for its turn. */
static void pull_queue(struct pull *pull)
{
	pull_enter(pull, PULL_CONNECTING);
	reactor_timer_start(pull->start_timer, pull_turn());
}

/* A wait is over, or the turn has come. */
static void pull_on_start_timer(evutil_socket_t fd, short what, void *arg)
{
	struct pull *pull = arg;

	(void)fd, (void)what;
	if (pull->state == PULL_DOWN)
		pull_queue(pull);
	else
		pull_connect(pull);
}

static void pull_on_good_timer(evutil_socket_t fd, short what, void *arg)
{
	struct pull *pull = arg;

	(void)fd, (void)what;
	patience_reset(&pull->patience);
}

/* --- life --- */

struct pull *pull_new(const char *name, const char *url, const struct config_camera *config,
	struct stream *stream, const struct log_name *log)
{
	struct pull *pull = xcalloc(1, sizeof(*pull));

	pull->name = name;
	pull->url = url;
	pull->config = config;
	pull->stream = stream;
	pull->log = log;
	patience_reset(&pull->patience);
	pull->start_timer = reactor_timer_new(pull_on_start_timer, pull);
	pull->good_timer = reactor_timer_new(pull_on_good_timer, pull);
	pull->up = metric_get(METRIC_CAMERA_UP, name);
	pull->connects = metric_get(METRIC_CAMERA_CONNECTS, name);
	for (size_t i = 0; i < PULL_STATE_COUNT; i++)
		pull->states[i] = metric_get(METRIC_CAMERA_STATE, name, pull_state_names[i]);
	pull_enter(pull, PULL_OFF);
	return pull;
}

void pull_free(struct pull *pull)
{
	if (!pull)
		return;
	pull_stop(pull);
	reactor_timer_free(&pull->start_timer);
	reactor_timer_free(&pull->good_timer);
	free(pull);
}

void pull_tell_substream(struct pull *pull, void (*on_substream)(void *arg), void *arg)
{
	pull->on_substream = on_substream;
	pull->on_substream_arg = arg;
}

void pull_start(struct pull *pull)
{
	if (pull->state == PULL_OFF)
		pull_queue(pull);
}

void pull_stop(struct pull *pull)
{
	if (pull->state == PULL_OFF)
		return;
	reactor_timer_stop(pull->start_timer);
	pull_end_attempt(pull);
	pull_enter(pull, PULL_OFF);
}
