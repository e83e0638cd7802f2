/* nvrd --retention-plan: what it prints of a store, and what it says when it cannot. */
#include "server/retention_plan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/volume_list.h"
#include "tests/store.h"
#include "tests/synthetic.h"

#define HOUR_US (3600 * INT64_C(1000000))
#define AT(hour) (SYNTHETIC_START_US + (hour)*HOUR_US)

static char *warm; /* a second volume */
static struct config *config;

/* --- the clocks: it is a day after the start, the machine has run for long, and somebody has set its clock, or not --- */

static bool clock_is_set;

int64_t __wrap_reactor_now_us(void);
int64_t __wrap_reactor_monotonic_us(void);
int64_t __real_reactor_monotonic_us(void);
bool __wrap_wall_clock_kernel_knows(void);

int64_t __wrap_reactor_now_us(void)
{
	return AT(24);
}

int64_t __wrap_reactor_monotonic_us(void)
{
	return __real_reactor_monotonic_us() + 1000 * HOUR_US;
}

bool __wrap_wall_clock_kernel_knows(void)
{
	return clock_is_set;
}

/* --- the store --- */

static int set_up(void **state)
{
	(void)state;
	store_open(0);
	warm = synthetic_folder();
	clock_is_set = true;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	store_close();
	synthetic_folder_remove(warm);
	config_free(config);
	config = NULL;
	return 0;
}

/* With these lines below `storage:`. */
static void load(const char *lines)
{
	char *text = xasprintf("storage:\n  path: %s\n  reserve: 0%%\n%s", folder, lines);
	char *errors = NULL;

	config_free(config);
	config = config_parse("test", text, strlen(text), &errors);
	if (!config)
		fail_msg("%s", errors);
	free(text);
}

/* The first volume, the second with options, and others behind. */
static void load_volumes(const char *of_first, const char *of_warm, const char *more)
{
	char *text = xasprintf("  volumes:\n    - {path: %s%s}\n    - {path: %s%s}\n%s", folder,
		of_first, warm, of_warm, more);

	load(text);
	free(text);
}

static void record(const char *camera, const char *stream, int hour)
{
	struct catalogue_segment row = {
		.camera = xstrdup(camera),
		.stream = xstrdup(stream),
		.path = xasprintf("recordings/%s/%02d.mp4", camera, hour),
		.codecs = xstrdup("avc1.42c01e"),
		.start_us = AT(hour),
	};
	struct catalogue_fragment fragment = { row.start_us, (uint32_t)HOUR_US, 50, 0, true };
	int64_t id;

	assert_int_equal(catalogue_add(catalogue, &row, &id), 0);
	catalogue_grow(catalogue, id, &fragment);
	catalogue_finish(catalogue, id, 1000);
	free(row.camera);
	free(row.stream);
	free(row.path);
	free(row.codecs);
}

/* Beside the catalogue's thread. */
static void run(const char *sql)
{
	char *file = xasprintf("%s/nvrd.db", folder);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 10000);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(file);
}

/* The hours of the porch before this one are on the second volume. */
static void put_on_warm(int hour)
{
	char *sql;

	assert_int_equal(volume_list_open(volume, config, catalogue), 0);
	store_reopen_catalogue(); /* has what was recorded in it */
	sql = xasprintf("UPDATE segments SET volume = %lld WHERE start_us < %lld",
		(long long)volume_id(volume_next(volume)), (long long)AT(hour));
	run(sql);
	free(sql);
}

/* --- what is printed --- */

struct printed {
	int error;
	char out[2048], err[512];
};

static FILE *redirect(FILE *stream, int *kept)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	(void)fflush(stream);
	*kept = dup(fileno(stream));
	assert_true(*kept >= 0 && dup2(fileno(file), fileno(stream)) >= 0);
	return file;
}

static void restore(FILE *stream, int kept, FILE *file, char *ret, size_t size)
{
	size_t n;

	(void)fflush(stream);
	assert_true(dup2(kept, fileno(stream)) >= 0);
	close(kept);
	rewind(file);
	n = fread(ret, 1, size - 1, file);
	ret[n] = '\0';
	(void)fclose(file);
}

static struct printed print(void)
{
	struct printed ret;
	int out, err;
	FILE *out_file = redirect(stdout, &out), *err_file = redirect(stderr, &err);

	ret.error = retention_plan_print(config);
	restore(stdout, out, out_file, ret.out, sizeof(ret.out));
	restore(stderr, err, err_file, ret.err, sizeof(ret.err));
	return ret;
}

static void expect(const char *out, const char *err)
{
	struct printed printed = print();

	assert_string_equal(printed.out, out);
	assert_string_equal(printed.err, err);
	assert_int_equal(printed.error, 0);
}

/* --- tests --- */

static void test_a_line_for_each_that_goes_and_the_sum(void **state)
{
	(void)state;
	record("porch", "main", 1);
	record("yard", "main", 2);
	record("porch", "main", 3);
	store_reopen_catalogue();
	load("");
	expect("0 recordings, 0 bytes\n", "");
	load("  max_size: 1KB\n");
	expect("recordings/porch/01.mp4\tporch\t1000\tmax_size\tdelete\n"
	       "recordings/yard/02.mp4\tyard\t1000\tmax_size\tdelete\n"
	       "2 recordings, 2000 bytes\n",
		"");
	load("  keep: 1290m\n");
	expect("recordings/porch/01.mp4\tporch\t1000\tkeep\tdelete\n1 recordings, 1000 bytes\n",
		"");
}

static void test_age_does_not_count_by_a_clock_that_nobody_has_set(void **state)
{
	(void)state;
	record("porch", "main", 1);
	record("porch", "main", 2);
	store_reopen_catalogue();
	load("  keep: 1h\n  max_size: 1KB\n");
	clock_is_set = false;
	expect("recordings/porch/01.mp4\tporch\t1000\tmax_size\tdelete\n1 recordings, 1000 bytes\n",
		"nvrd: nothing goes by age: nobody has set the clock yet\n");
}

static void test_what_is_too_much_for_a_volume_moves_to_the_next(void **state)
{
	char *text;

	(void)state;
	for (int hour = 1; hour < 6; hour++)
		record("porch", "main", hour);
	record("porch", CATALOGUE_TIMELAPSE, 6);
	load_volumes("", "", "");
	put_on_warm(3);
	load_volumes(", max_size: 3KB", ", max_size: 1KB", "");
	text = xasprintf("recordings/porch/03.mp4\tporch\t1000\tmax_size\tmove to %s\n"
			 "recordings/porch/01.mp4\tporch\t1000\tmax_size\tdelete\n"
			 "1 recordings move, 1000 bytes\n1 recordings, 1000 bytes\n",
		warm);
	expect(text, "");
	free(text);
}

/* A time-lapse stays where it is, or goes. */
static void test_the_reserve_takes_all(void **state)
{
	char *text;

	(void)state;
	record("porch", "main", 1);
	record("porch", "main", 2);
	record("porch", CATALOGUE_TIMELAPSE, 3);
	load_volumes("", "", "");
	put_on_warm(2);
	config->storage.reserve = (struct config_share){ .percent = 100 };
	text = xasprintf("recordings/porch/02.mp4\tporch\t1000\treserve\tmove to %s\n"
			 "recordings/porch/03.mp4\tporch\t1000\treserve\tdelete\n"
			 "recordings/porch/01.mp4\tporch\t1000\treserve\tdelete\n"
			 "1 recordings move, 1000 bytes\n2 recordings, 2000 bytes\n",
		warm);
	expect(text, "");
	free(text);
}

/* Nothing can move to it; and what is on it nobody can tell. */
static void test_a_volume_that_is_not_there(void **state)
{
	char *text;

	(void)state;
	for (int hour = 1; hour < 6; hour++)
		record("porch", "main", hour);
	load_volumes("", "", "");
	put_on_warm(3);
	load_volumes(", max_size: 2KB", ", max_size: 1KB", "    - {path: /nonexistent/cold}\n");
	text = xasprintf("recordings/porch/03.mp4\tporch\t1000\tmax_size\tmove to %s\n"
			 "1 recordings move, 1000 bytes\n0 recordings, 0 bytes\n",
		warm);
	expect(text, "nvrd: /nonexistent/cold is not there\n");
	free(text);
}

static void expect_failure(const char *why)
{
	struct printed printed = print();
	char *text = xasprintf("nvrd: catalogue %s/nvrd.db: %s\n", config->storage.path, why);

	assert_int_equal(printed.error, -EIO);
	assert_string_equal(printed.out, "");
	assert_string_equal(printed.err, text);
	free(text);
}

static void test_a_catalogue_that_cannot_be_read(void **state)
{
	(void)state;
	load("");
	run("PRAGMA user_version = 1");
	expect_failure("it was made by another version of nvrd; start this one once");
	free(config->storage.path);
	config->storage.path = xstrdup(warm);
	expect_failure("unable to open database file");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_line_for_each_that_goes_and_the_sum),
		TEST(test_age_does_not_count_by_a_clock_that_nobody_has_set),
		TEST(test_what_is_too_much_for_a_volume_moves_to_the_next),
		TEST(test_the_reserve_takes_all),
		TEST(test_a_volume_that_is_not_there),
		TEST(test_a_catalogue_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
