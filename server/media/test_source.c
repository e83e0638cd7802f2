#include "server/media/test_source.h"

#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "server/base/worker.h"
#include "server/media/codec.h"
#include "server/media/h264.h"
#include "server/media/test_source_private.h"

/*
 * The test camera. A timer of the reactor posts one job per picture to a worker, which draws and
 * encodes it and the sound up to it; a beat that finds the worker still busy is left out.
 */

enum {
	TEST_FPS = 15,
	TEST_GOP = 2 * TEST_FPS,
	TEST_VIDEO_BITS = 400000,
	TEST_VIDEO_HZ = 90000,
	TEST_AUDIO_HZ = 48000,
	TEST_AUDIO_BITS = 64000,
	TEST_TONE_SAMPLES = 1200,   /* 11 periods of 440 Hz */
	TEST_JOB_BYTES = 256 << 10, /* what its packets hold at most, by far */
	TEST_PACKETS = 24,          /* of a job: one picture, and a second of sound */
};

/* --- worker: the encoders --- */

/* Used by the worker while a job runs, by the reactor (the tracks) only between jobs. */
struct test_maker {
	int64_t utc_us; /* of beat 0 */

	AVCodecContext *video;
	AVFrame *picture;
	struct h264_sets sets;
	AVCodecParameters *video_parameters;

	AVCodecContext *audio; /* NULL where libavcodec has no AAC encoder */
	AVFrame *sound;
	AVCodecParameters *audio_parameters;
	int64_t samples; /* made or left out since beat 0 */
	float tone[TEST_TONE_SAMPLES];

	AVPacket *encoded;
};

struct test_job {
	struct worker_job job;
	struct test_source *source; /* reactor */
	struct test_maker *maker;
	int64_t beat;

	AVPacket *packets[TEST_PACKETS]; /* the result */
	size_t packets_count;
	enum source_end end; /* SOURCE_STOPPED: none */
	const char *detail;
};

static int64_t test_time(int64_t us, int64_t hz)
{
	return us / 1000000 * hz + us % 1000000 * hz / 1000000;
}

static AVCodecContext *test_new_context(const AVCodec *codec)
{
	AVCodecContext *context = codec ? avcodec_alloc_context3(codec) : NULL;

	if (context) {
		context->thread_count = 1;
		/* Errors alone go to the log, not the encoders' statistics. */
		context->log_level_offset = AV_LOG_INFO - AV_LOG_ERROR;
	}
	return context;
}

static int test_open_video(struct test_maker *maker)
{
	const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
	AVCodecContext *context =
		test_new_context(codec ? codec : avcodec_find_encoder(AV_CODEC_ID_H264));

	maker->video = context;
	if (!context)
		return -1;
	context->width = TEST_WIDTH;
	context->height = TEST_HEIGHT;
	context->pix_fmt = AV_PIX_FMT_YUV420P;
	context->time_base = (AVRational){ 1, TEST_FPS };
	context->framerate = (AVRational){ TEST_FPS, 1 };
	context->gop_size = TEST_GOP;
	context->max_b_frames = 0;
	context->bit_rate = TEST_VIDEO_BITS;
	context->rc_max_rate = TEST_VIDEO_BITS;
	context->rc_buffer_size = TEST_VIDEO_BITS;
	/* libx264's names; another encoder goes without */
	(void)av_opt_set(context->priv_data, "preset", "ultrafast", 0);
	(void)av_opt_set(context->priv_data, "tune", "zerolatency", 0);
	if (avcodec_open2(context, context->codec, NULL) < 0)
		return -1;
	maker->picture = av_frame_alloc();
	if (!maker->picture)
		return -1;
	maker->picture->format = AV_PIX_FMT_YUV420P;
	maker->picture->width = TEST_WIDTH;
	maker->picture->height = TEST_HEIGHT;
	if (av_frame_get_buffer(maker->picture, 0) < 0)
		return -1;
	test_picture_prepare(maker->picture);
	return 0;
}

/* A sine by recurrence: sin(n + 1) = 2 cos(step) sin(n) - sin(n - 1). */
static void test_make_tone(struct test_maker *maker)
{
	const double twice_cosine = 1.996683647; /* of 2 pi 440 / 48000 */
	double before = -0.05756402696;
	double now = 0;

	for (size_t i = 0; i < TEST_TONE_SAMPLES; i++) {
		double next = twice_cosine * now - before;

		maker->tone[i] = (float)now;
		before = now;
		now = next;
	}
}

static int test_open_audio(struct test_maker *maker)
{
	AVCodecContext *context = test_new_context(avcodec_find_encoder(AV_CODEC_ID_AAC));
	const char *why;

	maker->audio = context;
	if (!context)
		return -1;
	context->sample_rate = TEST_AUDIO_HZ;
	context->sample_fmt = AV_SAMPLE_FMT_FLTP;
	context->time_base = (AVRational){ 1, TEST_AUDIO_HZ };
	context->bit_rate = TEST_AUDIO_BITS;
	context->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	av_channel_layout_default(&context->ch_layout, 1);
	if (avcodec_open2(context, context->codec, NULL) < 0 || context->extradata_size <= 0)
		return -1;
	maker->audio_parameters =
		codec_of_aac(context->extradata, (size_t)context->extradata_size, &why);
	maker->sound = av_frame_alloc();
	if (!maker->audio_parameters || !maker->sound)
		return -1;
	maker->sound->format = AV_SAMPLE_FMT_FLTP;
	maker->sound->sample_rate = TEST_AUDIO_HZ;
	maker->sound->nb_samples = context->frame_size;
	av_channel_layout_default(&maker->sound->ch_layout, 1);
	test_make_tone(maker);
	return av_frame_get_buffer(maker->sound, 0);
}

static void test_close_audio(struct test_maker *maker)
{
	avcodec_free_context(&maker->audio);
	avcodec_parameters_free(&maker->audio_parameters);
	av_frame_free(&maker->sound);
}

static int test_open(struct test_maker *maker)
{
	maker->encoded = av_packet_alloc();
	if (!maker->encoded || test_open_video(maker) < 0)
		return -1;
	if (test_open_audio(maker) < 0)
		test_close_audio(maker); /* a silent test camera is one still */
	return 0;
}

static void test_maker_free(struct test_maker *maker)
{
	test_close_audio(maker);
	avcodec_free_context(&maker->video);
	avcodec_parameters_free(&maker->video_parameters);
	av_frame_free(&maker->picture);
	av_packet_free(&maker->encoded);
	free(maker);
}

static void test_job_fail(struct test_job *job, enum source_end end, const char *detail)
{
	job->end = end;
	job->detail = detail;
}

/* --- worker: packets --- */

/* Whether a NAL unit goes into packets; parameter sets go to the track instead. */
static bool test_keeps_nal(const uint8_t *nal)
{
	switch (h264_nal_type(nal)) {
	case H264_SPS:
	case H264_PPS:
	case H264_AUD:
	case H264_FILLER:
		return false;
	default:
		return true;
	}
}

static void test_take_sets(struct test_maker *maker, const AVPacket *encoded)
{
	size_t n = (size_t)encoded->size;
	const uint8_t *nal;
	const char *why;
	size_t at = 0;
	size_t nal_bytes;

	if (maker->video_parameters)
		return;
	while ((nal = annexb_next(encoded->data, n, &at, &nal_bytes)))
		if (h264_sets_add(&maker->sets, nal, nal_bytes) < 0)
			continue; /* a slice */
	maker->video_parameters = codec_of_h264(&maker->sets, &why);
}

/* From start codes to 4-byte lengths. */
static AVPacket *test_packet_of_annexb(const AVPacket *encoded)
{
	AVPacket *packet = av_packet_alloc();
	size_t n = (size_t)encoded->size;
	const uint8_t *nal;
	size_t bytes = 0;
	size_t nal_bytes;
	uint8_t *to;

	for (size_t at = 0; (nal = annexb_next(encoded->data, n, &at, &nal_bytes));)
		bytes += test_keeps_nal(nal) ? 4 + nal_bytes : 0;
	if (!packet || av_new_packet(packet, (int)bytes) < 0) {
		av_packet_free(&packet);
		return NULL;
	}
	to = packet->data;
	for (size_t at = 0; (nal = annexb_next(encoded->data, n, &at, &nal_bytes));) {
		if (!test_keeps_nal(nal))
			continue;
		for (int shift = 24; shift >= 0; shift -= 8)
			*to++ = (uint8_t)(nal_bytes >> shift);
		memcpy(to, nal, nal_bytes);
		to += nal_bytes;
	}
	packet->flags = encoded->flags & AV_PKT_FLAG_KEY;
	return packet;
}

static void test_job_add(struct test_job *job, AVPacket *packet, int track, int64_t pts)
{
	packet->stream_index = track;
	packet->pts = packet->dts = pts;
	job->packets[job->packets_count++] = packet;
}

static int test_make_picture(struct test_job *job)
{
	struct test_maker *maker = job->maker;
	AVFrame *picture = maker->picture;
	AVPacket *packet;

	if (av_frame_make_writable(picture) < 0)
		return -1;
	test_picture_draw(picture, job->beat, maker->utc_us + job->beat * 1000000 / TEST_FPS);
	picture->pts = job->beat;
	if (avcodec_send_frame(maker->video, picture) < 0)
		return -1;
	while (job->packets_count < TEST_PACKETS &&
		avcodec_receive_packet(maker->video, maker->encoded) == 0) {
		int64_t pts = test_time(maker->utc_us, TEST_VIDEO_HZ) +
			      maker->encoded->pts * (TEST_VIDEO_HZ / TEST_FPS);

		test_take_sets(maker, maker->encoded);
		packet = test_packet_of_annexb(maker->encoded);
		av_packet_unref(maker->encoded);
		if (!packet)
			return -1;
		test_job_add(job, packet, 0, pts);
	}
	return 0;
}

/* A soft tone, louder for the first tenth of each second; the edges are ramps of 5 ms. */
static float test_loudness(int64_t sample_of_second)
{
	const float soft = 0.01F, loud = 0.1F;
	const int64_t ramp = TEST_AUDIO_HZ / 200, beep = TEST_AUDIO_HZ / 10;
	int64_t rise = sample_of_second < ramp ? sample_of_second : ramp;
	int64_t fall = sample_of_second > beep - ramp ? beep - sample_of_second : ramp;
	int64_t least = rise < fall ? rise : fall;

	return least <= 0 ? soft : soft + (loud - soft) * (float)least / (float)ramp;
}

static int test_make_sound_frame(struct test_job *job, int64_t start)
{
	struct test_maker *maker = job->maker;
	AVFrame *sound = maker->sound;
	float *samples;

	if (av_frame_make_writable(sound) < 0)
		return -1;
	samples = (float *)(void *)sound->data[0];
	for (int i = 0; i < sound->nb_samples; i++) {
		int64_t at = start + maker->samples + i;

		samples[i] =
			maker->tone[at % TEST_TONE_SAMPLES] * test_loudness(at % TEST_AUDIO_HZ);
	}
	sound->pts = maker->samples;
	maker->samples += sound->nb_samples;
	return avcodec_send_frame(maker->audio, sound);
}

/* Makes the sound up to the picture; what a long pause left out is left out. */
static int test_make_sound(struct test_job *job)
{
	struct test_maker *maker = job->maker;
	int64_t wanted = job->beat * (TEST_AUDIO_HZ / TEST_FPS);
	int64_t start = test_time(maker->utc_us, TEST_AUDIO_HZ);
	AVPacket *packet;

	if (wanted - maker->samples > TEST_AUDIO_HZ / 2)
		maker->samples = wanted - TEST_AUDIO_HZ / 2;
	while (maker->samples < wanted) {
		if (test_make_sound_frame(job, start) < 0)
			return -1;
		while (job->packets_count < TEST_PACKETS &&
			avcodec_receive_packet(maker->audio, maker->encoded) == 0) {
			packet = av_packet_clone(maker->encoded);
			av_packet_unref(maker->encoded);
			if (!packet)
				return -1;
			packet->duration = maker->sound->nb_samples;
			packet->flags = AV_PKT_FLAG_KEY;
			test_job_add(job, packet, 1, start + packet->pts);
		}
	}
	return 0;
}

static void test_job_run(struct worker_job *worker_job)
{
	struct test_job *job = CONTAINER_OF(worker_job, struct test_job, job);
	struct test_maker *maker = job->maker;

	if (!maker->video && test_open(maker) < 0)
		test_job_fail(
			job, SOURCE_UNSUPPORTED, "libavcodec has no H.264 encoder that opens");
	else if (test_make_picture(job) < 0)
		test_job_fail(job, SOURCE_FAILED, "the picture could not be encoded");
	else if (maker->audio && test_make_sound(job) < 0)
		test_job_fail(job, SOURCE_FAILED, "the sound could not be encoded");
}

static void test_job_free(struct test_job *job)
{
	for (size_t i = 0; i < job->packets_count; i++)
		av_packet_free(&job->packets[i]);
	free(job);
}

/* --- reactor --- */

enum test_state {
	TEST_STARTING,
	TEST_UP,
	TEST_ENDED
};

struct test_source {
	struct log_name log;
	struct stream *stream;
	const struct source_events *events; /* NULL once freed */
	void *arg;
	enum test_state state;
	struct event *beat_timer;
	int64_t start_us; /* monotonic, of beat 0 */
	int64_t beat;     /* the last one posted, or -1 */
	bool busy;        /* a job is with the worker: at most one */
	struct worker *worker;
	struct test_maker *maker;
	struct metric *bytes_metric, *video_metric, *audio_metric;
	struct reactor_dead dead;
};

static void test_source_enter(struct test_source *source, enum test_state state)
{
	static const char *const names[] = { "starting", "up", "ended" };

	log_debug(&source->log, "%s -> %s", names[source->state], names[state]);
	source->state = state;
	if (state == TEST_ENDED)
		reactor_timer_stop(source->beat_timer);
}

static void test_source_begin(struct test_source *source)
{
	struct test_maker *maker = source->maker;
	const struct stream_track tracks[] = {
		{maker->video_parameters,  { 1, TEST_VIDEO_HZ }, 0},
		{ maker->audio_parameters, { 1, TEST_AUDIO_HZ }, 0},
	};

	stream_begin(source->stream, tracks, maker->audio_parameters ? 2 : 1);
}

static void test_source_publish(struct test_source *source, struct test_job *job)
{
	for (size_t i = 0; i < job->packets_count; i++) {
		AVPacket *packet = job->packets[i];

		metric_add(source->bytes_metric, packet->size);
		metric_add(packet->stream_index ? source->audio_metric : source->video_metric, 1);
		stream_publish(source->stream, packet);
	}
}

static void test_source_take(struct test_source *source, struct test_job *job)
{
	if (job->end != SOURCE_STOPPED) {
		test_source_enter(source, TEST_ENDED);
		stream_end(source->stream);
		source->events->on_end(source->arg, job->end, job->detail);
		return;
	}
	if (!source->maker->video_parameters)
		return;
	if (source->state == TEST_UP) {
		test_source_publish(source, job);
		return;
	}
	test_source_begin(source);
	test_source_publish(source, job);
	test_source_enter(source, TEST_UP);
	source->events->on_up(source->arg);
}

static void test_source_on_made(struct worker_job *worker_job)
{
	struct test_job *job = CONTAINER_OF(worker_job, struct test_job, job);
	struct test_source *source = job->source;

	source->busy = false;
	if (source->events)
		test_source_take(source, job);
	test_job_free(job);
}

static void test_source_post(struct test_source *source)
{
	struct test_job *job = xcalloc(1, sizeof(*job));

	job->job.run = test_job_run;
	job->job.done = test_source_on_made;
	job->job.bytes = TEST_JOB_BYTES;
	job->source = source;
	job->maker = source->maker;
	job->beat = source->beat;
	job->end = SOURCE_STOPPED;
	source->busy = worker_post(source->worker, &job->job) == 0;
	if (!source->busy)
		test_job_free(job);
}

static void test_source_on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct test_source *source = arg;
	int64_t elapsed_us = reactor_monotonic_us() - source->start_us;
	int64_t beat = elapsed_us * TEST_FPS / 1000000;
	int64_t next_us = ((beat + 1) * 1000000 + TEST_FPS - 1) / TEST_FPS;

	(void)fd;
	(void)what;
	reactor_timer_start(source->beat_timer, next_us - elapsed_us);
	if (source->busy || beat <= source->beat)
		return;
	source->beat = beat;
	test_source_post(source);
}

struct test_source *test_source_new(const struct source_order *order)
{
	struct test_source *source = xcalloc(1, sizeof(*source));

	source->log = (struct log_name){ .parent = order->log, .kind = "test" };
	source->stream = order->stream;
	source->events = order->events;
	source->arg = order->arg;
	source->start_us = reactor_monotonic_us();
	source->beat = -1;
	source->maker = xcalloc(1, sizeof(*source->maker));
	source->maker->utc_us = wall_clock_media_us();
	source->worker = worker_new("test", 1, TEST_JOB_BYTES);
	source->bytes_metric = metric_get(METRIC_CAMERA_BYTES, order->camera);
	source->video_metric = metric_get(METRIC_CAMERA_FRAMES, order->camera, "video");
	source->audio_metric = metric_get(METRIC_CAMERA_FRAMES, order->camera, "audio");
	source->beat_timer = reactor_timer_new(test_source_on_beat, source);
	reactor_timer_start(source->beat_timer, 0);
	return source;
}

static void test_source_fini(void *object)
{
	struct test_source *source = object;

	worker_free(source->worker); /* waits for one picture at most */
	test_maker_free(source->maker);
	free(source);
}

void test_source_free(struct test_source *source)
{
	if (!source)
		return;
	if (source->state == TEST_UP)
		stream_end(source->stream);
	source->events = NULL;
	reactor_timer_free(&source->beat_timer);
	/* It may be freed from its own callbacks, which run in the worker's `done`. */
	reactor_free_later(&source->dead, test_source_fini, source);
}
