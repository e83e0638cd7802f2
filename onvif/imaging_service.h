#pragma once

#include <stdbool.h>

#include "onvif/onvif_call.h"

/*
 * ONVIF's imaging service: the video source of each camera that has an imaging service of its own can have its picture and its focus
 * set. That is passed on to the camera (camera_control.h), whose answer, or fault, is ours.
 */
void imaging_write_capabilities(xmlNode *parent);

/* All that the camera is asked. */
bool imaging_pass_on(struct onvif_call *call);
