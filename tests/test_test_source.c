/* The test camera: what it publishes decodes, moves, and keeps its times. Needs libx264. */
#include "server/media/test_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <libavcodec/avcodec.h>

#include <cmocka.h>

#include "server/base/reactor.h"
#include "server/media/codec.h"

enum {
	PICTURES = 36,
	PATIENCE_US = 30 * 1000000
};

struct watcher {
	struct stream_reader reader;
	struct stream *stream;
	struct test_source *source;
	bool free_when_up;
	int ups, ends;
	int pictures, keys, sounds;
	AVPacket *packets[PICTURES]; /* of video */
	int64_t last[2];
};

static void watcher_on_packet(struct stream_reader *reader, AVPacket *packet)
{
	struct watcher *w = CONTAINER_OF(reader, struct watcher, reader);
	int track = packet->stream_index;

	assert_int_equal(packet->pts, packet->dts);
	if (track == 1) {
		assert_int_equal(packet->duration, 1024);
		if (w->sounds++)
			assert_int_equal(packet->pts - w->last[1], 1024);
	} else if (w->pictures < PICTURES) {
		assert_int_equal(w->pictures == 0 && !(packet->flags & AV_PKT_FLAG_KEY), 0);
		if (w->pictures) {
			assert_true(packet->pts > w->last[0]);
			assert_int_equal((packet->pts - w->last[0]) % 6000, 0);
		}
		w->keys += packet->flags & AV_PKT_FLAG_KEY ? 1 : 0;
		w->packets[w->pictures++] = av_packet_clone(packet);
		if (w->pictures == PICTURES)
			reactor_stop();
	}
	w->last[track] = packet->pts;
}

static const struct stream_reader_events reader_events = { .on_packet = watcher_on_packet };

static void watcher_on_up(void *arg)
{
	struct watcher *w = arg;

	w->ups++;
	if (w->free_when_up) {
		test_source_free(w->source);
		reactor_stop();
	}
}

static void watcher_on_end(void *arg, enum source_end end, const char *detail)
{
	struct watcher *w = arg;

	print_message("%s: %s\n", source_end_words(end), detail ? detail : "");
	w->ends++;
	reactor_stop();
}

static const struct source_events source_events = { .on_up = watcher_on_up,
	.on_end = watcher_on_end };

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	reactor_stop();
}

static void watcher_start(struct watcher *w)
{
	static const struct log_name camera = { .kind = "camera", .name = "porch" };

	reactor_init();
	w->stream = stream_new("porch");
	stream_subscribe(w->stream, &w->reader, &reader_events, true);
	w->source = test_source_new(&(struct source_order){
		.stream = w->stream,
		.camera = "porch",
		.log = &camera,
		.events = &source_events,
		.arg = w,
	});
	assert_non_null(w->source);
}

static void watcher_run(void)
{
	struct event *patience = reactor_timer_new(on_patience, NULL);

	reactor_timer_start(patience, PATIENCE_US);
	reactor_run();
	reactor_timer_free(&patience);
}

static void watcher_stop(struct watcher *w)
{
	stream_free(w->stream);
	reactor_fini();
	for (int i = 0; i < PICTURES; i++)
		av_packet_free(&w->packets[i]);
}

/* Pictures of 640x360 without an error, each different from the one before in the strip alone. */
static void check_pictures(struct watcher *w, const AVCodecParameters *parameters)
{
	const AVCodec *codec = avcodec_find_decoder(parameters->codec_id);
	AVCodecContext *context = avcodec_alloc_context3(codec);
	AVFrame *frame = av_frame_alloc();
	uint8_t strip[640];
	int shown = 0;

	assert_int_equal(avcodec_parameters_to_context(context, parameters), 0);
	context->err_recognition = AV_EF_EXPLODE;
	context->thread_count = 1;
	assert_int_equal(avcodec_open2(context, codec, NULL), 0);
	memset(strip, 0, sizeof(strip));
	for (int i = 0; i < w->pictures; i++) {
		assert_int_equal(avcodec_send_packet(context, w->packets[i]), 0);
		while (avcodec_receive_frame(context, frame) == 0) {
			const uint8_t *row = frame->data[0] + 324 * frame->linesize[0];

			assert_int_equal(frame->width, 640);
			assert_int_equal(frame->height, 360);
			assert_memory_not_equal(strip, row, sizeof(strip)); /* the box moved */
			memcpy(strip, row, sizeof(strip));
			assert_in_range(frame->data[0][100 * frame->linesize[0] + 20], 170, 190);
			shown++;
		}
	}
	assert_in_range(shown, w->pictures - context->has_b_frames, w->pictures);
	av_frame_free(&frame);
	avcodec_free_context(&context);
}

static void it_publishes_moving_pictures_and_sound(void **state)
{
	struct watcher w = { 0 };
	const AVCodecParameters *video, *audio;
	char text[32];

	(void)state;
	watcher_start(&w);
	watcher_run();
	assert_int_equal(w.ends, 0);
	assert_int_equal(w.ups, 1);
	assert_int_equal(w.pictures, PICTURES);
	assert_in_range(w.keys, 2, 3); /* one each two seconds */
	assert_in_range(w.sounds, PICTURES * 3 - 4, PICTURES * 12);
	assert_int_equal(stream_tracks(w.stream), 2);
	video = stream_track(w.stream, 0)->parameters;
	audio = stream_track(w.stream, 1)->parameters;
	assert_int_equal(video->width, 640);
	assert_int_equal(video->height, 360);
	assert_int_equal(codec_reorder_frames(video), 0);
	assert_string_equal(codec_string(text, sizeof(text), audio), "mp4a.40.2");
	check_pictures(&w, video);
	test_source_free(w.source);
	assert_false(stream_is_up(w.stream));
	watcher_stop(&w);
	assert_int_equal(w.ends, 0);
}

static void it_may_be_freed_from_its_callback(void **state)
{
	struct watcher w = { .free_when_up = true };

	(void)state;
	watcher_start(&w);
	watcher_run();
	assert_int_equal(w.ups, 1);
	assert_int_equal(w.ends, 0);
	watcher_stop(&w);
}

static void it_may_be_freed_before_its_first_picture(void **state)
{
	struct watcher w = { 0 };

	(void)state;
	watcher_start(&w);
	test_source_free(w.source);
	test_source_free(NULL);
	watcher_stop(&w);
	assert_int_equal(w.ups + w.ends + w.pictures, 0);
}

static void ends_have_words_and_labels(void **state)
{
	(void)state;
	assert_string_equal(source_end_metric(SOURCE_STALLED), "stalled");
	assert_string_equal(source_end_words(SOURCE_NO_VIDEO), "the camera offers no video track");
	for (int end = SOURCE_STOPPED; end <= SOURCE_FAILED; end++)
		assert_non_null(source_end_words((enum source_end)end));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_publishes_moving_pictures_and_sound),
		cmocka_unit_test(it_may_be_freed_from_its_callback),
		cmocka_unit_test(it_may_be_freed_before_its_first_picture),
		cmocka_unit_test(ends_have_words_and_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
