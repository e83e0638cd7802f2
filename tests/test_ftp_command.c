/* FTP's lines, paths, arguments and listings. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/ftp_argument.h"
#include "protocols/ftp_command.h"
#include "protocols/ftp_format.h"
#include "protocols/ftp_path.h"
#include "server/base/memory.h"

/* --- lines --- */

static const struct {
	const char *line;
	size_t n; /* 0: strlen */
	enum ftp_verb verb;
	const char *argument;
	const char *why; /* NULL: it is fine */
} lines[] = {
	{"USER anna\r\n",                 0, FTP_USER,    "anna",                 NULL },
	{ "user anna\r\n",                0, FTP_USER,    "anna",                 NULL },
	{ "RETR a b  c \r\n",             0, FTP_RETR,    "a b  c ",              NULL },
	{ "STOR  x\r\n",                  0, FTP_STOR,    " x",                   NULL },
	{ "PASV\r\n",                     0, FTP_PASV,    "",                     NULL },
	{ "NOOP\n",		       0, FTP_NOOP,    "",                     NULL },
	{ "XPWD\r\n",                     0, FTP_PWD,     "",                     NULL },
	{ "XMKD a\r\n",                   0, FTP_MKD,     "a",                    NULL },
	{ "CWD \xc3\xa4\xe6\x97\xa5\r\n", 0, FTP_CWD,     "\xc3\xa4\xe6\x97\xa5", NULL },
	{ "\r\n",			 0, FTP_UNKNOWN, "",                     NULL },
	{ "NONE such\r\n",                0, FTP_UNKNOWN, "such",                 NULL },
	{ "STORAGEROOM x\r\n",            0, FTP_UNKNOWN, "x",                    NULL },
	{ "STO\r\n",		      0, FTP_UNKNOWN, "",                     NULL },
 /* Telnet: interrupt, data mark, options; 255 is written twice */
	{ "\xff\xf4\xff\xf2"
	  "ABOR\r\n",            0, FTP_ABOR,    "",                     NULL },
	{ "\xff\xfb\x01\xff\xfe\x03"
	  "NOOP\r\n",            0, FTP_NOOP,    "",                     NULL },
	{ "AB\xff\xf2"
	  "OR\xff\r\n",          0, FTP_ABOR,    "",                     NULL },
	{ "CWD \xff\xff\r\n",             0, FTP_UNKNOWN, "",                     "bad"},
	{ "CWD a\0b\r\n",                 9, FTP_UNKNOWN, "",                     "bad"},
	{ "CWD a\rb\r\n",                 0, FTP_UNKNOWN, "",                     "bad"},
	{ "CWD \x1b[2J\r\n",              0, FTP_UNKNOWN, "",                     "bad"},
	{ "CWD \xc3\r\n",                 0, FTP_UNKNOWN, "",                     "bad"},
	{ "CWD \xed\xa0\x80\r\n",         0, FTP_UNKNOWN, "",                     "bad"},
	{ "CWD \xc0\xaf\r\n",             0, FTP_UNKNOWN, "",                     "bad"},
	{ "GET / HTTP/1.1\r\n",           0, FTP_UNKNOWN, "/ HTTP/1.1",           NULL },
};

static void test_lines_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
		size_t n = lines[i].n ? lines[i].n : strlen(lines[i].line);
		struct ftp_command command;
		const char *why = "";

		assert_int_equal(ftp_command_parse(&command, lines[i].line, n, 0, &why), n);
		if (command.verb != lines[i].verb || strcmp(command.argument, lines[i].argument) ||
			!why != !lines[i].why)
			fail_msg("%zu: %s: %s \"%s\" (%s)", i, lines[i].line,
				ftp_verb_word(command.verb), command.argument, why ? why : "fine");
	}
}

/* What is sent in pieces is the same, and what comes behind a line stays. */
static void test_lines_come_in_pieces(void **state)
{
	static const char text[] = "STOR \xff\xf2"
				   "a\xc3\xa4 b\r\nQUIT\r\n";
	struct ftp_command command;
	const char *why;
	ssize_t used = 0;

	(void)state;
	for (size_t n = 0; used == 0; n++)
		used = ftp_command_parse(&command, text, n, n ? n - 1 : 0, &why);
	assert_int_equal(used, strchr(text, '\n') + 1 - text);
	assert_int_equal(command.verb, FTP_STOR);
	assert_string_equal(command.argument, "a\xc3\xa4 b");
	assert_int_equal(ftp_command_parse(&command, text + used, strlen(text + used), 0, &why), 6);
	assert_int_equal(command.verb, FTP_QUIT);
}

static void test_no_line_is_too_long(void **state)
{
	char text[FTP_LINE_BYTES + 2];
	struct ftp_command command;
	const char *why;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(ftp_command_parse(&command, text, FTP_LINE_BYTES - 1, 0, &why), 0);
	assert_int_equal(ftp_command_parse(&command, text, FTP_LINE_BYTES, 0, &why), -EMSGSIZE);
	text[FTP_LINE_BYTES] = '\n';
	assert_int_equal(ftp_command_parse(&command, text, sizeof(text), 0, &why), -EMSGSIZE);
	text[FTP_LINE_BYTES - 1] = '\n';
	text[1] = ' ';
	assert_int_equal(ftp_command_parse(&command, text, sizeof(text), 0, &why), FTP_LINE_BYTES);
	assert_int_equal(strlen(command.argument), FTP_LINE_BYTES - 3);
}

/* --- paths --- */

static void test_paths_stay_in_the_tree(void **state)
{
	static const struct {
		const char *home, *cwd, *argument, *path;
	} cases[] = {
		{"",                "/",              "",                     "/"                        },
		{ "",               "/",              "uploads",              "/uploads"                 },
		{ "",               "/uploads",       "porch/",               "/uploads/porch"           },
		{ "",               "/uploads",       "/recordings//porch/.", "/recordings/porch"        },
		{ "",               "/uploads/a",     "..",                   "/uploads"                 },
		{ "",               "/uploads/a",     "../../../../etc",      "/etc"                     },
		{ "",               "/uploads/a",     "./b/../c",             "/uploads/a/c"             },
		{ "",               "/",              "..",                   "/"                        },
		{ "",               "/",              "...",                  "/..."                     },
		{ "",               "/uploads",       "..a/.b",               "/uploads/..a/.b"          },
 /* what a camera dreams up is in its folder */
		{ "/uploads/porch", "/uploads/porch", "2026/a.jpg",           "/uploads/porch/2026/a.jpg"},
		{ "/uploads/porch", "/uploads/porch", "/ftp/cam1/a.jpg",
                 "/uploads/porch/ftp/cam1/a.jpg"							 },
		{ "/uploads/porch", "/",              "a.jpg",                "/uploads/porch/a.jpg"     },
		{ "/uploads/porch", "/",              "",                     "/"                        },
		{ "/uploads/porch", "/uploads/porch", "..",                   "/uploads"                 },
		{ "/uploads/porch", "/uploads/porch", "../garden",            "/uploads/garden"          },
		{ "/uploads/porch", "/uploads/porch", "../../x",              "/uploads/porch/x"         },
		{ "/uploads/porch", "/uploads/porch", "/uploadsx",            "/uploads/porch/uploadsx"  },
		{ "/uploads/porch", "/uploads/porch", "/recordings/porch",    "/recordings/porch"        },
	};
	char path[FTP_PATH_BYTES], long_name[FTP_PATH_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_int_equal(
			ftp_path_resolve(path, cases[i].home, cases[i].cwd, cases[i].argument), 0);
		assert_string_equal(path, cases[i].path);
	}
	memset(long_name, 'a', sizeof(long_name));
	long_name[FTP_PATH_BYTES - 2] = '\0';
	assert_int_equal(ftp_path_resolve(path, "", "/", long_name), 0);
	assert_int_equal(strlen(path), FTP_PATH_BYTES - 1);
	assert_int_equal(ftp_path_resolve(path, "", "/a", long_name), -ENAMETOOLONG);
	assert_int_equal(ftp_path_resolve(path, "/uploads/a", "/", long_name), -ENAMETOOLONG);
}

static void test_patterns(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool matches;
	} cases[] = {
		{"*",      "",        true },
		{ "*",     "abc",     true },
		{ "*.mp4", "a.mp4",   true },
		{ "*.mp4", ".mp4",    true },
		{ "*.mp4", "a.mp4x",  false},
		{ "a?c",   "abc",     true },
		{ "a?c",   "ac",      false},
		{ "a*b*c", "aXbYbZc", true },
		{ "a*b*c", "aXbYbZ",  false},
		{ "*a*",   "bbb",     false},
		{ "abc",   "abc",     true },
		{ "abc",   "abcd",    false},
		{ "",      "",        true },
		{ "",      "a",       false},
		{ "**?",   "a",       true },
	};
	char name[1001], pattern[401];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		if (ftp_path_matches(cases[i].pattern, cases[i].name) != cases[i].matches)
			fail_msg("%s %s", cases[i].pattern, cases[i].name);
	}
	/* what takes other implementations years */
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (size_t i = 0; i < sizeof(pattern) - 1; i += 2)
		memcpy(pattern + i, "*a", 2);
	memcpy(pattern + sizeof(pattern) - 3, "*b", 3);
	assert_false(ftp_path_matches(pattern, name));
	assert_true(ftp_path_is_pattern("/a/*.mp4"));
	assert_false(ftp_path_is_pattern("/*/a.mp4"));
}

/* --- arguments --- */

/* "192.0.2.1 1025", or the error's name. */
static const char *show(char ret[80], int error, const struct sockaddr_storage *address)
{
	char host[INET6_ADDRSTRLEN];
	bool v6 = address->ss_family == AF_INET6;
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

	if (error)
		return error == -EINVAL ? "EINVAL" : error == -EAFNOSUPPORT ? "EAFNOSUPPORT" : "?";
	inet_ntop(address->ss_family, v6 ? (const void *)&in6->sin6_addr : &in->sin_addr, host,
		sizeof(host));
	(void)snprintf(ret, 80, "%s %u", host, ntohs(v6 ? in6->sin6_port : in->sin_port));
	return ret;
}

static void test_addresses(void **state)
{
	static const struct {
		bool extended;
		const char *text, *shown;
	} cases[] = {
		{false,  "132,235,1,2,24,131",             "132.235.1.2 6275"          }, /* RFC 2428 */
		{ false, "127,0,0,1,4,1",                  "127.0.0.1 1025"            },
		{ false, "127,0,0,1,4,1,",                 "EINVAL"                    },
		{ false, "127,0,0,1,4",                    "EINVAL"                    },
		{ false, "127,0,0,256,4,1",                "EINVAL"                    },
		{ false, "127,0,0,1,4,256",                "EINVAL"                    },
		{ false, "127, 0,0,1,4,1",                 "EINVAL"                    },
		{ false, "127,0,0,00000001,4,1",           "EINVAL"                    },
		{ false, "-1,0,0,1,4,1",                   "EINVAL"                    },
		{ false, "",			       "EINVAL"                    },
		{ true,  "|1|132.235.1.2|6275|",           "132.235.1.2 6275"          },
		{ true,  "|2|1080::8:800:200C:417A|5282|", "1080::8:800:200c:417a 5282"},
		{ true,  "!1!127.0.0.1!80!",               "127.0.0.1 80"              },
		{ true,  "|3|x|80|",                       "EAFNOSUPPORT"              },
		{ true,  "|1|::1|80|",                     "EINVAL"                    },
		{ true,  "|2|127.0.0.1|80|",               "EINVAL"                    },
		{ true,  "|1|127.0.0.1|65536|",            "EINVAL"                    },
		{ true,  "|1|127.0.0.1|80",                "EINVAL"                    },
		{ true,  "|1|127.0.0.1|80|x",              "EINVAL"                    },
		{ true,  "|1|127.0.0.1",                   "EINVAL"                    },
		{ true,  "|",			      "EINVAL"                    },
		{ true,  "",			       "EINVAL"                    },
		{ true,  "|2|fe80::1%lo|80|",              "EINVAL"                    },
	};
	struct sockaddr_storage address;
	char text[80];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		int error = cases[i].extended ? ftp_argument_extended_port(&address, cases[i].text)
					      : ftp_argument_port(&address, cases[i].text);

		if (strcmp(show(text, error, &address), cases[i].shown) != 0)
			fail_msg("%s: %s", cases[i].text, show(text, error, &address));
	}
}

static void test_numbers_and_times(void **state)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: it is none */
		const char *rest;
	} times[] = {
		{"19700101000000",      0,                         ""    },
		{ "20261120143000 a b", INT64_C(1795185000000000), " a b"},
		{ "19980615100045.014", INT64_C(897904845014000),  ""    }, /* RFC 3659 */
		{ "20240229000000",     INT64_C(1709164800000000), ""    },
		{ "20161231235960",     INT64_C(1483228800000000), ""    }, /* a leap second */
		{ "20230229000000",     -1,                        NULL  },
		{ "20261320143000",     -1,                        NULL  },
		{ "20261120243000",     -1,                        NULL  },
		{ "2026112014300",      -1,                        NULL  },
		{ "202611201430000",    -1,                        NULL  },
		{ "20261120143000.",    -1,                        NULL  },
		{ "19691231235959",     -1,                        NULL  },
		{ "",                   -1,                        NULL  },
	};
	const char *rest;
	uint64_t number;
	int64_t us;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(times); i++) {
		int error = ftp_argument_time(&us, times[i].text, &rest);

		assert_int_equal(error, times[i].us < 0 ? -EINVAL : 0);
		if (error)
			continue;
		assert_int_equal(us, times[i].us);
		assert_string_equal(rest, times[i].rest);
	}
	assert_int_equal(ftp_argument_number(&number, "123456789012345678"), 0);
	assert_int_equal(number, UINT64_C(123456789012345678));
	assert_int_equal(ftp_argument_number(&number, "1234567890123456789"), -EINVAL);
	assert_int_equal(ftp_argument_number(&number, "-1"), -EINVAL);
	assert_int_equal(ftp_argument_number(&number, "1 "), -EINVAL);
	assert_int_equal(ftp_argument_number(&number, ""), -EINVAL);
}

/* --- listings --- */

#define NOVEMBER_US INT64_C(1795185000000000) /* 2026-11-20 14:30:00 */

static struct tree_entry entry_of(enum tree_kind kind, const char *path)
{
	struct tree_entry entry = {
		.kind = kind, .bytes = kind == TREE_FILE ? 12345 : 0, .modified_us = NOVEMBER_US
	};

	(void)snprintf(entry.path, sizeof(entry.path), "%s", path);
	return entry;
}

static void expect_text(struct evbuffer *out, const char *text)
{
	size_t n = evbuffer_get_length(out);

	assert_int_equal(evbuffer_add(out, "", 1), 0);
	assert_string_equal((char *)evbuffer_pullup(out, -1), text);
	evbuffer_drain(out, n + 1);
}

static void test_listings(void **state)
{
	static const struct ftp_rights all = { true, true, true }, none,
				       can_delete = { .delete = true };
	struct tree_entry file = entry_of(TREE_FILE, "/uploads/a b.mp4");
	struct tree_entry folder = entry_of(TREE_COLLECTION, "/uploads/porch");
	struct evbuffer *out = evbuffer_new();

	(void)state;
	file.name = strrchr(file.path, '/') + 1;
	folder.name = strrchr(folder.path, '/') + 1;
	ftp_format_list(out, &file, &all, NOVEMBER_US + 1);
	expect_text(out, "-rw-r--r--   1 nvrd     nvrd            12345 Nov 20 14:30 a b.mp4\r\n");
	ftp_format_list(out, &file, &none, NOVEMBER_US - 1);
	expect_text(out, "-r--r--r--   1 nvrd     nvrd            12345 Nov 20  2026 a b.mp4\r\n");
	folder.modified_us = 0;
	ftp_format_list(out, &folder, &all, NOVEMBER_US);
	expect_text(out, "drwxr-xr-x   1 nvrd     nvrd                0 Jan  1  1970 porch\r\n");
	ftp_format_facts(out, &folder, &none, FTP_FACTS_ALL & ~(1U << FTP_FACT_UNIQUE), "porch");
	expect_text(out, "type=dir;perm=el; porch\r\n");
	file.created_us = NOVEMBER_US - 1000000;
	ftp_format_facts(out, &file, &can_delete, FTP_FACTS_ALL, "a b.mp4");
	expect_text(out, "type=file;size=12345;modify=20261120143000;create=20261120142959;perm=dr;"
			 "unique=b2b663883d68c067; a b.mp4\r\n");
	ftp_format_facts(out, &file, &all, 1U << FTP_FACT_PERM, file.path);
	expect_text(out, "perm=adfrw; /uploads/a b.mp4\r\n");
	ftp_format_facts(out, &file, &all, 0, "x");
	expect_text(out, " x\r\n");
	assert_int_equal(ftp_facts_parse("Type;SIZE;nothing;perm"),
		1 << FTP_FACT_TYPE | 1 << FTP_FACT_SIZE | 1 << FTP_FACT_PERM);
	assert_int_equal(ftp_facts_parse(""), 0);
	evbuffer_free(out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_are_understood),
		cmocka_unit_test(test_lines_come_in_pieces),
		cmocka_unit_test(test_no_line_is_too_long),
		cmocka_unit_test(test_paths_stay_in_the_tree),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_numbers_and_times),
		cmocka_unit_test(test_listings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
