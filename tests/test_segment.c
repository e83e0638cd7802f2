/* Recording files: what scan and libavformat read from them, open and closed, is what was put in. */
#include "storage/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <libavutil/mathematics.h>

#include "server/base/memory.h"
#include "storage/mp4_reader.h"
#include "tests/segment_script.h"

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
	for (size_t i = 0; i < n_scripts; i++) {
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

static void test_a_scan_tells_what_the_recorder_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_scripts; i++) {
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libavformat_reads_the_same_open_and_closed),
		cmocka_unit_test(test_a_scan_tells_what_the_recorder_told),
		cmocka_unit_test(test_instants_are_exact),
		cmocka_unit_test(test_the_clock_is_as_the_standard_has_it),
		cmocka_unit_test(test_tables_are_as_the_standard_has_them),
		cmocka_unit_test(test_a_file_of_more_than_4_gib),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
