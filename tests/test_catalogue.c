/* The catalogue: rows and their index, paging, what a killed process left, a damaged database. */
#include "storage/catalogue.h"

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
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "storage/catalogue_private.h"
#include "tests/synthetic.h"

static char *folder, *file;
static struct catalogue *catalogue;
static int64_t boot_us; /* of what add() adds */

/* What a question was answered with. */
struct answer {
	bool done;
	int error;
	size_t n;
	struct catalogue_segment first;
	char paths[512], names[256];
	struct catalogue_fragment fragments[8];
};

static void on_segments(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct answer *a = arg;

	a->done = true;
	a->error = error;
	a->n = n;
	if (n)
		a->first = rows[0];
	for (size_t i = 0; i < n; i++)
		snprintf(a->paths + strlen(a->paths), sizeof(a->paths) - strlen(a->paths), "%s ",
			strrchr(rows[i].path, 47) ? strrchr(rows[i].path, 47) + 1 : rows[i].path);
}

static void on_names(void *arg, int error, const char *const *names, size_t n)
{
	struct answer *a = arg;

	a->done = true;
	a->error = error;
	a->n = n;
	for (size_t i = 0; i < n; i++)
		snprintf(a->names + strlen(a->names), sizeof(a->names) - strlen(a->names), "%s ",
			names[i]);
}

static void on_index(void *arg, int error, const struct catalogue_fragment *fragments, size_t n)
{
	struct answer *a = arg;

	a->done = true;
	a->error = error;
	a->n = n;
	for (size_t i = 0; i < n && i < ARRAY_LENGTH(a->fragments); i++)
		a->fragments[i] = fragments[i];
}

static void open_catalogue(void)
{
	char *why = NULL;

	catalogue = catalogue_open(file, &why);
	if (!catalogue)
		fail_msg("%s", why);
}

static struct answer find(const char *path)
{
	struct answer a = { 0 };

	assert_non_null(catalogue_find(catalogue, path, on_segments, &a));
	reactor_wait(&a.done);
	return a;
}

/* Adds a segment of two fragments that starts so many seconds after the start. */
static int64_t add(const char *camera, const char *path, int64_t second, bool finish)
{
	struct catalogue_segment row = {
		.camera = xstrdup(camera),
		.stream = xstrdup("main"),
		.path = xstrdup(path),
		.codecs = xstrdup("avc1.42c01e"),
		.start_us = SYNTHETIC_START_US + second * 1000000,
		.width = 640,
		.height = 360,
		.boot_us = boot_us,
	};
	struct catalogue_fragment fragment = { row.start_us, 500000, 1000, 700, true };
	int64_t id = 0;

	assert_int_equal(catalogue_add(catalogue, &row, &id), 0);
	catalogue_grow(catalogue, id, &fragment);
	fragment = (struct catalogue_fragment){ row.start_us + 500000, 480000, 900, 1700, false };
	catalogue_grow(catalogue, id, &fragment);
	if (finish)
		catalogue_finish(catalogue, id, 2600);
	free(row.camera);
	free(row.stream);
	free(row.path);
	free(row.codecs);
	return id;
}

static void test_a_segment_is_found_open_and_closed(void **state)
{
	static const char path[] = "recordings/porch/2026-11-20/14-30-00+0000.mp4";
	int64_t id = add("porch", path, 0, false);
	struct answer a = find(path);

	(void)state;
	assert_int_equal(a.n, 1);
	assert_int_equal(a.first.state, SEGMENT_OPEN);
	assert_int_equal(a.first.bytes, 2600);
	assert_true(a.first.end_us == SYNTHETIC_START_US + 980000);
	catalogue_finish(catalogue, id, 3000);
	a = find(path);
	assert_int_equal(a.first.state, SEGMENT_CLOSED);
	assert_int_equal(a.first.bytes, 3000);
	assert_int_equal(a.first.width, 640);
	assert_int_equal(find("recordings/porch/2026-11-20/none.mp4").n, 0);
}

static void test_the_index_survives_a_restart(void **state)
{
	int64_t id = add("porch", "recordings/porch/2026-11-20/14-40-00+0000.mp4", 600, true);
	struct answer a = { 0 };

	(void)state;
	catalogue_close(catalogue);
	open_catalogue();
	assert_non_null(catalogue_index(catalogue, id, on_index, &a));
	reactor_wait(&a.done);
	assert_int_equal(a.error, 0);
	assert_int_equal(a.n, 2);
	assert_true(a.fragments[0].start_us == SYNTHETIC_START_US + 600000000);
	assert_int_equal(a.fragments[1].duration_us, 480000);
	assert_int_equal(a.fragments[1].offset, 1700);
	assert_int_equal(a.fragments[1].bytes, 900);
	assert_true(a.fragments[0].keyframe && !a.fragments[1].keyframe);
}

static void test_lists_and_names(void **state)
{
	struct answer days = { 0 }, cameras = { 0 }, page = { 0 }, rest = { 0 }, range = { 0 };

	(void)state;
	add("yard", "recordings/yard/2026-11-20/14-30-00+0000.mp4", 0, true);
	add("yard", "recordings/yard/2026-11-20/14-31-00+0000.mp4", 60, true);
	add("yard", "recordings/yard/2026-11-20/14-32-00+0000.mp4", 120, false);
	add("yard", "recordings/yard/2026-11-21/00-00-00+0000.mp4", 34200, true);
	assert_non_null(catalogue_names(catalogue, NULL, on_names, &cameras));
	assert_non_null(catalogue_names(catalogue, "yard", on_names, &days));
	assert_non_null(catalogue_list_folder(
		catalogue, "recordings/yard/2026-11-20", NULL, 2, on_segments, &page));
	assert_non_null(catalogue_list_folder(catalogue, "recordings/yard/2026-11-20",
		"14-31-00+0000.mp4", 2, on_segments, &rest));
	assert_non_null(catalogue_list(catalogue, "yard", SYNTHETIC_START_US + 60500000,
		SYNTHETIC_START_US + 120500000, NULL, 10, on_segments, &range));
	reactor_wait(&range.done);
	assert_string_equal(cameras.names, "porch yard ");
	assert_string_equal(days.names, "2026-11-20 2026-11-21 ");
	assert_string_equal(page.paths, "14-30-00+0000.mp4 14-31-00+0000.mp4 ");
	assert_string_equal(rest.paths, "14-32-00+0000.mp4 ");
	assert_string_equal(range.paths, "14-31-00+0000.mp4 14-32-00+0000.mp4 ");
}

static void test_nobody_is_called_after_a_cancel(void **state)
{
	struct answer cancelled = { 0 };

	(void)state;
	catalogue_cancel(catalogue_find(catalogue, "recordings/x", on_segments, &cancelled));
	(void)find("recordings/y");
	assert_false(cancelled.done);
}

static void test_a_file_without_bytes_is_forgotten(void **state)
{
	int64_t id = add("porch", "recordings/porch/2026-11-20/15-00-00+0000.mp4", 1800, false);

	(void)state;
	catalogue_finish(catalogue, id, 0);
	assert_int_equal(find("recordings/porch/2026-11-20/15-00-00+0000.mp4").n, 0);
}

/* --- the time of before the clock was set --- */

static struct answer undated(int64_t after)
{
	struct answer a = { 0 };

	assert_non_null(catalogue_undated(catalogue, after, on_segments, &a));
	reactor_wait(&a.done);
	return a;
}

static void test_a_segment_gets_its_true_time(void **state)
{
	static const char path[] = "recordings/early/2026-11-20/14-30-00+0000.mp4";
	static const char true_path[] = "recordings/early/2026-11-22/14-30-00+0000.mp4";
	const int64_t later_us = INT64_C(172800000000);
	struct answer a = { 0 };
	int64_t id, at_boot_us = SYNTHETIC_START_US - 30000000;

	(void)state;
	assert_int_equal(undated(0).n, 0);
	boot_us = at_boot_us;
	id = add("early", path, 0, true);
	boot_us = 0;
	a = undated(0);
	assert_int_equal(a.n, 1);
	assert_true(a.first.id == id && a.first.boot_us == at_boot_us);
	assert_int_equal(undated(id).n, 0);
	catalogue_redate(catalogue, id, true_path, later_us);
	assert_int_equal(undated(0).n, 0);
	assert_int_equal(find(path).n, 0);
	a = find(true_path);
	assert_true(a.n == 1 && a.first.boot_us == 0);
	assert_true(a.first.start_us == SYNTHETIC_START_US + later_us);
	assert_true(a.first.end_us == SYNTHETIC_START_US + later_us + 980000);
	a = (struct answer){ 0 };
	assert_non_null(catalogue_index(catalogue, id, on_index, &a));
	reactor_wait(&a.done);
	assert_true(a.n == 2 && a.fragments[0].start_us == SYNTHETIC_START_US + later_us);
	assert_true(a.fragments[1].start_us == SYNTHETIC_START_US + later_us + 500000);
	assert_int_equal(a.fragments[1].offset, 1700);
}

static unsigned events_of(const char *path)
{
	return find(path).first.events;
}

static void test_recordings_say_what_happened_in_their_time(void **state)
{
	static const char before[] = "recordings/event/2026-11-20/14-30-00+0000.mp4";
	static const char in[] = "recordings/event/2026-11-20/14-30-10+0000.mp4";
	static const char open[] = "recordings/event/2026-11-20/14-30-20+0000.mp4";
	static const char late[] = "recordings/event/2026-11-20/14-30-30+0000.mp4";
	const int64_t second = 1000000, start = SYNTHETIC_START_US;

	(void)state;
	add("event", before, 0, true);
	add("event", in, 10, true);
	add("event", open, 20, false);
	catalogue_add_event(catalogue, "event", EVENT_MOTION, start + 10500000, start + 10500000);
	assert_int_equal(events_of(before), 0);
	assert_int_equal(events_of(in), 1 << EVENT_MOTION);
	assert_int_equal(events_of(open), 0);
	/* it goes on; another one begins, of another kind and at another camera */
	catalogue_add_event(
		catalogue, "event", EVENT_MOTION, start + 10500000, start + 21 * second);
	catalogue_add_event(
		catalogue, "event", EVENT_INPUT, start + 40 * second, start + 40 * second);
	catalogue_add_event(
		catalogue, "else", EVENT_TAMPER, start + 10 * second, start + 40 * second);
	assert_int_equal(events_of(in), 1 << EVENT_MOTION);
	assert_int_equal(events_of(open), 1 << EVENT_MOTION | 1 << EVENT_INPUT);
	/* a recording that begins before an event and is told of after it */
	add("event", late, 30, false);
	assert_int_equal(events_of(late), 1 << EVENT_INPUT);
	assert_int_equal(events_of(before), 0);
}

struct events {
	bool done;
	size_t n;
	struct catalogue_event rows[8];
};

static void on_events(void *arg, int error, const struct catalogue_event *rows, size_t n)
{
	struct events *events = arg;

	assert_int_equal(error, 0);
	events->done = true;
	events->n = n;
	for (size_t i = 0; i < n; i++)
		events->rows[i] = rows[i];
}

/* Of "told", between so many seconds after the start. */
static struct events list_events(
	int64_t from, int64_t to, const struct catalogue_event *after, size_t limit)
{
	struct events events = { 0 };

	assert_non_null(catalogue_events(catalogue, "told", SYNTHETIC_START_US + from * 1000000,
		SYNTHETIC_START_US + to * 1000000, after, limit, on_events, &events));
	reactor_wait(&events.done);
	return events;
}

static void test_what_happened_is_found_by_time(void **state)
{
	static const struct {
		enum event_kind kind;
		int64_t start, end;
	} rows[] = {
		{EVENT_INPUT,   20, 30 },
		{ EVENT_MOTION, 20, 25 },
		{ EVENT_MOTION, 0,  100},
		{ EVENT_LINE,   40, 40 },
	};
	struct events events;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		catalogue_add_event(catalogue, "told", rows[i].kind,
			SYNTHETIC_START_US + rows[i].start * 1000000,
			SYNTHETIC_START_US + rows[i].end * 1000000);
	events = list_events(0, 200, NULL, 3);
	assert_int_equal(events.n, 3);
	assert_int_equal(events.rows[0].end_us, SYNTHETIC_START_US + 100 * 1000000);
	assert_int_equal(events.rows[1].kind, EVENT_MOTION);
	assert_int_equal(events.rows[2].kind, EVENT_INPUT);
	events = list_events(0, 200, &events.rows[1], 3);
	assert_int_equal(events.n, 2);
	assert_int_equal(events.rows[0].kind, EVENT_INPUT);
	assert_int_equal(events.rows[1].kind, EVENT_LINE);
	/* both instants are meant, and what has begun before */
	assert_int_equal(list_events(30, 40, NULL, 8).n, 3);
	assert_int_equal(list_events(31, 39, NULL, 8).n, 1);
	assert_int_equal(list_events(101, 200, NULL, 8).n, 0);
}

static void test_a_database_of_version_1_is_brought_up_to_date(void **state)
{
	sqlite3 *db;

	(void)state;
	add("old", "recordings/old/2026-11-20/14-30-00+0000.mp4", 0, true);
	catalogue_close(catalogue);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db,
			"DROP INDEX segments_listed; DROP TABLE events; ALTER TABLE segments DROP COLUMN events; DROP INDEX timelapses_by_age; DROP INDEX timelapses_by_order;"
			"DROP TRIGGER segments_count_moved; DROP INDEX segments_by_volume_age;"
			"DROP INDEX segments_by_volume_order;"
			"DROP TABLE locks; DROP TABLE properties; DROP TABLE gaps; DROP TRIGGER segments_count_added; DROP TRIGGER segments_count_changed;"
			"DROP TRIGGER segments_count_removed; DROP TABLE totals;"
			"DROP INDEX segments_open; DROP INDEX segments_by_age;"
			"DROP INDEX segments_by_order; DROP INDEX segments_undated;"
			"ALTER TABLE segments DROP COLUMN boot_id;"
			"ALTER TABLE segments DROP COLUMN boot_us;"
			"PRAGMA user_version = 1;",
			NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	open_catalogue();
	assert_int_equal(find("recordings/old/2026-11-20/14-30-00+0000.mp4").n, 1);
	assert_int_equal(undated(0).n, 0);
}

/* A million rows take half a minute, in which recording goes on. */
static void test_nobody_waits_for_a_database_of_before(void **state)
{
	static const char before[] = "recordings/v8/2026-11-20/14-30-00+0000.mp4";
	static const char meanwhile[] = "recordings/v8/2026-11-20/14-40-00+0000.mp4";
	sqlite3 *db;
	int64_t volumes[2];
	struct metric *is_open = metric_get(METRIC_CATALOGUE_OPEN);

	(void)state;
	add("v8", before, 0, true);
	assert_int_equal(find(before).n, 1);
	catalogue_close(catalogue);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db,
			"DROP INDEX segments_listed; DROP TABLE events;"
			"ALTER TABLE segments DROP COLUMN events; PRAGMA user_version = 8;",
			NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	open_catalogue();
	assert_int_equal(metric_value(is_open), 0);
	assert_int_equal(catalogue_volumes(catalogue, volumes, 2), 1);
	add("v8", meanwhile, 600, true);
	assert_int_equal(find(before).n, 1);
	assert_int_equal(find(meanwhile).n, 1);
	assert_true(find(meanwhile).first.id > find(before).first.id);
	assert_int_equal(metric_value(is_open), 1);
}

/* --- a database that is not to be had --- */

static void on_stale(void *arg)
{
	*(bool *)arg = true;
}

/* Asks until the path is listed as closed. */
static void wait_for_closed(const char *path)
{
	int64_t end = reactor_monotonic_us() + 10000000;
	struct answer a = find(path);

	while (!a.n || a.first.state != SEGMENT_CLOSED) {
		assert_true(reactor_monotonic_us() < end);
		(void)event_base_loop(reactor_base(), EVLOOP_ONCE);
		a = find(path);
	}
	assert_int_equal(a.first.bytes, 2600);
}

static void test_changes_wait_while_the_disk_takes_nothing(void **state)
{
	static const char path[] = "recordings/wait/2026-11-20/14-30-00+0000.mp4";
	static const char open_path[] = "recordings/wait/2026-11-20/14-40-00+0000.mp4";
	const struct rlimit none = { 0, RLIM_INFINITY };
	struct rlimit before;
	int64_t id;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	setrlimit(RLIMIT_FSIZE, &none);
	add("wait", path, 0, true);
	id = add("wait", open_path, 600, false);
	catalogue_add_gap(catalogue, "wait", SYNTHETIC_START_US, SYNTHETIC_START_US + 1, "disk");
	assert_int_equal(find(path).n, 0);
	assert_int_equal(find(open_path).n, 0);
	setrlimit(RLIMIT_FSIZE, &before);
	wait_for_closed(path);
	assert_int_equal(find(open_path).first.state, SEGMENT_OPEN);
	catalogue_finish(catalogue, id, 2600);
	wait_for_closed(open_path);
}

/* A file that was removed at once, and one of the same name: the first one's end is not that of the second. */
static void test_changes_of_one_name_stay_in_order(void **state)
{
	static const char path[] = "recordings/name/2026-11-20/14-30-00+0000.mp4";
	const struct rlimit none = { 0, RLIM_INFINITY };
	struct rlimit before;

	(void)state;
	getrlimit(RLIMIT_FSIZE, &before);
	setrlimit(RLIMIT_FSIZE, &none);
	catalogue_finish(catalogue, add("name", path, 0, false), 0);
	add("name", path, 0, true);
	assert_int_equal(find(path).n, 0);
	setrlimit(RLIMIT_FSIZE, &before);
	wait_for_closed(path);
}

static void test_changes_wait_while_the_store_is_gone(void **state)
{
	static const char path[] = "recordings/gone/2026-11-20/14-30-00+0000.mp4";
	static const char other[] = "recordings/gone/2026-11-20/14-40-00+0000.mp4";
	bool stale = false;
	int64_t id = add("gone", other, 600, false);

	(void)state;
	assert_int_equal(find(other).n, 1);
	catalogue_watch(catalogue, on_stale, &stale);
	stale = false;
	catalogue_leave(catalogue);
	assert_int_equal(find(other).error, -EIO);
	add("gone", path, 0, true);
	catalogue_finish(catalogue, id, 2600);
	assert_int_equal(find(path).error, -EIO);
	catalogue_enter(catalogue);
	wait_for_closed(path);
	wait_for_closed(other);
	reactor_wait(&stale);
	catalogue_watch(catalogue, NULL, NULL);
}

static void test_what_is_open_is_no_file_that_was_cut_off(void **state)
{
	static const char path[] = "recordings/cut/2026-11-20/14-30-00+0000.mp4";
	struct answer a = { 0 };
	int64_t id = add("cut", path, 0, false);

	(void)state;
	assert_non_null(catalogue_interrupted(catalogue, find(path).first.id - 1, on_segments, &a));
	reactor_wait(&a.done);
	assert_int_equal(a.n, 0);
	catalogue_finish(catalogue, id, 2600);
}

/* --- damage --- */

static void test_a_database_damaged_at_work_is_made_anew(void **state)
{
	static const char path[] = "recordings/anew/2026-11-20/14-30-00+0000.mp4";
	bool stale = false;
	sqlite3 *db;
	int fd;

	(void)state;
	for (int i = 0; i < 20; i++)
		catalogue_finish(catalogue, add("anew", path, i, false), 0);
	assert_int_equal(find(path).n, 0);
	catalogue_watch(catalogue, on_stale, &stale);
	stale = false;
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
	fd = open(file, O_RDWR);
	for (off_t at = 4096; at < lseek(fd, 0, SEEK_END); at++)
		assert_int_equal(pwrite(fd, "\xa5", 1, at), 1);
	close(fd);
	/* a commit, after which what was read before is read again */
	assert_int_equal(
		sqlite3_exec(db, "PRAGMA application_id = 1", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(find(path).error, -EIO);
	add("anew", path, 0, true);
	wait_for_closed(path);
	reactor_wait(&stale);
	catalogue_watch(catalogue, NULL, NULL);
}

static void test_a_damaged_database_is_set_aside(void **state)
{
	char *damaged = xasprintf("%s/damaged.db", folder), *why = NULL;
	struct catalogue *other;
	FILE *f = fopen(damaged, "w");

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database ", f);
	fclose(f);
	other = catalogue_open(damaged, &why);
	assert_non_null(other);
	catalogue_close(other);
	free(damaged);
}

static void test_every_cut_of_an_index_is_refused(void **state)
{
	struct catalogue_fragment fragments[3] = {
		{SYNTHETIC_START_US,           500000, 1000,       700,        true },
		{ SYNTHETIC_START_US + 500000, 480000, 900,        1700,       false},
		{ SYNTHETIC_START_US + 900000, 1,      UINT32_MAX, 1ULL << 40,
                 true							       }, /* overlaps, far away */
	};
	struct fragment_index index = { fragments, 3, 3 }, read;
	size_t n;
	uint8_t *blob = fragment_index_write(&index, &n);

	(void)state;
	assert_int_equal(fragment_index_parse(&read, blob, n), 0);
	assert_int_equal(read.n, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(read.fragments[i].start_us == fragments[i].start_us);
		assert_true(read.fragments[i].offset == fragments[i].offset);
		assert_int_equal(read.fragments[i].bytes, fragments[i].bytes);
		assert_int_equal(read.fragments[i].keyframe, fragments[i].keyframe);
	}
	free(read.fragments);
	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);

		memcpy(exact, blob, cut);
		assert_int_equal(fragment_index_parse(&read, exact, cut), -EBADMSG);
		free(exact);
	}
	free(blob);
}

static int setup(void **state)
{
	(void)state;
	reactor_init();
	folder = synthetic_folder();
	file = xasprintf("%s/nvrd.db", folder);
	open_catalogue();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	catalogue_close(catalogue);
	free(file);
	synthetic_folder_remove(folder);
	reactor_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_segment_is_found_open_and_closed),
		cmocka_unit_test(test_the_index_survives_a_restart),
		cmocka_unit_test(test_lists_and_names),
		cmocka_unit_test(test_nobody_is_called_after_a_cancel),
		cmocka_unit_test(test_a_file_without_bytes_is_forgotten),
		cmocka_unit_test(test_a_segment_gets_its_true_time),
		cmocka_unit_test(test_recordings_say_what_happened_in_their_time),
		cmocka_unit_test(test_what_happened_is_found_by_time),
		cmocka_unit_test(test_a_database_of_version_1_is_brought_up_to_date),
		cmocka_unit_test(test_nobody_waits_for_a_database_of_before),
		cmocka_unit_test(test_changes_wait_while_the_disk_takes_nothing),
		cmocka_unit_test(test_changes_of_one_name_stay_in_order),
		cmocka_unit_test(test_changes_wait_while_the_store_is_gone),
		cmocka_unit_test(test_what_is_open_is_no_file_that_was_cut_off),
		cmocka_unit_test(test_a_database_damaged_at_work_is_made_anew),
		cmocka_unit_test(test_a_damaged_database_is_set_aside),
		cmocka_unit_test(test_every_cut_of_an_index_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
