#pragma once

#include <stdbool.h>

#include "onvif/onvif_call.h"

/*
 * ONVIF Recording Control: a recording for each camera, with the camera's name as token, tracks "video" and "audio", and a job
 * that records into it. What is recorded is said by the configuration, and not changed by it.
 */
void recording_write_capabilities(xmlNode *parent);

bool recording_get_recordings(struct onvif_call *call);
bool recording_get_configuration(struct onvif_call *call);
bool recording_get_track_configuration(struct onvif_call *call);
bool recording_get_jobs(struct onvif_call *call);
bool recording_get_job_configuration(struct onvif_call *call);
bool recording_get_job_state(struct onvif_call *call);
bool recording_get_options(struct onvif_call *call);

#define RECORDING_VIDEO "video"
#define RECORDING_AUDIO "audio"
/* tt:RecordingSourceInformation, as a child named Source. */
void recording_write_source(
	const struct onvif_call *call, xmlNode *parent, const char *space, const char *camera);
/* Whether it is being recorded now, as far as the configuration and the stream say. */
bool recording_is_active(const struct config_camera *camera);
