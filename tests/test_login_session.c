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
#include "server/base/recent.h"

#define DAY INT64_C(86400000000)

#define HOUR INT64_C(3600000000)
#define YEAR_2026 (20700 * DAY)

static struct login_sessions *sessions;
static struct auth_users users;
static int64_t now_us; /* of the clock that never steps */
static int64_t utc_us; /* what the machine's clock says when that is 0 */

static struct login_now now(void)
{
	return (struct login_now){ now_us, utc_us + now_us };
}

static struct auth_user *add(const char *name, const char *password)
{
	struct auth_user *user = auth_user_new(name);

	user->password = xstrdup(password);
	TAILQ_INSERT_TAIL(&users, user, entry);
	login_sessions_review(sessions, &users);
	return user;
}

static void set_password(struct auth_user *user, const char *password)
{
	free(user->password);
	user->password = xstrdup(password);
}

static int set_up(void **state)
{
	(void)state;
	TAILQ_INIT(&users);
	now_us = 1000 * DAY;
	utc_us = YEAR_2026 - now_us;
	sessions = login_sessions_new(now());
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
	login_session_begin(sessions, user, now(), token);
	return token;
}

static void check_whose(const char *token, const char *name)
{
	const struct auth_user *found = login_session_find(sessions, token, now());

	if (!name)
		assert_null(found);
	else if (!found)
		fail_msg("%s has no session", name);
	else
		assert_string_equal(found->name, name);
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
	set_password(anna, "Secret");
	login_sessions_review(sessions, &users);
	check_whose(a, NULL);
	check_whose(b, NULL);
	check_whose(other, "nas");
	/* and the old one again does not bring them back */
	set_password(anna, "secret");
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

/* --- from one process to the next --- */

static struct login_file saved;

static void save(void)
{
	login_sessions_save(sessions, now(), &saved);
}

/* A process is killed, and another one starts so much later, by a machine whose clock is then so wrong. */
static void restart(int64_t later_us, int64_t wrong_us)
{
	login_sessions_free(sessions);
	now_us += later_us;
	utc_us = YEAR_2026 - 1000 * DAY + wrong_us;
	sessions = login_sessions_new(now());
	login_sessions_review(sessions, &users);
	login_sessions_load(sessions, &saved, now());
}

static void test_a_session_outlives_the_process(void **state)
{
	char a[LOGIN_TOKEN_BYTES], b[LOGIN_TOKEN_BYTES];

	(void)state;
	begin(add("anna", "secret"), a);
	begin(add("nas", "secret"), b);
	save();
	assert_true(saved.n == 2 && saved.written_s == YEAR_2026 / 1000000);
	restart(DAY, 0);
	assert_true(open_now() == 2);
	assert_false(login_sessions_are_used(sessions));
	check_whose(a, "anna");
	check_whose(b, "nas");
	login_session_end(sessions, a);
	save();
	restart(DAY, 0);
	check_whose(a, NULL);
	check_whose(b, "nas");
	check_whose("", NULL);
}

/* Nobody could log in by what is written, nor seal what he writes himself without both the token and the password. */
static void test_nothing_secret_is_written(void **state)
{
	char token[LOGIN_TOKEN_BYTES], hex[LOGIN_TOKEN_BYTES];
	unsigned char id[RECENT_KEY_BYTES];
	char *text = xmalloc(LOGIN_FILE_BYTES + 1);
	struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, token);
	save();
	recent_key_by(id, token, (const char *const[]){ "id", NULL });
	assert_memory_equal(saved.sessions[0].id, id, sizeof(id)); /* in any process */
	text[login_file_write(text, &saved)] = '\0';
	assert_null(strstr(text, token));
	assert_null(strstr(text, "secret"));
	for (size_t i = 0; i < LOGIN_HASH_BYTES; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", saved.sessions[0].id[i]);
	restart(0, 0);
	check_whose(hex, NULL);
	check_whose(token, "anna");
	saved.sessions[0].seal[0] ^= 1;
	restart(0, 0);
	check_whose(token, NULL);
	saved.sessions[0].seal[0] ^= 1;
	add("eve", "secret");
	(void)snprintf(saved.sessions[0].user, sizeof(saved.sessions[0].user), "eve");
	restart(0, 0);
	check_whose(token, NULL);
	free(text);
}

static void test_a_password_that_was_changed_meanwhile_ends_it(void **state)
{
	char token[LOGIN_TOKEN_BYTES];
	struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, token);
	save();
	set_password(anna, "other");
	restart(DAY, 0);
	check_whose(token, NULL);
	assert_true(ended("changed") == 1 && open_now() == 0);
	assert_true(login_sessions_are_new(sessions));
	set_password(anna, "secret");
	login_sessions_review(sessions, &users);
	check_whose(token, NULL);
	/* also where nobody has shown the token meanwhile */
	set_password(anna, "other");
	restart(DAY, 0);
	set_password(anna, "secret");
	login_sessions_review(sessions, &users);
	check_whose(token, NULL);
}

static void test_who_went_meanwhile_has_no_session(void **state)
{
	char token[LOGIN_TOKEN_BYTES];
	struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, token);
	save();
	TAILQ_REMOVE(&users, anna, entry);
	auth_user_free(anna);
	restart(0, 0);
	check_whose(token, NULL);
	assert_true(ended("changed") == 1 && open_now() == 0);
	assert_true(login_sessions_are_new(sessions));
}

static void test_time_goes_on_while_no_process_runs(void **state)
{
	char idle[LOGIN_TOKEN_BYTES], old[LOGIN_TOKEN_BYTES];
	const struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, idle);
	save();
	restart(LOGIN_SESSION_IDLE_US - 1000000, 0);
	assert_true(open_now() == 1);
	restart(1000000, 0);
	assert_true(open_now() == 0 && ended("expired") == 1);
	check_whose(idle, NULL);
	begin(anna, old);
	for (int64_t age_us = 0; age_us < LOGIN_SESSION_LIFE_US; age_us += DAY) {
		check_whose(old, "anna");
		save();
		restart(DAY, 0);
	}
	check_whose(old, NULL);
}

static void test_when_it_is_worth_writing(void **state)
{
	char token[LOGIN_TOKEN_BYTES], other[LOGIN_TOKEN_BYTES];
	struct auth_user *anna = add("anna", "secret");

	(void)state;
	assert_false(login_sessions_are_used(sessions));
	begin(anna, token);
	begin(anna, other);
	assert_true(login_sessions_are_new(sessions));
	save();
	assert_false(login_sessions_are_used(sessions));
	now_us += LOGIN_SESSION_WRITE_US - 1;
	check_whose(token, "anna");
	assert_false(login_sessions_are_new(sessions));
	assert_true(login_sessions_are_used(sessions));
	now_us++;
	check_whose(token, "anna");
	assert_true(login_sessions_are_new(sessions));
	save();
	check_whose(token, "anna");
	assert_false(login_sessions_are_new(sessions));
	login_sessions_not_saved(sessions);
	assert_true(login_sessions_are_new(sessions));
	save();
	login_session_end(sessions, token);
	assert_true(login_sessions_are_new(sessions));
	save();
	set_password(anna, "other");
	login_sessions_review(sessions, &users);
	assert_true(login_sessions_are_new(sessions));
}

/* A machine without a clock of its own, that is switched on: nobody knows how long it was off, until somebody sets the clock. */
static void test_a_clock_that_starts_in_1970(void **state)
{
	char token[LOGIN_TOKEN_BYTES], begun[LOGIN_TOKEN_BYTES];
	const struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, token);
	save();
	restart(10 * DAY, -YEAR_2026);
	check_whose(token, "anna");
	assert_true(
		login_sessions_are_new(sessions)); /* it costs an hour, which is to be written */
	begin(anna, begun);
	utc_us += YEAR_2026; /* somebody sets it */
	check_whose(begun, "anna");
	check_whose(token, "anna"); /* it was just used */
	assert_true(open_now() == 2);
	save();
	restart(0, 0);
	check_whose(token, "anna");
	now_us += LOGIN_SESSION_LIFE_US - 10 * DAY;
	check_whose(token, NULL);
}

static void test_a_clock_that_is_set_later_tells_how_long_nobody_ran(void **state)
{
	char token[LOGIN_TOKEN_BYTES];

	(void)state;
	begin(add("anna", "secret"), token);
	save();
	restart(LOGIN_SESSION_IDLE_US, -YEAR_2026);
	assert_true(open_now() == 1);
	utc_us += YEAR_2026;
	check_whose(token, NULL);
	assert_true(ended("expired") == 1);
}

/* And one that nobody ever sets: each start costs an hour, so that no session lasts for ever. */
static void test_a_clock_that_nobody_sets(void **state)
{
	char token[LOGIN_TOKEN_BYTES];
	int starts = 0;

	(void)state;
	begin(add("anna", "secret"), token);
	for (; starts < 1000; starts++) {
		save();
		restart(0, -YEAR_2026 - starts * DAY);
		if (!login_session_find(sessions, token, now()))
			break;
	}
	assert_int_equal(starts, LOGIN_SESSION_LIFE_US / LOGIN_SESSION_WRITE_US - 1);
}

static void test_a_clock_that_steps(void **state)
{
	char token[LOGIN_TOKEN_BYTES];

	(void)state;
	begin(add("anna", "secret"), token);
	utc_us += 10000 * DAY;
	check_whose(token, "anna"); /* in this process it is known better */
	utc_us -= 10000 * DAY;
	check_whose(token, "anna");
	now_us += LOGIN_SESSION_IDLE_US - 1;
	check_whose(token, "anna");
	save();
	restart(LOGIN_SESSION_IDLE_US / 2, 0);
	check_whose(token, "anna");
	now_us += LOGIN_SESSION_IDLE_US;
	check_whose(token, NULL);
	/* with the last session what was wrong is forgotten */
	begin(TAILQ_FIRST(&users), token);
	save();
	assert_int_equal(saved.written_s, (utc_us + now_us) / 1000000);
}

static void test_clocks_beyond_reason(void **state)
{
	static const int64_t clocks[] = { INT64_MIN, -1, 0, INT64_MAX };
	char token[LOGIN_TOKEN_BYTES];
	const struct auth_user *anna = add("anna", "secret");
	struct login_file again;
	char *text = xmalloc(LOGIN_FILE_BYTES);
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(clocks); i++) {
		struct login_now odd = { now_us, clocks[i] };

		login_sessions_free(sessions);
		sessions = login_sessions_new(odd);
		login_sessions_review(sessions, &users);
		login_session_begin(sessions, anna, odd, token);
		login_sessions_save(sessions, odd, &saved);
		assert_int_equal(
			login_file_parse(&again, text, login_file_write(text, &saved), &why), 0);
		assert_true(login_session_find(sessions, token, now()) == anna);
		login_sessions_load(sessions, &saved, odd);
		assert_true(login_session_find(sessions, token, odd) == anna);
		saved.written_s = LOGIN_FILE_LATEST_S;
		login_sessions_load(sessions, &saved, odd);
	}
	free(text);
}

/* The disk may come late: what has begun meanwhile stays, and is as old as it is. */
static void test_sessions_that_are_found_later(void **state)
{
	char former[LOGIN_TOKEN_BYTES], token[LOGIN_TOKEN_BYTES];
	const struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, former);
	save();
	login_sessions_free(sessions);
	utc_us -= YEAR_2026;
	sessions = login_sessions_new(now());
	login_sessions_review(sessions, &users);
	begin(anna, token);
	now_us += HOUR;
	login_sessions_load(sessions, &saved, now());
	assert_true(open_now() == 2);
	check_whose(former, "anna");
	check_whose(token, "anna");
	save();
	assert_int_equal(saved.sessions[0].used_s - saved.sessions[0].begun_s, 3600);
	assert_int_equal(saved.sessions[1].used_s - saved.sessions[1].begun_s, 2 * 3600);
}

static void test_no_more_are_loaded_than_there_may_be(void **state)
{
	char token[LOGIN_TOKEN_BYTES];
	const struct auth_user *anna = add("anna", "secret");

	(void)state;
	begin(anna, token);
	save();
	saved.n = LOGIN_FILE_SESSIONS;
	for (size_t i = 1; i < saved.n; i++)
		saved.sessions[i] = saved.sessions[0];
	restart(0, 0);
	assert_true(open_now() == LOGIN_SESSIONS_OF_USER);
	assert_true(ended("full") == LOGIN_FILE_SESSIONS - LOGIN_SESSIONS_OF_USER);
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
		TEST(test_a_session_outlives_the_process),
		TEST(test_nothing_secret_is_written),
		TEST(test_a_password_that_was_changed_meanwhile_ends_it),
		TEST(test_who_went_meanwhile_has_no_session),
		TEST(test_time_goes_on_while_no_process_runs),
		TEST(test_when_it_is_worth_writing),
		TEST(test_a_clock_that_starts_in_1970),
		TEST(test_a_clock_that_is_set_later_tells_how_long_nobody_ran),
		TEST(test_a_clock_that_nobody_sets),
		TEST(test_a_clock_that_steps),
		TEST(test_clocks_beyond_reason),
		TEST(test_sessions_that_are_found_later),
		TEST(test_no_more_are_loaded_than_there_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
