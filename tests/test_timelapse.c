/* Time-lapses: made-up streams become a film of each day, and rows that say what real time it is of. */
#include "storage/timelapse.h"

#include <errno.h>
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
#include <unistd.h>

#include <cmocka.h>
#include <libavformat/avformat.h>
#include <sqlite3.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/recovery.h"
#include "storage/redate.h"
#include "storage/segment.h"
#include "storage/timelapse_picture.h"
#include "tests/reactor_until.h"
#include "tests/store.h"
#include "tests/synthetic.h"

enum {
	ROWS_MOST = 8,
	DELIMITER_BYTES = 6,
	FPS = 25,
	FRAME_US = 1000000 / FPS,
	FRAME_90K = 90000 / FPS
};

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define START SYNTHETIC_START_US
#define DAY "recordings/porch/2026-11-20/"

static struct stream_track tracks[2];
static struct stream *stream;
static struct timelapse *timelapse;
static const char *camera = "porch";
static size_t picture_bytes;

/* --- clocks --- */

static int64_t correction_says_us, now_says_us;
static bool is_confirmed;
static int64_t hurry = 1; /* timers are so much shorter */

int64_t __wrap_wall_clock_correction_us(void);
bool __wrap_wall_clock_left(int64_t correction_us);
bool __wrap_wall_clock_confirms(int64_t correction_us);
int64_t __real_reactor_now_us(void);
int64_t __wrap_reactor_now_us(void);
void __real_reactor_timer_start(struct event *timer, int64_t after_us);
void __wrap_reactor_timer_start(struct event *timer, int64_t after_us);

int64_t __wrap_wall_clock_correction_us(void)
{
	return correction_says_us;
}

bool __wrap_wall_clock_left(int64_t correction_us)
{
	return correction_us != correction_says_us;
}

bool __wrap_wall_clock_confirms(int64_t correction_us)
{
	return is_confirmed && correction_us == correction_says_us;
}

int64_t __wrap_reactor_now_us(void)
{
	return now_says_us ? now_says_us : __real_reactor_now_us();
}

void __wrap_reactor_timer_start(struct event *timer, int64_t after_us)
{
	__real_reactor_timer_start(timer, after_us / hurry);
}

static void in_zone(const char *zone)
{
	(void)setenv("TZ", zone, 1);
	tzset();
}

/* --- what was made --- */

struct row {
	int64_t id, start_us, end_us, boot_us;
	uint64_t bytes;
	enum catalogue_state state;
	char path[96], stream[16], codecs[32];
	int width;
};
struct rows {
	bool done;
	size_t n;
	struct row rows[ROWS_MOST];
};

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
			.boot_us = rows[i].boot_us,
			.bytes = rows[i].bytes,
			.state = rows[i].state,
			.width = rows[i].width };
		snprintf(row->path, sizeof(row->path), "%s", rows[i].path);
		snprintf(row->stream, sizeof(row->stream), "%s", rows[i].stream);
		snprintf(row->codecs, sizeof(row->codecs), "%s", rows[i].codecs);
	}
}

static struct rows rows_of_day(const char *day)
{
	struct rows ret = { 0 };

	assert_non_null(catalogue_list_folder(catalogue, day, NULL, ROWS_MOST, on_rows, &ret));
	reactor_wait(&ret.done);
	return ret;
}

static struct rows rows_of_the_day(void)
{
	return rows_of_day("recordings/porch/2026-11-20");
}

struct index {
	bool done;
	size_t n;
	struct catalogue_fragment fragments[64];
};

static void on_index(void *arg, int error, const struct catalogue_fragment *fragments, size_t n)
{
	struct index *ret = arg;

	assert_int_equal(error, 0);
	assert_true(n <= ARRAY_LENGTH(ret->fragments));
	ret->done = true;
	ret->n = n;
	if (n)
		memcpy(ret->fragments, fragments, n * sizeof(*fragments));
}

static struct index index_of(int64_t id)
{
	struct index ret = { 0 };

	assert_non_null(catalogue_index(catalogue, id, on_index, &ret));
	reactor_wait(&ret.done);
	return ret;
}

static int open_file(const char *path, int flags)
{
	char *whole = xasprintf("%s/%s", folder, path);
	int fd = open(whole, flags, 0600);

	free(whole);
	return fd;
}

static uint64_t bytes_on_disk(const char *path)
{
	int fd = open_file(path, O_RDONLY);
	struct stat st;

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	return (uint64_t)st.st_size;
}

static void copy_file(const char *from, const char *to)
{
	int in = open_file(from, O_RDONLY), out = open_file(to, O_WRONLY | O_CREAT | O_EXCL);
	uint8_t p[65536];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, p, sizeof(p))) > 0)
		assert_int_equal(write(out, p, (size_t)n), n);
	close(in);
	close(out);
}

/* --- what it is made of --- */

/* An H.264 picture of that instant in media time: one NAL unit, of which the first bytes say when. */
static AVPacket *picture(int64_t media_us, uint8_t nal_header, bool key)
{
	AVPacket *packet = av_packet_alloc();
	size_t n = picture_bytes - 4;

	assert_int_equal(av_new_packet(packet, (int)picture_bytes), 0);
	memset(packet->data, 0x5a, picture_bytes);
	memcpy(packet->data,
		(uint8_t[]){ 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, nal_header }, 5);
	memcpy(packet->data + 5, &media_us, sizeof(media_us));
	packet->pts = media_us / 100 * 9;
	packet->dts = packet->pts - 2 * SYNTHETIC_FRAME_90K; /* it is shown later */
	packet->flags = key ? AV_PKT_FLAG_KEY : 0;
	return packet;
}

static void publish(int64_t media_us, bool key)
{
	AVPacket *packet = picture(media_us, key ? 0x65 : 0x41, key);

	stream_publish(stream, packet);
	av_packet_free(&packet);
}

/* A keyframe, and waits until it is in a file, or not. */
static void publish_key(int64_t media_us)
{
	struct metric *written = metric_get(METRIC_TIMELAPSE_PICTURES, camera, "written");
	struct metric *failed = metric_get(METRIC_TIMELAPSE_PICTURES, camera, "failed");
	double before = metric_value(written) + metric_value(failed);

	publish(media_us, true);
	REACTOR_UNTIL(metric_value(written) + metric_value(failed) > before);
}

static double pictures(const char *result)
{
	return metric_value(metric_get(METRIC_TIMELAPSE_PICTURES, camera, result));
}

static const struct timelapse_settings usual = { .every_us = 10 * SECOND, .fps = FPS };

static void start_with(const struct timelapse_settings *settings)
{
	timelapse = timelapse_new(stream, camera, volume, catalogue, settings, NULL);
}

static void start(void)
{
	start_with(&usual);
	stream_begin(stream, tracks, 2);
}

static void on_stopped(void *arg)
{
	*(bool *)arg = true;
}

static void stop(void)
{
	bool stopped = false;

	timelapse_stop(timelapse, on_stopped, &stopped);
	reactor_wait(&stopped);
	stream_end(stream);
}

/* --- checks --- */

/* Reads a film with libavformat: pictures of these instants of a clock that was so much ahead. */
static void check_film(const char *path, const int64_t *taken_us, size_t n, int64_t ahead_us)
{
	AVFormatContext *format = avformat_alloc_context();
	AVPacket *packet = av_packet_alloc();
	char *whole = xasprintf("%s/%s", folder, path);
	size_t seen = 0;

	format->flags |= AVFMT_FLAG_NOPARSE; /* the pictures are made up */
	if (avformat_open_input(&format, whole, NULL, NULL))
		fail_msg("%s cannot be opened", path);
	assert_int_equal(format->nb_streams, 1);
	while (av_read_frame(format, packet) >= 0) {
		int64_t media_us = seen < n ? taken_us[seen] - ahead_us : -1;

		assert_int_equal(packet->pts, (int64_t)seen * FRAME_90K);
		assert_int_equal(packet->dts, packet->pts);
		assert_true(packet->flags & AV_PKT_FLAG_KEY);
		assert_int_equal(packet->size, (int)(DELIMITER_BYTES + picture_bytes));
		assert_memory_equal(
			packet->data + DELIMITER_BYTES + 5, &media_us, sizeof(media_us));
		seen++;
		av_packet_unref(packet);
	}
	assert_int_equal(seen, n);
	avformat_close_input(&format);
	av_packet_free(&packet);
	free(whole);
}

/* Row, index, and what the file says of itself. */
static void check_row(const struct row *row, const int64_t *taken_us, size_t n)
{
	struct index index = index_of(row->id);
	int fd = open_file(row->path, O_RDONLY);
	struct segment_scan scan;

	assert_string_equal(row->stream, CATALOGUE_TIMELAPSE);
	assert_string_equal(row->codecs, "avc1.42c01e");
	assert_int_equal(row->state, SEGMENT_CLOSED);
	assert_true(row->bytes == bytes_on_disk(row->path));
	assert_true(row->start_us == taken_us[0]);
	assert_true(row->end_us == taken_us[n - 1] + FRAME_US);
	assert_int_equal(segment_scan(fd, &scan), 0);
	close(fd);
	assert_true(scan.timelapse && scan.closed);
	assert_true(scan.start_us == row->start_us && scan.end_us == row->end_us);
	assert_int_equal(scan.n, n);
	assert_int_equal(index.n, n);
	for (size_t i = 0; i < n; i++) {
		const struct catalogue_fragment *a = &index.fragments[i], *b = &scan.fragments[i];

		assert_true(a->start_us == taken_us[i] && b->start_us == taken_us[i]);
		assert_int_equal(a->duration_us, FRAME_US);
		assert_int_equal(b->duration_us, FRAME_US);
		assert_true(a->keyframe && b->keyframe);
		assert_true(a->offset == b->offset && a->bytes == b->bytes);
	}
	segment_scan_fini(&scan);
}

static void check_ahead(const char *path, const int64_t *taken_us, size_t n, int64_t ahead_us)
{
	struct rows rows = { 0 };

	assert_non_null(catalogue_find(catalogue, path, on_rows, &rows));
	reactor_wait(&rows.done);
	if (!rows.n)
		fail_msg("%s has no row", path);
	check_row(&rows.rows[0], taken_us, n);
	check_film(path, taken_us, n, ahead_us);
}

static void check(const char *path, const int64_t *taken_us, size_t n)
{
	check_ahead(path, taken_us, n, 0);
}

/* --- which pictures --- */

static void test_keyframes_so_far_apart_become_a_film(void **state)
{
	static const int64_t taken[] = { START, START + 12 * SECOND, START + 24 * SECOND };

	(void)state;
	start();
	for (int64_t s = 0; s < 30; s++) { /* a keyframe each 4 s: the first that is 10 s later */
		if (s == 0 || s == 12 || s == 24)
			publish_key(START + s * SECOND);
		else
			publish(START + s * SECOND, s % 4 == 0);
	}
	stop();
	assert_int_equal(rows_of_the_day().n, 1);
	check(DAY "timelapse.mp4", taken, ARRAY_LENGTH(taken));
}

/* The clock of a camera is steered by up to 500 ppm: what is meant to be 10 s may be a little less. */
static void test_a_keyframe_a_little_early_is_taken(void **state)
{
	static const int64_t taken[] = { START, START + 9985 * 1000, START + 19975 * 1000 };

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_LENGTH(taken); i++)
		publish_key(taken[i]);
	publish(taken[2] + 9960 * 1000, true); /* too early */
	stop();
	check(DAY "timelapse.mp4", taken, ARRAY_LENGTH(taken));
}

/* A picture that needs others is none of a film of keyframes: here, of a gradual refresh. */
static void test_only_what_stands_alone_is_taken(void **state)
{
	static const int64_t taken[] = { START + 2 * SECOND };
	AVPacket *packet = picture(START, 0x41, true);

	(void)state;
	start();
	stream_publish(stream, packet);
	av_packet_free(&packet);
	publish_key(taken[0]);
	stop();
	check(DAY "timelapse.mp4", taken, 1);
}

static void test_without_pictures_there_is_no_film(void **state)
{
	AVPacket *packet;

	(void)state;
	start_with(&usual);
	stream_begin(stream, &tracks[1], 1);
	packet = synthetic_audio(0, picture_bytes);
	packet->stream_index = 0;
	stream_publish(stream, packet);
	av_packet_free(&packet);
	stop();
	assert_int_equal(rows_of_the_day().n, 0);
}

static void test_pictures_of_motion_jpeg_are_as_they_were(void **state)
{
	struct stream_track jpeg = tracks[0];
	AVPacket *packet = synthetic_video(0, true, picture_bytes);
	struct rows r;

	(void)state;
	jpeg.parameters = avcodec_parameters_alloc();
	jpeg.parameters->codec_type = AVMEDIA_TYPE_VIDEO;
	jpeg.parameters->codec_id = AV_CODEC_ID_MJPEG;
	jpeg.parameters->width = 320;
	jpeg.parameters->height = 180;
	start_with(&usual);
	stream_begin(stream, &jpeg, 1);
	stream_publish(stream, packet);
	stop();
	r = rows_of_the_day();
	assert_int_equal(r.n, 1);
	assert_int_equal(r.rows[0].width, 320);
	assert_true(r.rows[0].bytes > picture_bytes);
	av_packet_free(&packet);
	avcodec_parameters_free(&jpeg.parameters);
}

/* --- files --- */

static void test_each_local_day_has_its_file(void **state)
{
	static const struct {
		const char *camera, *zone;
		int64_t first_s, last_s,
			next_s; /* the last one of the day, the first of the next */
		const char *day, *next;
	} cases[] = {
  // clang-format off
		{ "a", "UTC",              1795185000, 1795219199, 1795219200, "2026-11-20", "2026-11-21" },
		{ "b", "Asia/Kolkata",     1795185000, 1795199399, 1795199400, "2026-11-20", "2026-11-21" },
		/* the clock is changed: days of 25 and of 23 hours, one without a midnight */
		{ "c", "Europe/Berlin",    1792879800, 1792969199, 1792969200, "2026-10-25", "2026-10-26" },
		{ "d", "Europe/Berlin",    1774739400, 1774821599, 1774821600, "2026-03-29", "2026-03-30" },
		{ "e", "America/Santiago", 1788616800, 1788667199, 1788667200, "2026-09-05", "2026-09-06" },
  // clang-format on
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		int64_t day[] = { cases[i].first_s * SECOND, cases[i].last_s * SECOND };
		int64_t next[] = { (cases[i].next_s + 9) * SECOND };
		char path[96];

		in_zone(cases[i].zone);
		camera = cases[i].camera;
		start();
		publish_key(day[0]);
		publish_key(day[1]);
		publish(cases[i].next_s * SECOND, true); /* of the next day, but too soon */
		publish_key(next[0]);
		stop();
		snprintf(
			path, sizeof(path), "recordings/%s/%s/timelapse.mp4", camera, cases[i].day);
		check(path, day, 2);
		snprintf(path, sizeof(path), "recordings/%s/%s/timelapse.mp4", camera,
			cases[i].next);
		check(path, next, 1);
	}
}

static void test_other_parameters_begin_another_file(void **state)
{
	static const int64_t first[] = { START, START + 10 * SECOND, START + 20 * SECOND };
	static const int64_t second[] = { START + 30 * SECOND };
	struct stream_track other[2] = { tracks[0], tracks[1] };

	(void)state;
	other[0].parameters = avcodec_parameters_alloc();
	assert_true(avcodec_parameters_copy(other[0].parameters, tracks[0].parameters) >= 0);
	other[0].parameters->width = 320;
	start();
	publish_key(first[0]);
	stream_end(stream); /* the camera is lost, and comes back */
	stream_begin(stream, tracks, 2);
	publish_key(first[1]);
	stream_begin(stream, tracks, 1); /* sound makes no difference */
	publish_key(first[2]);
	stream_begin(stream, other, 2);
	publish_key(second[0]);
	stop();
	check(DAY "timelapse.mp4", first, ARRAY_LENGTH(first));
	check(DAY "timelapse_2.mp4", second, ARRAY_LENGTH(second));
	assert_int_equal(rows_of_the_day().rows[0].width, 640);
	assert_int_equal(rows_of_the_day().rows[1].width, 320);
	avcodec_parameters_free(&other[0].parameters);
}

static void test_other_settings_apply(void **state)
{
	static const int64_t first[] = { START, START + 5 * SECOND };
	static const int64_t second[] = { START + 10 * SECOND };
	struct timelapse_settings other = { .every_us = 5 * SECOND, .fps = FPS };
	AVFormatContext *format = NULL;
	char *whole = xasprintf("%s/" DAY "timelapse_2.mp4", folder);

	(void)state;
	start();
	publish_key(first[0]);
	timelapse_apply(timelapse, &other);
	publish_key(first[1]);
	other.fps = 2;
	timelapse_apply(timelapse, &other);
	publish_key(second[0]);
	stop();
	check(DAY "timelapse.mp4", first, ARRAY_LENGTH(first));
	assert_int_equal(avformat_open_input(&format, whole, NULL, NULL), 0);
	assert_int_equal(format->duration, SECOND / 2);
	avformat_close_input(&format);
	free(whole);
}

static void test_after_a_restart_another_file_follows(void **state)
{
	static const int64_t first[] = { START }, second[] = { START + SECOND };

	(void)state;
	start();
	publish_key(first[0]);
	stop();
	start();
	publish_key(second[0]);
	stop();
	check(DAY "timelapse.mp4", first, 1);
	check(DAY "timelapse_2.mp4", second, 1);
}

/* The camera is away at midnight: its film is closed nevertheless, but not before a late picture had its time. */
static void test_a_file_is_closed_when_its_day_is_over(void **state)
{
	static const int64_t midnight = INT64_C(1795219200) * SECOND;
	static const int64_t taken[] = { START };
	int64_t seen_us = reactor_monotonic_us() + SECOND / 5;

	(void)state;
	hurry = 1000;
	now_says_us = midnight + 59 * SECOND;
	start();
	publish_key(START);
	REACTOR_UNTIL(reactor_monotonic_us() > seen_us);
	assert_int_equal(rows_of_the_day().rows[0].state, SEGMENT_OPEN);
	now_says_us = midnight + 61 * SECOND;
	REACTOR_UNTIL(rows_of_the_day().rows[0].state == SEGMENT_CLOSED);
	check(DAY "timelapse.mp4", taken, 1);
	stop();
}

/* --- who is told --- */

static void test_it_is_in_the_tree_and_no_footage(void **state)
{
	struct rows listed = { 0 }, newest = { 0 }, in_folder;

	(void)state;
	start();
	publish_key(START);
	stop();
	assert_non_null(catalogue_list(
		catalogue, "porch", 0, INT64_MAX, NULL, ROWS_MOST, on_rows, &listed));
	reactor_wait(&listed.done);
	assert_int_equal(listed.n, 0);
	assert_non_null(catalogue_newest(catalogue, "porch", on_rows, &newest));
	reactor_wait(&newest.done);
	assert_int_equal(newest.n, 0);
	in_folder = rows_of_the_day();
	assert_int_equal(in_folder.n, 1);
	assert_string_equal(in_folder.rows[0].path, DAY "timelapse.mp4");
}

/* Films may be kept for years: what is missing of before the first footage is forgotten nevertheless. */
static void test_gaps_are_those_of_footage(void **state)
{
	char *file = xasprintf("%s/nvrd.db", folder),
	     path[] = "recordings/porch/2026-11-20/15-30-00+0000.mp4", name[] = "porch",
	     main_stream[] = "main", codecs[] = "";
	struct catalogue_segment footage = { .camera = name,
		.stream = main_stream,
		.path = path,
		.codecs = codecs,
		.start_us = START + HOUR };
	sqlite3_stmt *count = NULL;
	sqlite3 *db = NULL;
	int64_t id;

	(void)state;
	start();
	publish_key(START);
	stop();
	assert_int_equal(catalogue_add(catalogue, &footage, &id), 0);
	catalogue_add_gap(catalogue, "porch", START + 10 * SECOND, START + 20 * SECOND, "camera");
	catalogue_add_gap(catalogue, "porch", START + 2 * HOUR, START + 3 * HOUR, "camera");
	assert_int_equal(rows_of_the_day().n, 1); /* after them */
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db, "SELECT count(*) FROM gaps", -1, &count, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(count), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(count, 0), 1);
	sqlite3_finalize(count);
	sqlite3_close(db);
	free(file);
}

/* --- an open file --- */

/* What a crash leaves plays; recovery closes it and knows what it is by the file alone. */
static void test_a_file_that_was_cut_off_is_a_film_too(void **state)
{
	static const int64_t taken[] = { START, START + 11 * SECOND, START + 1000 * SECOND };
	struct recovery_counts counts;

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_LENGTH(taken); i++)
		publish_key(taken[i]);
	copy_file(DAY "timelapse.mp4", DAY "timelapse_7.mp4");
	copy_file(DAY "timelapse.mp4", DAY "timelapse.mp4.part");
	check_film(DAY "timelapse_7.mp4", taken, ARRAY_LENGTH(taken), 0);
	stop();
	counts = store_recover();
	assert_int_equal(counts.adopted, 1);
	assert_int_equal(counts.closed, 1);
	assert_int_equal(counts.corrected + counts.forgotten, 0);
	check(DAY "timelapse_7.mp4", taken, ARRAY_LENGTH(taken));
	/* closed by walking over it: the same but for the width of offsets */
	assert_int_equal(bytes_on_disk(DAY "timelapse.mp4") - bytes_on_disk(DAY "timelapse_7.mp4"),
		4 * ARRAY_LENGTH(taken));
}

static void test_one_picture_waits_for_the_disk(void **state)
{
	static const int64_t taken[] = { START, START + 30 * SECOND };

	(void)state;
	start();
	publish(taken[0], true);
	publish(START + 10 * SECOND, true); /* the loop did not turn: no answer came */
	publish(START + 20 * SECOND, true);
	assert_true(pictures("late") == 2);
	REACTOR_UNTIL(pictures("written") == 1);
	publish(taken[1], true);
	stop(); /* waits for it */
	check(DAY "timelapse.mp4", taken, ARRAY_LENGTH(taken));
}

static void test_after_a_failed_write_another_file_follows(void **state)
{
	static const int64_t first[] = { START }, second[] = { START + 20 * SECOND };
	struct rlimit unlimited, small;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	picture_bytes = 3000000; /* what the catalogue writes is less */
	start();
	publish_key(first[0]);
	small = (struct rlimit){ 5000000, unlimited.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	publish_key(START + 10 * SECOND);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
	assert_true(pictures("failed") == 1);
	publish_key(second[0]);
	stop();
	check(DAY "timelapse_2.mp4", second, 1);
	check_film(DAY "timelapse.mp4", first, 1, 0);
}

static void test_a_file_that_cannot_be_made_ends_nothing(void **state)
{
	static const int64_t taken[] = { START + 10 * SECOND };
	char *blocked = xasprintf("%s/recordings/porch", folder);
	int fd = open_file("recordings/porch", O_WRONLY | O_CREAT);

	(void)state;
	close(fd);
	start();
	publish_key(START);
	assert_true(pictures("failed") == 1);
	assert_int_equal(unlink(blocked), 0);
	publish_key(taken[0]);
	stop();
	check(DAY "timelapse.mp4", taken, 1);
	free(blocked);
}

/* --- the machine's clock --- */

static void step(int64_t correction_us)
{
	correction_says_us = correction_us;
	stream_begin(stream, tracks, 2);
}

static void test_a_step_of_the_clock_begins_another_file(void **state)
{
	static const int64_t first[] = { START }, back[] = { START + 10 * SECOND - HOUR,
		START + 20 * SECOND - HOUR + SECOND / 2 };
	static const int64_t yesterday[] = { START + 30 * SECOND - 24 * HOUR };
	struct rows r;

	(void)state;
	start();
	publish_key(START);
	step(-HOUR);
	publish(START + 9 * SECOND, true); /* real time goes on: it is too soon */
	publish_key(START + 10 * SECOND);
	step(-HOUR + SECOND / 2); /* that is none: the file goes on */
	publish_key(START + 20 * SECOND);
	step(-24 * HOUR);
	publish_key(START + 30 * SECOND);
	stop();
	check(DAY "timelapse.mp4", first, 1);
	r = rows_of_the_day();
	assert_string_equal(r.rows[1].path, DAY "timelapse_2.mp4");
	check_row(&r.rows[1], back, 2);
	check_ahead("recordings/porch/2026-11-19/timelapse.mp4", yesterday, 1, -24 * HOUR);
}

/* Before anybody has set the clock it is marked, as recordings are; then it gets its true time and day. */
static void test_what_was_made_before_the_clock_was_set_is_redated(void **state)
{
	static const int64_t undated[] = { START, START + 10 * SECOND };
	static const int64_t dated[] = { START + 20 * SECOND + 24 * HOUR };
	static const int64_t redated[] = { START + 24 * HOUR, START + 10 * SECOND + 24 * HOUR };
	struct redate *redate = redate_new(volume, catalogue);
	struct rows r;

	(void)state;
	is_confirmed = false;
	start();
	publish_key(undated[0]);
	publish_key(undated[1]);
	is_confirmed = true;
	step(24 * HOUR);
	publish_key(START + 20 * SECOND);
	stop();
	assert_true(rows_of_the_day().rows[0].boot_us != 0);
	check(DAY "timelapse.mp4", undated, 2);
	check_ahead("recordings/porch/2026-11-21/timelapse.mp4", dated, 1, 24 * HOUR);
	redate_start(redate);
	REACTOR_UNTIL(rows_of_the_day().n == 0);
	redate_free(redate);
	r = rows_of_day("recordings/porch/2026-11-21");
	assert_int_equal(r.n, 2);
	assert_true(r.rows[0].boot_us == 0 && r.rows[1].boot_us == 0);
	check_film("recordings/porch/2026-11-21/timelapse_2.mp4", undated, 2, 0);
	/* to some microseconds, by which two looks at the clock differ */
	assert_true(llabs(r.rows[1].start_us - redated[0]) < SECOND / 10);
	assert_true(r.rows[1].end_us - r.rows[1].start_us == 10 * SECOND + FRAME_US);
}

static void test_a_clock_that_is_confirmed_begins_another_file(void **state)
{
	static const int64_t undated[] = { START }, dated[] = { START + 10 * SECOND };

	(void)state;
	is_confirmed = false;
	start();
	publish_key(undated[0]);
	is_confirmed = true;
	publish_key(dated[0]);
	stop();
	check(DAY "timelapse.mp4", undated, 1);
	check(DAY "timelapse_2.mp4", dated, 1);
	assert_true(rows_of_the_day().rows[0].boot_us != 0);
	assert_true(rows_of_the_day().rows[1].boot_us == 0);
}

/* --- the pictures' bytes --- */

static void check_picture(
	enum AVCodecID codec, const uint8_t *from, size_t n, const uint8_t *to, size_t n_to)
{
	AVPacket *packet = av_packet_alloc(), *made;

	assert_int_equal(av_new_packet(packet, (int)n), 0);
	memcpy(packet->data, from, n);
	made = timelapse_picture(packet, codec);
	assert_true(!made == !to);
	if (made) {
		assert_int_equal(made->size, n_to);
		assert_memory_equal(made->data, to, n_to);
	}
	assert_memory_equal(packet->data, from, n); /* others have it too */
	av_packet_free(&made);
	av_packet_free(&packet);
}

static void test_pictures_are_made_independent(void **state)
{
	static const uint8_t sei_idr[] = { 0, 0, 0, 2, 6, 0x80, 0, 0, 0, 2, 0x65, 1 };
	/* ITU-T H.264 section 7.3.2.4: primary_pic_type 0, the stop bit */
	static const uint8_t delimited[] = { 0, 0, 0, 2, 9, 0x10, 0, 0, 0, 2, 6, 0x80, 0, 0, 0, 2,
		0x65, 1 };
	static const uint8_t sei_slice[] = { 0, 0, 0, 2, 6, 0x80, 0, 0, 0, 2, 0x41, 1 };
	static const uint8_t cut[] = { 0, 0, 0, 9, 0x65, 1 };
	static const uint8_t empty[] = { 0, 0, 0, 0, 0x65, 1 };
	/* two slices; ITU-T H.265 table 7-1: CRA_NUT 21, BLA_N_LP 18, IDR_W_RADL 19 */
	static const uint8_t cra[] = { 0, 0, 0, 3, 21 << 1, 1, 7, 0, 0, 0, 3, 21 << 1, 1, 8 };
	static const uint8_t bla[] = { 0, 0, 0, 3, 18 << 1, 1, 7, 0, 0, 0, 3, 18 << 1, 1, 8 };
	static const uint8_t idr[] = { 0, 0, 0, 3, 19 << 1, 1, 7 };

	(void)state;
	check_picture(AV_CODEC_ID_H264, sei_idr, sizeof(sei_idr), delimited, sizeof(delimited));
	check_picture(AV_CODEC_ID_H264, sei_slice, sizeof(sei_slice), NULL, 0);
	check_picture(AV_CODEC_ID_H264, cut, sizeof(cut), NULL, 0);
	check_picture(AV_CODEC_ID_H264, empty, sizeof(empty), NULL, 0);
	check_picture(AV_CODEC_ID_H264, cut, 3, NULL, 0);
	check_picture(AV_CODEC_ID_HEVC, cra, sizeof(cra), bla, sizeof(bla));
	check_picture(AV_CODEC_ID_HEVC, idr, sizeof(idr), idr, sizeof(idr));
	check_picture(AV_CODEC_ID_MJPEG, cra, sizeof(cra), cra, sizeof(cra));
}

static int setup(void **state)
{
	(void)state;
	in_zone("UTC");
	camera = "porch";
	correction_says_us = now_says_us = 0;
	is_confirmed = true;
	hurry = 1;
	picture_bytes = 60;
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
	metrics_forget("camera", "porch");
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keyframes_so_far_apart_become_a_film),
		TEST(test_a_keyframe_a_little_early_is_taken),
		TEST(test_only_what_stands_alone_is_taken),
		TEST(test_without_pictures_there_is_no_film),
		TEST(test_pictures_of_motion_jpeg_are_as_they_were),
		TEST(test_each_local_day_has_its_file),
		TEST(test_other_parameters_begin_another_file),
		TEST(test_other_settings_apply),
		TEST(test_after_a_restart_another_file_follows),
		TEST(test_a_file_is_closed_when_its_day_is_over),
		TEST(test_it_is_in_the_tree_and_no_footage),
		TEST(test_gaps_are_those_of_footage),
		TEST(test_a_file_that_was_cut_off_is_a_film_too),
		TEST(test_one_picture_waits_for_the_disk),
		TEST(test_after_a_failed_write_another_file_follows),
		TEST(test_a_file_that_cannot_be_made_ends_nothing),
		TEST(test_a_step_of_the_clock_begins_another_file),
		TEST(test_what_was_made_before_the_clock_was_set_is_redated),
		TEST(test_a_clock_that_is_confirmed_begins_another_file),
		TEST(test_pictures_are_made_independent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
