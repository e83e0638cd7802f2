/* Sessions and their file, on a disk that may be away, full or somebody's who means ill. */
#include "server/base/login_store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/file.h"
#include "server/base/log.h"
#include "server/base/login_session.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/reactor_until.h"
#include "tests/synthetic.h"

static char *folder;
static _Atomic int folder_error; /* why it cannot be opened; 0: it can */
static _Atomic bool is_slow;     /* to say so */
static _Atomic unsigned opened;  /* how often that was asked */
static struct login_sessions *sessions;
static struct login_store *store;
static struct auth_users users;

static int open_folder(void *arg)
{
	int error = folder_error;

	(void)arg;
	opened++;
	while (is_slow)
		usleep(1000);
	return error ? error : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static char *path_of(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static double said(const char *level)
{
	return metric_value(metric_get(METRIC_LOG_MESSAGES, level));
}

/* A process begins, and ends. */
static void start(void)
{
	sessions = login_sessions_new(login_now());
	login_sessions_review(sessions, &users);
	store = login_store_new(sessions, open_folder, NULL);
	login_store_read(store);
}

static void stop(void)
{
	login_store_free(store);
	login_sessions_free(sessions);
}

/* As by SIGKILL: what is not on the disk is lost. */
static void crash(void)
{
	login_sessions_review(sessions, NULL);
	folder_error = -ENODEV;
	stop();
	folder_error = 0;
}

static int set_up(void **state)
{
	static const char *const names[] = { "anna", "nas" };

	(void)state;
	folder = synthetic_folder();
	reactor_init();
	log_setup(LOG_WARN, LOG_TEXT);
	TAILQ_INIT(&users);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		struct auth_user *user = auth_user_new(names[i]);

		user->password = xstrdup("secret");
		TAILQ_INSERT_TAIL(&users, user, entry);
	}
	folder_error = 0;
	return 0;
}

static int tear_down(void **state)
{
	struct auth_user *user;

	(void)state;
	while ((user = TAILQ_FIRST(&users))) {
		TAILQ_REMOVE(&users, user, entry);
		auth_user_free(user);
	}
	reactor_fini();
	metrics_fini();
	synthetic_folder_remove(folder);
	return 0;
}

static void begin(const char *name, char token[LOGIN_TOKEN_BYTES])
{
	login_session_begin(sessions, auth_find(&users, name, strlen(name)), login_now(), token);
	login_store_look(store);
}

static void end(const char *token)
{
	login_session_end(sessions, token);
	login_store_look(store);
}

static bool has(const char *token)
{
	bool found = login_session_find(sessions, token, login_now());

	login_store_look(store);
	return found;
}

/* What is on the disk; false: nothing, or no list. */
static bool read_file(struct login_file *file)
{
	char *why = NULL;
	const char *wrong;
	size_t n;
	char *text =
		file_read(path_of(LOGIN_STORE_FILE), LOGIN_FILE_BYTES, O_NOFOLLOW, NULL, &n, &why);
	bool is_list = text && login_file_parse(file, text, n, &wrong) == 0;

	free(text);
	free(why);
	return is_list;
}

static bool is_written(size_t n)
{
	struct login_file file;

	return read_file(&file) && file.n == n;
}

static void test_sessions_outlive_a_crash(void **state)
{
	char a[LOGIN_TOKEN_BYTES], b[LOGIN_TOKEN_BYTES];
	struct stat st;

	(void)state;
	start();
	begin("anna", a);
	begin("nas", b);
	REACTOR_UNTIL(is_written(2));
	assert_int_equal(stat(path_of(LOGIN_STORE_FILE), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	crash();
	start();
	assert_true(has(a) && has(b));
	end(a);
	REACTOR_UNTIL(is_written(1));
	crash();
	start();
	assert_true(!has(a) && has(b));
	stop();
	assert_true(said("warn") == 0);
}

/* What is not worth a write of its own is written at the end; and who ends does not end the sessions. */
static void test_the_last_use_is_written_at_the_end(void **state)
{
	char token[LOGIN_TOKEN_BYTES];
	struct login_file before = { 0 }, after = { 0 };
	struct stat one, other;

	(void)state;
	start();
	begin("anna", token);
	stop();
	assert_true(read_file(&before) && before.n == 1);
	assert_int_equal(stat(path_of(LOGIN_STORE_FILE), &one), 0);
	start();
	stop();
	assert_int_equal(stat(path_of(LOGIN_STORE_FILE), &other), 0);
	assert_true(one.st_ino == other.st_ino); /* nobody came: nothing was written */
	start();
	REACTOR_UNTIL(reactor_now_us() / 1000000 > before.sessions[0].used_s);
	assert_true(has(token));
	stop();
	assert_true(read_file(&after));
	assert_true(after.sessions[0].used_s > before.sessions[0].used_s);
	assert_true(after.sessions[0].begun_s == before.sessions[0].begun_s);
}

static void put(const char *text, size_t n)
{
	assert_int_equal(file_write(path_of(LOGIN_STORE_FILE), text, n, NULL, true), 0);
}

static void put_too_large(void)
{
	char *text = xcalloc(1, LOGIN_FILE_BYTES + 1);

	put(text, LOGIN_FILE_BYTES + 1);
	free(text);
}

static void put_nonsense(void)
{
	put("nvrd-sessions-1 1\nanna\n", 23);
}

static void put_nothing(void)
{
	put("", 0);
}

static void put_link(void)
{
	assert_int_equal(file_write(path_of("other"), "nvrd-sessions-1 1\n", 18, NULL, true), 0);
	assert_int_equal(symlink("other", path_of(LOGIN_STORE_FILE)), 0);
}

static void put_fifo(void)
{
	assert_int_equal(mkfifo(path_of(LOGIN_STORE_FILE), 0666), 0);
}

static void test_what_is_no_list_is_replaced(void **state)
{
	static void (*const ways[])(
		void) = { put_too_large, put_nonsense, put_nothing, put_link, put_fifo };
	char token[LOGIN_TOKEN_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
		double warned = said("warn");

		(void)unlink(path_of(LOGIN_STORE_FILE));
		ways[i]();
		start();
		REACTOR_UNTIL(is_written(0));
		begin("anna", token);
		REACTOR_UNTIL(is_written(1));
		assert_true(has(token));
		assert_true(said("warn") == warned + 1);
		stop();
	}
}

/* Whatever the disk does, people are logged in; it is said once, and once more when it works again. */
static void test_what_cannot_be_written(void **state)
{
	char tokens[3][LOGIN_TOKEN_BYTES];

	(void)state;
	start();
	assert_int_equal(mkdir(path_of(LOGIN_STORE_FILE ".new"), 0700), 0);
	begin("anna", tokens[0]);
	REACTOR_UNTIL(said("warn") == 1);
	begin("anna", tokens[1]);
	login_store_come(store);
	login_store_come(store); /* while it is being tried */
	REACTOR_UNTIL(metric_value(metric_get(METRIC_WORKER_JOBS, "sessions")) == 0);
	begin("anna", tokens[2]);
	for (int i = 0; i < 3; i++)
		assert_true(has(tokens[i]));
	assert_int_equal(rmdir(path_of(LOGIN_STORE_FILE ".new")), 0);
	login_store_come(store);
	REACTOR_UNTIL(is_written(3));
	stop();
	assert_true(said("warn") == 1);
}

static void test_a_failure_is_not_tried_again_at_once(void **state)
{
	char token[LOGIN_TOKEN_BYTES];

	(void)state;
	start();
	assert_int_equal(mkdir(path_of(LOGIN_STORE_FILE ".new"), 0700), 0);
	begin("anna", token);
	REACTOR_UNTIL(said("warn") == 1);
	assert_int_equal(rmdir(path_of(LOGIN_STORE_FILE ".new")), 0);
	for (int i = 0; i < 20; i++) {
		assert_true(has(token));
		(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
		usleep(5000);
	}
	assert_false(is_written(1));
	stop();
	assert_true(is_written(1));
}

/* Nothing is written before it is known what there was. */
static void test_a_disk_that_comes_late(void **state)
{
	char former[LOGIN_TOKEN_BYTES], token[LOGIN_TOKEN_BYTES];

	(void)state;
	start();
	begin("nas", former);
	stop();
	folder_error = -ENODEV;
	start();
	assert_false(has(former));
	begin("anna", token);
	assert_true(has(token));
	folder_error = 0;
	login_store_come(store);
	REACTOR_UNTIL(has(former));
	REACTOR_UNTIL(is_written(2));
	crash();
	start();
	assert_true(has(former) && has(token));
	stop();
	assert_true(said("warn") == 0);
}

static void test_a_disk_that_comes_while_it_is_looked_for(void **state)
{
	char token[LOGIN_TOKEN_BYTES];

	(void)state;
	folder_error = -ENODEV;
	start();
	is_slow = true;
	opened = 0;
	login_store_come(store);
	begin("anna", token);
	REACTOR_UNTIL(opened); /* it is being told that there is none */
	folder_error = 0;
	login_store_come(store);
	is_slow = false;
	REACTOR_UNTIL(is_written(1));
	stop();
}

static void test_a_disk_that_never_comes(void **state)
{
	char token[LOGIN_TOKEN_BYTES];

	(void)state;
	folder_error = -ENODEV;
	start();
	begin("anna", token);
	assert_true(has(token));
	stop();
	folder_error = -EACCES;
	start();
	begin("anna", token);
	assert_true(has(token));
	stop();
	assert_true(said("warn") == 1);
	folder_error = 0;
	assert_false(is_written(1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sessions_outlive_a_crash),
		TEST(test_the_last_use_is_written_at_the_end),
		TEST(test_what_is_no_list_is_replaced),
		TEST(test_what_cannot_be_written),
		TEST(test_a_failure_is_not_tried_again_at_once),
		TEST(test_a_disk_that_comes_late),
		TEST(test_a_disk_that_comes_while_it_is_looked_for),
		TEST(test_a_disk_that_never_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
