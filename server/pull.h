#pragma once

#include <stdbool.h>

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "server/base/log.h"
#include "server/media/stream.h"

/*
 * Pulls one stream of a camera: picks its source by the URL's scheme, one attempt at a time, starts
 * it again when it ends, and remembers what worked. Waits grow from 1 s to 60 s, to minutes after a
 * refused password, and begin anew after a minute of good media.
 */
struct pull;

/*
 * `name` is the stream's ("porch", "porch/sub"), which labels logs and metrics. All that is given
 * outlives the pull. It is off at first.
 */
struct pull *pull_new(const char *name, const char *url, const struct config_camera *config,
	struct stream *stream, const struct log_name *log) MUST_CHECK;
void pull_free(struct pull *pull); /* stops it; NULL is fine */

/* Whenever the camera turns out to have a smaller stream by the same URL (onvif://). */
void pull_tell_substream(struct pull *pull, void (*on_substream)(void *arg), void *arg);

/* Starts, or stops at once; nothing happens when it is so already. */
void pull_start(struct pull *pull);
void pull_stop(struct pull *pull);
