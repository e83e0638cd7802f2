#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/base/attributes.h"

/*
 * Base64 (RFC 4648 section 4). Decodes up to n characters, white space skipped, padding optional.
 * Returns the bytes written to ret (at most size), or -1 when a character is foreign or ret too small.
 */
ssize_t base64_parse(uint8_t *ret, size_t size, const char *p, size_t n) MUST_CHECK;

/* Writes the n bytes as text with padding and NUL. Returns the length, or -1 when ret is too small. */
ssize_t base64_write(char *ret, size_t size, const uint8_t *p, size_t n);

/*
 * A stream of Base64 that comes in pieces, as RTSP through HTTP has it: each text of its own, padding and all, one
 * behind the other. A byte comes out as soon as its bits are there.
 */
struct base64_stream {
	uint32_t value;
	unsigned digits, padding; /* of the four that are under way */
};
/*
 * Decodes the next n characters, white space skipped. ret has room for n bytes. Returns how many were written,
 * or -1: a foreign character, or padding where there is none.
 */
ssize_t base64_stream_parse(
	struct base64_stream *stream, uint8_t *ret, const char *p, size_t n) MUST_CHECK;
