/* How long who gave wrong passwords has to wait, on a clock that the test moves. */
#include "server/base/login_limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000)

static struct login_limit *limit;
static int64_t now_us;

static int set_up(void **state)
{
	(void)state;
	limit = login_limit_new();
	now_us = 1000 * S;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	login_limit_free(limit);
	return 0;
}

static const struct sockaddr *address(const char *text)
{
	static struct sockaddr_storage storage;
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&storage;

	memset(&storage, 0, sizeof(storage));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		v4->sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		v6->sin6_family = AF_INET6;
	else
		fail_msg("%s", text);
	return (const struct sockaddr *)(const void *)&storage;
}

static int64_t wait_s(const char *from, const char *user)
{
	return login_limit_wait_us(limit, address(from), user, now_us) / S;
}

static void fails(const char *from, const char *user, unsigned times)
{
	for (; times > 0; times--)
		login_limit_failed(limit, address(from), user, now_us);
}

static void succeeds(const char *from, const char *user)
{
	login_limit_succeeded(limit, address(from), user, now_us);
}

static void the_fifth_failure_costs_time_and_each_further_one_twice_as_much(void **state)
{
	static const int64_t waits[] = { 0, 0, 0, 0, 4, 8, 16, 32, 60, 60 };

	(void)state;
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		fails("192.0.2.1", "anna", 1);
		assert_int_equal(wait_s("192.0.2.1", "anna"), waits[i]);
		now_us += waits[i] * S - 1;
		if (waits[i])
			assert_true(login_limit_wait_us(
					    limit, address("192.0.2.1"), "anna", now_us) > 0);
		now_us++;
		assert_int_equal(wait_s("192.0.2.1", "anna"), 0);
	}
}

static void after_a_while_it_is_forgotten(void **state)
{
	(void)state;
	fails("192.0.2.1", "anna", 9);
	now_us += LOGIN_LIMIT_FORGET_US;
	assert_int_equal(wait_s("192.0.2.1", "anna"), 0);
	fails("192.0.2.1", "anna", 4);
	assert_int_equal(wait_s("192.0.2.1", "anna"), 0);
	fails("192.0.2.1", "anna", 1);
	assert_int_equal(wait_s("192.0.2.1", "anna"), 4);
}

static void a_right_password_clears_what_failed(void **state)
{
	(void)state;
	fails("192.0.2.1", "anna", 6);
	succeeds("192.0.2.1", "anna");
	assert_int_equal(wait_s("192.0.2.1", "anna"), 0);
	fails("192.0.2.1", "anna", 4);
	assert_int_equal(wait_s("192.0.2.1", "anna"), 0);
	fails("192.0.2.1", "anna", 1);
	assert_int_equal(wait_s("192.0.2.1", "anna"), 4);
}

static void one_client_with_an_old_password_shuts_out_nobody_else(void **state)
{
	(void)state;
	fails("192.0.2.1", "anna", 1000);
	assert_int_equal(wait_s("192.0.2.1", "anna"), 60);
	assert_int_equal(wait_s("192.0.2.1", "bob"), 0);
	assert_int_equal(wait_s("192.0.2.2", "anna"), 0);
}

static void many_users_at_an_address_slow_it_down(void **state)
{
	char name[16];

	(void)state;
	succeeds("192.0.2.1", "anna");
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "user%u", i);
		fails("192.0.2.1", name, 1);
	}
	assert_int_equal(wait_s("192.0.2.1", "user500"), 300);
	assert_int_equal(wait_s("192.0.2.1", "anna"), 0); /* is known there */
	assert_int_equal(wait_s("192.0.2.2", "user1"), 0);
}

/* With a right password elsewhere in between, too, of somebody who has one. */
static void who_knows_one_password_guesses_others_no_faster(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		fails("192.0.2.1", "anna", 1);
		succeeds("192.0.2.1", "mallory");
	}
	assert_int_equal(wait_s("192.0.2.1", "anna"), 8);
}

static void many_addresses_slow_a_user_down_for_seconds_only_and_not_where_he_is_known(void **state)
{
	char from[32];

	(void)state;
	succeeds("198.51.100.1", "anna");
	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(from, sizeof(from), "192.0.2.%u", i);
		fails(from, "anna", 6);
	}
	assert_int_equal(wait_s("198.51.100.2", "anna"), 5);
	assert_int_equal(wait_s("198.51.100.1", "anna"), 0);
	assert_int_equal(wait_s("198.51.100.2", "bob"), 0);
}

static void addresses_are_compared_by_what_one_customer_has(void **state)
{
	static const struct {
		const char *failed, *asks;
		int64_t wait_s;
	} cases[] = {
		{"192.0.2.1",        "192.0.2.1",        4},
		{ "192.0.2.1",       "192.0.2.2",        0},
		{ "192.0.2.1",       "::ffff:192.0.2.1", 4},
		{ "2001:db8::1",     "2001:db8::ffff:1", 4},
		{ "2001:db8:0:1::1", "2001:db8:0:2::1",  0},
		{ "127.0.0.1",       "127.0.0.1",        4},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fails(cases[i].failed, "anna", 5);
		if (wait_s(cases[i].asks, "anna") != cases[i].wait_s)
			fail_msg("%s", cases[i].asks);
		(void)tear_down(state);
		(void)set_up(state);
	}
}

static void names_may_be_of_any_length(void **state)
{
	char name[600];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	fails("192.0.2.1", name, 5);
	fails("192.0.2.1", "", 5);
	assert_int_equal(wait_s("192.0.2.1", name), 4);
	assert_int_equal(wait_s("192.0.2.1", ""), 4);
	assert_int_equal(wait_s("192.0.2.1", "a"), 0);
}

/* The oldest makes room; who has logged in is not pushed out by who has not. */
static void memory_is_bounded(void **state)
{
	char from[48];

	(void)state;
	succeeds("198.51.100.1", "anna");
	fails("198.51.100.1", "anna", 5);
	fails("198.51.100.2", "anna", 5);
	for (unsigned i = 0; i < LOGIN_LIMIT_ENTRIES; i++) {
		(void)snprintf(from, sizeof(from), "2001:db8:0:%x::1", i);
		fails(from, "bob", 5);
	}
	assert_int_equal(wait_s("198.51.100.2", "anna"), 0);
	assert_int_equal(wait_s("198.51.100.1", "anna"), 4);
	assert_int_equal(wait_s(from, "bob"), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(the_fifth_failure_costs_time_and_each_further_one_twice_as_much),
		TEST(after_a_while_it_is_forgotten),
		TEST(a_right_password_clears_what_failed),
		TEST(one_client_with_an_old_password_shuts_out_nobody_else),
		TEST(many_users_at_an_address_slow_it_down),
		TEST(who_knows_one_password_guesses_others_no_faster),
		TEST(many_addresses_slow_a_user_down_for_seconds_only_and_not_where_he_is_known),
		TEST(addresses_are_compared_by_what_one_customer_has),
		TEST(names_may_be_of_any_length),
		TEST(memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
