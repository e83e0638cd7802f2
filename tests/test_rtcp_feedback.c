/* RTCP feedback by the layouts of RFC 4585 section 6 and RFC 5104 section 4.3.1. */
#include "protocols/rtcp_feedback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* An RR, then a generic NACK of 258 and 260, and of 1000. */
static const uint8_t nack[] = { 0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0,
	9, 1, 2, 0, 2, 0x03, 0xe8, 0, 0 };

static void test_a_nack(void **state)
{
	struct rtcp_feedback f;
	const char *why;
	uint16_t behind;

	(void)state;
	assert_int_equal(rtcp_feedback_parse(&f, nack, sizeof(nack), &why), 0);
	assert_false(f.wants_keyframe);
	assert_int_equal(f.nacks_about, 9);
	assert_int_equal(f.n_nacks, 2);
	assert_int_equal(rtcp_feedback_nack(&f, 0, &behind), 258);
	assert_int_equal(behind, 2);
	assert_int_equal(rtcp_feedback_nack(&f, 1, &behind), 1000);
	assert_int_equal(behind, 0);
}

static void test_a_keyframe_is_asked_for(void **state)
{
	static const uint8_t pli[] = { 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9 };
	static const uint8_t fir[] = { 0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 7, 0, 0,
		0 };
	static const uint8_t remb[] = { 0x8f, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9 };
	struct rtcp_feedback f;
	const char *why;

	(void)state;
	assert_int_equal(rtcp_feedback_parse(&f, pli, sizeof(pli), &why), 0);
	assert_true(f.wants_keyframe);
	assert_int_equal(rtcp_feedback_parse(&f, fir, sizeof(fir), &why), 0);
	assert_true(f.wants_keyframe);
	assert_int_equal(rtcp_feedback_parse(&f, remb, sizeof(remb), &why), 0);
	assert_false(f.wants_keyframe || f.nacks);
}

static void test_every_cut(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(nack); n++) {
		uint8_t *exact = malloc(n ? n : 1);
		struct rtcp_feedback f;
		const char *why = NULL;

		memcpy(exact, nack, n);
		if (n == 8) /* a whole packet */
			assert_int_equal(rtcp_feedback_parse(&f, exact, n, &why), 0);
		else
			assert_true(rtcp_feedback_parse(&f, exact, n, &why) < 0 && why);
		free(exact);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_nack),
		cmocka_unit_test(test_a_keyframe_is_asked_for),
		cmocka_unit_test(test_every_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
