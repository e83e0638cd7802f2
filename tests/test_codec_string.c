/* RFC 6381 names from configuration records: what peers say, short and odd records. */
#include "server/media/codec_string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/attributes.h"

typedef char *string_of(char *ret, size_t size, const uint8_t *p, size_t n);

#define BYTES(text) text, sizeof(text) - 1

/* The strings are those of ffmpeg's HLS muxer and of ISO/IEC 14496-15 section E.3. */
// clang-format off
static const struct {
	const char *name;
	string_of *of;
	const char *bytes;
	size_t n;
	const char *expected;
	size_t least; /* fewer bytes give nothing */
} cases[] = {
	{ "H.264 high", codec_string_of_avcc, BYTES("\1\x64\0\x1f"), "avc1.64001f", 4 },
	{ "H.265 main", codec_string_of_hvcc, BYTES("\1\1\x60\0\0\0\xb0\0\0\0\0\0\x5d"),
		"hvc1.1.6.L93.B0", 13 },
	{ "H.265, a space, the high tier, all constraints", codec_string_of_hvcc,
		BYTES("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		"hvc1.C31.FFFFFFFF.H255.FF.FF.FF.FF.FF.FF", 13 },
	{ "H.265 without constraints", codec_string_of_hvcc, BYTES("\1\2\x20\0\0\0\0\0\0\0\0\0\x78"),
		"hvc1.2.4.L120", 13 },
	{ "AV1 main, level 3.0", codec_string_of_av1c, BYTES("\x81\4\x0c\0"), "av01.0.04M.08", 4 },
	{ "AV1 high, 10 bits, the high tier", codec_string_of_av1c, BYTES("\x81\x2d\xc0\0"),
		"av01.1.13H.10", 4 },
	{ "AV1 professional, 12 bits", codec_string_of_av1c, BYTES("\x81\x4c\x60\0"), "av01.2.12M.12",
		4 },
	{ "AV1, no marker", codec_string_of_av1c, BYTES("\1\4\x0c\0"), "", 0 },
	{ "AAC-LC", codec_string_of_aac, BYTES("\x12\x10"), "mp4a.40.2", 2 },
	{ "HE-AAC", codec_string_of_aac, BYTES("\x2b\x92\x08\0"), "mp4a.40.5", 3 },
	{ "AAC, type 0", codec_string_of_aac, BYTES("\0\0"), "", 0 },
};
// clang-format on

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		for (size_t n = 0; n <= cases[i].n; n++) {
			const char *expected = n < cases[i].least ? "" : cases[i].expected;
			uint8_t *exact = malloc(n ? n : 1);
			char text[CODEC_STRING_BYTES];

			memcpy(exact, cases[i].bytes, n);
			if (strcmp(cases[i].of(text, sizeof(text), exact, n), expected))
				fail_msg("%s, %zu bytes: %s", cases[i].name, n, text);
			free(exact);
		}
	}
}

static void test_room_that_is_too_small(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		for (size_t size = 1; size < CODEC_STRING_BYTES; size++) {
			char *exact = malloc(size);

			cases[i].of(exact, size, (const uint8_t *)cases[i].bytes, cases[i].n);
			assert_true(strlen(exact) < size);
			assert_memory_equal(exact, cases[i].expected, strlen(exact));
			free(exact);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_room_that_is_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
