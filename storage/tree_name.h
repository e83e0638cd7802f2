#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names that people give to files. Pure. */

enum {
	TREE_NAME_BYTES = 255 /* the longest that file systems take */
};

/* What is being written has a name that starts so; nobody sees it, and nobody may give it. */
#define TREE_PART ".nvrd-part-"

/* Bytes of the character at p, of n > 0, or 0: not UTF-8 (RFC 3629), or a control character (also U+0080 to U+009F). */
size_t tree_name_character(const unsigned char *p, size_t n);

/*
 * Whether the n bytes are a name for a file: valid UTF-8 (RFC 3629) without control characters and '/', not "." or
 * "..", not too long, and not one of ours.
 */
bool tree_name_is_fine(const char *name, size_t n);
/* The same for each part of a path like "a/b/c": no empty part, no more than `most` of them. */
bool tree_name_path_is_fine(const char *path, size_t most);
/* Numbers as an ETag, with its quotes: "1f-3e8". There is room for 16 digits of each. */
void tree_write_etag(char *ret, size_t n, const uint64_t *numbers);
/* Whether a path is another one or lies below it. */
bool tree_name_is_within(const char *path, const char *top);
