#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "storage/catalogue.h"
#include "storage/clip_boxes.h"
#include "storage/volume.h"

/*
 * The recordings of a camera between two instants, and one after the other what their files say of themselves: what clips
 * and playlists are made of. Asynchronous: callbacks on the reactor, never before the call returned.
 */
struct recordings;

enum {
	RECORDINGS_MOST = 8192
};

/* error: 0 (there may be none), -E2BIG (more than RECORDINGS_MOST), -EAGAIN, -EIO. */
typedef void recordings_list_fn(void *arg, int error);
/* NULL when the catalogue is busy. */
struct recordings *recordings_new(struct catalogue *catalogue, struct volume *volume,
	const char *camera, int64_t from_us, int64_t to_us, recordings_list_fn *done,
	void *arg) MUST_CHECK;
/* The one with that path. */
struct recordings *recordings_new_file(struct catalogue *catalogue, struct volume *volume,
	const char *path, recordings_list_fn *done, void *arg) MUST_CHECK;
void recordings_free(struct recordings *recordings); /* NULL is fine; no callback after this */

size_t recordings_count(const struct recordings *recordings);
const struct catalogue_segment *recordings_row(const struct recordings *recordings, size_t i);

struct recording {
	const struct catalogue_segment *row;
	const struct catalogue_fragment *fragments; /* at least one */
	size_t n;
	struct clip_head head;
	const uint8_t *bytes; /* of the file before its first fragment */
	size_t n_bytes;
};
/* error: 0; -ENOENT: it is gone, or has nothing yet; -EBADMSG; -EAGAIN; or what reading failed with. */
typedef void recordings_load_fn(void *arg, int error, const struct recording *recording);
/*
 * Loads the i-th. What is given is valid until the next is loaded or all are freed; one thing at a time. The file is held
 * as long. Returns 0 or -EAGAIN, done is not called then.
 */
int recordings_load(
	struct recordings *recordings, size_t i, recordings_load_fn *done, void *arg) MUST_CHECK;

/* error: 0, -EBADMSG, -EAGAIN, or what reading failed with. */
typedef void recordings_moof_fn(void *arg, int error, const uint8_t *moof, size_t n);
/* Reads the moof of a fragment of the one that is loaded. Returns as recordings_load(). */
int recordings_moof(struct recordings *recordings, const struct catalogue_fragment *fragment,
	recordings_moof_fn *done, void *arg) MUST_CHECK;

/* Reads all of it, as volume_reader_read(). */
int recordings_read(struct recordings *recordings, const struct catalogue_fragment *fragment,
	volume_reader_data_fn *on_data, void *arg) MUST_CHECK;

/* --- the file of a row --- */

struct recording_file;
/* error: 0; -EAGAIN: its volume is not there now; -ENOENT, or what opening failed with: only recording_file_close() is left. */
typedef void recording_file_fn(void *arg, int error);
/*
 * Opens it on the volume where it is, also when it is moved to another one meanwhile, and holds it. `volume` is the first one.
 * NULL when busy.
 */
struct recording_file *recording_file_open(struct catalogue *catalogue, struct volume *volume,
	const struct catalogue_segment *row, recording_file_fn *done, void *arg) MUST_CHECK;
/* As volume_reader_read(). */
int recording_file_read(struct recording_file *file, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg) MUST_CHECK;
void recording_file_close(struct recording_file *file); /* NULL is fine; no callback after this */
