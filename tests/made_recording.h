#pragma once

#include <stdbool.h>

#include "server/media/stream.h"

/* Recordings of made-up media, in the store of the test that runs (tests/store.h). */

enum {
	PER_FRAGMENT = 12,
	GROUP = 2, /* fragments from keyframe to keyframe */
};
/* A sound's number is 15/8 of a frame's: 40 ms and 64/3 ms. */
#define SOUND_OF(frame) (((frame)*15 + 7) / 8)

struct made {
	const char *camera, *name;
	struct stream_track *tracks;
	unsigned first, fragments; /* the number of its first frame */
	bool reordered;            /* shown after 2, 3, 1, … frames */
	unsigned pictures;         /* per fragment; 0: PER_FRAGMENT */
	bool silent;
};
/* Makes a recording's file, closed, and its row. */
void make_recording(const struct made *made);
