#include "server/media/h264.h"

#include <errno.h>
#include <string.h>

#include "server/media/bits.h"
#include "server/media/vui.h"

/*
 * Sequence parameter sets (ITU-T H.264 sections 7.3.2.1.1 and E.1), the store of the sets in force,
 * the avcC record (ISO/IEC 14496-15 section 5.3.3.1), SEI and Annex B.
 */

enum {
	H264_MAX_PIXELS = 16384, /* per side; level 6.2 ends at 16,864 */
	H264_MAX_SPS_ID = 31,
	H264_MAX_PPS_ID = 255,
	/* Encoders that reorder more than this do say so in bitstream_restriction. */
	H264_UNSAID_REORDER = 2,
};

/* What of an SPS decides how it goes on, beside what is told. */
struct h264_layout {
	uint32_t chroma_array_type, frame_mbs_only, reference_frames, poc_type;
};

static bool h264_profile_has_chroma(unsigned profile)
{
	static const uint8_t profiles[] = { 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134,
		135 };

	return memchr(profiles, (int)profile, sizeof(profiles)) != NULL;
}

static void h264_skip_scaling_list(struct bits *b, unsigned size)
{
	int32_t last = 8;
	int32_t next = 8;

	for (unsigned i = 0; i < size && !b->failed; i++) {
		if (next)
			next = (int32_t)(((int64_t)last + bits_se(b) + 256) & 0xff);
		if (next)
			last = next;
	}
}

static void h264_parse_chroma(struct bits *b, struct h264_sps *sps, struct h264_layout *layout)
{
	uint32_t chroma = bits_ue(b);
	uint32_t separate = chroma == 3 ? bits_read(b, 1) : 0;
	uint32_t luma_bits = bits_ue(b);
	uint32_t chroma_bits = bits_ue(b);

	if (chroma > 3 || luma_bits > 6 || chroma_bits > 6) {
		b->failed = true;
		return;
	}
	sps->chroma_format = (uint8_t)chroma;
	sps->bit_depth_luma = (uint8_t)(8 + luma_bits);
	sps->bit_depth_chroma = (uint8_t)(8 + chroma_bits);
	layout->chroma_array_type = separate ? 0 : chroma;
	bits_skip(b, 1); /* qpprime_y_zero_transform_bypass_flag */
	if (!bits_read(b, 1))
		return;
	for (unsigned i = 0; i < (chroma == 3 ? 12U : 8U); i++)
		if (bits_read(b, 1))
			h264_skip_scaling_list(b, i < 6 ? 16 : 64);
}

static void h264_parse_poc(struct bits *b, struct h264_layout *layout)
{
	uint32_t cycle;

	layout->poc_type = bits_ue(b);
	if (layout->poc_type > 2)
		b->failed = true;
	if (layout->poc_type == 0)
		(void)bits_ue(b);
	if (layout->poc_type != 1)
		return;
	bits_skip(b, 1);
	(void)bits_se(b);
	(void)bits_se(b);
	cycle = bits_ue(b);
	if (cycle > 255)
		b->failed = true;
	for (uint32_t i = 0; i < cycle && !b->failed; i++)
		(void)bits_se(b);
}

/* Cuts `a` and `z` units of `unit` samples from a side. */
static int h264_crop(uint32_t *side, uint32_t a, uint32_t z, unsigned unit)
{
	uint64_t cut = ((uint64_t)a + z) * unit;

	if (cut >= *side)
		return -EBADMSG;
	*side -= (uint32_t)cut;
	return 0;
}

static int h264_parse_size(struct bits *b, struct h264_sps *sps, struct h264_layout *layout)
{
	uint64_t width = ((uint64_t)bits_ue(b) + 1) * 16;
	uint64_t height = ((uint64_t)bits_ue(b) + 1) * 16;
	unsigned chroma = layout->chroma_array_type;
	uint32_t left, right, top, bottom;

	layout->frame_mbs_only = bits_read(b, 1);
	if (!layout->frame_mbs_only) {
		height *= 2;
		bits_skip(b, 1); /* mb_adaptive_frame_field_flag */
	}
	bits_skip(b, 1); /* direct_8x8_inference_flag */
	if (width > H264_MAX_PIXELS || height > H264_MAX_PIXELS)
		return -EBADMSG;
	sps->width = (uint32_t)width;
	sps->height = (uint32_t)height;
	if (!bits_read(b, 1))
		return 0;
	left = bits_ue(b);
	right = bits_ue(b);
	top = bits_ue(b);
	bottom = bits_ue(b);
	if (h264_crop(&sps->width, left, right, chroma == 1 || chroma == 2 ? 2 : 1) < 0)
		return -EBADMSG;
	return h264_crop(&sps->height, top, bottom,
		(chroma == 1 ? 2 : 1) * (layout->frame_mbs_only ? 1 : 2));
}

static void h264_skip_hrd(struct bits *b)
{
	uint32_t count = bits_ue(b);

	if (count > 31)
		b->failed = true;
	bits_skip(b, 8);
	for (uint32_t i = 0; i <= count && !b->failed; i++) {
		(void)bits_ue(b);
		(void)bits_ue(b);
		bits_skip(b, 1);
	}
	bits_skip(b, 20);
}

static void h264_parse_timing(struct bits *b, struct h264_sps *sps)
{
	uint32_t units = bits_read(b, 32);
	uint32_t scale = bits_read(b, 32);

	bits_skip(b, 1); /* fixed_frame_rate_flag */
	if (b->failed || !units || !scale || units > UINT32_MAX / 2)
		return;
	sps->frame_rate_num = scale;
	sps->frame_rate_den = 2 * units; /* a tick is a field */
}

static void h264_parse_restriction(struct bits *b, struct h264_sps *sps)
{
	uint32_t reorder;

	bits_skip(b, 1);
	for (unsigned i = 0; i < 4; i++)
		(void)bits_ue(b);
	reorder = bits_ue(b);
	(void)bits_ue(b); /* max_dec_frame_buffering */
	if (!b->failed && reorder <= 16)
		sps->reorder_frames = reorder;
}

static void h264_parse_vui(struct bits *b, struct h264_sps *sps)
{
	uint32_t nal_hrd, vcl_hrd;

	vui_read_display(b, &sps->aspect_width, &sps->aspect_height);
	if (bits_read(b, 1))
		h264_parse_timing(b, sps);
	nal_hrd = bits_read(b, 1);
	if (nal_hrd)
		h264_skip_hrd(b);
	vcl_hrd = bits_read(b, 1);
	if (vcl_hrd)
		h264_skip_hrd(b);
	if (nal_hrd || vcl_hrd)
		bits_skip(b, 1);
	bits_skip(b, 1); /* pic_struct_present_flag */
	if (bits_read(b, 1))
		h264_parse_restriction(b, sps);
}

/* For streams that do not say: 0 where the profile or the picture order cannot reorder. */
static unsigned h264_guess_reorder(const struct h264_sps *sps, const struct h264_layout *layout)
{
	bool intra = sps->constraints & 0x10 && sps->profile != 66 && sps->profile != 77 &&
		     sps->profile != 88;

	if (sps->profile == 66 || intra || layout->poc_type == 2 || layout->reference_frames < 2)
		return 0;
	return H264_UNSAID_REORDER;
}

int h264_sps_parse(struct h264_sps *ret, const uint8_t *p, size_t n, const char **why)
{
	struct h264_sps sps = { .aspect_width = 1,
		.aspect_height = 1,
		.chroma_format = 1,
		.bit_depth_luma = 8,
		.bit_depth_chroma = 8 };
	struct h264_layout layout = { .chroma_array_type = 1 };
	struct bits b;
	uint32_t id;
	int size;

	*why = "not an H.264 SPS";
	if (n < 4 || h264_nal_type(p) != H264_SPS)
		return -EBADMSG;
	sps.profile = p[1];
	sps.constraints = p[2];
	sps.level = p[3];
	b = bits_of(p + 4, n - 4, true);
	id = bits_ue(&b);
	if (h264_profile_has_chroma(sps.profile))
		h264_parse_chroma(&b, &sps, &layout);
	(void)bits_ue(&b); /* log2_max_frame_num_minus4 */
	h264_parse_poc(&b, &layout);
	layout.reference_frames = bits_ue(&b);
	bits_skip(&b, 1);
	size = h264_parse_size(&b, &sps, &layout);
	*why = "malformed H.264 SPS";
	if (b.failed || id > H264_MAX_SPS_ID || layout.reference_frames > 16)
		return -EBADMSG;
	*why = "H.264 picture size out of range";
	if (size < 0)
		return -EBADMSG;
	sps.id = (uint8_t)id;
	sps.reorder_frames = h264_guess_reorder(&sps, &layout);
	/* Some cameras cut the VUI short; what it tells is not needed to decode. */
	if (bits_read(&b, 1))
		h264_parse_vui(&b, &sps);
	*ret = sps;
	*why = NULL;
	return 0;
}

/* --- the sets in force --- */

/* The id of an SPS or PPS NAL unit, or -EBADMSG. */
static int h264_set_id(const uint8_t *nal, size_t n)
{
	bool is_sps = h264_nal_type(nal) == H264_SPS;
	size_t head = is_sps ? 4 : 1;
	struct bits b;
	uint32_t id;

	if (n <= head)
		return -EBADMSG;
	b = bits_of(nal + head, n - head, true);
	id = bits_ue(&b);
	if (b.failed || id > (is_sps ? H264_MAX_SPS_ID : H264_MAX_PPS_ID))
		return -EBADMSG;
	return (int)id;
}

/* Beyond the limit the oldest goes: some cameras count on with each change of resolution. */
static int h264_set_put(struct h264_set *sets, int id, const uint8_t *nal, size_t n)
{
	size_t i = 0;

	while (i < H264_SETS && sets[i].bytes && h264_set_id(sets[i].data, sets[i].bytes) != id)
		i++;
	if (i < H264_SETS && sets[i].bytes == n && memcmp(sets[i].data, nal, n) == 0)
		return 0;
	if (i == H264_SETS)
		memmove(&sets[0], &sets[1], --i * sizeof(sets[0]));
	memcpy(sets[i].data, nal, n);
	sets[i].bytes = (uint16_t)n;
	return 1;
}

int h264_sets_add(struct h264_sets *sets, const uint8_t *nal, size_t n)
{
	struct h264_sps sps;
	const char *why;
	int id;

	while (n && nal[n - 1] == 0)
		n--;
	if (n < 2 || n > H264_SET_BYTES)
		return -EBADMSG;
	if (h264_nal_type(nal) != H264_SPS && h264_nal_type(nal) != H264_PPS)
		return -EBADMSG;
	if (h264_nal_type(nal) == H264_SPS && h264_sps_parse(&sps, nal, n, &why) < 0)
		return -EBADMSG;
	id = h264_set_id(nal, n);
	if (id < 0)
		return id;
	return h264_set_put(h264_nal_type(nal) == H264_SPS ? sets->sps : sets->pps, id, nal, n);
}

/* The slots are filled from the first one on. */
bool h264_sets_complete(const struct h264_sets *sets)
{
	return sets->sps[0].bytes && sets->pps[0].bytes;
}

const struct h264_set *h264_sets_sps(const struct h264_sets *sets)
{
	return sets->sps[0].bytes ? &sets->sps[0] : NULL;
}

/* --- avcC --- */

static size_t h264_sets_count(const struct h264_set *sets, size_t *bytes)
{
	size_t count = 0;

	while (count < H264_SETS && sets[count].bytes)
		*bytes += 2 + (size_t)sets[count++].bytes;
	return count;
}

static uint8_t *h264_sets_write(const struct h264_set *sets, size_t count, uint8_t *at)
{
	for (size_t i = 0; i < count; i++) {
		*at++ = (uint8_t)(sets[i].bytes >> 8);
		*at++ = (uint8_t)sets[i].bytes;
		memcpy(at, sets[i].data, sets[i].bytes);
		at += sets[i].bytes;
	}
	return at;
}

size_t h264_sets_write_avcc(const struct h264_sets *sets, uint8_t *ret, size_t size)
{
	size_t bytes = 7;
	size_t sps_count = h264_sets_count(sets->sps, &bytes);
	size_t pps_count = h264_sets_count(sets->pps, &bytes);
	struct h264_sps sps;
	const char *why;
	uint8_t *at = ret;
	bool chroma;

	if (!sps_count || !pps_count)
		return 0;
	if (h264_sps_parse(&sps, sets->sps[0].data, sets->sps[0].bytes, &why) < 0)
		return 0;
	chroma = sps.profile != 66 && sps.profile != 77 && sps.profile != 88;
	bytes += chroma ? 4 : 0;
	if (bytes > size)
		return 0;
	*at++ = 1;
	*at++ = sps.profile;
	*at++ = sps.constraints;
	*at++ = sps.level;
	*at++ = 0xfc | 3; /* 4-byte lengths */
	*at++ = (uint8_t)(0xe0 | sps_count);
	at = h264_sets_write(sets->sps, sps_count, at);
	*at++ = (uint8_t)pps_count;
	at = h264_sets_write(sets->pps, pps_count, at);
	if (chroma) {
		*at++ = 0xfc | sps.chroma_format;
		*at++ = (uint8_t)(0xf8 | (sps.bit_depth_luma - 8));
		*at++ = (uint8_t)(0xf8 | (sps.bit_depth_chroma - 8));
		*at++ = 0; /* no SPS extensions */
	}
	return bytes;
}

/* --- slices, SEI, Annex B --- */

/* A number of an SEI message: bytes of 255 are added up (section 7.3.2.3.1). */
static uint32_t h264_sei_number(struct bits *b)
{
	uint32_t sum = 0;
	uint32_t byte;

	do {
		byte = bits_read(b, 8);
		sum += byte;
	} while (byte == 255 && !b->failed);
	return sum;
}

bool h264_sei_is_recovery_point(const uint8_t *nal, size_t n)
{
	enum {
		RECOVERY_POINT = 6
	};
	struct bits b;

	if (n < 2 || h264_nal_type(nal) != H264_SEI)
		return false;
	b = bits_of(nal + 1, n - 1, true);
	/* Two bytes are the shortest message; a lone 0x80 is the end of the NAL unit. */
	while (!b.failed && b.at_bit / 8 + 2 <= b.n) {
		uint32_t type = h264_sei_number(&b);
		uint32_t bytes = h264_sei_number(&b);

		if (!b.failed && type == RECOVERY_POINT)
			return true;
		if (bytes > n)
			return false;
		bits_skip(&b, bytes * 8);
	}
	return false;
}

bool h264_is_first_slice(const uint8_t *nal, size_t n)
{
	/* first_mb_in_slice, an Exp-Golomb code: 0 is one set bit */
	return n >= 2 && (h264_nal_type(nal) == H264_SLICE || h264_nal_type(nal) == H264_IDR) &&
	       nal[1] & 0x80;
}

/* Where the next 00 00 01 stands from `at` on, or n. */
static size_t annexb_find(const uint8_t *p, size_t n, size_t at)
{
	while (n - at >= 3) {
		if (p[at + 2] > 1)
			at += 3;
		else if (p[at + 2] == 1 && !p[at] && !p[at + 1])
			return at;
		else
			at++;
	}
	return n;
}

const uint8_t *annexb_next(const uint8_t *p, size_t n, size_t *at, size_t *nal_bytes)
{
	while (*at < n) {
		size_t start = *at;
		size_t zeros = 0;
		size_t end;

		while (start + zeros < n && !p[start + zeros])
			zeros++;
		if (zeros >= 2 && start + zeros < n && p[start + zeros] == 1)
			start += zeros + 1;
		end = annexb_find(p, n, start);
		*at = end;
		while (end > start && !p[end - 1])
			end--;
		if (end == start)
			continue;
		*nal_bytes = end - start;
		return p + start;
	}
	return NULL;
}
