#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/search_query.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Something whose values are bytes of the input. */
struct thing {
	const uint8_t *p;
	size_t n;
	char text[32];
};

static struct search_value get(const void *thing, enum search_property property)
{
	const struct thing *t = thing;
	uint8_t byte = t->n ? t->p[(size_t)property * 7 % t->n] : 0;

	if (property >= SEARCH_PROPERTIES)
		abort();
	return (struct search_value){ byte & 1, byte * INT64_C(1000000), t->text };
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct search_query query;
	struct thing thing = { .p = p, .n = n }, other = { .p = p, .n = n / 2 };
	const char *why = NULL, *condition;
	struct search_range range;

	if (search_query_parse(&query, (const char *)p, n, &condition, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	memcpy(thing.text, p, n < sizeof(thing.text) ? n : sizeof(thing.text) - 1);
	if (!query.scope || !query.depth || query.n_where > SEARCH_NODES ||
		query.n_order > SEARCH_ORDERS)
		abort();
	if (search_query_compare(&query, &thing, &other, get) !=
			-search_query_compare(&query, &other, &thing, get) &&
		search_query_compare(&query, &thing, &thing, get) != 0)
		abort();
	/* what it holds for has a camera that it may hold for */
	if (search_query_holds(&query, &thing, get) &&
		(get(&thing, SEARCH_CAMERA).is_defined &&
			!search_query_range(&query, thing.text, &range)))
		abort();
	return 0;
}
