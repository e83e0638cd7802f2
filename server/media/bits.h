#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads bits, most significant first, and Exp-Golomb codes (H.264 section 9.1). `nal` skips emulation
 * prevention bytes (00 00 03). Reading past the end gives zeros and sets `failed`.
 */
struct bits {
	const uint8_t *p;
	size_t n;       /* bytes */
	size_t at_bit;  /* the next bit, counted from the start of p */
	unsigned zeros; /* zero bytes in a row before it */
	bool nal;
	bool failed;
};

struct bits bits_of(const uint8_t *p, size_t n, bool nal);
uint32_t bits_read(struct bits *b, unsigned n); /* n <= 32 */
void bits_skip(struct bits *b, unsigned n);
uint32_t bits_ue(struct bits *b);
int32_t bits_se(struct bits *b);
