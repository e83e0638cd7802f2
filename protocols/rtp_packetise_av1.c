/*
 * AV1 as RTP (AOMedia's "RTP Payload Format For AV1", version 1.0): one OBU, or a piece of one, in each packet.
 * OBUs lose their sizes, which the packets tell, and temporal delimiters and padding are left out (section 5).
 */
#include <string.h>

#include "protocols/rtp_packetise_private.h"

enum {
	/* AV1 section 5.3.2: the OBU's header */
	OBU_EXTENSION = 0x04,
	OBU_HAS_SIZE = 0x02,
	OBU_SEQUENCE_HEADER = 1,
	OBU_TEMPORAL_DELIMITER = 2,
	OBU_TILE_LIST = 8,
	OBU_PADDING = 15,
	/* section 4.4: the aggregation header */
	CONTINUES = 0x80,
	GOES_ON = 0x40,
	ONE_ELEMENT = 0x10,
	NEW_SEQUENCE = 0x08,

	MOST_SIZE_BYTES = 8
};

/* An OBU without its size: its header, and its payload in the unit. */
struct obu {
	uint8_t head[2];
	size_t head_bytes;
	const uint8_t *p;
	size_t n;
	unsigned type;
};

/* leb128() of AV1 section 4.10.5. */
static size_t read_size(struct reader *r)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < MOST_SIZE_BYTES; i++) {
		uint8_t byte = reader_u8(r);
		value |= (uint64_t)(byte & 0x7f) << 7 * i;
		if (!(byte & 0x80))
			return (size_t)value;
	}
	reader_fail(r, "the size of an OBU makes no sense");
	return 0;
}

static void read_obu(struct reader *r, struct obu *ret)
{
	uint8_t first = reader_u8(r);

	ret->head[0] = first & (uint8_t)~OBU_HAS_SIZE;
	ret->head_bytes = 1;
	if (first & OBU_EXTENSION)
		ret->head[ret->head_bytes++] = reader_u8(r);
	ret->type = first >> 3 & 15;
	ret->n = first & OBU_HAS_SIZE ? read_size(r) : reader_left(r);
	ret->p = reader_bytes(r, ret->n);
}

static void put_obu(struct rtp_packetiser *s, struct rtp_packets *out, const struct obu *obu,
	uint32_t timestamp)
{
	uint8_t head[1 + sizeof(obu->head)];
	size_t at = 0;

	head[0] = ONE_ELEMENT | (obu->type == OBU_SEQUENCE_HEADER ? NEW_SEQUENCE : 0);
	memcpy(head + 1, obu->head, obu->head_bytes);
	size_t head_bytes = 1 + obu->head_bytes;
	do {
		size_t piece = rtp_payload_bytes(s) - head_bytes;
		if (piece >= obu->n - at) {
			piece = obu->n - at;
			head[0] &= (uint8_t)~GOES_ON;
		} else {
			head[0] |= GOES_ON;
		}
		rtp_put_packet(s, out, timestamp, head, head_bytes, obu->p + at, piece);
		at += piece;
		head[0] = ONE_ELEMENT | CONTINUES;
		head_bytes = 1;
	} while (at < obu->n);
}

/* Whether every OBU is whole. */
static const char *check_obus(const uint8_t *p, size_t n)
{
	struct reader r = reader_of(p, n);

	while (reader_left(&r) > 0) {
		struct obu obu;
		read_obu(&r, &obu);
	}
	return r.why;
}

const char *rtp_put_av1(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp)
{
	struct reader r = reader_of(p, n);
	const char *why = check_obus(p, n);

	while (!why && reader_left(&r) > 0) {
		struct obu obu;
		read_obu(&r, &obu);
		if (obu.type != OBU_TEMPORAL_DELIMITER && obu.type != OBU_TILE_LIST &&
			obu.type != OBU_PADDING)
			put_obu(s, out, &obu, timestamp);
	}
	return why;
}
