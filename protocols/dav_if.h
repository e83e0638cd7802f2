#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/message.h"
#include "server/base/attributes.h"

/* The If field (RFC 4918 section 10.4). Pure; all results point into the text. */

enum {
	DAV_IF_LISTS = 64,
	DAV_IF_CONDITIONS = 128
};

struct dav_if_condition {
	bool is_not;
	bool is_etag; /* else a state token */
	struct message_text
		value; /* an entity tag as written; a token's URI without its brackets */
};

struct dav_if_list {
	struct message_text
		resource; /* the tag's URI without its brackets; { NULL }: that of the request */
	size_t first, n;  /* of the conditions, all of which must hold */
};

struct dav_if {
	struct dav_if_list lists[DAV_IF_LISTS]; /* one of which must hold */
	size_t n_lists;
	struct dav_if_condition conditions[DAV_IF_CONDITIONS];
	size_t n_conditions;
};

/* Returns 0, or -EBADMSG and a static *why. */
int dav_if_parse(struct dav_if *ret, struct message_text text, const char **why) MUST_CHECK;

/*
 * A Coded-URL (section 10.1), as Lock-Token has it: "<urn:…>"; also without its brackets, which the `webdav` client of npm leaves
 * out. The URI, or { NULL }.
 */
struct message_text dav_if_coded_url(struct message_text text);

/*
 * What Timeout (section 10.7) asks for, in seconds: the first value that is one; DAV_TIMEOUT_INFINITE, or `standard`
 * when there is none.
 */
#define DAV_TIMEOUT_INFINITE UINT32_MAX
uint32_t dav_if_timeout(struct message_text text, uint32_t standard);
