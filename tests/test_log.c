/* Log lines: both forms, names, escaping, cutting, levels, repetition; one write each. */
#include "server/base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"

enum {
	LINE_BYTES = 4096,
	TIME_BYTES = sizeof("2026-11-20T22:43:01.123+05:30") - 1
};

/* What goes to stderr arrives here, one message for each write. */
static int sink[2], stderr_before;

static void log_begin(enum log_level level, enum log_format format)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sink), 0);
	stderr_before = dup(STDERR_FILENO);
	assert_true(stderr_before >= 0);
	assert_true(dup2(sink[1], STDERR_FILENO) >= 0);
	log_setup(level, format);
}

static void log_end(void)
{
	(void)dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
	close(sink[0]);
	close(sink[1]);
}

/* The next write as text, or "" when there is none. */
static const char *log_taken(void)
{
	static char line[2 * LINE_BYTES];
	ssize_t n = recv(sink[0], line, sizeof(line) - 1, MSG_DONTWAIT);

	line[n > 0 ? n : 0] = '\0';
	return line;
}

/* Whether the text begins as a time of TZ=IST-5:30 does. */
static bool is_time(const char *text)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.ddd+05:30";

	for (size_t i = 0; i < TIME_BYTES; i++) {
		bool same =
			shape[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == shape[i];

		if (!same)
			return false;
	}
	return true;
}

static const struct log_name camera = { .kind = "camera", .name = "porch" };
static const struct log_name client = { &camera, "rtsp", "192.0.2.10", "DESCRIBE" };
static const struct log_name nameless = { &camera, "recorder", NULL, NULL };
static const struct log_name hostile = { .kind = "camera", .name = "a\n\"b\\" };

// clang-format off
static const struct {
	const struct log_name *who;
	const char *message, *text, *json;
} lines[] = {
	{ NULL, "started", "started", "\"message\":\"started\"}" },
	{ NULL, "", "", "\"message\":\"\"}" },
	{ &client, "401 Unauthorized",
	  "camera porch: rtsp 192.0.2.10: DESCRIBE: 401 Unauthorized",
	  "\"camera\":\"porch\",\"rtsp\":\"192.0.2.10\",\"doing\":\"DESCRIBE\","
	  "\"message\":\"401 Unauthorized\"}" },
	{ &nameless, "x", "camera porch: recorder: x",
	  "\"camera\":\"porch\",\"recorder\":\"\",\"message\":\"x\"}" },
	{ &hostile, "x", "camera a\\x0a\"b\\: x", "\"camera\":\"a\\u000a\\\"b\\\\\",\"message\":\"x\"}" },
	{ NULL, "two\r\nlines", "two\\x0d\\x0alines", "\"message\":\"two\\u000d\\u000alines\"}" },
	{ NULL, "\x1b[2J\x7f", "\\x1b[2J\\x7f", "\"message\":\"\\u001b[2J\\u007f\"}" },
	{ NULL, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xb7", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xb7",
	  "\"message\":\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xb7\"}" },
};
// clang-format on

static void test_a_line_names_who_and_what(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
		char *text = xasprintf(" warn %s\n", lines[i].text);
		char *json = xasprintf("\",\"level\":\"warn\",%s\n", lines[i].json);
		const char *got;

		log_begin(LOG_INFO, LOG_TEXT);
		log_warn(lines[i].who, "%s", lines[i].message);
		got = log_taken();
		assert_true(is_time(got));
		assert_string_equal(got + TIME_BYTES, text);
		log_setup(LOG_INFO, LOG_JSON);
		log_warn(lines[i].who, "%s", lines[i].message);
		got = log_taken();
		assert_memory_equal(got, "{\"time\":\"", 9);
		assert_true(is_time(got + 9));
		assert_string_equal(got + 9 + TIME_BYTES, json);
		assert_string_equal(log_taken(), "");
		log_end();
		free(text);
		free(json);
	}
}

static void test_the_journal_gets_priorities_and_no_time(void **state)
{
	(void)state;
	// NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread
	assert_int_equal(setenv("JOURNAL_STREAM", "8:1", 1), 0);
	log_begin(LOG_DEBUG, LOG_TEXT);
	log_error(&camera, "a");
	assert_string_equal(log_taken(), "<3>camera porch: a\n");
	log_warn(&camera, "b");
	assert_string_equal(log_taken(), "<4>camera porch: b\n");
	log_info(&camera, "c");
	assert_string_equal(log_taken(), "<6>camera porch: c\n");
	log_debug(&camera, "d");
	assert_string_equal(log_taken(), "<7>camera porch: d\n");
	log_end();
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0); // NOLINT(concurrency-mt-unsafe): as above
}

static void test_lower_levels_are_silent_and_not_counted(void **state)
{
	double before = metric_value(metric_get(METRIC_LOG_MESSAGES, "info"));
	double warned = metric_value(metric_get(METRIC_LOG_MESSAGES, "warn"));

	(void)state;
	log_begin(LOG_WARN, LOG_TEXT);
	log_info(NULL, "no");
	log_debug(NULL, "no");
	assert_string_equal(log_taken(), "");
	log_warn(NULL, "yes");
	assert_non_null(strstr(log_taken(), " warn yes\n"));
	log_end();
	assert_true(metric_value(metric_get(METRIC_LOG_MESSAGES, "info")) == before);
	assert_true(metric_value(metric_get(METRIC_LOG_MESSAGES, "warn")) == warned + 1);
}

/* A chain of names and a message, each far too long and made of `unit`. */
static void check_cut(const char *unit, enum log_format format, const char *end)
{
	char long_text[3 * LINE_BYTES] = "";
	struct log_name names[12];
	const char *got;
	size_t n;

	for (size_t at = 0; at + strlen(unit) < sizeof(long_text); at += strlen(unit))
		memcpy(long_text + at, unit, strlen(unit) + 1);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		names[i] = (struct log_name){ i ? &names[i - 1] : NULL, "camera", long_text,
			long_text };
	for (size_t depth = 0; depth <= ARRAY_LENGTH(names); depth++) {
		log_begin(LOG_INFO, format);
		log_info(depth ? &names[depth - 1] : NULL, "%s", long_text);
		got = log_taken();
		n = strlen(got);
		assert_true(n <= LINE_BYTES);
		assert_true(n > 1000);
		assert_string_equal(got + n - strlen(end), end);
		assert_string_equal(log_taken(), "");
		log_end();
	}
}

static void test_a_long_line_is_cut_and_stays_well_formed(void **state)
{
	(void)state;
	check_cut("a", LOG_TEXT, "a\xe2\x80\xa6\n");
	check_cut("\xe2\x82\xac", LOG_TEXT, "\xe2\x82\xac\xe2\x80\xa6\n");
	check_cut("\x01", LOG_TEXT, "\\x01\xe2\x80\xa6\n");
	check_cut("a", LOG_JSON, "a\xe2\x80\xa6\"}\n");
	check_cut("\"", LOG_JSON, "\\\"\xe2\x80\xa6\"}\n");
	check_cut("\x01", LOG_JSON, "\\u0001\xe2\x80\xa6\"}\n");
	check_cut("\xf0\x9f\x93\xb7", LOG_JSON, "\xf0\x9f\x93\xb7\xe2\x80\xa6\"}\n");
}

static void test_a_returning_message_is_counted(void **state)
{
	struct log_repeated again = { 0 };

	(void)state;
	log_begin(LOG_INFO, LOG_TEXT);
	for (int i = 0; i < 4; i++)
		log_write_repeated(&again, LOG_INFO, NULL, "disk %d", i);
	assert_non_null(strstr(log_taken(), " info disk 0\n"));
	assert_string_equal(log_taken(), "");
	again.next_us = 0; /* the minute is over */
	log_write_repeated(&again, LOG_INFO, NULL, "disk %d", 4);
	assert_non_null(strstr(log_taken(), " info disk 4 (and 3 times more"));
	again.next_us = 0;
	log_write_repeated(&again, LOG_INFO, NULL, "disk %d", 5);
	assert_non_null(strstr(log_taken(), " info disk 5\n"));
	log_end();
}

// clang-format off
static const struct {
	const char *bytes, *escaped;
} escapes[] = {
	{ "", "" },
	{ "plain text", "plain text" },
	{ "a\tb", "a\\x09b" },
	{ "\xff\xfe", "\\xff\\xfe" },
	{ "\xc3", "\\xc3" },                         /* cut short */
	{ "\xc3(", "\\xc3(" },                       /* no continuation */
	{ "\xc0\xaf", "\\xc0\\xaf" },                /* overlong '/' */
	{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },       /* the same in three bytes */
	{ "\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },       /* a surrogate */
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* past U+10FFFF */
	{ "\xc2\x9b", "\\xc2\\x9b" },                /* CSI, a control character */
	{ "\xc2\xa0", "\xc2\xa0" },
	{ "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf" },
};
// clang-format on

static void test_bytes_of_a_peer_are_escaped(void **state)
{
	char ret[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(escapes); i++) {
		log_escape(ret, sizeof(ret), escapes[i].bytes, strlen(escapes[i].bytes));
		assert_string_equal(ret, escapes[i].escaped);
	}
	log_escape(ret, sizeof(ret), "a\0b", 3);
	assert_string_equal(ret, "a\\x00b");
}

static void test_escaping_keeps_to_its_size(void **state)
{
	static const char bytes[] = "ab\xe2\x82\xac\x01\xff\xf0\x9f\x93\xb7z";
	static const char whole[] = "ab\xe2\x82\xac\\x01\\xff\xf0\x9f\x93\xb7z";

	(void)state;
	log_escape(NULL, 0, bytes, sizeof(bytes) - 1);
	for (size_t size = 1; size < sizeof(whole) + 16; size++) {
		char *ret = xmalloc(size); /* of the exact size, for the sanitizer */

		log_escape(ret, size, bytes, sizeof(bytes) - 1);
		assert_true(strlen(ret) < size);
		assert_memory_equal(ret, whole, strlen(ret));
		if (size > sizeof(whole) + 8)
			assert_string_equal(ret, whole);
		free(ret);
	}
}

static int setup(void **state)
{
	(void)state;
	// NOLINTBEGIN(concurrency-mt-unsafe): there is one thread
	(void)unsetenv("JOURNAL_STREAM");
	(void)setenv("TZ", "IST-5:30", 1);
	// NOLINTEND(concurrency-mt-unsafe)
	tzset();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	metrics_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_names_who_and_what),
		cmocka_unit_test(test_the_journal_gets_priorities_and_no_time),
		cmocka_unit_test(test_lower_levels_are_silent_and_not_counted),
		cmocka_unit_test(test_a_long_line_is_cut_and_stays_well_formed),
		cmocka_unit_test(test_a_returning_message_is_counted),
		cmocka_unit_test(test_bytes_of_a_peer_are_escaped),
		cmocka_unit_test(test_escaping_keeps_to_its_size),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
