/* Cuts access units into RTP payloads: RFC 6184 section 5.8, RFC 7798 section 4.4.3, RFC 3640. */
#include "protocols/rtp_packetise.h"

#include <string.h>

#include "protocols/rtp.h"
#include "server/base/reader.h"

enum {
	LENGTH_BYTES = 4,
	FU_START = 0x80,
	FU_END = 0x40,
	H264_FU_A = 28,
	H265_FU = 49
};
/* RFC 3640 section 3.3.6: 13 bits of size. */
enum {
	AU_BYTES = (1 << 13) - 1,
	AU_HEADER_BYTES = 4
};

enum rtp_codec rtp_codec_of(const AVCodecParameters *parameters)
{
	switch ((unsigned)parameters->codec_id) {
	case AV_CODEC_ID_H264:
		return RTP_CODEC_H264;
	case AV_CODEC_ID_HEVC:
		return RTP_CODEC_H265;
	case AV_CODEC_ID_AAC:
		return RTP_CODEC_AAC;
	default:
		return RTP_CODEC_NONE;
	}
}

/* One packet, of which the payload is `head` and then p. */
static void put_packet(struct rtp_packetiser *s, struct rtp_packets *out, uint32_t timestamp,
	const uint8_t *head, size_t head_bytes, const uint8_t *p, size_t n)
{
	size_t bytes = RTP_HEADER_BYTES + head_bytes + n;

	if (out->block) {
		struct rtp_packet packet = {
			.payload_type = s->payload_type,
			.sequence = s->next_sequence++,
			.timestamp = timestamp,
			.ssrc = s->ssrc,
		};
		uint8_t *at = out->block + out->bytes;

		out->offsets[out->n] = (uint32_t)out->bytes;
		*at++ = '$';
		*at++ = s->channel;
		*at++ = (uint8_t)(bytes >> 8);
		*at++ = (uint8_t)bytes;
		rtp_write_header(at, &packet);
		at += RTP_HEADER_BYTES;
		if (head_bytes > 0)
			memcpy(at, head, head_bytes);
		memcpy(at + head_bytes, p, n);
	}
	out->bytes += RTP_INTERLEAVED_BYTES + bytes;
	out->n++;
}

/* The header of a fragment: NAL header with the type of FU-A or FU, FU header. Returns its bytes. */
static size_t fragment_head(enum rtp_codec codec, const uint8_t *nal, uint8_t ret[3])
{
	if (codec == RTP_CODEC_H264) {
		ret[0] = (uint8_t)((nal[0] & 0xe0) | H264_FU_A);
		ret[1] = nal[0] & 0x1f;
		return 2;
	}
	ret[0] = (uint8_t)((nal[0] & 0x81) | H265_FU << 1);
	ret[1] = nal[1];
	ret[2] = nal[0] >> 1 & 0x3f;
	return 3;
}

static void put_nal(struct rtp_packetiser *s, struct rtp_packets *out, uint32_t timestamp,
	const uint8_t *nal, size_t n)
{
	size_t header_bytes = s->codec == RTP_CODEC_H264 ? 1 : 2;
	uint8_t head[3];

	if (n <= header_bytes)
		return;
	if (n <= RTP_PAYLOAD_BYTES) {
		put_packet(s, out, timestamp, NULL, 0, nal, n);
		return;
	}
	size_t head_bytes = fragment_head(s->codec, nal, head);
	uint8_t *flags = &head[head_bytes - 1];
	*flags |= FU_START;
	for (size_t at = header_bytes; at < n;) {
		size_t piece = RTP_PAYLOAD_BYTES - head_bytes;
		if (piece >= n - at) {
			piece = n - at;
			*flags |= FU_END;
		}
		put_packet(s, out, timestamp, head, head_bytes, nal + at, piece);
		*flags &= (uint8_t)~FU_START;
		at += piece;
	}
}

/* One AU header in each packet; of an AU in pieces it says the whole size. */
static void put_aac(struct rtp_packetiser *s, struct rtp_packets *out, uint32_t timestamp,
	const uint8_t *p, size_t n)
{
	const uint8_t head[AU_HEADER_BYTES] = { 0, 16, (uint8_t)(n >> 5), (uint8_t)(n << 3) };

	if (n > AU_BYTES)
		return;
	for (size_t at = 0; at < n;) {
		size_t piece = RTP_PAYLOAD_BYTES - AU_HEADER_BYTES;
		if (piece > n - at)
			piece = n - at;
		put_packet(s, out, timestamp, head, sizeof(head), p + at, piece);
		at += piece;
	}
}

const uint8_t *rtp_nal_next(const uint8_t *p, size_t n, size_t *at, size_t *nal_bytes)
{
	struct reader r = reader_of(p + *at, n - *at);
	size_t bytes = reader_u32(&r);
	const uint8_t *nal = reader_bytes(&r, bytes);

	if (!nal)
		return NULL;
	*at += LENGTH_BYTES + bytes;
	*nal_bytes = bytes;
	return nal;
}

void rtp_packetise(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p, size_t n,
	uint32_t timestamp)
{
	const uint8_t *nal;
	size_t at = 0, nal_bytes;

	if (s->codec == RTP_CODEC_AAC) {
		put_aac(s, out, timestamp, p, n);
		return;
	}
	while (at < n && (nal = rtp_nal_next(p, n, &at, &nal_bytes)))
		put_nal(s, out, timestamp, nal, nal_bytes);
}

void rtp_packets_mark(struct rtp_packets *out)
{
	if (out->block && out->n > 0)
		out->block[out->offsets[out->n - 1] + RTP_INTERLEAVED_BYTES + 1] |= 0x80;
}

struct sets {
	uint8_t *p;
	size_t bytes, size;
};

/* Copies `count` NAL units with 2-byte lengths. */
static void take_sets(struct reader *r, struct sets *sets, unsigned count)
{
	while (count-- > 0 && !r->why) {
		size_t n = reader_u16(r);
		const uint8_t *nal = reader_bytes(r, n);
		if (!nal)
			return;
		if (LENGTH_BYTES + n > sets->size - sets->bytes) {
			reader_fail(r, "more parameter sets than fit");
			return;
		}
		uint8_t *at = sets->p + sets->bytes;
		at[0] = at[1] = 0;
		at[2] = (uint8_t)(n >> 8);
		at[3] = (uint8_t)n;
		memcpy(at + LENGTH_BYTES, nal, n);
		sets->bytes += LENGTH_BYTES + n;
	}
}

/* ISO/IEC 14496-15 section 5.3.3.1. */
static void take_avcc(struct reader *r, struct sets *sets)
{
	reader_skip(r, 5);
	unsigned count = reader_u8(r) & 0x1f;
	take_sets(r, sets, count);
	count = reader_u8(r);
	take_sets(r, sets, count);
}

/* ISO/IEC 14496-15 section 8.3.3.1. */
static void take_hvcc(struct reader *r, struct sets *sets)
{
	reader_skip(r, 22);
	unsigned arrays = reader_u8(r);
	while (arrays-- > 0 && !r->why) {
		reader_skip(r, 1);
		unsigned count = reader_u16(r);
		take_sets(r, sets, count);
	}
}

size_t rtp_parameter_sets(
	enum rtp_codec codec, const uint8_t *extradata, size_t n, uint8_t *ret, size_t size)
{
	struct reader r = reader_of(extradata, n);
	struct sets sets = { .p = ret, .size = size };

	if (n == 0 || extradata[0] != 1)
		return 0;
	if (codec == RTP_CODEC_H264)
		take_avcc(&r, &sets);
	else if (codec == RTP_CODEC_H265)
		take_hvcc(&r, &sets);
	return r.why ? 0 : sets.bytes;
}
