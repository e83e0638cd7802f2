/* Sessions of people, on a clock that the test moves. */
#include "server/base/login_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"

#define DAY INT64_C(86400000000)

static struct login_sessions *sessions;
static struct auth_users users;
static int64_t now_us;

static struct auth_user *add(const char *name, const char *password)
{
	struct auth_user *user = auth_user_new(name);

	user->password = xstrdup(password);
	TAILQ_INSERT_TAIL(&users, user, entry);
	return user;
}

static int set_up(void **state)
{
	(void)state;
	sessions = login_sessions_new();
	TAILQ_INIT(&users);
	now_us = 1000 * DAY;
	return 0;
}

static int tear_down(void **state)
{
	struct auth_user *user;

	(void)state;
	login_sessions_free(sessions);
	assert_true(metric_value(metric_get(METRIC_LOGIN_SESSIONS)) == 0);
	while ((user = TAILQ_FIRST(&users))) {
		TAILQ_REMOVE(&users, user, entry);
		auth_user_free(user);
	}
	metrics_fini();
	return 0;
}

static char *begin(const struct auth_user *user, char token[LOGIN_TOKEN_BYTES])
{
	login_session_begin(sessions, user, now_us, token);
	return token;
}

static void check_whose(const char *token, const char *name)
{
	const char *found = login_session_find(sessions, token, now_us);

	if (!name)
		assert_null(found);
	else if (!found)
		fail_msg("%s has no session", name);
	else
		assert_string_equal(found, name);
}

static double open_now(void)
{
	return metric_value(metric_get(METRIC_LOGIN_SESSIONS));
}

static double ended(const char *reason)
{
	return metric_value(metric_get(METRIC_LOGIN_SESSIONS_ENDED, reason));
}

static void test_a_token_is_its_users(void **state)
{
	char a[LOGIN_TOKEN_BYTES], b[LOGIN_TOKEN_BYTES];
	const struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, a);
	begin(add("nas", "secret"), b);
	assert_int_equal(strlen(a), LOGIN_TOKEN_BYTES - 1);
	assert_int_equal(strspn(a, "0123456789abcdef"), LOGIN_TOKEN_BYTES - 1);
	assert_string_not_equal(a, b);
	check_whose(a, "anna");
	check_whose(b, "nas");
	assert_true(open_now() == 2);
}

static void test_what_is_no_token_is_nobodys(void **state)
{
	char token[LOGIN_TOKEN_BYTES];

	(void)state;
	begin(add("anna", "secret"), token);
	check_whose("", NULL);
	check_whose("anna", NULL);
	token[0] = token[0] == '0' ? '1' : '0';
	check_whose(token, NULL);
	token[LOGIN_TOKEN_BYTES - 2] = '\0';
	check_whose(token, NULL);
}

static void test_a_session_ends_when_it_is_not_used(void **state)
{
	char used[LOGIN_TOKEN_BYTES], left[LOGIN_TOKEN_BYTES];
	const struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, used);
	begin(anna, left);
	now_us += LOGIN_SESSION_IDLE_US - 1;
	check_whose(used, "anna");
	now_us++;
	check_whose(used, "anna");
	assert_true(open_now() == 1); /* whoever comes, what has expired goes */
	check_whose(left, NULL);
	assert_true(ended("expired") == 1);
}

static void test_a_session_ends_though_it_is_used(void **state)
{
	char token[LOGIN_TOKEN_BYTES];

	(void)state;
	begin(add("anna", "secret"), token);
	for (int64_t age_us = 0; age_us < LOGIN_SESSION_LIFE_US; age_us += DAY, now_us += DAY)
		check_whose(token, "anna");
	check_whose(token, NULL);
	assert_true(ended("expired") == 1);
}

static void test_logging_out_ends_one(void **state)
{
	char a[LOGIN_TOKEN_BYTES], b[LOGIN_TOKEN_BYTES];
	const struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, a);
	begin(anna, b);
	login_session_end(sessions, a);
	login_session_end(sessions, a);
	login_session_end(sessions, "nothing");
	check_whose(a, NULL);
	check_whose(b, "anna");
	assert_true(ended("logout") == 1 && open_now() == 1);
}

static void test_another_password_ends_all_of_the_user(void **state)
{
	char a[LOGIN_TOKEN_BYTES], b[LOGIN_TOKEN_BYTES], other[LOGIN_TOKEN_BYTES];
	struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, a);
	begin(anna, b);
	begin(add("nas", "secret"), other);
	anna->role = ROLE_ADMIN;
	login_sessions_review(sessions, &users);
	check_whose(a, "anna");
	free(anna->password);
	anna->password = xstrdup("Secret");
	login_sessions_review(sessions, &users);
	check_whose(a, NULL);
	check_whose(b, NULL);
	check_whose(other, "nas");
	/* and the old one again does not bring them back */
	free(anna->password);
	anna->password = xstrdup("secret");
	login_sessions_review(sessions, &users);
	check_whose(a, NULL);
	assert_true(ended("changed") == 2);
}

static void test_who_is_gone_has_no_session(void **state)
{
	char token[LOGIN_TOKEN_BYTES], other[LOGIN_TOKEN_BYTES];
	struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, token);
	begin(add("nas", "secret"), other);
	TAILQ_REMOVE(&users, anna, entry);
	auth_user_free(anna);
	login_sessions_review(sessions, &users);
	check_whose(token, NULL);
	check_whose(other, "nas");
	login_sessions_review(sessions, NULL);
	check_whose(other, NULL);
}

static void test_a_user_has_so_many(void **state)
{
	char tokens[LOGIN_SESSIONS_OF_USER][LOGIN_TOKEN_BYTES], more[LOGIN_TOKEN_BYTES];
	char other[LOGIN_TOKEN_BYTES];
	const struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(add("nas", "secret"), other);
	for (int i = 0; i < LOGIN_SESSIONS_OF_USER; i++)
		begin(anna, tokens[i]);
	check_whose(tokens[0], "anna"); /* so that [1] was longest not used */
	begin(anna, more);
	check_whose(tokens[1], NULL);
	check_whose(tokens[0], "anna");
	check_whose(more, "anna");
	check_whose(other, "nas");
	assert_true(ended("full") == 1 && open_now() == LOGIN_SESSIONS_OF_USER + 1);
}

static void test_all_have_so_many(void **state)
{
	char first[LOGIN_TOKEN_BYTES], second[LOGIN_TOKEN_BYTES], token[LOGIN_TOKEN_BYTES];
	char name[16];

	(void)state;
	begin(add("first", "secret"), first);
	begin(add("second", "secret"), second);
	for (int i = 0; i < LOGIN_SESSIONS - 2; i++) {
		(void)snprintf(name, sizeof(name), "user%d", i);
		begin(add(name, "secret"), token);
	}
	check_whose(first, "first");
	assert_true(ended("full") == 0);
	begin(add("last", "secret"), token);
	check_whose(second, NULL);
	check_whose(first, "first");
	check_whose(token, "last");
	assert_true(ended("full") == 1 && open_now() == LOGIN_SESSIONS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_token_is_its_users),
		TEST(test_what_is_no_token_is_nobodys),
		TEST(test_a_session_ends_when_it_is_not_used),
		TEST(test_a_session_ends_though_it_is_used),
		TEST(test_logging_out_ends_one),
		TEST(test_another_password_ends_all_of_the_user),
		TEST(test_who_is_gone_has_no_session),
		TEST(test_a_user_has_so_many),
		TEST(test_all_have_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
