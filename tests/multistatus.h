#pragma once

#include <libxml/xpath.h>

/* Answers of WebDAV, as libxml2 reads them. */

/* A multistatus that a parser has read. */
struct multistatus {
	xmlDocPtr document;
	xmlXPathContextPtr context;
};

/* Of a whole answer, of which it changes the body; fails the test when it is none. */
struct multistatus multistatus_of(char *answer);
void multistatus_fini(struct multistatus *m);
/* The string value of an XPath expression with the prefixes D (DAV:), N (urn:nvrd:dav) and x (urn:&x). */
void assert_xpath(struct multistatus *m, const char *expression, const char *expected);
