/* Records a stream: what of it, in which files, and what to do when the disk does not take it. */
#include "storage/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/wall_clock.h"
#include "storage/recorder_private.h"

enum {
	IN_FLIGHT_BYTES =
		1 << 20 /* of one recorder; what is more waits here, where it can be shed */
};

void recorder_path(char *ret, size_t size, const char *camera, int64_t start_us)
{
	time_t seconds = (time_t)(start_us / 1000000);
	struct tm tm;
	char date[16], name[24];

	localtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	strftime(name, sizeof(name), "%H-%M-%S%z", &tm);
	snprintf(ret, size, "recordings/%s/%s/%s.mp4", camera, date, name);
}

static int64_t utc_offset_us(int64_t at_us)
{
	time_t seconds = (time_t)(at_us / 1000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	return (int64_t)tm.tm_gmtoff * 1000000;
}

int64_t recorder_boundary(int64_t start_us, int64_t segment_us)
{
	int64_t offset_us = utc_offset_us(start_us);
	int64_t next_us = ((start_us + offset_us) / segment_us + 1) * segment_us - offset_us;
	int64_t new_offset_us = utc_offset_us(next_us), last_us;

	if (new_offset_us == offset_us)
		return next_us;
	/* the clock is changed until then: its new time counts, from the change on */
	last_us = (next_us + new_offset_us) / segment_us * segment_us - new_offset_us;
	if (last_us > start_us && utc_offset_us(last_us) == new_offset_us)
		return last_us;
	/* put forward, it skipped the boundary; put back, it has yet to come */
	return new_offset_us > offset_us ? next_us : last_us + segment_us;
}

/* --- trouble: said once, counted always --- */

/* A second without the disk, or of a gap. */
static void recorder_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct recorder *recorder = arg;

	(void)fd, (void)what;
	recorder_gap_measure(recorder);
	if (recorder->gap.open || recorder->failed_since_us)
		reactor_timer_start(recorder->timer, RECORDER_BEAT_US);
	recorder_pump(recorder);
}

/* A fragment that should be recorded is not. What was missing before it had another cause. */
static void recorder_lose(
	struct recorder *recorder, const struct fragment *fragment, const char *reason)
{
	if (recorder->gap.open && strcmp(recorder->gap.cause, "disk") != 0)
		recorder_gap_end(recorder, fragment->start_us);
	recorder->lost++;
	metric_add(metric_get(METRIC_RECORDER_LOST, recorder->camera, reason), 1);
	recorder_gap_begin(recorder, fragment->start_us, "disk");
}

/* Nothing is written for a second. */
static void recorder_pause(struct recorder *recorder)
{
	recorder->retry_us = reactor_monotonic_us() + RECORDER_BEAT_US;
	reactor_timer_start(recorder->timer, RECORDER_BEAT_US);
}

static bool recorder_is_new_trouble(struct recorder *recorder)
{
	if (recorder->failed_since_us)
		return false;
	recorder->failed_since_us = reactor_monotonic_us();
	return true;
}

void recorder_fail(struct recorder *recorder, const char *doing, int error)
{
	recorder_pause(recorder);
	recorder->refused = true;
	if (recorder_is_new_trouble(recorder))
		log_error(&recorder->log, "cannot %s: %s; trying again each second", doing,
			strerror(-error));
}

void recorder_on_written(
	struct recorder *recorder, const struct fragment *fragment, int64_t made_us)
{
	int64_t since_us = recorder->failed_since_us;

	if (!since_us || made_us >= since_us)
		recorder_gap_end(recorder, fragment->start_us);
	if (!since_us || made_us < since_us)
		return;
	log_warn(&recorder->log, "records again after %.1f s, %llu fragments were lost",
		(double)(reactor_monotonic_us() - since_us) / 1e6,
		(unsigned long long)recorder->lost);
	recorder->lost = 0;
	recorder->failed_since_us = 0;
	recorder->refused = false;
}

/* --- events --- */

/* Whether the queue is held until something happens. */
static bool recorder_holds(const struct recorder *recorder)
{
	return recorder->settings.events_only && !recorder->until_us;
}

/* The queue is full: the oldest group of pictures went. */
static void recorder_on_shed(struct recorder_queue *queue, const struct fragment *fragment)
{
	struct recorder *recorder = CONTAINER_OF(queue, struct recorder, queue);

	if (recorder_holds(recorder)) {
		if (fragment)
			metric_add(metric_get(METRIC_RECORDER_LOST, recorder->camera, "held"), 1);
		return;
	}
	if (fragment) {
		recorder_lose(recorder, fragment, "queue_full");
		return;
	}
	recorder_segment_close(recorder); /* what follows goes into another file */
	if (recorder_is_new_trouble(recorder))
		log_error(&recorder->log,
			"the disk is too slow: the oldest of what waits for it is left out");
}

/* Forgets what is older than an event that happened now would need. */
static void recorder_trim(struct recorder *recorder)
{
	int64_t from_us = reactor_monotonic_us() - recorder->settings.pre_us;

	while (recorder_queue_next_group_us(&recorder->queue) <= from_us)
		recorder_queue_drop_group(&recorder->queue);
}

/* An event's file ends with the group of pictures, so that the next one can go on where it ends. */
static void recorder_end_event(struct recorder *recorder, const struct recorder_item *item)
{
	if (!recorder->settings.events_only || !recorder->until_us)
		return;
	if (!item->fragment->keyframe || item->begun_us <= recorder->until_us)
		return;
	recorder->until_us = 0;
	recorder_segment_close(recorder);
}

void recorder_trigger(struct recorder *recorder, int64_t ago_us)
{
	int64_t until_us = reactor_monotonic_us() - ago_us + recorder->settings.post_us;

	if (!recorder->settings.events_only)
		return;
	if (!recorder->until_us)
		log_info(&recorder->log, "an event is recorded");
	if (until_us > recorder->until_us)
		recorder->until_us = until_us;
	recorder_pump(recorder);
}

/* --- writing --- */

static void recorder_begin_run(struct recorder *recorder, const struct recorder_item *item)
{
	recorder_segment_close(recorder);
	if (recorder->init && item->correction_us - recorder->correction_us > WALL_CLOCK_STEP_US)
		recorder_gap_begin(recorder, recorder->last_end_us, "clock");
	fragment_init_unref(&recorder->init);
	recorder->init = fragment_init_ref(item->init);
	recorder->correction_us = item->correction_us;
}

static void recorder_end_run(struct recorder *recorder)
{
	recorder_segment_close(recorder);
	if (recorder->last_end_us && !recorder_holds(recorder))
		recorder_gap_begin(recorder, recorder->last_end_us, "camera");
}

/* Gives a fragment to a file. False: not now. */
static bool recorder_write(struct recorder *recorder, struct recorder_item *item)
{
	const struct fragment *fragment = item->fragment;

	if (recorder_segment_is_full(recorder, fragment))
		recorder_segment_close(recorder);
	if (!recorder->current && !fragment->keyframe) {
		if (recorder->failed_since_us)
			recorder_lose(recorder, fragment, "write_failed");
		recorder_item_free(item);
		return true;
	}
	if (!recorder->current && recorder_segment_open(recorder, fragment) < 0)
		return false;
	if (recorder_segment_append(recorder, item) < 0)
		return false;
	recorder->last_end_us = fragment->start_us + fragment->duration_us;
	return true;
}

static bool recorder_can_write(struct recorder *recorder, const struct recorder_item *item)
{
	if (item->kind != ITEM_FRAGMENT)
		return true;
	recorder_end_event(recorder, item);
	return !recorder_holds(recorder) && recorder->in_flight_bytes < IN_FLIGHT_BYTES;
}

static bool recorder_do(struct recorder *recorder, struct recorder_item *item)
{
	if (item->kind == ITEM_FRAGMENT)
		return recorder_write(recorder, item);
	if (item->kind == ITEM_INIT)
		recorder_begin_run(recorder, item);
	else
		recorder_end_run(recorder);
	recorder_item_free(item);
	return true;
}

static void recorder_finish(struct recorder *recorder);

void recorder_pump(struct recorder *recorder)
{
	struct recorder_item *item;

	if (recorder->failing || reactor_monotonic_us() < recorder->retry_us) {
		recorder_finish(recorder);
		return;
	}
	while ((item = recorder_queue_first(&recorder->queue)) &&
		recorder_can_write(recorder, item)) {
		struct recorder_items back;

		item = recorder_queue_take(&recorder->queue);
		if (recorder_do(recorder, item))
			continue;
		TAILQ_INIT(&back);
		TAILQ_INSERT_TAIL(&back, item, entry);
		recorder_queue_return(&recorder->queue, &back);
		recorder_pause(recorder);
		break;
	}
	if (recorder_holds(recorder))
		recorder_trim(recorder);
	recorder_finish(recorder);
}

/* --- what the fragmenter gives --- */

static void recorder_on_fragment(struct fragment_reader *reader, struct fragment *fragment)
{
	struct recorder *recorder = CONTAINER_OF(reader, struct recorder, reader);

	recorder_queue_add_fragment(&recorder->queue, fragment);
	recorder_pump(recorder);
}

static void recorder_on_init(struct fragment_reader *reader, struct fragment_init *init)
{
	struct recorder *recorder = CONTAINER_OF(reader, struct recorder, reader);

	recorder_queue_add_init(&recorder->queue, init, stream_correction_us(recorder->stream));
	recorder_pump(recorder);
}

static void recorder_on_end(struct fragment_reader *reader)
{
	struct recorder *recorder = CONTAINER_OF(reader, struct recorder, reader);

	recorder_queue_add_end(&recorder->queue);
	recorder_pump(recorder);
}

static const struct fragment_reader_events recorder_events = {
	.on_init = recorder_on_init,
	.on_fragment = recorder_on_fragment,
	.on_end = recorder_on_end,
};

/* --- the beginning and the end --- */

/* Since when there is nothing: the end of the last recording. */
static void recorder_on_newest(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct recorder *recorder = arg;

	recorder->newest = NULL;
	if (error || !n || !recorder->gap.open || rows[0].end_us > recorder->gap.from_us)
		return;
	recorder->gap.from_us = rows[0].end_us;
	recorder->gap.cause = "restart";
}

struct recorder *recorder_new(struct stream *stream, const char *camera, struct volume *volume,
	struct catalogue *catalogue, const struct recorder_settings *settings,
	const struct log_name *parent)
{
	struct recorder *recorder = xcalloc(1, sizeof(*recorder));

	recorder->camera = xstrdup(camera);
	recorder->stream = stream;
	recorder->volume = volume;
	recorder->catalogue = catalogue;
	recorder->settings = *settings;
	recorder->log = (struct log_name){ .parent = parent, .kind = "recorder" };
	recorder->fragments = metric_get(METRIC_RECORDER_FRAGMENTS, camera);
	recorder->bytes = metric_get(METRIC_RECORDER_BYTES, camera);
	recorder->closed = metric_get(METRIC_RECORDER_SEGMENTS, camera);
	recorder->timer = reactor_timer_new(recorder_on_timer, recorder);
	TAILQ_INIT(&recorder->failed);
	recorder_queue_init(&recorder->queue, camera, recorder_on_shed);
	recorder_gap_init(recorder);
	if (settings->first && !settings->events_only) {
		recorder_gap_begin(recorder, reactor_now_us(), "camera");
		recorder->newest =
			catalogue_newest(catalogue, camera, recorder_on_newest, recorder);
	}
	fragmenter_subscribe(stream, &recorder->reader, &recorder_events, true);
	return recorder;
}

void recorder_apply(struct recorder *recorder, const struct recorder_settings *settings)
{
	recorder->settings = *settings;
	recorder_pump(recorder);
}

static void recorder_fini(void *object)
{
	struct recorder *recorder = object;

	recorder_queue_fini(&recorder->queue);
	recorder_gap_fini(recorder);
	reactor_timer_free(&recorder->timer);
	if (recorder->on_closed) /* after which the camera's metrics are gone */
		recorder->on_closed(recorder->on_closed_arg);
	fragment_init_unref(&recorder->init);
	free(recorder->camera);
	free(recorder);
}

/* The last step of stopping: what the disk takes is on it. */
static void recorder_finish(struct recorder *recorder)
{
	struct recorder_item *item;

	if (!recorder->stopping)
		return;
	while (recorder->refused && (item = recorder_queue_first(&recorder->queue))) {
		(void)recorder_queue_take(
			&recorder->queue); /* nobody waits for a disk that fails */
		if (item->fragment)
			recorder_lose(recorder, item->fragment, "write_failed");
		recorder_item_free(item);
	}
	if (recorder_queue_first(&recorder->queue) && !recorder_holds(recorder))
		return;
	recorder_segment_close(recorder);
	if (recorder->segments)
		return;
	recorder->stopping = false;
	catalogue_cancel(recorder->newest);
	reactor_free_later(&recorder->dead, recorder_fini, recorder);
}

void recorder_on_segment_closed(struct recorder *recorder)
{
	/* all of them: a later file's fragments would come back before an earlier one's */
	if (recorder->failing && !recorder->segments) {
		recorder->failing = false;
		recorder_queue_return(&recorder->queue, &recorder->failed);
	}
	recorder_pump(recorder);
}

void recorder_stop(struct recorder *recorder, void (*on_closed)(void *arg), void *arg)
{
	recorder->on_closed = on_closed;
	recorder->on_closed_arg = arg;
	fragmenter_flush(&recorder->reader);
	fragmenter_unsubscribe(&recorder->reader);
	recorder->stopping = true;
	recorder_pump(recorder);
}
