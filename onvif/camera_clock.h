#pragma once

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "server/base/log.h"

/*
 * Sets an ONVIF camera's clock by ours where it is more than two seconds off (Core Specification, SetSystemDateAndTime, which takes an
 * administrator of the camera): whenever it is told that the camera is there, a minute after the begin, and a day after it
 * last looked. Ours has to be set itself (server/base/wall_clock.h). What comes of it is logged.
 */
struct camera_clock;

/* `url` as of camera_caller_new(). All that is given outlives it. */
struct camera_clock *camera_clock_new(
	const char *url, const struct config_camera *config, const struct log_name *log) MUST_CHECK;
void camera_clock_look(struct camera_clock *clock); /* NULL is fine */
void camera_clock_free(struct camera_clock *clock); /* NULL is fine */
