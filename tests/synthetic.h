#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/media/stream.h"
#include "storage/fragment.h"

/* Made-up media for tests of storage, and waiting on the reactor for something to become true. */

enum {
	SYNTHETIC_FRAME_90K = 3600, /* 25 pictures a second */
	SYNTHETIC_AUDIO = 1024      /* samples, at 48 kHz */
};

/* An instant on which everything starts: 2026-11-20 14:30:00 UTC. */
#define SYNTHETIC_START_US INT64_C(1795185000000000)

/* H.264 at 640x360, and AAC; valid until synthetic_tracks_free(). */
void synthetic_tracks(struct stream_track tracks[2]);
void synthetic_tracks_free(struct stream_track tracks[2]);

/* The i-th picture or sound after the start; `bytes` of data that say which it is. The caller frees it. */
AVPacket *synthetic_video(unsigned i, bool key, size_t bytes);
AVPacket *synthetic_audio(unsigned i, size_t bytes);

/* A fragment of n pictures from the i-th on, the first one a key picture. */
struct fragment *synthetic_fragment(
	struct fragment_init *init, unsigned i, unsigned n, size_t bytes);

/* Turns the reactor's loop until `*flag` is set; fails the test after ten seconds. */
void reactor_wait(const bool *flag);

/* A new folder under $TMPDIR or /tmp; removed with all in it by synthetic_folder_remove(). */
char *synthetic_folder(void);
void synthetic_folder_remove(char *folder);
