#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocols/message.h"

/* Conditional requests (RFC 9110 section 13). Fields that are absent are { NULL }. */

struct http_conditions {
	struct message_text if_match, if_none_match, if_modified_since, if_unmodified_since;
	struct message_text if_range;
};

enum http_condition {
	HTTP_CONDITION_PROCEED,
	HTTP_CONDITION_NOT_MODIFIED, /* 304 */
	HTTP_CONDITION_FAILED,       /* 412 */
};

/*
 * What a GET or HEAD of a resource with this entity tag (with quotes, strong) and this time of
 * modification (0: unknown) comes to, in the order of section 13.2.2.
 */
enum http_condition http_condition_judge(
	const struct http_conditions *conditions, const char *etag, int64_t modified_us);

/* Whether a Range field counts: If-Range is absent, or names the very same content. */
bool http_condition_range_counts(
	const struct http_conditions *conditions, const char *etag, int64_t modified_us);

/* Whether a list of entity tags, or "*", holds this one; weak tags count only when `weak`. */
bool http_etag_listed(struct message_text list, const char *etag, bool weak);
