#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/log.h"
#include "server/media/stream.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/*
 * Records one stream: appends its fragments to files through the volume, cuts at the first keyframe
 * after a wall-clock boundary and at every new run, and tells the catalogue. When a file cannot be opened or
 * written it says so once, counts, and tries anew with a new file at the next keyframe (not more often than each second).
 */
struct recorder;

struct recorder *recorder_new(struct stream *stream, const char *camera, struct volume *volume,
	struct catalogue *catalogue, int64_t segment_us, const struct log_name *parent) MUST_CHECK;

/* Ends the open segment; on_closed (may be NULL) comes when it is on disk. The recorder is gone after it. */
void recorder_stop(struct recorder *recorder, void (*on_closed)(void *arg), void *arg);

enum {
	RECORDER_PATH_BYTES = 160
};
/* The path of a segment: camera, and local time with its UTC offset: "recordings/porch/2026-11-20/14-30-00+0100.mp4". */
void recorder_path(char *ret, size_t size, const char *camera, int64_t start_us);
/* The next boundary after an instant: multiples of segment_us in local time of day. */
int64_t recorder_boundary(int64_t start_us, int64_t segment_us);
