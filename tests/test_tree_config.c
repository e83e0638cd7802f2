/* The configuration in the tree: what is asked of its keeper, who may, and how his answers come back. */
#include "storage/tree_config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "tests/reactor_until.h"
#include "tests/store.h"

#define MAIN "/config/nvrd.yaml"

enum {
	MANY = 1200
};

static struct tree *tree;

/* The keeper holds one job until it is answered. */
static struct tree_config_job *held;
static bool busy;

static int keeper_post(void *arg, struct tree_config_job *job)
{
	assert_ptr_equal(arg, &held);
	if (busy)
		return -EAGAIN;
	assert_null(held);
	held = job;
	return 0;
}

static void answer(int error, size_t n, const char *text)
{
	struct tree_config_job *job = held;

	held = NULL;
	job->error = error;
	job->problem = error == -EBADMSG ? xstrdup("nvrd.yaml:1: no") : NULL;
	job->n = n;
	job->entries = xcalloc(n + 1, sizeof(*job->entries));
	for (size_t i = 0; i < n; i++) {
		job->entries[i].kind = TREE_FILE;
		(void)snprintf(job->entries[i].path, sizeof(job->entries[i].path),
			"/config/cameras/c%04zu.yaml", i);
		job->entries[i].name = strrchr(job->entries[i].path, '/') + 1;
	}
	if (text) {
		job->text = evbuffer_new();
		(void)evbuffer_add(job->text, text, strlen(text));
	}
	job->done(job);
}

/* --- what comes back --- */

struct result {
	bool done, more, created;
	int error;
	size_t n;
	char first[64], last[64], problem[64], text[64];
	struct tree_file *file;
};

static void result_set(struct result *r, int error)
{
	assert_false(r->done);
	r->done = true;
	r->error = error;
	(void)snprintf(r->problem, sizeof(r->problem), "%s", tree_problem(tree));
}

static void on_entry(void *arg, int error, const struct tree_entry *entry)
{
	(void)entry;
	result_set(arg, error);
}

static void on_list(void *arg, int error, const struct tree_entry *entries, size_t n, bool more)
{
	struct result *r = arg;

	result_set(r, error);
	r->n = n;
	r->more = more;
	if (!n)
		return;
	(void)snprintf(r->first, sizeof(r->first), "%s", entries[0].name);
	(void)snprintf(r->last, sizeof(r->last), "%s", entries[n - 1].name);
}

static void on_open(void *arg, int error, const struct tree_entry *entry, struct tree_file *file)
{
	struct result *r = arg;

	(void)entry;
	result_set(r, error);
	r->file = file;
}

static void on_data(void *arg, int error, struct evbuffer *data)
{
	struct result *r = arg;

	result_set(r, error);
	r->n = evbuffer_get_length(data);
	(void)evbuffer_remove(data, r->text, sizeof(r->text) - 1);
}

static void on_changed(void *arg, int error, bool created)
{
	struct result *r = arg;

	result_set(r, error);
	r->created = created;
}

static void on_never(void *arg, int error, bool created)
{
	(void)arg, (void)error, (void)created;
	fail_msg("called after a cancel");
}

/* --- the tests --- */

static void test_the_keeper_is_asked(void **state)
{
	struct result r = { 0 };

	(void)state;
	assert_non_null(tree_find(tree, MAIN, NULL, on_entry, &r));
	assert_int_equal(held->task, TREE_CONFIG_FIND);
	assert_string_equal(held->path, MAIN);
	answer(0, 1, NULL);
	assert_true(r.done && !r.error);

	r = (struct result){ 0 };
	assert_non_null(tree_delete(tree, "/config/cameras/a.yaml", NULL, on_changed, &r));
	assert_int_equal(held->task, TREE_CONFIG_REMOVE);
	answer(-EBADMSG, 0, NULL);
	assert_int_equal(r.error, -EBADMSG);
	assert_string_equal(r.problem, "nvrd.yaml:1: no");
	assert_string_equal(tree_problem(tree), ""); /* it was for that moment */

	r = (struct result){ 0 };
	assert_non_null(tree_copy(tree, "/config/previous/x", MAIN, 0, NULL, on_changed, &r));
	assert_int_equal(held->task, TREE_CONFIG_COPY);
	assert_string_equal(held->to, MAIN);
	assert_string_equal(held->etag, ""); /* without TREE_OVERWRITE nothing may be there */
	answer(0, 1, NULL);
	assert_true(r.done && !r.error);
}

static void test_a_long_list_comes_in_pages(void **state)
{
	static const struct {
		const char *after, *first, *last;
		size_t n;
		bool more;
	} cases[] = {
		{NULL,          "c0000.yaml", "c0499.yaml", 500, true },
		{ "c0499.yaml", "c0500.yaml", "c0999.yaml", 500, true },
		{ "c0999.yaml", "c1000.yaml", "c1199.yaml", 200, false},
		{ "c1199.yaml", "",           "",           0,   false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct result r = { 0 };

		assert_non_null(
			tree_list(tree, "/config/cameras", cases[i].after, NULL, on_list, &r));
		answer(0, MANY, NULL);
		assert_true(r.done && !r.error && r.more == cases[i].more);
		assert_int_equal(r.n, cases[i].n);
		assert_string_equal(r.first, cases[i].first);
		assert_string_equal(r.last, cases[i].last);
	}
}

static void test_a_file_is_read_in_parts(void **state)
{
	static const struct {
		uint64_t offset;
		size_t n;
		const char *text;
	} cases[] = {
		{0,   100, "secret: no"},
                { 8,  1,   "n"         },
                { 8,  100, "no"        },
                { 10, 1,   ""          }
	};
	struct result r = { 0 };
	struct tree_file *file;

	(void)state;
	assert_non_null(tree_open(tree, MAIN, NULL, on_open, &r));
	answer(0, 1, "secret: no");
	file = r.file;
	assert_non_null(file);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		r = (struct result){ 0 };
		assert_int_equal(tree_file_read(file, cases[i].offset, cases[i].n, on_data, &r), 0);
		assert_false(r.done);
		REACTOR_UNTIL(r.done);
		assert_string_equal(r.text, cases[i].text);
	}
	assert_int_equal(tree_file_read(file, 0, 1, on_data, NULL), 0);
	tree_file_close(file); /* while it is read */
}

/* Whether the user gets anything of it, by look-up and in the root. */
static void check_user(const struct auth_user *user, bool may)
{
	struct result r = { 0 };

	assert_non_null(tree_find(tree, MAIN, user, on_entry, &r));
	assert_true(may == (held != NULL));
	if (held)
		answer(0, 1, NULL);
	REACTOR_UNTIL(r.done);
	assert_int_equal(r.error, may ? 0 : -ENOENT);
	r = (struct result){ 0 };
	assert_non_null(tree_list(tree, "/", NULL, user, on_list, &r));
	REACTOR_UNTIL(r.done);
	assert_int_equal(r.n, may ? 3 : 2);
}

static void test_admins_of_all_cameras_alone_may(void **state)
{
	static char porch[] = "porch", name[] = "anna";
	static char *cameras[] = { porch, NULL };
	const struct {
		enum auth_role role;
		char **cameras;
		bool may;
	} cases[] = {
		{ROLE_ADMIN,     NULL,    true },
		{ ROLE_ADMIN,    cameras, false},
		{ ROLE_OPERATOR, NULL,    false},
		{ ROLE_VIEWER,   NULL,    false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct auth_user user = {
			.name = name, .role = cases[i].role, .cameras = cases[i].cameras
		};

		TAILQ_INIT(&user.app_passwords);
		assert_int_equal(tree_may_change(tree, MAIN, &user), cases[i].may ? 0 : -EACCES);
		check_user(&user, cases[i].may);
	}
}

static void test_what_a_configuration_has_not(void **state)
{
	struct result r = { 0 };

	(void)state;
	assert_int_equal(tree_may_change(tree, "/config", NULL), -ENOTSUP);
	assert_int_equal(tree_may_change(tree, "/config/a/b/c", NULL), -EINVAL);
	assert_int_equal(tree_may_copy(tree, MAIN, "/uploads/a", 0, NULL), -EXDEV);
	assert_int_equal(tree_may_copy(tree, "/uploads/a", MAIN, 0, NULL), -EXDEV);
	assert_int_equal(
		tree_may_copy(tree, "/recordings/porch/2026-11-20", MAIN, 0, NULL), -EXDEV);
	assert_int_equal(tree_may_copy(tree, MAIN, "/config/b", TREE_MOVE, NULL), -ENOTSUP);
	assert_int_equal(tree_may_copy(tree, MAIN, MAIN, 0, NULL), -ELOOP);
	assert_int_equal(tree_put_limit(MAIN), TREE_CONFIG_BYTES);
	assert_non_null(tree_make_collection(tree, "/config/a", NULL, on_changed, &r));
	REACTOR_UNTIL(r.done);
	assert_int_equal(r.error, -ENOTSUP);
	assert_null(held);
}

static void test_nobody_is_called_after_a_cancel(void **state)
{
	struct tree_request *request;
	struct result r = { 0 };

	(void)state;
	request = tree_find(tree, MAIN, NULL, on_entry, &r);
	tree_cancel(request);
	answer(0, 1, NULL);
	request = tree_open(tree, MAIN, NULL, on_open, &r);
	tree_cancel(request);
	answer(0, 1, "text");
	request = tree_delete(tree, "/config/cameras/a.yaml", NULL, on_never, NULL);
	tree_cancel(request);
	answer(0, 0, NULL);
	assert_false(r.done);
}

/* --- writing --- */

struct writing {
	bool begun, ended;
	int error;
};

static void on_begun(void *arg)
{
	((struct writing *)arg)->begun = true;
}

static void on_end(void *arg, int error, bool created, const struct tree_entry *entry)
{
	struct writing *w = arg;

	(void)created, (void)entry;
	w->ended = true;
	w->error = error;
}

static const struct tree_put_events events = { .on_begun = on_begun, .on_end = on_end };

static struct tree_put *begin(struct writing *w)
{
	struct evbuffer *data = evbuffer_new();
	int error = 0;
	struct tree_put *put;

	*w = (struct writing){ 0 };
	put = tree_put(tree, MAIN, 0, 0, NULL, &events, w, &error);
	assert_non_null(put);
	REACTOR_UNTIL(w->begun);
	(void)evbuffer_add(data, "a: b", 4);
	assert_true(tree_put_write(put, data));
	evbuffer_free(data);
	return put;
}

static void test_what_is_written_comes_whole(void **state)
{
	struct writing w;

	(void)state;
	tree_put_commit(begin(&w), "\"1\"");
	assert_int_equal(held->task, TREE_CONFIG_WRITE);
	assert_string_equal(held->etag, "\"1\"");
	assert_int_equal(evbuffer_get_length(held->text), 4);
	evbuffer_free(held->text);
	held->text = NULL;
	answer(0, 1, NULL);
	assert_true(w.ended && !w.error);

	tree_put_abort(begin(&w));
	assert_null(held);
	busy = true;
	tree_put_commit(begin(&w), NULL);
	REACTOR_UNTIL(w.ended);
	assert_int_equal(w.error, -EAGAIN);
	busy = false;
	tree_put_commit_part(begin(&w), NULL); /* half a configuration is none */
	REACTOR_UNTIL(w.ended);
	assert_null(held);

	struct tree_put *put = begin(&w);
	tree_put_commit(put, NULL);
	tree_put_abort(put);
	answer(0, 1, NULL);
	assert_false(w.ended);
}

static void test_without_a_keeper_there_is_none(void **state)
{
	struct result r = { 0 };
	struct writing w = { 0 };
	int error = 0;

	(void)state;
	tree_set_config(tree, NULL, NULL);
	assert_non_null(tree_find(tree, "/config", NULL, on_entry, &r));
	REACTOR_UNTIL(r.done);
	assert_int_equal(r.error, -ENOENT);
	assert_null(tree_put(tree, MAIN, 0, 0, NULL, &events, &w, &error));
	r = (struct result){ 0 };
	assert_non_null(tree_list(tree, "/", NULL, NULL, on_list, &r));
	REACTOR_UNTIL(r.done);
	assert_int_equal(r.n, 2);
	tree_set_config(tree, keeper_post, &held);
}

static int setup(void **state)
{
	(void)state;
	store_open(0);
	tree = tree_new(catalogue, volume);
	tree_set_config(tree, keeper_post, &held);
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
		cmocka_unit_test(test_the_keeper_is_asked),
		cmocka_unit_test(test_a_long_list_comes_in_pages),
		cmocka_unit_test(test_a_file_is_read_in_parts),
		cmocka_unit_test(test_admins_of_all_cameras_alone_may),
		cmocka_unit_test(test_what_a_configuration_has_not),
		cmocka_unit_test(test_nobody_is_called_after_a_cancel),
		cmocka_unit_test(test_what_is_written_comes_whole),
		cmocka_unit_test(test_without_a_keeper_there_is_none),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
