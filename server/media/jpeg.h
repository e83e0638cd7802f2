#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * JPEG pictures (ITU-T T.81): where one begins and ends, its size and sampling, and the standard
 * Huffman tables for those that come without. Pure; one pass over the bytes, nothing is decoded.
 */

enum {
	JPEG_COMPONENTS = 4,
	/* The DHT segment with the four standard tables. */
	JPEG_HUFFMAN_BYTES = 420
};

struct jpeg {
	uint16_t width, height; /* neither is 0 */
	uint8_t components;     /* 1 to JPEG_COMPONENTS */
	/* Of each component: horizontal factor in the upper four bits, vertical in the lower. */
	uint8_t sampling[JPEG_COMPONENTS];
	bool progressive;
	bool has_huffman;          /* has a DHT before its first scan */
	uint16_t restart_interval; /* in MCUs; 0: none */
	uint32_t restarts;         /* the restart markers in it */
	size_t scan_at;            /* where its first SOS marker stands */
	size_t bytes;              /* from SOI through EOI */

	/* where jpeg_resume() goes on; after -EBADMSG: how far the picture made sense */
	size_t at;
	bool in_scan;
};

/*
 * Walks the one baseline, extended or progressive picture of eight bits that begins at p; what
 * stands behind its EOI is not looked at. Returns 0; or, with a static *why and ret untouched,
 * -EAGAIN when the n bytes end before it does, -EBADMSG when it is no such JPEG, or when the next
 * picture begins before its EOI. Arithmetic coding, DNL heights and lossless ones are refused.
 */
int jpeg_parse(struct jpeg *ret, const uint8_t *p, size_t n, const char **why) MUST_CHECK;
/*
 * The same for bytes that drip in: *jpeg is all zeros at first, and after -EAGAIN the call is made
 * again with more bytes of the same picture, of which only the new ones are read. *jpeg is whole
 * when 0 was returned; after -EBADMSG jpeg->at says from where jpeg_find() finds the next picture.
 */
int jpeg_resume(struct jpeg *jpeg, const uint8_t *p, size_t n, const char **why) MUST_CHECK;

/*
 * Where the next picture begins (an SOI and the 0xff of the marker behind it) at or after `from`;
 * one that n cuts short counts, so that all bytes before the result may be thrown away. n: none.
 */
size_t jpeg_find(const uint8_t *p, size_t n, size_t from);

/* Whether both have the same size and sampling: pictures of one stream. */
bool jpeg_is_like(const struct jpeg *a, const struct jpeg *b);

/* How many bytes jpeg_write() writes. */
size_t jpeg_write_bytes(const struct jpeg *jpeg);
/*
 * Writes the parsed picture at p through its EOI, with the standard Huffman tables (T.81 annex K.3)
 * before its first scan when it has none, as AVI and some cameras leave them out. ret may be p,
 * else they do not overlap. Returns jpeg_write_bytes(), or 0 when `size` is less.
 */
size_t jpeg_write(const struct jpeg *jpeg, const uint8_t *p, uint8_t *ret, size_t size);
/* Whether the n bytes of a DHT segment (behind its length) are tables of the standard's annex K.3. */
bool jpeg_is_standard_huffman(const uint8_t *p, size_t n);
/* The DHT segment alone. */
void jpeg_write_huffman(uint8_t ret[JPEG_HUFFMAN_BYTES]);
