/* RTP packets: the fixed header and what may stand around the payload (RFC 3550 section 5.1). */
#include "protocols/rtp.h"

#include <errno.h>

#include "server/base/reader.h"

enum {
	RTP_VERSION = 2,
	RTP_HAS_PADDING = 0x20,
	RTP_HAS_EXTENSION = 0x10,
	RTP_CSRCS = 0x0f
};

/* Cuts the padding off; its last byte counts it, itself included. */
static size_t rtp_unpadded(struct reader *r)
{
	size_t n = reader_left(r);
	size_t padding = n ? r->at[n - 1] : 0;

	if (padding == 0 || padding > n) {
		reader_fail(r, "padding is longer than the payload");
		return 0;
	}
	return n - padding;
}

int rtp_parse(struct rtp_packet *ret, const uint8_t *p, size_t n, const char **why)
{
	struct reader r = reader_of(p, n);
	struct rtp_packet packet = { 0 };
	uint8_t flags = reader_u8(&r);
	uint8_t marker_and_type = reader_u8(&r);

	packet.marker = marker_and_type >> 7;
	packet.payload_type = marker_and_type & 0x7f;
	packet.sequence = reader_u16(&r);
	packet.timestamp = reader_u32(&r);
	packet.ssrc = reader_u32(&r);
	if (flags >> 6 != RTP_VERSION)
		reader_fail(&r, "the version is not 2");
	reader_skip(&r, (size_t)(flags & RTP_CSRCS) * 4);
	if (flags & RTP_HAS_EXTENSION) {
		reader_skip(&r, 2);
		size_t words = reader_u16(&r);
		reader_skip(&r, words * 4);
	}
	packet.payload_bytes = flags & RTP_HAS_PADDING ? rtp_unpadded(&r) : reader_left(&r);
	packet.payload = reader_bytes(&r, packet.payload_bytes);
	if (r.why) {
		*why = r.why;
		return -EBADMSG;
	}
	*ret = packet;
	return 0;
}

void rtp_write_header(uint8_t ret[RTP_HEADER_BYTES], const struct rtp_packet *packet)
{
	ret[0] = RTP_VERSION << 6;
	ret[1] = (uint8_t)((packet->marker ? 0x80 : 0) | (packet->payload_type & 0x7f));
	ret[2] = (uint8_t)(packet->sequence >> 8);
	ret[3] = (uint8_t)packet->sequence;
	for (unsigned i = 0; i < 4; i++) {
		ret[4 + i] = (uint8_t)(packet->timestamp >> (24 - 8 * i));
		ret[8 + i] = (uint8_t)(packet->ssrc >> (24 - 8 * i));
	}
}
