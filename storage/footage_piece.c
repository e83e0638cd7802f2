/* A fragment's bytes as frames, with their instants. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>

#include "server/base/memory.h"
#include "storage/footage_private.h"
#include "storage/segment_parts.h"

struct footage_format *footage_format_ref(struct footage_format *format)
{
	format->refs++;
	return format;
}

void footage_format_unref(struct footage_format **format)
{
	struct footage_format *f = *format;

	*format = NULL;
	if (!f || --f->refs > 0)
		return;
	for (unsigned i = 0; i < f->n; i++)
		avcodec_parameters_free(&f->tracks[i]);
	free(f);
}

static AVCodecParameters *parameters_of(const struct mp4_track *track)
{
	static const struct {
		const char *name;
		enum AVCodecID id;
		enum AVMediaType type;
	} codecs[] = {
		{"h264",       AV_CODEC_ID_H264,      AVMEDIA_TYPE_VIDEO},
		{ "h265",      AV_CODEC_ID_HEVC,      AVMEDIA_TYPE_VIDEO},
		{ "av1",       AV_CODEC_ID_AV1,       AVMEDIA_TYPE_VIDEO},
		{ "mjpeg",     AV_CODEC_ID_MJPEG,     AVMEDIA_TYPE_VIDEO},
		{ "aac",       AV_CODEC_ID_AAC,       AVMEDIA_TYPE_AUDIO},
		{ "opus",      AV_CODEC_ID_OPUS,      AVMEDIA_TYPE_AUDIO},
		{ "pcm_mulaw", AV_CODEC_ID_PCM_MULAW, AVMEDIA_TYPE_AUDIO},
		{ "pcm_alaw",  AV_CODEC_ID_PCM_ALAW,  AVMEDIA_TYPE_AUDIO},
		{ "pcm_s16be", AV_CODEC_ID_PCM_S16BE, AVMEDIA_TYPE_AUDIO},
	};
	AVCodecParameters *ret = avcodec_parameters_alloc();

	if (!ret)
		abort();
	for (size_t i = 0; i < ARRAY_LENGTH(codecs); i++) {
		if (strcmp(codecs[i].name, track->name) != 0)
			continue;
		ret->codec_type = codecs[i].type;
		ret->codec_id = codecs[i].id;
	}
	ret->width = (int)track->width;
	ret->height = (int)track->height;
	ret->sample_rate = (int)(track->sample_rate ? track->sample_rate : track->timescale);
	ret->ch_layout.nb_channels = (int)track->channels;
	ret->extradata = av_mallocz(track->config_bytes + AV_INPUT_BUFFER_PADDING_SIZE);
	if (!ret->extradata)
		abort();
	ret->extradata_size = (int)track->config_bytes;
	if (track->config_bytes)
		memcpy(ret->extradata, track->config, track->config_bytes);
	return ret;
}

struct footage_format *footage_format_new(const struct clip_head *head)
{
	struct footage_format *format = xcalloc(1, sizeof(*format));

	format->refs = 1;
	format->init = head->init;
	format->lead = head->lead;
	format->rotation = head->movie.tracks[head->lead].rotation;
	format->n = head->movie.n_tracks;
	for (unsigned i = 0; i < format->n; i++)
		format->tracks[i] = parameters_of(&head->movie.tracks[i]);
	return format;
}

void footage_piece_free(struct footage_piece *piece)
{
	if (!piece)
		return;
	footage_format_unref(&piece->format);
	free(piece->samples);
	free(piece->data);
	free(piece);
}

struct collector {
	struct footage_piece *piece;
	const struct clip_head *head;
	struct mp4_fragment fragment;
	int tracks[MP4_TRACKS];      /* of the movie, of each traf */
	int64_t origins[MP4_TRACKS]; /* the instant of decode time 0, in the track's time */
	size_t room;
	bool broken;
};

static int64_t instant_of(const struct collector *c, unsigned traf, int64_t time)
{
	uint32_t hz = c->head->movie.tracks[c->tracks[traf]].timescale;

	return av_rescale_rnd(c->origins[traf] + time, 1000000, hz, AV_ROUND_DOWN);
}

static void collect(void *arg, unsigned traf, const struct mp4_sample *sample)
{
	struct collector *c = arg;
	struct footage_piece *piece = c->piece;
	int64_t time = (int64_t)sample->decode_time;

	if (c->broken || c->tracks[traf] < 0)
		return;
	if (piece->n == c->room || sample->offset < 0 || time < 0 || time > FOOTAGE_TIME_MOST ||
		(uint64_t)sample->offset > piece->bytes ||
		sample->bytes > piece->bytes - (uint64_t)sample->offset) {
		c->broken = true;
		return;
	}
	piece->samples[piece->n++] = (struct footage_sample){
		.track = (unsigned)c->tracks[traf],
		.keyframe = sample->sync,
		.dts_us = instant_of(c, traf, time),
		.pts_us = instant_of(c, traf, time + sample->composition),
		.duration_us =
			instant_of(c, traf, time + sample->duration) - instant_of(c, traf, time),
		.p = piece->data + sample->offset,
		.n = sample->bytes,
	};
}

/* Of one instant the lead's first. */
static int by_decoding(const void *left, const void *right)
{
	const struct footage_sample *a = left, *b = right;

	if (a->dts_us != b->dts_us)
		return a->dts_us < b->dts_us ? -1 : 1;
	if (a->track != b->track)
		return a->track < b->track ? -1 : 1;
	return a->p < b->p ? -1 : a->p > b->p;
}

int footage_piece_parse(struct footage_piece *piece, const struct clip_head *head)
{
	struct collector c = { .piece = piece, .head = head };
	struct mp4_box box = { 0 };
	const char *why;

	if (mp4_box_parse(&box, piece->data, piece->bytes, &why) <= 0 || box.to_end ||
		box.bytes > piece->bytes ||
		mp4_moof_parse(&c.fragment, piece->data, (size_t)box.bytes, &head->movie, &why) <
			0 ||
		!c.fragment.is_relative)
		return -EBADMSG;
	for (unsigned i = 0; i < c.fragment.n_tracks; i++) {
		c.tracks[i] = segment_find_track(&head->movie, c.fragment.tracks[i].id);
		if (c.tracks[i] >= 0)
			c.origins[i] = av_rescale_rnd(head->origin_us,
				head->movie.tracks[c.tracks[i]].timescale, 1000000, AV_ROUND_DOWN);
	}
	c.room = (size_t)c.fragment.samples;
	piece->samples = xcalloc(c.room, sizeof(*piece->samples));
	if (mp4_moof_samples(piece->data, (size_t)box.bytes, &head->movie, collect, &c, &why) < 0 ||
		c.broken)
		return -EBADMSG;
	qsort(piece->samples, piece->n, sizeof(*piece->samples), by_decoding);
	return 0;
}
