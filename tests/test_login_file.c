/* The list of sessions as a file has it. */
#include "server/base/login_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/memory.h"

#define ID "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SEAL "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0"
#define HEAD "nvrd-sessions-1 1795358613\n"

static const char two[] =
	HEAD ID " " SEAL " 1795350000 1795358613 anna\n" SEAL " " ID " 0 0 the guest!\n";

static struct login_file file;

/* In a block of the exact size, so that nobody reads beyond it. */
static int parse(const char *text, size_t n, const char **why)
{
	char *copy = xmalloc(n + !n);
	int error;

	memcpy(copy, text, n);
	*why = NULL;
	error = login_file_parse(&file, copy, n, why);
	free(copy);
	if (error) {
		assert_int_equal(error, -EBADMSG);
		assert_non_null(*why);
	}
	return error;
}

static void test_a_list(void **state)
{
	const char *why;

	(void)state;
	assert_int_equal(parse(two, strlen(two), &why), 0);
	assert_true(file.written_s == 1795358613 && file.n == 2);
	for (int i = 0; i < LOGIN_HASH_BYTES; i++) {
		assert_int_equal(file.sessions[0].id[i], i);
		assert_int_equal(file.sessions[0].seal[i], 255 - i);
		assert_int_equal(file.sessions[1].id[i], 255 - i);
	}
	assert_true(file.sessions[0].begun_s == 1795350000);
	assert_true(file.sessions[0].used_s == 1795358613);
	assert_string_equal(file.sessions[0].user, "anna");
	assert_true(file.sessions[1].begun_s == 0 && file.sessions[1].used_s == 0);
	assert_string_equal(file.sessions[1].user, "the guest!");
}

/* Wherever a line is not whole. */
static void test_every_cut(void **state)
{
	const char *why;

	(void)state;
	for (size_t n = 0; n < strlen(two); n++) {
		int error = parse(two, n, &why);

		assert_int_equal(error == 0, n > 0 && two[n - 1] == '\n');
	}
}

static void test_what_is_written_is_what_was_read(void **state)
{
	char *text = xmalloc(LOGIN_FILE_BYTES);
	const char *why;

	(void)state;
	assert_int_equal(parse(two, strlen(two), &why), 0);
	assert_int_equal(login_file_write(text, &file), strlen(two));
	assert_memory_equal(text, two, strlen(two));
	free(text);
}

static void test_the_longest_has_room(void **state)
{
	char *text = xmalloc(LOGIN_FILE_BYTES), *more;
	const char *why;
	size_t n;

	(void)state;
	file = (struct login_file){ .written_s = LOGIN_FILE_LATEST_S, .n = LOGIN_FILE_SESSIONS };
	for (size_t i = 0; i < LOGIN_FILE_SESSIONS; i++) {
		file.sessions[i].begun_s = file.sessions[i].used_s = LOGIN_FILE_LATEST_S;
		memset(file.sessions[i].user, 'u', LOGIN_FILE_USER_BYTES - 1);
	}
	n = login_file_write(text, &file);
	assert_true(n < LOGIN_FILE_BYTES);
	assert_int_equal(parse(text, n, &why), 0);
	assert_true(file.n == LOGIN_FILE_SESSIONS);
	more = xasprintf("%.*s" ID " " SEAL " 0 0 u\n", (int)n, text);
	assert_int_equal(parse(more, strlen(more), &why), -EBADMSG);
	assert_string_equal(why, "has too many sessions");
	free(more);
	free(text);
}

static void test_what_is_no_list(void **state)
{
#define LINE(id, seal, begun, used, user) HEAD id " " seal " " begun " " used " " user "\n"
#define LONG "0123456789012345678901234567890123456789012345678901234567890123"
	static const char *const wrong[] = {
		"", "\n", "nvrd-sessions-1\n", "nvrd-sessions-1 \n", "nvrd-sessions-2 1795358613\n",
		" " HEAD, "nvrd-sessions-1 01\n", "nvrd-sessions-1 -1\n", "nvrd-sessions-1 +1\n",
		"nvrd-sessions-1 1 \n", "nvrd-sessions-1 1\r\n", "nvrd-sessions-1 253402300800\n",
		"nvrd-sessions-1 9999999999999\n", HEAD "\n", HEAD " ",
		LINE("", SEAL, "0", "0", "a"), LINE(ID "0", SEAL, "0", "0", "a"),
		LINE("A" LONG, SEAL, "0", "0", "a"), LINE(ID, "g" LONG, "0", "0", "a"),
		LINE(ID, SEAL, "", "0", "a"), LINE(ID, SEAL, "0", "", "a"),
		LINE(ID, SEAL, "00", "0", "a"), LINE(ID, SEAL, "-1", "0", "a"),
		LINE(ID, SEAL, "0x0", "0", "a"), LINE(ID, SEAL, "0", "0", ""),
		LINE(ID, SEAL, "0", "0", LONG "4"), LINE(ID, SEAL, "0", "0", "a\tb"),
		LINE(ID, SEAL, "0", "0", "\303\251"), LINE(ID, SEAL, "0", "0", "a\r"),
		LINE(ID, SEAL, "2", "1", "a"),          /* used before it began */
		LINE(ID, SEAL, "0", "1795358614", "a"), /* after it was written */
	};
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		if (parse(wrong[i], strlen(wrong[i]), &why) == 0)
			fail_msg("\"%s\" is a list of sessions", wrong[i]);
	}
	assert_int_equal(parse(LINE(ID, SEAL, "0", "0", LONG), sizeof(HEAD) - 1 + 199, &why), 0);
	/* a NUL is no end */
	assert_int_equal(parse(HEAD "\0", sizeof(HEAD), &why), -EBADMSG);
	assert_int_equal(parse("nvrd-sessions-1 \0", 17, &why), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_list),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_what_is_written_is_what_was_read),
		cmocka_unit_test(test_the_longest_has_room),
		cmocka_unit_test(test_what_is_no_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
