/* The MP4 reader: what others may write, what hostile files say, a torn segment, and H.265 as libavformat sees it. */
#include "storage/mp4_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mem.h>

#include "storage/box_writer.h"
#include "tests/synthetic.h"

#define FOURCC(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum {
	SYNC = 0x2000000,
	NOT_SYNC = 0x1010000,
	FRAGMENTS = 3
};

static const struct mp4_movie movie = {
	.n_tracks = 2,
	.tracks = {{ .id = 1, .timescale = 90000, .default_duration = 3600 },
		   { .id = 2, .timescale = 48000, .default_duration = 1024 }}
};

/* --- a moof by hand: which fields are where --- */

struct traf {
	uint32_t tfhd_flags, trun_flags;
	uint32_t fields[8]; /* of tfhd after the track's id, then of trun after its count */
	size_t n_tfhd, n_trun;
	uint8_t tfdt_version;
	uint32_t samples;
};

static void write_traf(struct box_writer *w, uint32_t id, const struct traf *traf)
{
	size_t at = box_begin(w, "traf");
	size_t box = box_begin_full(w, "tfhd", 0, traf->tfhd_flags);

	box_u32(w, id);
	for (size_t i = 0; i < traf->n_tfhd; i++)
		box_u32(w, traf->fields[i]);
	box_end(w, box);
	box = box_begin_full(w, "tfdt", traf->tfdt_version, 0);
	if (traf->tfdt_version)
		box_u64(w, UINT64_C(0x100000002));
	else
		box_u32(w, 77);
	box_end(w, box);
	box = box_begin_full(w, "trun", 0, traf->trun_flags);
	box_u32(w, traf->samples);
	for (size_t i = 0; i < traf->n_trun; i++)
		box_u32(w, traf->fields[traf->n_tfhd + i]);
	box_end(w, box);
	box_end(w, at);
}

static struct box_writer write_moof(const struct traf *traf, unsigned n_trafs)
{
	struct box_writer w = { 0 };
	size_t moof = box_begin(&w, "moof");
	size_t box = box_begin_full(&w, "mfhd", 0, 0);

	box_u32(&w, 9);
	box_end(&w, box);
	for (unsigned i = 0; i < n_trafs; i++)
		write_traf(&w, i + 1, traf);
	box_end(&w, moof);
	return w;
}

static void test_defaults_and_what_overrides_them(void **state)
{
	static const struct {
		const char *name;
		struct traf traf;
		uint64_t duration, bytes;
		bool keyframe;
	} cases[] = {
		{"all from trex and zero",                   { .samples = 3 },                3 * 3600, 0,  true },
		{ "all from tfhd",
                 { .tfhd_flags = 0x38,
				.fields = { 10, 20, NOT_SYNC },
				.n_tfhd = 3,
				.samples = 3 },
                 30,										    60, false},
		{ "base offset and description are skipped",
                 { .tfhd_flags = 0xb, .fields = { 1, 2, 3, 10 }, .n_tfhd = 4, .samples = 2 },
                 20,										    0,  true },
		{ "first sample's flags",
                 { .tfhd_flags = 0x20,
				.trun_flags = 0x5,
				.fields = { NOT_SYNC, 99, SYNC },
				.n_tfhd = 1,
				.n_trun = 2,
				.samples = 2 },
                 7200,										  0,  true },
		{ "each sample's own",
                 { .trun_flags = 0xf00,
				.n_trun = 8,
				.samples = 2,
				.fields = { 5, 6, NOT_SYNC, 7, 50, 60, SYNC, 70 } },
                 55,										    66, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct box_writer w = write_moof(&cases[i].traf, 1);
		struct mp4_fragment read;
		const char *why = NULL;

		if (mp4_moof_parse(&read, w.p, w.n, &movie, &why) < 0)
			fail_msg("%s: %s", cases[i].name, why);
		if (read.tracks[0].duration != cases[i].duration ||
			read.data_bytes != cases[i].bytes ||
			read.tracks[0].keyframe != cases[i].keyframe ||
			read.tracks[0].samples != cases[i].traf.samples)
			fail_msg("%s", cases[i].name);
		assert_int_equal(read.sequence, 9);
		free(w.p);
	}
}

static void test_both_versions_of_decode_time(void **state)
{
	(void)state;
	for (uint8_t version = 0; version < 2; version++) {
		struct traf traf = { .tfdt_version = version, .samples = 1 };
		struct box_writer w = write_moof(&traf, 2);
		struct mp4_fragment read;
		const char *why;

		assert_int_equal(mp4_moof_parse(&read, w.p, w.n, &movie, &why), 0);
		assert_int_equal(read.n_tracks, 2);
		assert_true(read.tracks[1].decode_time ==
			    (version ? UINT64_C(0x100000002) : UINT64_C(77)));
		assert_int_equal(read.tracks[1].id, 2);
		assert_int_equal(read.tracks[1].duration, 1024);
		free(w.p);
	}
}

static void test_limits(void **state)
{
	static const struct {
		const char *name;
		uint32_t samples;
		unsigned trafs;
		bool good;
	} cases[] = {
		{"as many samples as may be", 65536,      1,              true },
		{ "one more",                 65537,      1,              false},
		{ "all that a count can say", UINT32_MAX, 1,              false},
		{ "as many tracks as may be", 1,          MP4_TRACKS,     true },
		{ "one track more",           1,          MP4_TRACKS + 1, false},
		{ "no track",                 1,          0,              false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct traf traf = { .samples = cases[i].samples };
		struct box_writer w = write_moof(&traf, cases[i].trafs);
		struct mp4_fragment read;
		const char *why = NULL;
		int result = mp4_moof_parse(&read, w.p, w.n, &movie, &why);

		if ((result == 0) != cases[i].good || (result < 0 && !why))
			fail_msg("%s: %d", cases[i].name, result);
		free(w.p);
	}
}

/* The same bytes under another name. */
static void test_another_box_is_refused(void **state)
{
	struct traf traf = { .samples = 1 };
	struct box_writer w = write_moof(&traf, 1);
	struct mp4_fragment fragment;
	struct mp4_movie read;
	const char *why = NULL;

	(void)state;
	assert_int_equal(mp4_moof_parse(&fragment, w.p, w.n, &movie, &why), 0);
	assert_true(mp4_moov_parse(&read, w.p, w.n, &why) < 0);
	assert_string_equal(why, "another box was expected");
	memcpy(w.p + 4, "free", 4);
	why = NULL;
	assert_true(mp4_moof_parse(&fragment, w.p, w.n, &movie, &why) < 0);
	assert_string_equal(why, "another box was expected");
	free(w.p);
}

static void test_a_header_may_drip(void **state)
{
	static const uint8_t large[16] = { 0, 0, 0, 1, 'm', 'd', 'a', 't', 0, 0, 0, 2, 0, 0, 0, 3 };
	struct mp4_box box;
	const char *why;

	(void)state;
	for (size_t n = 0; n < sizeof(large); n++)
		assert_int_equal(mp4_box_parse(&box, large, n, &why), 0);
	assert_int_equal(mp4_box_parse(&box, large, sizeof(large), &why), 1);
	assert_true(box.bytes == UINT64_C(0x200000003));
	assert_int_equal(box.header_bytes, 16);
	assert_int_equal(box.type, FOURCC('m', 'd', 'a', 't'));
}

/* --- a segment: ftyp, free, moov, (moof mdat)*, torn anywhere --- */

static void append_fragment(struct box_writer *w, const struct fragment *fragment)
{
	box_bytes(w, fragment->head, fragment->head_bytes);
	for (size_t i = 0; i < fragment->n_packets; i++)
		box_bytes(w, fragment->packets[i]->data, (size_t)fragment->packets[i]->size);
}

/* How many fragments are whole in the first n bytes; ret: where the last one ends. */
static unsigned count_whole(const uint8_t *p, size_t n, size_t *ret)
{
	unsigned whole = 0;
	bool moof = false;
	struct mp4_box box;
	const char *why;

	*ret = 0;
	for (size_t at = 0; mp4_box_parse(&box, p + at, n - at, &why) > 0;) {
		if (box.to_end || box.bytes > n - at)
			break;
		if (box.type == FOURCC('m', 'd', 'a', 't') && moof) {
			whole++;
			*ret = at + (size_t)box.bytes;
		}
		moof = box.type == FOURCC('m', 'o', 'o', 'f');
		at += (size_t)box.bytes;
	}
	return whole;
}

static void test_a_torn_segment_ends_with_its_last_whole_fragment(void **state)
{
	size_t ends[FRAGMENTS + 1] = { 0 }, end;
	struct box_writer w = { 0 };
	struct stream_track tracks[2];
	struct fragment_init *init;
	unsigned whole = 0;

	(void)state;
	synthetic_tracks(tracks);
	init = fragment_init_new(tracks, 1);
	box_bytes(&w, init->data, init->ftyp_bytes);
	end = box_begin(&w, "free");
	box_zeros(&w, 8);
	box_end(&w, end);
	box_bytes(&w, init->data + init->ftyp_bytes, init->bytes - init->ftyp_bytes);
	for (unsigned i = 0; i < FRAGMENTS; i++) {
		struct fragment *fragment = synthetic_fragment(init, i * 4, 4, 30);

		append_fragment(&w, fragment);
		ends[i + 1] = w.n;
		fragment_unref(&fragment);
	}
	for (size_t n = 0; n <= w.n; n++) {
		uint8_t *exact = malloc(n ? n : 1);

		memcpy(exact, w.p, n);
		while (whole < FRAGMENTS && n >= ends[whole + 1])
			whole++;
		assert_int_equal(count_whole(exact, n, &end), whole);
		assert_int_equal(end, ends[whole]);
		free(exact);
	}
	assert_int_equal(whole, FRAGMENTS);
	fragment_init_unref(&init);
	synthetic_tracks_free(tracks);
	free(w.p);
}

/* What libavformat makes of the same matrix: tests/interop/test_av_source.py. */
static void test_a_track_says_how_it_is_turned(void **state)
{
	struct stream_track tracks[2];

	(void)state;
	synthetic_tracks(tracks);
	for (int rotation = 0; rotation < 360; rotation += 90) {
		struct fragment_init *init;
		struct mp4_movie parsed;
		const char *why = "";

		tracks[0].rotation = rotation;
		init = fragment_init_new(tracks, 2);
		assert_int_equal(mp4_moov_parse(&parsed, init->data + init->ftyp_bytes,
					 init->bytes - init->ftyp_bytes, &why),
			0);
		assert_int_equal(parsed.tracks[0].rotation, rotation);
		assert_int_equal(parsed.tracks[1].rotation, 0);
		fragment_init_unref(&init);
	}
	synthetic_tracks_free(tracks);
}

/* --- H.265 --- */

/* A record as ffmpeg wrote it (its sets do not matter here). */
static const uint8_t hvcc[] = { 0x01, 0x01, 0x60, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x3f, 0xf0, 0x00, 0xfc, 0xfd, 0xf8, 0xf8, 0x00, 0x00, 0x0f, 0x00 };

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

static void make_h265(struct stream_track *track)
{
	AVCodecParameters *p = track->parameters;

	p->codec_id = AV_CODEC_ID_HEVC;
	p->width = 704;
	p->height = 576;
	p->sample_aspect_ratio = (AVRational){ 12, 11 };
	av_freep(&p->extradata);
	p->extradata = av_mallocz(sizeof(hvcc) + AV_INPUT_BUFFER_PADDING_SIZE);
	memcpy(p->extradata, hvcc, sizeof(hvcc));
	p->extradata_size = (int)sizeof(hvcc);
}

/* What libavformat makes of an init segment. */
static void check_by_libavformat(const struct fragment_init *init)
{
	AVFormatContext *format = avformat_alloc_context();
	struct block block = { init->data, init->bytes, 0 };
	const AVCodecParameters *p;

	format->pb = avio_alloc_context(av_malloc(4096), 4096, 0, &block, block_read, NULL, NULL);
	assert_int_equal(avformat_open_input(&format, NULL, av_find_input_format("mp4"), NULL), 0);
	assert_int_equal(format->nb_streams, 2);
	p = format->streams[0]->codecpar;
	assert_int_equal(p->codec_id, AV_CODEC_ID_HEVC);
	assert_int_equal(p->codec_tag, MKTAG('h', 'v', 'c', '1'));
	assert_int_equal(p->width, 704);
	assert_int_equal(p->height, 576);
	assert_int_equal(p->extradata_size, sizeof(hvcc));
	assert_memory_equal(p->extradata, hvcc, sizeof(hvcc));
	assert_int_equal(format->streams[0]->sample_aspect_ratio.num, 12);
	assert_int_equal(format->streams[0]->sample_aspect_ratio.den, 11);
	assert_int_equal(format->streams[0]->time_base.den, 90000);
	p = format->streams[1]->codecpar;
	assert_int_equal(p->codec_id, AV_CODEC_ID_AAC);
	assert_int_equal(p->sample_rate, 48000);
	assert_int_equal(p->ch_layout.nb_channels, 2);
	assert_int_equal(p->extradata_size, 2);
	av_freep(&format->pb->buffer);
	avio_context_free(&format->pb);
	avformat_close_input(&format);
}

static void test_h265_and_aspect_ratio(void **state)
{
	static const uint8_t pasp[] = { 0, 0, 0, 16, 'p', 'a', 's', 'p', 0, 0, 0, 12, 0, 0, 0, 11 };
	struct stream_track tracks[2];
	struct fragment_init *init;
	struct mp4_movie read;
	const char *why = NULL;

	(void)state;
	synthetic_tracks(tracks);
	make_h265(&tracks[0]);
	init = fragment_init_new(tracks, 2);
	assert_string_equal(init->codecs, "hvc1.1.6.L63.90,mp4a.40.2");
	assert_string_equal(init->video_codec, "h265");
	assert_int_equal(mp4_moov_parse(&read, init->data + init->ftyp_bytes,
				 init->bytes - init->ftyp_bytes, &why),
		0);
	assert_int_equal(read.tracks[0].codec, FOURCC('h', 'v', 'c', '1'));
	assert_string_equal(read.tracks[0].codec_string, "hvc1.1.6.L63.90");
	assert_string_equal(read.tracks[0].name, "h265");
	assert_int_equal(read.tracks[0].handler, FOURCC('v', 'i', 'd', 'e'));
	assert_int_equal(read.tracks[0].width, 704);
	assert_int_equal(read.tracks[1].codec, FOURCC('m', 'p', '4', 'a'));
	assert_int_equal(read.tracks[1].handler, FOURCC('s', 'o', 'u', 'n'));
	assert_non_null(memmem(init->data, init->bytes, pasp, sizeof(pasp)));
	check_by_libavformat(init);
	fragment_init_unref(&init);
	synthetic_tracks_free(tracks);
}

/* --- sample entries as others write them --- */

struct entry {
	const char *type;
	size_t fields; /* of the entry, in bytes; zeros */
	const char *config;
	const char *bytes;
	size_t n;
};

static struct box_writer write_moov(const struct entry *entry)
{
	static const char *const outer[] = { "moov", "trak", "mdia", "minf", "stbl" };
	size_t at[ARRAY_LENGTH(outer)], stsd, sample, box;
	struct box_writer w = { 0 };

	for (size_t i = 0; i < ARRAY_LENGTH(outer); i++) {
		at[i] = box_begin(&w, outer[i]);
		if (i != 2)
			continue;
		box = box_begin_full(&w, "mdhd", 0, 0);
		box_zeros(&w, 8);
		box_u32(&w, 8000);
		box_zeros(&w, 8);
		box_end(&w, box);
	}
	stsd = box_begin_full(&w, "stsd", 0, 0);
	box_u32(&w, 1);
	sample = box_begin(&w, entry->type);
	box_zeros(&w, entry->fields);
	if (entry->config) {
		box = box_begin(&w, entry->config);
		box_bytes(&w, entry->bytes, entry->n);
		box_end(&w, box);
	}
	box_end(&w, sample);
	box_end(&w, stsd);
	for (size_t i = ARRAY_LENGTH(outer); i-- > 0;)
		box_end(&w, at[i]);
	return w;
}

#define BYTES(text) text, sizeof(text) - 1
#define ZEROS_12 "\0\0\0\0\0\0\0\0\0\0\0\0"

static void test_sample_entries(void **state)
{
	// clang-format off
	static const struct {
		const char *what;
		struct entry entry;
		const char *name, *codec_string;
	} cases[] = {
		{ "AAC, lengths of one byte",
			{ "mp4a", 28, "esds", BYTES("\0\0\0\0\3\x16\0\1\0\4\x11\x40" ZEROS_12 "\5\2\x12\x10") },
			"aac", "mp4a.40.2" },
		{ "AAC, lengths of four, with all that ES may have",
			{ "mp4a", 28, "esds",
				BYTES("\0\0\0\0\3\x80\x80\x80\x23\0\1\xe0\0\7\2ab\0\3\4\x80\x80\x80\x14\x40" ZEROS_12
				      "\5\x80\x80\x80\2\x12\x10") },
			"aac", "mp4a.40.2" },
		{ "AAC without its config",
			{ "mp4a", 28, "esds", BYTES("\0\0\0\0\3\x12\0\1\0\4\x0d\x40" ZEROS_12) }, "aac",
			"mp4a.40" },
		{ "MP3", { "mp4a", 28, "esds", BYTES("\0\0\0\0\3\x12\0\1\0\4\x0d\x6b" ZEROS_12) }, "",
			"mp4a.6B" },
		{ "MPEG-4 part 2",
			{ "mp4v", 78, "esds", BYTES("\0\0\0\0\3\x12\0\1\0\4\x0d\x20" ZEROS_12) }, "",
			"mp4v.20" },
		{ "JPEG", { "mp4v", 78, "esds", BYTES("\0\0\0\0\3\x12\0\1\0\4\x0d\x6c" ZEROS_12) },
			"mjpeg", "mp4v.6C" },
		{ "another descriptor first", { "mp4a", 28, "esds", BYTES("\0\0\0\0\4\x0d\x40" ZEROS_12) },
			"", "" },
		{ "a descriptor that overruns its parent",
			{ "mp4a", 28, "esds", BYTES("\0\0\0\0\3\x05\0\1\0\4\x0d\x40" ZEROS_12) }, "", "" },
		{ "a length without end",
			{ "mp4a", 28, "esds", BYTES("\0\0\0\0\3\xff\xff\xff\xff\xff\xff") }, "", "" },
		{ "an empty esds", { "mp4a", 28, "esds", "", 0 }, "", "" },
		{ "no esds", { "mp4a", 28, NULL, NULL, 0 }, "", "" },
		{ "H.264, a record cut short", { "avc1", 78, "avcC", BYTES("\1\x42\xc0") }, "h264", "" },
		{ "AV1 main, 10 bits", { "av01", 78, "av1C", BYTES("\x81\x08\x4c\0") }, "av1",
			"av01.0.08M.10" },
		{ "u-law", { "ulaw", 28, NULL, NULL, 0 }, "pcm_mulaw", "ulaw" },
		{ "unknown", { "mp2v", 78, NULL, NULL, 0 }, "", "" },
	};
	// clang-format on

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct box_writer w = write_moov(&cases[i].entry);
		const char *why = "nothing";
		struct mp4_movie read;

		if (mp4_moov_parse(&read, w.p, w.n, &why) < 0)
			fail_msg("%s: %s", cases[i].what, why);
		if (strcmp(read.tracks[0].name, cases[i].name) ||
			strcmp(read.tracks[0].codec_string, cases[i].codec_string))
			fail_msg("%s: \"%s\" \"%s\"", cases[i].what, read.tracks[0].name,
				read.tracks[0].codec_string);
		for (size_t n = 0; n < w.n; n++) {
			uint8_t *exact = malloc(n ? n : 1);

			memcpy(exact, w.p, n);
			assert_true(mp4_moov_parse(&read, exact, n, &why) < 0);
			free(exact);
		}
		free(w.p);
	}
}

static void test_an_entry_shorter_than_its_fields(void **state)
{
	static const struct entry short_entry = { "mp4v", 77, NULL, NULL, 0 };
	struct box_writer w = write_moov(&short_entry);
	struct mp4_movie read;
	const char *why = NULL;

	(void)state;
	assert_true(mp4_moov_parse(&read, w.p, w.n, &why) < 0);
	assert_non_null(why);
	free(w.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_and_what_overrides_them),
		cmocka_unit_test(test_both_versions_of_decode_time),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_another_box_is_refused),
		cmocka_unit_test(test_a_header_may_drip),
		cmocka_unit_test(test_a_torn_segment_ends_with_its_last_whole_fragment),
		cmocka_unit_test(test_a_track_says_how_it_is_turned),
		cmocka_unit_test(test_h265_and_aspect_ratio),
		cmocka_unit_test(test_sample_entries),
		cmocka_unit_test(test_an_entry_shorter_than_its_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
