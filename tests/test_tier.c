/* Several volumes: what moves from one to the next, and that each recording is there once, with one row and a whole file. */
#include "storage/tier.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "tests/reactor_until.h"
#include "tests/tier_store.h"

enum {
	PIECES_BYTES = 3 << 20 /* more than one piece of a move */
};

/* --- what is recorded, by the hour --- */

static char *path_of(int hour)
{
	return xasprintf(DAY "%02d-00-00+0000.mp4", hour);
}

static long size_of(const char *top, int hour)
{
	char *path = path_of(hour);
	long bytes = size_at(top, path);

	free(path);
	return bytes;
}

/* The bytes of an hour, each with its own. */
static uint8_t *content_of(int hour, size_t n)
{
	uint8_t *p = xmalloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 31 + (i >> 8) + (size_t)hour);
	return p;
}

static void write_hour(const char *top, int hour, size_t n)
{
	char *path = path_of(hour);
	uint8_t *p = content_of(hour, n);

	write_at(top, path, p, n);
	free(p);
	free(path);
}

static void assert_content(const char *top, int hour, size_t n)
{
	char *path = path_of(hour), *whole = whole_path(top, path);
	uint8_t *expected = content_of(hour, n), *p = xmalloc(n + 1);
	int fd = open(whole, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, p, n + 1), n);
	assert_memory_equal(p, expected, n);
	close(fd);
	free(whole);
	free(path);
	free(expected);
	free(p);
}

static int64_t add_row(int hour, uint64_t bytes)
{
	char *path = path_of(hour);
	int64_t id = add_row_at(path, AT(hour), bytes, 0);

	free(path);
	return id;
}

static void record(int hour, size_t bytes)
{
	write_hour(hot, hour, bytes);
	(void)add_row(hour, bytes);
}

/* On which volume the row of an hour is: 0, 1 (warm), 2 (cold); -1: there is none. */
static int place_of(int hour)
{
	char *path = path_of(hour);
	struct answer a = find_path(path);
	int place = 0;
	const struct volume *at = volume;

	free(path);
	if (!a.n)
		return -1;
	while (at && volume_id(at) != a.volume) {
		at = volume_next(at);
		place++;
	}
	assert_non_null(at);
	return place;
}

/* Retention and moving, by the configuration as it is. */
static void begin(void)
{
	retention = retention_new(volume, catalogue);
	retention_apply(retention, config);
	retention_let_move(retention);
}

static double moved(void)
{
	return metric_value(metric_get(METRIC_VOLUME_MOVED, warm));
}

static double move_errors(void)
{
	return metric_value(metric_get(METRIC_VOLUME_MOVE_ERRORS, warm));
}

/* Every hour has one row and one file, which the row names, with its bytes. */
static void assert_once(int hours, size_t bytes)
{
	const char *const tops[] = { hot, warm, cold };

	assert_int_equal(rows_in_folder().n, hours);
	for (int hour = 0; hour < hours; hour++) {
		int place = place_of(hour);

		assert_true(place >= 0);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(size_of(tops[i], hour) >= 0, i == place);
			if (i == place)
				assert_content(tops[i], hour, bytes);
		}
	}
}

/* --- what is to move --- */

struct planned {
	bool done;
	char text[512]; /* "3:k" hour, reason; capital when it is the volume's own limit */
};

static void on_plan(void *arg, int error, const struct catalogue_plan *plan)
{
	struct planned *planned = arg;

	assert_int_equal(error, 0);
	for (size_t i = 0; i < plan->n; i++) {
		size_t n = strlen(planned->text);
		char reason = *catalogue_reason_name(plan->rows[i].reason);

		snprintf(planned->text + n, sizeof(planned->text) - n, "%ld:%c ",
			strtol(strrchr(plan->rows[i].path, '/') + 1, NULL, 10),
			plan->rows[i].by_volume ? reason - 'a' + 'A' : reason);
	}
	planned->done = true;
}

static void test_the_plan_of_each_volume(void **state)
{
	// clang-format off
	static const struct {
		int64_t keep; /* hours; 0: forever */
		uint64_t max;
		bool warm;
		int64_t volume_keep;
		uint64_t volume_max, free;
		const char *expected;
	} cases[] = {
		/* 0 to 3 are on the warm volume, 4 to 9 on the hot one, and an open one; now is 10 */
		{ .expected = "" },
		{ .volume_keep = 3, .expected = "4:K 5:K " },
		{ .volume_max = 450, .expected = "4:M 5:M " },
		{ .free = 101, .expected = "4:R 5:R " },
		{ .volume_keep = 4, .volume_max = 350, .free = 400, .expected = "4:K 5:M 6:M 7:R " },
		{ .warm = true, .volume_keep = 8, .expected = "0:K " },
		{ .warm = true, .volume_max = 250, .expected = "0:M 1:M " },
		{ .warm = true, .free = 1000, .expected = "0:R 1:R 2:R 3:R " },
		/* the limits of recordings come first, wherever they are, and count for the volume's */
		{ .keep = 4, .expected = "4:k " },
		{ .keep = 4, .warm = true, .expected = "0:k 1:k 2:k 3:k " },
		{ .max = 850, .warm = true, .volume_max = 250, .expected = "0:m 1:m " },
		{ .max = 850, .warm = true, .volume_max = 150, .expected = "0:m 1:m 2:M " },
		{ .max = 850, .warm = true, .free = 300, .expected = "0:m 1:m 2:R " },
		{ .max = 850, .free = 100, .expected = "4:R " },
		{ .keep = 4, .free = 200, .expected = "4:k 5:R " },
		{ .keep = 4, .volume_max = 450, .expected = "4:k 5:M " },
	};
	// clang-format on

	(void)state;
	load_volumes("", "", NULL);
	assert_int_equal(open_store(), 0);
	for (int hour = 0; hour < 10; hour++) {
		char *path = path_of(hour);
		int64_t id = add_row(hour, 100);

		if (hour < 4)
			assert_int_equal(
				set_volume(id, path, 0, volume_id(volume_next(volume))), 0);
		free(path);
	}
	(void)add_row(10, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct catalogue_rules *rules = xcalloc(1, sizeof(*rules));
		struct planned planned = { 0 };

		rules->keep_us = cases[i].keep ? cases[i].keep * HOUR_US : RULE_FOREVER;
		rules->max_bytes = cases[i].max;
		rules->volume = cases[i].warm ? volume_id(volume_next(volume)) : 0;
		rules->volume_keep_us = cases[i].volume_keep * HOUR_US;
		rules->volume_max_bytes = cases[i].volume_max;
		rules->free_bytes = cases[i].free;
		rules->now_us = AT(10);
		rules->clock_is_set = true;
		rules->steady_us = 48 * HOUR_US;
		assert_int_equal(catalogue_expired(catalogue, rules, 100, on_plan, &planned), 0);
		reactor_wait(&planned.done);
		if (strcmp(planned.text, cases[i].expected) != 0)
			fail_msg("case %zu: %s instead of %s", i, planned.text, cases[i].expected);
	}
}

/* --- moving --- */

static void test_what_is_too_much_moves_on(void **state)
{
	struct metric *on_warm;

	(void)state;
	load_volumes(", max_size: 2MB", "", NULL);
	assert_int_equal(open_store(), 0);
	for (int hour = 0; hour < 5; hour++)
		record(hour, 900000);
	begin();
	REACTOR_UNTIL(moved() == 3 && place_of(2) == 1 && size_of(hot, 2) < 0);
	assert_int_equal(metric_value(metric_get(METRIC_VOLUME_MOVED_BYTES, warm)), 2700000);
	assert_once(5, 900000);
	assert_int_equal(place_of(3), 0);
	assert_true(move_errors() == 0);
	on_warm = metric_get(METRIC_VOLUME_BYTES, warm);
	record(5, 900000);
	REACTOR_UNTIL(moved() == 4 && size_of(hot, 3) < 0);
	assert_once(6, 900000);
	retention_apply(retention, config); /* plans anew */
	REACTOR_UNTIL(metric_value(on_warm) == 3600000);
}

static void assert_place(int hour, int place)
{
	const char *const tops[] = { hot, warm, cold };

	assert_int_equal(place_of(hour), place);
	for (int i = 0; i < 3; i++)
		assert_int_equal(size_of(tops[i], hour), i == place ? 1000 : -1);
}

static void test_time_lapses_do_not_move(void **state)
{
	const struct config_share none = { 0 };
	struct tier *tier;

	(void)state;
	load_volumes("", "", NULL);
	assert_int_equal(open_store(), 0);
	tier = tier_new(volume, catalogue);
	stream = CATALOGUE_TIMELAPSE;
	for (int hour = -20; hour < 0; hour++) /* more than it is told at once */
		record(hour, 1000);
	stream = "main";
	for (int hour = 0; hour < 3; hour++)
		record(hour, 1000);
	for (int i = 0; i < 2; i++) {
		struct catalogue_rules *rules = xcalloc(1, sizeof(*rules));

		rules->keep_us = RULE_FOREVER;
		rules->volume_max_bytes = 1;
		rules->free_bytes = i ? UINT64_MAX : 0;
		tier_run(tier, rules, 0, &none);
		REACTOR_UNTIL(tier_is_idle(tier) && size_of(hot, 2) < 0);
		assert_int_equal(tier_wants_more(tier), i);
		for (int hour = -20; hour < 3; hour++)
			assert_place(hour, hour >= 0);
	}
	tier_free(tier);
	assert_int_equal(moved(), 3);
	/* but they go where there is no other room to make */
	config->storage.reserve = (struct config_share){ .bytes = UINT64_C(9000000000000000) };
	begin();
	REACTOR_UNTIL(rows_in_folder().n == 0 && size_of(hot, -1) < 0);
}

static void test_what_is_too_old_moves_on_and_at_last_goes(void **state)
{
	enum {
		OLDEST = 33
	};
	int64_t now_us = reactor_now_us();

	(void)state;
	load_volumes(", keep: 10h", ", keep: 20h", ", keep: 30h");
	assert_int_equal(open_store(), 0);
	for (int age = 0; age <= OLDEST; age++) { /* ended half an hour less ago */
		char *path = path_of(age);

		write_hour(hot, age, 1000);
		(void)add_row_at(path, now_us - age * HOUR_US - HOUR_US / 2, 1000, 0);
		free(path);
	}
	begin();
	REACTOR_UNTIL(place_of(31) < 0 && place_of(21) == 2 && place_of(11) == 1);
	REACTOR_UNTIL(size_of(hot, 11) < 0 && size_of(warm, 21) < 0 && size_of(cold, 31) < 0);
	for (int age = 0; age <= OLDEST; age++)
		assert_place(age, age > 30 ? -1 : age > 20 ? 2 : age > 10);
	assert_true(move_errors() == 0);
}

static void test_the_reserve_moves_nothing_within_a_file_system(void **state)
{
	char *text = xasprintf(
		"storage:\n  path: %s\n  reserve: 9000TB\n  volumes: [{path: %s}]\n", hot, warm);

	(void)state;
	load(text);
	free(text);
	assert_int_equal(open_store(), 0);
	for (int hour = 0; hour < 3; hour++)
		record(hour, 1000);
	begin();
	/* no file system has that much: at last all go, and none has moved */
	REACTOR_UNTIL(rows_in_folder().n == 0);
	assert_true(moved() == 0);
}

/* As long as there is room nothing is deleted because it cannot move. */
static void test_what_cannot_move_stays(void **state)
{
	char *old = hot, *text;

	(void)state;
	load_volumes(", max_size: 1KB", "", NULL);
	assert_int_equal(rmdir(warm), 0);
	assert_int_equal(open_store(), 1);
	assert_null(volume_target(volume));
	assert_false(volume_is_last(volume));
	for (int hour = 0; hour < 3; hour++)
		record(hour, 1000);
	begin();
	REACTOR_UNTIL(metric_value(metric_get(METRIC_VOLUME_BYTES, hot)) == 3000);
	for (int i = 0; i < 100; i++) /* each waits for the catalogue: long enough to delete them */
		assert_int_equal(rows_in_folder().n, 3);
	assert_int_equal(size_of(hot, 0), 1000);
	/* but recording goes before */
	text = xasprintf(
		"storage:\n  path: %s\n  reserve: 9000TB\n  volumes: [{path: %s}]\n", old, warm);
	load(text);
	free(text);
	retention_apply(retention, config);
	REACTOR_UNTIL(rows_in_folder().n == 0 && size_of(hot, 2) < 0);
}

static void test_a_file_that_is_there_stays(void **state)
{
	(void)state;
	load_volumes(", max_size: 1KB", "", NULL);
	assert_int_equal(open_store(), 0);
	record(0, 5000);
	record(1, 5000);
	write_hour(warm, 1, 5000); /* the same byte for byte: it is the copy */
	write_hour(warm, 0, 100);  /* another one */
	begin();
	REACTOR_UNTIL(move_errors() == 1);
	REACTOR_UNTIL(place_of(1) == 1 && size_of(hot, 1) < 0);
	assert_int_equal(place_of(0), 0);
	assert_content(hot, 0, 5000);
	assert_content(warm, 0, 100);
	assert_content(warm, 1, 5000);
}

static void test_what_somebody_holds_stays_until_he_is_done(void **state)
{
	struct volume_hold before, during;
	char *first = path_of(0), *second = path_of(1);

	(void)state;
	load_volumes(", max_size: 1KB", "", NULL);
	assert_int_equal(open_store(), 0);
	record(0, PIECES_BYTES);
	record(1, PIECES_BYTES);
	volume_hold(volume, &before, first);
	begin();
	REACTOR_UNTIL(volume_is_moving(volume, second));
	volume_hold(volume, &during, second);
	REACTOR_UNTIL(place_of(1) == 1);
	assert_content(
		hot, 1, PIECES_BYTES); /* who has looked it up before finds it where it was */
	assert_content(warm, 1, PIECES_BYTES);
	assert_int_equal(place_of(0), 0);
	volume_release(&during);
	REACTOR_UNTIL(size_of(hot, 1) < 0);
	assert_int_equal(place_of(0), 0);
	assert_true(size_of(warm, 0) < 0);
	volume_release(&before);
	retention_apply(retention, config); /* plans anew */
	REACTOR_UNTIL(place_of(0) == 1 && size_of(hot, 0) < 0);
	assert_once(2, PIECES_BYTES);
	free(first);
	free(second);
}

static void test_what_is_deleted_while_it_moves_is_gone(void **state)
{
	char *path = path_of(0);
	int64_t id;

	(void)state;
	load_volumes(", max_size: 1KB", "", NULL);
	assert_int_equal(open_store(), 0);
	write_hour(hot, 0, PIECES_BYTES);
	id = add_row(0, PIECES_BYTES);
	begin();
	REACTOR_UNTIL(volume_is_moving(volume, path));
	catalogue_forget(catalogue, id);
	REACTOR_UNTIL(!volume_is_moving(volume, path));
	assert_int_equal(rows_in_folder().n, 0);
	assert_true(size_of(warm, 0) < 0);
	free(path);
}

/* Stopped after so many turns of the loop, with whatever was under way; all is put right at the next start. */
static void test_it_may_be_stopped_at_any_time(void **state)
{
	(void)state;
	load_volumes(", max_size: 1KB", "", NULL);
	assert_int_equal(open_store(), 0);
	for (int hour = 0; hour < 3; hour++)
		record(hour, PIECES_BYTES);
	for (unsigned turns = 0; place_of(2) == 0 || size_of(hot, 2) >= 0; turns++) {
		begin();
		for (unsigned i = 0; i < turns; i++)
			event_base_loop(reactor_base(), EVLOOP_ONCE);
		assert_int_equal(reopen(), 0);
		assert_int_equal(store_recover().unusable, 0);
		assert_once(3, PIECES_BYTES);
		assert_true(turns < 1000);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_the_plan_of_each_volume),
		TEST(test_what_is_too_much_moves_on),
		TEST(test_time_lapses_do_not_move),
		TEST(test_what_is_too_old_moves_on_and_at_last_goes),
		TEST(test_the_reserve_moves_nothing_within_a_file_system),
		TEST(test_what_cannot_move_stays),
		TEST(test_a_file_that_is_there_stays),
		TEST(test_what_somebody_holds_stays_until_he_is_done),
		TEST(test_what_is_deleted_while_it_moves_is_gone),
		TEST(test_it_may_be_stopped_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
