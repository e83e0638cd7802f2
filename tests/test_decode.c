/* Keyframes made JPEGs: the right pixels and colours, sizes, turns; what is no picture is refused. */
#include "server/media/decode.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>

#include <cmocka.h>

#include "server/base/attributes.h"
#include "server/media/h264.h"
#include "server/media/h265.h"
#include "tests/jpeg_pictures.h"

enum {
	WIDTH = 320,
	HEIGHT = 192,
	NEAR = 6, /* how far a colour may be off: quantisers and rounding */
	MANGLED = 400,
};

/* --- four fields of one colour each: upper left, upper right, lower left, lower right --- */

struct colour {
	int y, u, v;
};

/* Limited range of ITU-R BT.601, and the same colours in that of BT.709, and both in the full range of JFIF (ITU-T T.871). */
enum {
	RED,
	GREEN,
	BLUE,
	GREY,
	FIELDS
};
static const struct colour bt601[FIELDS] = {
	{81,   90,  240},
        { 145, 54,  34 },
        { 41,  240, 110},
        { 126, 128, 128}
};
static const struct colour bt709[FIELDS] = {
	{63,   102, 240},
        { 173, 42,  26 },
        { 32,  240, 118},
        { 126, 128, 128}
};
static const struct colour jfif[FIELDS] = {
	{76,   85,  255},
        { 150, 44,  21 },
        { 29,  255, 107},
        { 128, 128, 128}
};

static void draw(AVFrame *frame, const struct colour *fields)
{
	for (int y = 0; y < frame->height; y++) {
		for (int x = 0; x < frame->width; x++) {
			const struct colour *c =
				&fields[(y >= frame->height / 2) * 2 + (x >= frame->width / 2)];

			frame->data[0][y * frame->linesize[0] + x] = (uint8_t)c->y;
			frame->data[1][y / 2 * frame->linesize[1] + x / 2] = (uint8_t)c->u;
			frame->data[2][y / 2 * frame->linesize[2] + x / 2] = (uint8_t)c->v;
		}
	}
}

/* --- keyframes --- */

struct keyframe {
	AVPacket *packet;
	AVCodecParameters *parameters;
};

struct made {
	const char *encoder;
	int width, height;
	const struct colour *fields;
	enum AVColorSpace colours;
	enum AVColorRange range;
	AVRational aspect;
};

static void put(AVPacket *to, const uint8_t *p, size_t n)
{
	const uint8_t length[] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
		(uint8_t)n };
	int at = to->size;

	assert_int_equal(av_grow_packet(to, (int)n + 4), 0);
	memcpy(to->data + at, length, 4);
	memcpy(to->data + at + 4, p, n);
}

/* NAL units with their lengths before them, and avcC or hvcC, as cameras' streams have them. */
static void convert(struct keyframe *k)
{
	static struct h264_sets sets;
	static struct h265_sets sets_265;
	AVPacket *to = av_packet_alloc();
	uint8_t record[4096];
	const uint8_t *nal;
	size_t at = 0, n, bytes;

	sets = (struct h264_sets){ 0 };
	sets_265 = (struct h265_sets){ 0 };
	while ((nal = annexb_next(k->packet->data, (size_t)k->packet->size, &at, &n))) {
		bool set = k->parameters->codec_id == AV_CODEC_ID_H264
				   ? h264_sets_add(&sets, nal, n) > 0
				   : h265_sets_add(&sets_265, nal, n) > 0;
		if (!set)
			put(to, nal, n);
	}
	bytes = k->parameters->codec_id == AV_CODEC_ID_H264
			? h264_sets_write_avcc(&sets, record, sizeof(record))
			: h265_sets_write_hvcc(&sets_265, record, sizeof(record));
	assert_true(bytes > 0);
	k->parameters->extradata = av_mallocz(bytes + AV_INPUT_BUFFER_PADDING_SIZE);
	k->parameters->extradata_size = (int)bytes;
	memcpy(k->parameters->extradata, record, bytes);
	av_packet_free(&k->packet);
	k->packet = to;
}

/* NULL inside: there is no such encoder here. */
static struct keyframe make(const struct made *made)
{
	const AVCodec *codec = avcodec_find_encoder_by_name(made->encoder);
	AVCodecContext *encoder = codec ? avcodec_alloc_context3(codec) : NULL;
	AVFrame *frame = av_frame_alloc();
	struct keyframe k = { av_packet_alloc(), avcodec_parameters_alloc() };
	AVDictionary *options = NULL;

	frame->format = AV_PIX_FMT_YUV420P;
	frame->width = made->width;
	frame->height = made->height;
	frame->color_range = made->range;
	frame->colorspace = made->colours;
	assert_int_equal(av_frame_get_buffer(frame, 0), 0);
	draw(frame, made->fields);
	if (encoder) {
		encoder->width = made->width;
		encoder->height = made->height;
		encoder->pix_fmt = AV_PIX_FMT_YUV420P;
		encoder->colorspace = made->colours;
		encoder->color_range = made->range;
		encoder->sample_aspect_ratio = made->aspect;
		encoder->time_base = (AVRational){ 1, 25 };
		encoder->flags |= AV_CODEC_FLAG_QSCALE;
		encoder->global_quality = FF_QP2LAMBDA * 2;
		encoder->thread_count = 1;
		(void)av_dict_set(&options, "preset", "ultrafast", 0);
		(void)av_dict_set(&options, "x265-params", "log-level=none:qp=10", 0);
		(void)av_dict_set(&options, "cpu-used", "8", 0);
		frame->pts = 0;
		if (avcodec_open2(encoder, codec, &options) < 0)
			fail_msg("%s", made->encoder);
		assert_int_equal(avcodec_send_frame(encoder, frame), 0);
		assert_int_equal(avcodec_send_frame(encoder, NULL), 0);
		assert_int_equal(avcodec_receive_packet(encoder, k.packet), 0);
		assert_true(avcodec_parameters_from_context(k.parameters, encoder) >= 0);
		if (codec->id == AV_CODEC_ID_H264 || codec->id == AV_CODEC_ID_HEVC)
			convert(&k);
	} else {
		av_packet_free(&k.packet);
	}
	av_dict_free(&options);
	avcodec_free_context(&encoder);
	av_frame_free(&frame);
	return k;
}

static void keyframe_free(struct keyframe *k)
{
	av_packet_free(&k->packet);
	avcodec_parameters_free(&k->parameters);
}

/* --- what comes out, by libavcodec's decoder --- */

static AVFrame *decoded(const struct keyframe *k, int rotation, unsigned width)
{
	const struct decode_order order = { k->parameters, k->packet, rotation, width };
	const char *why = "";
	AVPacket *jpeg = NULL;
	AVFrame *frame;

	if (decode_to_jpeg(&order, &jpeg, &why) < 0)
		fail_msg("%s", why);
	frame = picture_decode(jpeg->data, (size_t)jpeg->size);
	assert_non_null(frame);
	av_packet_free(&jpeg);
	return frame;
}

static void check_size(const AVFrame *frame, int width, int height)
{
	if (frame->width != width || frame->height != height)
		fail_msg("%dx%d, not %dx%d", frame->width, frame->height, width, height);
}

/* `order`: which fields are where now. */
static void check_fields(const AVFrame *frame, const int order[FIELDS])
{
	for (int i = 0; i < FIELDS; i++) {
		int x = frame->width * (i % 2 ? 3 : 1) / 4, y = frame->height * (i / 2 ? 3 : 1) / 4;
		const struct colour *wanted = &jfif[order[i]];
		int seen[] = { frame->data[0][y * frame->linesize[0] + x],
			frame->data[1][y / 2 * frame->linesize[1] + x / 2],
			frame->data[2][y / 2 * frame->linesize[2] + x / 2] };

		if (abs(seen[0] - wanted->y) > NEAR || abs(seen[1] - wanted->u) > NEAR ||
			abs(seen[2] - wanted->v) > NEAR)
			fail_msg("field %d: %d %d %d, not %d %d %d", i, seen[0], seen[1], seen[2],
				wanted->y, wanted->u, wanted->v);
	}
}

static const int upright[FIELDS] = { RED, GREEN, BLUE, GREY };

static void test_codecs_and_colours(void **state)
{
	static const struct made cases[] = {
		{"libx264",     WIDTH, HEIGHT, bt601, AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_UNSPECIFIED,
                 { 1, 1 }										     },
		{ "libx264",    WIDTH, HEIGHT, bt601, AVCOL_SPC_SMPTE170M,   AVCOL_RANGE_MPEG,
                 { 1, 1 }										     },
		{ "libx264",    WIDTH, HEIGHT, bt709, AVCOL_SPC_BT709,       AVCOL_RANGE_MPEG,        { 1, 1 }},
		{ "libx264",    WIDTH, HEIGHT, jfif,  AVCOL_SPC_SMPTE170M,   AVCOL_RANGE_JPEG,        { 1, 1 }},
		{ "libx264",    1280,  720,    bt709, AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_UNSPECIFIED,
                 { 1, 1 }										     },
		{ "libx265",    WIDTH, HEIGHT, bt709, AVCOL_SPC_BT709,       AVCOL_RANGE_MPEG,        { 1, 1 }},
		{ "libaom-av1", WIDTH, HEIGHT, bt601, AVCOL_SPC_SMPTE170M,   AVCOL_RANGE_MPEG,
                 { 1, 1 }										     },
		{ "mjpeg",      WIDTH, HEIGHT, jfif,  AVCOL_SPC_BT470BG,     AVCOL_RANGE_JPEG,        { 1, 1 }},
	};
	unsigned made = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct keyframe k = make(&cases[i]);

		if (k.packet) {
			AVFrame *frame = decoded(&k, 0, 0);

			made++;
			check_size(frame, cases[i].width, cases[i].height);
			check_fields(frame, upright);
			av_frame_free(&frame);
		} else {
			print_message(
				"%s: this libavcodec has no such encoder\n", cases[i].encoder);
		}
		keyframe_free(&k);
	}
	assert_true(made >= 6);
}

static const struct made small = {
	"mjpeg", WIDTH, HEIGHT, jfif, AVCOL_SPC_BT470BG, AVCOL_RANGE_JPEG, {1, 1}
};

static void test_widths_keep_the_proportions(void **state)
{
	static const struct {
		unsigned wanted;
		int rotation, width, height;
	} cases[] = {
		{0,     0,   320, 192},
                { 320,  0,   320, 192},
		{ 5000, 0,   320, 192}, /* never more than there is */
		{ 160,  0,   160, 96 },
                { 100,  0,   100, 60 },
                { 90,   0,   90,  54 },
		{ 16,   0,   16,  10 }, /* 9.6 */
		{ 17,   0,   16,  10 },
                { 0,    90,  192, 320},
                { 192,  90,  192, 320},
                { 96,   270, 96,  160},
		{ 96,   180, 96,  58 }, /* 57.6 */
	};
	struct keyframe k = make(&small);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		AVFrame *frame = decoded(&k, cases[i].rotation, cases[i].wanted);

		check_size(frame, cases[i].width, cases[i].height);
		av_frame_free(&frame);
	}
	assert_int_equal(decode_width(k.parameters, 0), WIDTH);
	assert_int_equal(decode_width(k.parameters, 270), HEIGHT);
	keyframe_free(&k);
}

static void test_turns_are_clockwise(void **state)
{
	static const struct {
		int rotation;
		int order[FIELDS];
	} cases[] = {
		{0,    { RED, GREEN, BLUE, GREY }},
		{ 90,  { BLUE, RED, GREY, GREEN }},
		{ 180, { GREY, BLUE, GREEN, RED }},
		{ 270, { GREEN, GREY, RED, BLUE }},
	};
	struct keyframe k = make(&small);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		AVFrame *frame = decoded(&k, cases[i].rotation, 0);

		check_fields(frame, cases[i].order);
		av_frame_free(&frame);
	}
	keyframe_free(&k);
}

/* Cameras of 704x576 with pixels that are not square. */
static void test_pixels_become_square(void **state)
{
	static const struct {
		AVRational aspect;
		int width, height;
	} cases[] = {
		{{ 16, 11 },   464, 192}, /* 465.45 */
		{ { 8, 9 },    320, 216},
                { { 0, 1 },    320, 192},
		{ { 1000, 1 }, 320, 192}, /* nonsense */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct made made = { "libx264", WIDTH, HEIGHT, bt601, AVCOL_SPC_SMPTE170M,
			AVCOL_RANGE_MPEG, cases[i].aspect };
		struct keyframe k = make(&made);
		AVFrame *frame = decoded(&k, 0, 0);

		check_size(frame, cases[i].width, cases[i].height);
		check_fields(frame, upright);
		av_frame_free(&frame);
		keyframe_free(&k);
	}
}

/* --- what is no picture --- */

static int error_of(const struct keyframe *k)
{
	const struct decode_order order = { k->parameters, k->packet, 0, 0 };
	const char *why = NULL;
	AVPacket *jpeg = NULL;
	int error = decode_to_jpeg(&order, &jpeg, &why);

	if (error) {
		assert_null(jpeg);
		assert_non_null(why);
	}
	av_packet_free(&jpeg);
	return error;
}

static void test_refusals(void **state)
{
	struct keyframe k = make(&small);
	int size = k.packet->size;

	(void)state;
	k.packet->size = DECODE_BYTES_MOST + 1;
	assert_int_equal(error_of(&k), -E2BIG);
	k.packet->size = 0;
	assert_int_equal(error_of(&k), -EBADMSG);
	k.packet->size = size;
	memset(k.packet->data, 0x55, (size_t)size);
	assert_int_equal(error_of(&k), -EBADMSG);
	k.parameters->codec_id = AV_CODEC_ID_NONE;
	assert_int_equal(error_of(&k), -ENOTSUP);
	k.parameters->codec_id = AV_CODEC_ID_AAC;
	k.parameters->codec_type = AVMEDIA_TYPE_AUDIO;
	assert_int_equal(error_of(&k), -ENOTSUP);
	keyframe_free(&k);
}

/* A JPEG that says of itself that it has 65500x65500 pixels: nothing of that size is allocated. */
static void test_pixels_are_limited(void **state)
{
	struct keyframe k = make(&small);
	uint8_t *sof = k.packet->data;

	(void)state;
	while (sof[0] != 0xff || sof[1] != 0xc0)
		sof++;
	sof[5] = sof[7] = 0xff;
	sof[6] = sof[8] = 0xdc;
	assert_int_equal(error_of(&k), -EBADMSG);
	keyframe_free(&k);
}

/* Whatever the bytes are, there is a JPEG or an error; the sanitizers watch. */
static void test_mangled_keyframes(void **state)
{
	static const char *const encoders[] = { "libx264", "libx265", "mjpeg" };
	unsigned pictures = 0, errors = 0, seed = 1;

	(void)state;
	for (size_t e = 0; e < ARRAY_LENGTH(encoders); e++) {
		struct made made = small;

		made.encoder = encoders[e];
		made.width = made.height = 64;
		struct keyframe whole = make(&made);
		for (unsigned i = 0; i < MANGLED / ARRAY_LENGTH(encoders); i++) {
			struct keyframe k = { av_packet_clone(whole.packet), whole.parameters };

			assert_int_equal(av_packet_make_writable(k.packet), 0);
			for (unsigned n = 0; n < 3; n++) {
				seed = seed * 1103515245 + 12345;
				k.packet->data[seed / 65536 % (unsigned)k.packet->size] =
					(uint8_t)(seed >> 8);
			}
			if (i % 4 == 0)
				k.packet->size = (int)(seed / 65536 % (unsigned)k.packet->size);
			if (error_of(&k))
				errors++;
			else
				pictures++;
			av_packet_free(&k.packet);
		}
		keyframe_free(&whole);
	}
	assert_true(pictures > 0 && errors > 0);
}

/* libx265's encoder does not free all that it has. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) // NOLINT(bugprone-reserved-identifier)
{
	return "leak:libx265\n";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codecs_and_colours),
		cmocka_unit_test(test_widths_keep_the_proportions),
		cmocka_unit_test(test_turns_are_clockwise),
		cmocka_unit_test(test_pixels_become_square),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_pixels_are_limited),
		cmocka_unit_test(test_mangled_keyframes),
	};

	av_log_set_level(AV_LOG_QUIET);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
