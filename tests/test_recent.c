/* A bounded set of hashes that expire. */
#include "server/base/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
	LIMIT = 4
};

static struct recent *recent;

static int set_up(void **state)
{
	(void)state;
	recent = recent_new(LIMIT, 100);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	recent_free(recent);
	return 0;
}

static const unsigned char *key(const char *one, const char *two)
{
	static unsigned char ret[RECENT_KEY_BYTES];

	recent_key(ret, (const char *const[]){ one, two, NULL });
	return ret;
}

static void texts_are_not_run_together(void **state)
{
	(void)state;
	recent_add(recent, key("ab", "c"), 0);
	assert_true(recent_has(recent, key("ab", "c"), 0));
	assert_false(recent_has(recent, key("a", "bc"), 0));
	assert_false(recent_has(recent, key("ab", ""), 0));
}

static void what_was_added_expires(void **state)
{
	(void)state;
	recent_add(recent, key("a", "b"), 1000);
	assert_true(recent_has(recent, key("a", "b"), 1099));
	assert_false(recent_has(recent, key("a", "b"), 1100));
	recent_add(recent, key("a", "b"), 1150);
	assert_true(recent_has(recent, key("a", "b"), 1249));
}

static void the_oldest_makes_room(void **state)
{
	char name[8];

	(void)state;
	for (int i = 0; i < LIMIT; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		recent_add(recent, key(name, ""), i);
	}
	recent_add(recent, key("0", ""), 50);
	recent_add(recent, key("new", ""), 60);
	assert_true(recent_has(recent, key("0", ""), 60));
	assert_false(recent_has(recent, key("1", ""), 60));
	assert_true(recent_has(recent, key("2", ""), 60));
	assert_true(recent_has(recent, key("new", ""), 60));
}

static void all_can_be_forgotten(void **state)
{
	(void)state;
	recent_add(recent, key("a", "b"), 0);
	recent_clear(recent);
	assert_false(recent_has(recent, key("a", "b"), 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(texts_are_not_run_together),
		TEST(what_was_added_expires),
		TEST(the_oldest_makes_room),
		TEST(all_can_be_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
