#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/auth.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

struct evbuffer;

/*
 * The one tree of names (DESIGN section 5) under every protocol that names things: look-up, listing,
 * reading. Only recordings exist in it yet. Paths are decoded, start with '/', have no dot segments and no
 * trailing '/' but for the root. Asynchronous: callbacks on the reactor, never before the call returned.
 * What a user may not see does not exist for him.
 */
struct tree;

/* Reads from that volume and those behind it. */
struct tree *tree_new(struct catalogue *catalogue, struct volume *volume);
void tree_free(struct tree *tree);

enum tree_kind {
	TREE_COLLECTION,
	TREE_FILE
};

struct tree_entry {
	enum tree_kind kind;
	char path[512];      /* "/recordings/porch" */
	const char *name;    /* its last part; "" for the root */
	uint64_t bytes;      /* files */
	int64_t modified_us; /* 0: unknown */
	int64_t created_us;  /* 0: unknown */
	char etag[64]; /* with its quotes; "" for collections. Changes only with the content. */
	const char *content_type;
	const struct catalogue_segment *segment; /* recordings; NULL otherwise */
};

struct tree_request;                            /* one in flight */
void tree_cancel(struct tree_request *request); /* no callback after this; NULL is fine */

/* error: 0, -ENOENT, -EIO, -EAGAIN (busy). The entry is valid during the call. */
typedef void tree_entry_fn(void *arg, int error, const struct tree_entry *entry);
struct tree_request *tree_find(struct tree *tree, const char *path, const struct auth_user *user,
	tree_entry_fn *done, void *arg) MUST_CHECK;

/*
 * The members of a collection by name, in batches of at most 500; `more` says that tree_list() with the
 * last name as `after` gives the rest. error as above, -ENOTDIR for a file.
 */
typedef void tree_list_fn(
	void *arg, int error, const struct tree_entry *entries, size_t n, bool more);
struct tree_request *tree_list(struct tree *tree, const char *path, const char *after,
	const struct auth_user *user, tree_list_fn *done, void *arg) MUST_CHECK;

/* Opens a file for reading; entry->bytes is fixed from then on, whatever is appended. */
struct tree_file;
typedef void tree_open_fn(
	void *arg, int error, const struct tree_entry *entry, struct tree_file *file);
struct tree_request *tree_open(struct tree *tree, const char *path, const struct auth_user *user,
	tree_open_fn *done, void *arg) MUST_CHECK;
/* Reads at most n bytes at offset; one read at a time; `data` is drained by the callee. */
int tree_file_read(struct tree_file *file, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg) MUST_CHECK;
void tree_file_close(struct tree_file *file); /* NULL is fine */
