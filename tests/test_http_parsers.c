/* The pure parts of the HTTP server: dates, ranges, conditions, chunks, hosts, targets, queries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/http_chunked.h"
#include "protocols/http_condition.h"
#include "protocols/http_cookie.h"
#include "protocols/http_date.h"
#include "protocols/http_host.h"
#include "protocols/http_range.h"
#include "server/base/attributes.h"

static struct message_text text(const char *s)
{
	return (struct message_text){ s, s ? strlen(s) : 0 };
}

/* --- dates: RFC 9110 section 5.6.7, and `date -u -d @N` --- */

static void test_the_three_forms_of_a_date_are_the_same_instant(void **state)
{
	static const char *const forms[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(forms); i++)
		assert_int_equal(http_date_parse(text(forms[i])), 784111777 * INT64_C(1000000));
}

/* RFC 3339 sections 5.6 and 5.8; the instants are what `date -u -d TEXT +%s` says. */
static void test_timestamps_are_read(void **state)
{
	static const struct {
		const char *timestamp;
		int64_t us; /* -1: none */
	} cases[] = {
		{"1970-01-01T00:00:00Z",            0               },
		{ "1985-04-12T23:20:50.52Z",        482196050520000 },
		{ "1996-12-19T16:39:57-08:00",      851042397000000 },
		{ "1990-12-31T23:59:60Z",           662688000000000 },
		{ "1937-01-01T12:00:27.87+00:20",   -1              },
		{ "2024-02-29T00:00:00.123456789Z", 1709164800123456},
		{ "2023-02-29T00:00:00Z",           -1              },
		{ "2026-00-20T12:00:00Z",           -1              },
		{ "2026-11-20T24:00:00Z",           -1              },
		{ "2026-11-20T12:00:00",            -1              },
		{ "2026-11-20T12:00:00.Z",          -1              },
		{ "2026-11-20T12:00:00+0100",       -1              },
		{ "2026-11-20T12:00:00+24:00",      -1              },
		{ "2026-11-20T12:00:00Zx",          -1              },
		{ "2026-11-20",                     -1              },
		{ "1970-01-01T00:00:00+00:01",      -1              },
		{ "",			       -1              },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		if (http_timestamp_parse(text(cases[i].timestamp)) != cases[i].us)
			fail_msg("%s", cases[i].timestamp);
	}
}

static void test_dates_are_written_and_read_back(void **state)
{
	static const struct {
		int64_t seconds;
		const char *written, *timestamp;
	} cases[] = {
		{0,             "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"},
		{ 784111777,    "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"},
		{ 951782400,    "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00Z"},
		{ 951868799,    "Tue, 29 Feb 2000 23:59:59 GMT", "2000-02-29T23:59:59Z"},
		{ 951868800,    "Wed, 01 Mar 2000 00:00:00 GMT", "2000-03-01T00:00:00Z"},
		{ 1798761599,   "Thu, 31 Dec 2026 23:59:59 GMT", "2026-12-31T23:59:59Z"},
		{ 4107542400,   "Mon, 01 Mar 2100 00:00:00 GMT", "2100-03-01T00:00:00Z"},
		{ 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59Z"},
	};
	char date[HTTP_DATE_BYTES], timestamp[HTTP_TIMESTAMP_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		int64_t us = cases[i].seconds * 1000000;
		assert_string_equal(http_date_write(date, us + 999999), cases[i].written);
		assert_string_equal(http_timestamp_write(timestamp, us), cases[i].timestamp);
		assert_int_equal(http_date_parse(text(cases[i].written)), us);
	}
	assert_string_equal(http_date_write(date, INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
	assert_string_equal(http_date_write(date, INT64_MIN), "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void test_what_is_no_date_is_refused(void **state)
{
	static const char *const wrong[] = { "", "0", "Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 31 Feb 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1969 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT", "Sux, 06 Nov 1994 08:49:37 GMT",
		"Sunda, 06-Nov-94 08:49:37 GMT", "Sun, 29 Feb 2100 00:00:00 GMT",
		"Sun, +6 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z" };
	const char *right = "Sun, 06 Nov 1994 08:49:37 GMT";

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		assert_int_equal(http_date_parse(text(wrong[i])), -1);
	assert_int_equal(http_date_parse(text(NULL)), -1);
	for (size_t n = 0; n < strlen(right); n++) {
		char *cut = malloc(n + 1);
		assert_non_null(cut);
		memcpy(cut, right, n);
		assert_int_equal(http_date_parse((struct message_text){ cut, n }), -1);
		free(cut);
	}
}

/* --- cookies: RFC 6265 sections 4.2.1 and 5.4 --- */

/* The values of SID in a request with these Cookie fields, each followed by a '|'. */
static void check_cookies(const char *one, const char *two, const char *values)
{
	struct message message = {
		.fields = {{ text("Cookie"), text(one) }, { text("Accept"), text("SID=no") },
			   { text("cookie"), text(two) }},
		.n_fields = 3,
	};
	struct http_cookies cookies = { .message = &message, .name = "SID" };
	struct message_text value;
	char found[64] = "";

	while (http_cookies_next(&cookies, &value))
		(void)snprintf(found + strlen(found), sizeof(found) - strlen(found), "%.*s|",
			(int)value.n, value.p);
	assert_string_equal(found, values);
}

static void test_cookies_are_found_by_name(void **state)
{
	(void)state;
	check_cookies("SID=31d4d96e407aad42", "", "31d4d96e407aad42|");
	check_cookies("SID=31d4d96e407aad42; lang=en-US", "", "31d4d96e407aad42|");
	check_cookies("lang=en-US; SID=31d4d96e407aad42", "SID=b;SID=c", "31d4d96e407aad42|b|c|");
	check_cookies("a=b", " ;; SID=a=b ;", "a=b|");
	check_cookies("SID=", "SID", "|");
	check_cookies("sid=a; SIDE=b; XSID=c; SID =d; =SID=e; \"SID=f\"", "", "");
}

/* --- ranges: RFC 9110 section 14.1.2 --- */

static void test_ranges(void **state)
{
	/* clang-format off */
	static const struct {
		const char *value;
		uint64_t size;
		enum http_range_kind kind;
		uint64_t first, bytes;
	} cases[] = {
		{ "bytes=0-499", 10000, HTTP_RANGE_PART, 0, 500 },
		{ "bytes=500-999", 10000, HTTP_RANGE_PART, 500, 500 },
		{ "bytes=-500", 10000, HTTP_RANGE_PART, 9500, 500 },
		{ "bytes=9500-", 10000, HTTP_RANGE_PART, 9500, 500 },
		{ "Bytes=0-0", 10000, HTTP_RANGE_PART, 0, 1 },
		{ "bytes=9999-20000", 10000, HTTP_RANGE_PART, 9999, 1 },
		{ "bytes=0-18446744073709551615", 10000, HTTP_RANGE_PART, 0, 10000},
		{ "bytes=0-99999999999999999999999", 10000, HTTP_RANGE_PART, 0, 10000},
		{ "bytes=-99999999999999999999999", 10000, HTTP_RANGE_PART, 0, 10000},
		{ "bytes=-20000", 10000, HTTP_RANGE_PART, 0, 10000},
		{ "bytes=10000-", 10000, HTTP_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=18446744073709551615-", UINT64_MAX, HTTP_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-0", 10000, HTTP_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=0-", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-5", 0, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=5-4", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=0-1,3-4", 10000, HTTP_RANGE_PART, 0, 5 },
		{ "bytes=,", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=0-1,a", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=0-1;3-4", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=0-1 3-4", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=-", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=a-b", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=1", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=+1-2", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ "items=0-5", 10000, HTTP_RANGE_WHOLE, 0, 0 },
		{ NULL, 10000, HTTP_RANGE_WHOLE, 0, 0 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct http_ranges ranges = { 0 };
		bool is_part = cases[i].kind == HTTP_RANGE_PART;
		assert_int_equal(http_range_parse(&ranges, text(cases[i].value), cases[i].size),
			cases[i].kind);
		assert_int_equal(is_part ? ranges.n : 0, is_part);
		assert_int_equal(is_part ? ranges.ranges[0].first : 0, cases[i].first);
		assert_int_equal(is_part ? ranges.ranges[0].bytes : 0, cases[i].bytes);
	}
}

/* As "first+bytes" each, of a resource of 10,000 bytes. */
static void test_several_ranges(void **state)
{
	/* clang-format off */
	static const struct {
		const char *value, *ranges;
	} cases[] = {
		/* RFC 9110 section 14.1.2 */
		{"bytes=0-0,-1",                        "0+1 9999+1 "          },
		{ "bytes= 0-999, 4500-5499, -1000",     "0+1000 4500+1000 9000+1000 "},
		{ "bytes=500-600,601-999",              "500+500 "             },
		{ "bytes=500-700,601-999",              "500+500 "             },
		/* in the order that they are asked for */
		{ "bytes=5000-5999 ,, 0-9,\t",          "5000+1000 0+10 "      },
		/* those that overlap or nearly touch are one, in the place of the first */
		{ "bytes=5000-5999,0-9,5500-6499,20-29", "5000+1500 0+30 "     },
		{ "bytes=0-9,90-99",                    "0+100 "               },
		{ "bytes=0-9,91-99",                    "0+10 91+9 "           },
		{ "bytes=0-9,200-209,1000-1009,0-999",  "0+1010 "              },
		{ "bytes=0-,0-,0-,0-",                  "0+10000 "             },
		/* what is not there is left out */
		{ "bytes=20000-,0-9,-0",                "0+10 "                },
		{ "bytes=20000-,10000-10001",           "none "                },
		/* at most 16 */
		{ "bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-", "0+10000 " },
		{ "bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-", "whole " },
		{ "bytes=0-0,200-200,400-400,600-600,800-800,1000-1000,1200-1200,1400-1400,1600-1600,1800-1800,"
		  "2000-2000,2200-2200,2400-2400,2600-2600,2800-2800,3000-3000",
		 "0+1 200+1 400+1 600+1 800+1 1000+1 1200+1 1400+1 1600+1 1800+1 2000+1 2200+1 2400+1 2600+1 2800+1 3000+1 " },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct http_ranges ranges;
		enum http_range_kind kind = http_range_parse(&ranges, text(cases[i].value), 10000);
		char found[256] = "";

		for (size_t j = 0; kind == HTTP_RANGE_PART && j < ranges.n; j++)
			(void)snprintf(found + strlen(found), sizeof(found) - strlen(found),
				"%d+%d ", (int)ranges.ranges[j].first, (int)ranges.ranges[j].bytes);
		if (kind != HTTP_RANGE_PART)
			(void)snprintf(found, sizeof(found), "%s ",
				kind == HTTP_RANGE_WHOLE ? "whole" : "none");
		if (strcmp(found, cases[i].ranges) != 0)
			fail_msg("%s: %s", cases[i].value, found);
	}
}

/* --- conditions: RFC 9110 section 13 --- */

#define OLD "Sun, 06 Nov 1994 08:49:36 GMT"
#define EXACT "Sun, 06 Nov 1994 08:49:37 GMT"
#define NEW "Sun, 06 Nov 1994 08:49:38 GMT"

static void test_conditions(void **state)
{
	/* clang-format off */
	static const struct {
		const char *match, *none_match, *modified, *unmodified;
		enum http_condition expected;
	} cases[] = {
		{NULL, NULL, NULL, NULL, HTTP_CONDITION_PROCEED },
		{ "\"a\"", NULL, NULL, NULL, HTTP_CONDITION_PROCEED },
		{ "\"x\", \"a\"", NULL, NULL, NULL, HTTP_CONDITION_PROCEED },
		{ "*", NULL, NULL, NULL, HTTP_CONDITION_PROCEED },
		{ "\"x\"", NULL, NULL, NULL, HTTP_CONDITION_FAILED },
		{ "W/\"a\"", NULL, NULL, NULL, HTTP_CONDITION_FAILED },
		{ "\"a\"", NULL, NULL, OLD, HTTP_CONDITION_PROCEED },
		/* the date does not count */
		{ NULL, NULL, NULL, OLD, HTTP_CONDITION_FAILED },
		{ NULL, NULL, NULL, EXACT, HTTP_CONDITION_PROCEED },
		{ NULL, NULL, NULL, "nonsense", HTTP_CONDITION_PROCEED },
		{ NULL, "\"a\"", NULL, NULL, HTTP_CONDITION_NOT_MODIFIED},
		{ NULL, "W/\"a\"", NULL, NULL, HTTP_CONDITION_NOT_MODIFIED},
		{ NULL, "\"b\",\"a\"", NULL, NULL, HTTP_CONDITION_NOT_MODIFIED},
		{ NULL, "*", NULL, NULL, HTTP_CONDITION_NOT_MODIFIED},
		{ NULL, "\"b\"", NULL, NULL, HTTP_CONDITION_PROCEED },
		{ NULL, "\"a", NULL, NULL, HTTP_CONDITION_PROCEED },
		{ NULL, "\"b\"", NEW, NULL, HTTP_CONDITION_PROCEED },
		/* the date does not count */
		{ NULL, NULL, EXACT, NULL, HTTP_CONDITION_NOT_MODIFIED},
		{ NULL, NULL, NEW, NULL, HTTP_CONDITION_NOT_MODIFIED},
		{ NULL, NULL, OLD, NULL, HTTP_CONDITION_PROCEED },
		{ NULL, NULL, "nonsense", NULL, HTTP_CONDITION_PROCEED },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct http_conditions c = {
			text(cases[i].match), text(cases[i].none_match), text(cases[i].modified),
			text(cases[i].unmodified), {NULL, 0}
		};
		assert_int_equal(
			http_condition_judge(&c, "\"a\"", 784111777500000), cases[i].expected);
	}
}

static void test_if_range_needs_the_very_same_content(void **state)
{
	static const struct {
		const char *value;
		bool counts;
	} cases[] = {
		{NULL,       true },
                { "\"a\"",   true },
                { "\"b\"",   false},
                { "W/\"a\"", false},
		{ EXACT,     true },
                { OLD,       false},
                { NEW,       false},
                { "x",       false},
                { "",        false}
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct http_conditions c = { .if_range = text(cases[i].value) };
		assert_int_equal(
			http_condition_range_counts(&c, "\"a\"", 784111777500000), cases[i].counts);
	}
}

/* --- chunks --- */

/* Feeds pieces of `step` bytes; the body in ret. Returns 1 when it ended, 0 for more, -1: wrong. */
static int unchunk(const char *p, size_t n, size_t step, char *ret)
{
	struct http_chunked c = { .state = HTTP_CHUNKED_SIZE };
	const char *why = NULL;

	*ret = '\0';
	while (n && c.state != HTTP_CHUNKED_DONE) {
		struct message_text data;
		ssize_t used = http_chunked_parse(&c, p, step < n ? step : n, &data, &why);
		if (used < 0) {
			assert_non_null(why);
			return -1;
		}
		assert_true(used > 0 && (size_t)used <= n);
		strncat(ret, data.p ? data.p : "", data.n);
		p += used;
		n -= (size_t)used;
	}
	return c.state == HTTP_CHUNKED_DONE;
}

static void test_chunks(void **state)
{
	/* clang-format off */
	static const struct {
		const char *p;
		int result;
		const char *body;
	} cases[] = {
		{ "0\r\n\r\n", 1, "" },
		{ "4\r\nWiki\r\n7\r\npedia i\r\nB\r\nn \r\nchunks.\r\n0\r\n\r\n", 1,
			"Wikipedia in \r\nchunks." },
		{ "00000004;name=\"v\"\r\nWiki\r\n0 ;x\r\nExpires: never\r\nA: b\r\n\r\n", 1, "Wiki" },
		{ "4\nWiki\n0\n\n", -1, "" },
		{ "4\r\nWikiX\r\n", -1, "Wiki"},
		{ "4\r\nWiki\rX", -1, "Wiki"},
		{ "g\r\n", -1, "" },
		{ "-1\r\n", -1, "" },
		{ "0x4\r\nWiki", -1, "" },
		{ "\r\n", -1, "" },
		{ ";a\r\n", -1, "" },
		{ "100000000\r\n", -1, "" },
		{ "000000000\r\n\r\n", -1, "" },
		{ "4;a\nb\r\nWiki", -1, "" },
		{ "0\r\nA: \x01\r\n\r\n", -1, "" },
		{ "0\r\n\r", 0, "" },
		{ "4\r\nWik", 0, "Wik" },
	};
	/* clang-format on */
	char body[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		for (size_t step = 1; step < 40; step++) {
			assert_int_equal(unchunk(cases[i].p, strlen(cases[i].p), step, body),
				cases[i].result);
			assert_string_equal(body, cases[i].body);
		}
	}
}

static void test_a_chunks_lines_have_limits(void **state)
{
	char line[HTTP_TRAILER_BYTES + 64], body[16];

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "4;", 2);
	assert_int_equal(unchunk(line, HTTP_CHUNK_LINE_BYTES, 1000, body), 0);
	assert_int_equal(unchunk(line, sizeof(line), 1000, body), -1);
	memcpy(line, "0\r\n", 3);
	assert_int_equal(unchunk(line, HTTP_TRAILER_BYTES, 1000, body), 0);
	assert_int_equal(unchunk(line, sizeof(line), 1000, body), -1);
}

/* --- hosts, targets, queries --- */

static void test_hosts(void **state)
{
	/* clang-format off */
	static const struct {
		const char *value, *host; /* host NULL: malformed */
		bool ours;
	} cases[] = {
		{ "localhost", "localhost", true },
		{ "LocalHost:8080", "LocalHost", true },
		{ "127.0.0.1:8080", "127.0.0.1", true },
		{ "127.255.0.9", "127.255.0.9", true },
		{ "[::1]:8080", "::1", true },
		{ "[::1]", "::1", true },
		{ "192.0.2.7:1", "192.0.2.7", true },
		/* the address listened on */
		{ "192.0.2.8", "192.0.2.8", false},
		{ "evil.example", "evil.example", false},
		{ "localhost.evil.example", "localhost.evil.example", false},
		{ "127.0.0.1.evil.example", "127.0.0.1.evil.example", false},
		{ "127.1", "127.1", false},
		{ "[::2]", "::2", false},
		{ "", NULL, false},
		{ ":80", NULL, false},
		{ "a:b", NULL, false},
		{ "a:123456", NULL, false},
		{ "[::1", NULL, false},
		{ "[::1]x", NULL, false},
		{ "a b", NULL, false},
		{ "user@localhost", NULL, false},
		{ "a/b", NULL, false},
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct message_text host;
		bool parsed = http_host_parse(text(cases[i].value), &host);
		assert_int_equal(parsed, cases[i].host != NULL);
		if (!parsed)
			continue;
		assert_int_equal(host.n, strlen(cases[i].host));
		assert_memory_equal(host.p, cases[i].host, host.n);
		assert_int_equal(http_host_is_ours(host, "192.0.2.7:8080"), cases[i].ours);
	}
	assert_false(http_host_parse(text(NULL), &(struct message_text){ NULL, 0 }));
}

static void assert_text(struct message_text got, const char *expected)
{
	if (!expected) {
		assert_null(got.p);
		return;
	}
	assert_non_null(got.p);
	assert_int_equal(got.n, strlen(expected));
	assert_memory_equal(got.p, expected, got.n);
}

static void test_ports(void **state)
{
	static const char *const cases[][2] = {
		{"nvr:8080",        "8080" },
		{ "[::1]:8443",     "8443" },
		{ "192.0.2.7:1",    "1"    },
		{ "nvr:65535",      "65535"},
		{ "nvr",            NULL   },
		{ "[::1]",          NULL   },
		{ "nvr:",           NULL   },
		{ "nvr:80",         NULL   },
		{ "[::1]:443",      NULL   },
		{ "[2001:db8::80]", NULL   },
		{ "",               NULL   },
		{ "a:b",            NULL   },
		{ "a:123456",       NULL   },
		{ ":8080",          NULL   },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		assert_text(http_host_port(text(cases[i][0])), cases[i][1]);
	assert_null(http_host_port(text(NULL)).p);
}

static void test_targets(void **state)
{
	static const struct {
		const char *target, *authority, *path, *query; /* path NULL: malformed */
	} cases[] = {
		{"/",                NULL,   "/",  NULL   },
		{ "/a?b=c?d",        NULL,   "/a", "b=c?d"},
		{ "/a?",             NULL,   "/a", ""     },
		{ "*",               NULL,   "*",  NULL   },
		{ "http://h:80/a?b", "h:80", "/a", "b"    },
		{ "HTTPS://h",       "h",    "/",  NULL   },
		{ "http://h?q",      "h",    "/",  "q"    },
		{ "http:///a",       "",     "/a", NULL   },
		{ "ftp://h/",        NULL,   NULL, NULL   },
		{ "h:443",           NULL,   NULL, NULL   },
		{ "a",               NULL,   NULL, NULL   },
		{ "/a#b",            NULL,   NULL, NULL   },
		{ "http://h#b",      NULL,   NULL, NULL   },
		{ "",                NULL,   NULL, NULL   },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct http_target t;
		bool parsed = http_target_parse(&t, text(cases[i].target));
		assert_int_equal(parsed, cases[i].path != NULL);
		if (!parsed)
			continue;
		assert_text(t.authority, cases[i].authority);
		assert_text(t.path, cases[i].path);
		assert_text(t.query, cases[i].query);
	}
}

static void test_queries(void **state)
{
	static const struct {
		const char *query, *name, *value; /* value NULL: not found */
	} cases[] = {
		{"a=1&b=2",           "a", "1"         },
		{ "a=1&b=2",          "b", "2"         },
		{ "a=1&a=2",          "a", "1"         },
		{ "ab=1",             "a", NULL        },
		{ "a",                "a", ""          },
		{ "a=",               "a", ""          },
		{ "&&a=x=y&",         "a", "x=y"       },
		{ "a=two+w%6Frds%2b", "a", "two words+"},
		{ "a=%",              "a", NULL        },
		{ "a=%4",             "a", NULL        },
		{ "a=%zz",            "a", NULL        },
		{ "a=%00",            "a", NULL        },
		{ "a=1234567",        "a", "1234567"   },
		{ "a=12345678901",    "a", NULL        }, /* too long for the caller */
		{ "",                 "a", NULL        },
		{ NULL,               "a", NULL        },
	};
	char value[11];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		bool found =
			http_query_find(text(cases[i].query), cases[i].name, value, sizeof(value));
		assert_int_equal(found, cases[i].value != NULL);
		if (found)
			assert_string_equal(value, cases[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_three_forms_of_a_date_are_the_same_instant),
		cmocka_unit_test(test_timestamps_are_read),
		cmocka_unit_test(test_dates_are_written_and_read_back),
		cmocka_unit_test(test_what_is_no_date_is_refused),
		cmocka_unit_test(test_cookies_are_found_by_name),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_several_ranges),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_if_range_needs_the_very_same_content),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_a_chunks_lines_have_limits),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_queries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
