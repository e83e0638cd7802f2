/*
 * If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since and If-Range (RFC 9110 section
 * 13). Pure: the fields' text against a resource's validators.
 */
#include "protocols/http_condition.h"

#include <string.h>

#include "protocols/http_date.h"

/* One entity tag at *at, which moves behind it; false when there is none. */
static bool http_etag_next(const char **at, const char *end, struct message_text *tag, bool *weak)
{
	while (*at < end && (**at == ' ' || **at == '\t' || **at == ','))
		(*at)++;
	*weak = end - *at >= 2 && (*at)[0] == 'W' && (*at)[1] == '/';
	if (*weak)
		*at += 2;
	if (*at == end || **at != '"')
		return false;
	const char *start = (*at)++;
	while (*at < end && **at != '"')
		(*at)++;
	if (*at == end)
		return false;
	(*at)++;
	*tag = (struct message_text){ start, (size_t)(*at - start) };
	return true;
}

bool http_etag_listed(struct message_text list, const char *etag, bool weak)
{
	const char *at = list.p, *end = list.p ? list.p + list.n : NULL;
	struct message_text tag;
	bool is_weak;

	if (!list.p)
		return false;
	if (list.n == 1 && *at == '*')
		return true;
	while (http_etag_next(&at, end, &tag, &is_weak)) {
		if ((weak || !is_weak) && tag.n == strlen(etag) && memcmp(tag.p, etag, tag.n) == 0)
			return true;
	}
	return false;
}

/* Whole seconds, as the fields have no finer unit. */
static int64_t http_seconds(int64_t us)
{
	return us / 1000000;
}

enum http_condition http_condition_judge(
	const struct http_conditions *conditions, const char *etag, int64_t modified_us)
{
	int64_t unmodified_us = http_date_parse(conditions->if_unmodified_since);
	int64_t since_us = http_date_parse(conditions->if_modified_since);
	bool dated = modified_us > 0;

	if (conditions->if_match.p) {
		if (!http_etag_listed(conditions->if_match, etag, false))
			return HTTP_CONDITION_FAILED;
	} else if (dated && unmodified_us >= 0 &&
		   http_seconds(modified_us) > http_seconds(unmodified_us)) {
		return HTTP_CONDITION_FAILED;
	}
	if (conditions->if_none_match.p)
		return http_etag_listed(conditions->if_none_match, etag, true)
			       ? HTTP_CONDITION_NOT_MODIFIED
			       : HTTP_CONDITION_PROCEED;
	if (dated && since_us >= 0 && http_seconds(modified_us) <= http_seconds(since_us))
		return HTTP_CONDITION_NOT_MODIFIED;
	return HTTP_CONDITION_PROCEED;
}

bool http_condition_range_counts(
	const struct http_conditions *conditions, const char *etag, int64_t modified_us)
{
	struct message_text value = conditions->if_range;

	if (!value.p)
		return true;
	if (value.n && (*value.p == '"' || *value.p == 'W'))
		return http_etag_listed(value, etag, false) && !message_text_starts(value, "W/");
	int64_t date_us = http_date_parse(value);
	return date_us >= 0 && modified_us > 0 &&
	       http_seconds(date_us) == http_seconds(modified_us);
}
