#pragma once

#include <stdbool.h>

#include "onvif/media_profile.h"
#include "onvif/onvif_call.h"

/*
 * ONVIF's PTZ service: each camera that can be moved by ONVIF is a node with a configuration, both with the camera's name. What moves
 * it is passed on to the camera (camera_control.h), whose answer, or fault, is ours.
 */
void ptz_write_capabilities(xmlNode *parent);
/* Of a media profile. */
bool ptz_has(const struct media_profile *profile);
void ptz_write_configuration(
	xmlNode *parent, const char *space, const char *name, const struct media_profile *profile);

bool ptz_get_nodes(struct onvif_call *call);
bool ptz_get_node(struct onvif_call *call);
bool ptz_get_configurations(struct onvif_call *call);
bool ptz_get_configuration(struct onvif_call *call);
bool ptz_get_options(struct onvif_call *call);
bool ptz_get_compatible(struct onvif_call *call);
/* All that the camera is asked: moves, presets, the home position, the status. */
bool ptz_pass_on(struct onvif_call *call);
