#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* H.264 (ITU-T H.264): NAL units, parameter sets, and the avcC record (ISO/IEC 14496-15). Pure. */

enum h264_nal {
	H264_SLICE = 1,
	H264_IDR = 5,
	H264_SEI = 6,
	H264_SPS = 7,
	H264_PPS = 8,
	H264_AUD = 9,
	H264_END_OF_SEQUENCE = 10,
	H264_END_OF_STREAM = 11,
	H264_FILLER = 12,
};

static inline unsigned h264_nal_type(const uint8_t *nal)
{
	return nal[0] & 0x1f;
}

struct h264_sps {
	uint8_t id, profile, constraints, level;
	uint32_t width, height;               /* cropped, in samples */
	uint32_t aspect_width, aspect_height; /* of a sample; 1:1 when unsaid */
	unsigned
		reorder_frames; /* how far presentation may differ from decoding order; 0 for baseline */
	uint32_t frame_rate_num, frame_rate_den; /* 0/0 when unsaid */
	uint8_t chroma_format, bit_depth_luma, bit_depth_chroma;
};

/* Parses a whole SPS NAL unit (with its header byte). Returns 0, or -EBADMSG and *why. */
int h264_sps_parse(struct h264_sps *ret, const uint8_t *p, size_t n, const char **why) MUST_CHECK;

enum {
	H264_SETS = 4,
	H264_SET_BYTES = 1024
};

/* The parameter sets in force, by their ids; the newest, where there are more. Plain data. */
struct h264_set {
	uint16_t bytes; /* 0: none */
	uint8_t data[H264_SET_BYTES];
};
struct h264_sets {
	struct h264_set sps[H264_SETS], pps[H264_SETS];
};

/*
 * Takes an SPS or PPS NAL unit (trailing zeros cut). Returns 1 when it changed something, 0 when it
 * was known, -EBADMSG when it is neither, malformed, or too large.
 */
int h264_sets_add(struct h264_sets *sets, const uint8_t *nal, size_t n) MUST_CHECK;
bool h264_sets_complete(const struct h264_sets *sets); /* at least an SPS and a PPS */
/* The first SPS; NULL when there is none. */
const struct h264_set *h264_sets_sps(const struct h264_sets *sets);

/* Writes the avcC record. Returns its bytes, or 0 when ret is too small or the sets incomplete. */
size_t h264_sets_write_avcc(const struct h264_sets *sets, uint8_t *ret, size_t size);

/* Whether an SEI NAL unit holds a recovery point message. */
bool h264_sei_is_recovery_point(const uint8_t *nal, size_t n);
/* Whether a slice NAL unit is the first of its picture (first_mb_in_slice is 0). */
bool h264_is_first_slice(const uint8_t *nal, size_t n);

/*
 * Finds the next NAL unit of an Annex B byte stream (start codes 00 00 01). *at is advanced; returns
 * the NAL unit and its length, or NULL at the end. Bytes without any start code are one NAL unit.
 */
const uint8_t *annexb_next(const uint8_t *p, size_t n, size_t *at, size_t *nal_bytes);
