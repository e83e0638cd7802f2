#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* Delivery directives: what a player asks for with a playlist (RFC 8216bis section 6.2.5). */
struct hls_directives {
	uint64_t segment, part; /* to wait for: _HLS_msn, _HLS_part; HLS_DIRECTIVE_NONE */
	bool skip;              /* _HLS_skip */
};
#define HLS_DIRECTIVE_NONE UINT64_MAX

/*
 * Parses the values of _HLS_msn, _HLS_part and _HLS_skip; NULL: not there. Returns 0, or -EBADMSG and
 * a static *why.
 */
int hls_directives_parse(struct hls_directives *ret, const char *msn, const char *part,
	const char *skip, const char **why) MUST_CHECK;
