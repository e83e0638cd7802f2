#pragma once

#include <stddef.h>
#include <stdint.h>

#include "protocols/message.h"

/* The Range field (RFC 9110 section 14.2): ranges of bytes, as players and download tools ask for. */

enum {
	HTTP_RANGES = 16, /* more are not understood */
	HTTP_RANGE_GAP =
		80 /* bytes: what is between two is sent when it costs less than a part of its own */
};

enum http_range_kind {
	HTTP_RANGE_WHOLE, /* absent, or not understood: the whole resource is sent */
	HTTP_RANGE_PART,
	HTTP_RANGE_UNSATISFIABLE, /* 416 */
};

struct http_range {
	uint64_t first, bytes;
};

/* None overlaps or nearly touches another one; in the order that they were asked for. */
struct http_ranges {
	size_t n;
	struct http_range ranges[HTTP_RANGES];
};

/* Judges the value (or { NULL }) against a resource of `size` bytes; ret is set for parts: there is at least one. */
enum http_range_kind http_range_parse(
	struct http_ranges *ret, struct message_text value, uint64_t size);
