/* RTP headers (RFC 3550 section 5.1). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/rtp.h"

/* Version 2, marker, type 96, sequence 0x1234, timestamp 0x56789abc, SSRC 0xdef01234. */
#define HEADER(flags) flags, 0xe0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34

// clang-format off
static const struct {
	const char *rule;
	uint8_t bytes[64];
	size_t n;
	const char *payload, *why;
} cases[] = {
	{ "a plain header", { HEADER(0x80), 'a', 'b' }, 14, "ab", NULL },
	{ "an empty payload", { HEADER(0x80) }, 12, "", NULL },
	{ "two CSRCs are skipped", { HEADER(0x82), 1, 2, 3, 4, 5, 6, 7, 8, 'a' }, 21, "a", NULL },
	{ "an extension is skipped", { HEADER(0x90), 0xbe, 0xde, 0, 1, 9, 9, 9, 9, 'a', 'b' }, 22, "ab",
		NULL },
	{ "an empty extension", { HEADER(0x90), 0xbe, 0xde, 0, 0, 'a' }, 17, "a", NULL },
	{ "padding is cut off", { HEADER(0xa0), 'a', 0, 0, 3 }, 16, "a", NULL },
	{ "nothing but padding", { HEADER(0xa0), 0, 2 }, 14, "", NULL },
	{ "all at once", { HEADER(0xb1), 1, 2, 3, 4, 0, 0, 0, 1, 5, 6, 7, 8, 'a', 1 }, 26, "a",
		NULL },
	{ "version 1", { HEADER(0x40), 'a' }, 13, NULL, "the version is not 2" },
	{ "too many CSRCs", { HEADER(0x8f), 1, 2 }, 14, NULL, "too short" },
	{ "an extension beyond the end", { HEADER(0x90), 0, 0, 0, 2, 1, 2, 3, 4 }, 20, NULL,
		"too short" },
	{ "more padding than payload", { HEADER(0xa0), 'a', 3 }, 14, NULL,
		"padding is longer than the payload" },
	{ "padding of zero bytes", { HEADER(0xa0), 'a', 0 }, 14, NULL,
		"padding is longer than the payload" },
	{ "padding without a byte", { HEADER(0xa0) }, 12, NULL,
		"padding is longer than the payload" },
	{ "nothing", { 0 }, 0, NULL, "too short" },
};
// clang-format on

static void headers_are_read_as_the_standard_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct rtp_packet packet;
		const char *why = NULL;
		int result = rtp_parse(&packet, cases[i].bytes, cases[i].n, &why);

		if (!cases[i].payload) {
			assert_int_equal(result, -EBADMSG);
			assert_string_equal(why, cases[i].why);
			continue;
		}
		assert_int_equal(result, 0);
		assert_int_equal(packet.marker, 1);
		assert_int_equal(packet.payload_type, 96);
		assert_int_equal(packet.sequence, 0x1234);
		assert_int_equal(packet.timestamp, 0x56789abc);
		assert_int_equal(packet.ssrc, 0xdef01234);
		assert_int_equal(packet.payload_bytes, strlen(cases[i].payload));
		assert_memory_equal(packet.payload, cases[i].payload, packet.payload_bytes);
	}
}

static void no_cut_reads_beyond_the_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		for (size_t n = 0; n < cases[i].n; n++) {
			struct rtp_packet packet = { .sequence = 77 };
			const char *why = NULL;
			uint8_t *exact = malloc(n ? n : 1);

			assert_non_null(exact);
			memcpy(exact, cases[i].bytes, n);
			if (rtp_parse(&packet, exact, n, &why) < 0) {
				assert_non_null(why);
				assert_int_equal(packet.sequence, 77);
			} else if (packet.payload_bytes > 0) {
				assert_true(packet.payload + packet.payload_bytes <= exact + n);
			}
			free(exact);
		}
	}
}

static void what_is_written_is_read_again(void **state)
{
	struct rtp_packet packet = { .payload_type = 97,
		.marker = 1,
		.sequence = 65535,
		.timestamp = 0x80000001,
		.ssrc = 0xcafe0001 };
	struct rtp_packet again;
	uint8_t bytes[RTP_HEADER_BYTES];
	const char *why = NULL;

	(void)state;
	for (packet.marker = 0; packet.marker < 2; packet.marker++) {
		rtp_write_header(bytes, &packet);
		assert_int_equal(rtp_parse(&again, bytes, sizeof(bytes), &why), 0);
		assert_int_equal(again.payload_type, packet.payload_type);
		assert_int_equal(again.marker, packet.marker);
		assert_int_equal(again.sequence, packet.sequence);
		assert_int_equal(again.timestamp, packet.timestamp);
		assert_int_equal(again.ssrc, packet.ssrc);
		assert_int_equal(again.payload_bytes, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_read_as_the_standard_says),
		cmocka_unit_test(no_cut_reads_beyond_the_end),
		cmocka_unit_test(what_is_written_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
