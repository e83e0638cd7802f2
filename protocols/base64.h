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
