/* Base64 (RFC 4648 section 4). */
#include "protocols/base64.h"

#include <stdbool.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool base64_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

ssize_t base64_parse(uint8_t *ret, size_t size, const char *p, size_t n)
{
	uint32_t value = 0;
	unsigned have = 0; /* bits in value not written yet */
	size_t used = 0, i = 0;

	for (; i < n && p[i] != '='; i++) {
		int digit = base64_digit(p[i]);

		if (base64_is_space(p[i]))
			continue;
		if (digit < 0)
			return -1;
		value = value << 6 | (uint32_t)digit;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (used == size)
			return -1;
		ret[used++] = (uint8_t)(value >> have);
	}
	for (; i < n; i++) { /* padding, and nothing after it */
		if (p[i] != '=' && p[i] != ' ' && p[i] != '\r' && p[i] != '\n')
			return -1;
	}
	return have == 6 ? -1 : (ssize_t)used; /* a single digit is no byte */
}

ssize_t base64_write(char *ret, size_t size, const uint8_t *p, size_t n)
{
	size_t length = (n + 2) / 3 * 4, at = 0;

	if (size <= length)
		return -1;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t value = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
				 (i + 2 < n ? p[i + 2] : 0U);

		ret[at++] = digits[value >> 18];
		ret[at++] = digits[value >> 12 & 63];
		ret[at++] = i + 1 < n ? digits[value >> 6 & 63] : '=';
		ret[at++] = i + 2 < n ? digits[value & 63] : '=';
	}
	ret[at] = '\0';
	return (ssize_t)at;
}

ssize_t base64_stream_parse(struct base64_stream *s, uint8_t *ret, const char *p, size_t n)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		int digit = base64_digit(p[i]);

		if (base64_is_space(p[i]))
			continue;
		if (p[i] == '=' && s->digits >= 2) {
			s->padding++;
		} else if (digit >= 0 && s->padding == 0) {
			s->value = s->value << 6 | (uint32_t)digit;
			if (++s->digits > 1)
				ret[used++] = (uint8_t)(s->value >> (8 - 2 * s->digits));
		} else {
			return -1;
		}
		if (s->digits + s->padding == 4)
			*s = (struct base64_stream){ 0 };
	}
	return (ssize_t)used;
}
