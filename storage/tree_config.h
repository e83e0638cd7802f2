#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/base/attributes.h"
#include "storage/tree.h"

struct evbuffer;

/*
 * The part of the tree that is the configuration, "/config", and "/discovered": small files, which whoever keeps it (server/configuration.h)
 * has whole in memory, and changes as a whole. For admins alone.
 */

/* What is asked of the keeper, and what he answers. Paths are the tree's. */
enum tree_config_task {
	TREE_CONFIG_FIND,  /* entries[0] */
	TREE_CONFIG_LIST,  /* entries, by name */
	TREE_CONFIG_READ,  /* entries[0] and text */
	TREE_CONFIG_WRITE, /* text; then created, entries[0] */
	TREE_CONFIG_COPY,  /* path to `to`; then created */
	TREE_CONFIG_REMOVE,
};
struct tree_config_job {
	enum tree_config_task task;
	char *path, *to;
	struct evbuffer *text;
	char *etag; /* of a change: what the target must be: "": nothing; NULL: whatever it is */
	char *user; /* who asks; NULL: without users */
	void (*done)(struct tree_config_job
			*job); /* once, on the reactor, never before the posting returned */
	/* the answer */
	int error;     /* as of the tree */
	char *problem; /* of -EBADMSG */
	bool created;
	struct tree_entry *entries;
	size_t n;
	/* the tree's own */
	void *owner; /* NULL: nobody wants to know any more */
	struct tree *tree;
};

/* Takes the job, and calls its `done`, which frees it. -EAGAIN: busy, and the caller keeps it. */
typedef int tree_config_post_fn(void *arg, struct tree_config_job *job);
/* NULL: there is no configuration. Before the first request, and until the tree is freed. */
void tree_set_config(struct tree *tree, tree_config_post_fn *post, void *arg);

/* Whether "/discovered" is among what the root has: cameras that were found, which can be read and copied into the configuration. */
void tree_show_discovered(struct tree *tree, bool shown);

/* --- for the tree itself --- */

/* Begin what a request is about, unless the keeper is busy or there is none. */
void tree_config_find(struct tree_request *request);
void tree_config_list(struct tree_request *request);
void tree_config_open(struct tree_request *request);
void tree_config_remove(struct tree_request *request);
void tree_config_copy(struct tree_request *request);
void tree_config_cancel(struct tree_config_job *job); /* NULL is fine */

/* A file that was opened. */
struct tree_config_file;
void tree_config_file_read(struct tree_config_file *file, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg);
void tree_config_file_close(struct tree_config_file *file); /* NULL is fine */

struct tree_put *tree_config_put(struct tree *tree, const char *path, const struct auth_user *user,
	const struct tree_put_events *events, void *arg) MUST_CHECK;
