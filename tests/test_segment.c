/*
 * Recording files: what scan and libavformat read from them, open and closed, is what was put in; and a
 * closing that is stopped anywhere leaves a file that plays and that can be closed.
 */
#include "storage/segment.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <libavformat/avformat.h>
#include <libavutil/mem.h>

#include "server/base/memory.h"
#include "storage/mp4_reader.h"
#include "tests/synthetic.h"

enum {
	FRAGMENTS_MOST = 16,
	PACKETS_MOST = 1024,
	HEADER_BYTES = 16, /* what is overwritten at the end: in one sector, so never in part */
	CUTS = 6,          /* of one write that is longer */
};

static struct stream_track tracks[2], law;

/* --- files are made of scripts --- */

struct script {
	const char *name;
	unsigned fragments, pictures, sounds; /* so many in each */
	bool video, audio;                    /* tracks of the stream */
	bool is_law;                          /* the sound is u-law */
	int reorder;                          /* pts = dts + (0, 2, 1) frames + this many */
	bool reordered, all_key, same_bytes, uneven, is_cut_blind;
	int64_t start_us;                  /* after SYNTHETIC_START_US */
	int64_t sound_later;               /* ticks of the sound's clock */
	unsigned gap_before, gap_pictures; /* in front of that fragment */
	unsigned gap_sounds;
};

// clang-format off
static const struct script scripts[] = {
	{ "two tracks", 4, 12, 22, .video = true, .audio = true },
	{ "one fragment", 1, 12, 22, .video = true, .audio = true },
	{ "one picture", 1, 1, 0, .video = true },
	{ "video only", 5, 12, 0, .video = true },
	{ "audio only", 5, 0, 22, .audio = true },
	{ "an audio track without sound", 3, 12, 0, .video = true, .audio = true },
	{ "all are keyframes of the same size", 3, 12, 22, .video = true, .audio = true, .all_key = true,
		.same_bytes = true },
	{ "pictures in another order", 4, 12, 22, .video = true, .audio = true, .reordered = true },
	{ "the same, shown late", 4, 12, 22, .video = true, .audio = true, .reordered = true, .reorder = 2 },
	{ "the same, shown early", 4, 12, 22, .video = true, .audio = true, .reordered = true, .reorder = -1 },
	{ "the same, not on a tick", 4, 12, 22, .video = true, .audio = true, .reordered = true,
		.reorder = 2, .start_us = 12345 },
	{ "the same, sound earlier", 4, 12, 22, .video = true, .audio = true, .reordered = true,
		.sound_later = -5000 },
	{ "uneven", 4, 12, 22, .video = true, .audio = true, .uneven = true, .reordered = true },
	{ "not on a tick", 4, 12, 22, .video = true, .audio = true, .start_us = 12345 },
	{ "sound later", 4, 12, 22, .video = true, .audio = true, .sound_later = 14567 },
	{ "sound earlier", 4, 12, 22, .video = true, .audio = true, .sound_later = -777, .start_us = 7 },
	{ "a gap", 6, 12, 22, .video = true, .audio = true, .gap_before = 3, .gap_pictures = 50, .gap_sounds = 90 },
	{ "a gap that nobody saw coming", 6, 12, 22, .video = true, .audio = true, .gap_before = 3,
		.gap_pictures = 50, .gap_sounds = 90, .is_cut_blind = true },
	{ "a gap in the sound", 6, 12, 22, .video = true, .audio = true, .gap_before = 2, .gap_sounds = 90 },
	{ "u-law", 4, 12, 25, .video = true, .audio = true, .is_law = true },
	{ "u-law only, uneven", 4, 0, 25, .audio = true, .is_law = true, .uneven = true },
};
// clang-format on

struct built {
	struct box_writer w;
	size_t head_bytes;
	int64_t origin_us;
	char codecs[96];
	size_t n;
	struct catalogue_fragment fragments[FRAGMENTS_MOST]; /* as the recorder says them */
};

static AVPacket *script_packet(
	const struct script *s, unsigned track, unsigned fragment, unsigned i)
{
	bool is_sound = track == 1, late = s->gap_before && fragment >= s->gap_before;
	unsigned per = is_sound ? s->sounds : s->pictures, at = fragment * per + i;
	unsigned shifted = at + (late ? is_sound ? s->gap_sounds : s->gap_pictures : 0);
	size_t bytes = s->same_bytes ? 40 : 30 + at % 7;
	AVPacket *packet;

	if (!is_sound) {
		packet = synthetic_video(shifted, i == 0 || s->all_key, bytes);
		packet->dts += s->start_us * 9 / 100 + (s->uneven ? at % 5 * 100 : 0);
		packet->pts = packet->dts;
		if (s->reordered)
			packet->pts += ((int64_t)(at * 2 % 3) + s->reorder) * SYNTHETIC_FRAME_90K;
		return packet;
	}
	packet = synthetic_audio(shifted, s->is_law ? 160 + (s->uneven ? at % 5 : 0) : bytes);
	if (s->is_law) {
		packet->dts = SYNTHETIC_START_US / 1000 * 8 + (int64_t)shifted * 170;
		packet->duration = packet->size;
	}
	packet->dts += s->start_us * (s->is_law ? 8 : 48) / 1000 + s->sound_later;
	packet->pts = packet->dts;
	return packet;
}

static void script_fill(const struct script *s, struct fragment_builder *builder, unsigned fragment)
{
	for (unsigned i = 0; s->video && i < s->pictures; i++) {
		AVPacket *packet = script_packet(s, 0, fragment, i);

		fragment_builder_add(builder, packet);
		av_packet_free(&packet);
	}
	for (unsigned i = 0; s->audio && i < s->sounds; i++) {
		AVPacket *packet = script_packet(s, 1, fragment, i);

		packet->stream_index = s->video;
		fragment_builder_add(builder, packet);
		av_packet_free(&packet);
	}
}

static struct fragment *script_fragment(
	const struct script *s, struct fragment_builder *builder, unsigned fragment)
{
	int64_t next[STREAM_TRACKS] = { AV_NOPTS_VALUE, AV_NOPTS_VALUE, AV_NOPTS_VALUE,
		AV_NOPTS_VALUE };

	script_fill(s, builder, fragment);
	if (s->video && !s->is_cut_blind) {
		AVPacket *packet = script_packet(s, 0, fragment + 1, 0);

		next[0] = packet->dts;
		av_packet_free(&packet);
	}
	return fragment_builder_take(builder, next, fragment + 1);
}

static void build_append(struct built *b, const struct fragment *fragment)
{
	struct evbuffer *out = evbuffer_new();

	fragment_append(fragment, b->origin_us, out);
	b->fragments[b->n++] = (struct catalogue_fragment){
		.start_us = fragment->start_us,
		.duration_us = (uint32_t)fragment->duration_us,
		.bytes = (uint32_t)fragment->bytes,
		.offset = b->w.n,
		.keyframe = fragment->keyframe,
	};
	box_bytes(&b->w, evbuffer_pullup(out, -1), evbuffer_get_length(out));
	evbuffer_free(out);
}

static struct built build(const struct script *s)
{
	struct stream_track chosen[2];
	struct fragment_builder *builder;
	struct fragment_init *init;
	struct built b = { 0 };
	unsigned n = 0;

	if (s->video)
		chosen[n++] = tracks[0];
	if (s->audio)
		chosen[n++] = s->is_law ? law : tracks[1];
	init = fragment_init_new(chosen, n);
	snprintf(b.codecs, sizeof(b.codecs), "%s", init->codecs);
	builder = fragment_builder_new(init);
	for (unsigned i = 0; i < s->fragments; i++) {
		struct fragment *fragment = script_fragment(s, builder, i);

		if (!i) {
			b.origin_us = fragment_origin_us(fragment);
			segment_head(&b.w, init, "porch", b.origin_us, 0);
			b.head_bytes = b.w.n;
		}
		build_append(&b, fragment);
		fragment_unref(&fragment);
	}
	fragment_builder_free(builder);
	fragment_init_unref(&init);
	return b;
}

/* A file in memory. */
static int file_of(const void *p, size_t n)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, 0), n);
	return fd;
}

static uint64_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

static int copy_of(int fd)
{
	size_t n = size_of(fd);
	void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
	int copy;

	assert_true(p != MAP_FAILED);
	copy = file_of(p, n);
	munmap(p, n);
	return copy;
}

static void close_file(int fd)
{
	uint64_t bytes = 0;

	assert_int_equal(segment_close(fd, &bytes), 0);
	assert_int_equal(bytes, size_of(fd));
}

/* --- what libavformat reads --- */

struct seen {
	struct {
		int64_t pts, dts, position;
		int bytes, flags;
		uint32_t sum;
	} packets[PACKETS_MOST];
	size_t n;
	int64_t start, duration;
	AVRational time_base;
};
struct reading {
	unsigned n;
	struct seen streams[2];
	char title[32], created[32];
};

static void see(struct seen *seen, const AVPacket *packet)
{
	size_t i = seen->n++;

	assert_true(i < PACKETS_MOST);
	seen->packets[i].pts = packet->pts;
	seen->packets[i].dts = packet->dts;
	seen->packets[i].position = packet->pos;
	seen->packets[i].bytes = packet->size;
	seen->packets[i].flags = packet->flags & (AV_PKT_FLAG_KEY | AV_PKT_FLAG_DISCARD);
	for (int k = 0; k < packet->size; k++)
		seen->packets[i].sum = seen->packets[i].sum * 31 + packet->data[k];
}

static void take_tag(char *ret, size_t size, AVDictionary *tags, const char *key)
{
	const AVDictionaryEntry *tag = av_dict_get(tags, key, NULL, 0);

	snprintf(ret, size, "%s", tag ? tag->value : "");
}

/* What libavformat complained of. */
static char complaint[256];

static void on_log(void *context, int level, const char *format, va_list arguments)
{
	(void)context;
	if (level <= AV_LOG_WARNING && !complaint[0])
		(void)vsnprintf(complaint, sizeof(complaint), format, arguments);
}

static struct reading *read_file(int fd)
{
	struct reading *r = xcalloc(1, sizeof(*r));
	AVFormatContext *format = avformat_alloc_context();
	AVPacket *packet = av_packet_alloc();
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	format->flags |= AVFMT_FLAG_NOPARSE; /* the media are made up */
	if (avformat_open_input(&format, path, NULL, NULL) < 0)
		fail_msg("libavformat does not open it");
	r->n = format->nb_streams;
	assert_true(r->n <= 2);
	while (av_read_frame(format, packet) >= 0) {
		see(&r->streams[packet->stream_index], packet);
		av_packet_unref(packet);
	}
	for (unsigned i = 0; i < r->n; i++) {
		r->streams[i].start = format->streams[i]->start_time;
		r->streams[i].duration = format->streams[i]->duration;
		r->streams[i].time_base = format->streams[i]->time_base;
	}
	take_tag(r->title, sizeof(r->title), format->metadata, "title");
	take_tag(r->created, sizeof(r->created), format->metadata, "creation_time");
	avformat_close_input(&format);
	av_packet_free(&packet);
	return r;
}

static void check_same(const char *name, const struct reading *a, const struct reading *b)
{
	if (a->n != b->n)
		fail_msg("%s: %u and %u streams", name, a->n, b->n);
	for (unsigned s = 0; s < a->n; s++) {
		const struct seen *x = &a->streams[s], *y = &b->streams[s];

		if (x->n != y->n)
			fail_msg("%s: stream %u: %zu and %zu packets", name, s, x->n, y->n);
		assert_int_equal(x->time_base.den, y->time_base.den);
		if (x->start != y->start)
			fail_msg("%s: stream %u: start %lld %lld", name, s, (long long)x->start,
				(long long)y->start);
		for (size_t i = 0; i < x->n; i++) {
			if (x->packets[i].pts != y->packets[i].pts ||
				x->packets[i].dts != y->packets[i].dts ||
				x->packets[i].position != y->packets[i].position ||
				x->packets[i].bytes != y->packets[i].bytes ||
				x->packets[i].flags != y->packets[i].flags ||
				x->packets[i].sum != y->packets[i].sum)
				fail_msg(
					"%s: stream %u: packet %zu: pts %lld %lld, dts %lld %lld, at %lld %lld",
					name, s, i, (long long)x->packets[i].pts,
					(long long)y->packets[i].pts, (long long)x->packets[i].dts,
					(long long)y->packets[i].dts,
					(long long)x->packets[i].position,
					(long long)y->packets[i].position);
		}
	}
}

/* What was put in, counted from the file's origin. */
static void check_put_in(const struct script *s, const struct built *b, const struct reading *r)
{
	for (unsigned track = 0; track < 2; track++) {
		unsigned per = track ? s->sounds : s->pictures, n = per * s->fragments;
		const struct seen *seen = &r->streams[track && s->video];
		int64_t origin;

		if (!(track ? s->audio : s->video))
			continue;
		if (seen->n != n)
			fail_msg("%s: %zu of %u packets", s->name, seen->n, n);
		origin = av_rescale_rnd(b->origin_us, seen->time_base.den, 1000000, AV_ROUND_DOWN);
		for (unsigned i = 0; i < n; i++) {
			AVPacket *packet = script_packet(s, track, i / per, i % per);

			/* libavformat moves decode times so that none is after its presentation */
			if (seen->packets[i].pts != packet->pts - origin ||
				(s->reorder >= 0 && seen->packets[i].dts != packet->dts - origin) ||
				seen->packets[i].bytes != packet->size ||
				seen->packets[i].flags !=
					(s->all_key || track || i % per == 0 ? AV_PKT_FLAG_KEY : 0))
				fail_msg("%s: track %u: packet %u: pts %lld", s->name, track, i,
					(long long)seen->packets[i].pts);
			av_packet_free(&packet);
		}
	}
}

static void test_libavformat_reads_the_same_open_and_closed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(scripts); i++) {
		const struct script *s = &scripts[i];
		struct built b = build(s);
		int fd = file_of(b.w.p, b.w.n);
		struct reading *open = read_file(fd), *closed;

		close_file(fd);
		complaint[0] = '\0';
		closed = read_file(fd);
		if (complaint[0])
			fail_msg("%s: %s", s->name, complaint);
		check_put_in(s, &b, closed);
		if (s->reorder >= 0) /* else libavformat is wrong about the first of fragments */
			check_same(s->name, open, closed);
		/* an edit list's delay is no part of a track's length, the first fragment's time is */
		for (unsigned k = 0; s->reorder >= 0 && k < closed->n; k++)
			if (open->streams[k].duration !=
				closed->streams[k].duration + closed->streams[k].packets[0].dts)
				fail_msg("%s: stream %u: %lld long, then %lld", s->name, k,
					(long long)open->streams[k].duration,
					(long long)closed->streams[k].duration);
		assert_string_equal(closed->title, "porch");
		assert_memory_equal(closed->created, "2026-11-20T14:", 14);
		free(open);
		free(closed);
		close(fd);
		free(b.w.p);
	}
}

/* --- what scan reads --- */

static void check_scan(const char *name, int fd, const struct built *b, size_t n, bool closed)
{
	struct segment_scan scan;
	int error = segment_scan(fd, &scan);

	if (error || scan.n != n)
		fail_msg("%s: %d, %zu of %zu fragments", name, error, scan.n, n);
	for (size_t i = 0; i < n; i++) {
		const struct catalogue_fragment *x = &scan.fragments[i], *y = &b->fragments[i];

		if (x->start_us != y->start_us || x->duration_us != y->duration_us ||
			x->bytes != y->bytes || x->offset != y->offset ||
			x->keyframe != y->keyframe)
			fail_msg("%s: fragment %zu: %lld+%u %lld+%u", name, i,
				(long long)x->start_us, x->duration_us, (long long)y->start_us,
				y->duration_us);
	}
	assert_true(scan.start_us == b->fragments[0].start_us);
	assert_true(scan.end_us == b->fragments[n - 1].start_us + b->fragments[n - 1].duration_us);
	assert_int_equal(scan.bytes, b->fragments[n - 1].offset + b->fragments[n - 1].bytes);
	assert_true(scan.dated);
	assert_true(scan.closed == closed);
	assert_string_equal(scan.codecs, b->codecs);
	assert_int_equal(scan.width, b->codecs[0] == 'a' ? 640 : 0);
	segment_scan_fini(&scan);
}

static void test_a_scan_tells_what_the_recorder_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(scripts); i++) {
		struct built b = build(&scripts[i]);
		int fd = file_of(b.w.p, b.w.n);

		if (!scripts[i].video)
			snprintf(b.codecs, sizeof(b.codecs), "%s",
				scripts[i].is_law ? "ulaw" : "mp4a.40.2");
		check_scan(scripts[i].name, fd, &b, b.n, false);
		close_file(fd);
		check_scan(scripts[i].name, fd, &b, b.n, true);
		close_file(fd); /* nothing more to do */
		check_scan(scripts[i].name, fd, &b, b.n, true);
		close(fd);
		free(b.w.p);
	}
}

/* Microseconds survive NTP time; an instant after its seconds began anew in 2036 is no other. */
static void test_instants_are_exact(void **state)
{
	static const int64_t starts_us[] = { 0, 1, 999999, INT64_C(1795185000000001),
		INT64_C(1795185000333333), INT64_C(1795185000999999), INT64_C(2085978495999999),
		INT64_C(2085978496000000), INT64_C(2085978496000001), INT64_C(4102444800123457) };
	struct fragment_init *init = fragment_init_new(tracks, 1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(starts_us); i++) {
		struct fragment_builder *builder = fragment_builder_new(init);
		int64_t next[STREAM_TRACKS] = { AV_NOPTS_VALUE };
		AVPacket *packet = synthetic_video(0, true, 10);
		struct built b = { 0 };
		struct segment_scan scan;
		struct fragment *fragment;
		int fd;

		packet->dts = packet->pts =
			av_rescale_rnd(starts_us[i], 90000, 1000000, AV_ROUND_UP);
		fragment_builder_add(builder, packet);
		av_packet_free(&packet);
		fragment = fragment_builder_take(builder, next, 1);
		b.origin_us = fragment_origin_us(fragment);
		segment_head(&b.w, init, "porch", b.origin_us, i % 2 ? 0 : b.origin_us - 60000000);
		build_append(&b, fragment);
		fd = file_of(b.w.p, b.w.n);
		assert_int_equal(segment_scan(fd, &scan), 0);
		assert_true(scan.start_us == fragment->start_us);
		assert_true(scan.dated == i % 2);
		segment_scan_fini(&scan);
		close(fd);
		free(b.w.p);
		fragment_unref(&fragment);
		fragment_builder_free(builder);
	}
	fragment_init_unref(&init);
}

/* prft (ISO/IEC 14496-12 section 8.16.5): 2026-11-20 14:30:00 UTC is 4004173800 s after 1900. */
static void test_the_clock_is_as_the_standard_has_it(void **state)
{
	static const uint8_t expected[] = { 0, 0, 0, 32, 'p', 'r', 'f', 't', 1, 0, 0, 24, 0, 0, 0,
		1, 0xee, 0xaa, 0xd7, 0xe8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct built b = build(&scripts[0]);

	(void)state;
	assert_memory_equal(b.w.p + b.head_bytes - 32, expected, 32);
	free(b.w.p);
}

/* --- the tables --- */

struct box {
	const uint8_t *p;
	size_t n;
};

/* The content of a box by its path below *r; empty when it is not there. `nth` counts trak boxes. */
static struct box find(struct reader r, const char *path, unsigned nth)
{
	struct reader content;
	uint32_t type;

	while (mp4_box_next(&r, &type, &content)) {
		if (type != MP4_TYPE(path[0], path[1], path[2], path[3]))
			continue;
		if (!strncmp(path, "trak", 4) && nth--)
			continue;
		if (!path[4])
			return (struct box){ content.at, reader_left(&content) };
		return find(content, path + 5, nth);
	}
	return (struct box){ NULL, 0 };
}

static struct box find_in_file(const uint8_t *p, size_t n, const char *path, unsigned nth)
{
	struct reader r = reader_of(p, n);
	struct box found;

	found = find(r, path, nth);
	return found;
}

/* That a box has these 32-bit words, after version and flags. */
static void check_words(const char *name, struct box box, const uint32_t *words, size_t n)
{
	struct reader r = reader_of(box.p, box.n);

	if (box.n != 4 + 4 * n)
		fail_msg("%s has %zu bytes", name, box.n);
	reader_skip(&r, 4);
	for (size_t i = 0; i < n; i++) {
		uint32_t word = reader_u32(&r);

		if (word != words[i])
			fail_msg("%s: word %zu is %u", name, i, word);
	}
}

#define CHECK_WORDS(p, n, track, path, ...)                                                       \
	do {                                                                                      \
		static const uint32_t words_[] = { __VA_ARGS__ };                                 \
		check_words(path, find_in_file(p, n, path, track), words_, ARRAY_LENGTH(words_)); \
	} while (0)

#define STBL "moov/trak/mdia/minf/stbl/"

/* Five pictures in two fragments, a gap of one frame between them; sound a quarter second later. */
static void test_tables_are_as_the_standard_has_them(void **state)
{
	static const struct script script = { "tables", 2, 3, 2, .video = true, .audio = true,
		.reordered = true, .gap_before = 1, .gap_pictures = 1, .is_cut_blind = true,
		.sound_later = 12000 };
	struct built b = build(&script);
	uint64_t media = b.w.n;
	int fd = file_of(b.w.p, b.w.n);
	uint32_t first = 0, second = 0, sizes[2];
	uint8_t *p;
	size_t n;

	(void)state;
	close_file(fd);
	n = size_of(fd);
	p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	/* the room before the media became their header */
	assert_memory_equal(p + 28, "\0\0\0\1mdat", 8);
	assert_memory_equal(p, b.w.p, 28);
	assert_memory_equal(p + 44, b.w.p + 44, media - 44);
	first = (uint32_t)(b.fragments[0].offset + b.fragments[0].bytes - (30 + 31 + 32 + 30 + 31));
	second =
		(uint32_t)(b.fragments[1].offset + b.fragments[1].bytes - (33 + 34 + 35 + 32 + 33));
	sizes[0] = 30 + 31 + 32;
	sizes[1] = 33 + 34 + 35;
	/* pictures: the third stays for the gap of one as well */
	CHECK_WORDS(p, n, 0, STBL "stts", 3, 2, 3600, 1, 7200, 3, 3600);
	CHECK_WORDS(p, n, 0, STBL "ctts", 6, 1, 0, 1, 7200, 1, 3600, 1, 0, 1, 7200, 1, 3600);
	CHECK_WORDS(p, n, 0, STBL "stss", 2, 1, 4);
	CHECK_WORDS(p, n, 0, STBL "stsz", 0, 6, 30, 31, 32, 33, 34, 35);
	CHECK_WORDS(p, n, 0, STBL "stsc", 1, 1, 3, 1);
	{
		const uint32_t words[] = { 2, first, second };

		check_words("stco", find_in_file(p, n, STBL "stco", 0), words, 3);
	}
	/* sound: all the same length, all sync, and it starts later (section 8.6.6) */
	CHECK_WORDS(p, n, 1, STBL "stts", 1, 4, 1024);
	CHECK_WORDS(p, n, 1, STBL "stsz", 0, 4, 30, 31, 32, 33);
	assert_null(find_in_file(p, n, STBL "stss", 1).p);
	assert_null(find_in_file(p, n, STBL "ctts", 1).p);
	{
		const uint32_t words[] = { 2, first + sizes[0], second + sizes[1] };

		check_words("stco", find_in_file(p, n, STBL "stco", 1), words, 3);
	}
	/* movie: 720000 to the second, the least that has both; the sound ends last */
	CHECK_WORDS(p, n, 1, "moov/trak/edts/elst", 2, 0, 12000 * 15, UINT32_MAX, UINT32_MAX,
		0x10000, 0, 4096 * 15, 0, 0, 0x10000);
	assert_null(find_in_file(p, n, "moov/trak/edts", 0).p);
	assert_null(find_in_file(p, n, "moov/mvex", 0).p);
	/* version 1: times of creation and change, 2026-11-20 14:30:00 in seconds since 1904 */
	CHECK_WORDS(p, n, 0, "moov/trak/mdia/mdhd", 0, 0xe72609e8, 0, 0xe72609e8, 90000, 0, 25200,
		0x55c40000);
	assert_memory_equal(find_in_file(p, n, "moov/mvhd", 0).p,
		"\1\0\0\0\0\0\0\0\xe7\x26\x09\xe8\0\0\0\0\xe7\x26\x09\xe8\0\x0a\xfc\x80\0\0\0\0\0\3\xaf\x20",
		32);
	munmap(p, n);
	close(fd);
	free(b.w.p);
}

/* A fragment of one sample of that many bytes, which are a hole in the file. */
static void append_hole(int fd, uint64_t at, uint64_t time, uint32_t bytes)
{
	struct box_writer w = { 0 };
	size_t moof = box_begin(&w, "moof"), box = box_begin_full(&w, "mfhd", 0, 0), traf;

	box_u32(&w, 1);
	box_end(&w, box);
	traf = box_begin(&w, "traf");
	box = box_begin_full(&w, "tfhd", 0, 0x20000);
	box_u32(&w, 1);
	box_end(&w, box);
	box = box_begin_full(&w, "tfdt", 1, 0);
	box_u64(&w, time);
	box_end(&w, box);
	box = box_begin_full(&w, "trun", 0, 0x301);
	box_u32(&w, 1);
	box_u32(&w, (uint32_t)(w.n + 12 + 8));
	box_u32(&w, 3600);
	box_u32(&w, bytes);
	box_end(&w, box);
	box_end(&w, traf);
	box_end(&w, moof);
	box_u32(&w, 8 + bytes);
	box_text(&w, "mdat");
	assert_int_equal(pwrite(fd, w.p, w.n, (off_t)at), w.n);
	assert_int_equal(ftruncate(fd, (off_t)(at + w.n + bytes)), 0);
	free(w.p);
}

/* Behind 4 GiB offsets have 64 bits (section 8.7.5). */
static void test_a_file_of_more_than_4_gib(void **state)
{
	enum {
		HOLES = 3,
		HOLE = 2000000000
	};
	struct built b = build(&scripts[2]);
	int fd = file_of(b.w.p, b.head_bytes);
	uint64_t n = b.head_bytes, end;
	uint32_t words[1 + 2 * HOLES] = { HOLES };
	uint8_t head[16], tail[4096];
	struct reader r;
	ssize_t got;

	(void)state;
	for (unsigned i = 0; i < HOLES; i++) {
		append_hole(fd, n, i * 3600, HOLE);
		n = size_of(fd);
		words[1 + 2 * i] = (uint32_t)((n - HOLE) >> 32);
		words[2 + 2 * i] = (uint32_t)(n - HOLE);
	}
	end = n;
	assert_true(end > UINT32_MAX);
	close_file(fd);
	got = pread(fd, tail, sizeof(tail), (off_t)end);
	assert_int_equal(got, size_of(fd) - end);
	check_words("co64", find_in_file(tail, (size_t)got, STBL "co64", 0), words,
		ARRAY_LENGTH(words));
	assert_null(find_in_file(tail, (size_t)got, STBL "stco", 0).p);
	assert_int_equal(pread(fd, head, sizeof(head), 28), 16);
	r = reader_of(head + 8, 8);
	assert_true(reader_u64(&r) == end - 28);
	close(fd);
	free(b.w.p);
}

/* --- damage --- */

/* Any beginning of an open file is what its whole fragments are. */
static void test_every_cut_ends_with_its_last_whole_fragment(void **state)
{
	static const struct script script = { "cut", 3, 4, 6, .video = true, .audio = true };
	struct built b = build(&script);

	(void)state;
	for (size_t cut = 0; cut <= b.w.n; cut++) {
		int fd = file_of(b.w.p, cut);
		size_t whole = 0;
		uint64_t bytes;

		while (whole < b.n && cut >= b.fragments[whole].offset + b.fragments[whole].bytes)
			whole++;
		if (whole) {
			check_scan("cut", fd, &b, whole, false);
			close_file(fd);
			check_scan("cut and closed", fd, &b, whole, true);
		} else {
			struct segment_scan scan;
			int error = segment_scan(fd, &scan);

			/* of half an ftyp nobody knows what it would become */
			assert_true(
				error == -ENODATA || (cut > 0 && cut < 28 && error == -ENOTSUP));
			assert_int_equal(segment_close(fd, &bytes), error);
			assert_int_equal(bytes, cut);
			assert_int_equal(size_of(fd), cut);
		}
		close(fd);
	}
	free(b.w.p);
}

/* A closed file that lost its end has its fragments still, and is closed again. */
static void test_every_cut_of_a_closed_file_is_mended(void **state)
{
	static const struct script script = { "closed", 3, 4, 6, .video = true, .audio = true };
	struct built b = build(&script);
	int whole_fd = file_of(b.w.p, b.w.n);
	struct reading *expected = read_file(whole_fd);
	uint64_t n;

	(void)state;
	close_file(whole_fd);
	n = size_of(whole_fd);
	for (size_t cut = b.fragments[0].offset + b.fragments[0].bytes; cut < n; cut++) {
		int fd = copy_of(whole_fd);
		size_t whole = 0;

		assert_int_equal(ftruncate(fd, (off_t)cut), 0);
		while (whole < b.n && cut >= b.fragments[whole].offset + b.fragments[whole].bytes)
			whole++;
		check_scan("closed and cut", fd, &b, whole, false);
		close_file(fd);
		check_scan("closed, cut and closed", fd, &b, whole, true);
		if (whole == b.n) {
			struct reading *seen = read_file(fd);

			check_same("closed, cut and closed", expected, seen);
			free(seen);
		}
		close(fd);
	}
	free(expected);
	close(whole_fd);
	free(b.w.p);
}

/* Whatever is behind the last fragment, it goes: but for a whole one that is not understood. */
static void test_what_is_behind_the_last_fragment(void **state)
{
	static const struct {
		const char *name;
		uint8_t p[24];
		size_t n;
		int error;
	} cases[] = {
		{"zeros",                   { 0 },							      24, 0       },
		{ "half a header",          { 0, 0, 1 },							3,  0       },
		{ "a moof that is missing", { 0, 0, 1, 0, 'm', 'o', 'o', 'f' },                                 8,  0       },
		{ "another box",            { 0, 0, 0, 12, 'm', 'f', 'r', 'a' },                                12, 0       },
		{ "no mdat behind a moof",
                 { 0, 0, 0, 8, 'm', 'o', 'o', 'f', 0, 0, 0, 8, 'f', 'r', 'e', 'e' },                            16, 0       },
		{ "an mdat that is torn",
                 { 0, 0, 0, 8, 'm', 'o', 'o', 'f', 0, 0, 0, 9, 'm', 'd', 'a', 't' },                            16, 0       },
		{ "an odd moof",            { 0, 0, 0, 8, 'm', 'o', 'o', 'f', 0, 0, 0, 8, 'm', 'd', 'a', 't' },
                 16,												-EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct built b = build(&scripts[0]);
		uint64_t bytes, fragments = b.w.n;
		int fd, error;

		box_bytes(&b.w, cases[i].p, cases[i].n);
		fd = file_of(b.w.p, b.w.n);
		check_scan(cases[i].name, fd, &b, b.n, false);
		error = segment_close(fd, &bytes);
		if (error != cases[i].error)
			fail_msg("%s: %d", cases[i].name, error);
		assert_int_equal(bytes, size_of(fd));
		if (error) {
			assert_int_equal(bytes, fragments + cases[i].n);
		} else {
			int clean = file_of(b.w.p, fragments);

			close_file(clean);
			assert_int_equal(size_of(clean), bytes); /* as if it had not been there */
			close(clean);
		}
		check_scan(cases[i].name, fd, &b, b.n, !error);
		close(fd);
		free(b.w.p);
	}
}

/* --- closing, step by step --- */

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t offset);
int __real_fdatasync(int fd);
int __real_ftruncate(int fd, off_t n);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t offset);
int __wrap_fdatasync(int fd);
int __wrap_ftruncate(int fd, off_t n);

static struct {
	void (*look)(int fd);   /* NULL: nobody looks */
	unsigned step, failing; /* the step that fails, counted from 1; 0: none */
	unsigned looks;
} steps;

static void look(int fd)
{
	void (*it)(int) = steps.look;

	if (!it)
		return;
	steps.look = NULL; /* what looks may write, elsewhere */
	it(fd);
	steps.look = it;
	steps.looks++;
}

static bool step_fails(void)
{
	return steps.failing && ++steps.step == steps.failing;
}

/* Looks at the file with a part of what is to be written: what a killed process or a power cut leaves. */
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t offset)
{
	static const uint8_t zeros[1 << 16];

	if (step_fails()) {
		if (n > HEADER_BYTES)
			(void)!__real_pwrite(fd, p, n / 2, offset);
		errno = ENOSPC;
		return -1;
	}
	look(fd);
	for (size_t i = 1; steps.look && n > HEADER_BYTES && i <= CUTS; i++) {
		assert_int_equal(__real_pwrite(fd, p, i < 4 ? i * 4 : n * i / (CUTS + 1), offset),
			i < 4 ? i * 4 : n * i / (CUTS + 1));
		look(fd);
	}
	if (steps.look &&
		n > HEADER_BYTES) { /* the size came to the disk, and some or none of the bytes */
		assert_true(n < sizeof(zeros));
		assert_int_equal(__real_pwrite(fd, zeros, n, offset), n);
		look(fd);
		assert_int_equal(__real_pwrite(fd, p, n / 2, offset), n / 2);
		look(fd);
	}
	if (__real_pwrite(fd, p, n, offset) != (ssize_t)n)
		return -1;
	look(fd);
	return (ssize_t)n;
}

int __wrap_fdatasync(int fd)
{
	if (step_fails()) {
		errno = EIO;
		return -1;
	}
	look(fd);
	return __real_fdatasync(fd);
}

int __wrap_ftruncate(int fd, off_t n)
{
	if (step_fails()) {
		errno = EIO;
		return -1;
	}
	look(fd);
	return __real_ftruncate(fd, n);
}

static const struct script *looked_script;
static const struct built *looked;
static const struct reading *looked_expected;

/* It plays, is known for what it is, and can be closed. */
static void look_at_file(int fd)
{
	struct reading *seen = read_file(fd);
	struct segment_scan scan;
	int copy = copy_of(fd);

	check_same(looked_script->name, looked_expected, seen);
	free(seen);
	assert_int_equal(segment_scan(fd, &scan), 0);
	assert_int_equal(scan.n, looked->n);
	segment_scan_fini(&scan);
	close_file(copy);
	check_scan(looked_script->name, copy, looked, looked->n, true);
	seen = read_file(copy);
	check_same(looked_script->name, looked_expected, seen);
	free(seen);
	close(copy);
}

static void test_a_closing_may_stop_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(scripts); i++) {
		struct built b;
		struct reading *expected;
		uint64_t bytes;
		int fd;

		if (scripts[i].reorder < 0)
			continue;
		b = build(&scripts[i]);
		fd = file_of(b.w.p, b.w.n);
		expected = read_file(fd);

		looked_script = &scripts[i];
		looked = &b;
		looked_expected = expected;
		steps.looks = 0;
		steps.look = look_at_file;
		/* of a file as a crash may leave it: a torn fragment has to be cut, too */
		assert_int_equal(
			__real_pwrite(fd, b.w.p + b.fragments[0].offset, 20, (off_t)b.w.n), 20);
		assert_int_equal(segment_close(fd, &bytes), 0);
		steps.look = NULL;
		assert_true(steps.looks > 2 * CUTS);
		free(expected);
		close(fd);
		free(b.w.p);
	}
}

static void test_whatever_fails_the_file_plays(void **state)
{
	struct built b = build(&scripts[7]);
	int fd = file_of(b.w.p, b.w.n);
	struct reading *expected = read_file(fd);
	unsigned failed = 0;

	(void)state;
	looked_script = &scripts[7];
	looked = &b;
	looked_expected = expected;
	for (unsigned n = 1;; n++) {
		static const uint8_t torn[5];
		int copy = file_of(b.w.p, b.w.n);
		uint64_t bytes;
		int error;

		assert_int_equal(pwrite(copy, torn, sizeof(torn), (off_t)b.w.n), sizeof(torn));
		steps.step = 0;
		steps.failing = n;
		error = segment_close(copy, &bytes);
		steps.failing = 0;
		assert_int_equal(bytes, size_of(copy));
		look_at_file(copy);
		close(copy);
		if (!error)
			break;
		failed++;
	}
	assert_int_equal(failed, 6); /* cut, sync, append, sync, overwrite, sync */
	free(expected);
	close(fd);
	free(b.w.p);
}

static int setup(void **state)
{
	AVCodecParameters *p = avcodec_parameters_alloc();

	(void)state;
	av_log_set_callback(on_log);
	synthetic_tracks(tracks);
	p->codec_type = AVMEDIA_TYPE_AUDIO;
	p->codec_id = AV_CODEC_ID_PCM_MULAW;
	p->sample_rate = 8000;
	p->ch_layout.nb_channels = 1;
	law = (struct stream_track){
		p, {1, 8000},
                 0
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	synthetic_tracks_free(tracks);
	avcodec_parameters_free(&law.parameters);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libavformat_reads_the_same_open_and_closed),
		cmocka_unit_test(test_a_scan_tells_what_the_recorder_told),
		cmocka_unit_test(test_instants_are_exact),
		cmocka_unit_test(test_the_clock_is_as_the_standard_has_it),
		cmocka_unit_test(test_tables_are_as_the_standard_has_them),
		cmocka_unit_test(test_a_file_of_more_than_4_gib),
		cmocka_unit_test(test_every_cut_ends_with_its_last_whole_fragment),
		cmocka_unit_test(test_every_cut_of_a_closed_file_is_mended),
		cmocka_unit_test(test_what_is_behind_the_last_fragment),
		cmocka_unit_test(test_a_closing_may_stop_anywhere),
		cmocka_unit_test(test_whatever_fails_the_file_plays),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
