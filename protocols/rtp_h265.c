/* The payload of H.265 (RFC 7798): single NAL units, aggregation packets, fragmentation units, PACI. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/rtp_depacketiser_private.h"
#include "protocols/sdp.h"
#include "server/base/reader.h"

/* Packet types beside the NAL unit types 0 to 47 (RFC 7798 section 4.4). */
enum {
	AP = 48,
	FU = 49,
	PACI = 50,
	NAL_HEADER_BYTES = 2
};

enum {
	RASL_N = 8,
	RASL_R = 9,
	RESERVED_FIRST = 10,
	IRAP_END = 21,
	SLICE_LAST = 31
};

static unsigned h265_slice_kind(const uint8_t *nal, size_t n)
{
	unsigned type = h265_nal_type(nal);
	unsigned kind = RTP_NAL_SLICE;

	if (type > IRAP_END || (type >= RESERVED_FIRST && type < H265_IRAP_FIRST))
		return 0;
	if (type >= H265_IRAP_FIRST)
		kind |= RTP_NAL_KEY;
	if (type == RASL_N || type == RASL_R)
		kind |= RTP_NAL_LEADING;
	if (h265_is_first_slice(nal, n))
		kind |= RTP_NAL_FIRST;
	return kind;
}

static unsigned h265_kind(const uint8_t *nal, size_t n)
{
	if (n < 3)
		return 0;
	switch (h265_nal_type(nal)) {
	case H265_VPS:
	case H265_SPS:
	case H265_PPS:
		return RTP_NAL_SET | RTP_NAL_BEGINS;
	case H265_AUD:
		return RTP_NAL_BEGINS;
	case H265_SEI_PREFIX:
	case H265_SEI_SUFFIX:
		return RTP_NAL_EXTRA;
	default:
		return h265_nal_type(nal) <= SLICE_LAST ? h265_slice_kind(nal, n) : 0;
	}
}

static int h265_take_set(struct rtp_depacketiser *d, const uint8_t *nal, size_t n)
{
	unsigned type = n > 0 ? h265_nal_type(nal) : 0;

	if (d->sets_of_sdp && (type == H265_VPS || type == H265_SPS)) {
		struct h265_sets *of_stream = malloc(sizeof(*of_stream));

		d->sets_of_sdp = false;
		if (!of_stream)
			return -ENOMEM;
		*of_stream = d->h265;
		if (h265_sets_add(of_stream, nal, n) > 0)
			memset(&d->h265, 0, sizeof(d->h265));
		free(of_stream);
	}
	return h265_sets_add(&d->h265, nal, n);
}

static bool h265_is_complete(const struct rtp_depacketiser *d)
{
	return h265_sets_complete(&d->h265);
}

static int h265_start(struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	char value[16];

	(void)why;
	rtp_nal_take_sprop(d, format->fmtp, "sprop-vps");
	rtp_nal_take_sprop(d, format->fmtp, "sprop-sps");
	rtp_nal_take_sprop(d, format->fmtp, "sprop-pps");
	if (!h265_sets_complete(&d->h265))
		memset(&d->h265, 0, sizeof(d->h265));
	d->sets_of_sdp = true;
	if (sdp_fmtp_value(format->fmtp, "sprop-max-don-diff", value, sizeof(value)) > 0 &&
		strtol(value, NULL, 10) > 0)
		d->don_bytes = 2;
	return 0;
}

static void h265_push_aggregate(struct rtp_depacketiser *d, struct reader *r)
{
	reader_skip(r, d->don_bytes);
	while (reader_left(r) >= 2) {
		size_t n = reader_u16(r);
		if (n == 0) /* padding */
			return;
		const uint8_t *nal = reader_bytes(r, n);
		if (!nal)
			break;
		rtp_nal_whole(d, nal, n);
		if (d->don_bytes > 0 && reader_left(r) > 0)
			reader_skip(r, 1);
	}
	if (r->why)
		rtp_unit_damage(d, "an aggregation packet is too short");
}

static void h265_push_fragment(struct rtp_depacketiser *d, struct reader *r,
	const uint8_t payload_header[NAL_HEADER_BYTES])
{
	uint8_t fu = reader_u8(r);
	uint8_t header[NAL_HEADER_BYTES];

	header[0] = (uint8_t)((payload_header[0] & 0x81) | (fu & 0x3f) << 1);
	header[1] = payload_header[1];
	if (fu & 0x80)
		reader_skip(r, d->don_bytes);
	if (!r->why)
		rtp_nal_fragment(d, header, sizeof(header), fu, r->at, reader_left(r));
}

static void h265_push_single(struct rtp_depacketiser *d, const uint8_t header[NAL_HEADER_BYTES],
	const uint8_t *p, size_t n)
{
	if (n < d->don_bytes)
		return;
	rtp_nal_open(d, header, NAL_HEADER_BYTES, p + d->don_bytes, n - d->don_bytes);
	rtp_nal_close(d);
}

/* Without the extensions of a PACI packet (section 4.4.4): header and payload of what it carries. */
static bool h265_unwrap(struct reader *r, uint8_t header[NAL_HEADER_BYTES])
{
	uint16_t fields = reader_u16(r);

	header[0] = (uint8_t)((header[0] & 0x01) | (fields >> 8 & 0x80) | (fields >> 8 & 0x7e));
	reader_skip(r, fields >> 4 & 0x1f);
	return !r->why;
}

static void h265_push_payload(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	struct reader r = reader_of(p, n);
	uint8_t header[NAL_HEADER_BYTES];

	if (rtp_nal_is_annexb(p, n)) {
		rtp_nal_whole(d, p, n);
		return;
	}
	header[0] = reader_u8(&r);
	header[1] = reader_u8(&r);
	if (h265_nal_type(header) == PACI && !h265_unwrap(&r, header))
		return;
	if (r.why)
		return;
	if (h265_nal_type(header) == AP)
		h265_push_aggregate(d, &r);
	else if (h265_nal_type(header) == FU)
		h265_push_fragment(d, &r, header);
	else if (h265_nal_type(header) < AP)
		h265_push_single(d, header, r.at, reader_left(&r));
}

static void h265_push(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap)
{
	rtp_nal_begin_packet(d, packet, gap);
	if (packet->payload_bytes > 0)
		h265_push_payload(d, packet->payload, packet->payload_bytes);
	rtp_nal_end_packet(d, packet);
}

const struct rtp_payload rtp_payload_h265 = {
	.encoding = "H265",
	.start = h265_start,
	.push = h265_push,
	.nal_kind = h265_kind,
	.take_set = h265_take_set,
	.sets_complete = h265_is_complete,
};
