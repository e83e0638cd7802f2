/* Retention: which recordings go by each rule, in which order, what stays, and what is on disk then. */
#include "storage/retention.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "storage/catalogue_private.h"
#include "tests/reactor_until.h"
#include "tests/store.h"
#include "tests/synthetic.h"

#define HOUR_US (3600 * INT64_C(1000000))
#define AT(hour) (SYNTHETIC_START_US + (hour)*HOUR_US)
#define YEARS (5 * 365 * 24) /* in hours */

static struct retention *retention;
static struct config *config;

/* --- what is recorded --- */

static const char *stream = "main"; /* of what is added */

static char *path_of(const char *camera, int hour)
{
	return xasprintf("recordings/%s/2026-11-20/%d_%s.mp4", camera, hour, stream);
}

/* A segment of one hour; with no bytes it stays open, with 50 of them. */
static void add(const char *camera, int hour, uint64_t bytes, int64_t boot_us)
{
	struct catalogue_segment row = {
		.camera = xstrdup(camera),
		.stream = xstrdup(stream),
		.path = path_of(camera, hour),
		.codecs = xstrdup("avc1.42c01e"),
		.start_us = AT(hour),
		.boot_us = boot_us,
	};
	struct catalogue_fragment fragment = { row.start_us, (uint32_t)HOUR_US, 50, 0, true };
	int64_t id;

	assert_int_equal(catalogue_add(catalogue, &row, &id), 0);
	catalogue_grow(catalogue, id, &fragment);
	if (bytes)
		catalogue_finish(catalogue, id, bytes);
	free(row.camera);
	free(row.stream);
	free(row.path);
	free(row.codecs);
}

static void add_hours(const char *camera, int from, int to, uint64_t bytes)
{
	for (int hour = from; hour < to; hour++)
		add(camera, hour, bytes, 0);
}

/* --- what is planned --- */

struct planned {
	bool done;
	int error;
	size_t n;
	uint64_t bytes;
	int64_t held_us;
	/* "a0:k ~a1:k ": ~ for a time-lapse, camera, hour, first letter of the reason */
	char text[2048];
	char history[256]; /* "a:1050:0-11 ": camera, bytes, first and last hour */
};

static void on_plan(void *arg, int error, const struct catalogue_plan *plan)
{
	struct planned *planned = arg;

	planned->done = true;
	planned->error = error;
	planned->n = plan->n;
	planned->held_us = plan->age_held_us;
	for (size_t i = 0; i < plan->n; i++) {
		size_t n = strlen(planned->text);

		planned->bytes += plan->rows[i].bytes;
		snprintf(planned->text + n, sizeof(planned->text) - n, "%s%s%d:%c ",
			plan->rows[i].timelapse ? "~" : "", plan->rows[i].camera,
			(int)strtol(strrchr(plan->rows[i].path, '/') + 1, NULL, 10),
			catalogue_reason_name(plan->rows[i].reason)[0]);
	}
	for (size_t i = 0; i < plan->n_cameras; i++) {
		const struct catalogue_history *h = &plan->cameras[i];
		size_t n = strlen(planned->history);

		snprintf(planned->history + n, sizeof(planned->history) - n, "%s:%d:%d-%d ",
			h->camera, (int)h->bytes, (int)((h->oldest_us - AT(0)) / HOUR_US),
			(int)((h->newest_us - AT(0)) / HOUR_US));
	}
}

/* Everything off, at this hour, by a clock that is right. */
static struct catalogue_rules *rules_at(int hour)
{
	struct catalogue_rules *rules = xcalloc(1, sizeof(*rules));

	rules->keep_us = RULE_FOREVER;
	rules->now_us = AT(hour);
	rules->clock_is_set = true;
	rules->steady_us = 2 * 24 * HOUR_US;
	return rules;
}

static struct planned plan(struct catalogue_rules *rules, size_t limit)
{
	struct planned planned = { 0 };

	assert_int_equal(catalogue_expired(catalogue, rules, limit, on_plan, &planned), 0);
	reactor_wait(&planned.done);
	assert_int_equal(planned.error, 0);
	return planned;
}

static void assert_plan(struct catalogue_rules *rules, const char *expected)
{
	assert_string_equal(plan(rules, 1000).text, expected);
}

/*
 * Time-lapses of two cameras, one of which has nothing else, nor a rule: closed, of before the clock was set, open.
 */
static void add_timelapses(void)
{
	stream = CATALOGUE_TIMELAPSE;
	add("a", -4, 1000, 0);
	add("a", -3, 1000, 1);
	add("a", -2, 0, 0);
	add("a", 2, 1000, 0);
	add("lapse", 0, 1000, 0);
	stream = "main";
}

#define TIMELAPSES 4050 /* their bytes */
/* What may go of the recordings. */
#define RECORDINGS(r)                                                                            \
	"a0:" r " a1:" r " a2:" r " a3:" r " a4:" r " a5:" r " b5:" r " a6:" r " b6:" r " a7:" r \
	" b7:" r " a8:" r " b8:" r " a9:" r " b9:" r " "

static void test_each_rule_takes_the_oldest(void **state)
{
	// clang-format off
	static const struct {
		int64_t keep, a_keep, b_keep, lapse_keep; /* hours; 0: forever */
		uint64_t max, a_max, b_max, lapse_max, free;
		const char *expected;
	} cases[] = {
		{ .expected = "" },
		{ .keep = 5, .expected = "a0:k a1:k a2:k a3:k " },
		{ .a_keep = 8, .expected = "a0:k " },
		{ .keep = 8, .a_keep = 100, .expected = "" },
		{ .keep = 4, .b_keep = 2, .expected = "a0:k a1:k a2:k a3:k a4:k b5:k b6:k " },
		/* a has 10 of 100 bytes and 50 in its open one, b 5 of 200 */
		{ .a_max = 650, .expected = "a0:c a1:c a2:c a3:c " },
		{ .a_max = 649, .expected = "a0:c a1:c a2:c a3:c a4:c " },
		{ .b_max = 999, .expected = "b5:c " },
		{ .max = 2050 + TIMELAPSES, .expected = "" },
		{ .max = 2049 + TIMELAPSES, .expected = "a0:m " },
		{ .max = 1000 + TIMELAPSES, .expected = "a0:m a1:m a2:m a3:m a4:m a5:m b5:m a6:m b6:m " },
		{ .free = 1, .expected = "a0:r " },
		{ .free = 500, .expected = "a0:r a1:r a2:r a3:r a4:r " },
		{ .free = 501, .expected = "a0:r a1:r a2:r a3:r a4:r a5:r " },
		/* what goes by one rule counts for the next */
		{ .keep = 8, .a_max = 850, .max = 1700 + TIMELAPSES, .free = 400,
			.expected = "a0:k a1:c a2:m a3:m " },
		{ .b_max = 800, .free = 300, .expected = "b5:c a0:r " },
		/* time-lapses of a by limits of their own, of 3050 bytes; one without a date goes with what is after it */
		{ .lapse_keep = 12, .expected = "~a-4:k " },
		{ .lapse_keep = 6, .expected = "~a-4:k ~a-3:k ~a2:k " },
		{ .lapse_max = 3050, .expected = "" },
		{ .lapse_max = 3049, .expected = "~a-4:c " },
		{ .lapse_max = 1, .expected = "~a-4:c ~a-3:c ~a2:c " },
		{ .keep = 8, .lapse_max = 2050, .max = 1000 + TIMELAPSES, .free = 1100,
			.expected = "~a-4:c a0:k " },
		/* what is in common leaves them as long as there are recordings */
		{ .max = 50 + TIMELAPSES, .expected = RECORDINGS("m") },
		{ .max = 49 + TIMELAPSES, .expected = RECORDINGS("m") "~a-4:m " },
		{ .free = 2000, .expected = RECORDINGS("r") },
		{ .free = 4001, .expected = RECORDINGS("r") "~a-4:r ~a-3:r ~lapse0:r " },
		{ .free = 1000000, .expected = RECORDINGS("r") "~a-4:r ~a-3:r ~lapse0:r ~a2:r " },
	};
	// clang-format on

	(void)state;
	add_timelapses();
	add_hours("a", 0, 10, 100);
	add_hours("b", 5, 10, 200);
	add("a", 10, 0, 0);
	assert_string_equal(plan(rules_at(10), 10).history, "a:1050:0-11 b:1000:5-10 ");
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct catalogue_rules *rules = rules_at(10);

		rules->keep_us = cases[i].keep ? cases[i].keep * HOUR_US : RULE_FOREVER;
		rules->max_bytes = cases[i].max;
		rules->free_bytes = cases[i].free;
		rules->cameras = xcalloc(3, sizeof(*rules->cameras));
		rules->n_cameras = 3;
		rules->cameras[0] = (struct catalogue_rule){ xstrdup("a"), false,
			cases[i].a_keep ? cases[i].a_keep * HOUR_US : rules->keep_us,
			cases[i].a_max };
		rules->cameras[1] = (struct catalogue_rule){ xstrdup("b"), false,
			cases[i].b_keep ? cases[i].b_keep * HOUR_US : rules->keep_us,
			cases[i].b_max };
		rules->cameras[2] = (struct catalogue_rule){ xstrdup("a"), true,
			cases[i].lapse_keep ? cases[i].lapse_keep * HOUR_US : RULE_FOREVER,
			cases[i].lapse_max };
		assert_plan(rules, cases[i].expected);
	}
}

/* Where they stay though recordings move on, they go only when there is no room otherwise. */
static void test_time_lapses_go_by_the_size_of_the_last_volume(void **state)
{
	// clang-format off
	static const struct {
		bool moves;
		int64_t keep; /* hours; 0: forever */
		uint64_t max, free;
		const char *expected;
	} cases[] = {
		{ .keep = 1, .expected = RECORDINGS("k") },
		{ .max = 1999 + TIMELAPSES, .expected = "a0:m " },
		{ .max = TIMELAPSES - 1, .expected = RECORDINGS("m") "~a-4:m " },
		{ .max = 1, .expected = RECORDINGS("m") "~a-4:m ~a-3:m ~lapse0:m ~a2:m " },
		{ .moves = true, .max = 1999 + TIMELAPSES, .expected = "a0:m " },
		{ .moves = true, .max = 1, .expected = RECORDINGS("m") },
		{ .moves = true, .max = 1, .free = 3001, .expected = RECORDINGS("m") "~a-4:r ~a-3:r " },
	};
	// clang-format on

	(void)state;
	add_timelapses();
	add_hours("a", 0, 10, 100);
	add_hours("b", 5, 10, 200);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct catalogue_rules *rules = rules_at(12);

		rules->volume_moves = cases[i].moves;
		rules->volume_keep_us = cases[i].keep * HOUR_US;
		rules->volume_max_bytes = cases[i].max;
		rules->free_bytes = cases[i].free;
		assert_plan(rules, cases[i].expected);
	}
	/* somebody copied one to another volume by hand */
	assert_int_equal(
		sqlite3_exec(catalogue->db,
			"UPDATE segments SET volume = 1 WHERE path LIKE '%/-4%'", NULL, NULL, NULL),
		SQLITE_OK);
	for (int volume_id = 0; volume_id < 2; volume_id++) {
		struct catalogue_rules *rules = rules_at(12);

		rules->volume = volume_id;
		rules->volume_max_bytes = volume_id ? 999 : TIMELAPSES - 1000 - 1;
		assert_plan(rules, volume_id ? "~a-4:m " : RECORDINGS("m") "~a-3:m ");
	}
}

static void test_the_limit_cuts_and_the_open_one_stays(void **state)
{
	struct catalogue_rules *rules = rules_at(10);
	struct planned planned;

	(void)state;
	add_hours("a", 0, 3, 100);
	add("a", 3, 0, 0);
	rules->free_bytes = 1000000;
	planned = plan(rules, 2);
	assert_string_equal(planned.text, "a0:r a1:r ");
	assert_string_equal(planned.history, "a:350:0-4 ");
	rules = rules_at(10);
	rules->max_bytes = 1;
	rules->free_bytes = 1000000;
	assert_plan(rules, "a0:m a1:m a2:m ");
}

static void test_what_is_spared_makes_others_go(void **state)
{
	struct catalogue_rules *rules = rules_at(10);

	(void)state;
	add_hours("a", 0, 5, 100);
	add_timelapses();
	rules->free_bytes = 350;
	rules->spared = xcalloc(3, sizeof(char *));
	rules->n_spared = 3;
	rules->spared[0] = path_of("a", 0);
	rules->spared[1] = path_of("a", 2);
	rules->spared[2] = xstrdup("recordings/a/2026-11-20/-4_timelapse.mp4");
	assert_plan(rules, "a1:r a3:r a4:r ~a-3:r ");
}

/* --- clocks --- */

static void test_a_clock_that_nobody_set_deletes_nothing_dated(void **state)
{
	struct catalogue_rules *rules = rules_at(YEARS);
	struct planned planned;

	(void)state;
	add_hours("a", 0, 3, 100);
	add("a", YEARS - 1, 100, AT(YEARS - 10));
	rules->clock_is_set = false;
	rules->keep_us = HOUR_US;
	planned = plan(rules, 10);
	assert_string_equal(planned.text, "");
	assert_true(planned.held_us == INT64_MAX);
	rules = rules_at(YEARS);
	rules->clock_is_set = false;
	rules->keep_us = HOUR_US;
	rules->free_bytes = 150;
	assert_plan(rules, "a0:r a1:r ");
}

static void test_without_any_time_server_the_own_clock_counts(void **state)
{
	struct catalogue_rules *rules = rules_at(100);

	(void)state;
	for (int hour = 0; hour < 10; hour++)
		add("a", hour, 100, AT(-1));
	rules->clock_is_set = false;
	rules->keep_us = 97 * HOUR_US;
	assert_plan(rules, "a0:k a1:k ");
	rules = rules_at(100);
	rules->clock_is_set = false;
	rules->keep_us = 97 * HOUR_US;
	rules->steady_us = 0;
	assert_plan(rules, "");
}

/* At this hour, where one camera keeps two days of what is added now. */
static struct catalogue_rules *rules_of_two_days(int hour, int64_t steady_us)
{
	struct catalogue_rules *rules = rules_at(hour);

	rules->cameras = xcalloc(1, sizeof(*rules->cameras));
	rules->n_cameras = 1;
	rules->cameras[0].camera = xstrdup("a");
	rules->cameras[0].timelapse = strcmp(stream, CATALOGUE_TIMELAPSE) == 0;
	rules->cameras[0].keep_us = 48 * HOUR_US;
	rules->steady_us = steady_us;
	return rules;
}

static void check_a_leap_of_the_clock(void)
{
	struct planned planned;

	add_hours("a", 0, 100, 1);
	add_hours("b", YEARS, YEARS + 2, 1);
	for (int i = 0; i < 3; i++) {
		planned = plan(rules_of_two_days(YEARS + 2, i * 12 * HOUR_US), 1000);
		/* age is counted from a day after the last recording before the leap: hour 124 */
		assert_int_equal(planned.n, i < 2 ? 75 : 100);
		assert_true(planned.held_us == (i < 2 ? (YEARS - 122) * HOUR_US : 0));
	}
	/* a day later recordings bear it out */
	add_hours("b", YEARS + 2, YEARS + 26, 1);
	assert_int_equal(plan(rules_of_two_days(YEARS + 26, 0), 1000).n, 100);
}

static void test_a_leap_of_the_clock_is_not_believed_at_once(void **state)
{
	(void)state;
	check_a_leap_of_the_clock();
}

static void test_a_leap_of_the_clock_where_there_are_time_lapses_alone(void **state)
{
	(void)state;
	stream = CATALOGUE_TIMELAPSE;
	check_a_leap_of_the_clock();
	stream = "main";
}

static void test_after_a_restart_age_goes_on(void **state)
{
	struct catalogue_rules *rules = rules_at(100);

	(void)state;
	add_hours("a", 0, 100, 1);
	rules->keep_us = 96 * HOUR_US;
	rules->steady_us = 0;
	assert_plan(rules, "a0:k a1:k a2:k ");
}

static void test_what_has_no_date_goes_in_the_order_of_recording(void **state)
{
	enum {
		IN_1970 = -498000
	};
	struct catalogue_rules *rules = rules_at(12);
	char expected[64];

	(void)state;
	add("a", IN_1970, 100, AT(IN_1970)); /* before all others: never dated again */
	add_hours("a", 0, 3, 100);
	add("a", IN_1970 + 5, 100, AT(IN_1970 + 4)); /* recorded a moment ago */
	rules->free_bytes = 350;
	snprintf(expected, sizeof(expected), "a%d:r a0:r a1:r a2:r ", IN_1970);
	assert_plan(rules, expected);
	/* it is at least as old as what was recorded after it, and no older than that for sure */
	rules = rules_at(12);
	rules->keep_us = 10 * HOUR_US;
	snprintf(expected, sizeof(expected), "a%d:k a0:k ", IN_1970);
	assert_plan(rules, expected);
	rules = rules_at(12);
	rules->keep_us = 11 * HOUR_US;
	assert_plan(rules, "");
	rules = rules_at(1000);
	rules->keep_us = 11 * HOUR_US;
	snprintf(expected, sizeof(expected), "a%d:k a0:k a1:k a2:k ", IN_1970);
	assert_plan(rules, expected);
}

/* --- files --- */

static void make_folder(const char *path)
{
	char *whole = xasprintf("%s/%s", folder, path);

	(void)mkdir(whole, 0700);
	free(whole);
}

static void make_file(const char *path, off_t bytes)
{
	char *whole = xasprintf("%s/%s", folder, path);
	int fd = open(whole, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
	free(whole);
}

/* Segments with their files. */
static void record(const char *camera, int hours)
{
	char *top = xasprintf("recordings/%s", camera);
	char *day = xasprintf("recordings/%s/2026-11-20", camera);

	add_hours(camera, 0, hours, 100);
	make_folder(top);
	make_folder(day);
	for (int hour = 0; hour < hours; hour++) {
		char *path = path_of(camera, hour);

		make_file(path, 100);
		free(path);
	}
	free(top);
	free(day);
}

/* --- the catalogue's side --- */

static void test_forgotten_rows_are_gone_and_not_counted(void **state)
{
	struct metric *segments = metric_get(METRIC_CATALOGUE_SEGMENTS);
	struct catalogue_expired rows[3] = {
		{.id = 1,  .path = path_of("a", 0)  },
		{ .id = 2, .path = path_of("a", 100)}, /* it was moved meanwhile */
		{ .id = 4, .path = path_of("a", 3)  }, /* open */
	};

	(void)state;
	add_hours("a", 0, 3, 100);
	add("a", 3, 0, 0);
	assert_int_equal(catalogue_forget_expired(catalogue, rows, 3), 0);
	assert_string_equal(plan(rules_at(0), 10).history, "a:250:1-4 ");
	assert_int_equal(metric_value(segments), 3);
	for (size_t i = 0; i < 3; i++)
		free(rows[i].path);
}

static int misses_since(int before)
{
	int now, highest;

	sqlite3_db_status(catalogue->db, SQLITE_DBSTATUS_CACHE_MISS, &now, &highest, 0);
	return now - before;
}

/* Each row has several pages of index: reading few of them shows that no row is passed by. */
static void test_many_rows_cost_nothing_to_start_and_to_plan(void **state)
{
	static const char fill[] =
		"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999)"
		" INSERT INTO segments (camera, stream, path, folder, start_us, end_us, bytes, codecs, width,"
		"  height, state, fragments) SELECT 'c' || (i % 5), CASE i % 20 / 5 WHEN 0 THEN 'timelapse'"
		"  ELSE 'main' END, 'recordings/' || i, 'recordings', i * 1000000, i * 1000000 + 999999, 10, 'avc1', 1, 1, 1, zeroblob(10000) FROM n";
	struct catalogue_rules *rules;
	struct planned planned;
	int before;

	(void)state;
	assert_int_equal(sqlite3_exec(catalogue->db, fill, NULL, NULL, NULL), SQLITE_OK);
	store_reopen_catalogue();
	assert_true(misses_since(0) < 100);
	assert_int_equal(metric_value(metric_get(METRIC_CATALOGUE_SEGMENTS)), 5000);
	before = misses_since(0);
	rules = rules_at(0);
	rules->keep_us = HOUR_US;
	rules->cameras = xcalloc(1, sizeof(*rules->cameras));
	rules->n_cameras = 1;
	rules->cameras[0] = (struct catalogue_rule){ xstrdup("c1"), true, HOUR_US, 2400 };
	rules->steady_us = 0;
	rules->max_bytes = 49900;
	rules->free_bytes = 100;
	planned = plan(rules, 20);
	assert_int_equal(planned.n, 20);
	assert_non_null(strstr(planned.text, "~c11:k c05:k "));
	assert_true(misses_since(before) < 200);
}

/* What a database of version 2 holds is counted once, when it is brought up to date. */
static void test_an_old_database_is_counted(void **state)
{
	struct catalogue_rules *rules = rules_at(0);

	(void)state;
	add_hours("a", 0, 3, 100);
	add_timelapses();
	(void)plan(rules_at(0), 1);
	assert_int_equal(
		sqlite3_exec(catalogue->db,
			"DROP INDEX segments_listed; DROP TABLE events; ALTER TABLE segments DROP COLUMN events; DROP INDEX timelapses_by_age; DROP INDEX timelapses_by_order;"
			"DROP TABLE locks; DROP TABLE properties;"
			"DROP TRIGGER segments_count_moved; DROP INDEX segments_by_volume_age;"
			"DROP INDEX segments_by_volume_order;"
			"DROP TRIGGER segments_count_added; DROP TRIGGER segments_count_changed;"
			"DROP TRIGGER segments_count_removed; DROP TABLE totals;"
			"DROP INDEX segments_open; DROP INDEX segments_by_age;"
			"DROP INDEX segments_by_order; PRAGMA user_version = 3;",
			NULL, NULL, NULL),
		SQLITE_OK);
	store_reopen_catalogue();
	assert_string_equal(plan(rules_at(0), 10).history, "a:300:0-3 ");
	rules->max_bytes = 300 + TIMELAPSES - 51; /* nobody knows of the open one any more */
	assert_plan(rules, "a0:m ");
}

static void count_row(void *arg, const struct catalogue_expired *row)
{
	*(uint64_t *)arg += row->bytes;
}

static void test_a_plan_beside_a_running_nvrd(void **state)
{
	struct catalogue_rules *rules = rules_at(10);
	struct catalogue *other;
	uint64_t bytes = 0;
	int64_t held_us;
	char *file, *why;

	(void)state;
	record("a", 3);
	add("a", 3, 0, 0);
	add_timelapses();
	make_file("recordings/a/2026-11-20/-2_timelapse.mp4", 500); /* the open one */
	(void)plan(rules_at(0), 1);
	file = xasprintf("%s/nvrd.db", folder);
	other = catalogue_open_to_read(folder, file, &why);
	free(file);
	assert_non_null(other);
	rules->max_bytes = 4500; /* without the recordings that is all */
	rules->free_bytes = 1000;
	assert_int_equal(catalogue_walk_expired(other, rules, count_row, &bytes, &held_us), 0);
	assert_int_equal(bytes, 1300);
	bytes = 0;
	rules->max_bytes = 4499;
	rules->free_bytes = 0;
	assert_int_equal(catalogue_walk_expired(other, rules, count_row, &bytes, &held_us), 0);
	assert_int_equal(bytes, 1300);
	bytes = rules->max_bytes = 0;
	rules->cameras = xcalloc(1, sizeof(*rules->cameras));
	rules->n_cameras = 1;
	rules->cameras[0] = (struct catalogue_rule){ xstrdup("a"), true, RULE_FOREVER, 3499 };
	assert_int_equal(catalogue_walk_expired(other, rules, count_row, &bytes, &held_us), 0);
	assert_int_equal(bytes, 1000);
	catalogue_rules_free(rules);
	catalogue_close(other);
	assert_null(catalogue_open_to_read(folder, "/nonexistent/nvrd.db", &why));
	assert_non_null(why);
	free(why);
}

/* --- what is deleted --- */

static bool exists(const char *path)
{
	char *whole = xasprintf("%s/%s", folder, path);
	bool there = access(whole, F_OK) == 0;

	free(whole);
	return there;
}

static void apply(const char *text)
{
	struct config *before = config;
	char *errors = NULL;

	config = config_parse("test", text, strlen(text), &errors);
	if (!config)
		fail_msg("%s", errors);
	retention_apply(retention, config);
	config_free(before);
}

static double deleted(const char *camera, const char *reason)
{
	return metric_value(metric_get(METRIC_RETENTION_DELETED, camera, reason));
}

#define LIMITS "storage: {reserve: 0%, max_size: "

static void test_files_rows_and_folders_go(void **state)
{
	struct metric *segments = metric_get(METRIC_CATALOGUE_SEGMENTS);

	(void)state;
	record("porch", 5);
	record("yard", 3);
	make_file("recordings/yard/2026-11-20/unknown.mp4", 0);
	apply("storage: {reserve: 0%}\ncameras: {porch: {source: 'test:', max_size: 1KB}, yard: {source: "
	      "'test:'}}");
	REACTOR_UNTIL(metric_value(metric_get(METRIC_RECORDED_BYTES, "porch")) == 500);
	assert_int_equal(metric_value(segments), 8);
	add("porch", 5, 600, 0);
	REACTOR_UNTIL(deleted("porch", "camera_max_size") == 1 && metric_value(segments) == 8);
	assert_false(exists("recordings/porch/2026-11-20/0_main.mp4"));
	assert_true(exists("recordings/porch/2026-11-20/1_main.mp4"));
	/* a camera that is out of the configuration is under the common limits */
	add("door", 9, 1000, 0);
	apply(LIMITS "1KB}\ncameras: {yard: {source: 'test:'}}");
	REACTOR_UNTIL(deleted("yard", "max_size") == 3 && metric_value(segments) == 1);
	assert_false(exists("recordings/porch"));
	assert_true(exists("recordings"));
	assert_true(exists("recordings/yard/2026-11-20/unknown.mp4"));
	assert_false(exists("recordings/yard/2026-11-20/0_main.mp4"));
	assert_true(metric_value(metric_get(METRIC_RETENTION_BYTES)) >= 800);
}

static void test_time_lapses_go_and_recordings_stay(void **state)
{
	struct metric *recorded;
	struct volume_hold hold;

	(void)state;
	record("film", 3);
	stream = CATALOGUE_TIMELAPSE;
	record("film", 5);
	add("film", 5, 700, 0);
	add("film", 6, 0, 0);
	stream = "main";
	recorded = metric_get(METRIC_RECORDED_BYTES, "film");
	volume_hold(volume, &hold, "recordings/film/2026-11-20/1_timelapse.mp4");
	apply("storage: {reserve: 0%}\ncameras: {film: {source: 'test:', timelapse: {every: 10s, max_size: 1KB}}}");
	REACTOR_UNTIL(deleted("film", "camera_max_size") == 3 &&
		      metric_value(metric_get(METRIC_CATALOGUE_SEGMENTS)) == 7);
	assert_true(metric_value(recorded) == 300);
	assert_true(exists("recordings/film/2026-11-20/0_main.mp4"));
	assert_true(exists("recordings/film/2026-11-20/1_timelapse.mp4"));
	assert_false(exists("recordings/film/2026-11-20/3_timelapse.mp4"));
	assert_true(exists("recordings/film/2026-11-20/4_timelapse.mp4"));
	volume_release(&hold);
}

static void test_more_than_a_batch_goes(void **state)
{
	struct metric *segments = metric_get(METRIC_CATALOGUE_SEGMENTS);
	struct volume_hold hold;

	(void)state;
	record("many", 700);
	add("many", 700, 900, 0);
	apply(LIMITS "1KB}");
	/* a lock that comes while its batch is being deleted */
	REACTOR_UNTIL(deleted("many", "max_size") >= 1);
	volume_hold(volume, &hold, "recordings/many/2026-11-20/255_main.mp4");
	REACTOR_UNTIL(deleted("many", "max_size") == 699 && metric_value(segments) == 2);
	assert_true(exists("recordings/many/2026-11-20/255_main.mp4"));
	assert_false(exists("recordings/many/2026-11-20/699_main.mp4"));
	volume_release(&hold);
}

static void on_open(void *arg, int error, uint64_t bytes, int64_t modified_us)
{
	(void)bytes, (void)modified_us;
	assert_int_equal(error, 0);
	*(bool *)arg = true;
}

static void test_what_is_held_stays_and_what_is_missing_is_forgotten(void **state)
{
	struct metric *segments = metric_get(METRIC_CATALOGUE_SEGMENTS);
	char *missing = xasprintf("%s/recordings/held/2026-11-20/1_main.mp4", folder);
	struct volume_reader *reader;
	bool opened = false;

	(void)state;
	record("held", 3);
	add("held", 3, 1000, 0);
	(void)unlink(missing);
	free(missing);
	reader = volume_reader_new(
		volume, "recordings/held/2026-11-20/0_main.mp4", on_open, &opened);
	REACTOR_UNTIL(opened);
	/* the third takes the place of the one that is held; the missing one is not counted as deleted */
	apply(LIMITS "1KB}\ncameras: {held: {source: 'test:'}}");
	REACTOR_UNTIL(deleted("held", "max_size") == 1 && metric_value(segments) == 1);
	assert_true(exists("recordings/held/2026-11-20/0_main.mp4"));
	assert_false(exists("recordings/held/2026-11-20/2_main.mp4"));
	volume_reader_free(reader);
	apply("storage: {reserve: 9000TB}");
	REACTOR_UNTIL(!exists("recordings/held"));
}

static void test_what_cannot_be_deleted_does_not_hold_up_the_rest(void **state)
{
	struct metric *errors = metric_get(METRIC_RETENTION_ERRORS);
	double before = metric_value(errors);
	char *stuck = xasprintf("%s/recordings/stuck/2026-11-20/0_main.mp4", folder);

	(void)state;
	record("stuck", 1);
	(void)unlink(stuck);
	free(stuck);
	make_folder("recordings/stuck/2026-11-20/0_main.mp4");
	record("stuck2", 5);
	add("stuck2", 5, 1000, 0);
	apply(LIMITS "1KB}");
	REACTOR_UNTIL(deleted("stuck2", "max_size") == 5);
	REACTOR_UNTIL(metric_value(metric_get(METRIC_CATALOGUE_SEGMENTS)) == 1);
	assert_int_equal(metric_value(errors), before + 1);
	assert_true(exists("recordings/stuck/2026-11-20/0_main.mp4"));
	assert_false(exists("recordings/stuck2/2026-11-20/4_main.mp4"));
}

static void test_an_empty_volume_changes_nothing(void **state)
{
	(void)state;
	add_hours("gone", 0, 5, 1000);
	apply(LIMITS "1KB}");
	REACTOR_UNTIL(metric_value(metric_get(METRIC_RECORDED_BYTES, "gone")) == 5000);
	for (int i = 0; i < 100; i++) /* each waits for the catalogue: long enough to forget them */
		assert_string_equal(plan(rules_at(0), 10).history, "gone:5000:0-5 ");
}

static void test_the_reserve_deletes_what_is_missing(void **state)
{
	/* no file system has that much: all must go, and the end of it is no loop */
	(void)state;
	record("full", 3);
	apply("storage: {reserve: 9000TB}\ncameras: {full: {source: 'test:'}}");
	REACTOR_UNTIL(deleted("full", "reserve") == 3);
	REACTOR_UNTIL(metric_value(metric_get(METRIC_CATALOGUE_SEGMENTS)) == 0);
	assert_false(exists("recordings/full"));
}

static void test_rules_come_from_the_configuration(void **state)
{
	struct catalogue_rules *rules;

	(void)state;
	apply("storage: {keep: 30d, max_size: 500GB, reserve: 10%}\n"
	      "cameras:\n"
	      "  a: {source: 'test:', keep: 7d, max_size: 100GiB,\n"
	      "      timelapse: {every: 10s, keep: 365d, max_size: 20GB}}\n"
	      "  b: {source: 'test:'}\n"
	      "  c: {source: 'test:', keep: forever}\n");
	rules = retention_rules(config);
	assert_int_equal(rules->n_cameras, 6); /* each has one for its time-lapses */
	assert_true(rules->keep_us == 30 * 24 * HOUR_US);
	assert_true(rules->max_bytes == UINT64_C(500000000000));
	assert_string_equal(rules->cameras[0].camera, "a");
	assert_true(rules->cameras[0].keep_us == 7 * 24 * HOUR_US);
	assert_true(rules->cameras[0].max_bytes == UINT64_C(100) << 30);
	assert_false(rules->cameras[0].timelapse);
	assert_string_equal(rules->cameras[1].camera, "a");
	assert_true(rules->cameras[1].timelapse);
	assert_true(rules->cameras[1].keep_us == 365 * 24 * HOUR_US);
	assert_true(rules->cameras[1].max_bytes == UINT64_C(20000000000));
	assert_true(rules->cameras[2].keep_us == 30 * 24 * HOUR_US);
	assert_true(rules->cameras[2].max_bytes == 0);
	assert_true(rules->cameras[3].timelapse);
	assert_true(rules->cameras[3].keep_us == RULE_FOREVER);
	assert_true(rules->cameras[3].max_bytes == 0);
	assert_true(rules->cameras[4].keep_us == RULE_FOREVER);
	catalogue_rules_free(rules);
	assert_true(retention_reserve(config, 2000) == 200);
	apply("storage: {reserve: 5KB}");
	assert_true(retention_reserve(config, 2000) == 5000);
}

static int setup(void **state)
{
	(void)state;
	store_open(0);
	retention = retention_new(volume, catalogue);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	retention_free(retention);
	store_close();
	config_free(config);
	config = NULL;
	metrics_fini();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_rule_takes_the_oldest),
		TEST(test_time_lapses_go_by_the_size_of_the_last_volume),
		TEST(test_the_limit_cuts_and_the_open_one_stays),
		TEST(test_what_is_spared_makes_others_go),
		TEST(test_a_clock_that_nobody_set_deletes_nothing_dated),
		TEST(test_without_any_time_server_the_own_clock_counts),
		TEST(test_a_leap_of_the_clock_is_not_believed_at_once),
		TEST(test_a_leap_of_the_clock_where_there_are_time_lapses_alone),
		TEST(test_after_a_restart_age_goes_on),
		TEST(test_what_has_no_date_goes_in_the_order_of_recording),
		TEST(test_forgotten_rows_are_gone_and_not_counted),
		TEST(test_many_rows_cost_nothing_to_start_and_to_plan),
		TEST(test_an_old_database_is_counted),
		TEST(test_a_plan_beside_a_running_nvrd),
		TEST(test_files_rows_and_folders_go),
		TEST(test_time_lapses_go_and_recordings_stay),
		TEST(test_more_than_a_batch_goes),
		TEST(test_what_is_held_stays_and_what_is_missing_is_forgotten),
		TEST(test_what_cannot_be_deleted_does_not_hold_up_the_rest),
		TEST(test_an_empty_volume_changes_nothing),
		TEST(test_the_reserve_deletes_what_is_missing),
		TEST(test_rules_come_from_the_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
