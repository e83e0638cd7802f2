/* Delivery directives, as they stand in a query: what is taken can be counted on from. */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/hls_directives.h"
#include "protocols/http_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum {
	VALUE_BYTES = 24
};

static const char *find(struct message_text query, const char *name, char ret[VALUE_BYTES])
{
	return http_query_find(query, name, ret, VALUE_BYTES) ? ret : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct message_text query = { (const char *)p, n };
	char msn[VALUE_BYTES], part[VALUE_BYTES], skip[VALUE_BYTES];
	struct hls_directives seen;
	const char *why = NULL;

	if (hls_directives_parse(&seen, find(query, "_HLS_msn", msn),
		    find(query, "_HLS_part", part), find(query, "_HLS_skip", skip), &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	if ((seen.segment != HLS_DIRECTIVE_NONE && seen.segment > INT64_MAX) ||
		(seen.part != HLS_DIRECTIVE_NONE && seen.part > INT64_MAX) ||
		(seen.part != HLS_DIRECTIVE_NONE && seen.segment == HLS_DIRECTIVE_NONE))
		abort();
	return 0;
}
