#pragma once

#include "server/base/attributes.h"
#include "server/media/source.h"

/*
 * The camera behind `source: "test:"`: a moving picture with a wall clock and a frame counter,
 * H.264 at 640x360 and 15 frames a second, and a tone in AAC, made by libavcodec in a worker.
 */
struct test_source;

struct test_source *test_source_new(const struct source_order *order) MUST_CHECK;
void test_source_free(struct test_source *source); /* NULL is fine; on_end is not called */
