/* /uploads: what can be done there, by whom, what it looks like meanwhile, and what never leaves it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "storage/tree_name.h"
#include "tests/reactor_until.h"
#include "tests/synthetic.h"
#include "tests/tree_writing.h"

/* --- doing --- */

struct answer {
	bool done, created;
	int error;
	size_t n, n_properties;
	char names[256], value[64], last[64];
	bool more;
	struct tree_entry entry; /* of a listing the last one */
};

static void on_changed(void *arg, int error, bool created)
{
	struct answer *a = arg;

	a->error = error;
	a->created = created;
	a->done = true;
}

static void on_entry(void *arg, int error, const struct tree_entry *entry)
{
	struct answer *a = arg;

	a->error = error;
	if (entry)
		a->entry = *entry;
	a->n_properties = entry ? entry->n_properties : 0;
	if (a->n_properties)
		(void)snprintf(a->value, sizeof(a->value), "%s", entry->properties[0].value);
	a->done = true;
}

static void on_list(void *arg, int error, const struct tree_entry *entries, size_t n, bool more)
{
	struct answer *a = arg;

	a->more = more;
	a->error = error;
	a->n = n;
	if (n) {
		a->entry = entries[n - 1];
		(void)snprintf(a->last, sizeof(a->last), "%s", entries[n - 1].name);
	}
	for (size_t i = 0; i < n; i++)
		(void)snprintf(a->names + strlen(a->names), sizeof(a->names) - strlen(a->names),
			"%s ", entries[i].name);
	a->done = true;
}

static struct answer wait_for(struct answer *a, const struct tree_request *request)
{
	assert_non_null(request);
	assert_false(a->done);
	reactor_wait(&a->done);
	return *a;
}

static int make(const char *path)
{
	struct answer a = { 0 };

	return wait_for(&a, tree_make_collection(tree, path, NULL, on_changed, &a)).error;
}

static int delete (const char *path)
{
	struct answer a = { 0 };

	return wait_for(&a, tree_delete(tree, path, NULL, on_changed, &a)).error;
}

static int copy(const char *from, const char *to, unsigned flags)
{
	struct answer a = { 0 };

	return wait_for(&a, tree_copy(tree, from, to, flags, NULL, on_changed, &a)).error;
}

static struct answer find(const char *path)
{
	struct answer a = { 0 };

	return wait_for(&a, tree_find(tree, path, NULL, on_entry, &a));
}

static struct answer list(const char *path, const struct auth_user *user)
{
	struct answer a = { 0 };

	return wait_for(&a, tree_list(tree, path, NULL, user, on_list, &a));
}

/* --- the disk --- */

static void expect_content(const char *path, const char *text)
{
	char *name = on_disk(path), content[100] = "";
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, content, sizeof(content) - 1);

	if (fd >= 0)
		close(fd);
	free(name);
	assert_int_equal(n, strlen(text));
	assert_string_equal(content, text);
}

/* --- tests --- */

static void test_files_are_written_at_once_or_not_at_all(void **state)
{
	struct writing w;

	(void)state;
	assert_int_equal(make("/uploads/w"), 0);
	(void)begin("/uploads/w/a.txt", &w);
	assert_true(w.begun);
	(void)add(&w, "one ");
	assert_int_equal(find("/uploads/w/a.txt").error, -ENOENT);
	assert_string_equal(list("/uploads/w", NULL).names, "");
	(void)add(&w, "two");
	assert_int_equal(commit(&w, NULL), 0);
	assert_true(w.created);
	expect_content("/uploads/w/a.txt", "one two");
	assert_string_equal(find("/uploads/w/a.txt").entry.etag, w.etag);
	(void)begin("/uploads/w/a.txt", &w);
	(void)add(&w, "other");
	tree_put_abort(w.put);
	expect_no_parts("/uploads/w");
	expect_content("/uploads/w/a.txt", "one two");
	assert_false(w.ended);
	assert_int_equal(write_file("/uploads/w/a.txt", ""), 0);
	expect_content("/uploads/w/a.txt", "");
}

static void test_the_target_must_be_what_it_was(void **state)
{
	struct writing w;
	char etag[64];

	(void)state;
	assert_int_equal(write_file("/uploads/e.txt", "1"), 0);
	(void)snprintf(etag, sizeof(etag), "%s", find("/uploads/e.txt").entry.etag);
	(void)begin("/uploads/e.txt", &w);
	assert_int_equal(commit(&w, ""), -EEXIST);
	(void)begin("/uploads/e.txt", &w);
	(void)add(&w, "22");
	assert_int_equal(commit(&w, etag), 0);
	assert_false(w.created);
	assert_string_not_equal(w.etag, etag);
	(void)begin("/uploads/e.txt", &w);
	assert_int_equal(commit(&w, etag), -ESTALE);
	(void)begin("/uploads/none.txt", &w);
	assert_int_equal(commit(&w, etag), -ESTALE);
	expect_content("/uploads/e.txt", "22");
	expect_no_parts("/uploads");
}

static void test_a_writer_is_told_to_wait(void **state)
{
	struct writing w;
	char *piece = xcalloc(1, 100001);
	size_t bytes = 0;
	struct answer a;

	(void)state;
	memset(piece, 'x', 100000);
	(void)begin("/uploads/big.bin", &w);
	while (add(&w, piece))
		assert_true((bytes += 100000) < 100000000);
	bytes += 100000;
	REACTOR_UNTIL(w.drained);
	assert_int_equal(commit(&w, NULL), 0);
	a = find("/uploads/big.bin");
	assert_int_equal(a.entry.bytes, bytes);
	free(piece);
}

static void test_what_writing_is_refused_with(void **state)
{
	(void)state;
	(void)make("/uploads/r");
	(void)write_file("/uploads/r/file", "x");
	assert_int_equal(write_file("/uploads/r", "x"), -EISDIR);
	assert_int_equal(write_file("/uploads/r/none/x", "x"), -ENOTDIR);
	assert_int_equal(write_file("/uploads/r/file/x", "x"), -ENOTDIR);
	assert_int_equal(write_file("/uploads", "x"), -EPERM);
	assert_int_equal(write_file("/recordings/porch/x", "x"), -EPERM);
	assert_int_equal(write_file("/", "x"), -EPERM);
	assert_int_equal(write_file("/nvrd.db", "x"), -EPERM);
	assert_int_equal(make("/uploads/r"), -EEXIST);
	assert_int_equal(make("/uploads/r/file"), -EEXIST);
	assert_int_equal(make("/uploads/r/none/x"), -ENOTDIR);
	assert_int_equal(make("/uploads/r/file/x"), -ENOTDIR);
	assert_int_equal(delete ("/uploads/r/none"), -ENOENT);
	assert_int_equal(delete ("/uploads"), -EPERM);
	assert_int_equal(delete ("/"), -EPERM);
	assert_int_equal(copy("/uploads/r/none", "/uploads/x", TREE_OVERWRITE), -ENOENT);
	assert_int_equal(copy("/uploads/r", "/uploads/none/x", TREE_OVERWRITE), -ENOTDIR);
	assert_int_equal(copy("/uploads/r", "/uploads/r/x", TREE_OVERWRITE), -ELOOP);
	assert_int_equal(copy("/uploads/r/file", "/uploads/r", TREE_OVERWRITE), -ELOOP);
	assert_int_equal(copy("/uploads/r", "/recordings/r", TREE_OVERWRITE), -EPERM);
	assert_int_equal(
		copy("/recordings/porch/2026-11-20/14-30-00+0000.mp4", "/uploads/x", 0), -EXDEV);
}

static void test_names(void **state)
{
	static const char *const wrong[] = { "a//b", "a/../b", "..", ".", "a/.", ".nvrd-part-x",
		".NVRD-Part-", "a/.nvrd-part-1/b", "a\nb", "a\x7f", "\xff", "\xc0\xaf",
		"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc2\x80", "\xe4\xb8" };
	static const char *const fine[] = { "a", "...", ".hidden", "._x", ".DS_Store", "a b", "ä",
		"\xf0\x9f\x93\xb7.jpg", "con", "a\\b", "~" };
	char long_name[TREE_NAME_BYTES + 2], path[600];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		(void)snprintf(path, sizeof(path), "/uploads/%s", wrong[i]);
		assert_int_equal(write_file(path, "x"), -EINVAL);
		assert_int_equal(find(path).error, -ENOENT);
	}
	(void)make("/uploads/names");
	for (size_t i = 0; i < ARRAY_LENGTH(fine); i++) {
		(void)snprintf(path, sizeof(path), "/uploads/names/%s", fine[i]);
		assert_int_equal(write_file(path, "x"), 0);
		assert_int_equal(find(path).error, 0);
	}
	assert_int_equal(list("/uploads/names", NULL).n, ARRAY_LENGTH(fine));
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	(void)snprintf(path, sizeof(path), "/uploads/%s", long_name);
	assert_int_equal(write_file(path, "x"), -EINVAL);
	path[strlen(path) - 1] = '\0';
	assert_int_equal(write_file(path, "x"), 0);
	(void)strcpy(path, "/uploads");
	for (int i = 0; i < 33; i++)
		(void)strcat(path, "/d");
	assert_int_equal(make(path), -EINVAL);
	assert_int_equal(find("/Uploads/e.txt").error, -ENOENT);
	assert_int_equal(find("/uploads2").error, -ENOENT);
}

static void test_collections_are_copied_moved_and_deleted_whole(void **state)
{
	(void)state;
	assert_int_equal(make("/uploads/c"), 0);
	assert_int_equal(make("/uploads/c/sub"), 0);
	assert_int_equal(write_file("/uploads/c/sub/f", "deep"), 0);
	assert_int_equal(write_file("/uploads/c/g", "flat"), 0);
	assert_int_equal(copy("/uploads/c", "/uploads/d", 0), 0);
	expect_content("/uploads/d/sub/f", "deep");
	assert_int_equal(copy("/uploads/c", "/uploads/d", 0), -EEXIST);
	assert_int_equal(write_file("/uploads/d/extra", "x"), 0);
	assert_int_equal(copy("/uploads/c", "/uploads/d", TREE_OVERWRITE), 0);
	assert_int_equal(find("/uploads/d/extra").error, -ENOENT);
	assert_int_equal(copy("/uploads/c", "/uploads/s", TREE_SHALLOW), 0);
	assert_string_equal(list("/uploads/s", NULL).names, "");
	assert_int_equal(copy("/uploads/d", "/uploads/m", TREE_MOVE), 0);
	assert_int_equal(find("/uploads/d").error, -ENOENT);
	expect_content("/uploads/m/sub/f", "deep");
	/* a file in place of a collection, and a collection in place of a file */
	assert_int_equal(copy("/uploads/c/g", "/uploads/m", TREE_MOVE | TREE_OVERWRITE), 0);
	expect_content("/uploads/m", "flat");
	assert_int_equal(copy("/uploads/c", "/uploads/m", TREE_OVERWRITE), 0);
	assert_string_equal(list("/uploads/m", NULL).names, "sub ");
	assert_int_equal(delete ("/uploads/m"), 0);
	assert_int_equal(find("/uploads/m").error, -ENOENT);
	assert_int_equal(delete ("/uploads/c/sub/f"), 0);
	expect_no_parts("/uploads");
}

/* --- properties --- */

static void on_properties_changed(void *arg, int error)
{
	on_changed(arg, error, false);
}

static int set_property(const char *path, const char *value)
{
	struct catalogue_property property = { .space = "u", .name = "n", .value = value };
	struct answer a = { 0 };

	assert_non_null(
		tree_change_properties(tree, path, &property, 1, on_properties_changed, &a));
	reactor_wait(&a.done);
	return a.error;
}

static void test_properties_follow_their_file(void **state)
{
	char *large = xcalloc(1, CATALOGUE_PROPERTIES_BYTES + 2);

	(void)state;
	(void)make("/uploads/p");
	(void)make("/uploads/p-other");
	(void)write_file("/uploads/p/f", "x");
	assert_int_equal(set_property("/uploads/p/f", "<n>1</n>"), 0);
	assert_int_equal(set_property("/uploads/p-other", "<n>other</n>"), 0);
	assert_string_equal(find("/uploads/p/f").value, "<n>1</n>");
	assert_int_equal(find("/uploads/p").n_properties, 0);
	(void)write_file("/uploads/p/f", "other content");
	assert_string_equal(find("/uploads/p/f").value, "<n>1</n>");
	assert_int_equal(copy("/uploads/p", "/uploads/q", 0), 0);
	assert_string_equal(find("/uploads/q/f").value, "<n>1</n>");
	assert_int_equal(copy("/uploads/p", "/uploads/r2", TREE_MOVE), 0);
	assert_string_equal(find("/uploads/r2/f").value, "<n>1</n>");
	assert_int_equal(delete ("/uploads/r2"), 0);
	(void)make("/uploads/r2");
	(void)write_file("/uploads/r2/f", "x");
	assert_int_equal(find("/uploads/r2/f").n_properties, 0);
	/* gone behind our back */
	char *name = on_disk("/uploads/q/f");
	assert_int_equal(unlink(name), 0);
	free(name);
	(void)write_file("/uploads/q/f", "x");
	assert_int_equal(find("/uploads/q/f").n_properties, 0);
	assert_string_equal(find("/uploads/p-other").value, "<n>other</n>");
	memset(large, 'x', CATALOGUE_PROPERTIES_BYTES + 1);
	assert_int_equal(set_property("/uploads/p-other", large), -E2BIG);
	assert_string_equal(find("/uploads/p-other").value, "<n>other</n>");
	assert_int_equal(set_property("/uploads/p-other", NULL), 0);
	assert_int_equal(find("/uploads/p-other").n_properties, 0);
	free(large);
}

/* --- what others do --- */

static void test_links_lead_nowhere(void **state)
{
	static const char *const through[] = { "/uploads/l/up/nvrd.db", "/uploads/l/abs/passwd",
		"/uploads/l/file", "/uploads/l/up", "/uploads/l/pipe" };
	char *names[4] = { on_disk("/uploads/l/up"), on_disk("/uploads/l/abs"),
		on_disk("/uploads/l/file"), on_disk("/uploads/l/pipe") };

	(void)state;
	(void)make("/uploads/l");
	assert_int_equal(symlink("../..", names[0]), 0);
	assert_int_equal(symlink("/etc", names[1]), 0);
	assert_int_equal(symlink("/etc/passwd", names[2]), 0);
	assert_int_equal(mkfifo(names[3], 0600), 0);
	assert_string_equal(list("/uploads/l", NULL).names, "");
	for (size_t i = 0; i < ARRAY_LENGTH(through); i++) {
		assert_int_equal(find(through[i]).error, -ENOENT);
		assert_int_equal(list(through[i], NULL).error, -ENOENT);
		assert_int_equal(copy(through[i], "/uploads/stolen", 0), -ENOENT);
		assert_int_equal(delete (through[i]), -ENOENT);
	}
	assert_int_not_equal(write_file("/uploads/l/up/new", "x"), 0);
	assert_int_not_equal(write_file("/uploads/l/abs/new", "x"), 0);
	/* what cannot be seen is left behind, and goes with its collection */
	assert_int_equal(copy("/uploads/l", "/uploads/l2", 0), 0);
	assert_int_equal(delete ("/uploads/l"), 0);
	expect_no_parts("/uploads");
	assert_int_equal(access("/etc/passwd", R_OK), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		free(names[i]);
}

static void test_who_may(void **state)
{
	char name[] = "anna", porch[] = "porch", *cameras[] = { porch, NULL };
	struct auth_user user = { .name = name, .role = ROLE_VIEWER };

	(void)state;
	(void)make("/uploads/porch");
	(void)make("/uploads/yard");
	assert_int_equal(tree_may_change(tree, "/uploads/porch/x", &user), -EACCES);
	assert_int_equal(tree_may_delete(tree, "/uploads/porch/x", &user), -EACCES);
	user.role = ROLE_OPERATOR;
	assert_int_equal(tree_may_change(tree, "/uploads/yard/x", &user), 0);
	user.cameras = cameras;
	assert_int_equal(tree_may_change(tree, "/uploads/porch/x", &user), 0);
	assert_int_equal(tree_may_change(tree, "/uploads/yard/x", &user), -EACCES);
	assert_int_equal(tree_may_delete(tree, "/uploads/yard/x", &user), -ENOENT);
	assert_int_equal(tree_may_change(tree, "/uploads/new", &user), -EACCES);
	assert_string_equal(list("/uploads", &user).names, "porch ");
}

static void test_the_reserve_stays(void **state)
{
	static const struct config_share all = { .percent = 100 }, none = { .bytes = 0 };

	(void)state;
	tree_set_reserve(tree, &all);
	assert_int_equal(write_file("/uploads/full", "x"), -ENOSPC);
	assert_int_equal(make("/uploads/full"), -ENOSPC);
	assert_int_equal(copy("/uploads/e.txt", "/uploads/full", 0), -ENOSPC);
	assert_int_equal(find("/uploads").entry.free_bytes, 0);
	tree_set_reserve(tree, &none);
	assert_int_equal(write_file("/uploads/full", "x"), 0);
	assert_true(find("/uploads").entry.has_space && find("/uploads").entry.free_bytes > 0);
	expect_no_parts("/uploads");
}

/* As after a kill: the next start removes what was half done, and what waited to be removed. */
static void test_what_was_left_half_done_goes(void **state)
{
	char *part = on_disk("/uploads/porch/" TREE_PART "0123-1");
	char *inside = on_disk("/uploads/porch/" TREE_PART "0123-2/x");

	(void)state;
	(void)make("/uploads/porch");
	assert_int_equal(close(open(part, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	*strrchr(inside, '/') = '\0';
	assert_int_equal(mkdir(inside, 0700), 0);
	inside[strlen(inside)] = '/';
	assert_int_equal(close(open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	assert_string_equal(list("/uploads/porch", NULL).names, "");
	reopen_tree();
	expect_no_parts("/uploads");
	free(part);
	free(inside);
}

static void test_nobody_is_called_after_a_cancel(void **state)
{
	struct answer a = { 0 };

	(void)state;
	tree_cancel(tree_make_collection(tree, "/uploads/cancelled", NULL, on_changed, &a));
	tree_cancel(tree_find(tree, "/uploads/e.txt", NULL, on_entry, &a));
	tree_cancel(tree_list(tree, "/uploads", NULL, NULL, on_list, &a));
	tree_cancel(tree_copy(tree, "/uploads/e.txt", "/uploads/f.txt", 0, NULL, on_changed, &a));
	tree_cancel(tree_delete(tree, "/uploads/none", NULL, on_changed, &a));
	tree_cancel(tree_delete(tree, "/", NULL, on_changed, &a));
	REACTOR_UNTIL(find("/uploads/f.txt").error == 0);
	assert_false(a.done);
	assert_int_equal(find("/uploads/cancelled").error, 0);
}

static unsigned mode_of(const char *path)
{
	char *name = on_disk(path);
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	free(name);
	return st.st_mode & 07777;
}

static void test_what_is_there_can_be_gone_on_with(void **state)
{
	static const struct {
		uint64_t keep;
		const char *content;
	} cases[] = {
		{3,              "012more"       },
		{ 10,            "0123456789more"},
		{ TREE_KEEP_ALL, "0123456789more"},
	};
	struct writing w;

	(void)state;
	assert_int_equal(make("/uploads/keep"), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_int_equal(write_file("/uploads/keep/a.txt", "0123456789"), 0);
		(void)begin_after("/uploads/keep/a.txt", cases[i].keep, &w);
		assert_true(w.begun);
		(void)add(&w, "more");
		expect_content("/uploads/keep/a.txt", "0123456789");
		assert_int_equal(commit(&w, NULL), 0);
		expect_content("/uploads/keep/a.txt", cases[i].content);
	}
	assert_int_equal(begin_after("/uploads/keep/a.txt", strlen("0123456789more") + 1, &w).error,
		-ERANGE);
	assert_int_equal(begin_after("/uploads/keep/none.txt", 1, &w).error, -ERANGE);
	(void)begin_after("/uploads/keep/new.txt", TREE_KEEP_ALL, &w);
	(void)add(&w, "all new");
	assert_int_equal(commit(&w, NULL), 0);
	expect_content("/uploads/keep/new.txt", "all new");
	expect_no_parts("/uploads/keep");
}

static void test_what_was_cut_off_is_marked(void **state)
{
	struct writing w;

	(void)state;
	assert_int_equal(make("/uploads/cut"), 0);
	(void)begin("/uploads/cut/a.mp4", &w);
	(void)add(&w, "some");
	tree_put_commit_part(w.put, "");
	REACTOR_UNTIL(w.ended);
	assert_int_equal(w.error, 0);
	expect_content("/uploads/cut/a.mp4", "some");
	assert_int_equal(mode_of("/uploads/cut/a.mp4") & ~0777U, VOLUME_CUT_MODE);
	(void)begin_after("/uploads/cut/a.mp4", 4, &w);
	(void)add(&w, " more");
	assert_int_equal(commit(&w, NULL), 0);
	expect_content("/uploads/cut/a.mp4", "some more");
	assert_int_equal(mode_of("/uploads/cut/a.mp4") & ~0777U, 0);
	/* who has left is not told, and what he left is there all the same */
	(void)begin("/uploads/cut/b.mp4", &w);
	(void)add(&w, "left");
	tree_put_commit_part(w.put, "");
	tree_put_leave(w.put);
	REACTOR_UNTIL(!find("/uploads/cut/b.mp4").error);
	expect_content("/uploads/cut/b.mp4", "left");
	assert_false(w.ended);
	(void)begin("/uploads/cut/c.mp4", &w);
	(void)add(&w, "lost");
	tree_put_leave(w.put);
	expect_no_parts("/uploads/cut");
	assert_int_equal(find("/uploads/cut/c.mp4").error, -ENOENT);
}

static int remove_collection(const char *path, const struct auth_user *user)
{
	struct answer a = { 0 };

	return wait_for(&a, tree_remove_collection(tree, path, user, on_changed, &a)).error;
}

static void test_only_empty_collections_are_removed(void **state)
{
	static char name[] = "vera";
	const struct auth_user viewer = { .name = name, .role = ROLE_VIEWER };

	(void)state;
	assert_int_equal(make("/uploads/removed"), 0);
	assert_int_equal(make("/uploads/removed/in"), 0);
	assert_int_equal(write_file("/uploads/removed/a.txt", "x"), 0);
	assert_int_equal(remove_collection("/uploads/removed", NULL), -ENOTEMPTY);
	assert_int_equal(remove_collection("/uploads/removed/a.txt", NULL), -ENOTDIR);
	assert_int_equal(remove_collection("/uploads/removed/none", NULL), -ENOENT);
	assert_int_equal(remove_collection("/uploads/removed/in", &viewer), -EACCES);
	assert_int_equal(remove_collection("/uploads/removed/in", NULL), 0);
	assert_int_equal(find("/uploads/removed/in").error, -ENOENT);
	assert_int_equal(remove_collection("/uploads", NULL), -EPERM);
}

static void test_times_can_be_set(void **state)
{
	const int64_t time_us = INT64_C(1700000000123456);
	struct answer a = { 0 };

	(void)state;
	assert_int_equal(write_file("/uploads/t.txt", "x"), 0);
	(void)wait_for(
		&a, tree_set_modified(tree, "/uploads/t.txt", time_us, NULL, on_changed, &a));
	assert_int_equal(a.error, 0);
	assert_int_equal(find("/uploads/t.txt").entry.modified_us, time_us);
	a = (struct answer){ 0 };
	(void)wait_for(&a, tree_set_modified(tree, "/uploads/none", time_us, NULL, on_changed, &a));
	assert_int_equal(a.error, -ENOENT);
	a = (struct answer){ 0 };
	(void)wait_for(
		&a, tree_set_modified(tree, "/recordings/porch", time_us, NULL, on_changed, &a));
	assert_int_equal(a.error, -EPERM);
}

/* --- listing in pages --- */

static struct answer list_after(const char *path, const char *after)
{
	struct answer a = { 0 };

	return wait_for(&a, tree_list(tree, path, after, NULL, on_list, &a));
}

static void fill(const char *path, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char *file = xasprintf("%s%s/f%05u", folder, path, i);
		int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		assert_true(fd >= 0);
		close(fd);
		free(file);
	}
}

/* Goes on until the end. Returns how many names there were, each behind the one before. */
static size_t list_all(const char *path, const char *after)
{
	struct answer a;
	char last[64] = "";
	size_t n = 0;

	if (after)
		(void)snprintf(last, sizeof(last), "%s", after);
	do {
		a = list_after(path, *last ? last : NULL);
		assert_int_equal(a.error, 0);
		assert_true(a.n == 0 || strcmp(a.last, last) > 0);
		n += a.n;
		(void)snprintf(last, sizeof(last), "%s", a.last);
	} while (a.more);
	return n;
}

static void test_a_listing_goes_on_where_it_was(void **state)
{
	struct answer a;

	(void)state;
	assert_int_equal(make("/uploads/many"), 0);
	assert_int_equal(make("/uploads/other"), 0);
	fill("/uploads/many", 0, 1200);
	fill("/uploads/other", 0, 700);
	assert_int_equal(list_all("/uploads/many", NULL), 1200);
	/* another one in between */
	a = list_after("/uploads/many", NULL);
	assert_true(a.n == 500 && a.more && !strcmp(a.last, "f00499"));
	assert_int_equal(list_all("/uploads/other", NULL), 700);
	assert_int_equal(list_all("/uploads/many", a.last), 700);
	/* the folder changes */
	a = list_after("/uploads/many", NULL);
	assert_int_equal(delete ("/uploads/many/f00700"), 0);
	fill("/uploads/many", 1200, 1210);
	assert_int_equal(list_all("/uploads/many", a.last), 709);
	/* from the beginning what is there now is told */
	(void)list_after("/uploads/many", NULL);
	assert_int_equal(delete ("/uploads/many/f00000"), 0);
	assert_int_equal(list_all("/uploads/many", NULL), 1208);
}

static void test_a_folder_of_more_names_than_are_kept(void **state)
{
	(void)state;
	assert_int_equal(make("/uploads/more"), 0);
	fill("/uploads/more", 0, 33500); /* twice 16384, and more */
	assert_int_equal(list_all("/uploads/more", NULL), 33500);
	/* what was read for the end of a listing is not taken for all */
	assert_string_equal(list_after("/uploads/more", "f20000").last, "f20500");
	assert_string_equal(list_after("/uploads/more", "f00100").last, "f00600");
}

/* So long that names that were read then are kept. */
static void settle(const char *path)
{
	const struct timespec times[] = { { .tv_sec = 1577836800 }, { .tv_sec = 1577836800 } };
	char *name = on_disk(path);

	assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
	free(name);
}

static void test_a_folder_that_rests_changes_all_the_same(void **state)
{
	char *a = on_disk("/uploads/rests/f00003"), *b = on_disk("/uploads/rests/g");
	char *last = on_disk("/uploads/rests/f00004");

	(void)state;
	assert_int_equal(make("/uploads/rests"), 0);
	fill("/uploads/rests", 0, 5);
	settle("/uploads/rests");
	assert_int_equal(list_all("/uploads/rests", NULL), 5);
	assert_int_equal(list_all("/uploads/rests", NULL), 5);
	/* what others do there */
	assert_int_equal(list("/uploads/rests", NULL).entry.bytes, 0);
	assert_int_equal(truncate(last, 1000), 0);
	assert_int_equal(list("/uploads/rests", NULL).entry.bytes, 1000);
	assert_int_equal(rename(a, b), 0);
	assert_string_equal(list("/uploads/rests", NULL).names, "f00000 f00001 f00002 f00004 g ");
	settle("/uploads/rests");
	assert_string_equal(list("/uploads/rests", NULL).names, "f00000 f00001 f00002 f00004 g ");
	assert_int_equal(delete ("/uploads/rests/g"), 0);
	assert_int_equal(list_all("/uploads/rests", NULL), 4);
	fill("/uploads/rests", 5, 6);
	assert_int_equal(list_all("/uploads/rests", NULL), 5);
	free(a);
	free(b);
	free(last);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_listing_goes_on_where_it_was),
		cmocka_unit_test(test_a_folder_of_more_names_than_are_kept),
		cmocka_unit_test(test_a_folder_that_rests_changes_all_the_same),
		cmocka_unit_test(test_files_are_written_at_once_or_not_at_all),
		cmocka_unit_test(test_the_target_must_be_what_it_was),
		cmocka_unit_test(test_a_writer_is_told_to_wait),
		cmocka_unit_test(test_what_writing_is_refused_with),
		cmocka_unit_test(test_what_is_there_can_be_gone_on_with),
		cmocka_unit_test(test_what_was_cut_off_is_marked),
		cmocka_unit_test(test_only_empty_collections_are_removed),
		cmocka_unit_test(test_times_can_be_set),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_collections_are_copied_moved_and_deleted_whole),
		cmocka_unit_test(test_properties_follow_their_file),
		cmocka_unit_test(test_links_lead_nowhere),
		cmocka_unit_test(test_who_may),
		cmocka_unit_test(test_the_reserve_stays),
		cmocka_unit_test(test_what_was_left_half_done_goes),
		cmocka_unit_test(test_nobody_is_called_after_a_cancel),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
