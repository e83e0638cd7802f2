#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "storage/catalogue.h"

/*
 * What people attach to names of the tree: locks, and properties of their own (RFC 4918's dead ones). Unlike all else in the
 * catalogue no file says it again. Paths are the tree's. Callbacks on the reactor, in the order of all calls to the catalogue.
 */

/* A change that is waited for. */
struct catalogue_change;
void catalogue_change_cancel(
	struct catalogue_change *change); /* no callback, it happens all the same; NULL is fine */
/* error: 0, -EIO, -E2BIG (more properties than a resource may have). */
typedef void catalogue_changed_fn(void *arg, int error);

/* --- locks --- */

struct catalogue_lock {
	const char *token, *path, *user, *owner;
	bool exclusive, deep;
	int64_t expires_us; /* UTC */
};
/* Keeps a lock, also in place of itself. NULL: busy. */
struct catalogue_change *catalogue_keep_lock(struct catalogue *catalogue,
	const struct catalogue_lock *lock, catalogue_changed_fn *done, void *arg) MUST_CHECK;
void catalogue_drop_lock(struct catalogue *catalogue, const char *token);

struct catalogue_resource_query;
void catalogue_resource_cancel(struct catalogue_resource_query *query); /* NULL is fine */
typedef void catalogue_locks_fn(void *arg, int error, const struct catalogue_lock *locks, size_t n);
/* All that are kept. NULL: busy. */
struct catalogue_resource_query *catalogue_locks(
	struct catalogue *catalogue, catalogue_locks_fn *done, void *arg) MUST_CHECK;

/* --- properties --- */

enum {
	CATALOGUE_PROPERTIES_BYTES = 256 << 10 /* of one resource, values and names */
};

struct catalogue_property {
	const char *path, *space, *name;
	const char *value; /* the whole element as XML; in a change NULL: it goes */
};

/* False: there are none of anything, so that nobody need ask. */
bool catalogue_has_properties(const struct catalogue *catalogue);
/* The properties by path: of the resource at `path`, or with `from` of the members of the collection at path from that name to that name. */
typedef void catalogue_properties_fn(
	void *arg, int error, const struct catalogue_property *properties, size_t n);
struct catalogue_resource_query *catalogue_properties(struct catalogue *catalogue, const char *path,
	const char *from, const char *to, catalogue_properties_fn *done, void *arg) MUST_CHECK;

/* Sets and removes in this order, all or nothing (paths are not looked at: they are `path`). NULL: busy. */
struct catalogue_change *catalogue_change_properties(struct catalogue *catalogue, const char *path,
	const struct catalogue_property *changes, size_t n, catalogue_changed_fn *done,
	void *arg) MUST_CHECK;
/* Of the resource and all below it. */
void catalogue_forget_properties(struct catalogue *catalogue, const char *path);
/* The same in another place, after forgetting what is there; `move`: and no more where they were; `deep`: all below. */
void catalogue_copy_properties(
	struct catalogue *catalogue, const char *from, const char *to, bool move, bool deep);
