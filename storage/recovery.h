#pragma once

#include "server/base/attributes.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/*
 * Makes the catalogue agree with the disk, in the background while recording runs: files that were
 * cut off are closed at their last whole fragment, recordings without a row get one, rows without a
 * file go, rows that are wrong about their file are read again. Files that are no recordings of
 * nvrd's are left alone, and nothing is ever deleted from the disk. One bad file hides only itself.
 */
struct recovery;

struct recovery_counts {
	unsigned closed;    /* files that had been cut off */
	unsigned adopted;   /* files that got a row */
	unsigned corrected; /* rows that were wrong about their file */
	unsigned forgotten; /* rows without a file */
	unsigned
		unusable; /* files that are named like recordings and are none, or cannot be read */
};

struct segment_scan;
/*
 * Gives the catalogue what a closed file at `path` (recordings/<camera>/…) says of itself, for the row with that
 * id; 0: for a new one, unless the path has one.
 */
void recovery_add_row(struct catalogue *catalogue, int64_t id, const char *path,
	const struct segment_scan *scan, uint64_t bytes);

/* Begins; `done` comes when it is over. Volume and catalogue outlive it. */
struct recovery *recovery_new(struct volume *volume, struct catalogue *catalogue,
	void (*done)(void *arg, const struct recovery_counts *counts), void *arg) MUST_CHECK;
/* All of it once more, when it is over: the store has come back, or the catalogue had to leave something out. */
void recovery_again(struct recovery *recovery);
/* Stops where it is, before the volume and the catalogue are closed. NULL is fine. */
void recovery_free(struct recovery *recovery);
