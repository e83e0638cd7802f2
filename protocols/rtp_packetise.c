/*
 * Cuts access units into RTP payloads: RFC 6184 section 5.8, RFC 7798 section 4.4.3, RFC 3640, RFC 7587,
 * RFC 3551. JPEG and AV1 have files of their own.
 */
#include "protocols/rtp_packetise_private.h"

#include <string.h>

#include "protocols/rtp.h"

enum {
	FIRST_DYNAMIC_TYPE = 96,
	LENGTH_BYTES = 4,
	HAS_EXTENSION = 0x10, /* of the first byte of an RTP header */
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

void rtp_put_packet(struct rtp_packetiser *s, struct rtp_packets *out, uint32_t timestamp,
	const uint8_t *head, size_t head_bytes, const uint8_t *p, size_t n)
{
	size_t bytes = RTP_HEADER_BYTES + s->extension_bytes + head_bytes + n;

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
		if (s->extension_bytes > 0) {
			at[-RTP_HEADER_BYTES] |= HAS_EXTENSION;
			memcpy(at, s->extension, s->extension_bytes);
			at += s->extension_bytes;
		}
		if (head_bytes > 0)
			memcpy(at, head, head_bytes);
		memcpy(at + head_bytes, p, n);
	}
	out->bytes += RTP_INTERLEAVED_BYTES + bytes;
	out->n++;
}

/* The header of a fragment: NAL header with the type of FU-A or FU, FU header. Returns its bytes. */
static size_t fragment_head(bool h264, const uint8_t *nal, uint8_t ret[3])
{
	if (h264) {
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
	bool h264 = s->encoding->id == AV_CODEC_ID_H264;
	size_t header_bytes = h264 ? 1 : 2;
	uint8_t head[3];

	if (n <= header_bytes)
		return;
	if (n <= rtp_payload_bytes(s)) {
		rtp_put_packet(s, out, timestamp, NULL, 0, nal, n);
		return;
	}
	size_t head_bytes = fragment_head(h264, nal, head);
	uint8_t *flags = &head[head_bytes - 1];
	*flags |= FU_START;
	for (size_t at = header_bytes; at < n;) {
		size_t piece = rtp_payload_bytes(s) - head_bytes;
		if (piece >= n - at) {
			piece = n - at;
			*flags |= FU_END;
		}
		rtp_put_packet(s, out, timestamp, head, head_bytes, nal + at, piece);
		*flags &= (uint8_t)~FU_START;
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

static const char *put_nals(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp)
{
	const uint8_t *nal;
	size_t at = 0, nal_bytes;

	while (at < n && (nal = rtp_nal_next(p, n, &at, &nal_bytes)))
		put_nal(s, out, timestamp, nal, nal_bytes);
	return NULL;
}

/* One AU header in each packet; of an AU in pieces it says the whole size. */
static const char *put_aac(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp)
{
	const uint8_t head[AU_HEADER_BYTES] = { 0, 16, (uint8_t)(n >> 5), (uint8_t)(n << 3) };

	if (n > AU_BYTES)
		return "an AAC frame is longer than RTP can say";
	for (size_t at = 0; at < n;) {
		size_t piece = rtp_payload_bytes(s) - AU_HEADER_BYTES;
		if (piece > n - at)
			piece = n - at;
		rtp_put_packet(s, out, timestamp, head, sizeof(head), p + at, piece);
		at += piece;
	}
	return NULL;
}

/* RFC 7587 section 4.2: a packet is never cut. */
static const char *put_opus(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp)
{
	if (n > rtp_payload_bytes(s))
		return "an Opus packet is longer than a datagram";
	rtp_put_packet(s, out, timestamp, NULL, 0, p, n);
	return NULL;
}

/* RFC 3551 section 4: as many samples of all channels in a packet as fit, in whole bytes. */
static const char *put_samples(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp)
{
	size_t eight = (size_t)s->encoding->bits * (s->channels ? s->channels : 1);
	size_t most = rtp_payload_bytes(s) / eight * eight;

	if (most == 0)
		return "it has more channels than fit into a packet";
	for (size_t at = 0; at < n; at += most) {
		size_t piece = n - at < most ? n - at : most;
		rtp_put_packet(
			s, out, timestamp + (uint32_t)(at / eight * 8), NULL, 0, p + at, piece);
	}
	return NULL;
}

/* --- all of them --- */

static const struct rtp_encoding encodings[] = {
	{AV_CODEC_ID_H264,          "H264",          0,  90000, -1, put_nals    },
	{ AV_CODEC_ID_HEVC,         "H265",          0,  90000, -1, put_nals    },
	{ AV_CODEC_ID_MJPEG,        "JPEG",          0,  90000, 26, rtp_put_jpeg},
	{ AV_CODEC_ID_AV1,          "AV1",           0,  90000, -1, rtp_put_av1 },
	{ AV_CODEC_ID_AAC,          "MPEG4-GENERIC", 0,  0,     -1, put_aac     },
	{ AV_CODEC_ID_OPUS,         "opus",          0,  48000, -1, put_opus    },
	{ AV_CODEC_ID_PCM_MULAW,    "PCMU",          8,  0,     0,  put_samples },
	{ AV_CODEC_ID_PCM_ALAW,     "PCMA",          8,  0,     8,  put_samples },
	{ AV_CODEC_ID_PCM_S16BE,    "L16",           16, 0,     -1, put_samples },
	{ AV_CODEC_ID_ADPCM_G726LE, "G726-16",       2,  0,     -1, put_samples },
	{ AV_CODEC_ID_ADPCM_G726LE, "G726-24",       3,  0,     -1, put_samples },
	{ AV_CODEC_ID_ADPCM_G726LE, "G726-32",       4,  0,     -1, put_samples },
	{ AV_CODEC_ID_ADPCM_G726LE, "G726-40",       5,  0,     -1, put_samples },
	{ AV_CODEC_ID_ADPCM_G726,   "AAL2-G726-16",  2,  0,     -1, put_samples },
	{ AV_CODEC_ID_ADPCM_G726,   "AAL2-G726-24",  3,  0,     -1, put_samples },
	{ AV_CODEC_ID_ADPCM_G726,   "AAL2-G726-32",  4,  0,     -1, put_samples },
	{ AV_CODEC_ID_ADPCM_G726,   "AAL2-G726-40",  5,  0,     -1, put_samples },
};

static bool encoding_is_of(const struct rtp_encoding *e, const AVCodecParameters *p)
{
	bool g726 = e->bits > 0 && e->bits < 8;

	return e->id == p->codec_id && (!g726 || e->bits == p->bits_per_coded_sample);
}

const struct rtp_encoding *rtp_encoding_of(const AVCodecParameters *parameters)
{
	if (parameters->codec_id == AV_CODEC_ID_OPUS && parameters->ch_layout.nb_channels > 2)
		return NULL; /* RFC 7587 has no word for it */
	for (size_t i = 0; i < ARRAY_LENGTH(encodings); i++)
		if (encoding_is_of(&encodings[i], parameters))
			return &encodings[i];
	return NULL;
}

uint8_t rtp_payload_type(
	const struct rtp_encoding *encoding, const AVCodecParameters *parameters, unsigned track)
{
	bool as_standard =
		parameters->codec_type == AVMEDIA_TYPE_VIDEO ||
		(parameters->sample_rate == 8000 && parameters->ch_layout.nb_channels == 1);

	if (encoding->payload_type >= 0 && as_standard)
		return (uint8_t)encoding->payload_type;
	return (uint8_t)(FIRST_DYNAMIC_TYPE + track);
}

int rtp_clock_hz(const struct rtp_encoding *encoding, const AVCodecParameters *parameters)
{
	return encoding->clock_hz ? encoding->clock_hz : parameters->sample_rate;
}

const char *rtp_packetise(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp)
{
	return s->encoding->put(s, out, p, n, timestamp);
}

void rtp_packets_mark(struct rtp_packets *out)
{
	if (out->block && out->n > 0)
		out->block[out->offsets[out->n - 1] + RTP_INTERLEAVED_BYTES + 1] |= 0x80;
}

/* --- parameter sets --- */

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

size_t rtp_parameter_sets(const AVCodecParameters *parameters, uint8_t *ret, size_t size)
{
	struct reader r = reader_of(parameters->extradata, (size_t)parameters->extradata_size);
	struct sets sets = { .p = ret, .size = size };
	uint8_t version = reader_left(&r) > 0 ? *r.at : 0;

	if (parameters->codec_id == AV_CODEC_ID_H264 && version == 1)
		take_avcc(&r, &sets);
	else if (parameters->codec_id == AV_CODEC_ID_HEVC && version == 1)
		take_hvcc(&r, &sets);
	return r.why ? 0 : sets.bytes;
}
