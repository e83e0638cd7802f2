#include "onvif/search_information.h"

#include <stdio.h>
#include <string.h>

#include "onvif/recording_service.h"

#define TSE SOAP_SEARCH_SPACE
#define TT SOAP_SCHEMA_SPACE

/* A track, of the codecs in the catalogue ("avc1.640028,mp4a.40.2", pictures first). */
struct track {
	bool is_video;
	char codec[32];
};

static size_t find_tracks(struct track tracks[2], const struct catalogue_segment *segment)
{
	const char *p = segment->codecs ? segment->codecs : "";
	size_t n = 0;

	for (; n < 2 && (*p || !n); n++) {
		size_t bytes = strcspn(p, ",");

		tracks[n].is_video = n == 0 && segment->width > 0;
		snprintf(tracks[n].codec, sizeof(tracks[n].codec), "%.*s", (int)bytes, p);
		p += bytes + (p[bytes] == ',');
	}
	return n;
}

static const char *encoding_of(const char *codec)
{
	static const struct {
		const char *prefix, *name;
	} rows[] = {
		{"avc",   "H264"},
		{ "hvc",  "H265"},
		{ "hev",  "H265"},
		{ "av01", "AV1" },
		{ "mp4a", "AAC" },
		{ "opus", "OPUS"},
		{ "ulaw", "G711"},
		{ "alaw", "G711"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (!strncasecmp(codec, rows[i].prefix, strlen(rows[i].prefix)))
			return rows[i].name;
	}
	return NULL;
}

static void write_track(xmlNode *parent, const char *name, const struct track *track,
	int64_t from_us, int64_t to_us)
{
	xmlNode *node = soap_add(parent, TT, name);

	soap_add_text(node, TT, "TrackToken", track->is_video ? RECORDING_VIDEO : RECORDING_AUDIO);
	soap_add_text(node, TT, "TrackType", track->is_video ? "Video" : "Audio");
	soap_add_text(node, TT, "Description", track->codec);
	soap_add_time(node, TT, "DataFrom", from_us);
	soap_add_time(node, TT, "DataTo", to_us);
}

xmlNode *search_write_information(const struct onvif_call *call, xmlNode *parent, const char *space,
	const char *name, const struct recording_found *found)
{
	xmlNode *node = soap_add(parent, space, name);
	const struct catalogue_segment *last = found->last;
	struct track tracks[2];
	size_t n = last ? find_tracks(tracks, last) : 0;

	soap_add_text(node, TT, "RecordingToken", found->camera);
	recording_write_source(call, node, TT, found->camera);
	if (last) {
		soap_add_time(node, TT, "EarliestRecording", found->first_us);
		soap_add_time(node, TT, "LatestRecording", last->end_us);
	}
	soap_add_text(node, TT, "Content", found->camera);
	for (size_t i = 0; i < n; i++)
		write_track(node, "Track", &tracks[i], found->first_us, last->end_us);
	soap_add_text(node, TT, "RecordingStatus",
		!last                         ? "Initiated"
		: last->state == SEGMENT_OPEN ? "Recording"
					      : "Stopped");
	return node;
}

static void write_media(
	xmlNode *node, const struct track *track, const struct catalogue_segment *segment)
{
	const char *encoding = encoding_of(track->codec);
	xmlNode *media =
		soap_add(node, TT, track->is_video ? "VideoAttributes" : "AudioAttributes");

	if (track->is_video) {
		soap_add_integer(media, TT, "Width", segment->width);
		soap_add_integer(media, TT, "Height", segment->height);
	}
	soap_add_text(media, TT, "Encoding",
		encoding          ? encoding
		: track->is_video ? "JPEG"
				  : "PCM");
	/* the catalogue does not have it */
	soap_add_integer(media, TT, track->is_video ? "Framerate" : "Samplerate", 0);
}

void search_write_attributes(xmlNode *parent, const struct recording_found *found)
{
	xmlNode *attributes = soap_add(parent, TSE, "MediaAttributes"), *node;
	struct track tracks[2];
	size_t n = find_tracks(tracks, found->last);

	soap_add_text(attributes, TT, "RecordingToken", found->camera);
	for (size_t i = 0; i < n; i++) {
		node = soap_add(attributes, TT, "TrackAttributes");
		write_track(node, "TrackInformation", &tracks[i], found->last->start_us,
			found->last->end_us);
		write_media(node, &tracks[i], found->last);
	}
	soap_add_time(attributes, TT, "From", found->last->start_us);
	soap_add_time(attributes, TT, "Until", found->last->end_us);
}
