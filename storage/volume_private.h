#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/log.h"
#include "server/base/worker.h"
#include "storage/volume.h"

struct volume {
	char *path;
	int folder; /* descriptor of path; everything is opened beneath it */
	_Atomic int64_t sync_us;
	struct log_name log;
	struct worker *writer, *reader;
	/* files with a descriptor: changed by the writer */
	LIST_HEAD(, volume_file) writing;
	pthread_mutex_t writing_mutex;
	/* reactor */
	LIST_HEAD(, volume_hold) holds;
	/* writer */
	int64_t measured_us; /* when free space was last looked at, monotonic */
	struct volume_space space;
};

/* Looks at the file system's space: into volume->space, but for written_bytes. Returns 0 or -errno. Writer. */
int volume_measure(struct volume *volume) MUST_CHECK;

/* A path's folder, opened; *name is what stands after it. Or -errno. Any thread. */
int volume_open_folder_of(const struct volume *volume, const char *path, const char **name);
