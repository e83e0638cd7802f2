#pragma once

#include "storage/clip.h"
#include "storage/clip_boxes.h"

/* What clip.c (the order of a clip's parts), clip_make.c and clip_file.c share. */

enum {
	CLIP_GAP_US = 500000,   /* what is more is a gap */
	CLIP_REFERENCES = 8192, /* by time; and one at least for each recording */
	CLIP_REFERENCE_US = 1000000,
	CLIP_REFERENCES_MOST = UINT16_MAX,
	CLIP_REFERENCE_MEDIA = 1 << 30, /* bytes; what 31 bits can say */
	CLIP_OTHER_LATER_US = 50000,    /* a sample of another track than the lead is shorter */
};

/* What of a recording is in a clip: n fragments of its index. */
struct clip_segment {
	struct catalogue_segment *row;
	uint32_t first, n;
	uint32_t number;    /* of its first fragment in the clip */
	uint32_t reference; /* the same of the index of the clip */
	uint64_t at;        /* of the clip's media: bytes before it */
	int64_t start_us, end_us;
	int64_t closed_us,
		closed_end_us; /* of gaps: before its first fragment, and with those within it */
	int64_t file_origin_us;
};

struct clip {
	int refs;
	struct clip_head movie; /* of the first file */
	bool hides;             /* tracks that browsers do not play */
	bool close_gaps;
	int64_t origin_us;  /* decode times count from it */
	uint32_t timescale; /* of the index */
	uint32_t fragments;
	/* the tracks but for the lead, each with an index of all fragments */
	struct clip_other {
		uint32_t id, timescale;
	} others[MP4_TRACKS];
	unsigned n_others;
	int64_t reference_us; /* a reference to the media lasts at least so long */
	struct clip_segment *segments;
	size_t n, size;
	/* the parts, in their order */
	uint8_t *head;
	size_t head_bytes;
	uint8_t sidx[CLIP_SIDX_BYTES];
	uint64_t sidx_bytes; /* with its references; 0: there is none */
	uint32_t references;
	uint64_t other_bytes; /* of the boxes of one of the others; they follow each other */
	uint64_t media_bytes;
	struct clip_tail tail; /* stands for the last fragment; head NULL: that is whole */
	int64_t start_us, end_us;
	uint64_t tag;
	/* in struct clips, which has this for whoever asks next */
	char *name;          /* what was wished */
	uint64_t recordings; /* a hash of what was in the catalogue then */
};

struct clips {
	struct catalogue *catalogue;
	struct volume *volume;
	struct clip *last[8]; /* the latest first; NULL at the end */
};

/* A walk over the fragments of a segment, by its part of the index. */
struct clip_walk {
	const struct clip *clip;
	const struct clip_segment *segment;
	const struct catalogue_fragment *fragments; /* of the segment: n */
	/* the fragment at hand */
	uint32_t i;  /* its number in the segment; n at the end */
	uint64_t at; /* bytes of the segment before it */
	uint64_t bytes;
	int64_t duration_us;
	int64_t closed_us; /* of gaps before it, in the clip */
};
void clip_walk_begin(struct clip_walk *walk, const struct clip *clip,
	const struct clip_segment *segment, const struct catalogue_fragment *fragments);
void clip_walk_next(struct clip_walk *walk);
/* Whether the fragment at hand is the one that the clip's tail stands for. */
bool clip_walk_is_tail(const struct clip_walk *walk);
/* The shift of its decode times. */
void clip_walk_shift(const struct clip_walk *walk, struct clip_shift *ret);

/*
 * The references to a segment, in their order: adds them to w unless that is NULL. next_us: the time in the clip at
 * which the next segment starts, or the clip ends. Returns how many.
 */
uint32_t clip_references(struct box_writer *w, const struct clip *clip,
	const struct clip_segment *segment, const struct catalogue_fragment *fragments,
	int64_t next_us);
/* The same of one of the other tracks: all fragments of a segment. */
void clip_other_references(struct box_writer *w, const struct clip *clip,
	const struct clip_other *other, const struct clip_segment *segment,
	const struct catalogue_fragment *fragments, int64_t next_us);
/* The fixed part of the box-th of its boxes. `walk` is at the first fragment it refers to. */
void clip_other_write(struct box_writer *w, const struct clip *clip, unsigned other, uint32_t box,
	const struct clip_walk *walk);
/*
 * An instant in a timescale, rounded up: that undoes the rounding of instants, and a player that wants a time is
 * never sent to what begins after it.
 */
int64_t clip_time(int64_t us, uint32_t timescale);
/* The time at which a segment starts in the clip: an instant, less the gaps before it that are closed. n: the clip's end. */
int64_t clip_segment_us(const struct clip *clip, size_t i);
