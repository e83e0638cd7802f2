/* One recording file on its way to the disk: its head, its fragments, its row in the catalogue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/wall_clock.h"
#include "storage/recorder_private.h"
#include "storage/segment.h"

/* It outlives its time as the recorder's current one. */
struct recorder_segment {
	struct recorder *recorder;
	struct volume_file *file;
	struct catalogue_segment *row; /* until the file is open */
	int64_t id;                    /* in the catalogue; 0: not there */
	int64_t origin_us, boundary_us;
	int64_t made_us; /* monotonic */
	bool failed;
	bool has_head;                   /* the volume answered for it */
	struct recorder_items in_flight; /* given to the volume and not yet answered, in order */
};

/* --- what the volume answers --- */

static void segment_fail(struct recorder_segment *segment, const char *doing, int error)
{
	if (segment->failed)
		return;
	segment->failed = true;
	segment->recorder->failing = true;
	recorder_segment_close(
		segment->recorder); /* a later one too: what is tried anew comes first */
	recorder_fail(segment->recorder, doing, error);
}

static void segment_on_open(void *arg, int error, const char *path)
{
	struct recorder_segment *segment = arg;
	struct recorder *recorder = segment->recorder;

	if (error) {
		segment_fail(segment, "open a recording", error);
		return;
	}
	free(segment->row->path);
	segment->row->path = xstrdup(path);
	if (catalogue_add(recorder->catalogue, segment->row, &segment->id) < 0)
		log_error(&recorder->log, "%s: the catalogue is behind and will miss it", path);
}

static void segment_on_written(
	struct recorder_segment *segment, const struct fragment *fragment, uint64_t offset)
{
	struct recorder *recorder = segment->recorder;
	struct catalogue_fragment entry = {
		.start_us = fragment->start_us,
		.duration_us = (uint32_t)fragment->duration_us,
		.bytes = (uint32_t)fragment->bytes,
		.offset = offset,
		.keyframe = fragment->keyframe,
	};

	metric_add(recorder->fragments, 1);
	if (segment->id)
		catalogue_grow(recorder->catalogue, segment->id, &entry);
	recorder_on_written(recorder, fragment, segment->made_us);
}

static void segment_on_append(void *arg, int error, uint64_t offset, uint64_t bytes)
{
	struct recorder_segment *segment = arg;
	struct recorder *recorder = segment->recorder;
	struct recorder_item *item = NULL;

	if (segment->has_head) {
		item = TAILQ_FIRST(&segment->in_flight);
		TAILQ_REMOVE(&segment->in_flight, item, entry);
		recorder->in_flight_bytes -= item->fragment->bytes;
	}
	segment->has_head = true;
	if (error) {
		segment_fail(segment, "write a recording", error);
		if (item)
			TAILQ_INSERT_TAIL(&recorder->failed, item, entry);
		return;
	}
	metric_add(recorder->bytes, (double)bytes);
	if (item) {
		segment_on_written(segment, item->fragment, offset);
		recorder_item_free(item);
	}
	recorder_pump(recorder);
}

static void segment_on_close(void *arg, int error, uint64_t bytes)
{
	struct recorder_segment *segment = arg;
	struct recorder *recorder = segment->recorder;

	if (error && !segment->failed) /* else it was said */
		log_error(&recorder->log, "closing a recording: %s", strerror(-error));
	if (segment->id)
		catalogue_finish(recorder->catalogue, segment->id, bytes);
	if (bytes)
		metric_add(recorder->closed, 1);
	recorder->segments--;
	catalogue_segment_free(segment->row);
	free(segment);
	recorder_on_segment_closed(recorder);
}

static const struct volume_file_events segment_events = {
	.on_open = segment_on_open,
	.on_append = segment_on_append,
	.on_close = segment_on_close,
};

/* --- what the recorder gives --- */

static int segment_write_head(struct recorder_segment *segment, const struct fragment_init *init)
{
	struct box_writer w = { 0 };
	int error;

	segment_head(
		&w, init, segment->recorder->camera, segment->origin_us, segment->row->boot_us);
	error = volume_append_bytes(segment->file, w.p, w.n);
	free(w.p);
	return error;
}

static struct catalogue_segment *segment_row(
	const struct recorder *recorder, const struct fragment *first)
{
	struct catalogue_segment *row = xcalloc(1, sizeof(*row));

	row->camera = xstrdup(recorder->camera);
	row->stream = xstrdup("main");
	row->start_us = row->end_us = first->start_us;
	row->codecs = xstrdup(recorder->init->codecs);
	row->width = recorder->init->width;
	row->height = recorder->init->height;
	row->state = SEGMENT_OPEN;
	if (!wall_clock_confirms(recorder->correction_us))
		row->boot_us = wall_clock_boot_us(recorder->correction_us);
	return row;
}

/* An event's file is cut only when the event is long. */
static int64_t segment_boundary_us(const struct recorder *recorder, const struct fragment *first)
{
	const struct recorder_settings *settings = &recorder->settings;
	int64_t uncut_us = settings->events_only ? settings->segment_us : 0;

	return recorder_boundary(first->start_us + uncut_us, settings->segment_us);
}

int recorder_segment_open(struct recorder *recorder, const struct fragment *first)
{
	struct recorder_segment *segment = xcalloc(1, sizeof(*segment));
	char path[RECORDER_PATH_BYTES];

	segment->recorder = recorder;
	segment->origin_us = fragment_origin_us(first);
	segment->boundary_us = segment_boundary_us(recorder, first);
	segment->made_us = reactor_monotonic_us();
	TAILQ_INIT(&segment->in_flight);
	recorder_path(path, sizeof(path), recorder->camera, first->start_us);
	segment->file = volume_create(recorder->volume, path, &segment_events, segment);
	if (!segment->file) {
		free(segment);
		return -EAGAIN;
	}
	segment->row = segment_row(recorder, first);
	recorder->segments++;
	recorder->current = segment;
	if (segment_write_head(segment, recorder->init) == 0)
		return 0;
	recorder_segment_close(recorder);
	return -EAGAIN;
}

int recorder_segment_append(struct recorder *recorder, struct recorder_item *item)
{
	struct recorder_segment *segment = recorder->current;

	if (volume_append_fragment(segment->file, item->fragment, segment->origin_us) < 0)
		return -EAGAIN;
	TAILQ_INSERT_TAIL(&segment->in_flight, item, entry);
	recorder->in_flight_bytes += item->fragment->bytes;
	return 0;
}

void recorder_segment_close(struct recorder *recorder)
{
	if (recorder->current)
		volume_file_close(recorder->current->file);
	recorder->current = NULL;
}

bool recorder_segment_is_full(const struct recorder *recorder, const struct fragment *fragment)
{
	return recorder->current && fragment->keyframe &&
	       fragment->start_us >= recorder->current->boundary_us;
}
