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
	JPEG_SOS = 0xda,
	JPEG_DQT = 0xdb,
	JPEG_DRI = 0xdd,

	TABLES = 4,
	TABLE_BYTES = 64,
	HEAD_BYTES = 8, /* section 3.1 */
	RESTART_BYTES = 4,
	QUANTISATION_BYTES = 4 + 2 * TABLE_BYTES,
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
	case 0xc1:
	case 0xc2:
	case 0xc3:
	case 0xc5:
	case 0xc6:
	case 0xc7:
	case 0xc9:
	case 0xca:
	case 0xcb:
	case 0xcd:
	case 0xce:
	case 0xcf:
		reader_fail(r, "it is not baseline");
		break;
	default:
		break;
	}
}

/* All segments up to the scan, which goes on to the EOI. Returns NULL, or why it cannot be sent. */
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
	if (ret->scan_bytes >= 2 && p[n - 2] == 0xff && p[n - 1] == 0xd9)
		ret->scan_bytes -= 2;
	return NULL;
}

/* Section 4.1: type 0 is 4:2:2, 1 is 4:2:0; the colours share a table. */
static const char *find_type(const struct picture *picture, uint8_t *ret)
{
	const uint8_t *table_of = picture->table_of;

	if (picture->components != 3 || picture->sampling[1] != 0x11 ||
		picture->sampling[2] != 0x11 ||
		(picture->sampling[0] != 0x21 && picture->sampling[0] != 0x22))
		return "it is neither 4:2:0 nor 4:2:2";
	if (!picture->tables[table_of[0]] || !picture->tables[table_of[1]] ||
		picture->tables[table_of[1]] != picture->tables[table_of[2]])
		return "its components' quantisation tables are not as RTP wants them";
	*ret = (uint8_t)((picture->sampling[0] == 0x22) +
			 (picture->restart_interval ? TYPE_RESTART : 0));
	return NULL;
}

/* Rounded up to blocks; what does not fit into a byte is 0, and said in the SDP. */
static uint8_t blocks(unsigned pixels)
{
	return pixels > MOST_PIXELS ? 0 : (uint8_t)((pixels + 7) / 8);
}

const char *rtp_put_jpeg(struct rtp_packetiser *s, struct rtp_packets *out, const uint8_t *p,
	size_t n, uint32_t timestamp)
{
	uint8_t head[HEAD_BYTES + RESTART_BYTES + QUANTISATION_BYTES] = { 0 };
	struct picture picture;
	size_t common = HEAD_BYTES;
	const char *why = read_picture(&picture, p, n);

	if (!why)
		why = find_type(&picture, &head[4]);
	if (!why && picture.scan_bytes >= 1 << 24)
		why = "it is larger than RTP can say";
	if (why)
		return why;
	head[5] = Q_IN_BAND;
	head[6] = blocks(picture.width);
	head[7] = blocks(picture.height);
	if (picture.restart_interval) {
		const uint8_t restart[] = { (uint8_t)(picture.restart_interval >> 8),
			(uint8_t)picture.restart_interval, 0xff, 0xff }; /* of the whole picture */
		memcpy(head + common, restart, sizeof(restart));
		common += sizeof(restart);
	}
	head[common + 3] = 2 * TABLE_BYTES;
	memcpy(head + common + 4, picture.tables[picture.table_of[0]], TABLE_BYTES);
	memcpy(head + common + 4 + TABLE_BYTES, picture.tables[picture.table_of[1]], TABLE_BYTES);
	for (size_t at = 0, piece; at < picture.scan_bytes; at += piece) {
		size_t head_bytes = common + (at == 0 ? QUANTISATION_BYTES : 0);
		piece = RTP_PAYLOAD_BYTES - head_bytes;
		if (piece > picture.scan_bytes - at)
			piece = picture.scan_bytes - at;
		head[1] = (uint8_t)(at >> 16);
		head[2] = (uint8_t)(at >> 8);
		head[3] = (uint8_t)at;
		rtp_put_packet(s, out, timestamp, head, head_bytes, picture.scan + at, piece);
	}
	return NULL;
}
