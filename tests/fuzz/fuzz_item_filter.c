/* Message content filters, evaluated on one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/item_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct event_text message = {
		.source = {{ "Source", "porch" }, { "Rule", "R1" } },
		.data = { { "State", "true" }                   },
	};
	char text[ITEM_FILTER_BYTES];

	if (n >= sizeof(text))
		return 0;
	memcpy(text, p, n);
	text[n] = '\0';
	if (item_filter_has(text, &message) && !item_filter_is_valid(text))
		abort();
	return 0;
}
