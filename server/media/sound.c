/* Sound of any codec to AAC-LC or Opus, in a worker that all sources share. */
#include "server/media/sound.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/avstring.h>
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/worker.h"
#include "server/media/av_library.h"
#include "server/media/codec.h"

enum {
	SOUND_DELAY_FRAMES = 4,  /* the encoder holds back one or two */
	SOUND_DECODED = 1 << 18, /* samples of one packet at most */
	SOUND_GAP_MS = 15,       /* the times differ: a packet is missing, or something leapt */
	SOUND_DRIFT_MS = 2,      /* the times differ: not only by being rounded */
	SOUND_JOBS = 512,        /* of one source: seconds come at once; what is more is dropped */
	SOUND_BYTES = 1 << 20,   /* likewise */
	SOUND_ALL_JOBS = 4096,   /* of all */
	SOUND_ALL_BYTES = 8 << 20, /* of all */
	SOUND_PACKETS = 128,       /* of a job: a second of silence and some */
};

static const struct sound_target_row {
	enum AVCodecID codec;
	int least_hz; /* the more, the shorter are frames */
} sound_targets[] = {
	[SOUND_AAC] = {AV_CODEC_ID_AAC,   0    },
	[SOUND_AAC_SOON] = { AV_CODEC_ID_AAC,  48000},
	[SOUND_OPUS] = { AV_CODEC_ID_OPUS, 48000},
};

/* --- worker: decoder, converter, encoder --- */

/* The worker's while a job is on its way, the reactor's before the first and after the last. */
struct sound_codec {
	_Atomic bool stop; /* set by the reactor: nobody waits for it */
	AVRational from_base;
	AVCodecContext *decoder, *encoder;

	/* made for these, which a decoder may change */
	SwrContext *converter;
	int rate, format;
	AVChannelLayout layout;

	AVFrame *decoded, *converted;
	AVFrame *frame; /* being filled */
	int filled;
	int64_t start; /* of the frame's first sample, since 1970; AV_NOPTS_VALUE: no frame yet */
	int64_t behind; /* how far the source's time is ahead of start + filled, while that is little */
	int64_t frames; /* given to the encoder, which numbers them */
	int64_t times[SOUND_DELAY_FRAMES];
	AVPacket *encoded;
};

struct sound_job {
	struct worker_job job;
	struct sound *sound; /* reactor */
	struct sound_codec *codec;
	AVPacket *packet;

	AVPacket *packets[SOUND_PACKETS]; /* the result */
	size_t packets_count;
	unsigned dropped;
};

static AVCodecContext *sound_new_context(const AVCodec *codec)
{
	AVCodecContext *context = codec ? avcodec_alloc_context3(codec) : NULL;

	if (context) {
		context->thread_count = 1;
		/* Errors alone go to the log: a camera's bytes cause as many warnings as it likes. */
		context->log_level_offset = AV_LOG_INFO - AV_LOG_ERROR;
	}
	return context;
}

/* NULL: libavcodec has none, or none that what a camera sends may reach. */
static const AVCodec *sound_find_decoder(enum AVCodecID id)
{
	const AVCodec *decoder = avcodec_find_decoder(id);

	return decoder && av_match_name(decoder->name, AV_LIBRARY_DECODERS) ? decoder : NULL;
}

static int sound_open_decoder(struct sound_codec *codec, const AVCodecParameters *from)
{
	AVCodecContext *context = sound_new_context(sound_find_decoder(from->codec_id));

	codec->decoder = context;
	if (!context || avcodec_parameters_to_context(context, from) < 0)
		return -1;
	context->pkt_timebase = codec->from_base;
	context->max_samples = SOUND_DECODED;
	return avcodec_open2(context, context->codec, NULL);
}

/* The lowest of the codec's rates that loses nothing. */
static int sound_rate(const AVCodec *codec, int wanted)
{
	const int most = 48000;
	int best = most;

	for (const int *rate = codec->supported_samplerates; rate && *rate; rate++) {
		if (*rate >= wanted && *rate < best)
			best = *rate;
	}
	return best;
}

static int sound_bits(int rate)
{
	return rate <= 16000 ? 32000 : rate <= 32000 ? 48000 : 64000;
}

/* Encoders take floats, by plane (AAC) or interleaved (libopus). */
static enum AVSampleFormat sound_format(const AVCodec *codec)
{
	return codec->id == AV_CODEC_ID_AAC ? AV_SAMPLE_FMT_FLTP : AV_SAMPLE_FMT_FLT;
}

static int sound_open_encoder(struct sound_codec *codec, const AVCodecParameters *from,
	const struct sound_target_row *target)
{
	AVCodecContext *context = sound_new_context(avcodec_find_encoder(target->codec));
	int channels = from->ch_layout.nb_channels > 1 ? 2 : 1;
	int least = from->sample_rate > target->least_hz ? from->sample_rate : target->least_hz;

	codec->encoder = context;
	if (!context)
		return -1;
	context->sample_rate = sound_rate(context->codec, least);
	context->sample_fmt = sound_format(context->codec);
	context->time_base = (AVRational){ 1, context->sample_rate };
	context->bit_rate = (int64_t)channels * sound_bits(context->sample_rate);
	context->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	av_channel_layout_default(&context->ch_layout, channels);
	if (avcodec_open2(context, context->codec, NULL) < 0 || context->extradata_size <= 0 ||
		context->frame_size <= 0)
		return -1;
	return 0;
}

/* A buffer for that many samples, of the encoder's rate and channels. */
static int sound_shape_frame(
	const struct sound_codec *codec, AVFrame *frame, enum AVSampleFormat format, int samples)
{
	frame->format = format;
	frame->sample_rate = codec->encoder->sample_rate;
	frame->nb_samples = samples;
	if (av_channel_layout_copy(&frame->ch_layout, &codec->encoder->ch_layout) < 0)
		return -1;
	return av_frame_get_buffer(frame, 0);
}

static void sound_codec_free(struct sound_codec *codec)
{
	avcodec_free_context(&codec->decoder);
	avcodec_free_context(&codec->encoder);
	swr_free(&codec->converter);
	av_channel_layout_uninit(&codec->layout);
	av_frame_free(&codec->decoded);
	av_frame_free(&codec->converted);
	av_frame_free(&codec->frame);
	av_packet_free(&codec->encoded);
	free(codec);
}

static const char *sound_codec_open(struct sound_codec *codec, const AVCodecParameters *from,
	const struct sound_target_row *target)
{
	if (from->codec_type != AVMEDIA_TYPE_AUDIO || from->sample_rate < 1 ||
		from->ch_layout.nb_channels < 1)
		return "its rate or channels are unknown";
	codec->start = AV_NOPTS_VALUE;
	codec->decoded = av_frame_alloc();
	codec->converted = av_frame_alloc();
	codec->frame = av_frame_alloc();
	codec->encoded = av_packet_alloc();
	if (!codec->decoded || !codec->converted || !codec->frame || !codec->encoded)
		abort();
	if (sound_open_decoder(codec, from) < 0)
		return "libavcodec has no decoder that opens";
	if (sound_open_encoder(codec, from, target) < 0 ||
		sound_shape_frame(codec, codec->frame, codec->encoder->sample_fmt,
			codec->encoder->frame_size) < 0)
		return "libavcodec has no encoder that opens";
	return NULL;
}

/* --- worker: frames --- */

/*
 * When what the encoder says to be at `at` begins: it counts samples from 0. Its first packets begin
 * before that, with the time that it needs to begin.
 */
static int64_t sound_time(const struct sound_codec *codec, int64_t at)
{
	int64_t frame = at < 0 ? 0 : at / codec->encoder->frame_size;

	return codec->times[frame % SOUND_DELAY_FRAMES] + at - frame * codec->encoder->frame_size;
}

/* Takes what the encoder gives. What holds nothing but the time that it needs to begin is left out. */
static void sound_receive(struct sound_job *job)
{
	struct sound_codec *codec = job->codec;
	int samples = codec->encoder->frame_size;

	while (avcodec_receive_packet(codec->encoder, codec->encoded) == 0) {
		int64_t at = codec->encoded->pts;
		AVPacket *packet;

		if (at + samples <= 0 ||
			codec->frames * samples - at > SOUND_DELAY_FRAMES * samples ||
			job->packets_count == SOUND_PACKETS) {
			av_packet_unref(codec->encoded);
			continue;
		}
		packet = av_packet_alloc();
		if (!packet)
			abort();
		av_packet_move_ref(packet, codec->encoded);
		packet->pts = packet->dts = sound_time(codec, at);
		packet->duration = samples;
		packet->flags = AV_PKT_FLAG_KEY;
		job->packets[job->packets_count++] = packet;
	}
}

/* By how much the next frame is moved to follow the source's time. */
static int64_t sound_follow(struct sound_codec *codec)
{
	int64_t little = codec->encoder->sample_rate * SOUND_DRIFT_MS / 1000;
	int64_t move = codec->behind > little ? 1 : codec->behind < -little ? -1 : 0;

	codec->behind -= move;
	return move;
}

static void sound_encode(struct sound_job *job)
{
	struct sound_codec *codec = job->codec;

	codec->times[codec->frames % SOUND_DELAY_FRAMES] = codec->start;
	codec->frame->pts = codec->frames++ * codec->encoder->frame_size;
	codec->start += codec->encoder->frame_size + sound_follow(codec);
	codec->filled = 0;
	if (avcodec_send_frame(codec->encoder, codec->frame) < 0)
		job->dropped++;
	else
		sound_receive(job);
}

/* The encoder takes no infinities, which some decoders make of broken bytes. */
static float sound_limit(float sample)
{
	return sample > 1 ? 1 : sample > -1 ? sample : -1;
}

/* Appends n samples of `from`, beginning with that one; NULL: silence. */
static void sound_append(struct sound_job *job, const AVFrame *from, int first, int64_t n)
{
	struct sound_codec *codec = job->codec;
	int channels = codec->encoder->ch_layout.nb_channels;
	bool planar = av_sample_fmt_is_planar(codec->encoder->sample_fmt);
	int step = planar ? 1 : channels;

	while (n > 0) {
		int room = codec->encoder->frame_size - codec->filled;
		int part = n < room ? (int)n : room;

		if (av_frame_make_writable(codec->frame) < 0)
			abort();
		for (int c = 0; c < channels; c++) {
			float *to = planar ? (float *)(void *)codec->frame->data[c]
					   : (float *)(void *)codec->frame->data[0] + c;
			const float *samples =
				from ? (const float *)(const void *)from->data[c] + first : NULL;

			for (int i = 0; i < part; i++)
				to[(codec->filled + i) * step] =
					samples ? sound_limit(samples[i]) : 0;
		}
		first += part;
		n -= part;
		codec->filled += part;
		if (codec->filled == codec->encoder->frame_size)
			sound_encode(job);
	}
}

/* Appends n converted samples, the first of which belongs to the instant `at`. */
static void sound_place(struct sound_job *job, int64_t at, int n)
{
	struct sound_codec *codec = job->codec;
	int64_t second = codec->encoder->sample_rate, gap = second * SOUND_GAP_MS / 1000;
	int64_t ahead;
	int skip = 0;

	if (codec->start == AV_NOPTS_VALUE)
		codec->start = at;
	ahead = at - codec->start - codec->filled;
	codec->behind = 0;
	if (ahead > second || ahead < -second) {
		if (codec->filled)
			sound_append(job, NULL, 0, codec->encoder->frame_size - codec->filled);
		codec->start = at;
	} else if (ahead >= gap) {
		sound_append(job, NULL, 0, ahead);
	} else if (ahead <= -gap) {
		skip = -ahead < n ? (int)-ahead : n;
	} else {
		codec->behind = ahead;
	}
	sound_append(job, codec->converted, skip, n - skip);
}

static int sound_fit_converter(struct sound_codec *codec)
{
	const AVFrame *decoded = codec->decoded;
	AVCodecContext *encoder = codec->encoder;

	if (codec->converter && codec->rate == decoded->sample_rate &&
		codec->format == decoded->format &&
		!av_channel_layout_compare(&codec->layout, &decoded->ch_layout))
		return 0;
	swr_free(&codec->converter);
	codec->rate = decoded->sample_rate;
	codec->format = decoded->format;
	if (av_channel_layout_copy(&codec->layout, &decoded->ch_layout) < 0 ||
		swr_alloc_set_opts2(&codec->converter, &encoder->ch_layout, AV_SAMPLE_FMT_FLTP,
			encoder->sample_rate, &codec->layout, decoded->format, codec->rate, 0,
			NULL) < 0 ||
		swr_init(codec->converter) < 0) {
		swr_free(&codec->converter);
		return -1;
	}
	return 0;
}

/* Converts the decoded frame. Returns the number of samples, or a negative error. */
static int sound_convert(struct sound_codec *codec)
{
	const AVFrame *decoded = codec->decoded;
	int room = swr_get_out_samples(codec->converter, decoded->nb_samples);

	av_frame_unref(codec->converted);
	if (room <= 0 || sound_shape_frame(codec, codec->converted, AV_SAMPLE_FMT_FLTP, room) < 0)
		return -1;
	return swr_convert(codec->converter, codec->converted->extended_data, room,
		(const uint8_t **)(void *)decoded->extended_data, decoded->nb_samples);
}

static void sound_take(struct sound_job *job)
{
	struct sound_codec *codec = job->codec;
	int rate = codec->encoder->sample_rate;
	int64_t at = codec->decoded->pts;
	int n;

	if (at == AV_NOPTS_VALUE)
		at = job->packet->pts;
	at = av_rescale_q(at, codec->from_base, (AVRational){ 1, rate });
	if (codec->decoded->sample_rate <= 0 || codec->decoded->nb_samples <= 0 ||
		sound_fit_converter(codec) < 0) {
		job->dropped++;
		return;
	}
	at -= swr_get_delay(codec->converter, rate); /* what it holds back comes first */
	n = sound_convert(codec);
	if (n < 0)
		job->dropped++;
	else
		sound_place(job, at, n);
}

static void sound_job_run(struct worker_job *worker_job)
{
	struct sound_job *job = CONTAINER_OF(worker_job, struct sound_job, job);
	struct sound_codec *codec = job->codec;

	if (codec->stop)
		return;
	if (avcodec_send_packet(codec->decoder, job->packet) < 0)
		job->dropped++;
	while (avcodec_receive_frame(codec->decoder, codec->decoded) == 0) {
		sound_take(job);
		av_frame_unref(codec->decoded);
	}
}

static void sound_job_free(struct sound_job *job)
{
	for (size_t i = 0; i < job->packets_count; i++)
		av_packet_free(&job->packets[i]);
	av_packet_free(&job->packet);
	free(job);
}

/* --- reactor: the thread --- */

static struct sound_thread {
	struct worker *worker;
	unsigned users;
	struct reactor_dead dead;
} * sound_thread; /* of all sources; NULL while there are none */

static struct sound_thread *sound_thread_ref(void)
{
	if (!sound_thread) {
		sound_thread = xcalloc(1, sizeof(*sound_thread));
		sound_thread->worker = worker_new("sound", SOUND_ALL_JOBS, SOUND_ALL_BYTES);
	}
	sound_thread->users++;
	return sound_thread;
}

static void sound_thread_fini(void *object)
{
	struct sound_thread *thread = object;

	worker_free(thread->worker); /* waits for one packet at most: the others are stopped */
	free(thread);
}

static void sound_thread_unref(struct sound_thread *thread)
{
	if (--thread->users > 0)
		return;
	sound_thread = NULL;
	/* the last one may go from within the worker's `done` */
	reactor_free_later(&thread->dead, sound_thread_fini, thread);
}

/* --- reactor --- */

struct sound {
	AVCodecParameters *from, *parameters;
	struct sound_codec *codec;
	struct sound_thread *thread;
	sound_fn *on_packet; /* NULL once freed */
	void *arg;
	struct metric *dropped, *running;
	size_t jobs, bytes; /* on their way */
};

bool sound_is_needed(const AVCodecParameters *from, enum sound_target target)
{
	return from && from->codec_type == AVMEDIA_TYPE_AUDIO &&
	       from->codec_id != sound_targets[target].codec;
}

static void sound_fini(struct sound *sound)
{
	sound_codec_free(sound->codec);
	avcodec_parameters_free(&sound->from);
	avcodec_parameters_free(&sound->parameters);
	free(sound);
}

/* What the encoder makes. */
static AVCodecParameters *sound_describe(const AVCodecContext *encoder, const char **why)
{
	AVCodecParameters *parameters =
		encoder->codec_id == AV_CODEC_ID_AAC
			? codec_of_aac(encoder->extradata, (size_t)encoder->extradata_size, why)
			: codec_of_sound(encoder->codec_id, (uint32_t)encoder->sample_rate,
				  (unsigned)encoder->ch_layout.nb_channels, why);

	if (parameters)
		parameters->bit_rate = encoder->bit_rate;
	return parameters;
}

struct sound *sound_new(const AVCodecParameters *from, AVRational from_base,
	enum sound_target target, struct metric *dropped, sound_fn *on_packet, void *arg,
	const char **why)
{
	struct sound *sound = xcalloc(1, sizeof(*sound));

	sound->on_packet = on_packet;
	sound->arg = arg;
	sound->dropped = dropped;
	sound->codec = xcalloc(1, sizeof(*sound->codec));
	sound->codec->from_base = from_base;
	sound->from = avcodec_parameters_alloc();
	if (!sound->from || avcodec_parameters_copy(sound->from, from) < 0)
		abort();
	*why = sound_codec_open(sound->codec, from, &sound_targets[target]);
	if (!*why)
		sound->parameters = sound_describe(sound->codec->encoder, why);
	if (!sound->parameters) {
		sound_fini(sound);
		return NULL;
	}
	sound->running = metric_get(METRIC_SOUND_ENCODERS, codec_name(sound->parameters));
	metric_add(sound->running, 1);
	sound->thread = sound_thread_ref();
	return sound;
}

void sound_free(struct sound *sound)
{
	if (!sound)
		return;
	sound->on_packet = NULL;
	sound->codec->stop = true;
	metric_add(sound->running, -1);
	sound_thread_unref(sound->thread);
	if (!sound->jobs)
		sound_fini(sound); /* else the last job does it */
}

AVCodecParameters *sound_parameters(const struct sound *sound)
{
	return sound->parameters;
}

void sound_describe_track(const struct sound *sound, struct stream_track *track)
{
	track->parameters = sound->parameters;
	track->time_base = (AVRational){ 1, sound->parameters->sample_rate };
}

bool sound_fits(const struct sound *sound, const AVCodecParameters *from, AVRational base)
{
	const AVCodecParameters *made = sound->from;

	return made->codec_id == from->codec_id && made->sample_rate == from->sample_rate &&
	       made->bits_per_coded_sample == from->bits_per_coded_sample &&
	       !av_channel_layout_compare(&made->ch_layout, &from->ch_layout) &&
	       made->extradata_size == from->extradata_size &&
	       (!made->extradata_size ||
		       !memcmp(made->extradata, from->extradata, (size_t)made->extradata_size)) &&
	       !av_cmp_q(sound->codec->from_base, base);
}

const char *sound_fit(struct sound **sound, struct stream_track *track, bool wanted,
	struct metric *dropped, sound_fn *on_packet, void *arg)
{
	const char *why = NULL;

	wanted = wanted && sound_is_needed(track->parameters, SOUND_AAC);
	if (*sound && (!wanted || !sound_fits(*sound, track->parameters, track->time_base))) {
		sound_free(*sound);
		*sound = NULL;
	}
	if (!*sound && wanted)
		*sound = sound_new(track->parameters, track->time_base, SOUND_AAC, dropped,
			on_packet, arg, &why);
	if (*sound)
		sound_describe_track(*sound, track);
	return why;
}

static void sound_drop(struct sound *sound, unsigned n)
{
	if (sound->dropped && n)
		metric_add(sound->dropped, n);
}

static void sound_job_done(struct worker_job *worker_job)
{
	struct sound_job *job = CONTAINER_OF(worker_job, struct sound_job, job);
	struct sound *sound = job->sound;

	for (size_t i = 0; i < job->packets_count && sound->on_packet; i++)
		sound->on_packet(sound->arg, job->packets[i]);
	if (sound->on_packet)
		sound_drop(sound, job->dropped);
	sound->bytes -= job->job.bytes;
	if (--sound->jobs == 0 && !sound->on_packet)
		sound_fini(sound);
	sound_job_free(job);
}

void sound_push(struct sound *sound, const AVPacket *packet)
{
	size_t bytes = sizeof(struct sound_job) + (size_t)packet->size;
	struct sound_job *job;

	if (packet->size <= 0 || packet->pts == AV_NOPTS_VALUE || sound->jobs >= SOUND_JOBS ||
		bytes > SOUND_BYTES - sound->bytes) {
		sound_drop(sound, 1);
		return;
	}
	job = xcalloc(1, sizeof(*job));
	job->job =
		(struct worker_job){ .run = sound_job_run, .done = sound_job_done, .bytes = bytes };
	job->sound = sound;
	job->codec = sound->codec;
	job->packet = av_packet_clone(packet);
	if (!job->packet)
		abort();
	if (worker_post(sound->thread->worker, &job->job) < 0) {
		sound_job_free(job);
		sound_drop(sound, 1);
		return;
	}
	sound->jobs++;
	sound->bytes += bytes;
}
