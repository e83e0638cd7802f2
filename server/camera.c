/* One camera: its streams and their pulls, its recorder, its time-lapse. */
#include "server/camera.h"

#include <stdlib.h>
#include <string.h>

#include "onvif/camera_control.h"
#include "protocols/hls.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/schedule.h"
#include "server/hear.h"
#include "server/media/stream.h"
#include "server/pull.h"
#include "storage/recorder.h"
#include "storage/timelapse.h"

enum {
	LINGER_US = 10000000, /* a substream is pulled so much longer than it is needed */
	MINUTE_US = 60000000,
	SUB_NAME_BYTES = 72
};

/* A stream of the camera and what fills it. */
struct camera_feed {
	struct stream *stream; /* NULL: there is none */
	struct pull *pull;
};

struct camera {
	struct config_camera *config;
	int64_t segment_us;
	struct volume *volume;
	struct catalogue *catalogue;

	struct log_name log, sub_log;
	char sub_name[SUB_NAME_BYTES];
	struct camera_feed main, sub;
	bool has_sub;                   /* as the camera says by ONVIF */
	struct event *linger_timer;     /* until the substream is let go */
	struct hear *hear;              /* NULL: nothing of it is ONVIF's */
	struct camera_control *control; /* likewise */
	struct recorder *recorder;      /* while it records */
	bool has_recorded;              /* there was one before */
	struct timelapse *timelapse;    /* while it makes one */
	struct event *schedule_timer;   /* to the next minute */
	unsigned closing;               /* of these, those that were stopped and are not gone yet */

	void (*on_stopped)(void *arg); /* set when the end has begun */
	void *on_stopped_arg;
};

/* --- the substream, pulled while it is wanted --- */

/* Where it is; NULL: there is none, or we do not know of it yet. */
static const char *camera_substream(const struct camera *camera)
{
	if (camera->config->substream)
		return camera->config->substream;
	return camera->has_sub ? camera->config->source : NULL;
}

static void camera_update_sub(struct camera *camera)
{
	if (!camera->sub.stream)
		return;
	reactor_timer_stop(camera->linger_timer);
	if (!camera->config->enabled)
		pull_stop(camera->sub.pull);
	else if (camera->config->substream_always || stream_is_wanted(camera->sub.stream) ||
		 !strcmp(camera_substream(camera), CONFIG_SOURCE_PUBLISH)) /* nobody can be asked */
		pull_start(camera->sub.pull);
	else
		reactor_timer_start(camera->linger_timer, LINGER_US);
}

static void camera_on_sub_wanted(void *arg)
{
	camera_update_sub(arg);
}

static void camera_on_linger_timer(evutil_socket_t fd, short what, void *arg)
{
	struct camera *camera = arg;

	(void)fd, (void)what;
	pull_stop(camera->sub.pull);
}

/* --- feeds --- */

static void feed_start(struct camera_feed *feed, const char *name, const char *url,
	const struct camera *camera, const struct log_name *log)
{
	if (!feed->stream)
		feed->stream = stream_new(name);
	stream_set_rotation(feed->stream, (int)camera->config->rotate);
	feed->pull = pull_new(name, url, camera->config, feed->stream, log);
}

static void feed_free(struct camera_feed *feed)
{
	pull_free(feed->pull);
	feed->pull = NULL;
	if (!feed->stream)
		return;
	hls_forget_stream(feed->stream);
	metrics_forget("camera", stream_name(feed->stream));
	stream_free(feed->stream);
	feed->stream = NULL;
}

static void camera_start_sub(struct camera *camera)
{
	feed_start(
		&camera->sub, camera->sub_name, camera_substream(camera), camera, &camera->sub_log);
	stream_on_wanted(camera->sub.stream, camera_on_sub_wanted, camera);
	camera_update_sub(camera);
}

/* The camera says by ONVIF that it has one. */
static void camera_on_substream(void *arg)
{
	struct camera *camera = arg;

	camera->has_sub = true;
	if (!camera->sub.pull)
		camera_start_sub(camera);
}

static void camera_on_closed(void *arg);

static void camera_stop_hear(struct camera *camera)
{
	struct hear *hear = camera->hear;

	if (!hear)
		return;
	camera->hear = NULL;
	camera->closing++;
	hear_stop(hear, camera_on_closed, camera);
}

static void camera_stop_control(struct camera *camera)
{
	struct camera_control *control = camera->control;

	if (!control)
		return;
	camera->control = NULL;
	camera->closing++;
	camera_control_stop(control, camera_on_closed, camera);
}

/* Starts what the configuration says; streams that were there go on. */
static void camera_start_feeds(struct camera *camera)
{
	const struct config_camera *config = camera->config;

	feed_start(&camera->main, config->name, config->source, camera, &camera->log);
	pull_tell_substream(camera->main.pull, camera_on_substream, camera);
	if (config_camera_is_pulled(config))
		pull_start(camera->main.pull);
	if (camera_substream(camera))
		camera_start_sub(camera);
	else
		feed_free(&camera->sub);
	if (config->enabled && hear_url(config)) {
		camera->hear = hear_new(config, &camera->log);
		camera->control = camera_control_new(config, hear_url(config), &camera->log);
	}
}

static void camera_stop_feeds(struct camera *camera)
{
	reactor_timer_stop(camera->linger_timer);
	camera_stop_hear(camera);
	camera_stop_control(camera);
	pull_free(camera->main.pull);
	pull_free(camera->sub.pull);
	camera->main.pull = camera->sub.pull = NULL;
}

/* --- recording --- */

static void camera_finish(struct camera *camera);

static void camera_on_closed(void *arg)
{
	struct camera *camera = arg;

	camera->closing--;
	if (camera->on_stopped)
		camera_finish(camera);
}

static void camera_stop_recorder(struct camera *camera)
{
	struct recorder *recorder = camera->recorder;

	if (!recorder)
		return;
	camera->recorder = NULL;
	camera->closing++;
	recorder_stop(recorder, camera_on_closed, camera);
}

/* Whether the schedule says to record now; it is asked again when the next minute begins. */
static bool camera_is_scheduled(struct camera *camera)
{
	const char *text = camera->config->recording.schedule;
	int64_t now_us = reactor_now_us();
	time_t seconds = (time_t)(now_us / 1000000);
	struct schedule schedule;
	struct tm local;

	reactor_timer_stop(camera->schedule_timer);
	if (!text)
		return true;
	reactor_timer_start(camera->schedule_timer, MINUTE_US - now_us % MINUTE_US);
	return !schedule_parse(&schedule, text) && localtime_r(&seconds, &local) &&
	       schedule_has(&schedule, &local);
}

static void camera_update_recorder(struct camera *camera)
{
	const struct config_recording *recording = &camera->config->recording;
	bool scheduled = camera_is_scheduled(camera);
	struct recorder_settings settings = {
		.segment_us = camera->segment_us,
		.events_only = recording->record == RECORD_EVENTS,
		.pre_us = recording->pre_us,
		.post_us = recording->post_us,
		.first = !camera->has_recorded,
	};

	if (!scheduled || !config_camera_is_pulled(camera->config) ||
		recording->record == RECORD_OFF) {
		camera_stop_recorder(camera);
	} else if (camera->recorder) {
		recorder_apply(camera->recorder, &settings);
	} else {
		camera->recorder = recorder_new(camera->main.stream, camera->config->name,
			camera->volume, camera->catalogue, &settings, &camera->log);
		camera->has_recorded = true;
	}
}

static void camera_on_schedule_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	camera_update_recorder(arg);
}

void camera_trigger(struct camera *camera, int64_t ago_us)
{
	if (camera->recorder)
		recorder_trigger(camera->recorder, ago_us);
}

/* --- the time-lapse, whether it is recorded or not --- */

static void camera_stop_timelapse(struct camera *camera)
{
	struct timelapse *timelapse = camera->timelapse;

	if (!timelapse)
		return;
	camera->timelapse = NULL;
	camera->closing++;
	timelapse_stop(timelapse, camera_on_closed, camera);
}

static void camera_update_timelapse(struct camera *camera)
{
	const struct config_recording *recording = &camera->config->recording;
	struct timelapse_settings settings = {
		.every_us = recording->timelapse_every_us,
		.fps = recording->timelapse_fps,
	};

	if (!camera->config->enabled || !settings.every_us)
		camera_stop_timelapse(camera);
	else if (camera->timelapse)
		timelapse_apply(camera->timelapse, &settings);
	else
		camera->timelapse = timelapse_new(camera->main.stream, camera->config->name,
			camera->volume, camera->catalogue, &settings, &camera->log);
}

/* --- life --- */

/* Takes a copy of the configuration; what refers to the old one was stopped before. */
static void camera_set_config(struct camera *camera, const struct config_camera *config)
{
	if (camera->config && strcmp(camera->config->source, config->source) != 0)
		camera->has_sub = false;
	config_camera_free(camera->config);
	camera->config = config_camera_copy(config);
	camera->log = (struct log_name){ .kind = "camera", .name = camera->config->name };
}

struct camera *camera_new(const struct config_camera *config, int64_t segment_us,
	struct volume *volume, struct catalogue *catalogue)
{
	struct camera *camera = xcalloc(1, sizeof(*camera));

	camera->segment_us = segment_us;
	camera->volume = volume;
	camera->catalogue = catalogue;
	snprintf(camera->sub_name, sizeof(camera->sub_name), "%s/sub", config->name);
	camera->sub_log = (struct log_name){ .kind = "camera", .name = camera->sub_name };
	camera->linger_timer = reactor_timer_new(camera_on_linger_timer, camera);
	camera->schedule_timer = reactor_timer_new(camera_on_schedule_timer, camera);
	camera_set_config(camera, config);
	camera_start_feeds(camera);
	camera_update_recorder(camera);
	camera_update_timelapse(camera);
	return camera;
}

void camera_apply(struct camera *camera, const struct config_camera *config, int64_t segment_us)
{
	bool same = config_camera_equal(camera->config, config);

	camera->segment_us = segment_us;
	if (same) {
		config_camera_take_recording(camera->config, config);
	} else {
		camera_stop_feeds(camera);
		camera_set_config(camera, config);
		camera_start_feeds(camera);
	}
	camera_update_recorder(camera);
	camera_update_timelapse(camera);
}

/* The last step of stopping: nothing of the camera is on its way any more. */
static void camera_finish(struct camera *camera)
{
	if (camera->closing)
		return;
	feed_free(&camera->main);
	feed_free(&camera->sub);
	camera->on_stopped(camera->on_stopped_arg);
	reactor_timer_free(&camera->linger_timer);
	reactor_timer_free(&camera->schedule_timer);
	config_camera_free(camera->config);
	free(camera);
}

void camera_stop(struct camera *camera, void (*on_stopped)(void *arg), void *arg)
{
	camera->on_stopped = on_stopped;
	camera->on_stopped_arg = arg;
	reactor_timer_stop(camera->schedule_timer);
	camera_stop_feeds(camera);
	camera_stop_recorder(camera);
	camera_stop_timelapse(camera);
	camera_finish(camera);
}

int64_t camera_event_hold_us(const struct camera *camera)
{
	return camera->config->recording.hold_us;
}

const char *camera_name(const struct camera *camera)
{
	return camera->config->name;
}
