/* If, Lock-Token and Timeout: whatever comes out lies within what went in. */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/dav_if.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_within(struct message_text whole, struct message_text part)
{
	if (!part.n || part.p < whole.p || part.p + part.n > whole.p + whole.n)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct dav_if lists;
	struct message_text text = { (const char *)p, n };
	struct message_text url = dav_if_coded_url(text);
	const char *why = NULL;

	(void)dav_if_timeout(text, 1);
	if (url.p)
		check_within(text, url);
	if (dav_if_parse(&lists, text, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	if (!lists.n_lists || lists.n_lists > DAV_IF_LISTS ||
		lists.n_conditions > DAV_IF_CONDITIONS)
		abort();
	for (size_t i = 0; i < lists.n_lists; i++) {
		if (!lists.lists[i].n ||
			lists.lists[i].first + lists.lists[i].n > lists.n_conditions)
			abort();
		if (lists.lists[i].resource.p)
			check_within(text, lists.lists[i].resource);
	}
	for (size_t i = 0; i < lists.n_conditions; i++)
		check_within(text, lists.conditions[i].value);
	return 0;
}
