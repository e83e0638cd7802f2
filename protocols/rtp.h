#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

enum {
	RTP_HEADER_BYTES = 12,
	RTP_PACKET_BYTES = 65536
};

/* One RTP packet (RFC 3550 section 5.1). The payload points into the parsed bytes. */
struct rtp_packet {
	uint8_t payload_type;
	int marker;
	uint16_t sequence;
	uint32_t timestamp;
	uint32_t ssrc;
	const uint8_t *payload;
	size_t payload_bytes;
};

/*
 * Parses the n bytes of one datagram or interleaved packet. Returns 0, or -EBADMSG and a static
 * reason in *why; ret is only written on success. CSRCs, extension and padding are checked and
 * skipped.
 */
int rtp_parse(struct rtp_packet *ret, const uint8_t *p, size_t n, const char **why) MUST_CHECK;

/* Writes a 12-byte header without CSRCs. */
void rtp_write_header(uint8_t ret[RTP_HEADER_BYTES], const struct rtp_packet *packet);
