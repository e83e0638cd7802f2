#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "server/base/log.h"
#include "server/base/worker.h"
#include "storage/volume.h"

struct volume {
	char *path;
	int folder; /* descriptor of path; everything is opened beneath it */
	_Atomic int64_t sync_us;
	struct log_name log;
	struct worker *writer, *reader;
	/* writer */
	int64_t measured_us; /* when free space was last looked at, monotonic */
};

/* Opens a path beneath the volume, never through a symbolic link. A descriptor, or -errno. Any thread. */
int volume_open_beneath(const struct volume *volume, const char *path, int flags, int mode);
/* Makes the folders above a path. Returns 0 or -errno. Writer. */
int volume_make_folders(const struct volume *volume, const char *path);

enum {
	VOLUME_SUFFIX_MOST = 99
};
/* A path with _2, _3 … before its extension; i = 1: as it is. The caller frees it. */
char *volume_suffixed(const char *path, int i);
/* Counts a failed operation: "open", "write", "sync", "read", "close". Any thread. */
void volume_count_error(const char *operation);
