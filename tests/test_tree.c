/* The tree of names: what paths mean, listings and their pages, who sees what, reading, refusals. */
#include "storage/tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/reactor_until.h"
#include "tests/store.h"
#include "tests/synthetic.h"

#define DAY "/recordings/porch/2026-11-20"
#define OPEN DAY "/14-40-00+0000.mp4"

enum {
	CATALOGUE_JOBS = 1 << 16, /* more are refused */
	READER_JOBS = 1024
};

static struct tree *tree;
static int64_t open_id; /* of the segment that still grows */

/* What a request was answered with. */
struct answer {
	bool done;
	int error;
	size_t n;
	bool more;
	struct tree_entry entry; /* the first one */
	char name[64], last[64], names[256];
	struct tree_file *file;
	struct tree_request *request;
};

static void keep(struct answer *a, int error, const struct tree_entry *entries, size_t n)
{
	assert_false(a->done);
	a->done = true;
	a->error = error;
	a->n = n;
	for (size_t i = 0; i < n; i++) {
		snprintf(a->names + strlen(a->names), sizeof(a->names) - strlen(a->names), "%s ",
			entries[i].name);
		snprintf(a->last, sizeof(a->last), "%s", entries[i].name);
	}
	if (n) {
		a->entry = entries[0];
		snprintf(a->name, sizeof(a->name), "%s", entries[0].name);
	}
}

static void on_entry(void *arg, int error, const struct tree_entry *entry)
{
	keep(arg, error, entry, error ? 0 : 1);
}

static void on_list(void *arg, int error, const struct tree_entry *entries, size_t n, bool more)
{
	struct answer *a = arg;

	a->more = more;
	keep(a, error, entries, n);
}

static void on_open(void *arg, int error, const struct tree_entry *entry, struct tree_file *file)
{
	struct answer *a = arg;

	a->file = file;
	keep(a, error, entry, error ? 0 : 1);
}

static struct answer find(const char *path, const struct auth_user *user)
{
	struct answer a = { 0 };

	assert_non_null(tree_find(tree, path, user, on_entry, &a));
	assert_false(a.done);
	reactor_wait(&a.done);
	return a;
}

static struct answer list(const char *path, const char *after, const struct auth_user *user)
{
	struct answer a = { 0 };

	assert_non_null(tree_list(tree, path, after, user, on_list, &a));
	assert_false(a.done);
	reactor_wait(&a.done);
	return a;
}

static struct answer open_file(const char *path, const struct auth_user *user)
{
	struct answer a = { 0 };

	assert_non_null(tree_open(tree, path, user, on_open, &a));
	assert_false(a.done);
	reactor_wait(&a.done);
	return a;
}

/* --- what is in it --- */

static char byte_at(uint64_t offset)
{
	return (char)(offset % 251);
}

/* Appends to a file on the disk until it has so many bytes; folders must exist. */
static void write_file(const char *path, uint64_t bytes)
{
	char *whole = xasprintf("%s/%s", folder, path);
	FILE *f = fopen(whole, "a");

	assert_non_null(f);
	for (uint64_t at = (uint64_t)ftell(f); at < bytes; at++)
		assert_true(fputc(byte_at(at), f) != EOF);
	assert_int_equal(fclose(f), 0);
	free(whole);
}

static void make_folder(const char *path)
{
	char *whole = xasprintf("%s/%s", folder, path);

	assert_int_equal(mkdir(whole, 0700), 0);
	free(whole);
}

static void grow(int64_t id, uint64_t from, uint64_t to)
{
	struct catalogue_fragment fragment = { SYNTHETIC_START_US, 500000, (uint32_t)(to - from),
		from, true };

	catalogue_grow(catalogue, id, &fragment);
}

/* A row; `path` with the tree's leading slash. Closed unless `open`. */
static int64_t add(const char *camera, const char *path, uint64_t bytes, bool open)
{
	struct catalogue_segment row = {
		.camera = xstrdup(camera),
		.stream = xstrdup("main"),
		.path = xstrdup(path + 1),
		.codecs = xstrdup("avc1.42c01e"),
		.start_us = SYNTHETIC_START_US,
	};
	int64_t id = 0;

	assert_int_equal(catalogue_add(catalogue, &row, &id), 0);
	grow(id, 0, bytes);
	if (!open)
		catalogue_finish(catalogue, id, bytes);
	free(row.camera);
	free(row.stream);
	free(row.path);
	free(row.codecs);
	return id;
}

static void fill(void)
{
	make_folder("recordings/porch");
	make_folder("recordings/porch/2026-11-20");
	make_folder("recordings/yard");
	make_folder("recordings/yard/2026-11-20");
	write_file("recordings/porch/2026-11-20/14-30-00+0000.mp4", 1000);
	write_file("recordings/porch/2026-11-20/14-30-00+0000_2.mp4", 500);
	write_file(
		"recordings/porch/2026-11-20/14-40-00+0000.mp4", 900); /* 200 are half a fragment */
	write_file("recordings/porch/2026-11-20/timelapse.mp4", 400);
	write_file("recordings/porch/2026-11-20/timelapse_12.mp4", 401);
	write_file("recordings/yard/2026-11-20/14-30-00+0000.mp4", 300);
	write_file("recordings/yard/2026-11-20/14-40-00+0000.mp4", 250); /* somebody cut it */
	add("porch", DAY "/14-30-00+0000.mp4", 1000, false);
	add("porch", DAY "/14-30-00+0000_2.mp4", 500, false);
	open_id = add("porch", OPEN, 700, true);
	add("porch", DAY "/timelapse.mp4", 400, false);
	add("porch", DAY "/timelapse_12.mp4", 401, false);
	add("porch", "/recordings/porch/2026-11-21/00-00-00+0000.mp4", 100, false); /* no file */
	add("yard", "/recordings/yard/2026-11-20/14-30-00+0000.mp4", 300, false);
	add("yard", "/recordings/yard/2026-11-20/14-40-00+0000.mp4", 300, false);
}

/* --- paths --- */

static void test_paths_mean_what_they_say(void **state)
{
	static const struct {
		const char *path, *name;
		enum tree_kind kind;
		uint64_t bytes;
	} cases[] = {
  // clang-format off
		{ "/",                           "",                     TREE_COLLECTION, 0    },
		{ "/recordings",                 "recordings",           TREE_COLLECTION, 0    },
		{ "/recordings/porch",           "porch",                TREE_COLLECTION, 0    },
		{ DAY,                           "2026-11-20",           TREE_COLLECTION, 0    },
		{ DAY "/14-30-00+0000.mp4",      "14-30-00+0000.mp4",    TREE_FILE,       1000 },
		{ DAY "/14-30-00+0000_2.mp4",    "14-30-00+0000_2.mp4",  TREE_FILE,       500  },
		{ DAY "/timelapse.mp4",          "timelapse.mp4",        TREE_FILE,       400  },
		{ DAY "/timelapse_12.mp4",       "timelapse_12.mp4",     TREE_FILE,       401  },
		{ OPEN,                          "14-40-00+0000.mp4",    TREE_FILE,       700  },
  // clang-format on
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct answer a = find(cases[i].path, NULL);
		bool file = cases[i].kind == TREE_FILE;

		if (a.error)
			fail_msg("%s: %s", cases[i].path, strerror(-a.error));
		assert_string_equal(a.entry.path, cases[i].path);
		assert_string_equal(a.name, cases[i].name);
		assert_int_equal(a.entry.kind, cases[i].kind);
		assert_int_equal(a.entry.bytes, cases[i].bytes);
		assert_true(a.entry.created_us == (file ? SYNTHETIC_START_US : 0));
		assert_true(a.entry.modified_us == (file ? SYNTHETIC_START_US + 500000 : 0));
		assert_int_equal(a.entry.etag[0], file ? '"' : 0);
		if (file)
			assert_string_equal(a.entry.content_type, "video/mp4");
	}
}

/* "/recordings/", a name of n bytes, and "/2026-11-20". The caller frees it. */
static char *with_long_name(int n)
{
	return xasprintf("/recordings/%0*d/2026-11-20", n, 0);
}

/* Or it would be a collection if it were there. */
static bool is_no_file(int error)
{
	return error == -ENOENT || error == -EISDIR;
}

static void test_other_paths_do_not_exist(void **state)
{
	static const char *const paths[] = { "", "//", "/.", "/..", "recordings", "/recording",
		"/recordings/", "/recordingsx", "/Recordings", "//recordings", "/recordings//porch",
		"/recordings/.", "/recordings/..", "/recordings/../nvrd.db", "/recordings/porch/",
		"/recordings/Porch", "/recordings/_porch", "/recordings/-porch",
		"/recordings/por ch", "/recordings/porc%", "/recordings/porc_",
		"/recordings/porch'--", "/recordings/porch\n", "/recordings/p\xc3\xb6rch",
		"/recordings/\xff", "/recordings/nowhere", "/recordings/porch/..",
		"/recordings/porch/2026-11-2", "/recordings/porch/2026-11-200",
		"/recordings/porch/2026-11-2x", "/recordings/porch/2026/11/20",
		"/recordings/porch/2026-11-19", "/recordings/yard/2026-11-21", DAY "/", DAY "/..",
		DAY "/.mp4", DAY "/%", DAY "/14-30-00+0000", DAY "/14-30-00+0000.MP4",
		DAY "/14-30-00 0000.mp4", DAY "/14-30-00+0000_.mp4", DAY "/14-30-00+0000_3.mp4",
		DAY "/14-30-00+0000_002.mp4", DAY "/14-30-00+0000.mp4/", DAY "/14-30-00+0000.mp4/x",
		DAY "/timelapse", DAY "/timelapse_.mp4", DAY "/timelapse_123.mp4",
		DAY "/timelapse+0000.mp4", DAY "/Timelapse.mp4", DAY "/timelaps.mp4",
		DAY "/timelapse_2.mp4", DAY "/timelapse.mp4.mp4", "/recordings/porch/timelapse.mp4",
		DAY "/14-30-00+0000.mp4\n", DAY "/../2026-11-20/14-30-00+0000.mp4",
		DAY "/14-31-00+0000.mp4", "/recordings/yard/2026-11-20/14-30-00+0000_2.mp4",
		"/nvrd.db", DAY "/14-30-00+0000.mp4?gaps=close", DAY "/14-30-00+0000.mp4?origin=1",
		DAY "/14-30-00+0000.mp4?",
		"/recordings/porch/20261120T143000Z--20261120T143000Z.mp4",
		"/recordings/porch/20261120T140000Z--20261120T150000Z.mp4?gaps=x",
		"/recordings/porch/20261120T140000Z--20261120T150000Z.mp4/x",
		"/recordings/porch/20261120T140000Z--20261120T150000Z.mkv",
		DAY "/20261120T140000Z--20261120T150000Z.mp4",
		"/recordings/porch/2026-11-20\\14-30-00+0000.mp4" };

	/* the form of a path guards what is no recording, even if the catalogue knows it */
	int64_t id = add("porch", "/nvrd.db", 100, true);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		if (find(paths[i], NULL).error != -ENOENT)
			fail_msg("found %s", paths[i]);
		if (list(paths[i], NULL, NULL).error != -ENOENT)
			fail_msg("listed %s", paths[i]);
		if (!is_no_file(open_file(paths[i], NULL).error))
			fail_msg("opened %s", paths[i]);
	}
	catalogue_finish(catalogue, id, 0);
}

static void test_names_of_cameras_have_at_most_63_bytes(void **state)
{
	static const int lengths[] = { 63, 64, 255, 512, 100000 };
	char *path, *camera = xasprintf("%063d", 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
		path = with_long_name(lengths[i]);
		assert_int_equal(find(path, NULL).error, -ENOENT);
		free(path);
	}
	path = xasprintf("/recordings/%s/2026-11-20/14-30-00+0000_99.mp4", camera);
	add(camera, path, 10, false);
	free(camera);
	assert_string_equal(find(path, NULL).entry.path, path);
	assert_int_equal(find(path, NULL).error, 0);
	free(path);
	path = with_long_name(63);
	assert_int_equal(find(path, NULL).error, 0);
	free(path);
}

/* --- listings --- */

static void test_collections_are_listed_by_name(void **state)
{
	static const struct {
		const char *path, *after, *names;
	} cases[] = {
  // clang-format off
		{ "/",                 NULL,                   "recordings uploads " },
		{ "/",                 "recordings",           "uploads " },
		{ "/",                 "uploads",              "" },
		{ "/recordings",       NULL,                   "porch yard " },
		{ "/recordings",       "porch",                "yard " },
		{ "/recordings",       "q",                    "yard " },
		{ "/recordings",       "yard",                 "" },
		{ "/recordings/porch", NULL,                   "2026-11-20 2026-11-21 " },
		{ "/recordings/porch", "2026-11-20",           "2026-11-21 " },
		{ DAY, NULL, "14-30-00+0000.mp4 14-30-00+0000_2.mp4 14-40-00+0000.mp4 timelapse.mp4 timelapse_12.mp4 " },
		{ DAY, "14-30-00+0000.mp4",   "14-30-00+0000_2.mp4 14-40-00+0000.mp4 timelapse.mp4 timelapse_12.mp4 " },
		{ DAY, "14-30-00+0000_2.mp4", "14-40-00+0000.mp4 timelapse.mp4 timelapse_12.mp4 " },
		{ DAY, "14-40-00+0000.mp4",   "timelapse.mp4 timelapse_12.mp4 " },
		{ DAY, "timelapse.mp4",       "timelapse_12.mp4 " },
		{ DAY, "timelapse_12.mp4",    "" },
  // clang-format on
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct answer a = list(cases[i].path, cases[i].after, NULL);

		assert_int_equal(a.error, 0);
		assert_string_equal(a.names, cases[i].names);
		assert_false(a.more);
	}
	assert_int_equal(list(OPEN, NULL, NULL).error, -ENOTDIR);
}

static void test_members_have_their_whole_path(void **state)
{
	struct answer root = list("/", NULL, NULL), day = list(DAY, NULL, NULL);

	(void)state;
	assert_string_equal(root.entry.path, "/recordings");
	assert_string_equal(list("/recordings", NULL, NULL).entry.path, "/recordings/porch");
	assert_string_equal(list("/recordings/porch", NULL, NULL).entry.path, DAY);
	assert_string_equal(day.entry.path, DAY "/14-30-00+0000.mp4");
	assert_int_equal(day.entry.bytes, 1000);
	assert_string_equal(day.entry.etag, find(DAY "/14-30-00+0000.mp4", NULL).entry.etag);
}

/* So many files in one day and as many days, in pages of 500. */
static void test_long_listings_come_in_pages(void **state)
{
	static const char many[] = "/recordings/many/2026-01-01", days[] = "/recordings/many";
	struct answer page;

	(void)state;
	for (int i = 0; i < 500; i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s/10-%02d-%02d+0000.mp4", many, i / 60, i % 60);
		add("many", path, 10, false);
		snprintf(path, sizeof(path), "%s/3%03d-01-01/10-00-00+0000.mp4", days, i);
		add("many", path, 10, false);
	}
	page = list(many, NULL, NULL);
	assert_int_equal(page.n, 500);
	assert_string_equal(page.last, "10-08-19+0000.mp4");
	if (page.more) { /* nobody looked behind the page */
		page = list(many, page.last, NULL);
		assert_int_equal(page.error, 0);
		assert_int_equal(page.n, 0);
		assert_false(page.more);
	}
	page = list(days, NULL, NULL); /* 501 of them */
	assert_int_equal(page.n, 500);
	assert_true(page.more);
	assert_string_equal(page.name, "2026-01-01");
	assert_string_equal(page.last, "3498-01-01");
	page = list(days, page.last, NULL);
	assert_string_equal(page.names, "3499-01-01 ");
	assert_false(page.more);
	add("many", "/recordings/many/2026-01-01/11-00-00+0000.mp4", 10, false);
	page = list(many, NULL, NULL);
	assert_true(page.more);
	page = list(many, page.last, NULL);
	assert_string_equal(page.names, "11-00-00+0000.mp4 ");
	assert_false(page.more);
}

/* --- who sees what --- */

static void test_what_a_user_may_not_see_does_not_exist(void **state)
{
	static char name[] = "visitor", camera[] = "yard", other[] = "nowhere";
	char *one[] = { camera, NULL }, *two[] = { other, camera, NULL }, *none[] = { NULL };
	struct auth_user user = { .name = name, .role = ROLE_ADMIN, .cameras = one };
	static const char *const hidden[] = { "/recordings/porch", DAY, DAY "/14-30-00+0000.mp4",
		"/recordings/porch/20261120T140000Z--20261120T150000Z.mp4",
		DAY "/14-30-00+0000.mp4?origin=20261120T140000Z" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(hidden); i++) {
		assert_int_equal(find(hidden[i], &user).error, -ENOENT);
		assert_int_equal(list(hidden[i], NULL, &user).error, -ENOENT);
		assert_int_equal(open_file(hidden[i], &user).error, -ENOENT);
	}
	assert_string_equal(list("/recordings", NULL, &user).names, "yard ");
	assert_int_equal(find("/recordings/yard", &user).error, 0);
	assert_int_equal(list("/recordings/yard/2026-11-20", NULL, &user).n, 2);
	user.cameras = two;
	assert_string_equal(list("/recordings", NULL, &user).names, "yard ");
	user.cameras = none;
	assert_int_equal(list("/recordings", NULL, &user).error, 0);
	assert_string_equal(list("/recordings", NULL, &user).names, "");
	assert_int_equal(find("/recordings/yard", &user).error, -ENOENT);
	user.cameras = NULL; /* all */
	assert_int_equal(list(DAY, NULL, &user).n, 5);
}

/* The configuration may be read anew while a request is under way. */
static void test_a_request_outlives_its_user(void **state)
{
	struct auth_user *user = auth_user_new("visitor");
	struct answer a = { 0 };

	(void)state;
	user->cameras = xcalloc(2, sizeof(char *));
	user->cameras[0] = xstrdup("yard");
	assert_non_null(tree_list(tree, "/recordings", NULL, user, on_list, &a));
	auth_user_free(user);
	reactor_wait(&a.done);
	assert_string_equal(a.names, "yard ");
}

/* --- reading --- */

struct reading {
	bool done;
	int error;
	size_t n;
	char data[2048];
};

static void on_data(void *arg, int error, struct evbuffer *data)
{
	struct reading *r = arg;

	r->done = true;
	r->error = error;
	r->n = (size_t)evbuffer_remove(data, r->data, sizeof(r->data));
}

static void assert_reads(struct tree_file *file, uint64_t offset, size_t n, size_t expected)
{
	struct reading r = { 0 };

	assert_int_equal(tree_file_read(file, offset, n, on_data, &r), 0);
	assert_false(r.done);
	reactor_wait(&r.done);
	assert_int_equal(r.error, 0);
	assert_int_equal(r.n, expected);
	for (size_t i = 0; i < r.n; i++)
		assert_int_equal(r.data[i], byte_at(offset + i));
}

static void test_an_open_file_keeps_its_length(void **state)
{
	struct answer a = open_file(OPEN, NULL), later;

	(void)state;
	assert_int_equal(a.error, 0);
	assert_string_equal(a.entry.path, OPEN);
	assert_int_equal(a.entry.bytes, 700);
	assert_reads(a.file, 0, 2000, 700);
	write_file(&OPEN[1], 1500);
	grow(open_id, 700, 1500);
	later = open_file(OPEN, NULL);
	assert_int_equal(later.entry.bytes, 1500);
	assert_string_not_equal(later.entry.etag, a.entry.etag);
	assert_reads(later.file, 690, 100, 100);
	assert_reads(later.file, 0, 2000, 1500);
	assert_reads(a.file, 0, 2000, 700);
	assert_reads(a.file, 690, 100, 10);
	assert_reads(a.file, 699, 1, 1);
	assert_reads(a.file, 699, SIZE_MAX, 1);
	assert_reads(a.file, 100, 0, 0);
	assert_reads(a.file, 700, 1, 0);
	assert_reads(a.file, 1000, 100, 0);
	assert_reads(a.file, UINT64_MAX, SIZE_MAX, 0);
	tree_file_close(a.file);
	tree_file_close(later.file);
}

static void test_the_tag_stays_while_the_content_does(void **state)
{
	char before[64];

	(void)state;
	snprintf(before, sizeof(before), "%s", find(OPEN, NULL).entry.etag);
	assert_string_equal(find(OPEN, NULL).entry.etag, before);
	catalogue_finish(catalogue, open_id, 1500); /* as long as it was */
	assert_string_equal(find(OPEN, NULL).entry.etag, before);
}

static void test_the_disk_decides_what_can_be_read(void **state)
{
	static const char gone[] = "/recordings/porch/2026-11-21/00-00-00+0000.mp4",
			  cut[] = "/recordings/yard/2026-11-20/14-40-00+0000.mp4";
	struct answer a = open_file(cut, NULL);

	(void)state;
	assert_int_equal(find(gone, NULL).error, 0);
	assert_int_equal(open_file(gone, NULL).error, -ENOENT);
	assert_int_equal(open_file(DAY, NULL).error, -EISDIR);
	assert_int_equal(open_file("/", NULL).error, -EISDIR);
	assert_int_equal(a.entry.bytes, 250);
	assert_reads(a.file, 200, 100, 50);
	tree_file_close(a.file);
}

static void test_a_file_is_closed_while_it_is_read(void **state)
{
	struct answer a = open_file(OPEN, NULL);
	struct reading r = { 0 };

	(void)state;
	assert_int_equal(tree_file_read(a.file, 0, 100, on_data, &r), 0);
	tree_file_close(a.file);
	tree_file_close(NULL);
	a = open_file(OPEN, NULL); /* goes the same way, later */
	tree_file_close(a.file);
	assert_false(r.done);
}

/* --- the end of requests --- */

static void test_nobody_is_called_after_a_cancel(void **state)
{
	/* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): DAY and OPEN are joined of parts */
	static const char *const paths[] = { "/", "/recordings", "/recordings/porch", DAY, OPEN,
		"/recordings/..", "/recordings/nowhere" };
	struct answer never = { 0 };

	(void)state;
	tree_cancel(NULL);
	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		tree_cancel(tree_find(tree, paths[i], NULL, on_entry, &never));
		tree_cancel(tree_list(tree, paths[i], "a", NULL, on_list, &never));
		tree_cancel(tree_open(tree, paths[i], NULL, on_open, &never));
	}
	tree_file_close(open_file(OPEN, NULL).file);
	assert_int_equal(find("/..", NULL).error, -ENOENT);
	assert_false(never.done);
}

static void on_segments_cancel(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct answer *a = arg;

	(void)error, (void)rows, (void)n;
	if (!a->done)
		tree_cancel(a->request);
	a->more = true;
}

/* The question is answered before ours: the file is being opened, or is open already. */
static void test_opening_is_cancelled_half_way(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct answer a = { 0 };
		bool answered;

		a.request = tree_open(tree, OPEN, NULL, on_open, &a);
		assert_non_null(catalogue_find(catalogue, "x", on_segments_cancel, &a));
		reactor_wait(&a.more);
		answered = a.done;
		tree_file_close(open_file(OPEN, NULL).file);
		assert_int_equal(a.done, answered);
		tree_file_close(a.file);
	}
}

/* --- what was read a moment ago --- */

static double resting(void)
{
	return metric_value(metric_get(METRIC_TREE_RESTING));
}

static void test_a_recording_that_was_read_stays_open(void **state)
{
	static const char path[] = DAY "/14-30-00+0000.mp4", growing[] = DAY "/15-00-00+0000.mp4";
	static char name[] = "visitor", camera[] = "yard";
	char *cameras[] = { camera, NULL };
	const struct auth_user user = { .name = name, .role = ROLE_ADMIN, .cameras = cameras };
	struct answer a, b;

	(void)state;
	REACTOR_UNTIL(resting() == 0);
	a = open_file(path, NULL);
	assert_true(volume_is_held(volume, path + 1));
	tree_file_close(a.file);
	assert_int_equal(resting(), 1);
	/* nobody is asked for it, two have two, and one that is still written is looked up each time */
	for (int i = 0; i < CATALOGUE_JOBS; i++)
		catalogue_finish(catalogue, INT64_MAX, 0);
	a = open_file(path, NULL);
	assert_int_equal(a.error, 0);
	assert_int_equal(a.entry.bytes, 1000);
	assert_int_equal(resting(), 0);
	REACTOR_UNTIL(!(b = open_file(path, NULL)).error);
	write_file(&growing[1], 100);
	(void)add("porch", growing, 100, true);
	tree_file_close(open_file(growing, NULL).file);
	assert_int_equal(resting(), 0);
	assert_true(volume_is_held(volume, path + 1));
	tree_file_close(a.file);
	assert_true(volume_is_held(volume, path + 1));
	tree_file_close(b.file);
	assert_int_equal(resting(), 2);
	/* it is in nobody's way */
	assert_false(volume_is_held(volume, path + 1));
	assert_int_equal(resting(), 0);
	/* and nobody sees it there who may not */
	tree_file_close(open_file(path, NULL).file);
	assert_int_equal(open_file(path, &user).error, -ENOENT);
	tree_cancel(tree_open(tree, path, NULL, on_open, &a));
	assert_int_equal(resting(), 1);
}

static void test_not_many_stay_open(void **state)
{
	struct tree_file *files[20];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
		files[i] = open_file(DAY "/14-30-00+0000_2.mp4", NULL).file;
		assert_non_null(files[i]);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
		tree_file_close(files[i]);
	assert_int_equal(resting(), 8);
	REACTOR_UNTIL(resting() == 0);
}

/* --- refusals --- */

static void test_a_full_catalogue_is_busy(void **state)
{
	static const char *const asked[] = { "/recordings/porch", DAY, OPEN };
	struct answer finds[3] = { 0 }, lists[3] = { 0 }, opened = { 0 }, root = { 0 }, bad = { 0 },
		      folder_opened = { 0 };

	(void)state;
	for (int i = 0; i < CATALOGUE_JOBS; i++)
		catalogue_finish(catalogue, INT64_MAX, 0); /* nothing has that number */
	for (size_t i = 0; i < 3; i++) {
		assert_non_null(tree_find(tree, asked[i], NULL, on_entry, &finds[i]));
		assert_non_null(tree_list(tree, asked[i], NULL, NULL, on_list, &lists[i]));
	}
	assert_non_null(tree_open(tree, OPEN, NULL, on_open, &opened));
	assert_non_null(tree_open(tree, DAY, NULL, on_open, &folder_opened));
	assert_non_null(tree_find(tree, "/", NULL, on_entry, &root));
	assert_non_null(tree_find(tree, "/recordings/..", NULL, on_entry, &bad));
	assert_false(finds[0].done);
	reactor_wait(&bad.done);
	reactor_wait(&opened.done);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(finds[i].error, -EAGAIN);
		assert_int_equal(lists[i].error, -EAGAIN);
	}
	assert_int_equal(opened.error, -EAGAIN);
	assert_int_equal(folder_opened.error, -EISDIR);
	assert_int_equal(root.error, 0);
	assert_int_equal(bad.error, -ENOENT);
}

static bool flooding;
static size_t flood_readers;

/* Keeps the queue of readers full as long as `flooding`: each that ends is followed by another. */
static void on_flood(void *arg, int error, uint64_t bytes, int64_t modified_us)
{
	(void)arg, (void)bytes, (void)modified_us;
	assert_int_equal(error, -ENOENT);
	flood_readers--;
	if (flooding) {
		assert_non_null(volume_reader_new(volume, "none", on_flood, NULL));
		flood_readers++;
	}
}

static void test_a_full_volume_is_busy(void **state)
{
	struct answer a;

	(void)state;
	for (flooding = true; flood_readers < READER_JOBS; flood_readers++)
		assert_non_null(volume_reader_new(volume, "none", on_flood, NULL));
	a = open_file(OPEN, NULL);
	flooding = false;
	assert_int_equal(a.error, -EAGAIN);
	assert_null(a.file);
	while (flood_readers)
		event_base_loop(reactor_base(), EVLOOP_ONCE);
	a = open_file(OPEN, NULL);
	assert_int_equal(a.error, 0);
	tree_file_close(a.file);
}

static int setup(void **state)
{
	(void)state;
	store_open(0);
	tree = tree_new(catalogue, volume);
	fill();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tree_free(tree);
	store_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths_mean_what_they_say),
		cmocka_unit_test(test_other_paths_do_not_exist),
		cmocka_unit_test(test_collections_are_listed_by_name),
		cmocka_unit_test(test_members_have_their_whole_path),
		cmocka_unit_test(test_names_of_cameras_have_at_most_63_bytes),
		cmocka_unit_test(test_long_listings_come_in_pages),
		cmocka_unit_test(test_what_a_user_may_not_see_does_not_exist),
		cmocka_unit_test(test_a_request_outlives_its_user),
		cmocka_unit_test(test_an_open_file_keeps_its_length),
		cmocka_unit_test(test_the_tag_stays_while_the_content_does),
		cmocka_unit_test(test_the_disk_decides_what_can_be_read),
		cmocka_unit_test(test_a_file_is_closed_while_it_is_read),
		cmocka_unit_test(test_nobody_is_called_after_a_cancel),
		cmocka_unit_test(test_opening_is_cancelled_half_way),
		cmocka_unit_test(test_a_recording_that_was_read_stays_open),
		cmocka_unit_test(test_not_many_stay_open),
		cmocka_unit_test(test_a_full_catalogue_is_busy),
		cmocka_unit_test(test_a_full_volume_is_busy),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
