#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "storage/box_writer.h"
#include "storage/catalogue.h"
#include "storage/fragment.h"

/*
 * The format of a recording's file (docs/STORAGE.md): fragmented MP4 while it grows, an ordinary MP4
 * over the same bytes once it is closed. All that nvrd has to know of a recording is in its file.
 *
 *	open    ftyp free(16)           moov prft moof mdat moof mdat ...
 *	closed  ftyp mdat(64-bit size) {moov prft moof mdat moof mdat ...} moov
 *
 * The functions on files block; for worker threads and the start.
 */

enum {
	SEGMENT_CODECS_BYTES = 96, /* as in struct fragment_init */
	SEGMENT_BOOT_ID_BYTES = 37
};

/*
 * Appends the head of a file to w: all that stands before the first fragment. Decode times in
 * the file count from origin_us, an instant of the clock. While nobody had set that clock boot_us says when
 * the machine was switched on by it (wall_clock_boot_us()), else it is 0. `camera` is its name, for people.
 */
void segment_head(struct box_writer *w, const struct fragment_init *init, const char *camera,
	int64_t origin_us, int64_t boot_us);

/*
 * Appends the box that stands in the moof of a time-lapse's picture: when it was taken, counted from the file's
 * origin_us. Its decode time is only when it is shown.
 */
void segment_write_taken(struct box_writer *w, int64_t since_origin_us);

/* What a file says of itself. */
struct segment_scan {
	int64_t start_us, end_us; /* of its fragments, as the lead track has them */
	bool timelapse;           /* they are when its pictures were taken */
	bool dated;               /* the clock that gave start_us had been set; else, if known: */
	int64_t boot_us;          /* when the machine was switched on, by that clock */
	char boot_id[SEGMENT_BOOT_ID_BYTES];
	bool closed;
	char codecs[SEGMENT_CODECS_BYTES]; /* RFC 6381, all tracks, by commas */
	int width, height;                 /* 0 without video */
	uint64_t bytes;                    /* up to the end of the last whole fragment */
	struct catalogue_fragment *fragments;
	size_t n;
};
/*
 * Reads a file, open, closed or torn. Returns 0 (segment_scan_fini() then frees what is in *ret),
 * -ENODATA when no fragment is whole (or nothing at all), -ENOTSUP when it is another kind of file, -EFBIG when it has too
 * many fragments, -EBADMSG when its head makes no sense, or what pread() failed with.
 */
int segment_scan(int fd, struct segment_scan *ret) MUST_CHECK;
void segment_scan_fini(struct segment_scan *scan);

/*
 * Closes a file that nobody appends to any more, opened for reading and writing: cuts what is behind
 * the last whole fragment, appends a moov with the sample tables, and makes all before it one mdat. All
 * is synced when it returns. A closed file is left as it is. *bytes is how long the file
 * is then, also after an error (0 when that cannot be found out), with which the file stays what it
 * was: playable as fragments. Errors as of segment_scan(); -EBADMSG also for whole fragments that no
 * table can describe; and those of pwrite(), ftruncate(), fdatasync().
 */
int segment_close(int fd, uint64_t *bytes) MUST_CHECK;

/*
 * The sample tables of a file, grown while it is written, for one that is too long to be read again when it is
 * closed (a day's time-lapse is not in the page cache). All but segment_close_with() on the reactor.
 */
struct segment_index;
/* As segment_head() has them. */
struct segment_index *segment_index_new(struct fragment_init *init, const char *camera,
	int64_t origin_us, int64_t boot_us) MUST_CHECK;
/* The fragment stands in the file at that offset, with decode times that count from origin_us. */
void segment_index_add(struct segment_index *index, const struct fragment *fragment,
	int64_t origin_us, uint64_t offset);
/*
 * Appends the closed file's moov to w; after that the index is only to be freed. Returns 0, -ENODATA without
 * fragments, or -EBADMSG, -EFBIG when they cannot be described: segment_close() will do then.
 */
int segment_index_write(struct segment_index *index, struct box_writer *w) MUST_CHECK;
void segment_index_free(struct segment_index *index); /* NULL is fine */
/* As segment_close(), of a file with the head and those fragments and nothing behind them. */
int segment_close_with(int fd, const uint8_t *moov, size_t n, uint64_t *bytes) MUST_CHECK;

/*
 * The clock that gave the file's times is known to be so much behind: sets it right and says that it is
 * the truth, synced. A file that says so already is left as it is. Errors as of segment_scan().
 */
int segment_redate(int fd, int64_t later_us) MUST_CHECK;
