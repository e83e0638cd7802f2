/* Time-lapses: which pictures are taken, and their files. */
#include "storage/timelapse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libavutil/mathematics.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/segment.h"
#include "storage/timelapse_picture.h"

enum {
	PATH_BYTES = 160,
	TIME_BASE = 90000,
	MINUTE_US = 60000000,
	/* Cameras' clocks are steered, their pictures a little early: so much, and of `every` a thousandth. */
	EARLY_US = 20000,
	EARLY_PART = 1000
};

/* It outlives its time as the current one. */
struct timelapse_file {
	struct timelapse *timelapse;
	struct volume_file *file;
	struct catalogue_segment *row;
	char path[PATH_BYTES]; /* as asked for; it may have got a suffix */
	int64_t id;            /* in the catalogue; 0: not there */
	int64_t origin_us, correction_us;
	struct segment_index *index;
	uint32_t pictures; /* given to the volume */
	int64_t frame;     /* how long each is shown, in TIME_BASE */
	bool has_head;     /* the volume answered for it */
	bool failed, ending;
	struct fragment *pending; /* the picture that the volume has not answered for */
	int64_t pending_us;       /* when it was taken */
};

struct timelapse {
	char *camera;
	struct volume *volume;
	struct catalogue *catalogue;
	struct timelapse_settings settings;
	struct log_name log;
	struct log_repeated again;
	struct stream_reader reader;
	struct fragment_init
		*init; /* of the pictures alone; NULL: there are none that MP4 can carry */
	struct timelapse_file *current; /* NULL: the next picture begins one */
	unsigned files;                 /* not closed yet */
	bool has_last;
	int64_t last_us;     /* media time of the picture taken last */
	struct event *timer; /* each minute while a file is open */
	struct metric *written, *late, *failed;

	void (*on_closed)(void *arg); /* set when the end has begun */
	void *on_closed_arg;
	struct reactor_dead dead;
};

void timelapse_path(char *ret, size_t size, const char *camera, int64_t at_us)
{
	time_t seconds = (time_t)(at_us / 1000000);
	struct tm tm;
	char date[16];

	localtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	snprintf(ret, size, "recordings/%s/%s/" CATALOGUE_TIMELAPSE ".mp4", camera, date);
}

/* --- one file --- */

static void timelapse_finish(struct timelapse *timelapse);

/* Gives it to the volume to be closed, with its tables when all that is in it is in them. */
static void file_close(struct timelapse_file *file)
{
	struct box_writer moov = { 0 };

	if (!file->failed && segment_index_write(file->index, &moov) == 0) {
		volume_file_close_with(file->file, moov.p, moov.n);
		return;
	}
	free(moov.p);
	volume_file_close(file->file);
}

/* The current file has all of its pictures; fine when there is none. */
static void timelapse_end_file(struct timelapse *timelapse)
{
	struct timelapse_file *file = timelapse->current;

	if (!file)
		return;
	timelapse->current = NULL;
	reactor_timer_stop(timelapse->timer);
	file->ending = true;
	if (!file->pending)
		file_close(file);
}

static void file_fail(struct timelapse_file *file, const char *doing, int error)
{
	struct timelapse *timelapse = file->timelapse;

	if (file->failed)
		return;
	file->failed = true;
	log_write_repeated(&timelapse->again, LOG_ERROR, &timelapse->log, "cannot %s: %s", doing,
		strerror(-error));
	if (timelapse->current == file)
		timelapse_end_file(timelapse);
}

static void file_on_open(void *arg, int error, const char *path)
{
	struct timelapse_file *file = arg;
	struct timelapse *timelapse = file->timelapse;

	if (error) {
		file_fail(file, "open a time-lapse", error);
		return;
	}
	free(file->row->path);
	file->row->path = xstrdup(path);
	if (catalogue_add(timelapse->catalogue, file->row, &file->id) < 0)
		log_error(&timelapse->log, "%s: the catalogue is behind and will miss it", path);
}

static void file_on_written(struct timelapse_file *file, uint64_t offset)
{
	const struct fragment *fragment = file->pending;
	struct catalogue_fragment entry = {
		.start_us = file->pending_us,
		.duration_us = (uint32_t)fragment->duration_us,
		.bytes = (uint32_t)fragment->bytes,
		.offset = offset,
		.keyframe = true,
	};

	segment_index_add(file->index, fragment, 0, offset);
	if (file->id)
		catalogue_grow(file->timelapse->catalogue, file->id, &entry);
	metric_add(file->timelapse->written, 1);
}

static void file_on_append(void *arg, int error, uint64_t offset, uint64_t bytes)
{
	struct timelapse_file *file = arg;
	bool is_head = !file->has_head;

	(void)bytes;
	file->has_head = true;
	if (error)
		file_fail(file, "write a time-lapse", error);
	if (is_head)
		return;
	if (error)
		metric_add(file->timelapse->failed, 1);
	else
		file_on_written(file, offset);
	fragment_unref(&file->pending);
	if (file->ending)
		file_close(file);
}

static void file_free(struct timelapse_file *file)
{
	catalogue_segment_free(file->row);
	segment_index_free(file->index);
	free(file);
}

static void file_on_close(void *arg, int error, uint64_t bytes)
{
	struct timelapse_file *file = arg;
	struct timelapse *timelapse = file->timelapse;

	if (error && !file->failed) /* else it was said */
		log_error(&timelapse->log, "closing a time-lapse: %s", strerror(-error));
	if (file->id)
		catalogue_finish(timelapse->catalogue, file->id, bytes);
	timelapse->files--;
	file_free(file);
	timelapse_finish(timelapse);
}

static const struct volume_file_events file_events = {
	.on_open = file_on_open,
	.on_append = file_on_append,
	.on_close = file_on_close,
};

static struct catalogue_segment *file_row(
	const struct timelapse *timelapse, int64_t start_us, int64_t correction_us)
{
	struct catalogue_segment *row = xcalloc(1, sizeof(*row));

	row->camera = xstrdup(timelapse->camera);
	row->stream = xstrdup(CATALOGUE_TIMELAPSE);
	row->start_us = row->end_us = start_us;
	row->codecs = xstrdup(timelapse->init->codecs);
	row->width = timelapse->init->width;
	row->height = timelapse->init->height;
	row->state = SEGMENT_OPEN;
	if (!wall_clock_confirms(correction_us))
		row->boot_us = wall_clock_boot_us(correction_us);
	return row;
}

static int file_write_head(struct timelapse_file *file)
{
	const struct timelapse *timelapse = file->timelapse;
	struct box_writer w = { 0 };
	int error;

	segment_head(&w, timelapse->init, timelapse->camera, file->origin_us, file->row->boot_us);
	error = volume_append_bytes(file->file, w.p, w.n);
	free(w.p);
	return error;
}

/* Makes a file that begins at that instant the current one. Returns 0, or -EAGAIN when the volume takes nothing now. */
static int timelapse_open_file(struct timelapse *timelapse, int64_t start_us)
{
	struct timelapse_file *file = xcalloc(1, sizeof(*file));

	file->timelapse = timelapse;
	file->origin_us = start_us;
	file->correction_us = stream_correction_us(timelapse->reader.stream);
	file->frame = TIME_BASE / timelapse->settings.fps;
	timelapse_path(file->path, sizeof(file->path), timelapse->camera, start_us);
	file->file = volume_create(timelapse->volume, file->path, &file_events, file);
	if (!file->file) {
		free(file);
		return -EAGAIN;
	}
	file->row = file_row(timelapse, start_us, file->correction_us);
	file->index =
		segment_index_new(timelapse->init, timelapse->camera, start_us, file->row->boot_us);
	timelapse->files++;
	timelapse->current = file;
	reactor_timer_start(timelapse->timer, MINUTE_US);
	if (file_write_head(file) == 0)
		return 0;
	timelapse_end_file(timelapse);
	return -EAGAIN;
}

/* The picture as a fragment of the film. */
static struct fragment *file_fragment(
	const struct timelapse_file *file, AVPacket *picture, int64_t taken_us)
{
	static const int64_t none[STREAM_TRACKS] = { AV_NOPTS_VALUE, AV_NOPTS_VALUE, AV_NOPTS_VALUE,
		AV_NOPTS_VALUE };
	struct fragment_builder *builder = fragment_builder_new(file->timelapse->init);
	struct box_writer box = { 0 };
	struct fragment *fragment;

	picture->dts = picture->pts = file->pictures * file->frame;
	picture->duration = file->frame;
	segment_write_taken(&box, taken_us - file->origin_us);
	fragment_builder_add_box(builder, box.p, box.n);
	fragment_builder_add(builder, picture);
	fragment = fragment_builder_take(builder, none, file->pictures + 1);
	fragment_builder_free(builder);
	free(box.p);
	return fragment;
}

/* --- which pictures --- */

/*
 * Whether a picture of that instant belongs into the current file: it is of that day by the same clock, and nobody
 * has set that clock meanwhile, for which the time of the earlier ones waits.
 */
static bool timelapse_goes_on(const struct timelapse *timelapse, int64_t at_us)
{
	const struct timelapse_file *file = timelapse->current;
	int64_t correction_us = stream_correction_us(timelapse->reader.stream);
	char path[PATH_BYTES];

	timelapse_path(path, sizeof(path), timelapse->camera, at_us);
	return strcmp(path, file->path) == 0 &&
	       llabs(correction_us - file->correction_us) <= WALL_CLOCK_STEP_US &&
	       !(file->row->boot_us && wall_clock_confirms(correction_us));
}

/* Far from the last one, in time that never steps; a camera that went back begins anew. */
static bool timelapse_is_due(const struct timelapse *timelapse, int64_t media_us)
{
	int64_t every_us = timelapse->settings.every_us;

	return !timelapse->has_last ||
	       llabs(media_us - timelapse->last_us) >= every_us - EARLY_US - every_us / EARLY_PART;
}

/* Gives a picture to a file. Returns 0, or -EAGAIN when the disk is behind. */
static int timelapse_take(struct timelapse *timelapse, AVPacket *picture, int64_t at_us)
{
	struct timelapse_file *file;
	struct fragment *fragment;
	int error = 0;

	if (timelapse->current && !timelapse_goes_on(timelapse, at_us))
		timelapse_end_file(timelapse);
	if (!timelapse->current)
		error = timelapse_open_file(timelapse, at_us);
	file = timelapse->current;
	if (error || file->pending)
		return -EAGAIN;
	fragment = file_fragment(file, picture, at_us);
	error = volume_append_fragment(file->file, fragment, 0);
	if (error) {
		fragment_unref(&fragment);
		return error;
	}
	file->pictures++;
	file->pending = fragment;
	file->pending_us = at_us;
	return 0;
}

static void timelapse_on_packet(struct stream_reader *reader, AVPacket *packet)
{
	struct timelapse *timelapse = CONTAINER_OF(reader, struct timelapse, reader);
	const struct stream_track *video = stream_track(reader->stream, 0);
	int64_t at_us, media_us;
	AVPacket *picture;

	if (!timelapse->init || packet->stream_index != 0 || packet->size <= 0 ||
		!(packet->flags & AV_PKT_FLAG_KEY))
		return;
	at_us = av_rescale_q(packet->pts, video->time_base, AV_TIME_BASE_Q);
	media_us = at_us - stream_correction_us(reader->stream);
	if (!timelapse_is_due(timelapse, media_us))
		return;
	picture = timelapse_picture(packet, video->parameters->codec_id);
	if (!picture)
		return;
	if (timelapse_take(timelapse, picture, at_us) == 0) {
		timelapse->has_last = true;
		timelapse->last_us = media_us;
	} else {
		metric_add(timelapse->late, 1);
		log_write_repeated(&timelapse->again, LOG_WARN, &timelapse->log,
			"the disk is too slow: a picture is left out");
	}
	av_packet_free(&picture);
}

/* A run begins: a file goes on when its pictures are of the same kind. */
static void timelapse_on_tracks(struct stream_reader *reader)
{
	struct timelapse *timelapse = CONTAINER_OF(reader, struct timelapse, reader);
	struct stream_track video = *stream_track(reader->stream, 0);
	struct fragment_init *init = NULL;

	video.time_base = (AVRational){ 1, TIME_BASE };
	if (video.parameters->codec_type == AVMEDIA_TYPE_VIDEO &&
		fragment_carries(video.parameters))
		init = fragment_init_new(&video, 1);
	if (!init || !timelapse->init || !fragment_init_equal(init, timelapse->init))
		timelapse_end_file(timelapse);
	fragment_init_unref(&timelapse->init);
	timelapse->init = init;
}

static const struct stream_reader_events timelapse_events = {
	.on_tracks = timelapse_on_tracks,
	.on_packet = timelapse_on_packet,
};

/* Yesterday's file is closed though no picture comes; a late one has a minute. */
static void timelapse_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timelapse *timelapse = arg;
	char path[PATH_BYTES];

	(void)fd, (void)what;
	timelapse_path(path, sizeof(path), timelapse->camera, reactor_now_us() - MINUTE_US);
	if (strcmp(path, timelapse->current->path) != 0)
		timelapse_end_file(timelapse);
	else
		reactor_timer_start(timelapse->timer, MINUTE_US);
}

/* --- life --- */

struct timelapse *timelapse_new(struct stream *stream, const char *camera, struct volume *volume,
	struct catalogue *catalogue, const struct timelapse_settings *settings,
	const struct log_name *parent)
{
	struct timelapse *timelapse = xcalloc(1, sizeof(*timelapse));

	timelapse->camera = xstrdup(camera);
	timelapse->volume = volume;
	timelapse->catalogue = catalogue;
	timelapse->settings = *settings;
	timelapse->log = (struct log_name){ .parent = parent, .kind = "time-lapse" };
	timelapse->timer = reactor_timer_new(timelapse_on_timer, timelapse);
	timelapse->written = metric_get(METRIC_TIMELAPSE_PICTURES, camera, "written");
	timelapse->late = metric_get(METRIC_TIMELAPSE_PICTURES, camera, "late");
	timelapse->failed = metric_get(METRIC_TIMELAPSE_PICTURES, camera, "failed");
	stream_subscribe(stream, &timelapse->reader, &timelapse_events, false);
	return timelapse;
}

void timelapse_apply(struct timelapse *timelapse, const struct timelapse_settings *settings)
{
	if (settings->fps != timelapse->settings.fps)
		timelapse_end_file(timelapse);
	timelapse->settings = *settings;
}

static void timelapse_fini(void *object)
{
	struct timelapse *timelapse = object;

	reactor_timer_free(&timelapse->timer);
	timelapse->on_closed(
		timelapse->on_closed_arg); /* after which the camera's metrics are gone */
	free(timelapse->camera);
	free(timelapse);
}

/* The last step of stopping: all files are on disk. */
static void timelapse_finish(struct timelapse *timelapse)
{
	if (timelapse->on_closed && !timelapse->files)
		reactor_free_later(&timelapse->dead, timelapse_fini, timelapse);
}

void timelapse_stop(struct timelapse *timelapse, void (*on_closed)(void *arg), void *arg)
{
	stream_unsubscribe(&timelapse->reader);
	timelapse_end_file(timelapse);
	fragment_init_unref(&timelapse->init);
	timelapse->on_closed = on_closed;
	timelapse->on_closed_arg = arg;
	timelapse_finish(timelapse);
}
