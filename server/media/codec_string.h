#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * RFC 6381 names from the configuration records that MP4 keeps. Pure. Each writes into ret and
 * returns it: "" when the record is too short or makes no sense. All fit in CODEC_STRING_BYTES.
 */
enum {
	CODEC_STRING_BYTES = 48
};

/* AVCDecoderConfigurationRecord: "avc1.64001f". */
char *codec_string_of_avcc(char *ret, size_t size, const uint8_t *p, size_t n);
/* HEVCDecoderConfigurationRecord: "hvc1.1.6.L93.B0". */
char *codec_string_of_hvcc(char *ret, size_t size, const uint8_t *p, size_t n);
/* AV1CodecConfigurationRecord: "av01.0.04M.08". */
char *codec_string_of_av1c(char *ret, size_t size, const uint8_t *p, size_t n);
/* AudioSpecificConfig: "mp4a.40.2". */
char *codec_string_of_aac(char *ret, size_t size, const uint8_t *p, size_t n);
