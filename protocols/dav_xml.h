#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/base/attributes.h"

/*
 * XML bodies of WebDAV, by libxml2's SAX parser: a document type ends it, so there are no entities to expand and
 * nothing to load. Elements can be kept as text that means the same wherever it is put. Pure.
 */

enum {
	DAV_XML_DEPTH = 32
};

struct dav_xml {
	/* The owner's. Depth 0 is the root. */
	void (*on_start)(struct dav_xml *x, int depth, const char *space, const char *name);
	void (*on_end)(struct dav_xml *x, int depth); /* may be NULL */
	/* What stands in the element at that depth, in pieces, when it is not kept; may be NULL. */
	void (*on_text)(struct dav_xml *x, int depth, const char *p, size_t n);
	/* Where elements are kept: room for `size` bytes, of which `used` are taken. */
	char *text;
	size_t size, used;
	/* its own */
	void *parser;
	const unsigned char **attributes; /* as the parser has them, during on_start */
	int n_attributes;
	const char *why; /* the first thing that was wrong */
	int depth;
	int keeping; /* since that depth; 0: not, as the root never is */
	size_t kept; /* where what is being kept begins */
	const char *spaces[DAV_XML_DEPTH];
	char lang[DAV_XML_DEPTH][36]; /* xml:lang */
};

/* From on_start or on_end: gives up. */
void dav_xml_fail(struct dav_xml *x, const char *why);
/* From on_start: keeps this element, with its tags. It stands at text + kept, NUL-ended, when on_end is called for it. */
void dav_xml_keep(struct dav_xml *x);
/* From on_start: the value of an attribute of this element, NUL-ended. False: there is none, or it is too long. */
bool dav_xml_attribute(
	const struct dav_xml *x, const char *space, const char *name, char *ret, size_t size);
/* Copies a string into text with NUL; NULL and a failure when there is no room. */
const char *dav_xml_copy(struct dav_xml *x, const char *s);

/* Parses n bytes. Returns 0, or -EBADMSG and a static *why. */
int dav_xml_parse(struct dav_xml *x, const char *p, size_t n, const char **why) MUST_CHECK;
