#include "server/media/h265.h"

#include <errno.h>
#include <string.h>

#include "server/media/bits.h"
#include "server/media/vui.h"

/*
 * Sequence parameter sets (ITU-T H.265 sections 7.3.2.2, 7.3.3, 7.3.7 and E.2.1), the store of the
 * sets in force, and the hvcC record (ISO/IEC 14496-15 section 8.3.3.1).
 */

enum {
	H265_MAX_PIXELS = 16384, /* per side; level 6.2 ends at 16,888 */
	H265_MAX_VPS_ID = 15,
	H265_MAX_SPS_ID = 15,
	H265_MAX_PPS_ID = 63,
	H265_MAX_REORDER = 15,
	H265_RPS_PICTURES = 16,
};

/* Section 7.3.3. Leaves the level of the whole; those of sub-layers are skipped. */
static void h265_parse_profile(struct bits *b, struct h265_sps *sps, unsigned sub_layers)
{
	uint32_t present[8] = { 0 };
	uint64_t high;

	sps->profile_space = (uint8_t)bits_read(b, 2);
	sps->tier = (uint8_t)bits_read(b, 1);
	sps->profile = (uint8_t)bits_read(b, 5);
	sps->profile_compatibility = bits_read(b, 32);
	high = bits_read(b, 16);
	sps->constraints = high << 32 | bits_read(b, 32);
	sps->level = (uint8_t)bits_read(b, 8);
	for (unsigned i = 0; i < sub_layers; i++)
		present[i] = bits_read(b, 2);
	if (sub_layers)
		bits_skip(b, 2 * (8 - sub_layers));
	for (unsigned i = 0; i < sub_layers; i++)
		bits_skip(b, (present[i] & 2 ? 88 : 0) + (present[i] & 1 ? 8 : 0));
}

static int h265_crop(uint32_t *side, uint32_t a, uint32_t z, unsigned unit)
{
	uint64_t cut = ((uint64_t)a + z) * unit;

	if (cut >= *side)
		return -EBADMSG;
	*side -= (uint32_t)cut;
	return 0;
}

static int h265_parse_size(struct bits *b, struct h265_sps *sps)
{
	uint32_t chroma = bits_ue(b);
	uint32_t separate = chroma == 3 ? bits_read(b, 1) : 0;
	uint32_t width = bits_ue(b);
	uint32_t height = bits_ue(b);
	uint32_t left, right, top, bottom;

	if (chroma > 3 || !width || !height || width > H265_MAX_PIXELS || height > H265_MAX_PIXELS)
		return -EBADMSG;
	sps->chroma_format = (uint8_t)chroma;
	sps->width = width;
	sps->height = height;
	if (!bits_read(b, 1)) /* conformance_window_flag */
		return 0;
	left = bits_ue(b);
	right = bits_ue(b);
	top = bits_ue(b);
	bottom = bits_ue(b);
	if (h265_crop(&sps->width, left, right, !separate && (chroma == 1 || chroma == 2) ? 2 : 1) <
		0)
		return -EBADMSG;
	return h265_crop(&sps->height, top, bottom, chroma == 1 ? 2 : 1);
}

/* Section 7.3.4. */
static void h265_skip_scaling_lists(struct bits *b)
{
	for (unsigned size = 0; size < 4; size++) {
		for (unsigned matrix = 0; matrix < 6 && !b->failed; matrix += size == 3 ? 3 : 1) {
			unsigned count = size == 0 ? 16 : 64;

			if (!bits_read(b, 1)) {
				(void)bits_ue(b); /* scaling_list_pred_matrix_id_delta */
				continue;
			}
			if (size > 1)
				(void)bits_se(b);
			for (unsigned i = 0; i < count && !b->failed; i++)
				(void)bits_se(b);
		}
	}
}

/* A short-term reference picture set: distances, the nearest first; negative ones, then positive. */
struct h265_rps {
	unsigned negative, positive;
	int32_t before[H265_RPS_PICTURES], after[H265_RPS_PICTURES];
};

static void h265_rps_add(struct bits *b, struct h265_rps *set, int32_t distance, bool used)
{
	if (!used || !distance)
		return;
	if (set->negative + set->positive == H265_RPS_PICTURES)
		b->failed = true;
	else if (distance < 0)
		set->before[set->negative++] = distance;
	else
		set->after[set->positive++] = distance;
}

/* Adds what of the reference's pictures, moved by `move`, falls on the wanted side (7-61, 7-62). */
static void h265_rps_move(struct bits *b, struct h265_rps *set, const struct h265_rps *from,
	int32_t move, const bool *used, bool want_after)
{
	const int32_t *far = want_after ? from->before : from->after;
	const int32_t *near = want_after ? from->after : from->before;
	unsigned far_count = want_after ? from->negative : from->positive;
	unsigned near_count = want_after ? from->positive : from->negative;
	const bool *far_used = used + (want_after ? 0 : from->negative);
	const bool *near_used = used + (want_after ? from->negative : 0);

	for (unsigned i = far_count; i-- > 0;)
		if ((far[i] + move > 0) == want_after)
			h265_rps_add(b, set, far[i] + move, far_used[i]);
	if ((move > 0) == want_after)
		h265_rps_add(b, set, move, used[from->negative + from->positive]);
	for (unsigned i = 0; i < near_count; i++)
		if ((near[i] + move > 0) == want_after)
			h265_rps_add(b, set, near[i] + move, near_used[i]);
}

static void h265_parse_predicted_rps(
	struct bits *b, struct h265_rps *set, const struct h265_rps *from)
{
	uint32_t sign = bits_read(b, 1);
	uint32_t distance = bits_ue(b);
	bool used[H265_RPS_PICTURES + 1];
	int32_t move;

	if (distance > 0x7fff) {
		b->failed = true;
		return;
	}
	move = sign ? -(int32_t)distance - 1 : (int32_t)distance + 1;
	for (unsigned i = 0; i <= from->negative + from->positive; i++) {
		used[i] = bits_read(b, 1); /* used_by_curr_pic_flag */
		if (!used[i])
			used[i] = bits_read(b, 1); /* use_delta_flag */
	}
	h265_rps_move(b, set, from, move, used, false);
	h265_rps_move(b, set, from, move, used, true);
}

static void h265_parse_explicit_rps(struct bits *b, struct h265_rps *set)
{
	uint32_t negative = bits_ue(b);
	uint32_t positive = bits_ue(b);
	int32_t distance = 0;

	if (negative > H265_RPS_PICTURES || positive > H265_RPS_PICTURES - negative) {
		b->failed = true;
		return;
	}
	for (uint32_t i = 0; i < negative + positive && !b->failed; i++) {
		uint32_t step = bits_ue(b);

		bits_skip(b, 1); /* used_by_curr_pic */
		if (step > 0x7fff) {
			b->failed = true;
			return;
		}
		if (i == negative)
			distance = 0;
		distance += i < negative ? -(int32_t)step - 1 : (int32_t)step + 1;
		h265_rps_add(b, set, distance, true);
	}
}

static void h265_skip_reference_sets(struct bits *b)
{
	struct h265_rps sets[2] = { 0 };
	uint32_t count = bits_ue(b);

	if (count > 64)
		b->failed = true;
	for (uint32_t i = 0; i < count && !b->failed; i++) {
		struct h265_rps *set = &sets[i % 2];

		*set = (struct h265_rps){ 0 };
		if (i && bits_read(b, 1)) /* inter_ref_pic_set_prediction_flag */
			h265_parse_predicted_rps(b, set, &sets[(i + 1) % 2]);
		else
			h265_parse_explicit_rps(b, set);
	}
}

static void h265_parse_vui(struct bits *b, struct h265_sps *sps)
{
	uint32_t units, scale;

	vui_read_display(b, &sps->aspect_width, &sps->aspect_height);
	bits_skip(b, 3);     /* neutral chroma, field_seq, frame_field_info */
	if (bits_read(b, 1)) /* default_display_window_flag */
		for (unsigned i = 0; i < 4; i++)
			(void)bits_ue(b);
	if (!bits_read(b, 1))
		return;
	units = bits_read(b, 32);
	scale = bits_read(b, 32);
	if (b->failed || !units || !scale)
		return;
	sps->frame_rate_num = scale;
	sps->frame_rate_den = units;
}

/* From the coding block sizes to the VUI: of use only to find the VUI. */
static void h265_parse_rest(struct bits *b, struct h265_sps *sps, uint32_t poc_bits)
{
	for (unsigned i = 0; i < 6; i++)
		(void)bits_ue(b); /* block sizes and depths */
	if (bits_read(b, 1)) {    /* scaling_list_enabled_flag */
		if (bits_read(b, 1))
			h265_skip_scaling_lists(b);
	}
	bits_skip(b, 2);       /* amp, sample adaptive offset */
	if (bits_read(b, 1)) { /* pcm_enabled_flag */
		bits_skip(b, 8);
		(void)bits_ue(b);
		(void)bits_ue(b);
		bits_skip(b, 1);
	}
	h265_skip_reference_sets(b);
	if (bits_read(b, 1)) { /* long_term_ref_pics_present_flag */
		uint32_t count = bits_ue(b);

		if (count > 32)
			b->failed = true;
		for (uint32_t i = 0; i < count && !b->failed; i++)
			bits_skip(b, poc_bits + 1);
	}
	bits_skip(b, 2); /* temporal mvp, strong intra smoothing */
	if (bits_read(b, 1) && !b->failed)
		h265_parse_vui(b, sps);
}

/* How many pictures the highest sub-layer may reorder; more than may be is read as failure. */
static unsigned h265_parse_ordering(struct bits *b, unsigned sub_layers)
{
	uint32_t all = bits_read(b, 1); /* sps_sub_layer_ordering_info_present_flag */
	uint32_t reorder = 0;

	for (unsigned i = all ? 0 : sub_layers; i <= sub_layers; i++) {
		(void)bits_ue(b); /* sps_max_dec_pic_buffering_minus1 */
		reorder = bits_ue(b);
		(void)bits_ue(b); /* sps_max_latency_increase_plus1 */
	}
	if (reorder > H265_MAX_REORDER)
		b->failed = true;
	return reorder;
}

int h265_sps_parse(struct h265_sps *ret, const uint8_t *p, size_t n, const char **why)
{
	struct h265_sps sps = { .aspect_width = 1, .aspect_height = 1 };
	uint32_t id, luma_bits, chroma_bits, poc_bits;
	unsigned sub_layers;
	struct bits b;
	int size;

	*why = "not an H.265 SPS";
	if (n < 3 || h265_nal_type(p) != H265_SPS)
		return -EBADMSG;
	b = bits_of(p + 2, n - 2, true);
	bits_skip(&b, 4); /* sps_video_parameter_set_id */
	sub_layers = bits_read(&b, 3);
	sps.temporal_nesting = bits_read(&b, 1);
	sps.temporal_layers = (uint8_t)(sub_layers + 1);
	*why = "malformed H.265 SPS";
	if (sub_layers > 6)
		return -EBADMSG;
	h265_parse_profile(&b, &sps, sub_layers);
	id = bits_ue(&b);
	size = h265_parse_size(&b, &sps);
	luma_bits = bits_ue(&b);
	chroma_bits = bits_ue(&b);
	poc_bits = bits_ue(&b) + 4;
	sps.reorder_frames = h265_parse_ordering(&b, sub_layers);
	if (size == 0 && (b.failed || id > H265_MAX_SPS_ID || luma_bits > 8 || chroma_bits > 8 ||
				 poc_bits > 16))
		return -EBADMSG;
	*why = "H.265 picture size out of range";
	if (size < 0)
		return -EBADMSG;
	sps.id = (uint8_t)id;
	sps.bit_depth_luma = (uint8_t)(8 + luma_bits);
	sps.bit_depth_chroma = (uint8_t)(8 + chroma_bits);
	/* What follows is not needed to record; a camera that gets it wrong is still recorded. */
	h265_parse_rest(&b, &sps, poc_bits);
	*ret = sps;
	*why = NULL;
	return 0;
}

/* --- the sets in force --- */

/* The id of a VPS, SPS or PPS NAL unit, or -EBADMSG. */
static int h265_set_id(const uint8_t *nal, size_t n)
{
	struct h265_sps sps;
	const char *why;
	struct bits b;
	uint32_t id;

	if (n < 3)
		return -EBADMSG;
	b = bits_of(nal + 2, n - 2, true);
	switch (h265_nal_type(nal)) {
	case H265_VPS:
		id = bits_read(&b, 4);
		return b.failed ? -EBADMSG : (int)id;
	case H265_SPS:
		return h265_sps_parse(&sps, nal, n, &why) < 0 ? -EBADMSG : sps.id;
	case H265_PPS:
		id = bits_ue(&b);
		return b.failed || id > H265_MAX_PPS_ID ? -EBADMSG : (int)id;
	default:
		return -EBADMSG;
	}
}

/* Beyond the limit the oldest goes: some cameras count on with each change of resolution. */
static int h265_set_put(struct h265_set *sets, int id, const uint8_t *nal, size_t n)
{
	size_t i = 0;

	while (i < H265_SETS && sets[i].bytes && h265_set_id(sets[i].data, sets[i].bytes) != id)
		i++;
	if (i < H265_SETS && sets[i].bytes == n && memcmp(sets[i].data, nal, n) == 0)
		return 0;
	if (i == H265_SETS)
		memmove(&sets[0], &sets[1], --i * sizeof(sets[0]));
	memcpy(sets[i].data, nal, n);
	sets[i].bytes = (uint16_t)n;
	return 1;
}

static struct h265_set *h265_sets_of(struct h265_sets *sets, unsigned type)
{
	if (type == H265_VPS)
		return sets->vps;
	return type == H265_SPS ? sets->sps : sets->pps;
}

int h265_sets_add(struct h265_sets *sets, const uint8_t *nal, size_t n)
{
	int id;

	while (n && nal[n - 1] == 0)
		n--;
	if (n < 3 || n > H265_SET_BYTES)
		return -EBADMSG;
	id = h265_set_id(nal, n);
	if (id < 0)
		return id;
	return h265_set_put(h265_sets_of(sets, h265_nal_type(nal)), id, nal, n);
}

/* The slots are filled from the first one on. */
bool h265_sets_complete(const struct h265_sets *sets)
{
	return sets->vps[0].bytes && sets->sps[0].bytes && sets->pps[0].bytes;
}

const struct h265_set *h265_sets_sps(const struct h265_sets *sets)
{
	return sets->sps[0].bytes ? &sets->sps[0] : NULL;
}

/* --- hvcC --- */

enum {
	HVCC_HEAD_BYTES = 23
};

static size_t h265_sets_count(const struct h265_set *sets, size_t *bytes)
{
	size_t count = 0;

	*bytes += 3;
	while (count < H265_SETS && sets[count].bytes)
		*bytes += 2 + (size_t)sets[count++].bytes;
	return count;
}

static uint8_t *h265_write_number(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		*at++ = (uint8_t)(value >> 8 * (bytes - 1 - i));
	return at;
}

static uint8_t *h265_write_array(
	uint8_t *at, unsigned type, const struct h265_set *sets, size_t count)
{
	at = h265_write_number(at, 0x80 | type, 1); /* array_completeness */
	at = h265_write_number(at, count, 2);
	for (size_t i = 0; i < count; i++) {
		at = h265_write_number(at, sets[i].bytes, 2);
		memcpy(at, sets[i].data, sets[i].bytes);
		at += sets[i].bytes;
	}
	return at;
}

static uint8_t *h265_write_head(uint8_t *at, const struct h265_sps *sps)
{
	at = h265_write_number(at, 1, 1);
	at = h265_write_number(at, sps->profile_space << 6 | sps->tier << 5 | sps->profile, 1);
	at = h265_write_number(at, sps->profile_compatibility, 4);
	at = h265_write_number(at, sps->constraints, 6);
	at = h265_write_number(at, sps->level, 1);
	at = h265_write_number(at, 0xf000, 2); /* min_spatial_segmentation_idc: none */
	at = h265_write_number(at, 0xfc, 1);   /* parallelismType: unknown */
	at = h265_write_number(at, 0xfc | sps->chroma_format, 1);
	at = h265_write_number(at, 0xf8U | (sps->bit_depth_luma - 8U), 1);
	at = h265_write_number(at, 0xf8U | (sps->bit_depth_chroma - 8U), 1);
	at = h265_write_number(at, 0, 2); /* avgFrameRate: unsaid */
	at = h265_write_number(
		at, sps->temporal_layers << 3 | (sps->temporal_nesting ? 4 : 0) | 3, 1);
	return h265_write_number(at, 3, 1); /* arrays */
}

size_t h265_sets_write_hvcc(const struct h265_sets *sets, uint8_t *ret, size_t size)
{
	size_t bytes = HVCC_HEAD_BYTES;
	size_t vps_count = h265_sets_count(sets->vps, &bytes);
	size_t sps_count = h265_sets_count(sets->sps, &bytes);
	size_t pps_count = h265_sets_count(sets->pps, &bytes);
	struct h265_sps sps;
	const char *why;
	uint8_t *at;

	if (!h265_sets_complete(sets) || bytes > size)
		return 0;
	if (h265_sps_parse(&sps, sets->sps[0].data, sets->sps[0].bytes, &why) < 0)
		return 0;
	at = h265_write_head(ret, &sps);
	at = h265_write_array(at, H265_VPS, sets->vps, vps_count);
	at = h265_write_array(at, H265_SPS, sets->sps, sps_count);
	(void)h265_write_array(at, H265_PPS, sets->pps, pps_count);
	return bytes;
}

bool h265_is_first_slice(const uint8_t *nal, size_t n)
{
	return n >= 3 && h265_nal_type(nal) < H265_VPS && nal[2] & 0x80;
}
