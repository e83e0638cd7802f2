/* JPEGs of libjpeg and libavcodec, whole, cut, in drips, without tables, and broken ones. */
#include "server/media/jpeg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/jpeg_pictures.h"

enum {
	BUFFER_BYTES = 8192
};

#define PICTURE(p) p, sizeof(p)

static const struct {
	const uint8_t *p;
	size_t n;
	uint16_t width, height;
	uint8_t components, luma;
} pictures[] = {
	{PICTURE(picture_q50_420),  32, 16, 3, 0x22},
	{ PICTURE(picture_q20_420), 32, 16, 3, 0x22},
	{ PICTURE(picture_q85_422), 32, 16, 3, 0x21},
	{ PICTURE(picture_restart), 32, 32, 3, 0x22},
	{ PICTURE(picture_grey),    16, 16, 1, 0x11},
};

/* Parses a copy of the exact size, so that a byte too far is seen. */
static int parse(struct jpeg *ret, const uint8_t *p, size_t n, const char **why)
{
	uint8_t *exact = malloc(n ? n : 1);
	int error;

	assert_non_null(exact);
	memcpy(exact, p, n);
	*why = NULL;
	error = jpeg_parse(ret, exact, n, why);
	free(exact);
	if (error)
		assert_non_null(*why);
	return error;
}

static void a_picture_is_described_and_measured(void **state)
{
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(pictures); i++) {
		struct jpeg jpeg = { 0 };

		assert_int_equal(parse(&jpeg, pictures[i].p, pictures[i].n, &why), 0);
		assert_int_equal(jpeg.width, pictures[i].width);
		assert_int_equal(jpeg.height, pictures[i].height);
		assert_int_equal(jpeg.components, pictures[i].components);
		assert_int_equal(jpeg.sampling[0], pictures[i].luma);
		assert_int_equal(jpeg.bytes, pictures[i].n);
		assert_true(jpeg.has_huffman);
		assert_false(jpeg.progressive);
		assert_int_equal(jpeg_write_bytes(&jpeg), pictures[i].n);
		assert_int_equal(pictures[i].p[jpeg.scan_at + 1], 0xda);
		assert_int_equal(jpeg.restarts, pictures[i].p == picture_restart);
		assert_int_equal(jpeg.restart_interval, pictures[i].p == picture_restart ? 2 : 0);
	}
}

static void test_h2_every_truncated_picture_is_found_out(void **state)
{
	struct jpeg jpeg = { .width = 7 };
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(pictures); i++) {
		for (size_t n = 0; n < pictures[i].n; n++)
			assert_int_equal(parse(&jpeg, pictures[i].p, n, &why), -EAGAIN);
	}
	assert_int_equal(jpeg.width, 7); /* untouched */
}

/* What was walked once is overwritten: it must not matter, so nothing is read twice. */
static void drips_give_the_same_and_are_read_once(void **state)
{
	uint8_t block[BUFFER_BYTES];
	struct jpeg whole = { 0 };
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(pictures); i++) {
		struct jpeg jpeg = { 0 };

		assert_int_equal(parse(&whole, pictures[i].p, pictures[i].n, &why), 0);
		memcpy(block, pictures[i].p, pictures[i].n);
		for (size_t n = 0; n < pictures[i].n; n++) {
			assert_int_equal(jpeg_resume(&jpeg, block, n, &why), -EAGAIN);
			memset(block, 0xd8, jpeg.at);
		}
		assert_int_equal(jpeg_resume(&jpeg, block, pictures[i].n, &why), 0);
		assert_memory_equal(&jpeg, &whole, sizeof(jpeg));
	}
}

static void test_h2_bytes_behind_the_end_are_cut(void **state)
{
	uint8_t block[BUFFER_BYTES], written[BUFFER_BYTES];
	size_t n = sizeof(picture_q50_420);
	struct jpeg jpeg;
	const char *why;

	(void)state;
	memset(block, 0xff, sizeof(block));
	memcpy(block, picture_q50_420, n);
	assert_int_equal(parse(&jpeg, block, n + 100, &why), 0);
	assert_int_equal(jpeg.bytes, n);
	assert_int_equal(jpeg_write(&jpeg, block, written, sizeof(written)), n);
	assert_memory_equal(written, picture_q50_420, n);
}

static void test_h2_missing_huffman_tables_are_inserted(void **state)
{
	uint8_t bare[BUFFER_BYTES], written[BUFFER_BYTES];
	struct jpeg jpeg, again;
	const char *why;

	(void)state;
	for (size_t i = 0; i < 4; i++) { /* the grey one needs less */
		size_t n = picture_without_huffman(bare, pictures[i].p, pictures[i].n);

		assert_int_equal(parse(&jpeg, bare, n, &why), 0);
		assert_false(jpeg.has_huffman);
		assert_int_equal(jpeg_write_bytes(&jpeg), n + JPEG_HUFFMAN_BYTES);
		assert_int_equal(jpeg_write(&jpeg, bare, written, n + JPEG_HUFFMAN_BYTES - 1), 0);
		assert_int_equal(jpeg_write(&jpeg, bare, written, n + JPEG_HUFFMAN_BYTES),
			n + JPEG_HUFFMAN_BYTES);
		assert_int_equal(parse(&again, written, n + JPEG_HUFFMAN_BYTES, &why), 0);
		assert_true(again.has_huffman);
		assert_true(picture_same(written, again.bytes, pictures[i].p, pictures[i].n));
		assert_int_equal(jpeg_write(&jpeg, bare, bare, sizeof(bare)), again.bytes);
		assert_memory_equal(bare, written, again.bytes); /* in place */
	}
}

/* libavcodec writes the four tables into one segment too. */
static void the_huffman_tables_are_those_of_libavcodec(void **state)
{
	uint8_t tables[JPEG_HUFFMAN_BYTES];
	bool found = false;

	(void)state;
	jpeg_write_huffman(tables);
	for (size_t at = 0; at + sizeof(tables) <= sizeof(picture_restart); at++)
		found |= picture_restart[at] == 0xff && picture_restart[at + 1] == 0xc4 &&
			 picture_restart[at + 3] == tables[3];
	assert_true(found);
	for (size_t at = 0; at + 4 < sizeof(picture_restart); at++) {
		const uint8_t *p = picture_restart + at;

		if (p[0] != 0xff || p[1] != 0xc4)
			continue;
		/* its order is DC, DC, AC, AC */
		assert_memory_equal(p + 4, tables + 4, 29);
		assert_memory_equal(p + 4 + 29, tables + 4 + 29 + 179, 29);
		assert_memory_equal(p + 4 + 58, tables + 4 + 29, 179);
		assert_memory_equal(p + 4 + 58 + 179, tables + 4 + 58 + 179, 179);
	}
}

static void test_h1_the_next_picture_is_found(void **state)
{
	static const struct {
		const char *rule, *bytes;
		size_t n, from, at;
	} cases[] = {
		{"at once",              "\xff\xd8\xff\xe0",            4,  0, 0},
		{ "behind a boundary",   "--x\r\n\r\n\xff\xd8\xff\xdb", 11, 0, 7},
		{ "not the one before",  "\xff\xd8\xff\xff\xd8\xff",    6,  1, 3},
		{ "no marker behind",    "\xff\xd8\x00\xff\xd8\xff",    6,  0, 3},
		{ "cut behind SOI",      "ab\xff\xd8",                  4,  0, 2},
		{ "cut in SOI",          "ab\xff",                      3,  0, 2},
		{ "filled",              "\xff\xff\xd8\xff",            4,  0, 1},
		{ "none",                "abc\xff\x00",                 5,  0, 5},
		{ "nothing",             "",                            0,  0, 0},
		{ "from behind the end", "\xff\xd8\xff",                3,  3, 3},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		size_t at = jpeg_find((const uint8_t *)cases[i].bytes, cases[i].n, cases[i].from);

		if (at != cases[i].at)
			fail_msg("%s: %zu, not %zu", cases[i].rule, at, cases[i].at);
	}
}

static void test_h2_a_truncated_picture_costs_only_itself(void **state)
{
	uint8_t block[BUFFER_BYTES];
	size_t n = sizeof(picture_q50_420), cut;
	const char *why;

	(void)state;
	for (cut = 3; cut < n; cut++) {
		struct jpeg first = { 0 }, second = { 0 };
		size_t at;

		memcpy(block, picture_q50_420, cut);
		memcpy(block + cut, picture_q50_420, n);
		if (jpeg_resume(&first, block, cut + n, &why) == 0) {
			/* a segment of the first swallowed the second's begin */
			assert_in_range(first.bytes, cut + 1, cut + n);
			continue;
		}
		at = jpeg_find(block, cut + n, first.at);
		if (cut > first.scan_at + 14 && first.scan_at) {
			assert_int_equal(at, cut);
			assert_int_equal(jpeg_resume(&second, block + at, n, &why), 0);
		}
		assert_in_range(at, 2, cut + n);
	}
}

#define HEAD "ffd8"
#define SOF "ffc0000b08 0010 0010 01 012200"
#define SOS "ffda0008 01 0100 003f00"

static size_t unhex(uint8_t *ret, const char *hex)
{
	size_t n = 0;

	for (; *hex; hex++) {
		char two[3] = { hex[0], hex[1], 0 };

		if (*hex == ' ')
			continue;
		ret[n++] = (uint8_t)strtoul(two, NULL, 16);
		hex++;
	}
	return n;
}

// clang-format off
static const struct {
	const char *rule, *hex;
	int result;
} syntax_cases[] = {
	{ "the least picture", HEAD SOF SOS "11 ffd9", 0 },
	{ "stuffed zeros and restart markers", HEAD SOF SOS "ff00 ffd0 12 ffd7 34 ffd9", 0 },
	{ "fill bytes before markers", HEAD "ffff" SOF "ffffff" SOS "12 ffffffd9", 0 },
	{ "odd bytes between segments", HEAD SOF "0000 aa" SOS "12 ffd9", 0 },
	{ "several scans", HEAD SOF SOS "12 ffc40003 00" SOS "34 ffd9", 0 },
	{ "a thumbnail in APP1", HEAD "ffe10008 ffd8ffd9 0000" SOF SOS "12 ffd9", 0 },
	{ "TEM", HEAD "ff01" SOF SOS "12 ffd9", 0 },
	{ "no JPEG", "474946383961", -EBADMSG },
	{ "one byte that is none", "47", -EBADMSG },
	{ "SOI without marker", "ffd800", -EBADMSG },
	{ "no frame header", HEAD SOS "12 ffd9", -EBADMSG },
	{ "no scan", HEAD SOF "ffd9", -EBADMSG },
	{ "two frame headers", HEAD SOF SOF SOS "12 ffd9", -EBADMSG },
	{ "the next picture in the scan", HEAD SOF SOS "12 ffd8", -EBADMSG },
	{ "the next picture in the headers", HEAD SOF "ffd8", -EBADMSG },
	{ "width 0", HEAD "ffc0000b08 0010 0000 01 012200" SOS "ffd9", -EBADMSG },
	{ "height 0", HEAD "ffc0000b08 0000 0010 01 012200" SOS "ffd9", -EBADMSG },
	{ "twelve bits", HEAD "ffc1000b0c 0010 0010 01 012200" SOS "ffd9", -EBADMSG },
	{ "no components", HEAD "ffc0000808 0010 0010 00" SOS "ffd9", -EBADMSG },
	{ "five components", HEAD "ffc0001708 0010 0010 05 012200 022200 032200 042200 052200" SOS "ffd9", -EBADMSG },
	{ "components beyond their segment", HEAD "ffc0000b08 0010 0010 03 012200" SOS "ffd9", -EBADMSG },
	{ "sampling factor 0", HEAD "ffc0000b08 0010 0010 01 012000" SOS "ffd9", -EBADMSG },
	{ "sampling factor 5", HEAD "ffc0000b08 0010 0010 01 015100" SOS "ffd9", -EBADMSG },
	{ "a frame header of no length", HEAD "ffc00002" SOS "ffd9", -EBADMSG },
	{ "a segment shorter than its length field", HEAD "ffe00001", -EBADMSG },
	{ "lossless", HEAD "ffc3000b08 0010 0010 01 012200", -EBADMSG },
	{ "arithmetic coding", HEAD "ffc9000b08 0010 0010 01 012200", -EBADMSG },
	{ "arithmetic conditioning", HEAD SOF "ffcc0004 0000", -EBADMSG },
	{ "DNL", HEAD SOF SOS "12 ffdc0004 0010 ffd9", -EBADMSG },
	{ "a restart interval of no length", HEAD "ffdd0002" SOF SOS "12 ffd9", -EBADMSG },
	{ "a reserved marker", HEAD SOF SOS "12 ff020004 0010 ffd9", -EBADMSG },
	{ "a segment beyond the end", HEAD "ffe0ffff 0000", -EAGAIN },
	{ "cut at a fill byte", HEAD SOF SOS "12 ffff", -EAGAIN },
};
// clang-format on

static void the_syntax_of_markers(void **state)
{
	uint8_t block[256];
	struct jpeg jpeg;
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(syntax_cases); i++) {
		size_t n = unhex(block, syntax_cases[i].hex);
		int result = parse(&jpeg, block, n, &why);

		if (result != syntax_cases[i].result)
			fail_msg("%s: %d, %s", syntax_cases[i].rule, result, why ? why : "-");
		if (result == 0)
			assert_int_equal(jpeg.bytes, n);
	}
}

static void a_progressive_picture_has_several_scans(void **state)
{
	uint8_t block[256];
	size_t n = unhex(block, HEAD "ffc2000b08 0010 0020 01 012200 ffc40003 00" SOS
				     "12 ffc40003 01" SOS "34 ffd9");
	struct jpeg jpeg;
	const char *why;

	(void)state;
	assert_int_equal(parse(&jpeg, block, n, &why), 0);
	assert_true(jpeg.progressive);
	assert_true(jpeg.has_huffman);
	assert_int_equal(jpeg.width, 32);
	assert_int_equal(jpeg.scan_at, 2 + 13 + 5);
	assert_int_equal(jpeg.bytes, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_picture_is_described_and_measured),
		cmocka_unit_test(test_h2_every_truncated_picture_is_found_out),
		cmocka_unit_test(drips_give_the_same_and_are_read_once),
		cmocka_unit_test(test_h2_bytes_behind_the_end_are_cut),
		cmocka_unit_test(test_h2_missing_huffman_tables_are_inserted),
		cmocka_unit_test(the_huffman_tables_are_those_of_libavcodec),
		cmocka_unit_test(test_h1_the_next_picture_is_found),
		cmocka_unit_test(test_h2_a_truncated_picture_costs_only_itself),
		cmocka_unit_test(the_syntax_of_markers),
		cmocka_unit_test(a_progressive_picture_has_several_scans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
