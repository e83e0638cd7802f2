/* Markers of JPEG pictures (ITU-T T.81 annex B) and the standard Huffman tables (annex K.3). */
#include "server/media/jpeg.h"

#include <errno.h>
#include <string.h>

#include "server/base/reader.h"

enum jpeg_marker {
	JPEG_TEM = 0x01,
	JPEG_SOF0 = 0xc0, /* baseline */
	JPEG_SOF2 = 0xc2, /* progressive */
	JPEG_DHT = 0xc4,
	JPEG_JPG = 0xc8,
	JPEG_DAC = 0xcc,
	JPEG_SOF15 = 0xcf,
	JPEG_RST0 = 0xd0,
	JPEG_RST7 = 0xd7,
	JPEG_SOI = 0xd8,
	JPEG_EOI = 0xd9,
	JPEG_SOS = 0xda,
	JPEG_DNL = 0xdc,
	JPEG_DRI = 0xdd
};

/* --- the standard Huffman tables --- */

// clang-format off
static const uint8_t dc_values[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
static const uint8_t ac_luma_values[] = {
	0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
	0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
	0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
	0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
	0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
	0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
	0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
	0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
	0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
	0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
	0xf9, 0xfa,
};
static const uint8_t ac_chroma_values[] = {
	0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
	0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
	0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
	0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
	0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
	0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
	0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
	0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
	0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
	0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
	0xf9, 0xfa,
};
static const struct {
	uint8_t class_and_id;
	uint8_t counts[16]; /* of codes of 1 to 16 bits */
	const uint8_t *values;
	uint8_t n_values;
} huffman_tables[] = {
	{ 0x00, { 0, 1, 5, 1, 1, 1, 1, 1, 1 }, dc_values, sizeof(dc_values) },
	{ 0x10, { 0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125 }, ac_luma_values, sizeof(ac_luma_values) },
	{ 0x01, { 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, dc_values, sizeof(dc_values) },
	{ 0x11, { 0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119 }, ac_chroma_values, sizeof(ac_chroma_values) },
};
// clang-format on

void jpeg_write_huffman(uint8_t ret[JPEG_HUFFMAN_BYTES])
{
	static const uint8_t head[] = { 0xff, JPEG_DHT, (JPEG_HUFFMAN_BYTES - 2) >> 8,
		(JPEG_HUFFMAN_BYTES - 2) & 0xff };

	memcpy(ret, head, sizeof(head));
	ret += sizeof(head);
	for (size_t i = 0; i < ARRAY_LENGTH(huffman_tables); i++) {
		*ret++ = huffman_tables[i].class_and_id;
		memcpy(ret, huffman_tables[i].counts, sizeof(huffman_tables[i].counts));
		ret += sizeof(huffman_tables[i].counts);
		memcpy(ret, huffman_tables[i].values, huffman_tables[i].n_values);
		ret += huffman_tables[i].n_values;
	}
}

static bool huffman_table_is_at(size_t i, const uint8_t *p, size_t n)
{
	size_t counts = sizeof(huffman_tables[i].counts), values = huffman_tables[i].n_values;

	return n >= 1 + counts + values && p[0] == huffman_tables[i].class_and_id &&
	       !memcmp(p + 1, huffman_tables[i].counts, counts) &&
	       !memcmp(p + 1 + counts, huffman_tables[i].values, values);
}

bool jpeg_is_standard_huffman(const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t i = 0;
		while (i < ARRAY_LENGTH(huffman_tables) && !huffman_table_is_at(i, p, n))
			i++;
		if (i == ARRAY_LENGTH(huffman_tables))
			return false;
		size_t bytes = 1 + sizeof(huffman_tables[i].counts) + huffman_tables[i].n_values;
		p += bytes;
		n -= bytes;
	}
	return true;
}

bool jpeg_is_like(const struct jpeg *a, const struct jpeg *b)
{
	return a->width == b->width && a->height == b->height && a->components == b->components &&
	       !memcmp(a->sampling, b->sampling, sizeof(a->sampling));
}

size_t jpeg_write_bytes(const struct jpeg *jpeg)
{
	return jpeg->bytes + (jpeg->has_huffman ? 0 : JPEG_HUFFMAN_BYTES);
}

size_t jpeg_write(const struct jpeg *jpeg, const uint8_t *p, uint8_t *ret, size_t size)
{
	size_t n = jpeg_write_bytes(jpeg);
	size_t head = jpeg->scan_at;

	if (n > size)
		return 0;
	/* the end first: ret may be p */
	memmove(ret + head + (n - jpeg->bytes), p + head, jpeg->bytes - head);
	if (ret != p)
		memcpy(ret, p, head);
	if (!jpeg->has_huffman)
		jpeg_write_huffman(ret + head);
	return n;
}

/* --- the walk --- */

size_t jpeg_find(const uint8_t *p, size_t n, size_t from)
{
	static const uint8_t begin[] = { 0xff, JPEG_SOI, 0xff };

	while (from < n) {
		const uint8_t *found = memchr(p + from, begin[0], n - from);
		size_t at = found ? (size_t)(found - p) : n;
		size_t left = n - at;

		if (!memcmp(p + at, begin, left < sizeof(begin) ? left : sizeof(begin)))
			return at;
		from = at + 1;
	}
	return n;
}

/* SOF (B.2.2): the frame header behind its length. */
static int jpeg_read_frame(struct jpeg *jpeg, const uint8_t *p, size_t n, const char **why)
{
	struct reader r = reader_of(p, n);
	unsigned precision = reader_u8(&r);

	jpeg->height = reader_u16(&r);
	jpeg->width = reader_u16(&r);
	jpeg->components = reader_u8(&r);
	if (r.why || !jpeg->components || jpeg->components > JPEG_COMPONENTS)
		reader_fail(&r, "the frame header makes no sense");
	for (size_t i = 0; !r.why && i < jpeg->components; i++) {
		reader_skip(&r, 1);
		jpeg->sampling[i] = reader_u8(&r);
		reader_skip(&r, 1);
		if ((uint8_t)((jpeg->sampling[i] >> 4) - 1) > 3 ||
			(uint8_t)((jpeg->sampling[i] & 15) - 1) > 3)
			reader_fail(&r, "the sampling factors make no sense");
	}
	if (precision != 8)
		reader_fail(&r, "it has not eight bits per sample");
	if (!jpeg->width || !jpeg->height)
		reader_fail(&r, "its size is zero");
	*why = r.why;
	return r.why ? -EBADMSG : 0;
}

/* One segment with a length. */
static int jpeg_on_segment(
	struct jpeg *jpeg, uint8_t marker, const uint8_t *p, size_t n, const char **why)
{
	if (marker == JPEG_DHT) {
		jpeg->has_huffman |= !jpeg->scan_at;
	} else if (marker == JPEG_SOS) {
		*why = "a scan stands before the frame header";
		if (!jpeg->components)
			return -EBADMSG;
		if (!jpeg->scan_at)
			jpeg->scan_at = jpeg->at;
	} else if (marker >= JPEG_SOF0 && marker <= JPEG_SOF2) {
		*why = "it has two frame headers";
		if (jpeg->components)
			return -EBADMSG;
		jpeg->progressive = marker == JPEG_SOF2;
		return jpeg_read_frame(jpeg, p, n, why);
	} else if (marker == JPEG_DRI) {
		*why = "the restart interval is missing";
		if (n < 2)
			return -EBADMSG;
		jpeg->restart_interval = (uint16_t)(p[0] << 8 | p[1]);
	}
	return 0;
}

/* Markers that no picture here has: their segments, which may be no segments, are not waited for. */
static bool jpeg_is_foreign(uint8_t marker, const char **why)
{
	if (marker > JPEG_SOF2 && marker <= JPEG_SOF15 && marker != JPEG_DHT) {
		*why = "a kind of JPEG that is not supported";
		return true;
	}
	*why = "an unknown marker";
	return marker == JPEG_DNL || marker < JPEG_SOF0;
}

/* The marker at jpeg->at and its segment. Returns 1 when it is over. */
static int jpeg_on_marker(struct jpeg *jpeg, const uint8_t *p, size_t n, const char **why)
{
	uint8_t marker = p[jpeg->at + 1];
	size_t bytes;
	int error;

	if (marker == JPEG_EOI) {
		*why = "it has no scan";
		jpeg->bytes = jpeg->at + 2;
		return jpeg->scan_at ? 1 : -EBADMSG;
	}
	if (marker == JPEG_SOI) {
		*why = "the next picture begins before its end";
		return -EBADMSG;
	}
	if (marker == JPEG_TEM || (marker >= JPEG_RST0 && marker <= JPEG_RST7)) {
		jpeg->restarts += marker != JPEG_TEM;
		jpeg->at += 2;
		return 0;
	}
	if (jpeg_is_foreign(marker, why))
		return -EBADMSG;
	*why = "it is cut off in a segment";
	if (n - jpeg->at < 4)
		return -EAGAIN;
	bytes = (size_t)p[jpeg->at + 2] << 8 | p[jpeg->at + 3];
	if (bytes < 2) {
		*why = "a segment has no length";
		return -EBADMSG;
	}
	if (n - jpeg->at < 2 + bytes)
		return -EAGAIN;
	error = jpeg_on_segment(jpeg, marker, p + jpeg->at + 4, bytes - 2, why);
	if (error)
		return error;
	jpeg->at += 2 + bytes;
	jpeg->in_scan = marker == JPEG_SOS;
	return 0;
}

/*
 * Goes to the next marker: over entropy-coded data, or over the odd bytes that some cameras have
 * between segments; 0xff may be repeated before a marker (B.1.1.2). Returns false at the end.
 */
static bool jpeg_next_marker(struct jpeg *jpeg, const uint8_t *p, size_t n)
{
	while (jpeg->at < n) {
		const uint8_t *found = memchr(p + jpeg->at, 0xff, n - jpeg->at);

		jpeg->at = found ? (size_t)(found - p) : n;
		if (n - jpeg->at < 2)
			return false;
		if (p[jpeg->at + 1] == 0xff)
			jpeg->at++;
		else if (p[jpeg->at + 1] == 0)
			jpeg->at += 2;
		else
			return true;
	}
	return false;
}

int jpeg_resume(struct jpeg *jpeg, const uint8_t *p, size_t n, const char **why)
{
	int result = 0;

	if (jpeg->at == 0) {
		*why = "it does not begin as a JPEG does";
		if (jpeg_find(p, n < 3 ? n : 3, 0) != 0)
			return -EBADMSG;
		*why = "it is cut off at its begin";
		if (n < 3)
			return -EAGAIN;
		jpeg->at = 2;
	}
	while (result == 0) {
		if (!jpeg_next_marker(jpeg, p, n)) {
			*why = jpeg->in_scan ? "it is cut off in its scan" : "it is cut off";
			return -EAGAIN;
		}
		result = jpeg_on_marker(jpeg, p, n, why);
	}
	return result > 0 ? 0 : result;
}

int jpeg_parse(struct jpeg *ret, const uint8_t *p, size_t n, const char **why)
{
	struct jpeg jpeg = { 0 };
	int error = jpeg_resume(&jpeg, p, n, why);

	if (error == 0)
		*ret = jpeg;
	return error;
}
