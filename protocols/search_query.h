#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/dav_body.h"
#include "server/base/attributes.h"

/* The body of a SEARCH (RFC 5323): DAV:basicsearch, and whether something is what it asks for. Pure. */

enum {
	SEARCH_NODES = 64,
	SEARCH_ORDERS = 8,
	SEARCH_LITERAL_BYTES = 256,
	SEARCH_HREF_BYTES = 2048,
	SEARCH_BYTES = 8192 /* of all texts of a query */
};

/* What can be searched by; the rows of search_properties[]. */
enum search_property {
	SEARCH_DISPLAYNAME,
	SEARCH_CONTENT_LENGTH,
	SEARCH_CONTENT_TYPE,
	SEARCH_ETAG,
	SEARCH_MODIFIED,
	SEARCH_CREATED,
	SEARCH_CAMERA,
	SEARCH_START,
	SEARCH_END,
	SEARCH_DURATION,
	SEARCH_CODEC,
	SEARCH_WIDTH,
	SEARCH_HEIGHT,
	SEARCH_STATE,
	SEARCH_MOTION,
	SEARCH_PROPERTIES,
	SEARCH_UNDEFINED = SEARCH_PROPERTIES /* of no recording */
};

enum search_type {
	SEARCH_TEXT,
	SEARCH_INTEGER,
	SEARCH_INSTANT, /* microseconds since 1970 */
	SEARCH_SECONDS  /* in microseconds */
};

struct search_property_row {
	const char *name;
	bool is_ours; /* in the namespace urn:nvrd:dav, else in DAV: */
	enum search_type type;
};
extern const struct search_property_row search_properties[SEARCH_PROPERTIES];

/* As shown to clients, to be compared. */
struct search_value {
	bool is_defined;
	int64_t number;
	const char *text; /* of SEARCH_TEXT */
};
/* The value of a property of something; the text stays for the call that asked. */
typedef struct search_value search_get_fn(const void *thing, enum search_property property);

enum search_operator {
	SEARCH_AND,
	SEARCH_OR,
	SEARCH_NOT,
	SEARCH_EQ,
	SEARCH_LT,
	SEARCH_LTE,
	SEARCH_GT,
	SEARCH_GTE,
	SEARCH_LIKE,
	SEARCH_IS_DEFINED,
	SEARCH_IS_COLLECTION
};

/* An operator behind its operands. */
struct search_node {
	enum search_operator kind;
	unsigned operands; /* nodes: of and, or, not */
	enum search_property property;
	bool caseless; /* of ASCII letters */
	int64_t number;
	const char *text;
};

struct search_order {
	enum search_property property;
	bool descending, caseless;
};

struct search_query {
	bool asks_schema; /* it is a query-schema-discovery: only the scope counts */
	struct dav_query select;
	const char *scope; /* the URI reference */
	const char *depth; /* "0", "1", "infinity" */
	struct search_node where[SEARCH_NODES];
	size_t n_where; /* 0: everything */
	struct search_order order[SEARCH_ORDERS];
	size_t n_order;
	uint64_t limit; /* UINT64_MAX: none */
	char bytes[SEARCH_BYTES];
	size_t n_bytes;
};

/*
 * Parses n bytes. Returns 0; -EBADMSG: it is not XML, or has a document type; -EINVAL: it is no query, or more than there is room
 * for. *why is static text then; *condition the precondition (RFC 5323 section 2.4) that failed, or NULL. ret is large:
 * it belongs on the heap; it is undefined after a failure.
 */
int search_query_parse(struct search_query *ret, const char *p, size_t n, const char **condition,
	const char **why) MUST_CHECK;

/* Whether something is what the query asks for (section 5.5: what is unknown is not). */
bool search_query_holds(const struct search_query *query, const void *thing, search_get_fn *get);

/* How two things are ordered: less than 0, 0, more than 0. What is not defined comes first (section 5.6). */
int search_query_compare(
	const struct search_query *query, const void *a, const void *b, search_get_fn *get);

/* Bounds of all that the query can hold for among the recordings of a camera. */
struct search_range {
	int64_t from_us, to_us; /* they start in [from_us, to_us] */
	int64_t ended_us;       /* and end at or after this */
};
/* False: it holds for none of that camera. */
bool search_query_range(
	const struct search_query *query, const char *camera, struct search_range *ret);
