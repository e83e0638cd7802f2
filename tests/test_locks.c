/* The table of locks: what covers what, who may, how long, and over a restart. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "storage/locks.h"
#include "tests/reactor_until.h"
#include "tests/synthetic.h"

#define SECOND INT64_C(1000000)
#define RECORDING "recordings/porch/2026-11-20/14-30-00+0000.mp4"

static char *folder, *file;
static struct volume *volume;
static struct catalogue *catalogue;
static struct locks *locks;

static void open_all(void)
{
	char *why = NULL;

	catalogue = catalogue_open(file, &why);
	assert_non_null(catalogue);
	locks = locks_new(catalogue, volume);
	REACTOR_UNTIL(locks_are_known(locks));
}

static void close_all(void)
{
	locks_free(locks);
	catalogue_close(catalogue);
}

static int set_up(void **state)
{
	char *why = NULL;

	(void)state;
	reactor_init();
	folder = synthetic_folder();
	file = xasprintf("%s/nvrd.db", folder);
	volume = volume_open(folder, SECOND, &why);
	assert_non_null(volume);
	open_all();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_all();
	volume_close(volume);
	synthetic_folder_remove(folder);
	free(file);
	reactor_fini();
	metrics_fini();
	return 0;
}

static int reset(void **state)
{
	(void)state;
	locks_forget(locks, "/");
	return 0;
}

static const struct lock *take(
	const char *path, const char *user, bool exclusive, bool deep, int expected)
{
	struct lock_wish wish = { path, user, "<owner/>", exclusive, deep, 600 * SECOND };
	const struct lock *lock = NULL;

	assert_int_equal(locks_add(locks, &wish, &lock), expected);
	return lock;
}

/* The path of the lock that forbids it to a user with that token, or "". */
static const char *forbidden(const char *path, unsigned reach, const char *user, const char *token)
{
	struct lock_tokens tokens = { .user = user };
	const struct lock *lock;

	if (token) {
		tokens.tokens[0].p = token;
		tokens.tokens[0].n = strlen(token);
		tokens.n = 1;
	}
	lock = locks_forbid(locks, path, reach, &tokens);
	return lock ? lock->path : "";
}

static void test_which_locks_conflict(void **state)
{
	static const struct {
		const char *first;
		bool exclusive, deep;
		const char *second;
		bool second_exclusive, second_deep;
		int expected;
	} cases[] = {
  // clang-format off
		{ "/uploads/a", true,  false, "/uploads/a", true,  false, -EBUSY },
		{ "/uploads/a", true,  false, "/uploads/a", false, false, -EBUSY },
		{ "/uploads/a", false, false, "/uploads/a", true,  false, -EBUSY },
		{ "/uploads/a", false, false, "/uploads/a", false, false, 0 },
		{ "/uploads/a", true,  true,  "/uploads/a/b", true, false, -EBUSY },
		{ "/uploads/a", true,  false, "/uploads/a/b", true, false, 0 },
		{ "/uploads/a/b", true, false, "/uploads/a", true, true, -EBUSY },
		{ "/uploads/a/b", true, false, "/uploads/a", true, false, 0 },
		{ "/uploads/a", true,  true,  "/uploads/ab", true, true,  0 },
		{ "/uploads/a", true,  true,  "/uploads/A",  true, true,  0 },
  // clang-format on
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		(void)take(cases[i].first, "anna", cases[i].exclusive, cases[i].deep, 0);
		(void)take(cases[i].second, "anna", cases[i].second_exclusive, cases[i].second_deep,
			cases[i].expected);
		locks_forget(locks, "/");
	}
}

static void test_what_a_lock_forbids(void **state)
{
	const struct lock *shallow = take("/uploads/a", "anna", true, false, 0);
	const struct lock *deep = take("/uploads/b", "anna", true, true, 0);

	(void)state;
	assert_string_equal(forbidden("/uploads/a", LOCK_SELF, "anna", NULL), "/uploads/a");
	assert_string_equal(forbidden("/uploads/a", LOCK_SELF, "anna", shallow->token), "");
	assert_string_equal(
		forbidden("/uploads/a", LOCK_SELF, "otto", shallow->token), "/uploads/a");
	assert_string_equal(forbidden("/uploads/a", LOCK_SELF, "anna", deep->token), "/uploads/a");
	/* a member's content is its own, its being there is the collection's */
	assert_string_equal(forbidden("/uploads/a/x", LOCK_SELF, "anna", NULL), "");
	assert_string_equal(forbidden("/uploads/a/x", LOCK_PARENT, "anna", NULL), "/uploads/a");
	assert_string_equal(forbidden("/uploads/a/x/y", LOCK_PARENT, "anna", NULL), "");
	assert_string_equal(forbidden("/uploads/b/x/y", LOCK_SELF, "anna", NULL), "/uploads/b");
	assert_string_equal(forbidden("/uploads/b/x/y", LOCK_SELF, "anna", deep->token), "");
	assert_string_equal(forbidden("/uploads", LOCK_SELF | LOCK_PARENT, "anna", NULL), "");
	assert_string_equal(forbidden("/uploads", LOCK_BELOW, "anna", NULL), "/uploads/a");
	assert_string_equal(
		forbidden("/uploads", LOCK_BELOW, "anna", shallow->token), "/uploads/b");
}

static void test_one_of_several_shared_locks_is_enough(void **state)
{
	const struct lock *first = take("/uploads/a", "anna", false, false, 0);
	const struct lock *second = take("/uploads/a", "otto", false, false, 0);

	(void)state;
	assert_string_equal(forbidden("/uploads/a", LOCK_SELF, "anna", first->token), "");
	assert_string_equal(forbidden("/uploads/a", LOCK_SELF, "otto", second->token), "");
	assert_string_equal(
		forbidden("/uploads/a", LOCK_SELF, "anna", second->token), "/uploads/a");
	locks_remove(locks, first);
	assert_string_equal(forbidden("/uploads/a", LOCK_SELF, "anna", NULL), "/uploads/a");
}

static void test_locks_end_with_what_they_are_on(void **state)
{
	(void)state;
	(void)take("/uploads/a", "anna", true, true, 0);
	(void)take("/uploads/ab", "anna", true, true, 0);
	locks_forget(locks, "/uploads/a");
	assert_null(locks_next(locks, "/uploads/a/x", NULL));
	assert_non_null(locks_next(locks, "/uploads/ab", NULL));
}

static void test_a_lock_ends_with_its_time(void **state)
{
	struct lock_wish wish = { "/" RECORDING, "anna", "", true, false, SECOND / 10 };
	const struct lock *lock;

	(void)state;
	assert_int_equal(locks_add(locks, &wish, &lock), 0);
	assert_true(volume_is_held(volume, RECORDING));
	locks_refresh(locks, lock, 600 * SECOND);
	assert_non_null(locks_next(locks, "/" RECORDING, NULL));
	locks_refresh(locks, lock, SECOND / 10);
	/* nobody asks: the file is free all the same */
	REACTOR_UNTIL(!volume_is_held(volume, RECORDING));
	assert_null(locks_next(locks, "/" RECORDING, NULL));
}

static void on_kept(void *arg, int error)
{
	assert_int_equal(error, 0);
	*(bool *)arg = true;
}

static void test_locks_outlive_the_process(void **state)
{
	const struct lock *lock = take("/" RECORDING, "anna", true, false, 0);
	const struct lock *other = take("/uploads/a", "anna", true, true, 0);
	char *token = xstrdup(lock->token);
	bool kept = false;

	(void)state;
	assert_non_null(locks_keep(locks, lock, on_kept, &kept));
	REACTOR_UNTIL(kept);
	kept = false;
	assert_non_null(locks_keep(locks, other, on_kept, &kept));
	REACTOR_UNTIL(kept);
	locks_remove(locks, other);
	close_all();
	assert_false(volume_is_held(volume, RECORDING));
	open_all();
	assert_true(volume_is_held(volume, RECORDING));
	assert_null(locks_next(locks, "/uploads/a", NULL));
	lock = locks_next(locks, "/" RECORDING, NULL);
	assert_non_null(lock);
	assert_string_equal(lock->token, token);
	assert_string_equal(lock->owner, "<owner/>");
	assert_string_equal(lock->user, "anna");
	assert_true(lock->exclusive && !lock->deep);
	assert_true(lock->expires_us > reactor_monotonic_us() + 500 * SECOND);
	assert_true(lock->expires_us <= reactor_monotonic_us() + 601 * SECOND);
	assert_ptr_equal(locks_find(locks, token, strlen(token)), lock);
	free(token);
}

static void test_there_are_not_too_many(void **state)
{
	char path[64], user[16];

	(void)state;
	for (int i = 0; i < LOCKS_PER_USER; i++) {
		(void)snprintf(path, sizeof(path), "/uploads/%d", i);
		(void)take(path, "anna", true, false, 0);
	}
	(void)take("/uploads/one/more", "anna", true, false, -ENOSPC);
	for (int i = LOCKS_PER_USER; i < LOCKS_MOST; i++) {
		(void)snprintf(path, sizeof(path), "/uploads/%d", i);
		(void)snprintf(user, sizeof(user), "user%d", i);
		(void)take(path, user, true, false, 0);
	}
	(void)take("/uploads/one/more", "otto", true, false, -ENOSPC);
}

/* RFC 4122 sections 3 and 4.4 */
static void test_tokens_are_uuids(void **state)
{
	static const char pattern[] = "urn:uuid:xxxxxxxx-xxxx-4xxx-vxxx-xxxxxxxxxxxx";
	const struct lock *a = take("/uploads/a", "anna", true, true, 0);
	const struct lock *b = take("/uploads/b", "anna", true, true, 0);

	(void)state;
	assert_string_not_equal(a->token, b->token);
	assert_int_equal(strlen(a->token), strlen(pattern));
	for (size_t i = 9; i < strlen(pattern); i++) {
		const char *allowed = pattern[i] == 'x'   ? "0123456789abcdef"
				      : pattern[i] == 'v' ? "89ab"
							  : NULL;

		assert_true(
			allowed ? strchr(allowed, a->token[i]) != NULL : a->token[i] == pattern[i]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_which_locks_conflict, reset),
		cmocka_unit_test_setup(test_what_a_lock_forbids, reset),
		cmocka_unit_test_setup(test_one_of_several_shared_locks_is_enough, reset),
		cmocka_unit_test_setup(test_locks_end_with_what_they_are_on, reset),
		cmocka_unit_test_setup(test_a_lock_ends_with_its_time, reset),
		cmocka_unit_test_setup(test_locks_outlive_the_process, reset),
		cmocka_unit_test_setup(test_there_are_not_too_many, reset),
		cmocka_unit_test_setup(test_tokens_are_uuids, reset),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
