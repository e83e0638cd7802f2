/* Several volumes: what a crash leaves, which volume is which, and true times wherever a recording is. */
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
#include "server/base/metrics.h"
#include "server/base/wall_clock.h"
#include "storage/recovery.h"
#include "storage/redate.h"
#include "storage/segment.h"
#include "storage/volume_list.h"
#include "tests/reactor_until.h"
#include "tests/tier_store.h"

/* --- what a crash leaves --- */

/* A recording as nvrd makes it: recovery reads it. Returns its bytes. */
static uint64_t write_recording(const char *top, const char *path, int64_t boot_us)
{
	struct stream_track tracks[2];
	struct fragment_init *init;
	struct box_writer head = { 0 };
	struct evbuffer *out = evbuffer_new();
	char *whole = whole_path(top, path);
	uint64_t bytes;
	int fd;

	synthetic_tracks(tracks);
	init = fragment_init_new(tracks, 2);
	segment_head(&head, init, "porch", SYNTHETIC_START_US, boot_us);
	evbuffer_add(out, head.p, head.n);
	free(head.p);
	for (unsigned i = 0; i < 2; i++) {
		struct fragment *fragment = synthetic_fragment(init, i * 12, 12, 50);

		fragment_append(fragment, SYNTHETIC_START_US, out);
		fragment_unref(&fragment);
	}
	write_at(top, path, evbuffer_pullup(out, -1), evbuffer_get_length(out));
	fd = open(whole, O_RDWR);
	assert_int_equal(segment_close(fd, &bytes), 0);
	close(fd);
	free(whole);
	evbuffer_free(out);
	fragment_init_unref(&init);
	synthetic_tracks_free(tracks);
	return bytes;
}

static void cut_at(const char *top, const char *path, off_t bytes)
{
	char *whole = whole_path(top, path);

	assert_int_equal(truncate(whole, bytes), 0);
	free(whole);
}

static void remove_at(const char *top, const char *path)
{
	char *whole = whole_path(top, path);

	assert_int_equal(unlink(whole), 0);
	free(whole);
}

/* Each state of a move that a crash or a power cut may leave; and whether it knows the row afterwards. */
static void test_what_a_crash_leaves_is_put_right(void **state)
{
	// clang-format off
	static const struct {
		const char *name;
		bool half, copy, named, removed; /* what of the move is on the disks */
		bool forgotten;                  /* the catalogue was made anew */
		bool on_warm;                    /* what is left */
		unsigned doubled, corrected, adopted;
	} cases[] = {
		{ .name = "a half", .half = true, .doubled = 1 },
		{ .name = "a copy", .copy = true, .doubled = 1 },
		{ .name = "two, named", .copy = true, .named = true, .on_warm = true, .doubled = 1 },
		{ .name = "moved", .copy = true, .named = true, .removed = true, .on_warm = true },
		/* the last change of the database is lost, what came after it is not */
		{ .name = "moved, not named", .copy = true, .removed = true, .on_warm = true, .corrected = 1 },
		{ .name = "rescan of a half", .half = true, .forgotten = true, .doubled = 1, .adopted = 1 },
		{ .name = "rescan of two", .copy = true, .forgotten = true, .on_warm = true, .doubled = 1, .adopted = 1 },
		{ .name = "rescan of one", .copy = true, .removed = true, .forgotten = true, .on_warm = true, .adopted = 1 },
	};
	// clang-format on
	static const char path[] = DAY "14-30-00+0000.mp4",
			  part[] = DAY "14-30-00+0000.mp4" VOLUME_PART;

	(void)state;
	load_volumes("", "", NULL);
	assert_int_equal(open_store(), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t bytes = write_recording(hot, path, 0);
		int64_t warm_id = volume_id(volume_next(volume)),
			id = add_row_at(path, SYNTHETIC_START_US, bytes, 0);
		struct recovery_counts counts;
		struct answer a;

		print_message("%s\n", cases[i].name);
		if (cases[i].half) {
			(void)!write_recording(warm, part, 0);
			cut_at(warm, part, 700);
		}
		if (cases[i].copy)
			assert_int_equal(write_recording(warm, path, 0), bytes);
		if (cases[i].named)
			assert_int_equal(set_volume(id, path, 0, warm_id), 0);
		if (cases[i].removed)
			remove_at(hot, path);
		if (cases[i].forgotten)
			catalogue_forget(catalogue, id);
		counts = store_recover();
		a = rows_in_folder();
		assert_int_equal(a.n, 1);
		assert_int_equal(a.volume, cases[i].on_warm ? warm_id : 0);
		assert_int_equal(size_at(hot, path), cases[i].on_warm ? -1 : (long)bytes);
		assert_int_equal(size_at(warm, path), cases[i].on_warm ? (long)bytes : -1);
		assert_int_equal(size_at(warm, part), -1);
		assert_true(a.id == id || cases[i].forgotten);
		assert_int_equal(counts.doubled, cases[i].doubled);
		assert_int_equal(counts.corrected, cases[i].corrected);
		assert_int_equal(counts.adopted, cases[i].adopted);
		assert_int_equal(counts.forgotten + counts.unusable, 0);
		catalogue_forget(catalogue, a.id);
		remove_at(cases[i].on_warm ? warm : hot, path);
	}
}

static void test_what_is_not_the_same_is_left_alone(void **state)
{
	static const char path[] = DAY "14-30-00+0000.mp4",
			  foreign[] = DAY "holiday.mp4" VOLUME_PART,
			  folder_name[] = DAY "15-30-00+0000.mp4" VOLUME_PART;
	uint64_t bytes;
	struct recovery_counts counts;
	char *directory;

	(void)state;
	load_volumes("", "", NULL);
	assert_int_equal(open_store(), 0);
	bytes = write_recording(hot, path, 0);
	(void)add_row_at(path, SYNTHETIC_START_US, bytes, 0);
	assert_int_equal(write_recording(warm, path, 0), bytes);
	cut_at(warm, path, (off_t)bytes - 1);
	write_at(warm, foreign, "x", 1);
	directory = whole_path(warm, folder_name);
	assert_int_equal(mkdir(directory, 0700), 0);
	counts = store_recover();
	assert_int_equal(counts.unusable, 1);
	assert_int_equal(counts.doubled + counts.adopted + counts.corrected + counts.forgotten, 0);
	assert_int_equal(size_at(hot, path), bytes);
	assert_int_equal(size_at(warm, path), bytes - 1);
	assert_int_equal(size_at(warm, foreign), 1);
	assert_int_equal(access(directory, F_OK), 0);
	assert_int_equal(rows_in_folder().n, 1);
	free(directory);
}

static void test_rows_of_a_volume_that_is_away_stay(void **state)
{
	static const char path[] = DAY "14-30-00+0000.mp4";
	uint64_t bytes;
	char *aside = xasprintf("%s.aside", warm);
	struct recovery_counts counts;
	int64_t id;

	(void)state;
	load_volumes("", "", NULL);
	assert_int_equal(open_store(), 0);
	bytes = write_recording(warm, path, 0);
	assert_int_equal(store_recover().adopted, 1);
	id = rows_in_folder().id;
	assert_int_equal(rename(warm, aside), 0);
	assert_int_equal(reopen(), 1);
	counts = store_recover();
	assert_int_equal(counts.forgotten + counts.adopted, 0);
	assert_int_equal(rows_in_folder().n, 1);
	/* a folder where something should be mounted */
	assert_int_equal(mkdir(warm, 0700), 0);
	assert_int_equal(reopen(), 1);
	assert_int_equal(size_at(warm, VOLUME_MARKER), -1);
	assert_int_equal(rmdir(warm), 0);
	assert_int_equal(rename(aside, warm), 0);
	assert_int_equal(reopen(), 0);
	counts = store_recover();
	assert_int_equal(counts.forgotten + counts.adopted + counts.corrected, 0);
	assert_int_equal(rows_in_folder().id, id);
	assert_int_equal(size_at(warm, path), bytes);
	free(aside);
}

/* --- which volume is which --- */

static void test_a_volume_is_known_whatever_its_path_and_place(void **state)
{
	int64_t warm_id, cold_id;
	char *text;

	(void)state;
	load_volumes("", "", "");
	assert_int_equal(open_store(), 0);
	warm_id = volume_id(volume_next(volume));
	cold_id = volume_id(volume_next(volume_next(volume)));
	assert_true(warm_id > 0 && cold_id > 0 && warm_id != cold_id);
	assert_int_equal(volume_list_read_id(warm), warm_id);
	assert_ptr_equal(volume_find(volume, cold_id), volume_next(volume_next(volume)));
	assert_null(volume_find(volume, warm_id ^ cold_id ^ 1));
	text = xasprintf(
		"storage:\n  path: %s\n  volumes: [{path: %s}, {path: %s}]\n", hot, cold, warm);
	load(text);
	assert_int_equal(reopen(), 0);
	assert_int_equal(volume_id(volume_next(volume)), cold_id);
	assert_int_equal(volume_id(volume_next(volume_next(volume))), warm_id);
	assert_true(volume_is_last(volume_next(volume_next(volume))));
	free(text);
}

static void test_the_same_marker_twice_is_one_volume_too_many(void **state)
{
	char *from = whole_path(warm, VOLUME_MARKER), *to = whole_path(cold, VOLUME_MARKER);

	(void)state;
	load_volumes("", "", NULL);
	assert_int_equal(open_store(), 0);
	assert_int_equal(link(from, to), 0);
	load_volumes("", "", "");
	assert_int_equal(reopen(), 1);
	assert_null(volume_next(volume_next(volume)));
	assert_int_equal(unlink(to), 0);
	write_at(cold, VOLUME_MARKER, "no such thing as an id             ", 33);
	assert_int_equal(reopen(), 1);
	write_at(cold, VOLUME_MARKER, "", 0); /* as a person makes it */
	assert_int_equal(reopen(), 0);
	assert_int_equal(volume_list_read_id(cold), volume_id(volume_next(volume_next(volume))));
	free(from);
	free(to);
}

/* One between them is away: nothing moves past it. */
static void test_nothing_moves_past_a_volume_that_is_away(void **state)
{
	(void)state;
	load_volumes(", max_size: 1KB", "", "");
	assert_int_equal(rmdir(warm), 0);
	assert_int_equal(open_store(), 1);
	assert_string_equal(volume_path(volume_next(volume)), cold);
	assert_null(volume_target(volume));
	assert_true(volume_is_last(volume_next(volume)));
}

/* --- times on the warm volume --- */

static void test_a_recording_that_has_moved_gets_its_true_time(void **state)
{
	static const char path[] = DAY "14-30-00+0000.mp4";
	struct redate *redate;
	struct segment_scan scan;
	struct answer a;
	int64_t boot_us, id;
	char *whole;
	int fd;

	(void)state;
	load_volumes("", "", NULL);
	assert_int_equal(open_store(), 0);
	boot_us = wall_clock_boot_us(wall_clock_correction_us()) - 2 * HOUR_US;
	id = add_row_at(path, SYNTHETIC_START_US, write_recording(warm, path, boot_us), boot_us);
	assert_int_equal(set_volume(id, path, 0, volume_id(volume_next(volume))), 0);
	redate = redate_new(volume, catalogue);
	redate_start(redate);
	REACTOR_UNTIL(rows_in_folder().boot_us == 0);
	redate_free(redate);
	a = rows_in_folder();
	assert_int_equal(a.n, 1);
	assert_true(a.volume == volume_id(volume_next(volume)));
	assert_string_not_equal(a.path, path);
	assert_int_equal(size_at(warm, path), -1);
	whole = whole_path(warm, a.path);
	fd = open(whole, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(segment_scan(fd, &scan), 0);
	assert_true(scan.dated);
	segment_scan_fini(&scan);
	close(fd);
	free(whole);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_what_a_crash_leaves_is_put_right),
		TEST(test_what_is_not_the_same_is_left_alone),
		TEST(test_rows_of_a_volume_that_is_away_stay),
		TEST(test_a_volume_is_known_whatever_its_path_and_place),
		TEST(test_the_same_marker_twice_is_one_volume_too_many),
		TEST(test_nothing_moves_past_a_volume_that_is_away),
		TEST(test_a_recording_that_has_moved_gets_its_true_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
