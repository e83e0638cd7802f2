/* Several volumes: what moves, and that at every moment there is one recording with one row and a whole file. */
#include "storage/tier.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/recovery.h"
#include "storage/redate.h"
#include "storage/retention.h"
#include "storage/segment.h"
#include "storage/volume_list.h"
#include "tests/reactor_until.h"
#include "tests/store.h"
#include "tests/synthetic.h"

#define HOUR_US (3600 * INT64_C(1000000))
#define AT(hour) (SYNTHETIC_START_US + (hour)*HOUR_US)
#define DAY "recordings/porch/2026-11-20/"

enum {
	PIECES_BYTES = 3 << 20 /* more than one piece of a move */
};

static char *hot, *warm, *cold; /* in the folder; `volume` is the first */
static struct retention *retention;
static struct config *config;

/* As the kernel answers when somebody has set the clock. */
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the header says __ntx
int adjtimex(struct timex *state)
{
	*state = (struct timex){ 0 };
	return 0;
}

static void on_clock_set(void *arg)
{
	(void)arg;
}

/* --- files --- */

static char *whole_path(const char *top, const char *path)
{
	return xasprintf("%s/%s", top, path);
}

static char *path_of(int hour)
{
	return xasprintf(DAY "%02d-00-00+0000.mp4", hour);
}

/* How many bytes it has; -1: there is none. */
static long size_at(const char *top, const char *path)
{
	char *whole = whole_path(top, path);
	struct stat st;
	long bytes = stat(whole, &st) == 0 ? (long)st.st_size : -1;

	free(whole);
	return bytes;
}

static long size_of(const char *top, int hour)
{
	char *path = path_of(hour);
	long bytes = size_at(top, path);

	free(path);
	return bytes;
}

static void make_folders(const char *top)
{
	static const char *const folders[] = { "recordings", "recordings/porch",
		"recordings/porch/2026-11-20" };

	for (size_t i = 0; i < ARRAY_LENGTH(folders); i++) {
		char *whole = whole_path(top, folders[i]);

		(void)mkdir(whole, 0700);
		free(whole);
	}
}

static void write_at(const char *top, const char *path, const void *p, size_t n)
{
	char *whole = whole_path(top, path);
	int fd;

	make_folders(top);
	fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
	free(whole);
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

/* --- the catalogue --- */

static const char *stream = "main"; /* of what is added */

static int64_t add_row_at(const char *path, int64_t start_us, uint64_t bytes, int64_t boot_us)
{
	struct catalogue_segment row = {
		.camera = xstrdup("porch"),
		.stream = xstrdup(stream),
		.path = xstrdup(path),
		.codecs = xstrdup("avc1.42c01e"),
		.start_us = start_us,
		.boot_us = boot_us,
	};
	struct catalogue_fragment fragment = { start_us, (uint32_t)HOUR_US, 50, 0, true };
	int64_t id;

	assert_int_equal(catalogue_add(catalogue, &row, &id), 0);
	catalogue_grow(catalogue, id, &fragment);
	if (bytes)
		catalogue_finish(catalogue, id, bytes);
	free(row.camera);
	free(row.stream);
	free(row.path);
	free(row.codecs);
	return id;
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

struct answer {
	bool done;
	int error;
	size_t n;
	int64_t id, volume, boot_us;
	char path[128];
};

static void on_row(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct answer *a = arg;

	*a = (struct answer){ .done = true, .error = error, .n = n };
	if (!n)
		return;
	a->id = rows[0].id;
	a->volume = rows[0].volume;
	a->boot_us = rows[0].boot_us;
	snprintf(a->path, sizeof(a->path), "%s", rows[0].path);
}

/* All rows with that path. */
static struct answer find_path(const char *path)
{
	struct answer a = { 0 };

	assert_non_null(catalogue_find(catalogue, path, on_row, &a));
	reactor_wait(&a.done);
	return a;
}

static struct answer rows_in_folder(void)
{
	struct answer a = { 0 };

	assert_non_null(
		catalogue_folder_rows(catalogue, "recordings/porch/2026-11-20", on_row, &a));
	reactor_wait(&a.done);
	return a;
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

static void on_set(void *arg, int error)
{
	struct answer *a = arg;

	a->done = true;
	a->error = error;
}

static int set_volume(int64_t id, const char *path, int64_t from, int64_t to)
{
	struct answer a = { 0 };

	assert_int_equal(catalogue_set_volume(catalogue, id, path, from, to, on_set, &a), 0);
	reactor_wait(&a.done);
	return a.error;
}

/* --- life --- */

static void load(const char *text)
{
	char *errors = NULL;

	config_free(config);
	config = config_parse("test", text, strlen(text), &errors);
	if (!config)
		fail_msg("%s", errors);
}

/* storage: with these options of the hot and the warm volume; cold comes third when it is given. */
static void load_volumes(const char *of_hot, const char *of_warm, const char *of_cold)
{
	char *text = xasprintf("storage:\n"
			       "  path: %s\n"
			       "  reserve: 0%%\n"
			       "  volumes:\n"
			       "    - {path: %s%s}\n"
			       "    - {path: %s%s}\n"
			       "%s%s%s%s",
		hot, hot, of_hot, warm, of_warm, of_cold ? "    - {path: " : "",
		of_cold ? cold : "", of_cold ? of_cold : "", of_cold ? "}\n" : "");

	load(text);
	free(text);
}

static void close_store(void)
{
	retention_free(retention);
	retention = NULL;
	volume_close(volume);
	catalogue_close(catalogue);
	volume = NULL;
	catalogue = NULL;
}

/* Returns how many volumes are not there. */
static unsigned open_store(void)
{
	char *file = whole_path(hot, "nvrd.db"), *why = NULL;
	unsigned missing;

	volume = volume_open(hot, 0, &why);
	catalogue = catalogue_open(file, &why);
	if (!volume || !catalogue)
		fail_msg("%s", why);
	missing = volume_list_open(volume, config, catalogue);
	free(file);
	return missing;
}

static unsigned reopen(void)
{
	close_store();
	return open_store();
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

static int setup(void **state)
{
	(void)state;
	reactor_init();
	wall_clock_watch(on_clock_set, NULL);
	folder = synthetic_folder();
	hot = whole_path(folder, "hot");
	warm = whole_path(folder, "warm");
	cold = whole_path(folder, "cold");
	assert_int_equal(mkdir(warm, 0700), 0);
	assert_int_equal(mkdir(cold, 0700), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_store();
	wall_clock_unwatch();
	config_free(config);
	config = NULL;
	free(hot);
	free(warm);
	free(cold);
	synthetic_folder_remove(folder);
	reactor_fini();
	metrics_fini();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
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
