#pragma once

#include "protocols/rtp_packetise.h"
#include "server/base/reader.h"

/* What the files that packetise share. */

static inline size_t rtp_payload_bytes(const struct rtp_packetiser *s)
{
	return s->payload_bytes ? s->payload_bytes : RTP_PAYLOAD_BYTES;
}

/* Appends one packet, of which the payload is `head` and then p. */
void rtp_put_packet(struct rtp_packetiser *s, struct rtp_packets *out, uint32_t timestamp,
	const uint8_t *head, size_t head_bytes, const uint8_t *p, size_t n);

/* rtp_packetise_jpeg.c, rtp_packetise_av1.c: rows' `put`. */
const char *rtp_put_jpeg(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp);
const char *rtp_put_av1(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp);
