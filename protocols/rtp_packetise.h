#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libavcodec/codec_par.h>

#include "server/base/attributes.h"

/*
 * From access units to RTP packets, each behind its 4-byte interleaved header (RFC 2326 section
 * 10.12): single NAL units and FU-A (RFC 6184), FU (RFC 7798), AAC-hbr (RFC 3640). Pure.
 */

/* Of RTP payload, so that a packet fits into an Ethernet frame with any headers around it. */
enum {
	RTP_PAYLOAD_BYTES = 1400,
	RTP_INTERLEAVED_BYTES = 4
};

enum rtp_codec {
	RTP_CODEC_NONE,
	RTP_CODEC_H264,
	RTP_CODEC_H265,
	RTP_CODEC_AAC
};

/* How packets of one track are numbered and named. */
struct rtp_packetiser {
	enum rtp_codec codec;
	uint8_t payload_type, channel;
	uint32_t ssrc;
	uint16_t next_sequence;
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

/* What the parameters are packetised as; RTP_CODEC_NONE: nothing. */
enum rtp_codec rtp_codec_of(const AVCodecParameters *parameters);

/*
 * Appends the packets of n bytes: NAL units with 4-byte lengths (a broken length ends them), or one
 * raw AAC frame (nothing when it is longer than the format can say). No packet is marked.
 */
void rtp_packetise(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p, size_t n,
	uint32_t timestamp);
/* Sets the marker bit of the last packet: the unit ends with it. */
void rtp_packets_mark(struct rtp_packets *out);

/*
 * The parameter sets of avcC or hvcC extradata as NAL units with 4-byte lengths. Returns their
 * bytes; 0 when the extradata is broken or has none, or ret is too small.
 */
size_t rtp_parameter_sets(
	enum rtp_codec codec, const uint8_t *extradata, size_t n, uint8_t *ret, size_t size);
/* The next NAL unit with a 4-byte length; *at is advanced. NULL at the end or at a broken length. */
const uint8_t *rtp_nal_next(const uint8_t *p, size_t n, size_t *at, size_t *nal_bytes);
