/* The payload of H.264 (RFC 6184): single NAL units, aggregation packets, fragmentation units. */
#include <string.h>

#include "protocols/rtp_depacketiser_private.h"
#include "server/base/reader.h"

/* Packet types beside the NAL unit types 1 to 23 (RFC 6184 section 5.4). */
enum {
	STAP_A = 24,
	STAP_B,
	MTAP16,
	MTAP24,
	FU_A,
	FU_B
};

static unsigned h264_kind(const uint8_t *nal, size_t n)
{
	if (n < 2)
		return 0;
	unsigned first = h264_is_first_slice(nal, n) ? RTP_NAL_FIRST : 0;
	switch (h264_nal_type(nal)) {
	case H264_IDR:
		return RTP_NAL_SLICE | RTP_NAL_KEY | first;
	case H264_SLICE:
		return RTP_NAL_SLICE | first;
	case H264_SEI:
		return RTP_NAL_EXTRA | (h264_sei_is_recovery_point(nal, n) ? RTP_NAL_KEY : 0);
	case H264_SPS:
	case H264_PPS:
		return RTP_NAL_SET | RTP_NAL_BEGINS;
	case H264_AUD:
		return RTP_NAL_BEGINS;
	default:
		return 0;
	}
}

static int h264_take_set(struct rtp_depacketiser *d, const uint8_t *nal, size_t n)
{
	if (d->sets_of_sdp && n > 0 && h264_nal_type(nal) == H264_SPS) {
		struct h264_sets of_stream = d->h264;

		d->sets_of_sdp = false;
		if (h264_sets_add(&of_stream, nal, n) > 0)
			memset(&d->h264, 0, sizeof(d->h264));
	}
	return h264_sets_add(&d->h264, nal, n);
}

static bool h264_is_complete(const struct rtp_depacketiser *d)
{
	return h264_sets_complete(&d->h264);
}

static int h264_start(struct rtp_depacketiser *d, const struct rtp_format *format, const char **why)
{
	(void)why;
	rtp_nal_take_sprop(d, format->fmtp, "sprop-parameter-sets");
	d->sets_of_sdp = true;
	return 0;
}

/* The NAL units of an aggregation packet, each behind its size and `skip` bytes. */
static void h264_push_aggregate(struct rtp_depacketiser *d, struct reader *r, size_t skip)
{
	while (reader_left(r) >= 2) {
		size_t n = reader_u16(r);
		if (n == 0) /* padding */
			return;
		reader_skip(r, skip);
		const uint8_t *nal = reader_bytes(r, n);
		if (!nal)
			break;
		rtp_nal_whole(d, nal, n);
	}
	if (r->why)
		rtp_unit_damage(d, "an aggregation packet is too short");
}

static void h264_push_fragment(
	struct rtp_depacketiser *d, struct reader *r, uint8_t indicator, size_t don_bytes)
{
	uint8_t fu = reader_u8(r);
	uint8_t header = (uint8_t)((indicator & 0xe0) | (fu & 0x1f));

	reader_skip(r, don_bytes);
	if (!r->why)
		rtp_nal_fragment(d, &header, 1, fu, r->at, reader_left(r));
}

static void h264_push_payload(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	struct reader r = reader_of(p, n);
	uint8_t header = reader_u8(&r);

	switch (header & 0x1f) {
	case STAP_A:
		h264_push_aggregate(d, &r, 0);
		return;
	case STAP_B:
		reader_skip(&r, 2); /* decoding order number: interleaved mode is not offered */
		h264_push_aggregate(d, &r, 0);
		return;
	case MTAP16:
		reader_skip(&r, 2);
		h264_push_aggregate(d, &r, 3);
		return;
	case MTAP24:
		reader_skip(&r, 2);
		h264_push_aggregate(d, &r, 4);
		return;
	case FU_A:
		h264_push_fragment(d, &r, header, 0);
		return;
	case FU_B:
		h264_push_fragment(d, &r, header, 2);
		return;
	case 0:
		if (rtp_nal_is_annexb(p, n))
			rtp_nal_whole(d, p, n);
		return;
	case 30:
	case 31:
		return;
	default:
		rtp_nal_whole(d, p, n);
		return;
	}
}

static void h264_push(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap)
{
	rtp_nal_begin_packet(d, packet, gap);
	if (packet->payload_bytes > 0)
		h264_push_payload(d, packet->payload, packet->payload_bytes);
	rtp_nal_end_packet(d, packet);
}

const struct rtp_payload rtp_payload_h264 = {
	.encoding = "H264",
	.start = h264_start,
	.push = h264_push,
	.nal_kind = h264_kind,
	.take_set = h264_take_set,
	.sets_complete = h264_is_complete,
};
