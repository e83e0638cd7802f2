#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/log.h"
#include "storage/catalogue.h"
#include "storage/segment.h"
#include "storage/volume.h"

/* What recovery reads of the disk. All of it blocks: for its worker. */

/* Paths or names, sorted. */
struct recovery_entry {
	char *name;
	uint64_t bytes; /* of a file */
};
struct recovery_list {
	struct recovery_entry *entries;
	size_t n;
};
/* The name is the list's from here on. */
void recovery_list_add(struct recovery_list *list, char *name, uint64_t bytes);
void recovery_list_fini(struct recovery_list *list);

/* The folders of days that there are: "recordings/porch/2026-11-20". Returns 0 or -errno. */
int recovery_list_days(const struct volume *volume, struct recovery_list *ret) MUST_CHECK;
/*
 * The files in such a folder that are named like recordings. Returns 0 or -errno; none when it is not there. Removes
 * what is left of interrupted moves to here: *halves says how many.
 */
int recovery_list_files(const struct volume *volume, const char *folder, struct recovery_list *ret,
	unsigned *halves) MUST_CHECK;

/* Removes a file. Returns 0 or -errno. */
int recovery_remove(const struct volume *volume, const char *path) MUST_CHECK;
/* Whether there is such a file. */
bool recovery_has(const struct volume *volume, const char *path);

/*
 * Reads a file, after closing it where it was cut off: *closed says whether that was so. Returns 0, and
 * the caller frees *ret; -EBUSY when this process writes it; or -errno.
 */
int recovery_read(struct volume *volume, const char *path, const struct log_name *log,
	struct segment_scan *ret, uint64_t *bytes, bool *closed) MUST_CHECK;
