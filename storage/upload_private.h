#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <libavformat/avformat.h>

#include "server/base/attributes.h"
#include "server/media/av_library.h"
#include "server/media/stream.h"
#include "storage/av_track.h"
#include "storage/segment.h"
#include "storage/volume.h"

/* All that is here is for the upload thread. */

enum {
	UPLOAD_WHY_BYTES = 160,
	UPLOAD_PATHS = 256, /* found at one look */
	UPLOAD_WATCHES = 4096
};

/* --- upload_look.c: which files there are, and which of them nobody writes --- */

/* By it a file is known again; a change of the file gives another one. */
struct upload_identity {
	dev_t device;
	ino_t inode;
	off_t bytes;
	struct timespec modified, changed; /* its content; anything of it */
};
struct upload_identity upload_identity_of(const struct stat *st);
bool upload_identity_equal(const struct upload_identity *a, const struct upload_identity *b);

/* What was seen before: files that are no recordings, and those that may be one but were new at the last look. */
struct upload_memory {
	uint64_t *keys; /* sorted at each look */
	size_t n, size;
};
void upload_memory_fini(struct upload_memory *memory);
/* That file stays one. */
void upload_memory_keep(
	struct upload_memory *memory, const char *path, const struct upload_identity *identity);
bool upload_memory_has(const struct upload_memory *memory, const char *path,
	const struct upload_identity *identity);

struct upload_watch {
	int id; /* inotify's */
	char *folder;
};

/* What one look at all folders found; the paths are "uploads/<camera>/…". */
struct upload_look {
	char *paths[UPLOAD_PATHS]; /* as they were at the last look too: to be taken */
	size_t n;
	bool more;               /* than have room */
	size_t files, unsettled; /* and those that are new or have changed since */
	struct upload_watch watches[UPLOAD_WATCHES];
	size_t n_watches;
};
/* Makes the cameras' folders, watches and walks all. */
void upload_look(struct upload_look *ret, const struct volume *volume, char *const *cameras,
	size_t n, int inotify, struct upload_memory *memory);
void upload_look_free(struct upload_look *look);

/*
 * Opens an upload that nobody writes. A descriptor; -EAGAIN while somebody does, as far as the file system
 * tells; -EINVAL when it is no ordinary file; or -errno.
 */
int upload_open(const struct volume *volume, const char *path, struct stat *st);
/* Removes an upload if it is still that file. Returns 0 or -errno. */
int upload_remove(const struct volume *volume, const char *path,
	const struct upload_identity *identity) MUST_CHECK;

/* --- upload_input.c: what libavformat reads of it --- */

enum {
	UPLOAD_AHEAD = 64
};

/* How it ended; the rest of the words are in `why`. */
enum upload_end {
	UPLOAD_MADE,
	UPLOAD_SAME,    /* that recording is there already */
	UPLOAD_KEPT,    /* it is none, and stays */
	UPLOAD_NOT_NOW, /* somebody writes it, it is gone, or we are to stop */
	UPLOAD_FAILED   /* the store or our own side: all others would as well */
};

struct upload_input {
	const struct av_library *library;
	AVFormatContext *format;
	AVIOContext *io;
	int fd;
	int64_t at;
	const _Atomic bool *stop;
	int64_t deadline_us; /* monotonic */
	bool expired;
	int error;                     /* of the disk */
	int ended;                     /* what read_frame() said */
	AVPacket *ahead[UPLOAD_AHEAD]; /* read to learn the first decoding times */
	unsigned n_ahead, next_ahead;
	struct av_track tracks[STREAM_TRACKS]; /* 0: the picture */
	unsigned n_tracks;
	bool holes[STREAM_TRACKS]; /* something of the track was damaged */
	bool begun[STREAM_TRACKS];
	const char *why; /* static, with UPLOAD_KEPT and UPLOAD_FAILED */
};

/* Reads through a descriptor and nothing else, which stays the caller's. Returns UPLOAD_MADE: it is open. */
enum upload_end upload_input_open(
	struct upload_input *input, int fd, const _Atomic bool *stop) MUST_CHECK;
void upload_input_close(struct upload_input *input);
/*
 * The next access unit, with stream_index as its track's number, or NULL: at the end (UPLOAD_MADE), or why
 * it cannot go on. Until a track has begun what cannot be decoded is left out.
 */
enum upload_end upload_input_read(struct upload_input *input, AVPacket **ret) MUST_CHECK;
/* The container's creation_time, or NULL. */
const char *upload_input_created(const struct upload_input *input);

/* --- upload_convert.c: one upload --- */

#define UPLOAD_PART "recordings/.upload/part.mp4" /* the recording, until it is whole */

struct upload_conversion {
	const struct volume *volume;
	const struct upload_memory *memory; /* what is in it is not read again */
	const _Atomic bool *stop;
	const char *camera, *path;
	/* the result */
	enum upload_end end;
	char why[UPLOAD_WHY_BYTES];
	const char *dated_by; /* static words */
	bool still;           /* a JPEG picture */
	struct upload_identity identity;
	char *target; /* the recording's path, as it would like it */
	struct segment_scan scan;
	uint64_t bytes;
};
/* Makes the recording as UPLOAD_PART, closed and synced. */
void upload_convert(struct upload_conversion *conversion);
void upload_conversion_fini(struct upload_conversion *conversion);
/* Removes what a conversion left that was cut off. */
void upload_remove_part(const struct volume *volume);
