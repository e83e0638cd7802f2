#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <event2/buffer.h>

#include "storage/tree.h"
#include "tests/store.h"

/* A store with its tree, and files that are written into its uploads/, on the reactor of the test. */

extern struct tree *tree;

/* Of a group of tests. */
int set_up(void **state);
int tear_down(void **state);
/* Ends the tree, and makes it again, as a restart does. */
void reopen_tree(void);

struct writing {
	struct tree_put *put;
	bool begun, drained, ended, created;
	int error;
	char etag[64];
};

/* Waits until the file is begun, or has ended. */
struct writing begin(const char *path, struct writing *w);
/* The same of one of which so much is kept. */
struct writing begin_after(const char *path, uint64_t keep, struct writing *w);
/* Returns whether more may be written. */
bool add(struct writing *w, const char *text);
/* Waits for the end. Returns its error. */
int commit(struct writing *w, const char *etag);
int write_file(const char *path, const char *text);

/* Where a path of the tree is. The caller frees it. */
char *on_disk(const char *path);
/* Waits until below a path nothing is half made, and nothing waits to be removed. */
void expect_no_parts(const char *path);
