#pragma once

#include <stddef.h>
#include <stdint.h>

#include "storage/tree.h"

/*
 * A tree in memory that stands for storage/tree in tests of what serves it: a few fixed entries,
 * answers in a later turn of the loop, faults on demand.
 *
 * /                                                      collection
 * /recordings                                            collection
 * /recordings/porch                                      collection
 * /recordings/porch/2026-11-20                           collection
 * /recordings/porch/2026-11-20/14-30-00+0100.mp4         1000000 bytes, closed, ETag "1-f4240"
 * /recordings/porch/2026-11-20/14-40-00+0100.mp4         700 bytes, open, ETag "2-2bc"
 * /recordings/porch/2026-11-20/empty.mp4                 0 bytes
 * /recordings/porch/2026-11-20/odd <&"'>:.mp4            5 bytes
 * /recordings/many                                       collection of `many` files f00000.mp4 ...
 */
struct fake_tree {
	size_t many;
	int find_error, list_error, open_error; /* of the next answers; 0: none */
	int list_error_after;                   /* batches that succeed before list_error */
	uint64_t read_error_at;                 /* reads from this offset fail; 0: never */
	unsigned busy_reads;                    /* so many reads are refused first */
	/* what the test looks at */
	size_t open_files, pending, largest_read, reads;
	char last_user[32];
};
extern struct fake_tree fake_tree;

/* As at the start of the process, with 1200 entries in /recordings/many. */
struct tree *fake_tree_reset(void);
/* The byte at that offset of every file. */
char fake_tree_byte(uint64_t offset);
