#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libavcodec/codec_par.h>

#include "server/base/attributes.h"

/*
 * From access units to RTP packets, each behind its 4-byte interleaved header (RFC 2326 section
 * 10.12): single NAL units and FU-A (RFC 6184), FU (RFC 7798), JPEG (RFC 2435), AV1 (AOMedia's RTP
 * payload format 1.0), AAC-hbr (RFC 3640), Opus (RFC 7587), G.711, G.726 and L16 (RFC 3551). Pure.
 */

/* Of RTP payload, so that a packet fits into an Ethernet frame with any headers around it. */
enum {
	RTP_PAYLOAD_BYTES = 1400,
	RTP_INTERLEAVED_BYTES = 4
};

struct rtp_packetiser;
struct rtp_packets;

/* How a codec goes over RTP: one row of a table. */
struct rtp_encoding {
	enum AVCodecID id;
	const char *name; /* of a=rtpmap */
	int bits;         /* of a coded sample, where a codec is nothing but samples; else 0 */
	int clock_hz;     /* of RTP; 0: samples per second */
	int payload_type; /* the static one (RFC 3551 section 6; of sound: 8000 Hz mono), or -1 */
	/* Of a unit; NULL, or what is wrong with it: static text. */
	const char *(*put)(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
		size_t n, uint32_t timestamp);
};

/* How packets of one track are made, numbered and named. */
struct rtp_packetiser {
	const struct rtp_encoding *encoding;
	unsigned channels; /* of sound */
	uint8_t payload_type, channel;
	uint32_t ssrc;
	uint16_t next_sequence;
	size_t payload_bytes; /* of a packet, at most; 0: RTP_PAYLOAD_BYTES */
	/* A whole header extension (RFC 3550 section 5.3.1) of each packet, or none. */
	const uint8_t *extension;
	size_t extension_bytes;
};

/*
 * The packets written so far. With block and offsets NULL they are only counted: a caller packetises
 * twice, first to learn how much memory it takes.
 */
struct rtp_packets {
	uint8_t *block;
	size_t bytes;
	uint32_t *offsets; /* where each packet's interleaved header stands */
	size_t n;
};

/* How a track is sent; NULL: it is not. */
const struct rtp_encoding *rtp_encoding_of(const AVCodecParameters *parameters);
/* What its packets are called, as the track of that number: 0 to 127. */
uint8_t rtp_payload_type(
	const struct rtp_encoding *encoding, const AVCodecParameters *parameters, unsigned track);
/* The clock of its RTP times. */
int rtp_clock_hz(const struct rtp_encoding *encoding, const AVCodecParameters *parameters);

/*
 * Appends the packets of n bytes as a stream has them: NAL units with 4-byte lengths (a broken length
 * ends them), a JPEG, OBUs with their sizes, a raw AAC frame, an Opus packet, samples. No packet is
 * marked. Returns NULL; or why it cannot be sent (static text), then out is as it was.
 */
const char *rtp_packetise(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp);
/* Sets the marker bit of the last packet: the unit ends with it. */
void rtp_packets_mark(struct rtp_packets *out);

/*
 * What goes before each keyframe: the parameter sets of avcC or hvcC as NAL units with 4-byte lengths (AV1 has
 * them in band). Returns their bytes; 0 when the extradata is broken or has none, or ret is too small.
 */
size_t rtp_parameter_sets(const AVCodecParameters *parameters, uint8_t *ret, size_t size);
/* The next NAL unit with a 4-byte length; *at is advanced. NULL at the end or at a broken length. */
const uint8_t *rtp_nal_next(const uint8_t *p, size_t n, size_t *at, size_t *nal_bytes);
