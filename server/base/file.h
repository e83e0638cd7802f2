#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/base/attributes.h"

struct stat;

/* Small files as a whole. All of this blocks. */

/*
 * What is in a regular file of at most `limit` bytes, NUL-ended, which the caller frees; or NULL and what is wrong in
 * *why, which the caller frees then, and errno. `flags` of open(2), such as O_NOFOLLOW; `st` may be NULL.
 */
char *file_read(const char *path, size_t limit, int flags, struct stat *st, size_t *ret_bytes,
	char **why) MUST_CHECK;
/* The same of a path beneath an open folder (openat(2)). */
char *file_read_at(int folder, const char *path, size_t limit, int flags, struct stat *st,
	size_t *ret_bytes, char **why) MUST_CHECK;

/*
 * Writes a file under another name, synced, which then gets its own: at each moment, also after a crash, it is the
 * former one or the new one, whole. Its mode and owner are those of `like`, or 0600 and ours where that is NULL.
 * 0 or -errno; -EEXIST where something is there and that is not to be replaced.
 */
int file_write(const char *path, const char *p, size_t n, const struct stat *like,
	bool may_replace) MUST_CHECK;
int file_write_at(int folder, const char *path, const char *p, size_t n, const struct stat *like,
	bool may_replace) MUST_CHECK;

/* Removes a file, so that it is not back after a crash. 0 or -errno. */
int file_remove(const char *path) MUST_CHECK;
