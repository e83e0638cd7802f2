/* RTCP reports by the layout of RFC 3550 section 6.4, and NTP times. Base64 too: RFC 4648 section 10. */
#include "protocols/rtcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/base64.h"

static const uint8_t compound[] = {
	0x81, 200, 0, 12, 0, 0, 0, 1, 0xe8, 0xb2, 0x34, 0x56, 0x80, 0, 0, 0, 0, 1, 0x5f, 0x90, 0, 0,
	0, 10, 0, 0, 4, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0,                                                           /* SR with one block */
	0x81, 202, 0, 3, 0, 0, 0, 1, 1, 4, 'n', 'v', 'r', 'd', 0, 0, /* SDES */
	0x80, 204, 0, 1, 0, 0, 0, 1,                                 /* APP: unknown to us */
	0x81, 203, 0, 1, 0, 0, 0, 1,                                 /* BYE */
};

static void test_a_compound_is_read(void **state)
{
	struct rtcp_compound c;
	const char *why;

	(void)state;
	assert_int_equal(rtcp_parse(&c, compound, sizeof(compound), &why), 0);
	assert_true(c.has_sender_report && c.has_receiver_report && c.has_bye);
	assert_int_equal(c.sender.ssrc, 1);
	assert_true(c.sender.ntp == 0xe8b2345680000000);
	assert_int_equal(c.sender.timestamp, 90000);
	assert_int_equal(c.sender.packets, 10);
	assert_int_equal(c.sender.octets, 1024);
}

/* What came whole before the cut counts. */
static void test_every_cut_keeps_what_was_whole(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(compound); n++) {
		uint8_t *exact = malloc(n ? n : 1);
		struct rtcp_compound c = { 0 };
		const char *why = NULL;

		memcpy(exact, compound, n);
		assert_int_equal(rtcp_parse(&c, exact, n, &why) == 0, n >= 28);
		assert_int_equal(c.has_sender_report, n >= 28);
		assert_int_equal(c.has_bye, n >= 80);
		if (n < 28)
			assert_non_null(why);
		free(exact);
	}
}

static void test_reports_are_written(void **state)
{
	struct rtcp_sender_report report = {
		.ssrc = 7, .ntp = 0x0102030405060708, .timestamp = 9, .packets = 10, .octets = 11
	};
	static const uint8_t expected[] = { 0x80, 200, 0, 6, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0,
		0, 0, 9, 0, 0, 0, 10, 0, 0, 0, 11, 0x81, 202, 0, 3, 0, 0, 0, 7, 1, 4, 'n', 'v', 'r',
		'd', 0, 0 };
	static const uint8_t expected_bye[] = { 0x80, 201, 0, 1, 0, 0, 0, 7, 0x81, 202, 0, 3, 0, 0,
		0, 7, 1, 4, 'n', 'v', 'r', 'd', 0, 0, 0x81, 203, 0, 1, 0, 0, 0, 7 };
	struct rtcp_reception reception = {
		.ssrc = 1, .about_ssrc = 2, .fraction_lost = 3, .cumulative_lost = 4
	};
	struct rtcp_compound c;
	uint8_t bytes[128];
	const char *why;
	size_t n;

	(void)state;
	assert_int_equal(
		rtcp_write_sender_report(bytes, sizeof(bytes), &report, "nvrd"), sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));
	assert_int_equal(rtcp_write_sender_report(bytes, 20, &report, "nvrd"), 0);
	n = rtcp_write_bye(bytes, sizeof(bytes), 7, "nvrd");
	assert_int_equal(n, sizeof(expected_bye));
	assert_memory_equal(bytes, expected_bye, n);
	assert_int_equal(rtcp_write_bye(bytes, 31, 7, "nvrd"), 0);
	n = rtcp_write_receiver_report(bytes, sizeof(bytes), &reception, "nvrd");
	assert_int_equal(n % 4, 0);
	assert_int_equal(rtcp_parse(&c, bytes, n, &why), 0);
	assert_true(c.has_receiver_report && !c.has_sender_report);
}

/* 1970 is 2208988800 seconds after 1900 (RFC 5905 figure 4). */
static void test_ntp_times(void **state)
{
	(void)state;
	assert_true(rtcp_ntp_of_us(0) == 2208988800ULL << 32);
	assert_true(rtcp_ntp_of_us(500000) == (2208988800ULL << 32 | 0x80000000));
	for (int64_t us = 1700000000000000; us < 1700000000000050; us++)
		assert_true(rtcp_us_of_ntp(rtcp_ntp_of_us(us)) == us);
}

static void test_base64(void **state)
{
	static const char *const cases[][2] = {
		{"",        ""        },
                { "f",      "Zg=="    },
                { "fo",     "Zm8="    },
                { "foo",    "Zm9v"    },
		{ "foob",   "Zm9vYg=="},
                { "fooba",  "Zm9vYmE="},
                { "foobar", "Zm9vYmFy"}
	};
	static const char *const wrong[] = { "Z", "Zg=x", "Z?==", "Zm9vY" };
	uint8_t bytes[16];
	char text[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		size_t n = strlen(cases[i][0]), unpadded = strcspn(cases[i][1], "=");

		assert_int_equal(base64_write(text, sizeof(text), (const uint8_t *)cases[i][0], n),
			strlen(cases[i][1]));
		assert_string_equal(text, cases[i][1]);
		assert_int_equal(base64_parse(bytes, sizeof(bytes), text, strlen(text)), n);
		assert_memory_equal(bytes, cases[i][0], n);
		assert_int_equal(base64_parse(bytes, sizeof(bytes), text, unpadded), n);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		assert_int_equal(
			base64_parse(bytes, sizeof(bytes), wrong[i], strlen(wrong[i])), -1);
	assert_int_equal(base64_parse(bytes, 2, "Zm9v", 4), -1);
	assert_int_equal(base64_write(text, 4, (const uint8_t *)"foo", 3), -1);
	assert_int_equal(base64_parse(bytes, sizeof(bytes), "Zm 9v\r\n", 7), 3);
}

/* As RTSP through HTTP has it: texts with their padding one behind the other, cut anywhere. */
static void test_a_stream_of_base64(void **state)
{
	static const char text[] = "Zg==Zm8=Zm 9v\r\nZm9vYmE";
	static const char meaning[] = "ffofoofooba";
	static const char *const wrong[] = { "Z?", "=", "Z=", "Zg=g", "Zg==Zm8=Z=", "Zm9v=" };
	uint8_t bytes[sizeof(text)];

	(void)state;
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		struct base64_stream stream = { 0 };
		ssize_t n = base64_stream_parse(&stream, bytes, text, cut);

		assert_true(n >= 0);
		ssize_t more =
			base64_stream_parse(&stream, bytes + n, text + cut, sizeof(text) - 1 - cut);
		assert_int_equal(n + more, sizeof(meaning) - 1);
		assert_memory_equal(bytes, meaning, sizeof(meaning) - 1);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		struct base64_stream stream = { 0 };

		assert_int_equal(
			base64_stream_parse(&stream, bytes, wrong[i], strlen(wrong[i])), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_compound_is_read),
		cmocka_unit_test(test_every_cut_keeps_what_was_whole),
		cmocka_unit_test(test_reports_are_written),
		cmocka_unit_test(test_ntp_times),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_a_stream_of_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
