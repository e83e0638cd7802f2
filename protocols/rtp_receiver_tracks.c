/* Which tracks of a description are taken, and what their codecs are. */
#include <stdio.h>
#include <string.h>

#include "protocols/rtp_receiver_private.h"
#include "server/base/log.h"
#include "server/base/metrics.h"
#include "server/media/codec.h"

/* What a track's codec is made of: a row per encoding that can be recorded. */
static AVCodecParameters *parameters_of_h264(const struct rtp_depacketiser *d, const char **why)
{
	return codec_of_h264(rtp_depacketiser_h264(d), why);
}

static AVCodecParameters *parameters_of_h265(const struct rtp_depacketiser *d, const char **why)
{
	return codec_of_h265(rtp_depacketiser_h265(d), why);
}

static AVCodecParameters *parameters_of_jpeg(const struct rtp_depacketiser *d, const char **why)
{
	return codec_of_jpeg(rtp_depacketiser_jpeg(d), why);
}

static AVCodecParameters *parameters_of_aac(const struct rtp_depacketiser *d, const char **why)
{
	const struct rtp_sound *sound = rtp_depacketiser_sound(d);

	return codec_of_aac(sound->config, sound->config_bytes, why);
}

static AVCodecParameters *parameters_of_sound(
	const struct rtp_depacketiser *d, enum AVCodecID id, const char **why)
{
	const struct rtp_sound *sound = rtp_depacketiser_sound(d);
	AVCodecParameters *parameters = codec_of_sound(id, sound->hz, sound->channels, why);

	if (parameters)
		parameters->bits_per_coded_sample = sound->sample_bits;
	return parameters;
}

static AVCodecParameters *parameters_of_pcmu(const struct rtp_depacketiser *d, const char **why)
{
	return parameters_of_sound(d, AV_CODEC_ID_PCM_MULAW, why);
}

static AVCodecParameters *parameters_of_pcma(const struct rtp_depacketiser *d, const char **why)
{
	return parameters_of_sound(d, AV_CODEC_ID_PCM_ALAW, why);
}

static AVCodecParameters *parameters_of_l16(const struct rtp_depacketiser *d, const char **why)
{
	return parameters_of_sound(d, AV_CODEC_ID_PCM_S16BE, why);
}

static AVCodecParameters *parameters_of_g726(const struct rtp_depacketiser *d, const char **why)
{
	bool aal2 = rtp_depacketiser_sound(d)->aal2;

	return parameters_of_sound(
		d, aal2 ? AV_CODEC_ID_ADPCM_G726 : AV_CODEC_ID_ADPCM_G726LE, why);
}

static AVCodecParameters *parameters_of_opus(const struct rtp_depacketiser *d, const char **why)
{
	return parameters_of_sound(d, AV_CODEC_ID_OPUS, why);
}

static const struct rtp_encoding {
	const char *name;
	enum sdp_kind kind;
	AVCodecParameters *(*parameters)(const struct rtp_depacketiser *d, const char **why);
} encodings[] = {
	{"H264",                SDP_VIDEO,       parameters_of_h264},
	{ "H265",               SDP_VIDEO,       parameters_of_h265},
	{ "JPEG",               SDP_VIDEO,       parameters_of_jpeg},
	{ "MPEG4-GENERIC",      SDP_AUDIO,       parameters_of_aac },
	{ "MP4A-LATM",          SDP_AUDIO,       parameters_of_aac },
	{ "OPUS",               SDP_AUDIO,       parameters_of_opus},
	{ "PCMU",               SDP_AUDIO,       parameters_of_pcmu},
	{ "PCMA",               SDP_AUDIO,       parameters_of_pcma},
	{ "L16",                SDP_AUDIO,       parameters_of_l16 },
	{ "PCM",                SDP_AUDIO,       parameters_of_l16 },
	{ "G726-16",            SDP_AUDIO,       parameters_of_g726},
	{ "G726-24",            SDP_AUDIO,       parameters_of_g726},
	{ "G726-32",            SDP_AUDIO,       parameters_of_g726},
	{ "G726-40",            SDP_AUDIO,       parameters_of_g726},
	{ "AAL2-G726-16",       SDP_AUDIO,       parameters_of_g726},
	{ "AAL2-G726-24",       SDP_AUDIO,       parameters_of_g726},
	{ "AAL2-G726-32",       SDP_AUDIO,       parameters_of_g726},
	{ "AAL2-G726-40",       SDP_AUDIO,       parameters_of_g726},
	{ "VND.ONVIF.METADATA", SDP_APPLICATION, NULL              },
};

static const struct rtp_encoding *encoding_find(const struct sdp_media *media)
{
	for (size_t i = 0; i < ARRAY_LENGTH(encodings); i++) {
		if (encodings[i].kind == media->kind && !strcmp(encodings[i].name, media->encoding))
			return &encodings[i];
	}
	return NULL;
}

bool rtp_receiver_make_parameters(struct rtp_receiver_track *track)
{
	const struct rtp_sound *sound = rtp_depacketiser_sound(track->depacketiser);
	const char *why = "unknown";
	AVCodecParameters *made = track->encoding->parameters(track->depacketiser, &why);

	if (!made) {
		log_warn(track->receiver->log, "%s: %s", track->media.encoding, why);
		return false;
	}
	avcodec_parameters_free(&track->parameters);
	track->parameters = made;
	/* RTP counts by its clock, whatever the codec says (HE-AAC doubles its rate) */
	track->time_base = (AVRational){ 1, 90000 };
	if (sound)
		track->time_base.den = (int)sound->clock_hz;
	return true;
}

bool rtp_receiver_has_changed(const struct rtp_receiver_track *track)
{
	const struct rtp_sound *sound = rtp_depacketiser_sound(track->depacketiser);
	const AVCodecParameters *now = track->parameters;

	if (!sound || !now)
		return track->kind == SDP_VIDEO;
	if (now->sample_rate != (int)sound->hz || now->ch_layout.nb_channels != sound->channels)
		return true;
	return sound->config && (now->extradata_size != (int)sound->config_bytes ||
					memcmp(now->extradata, sound->config, sound->config_bytes));
}

/* --- choosing --- */

static const char *track_kind_label(enum sdp_kind kind)
{
	return kind == SDP_VIDEO ? "video" : kind == SDP_AUDIO ? "audio" : "metadata";
}

/* Returns false with *why when the track cannot be taken. */
static bool track_init(struct rtp_receiver *receiver, const struct rtp_encoding *encoding,
	const struct sdp *sdp, size_t line, const char **why)
{
	const struct sdp_media *media = &sdp->media[line];
	struct rtp_receiver_track *track = &receiver->tracks[receiver->n_tracks];
	struct rtp_format format = { media->encoding, media->fmtp, media->clock_hz, media->channels,
		media->width, media->height };

	*track = (struct rtp_receiver_track){
		.receiver = receiver,
		.encoding = encoding,
		.kind = media->kind,
		.media = *media,
		.line = line,
		.last_dts = AV_NOPTS_VALUE,
		.time_base = {1, 90000},
	};
	track->depacketiser = rtp_depacketiser_new(&format, &rtp_receiver_unit_events, track, why);
	if (!track->depacketiser)
		return false;
	track->frames = metric_get(
		METRIC_CAMERA_FRAMES, receiver->order->camera, track_kind_label(media->kind));
	if (media->kind == SDP_AUDIO && !rtp_receiver_make_parameters(track)) {
		rtp_depacketiser_free(track->depacketiser);
		*why = "its configuration makes no sense";
		return false;
	}
	clock_init(&track->clock, (uint32_t)track->time_base.den);
	receiver->n_tracks++;
	return true;
}

/*
 * Takes the first track of that kind that can be recorded. Returns whether there was any of the kind
 * at all; why the last one was not taken is in `detail`.
 */
static bool media_choose_kind(struct rtp_receiver *receiver, const struct sdp *sdp,
	enum sdp_kind kind, char *detail, size_t size)
{
	bool found = false;

	for (size_t i = 0; i < sdp->n_media; i++) {
		const struct sdp_media *media = &sdp->media[i];
		const struct rtp_encoding *encoding = encoding_find(media);
		const char *why = "not supported";

		if (media->kind != kind || sdp_is_backchannel(sdp, i))
			continue;
		found = true;
		if (encoding && track_init(receiver, encoding, sdp, i, &why))
			return true;
		snprintf(detail, size, "%s: %s",
			media->encoding[0] ? media->encoding : "unknown encoding", why);
	}
	return found;
}

enum source_end rtp_receiver_choose(
	struct rtp_receiver *receiver, const struct sdp *sdp, char *detail, size_t size)
{
	bool any = media_choose_kind(receiver, sdp, SDP_VIDEO, detail, size); /* it is track 0 */
	char unused[64];

	if (receiver->n_tracks == 0)
		return any ? SOURCE_UNSUPPORTED : SOURCE_NO_VIDEO;
	any = receiver->order->config->audio != AUDIO_OFF &&
	      media_choose_kind(receiver, sdp, SDP_AUDIO, detail, size);
	if (any && receiver->n_tracks == 1)
		log_warn(receiver->log, "without sound: %s", detail);
	(void)media_choose_kind(receiver, sdp, SDP_APPLICATION, unused, sizeof(unused));
	return SOURCE_STOPPED;
}

bool rtp_receiver_is_of(const struct rtp_receiver *receiver, const struct sdp *sdp)
{
	for (unsigned i = 0; i < receiver->n_tracks; i++) {
		const struct sdp_media *media = &receiver->tracks[i].media;
		bool found = false;

		for (size_t k = 0; k < sdp->n_media; k++)
			found = found || (sdp->media[k].payload_type == media->payload_type &&
						 !strcmp(sdp->media[k].encoding, media->encoding));
		if (!found)
			return false;
	}
	return true;
}
