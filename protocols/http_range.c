/*
 * Byte ranges (RFC 9110 section 14). A Range that is malformed is ignored, as the standard asks, and so are more of them than
 * anybody needs; those that overlap become one, so that no byte is sent twice.
 */
#include "protocols/http_range.h"

#include <stdbool.h>
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

/* One of the set at *at, which moves behind it. */
static enum http_range_kind http_range_one(
	struct http_range *ret, const char **at, const char *end, uint64_t size)
{
	uint64_t first, last = UINT64_MAX;
	bool has_first = http_range_number(at, end, &first), has_last;

	if (*at == end || *(*at)++ != '-')
		return HTTP_RANGE_WHOLE;
	has_last = http_range_number(at, end, &last);
	if (!has_first && !has_last)
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

static bool http_range_is_near(const struct http_range *a, const struct http_range *b)
{
	uint64_t end = a->first + a->bytes;

	return b->first <= end || b->first - end <= HTTP_RANGE_GAP;
}

/* Adds one, together with all that it is near to, in the place of the first of these. */
static void http_range_add(struct http_ranges *ranges, struct http_range range)
{
	size_t place = ranges->n;

	for (size_t i = 0; i < ranges->n;) {
		struct http_range *other = &ranges->ranges[i];
		uint64_t end = other->first + other->bytes;

		if (!http_range_is_near(other, &range) || !http_range_is_near(&range, other)) {
			i++;
			continue;
		}
		if (end < range.first + range.bytes)
			end = range.first + range.bytes;
		if (other->first < range.first)
			range.first = other->first;
		range.bytes = end - range.first;
		if (i < place)
			place = i;
		ranges->n--;
		memmove(other, other + 1, (ranges->n - i) * sizeof(*other));
		i = 0; /* it has grown */
	}
	memmove(&ranges->ranges[place + 1], &ranges->ranges[place],
		(ranges->n - place) * sizeof(range));
	ranges->ranges[place] = range;
	ranges->n++;
}

static void http_range_skip(const char **at, const char *end, const char *skipped)
{
	while (*at < end && strchr(skipped, **at))
		(*at)++;
}

enum http_range_kind http_range_parse(
	struct http_ranges *ret, struct message_text value, uint64_t size)
{
	const char *at = value.p, *end = value.p ? value.p + value.n : NULL;
	size_t asked = 0;

	ret->n = 0;
	if (!value.p || !message_text_starts(value, "bytes="))
		return HTTP_RANGE_WHOLE;
	at += strlen("bytes=");
	for (http_range_skip(&at, end, ", \t"); at < end; http_range_skip(&at, end, ", \t")) {
		struct http_range range = { 0, 0 };
		enum http_range_kind kind = http_range_one(&range, &at, end, size);

		http_range_skip(&at, end, " \t");
		if (kind == HTTP_RANGE_WHOLE || (at < end && *at != ',') || asked++ == HTTP_RANGES)
			return HTTP_RANGE_WHOLE;
		if (kind == HTTP_RANGE_PART)
			http_range_add(ret, range);
	}
	if (!asked)
		return HTTP_RANGE_WHOLE;
	return ret->n ? HTTP_RANGE_PART : HTTP_RANGE_UNSATISFIABLE;
}
