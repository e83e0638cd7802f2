#pragma once

#include "onvif/camera_control.h"
#include "onvif/onvif_call.h"

/*
 * Answers a call with what a camera answers when it is asked (camera_control.h): by `take`, with nothing where that is NULL, or with the
 * camera's fault. The writer, with the question, is taken over. For handlers to return.
 */
bool pass_on(struct onvif_call *call, struct camera_control *control,
	const struct camera_order *order, struct soap_writer *writer,
	bool (*take)(struct onvif_call *call, const struct soap_message *answer));
