/*
 * Byte ranges (RFC 9110 section 14). A Range that is malformed is ignored, as the standard asks;
 * several ranges are answered with the whole, which it allows.
 */
#include "protocols/http_range.h"

#include <string.h>

/* A number that stops at what is not a digit; too large a one saturates. False: no digit. */
static bool http_range_number(const char **at, const char *end, uint64_t *ret)
{
	const char *start = *at;
	uint64_t value = 0;

	for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
		unsigned digit = (unsigned)(**at - '0');
		value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
	}
	*ret = value;
	return *at > start;
}

static enum http_range_kind http_range_suffix(struct http_range *ret, uint64_t n, uint64_t size)
{
	if (n == 0)
		return HTTP_RANGE_UNSATISFIABLE;
	if (size == 0)
		return HTTP_RANGE_WHOLE;
	ret->bytes = n < size ? n : size;
	ret->first = size - ret->bytes;
	return HTTP_RANGE_PART;
}

enum http_range_kind http_range_parse(
	struct http_range *ret, struct message_text value, uint64_t size)
{
	const char *at = value.p, *end = value.p ? value.p + value.n : NULL;
	uint64_t first, last = UINT64_MAX;

	if (!value.p || !message_text_starts(value, "bytes="))
		return HTTP_RANGE_WHOLE;
	at += strlen("bytes=");
	bool has_first = http_range_number(&at, end, &first);
	if (at == end || *at++ != '-')
		return HTTP_RANGE_WHOLE;
	bool has_last = http_range_number(&at, end, &last);
	if (at != end || (!has_first && !has_last))
		return HTTP_RANGE_WHOLE;
	if (!has_first)
		return http_range_suffix(ret, last, size);
	if (!has_last)
		last = UINT64_MAX;
	if (first > last)
		return HTTP_RANGE_WHOLE;
	if (first >= size)
		return HTTP_RANGE_UNSATISFIABLE;
	ret->first = first;
	ret->bytes = (last < size ? last : size - 1) - first + 1;
	return HTTP_RANGE_PART;
}
