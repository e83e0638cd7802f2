#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/dav_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static volatile size_t sum; /* touches every name, so that ASan sees them */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct dav_query query;
	const char *why = NULL;

	if (dav_body_parse(&query, (const char *)p, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	if (query.n_properties > DAV_PROPERTIES || query.names_bytes > DAV_NAMES_BYTES)
		abort();
	for (size_t i = 0; i < query.n_properties; i++)
		sum += strlen(query.properties[i].space) + strlen(query.properties[i].name);
	return 0;
}
