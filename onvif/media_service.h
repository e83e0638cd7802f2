#pragma once

#include <stdbool.h>

#include "onvif/onvif_call.h"

/*
 * ONVIF Media (version 1): each camera as a video source with a profile for its stream, and one for its substream. What cameras
 * are set to is not changed by it.
 */
void media_write_capabilities(xmlNode *parent);

bool media_get_profiles(struct onvif_call *call);
bool media_get_profile(struct onvif_call *call);
bool media_get_video_sources(struct onvif_call *call);
bool media_get_audio_sources(struct onvif_call *call);
/* Get…Configurations and GetCompatible…Configurations; Get…Configuration; Get…ConfigurationOptions. */
bool media_get_configurations(struct onvif_call *call);
bool media_get_configuration(struct onvif_call *call);
bool media_get_options(struct onvif_call *call);
bool media_get_encoder_instances(struct onvif_call *call);
bool media_get_stream_uri(struct onvif_call *call);
bool media_get_snapshot_uri(struct onvif_call *call);
bool media_set_synchronization_point(struct onvif_call *call);
