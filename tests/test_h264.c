/* H.264 sets, avcC and Annex B. Vectors: x264 through ffmpeg's MP4 muxer; values: ffprobe. */
#include "server/media/h264.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/reader.h"
#include "server/media/bits.h"

/* clang-format off */
/* avcC records as ffmpeg wrote them */
static const uint8_t high_1080p[] = {
	0x01, 0x64, 0x00, 0x28, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x64, 0x00, 0x28,
	0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03,
	0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x60, 0xc6, 0x58, 0x01,
	0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
};
static const uint8_t baseline_360p[] = {
	0x01, 0x42, 0xc0, 0x16, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x42, 0xc0, 0x16,
	0xda, 0x02, 0x80, 0xbf, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04,
	0x00, 0x00, 0x03, 0x00, 0x7a, 0x3c, 0x58, 0xba, 0x80, 0x01, 0x00, 0x04,
	0x68, 0xce, 0x0f, 0xc8,
};
static const uint8_t main_pal_wide[] = {
	0x01, 0x4d, 0x40, 0x1e, 0xff, 0xe1, 0x00, 0x18, 0x67, 0x4d, 0x40, 0x1e,
	0xf2, 0x01, 0x68, 0x49, 0xb0, 0x41, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00,
	0x00, 0x03, 0x00, 0x32, 0x1f, 0x14, 0x29, 0x12, 0x01, 0x00, 0x05, 0x68,
	0xfb, 0xa3, 0xcb, 0x20,
};
static const uint8_t odd_aspect[] = {
	0x01, 0x64, 0x00, 0x0d, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x64, 0x00, 0x0d,
	0xac, 0xb2, 0x02, 0xc1, 0x2d, 0xff, 0x80, 0x2e, 0x80, 0x2a, 0x88, 0x00,
	0x00, 0x1f, 0x48, 0x00, 0x07, 0x53, 0x00, 0x78, 0xa1, 0x52, 0x40, 0x01,
	0x00, 0x06, 0x68, 0xeb, 0xc3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
};
static const uint8_t high10_720p[] = {
	0x01, 0x6e, 0x00, 0x20, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x6e, 0x00, 0x20,
	0xa6, 0xcd, 0x94, 0x05, 0x00, 0x5b, 0xb0, 0x11, 0x00, 0x00, 0x03, 0x00,
	0x01, 0x00, 0x00, 0x03, 0x00, 0x64, 0x0f, 0x18, 0x31, 0x96, 0x01, 0x00,
	0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xfa, 0xfa, 0x00,
};
static const uint8_t high422[] = {
	0x01, 0x7a, 0x00, 0x0c, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x7a, 0x00, 0x0c,
	0xbc, 0xb2, 0x02, 0xa1, 0x0f, 0x11, 0x1f, 0x80, 0x88, 0x00, 0x00, 0x03,
	0x00, 0x08, 0x00, 0x00, 0x03, 0x00, 0xa0, 0x78, 0xa1, 0x52, 0x40, 0x01,
	0x00, 0x06, 0x68, 0xeb, 0xc3, 0xcb, 0x22, 0xc0, 0xfe, 0xf8, 0xf8, 0x00,
};
static const uint8_t high444[] = {
	0x01, 0xf4, 0x00, 0x0c, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0xf4, 0x00, 0x0c,
	0x91, 0x96, 0x40, 0x54, 0x21, 0xe3, 0xe3, 0xf0, 0x11, 0x00, 0x00, 0x03,
	0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x14, 0x0f, 0x14, 0x2a, 0x48, 0x01,
	0x00, 0x06, 0x68, 0xeb, 0xc3, 0xc4, 0x48, 0x44, 0xff, 0xf8, 0xf8, 0x00,
};
static const uint8_t vbr_hrd[] = {
	0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x24, 0x67, 0x64, 0x00, 0x1f,
	0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00,
	0x10, 0x00, 0x00, 0x03, 0x03, 0x26, 0x04, 0x00, 0x0f, 0x42, 0x40, 0x01,
	0xe8, 0x4a, 0x4c, 0x30, 0x07, 0x8c, 0x18, 0xcb, 0x01, 0x00, 0x06, 0x68,
	0xeb, 0xec, 0xb3, 0x00, 0x2c, 0xfd, 0xf8, 0xf8, 0x00,
};

static const struct vector {
	const char *name;
	const uint8_t *avcc;
	size_t bytes;
	uint8_t profile, level;
	uint32_t width, height, aspect_width, aspect_height;
	unsigned reorder_frames;
	uint32_t frame_rate_num, frame_rate_den;
} vectors[] = {
	{ "high_1080p", high_1080p, sizeof(high_1080p), 100, 40, 1920, 1080, 1, 1, 2, 25, 1 },
	{ "baseline_360p", baseline_360p, sizeof(baseline_360p), 66, 22, 640, 360, 1, 1, 0, 15, 1 },
	{ "main_pal_wide", main_pal_wide, sizeof(main_pal_wide), 77, 30, 720, 576, 16, 11, 1, 25, 1 },
	{ "odd_aspect", odd_aspect, sizeof(odd_aspect), 100, 13, 352, 288, 93, 85, 0, 30000, 1001 },
	{ "high10_720p", high10_720p, sizeof(high10_720p), 110, 32, 1280, 720, 1, 1, 2, 50, 1 },
	{ "high422", high422, sizeof(high422), 122, 12, 322, 242, 1, 1, 0, 10, 1 },
	{ "high444", high444, sizeof(high444), 244, 12, 322, 242, 1, 1, 0, 10, 1 },
	{ "vbr_hrd", vbr_hrd, sizeof(vbr_hrd), 100, 31, 1280, 720, 1, 1, 2, 25, 1 },
};
/* clang-format on */

/* The sets of an avcC record, by a reader of its own; every record here is well formed. */
static struct h264_sets sets_of(const struct vector *v)
{
	struct reader r = reader_of(v->avcc, v->bytes);
	struct h264_sets sets = { 0 };

	reader_skip(&r, 5);
	for (int kind = 0; kind < 2; kind++) {
		unsigned count = reader_u8(&r) & 0x1f;

		for (unsigned i = 0; i < count; i++) {
			size_t n = reader_u16(&r);
			const uint8_t *nal = reader_bytes(&r, n);

			assert_non_null(nal);
			assert_int_equal(h264_sets_add(&sets, nal, n), 1);
			assert_int_equal(h264_sets_add(&sets, nal, n), 0);
		}
	}
	assert_null(r.why);
	return sets;
}

static void sps_says_what_ffprobe_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct h264_sets sets = sets_of(v);
		const struct h264_set *set = h264_sets_sps(&sets);
		struct h264_sps sps;
		const char *why;

		print_message("%s\n", v->name);
		assert_int_equal(h264_sps_parse(&sps, set->data, set->bytes, &why), 0);
		assert_null(why);
		assert_int_equal(sps.profile, v->profile);
		assert_int_equal(sps.level, v->level);
		assert_int_equal(sps.width, v->width);
		assert_int_equal(sps.height, v->height);
		assert_int_equal(
			sps.aspect_width * v->aspect_height, sps.aspect_height * v->aspect_width);
		assert_int_equal(sps.reorder_frames, v->reorder_frames);
		assert_int_equal((uint64_t)sps.frame_rate_num * v->frame_rate_den,
			(uint64_t)sps.frame_rate_den * v->frame_rate_num);
	}
}

static void avcc_is_what_ffmpeg_writes(void **state)
{
	uint8_t avcc[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct h264_sets sets = sets_of(v);

		print_message("%s\n", v->name);
		assert_true(h264_sets_complete(&sets));
		assert_int_equal(h264_sets_write_avcc(&sets, avcc, sizeof(avcc)), v->bytes);
		assert_memory_equal(avcc, v->avcc, v->bytes);
		for (size_t n = 0; n < v->bytes; n++)
			assert_int_equal(h264_sets_write_avcc(&sets, avcc, n), 0);
	}
}

static void incomplete_sets_give_no_avcc(void **state)
{
	struct h264_sets sets = sets_of(&vectors[0]);
	uint8_t avcc[256];

	(void)state;
	sets.pps[0].bytes = 0;
	assert_false(h264_sets_complete(&sets));
	assert_int_equal(h264_sets_write_avcc(&sets, avcc, sizeof(avcc)), 0);
}

/* A copy in a block of the exact size, so that ASan sees a byte too far. */
static uint8_t *exact(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	if (n)
		memcpy(copy, p, n);
	return copy;
}

static void every_cut_of_an_sps_is_survived(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++) {
		struct h264_sets sets = sets_of(&vectors[i]);
		const struct h264_set *set = h264_sets_sps(&sets);
		struct h264_sps whole, sps;
		const char *why;
		bool seen = false;

		assert_int_equal(h264_sps_parse(&whole, set->data, set->bytes, &why), 0);
		for (size_t n = 0; n < set->bytes; n++) {
			uint8_t *cut = exact(set->data, n);
			int result = h264_sps_parse(&sps, cut, n, &why);

			/* once the size is known a cut within the VUI does no harm */
			if (result == 0)
				assert_int_equal(sps.height, whole.height);
			else
				assert_non_null(why);
			assert_false(seen && result < 0);
			seen = result == 0;
			free(cut);
		}
	}
}

static void sets_replace_by_id_and_refuse_rubbish(void **state)
{
	static const uint8_t pps0[] = { 0x68, 0xeb, 0xe3, 0xcb };
	static const uint8_t pps0_other[] = { 0x68, 0xee, 0x3c, 0x80, 0, 0 };
	static const uint8_t pps1[] = { 0x68, 0x4e, 0x3c, 0x80 };
	static const uint8_t slice[] = { 0x65, 0x88, 0x84 };
	struct h264_sets sets = { 0 };
	static const uint8_t bad_sps[] = { 0x67, 0x42, 0x00, 0x1e, 0x00, 0x00, 0x00, 0x00, 0x01 };
	uint8_t large[H264_SET_BYTES + 1];

	(void)state;
	assert_int_equal(h264_sets_add(&sets, pps0, sizeof(pps0)), 1);
	assert_int_equal(h264_sets_add(&sets, pps1, sizeof(pps1)), 1);
	assert_int_equal(h264_sets_add(&sets, pps0_other, sizeof(pps0_other)), 1);
	assert_int_equal(h264_sets_add(&sets, pps0_other, 4), 0); /* trailing zeros do not count */
	assert_int_equal(sets.pps[0].bytes, 4);
	assert_memory_equal(sets.pps[0].data, pps0_other, 4);
	assert_memory_equal(sets.pps[1].data, pps1, sizeof(pps1));
	assert_int_equal(sets.pps[2].bytes, 0);
	assert_int_equal(h264_sets_add(&sets, slice, sizeof(slice)), -EBADMSG);
	assert_int_equal(h264_sets_add(&sets, slice, 0), -EBADMSG);
	memset(large, 0xff, sizeof(large));
	large[0] = 0x68;
	assert_int_equal(h264_sets_add(&sets, large, sizeof(large)), -EBADMSG);
	assert_int_equal(h264_sets_add(&sets, bad_sps, sizeof(bad_sps)), -EBADMSG);
}

static void a_fifth_id_takes_the_place_of_the_oldest(void **state)
{
	/* pps ids 0 to 4 */
	static const uint8_t ids[] = { 0x80, 0x40, 0x60, 0x20, 0x28 };
	struct h264_sets sets = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
		uint8_t pps[] = { 0x68, ids[i], 0xff };

		assert_int_equal(h264_sets_add(&sets, pps, sizeof(pps)), 1);
		assert_int_equal(h264_sets_add(&sets, pps, sizeof(pps)), 0);
	}
	for (size_t i = 0; i < H264_SETS; i++)
		assert_int_equal(sets.pps[i].data[1], ids[i + 1]);
}

static void exp_golomb_codes_are_table_9_2(void **state)
{
	/* 1 010 011 00100 00101 00110 00111 0001000 */
	static const uint8_t codes[] = { 0xa6, 0x42, 0x98, 0xe2, 0x00 };
	static const int32_t mapped[] = { 0, 1, -1, 2, -2, 3, -3, 4 };
	struct bits b = bits_of(codes, sizeof(codes), false);

	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(bits_ue(&b), i);
	b = bits_of(codes, sizeof(codes), false);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(bits_se(&b), mapped[i]);
	assert_false(b.failed);
	assert_int_equal(bits_ue(&b), 0);
	assert_true(b.failed);
}

static void emulation_prevention_is_skipped(void **state)
{
	static const uint8_t nal[] = { 0, 0, 3, 0, 0, 3, 1, 3 };
	struct bits b = bits_of(nal, sizeof(nal), true);

	(void)state;
	assert_int_equal(bits_read(&b, 32), 0);
	assert_int_equal(bits_read(&b, 16), 0x0103);
	assert_false(b.failed);
	b = bits_of(nal, sizeof(nal), false);
	assert_int_equal(bits_read(&b, 32), 0x300);
}

static void recovery_points_are_seen(void **state)
{
	static const struct {
		uint8_t nal[16];
		size_t bytes;
		bool is;
	} cases[] = {
		{{ 0x06, 0x06, 0x01, 0xc4, 0x80 },                          5,  true },
		{ { 0x06, 0x01, 0x01, 0x12, 0x06, 0x01, 0xc4, 0x80 },       8,  true },
		{ { 0x06, 0x05, 0x02, 0x06, 0x01, 0x80 },                   6,  false}, /* inside another message */
		{ { 0x06, 0xff, 0x06, 0x01, 0xc4, 0x80 },                   6,  false}, /* type 261 */
		{ { 0x06, 0x00, 0x03, 0, 0, 3, 1, 0x06, 0x01, 0xc4, 0x80 }, 11, true },
		{ { 0x65, 0x06, 0x01, 0xc4, 0x80 },                         5,  false},
		{ { 0x06, 0xff, 0xff, 0xff },                               4,  false},
		{ { 0x06 },						 1,  false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		assert_int_equal(
			h264_sei_is_recovery_point(cases[i].nal, cases[i].bytes), cases[i].is);
}

static void first_slices_are_seen(void **state)
{
	static const uint8_t first[] = { 0x65, 0x88 };
	static const uint8_t later[] = { 0x41, 0x48 };
	static const uint8_t sps[] = { 0x67, 0x88 };

	(void)state;
	assert_true(h264_is_first_slice(first, 2));
	assert_false(h264_is_first_slice(later, 2));
	assert_false(h264_is_first_slice(sps, 2));
	assert_false(h264_is_first_slice(first, 1));
}

static void annexb_gives_each_nal_unit(void **state)
{
	static const struct {
		uint8_t bytes[24];
		size_t n;
		const char *nals; /* hex, space between */
	} cases[] = {
		{{ 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3 }, 17,
                 "6701 6802 6503 "							       },
		{ { 0x67, 1, 0, 0, 0, 1, 0x68, 2 },                              8,  "6701 6802 "},
		{ { 0x67, 1, 0, 0, 0 },					  5,  "6701 "     },
		{ { 0, 0, 1, 0, 0, 1, 0x65 },                                    7,  "65 "       },
		{ { 0, 0, 1, 0, 1, 0xaf },                                       6,  "0001af "   }, /* an H.265 TRAIL_N */
		{ { 0, 0, 1 },						   3,  ""          },
		{ { 0, 0, 0, 0 },						4,  ""          },
		{ { 1 },							 1,  "01 "       },
		{ { 0 },							 0,  ""          },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint8_t *p = exact(cases[i].bytes, cases[i].n);
		char text[64] = "";
		const uint8_t *nal;
		size_t at = 0;
		size_t n;

		while ((nal = annexb_next(p, cases[i].n, &at, &n))) {
			for (size_t k = 0; k < n; k++)
				(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
					"%02x", nal[k]);
			(void)strncat(text, " ", sizeof(text) - strlen(text) - 1);
		}
		assert_string_equal(text, cases[i].nals);
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sps_says_what_ffprobe_says),
		cmocka_unit_test(avcc_is_what_ffmpeg_writes),
		cmocka_unit_test(incomplete_sets_give_no_avcc),
		cmocka_unit_test(every_cut_of_an_sps_is_survived),
		cmocka_unit_test(sets_replace_by_id_and_refuse_rubbish),
		cmocka_unit_test(a_fifth_id_takes_the_place_of_the_oldest),
		cmocka_unit_test(exp_golomb_codes_are_table_9_2),
		cmocka_unit_test(emulation_prevention_is_skipped),
		cmocka_unit_test(recovery_points_are_seen),
		cmocka_unit_test(first_slices_are_seen),
		cmocka_unit_test(annexb_gives_each_nal_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
