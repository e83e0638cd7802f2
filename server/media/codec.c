#include "server/media/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mem.h>

#include "server/base/reader.h"
#include "server/media/aac.h"

/* Codec parameters from parameter sets; RFC 6381 names (ISO/IEC 14496-15 annex E for hvc1). */

enum {
	CODEC_EXTRADATA_BYTES = 16 << 10,
	CODEC_OPUS_HEAD_BYTES = 19,
	CODEC_OPUS_HZ = 48000,
	CODEC_SOUND_HZ = 192000 /* at most */
};

/* Sound that has no configuration of its own. */
struct codec_sound {
	enum AVCodecID id;
	enum AVSampleFormat format;
	unsigned bits, channels_most;
};

static int codec_set_extradata(AVCodecParameters *parameters, const uint8_t *p, size_t n)
{
	parameters->extradata = av_mallocz(n + AV_INPUT_BUFFER_PADDING_SIZE);
	if (!parameters->extradata)
		return -ENOMEM;
	memcpy(parameters->extradata, p, n);
	parameters->extradata_size = (int)n;
	return 0;
}

static AVCodecParameters *codec_new(enum AVMediaType type, enum AVCodecID id,
	const uint8_t *extradata, size_t n, const char **why)
{
	AVCodecParameters *parameters = avcodec_parameters_alloc();

	*why = "out of memory";
	if (!parameters)
		return NULL;
	parameters->codec_type = type;
	parameters->codec_id = id;
	if (extradata && codec_set_extradata(parameters, extradata, n) < 0)
		avcodec_parameters_free(&parameters);
	else
		*why = NULL;
	return parameters;
}

/* The pixel format, where it is one that cameras have. */
static enum AVPixelFormat codec_pixel_format(
	unsigned chroma, unsigned luma_bits, unsigned chroma_bits)
{
	static const enum AVPixelFormat formats[4][2] = {
		{AV_PIX_FMT_GRAY8,    AV_PIX_FMT_GRAY10   },
		{ AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV420P10},
		{ AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUV422P10},
		{ AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUV444P10},
	};

	if ((luma_bits != 8 && luma_bits != 10) || (chroma && chroma_bits != luma_bits))
		return AV_PIX_FMT_NONE;
	return formats[chroma & 3][luma_bits == 10];
}

static void codec_set_frame_rate(AVCodecParameters *parameters, uint32_t num, uint32_t den)
{
#if LIBAVCODEC_VERSION_MAJOR >= 61
	/* earlier versions have no place for it */
	if (num && den)
		(void)av_reduce(&parameters->framerate.num, &parameters->framerate.den, num, den,
			INT32_MAX);
#else
	(void)parameters, (void)num, (void)den;
#endif
}

AVCodecParameters *codec_of_h264(const struct h264_sets *sets, const char **why)
{
	const struct h264_set *set = h264_sets_sps(sets);
	uint8_t avcc[CODEC_EXTRADATA_BYTES];
	size_t n = h264_sets_write_avcc(sets, avcc, sizeof(avcc));
	AVCodecParameters *parameters;
	struct h264_sps sps;

	*why = "H.264 parameter sets incomplete";
	if (!n || !set || h264_sps_parse(&sps, set->data, set->bytes, why) < 0)
		return NULL;
	parameters = codec_new(AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_H264, avcc, n, why);
	if (!parameters)
		return NULL;
	parameters->width = (int)sps.width;
	parameters->height = (int)sps.height;
	parameters->profile = sps.profile;
	if (sps.profile == 66 && sps.constraints & 0x40)
		parameters->profile |= FF_PROFILE_H264_CONSTRAINED;
	parameters->level = sps.level;
	parameters->video_delay = (int)sps.reorder_frames;
	parameters->sample_aspect_ratio =
		(AVRational){ (int)sps.aspect_width, (int)sps.aspect_height };
	parameters->format =
		codec_pixel_format(sps.chroma_format, sps.bit_depth_luma, sps.bit_depth_chroma);
	parameters->bits_per_raw_sample = sps.bit_depth_luma;
	codec_set_frame_rate(parameters, sps.frame_rate_num, sps.frame_rate_den);
	return parameters;
}

AVCodecParameters *codec_of_h265(const struct h265_sets *sets, const char **why)
{
	const struct h265_set *set = h265_sets_sps(sets);
	uint8_t hvcc[CODEC_EXTRADATA_BYTES];
	size_t n = h265_sets_write_hvcc(sets, hvcc, sizeof(hvcc));
	AVCodecParameters *parameters;
	struct h265_sps sps;

	*why = "H.265 parameter sets incomplete";
	if (!n || !set || h265_sps_parse(&sps, set->data, set->bytes, why) < 0)
		return NULL;
	parameters = codec_new(AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_HEVC, hvcc, n, why);
	if (!parameters)
		return NULL;
	parameters->width = (int)sps.width;
	parameters->height = (int)sps.height;
	parameters->profile = sps.profile;
	parameters->level = sps.level;
	parameters->video_delay = (int)sps.reorder_frames;
	parameters->sample_aspect_ratio =
		(AVRational){ (int)sps.aspect_width, (int)sps.aspect_height };
	parameters->format =
		codec_pixel_format(sps.chroma_format, sps.bit_depth_luma, sps.bit_depth_chroma);
	parameters->bits_per_raw_sample = sps.bit_depth_luma;
	codec_set_frame_rate(parameters, sps.frame_rate_num, sps.frame_rate_den);
	return parameters;
}

/* By the sampling factors of luma; chroma has 1x1 in all that cameras make. */
static enum AVPixelFormat codec_jpeg_format(const struct jpeg *jpeg)
{
	static const struct {
		uint8_t luma;
		enum AVPixelFormat format;
	} rows[] = {
		{0x11,  AV_PIX_FMT_YUVJ444P},
		{ 0x12, AV_PIX_FMT_YUVJ440P},
		{ 0x21, AV_PIX_FMT_YUVJ422P},
		{ 0x22, AV_PIX_FMT_YUVJ420P},
		{ 0x41, AV_PIX_FMT_YUVJ411P},
	};

	if (jpeg->components == 1)
		return AV_PIX_FMT_GRAY8;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (jpeg->components == 3 && jpeg->sampling[0] == rows[i].luma &&
			jpeg->sampling[1] == 0x11 && jpeg->sampling[2] == 0x11)
			return rows[i].format;
	}
	return AV_PIX_FMT_NONE;
}

AVCodecParameters *codec_of_jpeg(const struct jpeg *jpeg, const char **why)
{
	static const uint8_t nothing[1];
	AVCodecParameters *parameters;

	*why = "there is no JPEG yet";
	if (!jpeg || !jpeg->width || !jpeg->height)
		return NULL;
	parameters = codec_new(AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_MJPEG, nothing, 0, why);
	if (!parameters)
		return NULL;
	parameters->width = jpeg->width;
	parameters->height = jpeg->height;
	parameters->format = codec_jpeg_format(jpeg);
	parameters->color_range = AVCOL_RANGE_JPEG;
	parameters->color_space = AVCOL_SPC_BT470BG;
	parameters->bits_per_raw_sample = 8;
	return parameters;
}

AVCodecParameters *codec_of_aac(const uint8_t *config, size_t n, const char **why)
{
	AVCodecParameters *parameters;
	struct aac_config aac;

	*why = "AudioSpecificConfig too long";
	if (n > CODEC_EXTRADATA_BYTES || aac_config_parse(&aac, config, n, why) < 0)
		return NULL;
	parameters = codec_new(AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_AAC, config, n, why);
	if (!parameters)
		return NULL;
	parameters->sample_rate = (int)aac.sample_rate;
	parameters->frame_size = aac.frame_samples;
	parameters->profile = aac.object_type - 1; /* libavcodec's profiles count from 0 */
	parameters->format = AV_SAMPLE_FMT_FLTP;
	av_channel_layout_default(&parameters->ch_layout, aac.channels);
	return parameters;
}

/* RFC 7845 section 5.1: no samples to skip (it is live), mono or stereo. */
static size_t codec_write_opus_head(uint8_t ret[CODEC_OPUS_HEAD_BYTES], unsigned channels)
{
	const uint8_t head[CODEC_OPUS_HEAD_BYTES] = { 'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1,
		(uint8_t)channels, 0, 0, CODEC_OPUS_HZ & 0xff, CODEC_OPUS_HZ >> 8 & 0xff };

	memcpy(ret, head, sizeof(head));
	return sizeof(head);
}

/* What sound of that codec may have, or NULL. */
static const struct codec_sound *codec_find_sound(enum AVCodecID id)
{
	static const struct codec_sound rows[] = {
		{AV_CODEC_ID_PCM_MULAW,     AV_SAMPLE_FMT_S16,  8,  8},
		{ AV_CODEC_ID_PCM_ALAW,     AV_SAMPLE_FMT_S16,  8,  8},
		{ AV_CODEC_ID_PCM_S16BE,    AV_SAMPLE_FMT_S16,  16, 8},
		{ AV_CODEC_ID_ADPCM_G726,   AV_SAMPLE_FMT_S16,  4,  1},
		{ AV_CODEC_ID_ADPCM_G726LE, AV_SAMPLE_FMT_S16,  4,  1},
		{ AV_CODEC_ID_OPUS,         AV_SAMPLE_FMT_FLTP, 0,  2},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (rows[i].id == id)
			return &rows[i];
	}
	return NULL;
}

AVCodecParameters *codec_of_sound(
	enum AVCodecID id, uint32_t hz, unsigned channels, const char **why)
{
	const struct codec_sound *sound = codec_find_sound(id);
	bool opus = id == AV_CODEC_ID_OPUS;
	uint8_t head[CODEC_OPUS_HEAD_BYTES];
	AVCodecParameters *parameters;
	size_t head_bytes = 0;

	*why = "rate or channels out of range";
	if (!sound || channels < 1 || channels > sound->channels_most ||
		(!opus && (hz < 1 || hz > CODEC_SOUND_HZ)))
		return NULL;
	if (opus)
		head_bytes = codec_write_opus_head(head, channels);
	parameters = codec_new(AVMEDIA_TYPE_AUDIO, id, opus ? head : NULL, head_bytes, why);
	if (!parameters)
		return NULL;
	parameters->sample_rate = opus ? CODEC_OPUS_HZ : (int)hz;
	parameters->format = sound->format;
	parameters->bits_per_coded_sample = (int)sound->bits;
	parameters->block_align = (int)(sound->bits / 8 * channels);
	av_channel_layout_default(&parameters->ch_layout, (int)channels);
	return parameters;
}

unsigned codec_reorder_frames(const AVCodecParameters *parameters)
{
	if (parameters->codec_type != AVMEDIA_TYPE_VIDEO || parameters->video_delay < 0)
		return 0;
	return (unsigned)parameters->video_delay;
}

static void codec_h264_string(char *ret, size_t size, const uint8_t *avcc, size_t n)
{
	if (n >= 4)
		(void)snprintf(ret, size, "avc1.%02x%02x%02x", avcc[1], avcc[2], avcc[3]);
}

static uint32_t codec_reverse(uint32_t bits)
{
	uint32_t reversed = 0;

	for (unsigned i = 0; i < 32; i++)
		reversed |= (bits >> i & 1) << (31 - i);
	return reversed;
}

/* ISO/IEC 14496-15 section E.3. */
static void codec_h265_string(char *ret, size_t size, const uint8_t *hvcc, size_t n)
{
	static const char *const spaces[] = { "", "A", "B", "C" };
	struct reader r = reader_of(hvcc, n);
	unsigned profile, level;
	uint32_t compatibility;
	const uint8_t *constraints;
	size_t used = 6;
	int at;

	reader_skip(&r, 1);
	profile = reader_u8(&r);
	compatibility = reader_u32(&r);
	constraints = reader_bytes(&r, used);
	level = reader_u8(&r);
	if (r.why || !constraints)
		return;
	while (used && !constraints[used - 1])
		used--;
	at = snprintf(ret, size, "hvc1.%s%u.%X.%c%u", spaces[profile >> 6], profile & 0x1f,
		codec_reverse(compatibility), profile & 0x20 ? 'H' : 'L', level);
	for (size_t i = 0; i < used && at > 0 && (size_t)at < size; i++)
		at += snprintf(ret + at, size - (size_t)at, ".%X", constraints[i]);
}

static void codec_aac_string(char *ret, size_t size, const uint8_t *config, size_t n)
{
	struct aac_config aac;
	const char *why;

	if (aac_config_parse(&aac, config, n, &why) == 0)
		(void)snprintf(ret, size, "mp4a.40.%u", aac.object_type);
}

char *codec_string(char *ret, size_t size, const AVCodecParameters *parameters)
{
	const uint8_t *p = parameters->extradata;
	size_t n = p && parameters->extradata_size > 0 ? (size_t)parameters->extradata_size : 0;

	if (size)
		ret[0] = '\0';
	if (parameters->codec_id == AV_CODEC_ID_H264)
		codec_h264_string(ret, size, p, n);
	else if (parameters->codec_id == AV_CODEC_ID_HEVC)
		codec_h265_string(ret, size, p, n);
	else if (parameters->codec_id == AV_CODEC_ID_AAC)
		codec_aac_string(ret, size, p, n);
	else if (parameters->codec_id == AV_CODEC_ID_OPUS)
		(void)snprintf(ret, size, "opus");
	else if (parameters->codec_id == AV_CODEC_ID_MJPEG)
		(void)snprintf(ret, size, "mp4v.6C");
	return ret;
}

const char *codec_name(const AVCodecParameters *parameters)
{
	if (parameters->codec_id == AV_CODEC_ID_HEVC)
		return "h265";
	if (parameters->codec_id == AV_CODEC_ID_ADPCM_G726 ||
		parameters->codec_id == AV_CODEC_ID_ADPCM_G726LE)
		return "g726";
	return avcodec_get_name(parameters->codec_id);
}
