#include "onvif/media_service.h"

#include <stdio.h>
#include <string.h>

#include "onvif/media_profile.h"
#include "onvif/ptz_service.h"

#define TRT SOAP_MEDIA_SPACE
#define TT SOAP_SCHEMA_SPACE
#define PROFILES_MOST 2048 /* two of each camera */
#define SESSION_TIMEOUT_US (INT64_C(60) * 1000000)

void media_write_capabilities(xmlNode *parent)
{
	xmlNode *node = soap_add(parent, TRT, "Capabilities");

	soap_set_bool(node, "SnapshotUri", true);
	soap_set_integer(soap_add(node, TRT, "ProfileCapabilities"), "MaximumNumberOfProfiles",
		PROFILES_MOST);
	node = soap_add(node, TRT, "StreamingCapabilities");
	soap_set_bool(node, "RTP_TCP", true);
	soap_set_bool(node, "RTP_RTSP_TCP", true);
}

/* --- configurations --- */

/* H.265 and others that Media has no name for are in Media2 alone. */
static bool has_video_encoder(const struct media_profile *profile)
{
	return media_video_name(profile) != NULL;
}

static bool has_audio(const struct media_profile *profile)
{
	return profile->audio != AV_CODEC_ID_NONE;
}

static bool has_audio_encoder(const struct media_profile *profile)
{
	return media_audio_name(profile) != NULL;
}

static bool has_video_source(const struct media_profile *profile)
{
	(void)profile;
	return true;
}

static void write_video_encoder(
	xmlNode *parent, const char *space, const char *name, const struct media_profile *profile)
{
	xmlNode *node = soap_add(parent, space, name), *h264;

	media_write_entity(node, profile->token, profile->token);
	soap_add_text(node, TT, "Encoding", media_video_name(profile));
	media_write_size(node, "Resolution", profile);
	soap_add_integer(node, TT, "Quality", 1);
	if (profile->video == AV_CODEC_ID_H264) {
		h264 = soap_add(node, TT, "H264");
		soap_add_integer(h264, TT, "GovLength", 0); /* the camera's business */
		soap_add_text(h264, TT, "H264Profile", profile->h264_profile);
	}
	media_write_multicast(node);
	soap_add_duration(node, TT, "SessionTimeout", SESSION_TIMEOUT_US);
}

static void write_audio_encoder(
	xmlNode *parent, const char *space, const char *name, const struct media_profile *profile)
{
	xmlNode *node = soap_add(parent, space, name);

	media_write_entity(node, profile->token, profile->token);
	soap_add_text(node, TT, "Encoding", media_audio_name(profile));
	soap_add_integer(node, TT, "Bitrate", profile->audio_bps / 1000);
	soap_add_integer(node, TT, "SampleRate", profile->rate_hz / 1000);
	media_write_multicast(node);
	soap_add_duration(node, TT, "SessionTimeout", SESSION_TIMEOUT_US);
}

static void write_video_encoder_options(
	xmlNode *parent, const char *space, const struct media_profile *profile)
{
	xmlNode *options = soap_add(parent, space, "Options"), *codec;
	bool is_h264 = profile->video == AV_CODEC_ID_H264;

	media_write_range(options, "QualityRange", 1, 1);
	if (!has_video_encoder(profile))
		return;
	codec = soap_add(options, TT, is_h264 ? "H264" : "JPEG");
	media_write_size(codec, "ResolutionsAvailable", profile);
	if (is_h264)
		media_write_range(codec, "GovLengthRange", 0, 0);
	media_write_range(codec, "FrameRateRange", 1, 60);
	media_write_range(codec, "EncodingIntervalRange", 1, 1);
	if (is_h264)
		soap_add_text(codec, TT, "H264ProfilesSupported", profile->h264_profile);
}

static void write_audio_encoder_options(
	xmlNode *parent, const char *space, const struct media_profile *profile)
{
	xmlNode *options = soap_add(parent, space, "Options"), *list;

	if (!has_audio_encoder(profile))
		return;
	options = soap_add(options, TT, "Options");
	soap_add_text(options, TT, "Encoding", media_audio_name(profile));
	list = soap_add(options, TT, "BitrateList");
	soap_add_integer(list, TT, "Items", profile->audio_bps / 1000);
	list = soap_add(options, TT, "SampleRateList");
	soap_add_integer(list, TT, "Items", profile->rate_hz / 1000);
}

/* The kinds of configurations, in the order in which a profile has them. */
static const struct kind {
	const char *name;
	bool is_of_camera; /* its main and its substream share it */
	bool (*has)(const struct media_profile *profile);
	void (*write)(xmlNode *parent, const char *space, const char *name,
		const struct media_profile *profile);
	void (*write_options)(
		xmlNode *parent, const char *space, const struct media_profile *profile);
} kinds[] = {
	{"VideoSource",   true,  has_video_source,  media_write_video_source_configuration,
         media_write_video_source_options						       },
	{ "AudioSource",  true,  has_audio,         media_write_audio_source_configuration,
         media_write_audio_source_options						       },
	{ "VideoEncoder", false, has_video_encoder, write_video_encoder,
         write_video_encoder_options							    },
	{ "AudioEncoder", false, has_audio_encoder, write_audio_encoder,
         write_audio_encoder_options							    },
	{ "PTZ",          true,  ptz_has,           ptz_write_configuration,                NULL},
};

/* The kind that an operation's name speaks of. */
static const struct kind *kind_of(const struct onvif_call *call)
{
	size_t i = 0;

	while (!strstr(call->in.name, kinds[i].name))
		i++;
	return &kinds[i];
}

static bool kind_find(const struct kind *kind, const struct onvif_call *call, const char *token,
	struct media_profile *profile)
{
	return kind->is_of_camera ? media_profile_find_camera(call, token, profile)
				  : media_profile_find(call, token, profile);
}

/* All of a kind, or those that may be put into the profile: its own. */
bool media_get_configurations(struct onvif_call *call)
{
	const struct kind *kind = kind_of(call);
	struct media_profile profile = { 0 };
	char token[ONVIF_TOKEN_BYTES];

	if (strncmp(call->in.name, "GetCompatible", strlen("GetCompatible")) == 0) {
		if (!onvif_call_text(call, "ProfileToken", token, sizeof(token)) ||
			!media_profile_find(call, token, &profile))
			return onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
		if (kind->has(&profile))
			kind->write(call->answer, TRT, "Configurations", &profile);
		return true;
	}
	while (kind->is_of_camera ? media_profile_next_camera(call, &profile)
				  : media_profile_next(call, &profile)) {
		if (kind->has(&profile))
			kind->write(call->answer, TRT, "Configurations", &profile);
	}
	return true;
}

bool media_get_configuration(struct onvif_call *call)
{
	const struct kind *kind = kind_of(call);
	struct media_profile profile;
	char token[ONVIF_TOKEN_BYTES];

	if (!onvif_call_text(call, "ConfigurationToken", token, sizeof(token)) ||
		!kind_find(kind, call, token, &profile) || !kind->has(&profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_CONFIGURATION);
	kind->write(call->answer, TRT, "Configuration", &profile);
	return true;
}

/* Of a configuration, of a profile's, or of any. */
bool media_get_options(struct onvif_call *call)
{
	const struct kind *kind = kind_of(call);
	struct media_profile profile = { 0 };
	char token[ONVIF_TOKEN_BYTES];

	if (onvif_call_text(call, "ConfigurationToken", token, sizeof(token))) {
		if (!kind_find(kind, call, token, &profile))
			return onvif_call_refuse(call, ONVIF_FAULT_NO_CONFIGURATION);
	} else if (onvif_call_text(call, "ProfileToken", token, sizeof(token))) {
		if (!media_profile_find(call, token, &profile))
			return onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
	} else if (!media_profile_next(call, &profile)) {
		return onvif_call_refuse(call, ONVIF_FAULT_NO_CONFIGURATION);
	}
	kind->write_options(call->answer, TRT, &profile);
	return true;
}

bool media_get_encoder_instances(struct onvif_call *call)
{
	struct media_profile profile;
	char token[ONVIF_TOKEN_BYTES];

	if (!onvif_call_text(call, "ConfigurationToken", token, sizeof(token)) ||
		!media_profile_find_camera(call, token, &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_CONFIGURATION);
	soap_add_integer(call->answer, TRT, "TotalNumber", profile.camera->substream ? 2 : 1);
	return true;
}

/* --- profiles --- */

static void write_profile(xmlNode *parent, const char *name, const struct media_profile *profile)
{
	xmlNode *node = soap_add(parent, TRT, name);
	char element[64];

	soap_set(node, "token", profile->token);
	soap_set_bool(node, "fixed", true);
	soap_add_text(node, TT, "Name", profile->token);
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		snprintf(element, sizeof(element), "%sConfiguration", kinds[i].name);
		if (kinds[i].has(profile))
			kinds[i].write(node, TT, element, profile);
	}
}

bool media_get_profiles(struct onvif_call *call)
{
	struct media_profile profile = { 0 };

	while (media_profile_next(call, &profile))
		write_profile(call->answer, "Profiles", &profile);
	return true;
}

bool media_get_profile(struct onvif_call *call)
{
	struct media_profile profile;

	if (!media_profile_asked(call, &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
	write_profile(call->answer, "Profile", &profile);
	return true;
}

/* --- sources --- */

bool media_get_video_sources(struct onvif_call *call)
{
	struct media_profile profile = { 0 };

	while (media_profile_next_camera(call, &profile)) {
		xmlNode *node = soap_add(call->answer, TRT, "VideoSources");

		soap_set(node, "token", profile.camera->name);
		soap_add_integer(node, TT, "Framerate", 25); /* nobody says it of a stream */
		media_write_size(node, "Resolution", &profile);
	}
	return true;
}

bool media_get_audio_sources(struct onvif_call *call)
{
	struct media_profile profile = { 0 };

	while (media_profile_next_camera(call, &profile)) {
		xmlNode *node;

		if (!has_audio(&profile))
			continue;
		node = soap_add(call->answer, TRT, "AudioSources");
		soap_set(node, "token", profile.camera->name);
		soap_add_integer(node, TT, "Channels", profile.channels);
	}
	return true;
}

/* --- streams --- */

static enum media_transport find_transport(const struct onvif_call *call)
{
	const xmlNode *setup = soap_child(call->in.body, TRT, "StreamSetup");
	char stream[32], protocol[32];

	(void)soap_text(soap_child(setup, TT, "Stream"), stream, sizeof(stream));
	(void)soap_text(soap_child(soap_child(setup, TT, "Transport"), TT, "Protocol"), protocol,
		sizeof(protocol));
	if (!strcmp(stream, "RTP-Multicast"))
		return MEDIA_MULTICAST;
	return strcmp(protocol, "HTTP") == 0 ? MEDIA_HTTP : MEDIA_UNICAST;
}

static void write_life(xmlNode *uri)
{
	soap_add_bool(uri, TT, "InvalidAfterConnect", false);
	soap_add_bool(uri, TT, "InvalidAfterReboot", false);
	soap_add_duration(uri, TT, "Timeout", 0);
}

bool media_get_stream_uri(struct onvif_call *call)
{
	struct media_profile profile;
	xmlNode *uri;

	if (!media_profile_asked(call, &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
	uri = soap_add(call->answer, TRT, "MediaUri");
	if (!media_write_stream_uri(call, uri, TT, &profile, find_transport(call)))
		return onvif_call_refuse(call, ONVIF_FAULT_BAD_STREAM);
	write_life(uri);
	return true;
}

bool media_get_snapshot_uri(struct onvif_call *call)
{
	struct media_profile profile;
	xmlNode *uri;

	if (!media_profile_asked(call, &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
	uri = soap_add(call->answer, TRT, "MediaUri");
	media_write_snapshot_uri(call, uri, TT, &profile);
	write_life(uri);
	return true;
}

/* A reader begins with a keyframe in any case. */
bool media_set_synchronization_point(struct onvif_call *call)
{
	struct media_profile profile;

	return media_profile_asked(call, &profile) ||
	       onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
}
