/* Recovery: the catalogue is made to agree with the disk, and the disk is left alone. */
#include "storage/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/segment.h"
#include "tests/store.h"
#include "tests/synthetic.h"

#define DAY "recordings/porch/2026-11-20/"

enum {
	FRAGMENTS = 3,
	FRAGMENT_LENGTH_US = 480000
};

static char *whole_path(const char *path)
{
	return xasprintf("%s/%s", folder, path);
}

static int open_file(const char *path, int flags)
{
	char *whole = whole_path(path);
	int fd = open(whole, flags, 0600);

	free(whole);
	return fd;
}

static off_t size_of(const char *path)
{
	char *whole = whole_path(path);
	struct stat st;
	int missing = stat(whole, &st);

	free(whole);
	return missing ? -1 : st.st_size;
}

static void write_file(const char *path, const void *p, size_t n)
{
	int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

/* A recording of three fragments that nobody closed; `lost` bytes of its end are missing. */
static void write_recording(const char *path, size_t lost)
{
	struct stream_track tracks[2];
	struct fragment_init *init;
	struct box_writer head = { 0 };
	struct evbuffer *out = evbuffer_new();

	synthetic_tracks(tracks);
	init = fragment_init_new(tracks, 2);
	segment_head(&head, init, "porch", SYNTHETIC_START_US, 0);
	evbuffer_add(out, head.p, head.n);
	free(head.p);
	for (unsigned i = 0; i < FRAGMENTS; i++) {
		struct fragment *fragment = synthetic_fragment(init, i * 12, 12, 50);

		fragment_append(fragment, SYNTHETIC_START_US, out);
		fragment_unref(&fragment);
	}
	write_file(path, evbuffer_pullup(out, -1), evbuffer_get_length(out) - lost);
	evbuffer_free(out);
	fragment_init_unref(&init);
	synthetic_tracks_free(tracks);
}

static void write_closed_recording(const char *path)
{
	uint64_t bytes;
	int fd;

	write_recording(path, 0);
	fd = open_file(path, O_RDWR);
	assert_int_equal(segment_close(fd, &bytes), 0);
	close(fd);
}

/* --- the catalogue --- */

struct answer {
	bool done;
	size_t n;
	int64_t id, start_us, end_us;
	uint64_t bytes;
	enum catalogue_state state;
	char camera[16], codecs[64];
	int width;
};

static void on_segments(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct answer *a = arg;

	assert_int_equal(error, 0);
	*a = (struct answer){ .done = true, .n = n };
	if (!n)
		return;
	a->id = rows[0].id;
	a->start_us = rows[0].start_us;
	a->end_us = rows[0].end_us;
	a->bytes = rows[0].bytes;
	a->state = rows[0].state;
	a->width = rows[0].width;
	snprintf(a->camera, sizeof(a->camera), "%s", rows[0].camera);
	snprintf(a->codecs, sizeof(a->codecs), "%s", rows[0].codecs);
}

static struct answer find(const char *path)
{
	struct answer a = { 0 };

	assert_non_null(catalogue_find(catalogue, path, on_segments, &a));
	reactor_wait(&a.done);
	return a;
}

/* A row as the recorder makes it; closed with so many bytes, or left open. */
static void add_row(const char *path, uint64_t bytes)
{
	struct catalogue_segment row = {
		.camera = xstrdup("porch"),
		.stream = xstrdup("main"),
		.path = xstrdup(path),
		.codecs = xstrdup("wrong"),
		.start_us = SYNTHETIC_START_US,
	};
	struct catalogue_fragment fragment = { row.start_us, 500000, 10, 20, true };
	int64_t id = 0;

	assert_int_equal(catalogue_add(catalogue, &row, &id), 0);
	catalogue_grow(catalogue, id, &fragment);
	if (bytes)
		catalogue_finish(catalogue, id, bytes);
	free(row.camera);
	free(row.stream);
	free(row.path);
	free(row.codecs);
}

/* --- */

/* A row that says what the file says. */
static void check_row(const char *path)
{
	struct answer a = find(path);

	assert_int_equal(a.n, 1);
	assert_int_equal(a.state, SEGMENT_CLOSED);
	assert_true(a.start_us == SYNTHETIC_START_US);
	assert_true(a.end_us == SYNTHETIC_START_US + (int64_t)FRAGMENTS * FRAGMENT_LENGTH_US);
	assert_int_equal(a.bytes, size_of(path));
	assert_string_equal(a.camera, "porch");
	assert_string_equal(a.codecs, "avc1.42c01e,mp4a.40.2");
	assert_int_equal(a.width, 640);
}

static void test_what_was_cut_off_is_closed(void **state)
{
	struct recovery_counts counts;
	off_t open_bytes;
	struct answer a;

	(void)state;
	add_row(DAY "14-30-00+0000.mp4", 0);
	add_row(DAY "14-31-00+0000.mp4", 0);
	add_row(DAY "14-32-00+0000.mp4", 0);
	store_reopen_catalogue();
	write_recording(DAY "14-30-00+0000.mp4", 0);
	write_recording(DAY "14-31-00+0000.mp4", 10); /* in the last of three */
	open_bytes = size_of(DAY "14-30-00+0000.mp4");
	counts = store_recover();
	assert_int_equal(counts.closed, 2);
	assert_int_equal(counts.forgotten, 1); /* it has no file */
	assert_int_equal(counts.adopted + counts.corrected + counts.unusable, 0);
	assert_true(size_of(DAY "14-30-00+0000.mp4") > open_bytes); /* it has its tables */
	check_row(DAY "14-30-00+0000.mp4");
	a = find(DAY "14-31-00+0000.mp4");
	assert_true(a.end_us == SYNTHETIC_START_US + (int64_t)(FRAGMENTS - 1) * FRAGMENT_LENGTH_US);
	assert_int_equal(a.bytes, size_of(DAY "14-31-00+0000.mp4"));
	assert_int_equal(find(DAY "14-32-00+0000.mp4").n, 0);
	counts = store_recover(); /* now all agrees */
	assert_int_equal(counts.closed + counts.forgotten + counts.adopted + counts.corrected, 0);
}

static void test_files_without_a_row_get_one(void **state)
{
	struct recovery_counts counts;

	(void)state;
	write_closed_recording(DAY "15-00-00+0000.mp4");
	write_recording(DAY "15-01-00+0000_2.mp4", 0);
	counts = store_recover();
	assert_int_equal(counts.adopted, 2);
	assert_int_equal(counts.closed, 1);
	check_row(DAY "15-00-00+0000.mp4");
	check_row(DAY "15-01-00+0000_2.mp4");
}

static void test_rows_without_a_file_go(void **state)
{
	struct recovery_counts counts;

	(void)state;
	add_row(DAY "16-00-00+0000.mp4", 1000);
	add_row("recordings/gone/2026-01-01/16-00-00+0000.mp4", 1000); /* nor its folder */
	counts = store_recover();
	assert_int_equal(counts.forgotten, 2);
	assert_int_equal(find(DAY "16-00-00+0000.mp4").n, 0);
	assert_int_equal(find("recordings/gone/2026-01-01/16-00-00+0000.mp4").n, 0);
}

static void test_a_row_of_another_size_is_read_again(void **state)
{
	struct recovery_counts counts;
	int64_t id;

	(void)state;
	write_closed_recording(DAY "17-00-00+0000.mp4");
	add_row(DAY "17-00-00+0000.mp4", 1000);
	id = find(DAY "17-00-00+0000.mp4").id;
	counts = store_recover();
	assert_int_equal(counts.corrected, 1);
	assert_int_equal(counts.adopted, 0);
	check_row(DAY "17-00-00+0000.mp4");
	assert_int_equal(find(DAY "17-00-00+0000.mp4").id, id);
}

static void test_what_is_no_recording_is_left_alone(void **state)
{
	/* ftyp, mdat: as a camera writes them */
	static const uint8_t foreign[48] = { 0, 0, 0, 16, 'f', 't', 'y', 'p', 'i', 's', 'o', 'm', 0,
		0, 0, 0, 0, 0, 0, 32, 'm', 'd', 'a', 't' };
	static const char *const paths[] = { DAY "18-00-00+0000.mp4", /* named like one */
		DAY "holiday.mp4", DAY "18-00-00+0000.mp4.part", "recordings/notes.txt",
		"recordings/porch/18-00-00+0000.mp4" };
	char *target = whole_path(DAY "15-00-00+0000.mp4"),
	     *link = whole_path(DAY "18-01-00+0000.mp4");
	struct recovery_counts counts;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
		write_file(paths[i], foreign, sizeof(foreign));
	assert_int_equal(symlink(target, link), 0);
	counts = store_recover();
	assert_int_equal(counts.unusable, 1);
	assert_int_equal(counts.adopted + counts.forgotten, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		assert_int_equal(size_of(paths[i]), sizeof(foreign));
		assert_int_equal(find(paths[i]).n, 0);
	}
	assert_int_equal(find(DAY "18-01-00+0000.mp4").n, 0);
	free(target);
	free(link);
}

/* --- a file that is being written --- */

struct written {
	bool opened, closed;
};

static void on_open(void *arg, int error, const char *path)
{
	struct written *written = arg;

	(void)path;
	assert_int_equal(error, 0);
	written->opened = true;
}

static void on_append(void *arg, int error, uint64_t offset, uint64_t bytes)
{
	(void)arg, (void)error, (void)offset, (void)bytes;
}

static void on_close(void *arg, int error, uint64_t bytes)
{
	struct written *written = arg;

	(void)error, (void)bytes;
	written->closed = true;
}

static void test_a_file_that_is_being_written_is_nobody_elses(void **state)
{
	static const struct volume_file_events events = { on_open, on_append, on_close };
	static const char path[] = DAY "19-00-00+0000.mp4";
	struct written written = { 0 };
	struct volume_file *file = volume_create(volume, path, &events, &written);
	struct recovery_counts counts;
	off_t bytes;

	(void)state;
	reactor_wait(&written.opened);
	write_recording(path, 0);
	bytes = size_of(path);
	counts = store_recover();
	assert_int_equal(counts.adopted + counts.closed, 0);
	assert_int_equal(size_of(path), bytes);
	volume_file_close(file);
	reactor_wait(&written.closed);
}

/* What cannot be read is not gone. */
static void test_a_folder_that_cannot_be_read_keeps_its_rows(void **state)
{
	char *hidden = whole_path("recordings/porch/2026-11-19"),
	     *elsewhere = whole_path("recordings/porch/x");
	struct recovery_counts counts;

	(void)state;
	add_row("recordings/porch/2026-11-19/20-00-00+0000.mp4", 1000);
	assert_int_equal(symlink(elsewhere, hidden), 0); /* ELOOP, as it would be EIO */
	counts = store_recover();
	assert_int_equal(counts.forgotten, 0);
	assert_int_equal(counts.unusable, 2); /* and the file of before that is none of ours */
	assert_int_equal(find("recordings/porch/2026-11-19/20-00-00+0000.mp4").n, 1);
	free(hidden);
	free(elsewhere);
}

/* Another disk should be mounted there: its recordings will be back. */
static void test_a_store_without_any_recordings_keeps_its_rows(void **state)
{
	char *recordings = whole_path("recordings"), *elsewhere = whole_path("elsewhere");

	(void)state;
	add_row(DAY "21-00-00+0000.mp4", 1000);
	assert_int_equal(rename(recordings, elsewhere), 0);
	assert_int_equal(mkdir(recordings, 0700), 0);
	assert_int_equal(store_recover().forgotten, 0);
	assert_int_equal(find(DAY "21-00-00+0000.mp4").n, 1);
	assert_int_equal(rmdir(recordings), 0);
	assert_int_equal(rename(elsewhere, recordings), 0);
	assert_int_equal(store_recover().forgotten, 1);
	free(recordings);
	free(elsewhere);
}

static void on_recovered(void *arg, const struct recovery_counts *counts)
{
	(void)counts;
	*(bool *)arg = true;
}

static void test_it_may_be_stopped_at_any_time(void **state)
{
	bool done = false;

	(void)state;
	for (unsigned turns = 0; !done; turns++) {
		struct recovery *recovery = recovery_new(volume, catalogue, on_recovered, &done);

		for (unsigned i = 0; i < turns; i++)
			event_base_loop(reactor_base(), EVLOOP_ONCE);
		recovery_free(recovery);
		assert_true(turns < 1000);
	}
}

static int setup(void **state)
{
	char *day;

	(void)state;
	store_open(0);
	day = whole_path("recordings/porch");
	assert_int_equal(mkdir(day, 0700), 0);
	free(day);
	day = whole_path(DAY);
	assert_int_equal(mkdir(day, 0700), 0);
	free(day);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_cut_off_is_closed),
		cmocka_unit_test(test_files_without_a_row_get_one),
		cmocka_unit_test(test_rows_without_a_file_go),
		cmocka_unit_test(test_a_row_of_another_size_is_read_again),
		cmocka_unit_test(test_what_is_no_recording_is_left_alone),
		cmocka_unit_test(test_a_file_that_is_being_written_is_nobody_elses),
		cmocka_unit_test(test_a_folder_that_cannot_be_read_keeps_its_rows),
		cmocka_unit_test(test_a_store_without_any_recordings_keeps_its_rows),
		cmocka_unit_test(test_it_may_be_stopped_at_any_time),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
