/* STUN by the vectors of RFC 5769 section 2, and what ICE's checks are answered. */
#include "protocols/stun.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/attributes.h"

static const char password[] = "VOkJxbRl1RmTxUk/WvJxBt";

/* RFC 5769 section 2.1 */
static const uint8_t request[] = { 0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7,
	0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54,
	0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00,
	0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1,
	0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36,
	0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8,
	0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80,
	0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf };

/* section 2.2 */
static const uint8_t response4[] = { 0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7,
	0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74,
	0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08,
	0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43, 0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5,
	0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b,
	0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96 };

/* section 2.3 */
static const uint8_t response6[] = { 0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7,
	0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74,
	0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x14,
	0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4,
	0xb5, 0xbe, 0xd2, 0xb9, 0xd9, 0x00, 0x08, 0x00, 0x14, 0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6,
	0x7b, 0xf1, 0x17, 0x84, 0xc9, 0x7c, 0x82, 0x92, 0xc2, 0x75, 0xbf, 0xe3, 0xed, 0x41, 0x80,
	0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c };

static void test_the_sample_request(void **state)
{
	struct stun_message m;
	const char *why;

	(void)state;
	assert_true(stun_is(request, sizeof(request)));
	assert_int_equal(stun_parse(&m, request, sizeof(request), &why), 0);
	assert_int_equal(m.type, STUN_BINDING_REQUEST);
	assert_int_equal(m.username_bytes, 9);
	assert_memory_equal(m.username, "evtj:h6vY", 9);
	assert_int_equal(m.priority, 0x6e0001ff);
	assert_true(m.controlled && !m.controlling && !m.use_candidate && m.has_fingerprint);
	assert_int_equal(m.n_unknown, 0);
	assert_true(stun_check_integrity(&m, request, password));
	assert_false(stun_check_integrity(&m, request, "VOkJxbRl1RmTxUk/WvJxBu"));
}

static void test_the_sample_responses(void **state)
{
	struct sockaddr_storage address;
	const struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
	const struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
	struct stun_message m;
	struct in6_addr expected;
	const char *why;

	(void)state;
	assert_int_equal(stun_parse(&m, response4, sizeof(response4), &why), 0);
	assert_int_equal(m.type, STUN_BINDING_SUCCESS);
	assert_true(stun_check_integrity(&m, response4, password));
	assert_true(stun_mapped_address(&m, &address));
	assert_int_equal(ntohs(v4->sin_port), 32853);
	assert_int_equal(ntohl(v4->sin_addr.s_addr), 0xc0000201); /* 192.0.2.1 */

	assert_int_equal(stun_parse(&m, response6, sizeof(response6), &why), 0);
	assert_true(stun_check_integrity(&m, response6, password));
	assert_true(stun_mapped_address(&m, &address));
	assert_int_equal(ntohs(v6->sin6_port), 32853);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8:1234:5678:11:2233:4455:6677", &expected), 1);
	assert_memory_equal(&v6->sin6_addr, &expected, sizeof(expected));
}

/* What we write, without the vectors' SOFTWARE, is what they say, and reads back. */
static void test_answers_are_written(void **state)
{
	static const struct {
		const char *host;
		int family;
	} rows[] = {
		{"192.0.2.1",                             AF_INET },
                { "2001:db8:1234:5678:11:2233:4455:6677", AF_INET6},
		{ "::ffff:192.0.2.1",                     AF_INET6}
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(32853) };
		struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(32853) };
		bool is_v4 = rows[i].family == AF_INET;
		struct stun_answer answer = { .transaction = request + 8,
			.mapped = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6 };
		const uint8_t *expected = i == 1 ? response6 : response4;
		size_t mapped = 4 + (i == 1 ? 20 : 8);
		uint8_t bytes[STUN_ANSWER_BYTES];
		struct stun_message m;
		const char *why;
		size_t n;

		assert_int_equal(inet_pton(rows[i].family, rows[i].host,
					 is_v4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr),
			1);
		n = stun_seal(bytes, stun_write_answer(bytes, &answer), password);
		assert_int_equal(n, 20 + mapped + 24 + 8);
		assert_memory_equal(bytes + 20, expected + 36, mapped);
		assert_int_equal(stun_parse(&m, bytes, n, &why), 0);
		assert_int_equal(m.type, STUN_BINDING_SUCCESS);
		assert_true(m.has_fingerprint && stun_check_integrity(&m, bytes, password));
	}
}

static void test_errors_are_written(void **state)
{
	static const uint16_t unknown[STUN_UNKNOWN] = { 0x7fff, 1, 2, 3, 4, 5, 6, 7 };
	uint8_t bytes[STUN_ANSWER_BYTES];
	struct stun_message m;
	const char *why;

	(void)state;
	for (size_t i = 0; i <= STUN_UNKNOWN; i++) {
		struct stun_answer answer = {
			.transaction = request + 8, .error = 420, .unknown = unknown, .n_unknown = i
		};
		size_t n = stun_seal(bytes, stun_write_answer(bytes, &answer), password);

		assert_int_equal(stun_parse(&m, bytes, n, &why), 0);
		assert_int_equal(m.type, STUN_BINDING_ERROR);
		assert_int_equal(m.error, 420);
		assert_memory_equal(m.transaction, request + 8, STUN_TRANSACTION_BYTES);
		assert_true(stun_check_integrity(&m, bytes, password));
	}
}

/* One byte changed anywhere is seen by the fingerprint, the header's check or the integrity. */
static void test_every_changed_byte_is_seen(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(request); i++) {
		uint8_t bytes[sizeof(request)];
		struct stun_message m;
		const char *why = NULL;

		memcpy(bytes, request, sizeof(request));
		bytes[i] ^= 1;
		if (stun_parse(&m, bytes, sizeof(bytes), &why) < 0)
			assert_non_null(why);
		else
			assert_true(
				!m.has_fingerprint || !stun_check_integrity(&m, bytes, password));
	}
}

static void test_every_cut_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(request); n++) {
		uint8_t *exact = malloc(n ? n : 1);
		struct stun_message m;
		const char *why = NULL;

		memcpy(exact, request, n);
		assert_true(stun_parse(&m, exact, n, &why) < 0);
		assert_non_null(why);
		free(exact);
	}
}

/* RFC 8489 section 14.5: what follows MESSAGE-INTEGRITY counts for nothing, but FINGERPRINT. */
static void test_what_is_not_covered_does_not_count(void **state)
{
	static const uint8_t use_candidate[] = { 0x00, 0x25, 0x00, 0x00 };
	uint8_t bytes[STUN_ANSWER_BYTES];
	size_t n = sizeof(request) - 8; /* without the fingerprint */
	struct stun_message m;
	const char *why;

	(void)state;
	memcpy(bytes, request, n);
	memcpy(bytes + n, use_candidate, sizeof(use_candidate));
	n = stun_add_fingerprint(bytes, n + sizeof(use_candidate));
	assert_int_equal(stun_parse(&m, bytes, n, &why), 0);
	assert_false(m.use_candidate);
	assert_true(stun_check_integrity(&m, bytes, password));
}

static void test_unknown_attributes_are_told(void **state)
{
	static const uint8_t bytes[] = { 0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7,
		8, 9, 10, 11, 12, 0x7f, 0xff, 0, 1, 0xaa, 0, 0, 0, 0xff, 0xff, 0, 0 };
	struct stun_message m;
	const char *why;

	(void)state;
	assert_int_equal(stun_parse(&m, bytes, sizeof(bytes), &why), 0);
	assert_int_equal(m.n_unknown, 1); /* 0xffff may be overlooked */
	assert_int_equal(m.unknown[0], 0x7fff);
	assert_false(stun_check_integrity(&m, bytes, password));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_sample_request),
		cmocka_unit_test(test_the_sample_responses),
		cmocka_unit_test(test_answers_are_written),
		cmocka_unit_test(test_errors_are_written),
		cmocka_unit_test(test_every_changed_byte_is_seen),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_what_is_not_covered_does_not_count),
		cmocka_unit_test(test_unknown_attributes_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
