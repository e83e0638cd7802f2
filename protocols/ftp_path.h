#pragma once

#include <stdbool.h>

#include "server/base/attributes.h"

/* Paths of the tree as FTP's clients name them. Pure. */

enum {
	FTP_PATH_BYTES = 512 /* what the tree takes */
};

/*
 * What `argument` means in the collection `cwd`: dot segments, doubled and last slashes are gone, and nothing leads above the
 * root. Where a `home` is given ("" is none), whatever is not the root and neither in /recordings nor in /uploads is in it.
 * Returns 0, -ENAMETOOLONG, or -ENOENT for what is hidden.
 */
int ftp_path_resolve(char ret[FTP_PATH_BYTES], const char *home, const char *cwd,
	const char *argument) MUST_CHECK;

/* Whether this part of the tree is not for FTP, which may be in the clear: the configuration. */
bool ftp_path_is_hidden(const char *path);

/* Whether a name fits a pattern: '*' is any number of characters, '?' one byte. In time of the product of their lengths. */
bool ftp_path_matches(const char *pattern, const char *name);
/* Whether the last part of a path is a pattern. */
bool ftp_path_is_pattern(const char *path);
