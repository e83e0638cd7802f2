#pragma once

#include <stdint.h>

#include <libavutil/frame.h>

/* What the files of the test camera share: the picture, drawn into a yuv420p frame. */

enum {
	TEST_WIDTH = 640,
	TEST_HEIGHT = 360
};

/* Draws what never changes, once. */
void test_picture_prepare(AVFrame *frame);
/* Draws the wall clock of the instant, the counter and the box over those of the beat before. */
void test_picture_draw(AVFrame *frame, int64_t beat, int64_t utc_us);
