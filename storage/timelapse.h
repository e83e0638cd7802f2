#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/log.h"
#include "server/media/stream.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/*
 * Makes a time-lapse of one stream: of each local day a file of keyframes, as they came, each shown for 1/fps.
 * It is another reader of the stream, whether that is recorded or not.
 *
 * One picture is one fragment and one write, so that a crash costs at most the last one. A file is never opened
 * again: after a restart, with other parameters of the video, or when the clock was set, another one
 * follows, `timelapse_2.mp4`. When a file cannot be written that is said, and the next picture begins another
 * one. At most one picture of each camera waits for the disk; what comes meanwhile is left out and counted.
 */
struct timelapse;

struct timelapse_settings {
	int64_t every_us; /* the first keyframe that is so much after the last one taken */
	int fps;          /* divides 90000 */
};

struct timelapse *timelapse_new(struct stream *stream, const char *camera, struct volume *volume,
	struct catalogue *catalogue, const struct timelapse_settings *settings,
	const struct log_name *parent) MUST_CHECK;
/* Other settings; another fps begins another file. */
void timelapse_apply(struct timelapse *timelapse, const struct timelapse_settings *settings);

/* Ends the open file; on_closed comes when it is on disk. The time-lapse is gone after it. */
void timelapse_stop(struct timelapse *timelapse, void (*on_closed)(void *arg), void *arg);

/* The path of the time-lapse that an instant belongs to: "recordings/porch/2026-11-20/timelapse.mp4". */
void timelapse_path(char *ret, size_t size, const char *camera, int64_t at_us);
