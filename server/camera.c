/* One camera: its source and when to try it again, its stream, its recorder. */
#include "server/camera.h"

#include <stdlib.h>
#include <string.h>

#include "protocols/hls.h"
#include "protocols/rtsp_client.h"
#include "server/base/auth.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/source.h"
#include "server/media/stream.h"
#include "server/media/test_source.h"
#include "storage/recorder.h"

enum {
	RETRY_MIN_US = 1000000,
	RETRY_MAX_US = 60000000
};

enum camera_state {
	CAMERA_OFF,
	CAMERA_CONNECTING,
	CAMERA_UP,
	CAMERA_WAITING,
	CAMERA_STOPPING
};

struct camera {
	char *name, *source;
	enum config_transport transport;
	enum config_record record;
	bool enabled;
	int64_t segment_us;
	struct volume *volume;
	struct catalogue *catalogue;

	struct log_name log;
	struct log_repeated again;
	enum camera_state state;
	struct stream *stream;
	struct recorder *recorder; /* while it records */
	unsigned closing;          /* recorders stopped whose files are not on disk yet */
	const struct camera_source *kind;
	void *running; /* the source, of that kind; NULL between attempts */
	struct rtsp_client_memory memory;
	enum source_end last_end;
	int64_t retry_us; /* the next wait, before jitter */
	struct event *retry_timer;
	struct metric *up, *connects;

	void (*on_stopped)(void *arg);
	void *on_stopped_arg;
};

static void camera_on_up(void *arg);
static void camera_on_end(void *arg, enum source_end end, const char *detail);

static const struct source_events camera_source_events = {
	.on_up = camera_on_up,
	.on_end = camera_on_end,
};

/* --- the kinds of sources --- */

static void *camera_start_rtsp(struct camera *camera, const char **why)
{
	return rtsp_client_new(camera->source, camera->transport, &camera->memory, camera->stream,
		camera->name, &camera->log, &camera_source_events, camera, why);
}

static void camera_stop_rtsp(void *running)
{
	rtsp_client_free(running);
}

static void *camera_start_test(struct camera *camera, const char **why)
{
	(void)why;
	return test_source_new(
		camera->stream, camera->name, &camera->log, &camera_source_events, camera);
}

static void camera_stop_test(void *running)
{
	test_source_free(running);
}

static const struct camera_source {
	const char *prefix; /* of the URL */
	void *(*start)(struct camera *camera, const char **why);
	void (*stop)(void *running);
} camera_sources[] = {
	{"rtsp://", camera_start_rtsp, camera_stop_rtsp},
	{ "test:",  camera_start_test, camera_stop_test},
};

static const struct camera_source *camera_find_source(const char *source)
{
	for (size_t i = 0; i < ARRAY_LENGTH(camera_sources); i++) {
		if (!strncasecmp(
			    source, camera_sources[i].prefix, strlen(camera_sources[i].prefix)))
			return &camera_sources[i];
	}
	return NULL;
}

/* --- attempts --- */

static void camera_enter(struct camera *camera, enum camera_state state)
{
	static const char *const names[] = { "off", "connecting", "up", "waiting", "stopping" };

	log_debug(&camera->log, "%s -> %s", names[camera->state], names[state]);
	camera->state = state;
	metric_set(camera->up, state == CAMERA_UP);
}

static void camera_connect(struct camera *camera)
{
	const char *why = "no such kind of source";

	camera_enter(camera, CAMERA_CONNECTING);
	metric_add(camera->connects, 1);
	camera->kind = camera_find_source(camera->source);
	camera->running = camera->kind ? camera->kind->start(camera, &why) : NULL;
	if (!camera->running)
		camera_on_end(camera, SOURCE_FAILED, why);
}

static void camera_disconnect(struct camera *camera)
{
	reactor_timer_stop(camera->retry_timer);
	if (camera->running)
		camera->kind->stop(camera->running);
	camera->running = NULL;
	stream_end(camera->stream);
}

static void camera_on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	camera_connect(arg);
}

static void camera_on_up(void *arg)
{
	struct camera *camera = arg;

	camera_enter(camera, CAMERA_UP);
	camera->retry_us = RETRY_MIN_US;
	camera->again = (struct log_repeated){ 0 };
	log_info(&camera->log, "media arrives");
}

/*
 * Waits grow slowly when the camera is merely away, so that it is back within a quarter of the time
 * that it was gone, and fast when it answered no: repeated logins lock accounts.
 */
static int64_t camera_next_retry(int64_t retry_us, enum source_end end)
{
	bool said_no = end == SOURCE_UNAUTHORIZED || end == SOURCE_NOT_FOUND ||
		       end == SOURCE_NO_VIDEO || end == SOURCE_UNSUPPORTED || end == SOURCE_BUSY;
	int64_t next = said_no ? retry_us * 2 : retry_us * 5 / 4;

	return next > RETRY_MAX_US ? RETRY_MAX_US : next;
}

/* The wait and up to a fifth more, so that many cameras behind one switch do not come at once. */
static int64_t camera_jitter(int64_t wait_us)
{
	uint32_t random;

	evutil_secure_rng_get_bytes(&random, sizeof(random));
	return wait_us + (int64_t)(random % 1000) * wait_us / 5000;
}

static void camera_on_end(void *arg, enum source_end end, const char *detail)
{
	struct camera *camera = arg;
	int64_t wait_us;

	camera_disconnect(camera);
	if (camera->state == CAMERA_UP || end != camera->last_end)
		camera->again = (struct log_repeated){ 0 };
	camera->last_end = end;
	wait_us = camera_jitter(camera->retry_us);
	camera->retry_us = camera_next_retry(camera->retry_us, end);
	log_write_repeated(&camera->again, LOG_WARN, &camera->log, "%s%s%s; trying again in %.1f s",
		source_end_words(end), detail ? ": " : "", detail ? detail : "",
		(double)wait_us / 1e6);
	metric_add(metric_get(METRIC_CAMERA_FAILURES, camera->name, source_end_metric(end)), 1);
	camera_enter(camera, CAMERA_WAITING);
	reactor_timer_start(camera->retry_timer, wait_us);
}

/* --- recording --- */

static void camera_finish(struct camera *camera);

static void camera_on_recorder_closed(void *arg)
{
	struct camera *camera = arg;

	camera->closing--;
	if (camera->state == CAMERA_STOPPING)
		camera_finish(camera);
}

static void camera_stop_recorder(struct camera *camera)
{
	struct recorder *recorder = camera->recorder;

	if (!recorder)
		return;
	camera->recorder = NULL;
	camera->closing++;
	recorder_stop(recorder, camera_on_recorder_closed, camera);
}

static void camera_update_recorder(struct camera *camera)
{
	bool wanted = camera->enabled && camera->record == RECORD_CONTINUOUS;

	if (wanted && !camera->recorder)
		camera->recorder = recorder_new(camera->stream, camera->name, camera->volume,
			camera->catalogue, camera->segment_us, &camera->log);
	if (!wanted)
		camera_stop_recorder(camera);
}

/* --- life --- */

static void camera_set_config(struct camera *camera, const struct config_camera *config)
{
	memory_free_secret(camera->source);
	camera->source = xstrdup(config->source);
	camera->transport = config->transport;
	camera->record = config->record;
	camera->enabled = config->enabled;
	camera->memory = (struct rtsp_client_memory){ .transport = TRANSPORT_AUTO };
	camera->retry_us = RETRY_MIN_US;
}

static void camera_run(struct camera *camera)
{
	camera_update_recorder(camera);
	if (camera->enabled)
		camera_connect(camera);
	else
		camera_enter(camera, CAMERA_OFF);
}

struct camera *camera_new(const struct config_camera *config, int64_t segment_us,
	struct volume *volume, struct catalogue *catalogue)
{
	struct camera *camera = xcalloc(1, sizeof(*camera));

	camera->name = xstrdup(config->name);
	camera->segment_us = segment_us;
	camera->volume = volume;
	camera->catalogue = catalogue;
	camera->log = (struct log_name){ .kind = "camera", .name = camera->name };
	camera->stream = stream_new(camera->name);
	camera->retry_timer = reactor_timer_new(camera_on_retry, camera);
	camera->up = metric_get(METRIC_CAMERA_UP, camera->name);
	camera->connects = metric_get(METRIC_CAMERA_CONNECTS, camera->name);
	camera_set_config(camera, config);
	camera_run(camera);
	return camera;
}

static bool camera_same_source(const struct camera *camera, const struct config_camera *config)
{
	return !strcmp(camera->source, config->source) && camera->transport == config->transport &&
	       camera->enabled == config->enabled;
}

void camera_apply(struct camera *camera, const struct config_camera *config, int64_t segment_us)
{
	bool same_source = camera_same_source(camera, config);

	if (segment_us != camera->segment_us)
		camera_stop_recorder(camera); /* goes on below, in a new file */
	camera->segment_us = segment_us;
	if (same_source) {
		camera->record = config->record;
		camera_update_recorder(camera);
		return;
	}
	camera_disconnect(camera);
	camera_set_config(camera, config);
	camera_run(camera);
}

/* The last step of stopping: nothing of the camera is on its way any more. */
static void camera_finish(struct camera *camera)
{
	if (camera->closing)
		return;
	hls_forget_stream(camera->stream);
	stream_free(camera->stream);
	metrics_forget("camera", camera->name);
	metrics_forget("stream", camera->name);
	camera->on_stopped(camera->on_stopped_arg);
	reactor_timer_free(&camera->retry_timer);
	memory_free_secret(camera->source);
	free(camera->name);
	free(camera);
}

void camera_stop(struct camera *camera, void (*on_stopped)(void *arg), void *arg)
{
	camera->on_stopped = on_stopped;
	camera->on_stopped_arg = arg;
	camera_disconnect(camera);
	camera_enter(camera, CAMERA_STOPPING);
	camera_stop_recorder(camera);
	camera_finish(camera);
}

const char *camera_name(const struct camera *camera)
{
	return camera->name;
}
