#include "onvif/recording_service.h"

#include <string.h>

#include "onvif/media_profile.h"
#include "server/media/stream.h"

#define TRC SOAP_RECORDING_SPACE
#define TT SOAP_SCHEMA_SPACE

void recording_write_capabilities(xmlNode *parent)
{
	xmlNode *node = soap_add(parent, TRC, "Capabilities");

	soap_set_bool(node, "DynamicRecordings", false);
	soap_set_bool(node, "DynamicTracks", false);
	soap_set(node, "Encoding", "H264 H265 AV1 JPEG G711 AAC");
	soap_set_integer(node, "MaxRecordingJobs", 1); /* of a recording */
	soap_set_bool(node, "Options", true);
	soap_set_bool(node, "MetadataRecording", false);
}

bool recording_is_active(const struct config_camera *camera)
{
	const struct stream *stream = stream_find(camera->name);

	return camera->recording.record != RECORD_OFF && stream && stream_is_up(stream);
}

void recording_write_source(
	const struct onvif_call *call, xmlNode *parent, const char *space, const char *camera)
{
	xmlNode *source = soap_add(parent, space, "Source");

	soap_add_format(source, TT, "SourceId", "%s/live/%s/", call->base, camera);
	soap_add_text(source, TT, "Name", camera);
	soap_add_text(source, TT, "Location", "");
	soap_add_text(source, TT, "Description", "");
	soap_add_format(source, TT, "Address", "%s/live/%s/", call->base, camera);
}

static int64_t find_keep_us(const struct config_camera *camera)
{
	int64_t keep_us =
		camera->keep_us ? camera->keep_us : onvif_setup()->config->storage.keep_us;

	return keep_us == CONFIG_KEEP_FOREVER ? 0 : keep_us; /* 0: no limit of time */
}

static void write_configuration(const struct onvif_call *call, xmlNode *parent, const char *space,
	const char *name, const struct config_camera *camera)
{
	xmlNode *node = soap_add(parent, space, name);

	recording_write_source(call, node, TT, camera->name);
	soap_add_text(node, TT, "Content", camera->name);
	soap_add_duration(node, TT, "MaximumRetentionTime", find_keep_us(camera));
}

static void write_track_configuration(
	xmlNode *parent, const char *space, const char *name, bool is_video)
{
	xmlNode *node = soap_add(parent, space, name);

	soap_add_text(node, TT, "TrackType", is_video ? "Video" : "Audio");
	soap_add_text(node, TT, "Description", is_video ? RECORDING_VIDEO : RECORDING_AUDIO);
}

static void write_track(xmlNode *parent, bool is_video)
{
	xmlNode *node = soap_add(parent, TT, "Track");

	soap_add_text(node, TT, "TrackToken", is_video ? RECORDING_VIDEO : RECORDING_AUDIO);
	write_track_configuration(node, TT, "Configuration", is_video);
}

/* Of a camera whose stream nobody has seen yet, pictures are known alone. */
static bool has_track(const struct media_profile *profile, bool is_video)
{
	return (is_video ? profile->video : profile->audio) != AV_CODEC_ID_NONE;
}

bool recording_get_recordings(struct onvif_call *call)
{
	struct media_profile profile = { 0 };

	while (media_profile_next_camera(call, &profile)) {
		xmlNode *item = soap_add(call->answer, TRC, "RecordingItem"), *tracks;

		soap_add_text(item, TT, "RecordingToken", profile.camera->name);
		write_configuration(call, item, TT, "Configuration", profile.camera);
		tracks = soap_add(item, TT, "Tracks");
		if (has_track(&profile, true))
			write_track(tracks, true);
		if (has_track(&profile, false))
			write_track(tracks, false);
	}
	return true;
}

/* The one that an element of the request names. */
static const struct config_camera *find_named(const struct onvif_call *call, const char *element)
{
	char token[ONVIF_TOKEN_BYTES];

	return onvif_call_text(call, element, token, sizeof(token)) ? onvif_camera_find(call, token)
								    : NULL;
}

bool recording_get_configuration(struct onvif_call *call)
{
	const struct config_camera *camera = find_named(call, "RecordingToken");

	if (!camera)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_RECORDING);
	write_configuration(call, call->answer, TRC, "RecordingConfiguration", camera);
	return true;
}

bool recording_get_track_configuration(struct onvif_call *call)
{
	struct media_profile profile;
	char recording[ONVIF_TOKEN_BYTES], track[ONVIF_TOKEN_BYTES];
	bool is_video;

	if (!onvif_call_text(call, "RecordingToken", recording, sizeof(recording)) ||
		!media_profile_find_camera(call, recording, &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_RECORDING);
	(void)onvif_call_text(call, "TrackToken", track, sizeof(track));
	is_video = strcmp(track, RECORDING_VIDEO) == 0;
	if ((!is_video && strcmp(track, RECORDING_AUDIO) != 0) || !has_track(&profile, is_video))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_TRACK);
	write_track_configuration(call->answer, TRC, "TrackConfiguration", is_video);
	return true;
}

bool recording_get_options(struct onvif_call *call)
{
	const struct config_camera *camera = find_named(call, "RecordingToken");
	xmlNode *options, *node;

	if (!camera)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_RECORDING);
	options = soap_add(call->answer, TRC, "Options");
	node = soap_add(options, TRC, "Job");
	soap_set_integer(node, "Spare", 0);
	soap_set(node, "CompatibleSources", camera->name);
	node = soap_add(options, TRC, "Track");
	soap_set_integer(node, "SpareTotal", 0);
	return true;
}

/* --- jobs --- */

static void write_job_token(xmlNode *source, const char *camera)
{
	xmlNode *token = soap_add(source, TT, "SourceToken");

	soap_set(token, "Type", "http://www.onvif.org/ver10/schema/Profile");
	soap_add_text(token, TT, "Token", camera);
}

static void write_job_track(xmlNode *parent, const char *name, bool is_video)
{
	xmlNode *track = soap_add(parent, TT, name);

	soap_add_text(track, TT, "SourceTag", is_video ? RECORDING_VIDEO : RECORDING_AUDIO);
	soap_add_text(track, TT, "Destination", is_video ? RECORDING_VIDEO : RECORDING_AUDIO);
}

static void write_job(xmlNode *parent, const char *space, const struct config_camera *camera)
{
	xmlNode *node = soap_add(parent, space, "JobConfiguration"), *source;

	soap_add_text(node, TT, "RecordingToken", camera->name);
	soap_add_text(node, TT, "Mode", camera->recording.record == RECORD_OFF ? "Idle" : "Active");
	soap_add_integer(node, TT, "Priority", 1);
	source = soap_add(node, TT, "Source");
	write_job_token(source, camera->name);
	write_job_track(source, "Tracks", true);
	write_job_track(source, "Tracks", false);
}

bool recording_get_jobs(struct onvif_call *call)
{
	const struct config_camera *camera = NULL;

	while ((camera = onvif_camera_next(call, camera))) {
		xmlNode *item = soap_add(call->answer, TRC, "JobItem");

		soap_add_text(item, TT, "JobToken", camera->name);
		write_job(item, TT, camera);
	}
	return true;
}

bool recording_get_job_configuration(struct onvif_call *call)
{
	const struct config_camera *camera = find_named(call, "JobToken");

	if (!camera)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_JOB);
	write_job(call->answer, TRC, camera);
	return true;
}

bool recording_get_job_state(struct onvif_call *call)
{
	const struct config_camera *camera = find_named(call, "JobToken");
	xmlNode *state, *source, *tracks;
	const char *word;

	if (!camera)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_JOB);
	word = recording_is_active(camera) ? "Active" : "Idle";
	state = soap_add(call->answer, TRC, "State");
	soap_add_text(state, TT, "RecordingToken", camera->name);
	soap_add_text(state, TT, "State", word);
	source = soap_add(state, TT, "Sources");
	write_job_token(source, camera->name);
	soap_add_text(source, TT, "State", word);
	tracks = soap_add(source, TT, "Tracks");
	write_job_track(tracks, "Track", true);
	soap_add_text(tracks->last, TT, "State", word);
	return true;
}
