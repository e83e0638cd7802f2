/* Walking over recordings: which frames come, in which order, over files and gaps, forward and backward. */
#include "storage/footage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mem.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "tests/made_recording.h"
#include "tests/store.h"
#include "tests/synthetic.h"

#define FRAME_US INT64_C(40000)
#define AT(frame) (SYNTHETIC_START_US + (frame)*FRAME_US)
#define EVER INT64_MAX
#define NEVER INT64_MIN

enum {
	TEXT_BYTES = 1024
};

static struct stream_track tracks[2], other[2];

/* --- a walk as text --- */

struct walk {
	bool done;
	enum footage_end end;
	int error;
	struct footage_piece *piece;
};

static void on_piece(void *arg, int error, struct footage_piece *piece, enum footage_end end)
{
	struct walk *walk = arg;

	assert_false(walk->done);
	walk->done = true;
	walk->error = error;
	walk->piece = piece;
	walk->end = end;
}

static struct walk next(struct footage *footage)
{
	struct walk walk = { 0 };

	footage_next(footage, on_piece, &walk);
	assert_false(walk.done);
	reactor_wait(&walk.done);
	return walk;
}

/* Each sample holds what says which one it is (tests/synthetic.h). */
static long check_sample(const struct footage_sample *sample)
{
	bool sound = sample->track == 1;
	int64_t hz = sound ? 48000 : 90000, each = sound ? SYNTHETIC_AUDIO : SYNTHETIC_FRAME_90K;
	int64_t since_us = sample->dts_us - SYNTHETIC_START_US;
	long number = (long)((since_us * hz / 1000000 + each / 2) / each);

	assert_true(labs((long)(number * each * 1000000 / hz - since_us)) <= 25);
	assert_int_equal(sample->p[0], (uint8_t)(number * 7 + sound));
	assert_int_equal(sample->n, sound ? 10 + number % 3 : 30 + number % 7);
	return number;
}

/* "G0-11": a gap, then frames 0 to 11; "J": a jump; "k": it begins with a keyframe. */
static void describe(char *text, const struct footage_piece *piece)
{
	long first = -1, last = -1;
	int64_t before_us = INT64_MIN;
	bool key = false;

	assert_true(!piece->gap || piece->jumps);
	for (size_t i = 0; i < piece->n; i++) {
		const struct footage_sample *sample = &piece->samples[i];
		long number = check_sample(sample);

		assert_true(sample->dts_us >= before_us);
		before_us = sample->dts_us;
		if (sample->track != piece->format->lead)
			continue;
		key = first < 0 ? sample->keyframe : key;
		first = first < 0 ? number : first;
		last = number;
	}
	size_t n = strlen(text);
	(void)snprintf(text + n, TEXT_BYTES - n, "%s%s%ld-%ld ",
		piece->gap     ? "G"
		: piece->jumps ? "J"
			       : "",
		key ? "k" : "", first, last);
}

static void check(const char *camera, const struct footage_wish *wish, const char *expected)
{
	struct footage *footage = footage_new(catalogue, volume, camera, wish);
	char text[TEXT_BYTES] = "";
	bool reached = wish->end_us != EVER && wish->end_us != NEVER;
	struct walk walk;

	while ((walk = next(footage)).piece) {
		describe(text, walk.piece);
		footage_piece_free(walk.piece);
	}
	assert_int_equal(walk.error, 0);
	assert_int_equal(walk.end, reached ? FOOTAGE_REACHED : FOOTAGE_ENDS);
	assert_null(next(footage).piece); /* and it stays so */
	footage_free(footage);
	assert_string_equal(text, expected);
}

/* --- which frames --- */

static void forward_from_the_keyframe_at_or_before(void **state)
{
	static const struct {
		struct footage_wish wish;
		const char *expected;
	} cases[] = {
  // clang-format off
		{ { AT(30) + 1, AT(50), false, false }, "Gk24-35 36-47 k48-49 " },
		{ { AT(48), AT(60), false, false }, "Gk48-59 " },
		{ { AT(48) - 1, AT(60), false, false }, "Gk24-35 36-47 k48-59 " },
		/* from file to file */
		{ { AT(71) + 39999, AT(76), false, false }, "Gk48-59 60-71 k72-75 " },
		{ { AT(72), AT(76), false, false }, "Gk72-75 " },
		/* over the gap, from within it, before and behind all */
		{ { AT(130), AT(247), false, false }, "Gk120-131 132-143 Gk245-246 " },
		{ { AT(200), AT(247), false, false }, "Gk245-246 " },
		/* its borders: times are rounded by a microsecond each */
		{ { AT(144) - 1, AT(247), false, false }, "Gk120-131 132-143 Gk245-246 " },
		{ { AT(144) + 2, AT(247), false, false }, "Gk245-246 " },
		{ { AT(245) - 1, AT(247), false, false }, "Gk245-246 " },
		{ { AT(245), AT(247), false, false }, "Gk245-246 " },
		{ { AT(0) - 1, AT(3), false, false }, "Gk0-2 " },
		{ { AT(0), AT(3), false, false }, "Gk0-2 " },
		{ { AT(-500), AT(3), false, false }, "Gk0-2 " },
		{ { AT(270), EVER, false, false }, "Gk269-280 281-292 " },
		/* up to the very end of what is recorded: nothing else is waited for */
		{ { AT(270), AT(293), false, false }, "Gk269-280 281-292 " },
		{ { AT(300), EVER, false, false }, "" },
		{ { AT(10), AT(0), false, false }, "" },
		/* only where groups of pictures begin */
		{ { AT(30), AT(250), false, true }, "Gk24-35 k48-59 k72-83 k96-107 k120-131 Gk245-249 " },
  // clang-format on
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		check("porch", &cases[i].wish, cases[i].expected);
}

static void backward_by_groups_of_pictures(void **state)
{
	static const struct {
		struct footage_wish wish;
		const char *expected;
	} cases[] = {
  // clang-format off
		{ { AT(110), AT(40), true, false }, "Gk96-107 108-110 Jk72-83 84-95 Jk48-59 60-71 Jk24-35 36-47 " },
		{ { AT(110), AT(72), true, false }, "Gk96-107 108-110 Jk72-83 84-95 " },
		{ { AT(260), AT(130), true, false }, "Gk245-256 257-260 Gk120-131 132-143 " },
		{ { AT(200), AT(130), true, false }, "Gk120-131 132-143 " },
		{ { AT(900), AT(270), true, false }, "Gk269-280 281-292 " },
		{ { AT(25), NEVER, true, false }, "Gk24-25 Jk0-11 12-23 " },
		{ { AT(-1), NEVER, true, false }, "" },
		{ { AT(260), AT(30), true, true }, "Gk245-256 Gk120-131 Jk96-107 Jk72-83 Jk48-59 Jk24-35 " },
  // clang-format on
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		check("porch", &cases[i].wish, cases[i].expected);
}

/* A keyframe is shown two frames after it is decoded. */
static void what_counts_is_when_it_is_shown(void **state)
{
	(void)state;
	check("reordered", &(struct footage_wish){ AT(26), AT(28), false, false }, "Gk24-27 ");
	check("reordered", &(struct footage_wish){ AT(25), AT(28), false, false },
		"Gk0-11 12-23 k24-27 ");
	check("reordered", &(struct footage_wish){ AT(73), AT(74), false, false },
		"Gk48-59 60-71 k72-73 ");
	check("reordered", &(struct footage_wish){ AT(1), AT(2), false, false }, "Gk0-1 ");
	/* the last one, 143, is decoded up to 144, and shown from 146 up to 147 */
	check("reordered", &(struct footage_wish){ AT(147) - 1, EVER, false, true }, "Gk120-131 ");
	check("reordered", &(struct footage_wish){ AT(147), EVER, false, true }, "");
	check("reordered", &(struct footage_wish){ AT(73), AT(60), true, false }, "Gk48-59 60-71 ");
}

static void groups_know_their_times(void **state)
{
	const struct footage_wish wish = { AT(260), AT(130), true, true };
	struct footage *footage = footage_new(catalogue, volume, "porch", &wish);
	struct walk walk = next(footage);

	(void)state;
	assert_true(walk.piece->group_start_us == AT(245) && walk.piece->group_end_us == AT(269));
	footage_piece_free(walk.piece);
	walk = next(footage);
	assert_true(walk.piece->group_start_us == AT(120) && walk.piece->group_end_us == AT(144));
	footage_piece_free(walk.piece);
	footage_free(footage);
}

static void formats_are_those_of_the_files(void **state)
{
	const struct footage_wish wish = { AT(0), EVER, false, true };
	struct footage *footage = footage_new(catalogue, volume, "changed", &wish);
	uint64_t inits[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct walk walk = next(footage);
		const struct footage_format *format = walk.piece->format;
		const struct stream_track *from = i ? other : tracks;

		assert_int_equal(format->n, 2);
		for (unsigned k = 0; k < 2; k++) {
			assert_int_equal(format->tracks[k]->codec_id, from[k].parameters->codec_id);
			assert_int_equal(format->tracks[k]->extradata_size,
				from[k].parameters->extradata_size);
			assert_memory_equal(format->tracks[k]->extradata,
				from[k].parameters->extradata,
				(size_t)from[k].parameters->extradata_size);
		}
		assert_int_equal(format->tracks[1]->sample_rate, 48000);
		assert_int_equal(format->tracks[1]->ch_layout.nb_channels,
			from[1].parameters->ch_layout.nb_channels);
		inits[i] = format->init;
		footage_piece_free(walk.piece);
	}
	assert_true(inits[0] != inits[1]);
	footage_free(footage);
}

/* What recordings may have beside H.264 and AAC: each in a file of its own, one after the other. */
static const struct {
	enum AVCodecID id;
	enum AVMediaType type;
	const char *extradata;
	int n, rate, channels;
} kinds[] = {
  // clang-format off
	{ AV_CODEC_ID_HEVC, AVMEDIA_TYPE_VIDEO, "\1\1\x60\0\0\0\x90\0\0\0\0\0\x3f\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f", 23, 0, 0 },
	{ AV_CODEC_ID_AV1, AVMEDIA_TYPE_VIDEO, "\x81\4\x0c\0\x0a\x0b\0\0\0\4\x3c\xff\xbc\2\xf9\x80\x40", 17, 0, 0 },
	{ AV_CODEC_ID_MJPEG, AVMEDIA_TYPE_VIDEO, "", 0, 0, 0 },
	{ AV_CODEC_ID_OPUS, AVMEDIA_TYPE_AUDIO, "OpusHead\1\2\x38\1\x44\xac\0\0\0\xff", 19, 48000, 2 },
	{ AV_CODEC_ID_PCM_MULAW, AVMEDIA_TYPE_AUDIO, "", 0, 8000, 1 },
	{ AV_CODEC_ID_PCM_ALAW, AVMEDIA_TYPE_AUDIO, "", 0, 16000, 1 },
	{ AV_CODEC_ID_PCM_S16BE, AVMEDIA_TYPE_AUDIO, "", 0, 44100, 2 },
  // clang-format on
};

enum {
	KIND_FRAMES = 2 * PER_FRAGMENT /* of each file */
};

static void make_kind(size_t i)
{
	struct stream_track its[2];
	char name[16];

	synthetic_tracks(its);
	AVCodecParameters *p = its[kinds[i].type == AVMEDIA_TYPE_AUDIO].parameters;
	p->codec_id = kinds[i].id;
	av_freep(&p->extradata);
	p->extradata = av_mallocz((size_t)kinds[i].n + AV_INPUT_BUFFER_PADDING_SIZE);
	memcpy(p->extradata, kinds[i].extradata, (size_t)kinds[i].n);
	p->extradata_size = kinds[i].n;
	p->sample_rate = kinds[i].rate;
	av_channel_layout_default(&p->ch_layout, kinds[i].channels);
	(void)snprintf(name, sizeof(name), "%zu.mp4", i);
	make_recording(&(struct made){ .camera = "kinds",
		.name = name,
		.tracks = its,
		.first = (unsigned)i * KIND_FRAMES,
		.fragments = 2 });
	synthetic_tracks_free(its);
}

static void every_codec_that_is_recorded_is_known(void **state)
{
	const struct footage_wish wish = { AT(0), EVER, false, false };
	struct footage *footage = footage_new(catalogue, volume, "kinds", &wish);
	struct walk walk;
	size_t pieces = 0;

	(void)state;
	for (; (walk = next(footage)).piece; pieces++) {
		size_t i = (size_t)((walk.piece->start_us - AT(0)) / FRAME_US / KIND_FRAMES);
		unsigned track = kinds[i].type == AVMEDIA_TYPE_AUDIO;
		const AVCodecParameters *p = walk.piece->format->tracks[track];

		assert_int_equal(p->codec_id, kinds[i].id);
		assert_int_equal(p->codec_type, kinds[i].type);
		if (track) {
			assert_int_equal(p->sample_rate, kinds[i].rate);
			assert_int_equal(p->ch_layout.nb_channels, kinds[i].channels);
		} else {
			assert_int_equal(p->width, 640);
			assert_int_equal(p->height, 360);
		}
		footage_piece_free(walk.piece);
	}
	assert_int_equal(pieces, 2 * ARRAY_LENGTH(kinds));
	footage_free(footage);
}

/* --- what is wrong --- */

static void what_is_gone_or_damaged_is_left_out(void **state)
{
	char *gone = xasprintf("%s/recordings/gone/2026-11-20/b.mp4", folder);
	const struct footage_wish forward = { AT(0), EVER, false, true },
				  backward = { AT(500), NEVER, true, true },
				  inside = { AT(30), EVER, false, true };

	(void)state;
	check("gone", &forward, "Gk0-11 k24-35 k48-59 ");
	assert_int_equal(unlink(gone), 0);
	check("gone", &forward, "Gk0-11 Gk48-59 ");
	check("gone", &backward, "Gk48-59 Gk0-11 ");
	check("gone", &inside, "Gk48-59 ");
	free(gone);
}

static void it_may_be_left_at_any_time(void **state)
{
	const struct footage_wish wish = { AT(30), EVER, false, false };

	(void)state;
	for (unsigned turns = 0; turns < 20; turns++) {
		struct footage *footage = footage_new(catalogue, volume, "porch", &wish);
		struct walk walk = { 0 };

		footage_next(footage, on_piece, &walk);
		for (unsigned i = 0; i < turns && !walk.done; i++) {
			(void)usleep(200);
			(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
		}
		footage_free(footage);
		footage_piece_free(walk.piece);
	}
}

/* --- set-up --- */

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
	static const char *const cameras[] = { "porch", "reordered", "changed", "gone", "kinds" };

	(void)state;
	store_open(1000000);
	synthetic_tracks(tracks);
	synthetic_tracks(other);
	other[0].parameters->extradata[17] ^= 1; /* another picture parameter set */
	for (size_t i = 0; i < ARRAY_LENGTH(cameras); i++)
		make_folder(cameras[i]);
	const struct made made[] = {
		{.camera = "porch",
                 .name = "a.mp4",
                 .tracks = tracks,
                 .first = 0,
                 .fragments = 6									},
		{ .camera = "porch",
                 .name = "b.mp4",
                 .tracks = tracks,
                 .first = 72,
                 .fragments = 6									},
		{ .camera = "porch",
                 .name = "c.mp4",
                 .tracks = tracks,
                 .first = 245,
                 .fragments = 4									},
		{ .camera = "reordered",
                 .name = "a.mp4",
                 .tracks = tracks,
                 .first = 0,
                 .fragments = 6,
                 .reordered = true },
		{ .camera = "reordered",
                 .name = "b.mp4",
                 .tracks = tracks,
                 .first = 72,
                 .fragments = 6,
                 .reordered = true },
		{ .camera = "changed",
                 .name = "a.mp4",
                 .tracks = tracks,
                 .first = 0,
                 .fragments = 2								      },
		{ .camera = "changed",
                 .name = "b.mp4",
                 .tracks = other,
                 .first = 24,
                 .fragments = 2								       },
		{ .camera = "gone",         .name = "a.mp4",         .tracks = tracks,       .first = 0, .fragments = 2},
		{ .camera = "gone",
                 .name = "b.mp4",
                 .tracks = tracks,
                 .first = 24,
                 .fragments = 2								      },
		{ .camera = "gone",
                 .name = "c.mp4",
                 .tracks = tracks,
                 .first = 48,
                 .fragments = 2								      },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(made); i++)
		make_recording(&made[i]);
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
		make_kind(i);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close();
	synthetic_tracks_free(tracks);
	synthetic_tracks_free(other);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_from_the_keyframe_at_or_before),
		cmocka_unit_test(backward_by_groups_of_pictures),
		cmocka_unit_test(what_counts_is_when_it_is_shown),
		cmocka_unit_test(groups_know_their_times),
		cmocka_unit_test(formats_are_those_of_the_files),
		cmocka_unit_test(every_codec_that_is_recorded_is_known),
		cmocka_unit_test(it_may_be_left_at_any_time),
		cmocka_unit_test(what_is_gone_or_damaged_is_left_out),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
