/* Growing blocks of MP4 boxes. */
#include "storage/box_writer.h"

#include <string.h>

#include "server/base/memory.h"

static uint8_t *box_room(struct box_writer *w, size_t n)
{
	if (w->size - w->n < n) {
		w->size = (w->n + n) * 2;
		w->p = xrealloc(w->p, w->size);
	}
	w->n += n;
	return w->p + w->n - n;
}

void box_set_u32(uint8_t *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (24 - 8 * i));
}

void box_set_u64(uint8_t *at, uint64_t v)
{
	box_set_u32(at, (uint32_t)(v >> 32));
	box_set_u32(at + 4, (uint32_t)v);
}

void box_u8(struct box_writer *w, uint8_t v)
{
	*box_room(w, 1) = v;
}

void box_u16(struct box_writer *w, uint16_t v)
{
	box_u8(w, (uint8_t)(v >> 8));
	box_u8(w, (uint8_t)v);
}

void box_u32(struct box_writer *w, uint32_t v)
{
	box_set_u32(box_room(w, 4), v);
}

void box_u64(struct box_writer *w, uint64_t v)
{
	box_set_u64(box_room(w, 8), v);
}

void box_zeros(struct box_writer *w, size_t n)
{
	memset(box_room(w, n), 0, n);
}

void box_bytes(struct box_writer *w, const void *p, size_t n)
{
	if (n)
		memcpy(box_room(w, n), p, n);
}

void box_text(struct box_writer *w, const char *s)
{
	box_bytes(w, s, strlen(s));
}

size_t box_begin(struct box_writer *w, const char *type)
{
	size_t at = w->n;

	box_u32(w, 0);
	box_bytes(w, type, 4);
	return at;
}

size_t box_begin_full(struct box_writer *w, const char *type, uint8_t version, uint32_t flags)
{
	size_t at = box_begin(w, type);

	box_u32(w, (uint32_t)version << 24 | flags);
	return at;
}

void box_end(struct box_writer *w, size_t at)
{
	box_set_u32(w->p + at, (uint32_t)(w->n - at));
}
