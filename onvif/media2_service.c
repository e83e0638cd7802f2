#include "onvif/media2_service.h"

#include <string.h>

#include "onvif/media_profile.h"
#include "onvif/ptz_service.h"

#define TR2 SOAP_MEDIA2_SPACE
#define TT SOAP_SCHEMA_SPACE
#define PROFILES_MOST 2048  /* two of each camera */
#define BITRATE_MOST 100000 /* kbit/s */

void media2_write_capabilities(xmlNode *parent)
{
	xmlNode *node = soap_add(parent, TR2, "Capabilities"), *child;

	soap_set_bool(node, "SnapshotUri", true);
	child = soap_add(node, TR2, "ProfileCapabilities");
	soap_set_integer(child, "MaximumNumberOfProfiles", PROFILES_MOST);
	soap_set(child, "ConfigurationsSupported",
		"VideoSource VideoEncoder AudioSource AudioEncoder PTZ");
	child = soap_add(node, TR2, "StreamingCapabilities");
	soap_set_bool(child, "RTSPStreaming", true);
	soap_set_bool(child, "RTP_RTSP_TCP", true);
}

/* --- configurations --- */

static bool has_video(const struct media_profile *profile)
{
	return media2_video_name(profile) != NULL;
}

static bool has_audio(const struct media_profile *profile)
{
	return media2_audio_name(profile) != NULL;
}

static bool has_video_source(const struct media_profile *profile)
{
	(void)profile;
	return true;
}

static void write_video_encoder(
	xmlNode *parent, const char *space, const char *name, const struct media_profile *profile)
{
	xmlNode *node = soap_add(parent, space, name);

	media_write_entity(node, profile->token, profile->token);
	if (profile->video == AV_CODEC_ID_H264)
		soap_set(node, "Profile", profile->h264_profile);
	soap_add_text(node, TT, "Encoding", media2_video_name(profile));
	media_write_size(node, "Resolution", profile);
	soap_add_integer(node, TT, "Quality", 1);
}

static void write_audio_encoder(
	xmlNode *parent, const char *space, const char *name, const struct media_profile *profile)
{
	xmlNode *node = soap_add(parent, space, name);

	media_write_entity(node, profile->token, profile->token);
	soap_add_text(node, TT, "Encoding", media2_audio_name(profile));
	soap_add_integer(node, TT, "Bitrate", profile->audio_bps / 1000);
	soap_add_integer(node, TT, "SampleRate", profile->rate_hz / 1000);
}

static void write_video_encoder_options(
	xmlNode *parent, const char *space, const struct media_profile *profile)
{
	xmlNode *options = soap_add(parent, space, "Options");

	soap_add_text(options, TT, "Encoding", media2_video_name(profile));
	media_write_range(options, "QualityRange", 1, 1);
	media_write_size(options, "ResolutionsAvailable", profile);
	media_write_range(options, "BitrateRange", 1, BITRATE_MOST);
}

static void write_audio_encoder_options(
	xmlNode *parent, const char *space, const struct media_profile *profile)
{
	xmlNode *options = soap_add(parent, space, "Options"), *list;

	soap_add_text(options, TT, "Encoding", media2_audio_name(profile));
	list = soap_add(options, TT, "BitrateList");
	soap_add_integer(list, TT, "Items", profile->audio_bps / 1000);
	list = soap_add(options, TT, "SampleRateList");
	soap_add_integer(list, TT, "Items", profile->rate_hz / 1000);
}

/* The kinds of configurations, in the order in which a profile has them. */
static const struct kind {
	const char *name;
	bool is_of_camera;    /* its main and its substream share it */
	bool has_one_options; /* Get…ConfigurationOptions has one element, and not one for each */
	bool (*has)(const struct media_profile *profile);
	void (*write)(xmlNode *parent, const char *space, const char *name,
		const struct media_profile *profile);
	void (*write_options)(
		xmlNode *parent, const char *space, const struct media_profile *profile);
} kinds[] = {
	{"VideoSource",   true,  true,  has_video_source, media_write_video_source_configuration,
         media_write_video_source_options							     },
	{ "AudioSource",  true,  true,  has_audio,        media_write_audio_source_configuration,
         media_write_audio_source_options							     },
	{ "VideoEncoder", false, false, has_video,        write_video_encoder,
         write_video_encoder_options								  },
	{ "AudioEncoder", false, false, has_audio,        write_audio_encoder,
         write_audio_encoder_options								  },
	{ "PTZ",          true,  true,  ptz_has,          ptz_write_configuration,                NULL},
};

/* The kind that an operation's name speaks of. */
static const struct kind *kind_of(const struct onvif_call *call)
{
	size_t i = 0;

	while (!strstr(call->in.name, kinds[i].name))
		i++;
	return &kinds[i];
}

/* What is asked for: a configuration's token, a profile's, or "" of both. */
struct wanted {
	char configuration[ONVIF_TOKEN_BYTES], profile[ONVIF_TOKEN_BYTES];
	bool is_found;
};

static void wanted_read(struct wanted *wanted, const struct onvif_call *call)
{
	wanted->is_found = false;
	(void)onvif_call_text(
		call, "ConfigurationToken", wanted->configuration, sizeof(wanted->configuration));
	(void)onvif_call_text(call, "ProfileToken", wanted->profile, sizeof(wanted->profile));
}

static bool is_wanted(
	struct wanted *wanted, const struct kind *kind, const struct media_profile *profile)
{
	const char *token = kind->is_of_camera ? profile->camera->name : profile->token;

	if (wanted->configuration[0] && strcmp(wanted->configuration, token) != 0)
		return false;
	if (wanted->profile[0] && strcmp(wanted->profile, profile->token) != 0)
		return false;
	if (!wanted->profile[0] && kind->is_of_camera && profile->is_sub)
		return false; /* told of with the main one */
	wanted->is_found = true;
	return kind->has(profile);
}

static bool conclude(struct onvif_call *call, const struct wanted *wanted)
{
	if (wanted->is_found || (!wanted->configuration[0] && !wanted->profile[0]))
		return true;
	return onvif_call_refuse(call,
		wanted->configuration[0] ? ONVIF_FAULT_NO_CONFIGURATION : ONVIF_FAULT_NO_PROFILE);
}

bool media2_get_configurations(struct onvif_call *call)
{
	const struct kind *kind = kind_of(call);
	struct media_profile profile = { 0 };
	struct wanted wanted;

	wanted_read(&wanted, call);
	while (media_profile_next(call, &profile)) {
		if (is_wanted(&wanted, kind, &profile))
			kind->write(call->answer, TR2, "Configurations", &profile);
	}
	return conclude(call, &wanted);
}

bool media2_get_options(struct onvif_call *call)
{
	const struct kind *kind = kind_of(call);
	struct media_profile profile = { 0 };
	struct wanted wanted;
	bool has_options = false;

	wanted_read(&wanted, call);
	while (!(has_options && kind->has_one_options) && media_profile_next(call, &profile)) {
		if (!is_wanted(&wanted, kind, &profile))
			continue;
		kind->write_options(call->answer, TR2, &profile);
		has_options = true;
	}
	if (!has_options)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_CONFIGURATION);
	return true;
}

bool media2_get_encoder_instances(struct onvif_call *call)
{
	struct media_profile profile;
	char token[ONVIF_TOKEN_BYTES];

	if (!onvif_call_text(call, "ConfigurationToken", token, sizeof(token)) ||
		!media_profile_find_camera(call, token, &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_CONFIGURATION);
	soap_add_integer(soap_add(call->answer, TR2, "Info"), TR2, "Total",
		profile.camera->substream ? 2 : 1);
	return true;
}

/* --- profiles --- */

/* Whether the request asks for a kind of configuration in its profiles. */
static bool is_type_wanted(const struct onvif_call *call, const char *kind)
{
	const xmlNode *node = soap_child(call->in.body, TR2, "Type");
	char type[32];

	for (; node; node = soap_next(node)) {
		if (soap_text(node, type, sizeof(type)) &&
			(!strcmp(type, "All") || !strcmp(type, kind)))
			return true;
	}
	return false;
}

static void write_profile(struct onvif_call *call, const struct media_profile *profile)
{
	xmlNode *node = soap_add(call->answer, TR2, "Profiles"), *set = NULL;

	soap_set(node, "token", profile->token);
	soap_set_bool(node, "fixed", true);
	soap_add_text(node, TR2, "Name", profile->token);
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		if (!is_type_wanted(call, kinds[i].name) || !kinds[i].has(profile))
			continue;
		if (!set)
			set = soap_add(node, TR2, "Configurations");
		kinds[i].write(set, TR2, kinds[i].name, profile);
	}
}

bool media2_get_profiles(struct onvif_call *call)
{
	struct media_profile profile = { 0 };
	char token[ONVIF_TOKEN_BYTES];

	if (onvif_call_text(call, "Token", token, sizeof(token)) && token[0]) {
		if (!media_profile_find(call, token, &profile))
			return onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
		write_profile(call, &profile);
		return true;
	}
	while (media_profile_next(call, &profile))
		write_profile(call, &profile);
	return true;
}

/* --- streams --- */

bool media2_get_stream_uri(struct onvif_call *call)
{
	static const struct {
		const char *protocol;
		enum media_transport transport;
	} rows[] = {
		{"RtspUnicast",    MEDIA_UNICAST  },
		{ "RTSP",          MEDIA_UNICAST  },
		{ "RtspMulticast", MEDIA_MULTICAST},
		{ "RtspOverHttp",  MEDIA_HTTP     },
	};
	struct media_profile profile;
	char protocol[32];

	if (!media_profile_asked(call, &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
	(void)onvif_call_text(call, "Protocol", protocol, sizeof(protocol));
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (!strcmp(rows[i].protocol, protocol) &&
			media_write_stream_uri(
				call, call->answer, TR2, &profile, rows[i].transport))
			return true;
	}
	return onvif_call_refuse(call, ONVIF_FAULT_BAD_STREAM);
}

bool media2_get_snapshot_uri(struct onvif_call *call)
{
	struct media_profile profile;

	if (!media_profile_asked(call, &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
	media_write_snapshot_uri(call, call->answer, TR2, &profile);
	return true;
}

/* A reader begins with a keyframe in any case. */
bool media2_set_synchronization_point(struct onvif_call *call)
{
	struct media_profile profile;

	return media_profile_asked(call, &profile) ||
	       onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
}
