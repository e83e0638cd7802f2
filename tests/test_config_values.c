/* The configuration: what durations, sizes, dates and names look like, and values that come from the environment or from files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/config_private.h"
#include "server/base/memory.h"
#include "tests/config_text.h"

#define SECOND INT64_C(1000000)

static void durations_have_units(void **state)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: refused */
	} cases[] = {
		{"0",            0                 },
		{ "0s",          0                 },
		{ "1ms",         1000              },
		{ "10s",         10 * SECOND       },
		{ "5m",          300 * SECOND      },
		{ "2h",          7200 * SECOND     },
		{ "1d",          86400 * SECOND    },
		{ "999999999s",  999999999 * SECOND},
		{ "999999999d",  -1                },
		{ "1000000000s", -1                },
		{ "",            -1                },
		{ "s",           -1                },
		{ "10",          -1                },
		{ "-1s",         -1                },
		{ "1 s",         -1                },
		{ "1.5s",        -1                },
		{ "1S",          -1                },
		{ "1sec",        -1                },
		{ " 1s",         -1                },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		int64_t us = -1;
		int result = config_parse_duration(cases[i].text, &us);

		assert_int_equal(result == 0, cases[i].us >= 0);
		if (us != cases[i].us)
			fail_msg("%s: %lld", cases[i].text, (long long)us);
	}
}

static void sizes_have_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes; /* 0: refused */
	} cases[] = {
		{"1KB",           1000                             },
		{ "20MB",         20000000                         },
		{ "500GB",        UINT64_C(500000000000)           },
		{ "2TB",          UINT64_C(2000000000000)          },
		{ "1KiB",         1024                             },
		{ "3MiB",         3 << 20                          },
		{ "4GiB",         UINT64_C(4) << 30                },
		{ "8388607TiB",   UINT64_C(8388607) << 40          },
		{ "8388608TiB",   0                                }, /* 2^63 */
		{ "9223372TB",    UINT64_C(9223372) * 1000000000000},
		{ "999999999TB",  0                                },
		{ "1000000000KB", 0                                },
		{ "0GB",          0				},
		{ "0",            0				},
		{ "",             0				},
		{ "GB",           0				},
		{ "500",          0				},
		{ "500G",         0				},
		{ "500gb",        0				},
		{ "1.5TB",        0				},
		{ "-1GB",         0				},
		{ "1 GB",         0				},
		{ "1GBx",         0				},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t bytes = 0;
		int result = config_parse_size(cases[i].text, &bytes);

		assert_int_equal(result == 0, cases[i].bytes != 0);
		if (bytes != cases[i].bytes)
			fail_msg("%s: %llu", cases[i].text, (unsigned long long)bytes);
	}
}

static void days_are_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* date -u -d TEXT +%s; -1: refused */
	} cases[] = {
		{"1970-01-01",            0         },
		{ "2000-02-29",           951782400 },
		{ "2027-01-31",           1801353600},
		{ "2027-02-29",           -1        },
		{ "2027-04-31",           -1        },
		{ "2027-13-01",           -1        },
		{ "2027-1-1",             -1        },
		{ "2027-01-31T00:00:00Z", -1        },
		{ "tomorrow",             -1        },
		{ "",                     -1        },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		int64_t us = -SECOND;

		assert_int_equal(
			config_parse_day(cases[i].text, &us), cases[i].seconds < 0 ? -EINVAL : 0);
		assert_true(cases[i].seconds < 0 || us == cases[i].seconds * SECOND);
	}
}

static void long_names_stand_in_their_limits(void **state)
{
	char name[65];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	assert_null(config_check_camera_name(name));
	name[63] = 'a';
	name[64] = '\0';
	assert_non_null(config_check_camera_name(name));
	assert_null(config_check_user_name(name));
}

/* --- from elsewhere --- */

static const char *password_of(const struct config *config, const char *name)
{
	const struct auth_user *user = auth_find(&config->users, name, strlen(name));

	return user ? user->password : "(no such user)";
}

static void write_file(const char *folder, const char *name, const void *text, size_t n)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *folder, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)unlink(path);
}

static void env_and_file_give_values(void **state)
{
	static const char text[] = "storage: {sync: !env NVRD_TEST_SYNC}\n"
				   "users:\n"
				   "  a: {password: !file one}\n"
				   "  b: {password: !file crlf}\n"
				   "  c: {password: !file two}\n"
				   "cameras: {x: {source: !env NVRD_TEST_SOURCE}}\n";
	char folder[] = "/tmp/nvrd-test-XXXXXX";
	char path[256];
	char *errors = NULL;

	(void)state;
	assert_non_null(mkdtemp(folder));
	write_file(folder, "one", "secret\n", 7);
	write_file(folder, "crlf", "secret\r\n", 8);
	write_file(folder, "two", "secret", 6);
	write_file(folder, "nvrd.yaml", text, strlen(text));
	assert_int_equal(setenv("NVRD_TEST_SYNC", "1s", 1), 0);
	assert_int_equal(setenv("NVRD_TEST_SOURCE", "rtsp://u:p@h/", 1), 0);
	(void)snprintf(path, sizeof(path), "%s/nvrd.yaml", folder);

	struct config *config = config_load(path, &errors);
	if (!config) {
		fail_msg("%s", errors);
		return;
	}
	assert_int_equal(config->storage.sync_us, SECOND);
	assert_string_equal(password_of(config, "a"), "secret");
	assert_string_equal(password_of(config, "b"), "secret");
	assert_string_equal(password_of(config, "c"), "secret");
	assert_string_equal(config_find_camera(config, "x")->source, "rtsp://u:p@h/");
	assert_false(config_has_secrets(config)); /* none stands in the file itself */
	config_free(config);
	remove_file(folder, "one");
	remove_file(folder, "crlf");
	remove_file(folder, "two");
	remove_file(folder, "nvrd.yaml");
	assert_int_equal(rmdir(folder), 0);
}

static void missing_env_and_file_are_named(void **state)
{
	char folder[] = "/tmp/nvrd-test-XXXXXX";
	char *big = xcalloc(1, CONFIG_VALUE_BYTES + 1);
	char text[512];
	char expected[1024];
	char *errors = NULL;

	(void)state;
	assert_non_null(mkdtemp(folder));
	memset(big, 'x', CONFIG_VALUE_BYTES + 1);
	write_file(folder, "big", big, CONFIG_VALUE_BYTES + 1);
	write_file(folder, "nul", "a\0b", 3);
	(void)snprintf(text, sizeof(text),
		"users:\n"
		"  a: {password: !env NVRD_TEST_UNSET}\n"
		"  b: {password: !file %s/gone}\n"
		"  c: {password: !file %s/big}\n"
		"  d: {password: !file %s/nul}\n"
		"  e: {password: !file %s}\n",
		folder, folder, folder, folder);
	(void)snprintf(expected, sizeof(expected),
		"f:2: users.a.password: the environment variable NVRD_TEST_UNSET is not set\n"
		"f:3: users.b.password: the file %s/gone cannot be read: No such file or directory\n"
		"f:4: users.c.password: the file %s/big is larger than 65536 bytes\n"
		"f:5: users.d.password: the file %s/nul holds a NUL\n"
		"f:6: users.e.password: the file %s is not a regular file\n",
		folder, folder, folder, folder);
	assert_null(config_parse("f", text, strlen(text), &errors));
	assert_string_equal(errors, expected);
	free(errors);
	free(big);
	remove_file(folder, "big");
	remove_file(folder, "nul");
	assert_int_equal(rmdir(folder), 0);
}

static void what_comes_from_elsewhere_is_not_shown(void **state)
{
	static const char text[] =
		"listen: {ftp_passive: !env NVRD_TEST_SECRET}\n"
		"storage: {segment: !env NVRD_TEST_SECRET, reserve: !env NVRD_TEST_SECRET}\n"
		"log: {level: !env NVRD_TEST_SECRET}\n"
		"tls: {certificate: !env NVRD_TEST_SECRET, key: k}\n"
		"http: {base_path: !env NVRD_TEST_SECRET}\n"
		"users: {a: {password: x, role: !env NVRD_TEST_SECRET}}\n"
		"cameras: {b: {source: !env NVRD_TEST_SECRET, schedule: !env NVRD_TEST_SECRET}}\n";
	char *errors = NULL;

	(void)state;
	assert_int_equal(setenv("NVRD_TEST_SECRET", "hunter2", 1), 0);
	assert_null(config_parse("f", text, strlen(text), &errors));
	assert_null(strstr(errors, "hunter2"));
	assert_non_null(strstr(errors, "f:3: log.level: expected error, warn, info or debug\n"));
	assert_non_null(strstr(errors, "f:4: tls: the certificate or its key cannot be used\n"));
	assert_non_null(strstr(errors, "f:5: http.base_path: must begin with /"));
	free(errors);
}

static void without_resolving_env_and_file_are_errors(void **state)
{
	static const char text[] = "users: {a: {password: !env HOME}}";
	char *errors = NULL;

	(void)state;
	assert_null(config_parse_text("f", text, strlen(text), false, &errors));
	assert_string_equal(errors, "f:1: users.a.password: !env is not allowed here\n");
	free(errors);
}

static void secrets_in_the_file_are_noticed(void **state)
{
	static const struct {
		const char *text;
		bool expected;
	} cases[] = {
		{"cameras: {a: {source: 'test:'}}",                       false},
		{ "cameras: {a: {source: 'rtsp://h/x'}}",                 false},
		{ "cameras: {a: {source: 'rtsp://u:p@h/x'}}",             true },
		{ "cameras: {a: {source: 'RTSP://u:p@h/x'}}",             true },
		{ "cameras: {a: {source: 'rtsp://h/user=a&Password=b'}}", true },
		{ "users: {a: {password: x}}",                            true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct config *config = parse(cases[i].text);

		assert_int_equal(config_has_secrets(config), cases[i].expected);
		config_free(config);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(sizes_have_units),
		cmocka_unit_test(days_are_dates),
		cmocka_unit_test(long_names_stand_in_their_limits),
		cmocka_unit_test(env_and_file_give_values),
		cmocka_unit_test(missing_env_and_file_are_named),
		cmocka_unit_test(what_comes_from_elsewhere_is_not_shown),
		cmocka_unit_test(without_resolving_env_and_file_are_errors),
		cmocka_unit_test(secrets_in_the_file_are_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
