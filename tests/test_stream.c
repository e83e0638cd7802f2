/* Publish and subscribe: runs, the kept group of pictures, coming and going in callbacks. */
#include "server/media/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/metrics.h"

/* A reader that writes down what it is told: T, k and v for video, a for audio, E. */
struct probe {
	struct stream_reader reader;
	char told[256];
	void (*on_told)(struct probe *probe); /* what a test does inside the callback */
	struct probe *other;
};

static void probe_note(struct stream_reader *reader, const char *what)
{
	struct probe *probe = CONTAINER_OF(reader, struct probe, reader);
	void (*then)(struct probe *) = probe->on_told;

	assert_true(strlen(probe->told) + strlen(what) < sizeof(probe->told));
	(void)strncat(probe->told, what, sizeof(probe->told) - strlen(probe->told) - 1);
	probe->on_told = NULL; /* once */
	if (then)
		then(probe);
}

static void probe_on_tracks(struct stream_reader *reader)
{
	probe_note(reader, "T");
}

static void probe_on_packet(struct stream_reader *reader, AVPacket *packet)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%c%d",
		packet->stream_index              ? 'a'
		: packet->flags & AV_PKT_FLAG_KEY ? 'k'
						  : 'v',
		(int)packet->pts);
	probe_note(reader, text);
}

static void probe_on_end(struct stream_reader *reader)
{
	probe_note(reader, "E");
}

static const struct stream_reader_events probe_events = { probe_on_tracks, probe_on_packet,
	probe_on_end };

static void begin(struct stream *stream)
{
	AVCodecParameters video = { .codec_type = AVMEDIA_TYPE_VIDEO,
		.codec_id = AV_CODEC_ID_H264 };
	AVCodecParameters audio = { .codec_type = AVMEDIA_TYPE_AUDIO, .codec_id = AV_CODEC_ID_AAC };
	const struct stream_track tracks[] = {
		{&video,  { 1, 90000 }, 0},
                { &audio, { 1, 48000 }, 0}
	};

	stream_begin(stream, tracks, 2);
}

static void publish_bytes(struct stream *stream, char kind, int pts, int bytes)
{
	AVPacket *packet = av_packet_alloc();

	assert_non_null(packet);
	assert_int_equal(av_new_packet(packet, bytes), 0);
	packet->pts = packet->dts = pts;
	packet->stream_index = kind == 'a';
	packet->flags = kind == 'v' ? 0 : AV_PKT_FLAG_KEY;
	stream_publish(stream, packet);
	av_packet_free(&packet);
}

static void publish(struct stream *stream, char kind, int pts)
{
	publish_bytes(stream, kind, pts, 10);
}

static void streams_are_found_by_name(void **state)
{
	struct stream *a = stream_new("porch");
	struct stream *b = stream_new("porch/sub");

	(void)state;
	assert_ptr_equal(stream_find("porch"), a);
	assert_ptr_equal(stream_find("porch/sub"), b);
	assert_null(stream_find("por"));
	assert_ptr_equal(stream_next(NULL), a);
	assert_ptr_equal(stream_next(a), b);
	assert_null(stream_next(b));
	assert_string_equal(stream_name(b), "porch/sub");
	stream_free(a);
	assert_null(stream_find("porch"));
	stream_free(b);
	stream_free(NULL);
}

static void a_run_is_told_from_begin_to_end(void **state)
{
	struct stream *stream = stream_new("porch");
	struct probe probe = { 0 };

	(void)state;
	stream_subscribe(stream, &probe.reader, &probe_events, true);
	publish(stream, 'k', 1); /* outside a run */
	assert_string_equal(probe.told, "");
	assert_false(stream_is_up(stream));
	begin(stream);
	assert_true(stream_is_up(stream));
	assert_int_equal(stream_tracks(stream), 2);
	assert_int_equal(stream_find_track(stream, AVMEDIA_TYPE_AUDIO), 1);
	assert_int_equal(stream_find_track(stream, AVMEDIA_TYPE_SUBTITLE), -1);
	assert_int_equal(stream_track(stream, 1)->time_base.den, 48000);
	publish(stream, 'v', 1); /* before the first keyframe */
	publish(stream, 'a', 1);
	publish(stream, 'k', 2);
	publish(stream, 'a', 2);
	publish(stream, 'v', 3);
	stream_end(stream);
	assert_int_equal(stream_tracks(stream), 0);
	stream_end(stream);
	publish(stream, 'k', 4);
	begin(stream);
	publish(stream, 'v', 5);
	publish(stream, 'k', 6);
	assert_string_equal(probe.told, "Tk2a2v3ETk6");
	assert_int_equal(stream_run(stream), 2);
	stream_free(stream);
	assert_string_equal(probe.told, "Tk2a2v3ETk6E");
	assert_null(probe.reader.stream);
	stream_unsubscribe(&probe.reader);
}

static void new_tracks_within_a_run_wait_for_a_keyframe(void **state)
{
	struct stream *stream = stream_new("porch");
	struct probe probe = { 0 };

	(void)state;
	stream_subscribe(stream, &probe.reader, &probe_events, false);
	begin(stream);
	publish(stream, 'k', 1);
	begin(stream);
	publish(stream, 'v', 2);
	publish(stream, 'k', 3);
	assert_string_equal(probe.told, "Tk1Tk3");
	assert_int_equal(stream_run(stream), 2);
	stream_free(stream);
}

/* The parameters of a track may be handed back to the same stream. */
static void a_stream_may_begin_with_its_own_tracks(void **state)
{
	struct stream *stream = stream_new("porch");

	(void)state;
	begin(stream);
	stream_begin(stream, stream_track(stream, 0), 1);
	assert_int_equal(stream_tracks(stream), 1);
	assert_int_equal(stream_track(stream, 0)->parameters->codec_id, AV_CODEC_ID_H264);
	stream_free(stream);
}

static void replay_starts_on_the_keyframe(void **state)
{
	struct stream *stream = stream_new("porch");
	struct probe with = { 0 };
	struct probe without = { 0 };

	(void)state;
	begin(stream);
	publish(stream, 'k', 1);
	publish(stream, 'v', 2);
	publish(stream, 'k', 3);
	publish(stream, 'a', 3);
	publish(stream, 'v', 4);
	stream_subscribe(stream, &with.reader, &probe_events, true);
	stream_subscribe(stream, &without.reader, &probe_events, false);
	assert_int_equal(stream_readers(stream), 2);
	publish(stream, 'v', 5);
	assert_string_equal(with.told, "Tk3a3v4v5");
	assert_string_equal(without.told, "Tv5");
	stream_unsubscribe(&with.reader);
	stream_unsubscribe(&with.reader);
	assert_int_equal(stream_readers(stream), 1);
	stream_free(stream);
	assert_string_equal(with.told, "Tk3a3v4v5");
}

static void audio_alone_is_handed_on(void **state)
{
	struct stream *stream = stream_new("porch");
	AVCodecParameters audio = { .codec_type = AVMEDIA_TYPE_AUDIO, .codec_id = AV_CODEC_ID_AAC };
	const struct stream_track track = {
		&audio, {1, 48000},
                 0
	};
	struct probe probe = { 0 };

	(void)state;
	stream_subscribe(stream, &probe.reader, &probe_events, true);
	stream_begin(stream, &track, 1);
	publish(stream, 'k', 1);
	publish(stream, 'k', 2);
	assert_string_equal(probe.told, "Tk1k2");
	stream_free(stream);
}

static void a_group_too_large_is_dropped_once_until_the_next_keyframe(void **state)
{
	struct stream *stream = stream_new("porch");
	struct metric *overflows = metric_get(METRIC_STREAM_CACHE_OVERFLOWS, "porch");
	struct metric *bytes = metric_get(METRIC_STREAM_CACHE_BYTES, "porch");
	double before = metric_value(overflows);
	const int half = STREAM_CACHE_BYTES / 2;
	struct probe late = { 0 };
	struct probe later = { 0 };

	(void)state;
	begin(stream);
	publish_bytes(stream, 'k', 1, half);
	assert_true(metric_value(bytes) >= half);
	for (int i = 2; i < 6; i++)
		publish_bytes(stream, 'v', i, half);
	assert_true(metric_value(overflows) == before + 1);
	assert_true(metric_value(bytes) == 0);
	stream_subscribe(stream, &late.reader, &probe_events, true);
	publish(stream, 'v', 6);
	publish(stream, 'k', 7);
	stream_subscribe(stream, &later.reader, &probe_events, true);
	assert_string_equal(late.told, "Tv6k7");
	assert_string_equal(later.told, "Tk7");
	assert_true(metric_value(overflows) == before + 1);
	stream_free(stream);
}

/* Tiny packets without an end are bounded as well. */
static void the_number_of_kept_packets_is_bounded(void **state)
{
	struct stream *stream = stream_new("porch");
	struct metric *overflows = metric_get(METRIC_STREAM_CACHE_OVERFLOWS, "porch");
	double before = metric_value(overflows);

	(void)state;
	begin(stream);
	publish(stream, 'k', 1);
	for (int i = 0; i < STREAM_CACHE_BYTES / 256; i++)
		publish_bytes(stream, 'a', i, 1);
	assert_true(metric_value(overflows) == before + 1);
	stream_free(stream);
}

/* --- inside callbacks --- */

static void leave(struct probe *probe)
{
	stream_unsubscribe(&probe->reader);
}

static void other_leaves(struct probe *probe)
{
	stream_unsubscribe(&probe->other->reader);
}

static void both_leave(struct probe *probe)
{
	leave(probe);
	other_leaves(probe);
}

static void other_joins(struct probe *probe)
{
	stream_subscribe(probe->reader.stream, &probe->other->reader, &probe_events, true);
}

/* Three readers; each in turn does each thing while a packet is handed round. */
static void readers_may_go_inside_callbacks(void **state)
{
	static const struct {
		void (*act)(struct probe *);
		bool self_stays, other_stays;
	} acts[] = {
		{leave,         false, true },
                { other_leaves, true,  false},
                { both_leave,   false, false}
	};

	(void)state;
	for (size_t a = 0; a < ARRAY_LENGTH(acts); a++) {
		for (int who = 0; who < 9; who++) {
			struct stream *stream = stream_new("porch");
			struct probe probes[3] = { 0 };
			int self = who / 3;
			int other = who % 3;

			begin(stream);
			for (int i = 0; i < 3; i++)
				stream_subscribe(stream, &probes[i].reader, &probe_events, true);
			publish(stream, 'k', 1);
			probes[self].on_told = acts[a].act;
			probes[self].other = &probes[other];
			publish(stream, 'v', 2);
			publish(stream, 'v', 3);
			for (int i = 0; i < 3; i++) {
				bool stays = (i != self || acts[a].self_stays) &&
					     (i != other || acts[a].other_stays);

				if (stays)
					assert_string_equal(probes[i].told, "Tk1v2v3");
				else
					assert_null(strstr(probes[i].told, "v3"));
			}
			stream_free(stream);
		}
	}
}

static void a_reader_that_joins_inside_a_callback_gets_each_packet_once(void **state)
{
	struct stream *stream = stream_new("porch");
	struct probe first = { 0 };
	struct probe second = { 0 };

	(void)state;
	begin(stream);
	stream_subscribe(stream, &first.reader, &probe_events, true);
	publish(stream, 'k', 1);
	first.on_told = other_joins;
	first.other = &second;
	publish(stream, 'v', 2);
	publish(stream, 'v', 3);
	assert_string_equal(first.told, "Tk1v2v3");
	assert_string_equal(second.told, "Tk1v2v3");
	stream_free(stream);
}

static void a_reader_may_leave_in_the_middle_of_its_replay(void **state)
{
	struct stream *stream = stream_new("porch");
	struct probe on_tracks = { .on_told = leave };
	struct probe nested = { .on_told = other_joins, .other = &on_tracks };

	(void)state;
	begin(stream);
	publish(stream, 'k', 1);
	publish(stream, 'v', 2);
	stream_subscribe(stream, &nested.reader, &probe_events, true);
	assert_string_equal(on_tracks.told, "T");
	assert_string_equal(nested.told, "Tk1v2");
	assert_int_equal(stream_readers(stream), 1);
	stream_free(stream);
}

static void readers_may_leave_as_the_stream_goes(void **state)
{
	struct stream *stream = stream_new("porch");
	struct probe a = { 0 };
	struct probe b = { 0 };

	(void)state;
	stream_subscribe(stream, &a.reader, &probe_events, true);
	stream_subscribe(stream, &b.reader, &probe_events, true);
	b.on_told = both_leave;
	b.other = &a;
	stream_free(stream);
	assert_string_equal(b.told, "E");
	assert_string_equal(a.told, "");
}

/* --- the machine's clock --- */

static int64_t clock_says_us; /* the correction, after a step of the clock */

int64_t __wrap_wall_clock_correction_us(void);
bool __wrap_wall_clock_left(int64_t correction_us);

int64_t __wrap_wall_clock_correction_us(void)
{
	return clock_says_us;
}

bool __wrap_wall_clock_left(int64_t correction_us)
{
	return correction_us != clock_says_us;
}

static void a_step_of_the_clock_begins_a_run_at_the_next_keyframe(void **state)
{
	struct stream *stream = stream_new("porch");
	struct probe probe = { 0 };

	(void)state;
	stream_subscribe(stream, &probe.reader, &probe_events, true);
	begin(stream);
	publish(stream, 'k', 1);
	clock_says_us = 1000000; /* 90000 and 48000 ticks of the tracks */
	publish(stream, 'v', 2);
	publish(stream, 'a', 2);
	assert_true(stream_correction_us(stream) == 0);
	publish(stream, 'k', 3);
	publish(stream, 'a', 3);
	assert_true(stream_correction_us(stream) == 1000000);
	assert_string_equal(probe.told, "Tk1v2a2Tk90003a48003");
	clock_says_us = 0;
	stream_free(stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_are_found_by_name),
		cmocka_unit_test(a_run_is_told_from_begin_to_end),
		cmocka_unit_test(new_tracks_within_a_run_wait_for_a_keyframe),
		cmocka_unit_test(a_stream_may_begin_with_its_own_tracks),
		cmocka_unit_test(replay_starts_on_the_keyframe),
		cmocka_unit_test(audio_alone_is_handed_on),
		cmocka_unit_test(a_group_too_large_is_dropped_once_until_the_next_keyframe),
		cmocka_unit_test(the_number_of_kept_packets_is_bounded),
		cmocka_unit_test(readers_may_go_inside_callbacks),
		cmocka_unit_test(a_reader_that_joins_inside_a_callback_gets_each_packet_once),
		cmocka_unit_test(a_reader_may_leave_in_the_middle_of_its_replay),
		cmocka_unit_test(readers_may_leave_as_the_stream_goes),
		cmocka_unit_test(a_step_of_the_clock_begins_a_run_at_the_next_keyframe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
