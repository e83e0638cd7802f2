#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/*
 * MP4s that are made of recordings while they are read (docs/CLIPS.md): the bytes of the files but for a few numbers, so
 * that length and content of all are known from the catalogue's index, and nothing is held but where what begins.
 *
 * A clip is a time range of a camera: from the last keyframe shown at or before its start up to the last frame shown before
 * its end. A view is one file whose decode times count from another instant, without what browsers do not play: what
 * playlists refer to, so that time goes on from file to file.
 */
struct clips; /* of the process; remembers what was asked for last, as players come again for each range */
struct clips *clips_new(struct catalogue *catalogue, struct volume *volume);
void clips_free(struct clips *clips);

enum {
	CLIP_DAYS_MOST = 40,
};

struct clip_wish {
	const char *camera;     /* of a clip; NULL for a view */
	int64_t from_us, to_us; /* at most CLIP_DAYS_MOST */
	bool close_gaps; /* none is longer than half a second then; else they last as long as they did */
	const char *path;  /* of a view: on the volume */
	int64_t origin_us; /* decode times count from it; not of clips */
};

/* Where everything is. Does not change any more. Shared by reference. */
struct clip;
struct clip *clip_ref(struct clip *clip);
void clip_unref(struct clip **clip);
uint64_t clip_bytes(const struct clip *clip);
/* The instants of the first frame and of the end of the last one. */
int64_t clip_start_us(const struct clip *clip);
int64_t clip_end_us(const struct clip *clip);
uint64_t clip_tag(const struct clip *clip); /* changes with the content */

/*
 * error: 0 (refer to the clip to keep it); -ENOENT: nothing was recorded then; -E2BIG: it is too long, or of too many
 * recordings; -EMEDIUMTYPE: not all of it fits into one file, *where is the first recording of another kind than those before;
 * -EBADMSG, -EIO: a file is damaged; -EAGAIN: busy.
 */
typedef void clip_made_fn(
	void *arg, int error, struct clip *clip, const struct catalogue_segment *where);
struct clip_request;
/* Asynchronous: called back on the reactor, never before it returns. NULL when busy. */
struct clip_request *clip_make(struct clips *clips, const struct clip_wish *wish,
	clip_made_fn *done, void *arg) MUST_CHECK;
void clip_cancel(struct clip_request *request); /* no callback after this; NULL is fine */

/* --- reading --- */

struct clip_file;
struct clip_file *clip_open(struct clips *clips, struct clip *clip) MUST_CHECK;
/*
 * Reads at offset: from one to n bytes, none at the end. One read at a time. error: 0; -ENOENT: a file was deleted meanwhile (only the one that is being read is held); -EAGAIN, or what
 * reading failed with.
 */
void clip_file_read(struct clip_file *file, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg);
void clip_file_close(struct clip_file *file); /* NULL is fine; no callback after this */
