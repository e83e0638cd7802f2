/* Codec parameters and names. Sets: x264, x265 through ffmpeg; names: RFC 6381, ISO 14496-15. */
#include "server/media/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <libavcodec/avcodec.h>

#include <cmocka.h>

/* clang-format off */
static const uint8_t h264_sps[] = {
	0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00,
	0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x60, 0xc6, 0x58,
};
static const uint8_t h264_pps[] = {
	0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
};
static const uint8_t h265_vps[] = {
	0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00,
	0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x78, 0x95, 0x94, 0x09,
};
static const uint8_t h265_sps[] = {
	0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
	0x00, 0x03, 0x00, 0x78, 0xa0, 0x03, 0xc0, 0x80, 0x10, 0xe5, 0x96, 0x56, 0x59, 0x24,
	0xca, 0xf0, 0x16, 0x80, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x0c, 0x84,
};
static const uint8_t h265_pps[] = {
	0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40,
};
/* clang-format on */

static void h264_parameters_are_complete(void **state)
{
	struct h264_sets sets = { 0 };
	AVCodecParameters *p;
	char text[32];
	const char *why;

	(void)state;
	assert_null(codec_of_h264(&sets, &why));
	assert_non_null(why);
	assert_int_equal(h264_sets_add(&sets, h264_sps, sizeof(h264_sps)), 1);
	assert_null(codec_of_h264(&sets, &why));
	assert_int_equal(h264_sets_add(&sets, h264_pps, sizeof(h264_pps)), 1);
	p = codec_of_h264(&sets, &why);
	assert_non_null(p);
	assert_null(why);
	assert_int_equal(p->codec_type, AVMEDIA_TYPE_VIDEO);
	assert_int_equal(p->codec_id, AV_CODEC_ID_H264);
	assert_int_equal(p->width, 1920);
	assert_int_equal(p->height, 1080);
	assert_int_equal(p->profile, FF_PROFILE_H264_HIGH);
	assert_int_equal(p->level, 40);
	assert_int_equal(p->format, AV_PIX_FMT_YUV420P);
	assert_int_equal(p->extradata[0], 1);
	assert_int_equal(codec_reorder_frames(p), 2);
	assert_string_equal(codec_string(text, sizeof(text), p), "avc1.640028");
	assert_string_equal(codec_name(p), "h264");
	avcodec_parameters_free(&p);
}

static void jpeg_parameters_are_complete(void **state)
{
	static const struct {
		uint8_t components, luma, chroma;
		int format;
	} rows[] = {
		{3,  0x22, 0x11, AV_PIX_FMT_YUVJ420P},
		{ 3, 0x21, 0x11, AV_PIX_FMT_YUVJ422P},
		{ 3, 0x11, 0x11, AV_PIX_FMT_YUVJ444P},
		{ 1, 0x11, 0,    AV_PIX_FMT_GRAY8   },
		{ 3, 0x22, 0x21, AV_PIX_FMT_NONE    },
		{ 4, 0x11, 0x11, AV_PIX_FMT_NONE    },
	};
	struct jpeg jpeg = { 0 };
	char text[32];
	const char *why;

	(void)state;
	assert_null(codec_of_jpeg(NULL, &why));
	assert_null(codec_of_jpeg(&jpeg, &why));
	assert_non_null(why);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AVCodecParameters *p;

		jpeg = (struct jpeg){
			.width = 2592,
			.height = 1944,
			.components = rows[i].components,
			.sampling = {rows[i].luma, rows[i].chroma, rows[i].chroma}
		};
		p = codec_of_jpeg(&jpeg, &why);
		assert_non_null(p);
		assert_int_equal(p->codec_type, AVMEDIA_TYPE_VIDEO);
		assert_int_equal(p->codec_id, AV_CODEC_ID_MJPEG);
		assert_int_equal(p->width, 2592);
		assert_int_equal(p->height, 1944);
		assert_int_equal(p->format, rows[i].format);
		assert_int_equal(p->extradata_size, 0);
		assert_int_equal(codec_reorder_frames(p), 0);
		assert_string_equal(codec_string(text, sizeof(text), p), "mp4v.6C");
		assert_string_equal(codec_name(p), "mjpeg");
		avcodec_parameters_free(&p);
	}
}

static void h265_parameters_are_complete(void **state)
{
	struct h265_sets sets = { 0 };
	AVCodecParameters *p;
	char text[32];
	const char *why;

	(void)state;
	assert_null(codec_of_h265(&sets, &why));
	assert_non_null(why);
	assert_int_equal(h265_sets_add(&sets, h265_vps, sizeof(h265_vps)), 1);
	assert_int_equal(h265_sets_add(&sets, h265_sps, sizeof(h265_sps)), 1);
	assert_int_equal(h265_sets_add(&sets, h265_pps, sizeof(h265_pps)), 1);
	p = codec_of_h265(&sets, &why);
	assert_non_null(p);
	assert_null(why);
	assert_int_equal(p->codec_id, AV_CODEC_ID_HEVC);
	assert_int_equal(p->width, 1920);
	assert_int_equal(p->height, 1080);
	assert_int_equal(p->profile, FF_PROFILE_HEVC_MAIN);
	assert_int_equal(p->level, 120);
	assert_int_equal(codec_reorder_frames(p), 2);
	assert_string_equal(codec_string(text, sizeof(text), p), "hvc1.1.6.L120.90");
	assert_string_equal(codec_name(p), "h265");
	avcodec_parameters_free(&p);
}

static void aac_parameters_are_complete(void **state)
{
	static const uint8_t config[] = { 0x11, 0x90 };
	AVCodecParameters *p;
	char text[32];
	const char *why;

	(void)state;
	assert_null(codec_of_aac(config, 1, &why));
	assert_non_null(why);
	p = codec_of_aac(config, sizeof(config), &why);
	assert_non_null(p);
	assert_null(why);
	assert_int_equal(p->codec_type, AVMEDIA_TYPE_AUDIO);
	assert_int_equal(p->codec_id, AV_CODEC_ID_AAC);
	assert_int_equal(p->sample_rate, 48000);
	assert_int_equal(p->ch_layout.nb_channels, 2);
	assert_int_equal(p->frame_size, 1024);
	assert_int_equal(p->profile, FF_PROFILE_AAC_LOW);
	assert_int_equal(p->extradata_size, 2);
	assert_int_equal(codec_reorder_frames(p), 0);
	assert_string_equal(codec_string(text, sizeof(text), p), "mp4a.40.2");
	assert_string_equal(codec_name(p), "aac");
	avcodec_parameters_free(&p);
}

/* A libavcodec decoder takes the extradata as it is. */
static void decoders_open_with_it(void **state)
{
	struct h264_sets h264 = { 0 };
	struct h265_sets h265 = { 0 };
	AVCodecParameters *parameters[2];
	const char *why;

	(void)state;
	assert_int_equal(h264_sets_add(&h264, h264_sps, sizeof(h264_sps)), 1);
	assert_int_equal(h264_sets_add(&h264, h264_pps, sizeof(h264_pps)), 1);
	assert_int_equal(h265_sets_add(&h265, h265_vps, sizeof(h265_vps)), 1);
	assert_int_equal(h265_sets_add(&h265, h265_sps, sizeof(h265_sps)), 1);
	assert_int_equal(h265_sets_add(&h265, h265_pps, sizeof(h265_pps)), 1);
	parameters[0] = codec_of_h264(&h264, &why);
	parameters[1] = codec_of_h265(&h265, &why);
	for (int i = 0; i < 2; i++) {
		const AVCodec *codec = avcodec_find_decoder(parameters[i]->codec_id);
		AVCodecContext *context = avcodec_alloc_context3(codec);

		assert_non_null(context);
		assert_int_equal(avcodec_parameters_to_context(context, parameters[i]), 0);
		context->thread_count = 1;
		context->err_recognition = AV_EF_EXPLODE;
		assert_int_equal(avcodec_open2(context, codec, NULL), 0);
		avcodec_free_context(&context);
		avcodec_parameters_free(&parameters[i]);
	}
}

static void names_are_those_of_the_standards(void **state)
{
	static const struct {
		enum AVCodecID id;
		uint8_t extradata[16];
		int n;
		const char *name;
	} cases[] = {
  /* RFC 6381 section 3.3 */
		{AV_CODEC_ID_H264,       { 1, 0x42, 0xe0, 0x1e },                                 4,  "avc1.42e01e"},
		{ AV_CODEC_ID_H264,      { 1, 0x64, 0x00, 0x1f },                                 4,  "avc1.64001f"},
		{ AV_CODEC_ID_H264,      { 1, 0x64, 0x00 },                                       3,  ""           },
 /* by the rules of ISO/IEC 14496-15 annex E */
		{ AV_CODEC_ID_HEVC,      { 1, 0x01, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93 },     13,
                 "hvc1.1.6.L93.B0"										 },
		{ AV_CODEC_ID_HEVC,      { 1, 0x64, 0x08, 0, 0, 0, 0xbd, 0xc0, 0, 0, 0, 0, 150 }, 13,
                 "hvc1.A4.10.H150.BD.C0"									   },
		{ AV_CODEC_ID_HEVC,      { 1, 0x02, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 120 },       13,
                 "hvc1.2.4.L120"										   },
		{ AV_CODEC_ID_HEVC,      { 1, 0x01, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0 },         12, ""           },
 /* RFC 6381 section 3.4 */
		{ AV_CODEC_ID_AAC,       { 0x11, 0x90 },                                          2,  "mp4a.40.2"  },
		{ AV_CODEC_ID_AAC,       { 0x2b, 0x92, 0x08, 0x00 },                              4,  "mp4a.40.5"  },
		{ AV_CODEC_ID_AAC,       { 0x11 },						1,  ""           },
		{ AV_CODEC_ID_AAC,       { 0 },						   0,  ""           },
		{ AV_CODEC_ID_PCM_MULAW, { 0 },						   0,  ""           },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint8_t extradata[16];
		AVCodecParameters p = { .codec_id = cases[i].id,
			.extradata = extradata,
			.extradata_size = cases[i].n };
		char text[32];
		char small[6];

		memcpy(extradata, cases[i].extradata, sizeof(extradata));
		assert_string_equal(codec_string(text, sizeof(text), &p), cases[i].name);
		(void)codec_string(small, sizeof(small), &p); /* cut, never beyond */
		assert_true(strlen(small) < sizeof(small));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h264_parameters_are_complete),
		cmocka_unit_test(h265_parameters_are_complete),
		cmocka_unit_test(jpeg_parameters_are_complete),
		cmocka_unit_test(aac_parameters_are_complete),
		cmocka_unit_test(decoders_open_with_it),
		cmocka_unit_test(names_are_those_of_the_standards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
