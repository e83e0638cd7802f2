#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * A bounds-checked walk over bytes, big endian. The first failure sticks: later reads give zeros,
 * so a parser reads straight on and looks at `why` once, at its end.
 */
struct reader {
	const uint8_t *at, *end;
	const char *why; /* NULL, or what was wrong first; static text */
};

static inline struct reader reader_of(const uint8_t *p, size_t n)
{
	return (struct reader){ .at = p, .end = n ? p + n : p };
}

static inline size_t reader_left(const struct reader *r)
{
	return r->why ? 0 : (size_t)(r->end - r->at);
}

static inline void reader_fail(struct reader *r, const char *why)
{
	if (!r->why)
		r->why = why;
}

/* The next n bytes, or NULL (and failure) when fewer are left. */
static inline const uint8_t *reader_bytes(struct reader *r, size_t n)
{
	if (reader_left(r) < n)
		reader_fail(r, "too short");
	if (r->why)
		return NULL;
	r->at += n;
	return r->at - n;
}

static inline void reader_skip(struct reader *r, size_t n)
{
	(void)reader_bytes(r, n);
}

static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_bytes(r, 1);

	return p ? p[0] : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
	const uint8_t *p = reader_bytes(r, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t reader_u32(struct reader *r)
{
	uint32_t high = reader_u16(r);

	return high << 16 | reader_u16(r);
}

static inline uint64_t reader_u64(struct reader *r)
{
	uint64_t high = reader_u32(r);

	return high << 32 | reader_u32(r);
}
