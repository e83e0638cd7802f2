/* AudioSpecificConfig and ADTS. Expected values: ISO/IEC 14496-3, RFC 3640 and ffmpeg's encoder. */
#include "server/media/aac.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	uint8_t bytes[8];
	size_t n;
	struct aac_config config; /* object type 0: refused */
	size_t written;           /* as aac_config_write() gives them back; 0: not written by us */
} configs[] = {
	{{ 0x12, 0x10 },                    2, { 2, 44100, 2, 1024 },  2},
	{ { 0x11, 0x88 },                   2, { 2, 48000, 1, 1024 },  2},
	{ { 0x15, 0x88 },                   2, { 2, 8000, 1, 1024 },   2},
	{ { 0x11, 0xb0 },                   2, { 2, 48000, 6, 1024 },  2},
	{ { 0x14, 0x08 },                   2, { 2, 16000, 1, 1024 },  2},
	{ { 0x12, 0x14 },                   2, { 2, 44100, 2, 960 },   2},
	{ { 0x0a, 0x10 },                   2, { 1, 44100, 2, 1024 },  2},
 /* what ffmpeg's encoder adds: a sync extension that says there is no SBR */
	{ { 0x11, 0x88, 0x56, 0xe5, 0x00 }, 5, { 2, 48000, 1, 1024 },  0},
 /* explicit rate of 37800 Hz */
	{ { 0x17, 0x80, 0x49, 0xd4, 0x08 }, 5, { 2, 37800, 1, 1024 },  5},
 /* HE-AAC: 22050 Hz of core, 44100 Hz of output; version 2 makes one channel two */
	{ { 0x2b, 0x92, 0x08, 0x00 },       4, { 5, 44100, 2, 2048 },  0},
	{ { 0xeb, 0x8a, 0x08, 0x00 },       4, { 29, 44100, 2, 2048 }, 0},
	{ { 0x12 },			 1, { 0 },                  0},
	{ { 0 },			    0, { 0 },                  0},
	{ { 0x12, 0x00 },                   2, { 0 },                  0}, /* a program config element */
	{ { 0x16, 0x90 },                   2, { 0 },                  0}, /* reserved rate index 13 */
	{ { 0xf9, 0x46, 0x20 },             3, { 0 },                  0}, /* object type 42, USAC */
	{ { 0x17, 0x80, 0x00, 0x00, 0x08 }, 5, { 0 },                  0},
	{ { 0x17, 0xff, 0xff, 0xff, 0x88 }, 5, { 0 },                  0},
};

static void configs_say_what_they_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(configs); i++) {
		const struct aac_config *want = &configs[i].config;
		struct aac_config config = { 0 };
		const char *why = NULL;
		int result = aac_config_parse(&config, configs[i].bytes, configs[i].n, &why);

		assert_int_equal(result, want->object_type ? 0 : -EBADMSG);
		assert_int_equal(why != NULL, result < 0);
		assert_int_equal(config.object_type, want->object_type);
		assert_int_equal(config.sample_rate, want->sample_rate);
		assert_int_equal(config.channels, want->channels);
		assert_int_equal(config.frame_samples, want->frame_samples);
	}
}

static void configs_are_written_as_they_were(void **state)
{
	uint8_t bytes[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(configs); i++) {
		size_t n = configs[i].written;

		if (!n)
			continue;
		assert_int_equal(aac_config_write(&configs[i].config, bytes, sizeof(bytes)), n);
		assert_memory_equal(bytes, configs[i].bytes, n);
		assert_int_equal(aac_config_write(&configs[i].config, bytes, n - 1), 0);
	}
}

static void configs_that_cannot_be_written_are_not(void **state)
{
	static const struct aac_config refused[] = {
		{0,  48000,     1, 1024},
		{ 5, 48000,     1, 2048},
		{ 2, 48000,     0, 1024},
		{ 2, 48000,     9, 1024},
		{ 2, 0x1000000, 1, 1024},
	};
	uint8_t bytes[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
		assert_int_equal(aac_config_write(&refused[i], bytes, sizeof(bytes)), 0);
}

static void adts_headers_are_told_from_frames(void **state)
{
	static const struct {
		uint8_t bytes[12];
		size_t n, header;
	} cases[] = {
		{{ 0xff, 0xf1, 0x4c, 0x40, 0x01, 0x7f, 0xfc, 1, 2, 3, 4 },  11, 7},
		{ { 0xff, 0xf0, 0x4c, 0x40, 0x01, 0x7f, 0xfc, 1, 2, 3, 4 }, 11, 9},
		{ { 0xff, 0xf9, 0x4c, 0x40, 0x01, 0x7f, 0xfc, 1, 2, 3, 4 }, 11, 7}, /* MPEG-2 */
		{ { 0xff, 0xf1, 0x4c, 0x40, 0x01, 0x7f, 0xfc, 1, 2, 3 },    10, 0}, /* too short */
		{ { 0xff, 0xf1, 0x4c, 0x40, 0x00, 0xff, 0xfc, 1, 2, 3 },    10,
                 0							       }, /* nothing inside */
		{ { 0xff, 0xf3, 0x4c, 0x40, 0x01, 0x7f, 0xfc, 1, 2, 3, 4 }, 11, 0}, /* MP3 */
		{ { 0xff, 0xf1, 0x7c, 0x40, 0x01, 0x7f, 0xfc, 1, 2, 3, 4 }, 11, 0}, /* rate 15 */
		{ { 0x21, 0x1b, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00 },       8,  0},
		{ { 0xff, 0xf1, 0x4c, 0x40, 0x01, 0x7f },                   6,  0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		assert_int_equal(aac_adts_header(cases[i].bytes, cases[i].n), cases[i].header);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configs_say_what_they_are),
		cmocka_unit_test(configs_are_written_as_they_were),
		cmocka_unit_test(configs_that_cannot_be_written_are_not),
		cmocka_unit_test(adts_headers_are_told_from_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
