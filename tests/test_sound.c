/* Sound made AAC or Opus: it is the same sound, at the same time; gaps, leaps, drift and floods. */
#include "server/media/sound.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>

#include <cmocka.h>

#include "server/base/metrics.h"
#include "server/media/aac.h"
#include "server/media/codec.h"
#include "tests/reactor_until.h"

enum {
	START_S = 1795185000, /* 2026-11-20 14:30:00 UTC */
	SECONDS = 75,         /* of what is heard at most */
	BEFORE_S = 10,        /* of it before the start */
	FRAME = 1024,         /* of AAC */
	OPUS_FRAME = 960,
	QUEUE_JOBS = 512, /* of one source: its header says so */
	QUEUE_BYTES = 1 << 20,
};

struct source {
	const char *label;
	enum AVCodecID id;
	const char *encoder;
	int hz, channels;
	int clock_hz; /* that packets count by */
	int made_hz;
	enum sound_target target;
};

static const struct source mulaw = { "mu-law", AV_CODEC_ID_PCM_MULAW, "pcm_mulaw", 8000, 1, 8000,
	8000, SOUND_AAC };

/* --- what goes in: sweeps from 300 to 1700 Hz, so that each place is unlike those around it --- */

static double tone(double s)
{
	double at = s - floor(s / 0.7) * 0.7;

	return s < 0 ? 0 : 0.4 * sin(2 * M_PI * (300 * at + 1000 * at * at));
}

struct packets {
	AVPacket *list[4096];
	size_t n;
};

static void packets_take(struct packets *packets, AVCodecContext *encoder)
{
	AVPacket *packet = av_packet_alloc();

	while (avcodec_receive_packet(encoder, packet) == 0) {
		assert_true(packets->n < ARRAY_LENGTH(packets->list));
		packets->list[packets->n++] = packet;
		packet = av_packet_alloc();
	}
	av_packet_free(&packet);
}

/* Packets of 20 ms, or as long as the codec has them; pts counts samples from 0. */
static void packets_make(struct packets *packets, const struct source *source, int seconds)
{
	AVCodecContext *encoder =
		avcodec_alloc_context3(avcodec_find_encoder_by_name(source->encoder));
	AVFrame *frame = av_frame_alloc();

	assert_non_null(encoder);
	packets->n = 0;
	encoder->sample_fmt = AV_SAMPLE_FMT_S16;
	encoder->sample_rate = source->hz;
	encoder->time_base = (AVRational){ 1, source->hz };
	encoder->bit_rate = source->id == AV_CODEC_ID_ADPCM_G726LE ? 32000 : 128000;
	av_channel_layout_default(&encoder->ch_layout, source->channels);
	assert_int_equal(avcodec_open2(encoder, NULL, NULL), 0);
	frame->format = AV_SAMPLE_FMT_S16;
	frame->sample_rate = source->hz;
	frame->nb_samples = encoder->frame_size ? encoder->frame_size : source->hz / 50;
	av_channel_layout_copy(&frame->ch_layout, &encoder->ch_layout);
	assert_int_equal(av_frame_get_buffer(frame, 0), 0);
	for (frame->pts = 0; frame->pts < seconds * source->hz; frame->pts += frame->nb_samples) {
		assert_int_equal(av_frame_make_writable(frame), 0);
		for (int i = 0; i < frame->nb_samples * source->channels; i++) {
			int64_t at = frame->pts + i / source->channels;

			((int16_t *)(void *)frame->data[0])[i] =
				(int16_t)lrint(32767 * tone((double)at / source->hz));
		}
		assert_int_equal(avcodec_send_frame(encoder, frame), 0);
		packets_take(packets, encoder);
	}
	av_frame_free(&frame);
	avcodec_free_context(&encoder);
}

/* For those that are pushed as they are. */
static void packets_shift(struct packets *packets, const struct source *source)
{
	for (size_t i = 0; i < packets->n; i++)
		packets->list[i]->pts += (int64_t)START_S * source->clock_hz;
}

static void packets_free(struct packets *packets)
{
	for (size_t i = 0; i < packets->n; i++)
		av_packet_free(&packets->list[i]);
	packets->n = 0;
}

/* --- what comes out --- */

struct listener {
	const struct source *source;
	struct sound *sound;
	struct metric *dropped;
	double dropped_before;
	AVCodecContext *decoder;
	AVFrame *frame;
	int hz, samples, count, free_at; /* free_at: the frame in which it is freed; 0: none */
	int64_t first, last, shortest, longest;
	float *heard; /* by time, from BEFORE_S before the start */
};

static void listener_decode(struct listener *l, AVPacket *packet)
{
	int64_t at = packet->pts - (int64_t)(START_S - BEFORE_S) * l->hz;

	assert_int_equal(avcodec_send_packet(l->decoder, packet), 0);
	while (avcodec_receive_frame(l->decoder, l->frame) == 0) {
		assert_int_equal(l->frame->nb_samples, l->samples);
		assert_int_equal(l->frame->sample_rate, l->hz);
		assert_int_equal(l->frame->format, AV_SAMPLE_FMT_FLTP);
		assert_true(at >= 0 && at + l->samples <= (int64_t)SECONDS * l->hz);
		memcpy(l->heard + at, l->frame->data[0], (size_t)l->samples * sizeof(float));
	}
}

static void on_packet(void *arg, AVPacket *packet)
{
	struct listener *l = arg;
	int64_t step = packet->pts - l->last;

	assert_non_null(l->sound); /* not after it was freed */
	assert_int_equal(packet->pts, packet->dts);
	assert_int_equal(packet->duration, l->samples);
	assert_int_equal(packet->flags, AV_PKT_FLAG_KEY);
	if (!l->count++)
		l->first = packet->pts;
	else {
		l->shortest = step < l->shortest ? step : l->shortest;
		l->longest = step > l->longest ? step : l->longest;
	}
	l->last = packet->pts;
	listener_decode(l, packet);
	if (l->count == l->free_at) {
		sound_free(l->sound);
		l->sound = NULL;
	}
}

static void check_aac_config(const AVCodecParameters *p)
{
	struct aac_config config;
	const char *why;

	assert_int_equal(
		aac_config_parse(&config, p->extradata, (size_t)p->extradata_size, &why), 0);
	assert_int_equal(config.object_type, 2);
	assert_int_equal(config.sample_rate, p->sample_rate);
	assert_int_equal(config.channels, p->ch_layout.nb_channels);
	assert_int_equal(config.frame_samples, FRAME);
}

static void check_parameters(const struct source *source, const AVCodecParameters *p)
{
	assert_int_equal(p->codec_type, AVMEDIA_TYPE_AUDIO);
	assert_int_equal(
		p->codec_id, source->target == SOUND_OPUS ? AV_CODEC_ID_OPUS : AV_CODEC_ID_AAC);
	assert_int_equal(p->sample_rate, source->made_hz);
	assert_int_equal(p->ch_layout.nb_channels, source->channels > 1 ? 2 : 1);
	if (source->target != SOUND_OPUS)
		check_aac_config(p);
}

static void listener_start(struct listener *l, const struct source *source)
{
	AVRational base = { 1, source->clock_hz };
	AVCodecParameters *from;
	const char *why = "";

	*l = (struct listener){ .source = source, .shortest = INT64_MAX, .longest = INT64_MIN };
	reactor_init();
	from = codec_of_sound(source->id, (uint32_t)source->hz, (unsigned)source->channels, &why);
	assert_non_null(from);
	assert_true(sound_is_needed(from, source->target));
	l->dropped = metric_get(METRIC_CAMERA_DROPPED_FRAMES, "porch");
	l->dropped_before = metric_value(l->dropped);
	l->sound = sound_new(from, base, source->target, l->dropped, on_packet, l, &why);
	if (!l->sound)
		fail_msg("%s: %s", source->label, why);
	assert_true(sound_fits(l->sound, from, base));
	from->sample_rate++;
	assert_false(sound_fits(l->sound, from, base));
	avcodec_parameters_free(&from);
	check_parameters(source, sound_parameters(l->sound));
	l->hz = source->made_hz;
	l->samples = source->target == SOUND_OPUS ? OPUS_FRAME : FRAME;
	l->heard = calloc((size_t)SECONDS * (size_t)l->hz, sizeof(float));
	l->frame = av_frame_alloc();
	l->decoder =
		avcodec_alloc_context3(avcodec_find_decoder(sound_parameters(l->sound)->codec_id));
	l->decoder->thread_count = 1;
	l->decoder->flags2 |= AV_CODEC_FLAG2_SKIP_MANUAL; /* who listens to RTP skips nothing */
	assert_int_equal(avcodec_parameters_to_context(l->decoder, sound_parameters(l->sound)), 0);
	assert_int_equal(avcodec_open2(l->decoder, NULL, NULL), 0);
}

static void listener_stop(struct listener *l)
{
	sound_free(l->sound);
	l->sound = NULL;
	reactor_fini();
	avcodec_free_context(&l->decoder);
	av_frame_free(&l->frame);
	free(l->heard);
}

static double listener_dropped(const struct listener *l)
{
	return metric_value(l->dropped) - l->dropped_before;
}

static void listener_wait(void)
{
	struct metric *jobs = metric_get(METRIC_WORKER_JOBS, "sound");

	REACTOR_UNTIL(metric_value(jobs) == 0);
}

/* Pushes packets [from, to), late by so many seconds. */
static void listener_push(
	struct listener *l, const struct packets *packets, size_t from, size_t to, double late_s)
{
	for (size_t i = from; i < to && l->sound; i++) {
		AVPacket *packet = av_packet_clone(packets->list[i]);
		double s = (double)packet->pts / l->source->hz + late_s;

		packet->pts = packet->dts =
			(int64_t)START_S * l->source->clock_hz + llrint(s * l->source->clock_hz);
		sound_push(l->sound, packet);
		av_packet_free(&packet);
		if (i % 16 == 15)
			listener_wait();
	}
	listener_wait();
}

/* How alike are what is heard and the tone, which came so many samples later? 1: the same. */
static double alike(
	const struct listener *l, double from_s, double length_s, double late_s, int lag)
{
	int64_t first = llrint((BEFORE_S + from_s) * l->hz), n = llrint(length_s * l->hz);
	double both = 0, one = 1e-9, other = 1e-9;

	for (int64_t i = first; i < first + n; i++) {
		double a = (double)l->heard[i];
		double b = tone((double)(i - lag) / l->hz - BEFORE_S - late_s);

		both += a * b;
		one += a * a;
		other += b * b;
	}
	return both / sqrt(one * other);
}

/* The tone is heard there, within 5 ms of its time. Returns how many samples late. */
static int check_heard(const struct listener *l, double from_s, double length_s, double late_s)
{
	int most = l->hz / 50, best = 0;
	double best_alike = -1;

	for (int lag = -most; lag <= most; lag++) {
		double now = alike(l, from_s, length_s, late_s, lag);

		if (now > best_alike) {
			best_alike = now;
			best = lag;
		}
	}
	print_message("%s: alike %.3f, late by %.2f ms\n", l->source->label, best_alike,
		1000.0 * best / l->hz);
	assert_true(best_alike > 0.8);
	assert_true(abs(best) * 1000 <= 5 * l->hz);
	return best;
}

static double loudness(const struct listener *l, double from_s, double length_s)
{
	int64_t first = llrint((BEFORE_S + from_s) * l->hz), n = llrint(length_s * l->hz);
	double sum = 0;

	for (int64_t i = first; i < first + n; i++)
		sum += (double)l->heard[i] * (double)l->heard[i];
	return sqrt(sum / (double)n);
}

/* --- tests --- */

static void test_sound_is_the_same_at_the_same_time(void **state)
{
	// clang-format off
	static const struct source rows[] = {
		{ "mu-law",                AV_CODEC_ID_PCM_MULAW,    "pcm_mulaw", 8000,  1, 8000,  8000,  SOUND_AAC },
		{ "A-law, 16 kHz",         AV_CODEC_ID_PCM_ALAW,     "pcm_alaw",  16000, 1, 16000, 16000, SOUND_AAC },
		{ "mu-law by 90k",         AV_CODEC_ID_PCM_MULAW,    "pcm_mulaw", 8000,  1, 90000, 8000,  SOUND_AAC },
		{ "mu-law by ms",          AV_CODEC_ID_PCM_MULAW,    "pcm_mulaw", 8000,  1, 1000,  8000,  SOUND_AAC },
		{ "G.726",                 AV_CODEC_ID_ADPCM_G726LE, "g726le",    8000,  1, 8000,  8000,  SOUND_AAC },
		{ "L16 stereo",            AV_CODEC_ID_PCM_S16BE,    "pcm_s16be", 44100, 2, 44100, 44100, SOUND_AAC },
		{ "L16, 10 kHz",           AV_CODEC_ID_PCM_S16BE,    "pcm_s16be", 10000, 1, 10000, 11025, SOUND_AAC },
		{ "L16, 96 kHz",           AV_CODEC_ID_PCM_S16BE,    "pcm_s16be", 96000, 1, 96000, 48000, SOUND_AAC },
		{ "L16, 4 channels",       AV_CODEC_ID_PCM_S16BE,    "pcm_s16be", 16000, 4, 16000, 16000, SOUND_AAC },
		{ "Opus",                  AV_CODEC_ID_OPUS,         "libopus",   48000, 2, 48000, 48000, SOUND_AAC },
		{ "mu-law, soon",          AV_CODEC_ID_PCM_MULAW,    "pcm_mulaw", 8000,  1, 8000,  48000, SOUND_AAC_SOON },
		{ "L16 stereo, soon",      AV_CODEC_ID_PCM_S16BE,    "pcm_s16be", 44100, 2, 44100, 48000, SOUND_AAC_SOON },
		{ "mu-law to Opus",        AV_CODEC_ID_PCM_MULAW,    "pcm_mulaw", 8000,  1, 8000,  48000, SOUND_OPUS },
		{ "G.726 to Opus",         AV_CODEC_ID_ADPCM_G726LE, "g726le",    8000,  1, 8000,  48000, SOUND_OPUS },
		{ "L16 stereo to Opus",    AV_CODEC_ID_PCM_S16BE,    "pcm_s16be", 44100, 2, 44100, 48000, SOUND_OPUS },
	};
	// clang-format on
	struct packets packets;
	struct listener l;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (!avcodec_find_encoder_by_name(rows[i].encoder))
			continue;
		packets_make(&packets, &rows[i], 3);
		listener_start(&l, &rows[i]);
		listener_push(&l, &packets, 0, packets.n, 0);
		assert_int_equal((int)listener_dropped(&l), 0);
		/* all but what two frames hold back, and what the resampler does */
		assert_in_range(l.last + l.samples - l.first, 3 * l.hz - 3 * l.samples,
			3 * l.hz + l.hz / 8);
		assert_in_range(l.first, (int64_t)START_S * l.hz - l.hz / 50,
			(int64_t)START_S * l.hz + l.hz / 1000);
		assert_int_equal(l.shortest, l.samples);
		assert_int_equal(l.longest, l.samples);
		(void)check_heard(&l, 1, 0.5, 0);
		packets_free(&packets);
		listener_stop(&l);
	}
}

/* After a minute the sound is where it was at the beginning, to the sample. */
static void test_minute_has_no_drift(void **state)
{
	static const struct source rows[] = {
		{"a minute, AAC",   AV_CODEC_ID_PCM_ALAW, "pcm_alaw", 8000, 1, 8000, 48000,
                 SOUND_AAC_SOON},
		{ "a minute, Opus", AV_CODEC_ID_PCM_ALAW, "pcm_alaw", 8000, 1, 8000, 48000,
                 SOUND_OPUS    },
	};
	struct packets packets;
	struct listener l;
	int first;

	(void)state;
	packets_make(&packets, &rows[0], 60);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		listener_start(&l, &rows[i]);
		listener_push(&l, &packets, 0, packets.n, 0);
		assert_int_equal(l.shortest, l.samples);
		assert_int_equal(l.longest, l.samples);
		first = check_heard(&l, 1, 0.5, 0);
		assert_true(abs(check_heard(&l, 59, 0.5, 0) - first) <= 1);
		assert_int_equal((int)listener_dropped(&l), 0);
		listener_stop(&l);
	}
	packets_free(&packets);
}

static void test_missing_packets_become_silence(void **state)
{
	struct packets packets;
	struct listener l;

	(void)state;
	packets_make(&packets, &mulaw, 4);
	listener_start(&l, &mulaw);
	listener_push(&l, &packets, 0, 50, 0);
	listener_push(&l, &packets, 51, 75, 0);         /* 20 ms are missing at 1.0 */
	listener_push(&l, &packets, 100, packets.n, 0); /* half a second at 1.5 */
	assert_int_equal(l.shortest, FRAME);
	assert_int_equal(l.longest, FRAME);
	(void)check_heard(&l, 0.5, 0.4, 0);
	(void)check_heard(&l, 1.05, 0.4, 0);
	assert_true(loudness(&l, 1.6, 0.3) < 0.01);
	(void)check_heard(&l, 2.05, 1, 0);
	packets_free(&packets);
	listener_stop(&l);
}

static void test_long_gap_is_passed_on(void **state)
{
	struct packets packets;
	struct listener l;

	(void)state;
	packets_make(&packets, &mulaw, 4);
	listener_start(&l, &mulaw);
	listener_push(&l, &packets, 0, 95, 0);
	listener_push(&l, &packets, 95, packets.n, 10);
	assert_int_equal(l.shortest, FRAME);
	assert_in_range(l.longest, 10 * 8000 - FRAME, 10 * 8000 + FRAME);
	(void)check_heard(&l, 1, 0.5, 0);
	(void)check_heard(&l, 12.5, 1, 10);
	packets_free(&packets);
	listener_stop(&l);
}

static void test_overlap_is_left_out(void **state)
{
	struct packets packets;
	struct listener l;

	(void)state;
	packets_make(&packets, &mulaw, 4);
	listener_start(&l, &mulaw);
	listener_push(&l, &packets, 0, 100, 0);
	listener_push(&l, &packets, 100, packets.n, -0.1);
	assert_int_equal(l.shortest, FRAME);
	assert_int_equal(l.longest, FRAME);
	(void)check_heard(&l, 1, 0.5, 0);
	(void)check_heard(&l, 2.2, 1, -0.1);
	packets_free(&packets);
	listener_stop(&l);
}

static void test_leap_back_is_passed_on(void **state)
{
	struct packets packets;
	struct listener l;

	(void)state;
	packets_make(&packets, &mulaw, 4);
	listener_start(&l, &mulaw);
	listener_push(&l, &packets, 0, 100, 0);
	listener_push(&l, &packets, 100, packets.n, -9);
	assert_in_range(-l.shortest, 9 * 8000 - 2 * FRAME, 9 * 8000);
	(void)check_heard(&l, -6.5, 1, -9);
	packets_free(&packets);
	listener_stop(&l);
}

/* A camera's clock is steered by 500 ppm at most: the sound follows without a break. */
static void test_drift_is_followed(void **state)
{
	struct packets packets;
	struct listener l;

	(void)state;
	packets_make(&packets, &mulaw, 15);
	listener_start(&l, &mulaw);
	for (size_t i = 0; i < packets.n; i++)
		listener_push(
			&l, &packets, i, i + 1, -500e-6 * (double)packets.list[i]->pts / 8000);
	assert_int_equal(l.shortest, FRAME - 1);
	assert_int_equal(l.longest, FRAME);
	(void)check_heard(&l, 13.5, 0.5, -500e-6 * 13.75);
	packets_free(&packets);
	listener_stop(&l);
}

static void test_full_queue_drops(void **state)
{
	struct packets packets;
	struct listener l;
	AVPacket *large = av_packet_alloc();

	(void)state;
	packets_make(&packets, &mulaw, 12);
	listener_start(&l, &mulaw);
	packets_shift(&packets, &mulaw);
	for (size_t i = 0; i < packets.n; i++)
		sound_push(l.sound, packets.list[i]);
	assert_int_equal((int)listener_dropped(&l), (int)packets.n - QUEUE_JOBS);
	listener_wait();
	assert_int_equal(av_new_packet(large, QUEUE_BYTES), 0);
	large->pts = 0;
	sound_push(l.sound, large);
	assert_int_equal((int)listener_dropped(&l), (int)packets.n - QUEUE_JOBS + 1);
	av_packet_free(&large);
	packets_free(&packets);
	listener_stop(&l);
}

/* It goes while packets are on their way: from outside, from its own callback, with the reactor. */
static void test_free_with_packets_on_their_way(void **state)
{
	struct packets packets;
	struct listener l;

	(void)state;
	packets_make(&packets, &mulaw, 12);
	packets_shift(&packets, &mulaw);
	for (int turns = 0; turns < 4; turns++) {
		listener_start(&l, &mulaw);
		for (size_t i = 0; i < QUEUE_JOBS; i++)
			sound_push(l.sound, packets.list[i]);
		for (int i = 0; i < turns; i++)
			(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
		listener_stop(&l);
	}
	listener_start(&l, &mulaw);
	l.free_at = 3;
	for (size_t i = 0; i < QUEUE_JOBS; i++)
		sound_push(l.sound, packets.list[i]);
	listener_wait();
	assert_null(l.sound);
	assert_int_equal(l.count, 3);
	listener_stop(&l);
	packets_free(&packets);
}

static void test_sources_share_the_worker(void **state)
{
	struct packets packets;
	struct listener one, other;
	AVCodecParameters *from;
	const char *why;

	(void)state;
	packets_make(&packets, &mulaw, 2);
	listener_start(&one, &mulaw);
	other = one;
	from = codec_of_sound(AV_CODEC_ID_PCM_MULAW, 8000, 1, &why);
	assert_non_null(from);
	other.heard = calloc((size_t)SECONDS * 8000, sizeof(float));
	other.sound =
		sound_new(from, (AVRational){ 1, 8000 }, SOUND_AAC, NULL, on_packet, &other, &why);
	assert_non_null(other.sound);
	for (size_t i = 0; i < packets.n; i++) {
		listener_push(&one, &packets, i, i + 1, 0);
		if (i % 2 == 0 && i > 50)
			listener_push(&other, &packets, i, i + 1, 0);
	}
	assert_in_range(one.count, 13, 15);
	assert_in_range(other.count, 5, 6);
	sound_free(other.sound);
	free(other.heard);
	avcodec_parameters_free(&from);
	listener_stop(&one);
	packets_free(&packets);
}

static void test_garbage_is_counted(void **state)
{
	static const struct source opus = { "Opus", AV_CODEC_ID_OPUS, "libopus", 48000, 2, 48000,
		48000, SOUND_AAC };
	struct packets packets = { .n = 200 };
	struct listener l;
	uint32_t seed = 1;

	(void)state;
	listener_start(&l, &opus);
	for (size_t i = 0; i < packets.n; i++) {
		packets.list[i] = av_packet_alloc();
		assert_int_equal(av_new_packet(packets.list[i], 1 + (int)i * 2), 0);
		for (int k = 0; k < packets.list[i]->size; k++)
			packets.list[i]->data[k] =
				(uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
		packets.list[i]->pts = (int64_t)i * 960;
	}
	listener_push(&l, &packets, 0, packets.n, 0);
	assert_in_range((int)listener_dropped(&l), 1, 200);
	packets_free(&packets);
	listener_stop(&l);
}

/* What a camera sends reaches only decoders that were chosen for that. */
static void test_few_decoders_are_used(void **state)
{
	static const struct {
		enum AVCodecID codec;
		bool may;
	} rows[] = {
		{AV_CODEC_ID_MP2,        true },
		{ AV_CODEC_ID_AAC_LATM,  true },
		{ AV_CODEC_ID_PCM_S16LE, true },
		{ AV_CODEC_ID_COOK,      false},
		{ AV_CODEC_ID_PCM_LXF,   false},
		{ AV_CODEC_ID_NONE,      false},
	};
	const char *why;

	(void)state;
	reactor_init();
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		AVCodecParameters from = { .codec_type = AVMEDIA_TYPE_AUDIO,
			.codec_id = rows[i].codec,
			.sample_rate = 48000 };
		struct sound *sound;

		av_channel_layout_default(&from.ch_layout, 1);
		sound = sound_new(
			&from, (AVRational){ 1, 48000 }, SOUND_AAC, NULL, on_packet, NULL, &why);
		assert_int_equal(sound != NULL, rows[i].may);
		sound_free(sound);
	}
	reactor_fini();
}

static void test_what_cannot_be_decoded_is_refused(void **state)
{
	const AVRational base = { 1, 8000 };
	AVCodecParameters *from = avcodec_parameters_alloc();
	const char *why;

	(void)state;
	reactor_init();
	assert_false(sound_is_needed(NULL, SOUND_AAC));
	assert_false(sound_is_needed(from, SOUND_AAC));
	from->codec_type = AVMEDIA_TYPE_AUDIO;
	from->codec_id = AV_CODEC_ID_AAC;
	assert_false(sound_is_needed(from, SOUND_AAC));
	assert_true(sound_is_needed(from, SOUND_OPUS));
	from->codec_id = AV_CODEC_ID_PCM_MULAW;
	assert_null(sound_new(from, base, SOUND_AAC, NULL, on_packet, NULL, &why));
	assert_string_equal(why, "its rate or channels are unknown");
	from->codec_id = AV_CODEC_ID_TTML;
	from->sample_rate = 8000;
	av_channel_layout_default(&from->ch_layout, 1);
	assert_null(sound_new(from, base, SOUND_AAC, NULL, on_packet, NULL, &why));
	assert_string_equal(why, "libavcodec has no decoder that opens");
	avcodec_parameters_free(&from);
	sound_free(NULL);
	reactor_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound_is_the_same_at_the_same_time),
		cmocka_unit_test(test_minute_has_no_drift),
		cmocka_unit_test(test_missing_packets_become_silence),
		cmocka_unit_test(test_long_gap_is_passed_on),
		cmocka_unit_test(test_overlap_is_left_out),
		cmocka_unit_test(test_leap_back_is_passed_on),
		cmocka_unit_test(test_drift_is_followed),
		cmocka_unit_test(test_full_queue_drops),
		cmocka_unit_test(test_free_with_packets_on_their_way),
		cmocka_unit_test(test_sources_share_the_worker),
		cmocka_unit_test(test_garbage_is_counted),
		cmocka_unit_test(test_few_decoders_are_used),
		cmocka_unit_test(test_what_cannot_be_decoded_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
