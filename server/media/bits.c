#include "server/media/bits.h"

/* Bits; Exp-Golomb codes (H.264 section 9.1, H.265 9.2); emulation prevention (H.264 7.4.1). */

struct bits bits_of(const uint8_t *p, size_t n, bool nal)
{
	return (struct bits){ .p = p, .n = n, .nal = nal };
}

/* Looks at the byte that the next bit opens: steps over emulation prevention, counts zeros. */
static void bits_open_byte(struct bits *b)
{
	size_t at = b->at_bit / 8;

	if (b->nal && b->zeros >= 2 && at < b->n && b->p[at] == 3) {
		b->at_bit += 8;
		b->zeros = 0;
		at++;
	}
	if (at < b->n)
		b->zeros = b->p[at] ? 0 : b->zeros + 1;
}

static unsigned bits_one(struct bits *b)
{
	unsigned bit;

	if (b->at_bit % 8 == 0)
		bits_open_byte(b);
	if (b->failed || b->at_bit / 8 >= b->n) {
		b->failed = true;
		return 0;
	}
	bit = b->p[b->at_bit / 8] >> (7 - b->at_bit % 8) & 1;
	b->at_bit++;
	return bit;
}

uint32_t bits_read(struct bits *b, unsigned n)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < n; i++)
		value = value << 1 | bits_one(b);
	return b->failed ? 0 : value;
}

void bits_skip(struct bits *b, unsigned n)
{
	for (unsigned i = 0; i < n && !b->failed; i++)
		(void)bits_one(b);
}

uint32_t bits_ue(struct bits *b)
{
	unsigned zeros = 0;
	uint32_t rest;

	while (!b->failed && !bits_one(b)) {
		if (++zeros > 31) {
			b->failed = true;
			return 0;
		}
	}
	rest = bits_read(b, zeros);
	return b->failed ? 0 : ((uint32_t)1 << zeros) - 1 + rest;
}

int32_t bits_se(struct bits *b)
{
	uint32_t code = bits_ue(b);

	return code & 1 ? (int32_t)(code / 2 + 1) : -(int32_t)(code / 2);
}
