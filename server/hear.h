#pragma once

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "server/base/log.h"

/*
 * Hears what happens at a camera by ONVIF: one subscription at a time, made again when it ends, after waits as those of a pull. Sets its clock, too, where that
 * is wanted.
 */
struct hear;

/* The URL to hear of the camera's events, and to move it, or NULL: `onvif`, or the source when that is ONVIF. */
const char *hear_url(const struct config_camera *config);

/* Starts at once; hear_url() is not NULL. The configuration is copied; `log` outlives it. */
struct hear *hear_new(const struct config_camera *config, const struct log_name *log) MUST_CHECK;
/* Says farewell to the camera, which takes two seconds at most; on_stopped comes later than this, and it is gone then. */
void hear_stop(struct hear *hear, void (*on_stopped)(void *arg), void *arg);
