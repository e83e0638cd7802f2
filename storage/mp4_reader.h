#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/reader.h"

/*
 * Reads what is needed of MP4 files (ISO/IEC 14496-12): the walk over boxes, the tracks of a moov,
 * and the times of a moof. Pure; callers read the files. Fragmented files as nvrd writes them, and
 * hostile ones.
 */

enum {
	MP4_TRACKS = 4
};

/* A box's type as mp4_box has it. */
#define MP4_TYPE(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

struct mp4_box {
	uint32_t type;         /* big-endian fourcc */
	uint64_t bytes;        /* with its header; up to the end for size 0 when `to_end` */
	unsigned header_bytes; /* 8 or 16 */
	bool to_end;
};
/* Parses a box header at p (n >= 8 wanted, 16 for large ones). 1 with *ret, 0 for "more", -EBADMSG. */
int mp4_box_parse(struct mp4_box *ret, const uint8_t *p, size_t n, const char **why) MUST_CHECK;
/*
 * The type and content of the next box at *r, which moves behind it; false at the end. A box that
 * overruns *r is a failure of *r.
 */
bool mp4_box_next(struct reader *r, uint32_t *type, struct reader *content);

struct mp4_track {
	uint32_t id, timescale;
	uint32_t handler; /* 'vide', 'soun' */
	uint32_t codec;   /* sample entry fourcc: 'avc1', 'hvc1', 'mp4a' */
	const char *name; /* as codec_name() says it: "h264", "mjpeg", "aac"; "" when unknown */
	uint32_t width, height;
	int rotation; /* a player turns it clockwise by 0, 90, 180 or 270 degrees */
	uint32_t channels, sample_rate; /* sound */
	/* avcC, hvcC, av1C without their headers, or the AudioSpecificConfig; in what was parsed; NULL: none */
	const uint8_t *config;
	size_t config_bytes;
	uint32_t default_duration;
	char codec_string[48]; /* RFC 6381 or, where that has no name, the type; "" when unknown */
};
struct mp4_movie {
	unsigned n_tracks;
	struct mp4_track tracks[MP4_TRACKS];
	int64_t created_us; /* mvhd creation time as UTC us; 0 when unsaid */
};
/* Parses a whole moov box (with its header). */
int mp4_moov_parse(struct mp4_movie *ret, const uint8_t *p, size_t n, const char **why) MUST_CHECK;

struct mp4_fragment {
	uint32_t sequence;
	uint64_t data_bytes; /* sum of sample sizes */
	uint64_t samples;    /* of all tracks */
	int64_t data_at,
		data_to; /* where the first sample starts and the last one ends, from the moof on */
	bool is_relative; /* offsets count from the moof (default-base-is-moof) */
	unsigned n_tracks;
	struct {
		uint32_t id;
		uint64_t decode_time, duration; /* in the track's timescale */
		uint32_t samples;
		bool keyframe; /* the first sample is a sync sample */
	} tracks[MP4_TRACKS];
};
/* Parses a whole moof box (with its header). */
int mp4_moof_parse(struct mp4_fragment *ret, const uint8_t *p, size_t n,
	const struct mp4_movie *movie, const char **why) MUST_CHECK;

struct mp4_sample {
	int64_t offset; /* from the moof on */
	uint32_t bytes;
	uint64_t decode_time;
	uint32_t duration;
	int32_t composition; /* what is added to the decode time when it is shown */
	bool sync;
};
/*
 * Gives each sample of a whole moof in the order of its trafs; `traf` is its index in mp4_fragment's
 * tracks. Refuses what mp4_moof_parse() refuses, maybe after some samples.
 */
typedef void mp4_sample_fn(void *arg, unsigned traf, const struct mp4_sample *sample);
int mp4_moof_samples(const uint8_t *p, size_t n, const struct mp4_movie *movie,
	mp4_sample_fn *on_sample, void *arg, const char **why) MUST_CHECK;
