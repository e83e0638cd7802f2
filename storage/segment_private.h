#pragma once

#include "storage/mp4_reader.h"
#include "storage/segment.h"
#include "storage/segment_parts.h"

enum {
	/* flags of prft (ISO/IEC 14496-12 section 8.16.5): its time is */
	SEGMENT_PRFT_DATED = 24,  /* that of the real world, or */
	SEGMENT_PRFT_UNDATED = 8, /* arbitrary, but the same for all that has it */
};

/* The type of the box that says of which clock an undated file's times are. */
extern const uint8_t segment_boot_type[16];

/* The type of the box in a moof that says when a time-lapse's picture was taken. */
extern const uint8_t segment_taken_type[16];

/* prft of a file that is `dated` or not. */
void segment_write_clock(struct box_writer *w, uint32_t track_id, int64_t origin_us, bool dated);

/* NTP time (RFC 5905 section 6): 32 bits of seconds since 1900, 32 bits of fraction. */
#define SEGMENT_NTP_TO_UNIX_S INT64_C(2208988800)

/* A walk over a file's fragments, one read each. */
struct segment_walk {
	int fd;
	uint64_t size;    /* of the file */
	uint64_t room_at; /* where `free` or the closed file's mdat stands */
	bool is_mdat;     /* the latter */
	bool is_closed;   /* and the moov behind it is whole */
	uint64_t limit;   /* where fragments end at the latest */
	uint64_t at;      /* behind the last whole fragment, or the head */
	uint8_t *head;    /* the file's moov */
	size_t head_bytes;
	struct mp4_movie movie;
	uint32_t lead_id;  /* a track's */
	uint64_t clock_at; /* of prft */
	int64_t origin_us, boot_us;
	bool dated;
	char boot_id[SEGMENT_BOOT_ID_BYTES];
	/* the fragment at hand */
	uint64_t moof_at, bytes;
	uint8_t *moof;
	size_t moof_bytes, moof_size;
	struct mp4_fragment fragment;
	bool has_taken;   /* it is a time-lapse's, */
	int64_t taken_us; /* taken so long after origin_us */
};

/* Reads the head. Returns 0, or an error as segment_scan() has it; segment_walk_end() either way. */
int segment_walk_begin(struct segment_walk *walk, int fd) MUST_CHECK;
/*
 * Goes to the next fragment. Returns 1; 0 when no whole one follows; -EBADMSG when a whole one
 * follows that is not as nvrd writes them; or what pread() failed with.
 */
int segment_walk_next(struct segment_walk *walk) MUST_CHECK;
void segment_walk_end(struct segment_walk *walk);

/* --- the moov --- */

/* What a track's samples are, in the form of the boxes of stbl (ISO/IEC 14496-12 section 8.6, 8.7). */
struct segment_table {
	uint64_t start, time;     /* decode times of its first and last sample */
	int64_t shown, shown_end; /* when the first of them is shown, and the last one no more */
	uint32_t samples;
	uint32_t chunks, in_chunk; /* in_chunk: samples of the last chunk */
	uint64_t chunk_end;        /* where a sample would go on with it */
	uint32_t last_duration;    /* of the last sample by itself */
	uint32_t delta, deltas;    /* the run of stts at hand, and how many */
	int32_t composition;       /* the same of ctts */
	uint32_t compositions;
	uint32_t first_bytes;
	bool is_reordered; /* something has another composition than 0; and one below */
	bool is_negative;
	bool has_sizes, has_syncs; /* not all samples have the same size; not all are sync */
	struct box_writer stts, ctts, stss, stsz, stsc, stco;
	uint32_t stsc_entries, stsc_samples; /* and the samples per chunk of the last entry */
};
struct segment_tables {
	bool is_large; /* offsets are of 64 bits */
	bool is_odd;   /* something came that no table can say */
	uint32_t samples;
	unsigned n;
	struct segment_table tracks[MP4_TRACKS];
};

/* Adds the samples of the walk's fragment. Returns 0, or -EBADMSG, -EFBIG: they cannot be described. */
int segment_tables_add(struct segment_tables *tables, const struct segment_walk *walk) MUST_CHECK;
/* After the last one: ends runs and chunks. */
void segment_tables_finish(struct segment_tables *tables);
/* The length of a track in its timescale, without what is before its first sample. */
uint64_t segment_table_duration(const struct segment_table *table);
/* How long after the start of its decoding a track is first shown, if not before. */
uint64_t segment_table_lead(const struct segment_table *table);
/* Writes the boxes of stbl behind stsd. */
void segment_table_write(struct box_writer *w, const struct segment_table *table, bool is_large);
void segment_tables_fini(struct segment_tables *tables);
