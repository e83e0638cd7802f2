#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "storage/box_writer.h"
#include "storage/mp4_reader.h"

/*
 * The boxes of what is made of recordings while it is read (ISO/IEC 14496-12): heads, an index, and fragments of which
 * a few bytes are others than in the file. Functions of bytes.
 */

enum {
	CLIP_SIDX_BYTES = 40, /* without its references */
	CLIP_REFERENCE_BYTES = 12,
	CLIP_MOOF_HEADER_BYTES = 8,
	CLIP_MOOF_MOST = 1 << 20,
};

/* What the bytes before the first fragment of a recording say. */
struct clip_head {
	size_t room_at; /* where `free`, or the header of the closed file's mdat, is */
	size_t moov_at, moov_end;
	struct mp4_movie movie;
	unsigned lead;     /* its number there */
	int64_t origin_us; /* the instant of decode time 0 */
	uint64_t
		init; /* the same for recordings of which one moov fits both: a hash of it without its times */
};
/* Returns 0, or -EBADMSG when they are not a recording's. */
int clip_head_parse(struct clip_head *ret, const uint8_t *p, size_t n) MUST_CHECK;

/* What is another in the fragments of a clip than in those of a file. */
struct clip_shift {
	unsigned n;
	struct clip_track {
		uint32_t id;
		int64_t delta; /* added to decode times, which do not fall below 0 */
		bool hidden;   /* its traf becomes `free` */
	} tracks[MP4_TRACKS];
};
/* The shift of a file with that head when decode times are to count from origin_us. */
void clip_shift_set(struct clip_shift *ret, const struct clip_head *head, int64_t origin_us);
/*
 * Changes a whole moof: its decode times, and its number when that is not 0. Returns 0, or -EBADMSG when it is not as
 * nvrd writes them; bytes may then have changed.
 */
int clip_patch_moof(
	uint8_t *moof, size_t n, uint32_t sequence, const struct clip_shift *shift) MUST_CHECK;

/* Whether browsers play such a track (as sample_entry_is_web()). */
bool clip_is_web(const struct mp4_track *track);
/*
 * Makes of a file's first bytes those of a file of fragments of the tracks that are not hidden, which are `free` in its
 * moov then. The sizes of all boxes stay.
 */
void clip_patch_head(uint8_t *p, const struct clip_head *head, const struct clip_shift *shift);

/*
 * Appends the start of a clip: ftyp and moov of a file with that head, with the instant it begins at (0: unknown) and how long
 * it is. Returns 0 or -EBADMSG.
 */
int clip_head_write(struct box_writer *w, const uint8_t *p, const struct clip_head *head,
	int64_t start_us, int64_t duration_us) MUST_CHECK;

/* The fixed part of a sidx, and one of its references (ISO/IEC 14496-12 section 8.16.3). */
struct clip_sidx {
	uint32_t id, timescale; /* of a track; of the times */
	int64_t first;          /* the time of what it refers to */
	uint64_t first_offset;  /* where that begins, from the end of the sidx */
	uint32_t n;             /* references; at most 65535 */
};
void clip_sidx_write(struct box_writer *w, const struct clip_sidx *sidx);
void clip_reference_write(struct box_writer *w, uint32_t bytes, uint32_t duration, bool keyframe);

/* What the first samples of a moof's tracks say. */
struct clip_first {
	int64_t origin_us; /* the earliest decode time of any track */
	int64_t shown_us; /* how long after its decode time the lead's first sample is shown, rounded up */
	/* the lead's first sample in the file, from the moof on; 0 bytes when it has none */
	uint64_t at;
	uint32_t bytes;
};
int clip_first_parse(struct clip_first *ret, const uint8_t *moof, size_t n,
	const struct clip_head *head) MUST_CHECK;

/* The end of a clip within a fragment: a head of its own, and of each track the media up to there. */
struct clip_tail {
	uint8_t *head; /* moof and the header of mdat; the owner frees it */
	size_t moof_bytes, head_bytes;
	unsigned n;
	struct clip_span {
		uint64_t at, bytes; /* in the file, from the moof on */
	} spans[MP4_TRACKS];
	uint64_t bytes;      /* with the head */
	int64_t duration_us; /* of the lead, or of the first track that is in it */
};
enum clip_cut {
	CLIP_CUT_NONE, /* all is before that instant */
	CLIP_CUT_SOME, /* *ret is set */
	CLIP_CUT_ALL,  /* nothing of the lead is */
};
/*
 * Cuts a whole moof at an instant: of each track, in the order of decoding, all up to the last sample that is shown before it.
 * A fragment that is not as nvrd writes them is taken whole.
 */
enum clip_cut clip_cut(struct clip_tail *ret, const uint8_t *moof, size_t n,
	const struct clip_head *head, int64_t to_us) MUST_CHECK;

/* FNV-1a of bytes, going on from `hash` (0 at the start). */
uint64_t clip_hash(uint64_t hash, const void *p, size_t n);
