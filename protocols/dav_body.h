#pragma once

#include <stddef.h>

#include "server/base/attributes.h"

/* The body of a PROPFIND (RFC 4918 section 14.20). */

enum {
	DAV_PROPERTIES = 100,
	DAV_NAMES_BYTES = 16384
};

enum dav_query_kind {
	DAV_ALLPROP,
	DAV_PROPNAME,
	DAV_PROP
};

struct dav_name {
	const char *space, *name; /* into the query's own bytes; "" for no namespace */
};

struct dav_query {
	enum dav_query_kind kind;
	struct dav_name properties[DAV_PROPERTIES]; /* of prop, or of allprop's include */
	size_t n_properties;
	char names[DAV_NAMES_BYTES];
	size_t names_bytes;
};

/* A query that asks for nothing yet. */
void dav_query_init(struct dav_query *ret, enum dav_query_kind kind);
/* Asks for a property. Returns NULL, or why not: static text. */
const char *dav_query_add(struct dav_query *query, const char *space, const char *name) MUST_CHECK;

/*
 * Parses n bytes; none mean allprop. Returns 0, or -EBADMSG and a static *why: not well-formed, a
 * document type (no entities, nothing is ever loaded), too many properties, not a propfind. ret is
 * large: it belongs on the heap; it is undefined after a failure.
 */
int dav_body_parse(struct dav_query *ret, const char *p, size_t n, const char **why) MUST_CHECK;
