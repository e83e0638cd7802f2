/*
 * Every codec that MP4 carries: what goes into fragments comes out of libavformat and of our own
 * reader; what MP4 cannot carry, and what browsers do not play, stays out.
 */
#include "storage/sample_entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mem.h>

#include "server/base/attributes.h"
#include "storage/fragment.h"
#include "storage/mp4_reader.h"
#include "tests/synthetic.h"

enum {
	SAMPLES = 7,
	FRAGMENTS = 2
};

/* Records as ffmpeg wrote them; the sets inside do not matter here. */
#define AVCC "\1\x42\xc0\x1e\xff\xe1\0\4\x67\x42\xc0\x1e\1\0\4\x68\xce\x3c\x80"
#define HVCC "\1\1\x60\0\0\0\x90\0\0\0\0\0\x3f\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\0"
#define AV1C "\x81\4\x0c\0\x0a\x0b\0\0\0\4\x3c\xff\xbc\2\xf9\x80\x40"
#define ASC "\x11\x90"
/* RFC 7845 section 5.1: two channels, 312 samples of pre-skip, from 44100 Hz, -1 dB */
#define OPUS "OpusHead\1\2\x38\1\x44\xac\0\0\0\xff\0"
/* The same of a surround encoder: family 1, four streams, two of them coupled. */
#define OPUS_SURROUND "OpusHead\1\6\x38\1\x80\xbb\0\0\0\0\1\4\2\0\4\1\2\3\5"

#define BYTES(text) text, sizeof(text) - 1

// clang-format off
static const struct codec_case {
	const char *name;
	enum AVCodecID id;
	const char *extradata;
	size_t n;
	int rate, channels; /* of sound; else it is a picture */
	size_t bytes;       /* of a sample; the i-th has `growth` * i more */
	size_t growth;
	int64_t duration;
	const char *codec_string, *short_name;
	bool is_web, is_intra;
} cases[] = {
	{ "H.264", AV_CODEC_ID_H264, BYTES(AVCC), 0, 0, 90, 3, 3600, "avc1.42c01e", "h264", true,
		false },
	{ "H.265", AV_CODEC_ID_HEVC, BYTES(HVCC), 0, 0, 90, 3, 3600, "hvc1.1.6.L63.90", "h265", true,
		false },
	{ "AV1", AV_CODEC_ID_AV1, BYTES(AV1C), 0, 0, 80, 1, 3003, "av01.0.04M.08", "av1", true,
		false },
	{ "MJPEG", AV_CODEC_ID_MJPEG, NULL, 0, 0, 0, 500, 9, 90000, "mp4v.6C", "mjpeg", false, true },
	{ "AAC", AV_CODEC_ID_AAC, BYTES(ASC), 48000, 2, 20, 1, 1024, "mp4a.40.2", "aac", true, true },
	{ "Opus", AV_CODEC_ID_OPUS, BYTES(OPUS), 48000, 2, 60, 2, 960, "opus", "opus", true, true },
	{ "Opus surround", AV_CODEC_ID_OPUS, BYTES(OPUS_SURROUND), 48000, 6, 60, 2, 960, "opus", "opus",
		true, true },
	{ "u-law", AV_CODEC_ID_PCM_MULAW, NULL, 0, 8000, 1, 160, 0, 160, "ulaw", "pcm_mulaw", false,
		true },
	{ "A-law", AV_CODEC_ID_PCM_ALAW, NULL, 0, 16000, 1, 320, 0, 320, "alaw", "pcm_alaw", false,
		true },
	{ "L16 stereo", AV_CODEC_ID_PCM_S16BE, NULL, 0, 44100, 2, 1764, 0, 441, "twos", "pcm_s16be",
		false, true },
};
// clang-format on

static struct stream_track make_track(const struct codec_case *it)
{
	AVCodecParameters *p = avcodec_parameters_alloc();

	p->codec_id = it->id;
	p->codec_type = it->rate ? AVMEDIA_TYPE_AUDIO : AVMEDIA_TYPE_VIDEO;
	if (it->rate) {
		p->sample_rate = it->rate;
		av_channel_layout_default(&p->ch_layout, it->channels);
	} else {
		p->width = 640;
		p->height = 360;
	}
	if (it->n) {
		p->extradata = av_mallocz(it->n + AV_INPUT_BUFFER_PADDING_SIZE);
		memcpy(p->extradata, it->extradata, it->n);
		p->extradata_size = (int)it->n;
	}
	return (struct stream_track){
		p, {1, it->rate ? it->rate : 90000},
                 0
	};
}

static AVPacket *make_packet(const struct codec_case *it, int track, unsigned i)
{
	AVPacket *packet = av_packet_alloc();
	size_t n = it->bytes + it->growth * i;

	assert_int_equal(av_new_packet(packet, (int)n), 0);
	for (size_t k = 0; k < n; k++)
		packet->data[k] = (uint8_t)(i * 31 + k);
	packet->stream_index = track;
	packet->dts = packet->pts =
		SYNTHETIC_START_US / 1000000 * (it->rate ? it->rate : 90000) + i * it->duration;
	packet->flags = it->is_intra || i % SAMPLES == 0 ? AV_PKT_FLAG_KEY : 0;
	packet->duration = it->duration;
	return packet;
}

static struct fragment *make_fragment(
	struct fragment_init *init, const struct codec_case *const *tracks, size_t n, unsigned from)
{
	static const int64_t none[STREAM_TRACKS] = { AV_NOPTS_VALUE, AV_NOPTS_VALUE, AV_NOPTS_VALUE,
		AV_NOPTS_VALUE };
	struct fragment_builder *builder = fragment_builder_new(init);
	struct fragment *fragment;

	for (unsigned i = from; i < from + SAMPLES; i++) {
		for (size_t t = 0; t < n; t++) {
			AVPacket *packet = make_packet(tracks[t], (int)t, i);

			if (init->ids[t])
				fragment_builder_add(builder, packet);
			av_packet_free(&packet);
		}
	}
	fragment = fragment_builder_take(builder, none, from / SAMPLES + 1);
	fragment_builder_free(builder);
	return fragment;
}

/* --- libavformat --- */

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

static AVFormatContext *open_block(struct block *block)
{
	AVFormatContext *format = avformat_alloc_context();

	format->flags |= AVFMT_FLAG_NOPARSE; /* the media are made up */
	format->pb = avio_alloc_context(av_malloc(4096), 4096, 0, block, block_read, NULL, NULL);
	assert_int_equal(avformat_open_input(&format, NULL, av_find_input_format("mp4"), NULL), 0);
	return format;
}

static void close_block(AVFormatContext *format)
{
	av_freep(&format->pb->buffer);
	avio_context_free(&format->pb);
	avformat_close_input(&format);
}

static void check_packet(const struct codec_case *it, unsigned i, const AVPacket *packet)
{
	AVPacket *sent = make_packet(it, 0, i);

	if (packet->size != sent->size || memcmp(packet->data, sent->data, (size_t)sent->size))
		fail_msg("%s: sample %u: %d bytes", it->name, i, packet->size);
	if (packet->dts != i * it->duration || packet->pts != packet->dts)
		fail_msg("%s: sample %u: time %lld", it->name, i, (long long)packet->dts);
	if ((packet->flags ^ sent->flags) & AV_PKT_FLAG_KEY)
		fail_msg("%s: sample %u: keyframe?", it->name, i);
	av_packet_free(&sent);
}

static void check_parameters(const struct codec_case *it, const AVStream *read)
{
	const AVCodecParameters *p = read->codecpar;

	if (p->codec_id != it->id)
		fail_msg("%s: read as %s", it->name, avcodec_get_name(p->codec_id));
	assert_int_equal(read->time_base.den, it->rate ? it->rate : 90000);
	assert_int_equal(p->extradata_size, it->n);
	if (it->n && it->id != AV_CODEC_ID_OPUS)
		assert_memory_equal(p->extradata, it->extradata, it->n);
	else if (it->n) /* libavformat leaves the version of dOps, which is 0 */
		assert_memory_equal(p->extradata + 9, it->extradata + 9, it->n - 9);
	assert_int_equal(p->sample_rate, it->rate);
	assert_int_equal(p->ch_layout.nb_channels, it->channels);
	assert_int_equal(p->width, it->rate ? 0 : 640);
	assert_int_equal(p->height, it->rate ? 0 : 360);
}

/* Reads a file of these tracks and compares all with what was sent. */
static void check_file(struct evbuffer *file, const struct codec_case *const *tracks, size_t n)
{
	struct block block = { evbuffer_pullup(file, -1), evbuffer_get_length(file), 0 };
	AVFormatContext *format = open_block(&block);
	AVPacket *packet = av_packet_alloc();
	unsigned seen[STREAM_TRACKS] = { 0 };

	assert_int_equal(format->nb_streams, n);
	for (size_t t = 0; t < n; t++)
		check_parameters(tracks[t], format->streams[t]);
	while (av_read_frame(format, packet) >= 0) {
		check_packet(tracks[packet->stream_index], seen[packet->stream_index]++, packet);
		av_packet_unref(packet);
	}
	for (size_t t = 0; t < n; t++)
		assert_int_equal(seen[t], SAMPLES * FRAGMENTS);
	av_packet_free(&packet);
	close_block(format);
}

static void test_libavformat_reads_each_codec(void **state)
{
	(void)state;
	for (size_t c = 0; c < ARRAY_LENGTH(cases); c++) {
		const struct codec_case *tracks[] = { &cases[c] };
		struct stream_track track = make_track(&cases[c]);
		struct evbuffer *file = evbuffer_new();
		struct fragment_init *init;

		assert_true(fragment_carries(track.parameters));
		init = fragment_init_new(&track, 1);
		evbuffer_add(file, init->data, init->bytes);
		for (unsigned i = 0; i < FRAGMENTS; i++) {
			struct fragment *fragment = make_fragment(init, tracks, 1, i * SAMPLES);

			fragment_append(fragment, SYNTHETIC_START_US, file);
			fragment_unref(&fragment);
		}
		check_file(file, tracks, 1);
		evbuffer_free(file);
		fragment_init_unref(&init);
		avcodec_parameters_free(&track.parameters);
	}
}

/* --- our own reader --- */

static void test_our_reader_names_each_codec(void **state)
{
	(void)state;
	for (size_t c = 0; c < ARRAY_LENGTH(cases); c++) {
		const struct codec_case *it = &cases[c], *tracks[] = { it };
		struct stream_track track = make_track(it);
		struct fragment_init *init = fragment_init_new(&track, 1);
		struct fragment *fragment = make_fragment(init, tracks, 1, 0);
		struct mp4_fragment moof;
		struct mp4_movie movie;
		const char *why;

		assert_int_equal(mp4_moov_parse(&movie, init->data + init->ftyp_bytes,
					 init->bytes - init->ftyp_bytes, &why),
			0);
		assert_string_equal(movie.tracks[0].codec_string, it->codec_string);
		assert_string_equal(movie.tracks[0].name, it->short_name);
		assert_int_equal(movie.tracks[0].width, it->rate ? 0 : 640);
		assert_string_equal(init->codecs, it->codec_string);
		assert_string_equal(init->video_codec, it->rate ? "" : it->short_name);
		assert_int_equal(init->has_keyframes, !it->is_intra);
		assert_int_equal(mp4_moof_parse(&moof, fragment->head, fragment->head_bytes - 8,
					 &movie, &why),
			0);
		assert_int_equal(moof.tracks[0].samples, SAMPLES);
		assert_int_equal(moof.tracks[0].duration, SAMPLES * it->duration);
		assert_int_equal(moof.data_bytes, fragment->bytes - fragment->head_bytes);
		assert_true(moof.tracks[0].keyframe);
		assert_true(fragment->keyframe);
		fragment_unref(&fragment);
		fragment_init_unref(&init);
		avcodec_parameters_free(&track.parameters);
	}
}

/* --- what browsers get --- */

enum {
	H264 = 0,
	MJPEG = 3,
	AAC = 4,
	OPUS_ROW = 5,
	MULAW = 7,
	L16 = 9
};

static const struct codec_case g726 = { "G.726", AV_CODEC_ID_ADPCM_G726, NULL, 0, 8000, 1, 80, 0,
	160, "", "", false, true };

static struct fragment_init *make_init(const struct codec_case *const *tracks, size_t n)
{
	struct stream_track made[STREAM_TRACKS] = { 0 };
	struct fragment_init *init;

	for (size_t t = 0; t < n; t++)
		made[t] = make_track(tracks[t]);
	init = fragment_init_new(made, n);
	for (size_t t = 0; t < n; t++)
		avcodec_parameters_free(&made[t].parameters);
	return init;
}

static void append_web(struct fragment *fragment, struct evbuffer *out)
{
	struct fragment *web = fragment_web(fragment);

	assert_ptr_equal(fragment_web(fragment), web); /* made once */
	assert_true(fragment->keyframe == web->keyframe);
	assert_true(fragment->start_us == web->start_us);
	assert_true(fragment->duration_us == web->duration_us);
	assert_int_equal(fragment->sequence, web->sequence);
	fragment_append(web, SYNTHETIC_START_US, out);
}

static void test_browsers_get_the_tracks_that_they_play(void **state)
{
	const struct codec_case *tracks[] = { &cases[H264], &cases[MULAW], &cases[AAC],
		&cases[L16] };
	const struct codec_case *web_tracks[] = { &cases[H264], &cases[AAC] };
	struct fragment_init *init = make_init(tracks, 4);
	struct evbuffer *full = evbuffer_new(), *web = evbuffer_new();

	(void)state;
	assert_string_equal(init->codecs, "avc1.42c01e,ulaw,mp4a.40.2,twos");
	assert_string_equal(init->web->codecs, "avc1.42c01e,mp4a.40.2");
	assert_ptr_equal(init->web->web, init->web);
	evbuffer_add(full, init->data, init->bytes);
	evbuffer_add(web, init->web->data, init->web->bytes);
	for (unsigned i = 0; i < FRAGMENTS; i++) {
		struct fragment *fragment = make_fragment(init, tracks, 4, i * SAMPLES);

		fragment_append(fragment, SYNTHETIC_START_US, full);
		append_web(fragment, web);
		fragment_unref(&fragment);
	}
	check_file(full, tracks, 4);
	check_file(web, web_tracks, 2);
	evbuffer_free(full);
	evbuffer_free(web);
	fragment_init_unref(&init);
}

/* The one does not need the other to live on. */
static void test_the_browsers_part_may_stay_longer(void **state)
{
	const struct codec_case *tracks[] = { &cases[H264], &cases[MULAW] };
	struct fragment_init *init = make_init(tracks, 2), *web_init = fragment_init_ref(init->web);
	struct fragment *fragment = make_fragment(init, tracks, 2, 0);
	struct fragment *web = fragment_ref(fragment_web(fragment));
	struct evbuffer *file = evbuffer_new();

	(void)state;
	fragment_unref(&fragment);
	fragment_init_unref(&init);
	fragment_append(web, SYNTHETIC_START_US, file);
	assert_int_equal(evbuffer_get_length(file), web->bytes);
	assert_int_equal(web->n_packets, SAMPLES);
	assert_int_equal(web_init->ids[1], 0);
	fragment_unref(&web);
	fragment_init_unref(&web_init);
	evbuffer_free(file);
}

static void test_a_fragment_without_anything_for_browsers(void **state)
{
	const struct codec_case *tracks[] = { &cases[H264], &cases[MULAW] };
	static const int64_t none[STREAM_TRACKS] = { AV_NOPTS_VALUE, AV_NOPTS_VALUE, AV_NOPTS_VALUE,
		AV_NOPTS_VALUE };
	struct fragment_init *init = make_init(tracks, 2);
	struct fragment_builder *builder = fragment_builder_new(init);
	AVPacket *packet = make_packet(tracks[1], 1, 0);
	struct fragment *fragment;

	(void)state;
	fragment_builder_add(builder, packet); /* the pictures stall */
	fragment = fragment_builder_take(builder, none, 1);
	assert_non_null(init->web);
	assert_null(fragment_web(fragment));
	assert_false(fragment->keyframe);
	assert_true(fragment->start_us == SYNTHETIC_START_US);
	assert_int_equal(fragment->duration_us, 20000);
	fragment_unref(&fragment);
	fragment_builder_free(builder);
	fragment_init_unref(&init);
	av_packet_free(&packet);
}

static void test_what_browsers_are_refused(void **state)
{
	// clang-format off
	static const struct {
		const struct codec_case *tracks[2];
		size_t n;
		const char *refusal; /* part of it, or NULL */
		bool same;           /* browsers get the file as it is */
	} streams[] = {
		{ { &cases[H264], &cases[AAC] }, 2, NULL, true },
		{ { &cases[H264], &g726 }, 2, NULL, true },
		{ { &cases[H264], &cases[MULAW] }, 2, NULL, false },
		{ { &cases[AAC] }, 1, NULL, true },
		{ { &cases[MJPEG], &cases[AAC] }, 2, "Motion JPEG", false },
		{ { &cases[MULAW] }, 1, "sound", false },
		{ { &g726 }, 1, "sound", false },
	};
	// clang-format on

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(streams); i++) {
		struct fragment_init *init = make_init(streams[i].tracks, streams[i].n);
		struct stream_track made[2] = { 0 };
		const char *refusal;

		for (size_t t = 0; t < streams[i].n; t++)
			made[t] = make_track(streams[i].tracks[t]);
		refusal = fragment_web_refusal(made, streams[i].n);
		assert_int_equal(!refusal, !streams[i].refusal);
		if (refusal && streams[i].refusal)
			assert_non_null(strstr(refusal, streams[i].refusal));
		assert_int_equal(!init->web, !!refusal);
		assert_int_equal(init->web == init, streams[i].same);
		for (size_t t = 0; t < streams[i].n; t++)
			avcodec_parameters_free(&made[t].parameters);
		fragment_init_unref(&init);
	}
}

/* A track in the middle that MP4 cannot carry: the others keep their numbers. */
static void test_a_track_that_is_left_out(void **state)
{
	const struct codec_case *tracks[] = { &cases[H264], &g726, &cases[AAC] };
	const struct codec_case *carried[] = { &cases[H264], &cases[AAC] };
	struct fragment_init *init = make_init(tracks, 3);
	struct fragment_init *sound = make_init(tracks + 1, 2);
	struct evbuffer *file = evbuffer_new();

	(void)state;
	assert_int_equal(init->n_tracks, 3);
	assert_int_equal(init->ids[0], 1);
	assert_int_equal(init->ids[1], 0);
	assert_int_equal(init->ids[2], 3);
	assert_int_equal(sound->lead, 1); /* the first that is left */
	evbuffer_add(file, init->data, init->bytes);
	for (unsigned i = 0; i < FRAGMENTS; i++) {
		struct fragment *fragment = make_fragment(init, tracks, 3, i * SAMPLES);

		fragment_append(fragment, SYNTHETIC_START_US, file);
		fragment_unref(&fragment);
		fragment = make_fragment(sound, tracks + 1, 2, i * SAMPLES);
		assert_true(fragment->keyframe);
		fragment_unref(&fragment);
	}
	check_file(file, carried, 2);
	evbuffer_free(file);
	fragment_init_unref(&init);
	fragment_init_unref(&sound);
}

/* --- what does not fit --- */

static void test_what_mp4_cannot_carry(void **state)
{
	// clang-format off
	static const struct {
		const char *name;
		enum AVMediaType type;
		enum AVCodecID id;
		const char *extradata;
		size_t n;
		int width, rate, channels;
	} unfit[] = {
		{ "G.726", AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_ADPCM_G726, NULL, 0, 0, 8000, 1 },
		{ "G.726, little endian", AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_ADPCM_G726LE, NULL, 0, 0, 8000,
			1 },
		{ "metadata", AVMEDIA_TYPE_DATA, AV_CODEC_ID_NONE, NULL, 0, 0, 0, 0 },
		{ "unknown", AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_NONE, NULL, 0, 640, 0, 0 },
		{ "H.264 without record", AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_H264, NULL, 0, 640, 0, 0 },
		{ "H.264, start codes", AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_H264, BYTES("\0\0\0\1\x67\x42\xc0"),
			640, 0, 0 },
		{ "H.264 without size", AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_H264, BYTES(AVCC), 0, 0, 0 },
		{ "too wide", AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_MJPEG, NULL, 0, 65536, 0, 0 },
		{ "AV1, another version", AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_AV1, BYTES("\x82\4\x0c\0"), 640,
			0, 0 },
		{ "AAC without config", AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_AAC, NULL, 0, 0, 48000, 2 },
		{ "u-law without rate", AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_PCM_MULAW, NULL, 0, 0, 0, 1 },
		{ "u-law without channels", AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_PCM_MULAW, NULL, 0, 0, 8000,
			0 },
		{ "Opus, a byte short", AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_OPUS, OPUS, sizeof(OPUS) - 2, 0,
			48000, 2 },
		{ "Opus, mapping a byte short", AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_OPUS, OPUS_SURROUND,
			sizeof(OPUS_SURROUND) - 2, 0, 48000, 6 },
	};
	// clang-format on

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(unfit); i++) {
		uint8_t *exact = malloc(unfit[i].n + 1);
		AVCodecParameters p = {
			.codec_type = unfit[i].type,
			.codec_id = unfit[i].id,
			.extradata = unfit[i].n ? exact + 1 : NULL, /* its end is the block's */
			.extradata_size = (int)unfit[i].n,
			.width = unfit[i].width,
			.height = 360,
			.sample_rate = unfit[i].rate,
			.ch_layout.nb_channels = unfit[i].channels,
		};

		if (unfit[i].n)
			memcpy(exact + 1, unfit[i].extradata, unfit[i].n);
		if (fragment_carries(&p))
			fail_msg("%s", unfit[i].name);
		free(exact);
	}
}

/* OpusHead is little endian, dOps is not (Encapsulation of Opus in ISO BMFF, section 4.3.2). */
static void test_opus_turns_its_bytes(void **state)
{
	static const uint8_t dops[] = { 0, 0, 0, 19, 'd', 'O', 'p', 's', 0, 2, 0x01, 0x38, 0, 0,
		0xac, 0x44, 0xff, 0x00, 0 };
	struct stream_track track = make_track(&cases[OPUS_ROW]);
	struct fragment_init *init = fragment_init_new(&track, 1);

	(void)state;
	assert_non_null(memmem(init->data, init->bytes, dops, sizeof(dops)));
	fragment_init_unref(&init);
	avcodec_parameters_free(&track.parameters);
}

/* ISO/IEC 14496-1 section 7.2.6.6: a decoder of JPEG, in a visual stream, without configuration. */
static void test_motion_jpeg_is_a_visual_stream(void **state)
{
	static const uint8_t decoder[] = { 4, 0x80, 0x80, 0x80, 13, 0x6c, 0x11, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 6 };
	struct stream_track track = make_track(&cases[MJPEG]);
	struct fragment_init *init = fragment_init_new(&track, 1);

	(void)state;
	assert_non_null(memmem(init->data, init->bytes, decoder, sizeof(decoder)));
	fragment_init_unref(&init);
	avcodec_parameters_free(&track.parameters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libavformat_reads_each_codec),
		cmocka_unit_test(test_our_reader_names_each_codec),
		cmocka_unit_test(test_browsers_get_the_tracks_that_they_play),
		cmocka_unit_test(test_the_browsers_part_may_stay_longer),
		cmocka_unit_test(test_a_fragment_without_anything_for_browsers),
		cmocka_unit_test(test_what_browsers_are_refused),
		cmocka_unit_test(test_a_track_that_is_left_out),
		cmocka_unit_test(test_what_mp4_cannot_carry),
		cmocka_unit_test(test_opus_turns_its_bytes),
		cmocka_unit_test(test_motion_jpeg_is_a_visual_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
