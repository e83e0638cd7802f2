#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* H.265 (ITU-T H.265): NAL units, parameter sets, and the hvcC record (ISO/IEC 14496-15). Pure. */

enum h265_nal {
	H265_IRAP_FIRST = 16, /* BLA, IDR, CRA: 16 to 21; 22, 23 reserved */
	H265_IRAP_LAST = 23,
	H265_VPS = 32,
	H265_SPS = 33,
	H265_PPS = 34,
	H265_AUD = 35,
	H265_END_OF_SEQUENCE = 36,
	H265_END_OF_BITSTREAM = 37,
	H265_FILLER = 38,
	H265_SEI_PREFIX = 39,
	H265_SEI_SUFFIX = 40,
};

static inline unsigned h265_nal_type(const uint8_t *nal)
{
	return nal[0] >> 1 & 0x3f;
}

struct h265_sps {
	uint8_t id, profile_space, tier, profile, level;
	uint32_t
		profile_compatibility; /* general_profile_compatibility_flags, first flag in bit 31 */
	uint64_t constraints;          /* the 48 bits after them */
	uint32_t width, height;
	uint32_t aspect_width, aspect_height;
	unsigned reorder_frames; /* sps_max_num_reorder_pics of the highest sub-layer */
	uint32_t frame_rate_num, frame_rate_den;
	uint8_t chroma_format, bit_depth_luma, bit_depth_chroma;
	uint8_t temporal_layers;
	bool temporal_nesting;
};

int h265_sps_parse(struct h265_sps *ret, const uint8_t *p, size_t n, const char **why) MUST_CHECK;

enum {
	H265_SETS = 4,
	H265_SET_BYTES = 1024
};

struct h265_set {
	uint16_t bytes;
	uint8_t data[H265_SET_BYTES];
};
struct h265_sets {
	struct h265_set vps[H265_SETS], sps[H265_SETS], pps[H265_SETS];
};

/* As h264_sets_add(), for VPS, SPS and PPS. */
int h265_sets_add(struct h265_sets *sets, const uint8_t *nal, size_t n) MUST_CHECK;
bool h265_sets_complete(const struct h265_sets *sets);
const struct h265_set *h265_sets_sps(const struct h265_sets *sets);
size_t h265_sets_write_hvcc(const struct h265_sets *sets, uint8_t *ret, size_t size);

/* first_slice_segment_in_pic_flag of a slice NAL unit (types 0 to 31). */
bool h265_is_first_slice(const uint8_t *nal, size_t n);
