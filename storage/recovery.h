#pragma once

#include "server/base/attributes.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/*
 * Makes the catalogue agree with the disks, in the background while recording runs: files that were
 * cut off are closed at their last whole fragment, recordings without a row get one, rows without a
 * file go, rows that are wrong about their file are read again. Of a recording that was being moved from one volume to
 * another one copy stays: what is half done is removed, and so is a second copy that is the same byte for byte. Files
 * that are no recordings of nvrd's are left alone, and nothing else is deleted. One bad file hides only itself.
 */
struct recovery;

struct recovery_counts {
	unsigned closed;    /* files that had been cut off */
	unsigned adopted;   /* files that got a row */
	unsigned corrected; /* rows that were wrong about their file */
	unsigned forgotten; /* rows without a file */
	unsigned doubled;   /* second copies and halves of copies, removed */
	unsigned
		unusable; /* files that are named like recordings and are none, or cannot be read */
};

struct segment_scan;
/*
 * Gives the catalogue what a closed file at `path` (recordings/<camera>/…) of a volume says of itself, for the row with that
 * id; 0: for a new one, unless the path has one.
 */
void recovery_add_row(struct catalogue *catalogue, int64_t id, int64_t volume, const char *path,
	const struct segment_scan *scan, uint64_t bytes);

/* On that volume and those behind it. Begins; `done` comes when it is over. All outlive it. */
struct recovery *recovery_new(struct volume *volume, struct catalogue *catalogue,
	void (*done)(void *arg, const struct recovery_counts *counts), void *arg) MUST_CHECK;
/* All of it once more, when it is over: the store has come back, or the catalogue had to leave something out. */
void recovery_again(struct recovery *recovery);
/* Stops where it is, before the volume and the catalogue are closed. NULL is fine. */
void recovery_free(struct recovery *recovery);
