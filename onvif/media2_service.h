#pragma once

#include <stdbool.h>

#include "onvif/onvif_call.h"

/* ONVIF Media2: the same as media_service.h for newer clients, with H.265 and AV1. */
void media2_write_capabilities(xmlNode *parent);

bool media2_get_profiles(struct onvif_call *call);
/* Get…Configurations and Get…ConfigurationOptions. */
bool media2_get_configurations(struct onvif_call *call);
bool media2_get_options(struct onvif_call *call);
bool media2_get_encoder_instances(struct onvif_call *call);
bool media2_get_stream_uri(struct onvif_call *call);
bool media2_get_snapshot_uri(struct onvif_call *call);
bool media2_set_synchronization_point(struct onvif_call *call);
