/* Streams with other sound: shared, in step with the pictures, made while somebody reads, gone with their source. */
#include "server/media/sound_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/metrics.h"
#include "server/media/codec.h"
#include "tests/reactor_until.h"
#include "tests/synthetic.h"

enum {
	CORRECTION_US = 5000000, /* of the machine's clock: what is published is of media time */
	PACKET_MS = 20,          /* of mu-law at 8 kHz */
	PICTURE_MS = 40,
	PICTURE_BYTES = 100,
	LARGE_BYTES = 1 << 20,
	SEEN_MOST = 512,
};

int64_t __wrap_wall_clock_correction_us(void);
bool __wrap_wall_clock_left(int64_t correction_us);

int64_t __wrap_wall_clock_correction_us(void)
{
	return CORRECTION_US;
}

bool __wrap_wall_clock_left(int64_t correction_us)
{
	(void)correction_us;
	return false;
}

/* --- a source of pictures and sound --- */

static struct stream_track tracks[2];
static struct stream *stream;

static void source_begin(enum AVCodecID sound, size_t n)
{
	const char *why;
	struct stream_track now[2] = { tracks[0], tracks[1] };

	if (sound != AV_CODEC_ID_AAC) {
		now[1].parameters = codec_of_sound(sound, 8000, 1, &why);
		now[1].time_base = (AVRational){ 1, 8000 };
	}
	stream_begin(stream, now, n);
	if (sound != AV_CODEC_ID_AAC)
		avcodec_parameters_free(&now[1].parameters);
}

static void source_show(unsigned i, size_t bytes)
{
	AVPacket *packet = synthetic_video(i, i % 25 == 0, bytes);

	stream_publish(stream, packet);
	av_packet_free(&packet);
}

static void source_say(unsigned i)
{
	const int samples = 8000 * PACKET_MS / 1000;
	AVPacket *packet = av_packet_alloc();

	assert_int_equal(av_new_packet(packet, samples), 0);
	memset(packet->data, 0xff, (size_t)samples); /* silence */
	packet->pts = packet->dts = SYNTHETIC_START_US / 1000000 * 8000 + i * samples;
	packet->duration = samples;
	packet->flags = AV_PKT_FLAG_KEY;
	packet->stream_index = 1;
	stream_publish(stream, packet);
	av_packet_free(&packet);
}

/* So many seconds of both, as a camera sends them. */
static void source_play(double seconds)
{
	for (unsigned ms = 0; ms < seconds * 1000; ms += PACKET_MS) {
		if (ms % PICTURE_MS == 0)
			source_show(ms / PICTURE_MS, PICTURE_BYTES);
		source_say(ms / PACKET_MS);
	}
}

/* --- a reader --- */

struct seen {
	struct stream_reader reader;
	unsigned runs, ends, sounds, pictures;
	int64_t time_us[SEEN_MOST]; /* when it is decoded */
	bool is_sound[SEEN_MOST];
	size_t n;
};

static struct seen seen, other;

static void on_tracks(struct stream_reader *reader)
{
	CONTAINER_OF(reader, struct seen, reader)->runs++;
}

static void on_packet(struct stream_reader *reader, AVPacket *packet)
{
	struct seen *by = CONTAINER_OF(reader, struct seen, reader);
	const struct stream_track *track =
		stream_track(reader->stream, (size_t)packet->stream_index);

	assert_true(by->n < SEEN_MOST);
	by->is_sound[by->n] = track->parameters->codec_type == AVMEDIA_TYPE_AUDIO;
	by->sounds += by->is_sound[by->n];
	by->pictures += !by->is_sound[by->n];
	by->time_us[by->n++] = av_rescale_q(packet->dts, track->time_base, AV_TIME_BASE_Q);
}

static void on_end(struct stream_reader *reader)
{
	CONTAINER_OF(reader, struct seen, reader)->ends++;
}

static const struct stream_reader_events events = { on_tracks, on_packet, on_end };

static double encoders(const char *codec)
{
	return metric_value(metric_get(METRIC_SOUND_ENCODERS, codec));
}

static double held(void)
{
	return metric_value(metric_get(METRIC_SOUND_HELD_BYTES, "porch"));
}

static double waiting(void)
{
	return metric_value(metric_get(METRIC_WORKER_JOBS, "sound"));
}

static int set_up(void **state)
{
	(void)state;
	seen = other = (struct seen){ 0 };
	reactor_init();
	synthetic_tracks(tracks);
	stream = stream_new("porch");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stream_free(stream);
	stream = NULL;
	assert_int_equal((int)encoders("aac") + (int)encoders("opus"), 0);
	synthetic_tracks_free(tracks);
	reactor_fini();
	return 0;
}

/* --- tests --- */

static void test_one_is_made_for_all(void **state)
{
	struct stream *made;

	(void)state;
	assert_null(sound_stream_of(stream, SOUND_AAC_SOON)); /* it is down */
	source_begin(AV_CODEC_ID_PCM_MULAW, 1);
	assert_null(sound_stream_of(stream, SOUND_AAC_SOON)); /* it has no sound */
	source_begin(AV_CODEC_ID_AAC, 2);
	assert_null(sound_stream_of(stream, SOUND_AAC_SOON)); /* it has it already */
	source_begin(AV_CODEC_ID_PCM_MULAW, 2);
	made = sound_stream_of(stream, SOUND_AAC_SOON);
	assert_non_null(made);
	assert_ptr_equal(sound_stream_of(stream, SOUND_AAC_SOON), made);
	assert_int_equal((int)encoders("aac"), 1);
	assert_int_equal(stream_tracks(made), 2);
	assert_int_equal(stream_track(made, 0)->parameters->codec_id, AV_CODEC_ID_H264);
	assert_int_equal(stream_track(made, 1)->parameters->codec_id, AV_CODEC_ID_AAC);
	assert_int_equal(stream_track(made, 1)->time_base.den, 48000);
	assert_int_equal(stream_correction_us(made), CORRECTION_US);
	assert_ptr_equal(stream_find("porch"), stream); /* nobody finds it by a name */
	assert_ptr_equal(stream_next(NULL), stream);
	assert_null(stream_next(stream));
}

/* Pictures and sounds come by their times, which are those of the source. */
static void test_pictures_wait_for_their_sound(void **state)
{
	int64_t latest_us = 0, picture_us = SYNTHETIC_START_US + CORRECTION_US;
	int64_t sound_us = picture_us;

	(void)state;
	source_begin(AV_CODEC_ID_PCM_MULAW, 2);
	stream_subscribe(sound_stream_of(stream, SOUND_AAC_SOON), &seen.reader, &events, true);
	assert_int_equal(seen.runs, 1);
	source_play(2);
	assert_int_equal(seen.n, 0); /* nothing is made yet */
	assert_in_range((int)held(), 50 * PICTURE_BYTES, 50 * (PICTURE_BYTES + 1000));
	REACTOR_UNTIL(waiting() == 0);
	assert_in_range(seen.pictures, 46, 50);
	assert_in_range(seen.sounds, 90, 94);
	for (size_t i = 0; i < seen.n; i++) {
		int64_t *expected_us = seen.is_sound[i] ? &sound_us : &picture_us;

		assert_in_range(seen.time_us[i], *expected_us - 200, *expected_us + 200);
		*expected_us = seen.time_us[i] + (seen.is_sound[i] ? 21333 : PICTURE_MS * 1000);
		assert_true(seen.time_us[i] >= latest_us);
		latest_us = seen.time_us[i];
	}
	stream_end(stream); /* the rest goes out */
	assert_int_equal(seen.pictures, 50);
	assert_int_equal(seen.ends, 1);
	assert_int_equal((int)held(), 0);
	stream_unsubscribe(&seen.reader);
}

/* A camera that describes sound and sends none. */
static void test_pictures_do_not_wait_for_ever(void **state)
{
	unsigned i = 0;
	int64_t begin_us;

	(void)state;
	source_begin(AV_CODEC_ID_PCM_MULAW, 2);
	stream_subscribe(sound_stream_of(stream, SOUND_AAC_SOON), &seen.reader, &events, true);
	source_show(i++, PICTURE_BYTES);
	begin_us = reactor_monotonic_us();
	assert_int_equal(seen.pictures, 0);
	REACTOR_UNTIL(reactor_monotonic_us() - begin_us > 1000000);
	for (; i < 5; i++)
		source_show(i, PICTURE_BYTES);
	assert_int_equal(seen.pictures, 5); /* and none waits any more */
	for (unsigned k = 0; k < 20; k++)
		source_say(k);
	REACTOR_UNTIL(waiting() == 0);
	assert_in_range(seen.sounds, 15, 20);
	source_show(25, PICTURE_BYTES); /* of a time for which there is no sound yet */
	assert_int_equal(seen.pictures, 5);
	stream_unsubscribe(&seen.reader);
}

static void test_pictures_that_wait_have_a_limit(void **state)
{
	int64_t begin_us = reactor_monotonic_us();

	(void)state;
	source_begin(AV_CODEC_ID_PCM_MULAW, 2);
	stream_subscribe(sound_stream_of(stream, SOUND_AAC_SOON), &seen.reader, &events, true);
	for (unsigned i = 0; i < 20; i++) {
		source_show(i, LARGE_BYTES);
		assert_true(held() <= STREAM_CACHE_BYTES);
	}
	assert_true(seen.pictures >= 12); /* they went without sound, and none was lost */
	if (reactor_monotonic_us() - begin_us < 900000) /* else all do that have waited a second */
		assert_true(seen.pictures < 20);
	stream_end(stream);
	assert_int_equal(seen.pictures, 20);
	stream_unsubscribe(&seen.reader);
}

static void test_other_sound_is_followed(void **state)
{
	struct stream *made;
	AVPacket *packet;

	(void)state;
	source_begin(AV_CODEC_ID_PCM_MULAW, 2);
	made = sound_stream_of(stream, SOUND_AAC_SOON);
	stream_subscribe(made, &seen.reader, &events, true);
	source_play(0.4);
	source_begin(AV_CODEC_ID_AAC, 2); /* with packets on their way: they are of before */
	assert_int_equal(seen.runs, 2);
	assert_int_equal((int)encoders("aac"), 0);
	assert_int_equal(seen.pictures, 10);
	assert_int_equal(stream_track(made, 1)->parameters->codec_id, AV_CODEC_ID_AAC);
	source_show(0, PICTURE_BYTES);
	packet = synthetic_audio(0, 50);
	stream_publish(stream, packet);
	av_packet_free(&packet);
	assert_int_equal(seen.pictures, 11);
	assert_int_equal(seen.sounds, 1);
	source_begin(AV_CODEC_ID_PCM_ALAW, 2);
	assert_int_equal(seen.runs, 3);
	assert_int_equal((int)encoders("aac"), 1);
	source_play(1);
	REACTOR_UNTIL(seen.sounds > 40); /* the first is the camera's own */
	stream_unsubscribe(&seen.reader);
}

static void test_opus_comes_alone(void **state)
{
	struct stream *made;

	(void)state;
	source_begin(AV_CODEC_ID_PCM_MULAW, 2);
	source_play(1); /* of the past: only what comes from now on is made */
	made = sound_stream_of(stream, SOUND_OPUS);
	assert_non_null(made);
	assert_ptr_not_equal(sound_stream_of(stream, SOUND_AAC_SOON), made);
	stream_subscribe(made, &seen.reader, &events, true);
	assert_int_equal(stream_tracks(made), 1);
	assert_int_equal(stream_track(made, 0)->parameters->codec_id, AV_CODEC_ID_OPUS);
	for (unsigned ms = 1000; ms < 2000; ms += PACKET_MS) {
		source_show(ms / PICTURE_MS, PICTURE_BYTES);
		source_say(ms / PACKET_MS);
	}
	REACTOR_UNTIL(waiting() == 0);
	assert_int_equal(seen.pictures, 0);
	assert_in_range(seen.sounds, 47, 50);
	/* the first holds the 6.5 ms that Opus needs to begin, and what the resampler does */
	assert_in_range(seen.time_us[0], SYNTHETIC_START_US + CORRECTION_US + 985000,
		SYNTHETIC_START_US + CORRECTION_US + 1000000);
	for (size_t i = 1; i < seen.n; i++)
		assert_in_range(seen.time_us[i] - seen.time_us[i - 1], 19999, 20001);
	source_begin(AV_CODEC_ID_PCM_MULAW, 1); /* without sound */
	assert_int_equal(seen.ends, 1);
	stream_unsubscribe(&seen.reader);
}

static void test_nobody_listens_nothing_is_made(void **state)
{
	(void)state;
	source_begin(AV_CODEC_ID_PCM_MULAW, 2);
	stream_subscribe(sound_stream_of(stream, SOUND_AAC_SOON), &seen.reader, &events, true);
	stream_subscribe(sound_stream_of(stream, SOUND_AAC_SOON), &other.reader, &events, true);
	stream_unsubscribe(&seen.reader);
	stream_unsubscribe(&other.reader);
	assert_int_equal((int)encoders("aac"), 1); /* somebody may be back soon */
	REACTOR_UNTIL(encoders("aac") == 0);
	assert_false(stream_is_wanted(stream));
}

static void test_it_goes_with_its_source(void **state)
{
	(void)state;
	source_begin(AV_CODEC_ID_PCM_MULAW, 2);
	stream_subscribe(sound_stream_of(stream, SOUND_AAC_SOON), &seen.reader, &events, true);
	source_play(0.4); /* with packets on their way */
	stream_free(stream);
	stream = stream_new("porch"); /* of another configuration */
	assert_int_equal(seen.ends, 1);
	assert_null(seen.reader.stream);
	assert_int_equal((int)encoders("aac"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_is_made_for_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_pictures_wait_for_their_sound, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_pictures_do_not_wait_for_ever, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_pictures_that_wait_have_a_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_sound_is_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_opus_comes_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_nobody_listens_nothing_is_made, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_it_goes_with_its_source, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
