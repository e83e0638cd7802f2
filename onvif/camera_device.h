#pragma once

#include <stdbool.h>

#include "onvif/camera_answer.h"
#include "onvif/camera_caller.h"
#include "server/base/attributes.h"
#include "server/media/source.h"

/*
 * What an ONVIF camera is asked before anything else: its clock, its services and, for a stream or to control it, its profiles and
 * where the wanted one is. Media2 comes before Media.
 */
struct camera_device;

enum camera_wish {
	CAMERA_MAIN,
	CAMERA_SUB, /* the smaller stream beside it */
	CAMERA_EVENTS,
	CAMERA_CONTROL /* what moves it, and sets its picture */
};

struct camera_found {
	char uri[CAMERA_PATH_BYTES];    /* of the stream, as the camera says it */
	bool has_sub;                   /* there is a smaller one */
	char events[CAMERA_PATH_BYTES]; /* the path of the event service */
	char ptz[CAMERA_PATH_BYTES];    /* of the PTZ service; "": it cannot be moved */
	char profile[CAMERA_TOKEN_BYTES], node[CAMERA_TOKEN_BYTES]; /* by which it is moved */
	char imaging[CAMERA_PATH_BYTES]; /* of the imaging service; "": its picture cannot be set */
	char source[CAMERA_TOKEN_BYTES]; /* the video source of that picture */
};

/* SOURCE_STOPPED: with what was found; else why not, and `found` is NULL. All is valid during the call. */
typedef void camera_device_fn(
	void *arg, enum source_end end, const char *detail, const struct camera_found *found);

/* Asks at once; the caller, whose clock it sets, outlives it. */
struct camera_device *camera_device_new(struct camera_caller *caller, enum camera_wish wish,
	camera_device_fn *done, void *arg) MUST_CHECK;
/* Fine inside the callback; NULL is fine. The caller's question under way is to be forgotten by whoever owns it. */
void camera_device_free(struct camera_device *device);
