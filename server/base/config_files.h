#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "server/base/attributes.h"
#include "server/base/config.h"

struct vault;

/*
 * The texts of a configuration: its own file first, then those of cameras, "cameras/NAME.yaml" beside it, by name. In the
 * latter are the options of one camera. An empty one is none: WebDAV clients make those before they write.
 */
struct config_file {
	TAILQ_ENTRY(config_file) entry;
	char *name; /* in the configuration's folder */
	char *text; /* NUL-ended; may be secret */
	size_t bytes;
};
struct config_files {
	char *file; /* as given */
	TAILQ_HEAD(, config_file) list;
	size_t bytes; /* of all texts */
};

#define CONFIG_CAMERAS "cameras"

enum {
	CONFIG_FILES_BYTES = 16 << 20, /* of all texts, at most */
	CONFIG_FILE_NAME_BYTES = 256
};

/* Reads them all. NULL with messages, as config_load(). Blocks. */
struct config_files *config_files_read(const char *file, char **errors) MUST_CHECK;
void config_files_free(struct config_files *files); /* NULL is fine */
/* Another text in the place of one's, or none with NULL; it is copied. */
void config_files_set(struct config_files *files, const char *name, const char *text, size_t n);
/* As config_parse(); messages name the files, `folder` ("", "/etc/nvrd/") in front of their names. */
struct config *config_files_parse(
	const struct config_files *files, const char *folder, char **errors) MUST_CHECK;
/* The names of the cameras' files, sorted: the caller frees them and the array. 0 or -errno. Blocks. */
int config_files_list(const char *file, char ***ret, size_t *n) MUST_CHECK;
/* Whether the name is that of a camera's file. */
bool config_is_camera_file(const char *name);

/*
 * A copy of the text in which `!vault` values stand for all secrets that it shows, and whatever is no known option;
 * every other byte is as it was. NUL-ended, the caller frees it; NULL with messages: where its secrets are cannot be told. `name`
 * as above.
 */
char *config_seal(const struct vault *vault, const char *name, const char *text, size_t n,
	size_t *ret_bytes, char **errors) MUST_CHECK;
