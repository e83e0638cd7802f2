#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libavutil/rational.h>

#include "storage/segment.h"
#include "tests/synthetic.h"

/* Recording files that are made of scripts, and what libavformat and scan read from them. */

enum {
	FRAGMENTS_MOST = 16,
	PACKETS_MOST = 1024
};

extern struct stream_track tracks[2];

/* Of a group of tests. */
int set_up(void **state);
int tear_down(void **state);

/* --- making --- */

struct script {
	const char *name;
	unsigned fragments, pictures, sounds; /* so many in each */
	bool video, audio;                    /* tracks of the stream */
	bool is_law;                          /* the sound is u-law */
	int reorder;                          /* pts = dts + (0, 2, 1) frames + this many */
	bool reordered, all_key, same_bytes, uneven, is_cut_blind;
	int64_t start_us;                  /* after SYNTHETIC_START_US */
	int64_t sound_later;               /* ticks of the sound's clock */
	unsigned gap_before, gap_pictures; /* in front of that fragment */
	unsigned gap_sounds;
};

extern const struct script scripts[];
extern const size_t n_scripts;

struct built {
	struct box_writer w;
	size_t head_bytes;
	int64_t origin_us;
	char codecs[96];
	size_t n;
	struct catalogue_fragment fragments[FRAGMENTS_MOST]; /* as the recorder says them */
};

/* The i-th packet of a fragment; the caller frees it. */
AVPacket *script_packet(const struct script *s, unsigned track, unsigned fragment, unsigned i);
/* An open recording, in memory; the caller frees w.p. */
struct built build(const struct script *s);
void build_append(struct built *b, const struct fragment *fragment);

/* A file in memory. */
int file_of(const void *p, size_t n);
uint64_t size_of(int fd);
int copy_of(int fd);
/* Closes the recording in it. */
void close_file(int fd);

/* --- reading --- */

struct seen {
	struct {
		int64_t pts, dts, position;
		int bytes, flags;
		uint32_t sum;
	} packets[PACKETS_MOST];
	size_t n;
	int64_t start, duration;
	AVRational time_base;
};
struct reading {
	unsigned n;
	struct seen streams[2];
	char title[32], created[32];
};

/* What libavformat complained of first. */
extern char complaint[256];
/* By libavformat. The caller frees it. */
struct reading *read_file(int fd);
void check_same(const char *name, const struct reading *a, const struct reading *b);
/* What scan reads is the first n fragments of what was built. */
void check_scan(const char *name, int fd, const struct built *b, size_t n, bool closed);
