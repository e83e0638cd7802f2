#pragma once

#include <stdint.h>

#include "onvif/camera_answer.h"
#include "onvif/camera_caller.h"
#include "server/base/attributes.h"
#include "server/base/config.h"
#include "server/base/log.h"

/*
 * Moves one camera by ONVIF's PTZ service, and sets its picture by the imaging service. It is looked up again and again until it is known
 * whether it has them; then it is asked one thing at a time. A continuous move that nobody renews is stopped by us, also when nvrd lets
 * go of the camera.
 */
struct camera_control;

enum {
	CAMERA_QUEUE =
		16 /* commands that wait, and stops as many again; what is more is refused, and counted */
};
#define CAMERA_MOVE_US \
	INT64_C(10000000) /* the longest that a continuous move lasts unless it is renewed */
#define CAMERA_COMMAND_US INT64_C(10000000) /* until a command is answered */

/* Begins at once. The configuration is copied; `url` is as of camera_caller_new(), `log` outlives it. NULL when the URL makes no sense. */
struct camera_control *camera_control_new(
	const struct config_camera *config, const char *url, const struct log_name *log) MUST_CHECK;
/* Stops the camera if it moves, which takes two seconds at most; on_stopped comes later than this, and it is gone then. */
void camera_control_stop(struct camera_control *control, void (*on_stopped)(void *arg), void *arg);

enum camera_service {
	CAMERA_PTZ,
	CAMERA_IMAGING
};
/* The one of a camera that has the service; NULL: it has not, or it is not known yet. */
struct camera_control *camera_control_find(const char *camera, enum camera_service service);
/* How it can be moved. */
const struct camera_node *camera_control_node(const struct camera_control *control);
/* The camera's own tokens of the profile and of the video source, for what it is asked by PTZ and by imaging. */
const char *camera_control_profile(const struct camera_control *control);
const char *camera_control_source(const struct camera_control *control);

enum camera_order_kind {
	CAMERA_ASKS,  /* does not move it by PTZ */
	CAMERA_MOVES, /* takes the place of moves that wait, of the same axes */
	CAMERA_STOPS  /* likewise of any of its axes, and goes before all that waits */
};
struct camera_order {
	enum camera_service service;
	enum camera_order_kind kind;
	const char *action; /* of SOAP, static */
	/* The axes (PTZ_PAN_TILT, …) that move on until they are stopped, or so long; and those of which that ends. */
	unsigned begins, ends;
	int64_t lasts_us; /* CAMERA_MOVE_US at most */
};
struct camera_command;

/*
 * Asks what the writer holds, which it takes over. `done` is called once, later than this, within CAMERA_COMMAND_US, and the command is
 * gone then; a move that another has replaced is answered with SOURCE_STOPPED without an answer. NULL: too many wait.
 */
struct camera_command *camera_control_ask(struct camera_control *control,
	const struct camera_order *order, struct soap_writer *writer, camera_reply_fn *done,
	void *arg) MUST_CHECK;
/* Nobody waits for the answer any more: `done` is not called. */
void camera_command_forget(struct camera_command *command);
