/* Fragments: what goes in comes out of libavformat and of our own reader; times are rebased; bytes are the same both ways. */
#include "storage/fragment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <libavformat/avformat.h>

#include "storage/mp4_reader.h"
#include "tests/synthetic.h"

enum {
	PICTURES = 12,
	SOUNDS = 22
};

static struct stream_track tracks[2];
static struct fragment_init *init;

static int setup(void **state)
{
	(void)state;
	synthetic_tracks(tracks);
	init = fragment_init_new(tracks, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fragment_init_unref(&init);
	synthetic_tracks_free(tracks);
	return 0;
}

/* Two tracks; pictures in an order as B-frames have it: pts = dts + 0, 2 or 1 frames. */
static struct fragment *two_tracks(void)
{
	struct fragment_builder *builder = fragment_builder_new(init);
	int64_t next[STREAM_TRACKS] = { AV_NOPTS_VALUE, AV_NOPTS_VALUE, AV_NOPTS_VALUE,
		AV_NOPTS_VALUE };
	struct fragment *fragment;

	for (unsigned i = 0; i < PICTURES; i++) {
		AVPacket *packet = synthetic_video(i, i == 0, 100 + i);

		packet->pts = packet->dts + (int64_t)(i * 2 % 3) * SYNTHETIC_FRAME_90K;
		fragment_builder_add(builder, packet);
		next[0] = packet->dts + 5000; /* the last picture stays a little longer */
		av_packet_free(&packet);
	}
	for (unsigned i = 0; i < SOUNDS; i++) {
		AVPacket *packet = synthetic_audio(i, 20 + i);

		fragment_builder_add(builder, packet);
		av_packet_free(&packet);
	}
	fragment = fragment_builder_take(builder, next, 7);
	assert_true(fragment_builder_is_empty(builder));
	fragment_builder_free(builder);
	return fragment;
}

struct block {
	const uint8_t *p;
	size_t n, at;
};

static int block_read(void *opaque, uint8_t *p, int n)
{
	struct block *b = opaque;
	size_t left = b->n - b->at;

	if (!left)
		return AVERROR_EOF;
	if ((size_t)n > left)
		n = (int)left;
	memcpy(p, b->p + b->at, (size_t)n);
	b->at += (size_t)n;
	return n;
}

static void test_libavformat_reads_what_went_in(void **state)
{
	struct fragment *fragment = two_tracks();
	struct evbuffer *file = evbuffer_new();
	AVFormatContext *format = avformat_alloc_context();
	AVPacket *packet = av_packet_alloc();
	unsigned seen[2] = { 0, 0 };
	struct block block;

	(void)state;
	evbuffer_add(file, init->data, init->bytes);
	fragment_append(fragment, fragment_origin_us(fragment), file);
	block = (struct block){ evbuffer_pullup(file, -1), evbuffer_get_length(file), 0 };
	format->flags |= AVFMT_FLAG_NOPARSE; /* the pictures are made up */
	format->pb = avio_alloc_context(av_malloc(4096), 4096, 0, &block, block_read, NULL, NULL);
	assert_int_equal(avformat_open_input(&format, NULL, av_find_input_format("mp4"), NULL), 0);
	assert_int_equal(format->nb_streams, 2);
	while (av_read_frame(format, packet) >= 0) {
		bool video = packet->stream_index == 0;
		unsigned i = seen[packet->stream_index]++;
		AVPacket *sent =
			video ? synthetic_video(i, i == 0, 100 + i) : synthetic_audio(i, 20 + i);

		assert_int_equal(packet->size, sent->size);
		assert_memory_equal(packet->data, sent->data, (size_t)sent->size);
		assert_int_equal(
			packet->dts, (int64_t)i * (video ? SYNTHETIC_FRAME_90K : SYNTHETIC_AUDIO));
		assert_int_equal(packet->pts - packet->dts,
			video ? (int)(i * 2 % 3) * SYNTHETIC_FRAME_90K : 0);
		assert_int_equal(
			packet->flags & AV_PKT_FLAG_KEY, !video || i == 0 ? AV_PKT_FLAG_KEY : 0);
		av_packet_free(&sent);
		av_packet_unref(packet);
	}
	assert_int_equal(seen[0], PICTURES);
	assert_int_equal(seen[1], SOUNDS);
	av_packet_free(&packet);
	av_freep(&format->pb->buffer);
	avio_context_free(&format->pb);
	avformat_close_input(&format);
	evbuffer_free(file);
	fragment_unref(&fragment);
}

static void test_our_reader_agrees(void **state)
{
	struct fragment *fragment = two_tracks();
	size_t moof_bytes = fragment->head_bytes - 8;
	const uint8_t *moov = init->data + init->ftyp_bytes;
	size_t moov_bytes = init->bytes - init->ftyp_bytes;
	struct mp4_fragment read;
	struct mp4_movie movie;
	const char *why = NULL;

	(void)state;
	assert_int_equal(mp4_moov_parse(&movie, moov, moov_bytes, &why), 0);
	assert_int_equal(movie.n_tracks, 2);
	assert_int_equal(movie.tracks[0].timescale, 90000);
	assert_int_equal(movie.tracks[0].width, 640);
	assert_int_equal(movie.tracks[0].height, 360);
	assert_string_equal(movie.tracks[0].codec_string, "avc1.42c01e");
	assert_int_equal(movie.tracks[1].timescale, 48000);
	assert_string_equal(init->codecs, "avc1.42c01e,mp4a.40.2");
	assert_int_equal(mp4_moof_parse(&read, fragment->head, moof_bytes, &movie, &why), 0);
	assert_int_equal(read.sequence, 7);
	assert_int_equal(read.data_bytes, fragment->bytes - fragment->head_bytes);
	assert_true(read.tracks[0].keyframe);
	assert_int_equal(read.tracks[0].samples, PICTURES);
	assert_int_equal(read.tracks[0].duration, (PICTURES - 1) * SYNTHETIC_FRAME_90K + 5000);
	assert_int_equal(read.tracks[1].duration, SOUNDS * SYNTHETIC_AUDIO);
	/* every cut of either is refused, from an exact block */
	for (size_t n = 0; n < moov_bytes; n++) {
		uint8_t *exact = malloc(n ? n : 1);

		memcpy(exact, moov, n);
		assert_true(mp4_moov_parse(&movie, exact, n, &why) < 0);
		free(exact);
	}
	for (size_t n = 0; n < moof_bytes; n++) {
		uint8_t *exact = malloc(n ? n : 1);

		memcpy(exact, fragment->head, n);
		assert_true(mp4_moof_parse(&read, exact, n, &movie, &why) < 0);
		free(exact);
	}
	fragment_unref(&fragment);
}

static void test_times_count_from_the_origin(void **state)
{
	struct fragment *fragment = two_tracks();
	uint8_t *head = malloc(fragment->head_bytes);
	struct mp4_movie movie = {
		.n_tracks = 2,
		.tracks = {{ .id = 1, .timescale = 90000 }, { .id = 2, .timescale = 48000 }}
	};
	struct mp4_fragment read;
	const char *why;

	(void)state;
	assert_true(fragment->start_us == SYNTHETIC_START_US);
	assert_true(fragment_origin_us(fragment) == SYNTHETIC_START_US);
	fragment_write_head(fragment, SYNTHETIC_START_US - 2000000, head);
	assert_int_equal(mp4_moof_parse(&read, head, fragment->head_bytes - 8, &movie, &why), 0);
	assert_int_equal(read.tracks[0].decode_time, 180000);
	assert_int_equal(read.tracks[1].decode_time, 96000);
	fragment_write_head(fragment, SYNTHETIC_START_US + 2000000, head); /* never below zero */
	assert_int_equal(mp4_moof_parse(&read, head, fragment->head_bytes - 8, &movie, &why), 0);
	assert_int_equal(read.tracks[0].decode_time, 0);
	free(head);
	fragment_unref(&fragment);
}

static void test_iovecs_are_what_append_gives(void **state)
{
	struct fragment *fragment = two_tracks();
	struct iovec *parts = calloc(fragment->n_packets + 1, sizeof(*parts));
	uint8_t *head = malloc(fragment->head_bytes);
	struct evbuffer *one = evbuffer_new(), *other = evbuffer_new();

	(void)state;
	fragment_append(fragment, SYNTHETIC_START_US, one);
	fragment_write_head(fragment, SYNTHETIC_START_US, head);
	fragment_iovecs(fragment, head, parts);
	for (size_t i = 0; i <= fragment->n_packets; i++)
		evbuffer_add(other, parts[i].iov_base, parts[i].iov_len);
	assert_int_equal(evbuffer_get_length(one), fragment->bytes);
	assert_int_equal(evbuffer_get_length(other), fragment->bytes);
	assert_memory_equal(evbuffer_pullup(one, -1), evbuffer_pullup(other, -1), fragment->bytes);
	evbuffer_free(one);
	evbuffer_free(other);
	free(head);
	free(parts);
	fragment_unref(&fragment);
}

/* The flags of the first full box of that type. */
static uint32_t box_flags(const struct fragment *fragment, const char *type)
{
	const uint8_t *p = memmem(fragment->head, fragment->head_bytes, type, 4);

	assert_non_null(p);
	return (uint32_t)(p[5] << 16 | p[6] << 8 | p[7]);
}

/* What is the same for all samples is said once (ISO/IEC 14496-12 sections 8.8.7, 8.8.8). */
static void test_constant_fields_are_said_once(void **state)
{
	// clang-format off
	static const struct {
		const char *name;
		struct {
			size_t bytes;
			int64_t dts, later;
			bool key;
		} samples[4];
		size_t n;
		uint32_t tfhd, trun;
		uint64_t duration;
	} cases[] = {
		{ "one", { { 10, 0, 0, true } }, 1, 0x20038, 0x1, 10 },
		{ "all the same", { { 10, 0, 0, true }, { 10, 10, 0, true }, { 10, 20, 0, true } }, 3,
			0x20038, 0x1, 30 },
		{ "sizes", { { 10, 0, 0, true }, { 10, 10, 0, true }, { 11, 20, 0, true } }, 3, 0x20028,
			0x201, 30 },
		{ "durations", { { 10, 0, 0, true }, { 10, 11, 0, true }, { 10, 20, 0, true } }, 3,
			0x20030, 0x101, 30 },
		{ "only the last duration",
			{ { 10, 0, 0, true }, { 10, 10, 0, true }, { 10, 20, 0, true } }, 3, 0x20030,
			0x101, 35 },
		{ "a keyframe first", { { 10, 0, 0, true }, { 10, 10, 0, false }, { 10, 20, 0, false } },
			3, 0x20038, 0x5, 30 },
		{ "a keyframe later", { { 10, 0, 0, false }, { 10, 10, 0, true }, { 10, 20, 0, false } },
			3, 0x20018, 0x401, 30 },
		{ "keyframes at both ends",
			{ { 10, 0, 0, true }, { 10, 10, 0, false }, { 10, 20, 0, true } }, 3, 0x20018,
			0x401, 30 },
		{ "other order", { { 10, 0, 20, true }, { 10, 10, 0, true }, { 10, 20, 0, true } }, 3,
			0x20038, 0x801, 30 },
		{ "everything", { { 10, 0, 20, true }, { 12, 11, 0, false }, { 10, 20, 0, true } }, 3,
			0x20000, 0xf01, 30 },
	};
	// clang-format on

	(void)state;
	for (size_t c = 0; c < ARRAY_LENGTH(cases); c++) {
		struct fragment_builder *builder = fragment_builder_new(init);
		int64_t next[STREAM_TRACKS] = { SYNTHETIC_START_US / 100 * 9, AV_NOPTS_VALUE,
			AV_NOPTS_VALUE, AV_NOPTS_VALUE };
		struct mp4_movie movie = { .n_tracks = 1, .tracks = { { .id = 1 } } };
		struct fragment *fragment;
		struct mp4_fragment read;
		uint64_t bytes = 0;
		const char *why;

		next[0] += (int64_t)cases[c].duration;
		for (size_t i = 0; i < cases[c].n; i++) {
			AVPacket *packet = synthetic_video(
				0, cases[c].samples[i].key, cases[c].samples[i].bytes);

			packet->dts += cases[c].samples[i].dts;
			packet->pts = packet->dts + cases[c].samples[i].later;
			bytes += cases[c].samples[i].bytes;
			fragment_builder_add(builder, packet);
			av_packet_free(&packet);
		}
		fragment = fragment_builder_take(builder, next, 1);
		if (box_flags(fragment, "tfhd") != cases[c].tfhd ||
			box_flags(fragment, "trun") != cases[c].trun)
			fail_msg("%s: %x %x", cases[c].name, box_flags(fragment, "tfhd"),
				box_flags(fragment, "trun"));
		assert_int_equal(mp4_moof_parse(&read, fragment->head, fragment->head_bytes - 8,
					 &movie, &why),
			0);
		assert_int_equal(read.data_bytes, bytes);
		assert_int_equal(read.tracks[0].samples, cases[c].n);
		assert_true(read.tracks[0].keyframe == cases[c].samples[0].key);
		assert_true(read.tracks[0].duration == cases[c].duration);
		fragment_unref(&fragment);
		fragment_builder_free(builder);
	}
}

static void test_hostile_boxes(void **state)
{
	static const struct {
		const char *name;
		uint8_t bytes[16];
		size_t n;
		int result;
	} cases[] = {
		{"nothing",                  { 0 },							  0,  0 },
		{ "half a header",           { 0, 0, 0, 8 },                                                 4,  0 },
		{ "empty",                   { 0, 0, 0, 8, 'f', 'r', 'e', 'e' },                             8,  1 },
		{ "shorter than its header", { 0, 0, 0, 7, 'f', 'r', 'e', 'e' },                             8,  -1},
		{ "large, half a header",    { 0, 0, 0, 1, 'm', 'd', 'a', 't', 0, 0, 0, 0 },                 12, 0 },
		{ "large, too short",        { 0, 0, 0, 1, 'm', 'd', 'a', 't', 0, 0, 0, 0, 0, 0, 0, 15 },
                 16,											     -1},
		{ "large",                   { 0, 0, 0, 1, 'm', 'd', 'a', 't', 0xff, 0, 0, 0, 0, 0, 0, 16 }, 16, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *why = NULL;
		struct mp4_box box;
		int result = mp4_box_parse(&box, cases[i].bytes, cases[i].n, &why);

		if ((result > 0) - (result < 0) != cases[i].result)
			fail_msg("%s: %d", cases[i].name, result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libavformat_reads_what_went_in),
		cmocka_unit_test(test_our_reader_agrees),
		cmocka_unit_test(test_times_count_from_the_origin),
		cmocka_unit_test(test_iovecs_are_what_append_gives),
		cmocka_unit_test(test_constant_fields_are_said_once),
		cmocka_unit_test(test_hostile_boxes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
