/* One keyframe through libavcodec's decoder, libswscale and libavcodec's JPEG encoder. */
#include "server/media/decode.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>

#include "server/base/attributes.h"

enum {
	QUALITY = 3,     /* the encoder's quantiser: 1 is best, 31 worst */
	HD_HEIGHT = 720, /* what does not say its colours has those of ITU-R BT.709 from here on */
	PLANES = 3,
};

struct size {
	int width, height;
};

struct decode {
	const struct decode_order *order;
	AVCodecContext *decoder, *encoder;
	struct SwsContext *scaler;
	AVFrame *decoded, *scaled, *turned;
	AVPacket *jpeg;
	const char *why;
};

static int decode_fail(struct decode *d, int error, const char *why)
{
	d->why = why;
	return error;
}

static AVFrame *frame_new(void)
{
	AVFrame *frame = av_frame_alloc();

	if (!frame)
		abort();
	return frame;
}

/* --- sizes --- */

/* A picture's size with square pixels: the longer side of a pixel decides. {0}: it makes no sense. */
static struct size size_square(int width, int height, AVRational aspect)
{
	struct size size = { width, height };
	int64_t side;

	if (width <= 0 || height <= 0 || width > DECODE_SIDE_MOST || height > DECODE_SIDE_MOST)
		return (struct size){ 0 };
	if (aspect.num <= 0 || aspect.den <= 0 || aspect.num / aspect.den >= 4 ||
		aspect.den / aspect.num >= 4)
		return size; /* unknown, or nonsense */
	if (aspect.num > aspect.den) {
		side = av_rescale(width, aspect.num, aspect.den);
		size.width = side < DECODE_SIDE_MOST ? (int)side : DECODE_SIDE_MOST;
	} else {
		side = av_rescale(height, aspect.den, aspect.num);
		size.height = side < DECODE_SIDE_MOST ? (int)side : DECODE_SIDE_MOST;
	}
	return size;
}

static bool is_upright(int rotation)
{
	return rotation % 180 == 0;
}

static struct size size_turned(struct size size, int rotation)
{
	return is_upright(rotation) ? size : (struct size){ size.height, size.width };
}

static int even(int64_t side)
{
	return side < 2 ? 2 : (int)(side & ~INT64_C(1));
}

/* The JPEG's size before it is turned. */
static struct size decode_size(const struct decode *d, struct size whole)
{
	struct size seen = size_turned(whole, d->order->rotation);
	int width = seen.width;

	if (d->order->width && d->order->width < (unsigned)width)
		width = (int)d->order->width;
	seen.height = even(av_rescale(seen.height, width, seen.width));
	seen.width = even(width);
	return size_turned(seen, d->order->rotation);
}

unsigned decode_width(const AVCodecParameters *parameters, int rotation)
{
	struct size size =
		size_square(parameters->width, parameters->height, parameters->sample_aspect_ratio);

	return (unsigned)size_turned(size, rotation).width;
}

/* --- the keyframe's pixels --- */

static int decode_open(struct decode *d)
{
	const AVCodecParameters *parameters = d->order->parameters;
	const AVCodec *codec = avcodec_find_decoder(parameters->codec_id);

	if (parameters->codec_type != AVMEDIA_TYPE_VIDEO || !codec)
		return decode_fail(d, -ENOTSUP, "libavcodec has no decoder for it");
	d->decoder = avcodec_alloc_context3(codec);
	if (!d->decoder)
		abort();
	if (avcodec_parameters_to_context(d->decoder, parameters) < 0)
		return decode_fail(d, -EBADMSG, "its parameters make no sense");
	d->decoder->thread_count = 1;
	d->decoder->max_pixels = DECODE_PIXELS_MOST;
	/* a keyframe from which cameras refresh their picture step by step is what there is */
	d->decoder->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
	d->decoder->flags2 |= AV_CODEC_FLAG2_SHOW_ALL;
	if (avcodec_open2(d->decoder, codec, NULL) < 0)
		return decode_fail(d, -EBADMSG, "its parameters make no sense");
	return 0;
}

static int decode_pixels(struct decode *d)
{
	const AVPacket *packet = d->order->packet;

	if (packet->size > DECODE_BYTES_MOST)
		return decode_fail(d, -E2BIG, "it has too many bytes");
	d->decoded = frame_new();
	if (packet->size <= 0 || avcodec_send_packet(d->decoder, packet) < 0 ||
		avcodec_send_packet(d->decoder, NULL) <
			0 || /* nothing follows that it had to wait for */
		avcodec_receive_frame(d->decoder, d->decoded) < 0)
		return decode_fail(d, -EBADMSG, "it cannot be decoded");
	return 0;
}

/* --- scaling --- */

/* The same pixels under the name that does not speak of their range. */
static enum AVPixelFormat format_without_range(enum AVPixelFormat format)
{
	switch (format) {
	case AV_PIX_FMT_YUVJ420P:
		return AV_PIX_FMT_YUV420P;
	case AV_PIX_FMT_YUVJ422P:
		return AV_PIX_FMT_YUV422P;
	case AV_PIX_FMT_YUVJ444P:
		return AV_PIX_FMT_YUV444P;
	case AV_PIX_FMT_YUVJ440P:
		return AV_PIX_FMT_YUV440P;
	case AV_PIX_FMT_YUVJ411P:
		return AV_PIX_FMT_YUV411P;
	default:
		return format;
	}
}

static int colours_of(const AVFrame *frame)
{
	switch (frame->colorspace) {
	case AVCOL_SPC_UNSPECIFIED:
		return frame->height < HD_HEIGHT ? SWS_CS_ITU601 : SWS_CS_ITU709;
	case AVCOL_SPC_BT709:
		return SWS_CS_ITU709;
	case AVCOL_SPC_BT2020_NCL:
	case AVCOL_SPC_BT2020_CL:
		return SWS_CS_BT2020;
	default:
		return SWS_CS_ITU601;
	}
}

static AVFrame *frame_of_jpeg(struct size size)
{
	AVFrame *frame = frame_new();

	frame->format = AV_PIX_FMT_YUV420P;
	frame->color_range = AVCOL_RANGE_JPEG;
	frame->width = size.width;
	frame->height = size.height;
	if (av_frame_get_buffer(frame, 0) < 0)
		av_frame_free(&frame);
	return frame;
}

/*
 * JFIF has the colours of ITU-R BT.601 in the full range. Of the ranges libswscale wants to know before it begins, or it copies
 * what has the right size already.
 */
static struct SwsContext *scaler_new(const AVFrame *from, const AVFrame *to)
{
	enum AVPixelFormat format = format_without_range((enum AVPixelFormat)from->format);
	bool is_full = from->color_range == AVCOL_RANGE_JPEG || (int)format != from->format;
	const struct {
		const char *name;
		int64_t value;
	} options[] = {
		{"srcw",        from->width },
		{ "srch",       from->height},
		{ "src_format", format      },
		{ "src_range",  is_full     },
		{ "dstw",       to->width   },
		{ "dsth",       to->height  },
		{ "dst_format", to->format  },
		{ "dst_range",  1           },
		{ "sws_flags",  SWS_BILINEAR},
	};
	struct SwsContext *scaler = sws_alloc_context();
	bool works = scaler;

	for (size_t i = 0; i < ARRAY_LENGTH(options) && works; i++)
		works = av_opt_set_int(scaler, options[i].name, options[i].value, 0) >= 0;
	if (!works || sws_init_context(scaler, NULL, NULL) < 0) {
		sws_freeContext(scaler);
		return NULL;
	}
	/* grey has no colours to be told of */
	(void)sws_setColorspaceDetails(scaler, sws_getCoefficients(colours_of(from)), is_full,
		sws_getCoefficients(SWS_CS_ITU601), 1, 0, 1 << 16, 1 << 16);
	return scaler;
}

static int decode_scale(struct decode *d)
{
	AVFrame *from = d->decoded;
	AVRational aspect = from->sample_aspect_ratio.num
				    ? from->sample_aspect_ratio
				    : d->order->parameters->sample_aspect_ratio;
	struct size whole = size_square(from->width, from->height, aspect);

	if (!whole.width)
		return decode_fail(d, -E2BIG, "the picture is too large");
	d->scaled = frame_of_jpeg(decode_size(d, whole));
	d->scaler = d->scaled ? scaler_new(from, d->scaled) : NULL;
	if (!d->scaler ||
		sws_scale(d->scaler, (const uint8_t *const *)from->data, from->linesize, 0,
			from->height, d->scaled->data, d->scaled->linesize) != d->scaled->height)
		return decode_fail(d, -EBADMSG, "its pixels cannot be scaled");
	return 0;
}

/* --- turning --- */

static void plane_turn(const AVFrame *from, AVFrame *to, int plane, int rotation)
{
	int half = plane > 0, width = to->width >> half, height = to->height >> half;
	const uint8_t *in = from->data[plane];
	int stride = from->linesize[plane];
	/* where the first pixel is taken from, and how far it is to the next one to the right, and below */
	int first = rotation == 90    ? stride * (width - 1)
		    : rotation == 180 ? stride * (height - 1) + width - 1
				      : height - 1;
	int right = rotation == 90 ? -stride : rotation == 180 ? -1 : stride;
	int below = rotation == 90 ? 1 : rotation == 180 ? -stride : -1;

	for (int y = 0; y < height; y++) {
		uint8_t *out = to->data[plane] + y * to->linesize[plane];

		for (int x = 0; x < width; x++)
			out[x] = in[first + y * below + x * right];
	}
}

static int decode_turn(struct decode *d)
{
	int rotation = d->order->rotation;
	struct size size = { d->scaled->width, d->scaled->height };

	if (rotation == 0)
		return 0;
	d->turned = frame_of_jpeg(size_turned(size, rotation));
	if (!d->turned)
		return decode_fail(d, -EBADMSG, "its pixels cannot be turned");
	for (int plane = 0; plane < PLANES; plane++)
		plane_turn(d->scaled, d->turned, plane, rotation);
	return 0;
}

/* --- the JPEG --- */

static int decode_encode(struct decode *d)
{
	const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
	AVFrame *frame = d->turned ? d->turned : d->scaled;

	d->encoder = avcodec_alloc_context3(codec);
	d->jpeg = av_packet_alloc();
	if (!codec || !d->encoder || !d->jpeg)
		return decode_fail(d, -ENOTSUP, "libavcodec has no encoder for JPEG");
	d->encoder->width = frame->width;
	d->encoder->height = frame->height;
	d->encoder->pix_fmt = AV_PIX_FMT_YUV420P;
	d->encoder->color_range = AVCOL_RANGE_JPEG;
	d->encoder->time_base = (AVRational){ 1, 1 };
	d->encoder->thread_count = 1;
	d->encoder->flags |= AV_CODEC_FLAG_QSCALE;
	d->encoder->global_quality = FF_QP2LAMBDA * QUALITY;
	frame->quality = d->encoder->global_quality;
	frame->pts = 0;
	if (avcodec_open2(d->encoder, codec, NULL) < 0 ||
		avcodec_send_frame(d->encoder, frame) < 0 ||
		avcodec_send_frame(d->encoder, NULL) < 0 ||
		avcodec_receive_packet(d->encoder, d->jpeg) < 0)
		return decode_fail(d, -EBADMSG, "its pixels cannot be encoded");
	return 0;
}

int decode_to_jpeg(const struct decode_order *order, AVPacket **ret, const char **why)
{
	static int (*const steps[])(struct decode *) = {
		decode_open,
		decode_pixels,
		decode_scale,
		decode_turn,
		decode_encode,
	};
	struct decode d = { .order = order };
	int error = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(steps) && !error; i++)
		error = steps[i](&d);
	if (error) {
		*why = d.why;
	} else {
		*ret = d.jpeg;
		d.jpeg = NULL;
	}
	avcodec_free_context(&d.decoder);
	avcodec_free_context(&d.encoder);
	sws_freeContext(d.scaler);
	av_frame_free(&d.decoded);
	av_frame_free(&d.scaled);
	av_frame_free(&d.turned);
	av_packet_free(&d.jpeg);
	return error;
}
