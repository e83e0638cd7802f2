#pragma once

#include <stdbool.h>

#include "protocols/dav_body.h"

struct markup;
struct tree_entry;

/* The live properties of the tree's entries, and the multistatus that shows them (RFC 4918). */

#define DAV_NVRD_SPACE "urn:nvrd:dav"

/* What to show of each entry, made once per request from a query and a base path that outlive it. */
struct dav_selection {
	const struct dav_query *query;
	const char *base;          /* in front of all paths */
	int known[DAV_PROPERTIES]; /* a row of the table per property of the query, or -1 */
};
void dav_select(struct dav_selection *ret, const struct dav_query *query, const char *base);

void dav_write_head(struct markup *out);
/* One entry's response element. */
void dav_write_response(
	struct markup *out, const struct dav_selection *selection, const struct tree_entry *entry);
/* A response element that says a status alone: "507 Insufficient Storage". */
void dav_write_status(struct markup *out, const char *base, const char *path, const char *status);
void dav_write_tail(struct markup *out);

/* The name alone, as an empty element. */
void dav_write_name(struct markup *out, const struct dav_name *name);
/* The activelock elements of a path, which is shown with the base path in front. */
void dav_write_locks(struct markup *out, const char *base, const char *path);
/* Whether a property is one of the live ones, which clients cannot change. */
bool dav_is_protected(const struct dav_name *name);
