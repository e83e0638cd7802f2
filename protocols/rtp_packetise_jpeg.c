/*
 * JPEG pictures as RTP (RFC 2435): the headers of the picture are left out, what cannot be guessed of them
 * goes in headers of the format. It has no place for Huffman tables: the standard ones are taken for granted.
 */
#include <string.h>

#include "protocols/rtp_packetise_private.h"
#include "server/media/jpeg.h"

enum {
	JPEG_SOF0 = 0xc0,
	JPEG_DHT = 0xc4,
	JPEG_SOF15 = 0xcf, /* the last of other kinds; no others are between */
	JPEG_SOS = 0xda,
	JPEG_DQT = 0xdb,
	JPEG_DRI = 0xdd,

	TABLES = 4,
	TABLE_BYTES = 64,
	HEAD_BYTES = 8, /* section 3.1 */
	RESTART_BYTES = 4,
	QUANTISATION_BYTES = 4 + 2 * TABLE_BYTES,
	MOST_HEAD_BYTES = HEAD_BYTES + RESTART_BYTES + QUANTISATION_BYTES,
	TYPE_RESTART = 64,
	Q_IN_BAND = 255,
	MOST_PIXELS = 2040
};

/* What the format says of a picture; pointers are into the JPEG. */
struct picture {
	const uint8_t *tables[TABLES]; /* as DQT numbers them */
	uint8_t table_of[3];           /* of each component */
	uint8_t sampling[3];
	uint8_t components;
	uint16_t width, height, restart_interval;
	const uint8_t *scan;
	size_t scan_bytes;
};

static void read_tables(struct reader *r, struct picture *ret)
{
	while (reader_left(r) > 0) {
		unsigned head = reader_u8(r);
		const uint8_t *table = reader_bytes(r, TABLE_BYTES);
		if (head >= TABLES)
			reader_fail(r, "its quantisation tables are not baseline");
		else
			ret->tables[head] = table;
	}
}

static void read_frame(struct reader *r, struct picture *ret)
{
	reader_skip(r, 1);
	ret->height = reader_u16(r);
	ret->width = reader_u16(r);
	ret->components = reader_u8(r);
	if (ret->components != 3)
		reader_fail(r, "it has not three components");
	for (size_t i = 0; i < 3 && !r->why; i++) {
		reader_skip(r, 1);
		ret->sampling[i] = reader_u8(r);
		ret->table_of[i] = reader_u8(r);
		if (ret->table_of[i] >= TABLES)
			reader_fail(r, "a component names no table");
	}
}

static void read_segment(unsigned marker, struct reader *r, struct picture *ret)
{
	switch (marker) {
	case JPEG_DQT:
		read_tables(r, ret);
		break;
	case JPEG_SOF0:
		read_frame(r, ret);
		break;
	case JPEG_DHT:
		if (!jpeg_is_standard_huffman(r->at, reader_left(r)))
			reader_fail(r, "its Huffman tables are not the standard ones");
		break;
	case JPEG_DRI:
		ret->restart_interval = reader_u16(r);
		break;
	default:
		if (marker > JPEG_SOF0 && marker <= JPEG_SOF15)
			reader_fail(r, "it is not baseline");
		break;
	}
}

/*
 * All segments up to the scan, which goes on through the EOI: live555 adds one that is missing, but not behind a last
 * packet of one byte. Returns NULL, or why it cannot be sent.
 */
static const char *read_picture(struct picture *ret, const uint8_t *p, size_t n)
{
	struct reader r = reader_of(p, n);
	unsigned marker = 0;

	*ret = (struct picture){ 0 };
	reader_skip(&r, 2);
	while (!r.why && marker != JPEG_SOS) {
		if (reader_u8(&r) != 0xff)
			reader_fail(&r, "it is no JPEG");
		marker = reader_u8(&r);
		if (marker == 0xff) { /* a fill byte */
			r.at--;
			continue;
		}
		size_t bytes = reader_u16(&r);
		const uint8_t *segment = bytes < 2 ? NULL : reader_bytes(&r, bytes - 2);
		if (!segment)
			return "it is no JPEG";
		struct reader inner = reader_of(segment, bytes - 2);
		read_segment(marker, &inner, ret);
		if (inner.why)
			return inner.why;
	}
	if (r.why)
		return r.why;
	ret->scan = r.at;
	ret->scan_bytes = reader_left(&r);
	return NULL;
}

/* Section 4.1: 0 is 4:2:2, 1 is 4:2:0. */
static const char *find_type(const struct picture *picture, uint8_t *ret)
{
	if (picture->components != 3 || picture->sampling[1] != 0x11 ||
		picture->sampling[2] != 0x11 ||
		(picture->sampling[0] != 0x21 && picture->sampling[0] != 0x22))
		return "it is neither 4:2:0 nor 4:2:2";
	*ret = (uint8_t)((picture->sampling[0] == 0x22) +
			 (picture->restart_interval ? TYPE_RESTART : 0));
	return NULL;
}

/* Section 3.1.8: one table for brightness, one for both colours. */
static const char *write_tables(const struct picture *picture, uint8_t ret[QUANTISATION_BYTES])
{
	const uint8_t *luma = picture->tables[picture->table_of[0]];
	const uint8_t *chroma = picture->tables[picture->table_of[1]];

	if (!luma || !chroma || chroma != picture->tables[picture->table_of[2]])
		return "its components' quantisation tables are not as RTP wants them";
	ret[3] = 2 * TABLE_BYTES;
	memcpy(ret + 4, luma, TABLE_BYTES);
	memcpy(ret + 4 + TABLE_BYTES, chroma, TABLE_BYTES);
	return NULL;
}

/* Rounded up to blocks; what does not fit into a byte is 0, and said in the SDP. */
static uint8_t blocks(unsigned pixels)
{
	return pixels > MOST_PIXELS ? 0 : (uint8_t)((pixels + 7) / 8);
}

/* All headers of the first packet; of the others the first *common bytes. Returns NULL, or why there are none. */
static const char *write_head(
	const struct picture *picture, uint8_t ret[MOST_HEAD_BYTES], size_t *common)
{
	const char *why = find_type(picture, &ret[4]);

	ret[5] = Q_IN_BAND;
	ret[6] = blocks(picture->width);
	ret[7] = blocks(picture->height);
	if (!ret[6] || !ret[7]) /* one alone would be taken for a wrong one */
		ret[6] = ret[7] = 0;
	*common = HEAD_BYTES;
	if (picture->restart_interval) {
		const uint8_t restart[] = { (uint8_t)(picture->restart_interval >> 8),
			(uint8_t)picture->restart_interval, 0xff, 0xff }; /* of the whole picture */
		memcpy(ret + *common, restart, sizeof(restart));
		*common += sizeof(restart);
	}
	if (!why && picture->scan_bytes >= 1 << 24)
		why = "it is larger than RTP can say";
	return why ? why : write_tables(picture, ret + *common);
}

const char *rtp_put_jpeg(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp)
{
	uint8_t head[MOST_HEAD_BYTES] = { 0 };
	struct picture picture;
	size_t common;
	const char *why = read_picture(&picture, p, n);

	if (!why)
		why = write_head(&picture, head, &common);
	if (why)
		return why;
	for (size_t at = 0, piece; at < picture.scan_bytes; at += piece) {
		size_t head_bytes = common + (at == 0 ? QUANTISATION_BYTES : 0);
		piece = rtp_payload_bytes(s) - head_bytes;
		if (piece > picture.scan_bytes - at)
			piece = picture.scan_bytes - at;
		head[1] = (uint8_t)(at >> 16);
		head[2] = (uint8_t)(at >> 8);
		head[3] = (uint8_t)at;
		rtp_put_packet(s, out, timestamp, head, head_bytes, picture.scan + at, piece);
	}
	return NULL;
}
