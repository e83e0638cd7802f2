#pragma once

#include <stdbool.h>

#include "server/base/attributes.h"
#include "storage/tree.h"

struct http_request;

/* What the HTTP protocols that serve the tree (http_files, listing, dav) share. */

enum {
	HTTP_TREE_PATH_BYTES = 512,
	HTTP_TREE_UNSENT_BYTES = 256 << 10
};

/* The request's path, and what of its query counts, as the tree wants it: no trailing '/'. False: too long for anything in it. */
bool http_tree_path(const struct http_request *request, char ret[HTTP_TREE_PATH_BYTES]) MUST_CHECK;
/* Whether the request's path ends with '/'. */
bool http_tree_wants_collection(const struct http_request *request);
/* Answers what failed with -EMEDIUMTYPE. */
void http_tree_answer_mismatch(struct http_request *request, const struct tree_entry *entry);
/* Answers a failed look-up. */
void http_tree_answer_error(struct http_request *request, int error);

/*
 * Walks a collection for an answer: batch by batch, the next one when the client has taken most of
 * the last. Stands first in the handler's object, which is the request's context; the request's
 * on_drained is http_walk's while it runs.
 */
struct http_walk {
	struct http_request *request;
	struct tree *tree;
	struct auth_user *user; /* owned copy, or NULL */
	char path[HTTP_TREE_PATH_BYTES];
	char after[256]; /* the last name that came, "" at the start */
	struct tree_request *pending;
	bool waiting; /* for the client */
	/* One batch, to be sent; `last`: none follows. */
	void (*on_entries)(
		struct http_walk *walk, const struct tree_entry *entries, size_t n, bool last);
	/* The collection could not be read, before or after the first batch. */
	void (*on_error)(struct http_walk *walk, int error);
};

/* `walk` is all zero; `user` is copied. */
void http_walk_init(struct http_walk *walk, struct http_request *request, struct tree *tree,
	const char *path, const struct auth_user *user);
void http_walk_fini(struct http_walk *walk);
void http_walk_start(struct http_walk *walk);
