#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "protocols/dav_body.h"
#include "server/base/attributes.h"

/* The bodies of PROPPATCH and LOCK (RFC 4918 sections 14.19 and 14.11). Pure. */

enum {
	DAV_UPDATES = 200,
	DAV_UPDATE_BYTES = 256 << 10
};

struct dav_update {
	struct {
		struct dav_name name;
		const char *element; /* as XML with all its namespaces; NULL: it is to be removed */
	} changes[DAV_UPDATES];      /* in the order in which they are to be made */
	size_t n;
	char text[DAV_UPDATE_BYTES]; /* what the above point into */
};

/* Returns 0, or -EBADMSG and a static *why. ret is large: it belongs on the heap. */
int dav_update_parse(struct dav_update *ret, const char *p, size_t n, const char **why) MUST_CHECK;

enum {
	DAV_OWNER_BYTES = 4096
};

struct dav_lock_wish {
	bool exclusive;
	char owner[DAV_OWNER_BYTES]; /* the element as XML, or "" */
};

/* The same for a lockinfo of a write lock. */
int dav_lock_parse(struct dav_lock_wish *ret, const char *p, size_t n, const char **why) MUST_CHECK;
