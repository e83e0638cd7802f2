/* The volume: files are made, appended, cut back on failure, read; nothing leaves its folder. */
#include "storage/volume.h"

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
#include "server/base/reactor.h"
#include "tests/synthetic.h"

/* What a file's owner was told. */
struct told {
	bool opened, closed;
	int open_error, append_error, close_error;
	char path[128];
	unsigned appends;
	uint64_t offset, bytes, total;
};

static char *folder;
static struct volume *volume;
static struct stream_track tracks[2];
static struct fragment_init *init;

static void on_open(void *arg, int error, const char *path)
{
	struct told *told = arg;

	told->opened = true;
	told->open_error = error;
	snprintf(told->path, sizeof(told->path), "%s", path);
}

static void on_append(void *arg, int error, uint64_t offset, uint64_t bytes)
{
	struct told *told = arg;

	told->appends++;
	if (error)
		told->append_error = error;
	told->offset = offset;
	told->bytes = bytes;
}

static void on_close(void *arg, int error, uint64_t bytes)
{
	struct told *told = arg;

	told->closed = true;
	told->close_error = error;
	told->total = bytes;
}

static const struct volume_file_events events = { on_open, on_append, on_close };

static off_t size_of(const char *path)
{
	char *whole = xasprintf("%s/%s", folder, path);
	struct stat st;
	int missing = stat(whole, &st);

	free(whole);
	return missing ? -1 : st.st_size;
}

/* A file with a head of ten bytes and n fragments. */
static struct told record(const char *path, unsigned n, size_t bytes)
{
	struct told told = { 0 };
	struct volume_file *file = volume_create(volume, path, &events, &told);

	assert_int_equal(volume_append_bytes(file, "0123456789", 10), 0);
	for (unsigned i = 0; i < n; i++) {
		struct fragment *fragment = synthetic_fragment(init, i * 10, 10, bytes);

		assert_int_equal(volume_append_fragment(file, fragment, SYNTHETIC_START_US), 0);
		fragment_unref(&fragment);
	}
	volume_file_close(file);
	reactor_wait(&told.closed);
	return told;
}

static void test_a_file_is_written(void **state)
{
	struct told told = record("recordings/porch/2026-11-20/a.mp4", 2, 100);

	(void)state;
	assert_int_equal(told.open_error, 0);
	assert_string_equal(told.path, "recordings/porch/2026-11-20/a.mp4");
	assert_int_equal(told.appends, 3);
	assert_int_equal(told.append_error, 0);
	assert_int_equal(told.total, told.offset + told.bytes);
	assert_int_equal(size_of(told.path), told.total);
}

static void test_a_taken_name_gets_a_number(void **state)
{
	(void)state;
	assert_string_equal(record("recordings/porch/b.mp4", 1, 10).path, "recordings/porch/b.mp4");
	assert_string_equal(
		record("recordings/porch/b.mp4", 1, 10).path, "recordings/porch/b_2.mp4");
	assert_string_equal(
		record("recordings/porch/b.mp4", 1, 10).path, "recordings/porch/b_3.mp4");
}

/* What the mover of a file was told. */
struct moved {
	bool done;
	int error;
	char path[128];
};

static void on_moved(void *arg, int error, const char *path)
{
	struct moved *moved = arg;

	moved->done = true;
	moved->error = error;
	snprintf(moved->path, sizeof(moved->path), "%s", path);
}

static struct moved move(const char *from, const char *to)
{
	struct moved moved = { 0 };

	assert_int_equal(volume_move(volume, from, to, on_moved, &moved), 0);
	reactor_wait(&moved.done);
	return moved;
}

static void test_a_file_moves_and_never_over_another(void **state)
{
	uint64_t bytes = record("recordings/porch/1970-01-01/m.mp4", 1, 100).total;
	struct moved moved =
		move("recordings/porch/1970-01-01/m.mp4", "recordings/porch/2026-11-22/m.mp4");

	(void)state;
	assert_int_equal(moved.error, 0);
	assert_int_equal(size_of("recordings/porch/2026-11-22/m.mp4"), bytes);
	assert_int_equal(size_of("recordings/porch/1970-01-01"), -1); /* it was empty */
	(void)record("recordings/porch/1970-01-01/m.mp4", 2, 100);
	(void)record("recordings/porch/1970-01-01/n.mp4", 2, 100);
	moved = move("recordings/porch/1970-01-01/m.mp4", "recordings/porch/2026-11-22/m.mp4");
	assert_int_equal(moved.error, 0);
	assert_string_equal(moved.path, "recordings/porch/2026-11-22/m_2.mp4");
	assert_int_equal(size_of("recordings/porch/2026-11-22/m.mp4"), bytes);
	assert_true(size_of("recordings/porch/1970-01-01/n.mp4") > 0);
	assert_int_equal(move("recordings/none/m.mp4", "recordings/none/n.mp4").error, -ENOENT);
	assert_true(move("../m.mp4", "recordings/porch/n.mp4").error < 0);
	assert_true(move("recordings/porch/1970-01-01/n.mp4", "../n.mp4").error < 0);
	assert_true(size_of("recordings/porch/1970-01-01/n.mp4") > 0);
}

static void test_a_file_without_pictures_is_removed(void **state)
{
	struct told told = record("recordings/porch/c.mp4", 0, 0);

	(void)state;
	assert_int_equal(told.total, 0);
	assert_int_equal(size_of("recordings/porch/c.mp4"), -1);
}

static void test_a_failed_write_leaves_whole_fragments(void **state)
{
	struct rlimit before, small;
	struct told told;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){ 3000, before.rlim_max };
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	told = record("recordings/porch/d.mp4", 3, 150); /* the second one does not fit */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(told.append_error, -EFBIG);
	assert_int_equal(told.appends, 4);
	assert_true(told.total > 1500 && told.total < 3000);
	assert_int_equal(size_of("recordings/porch/d.mp4"), told.total);
}

static void test_nothing_leaves_the_folder(void **state)
{
	static const char *const paths[] = { "../e.mp4", "recordings/../../e.mp4",
		"/tmp/nvrd-e.mp4", "link/e.mp4" };
	char *link = xasprintf("%s/link", folder);

	(void)state;
	assert_int_equal(symlink("/tmp", link), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		struct told told = record(paths[i], 1, 10);

		if (told.open_error >= 0)
			fail_msg("made %s", paths[i]);
		assert_int_equal(told.append_error, told.open_error);
	}
	(void)unlink(link);
	free(link);
}

/* --- reading --- */

struct reading {
	bool answered;
	int error;
	uint64_t size;
	char data[256];
	size_t n;
};

static void on_reader_open(void *arg, int error, uint64_t bytes, int64_t modified_us)
{
	struct reading *r = arg;

	(void)modified_us;
	r->answered = true;
	r->error = error;
	r->size = bytes;
}

static void on_data(void *arg, int error, struct evbuffer *data)
{
	struct reading *r = arg;

	r->answered = true;
	r->error = error;
	r->n = (size_t)evbuffer_remove(data, r->data, sizeof(r->data));
}

static void test_ranges_are_read(void **state)
{
	struct told told = record("recordings/porch/f.mp4", 1, 10);
	struct reading r = { 0 };
	struct volume_reader *reader = volume_reader_new(volume, told.path, on_reader_open, &r);

	(void)state;
	reactor_wait(&r.answered);
	assert_int_equal(r.error, 0);
	assert_int_equal(r.size, told.total);
	r.answered = false;
	assert_int_equal(volume_reader_read(reader, 3, 4, on_data, &r), 0);
	reactor_wait(&r.answered);
	assert_int_equal(r.n, 4);
	assert_memory_equal(r.data, "3456", 4);
	r.answered = false;
	assert_int_equal(volume_reader_read(reader, told.total - 2, 100, on_data, &r), 0);
	reactor_wait(&r.answered);
	assert_int_equal(r.n, 2);
	assert_int_equal(volume_reader_read(reader, 0, 100, on_data, &r), 0);
	volume_reader_free(reader); /* while a read is under way: nobody is called */
}

static void test_a_missing_file_is_an_error(void **state)
{
	struct reading r = { 0 };

	(void)state;
	assert_non_null(volume_reader_new(volume, "recordings/nowhere.mp4", on_reader_open, &r));
	reactor_wait(&r.answered);
	assert_int_equal(r.error, -ENOENT);
}

static void test_an_unwritable_place_is_refused(void **state)
{
	char *why = NULL;

	(void)state;
	assert_null(volume_open("/proc/nowhere", 0, &why));
	assert_non_null(why);
	free(why);
}

/* What the watch said. */
struct watched {
	bool gone, back;
};

static void on_change(void *arg, bool there)
{
	struct watched *watched = arg;

	if (there)
		watched->back = true;
	else
		watched->gone = true;
}

/* The store's folder is moved away, as if its file system was unmounted: an empty one stands there. */
static void test_a_store_that_is_gone_is_known_by_its_marker(void **state)
{
	static const char path[] = "recordings/porch/gone.mp4";
	char *away = xasprintf("%s-away", folder), *made = xasprintf("%s/recordings", folder);
	struct watched watched = { 0 };
	struct told open = { 0 };
	struct volume_file *file = volume_create(volume, path, &events, &open);

	(void)state;
	reactor_wait(&open.opened);
	assert_int_equal(open.open_error, 0);
	assert_int_equal(rename(folder, away), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	volume_watch(volume, on_change, &watched);
	reactor_wait(&watched.gone);
	assert_false(volume_is_there(volume));
	assert_int_equal(record(path, 1, 10).open_error, -ENODEV);
	assert_int_equal(volume_open_beneath(volume, path, O_RDONLY, 0), -ENODEV);
	assert_int_equal(volume_append_bytes(file, "more", 4), 0);
	volume_file_close(file);
	reactor_wait(&open.closed);
	assert_int_equal(open.append_error, -ENODEV);
	assert_int_equal(access(made, F_OK), -1);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(rename(away, folder), 0);
	reactor_wait(&watched.back);
	assert_int_equal(record(path, 1, 10).open_error, 0);
	free(made);
	free(away);
}

static int setup(void **state)
{
	char *why = NULL;

	(void)state;
	reactor_init();
	folder = synthetic_folder();
	volume = volume_open(folder, 0, &why);
	synthetic_tracks(tracks);
	init = fragment_init_new(tracks, 2);
	return volume ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	volume_close(volume);
	fragment_init_unref(&init);
	synthetic_tracks_free(tracks);
	synthetic_folder_remove(folder);
	reactor_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_is_written),
		cmocka_unit_test(test_a_taken_name_gets_a_number),
		cmocka_unit_test(test_a_file_moves_and_never_over_another),
		cmocka_unit_test(test_a_file_without_pictures_is_removed),
		cmocka_unit_test(test_a_failed_write_leaves_whole_fragments),
		cmocka_unit_test(test_nothing_leaves_the_folder),
		cmocka_unit_test(test_ranges_are_read),
		cmocka_unit_test(test_a_missing_file_is_an_error),
		cmocka_unit_test(test_an_unwritable_place_is_refused),
		cmocka_unit_test(test_a_store_that_is_gone_is_known_by_its_marker),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
