/*
 * Clips: names, which frames are in them, what their boxes say, and that the same bytes come however they are read; views of
 * files; and what cannot be one file.
 */
#include "storage/clip.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/clip_name.h"
#include "storage/clip_private.h"
#include "storage/segment.h"
#include "tests/made_recording.h"
#include "tests/store.h"
#include "tests/synthetic.h"

#define FRAME_US INT64_C(40000)
#define AT(frame) (SYNTHETIC_START_US + (frame)*FRAME_US)
enum {
	SAMPLES_MOST = 8192,
	MANY = 600 /* pictures in a fragment of which the moof is long */
};

static struct clips *clips;
static struct stream_track tracks[2], other[2], law[2];

/* --- names --- */

static void test_instants_and_ranges(void **state)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: none */
		const char *written;
	} cases[] = {
  // clang-format off
		{ "20261120T143000Z",           SYNTHETIC_START_US,          "20261120T143000Z" },
		{ "20261120T143000.25Z",        SYNTHETIC_START_US + 250000, "20261120T143000.250Z" },
		{ "20261120T143000.000001Z",    SYNTHETIC_START_US + 1,      "20261120T143000.000001Z" },
		{ "20261120T143000.000001999Z", SYNTHETIC_START_US + 1,      "20261120T143000.000001Z" },
		{ "19700101T000000Z",           0,                           "19700101T000000Z" },
		{ "20240229T235959Z",           INT64_C(1709251199000000),   "20240229T235959Z" },
		{ "99991231T235959Z",           INT64_C(253402300799000000), "99991231T235959Z" },
		{ "20260229T000000Z", -1, NULL }, { "20261320T000000Z", -1, NULL },
		{ "20261100T000000Z", -1, NULL }, { "20261120T240000Z", -1, NULL },
		{ "20261120T146000Z", -1, NULL }, { "20261120T143060Z", -1, NULL },
		{ "19691231T235959Z", -1, NULL }, { "20261120T143000", -1, NULL },
		{ "20261120T143000.Z", -1, NULL }, { "20261120T143000.1234567890Z", -1, NULL },
		{ "20261120t143000Z", -1, NULL }, { "2026-11-20T14:30:00Z", -1, NULL },
		{ "20261120T143000+0000", -1, NULL }, { "", -1, NULL }, { "2026112", -1, NULL },
  // clang-format on
	};
	static const char *const ranges[] = { "20261120T143000Z--20261120T143000Z",
		"20261120T143001Z--20261120T143000Z", "20261120T143000Z-20261120T143001Z",
		"20261120T143000Z--", "--20261120T143000Z", "20261120T143000Z" };
	struct clip_range range;
	char text[CLIP_TIME_BYTES];
	const char *at;
	int64_t us;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		at = cases[i].text;
		assert_int_equal(clip_time_parse(&us, &at), cases[i].us >= 0);
		assert_ptr_equal(
			at, cases[i].text + (cases[i].us >= 0 ? strlen(cases[i].text) : 0));
		if (cases[i].us < 0)
			continue;
		assert_true(us == cases[i].us);
		assert_string_equal(clip_time_write(text, us), cases[i].written);
	}
	at = "20261120T143000Z--20261120T143000.5Z.mp4";
	assert_true(clip_range_parse(&range, &at));
	assert_true(
		range.from_us == SYNTHETIC_START_US && range.to_us == SYNTHETIC_START_US + 500000);
	assert_string_equal(at, ".mp4");
	for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
		at = ranges[i];
		assert_false(clip_range_parse(&range, &at));
		assert_ptr_equal(at, ranges[i]);
	}
}

/* --- asking --- */

struct answer {
	bool done;
	int error;
	struct clip *clip;
	char where[128];
};

static void on_made(void *arg, int error, struct clip *clip, const struct catalogue_segment *where)
{
	struct answer *a = arg;

	assert_false(a->done);
	a->done = true;
	a->error = error;
	a->clip = clip ? clip_ref(clip) : NULL;
	snprintf(a->where, sizeof(a->where), "%s", where ? where->path : "");
}

static struct answer ask(const struct clip_wish *wish)
{
	struct answer a = { 0 };

	assert_non_null(clip_make(clips, wish, on_made, &a));
	assert_false(a.done);
	reactor_wait(&a.done);
	return a;
}

static struct clip *get(const struct clip_wish *wish)
{
	struct answer a = ask(wish);

	if (a.error)
		fail_msg("%s", strerror(-a.error));
	return a.clip;
}

struct reading {
	bool done;
	int error;
	size_t n;
	uint8_t *p;
};

static void on_data(void *arg, int error, struct evbuffer *data)
{
	struct reading *r = arg;

	r->done = true;
	r->error = error;
	r->n = evbuffer_get_length(data);
	r->p = xmalloc(r->n + 1);
	(void)evbuffer_remove(data, r->p, r->n);
}

/* One read. */
static struct reading read_once(struct clip_file *file, uint64_t at, size_t n)
{
	struct reading r = { 0 };

	clip_file_read(file, at, n, on_data, &r);
	assert_false(r.done);
	reactor_wait(&r.done);
	assert_true(r.n <= n);
	return r;
}

/* All of it, so many bytes at a time. The caller frees it. */
static uint8_t *read_all(struct clip *clip, size_t each)
{
	struct clip_file *file = clip_open(clips, clip);
	uint64_t bytes = clip_bytes(clip);
	uint8_t *p = xmalloc(bytes);

	for (uint64_t at = 0; at < bytes;) {
		struct reading r = read_once(file, at, each < bytes - at ? each : bytes - at);

		assert_int_equal(r.error, 0);
		assert_true(r.n > 0 && r.n <= bytes - at);
		memcpy(p + at, r.p, r.n);
		at += r.n;
		free(r.p);
	}
	clip_file_close(file);
	return p;
}

/* --- what is in it --- */

/* A clip taken apart. */
struct parts {
	struct mp4_movie movie;
	uint64_t sidx_at, others_at, media_at;
	unsigned fragments;
	int64_t frames
		[SAMPLES_MOST]; /* their numbers, by the time at which they are decoded, and the data */
	int64_t shown[SAMPLES_MOST];         /* us after the clip's origin */
	const uint8_t *places[SAMPLES_MOST]; /* of its moof */
	bool keys[SAMPLES_MOST];
	size_t n, sounds;
	/* while it is read */
	const struct clip *clip;
	const uint8_t *moof;
	struct mp4_fragment fragment;
};

static int64_t ticks(int64_t us, int64_t hz)
{
	return us / 1000000 * hz + us % 1000000 * hz / 1000000;
}

/* Every sample is the picture, or the sound, of its time. */
static void on_sample(void *arg, unsigned traf, const struct mp4_sample *sample)
{
	struct parts *parts = arg;
	bool sound = parts->fragment.tracks[traf].id == 2;
	int64_t origin = ticks(parts->clip->origin_us, sound ? 48000 : 90000);
	int64_t start = ticks(SYNTHETIC_START_US, sound ? 48000 : 90000);
	int64_t time = (int64_t)sample->decode_time + origin - start;
	int64_t each = sound ? SYNTHETIC_AUDIO : SYNTHETIC_FRAME_90K, number = time / each;
	const uint8_t *data = parts->moof + sample->offset;

	if (!parts->clip->close_gaps) {
		assert_int_equal(time % each, 0);
		assert_int_equal(data[0], (uint8_t)(number * 7 + sound));
		assert_int_equal(data[1], (uint8_t)(number * 7 + 1 + sound));
		assert_int_equal(sample->bytes, sound ? 10 + number % 3 : 30 + number % 7);
	}
	parts->sounds += sound;
	if (sound)
		return;
	assert_true(parts->n < SAMPLES_MOST);
	parts->frames[parts->n] = number;
	parts->shown[parts->n] = ((int64_t)sample->decode_time + sample->composition) * 100 / 9;
	parts->places[parts->n] = parts->moof;
	parts->keys[parts->n++] = sample->sync;
}

static void take_fragment(struct parts *parts, const uint8_t *p, uint64_t n, uint64_t mdat_bytes)
{
	const char *why = "";

	parts->moof = p;
	if (mp4_moof_parse(&parts->fragment, p, (size_t)n, &parts->movie, &why) < 0)
		fail_msg("%s", why);
	assert_int_equal(parts->fragment.sequence, ++parts->fragments);
	assert_int_equal(parts->fragment.data_at, n + 8);
	assert_int_equal(parts->fragment.data_bytes, mdat_bytes - 8);
	assert_int_equal(parts->fragment.data_to, n + mdat_bytes);
	assert_int_equal(mp4_moof_samples(p, (size_t)n, &parts->movie, on_sample, parts, &why), 0);
}

/* How many boxes stand before the first moof: the index of the lead, and those of the other tracks. */
static uint64_t heads_of(const struct clip *clip)
{
	return 3 + clip->n_others * ((clip->fragments + 65534) / 65535);
}

static struct parts *take_apart(const struct clip *clip, const uint8_t *p)
{
	static const char *const order[] = { "ftyp", "moov", "sidx", "sidx" };
	uint64_t heads = heads_of(clip);
	struct parts *parts = xcalloc(1, sizeof(*parts));
	uint64_t n = clip_bytes(clip), moof_at = 0;
	const char *why = "";

	parts->clip = clip;
	for (uint64_t at = 0, i = 0; at < n; i++) {
		struct mp4_box box;

		assert_int_equal(mp4_box_parse(&box, p + at, (size_t)(n - at), &why), 1);
		assert_true(box.bytes <= n - at);
		if (i < heads)
			assert_memory_equal(p + at + 4, order[i < 3 ? i : 3], 4);
		else
			assert_memory_equal(p + at + 4, (i - heads) % 2 ? "mdat" : "moof", 4);
		if (i == 1)
			assert_int_equal(
				mp4_moov_parse(&parts->movie, p + at, (size_t)box.bytes, &why), 0);
		if (i == 2)
			parts->sidx_at = at;
		if (i == 3)
			parts->others_at = at;
		if (i == heads)
			parts->media_at = at;
		if (i >= heads && (i - heads) % 2 == 0)
			moof_at = at;
		else if (i >= heads)
			take_fragment(parts, p + moof_at, at - moof_at, box.bytes);
		at += box.bytes;
	}
	return parts;
}

/* Each reference goes to a keyframe, says when it is shown, and all of them cover the media. */
static void check_sidx(const struct parts *parts, const uint8_t *p)
{
	struct reader r =
		reader_of(p + parts->sidx_at, (size_t)(parts->others_at - parts->sidx_at));
	const uint8_t *at = p + parts->media_at;
	int64_t time;
	uint16_t n;

	reader_skip(&r, 8);
	assert_int_equal(reader_u32(&r) >> 24, 1);
	assert_int_equal(reader_u32(&r), 1);
	assert_int_equal(reader_u32(&r), 90000);
	time = (int64_t)reader_u64(&r);
	assert_int_equal(reader_u64(&r), parts->media_at - parts->others_at);
	assert_int_equal(reader_u16(&r), 0);
	n = reader_u16(&r);
	assert_true(n > 0);
	assert_int_equal(reader_left(&r), n * 12);
	for (unsigned i = 0; i < n; i++) {
		uint32_t bytes = reader_u32(&r), duration = reader_u32(&r);
		size_t k = 0;

		assert_int_equal(reader_u32(&r), 0x90000000);
		while (k < parts->n && parts->places[k] != at)
			k++;
		assert_true(k < parts->n && parts->keys[k]);
		assert_true(time * 100 / 9 == parts->shown[k]);
		time += duration;
		at += bytes;
	}
	assert_ptr_equal(at, p + clip_bytes(parts->clip));
	assert_true(time * 100 / 9 >= parts->shown[parts->n - 1] + FRAME_US);
}

/* The boxes of a track behind the lead's refer to each fragment in turn, from 0 to the end of the clip; returns where they end. */
static const uint8_t *check_other(const struct clip *clip, const uint8_t *at, const uint8_t *media)
{
	const uint8_t *fragment = media;
	int64_t time = -1;

	for (uint32_t left = clip->fragments; left > 0;) {
		struct reader r = reader_of(at, 40 + 12 * 65535);
		uint32_t bytes = reader_u32(&r), n = left < 65535 ? left : 65535;
		int64_t first;

		assert_int_equal(bytes, 40 + 12 * n);
		assert_memory_equal(at + 4, "sidx", 4);
		reader_skip(&r, 8);
		assert_int_equal(reader_u32(&r), 2);
		assert_int_equal(reader_u32(&r), 48000);
		first = (int64_t)reader_u64(&r);
		assert_true(first == time || time < 0);
		time = first;
		assert_ptr_equal(at + bytes + reader_u64(&r), fragment);
		assert_int_equal(reader_u32(&r), n);
		at += bytes;
		for (uint32_t i = 0; i < n; i++) {
			assert_memory_equal(fragment + 4, "moof", 4);
			fragment += reader_u32(&r);
			time += reader_u32(&r);
			assert_int_equal(reader_u32(&r), 0x90000000);
		}
		left -= n;
	}
	return at;
}

static void check_others(const struct clip *clip, const uint8_t *p)
{
	const uint8_t *at = p + clip->head_bytes + clip->sidx_bytes;
	const uint8_t *media = at + clip->n_others * clip->other_bytes;

	for (unsigned i = 0; i < clip->n_others; i++)
		at = check_other(clip, at, media);
	assert_ptr_equal(at, media);
}

static struct clip_wish wish_of(const char *camera, int64_t from_us, int64_t to_us)
{
	return (struct clip_wish){ .camera = camera, .from_us = from_us, .to_us = to_us };
}

static void check_frames(const struct clip_wish *wish, int64_t first, int64_t last, size_t n)
{
	struct clip *clip = get(wish);
	uint8_t *p = read_all(clip, 1 << 18);
	struct parts *parts = take_apart(clip, p);

	assert_int_equal(parts->frames[0], first);
	assert_int_equal(parts->frames[parts->n - 1], last);
	assert_int_equal(parts->n, n);
	assert_true(parts->keys[0]);
	check_sidx(parts, p);
	check_others(clip, p);
	free(parts);
	free(p);
	clip_unref(&clip);
}

static void check_range(
	const char *camera, int64_t from_us, int64_t to_us, int64_t first, int64_t last, size_t n)
{
	struct clip_wish wish = wish_of(camera, from_us, to_us);

	check_frames(&wish, first, last, n);
}

/*
 * "porch": frames 0 to 143 in three files, of which two keyframes are 24 frames apart; a gap of 100 frames; 244 to
 * 291 in a fourth.
 */
static void make_porch(void)
{
	make_recording(&(struct made){ .camera = "porch",
		.name = "14-30-00+0000.mp4",
		.tracks = tracks,
		.first = 0,
		.fragments = 4 });
	make_recording(&(struct made){ .camera = "porch",
		.name = "14-30-02+0000.mp4",
		.tracks = tracks,
		.first = 48,
		.fragments = 4 });
	make_recording(&(struct made){ .camera = "porch",
		.name = "14-30-04+0000.mp4",
		.tracks = tracks,
		.first = 96,
		.fragments = 4 });
	make_recording(&(struct made){ .camera = "porch",
		.name = "14-30-10+0000.mp4",
		.tracks = tracks,
		.first = 244,
		.fragments = 4 });
}

static void test_first_and_last_frames(void **state)
{
	static const struct {
		int64_t from_us, to_us;
		int64_t first, last;
		size_t n; /* 0: there is nothing */
	} cases[] = {
  // clang-format off
		{ AT(0),         AT(292),       0,   291, 192 },
		{ AT(-100),      AT(1000),      0,   291, 192 },
		{ AT(24),        AT(48),        24,  47,  24 },
		{ AT(24) - 1,    AT(48),        0,   47,  48 },
		{ AT(24) + 1,    AT(48),        24,  47,  24 },
		{ AT(47),        AT(48) + 1,    24,  48,  25 },
		{ AT(48) - 1,    AT(49),        24,  48,  25 },
		{ AT(48),        AT(49),        48,  48,  1  },
		{ AT(48),        AT(48) + 1,    48,  48,  1  },
		{ AT(60),        AT(60) + 1,    48,  60,  13 },
		{ AT(60),        AT(61),        48,  60,  13 },
		{ AT(30),        AT(107) + 1,   24,  107, 84 },
		{ AT(30),        AT(108),       24,  107, 84 },
		{ AT(30),        AT(108) + 1,   24,  108, 85 },
		{ AT(100),       AT(250),       96,  249, 54 },
		{ AT(143),       AT(244),       120, 143, 24 },
		{ AT(143),       AT(244) + 1,   120, 244, 25 },
		{ AT(150),       AT(250),       244, 249, 6  },
		{ AT(150),       AT(244),       0, 0, 0 },
		{ AT(-20),       AT(0),         0, 0, 0 },
		{ AT(292),       AT(400),       0, 0, 0 },
  // clang-format on
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct clip_wish wish = wish_of("porch", cases[i].from_us, cases[i].to_us);

		if (cases[i].n)
			check_frames(&wish, cases[i].first, cases[i].last, cases[i].n);
		else
			assert_int_equal(ask(&wish).error, -ENOENT);
	}
	assert_int_equal(
		ask(&(struct clip_wish){ .camera = "nowhere", .to_us = 5 }).error, -ENOENT);
	assert_int_equal(
		ask(&(struct clip_wish){ .camera = "porch", .to_us = AT(50) }).error, -E2BIG);
}

/* Frames are shown 2, 3 or 1 frames after they are decoded; the one before each cut is decoded after those it needs. */
static void test_frames_in_another_order(void **state)
{
	struct clip_wish wish = wish_of("reordered", AT(26), AT(60));

	(void)state;
	make_recording(&(struct made){ .camera = "reordered",
		.name = "14-30-00+0000.mp4",
		.tracks = tracks,
		.first = 0,
		.fragments = 4,
		.reordered = true });
	make_recording(&(struct made){ .camera = "reordered",
		.name = "14-30-02+0000.mp4",
		.tracks = tracks,
		.first = 48,
		.fragments = 4,
		.reordered = true });
	/* keyframe 24 is shown at 26; 58 at 59, 57 at 60, 56 at 57, 59 at 62 */
	check_frames(&wish, 24, 58, 35);
	wish.from_us--;
	check_frames(&wish, 0, 58, 59);
	/* keyframe 48 is shown at 50: at 49 it is the one before, in another file */
	check_range("reordered", AT(49), AT(60), 24, 58, 35);
	/* 47 is shown at 50, 46 at 47, 48 at 50; of the fragment from 48 nothing is shown before 50 */
	check_range("reordered", AT(26), AT(50), 24, 46, 23);
	check_range("reordered", AT(26), AT(50) + 1, 24, 48, 25);
}

static void test_same_bytes_however_it_is_read(void **state)
{
	struct clip_wish wish = wish_of("porch", AT(30), AT(253));
	struct clip *clip = get(&wish);
	struct clip_file *file = clip_open(clips, clip);
	uint64_t bytes = clip_bytes(clip), seed = 1;
	uint8_t *whole = read_all(clip, 1 << 20);
	struct reading end;
	static const size_t sizes[] = { 1, 7, 1000, 4096, 5000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		uint8_t *again = read_all(clip, sizes[i]);

		assert_memory_equal(again, whole, bytes);
		free(again);
	}
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t at;
		struct reading r;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		at = (seed >> 33) % bytes;
		r = read_once(file, at, 1 + (seed >> 20) % (i % 3 ? 300 : 20000));
		assert_int_equal(r.error, 0);
		assert_true(r.n > 0 && r.n <= bytes - at);
		assert_memory_equal(r.p, whole + at, r.n);
		free(r.p);
	}
	end = read_once(file, bytes, 100);
	assert_int_equal(end.n, 0);
	free(end.p);
	clip_file_close(file);
	free(whole);
	clip_unref(&clip);
}

/* The moof is longer than what is read at once, and the cut is in it. */
static void test_long_moofs(void **state)
{
	struct clip_wish wish = wish_of("long", AT(0), AT(MANY + MANY / 2));
	struct clip *clip;
	uint8_t *whole, *again;

	(void)state;
	make_recording(&(struct made){ .camera = "long",
		.name = "14-30-00+0000.mp4",
		.tracks = tracks,
		.first = 0,
		.fragments = 3,
		.pictures = MANY });
	clip = get(&wish);
	whole = read_all(clip, 1 << 20);
	again = read_all(clip, 100);
	assert_memory_equal(again, whole, clip_bytes(clip));
	free(take_apart(clip, whole));
	free(whole);
	free(again);
	clip_unref(&clip);
	check_frames(&wish, 0, MANY + MANY / 2 - 1, MANY + MANY / 2);
}

/* More than one sidx of the sound can refer to. */
static void test_many_fragments(void **state)
{
	struct clip_wish wish = wish_of("many", AT(0), AT(66000));
	struct clip *clip;
	uint8_t *whole, *again;

	(void)state;
	make_recording(&(struct made){ .camera = "many",
		.name = "14-30-00+0000.mp4",
		.tracks = tracks,
		.fragments = 66000,
		.pictures = 1 });
	clip = get(&wish);
	assert_int_equal(clip->fragments, 66000);
	whole = read_all(clip, 1 << 20);
	again = read_all(clip, 99999);
	assert_memory_equal(again, whole, clip_bytes(clip));
	check_others(clip, whole);
	free(whole);
	free(again);
	clip_unref(&clip);
}

static void test_gaps(void **state)
{
	struct clip_wish wish = wish_of("porch", AT(120), AT(250));
	int64_t gap_us[2];

	(void)state;
	for (unsigned close = 0; close < 2; close++) {
		struct clip *clip;
		struct parts *parts;
		uint8_t *p;

		wish.close_gaps = close;
		clip = get(&wish);
		p = read_all(clip, 1 << 20);
		parts = take_apart(clip, p);
		check_sidx(parts, p);
		assert_int_equal(parts->n, 24 + 6);
		gap_us[close] = parts->shown[24] - parts->shown[23];
		free(parts);
		free(p);
		clip_unref(&clip);
	}
	assert_int_equal(gap_us[0], 101 * FRAME_US);
	/* what is left is half a second from the last one's end */
	assert_int_equal(gap_us[1], FRAME_US + 500000);
}

static void test_another_init_is_refused_with_where(void **state)
{
	struct clip_wish wish = wish_of("changed", AT(0), AT(200));
	struct answer a;

	(void)state;
	make_recording(&(struct made){ .camera = "changed",
		.name = "14-30-00+0000.mp4",
		.tracks = tracks,
		.first = 0,
		.fragments = 4 });
	make_recording(&(struct made){ .camera = "changed",
		.name = "14-30-02+0000.mp4",
		.tracks = other,
		.first = 48,
		.fragments = 4 });
	a = ask(&wish);
	assert_int_equal(a.error, -EMEDIUMTYPE);
	assert_string_equal(a.where, "recordings/changed/2026-11-20/14-30-02+0000.mp4");
	wish.to_us = AT(48);
	check_frames(&wish, 0, 47, 48);
	wish = wish_of("changed", AT(48), AT(96));
	check_frames(&wish, 48, 95, 48);
}

/* The clock was set back: what was recorded twice is in the clip once, and time does not go back. */
static void test_recordings_that_overlap(void **state)
{
	struct clip_wish wish = wish_of("twice", AT(0), AT(200));

	(void)state;
	make_recording(&(struct made){ .camera = "twice",
		.name = "14-30-00+0000.mp4",
		.tracks = tracks,
		.first = 0,
		.fragments = 4,
		.silent = true });
	make_recording(&(struct made){ .camera = "twice",
		.name = "14-30-01+0000.mp4",
		.tracks = tracks,
		.first = 36,
		.fragments = 6,
		.silent = true });
	/* the keyframes of the second are 36, 60, 84 */
	check_frames(&wish, 0, 107, 48 + 48);
}

static void test_a_file_that_is_gone(void **state)
{
	struct clip_wish wish = wish_of("gone", AT(0), AT(200));
	struct clip *clip;
	struct clip_file *file;
	struct reading r;
	char *path = xasprintf("%s/recordings/gone/2026-11-20/14-30-02+0000.mp4", folder);

	(void)state;
	make_recording(&(struct made){ .camera = "gone",
		.name = "14-30-00+0000.mp4",
		.tracks = tracks,
		.first = 0,
		.fragments = 4 });
	make_recording(&(struct made){ .camera = "gone",
		.name = "14-30-02+0000.mp4",
		.tracks = tracks,
		.first = 48,
		.fragments = 4 });
	clip = get(&wish);
	file = clip_open(clips, clip);
	assert_int_equal(unlink(path), 0);
	r = read_once(file, 100, 100);
	assert_int_equal(r.n, 100);
	free(r.p);
	r = read_once(file, clip_bytes(clip) - 1, 1);
	assert_int_equal(r.error, -ENOENT);
	free(r.p);
	clip_file_close(file);
	clip_unref(&clip);
	/* who asks anew gets what is left */
	wish.to_us = AT(199);
	check_frames(&wish, 0, 47, 48);
	free(path);
}

static void test_what_grows(void **state)
{
	struct clip_wish wish = wish_of("yard", AT(0), AT(1000));
	struct clip *first, *same, *later;
	uint8_t *p;

	(void)state;
	make_recording(&(struct made){ .camera = "yard",
		.name = "14-30-00+0000.mp4",
		.tracks = tracks,
		.first = 0,
		.fragments = 4 });
	first = get(&wish);
	same = get(&wish);
	assert_ptr_equal(first, same);
	make_recording(&(struct made){ .camera = "yard",
		.name = "14-30-02+0000.mp4",
		.tracks = tracks,
		.first = 48,
		.fragments = 4 });
	later = get(&wish);
	assert_true(clip_tag(later) != clip_tag(first));
	assert_true(clip_bytes(later) > clip_bytes(first));
	p = read_all(first, 1 << 20);
	free(take_apart(first, p));
	free(p);
	clip_unref(&first);
	clip_unref(&same);
	clip_unref(&later);
}

/* --- views --- */

static void test_a_view_is_the_file_with_other_times(void **state)
{
	struct clip_wish wish = { .path = "recordings/porch/2026-11-20/14-30-02+0000.mp4",
		.origin_us = AT(-50) };
	struct clip *clip = get(&wish);
	uint8_t *p = read_all(clip, 1000), *file = xmalloc(clip_bytes(clip));
	char *path = xasprintf("%s/%s", folder, wish.path);
	int fd = open(path, O_RDONLY);
	struct segment_scan scan;
	struct mp4_movie movie;
	struct mp4_fragment fragment;
	const char *why = "";
	size_t others = 0;

	(void)state;
	assert_int_equal(segment_scan(fd, &scan), 0);
	assert_int_equal(clip_bytes(clip),
		scan.fragments[scan.n - 1].offset + scan.fragments[scan.n - 1].bytes);
	assert_int_equal(pread(fd, file, clip_bytes(clip), 0), clip_bytes(clip));
	for (size_t i = 0; i < clip_bytes(clip); i++)
		others += p[i] != file[i];
	assert_true(others > 0 && others <= 16 + scan.n * 2 * 8);
	assert_memory_equal(p + 28 + 4, "free", 4);
	assert_int_equal(mp4_moov_parse(&movie, p + 44, (size_t)p[46] << 8 | p[47], &why), 0);
	for (size_t i = 0; i < scan.n; i++) {
		const uint8_t *moof = p + scan.fragments[i].offset;

		assert_int_equal(mp4_moof_parse(&fragment, moof, (size_t)moof[2] << 8 | moof[3],
					 &movie, &why),
			0);
		assert_int_equal(fragment.tracks[0].decode_time,
			(48 + 50 + i * PER_FRAGMENT) * SYNTHETIC_FRAME_90K);
	}
	segment_scan_fini(&scan);
	close(fd);
	free(path);
	free(file);
	free(p);
	clip_unref(&clip);
}

static void test_a_view_hides_what_browsers_do_not_play(void **state)
{
	struct clip_wish wish = { .path = "recordings/law/2026-11-20/14-30-00+0000.mp4",
		.origin_us = AT(0) };
	struct mp4_fragment fragment;
	struct mp4_movie movie;
	const char *why = "";
	struct clip *clip;
	const uint8_t *moof;
	uint8_t *p;

	(void)state;
	make_recording(&(struct made){ .camera = "law",
		.name = "14-30-00+0000.mp4",
		.tracks = law,
		.first = 0,
		.fragments = 2 });
	clip = get(&wish);
	p = read_all(clip, 1 << 20);
	assert_int_equal(mp4_moov_parse(&movie, p + 44, (size_t)p[46] << 8 | p[47], &why), 0);
	assert_int_equal(movie.n_tracks, 1);
	assert_string_equal(movie.tracks[0].name, "h264");
	moof = p + clip->head_bytes;
	assert_int_equal(
		mp4_moof_parse(&fragment, moof, (size_t)moof[2] << 8 | moof[3], &movie, &why), 0);
	assert_int_equal(fragment.n_tracks, 1);
	assert_int_equal(fragment.tracks[0].samples, PER_FRAGMENT);
	free(p);
	clip_unref(&clip);
	/* in a clip they stay */
	wish = wish_of("law", AT(0), AT(24));
	clip = get(&wish);
	assert_int_equal(clip->movie.movie.n_tracks, 2);
	clip_unref(&clip);
}

/* --- fixture --- */

static void make_folder(const char *camera)
{
	char *path = xasprintf("%s/recordings/%s", folder, camera);
	char *day = xasprintf("%s/2026-11-20", path);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(mkdir(day, 0700), 0);
	free(path);
	free(day);
}

static int setup(void **state)
{
	static const char *const cameras[] = { "porch", "reordered", "long", "changed", "twice",
		"gone", "yard", "law", "many" };

	(void)state;
	store_open(1000000);
	clips = clips_new(catalogue, volume);
	synthetic_tracks(tracks);
	synthetic_tracks(other);
	synthetic_tracks(law);
	other[0].parameters->extradata[17] ^=
		1; /* another picture parameter set, of the same profile */
	law[1].parameters->codec_id = AV_CODEC_ID_PCM_MULAW;
	for (size_t i = 0; i < ARRAY_LENGTH(cameras); i++)
		make_folder(cameras[i]);
	make_porch();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	clips_free(clips);
	store_close();
	synthetic_tracks_free(tracks);
	synthetic_tracks_free(other);
	synthetic_tracks_free(law);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instants_and_ranges),
		cmocka_unit_test(test_first_and_last_frames),
		cmocka_unit_test(test_frames_in_another_order),
		cmocka_unit_test(test_same_bytes_however_it_is_read),
		cmocka_unit_test(test_long_moofs),
		cmocka_unit_test(test_many_fragments),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_another_init_is_refused_with_where),
		cmocka_unit_test(test_recordings_that_overlap),
		cmocka_unit_test(test_a_file_that_is_gone),
		cmocka_unit_test(test_what_grows),
		cmocka_unit_test(test_a_view_is_the_file_with_other_times),
		cmocka_unit_test(test_a_view_hides_what_browsers_do_not_play),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
