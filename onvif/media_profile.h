#pragma once

#include <stdbool.h>

#include <libavcodec/codec_id.h>

#include "onvif/onvif_call.h"

struct camera_control;

/*
 * The media profiles that both media services tell of: "<camera>" for its main stream and "<camera>/sub". Its encoders have the
 * profile's token; video source, audio source and their configurations have the camera's name.
 */
struct media_profile {
	const struct config_camera *camera; /* NULL: before the first */
	bool is_sub;
	char token[ONVIF_TOKEN_BYTES];
	struct camera_control *ptz; /* NULL: it cannot be moved, or not by the caller */
	/* as the stream is now; while it is not there an H.264 stream of an usual size */
	enum AVCodecID video; /* AV_CODEC_ID_NONE: it has no pictures */
	int width, height;
	const char *h264_profile; /* of Media: "High" */
	enum AVCodecID audio;     /* AV_CODEC_ID_NONE: it has no sound */
	int rate_hz, channels, audio_bps;
};

/* The next one that the caller may see, or the first after zeroes. False: there is none. */
bool media_profile_next(const struct onvif_call *call, struct media_profile *profile);
bool media_profile_find(
	const struct onvif_call *call, const char *token, struct media_profile *profile);
/* The one that the request names in ProfileToken. */
bool media_profile_asked(const struct onvif_call *call, struct media_profile *profile);
/* The next main one, which stands for its camera. */
bool media_profile_next_camera(const struct onvif_call *call, struct media_profile *profile);
/* Of a camera's own name. */
bool media_profile_find_camera(
	const struct onvif_call *call, const char *name, struct media_profile *profile);

/* Codecs as the media services name them; NULL: it has no name for that. */
const char *media_video_name(const struct media_profile *profile);
const char *media2_video_name(const struct media_profile *profile);
const char *media_audio_name(const struct media_profile *profile);
const char *media2_audio_name(const struct media_profile *profile);

/* What both services write in the same way, as a new child of that name. */
void media_write_video_source_configuration(
	xmlNode *parent, const char *space, const char *name, const struct media_profile *profile);
void media_write_audio_source_configuration(
	xmlNode *parent, const char *space, const char *name, const struct media_profile *profile);
void media_write_video_source_options(
	xmlNode *parent, const char *space, const struct media_profile *profile);
void media_write_audio_source_options(
	xmlNode *parent, const char *space, const struct media_profile *profile);
/* The attributes and elements with which every configuration begins. */
void media_write_entity(xmlNode *node, const char *token, const char *name);
void media_write_multicast(xmlNode *parent);
void media_write_size(xmlNode *parent, const char *name, const struct media_profile *profile);
void media_write_range(xmlNode *parent, const char *name, int least, int most);

/* Where it can be had. */
enum media_transport {
	MEDIA_UNICAST, /* UDP or TCP, as the client asks RTSP */
	MEDIA_HTTP,    /* RTSP through HTTP */
	MEDIA_MULTICAST
};
/* Adds the URI as an element of that name. False: there is none of that transport. */
bool media_write_stream_uri(const struct onvif_call *call, xmlNode *parent, const char *space,
	const struct media_profile *profile, enum media_transport transport);
void media_write_snapshot_uri(const struct onvif_call *call, xmlNode *parent, const char *space,
	const struct media_profile *profile);
