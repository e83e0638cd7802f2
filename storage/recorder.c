/* Records a stream into segments: one file each, cut at keyframes after wall-clock boundaries. */
#include "storage/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/box_writer.h"
#include "storage/fragmenter.h"

enum {
	RETRY_US = 1000000,
	FREE_BOX_BYTES = 16
};

/* What was handed to the volume and not yet answered, in order; the head of the file comes first. */
struct recorder_append {
	STAILQ_ENTRY(recorder_append) entry;
	bool is_head;
	struct catalogue_fragment fragment; /* its offset comes with the answer */
};

/* One file on its way to the disk; it outlives its time as the recorder's current one. */
struct recorder_segment {
	struct recorder *recorder;
	struct volume_file *file;
	struct catalogue_segment *row; /* until the file is open */
	int64_t id;                    /* in the catalogue; 0: not there */
	int64_t origin_us, boundary_us;
	STAILQ_HEAD(, recorder_append) appends;
};

struct recorder {
	char *camera;
	struct volume *volume;
	struct catalogue *catalogue;
	int64_t segment_us;
	struct log_name log;
	struct stream *stream;
	struct fragment_reader reader;
	struct fragment_init *init;
	int64_t correction_us;            /* of the run: its clock's */
	struct recorder_segment *current; /* NULL: waits for a keyframe */
	unsigned segments;                /* files not closed yet */

	int64_t retry_us;        /* monotonic: no new file before */
	int64_t failed_since_us; /* monotonic; 0: all is well */
	uint64_t lost;           /* fragments since then */
	struct metric *fragments, *bytes, *closed;

	bool stopping;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
	struct reactor_dead dead;
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

static void recorder_count_lost(struct recorder *recorder, const char *reason)
{
	recorder->lost++;
	metric_add(metric_get(METRIC_RECORDER_LOST, recorder->camera, reason), 1);
}

static void recorder_fail(struct recorder *recorder, const char *doing, int error)
{
	recorder->retry_us = reactor_monotonic_us() + RETRY_US;
	if (recorder->failed_since_us)
		return;
	recorder->failed_since_us = reactor_monotonic_us();
	recorder->lost = 0;
	log_error(
		&recorder->log, "cannot %s: %s; trying again each second", doing, strerror(-error));
}

static void recorder_recover(struct recorder *recorder)
{
	if (!recorder->failed_since_us)
		return;
	log_warn(&recorder->log, "records again: %.1f s and %llu fragments were lost",
		(double)(reactor_monotonic_us() - recorder->failed_since_us) / 1e6,
		(unsigned long long)recorder->lost);
	recorder->failed_since_us = 0;
}

/* --- the end of segments and of the recorder --- */

static void recorder_fini(void *object)
{
	struct recorder *recorder = object;

	if (recorder->on_closed)
		recorder->on_closed(recorder->on_closed_arg);
	fragment_init_unref(&recorder->init);
	free(recorder->camera);
	free(recorder);
}

static void recorder_finish(struct recorder *recorder)
{
	if (recorder->stopping && !recorder->segments)
		reactor_free_later(&recorder->dead, recorder_fini, recorder);
}

static void recorder_close_segment(struct recorder *recorder)
{
	if (recorder->current)
		volume_file_close(recorder->current->file);
	recorder->current = NULL;
}

static void segment_on_close(void *arg, int error, uint64_t bytes)
{
	struct recorder_segment *segment = arg;
	struct recorder *recorder = segment->recorder;

	if (error && !recorder->failed_since_us) /* else it was said */
		log_error(&recorder->log, "closing a recording: %s", strerror(-error));
	if (segment->id)
		catalogue_finish(recorder->catalogue, segment->id, bytes);
	if (bytes)
		metric_add(recorder->closed, 1);
	catalogue_segment_free(segment->row);
	free(segment);
	recorder->segments--;
	recorder_finish(recorder);
}

/* --- what the volume answers --- */

static void segment_on_open(void *arg, int error, const char *path)
{
	struct recorder_segment *segment = arg;
	struct recorder *recorder = segment->recorder;

	if (error) {
		recorder_fail(recorder, "open a recording", error);
		if (recorder->current == segment)
			recorder_close_segment(recorder);
		return;
	}
	free(segment->row->path);
	segment->row->path = xstrdup(path);
	if (catalogue_add(recorder->catalogue, segment->row, &segment->id) < 0)
		log_error(&recorder->log, "%s: the catalogue is behind and will miss it", path);
}

static void segment_on_append(void *arg, int error, uint64_t offset, uint64_t bytes)
{
	struct recorder_segment *segment = arg;
	struct recorder *recorder = segment->recorder;
	struct recorder_append *append = STAILQ_FIRST(&segment->appends);

	STAILQ_REMOVE_HEAD(&segment->appends, entry);
	if (error) {
		recorder_fail(recorder, "write a recording", error);
		if (!append->is_head)
			recorder_count_lost(recorder, "write_failed");
		if (recorder->current == segment)
			recorder_close_segment(recorder);
	} else {
		metric_add(recorder->bytes, (double)bytes);
	}
	if (!error && !append->is_head) {
		recorder_recover(recorder);
		metric_add(recorder->fragments, 1);
		append->fragment.offset = offset;
		if (segment->id)
			catalogue_grow(recorder->catalogue, segment->id, &append->fragment);
	}
	free(append);
}

static const struct volume_file_events segment_events = {
	.on_open = segment_on_open,
	.on_append = segment_on_append,
	.on_close = segment_on_close,
};

/* --- what the fragmenter gives --- */

static void segment_expect(struct recorder_segment *segment, const struct fragment *fragment)
{
	struct recorder_append *append = xcalloc(1, sizeof(*append));

	append->is_head = !fragment;
	if (fragment)
		append->fragment = (struct catalogue_fragment){
			.start_us = fragment->start_us,
			.duration_us = (uint32_t)fragment->duration_us,
			.bytes = (uint32_t)fragment->bytes,
			.keyframe = fragment->keyframe,
		};
	STAILQ_INSERT_TAIL(&segment->appends, append, entry);
}

/* `ftyp`, room for the header of an `mdat` that closing may write, `moov`. */
static int segment_write_head(struct recorder_segment *segment, const struct fragment_init *init)
{
	struct box_writer w = { 0 };
	size_t free_box;
	int error;

	box_bytes(&w, init->data, init->ftyp_bytes);
	free_box = box_begin(&w, "free");
	box_zeros(&w, FREE_BOX_BYTES - 8);
	box_end(&w, free_box);
	box_bytes(&w, init->data + init->ftyp_bytes, init->bytes - init->ftyp_bytes);
	error = volume_append_bytes(segment->file, w.p, w.n);
	if (!error)
		segment_expect(segment, NULL);
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

static int recorder_open_segment(struct recorder *recorder, const struct fragment *first)
{
	struct recorder_segment *segment = xcalloc(1, sizeof(*segment));
	char path[RECORDER_PATH_BYTES];

	segment->recorder = recorder;
	segment->origin_us = fragment_origin_us(first);
	segment->boundary_us = recorder_boundary(first->start_us, recorder->segment_us);
	STAILQ_INIT(&segment->appends);
	recorder_path(path, sizeof(path), recorder->camera, first->start_us);
	segment->file = volume_create(recorder->volume, path, &segment_events, segment);
	if (!segment->file) {
		free(segment);
		return -EAGAIN;
	}
	segment->row = segment_row(recorder, first);
	recorder->segments++;
	recorder->current = segment;
	return segment_write_head(segment, recorder->init);
}

/* Makes sure that a file is open for this fragment. Returns 0, or what is wrong, counted. */
static int recorder_ready(struct recorder *recorder, const struct fragment *fragment)
{
	int error;

	if (recorder->current && fragment->keyframe &&
		fragment->start_us >= recorder->current->boundary_us)
		recorder_close_segment(recorder);
	if (recorder->current)
		return 0;
	if (!fragment->keyframe || reactor_monotonic_us() < recorder->retry_us) {
		if (recorder->failed_since_us)
			recorder_count_lost(recorder, "open_failed");
		return -EAGAIN;
	}
	error = recorder_open_segment(recorder, fragment);
	if (error) {
		recorder_count_lost(recorder, "queue_full");
		recorder_close_segment(recorder);
	}
	return error;
}

static void recorder_on_fragment(struct fragment_reader *reader, struct fragment *fragment)
{
	struct recorder *recorder = CONTAINER_OF(reader, struct recorder, reader);

	if (recorder_ready(recorder, fragment))
		return;
	if (volume_append_fragment(
		    recorder->current->file, fragment, recorder->current->origin_us)) {
		recorder_fail(recorder, "keep up with the camera, the disk is too slow", -EAGAIN);
		recorder_count_lost(recorder, "queue_full");
		recorder_close_segment(recorder);
		return;
	}
	segment_expect(recorder->current, fragment);
}

static void recorder_on_init(struct fragment_reader *reader, struct fragment_init *init)
{
	struct recorder *recorder = CONTAINER_OF(reader, struct recorder, reader);

	recorder_close_segment(recorder);
	fragment_init_unref(&recorder->init);
	recorder->init = fragment_init_ref(init);
	recorder->correction_us = stream_correction_us(recorder->stream);
}

static void recorder_on_end(struct fragment_reader *reader)
{
	recorder_close_segment(CONTAINER_OF(reader, struct recorder, reader));
}

static const struct fragment_reader_events recorder_events = {
	.on_init = recorder_on_init,
	.on_fragment = recorder_on_fragment,
	.on_end = recorder_on_end,
};

struct recorder *recorder_new(struct stream *stream, const char *camera, struct volume *volume,
	struct catalogue *catalogue, int64_t segment_us, const struct log_name *parent)
{
	struct recorder *recorder = xcalloc(1, sizeof(*recorder));

	recorder->camera = xstrdup(camera);
	recorder->stream = stream;
	recorder->volume = volume;
	recorder->catalogue = catalogue;
	recorder->segment_us = segment_us;
	recorder->log = (struct log_name){ .parent = parent, .kind = "recorder" };
	recorder->fragments = metric_get(METRIC_RECORDER_FRAGMENTS, camera);
	recorder->bytes = metric_get(METRIC_RECORDER_BYTES, camera);
	recorder->closed = metric_get(METRIC_RECORDER_SEGMENTS, camera);
	fragmenter_subscribe(stream, &recorder->reader, &recorder_events, true);
	return recorder;
}

void recorder_stop(struct recorder *recorder, void (*on_closed)(void *arg), void *arg)
{
	recorder->on_closed = on_closed;
	recorder->on_closed_arg = arg;
	recorder->stopping = true;
	fragmenter_unsubscribe(&recorder->reader);
	recorder_close_segment(recorder);
	recorder_finish(recorder);
}
