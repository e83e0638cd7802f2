#include "tests/tier_store.h"

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

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/volume_list.h"

char *hot, *warm, *cold;
struct config *config;
struct retention *retention;
const char *stream = "main";

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

char *whole_path(const char *top, const char *path)
{
	return xasprintf("%s/%s", top, path);
}

long size_at(const char *top, const char *path)
{
	char *whole = whole_path(top, path);
	struct stat st;
	long bytes = stat(whole, &st) == 0 ? (long)st.st_size : -1;

	free(whole);
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

void write_at(const char *top, const char *path, const void *p, size_t n)
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

/* --- the catalogue --- */

int64_t add_row_at(const char *path, int64_t start_us, uint64_t bytes, int64_t boot_us)
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

struct answer find_path(const char *path)
{
	struct answer a = { 0 };

	assert_non_null(catalogue_find(catalogue, path, on_row, &a));
	reactor_wait(&a.done);
	return a;
}

struct answer rows_in_folder(void)
{
	struct answer a = { 0 };

	assert_non_null(
		catalogue_folder_rows(catalogue, "recordings/porch/2026-11-20", on_row, &a));
	reactor_wait(&a.done);
	return a;
}

static void on_set(void *arg, int error)
{
	struct answer *a = arg;

	a->done = true;
	a->error = error;
}

int set_volume(int64_t id, const char *path, int64_t from, int64_t to)
{
	struct answer a = { 0 };

	assert_int_equal(catalogue_set_volume(catalogue, id, path, from, to, on_set, &a), 0);
	reactor_wait(&a.done);
	return a.error;
}

/* --- life --- */

void load(const char *text)
{
	char *errors = NULL;

	config_free(config);
	config = config_parse("test", text, strlen(text), &errors);
	if (!config)
		fail_msg("%s", errors);
}

void load_volumes(const char *of_hot, const char *of_warm, const char *of_cold)
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

unsigned open_store(void)
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

unsigned reopen(void)
{
	close_store();
	return open_store();
}

int set_up(void **state)
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

int tear_down(void **state)
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
