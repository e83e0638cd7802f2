/* The fragment index of a segment and its compact form in the catalogue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "storage/catalogue_private.h"

enum {
	VARINT_BYTES = 10,
	FIELDS = 4,
	INDEX_MOST = 1 << 20,
	INDEX_FIRST = 64
};

void fragment_index_add(struct fragment_index *index, const struct catalogue_fragment *fragment)
{
	if (index->n == index->size) {
		index->size = index->size ? index->size * 2 : INDEX_FIRST;
		index->fragments =
			xrealloc(index->fragments, index->size * sizeof(*index->fragments));
	}
	index->fragments[index->n++] = *fragment;
}

static uint8_t *varint_write(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static bool varint_parse(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && *p < end; shift += 7) {
		uint8_t byte = *(*p)++;

		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* Small numbers of either sign become small numbers. */
static uint64_t zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

uint8_t *fragment_index_write(const struct fragment_index *index, size_t *bytes)
{
	uint8_t *blob = xmalloc(VARINT_BYTES * (1 + FIELDS * index->n));
	uint8_t *p = varint_write(blob, index->n);
	int64_t expected_us = 0;
	uint64_t expected_offset = 0;

	for (size_t i = 0; i < index->n; i++) {
		const struct catalogue_fragment *f = &index->fragments[i];

		p = varint_write(p, zigzag(f->start_us - expected_us));
		p = varint_write(p, (uint64_t)f->duration_us << 1 | f->keyframe);
		p = varint_write(p, zigzag((int64_t)(f->offset - expected_offset)));
		p = varint_write(p, f->bytes);
		expected_us = f->start_us + f->duration_us;
		expected_offset = f->offset + f->bytes;
	}
	*bytes = (size_t)(p - blob);
	return blob;
}

static bool fragment_parse(struct catalogue_fragment *ret, const uint8_t **p, const uint8_t *end,
	int64_t expected_us, uint64_t expected_offset)
{
	uint64_t start, duration, offset, bytes;

	if (!varint_parse(p, end, &start) || !varint_parse(p, end, &duration) ||
		!varint_parse(p, end, &offset) || !varint_parse(p, end, &bytes) || duration >> 33 ||
		bytes >> 32)
		return false;
	ret->start_us = (int64_t)((uint64_t)expected_us + (uint64_t)unzigzag(start));
	ret->duration_us = (uint32_t)(duration >> 1);
	ret->keyframe = duration & 1;
	ret->offset = expected_offset + (uint64_t)unzigzag(offset);
	ret->bytes = (uint32_t)bytes;
	return true;
}

int fragment_index_parse(struct fragment_index *ret, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	struct fragment_index index = { 0 };
	struct catalogue_fragment f = { 0 };
	uint64_t count;

	*ret = index;
	if (!varint_parse(&p, end, &count) || count > INDEX_MOST)
		return -EBADMSG;
	for (uint64_t i = 0; i < count; i++) {
		int64_t expected_us = (int64_t)((uint64_t)f.start_us + f.duration_us);

		if (!fragment_parse(&f, &p, end, expected_us, f.offset + f.bytes)) {
			free(index.fragments);
			return -EBADMSG;
		}
		fragment_index_add(&index, &f);
	}
	*ret = index;
	return 0;
}
