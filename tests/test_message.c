/* Heads of HTTP and RTSP messages: the standards' examples, cameras' odd ones, every cut. */
#include "protocols/message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/attributes.h"

/* RFC 2326 section 10.2, DESCRIBE and its answer. */
static const char describe[] =
	"DESCRIBE rtsp://server.example.com/fizzle/foo RTSP/1.0\r\n"
	"CSeq: 312\r\n"
	"Accept: application/sdp, application/rtsl, application/mheg\r\n\r\n";

static void assert_text(struct message_text t, const char *expected)
{
	char copy[256];

	assert_non_null(t.p);
	assert_string_equal(message_text_copy(copy, sizeof(copy), t), expected);
}

static void test_a_request_is_read(void **state)
{
	struct message m;
	const char *why;

	(void)state;
	assert_int_equal(
		message_parse(&m, describe, strlen(describe), 0, true, &why), strlen(describe));
	assert_true(m.is_request);
	assert_text(m.method, "DESCRIBE");
	assert_text(m.target, "rtsp://server.example.com/fizzle/foo");
	assert_text(m.protocol, "RTSP/1.0");
	assert_int_equal(m.n_fields, 2);
	assert_text(message_find(&m, "cseq"), "312");
	assert_true(message_text_has_token(message_find(&m, "Accept"), "Application/RTSL"));
	assert_false(message_text_has_token(message_find(&m, "Accept"), "application"));
	assert_null(message_find(&m, "Session").p);
	assert_false(message_text_has_token(message_find(&m, "Session"), "x"));
}

static void test_an_answer_is_read(void **state)
{
	static const char text[] =
		"RTSP/1.0 454 Session Not Found\r\nCSeq: 3\r\nContent-Length: 12\r\n\r\nbody";
	struct message m;
	const char *why;
	uint64_t length;

	(void)state;
	assert_int_equal(message_parse(&m, text, strlen(text), 0, true, &why), strlen(text) - 4);
	assert_false(m.is_request);
	assert_int_equal(m.status, 454);
	assert_text(m.reason, "Session Not Found");
	assert_int_equal(message_content_length(&m, &length), 0);
	assert_int_equal(length, 12);
}

/* Every cut asks for more, from an exact block so that a sanitizer sees one byte too far. */
static void test_every_cut_asks_for_more(void **state)
{
	struct message m;
	const char *why;

	(void)state;
	for (size_t n = 0; n < strlen(describe); n++) {
		char *exact = malloc(n ? n : 1);

		memcpy(exact, describe, n);
		assert_int_equal(message_parse(&m, exact, n, 0, true, &why), 0);
		free(exact);
	}
}

/* Byte by byte with `seen` the head is found at the same place. */
static void test_a_slow_drip_gives_the_same(void **state)
{
	struct message m;
	const char *why;

	(void)state;
	for (size_t n = 1; n < strlen(describe); n++)
		assert_int_equal(message_parse(&m, describe, n, n - 1, true, &why), 0);
	assert_int_equal(
		message_parse(&m, describe, strlen(describe), strlen(describe) - 1, true, &why),
		strlen(describe));
}

static const struct {
	const char *name, *text;
	bool strict_fails, loose_fails;
} oddities[] = {
	{"LF alone ends lines",                    "RTSP/1.0 200 OK\nCSeq: 1\n\n",                   false, false},
	{ "empty lines before are skipped",        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",      false,
         false												   },
	{ "no reason",			     "RTSP/1.0 200\r\n\r\n",                           false, false},
	{ "space before the colon",                "GET / HTTP/1.1\r\nHost : a\r\n\r\n",             true,  false},
	{ "a line without a colon",                "RTSP/1.0 200 OK\r\nnonsense\r\nCSeq: 1\r\n\r\n", true,  false},
	{ "folded line",			   "GET / HTTP/1.1\r\nA: b\r\n c: d\r\n\r\n",        true,  false},
	{ "bare CR in a value",                    "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",              true,  false},
	{ "two lengths that differ",
         "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",                         true,  false},
	{ "two lengths that agree",
         "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",                         false, false},
	{ "a length with a sign",                  "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",   true,  false},
	{ "two spaces in the request line",        "GET  / HTTP/1.1\r\n\r\n",                        true,  false},
	{ "no protocol",			   "GET /\r\n\r\n",                                  true,  true },
	{ "another protocol",                      "GET / ICAP/1.0\r\n\r\n",                         true,  true },
	{ "status of two digits",                  "RTSP/1.0 20 OK\r\n\r\n",                         true,  true },
	{ "a control character in the start line", "GET /\001 HTTP/1.1\r\n\r\n",                     true,  true },
};

static void test_oddities(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(oddities); i++) {
		const char *why = NULL, *text = oddities[i].text;
		struct message m;
		ssize_t strict = message_parse(&m, text, strlen(text), 0, true, &why);
		ssize_t loose = message_parse(&m, text, strlen(text), 0, false, &why);

		if ((strict < 0) != oddities[i].strict_fails ||
			(loose < 0) != oddities[i].loose_fails)
			fail_msg("%s: strict %zd, loose %zd", oddities[i].name, strict, loose);
		if (strict < 0)
			assert_non_null(why);
	}
}

static void test_limits_hold(void **state)
{
	size_t n = MESSAGE_HEAD_BYTES + 100, used;
	char *text = malloc(n + 1);
	const char *why = NULL;
	struct message m;

	(void)state;
	memset(text, 'a', n);
	memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
	assert_int_equal(message_parse(&m, text, n, 0, true, &why), -EMSGSIZE);
	assert_non_null(why);
	used = (size_t)sprintf(text, "GET / HTTP/1.1\r\n");
	for (int i = 0; i <= MESSAGE_FIELDS; i++)
		used += (size_t)sprintf(text + used, "A: b\r\n");
	used += (size_t)sprintf(text + used, "\r\n");
	assert_int_equal(message_parse(&m, text, used, 0, true, &why), -EMSGSIZE);
	free(text);
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max, value;
		bool right;
	} cases[] = {
		{"0",                     10,         0,          true },
		{ "10",                   10,         10,         true },
		{ "11",                   10,         0,          false},
		{ "",                     10,         0,          false},
		{ "1a",                   10,         0,          false},
		{ "-1",                   10,         0,          false},
		{ "007",                  10,         7,          true },
		{ "18446744073709551615", UINT64_MAX, UINT64_MAX, true },
		{ "18446744073709551616", UINT64_MAX, 0,          false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct message_text t = { cases[i].text, strlen(cases[i].text) };
		uint64_t value = 0;

		assert_int_equal(message_text_number(t, cases[i].max, &value), cases[i].right);
		if (cases[i].right)
			assert_true(value == cases[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request_is_read),
		cmocka_unit_test(test_an_answer_is_read),
		cmocka_unit_test(test_every_cut_asks_for_more),
		cmocka_unit_test(test_a_slow_drip_gives_the_same),
		cmocka_unit_test(test_oddities),
		cmocka_unit_test(test_limits_hold),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
