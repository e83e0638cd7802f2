#pragma once

#include <stdint.h>

#include "protocols/message.h"

/* The Range field (RFC 9110 section 14.2): one byte range, as players and download tools ask for. */

enum http_range_kind {
	HTTP_RANGE_WHOLE, /* absent, not understood, or several: the whole resource is sent */
	HTTP_RANGE_PART,
	HTTP_RANGE_UNSATISFIABLE, /* 416 */
};

struct http_range {
	uint64_t first, bytes;
};

/* Judges the value (or { NULL }) against a resource of `size` bytes; ret is set for a part. */
enum http_range_kind http_range_parse(
	struct http_range *ret, struct message_text value, uint64_t size);
