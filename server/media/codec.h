#pragma once

#include <stddef.h>
#include <stdint.h>

#include <libavcodec/codec_par.h>

#include "server/base/attributes.h"
#include "server/media/h264.h"
#include "server/media/h265.h"
#include "server/media/jpeg.h"

/*
 * From parameter sets to complete AVCodecParameters (codec, size, profile, level, frame rate,
 * aspect ratio, extradata as avcC, hvcC or AudioSpecificConfig), and to the names that HTML uses.
 * The ones that make: return new parameters that the caller frees with avcodec_parameters_free(),
 * or NULL and a static *why.
 */
AVCodecParameters *codec_of_h264(const struct h264_sets *sets, const char **why) MUST_CHECK;
AVCodecParameters *codec_of_h265(const struct h265_sets *sets, const char **why) MUST_CHECK;
/* Motion JPEG of pictures like this one. */
AVCodecParameters *codec_of_jpeg(const struct jpeg *jpeg, const char **why) MUST_CHECK;
AVCodecParameters *codec_of_aac(const uint8_t *config, size_t n, const char **why) MUST_CHECK;
/*
 * Sound that rate and channels describe: AV_CODEC_ID_PCM_MULAW, _PCM_ALAW, _PCM_S16BE,
 * _ADPCM_G726(LE) (of 4 bits; bits_per_coded_sample may be set afterwards), _OPUS (hz is not used).
 */
AVCodecParameters *codec_of_sound(
	enum AVCodecID id, uint32_t hz, unsigned channels, const char **why) MUST_CHECK;

/* How many pictures presentation order may lag behind decoding order; 0 for audio. */
unsigned codec_reorder_frames(const AVCodecParameters *parameters);

/* RFC 6381, e.g. "avc1.64001f", "hvc1.1.6.L93.B0", "mp4a.40.2". Returns ret; "" when
 * there is none. */
char *codec_string(char *ret, size_t size, const AVCodecParameters *parameters);

/* "h264", "h265", "mjpeg", "aac", "opus", "pcm_mulaw", "g726": for logs and the catalogue. */
const char *codec_name(const AVCodecParameters *parameters);
