#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * Writes MP4 boxes (ISO/IEC 14496-12 section 4.2) into a growing block: begin, fields, end. Sizes
 * are filled in when a box ends.
 */
struct box_writer {
	uint8_t *p; /* the owner frees it */
	size_t n, size;
};

/* Begins a box and returns where it stands, for box_end(). `type` is four characters. */
size_t box_begin(struct box_writer *w, const char *type);
/* The same for a full box, with version and flags. */
size_t box_begin_full(struct box_writer *w, const char *type, uint8_t version, uint32_t flags);
void box_end(struct box_writer *w, size_t at);

void box_u8(struct box_writer *w, uint8_t v);
void box_u16(struct box_writer *w, uint16_t v);
void box_u32(struct box_writer *w, uint32_t v);
void box_u64(struct box_writer *w, uint64_t v);
void box_zeros(struct box_writer *w, size_t n);
void box_bytes(struct box_writer *w, const void *p, size_t n);
void box_text(struct box_writer *w, const char *s); /* without NUL */

/* Overwrites four (eight) bytes that stand at an offset. */
void box_set_u32(uint8_t *at, uint32_t v);
void box_set_u64(uint8_t *at, uint64_t v);
