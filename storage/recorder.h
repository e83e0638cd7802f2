#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/log.h"
#include "server/media/stream.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/*
 * Records one stream: appends its fragments to files through the volume, cuts at the first keyframe
 * after a wall-clock boundary and at every new run, and tells the catalogue.
 *
 * What the disk does not take at once waits in a queue (recorder_queue.h). When a file cannot be made or written that is
 * said once, and what it did not take is tried again each second, in another file from a keyframe on. What is missing in the end
 * is counted, and a row in the catalogue says from when to when and why.
 *
 * For events the same queue holds the last `pre_us`; nothing is written until recorder_trigger().
 */
struct recorder;

struct recorder_settings {
	int64_t segment_us; /* divides a day */
	bool events_only;
	int64_t pre_us, post_us; /* recorded before and after an event */
	bool first; /* of this process: the time since the camera's last recording is missing */
};

enum {
	RECORDER_BEAT_US = 1000000
};

struct recorder *recorder_new(struct stream *stream, const char *camera, struct volume *volume,
	struct catalogue *catalogue, const struct recorder_settings *settings,
	const struct log_name *parent) MUST_CHECK;
/* Other settings: of files from the next one on, of events at once. */
void recorder_apply(struct recorder *recorder, const struct recorder_settings *settings);
/* Something happened so long ago: with events_only it is recorded, or recorded for longer. */
void recorder_trigger(struct recorder *recorder, int64_t ago_us);

/* Ends the open segment; on_closed (may be NULL) comes when it is on disk. The recorder is gone after it. */
void recorder_stop(struct recorder *recorder, void (*on_closed)(void *arg), void *arg);

enum {
	RECORDER_PATH_BYTES = 160
};
/* The path of a segment: camera, and local time with its UTC offset: "recordings/porch/2026-11-20/14-30-00+0100.mp4". */
void recorder_path(char *ret, size_t size, const char *camera, int64_t start_us);
/* The next boundary after an instant: multiples of segment_us in local time of day. */
int64_t recorder_boundary(int64_t start_us, int64_t segment_us);
