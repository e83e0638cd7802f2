#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/log.h"
#include "server/base/worker.h"
#include "storage/volume.h"

enum {
	VOLUME_ID_BYTES = 16,
};

enum volume_state {
	VOLUME_READY,
	VOLUME_FAILING, /* it is there, and refused what was last written */
	VOLUME_GONE,    /* nothing is there, or something else */
	VOLUME_STATES
};

struct volume {
	char *path;
	/*
	 * Descriptor of path; everything is opened beneath it. It stays the same number all the time: when the
	 * store is gone it is a place beneath which there is nothing, a copy of `nowhere`.
	 */
	int folder;
	int nowhere;
	_Atomic bool there;
	_Atomic int64_t sync_us;
	struct log_name log;
	struct worker *writer, *reader;
	/* files with a descriptor: changed by the writer */
	LIST_HEAD(, volume_file) writing;
	pthread_mutex_t writing_mutex;
	/* reactor */
	LIST_HEAD(, volume_hold) holds;
	bool all_held;
	size_t removing; /* files, by the writer */
	struct event *watch_timer;
	volume_change_fn *on_change;
	void *on_change_arg;
	/* one of several: constant after the start, but for expected_bytes */
	int64_t number; /* volume_id() */
	struct volume *next;
	bool target_missing; /* one between this and `next` is not there, or one behind the last */
	uint64_t expected_bytes;
	/* writer */
	int64_t measured_us; /* when free space was last looked at, monotonic */
	struct volume_space space;
	enum volume_state state;
	unsigned instance;                 /* how often the store was come by or lost */
	char id[2 * VOLUME_ID_BYTES + 1];  /* what the marker says; empty: not known yet */
	bool marked;                       /* it does say so */
	SLIST_HEAD(, discarded) discarded; /* and could not be removed yet */
	size_t n_discarded;
	struct log_repeated again;
};

/* As volume_open(), with the names of its threads (static). */
struct volume *volume_open_as(const char *path, int64_t sync_us, const char *writer,
	const char *reader, char **why) MUST_CHECK;

/* --- volume_store.c: whether the store is there --- */

/*
 * Comes by the store. Returns 0; or -errno and *why (the caller frees it) when it is not there, or is not
 * to be used. Writer, and the start.
 */
int volume_enter(struct volume *volume, char **why) MUST_CHECK;
/* What the marker in a folder says. Returns 0, -ENOENT when there is none (or a torn one), or -errno. */
int volume_read_marker(int folder, char ret[2 * VOLUME_ID_BYTES + 1]) MUST_CHECK;
/* What nobody but a person can put right. */
bool volume_is_misconfigured(int error);
/* Changes what metrics say of it. Writer, and the start. */
void volume_set_state(struct volume *volume, enum volume_state state);

/*
 * Removes a file of ours in which there is nothing to keep; fd is open on it. Where the disk refuses that it
 * is tried again by volume_discard_again(), which forgets those that are another file by now. Writer.
 */
void volume_discard(struct volume *volume, const char *path, int fd);
void volume_discard_again(struct volume *volume);
/* Forgets those that are left; the next start finds them. Writer, and the end. */
void volume_discard_none(struct volume *volume);

/* Looks at the file system's space: into volume->space, but for written_bytes. Returns 0 or -errno. Writer. */
int volume_measure(struct volume *volume) MUST_CHECK;
