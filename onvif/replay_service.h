#pragma once

#include <stdbool.h>

#include "onvif/onvif_call.h"

/* ONVIF Replay Control: where a recording is played from by RTSP (docs/RTSP.md). */
void replay_write_capabilities(xmlNode *parent);

bool replay_get_uri(struct onvif_call *call);
bool replay_get_configuration(struct onvif_call *call);
bool replay_set_configuration(struct onvif_call *call);
