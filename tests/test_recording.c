/* The recorder at work: made-up streams become files, cut where they should be, and rows that agree with them. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>
#include <libavformat/avformat.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "storage/recorder.h"
#include "storage/recorder_queue.h"
#include "tests/store.h"
#include "tests/synthetic.h"

enum {
	SEGMENT_US = 10000000,
	LONGER_THAN_A_FRAGMENT_US = 600000,
	ROWS_MOST = 8,
	FRAME_US = 40000,
	SECOND = 25, /* pictures */
	PICTURE_BYTES = 60
};

static struct stream_track tracks[2];
static struct stream *stream;

/* --- what was recorded --- */

struct row {
	char name[32];
	int64_t id, start_us, end_us;
	uint64_t bytes;
	enum catalogue_state state;
	char codecs[64];
	int width, height;
};
struct rows {
	bool done;
	size_t n;
	struct row rows[ROWS_MOST];
};

/* Time goes by without anybody waiting for it. */
static _Atomic int64_t later_us;

int64_t __real_reactor_monotonic_us(void);
int64_t __wrap_reactor_monotonic_us(void);
int64_t __wrap_reactor_monotonic_us(void)
{
	return __real_reactor_monotonic_us() + later_us;
}

static void on_rows(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct rows *ret = arg;

	assert_int_equal(error, 0);
	assert_true(n <= ROWS_MOST);
	ret->done = true;
	ret->n = n;
	for (size_t i = 0; i < n; i++) {
		struct row *row = &ret->rows[i];

		*row = (struct row){ .id = rows[i].id,
			.start_us = rows[i].start_us,
			.end_us = rows[i].end_us,
			.bytes = rows[i].bytes,
			.state = rows[i].state,
			.width = rows[i].width,
			.height = rows[i].height };
		snprintf(row->codecs, sizeof(row->codecs), "%s", rows[i].codecs);
		snprintf(row->name, sizeof(row->name), "%s", strrchr(rows[i].path, '/') + 1);
	}
}

/* The rows of a camera, by time. */
static struct rows rows_of(const char *camera)
{
	struct rows ret = { 0 };

	assert_non_null(
		catalogue_list(catalogue, camera, 0, INT64_MAX, NULL, ROWS_MOST, on_rows, &ret));
	reactor_wait(&ret.done);
	return ret;
}

/* The same as soon as there are n, all closed. */
static struct rows closed_rows_of(const char *camera, size_t n)
{
	int64_t end = reactor_monotonic_us() + 10000000;

	for (;;) {
		struct rows ret = rows_of(camera);
		size_t closed = 0;

		for (size_t i = 0; i < ret.n; i++)
			closed += ret.rows[i].state == SEGMENT_CLOSED;
		if (closed == n && ret.n == n)
			return ret;
		if (reactor_monotonic_us() > end)
			fail_msg("%zu of %zu are closed", closed, ret.n);
	}
}

struct index {
	bool done;
	size_t n;
	struct catalogue_fragment first, last;
};

static void on_index(void *arg, int error, const struct catalogue_fragment *fragments, size_t n)
{
	struct index *ret = arg;

	assert_int_equal(error, 0);
	ret->done = true;
	ret->n = n;
	ret->first = n ? fragments[0] : (struct catalogue_fragment){ 0 };
	ret->last = n ? fragments[n - 1] : (struct catalogue_fragment){ 0 };
}

static char *path_of(const char *camera, const struct row *row)
{
	return xasprintf("%s/recordings/%s/2026-11-20/%s", folder, camera, row->name);
}

static uint64_t bytes_on_disk(const char *camera, const struct row *row)
{
	char *path = path_of(camera, row);
	struct stat st;
	int missing = stat(path, &st);

	free(path);
	assert_int_equal(missing, 0);
	return (uint64_t)st.st_size;
}

/* Row, index and file say the same. */
static void check_row(const char *camera, const struct row *row)
{
	struct index index = { 0 };

	assert_non_null(catalogue_index(catalogue, row->id, on_index, &index));
	reactor_wait(&index.done);
	assert_true(index.n > 0);
	assert_true(index.first.keyframe);
	assert_true(index.first.start_us == row->start_us);
	assert_true(index.last.start_us + index.last.duration_us == row->end_us);
	/* a closed file's tables are behind its fragments */
	assert_true(index.last.offset + index.last.bytes <= row->bytes);
	assert_true((index.last.offset + index.last.bytes < row->bytes) ==
		    (row->state == SEGMENT_CLOSED));
	assert_true(bytes_on_disk(camera, row) == row->bytes);
	assert_string_equal(row->codecs, "avc1.42c01e,mp4a.40.2");
	assert_int_equal(row->width, 640);
	assert_int_equal(row->height, 360);
}

/* Reads a file with libavformat: pictures [first, first + n) of the stream, from time zero. */
static void check_pictures(const char *camera, const struct row *row, unsigned first, unsigned n)
{
	AVFormatContext *format = avformat_alloc_context();
	AVPacket *packet = av_packet_alloc();
	char *path = path_of(camera, row);
	unsigned seen = 0;

	format->flags |= AVFMT_FLAG_NOPARSE; /* the pictures are made up */
	assert_int_equal(avformat_open_input(&format, path, NULL, NULL), 0);
	assert_int_equal(format->nb_streams, 2);
	while (av_read_frame(format, packet) >= 0) {
		if (packet->stream_index == 0) {
			AVPacket *sent = synthetic_video(first + seen, false, PICTURE_BYTES);

			assert_int_equal(packet->dts, (int64_t)seen * SYNTHETIC_FRAME_90K);
			if (seen++ == 0)
				assert_true(packet->flags & AV_PKT_FLAG_KEY);
			assert_int_equal(packet->size, PICTURE_BYTES);
			assert_memory_equal(packet->data, sent->data, PICTURE_BYTES);
			av_packet_free(&sent);
		}
		av_packet_unref(packet);
	}
	assert_int_equal(seen, n);
	avformat_close_input(&format);
	av_packet_free(&packet);
	free(path);
}

/* --- what is recorded --- */

/* Pictures [from, to) with a keyframe every so many (counted from 0). */
static void publish(unsigned from, unsigned to, unsigned group)
{
	for (unsigned i = from; i < to; i++) {
		AVPacket *packet = synthetic_video(i, i % group == 0, PICTURE_BYTES);

		stream_publish(stream, packet);
		av_packet_free(&packet);
	}
}

struct stopped {
	bool done;
	const char *camera;
	uint64_t bytes; /* of the last file at that instant */
	struct row *last;
};

static void on_stopped(void *arg)
{
	struct stopped *stopped = arg;

	assert_false(stopped->done);
	stopped->done = true;
	if (stopped->last)
		stopped->bytes = bytes_on_disk(stopped->camera, stopped->last);
}

static void stop(struct recorder *recorder)
{
	struct stopped stopped = { 0 };

	recorder_stop(recorder, on_stopped, &stopped);
	assert_false(stopped.done);
	reactor_wait(&stopped.done);
}

static struct recorder *start(const char *camera)
{
	const struct recorder_settings settings = { .segment_us = SEGMENT_US };

	return recorder_new(stream, camera, volume, catalogue, &settings, NULL);
}

static void test_files_are_cut_at_the_keyframe_after_a_boundary(void **state)
{
	static const struct {
		const char *name;
		unsigned first, pictures;
	} expected[] = {
		{"14-30-00+0000.mp4",  0,           12 * SECOND},
		{ "14-30-12+0000.mp4", 12 * SECOND, 9 * SECOND },
		{ "14-30-21+0000.mp4", 21 * SECOND, 2 * SECOND },
	};
	struct recorder *recorder = start("cuts");
	struct rows r;

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(0, 23 * SECOND, 3 * SECOND);
	stream_end(stream);
	stop(recorder);
	r = rows_of("cuts");
	assert_int_equal(r.n, ARRAY_LENGTH(expected));
	for (size_t i = 0; i < r.n; i++) {
		assert_string_equal(r.rows[i].name, expected[i].name);
		assert_true(r.rows[i].start_us ==
			    SYNTHETIC_START_US + (int64_t)expected[i].first * FRAME_US);
		if (i + 1 < r.n) /* nothing is lost between two files */
			assert_true(r.rows[i].end_us == r.rows[i + 1].start_us);
		assert_int_equal(r.rows[i].state, SEGMENT_CLOSED);
		check_row("cuts", &r.rows[i]);
		check_pictures("cuts", &r.rows[i], expected[i].first, expected[i].pictures);
	}
}

/* A keyframe exactly on the boundary belongs to the new file. */
static void test_a_keyframe_on_the_boundary_is_the_first_of_the_next(void **state)
{
	struct recorder *recorder = start("exact");
	struct rows r;

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(0, 11 * SECOND, 5 * SECOND);
	stream_end(stream);
	stop(recorder);
	r = rows_of("exact");
	assert_int_equal(r.n, 2);
	assert_string_equal(r.rows[1].name, "14-30-10+0000.mp4");
	check_pictures("exact", &r.rows[0], 0, 10 * SECOND);
}

static void test_an_open_file_has_a_row_that_grows(void **state)
{
	struct recorder *recorder = start("open");
	struct rows r;
	uint64_t before;
	int64_t end = reactor_monotonic_us() + 10000000;

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(0, SECOND, 100);
	do {
		r = rows_of("open");
		assert_true(reactor_monotonic_us() < end);
	} while (!r.n);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.rows[0].state, SEGMENT_OPEN);
	before = r.rows[0].bytes;
	assert_true(bytes_on_disk("open", &r.rows[0]) >= before); /* the row never runs ahead */
	publish(SECOND, 3 * SECOND, 100);
	do {
		r = rows_of("open");
		assert_true(reactor_monotonic_us() < end);
	} while (r.rows[0].bytes == before);
	assert_true(bytes_on_disk("open", &r.rows[0]) >= r.rows[0].bytes);
	stream_end(stream);
	stop(recorder);
	r = closed_rows_of("open", 1);
	check_row("open", &r.rows[0]);
}

static void test_the_end_of_a_run_closes_the_file(void **state)
{
	struct recorder *recorder = start("end");
	struct rows r;

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(0, 2 * SECOND, SECOND);
	stream_end(stream);
	r = closed_rows_of("end", 1);
	check_row("end", &r.rows[0]);
	check_pictures("end", &r.rows[0], 0, 2 * SECOND);
	stream_begin(stream, tracks, 2); /* it comes back within the second: the name is taken */
	publish(0, 2 * SECOND, SECOND);
	stream_end(stream);
	stream_begin(stream, tracks, 2);
	publish(3 * SECOND, 4 * SECOND, SECOND);
	stop(recorder);
	r = closed_rows_of("end", 3);
	assert_string_equal(r.rows[2].name, "14-30-03+0000.mp4");
	assert_string_equal(r.rows[0].name, "14-30-00+0000.mp4");
	assert_string_equal(r.rows[1].name, "14-30-00+0000_2.mp4");
	check_row("end", &r.rows[1]);
	stream_end(stream);
}

static void test_other_tracks_begin_another_file(void **state)
{
	struct stream_track other[2] = { tracks[0], tracks[1] };
	struct recorder *recorder = start("tracks");
	struct rows r;

	(void)state;
	other[0].parameters = avcodec_parameters_alloc();
	assert_true(avcodec_parameters_copy(other[0].parameters, tracks[0].parameters) >= 0);
	other[0].parameters->width = 320;
	stream_begin(stream, tracks, 2);
	publish(0, 2 * SECOND, SECOND);
	stream_begin(stream, other, 2);
	publish(2 * SECOND, 4 * SECOND, SECOND);
	stream_end(stream);
	stop(recorder);
	r = rows_of("tracks");
	assert_int_equal(r.n, 2);
	assert_int_equal(r.rows[0].width, 640);
	assert_int_equal(r.rows[1].width, 320);
	assert_string_equal(r.rows[1].name, "14-30-02+0000.mp4");
	check_pictures("tracks", &r.rows[0], 0, 2 * SECOND);
	check_pictures("tracks", &r.rows[1], 2 * SECOND, 2 * SECOND);
	avcodec_parameters_free(&other[0].parameters);
}

static void test_recording_begins_with_a_keyframe(void **state)
{
	struct recorder *recorder = start("late");
	struct rows r;

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(1, 4 * SECOND, 2 * SECOND); /* keyframes at 2 s only */
	stream_end(stream);
	stop(recorder);
	r = rows_of("late");
	assert_int_equal(r.n, 1);
	assert_string_equal(r.rows[0].name, "14-30-02+0000.mp4");
	check_pictures("late", &r.rows[0], 2 * SECOND, 2 * SECOND);
}

/* The stream was up before: its current group of pictures is recorded as well. */
static void test_what_the_stream_keeps_is_recorded(void **state)
{
	struct recorder *recorder;
	struct rows r;

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(0, 3 * SECOND, 2 * SECOND);
	recorder = start("kept");
	publish(3 * SECOND, 5 * SECOND, 2 * SECOND);
	stream_end(stream);
	stop(recorder);
	r = rows_of("kept");
	assert_int_equal(r.n, 1);
	assert_string_equal(r.rows[0].name, "14-30-02+0000.mp4");
	check_pictures("kept", &r.rows[0], 2 * SECOND, 3 * SECOND);
}

static void test_stopping_answers_when_all_is_on_disk(void **state)
{
	struct recorder *recorder = start("stop");
	struct row last = { .name = "14-30-00+0000.mp4" };
	struct stopped stopped = { .camera = "stop", .last = &last };
	struct rows r;

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(0, 5 * SECOND, SECOND);
	recorder_stop(recorder, on_stopped, &stopped);
	assert_false(stopped.done);
	publish(5 * SECOND, 6 * SECOND, SECOND); /* nobody listens any more */
	reactor_wait(&stopped.done);
	r = rows_of("stop");
	assert_int_equal(r.n, 1);
	assert_int_equal(r.rows[0].state, SEGMENT_CLOSED);
	assert_true(r.rows[0].bytes == stopped.bytes);
	assert_true(r.rows[0].end_us <= SYNTHETIC_START_US + 5000000);
	check_row("stop", &r.rows[0]);
	stream_end(stream);
}

static void test_stopping_without_a_file_answers_too(void **state)
{
	(void)state;
	stop(start("idle"));
	stream_begin(stream, tracks, 2);
	stop(start("idle"));
	recorder_stop(start("idle"), NULL, NULL);
	assert_int_equal(rows_of("idle").n, 0);
	stream_end(stream);
}

static void test_a_failed_write_is_counted_and_the_rest_agrees(void **state)
{
	struct metric *lost = metric_get(METRIC_RECORDER_LOST, "full", "write_failed");
	double before = metric_value(lost);
	struct rlimit unlimited, small;
	struct recorder *recorder;
	struct rows r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	small = (struct rlimit){ 8000000, unlimited.rlim_max }; /* enough for the catalogue */
	(void)signal(SIGXFSZ, SIG_IGN);
	recorder = start("full");
	stream_begin(stream, tracks, 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (unsigned i = 0; i < 4 * SECOND; i++) {
		AVPacket *packet = synthetic_video(i, i == 0, 200000);

		stream_publish(stream, packet);
		av_packet_free(&packet);
	}
	stream_end(stream);
	stop(recorder);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
	assert_true(metric_value(lost) > before);
	r = closed_rows_of("full", 1);
	assert_true(r.rows[0].bytes > 5000000 && r.rows[0].bytes <= 8000000);
	check_row("full", &r.rows[0]);
}

/* Until log_taken() what goes to stderr is kept in a file. */
static int log_kept(void)
{
	char *path = xasprintf("%s/log", folder);
	int before = dup(STDERR_FILENO), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(before >= 0 && fd >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
	free(path);
	return before;
}

static unsigned log_taken(int before, char *ret, size_t size)
{
	ssize_t n = pread(STDERR_FILENO, ret, size - 1, 0);
	unsigned lines = 0;

	assert_true(dup2(before, STDERR_FILENO) >= 0);
	close(before);
	assert_true(n >= 0);
	ret[n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		lines += ret[i] == '\n';
	return lines;
}

static void test_a_file_that_cannot_be_made_is_said_once(void **state)
{
	char *path = xasprintf("%s/recordings/blocked", folder), said[1024];
	struct recorder *recorder = start("blocked");
	int fd = open(path, O_WRONLY | O_CREAT, 0600), before; /* where the folder should be */
	unsigned lines;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	before = log_kept();
	stream_begin(stream, tracks, 2);
	publish(0, 5 * SECOND, SECOND);
	stream_end(stream);
	stop(recorder);
	lines = log_taken(before, said, sizeof(said));
	if (lines != 1 || !strstr(said, "cannot open a recording: Not a directory"))
		fail_msg("%s", said);
	assert_int_equal(rows_of("blocked").n, 0);
	free(path);
}

/* --- events --- */

static struct recorder *start_for_events(const char *camera, int64_t pre_us, int64_t post_us)
{
	const struct recorder_settings settings = {
		.segment_us = SEGMENT_US,
		.events_only = true,
		.pre_us = pre_us,
		.post_us = post_us,
	};

	return recorder_new(stream, camera, volume, catalogue, &settings, NULL);
}

/* All that is held is of now: pictures come as fast as the test gives them. */
static void test_an_event_is_recorded_from_before_it_to_after_it(void **state)
{
	struct recorder *recorder = start_for_events("event", 60000000, 1);
	struct rows r;

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(0, 12 * SECOND, 2 * SECOND);
	assert_int_equal(rows_of("event").n, 0);
	recorder_trigger(recorder, 0);
	/* a fragment begins its length before it is whole: that of 13 s is still of before the trigger */
	publish(12 * SECOND, 15 * SECOND, 2 * SECOND);
	later_us += LONGER_THAN_A_FRAGMENT_US;
	publish(15 * SECOND, 19 * SECOND,
		2 * SECOND); /* the group that begins at 16 s is of after it */
	r = closed_rows_of("event", 1);
	assert_string_equal(
		r.rows[0].name, "14-30-00+0000.mp4"); /* one file, though a boundary is in it */
	check_row("event", &r.rows[0]);
	check_pictures("event", &r.rows[0], 0, 16 * SECOND);
	recorder_trigger(recorder, 0); /* goes on where the other one ended */
	stream_end(stream);
	stop(recorder);
	r = closed_rows_of("event", 2);
	assert_true(r.rows[0].end_us == r.rows[1].start_us);
	check_pictures("event", &r.rows[1], 16 * SECOND, 3 * SECOND);
}

static void test_what_is_too_old_for_an_event_is_not_held(void **state)
{
	struct recorder *recorder = start_for_events("held", 0, 1000000);
	struct metric *held = metric_get(METRIC_RECORDER_QUEUE_BYTES, "held");
	struct rows r;

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(0, 7 * SECOND, 2 * SECOND);
	assert_true(metric_value(held) > 0);
	publish(7 * SECOND, 8 * SECOND, 2 * SECOND);
	recorder_trigger(recorder, 0);
	stream_end(stream);
	stop(recorder);
	assert_true(metric_value(held) == 0);
	r = closed_rows_of("held", 1);
	assert_string_equal(r.rows[0].name, "14-30-06+0000.mp4");
	check_pictures("held", &r.rows[0], 6 * SECOND, 2 * SECOND);
}

static void test_without_an_event_nothing_is_recorded(void **state)
{
	struct recorder *recorder = start_for_events("calm", 60000000, 1000000);

	(void)state;
	stream_begin(stream, tracks, 2);
	publish(0, 7 * SECOND, 2 * SECOND);
	stream_end(stream);
	stop(recorder);
	assert_int_equal(rows_of("calm").n, 0);
}

/* --- the limit of what waits --- */

static void test_a_full_queue_loses_whole_groups_and_the_gap_is_exact(void **state)
{
	struct metric *lost = metric_get(METRIC_RECORDER_LOST, "slow", "queue_full");
	struct metric *missing = metric_get(METRIC_RECORDER_MISSING, "slow", "disk");
	struct recorder *recorder = start("slow");
	struct rows r;

	(void)state;
	stream_begin(stream, tracks, 2);
	/* the volume takes 1 MiB at once; its answers come with the next turn of the loop */
	for (unsigned i = 0; i < 9 * SECOND; i++) {
		AVPacket *packet = synthetic_video(i, i % SECOND == 0, 20000);

		if (i == 5 * SECOND)
			recorder_queue_limit(3000000);
		stream_publish(stream, packet);
		av_packet_free(&packet);
	}
	stream_end(stream);
	stop(recorder);
	recorder_queue_limit(64 << 20);
	r = closed_rows_of("slow", 2);
	check_row("slow", &r.rows[0]);
	check_row("slow", &r.rows[1]);
	assert_true(r.rows[1].end_us == SYNTHETIC_START_US + 9000000); /* the newest is there */
	assert_true(metric_value(lost) > 0);
	/* whole seconds, as the groups: all but what the two files have */
	assert_true((r.rows[1].start_us - SYNTHETIC_START_US) % 1000000 == 0);
	assert_true(metric_value(missing) == (double)(r.rows[1].start_us - r.rows[0].end_us) / 1e6);
}

/* --- a disk that hangs --- */

static void ignore_open(void *arg, int error, const char *path)
{
	(void)arg, (void)error, (void)path;
}

static void ignore_append(void *arg, int error, uint64_t offset, uint64_t bytes)
{
	(void)arg, (void)error, (void)offset, (void)bytes;
}

static void count_close(void *arg, int error, uint64_t bytes)
{
	unsigned *closed = arg;

	(void)error;
	assert_int_equal(bytes, 0);
	++*closed;
}

/* While the queue is full of small jobs no file is made, so that each that was made can be closed. */
static void test_closing_is_never_refused(void **state)
{
	static const struct volume_file_events events = { ignore_open, ignore_append, count_close };
	unsigned made = 0, closed = 0;
	int64_t end = reactor_monotonic_us() + 10000000;
	struct volume_file *file;

	(void)state;
	while ((file = volume_create(volume, "../x", &events, &closed))) {
		made++;
		if (volume_append_bytes(file, "x", 1) < 0)
			assert_true(made > 1000);
		volume_file_close(file);
	}
	assert_true(made > 1000);
	while (closed < made) {
		assert_true(reactor_monotonic_us() < end);
		event_base_loop(reactor_base(), EVLOOP_ONCE);
	}
}

/* --- boundaries in the nights when the clock is changed --- */

static void test_boundaries_when_the_clock_is_changed(void **state)
{
	static const struct {
		const char *zone;
		int64_t start_s, segment_s, boundary_s;
	} cases[] = {
  // clang-format off
		/* 2026-10-25, back at 3:00: the day has 25 hours, the hour from 2 to 3 stays two hours */
		{ "Europe/Berlin",       1792879800, 86400, 1792969200 }, /*  0:10       -> 0:00 */
		{ "Europe/Berlin",       1792888200, 3600,  1792890000 }, /*  2:30+02    -> 2:00+01 */
		{ "Europe/Berlin",       1792890000, 3600,  1792893600 }, /*  2:00+01    -> 3:00 */
		{ "Europe/Berlin",       1792888200, 600,   1792888800 }, /*  2:30+02    -> 2:40+02 */
		{ "Europe/Berlin",       1792889700, 600,   1792890000 }, /*  2:55+02    -> 2:00+01 */
		{ "Europe/Berlin",       1792888200, 21600, 1792904400 }, /*  2:30+02    -> 6:00 */
		/* 2026-03-29, forward at 2:00: 23 hours */
		{ "Europe/Berlin",       1774739400, 86400, 1774821600 }, /*  0:10       -> 0:00 */
		{ "Europe/Berlin",       1774744200, 3600,  1774746000 }, /*  1:30       -> 3:00 */
		{ "Europe/Berlin",       1774740600, 7200,  1774746000 }, /*  0:30       -> 3:00, there is no 2:00 */
		{ "Europe/Berlin",       1774744200, 21600, 1774756800 }, /*  1:30       -> 6:00 */
		/* 2026-09-06 has no midnight, 2026-04-04 has it twice */
		{ "America/Santiago",    1788616800, 86400, 1788667200 }, /* 10:00       -> 1:00 */
		{ "America/Santiago",    1775307600, 86400, 1775361600 }, /* 10:00       -> 0:00-04 */
		/* 2026-04-05, back by half an hour at 2:00 */
		{ "Australia/Lord_Howe", 1775313600, 3600,  1775316600 }, /*  1:40+11    -> 2:00+1030 */
  // clang-format on
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		int64_t boundary_us;

		(void)setenv("TZ", cases[i].zone, 1);
		tzset();
		boundary_us =
			recorder_boundary(cases[i].start_s * 1000000, cases[i].segment_s * 1000000);
		if (boundary_us != cases[i].boundary_s * 1000000)
			fail_msg("%s: %lld is %+lld s off", cases[i].zone,
				(long long)cases[i].start_s,
				(long long)(boundary_us / 1000000 - cases[i].boundary_s));
	}
	(void)setenv("TZ", "UTC", 1);
	tzset();
}

static int setup(void **state)
{
	(void)state;
	(void)setenv("TZ", "UTC", 1);
	tzset();
	store_open(60000000);
	synthetic_tracks(tracks);
	stream = stream_new("porch");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stream_free(stream);
	synthetic_tracks_free(tracks);
	store_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_are_cut_at_the_keyframe_after_a_boundary),
		cmocka_unit_test(test_a_keyframe_on_the_boundary_is_the_first_of_the_next),
		cmocka_unit_test(test_an_open_file_has_a_row_that_grows),
		cmocka_unit_test(test_the_end_of_a_run_closes_the_file),
		cmocka_unit_test(test_other_tracks_begin_another_file),
		cmocka_unit_test(test_recording_begins_with_a_keyframe),
		cmocka_unit_test(test_what_the_stream_keeps_is_recorded),
		cmocka_unit_test(test_stopping_answers_when_all_is_on_disk),
		cmocka_unit_test(test_stopping_without_a_file_answers_too),
		cmocka_unit_test(test_a_failed_write_is_counted_and_the_rest_agrees),
		cmocka_unit_test(test_a_file_that_cannot_be_made_is_said_once),
		cmocka_unit_test(test_an_event_is_recorded_from_before_it_to_after_it),
		cmocka_unit_test(test_what_is_too_old_for_an_event_is_not_held),
		cmocka_unit_test(test_without_an_event_nothing_is_recorded),
		cmocka_unit_test(test_a_full_queue_loses_whole_groups_and_the_gap_is_exact),
		cmocka_unit_test(test_closing_is_never_refused),
		cmocka_unit_test(test_boundaries_when_the_clock_is_changed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
