#include "onvif/media_profile.h"

#include <stdio.h>
#include <string.h>

#include <libavcodec/avcodec.h>

#include "onvif/camera_control.h"
#include "server/media/stream.h"

#define TT SOAP_SCHEMA_SPACE

enum {
	UNKNOWN_WIDTH = 1920, /* before the camera has said it */
	UNKNOWN_HEIGHT = 1080,
	UNKNOWN_SUB_WIDTH = 640,
	UNKNOWN_SUB_HEIGHT = 360,
	PCM_BITS = 64000 /* of G.711 in a second */
};

/* --- what a profile has --- */

static const char *h264_profile_name(int profile)
{
	switch (profile & ~FF_PROFILE_H264_CONSTRAINED & ~FF_PROFILE_H264_INTRA) {
	case FF_PROFILE_H264_BASELINE:
		return "Baseline";
	case FF_PROFILE_H264_MAIN:
		return "Main";
	case FF_PROFILE_H264_EXTENDED:
		return "Extended";
	default:
		return "High";
	}
}

static void profile_take_video(struct media_profile *profile, const AVCodecParameters *parameters)
{
	profile->video = parameters->codec_id;
	profile->width = parameters->width;
	profile->height = parameters->height;
	profile->h264_profile = h264_profile_name(parameters->profile);
}

static void profile_take_audio(struct media_profile *profile, const AVCodecParameters *parameters)
{
	profile->audio = parameters->codec_id;
	profile->rate_hz = parameters->sample_rate;
	profile->channels = parameters->ch_layout.nb_channels;
	profile->audio_bps = parameters->bit_rate > 0 ? (int)parameters->bit_rate : PCM_BITS;
}

static void profile_take_stream(struct media_profile *profile, const struct stream *stream)
{
	int video = stream_find_track(stream, AVMEDIA_TYPE_VIDEO);
	int audio = stream_find_track(stream, AVMEDIA_TYPE_AUDIO);

	if (video >= 0)
		profile_take_video(profile, stream_track(stream, (size_t)video)->parameters);
	else
		profile->video = AV_CODEC_ID_NONE;
	if (audio >= 0)
		profile_take_audio(profile, stream_track(stream, (size_t)audio)->parameters);
}

static void profile_set(
	struct media_profile *profile, const struct config_camera *camera, bool is_sub)
{
	const struct stream *stream;

	*profile = (struct media_profile){
		.camera = camera,
		.is_sub = is_sub,
		.video = AV_CODEC_ID_H264,
		.width = is_sub ? UNKNOWN_SUB_WIDTH : UNKNOWN_WIDTH,
		.height = is_sub ? UNKNOWN_SUB_HEIGHT : UNKNOWN_HEIGHT,
		.h264_profile = "High",
	};
	snprintf(
		profile->token, sizeof(profile->token), "%s%s", camera->name, is_sub ? "/sub" : "");
	stream = stream_find(profile->token);
	if (stream && stream_tracks(stream))
		profile_take_stream(profile, stream);
}

/* Who may not move a camera is told of none that can be moved: his client shows no controls, which would fail. */
static void profile_tell(const struct onvif_call *call, struct media_profile *profile,
	const struct config_camera *camera, bool is_sub)
{
	profile_set(profile, camera, is_sub);
	if (auth_may_operate(call->user))
		profile->ptz = camera_control_find(camera->name, CAMERA_PTZ);
}

bool media_profile_next(const struct onvif_call *call, struct media_profile *profile)
{
	if (profile->camera && !profile->is_sub && profile->camera->substream) {
		profile_tell(call, profile, profile->camera, true);
		return true;
	}
	return media_profile_next_camera(call, profile);
}

bool media_profile_next_camera(const struct onvif_call *call, struct media_profile *profile)
{
	const struct config_camera *camera = onvif_camera_next(call, profile->camera);

	if (camera)
		profile_tell(call, profile, camera, false);
	return camera != NULL;
}

bool media_profile_find_camera(
	const struct onvif_call *call, const char *name, struct media_profile *profile)
{
	const struct config_camera *camera = onvif_camera_find(call, name);

	if (camera)
		profile_tell(call, profile, camera, false);
	return camera != NULL;
}

bool media_profile_find(
	const struct onvif_call *call, const char *token, struct media_profile *profile)
{
	*profile = (struct media_profile){ 0 };
	while (media_profile_next(call, profile)) {
		if (!strcmp(profile->token, token))
			return true;
	}
	return false;
}

bool media_profile_asked(const struct onvif_call *call, struct media_profile *profile)
{
	char token[ONVIF_TOKEN_BYTES];

	return onvif_call_text(call, "ProfileToken", token, sizeof(token)) &&
	       media_profile_find(call, token, profile);
}

/* --- names --- */

/* How Media and Media2 (RFC 4855's registry) call codecs. */
static const struct codec_name {
	enum AVCodecID id;
	const char *media, *media2;
} codec_names[] = {
	{AV_CODEC_ID_H264,        "H264", "H264"     },
	{ AV_CODEC_ID_HEVC,       NULL,   "H265"     },
	{ AV_CODEC_ID_AV1,        NULL,   "AV1"      },
	{ AV_CODEC_ID_MJPEG,      "JPEG", "JPEG"     },
	{ AV_CODEC_ID_PCM_MULAW,  "G711", "PCMU"     },
	{ AV_CODEC_ID_PCM_ALAW,   "G711", "PCMA"     },
	{ AV_CODEC_ID_ADPCM_G726, "G726", "G726"     },
	{ AV_CODEC_ID_AAC,        "AAC",  "MP4A-LATM"},
	{ AV_CODEC_ID_OPUS,       NULL,   "OPUS"     },
};

static const struct codec_name *codec_name_find(enum AVCodecID id)
{
	static const struct codec_name none;

	for (size_t i = 0; i < ARRAY_LENGTH(codec_names); i++) {
		if (codec_names[i].id == id)
			return &codec_names[i];
	}
	return &none;
}

const char *media_video_name(const struct media_profile *profile)
{
	return codec_name_find(profile->video)->media;
}

const char *media2_video_name(const struct media_profile *profile)
{
	return codec_name_find(profile->video)->media2;
}

const char *media_audio_name(const struct media_profile *profile)
{
	return codec_name_find(profile->audio)->media;
}

const char *media2_audio_name(const struct media_profile *profile)
{
	return codec_name_find(profile->audio)->media2;
}

/* --- elements --- */

void media_write_entity(xmlNode *node, const char *token, const char *name)
{
	soap_set(node, "token", token);
	soap_add_text(node, TT, "Name", name);
	soap_add_integer(node, TT, "UseCount", 1);
}

void media_write_size(xmlNode *parent, const char *name, const struct media_profile *profile)
{
	xmlNode *size = soap_add(parent, TT, name);

	soap_add_integer(size, TT, "Width", profile->width);
	soap_add_integer(size, TT, "Height", profile->height);
}

void media_write_range(xmlNode *parent, const char *name, int least, int most)
{
	xmlNode *range = soap_add(parent, TT, name);

	soap_add_integer(range, TT, "Min", least);
	soap_add_integer(range, TT, "Max", most);
}

void media_write_video_source_configuration(
	xmlNode *parent, const char *space, const char *name, const struct media_profile *profile)
{
	xmlNode *node = soap_add(parent, space, name), *bounds;
	struct media_profile main; /* a source has one size, which is that of the main stream */

	profile_set(&main, profile->camera, false);
	media_write_entity(node, profile->camera->name, profile->camera->name);
	soap_add_text(node, TT, "SourceToken", profile->camera->name);
	bounds = soap_add(node, TT, "Bounds");
	soap_set_integer(bounds, "x", 0);
	soap_set_integer(bounds, "y", 0);
	soap_set_integer(bounds, "width", main.width);
	soap_set_integer(bounds, "height", main.height);
}

void media_write_audio_source_configuration(
	xmlNode *parent, const char *space, const char *name, const struct media_profile *profile)
{
	xmlNode *node = soap_add(parent, space, name);

	media_write_entity(node, profile->camera->name, profile->camera->name);
	soap_add_text(node, TT, "SourceToken", profile->camera->name);
}

void media_write_video_source_options(
	xmlNode *parent, const char *space, const struct media_profile *profile)
{
	xmlNode *options = soap_add(parent, space, "Options"), *bounds;

	bounds = soap_add(options, TT, "BoundsRange");
	media_write_range(bounds, "XRange", 0, 0);
	media_write_range(bounds, "YRange", 0, 0);
	media_write_range(bounds, "WidthRange", profile->width, profile->width);
	media_write_range(bounds, "HeightRange", profile->height, profile->height);
	soap_add_text(options, TT, "VideoSourceTokensAvailable", profile->camera->name);
}

void media_write_audio_source_options(
	xmlNode *parent, const char *space, const struct media_profile *profile)
{
	soap_add_text(soap_add(parent, space, "Options"), TT, "InputTokensAvailable",
		profile->camera->name);
}

/* A group that is no group: who wants multicast asks for the URI of it. */
void media_write_multicast(xmlNode *parent)
{
	xmlNode *multicast = soap_add(parent, TT, "Multicast"), *address;

	address = soap_add(multicast, TT, "Address");
	soap_add_text(address, TT, "Type", "IPv4");
	soap_add_text(address, TT, "IPv4Address", "0.0.0.0");
	soap_add_integer(multicast, TT, "Port", 0);
	soap_add_integer(multicast, TT, "TTL", 0);
	soap_add_bool(multicast, TT, "AutoStart", false);
}

/* --- addresses --- */

bool media_write_stream_uri(const struct onvif_call *call, xmlNode *parent, const char *space,
	const struct media_profile *profile, enum media_transport transport)
{
	const char *port = strrchr(onvif_setup()->rtsp, ':');

	if (!port || (transport == MEDIA_MULTICAST && !profile->camera->multicast))
		return false;
	if (transport == MEDIA_HTTP)
		soap_add_format(parent, space, "Uri", "%s/%s", call->base, profile->token);
	else
		soap_add_format(parent, space, "Uri", "rtsp://%s%s/%s%s", call->host, port,
			profile->token, transport == MEDIA_MULTICAST ? "?multicast" : "");
	return true;
}

void media_write_snapshot_uri(const struct onvif_call *call, xmlNode *parent, const char *space,
	const struct media_profile *profile)
{
	soap_add_format(
		parent, space, "Uri", "%s/live/%s/snapshot.jpg", call->base, profile->token);
}
