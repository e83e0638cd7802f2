#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "server/base/config_files.h"

/*
 * The files of the configuration as an admin sees and changes them from afar: "nvrd.yaml" (whatever its name is),
 * "cameras/NAME.yaml", and of both what they were, "previous/nvrd.yaml.<time>" and "previous/cameras.NAME.yaml.<time>".
 * Nothing else of the folder exists. No secret comes out of it: config_seal(). Names are those above, "" is the folder
 * itself. All of this blocks; one thread at a time.
 */
struct config_folder;

enum {
	CONFIG_PREVIOUS = 100, /* so many are kept */
	CONFIG_ETAG_BYTES = 35
};

/* `has_users`: whether there are any in the configuration that is in force. */
struct config_folder *config_folder_new(const char *file, bool has_users) MUST_CHECK;
void config_folder_free(struct config_folder *folder); /* NULL is fine */

/*
 * config_load() of what is to be applied. Without users only loopback is safe, and listeners cannot be moved there: a
 * configuration that has none any more is refused, also as a change.
 */
struct config *config_folder_reload(struct config_folder *folder, char **errors) MUST_CHECK;

struct config_folder_entry {
	char name[CONFIG_FILE_NAME_BYTES];
	bool is_collection;
	size_t bytes; /* of what is shown */
	int64_t modified_us;
	char etag[CONFIG_ETAG_BYTES]; /* changes with what is shown; with its quotes */
};

/*
 * Errors, of all that follow: -ENOENT; -ENOTDIR: it is no collection; -EBADMSG: *why, which the caller frees, says what
 * is wrong; -EIO, which has been logged; -ENOSPC.
 */

/* The sealed text is put into *ret unless that is NULL; the caller frees it. Without it no -EBADMSG. */
int config_folder_find(struct config_folder *folder, const char *name,
	struct config_folder_entry *entry, char **ret, char **why) MUST_CHECK;
/* The members of a collection, by name; the caller frees the array. */
int config_folder_list(struct config_folder *folder, const char *name,
	struct config_folder_entry **ret, size_t *n) MUST_CHECK;

/* What is to be with a file. */
struct config_folder_change {
	const char *name;
	const char *text; /* NULL: it is removed */
	size_t bytes;
	const char *etag; /* what it must be: "": nothing; NULL: whatever it is */
	int64_t now_us;
};
/*
 * Checks the whole configuration as it will be, keeps what was, seals what is new, and writes it: all or nothing, also after a
 * crash. Then the configuration is in *ret, to be applied, and the file in *entry, of which the etag is "" when it is not
 * byte by byte what was given. -EBADMSG: it is not valid; -ENOTSUP: this file cannot be changed; -EINVAL: there cannot
 * be one of this name; -ESTALE, -EEXIST: it is not what it must be.
 */
int config_folder_change(struct config_folder *folder, const struct config_folder_change *change,
	struct config **ret, bool *created, struct config_folder_entry *entry,
	char **why) MUST_CHECK;

/* The ETag of n bytes that are shown. */
void config_folder_write_etag(char ret[CONFIG_ETAG_BYTES], const void *p, size_t n);
