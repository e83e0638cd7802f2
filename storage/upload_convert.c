/* One upload put into the form of a recording, by what makes recordings: fragments, then a closed segment. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <libavutil/mathematics.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/fragment.h"
#include "storage/recorder.h"
#include "storage/upload_private.h"
#include "storage/upload_time.h"
#include "storage/write_all.h"

enum {
	FILE_MODE = 0640,
	HELD_PACKETS = 1 << 12, /* until each track has begun */
	HELD_BYTES = 8 << 20,
	COMPARE_BYTES = 1 << 16,
	ROOM_BYTES = 32 << 20,
	/* live recording goes first */
	PIECE_BYTES = 1 << 20,
	PIECE_US = 60000, /* a piece takes at least so long: 16 MiB each second */
	SYNC_PIECES = 8,
	QUEUE_BYTES = 4 << 20, /* the volume's thread is behind while so much waits for it */
	QUEUE_US = 50000
};

#define SECOND_US INT64_C(1000000)
#define LEAP_US (3600 * SECOND_US) /* between two units of a track: its times make no sense */
#define BEFORE_US (60 * SECOND_US) /* of sound before the first picture */
#define LONGEST_US (7 * 24 * 3600 * SECOND_US)

struct output {
	struct upload_conversion *conversion;
	struct upload_input input;
	int fd;
	int64_t start_us; /* of the first picture */
	uint64_t bytes;
	/* until each track has begun */
	AVPacket **held;
	size_t n_held, held_bytes;

	struct fragment_init *init;
	struct fragment_builder *builder;
	uint32_t sequence;
	int64_t origin_us;
	int64_t offsets[STREAM_TRACKS]; /* from the upload's times to the track's since 1970 */
	int64_t last_dts[STREAM_TRACKS];

	uint64_t piece_bytes; /* since the last pause */
	unsigned pieces;      /* since the last sync */
	int64_t piece_us;     /* monotonic: when it began */
};

static enum upload_end conversion_end(
	struct upload_conversion *conversion, enum upload_end end, const char *why)
{
	conversion->end = end;
	(void)snprintf(conversion->why, sizeof(conversion->why), "%s", why);
	return end;
}

static enum upload_end conversion_fail(
	struct upload_conversion *conversion, const char *doing, int error)
{
	conversion->end = UPLOAD_FAILED;
	(void)snprintf(
		conversion->why, sizeof(conversion->why), "cannot %s: %s", doing, strerror(-error));
	return UPLOAD_FAILED;
}

/* --- live recording goes first --- */

static void output_sleep(const struct output *output, int64_t us)
{
	for (; us > 0 && !atomic_load(output->conversion->stop); us -= QUEUE_US)
		(void)usleep((useconds_t)(us < QUEUE_US ? us : QUEUE_US));
}

/* After each piece: no more of them than the rate allows, none while the volume is behind. */
static int output_pause(struct output *output)
{
	const struct volume *volume = output->conversion->volume;
	int64_t now_us = reactor_monotonic_us();

	if (output->piece_bytes < PIECE_BYTES)
		return 0;
	if (++output->pieces ==
		SYNC_PIECES) { /* little by little, and not on the volume's thread */
		output->pieces = 0;
		if (fdatasync(output->fd) < 0)
			return -errno;
	}
	output_sleep(output, output->piece_us + PIECE_US - now_us);
	while (volume_queued_bytes(volume) > QUEUE_BYTES && !atomic_load(output->conversion->stop))
		output_sleep(output, QUEUE_US);
	output->piece_bytes = 0;
	output->piece_us = reactor_monotonic_us();
	return 0;
}

/* --- writing --- */

static int output_write_head(struct output *output)
{
	struct box_writer w = { 0 };
	int error;

	segment_head(&w, output->init, output->conversion->camera, output->origin_us, 0);
	error = write_all(output->fd, w.p, w.n, 0);
	free(w.p);
	output->bytes = w.n;
	return error;
}

static int output_cut(struct output *output, const AVPacket *next)
{
	int64_t next_dts[STREAM_TRACKS];
	struct fragment *fragment;
	int error = 0;

	if (fragment_builder_is_empty(output->builder))
		return 0;
	for (unsigned t = 0; t < STREAM_TRACKS; t++)
		next_dts[t] = AV_NOPTS_VALUE;
	if (next)
		next_dts[next->stream_index] = next->dts;
	fragment = fragment_builder_take(output->builder, next_dts, ++output->sequence);
	if (output->sequence == 1) {
		output->origin_us = fragment_origin_us(fragment);
		error = output_write_head(output);
	}
	if (!error)
		error = volume_write_fragment(
			output->fd, fragment, output->origin_us, output->bytes);
	output->bytes += fragment->bytes;
	output->piece_bytes += fragment->bytes;
	fragment_unref(&fragment);
	return error ? error : output_pause(output);
}

/* Gives a unit its place in UTC. Returns whether it has one. */
static bool output_stamp(struct output *output, AVPacket *packet)
{
	unsigned t = (unsigned)packet->stream_index;
	AVRational base = output->init->time_base[t];
	int64_t last = output->last_dts[t], since_us;

	packet->dts += output->offsets[t];
	packet->pts += output->offsets[t];
	since_us = av_rescale_q(packet->dts, base, AV_TIME_BASE_Q) - output->start_us;
	if (since_us < -BEFORE_US || since_us > LONGEST_US)
		return false;
	if (last != AV_NOPTS_VALUE) {
		int64_t step_us = av_rescale_q(packet->dts - last, base, AV_TIME_BASE_Q);

		if (step_us > LEAP_US || step_us < -LEAP_US)
			return false;
		if (packet->dts <= last)
			packet->dts = last + 1;
	}
	if (packet->pts < packet->dts)
		packet->pts = packet->dts;
	output->last_dts[t] = packet->dts;
	return true;
}

static enum upload_end output_add(struct output *output, AVPacket *packet)
{
	int error = 0;

	if (!output_stamp(output, packet))
		return conversion_end(output->conversion, UPLOAD_KEPT, "its times make no sense");
	if (fragment_builder_ends_before(output->builder, packet))
		error = output_cut(output, packet);
	if (error)
		return conversion_fail(output->conversion, "write the recording", error);
	fragment_builder_add(output->builder, packet);
	return UPLOAD_MADE;
}

/* --- the beginning --- */

/* Whether all that there is to know of the tracks is known. */
static bool output_can_begin(const struct output *output)
{
	const struct upload_input *input = &output->input;

	for (unsigned i = 0; i < input->n_tracks; i++) {
		if (!input->begun[i])
			return false;
	}
	return true;
}

/* The first picture's place among what is held. */
static size_t output_find_picture(const struct output *output)
{
	size_t i = 0;

	while (output->held[i]->stream_index != 0)
		i++;
	return i;
}

/* Tracks of which nothing came have no place in the recording. */
static void output_make_init(struct output *output)
{
	struct upload_input *input = &output->input;
	struct stream_track tracks[STREAM_TRACKS];
	unsigned n = 0;

	for (unsigned i = 0; i < input->n_tracks; i++) {
		if (!input->begun[i])
			continue;
		tracks[n] = (struct stream_track){ input->tracks[i].parameters,
			input->tracks[i].time_base, input->tracks[i].rotation };
		for (size_t h = 0; n != i && h < output->n_held; h++) {
			if (output->held[h]->stream_index == (int)i)
				output->held[h]->stream_index = (int)n;
		}
		n++;
	}
	output->init = fragment_init_new(tracks, n);
}

/* Begins the recording with the first picture, and with it all that is held. */
static enum upload_end output_begin(struct output *output)
{
	size_t first = output_find_picture(output);
	const AVRational *bases;
	int64_t first_dts = output->held[first]->dts;
	enum upload_end end = UPLOAD_MADE;

	output_make_init(output);
	bases = output->init->time_base;
	output->builder = fragment_builder_new(output->init);
	for (unsigned t = 0; t < output->init->n_tracks; t++) {
		if (!output->init->ids[t])
			return conversion_end(output->conversion, UPLOAD_KEPT,
				"MP4 cannot carry one of its tracks");
		output->offsets[t] = av_rescale_q(output->start_us, AV_TIME_BASE_Q, bases[t]) -
				     av_rescale_q(first_dts, bases[0], bases[t]);
		output->last_dts[t] = AV_NOPTS_VALUE;
	}
	end = output_add(output, output->held[first]);
	for (size_t i = 0; i < output->n_held && end == UPLOAD_MADE; i++) {
		if (i != first)
			end = output_add(output, output->held[i]);
	}
	return end;
}

static void output_drop_held(struct output *output)
{
	for (size_t i = 0; i < output->n_held; i++)
		av_packet_free(&output->held[i]);
	free(output->held);
	output->held = NULL;
	output->n_held = 0;
}

/* Takes a unit over while not all is known. */
static enum upload_end output_hold(struct output *output, AVPacket *packet)
{
	enum upload_end end = UPLOAD_MADE;

	if (output->n_held == HELD_PACKETS || output->held_bytes > HELD_BYTES) {
		av_packet_free(&packet);
		return conversion_end(
			output->conversion, UPLOAD_KEPT, "one of its tracks does not begin");
	}
	if (!output->held)
		output->held = xcalloc(HELD_PACKETS, sizeof(AVPacket *));
	output->held[output->n_held++] = packet;
	output->held_bytes += (size_t)packet->size;
	if (output_can_begin(output)) {
		end = output_begin(output);
		output_drop_held(output);
	}
	return end;
}

/* --- all of it --- */

/* Whether the whole upload is in the file. */
static enum upload_end output_finish(struct output *output)
{
	enum upload_end end = UPLOAD_MADE;
	int error;

	if (!output->init && !output->input.begun[0])
		return conversion_end(output->conversion, UPLOAD_KEPT, "it has no whole picture");
	if (!output->init) /* a track has nothing in it */
		end = output_begin(output);
	if (end != UPLOAD_MADE)
		return end;
	error = output_cut(output, NULL);
	return error ? conversion_fail(output->conversion, "write the recording", error)
		     : UPLOAD_MADE;
}

static enum upload_end output_copy(struct output *output)
{
	enum upload_end end;
	AVPacket *packet;

	do {
		end = upload_input_read(&output->input, &packet);
		if (end != UPLOAD_MADE)
			return conversion_end(output->conversion, end, output->input.why);
		if (!packet)
			return output_finish(output);
		if (atomic_load(output->conversion->stop)) {
			av_packet_free(&packet);
			return conversion_end(output->conversion, UPLOAD_NOT_NOW, "");
		}
		if (!output->init) {
			end = output_hold(output, packet);
		} else {
			end = output_add(output, packet);
			av_packet_free(&packet);
		}
	} while (end == UPLOAD_MADE);
	return end;
}

/* Whether two files are the same to the last byte. */
static bool is_same_file(int a, int b, const _Atomic bool *stop)
{
	uint8_t *left = xmalloc(COMPARE_BYTES), *right = xmalloc(COMPARE_BYTES);
	ssize_t n = 1, m = 1;
	off_t at = 0;

	while (n > 0 && n == m && !atomic_load(stop)) {
		n = pread(a, left, COMPARE_BYTES, at);
		m = pread(b, right, COMPARE_BYTES, at);
		if (n > 0 && n == m && memcmp(left, right, (size_t)n) != 0)
			m = -1;
		at += n;
	}
	free(left);
	free(right);
	return n == 0 && m == 0;
}

static bool output_is_on(const struct output *output, const struct volume *volume)
{
	struct upload_conversion *conversion = output->conversion;
	bool known = false;
	struct stat st;

	for (int i = 1; i <= VOLUME_SUFFIX_MOST && !known; i++) {
		char *path = volume_suffixed(conversion->target, i);
		int fd = volume_open_beneath(volume, path, O_RDONLY, 0);

		if (fd >= 0) {
			known = fstat(fd, &st) == 0 && (uint64_t)st.st_size == conversion->bytes &&
				is_same_file(output->fd, fd, conversion->stop);
			close(fd);
		}
		free(path);
	}
	return known;
}

/*
 * Whether this very recording is there already: from before a crash, or because the upload was made twice. A
 * recording of the same upload is the same to the last byte. It may be on its way to a volume further behind, but then
 * it is there before it is gone here.
 */
static bool output_is_known(const struct output *output)
{
	const struct volume *volume = output->conversion->volume;

	while (volume && !output_is_on(output, volume))
		volume = volume_next(volume);
	return volume;
}

/* Closes the recording as the recorder's are closed, and reads what it says of itself. */
static enum upload_end output_close(struct output *output)
{
	struct upload_conversion *conversion = output->conversion;
	char path[RECORDER_PATH_BYTES];
	int error = segment_close(output->fd, &conversion->bytes);

	if (!error)
		error = segment_scan(output->fd, &conversion->scan);
	if (error)
		return conversion_fail(conversion, "close the recording", error);
	recorder_path(path, sizeof(path), conversion->camera, conversion->scan.start_us);
	conversion->target = xstrdup(path);
	return conversion_end(conversion, output_is_known(output) ? UPLOAD_SAME : UPLOAD_MADE, "");
}

/* When it was recorded: what the container says, the name, or when it was last changed. */
static int64_t conversion_date(struct upload_conversion *conversion,
	const struct upload_input *input, const struct stat *st)
{
	const char *created = upload_input_created(input);
	int64_t now_us = reactor_now_us(), us;

	conversion->dated_by = "the container";
	if (created && upload_time_find(created, now_us, &us))
		return us;
	conversion->dated_by = "its name";
	if (upload_time_find(strrchr(conversion->path, '/') + 1, now_us, &us))
		return us;
	conversion->dated_by = "its last change";
	return st->st_mtim.tv_sec * SECOND_US + st->st_mtim.tv_nsec / 1000;
}

static int output_create(struct output *output)
{
	const struct volume *volume = output->conversion->volume;
	int error = volume_make_folders(volume, UPLOAD_PART);
	struct statvfs st;

	output->fd = error ? error
			   : volume_open_beneath(volume, UPLOAD_PART,
				     O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, FILE_MODE);
	if (output->fd < 0)
		return output->fd;
	/* both are there for a while: that shall not take the last room from live recording */
	if (fstatvfs(output->fd, &st) == 0 &&
		(double)st.f_bavail * (double)st.f_frsize <
			(double)output->conversion->identity.bytes + ROOM_BYTES)
		return -ENOSPC;
	return 0;
}

/* Whether the upload is still what was read. */
static bool is_unchanged(int fd, const struct upload_identity *identity)
{
	struct upload_identity now;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	now = upload_identity_of(&st);
	return upload_identity_equal(&now, identity);
}

static enum upload_end convert_open(struct output *output, int fd, const struct stat *st)
{
	struct upload_conversion *conversion = output->conversion;
	enum upload_end end = upload_input_open(&output->input, fd, conversion->stop);
	int error;

	if (end != UPLOAD_MADE)
		return conversion_end(conversion, end, output->input.why);
	output->start_us = conversion_date(conversion, &output->input, st);
	error = output_create(output);
	if (error)
		return conversion_fail(conversion, "make the recording", error);
	output->piece_us = reactor_monotonic_us();
	end = output_copy(output);
	if (end == UPLOAD_MADE && !is_unchanged(fd, &conversion->identity))
		end = conversion_end(conversion, UPLOAD_NOT_NOW, "");
	return end == UPLOAD_MADE ? output_close(output) : end;
}

/* Pictures come by the thousand: they shall not cost more than a look. */
static bool is_still(int fd)
{
	static const uint8_t start[] = { 0xff, 0xd8, 0xff };
	uint8_t bytes[sizeof(start)];

	return pread(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
	       memcmp(bytes, start, sizeof(bytes)) == 0;
}

void upload_remove_part(const struct volume *volume)
{
	int folder = volume_open_beneath(volume, "recordings/.upload", O_RDONLY | O_DIRECTORY, 0);

	if (folder < 0)
		return;
	(void)unlinkat(folder, strrchr(UPLOAD_PART, '/') + 1, 0);
	close(folder);
}

static void output_fini(struct output *output)
{
	upload_input_close(&output->input);
	output_drop_held(output);
	fragment_builder_free(output->builder);
	fragment_init_unref(&output->init);
	if (output->fd < 0)
		return;
	close(output->fd);
	if (output->conversion->end != UPLOAD_MADE)
		upload_remove_part(output->conversion->volume);
}

static void convert_file(struct output *output, int fd, const struct stat *st)
{
	struct upload_conversion *conversion = output->conversion;

	conversion->still = is_still(fd);
	if (conversion->still)
		(void)conversion_end(conversion, UPLOAD_KEPT, "it is a JPEG picture");
	else
		(void)convert_open(output, fd, st);
}

void upload_convert(struct upload_conversion *conversion)
{
	struct output output = { .conversion = conversion, .fd = -1 };
	struct stat st;
	int fd = upload_open(conversion->volume, conversion->path, &st);

	conversion->end = UPLOAD_NOT_NOW;
	if (fd == -EACCES || fd == -EPERM || fd == -EIO)
		(void)snprintf(conversion->why, sizeof(conversion->why), "cannot be opened: %s",
			strerror(-fd));
	if (fd < 0)
		return; /* or it is no file, gone, or being written */
	conversion->identity = upload_identity_of(&st);
	if (st.st_size > 0 &&
		!upload_memory_has(conversion->memory, conversion->path, &conversion->identity))
		convert_file(&output, fd, &st);
	output_fini(&output);
	close(fd);
}

void upload_conversion_fini(struct upload_conversion *conversion)
{
	free(conversion->target);
	conversion->target = NULL;
	segment_scan_fini(&conversion->scan);
}
