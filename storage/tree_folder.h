#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/auth.h"
#include "server/base/config.h"
#include "storage/tree.h"
#include "storage/volume.h"

struct evbuffer;

/*
 * A part of the tree that is a plain folder of the volume, which everybody writes: "/uploads". Whatever is done with files
 * is done on two threads of its own, the second for what takes long: copying, and removing collections. Links and
 * devices do not exist. What is being made has a hidden name (TREE_PART) beside its own and gets that
 * when it is whole and synced, so that all changes happen at once or not at all. Paths are the tree's, and fine names.
 */
struct tree_folder;

enum {
	TREE_FOLDER_DEPTH = 32 /* collections in each other */
};

/* Something is there that was not, at that path: whatever was said of the path is about another one. */
typedef void tree_folder_created_fn(void *arg, const char *path);
/*
 * Makes the folder where it is missing; removes what an earlier process was making. on_created is not called for
 * what is copied or moved there.
 */
struct tree_folder *tree_folder_new(struct volume *volume, const char *name,
	tree_folder_created_fn *on_created, void *arg) MUST_CHECK;
/* Waits for what has begun; a long copy is given up. */
void tree_folder_free(struct tree_folder *folder);
/* What stays free on the file system whatever is written here. */
void tree_folder_set_reserve(struct tree_folder *folder, const struct config_share *reserve);

/* One on its way. */
struct tree_folder_request;
void tree_folder_cancel(
	struct tree_folder_request *request); /* no callback after this; NULL is fine */

/* error as of tree_find() and tree_list(). The entries are the callee's, to be freed; NULL with an error. */
typedef void tree_folder_entries_fn(
	void *arg, int error, struct tree_entry *entries, size_t n, bool more);
/* One entry, or the members of a collection after a name, at most `limit`. NULL: busy. */
struct tree_folder_request *tree_folder_find(struct tree_folder *folder, const char *path,
	tree_folder_entries_fn *done, void *arg) MUST_CHECK;
struct tree_folder_request *tree_folder_list(struct tree_folder *folder, const char *path,
	const char *after, size_t limit, const struct auth_user *user, tree_folder_entries_fn *done,
	void *arg) MUST_CHECK;

/* As tree_make_collection(), tree_delete() and so on. A change goes on when it is cancelled. NULL: busy. */
struct tree_folder_request *tree_folder_make(
	struct tree_folder *folder, const char *path, tree_changed_fn *done, void *arg) MUST_CHECK;
struct tree_folder_request *tree_folder_delete(
	struct tree_folder *folder, const char *path, tree_changed_fn *done, void *arg) MUST_CHECK;
struct tree_folder_request *tree_folder_remove(
	struct tree_folder *folder, const char *path, tree_changed_fn *done, void *arg) MUST_CHECK;
struct tree_folder_request *tree_folder_set_modified(struct tree_folder *folder, const char *path,
	int64_t modified_us, tree_changed_fn *done, void *arg) MUST_CHECK;
struct tree_folder_request *tree_folder_copy(struct tree_folder *folder, const char *from,
	const char *to, unsigned flags, tree_changed_fn *done, void *arg) MUST_CHECK;

/* As tree_put() and what belongs to it. */
struct tree_put *tree_folder_put(struct tree_folder *folder, const char *path, uint64_t bytes,
	uint64_t keep, const struct tree_put_events *events, void *arg) MUST_CHECK;
