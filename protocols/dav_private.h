#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "protocols/dav_if.h"
#include "protocols/http_server.h"
#include "protocols/http_tree.h"
#include "server/base/attributes.h"
#include "server/base/auth.h"
#include "storage/tree.h"

/* What the methods of WebDAV share. */

#define DAV_CONTENT_TYPE "application/xml; charset=utf-8"
#define DAV_XML_HEAD "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"

/* dav.c: what dav_set_tree() and dav_set_put_limit() said. */
struct tree *dav_get_tree(void);
uint64_t dav_get_put_limit(void);

/* --- dav_check.c --- */

/* What a Depth field says. */
enum dav_depth {
	DAV_DEPTH_0,
	DAV_DEPTH_1,
	DAV_DEPTH_INFINITY, /* also when there is none */
	DAV_DEPTH_WRONG
};
enum dav_depth dav_depth_of(const struct http_request *request);

/* Answers with a precondition's element (RFC 4918 section 16), and in it the path when not NULL. */
void dav_answer_condition(
	struct http_request *request, int status, const char *condition, const char *path);
/* Answers why a change of the tree failed. */
void dav_answer_error(struct http_request *request, int error);

/*
 * The path that a URI of a client's means here: 0, or the status of a refusal, 502 for another server. `uri` is absolute or
 * begins with '/'. *is_collection: it ends with '/'.
 */
int dav_path_of(const struct http_request *request, struct message_text uri,
	char ret[HTTP_TREE_PATH_BYTES], bool *is_collection) MUST_CHECK;

/*
 * What comes before each change: whose it is, what is there, and whether it is as the client thinks: If, If-Match,
 * If-None-Match, If-Unmodified-Since. Embedded in the method's object, of which the owner calls dav_check_fini().
 */
struct dav_check {
	struct http_request *request;
	struct auth_user *user; /* owned copy, or NULL */
	char path[HTTP_TREE_PATH_BYTES];
	struct lock_tokens tokens; /* that the client knows: as If has them */
	/* All holds. The entry is valid during the call, and NULL when there is nothing. */
	void (*on_checked)(struct dav_check *check, const struct tree_entry *entry);
	/* its own */
	struct tree_request *pending;
	struct tree_entry *entry; /* NULL: not there, or not known yet */
	struct dav_if *lists;     /* NULL: no If */
	size_t at;                /* of the lists */
};
/* Takes path, user and tokens from the request. False: it has been answered. */
bool dav_check_init(struct dav_check *check, struct http_request *request) MUST_CHECK;
void dav_check_fini(struct dav_check *check);
/* Answers the request when something does not hold; else calls on_checked, later. */
void dav_check_start(struct dav_check *check,
	void (*on_checked)(struct dav_check *check, const struct tree_entry *entry));

/* Whether a lock forbids it, for whom it is answered 423 then. */
bool dav_is_locked(const struct dav_check *check, const char *path, unsigned reach) MUST_CHECK;
