/* PROPPATCH and LOCK: an element that was kept must be well-formed by itself, and keep the same when set again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/dav_update.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Sets the element in a body of its own. */
static void check_again(const char *element)
{
	static struct dav_update again;
	static char body[DAV_UPDATE_BYTES + 100];
	const char *why = NULL;
	int bytes = snprintf(body, sizeof(body),
		"<propertyupdate xmlns=\"DAV:\"><set><prop>%s</prop></set></propertyupdate>",
		element);

	if (bytes < 0 || (size_t)bytes >= sizeof(body))
		abort();
	if (dav_update_parse(&again, body, (size_t)bytes, &why) < 0) {
		/* the names are written once more: there may be no room for both */
		if (strcmp(why, "the body is too large") != 0)
			abort();
	} else if (again.n != 1 || strcmp(again.changes[0].element, element) != 0) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct dav_update update;
	static struct dav_lock_wish wish;
	const char *why = NULL;

	if (dav_lock_parse(&wish, (const char *)p, n, &why) < 0 && !why)
		abort();
	why = NULL;
	if (dav_update_parse(&update, (const char *)p, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	for (size_t i = 0; i < update.n; i++) {
		if (update.changes[i].element)
			check_again(update.changes[i].element);
	}
	return 0;
}
