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

/* HMAC-SHA-256 of each text by that of what was before, as Python's hmac has it: another process finds the same. */
static void who_knows_the_secret_has_the_same_hash(void **state)
{
	static const unsigned char expected[RECENT_KEY_BYTES] = { 0x0c, 0x0a, 0xd5, 0x92, 0x37,
		0x5e, 0xdc, 0x72, 0x76, 0x46, 0x05, 0x0b, 0x65, 0x64, 0xa7, 0x86, 0x2a, 0x14, 0x2a,
		0x20, 0x19, 0xbe, 0xbb, 0x3e, 0x8b, 0x77, 0x28, 0x83, 0x8f, 0x46, 0x96, 0xd6 };
	unsigned char got[RECENT_KEY_BYTES];

	(void)state;
	recent_key_by(got, "token", (const char *const[]){ "a", "bc", NULL });
	assert_memory_equal(got, expected, sizeof(got));
	recent_key_by(got, "Token", (const char *const[]){ "a", "bc", NULL });
	assert_memory_not_equal(got, expected, sizeof(got));
	assert_memory_not_equal(key("a", "bc"), expected, sizeof(expected));
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
		TEST(who_knows_the_secret_has_the_same_hash),
		TEST(what_was_added_expires),
		TEST(the_oldest_makes_room),
		TEST(all_can_be_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
