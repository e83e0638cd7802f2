/* The fragmenter: where it cuts, what it replays, what readers are told, and that they may leave at any moment. */
#include "storage/fragmenter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "tests/synthetic.h"

enum {
	SEEN_MOST = 64,
	PICTURE_BYTES = 50,
	HALF_SECOND =
		12, /* pictures in a fragment, at 25 a second: one more would be over 500 ms */
	HUGE_BYTES = 3 << 20
};

/* Writes down what it is told: i, f (keyframe: F), e. */
struct recording {
	struct fragment_reader reader;
	char told[SEEN_MOST];
	size_t n_told;
	struct fragment *fragments[SEEN_MOST];
	size_t n;
	size_t leave_after;      /* events, then it unsubscribes inside the callback; 0: stays */
	struct recording *drops; /* unsubscribed along with it */
};

static struct stream_track tracks[2];
static struct stream *stream;

static void note(struct recording *r, char what)
{
	assert_true(r->n_told + 1 < SEEN_MOST);
	assert_non_null(r->reader.fragmenter); /* nobody is told who has left */
	r->told[r->n_told++] = what;
	if (r->leave_after != r->n_told)
		return;
	fragmenter_unsubscribe(&r->reader);
	if (r->drops)
		fragmenter_unsubscribe(&r->drops->reader);
}

static void on_init(struct fragment_reader *reader, struct fragment_init *init)
{
	assert_int_equal(init->n_tracks, stream_tracks(stream));
	note(CONTAINER_OF(reader, struct recording, reader), 'i');
}

static void on_fragment(struct fragment_reader *reader, struct fragment *fragment)
{
	struct recording *r = CONTAINER_OF(reader, struct recording, reader);

	r->fragments[r->n++] = fragment_ref(fragment);
	note(r, fragment->keyframe ? 'F' : 'f');
}

static void on_end(struct fragment_reader *reader)
{
	note(CONTAINER_OF(reader, struct recording, reader), 'e');
}

static const struct fragment_reader_events events = {
	.on_init = on_init,
	.on_fragment = on_fragment,
	.on_end = on_end,
};

static void subscribe(struct recording *r, bool replay)
{
	fragmenter_subscribe(stream, &r->reader, &events, replay);
}

static void finish(struct recording *r)
{
	fragmenter_unsubscribe(&r->reader);
	for (size_t i = 0; i < r->n; i++)
		fragment_unref(&r->fragments[i]);
}

static void publish(AVPacket *packet)
{
	stream_publish(stream, packet);
	av_packet_free(&packet);
}

/* Pictures from .. to - 1, of which those that `gop` divides are keyframes. */
static void pictures(unsigned from, unsigned to, unsigned gop, size_t bytes)
{
	for (unsigned i = from; i < to; i++)
		publish(synthetic_video(i, i % gop == 0, bytes));
}

static int setup(void **state)
{
	(void)state;
	synthetic_tracks(tracks);
	stream = stream_new("porch");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(stream_readers(stream), 0); /* the fragmenter went with its last reader */
	stream_free(stream);
	synthetic_tracks_free(tracks);
	metrics_fini();
	return 0;
}

static void test_cuts_at_keyframes_and_half_seconds(void **state)
{
	static const size_t expected[] = { HALF_SECOND, 20 - HALF_SECOND, HALF_SECOND,
		20 - HALF_SECOND };
	struct recording r = { 0 };

	(void)state;
	stream_begin(stream, tracks, 1);
	subscribe(&r, true);
	pictures(0, 41, 20, PICTURE_BYTES);
	assert_string_equal(r.told, "iFfFf");
	for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
		assert_int_equal(r.fragments[i]->n_packets, expected[i]);
		assert_int_equal(r.fragments[i]->sequence, i + 1);
		assert_true(r.fragments[i]->duration_us == (int64_t)expected[i] * 40000);
		if (i)
			assert_true(r.fragments[i]->start_us ==
				    r.fragments[i - 1]->start_us + r.fragments[i - 1]->duration_us);
	}
	finish(&r);
}

/* At whatever rate, no fragment is longer than half a second where two pictures fit in. */
static void test_fragments_keep_within_half_a_second(void **state)
{
	static const struct {
		int64_t interval_90k;
		size_t pictures;
	} rates[] = {
		{3000,   15}, /* 30 a second: half a second exactly */
		{ 3003,  14},
                { 6000,  7 }, /* 15: seven are 467 ms, eight would be 533 */
		{ 9000,  5 },
                { 18000, 2 },
                { 30000, 1 },
		{ 90000, 1 }, /* one a second: as short as it gets */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rates); i++) {
		struct recording r = { 0 };

		stream_begin(stream, tracks, 1);
		subscribe(&r, true);
		for (unsigned k = 0; k < 40; k++) {
			AVPacket *packet = synthetic_video(0, k == 0, PICTURE_BYTES);

			packet->dts = packet->pts += k * rates[i].interval_90k;
			publish(packet);
		}
		assert_true(r.n >= 2);
		for (size_t k = 0; k < 2; k++)
			assert_int_equal(r.fragments[k]->n_packets, rates[i].pictures);
		finish(&r);
		stream_end(stream);
	}
}

/* A camera that stumbles: the last picture lasts until the next one, whatever came before. */
static void test_the_next_picture_says_how_long_the_last_one_was(void **state)
{
	struct recording r = { 0 };
	AVPacket *late = synthetic_video(2, true, PICTURE_BYTES);

	(void)state;
	late->dts += 9000;
	late->pts += 9000;
	stream_begin(stream, tracks, 1);
	subscribe(&r, true);
	pictures(0, 2, 100, PICTURE_BYTES);
	publish(late);
	assert_string_equal(r.told, "iF");
	assert_true(r.fragments[0]->duration_us == 2 * 40000 + 100000);
	finish(&r);
}

static void test_sound_alone_is_cut_by_its_own_time(void **state)
{
	struct recording r = { 0 };

	(void)state;
	stream_begin(stream, tracks + 1, 1);
	subscribe(&r, true);
	for (unsigned i = 0; i < 50; i++) {
		AVPacket *packet = synthetic_audio(i, 10);

		packet->stream_index = 0;
		publish(packet);
	}
	assert_string_equal(r.told, "iFF");
	/* 23 * 1024 / 48000 s is not yet half a second, 24 of them are more */
	assert_int_equal(r.fragments[0]->n_packets, 23);
	assert_int_equal(r.fragments[1]->n_packets, 23);
	finish(&r);
}

static void test_sound_goes_where_it_arrives(void **state)
{
	struct recording r = { 0 };

	(void)state;
	stream_begin(stream, tracks, 2);
	subscribe(&r, true);
	pictures(0, 3, 100, PICTURE_BYTES);
	publish(synthetic_audio(0, 10));
	publish(synthetic_audio(1, 11));
	publish(synthetic_video(3, true, PICTURE_BYTES));
	assert_string_equal(r.told, "iF");
	assert_int_equal(r.fragments[0]->n_packets, 5);
	assert_int_equal(r.fragments[0]->packets[3]->size, 10); /* pictures first, then sound */
	assert_int_equal(r.fragments[0]->packets[4]->size, 11);
	assert_true(r.fragments[0]->tracks[1].tfdt_at != 0);
	finish(&r);
}

static void test_a_fragment_too_large_is_cut(void **state)
{
	struct recording r = { 0 };

	(void)state;
	stream_begin(stream, tracks, 1);
	subscribe(&r, true);
	pictures(0, 6, 100, HUGE_BYTES);
	assert_string_equal(r.told, "iFf");
	for (size_t i = 0; i < r.n; i++)
		assert_true(r.fragments[i]->bytes - r.fragments[i]->head_bytes <= FRAGMENT_BYTES);
	finish(&r);
}

static void test_the_end_gives_what_is_there(void **state)
{
	struct recording r = { 0 };

	(void)state;
	stream_begin(stream, tracks, 1);
	subscribe(&r, true);
	pictures(0, 5, 100, PICTURE_BYTES);
	stream_end(stream);
	assert_string_equal(r.told, "iFe");
	assert_true(r.fragments[0]->duration_us == 5 * 40000); /* the last as the one before */
	stream_end(stream);
	assert_string_equal(r.told, "iFe");
	stream_begin(stream, tracks, 2); /* the source is back */
	pictures(5, 7, 5, PICTURE_BYTES);
	stream_end(stream);
	assert_string_equal(r.told, "iFeiFe");
	assert_int_equal(r.fragments[1]->sequence, 2);
	finish(&r);
}

static void test_new_tracks_give_a_new_init(void **state)
{
	struct recording r = { 0 };

	(void)state;
	stream_begin(stream, tracks, 1);
	subscribe(&r, true);
	pictures(0, 4, 100, PICTURE_BYTES);
	tracks[0].parameters->width = 320;
	stream_begin(stream, tracks, 1);
	pictures(4, 6, 4, PICTURE_BYTES);
	stream_end(stream);
	assert_string_equal(r.told, "iFiFe");
	assert_false(fragment_init_equal(r.fragments[0]->init, r.fragments[1]->init));
	assert_int_equal(r.fragments[1]->init->width, 320);
	finish(&r);
}

static void test_replay_begins_with_the_keyframe(void **state)
{
	struct recording first = { 0 }, late = { 0 }, later = { 0 }, live = { 0 };

	(void)state;
	stream_begin(stream, tracks, 1);
	pictures(0, 30, 100, PICTURE_BYTES); /* nobody listens: the stream has them */
	subscribe(&first, true);
	assert_string_equal(first.told, "iFf");
	pictures(30, 40, 100, PICTURE_BYTES);
	subscribe(&late, true);
	subscribe(&live, false);
	assert_string_equal(late.told, "iFff");
	assert_string_equal(live.told, "i");
	for (size_t i = 0; i < late.n; i++)
		assert_ptr_equal(late.fragments[i], first.fragments[i]); /* made once */
	pictures(100, 101, 100, PICTURE_BYTES);
	assert_string_equal(late.told, "iFfff");
	assert_string_equal(live.told, "if");
	pictures(200, 201, 100, PICTURE_BYTES);
	subscribe(&later, true);
	assert_string_equal(later.told, "iF"); /* only the last group */
	finish(&later);
	finish(&first);
	finish(&late);
	finish(&live);
}

/* The GOP is kept up to a limit; beyond it replay waits for the next keyframe. */
static void test_what_is_kept_is_bounded(void **state)
{
	struct recording first = { 0 }, late = { 0 };

	(void)state;
	stream_begin(stream, tracks, 1);
	subscribe(&first, true);
	pictures(0, 7, 100, HUGE_BYTES); /* three fragments of two: together over the limit */
	assert_string_equal(first.told, "iFff");
	subscribe(&late, true);
	assert_string_equal(late.told, "i");
	pictures(100, 102, 100, PICTURE_BYTES);
	pictures(200, 201, 100, PICTURE_BYTES);
	fragmenter_unsubscribe(&late.reader);
	memset(late.told, 0, sizeof(late.told));
	late.n_told = 0;
	subscribe(&late, true);
	assert_string_equal(late.told, "iF");
	finish(&first);
	finish(&late);
}

/* A keyframe that is too large by itself is given, but not kept. */
static void test_one_huge_picture_is_not_kept(void **state)
{
	struct recording first = { 0 }, late = { 0 };

	(void)state;
	stream_begin(stream, tracks, 1);
	subscribe(&first, true);
	publish(synthetic_video(0, true, STREAM_CACHE_BYTES + 1));
	pictures(1, 2, 100, PICTURE_BYTES);
	assert_string_equal(first.told, "iF");
	subscribe(&late, true);
	assert_string_equal(late.told, "i");
	finish(&first);
	finish(&late);
}

/* A reader leaves in its k-th event, alone or with its neighbour; the others hear everything. */
static void test_readers_leave_inside_callbacks(void **state)
{
	(void)state;
	for (unsigned drops = 0; drops < 2; drops++) {
		for (size_t k = 1; k <= 6; k++) {
			struct recording a = { 0 }, leaver = { 0 }, b = { 0 };

			leaver.leave_after = k;
			leaver.drops = drops ? &b : NULL;
			subscribe(&a, true);
			subscribe(&b, true);
			subscribe(&leaver, true);
			stream_begin(stream, tracks, 1);
			pictures(0, 60, 20, PICTURE_BYTES);
			stream_end(stream);
			assert_string_equal(a.told, "iFfFfFfe");
			assert_int_equal(leaver.n_told, k);
			if (!drops)
				assert_string_equal(b.told, a.told);
			finish(&a);
			finish(&b);
			finish(&leaver);
		}
	}
}

/* The last reader leaves in the middle of its replay, of a packet, of an end. */
static void test_the_last_reader_leaves_inside_a_callback(void **state)
{
	(void)state;
	for (size_t k = 1; k <= 6; k++) {
		struct recording r = { .leave_after = k };

		stream_begin(stream, tracks, 1);
		pictures(0, 30, 100, PICTURE_BYTES);
		subscribe(&r, true);
		pictures(30, 60, 100, PICTURE_BYTES);
		stream_end(stream);
		assert_int_equal(r.n_told, k);
		assert_int_equal(stream_readers(stream), 0);
		finish(&r);
	}
}

static void test_a_freed_stream_leaves_its_readers(void **state)
{
	struct recording old = { 0 }, new = { 0 };

	(void)state;
	stream_begin(stream, tracks, 1);
	subscribe(&old, true);
	pictures(0, 3, 100, PICTURE_BYTES);
	stream_free(stream);
	assert_string_equal(old.told, "iFe");
	stream = stream_new("porch"); /* may well stand where the old one stood */
	stream_begin(stream, tracks, 1);
	subscribe(&new, true);
	pictures(0, 21, 20, PICTURE_BYTES);
	assert_string_equal(new.told, "iFf");
	assert_string_equal(old.told, "iFe");
	finish(&old);
	finish(&new);
}

/* --- tracks and codecs of other kinds --- */

static void test_what_mp4_cannot_carry_is_left_out(void **state)
{
	struct recording r = { 0 };

	(void)state;
	tracks[1].parameters->codec_id = AV_CODEC_ID_ADPCM_G726;
	stream_begin(stream, tracks, 2);
	subscribe(&r, false);
	for (unsigned i = 0; i < 20; i++) {
		publish(synthetic_audio(i * 2, HUGE_BYTES)); /* cuts nothing */
		pictures(i, i + 1, 100, PICTURE_BYTES);
	}
	stream_end(stream);
	assert_string_equal(r.told, "iFfe");
	assert_int_equal(r.fragments[0]->n_packets, HALF_SECOND);
	assert_int_equal(r.fragments[1]->n_packets, 20 - HALF_SECOND);
	finish(&r);
}

static void test_nothing_that_mp4_can_carry(void **state)
{
	struct recording r = { 0 };

	(void)state;
	tracks[0].parameters->codec_id = AV_CODEC_ID_NONE;
	stream_begin(stream, tracks, 1);
	subscribe(&r, false);
	pictures(0, 20, 10, PICTURE_BYTES);
	stream_end(stream);
	assert_string_equal(r.told, "ie");
	finish(&r);
}

static void test_sound_cuts_where_pictures_are_left_out(void **state)
{
	struct recording r = { 0 };

	(void)state;
	tracks[0].parameters->codec_id = AV_CODEC_ID_NONE;
	stream_begin(stream, tracks, 2);
	subscribe(&r, false);
	pictures(0, 20, 10, PICTURE_BYTES);
	for (unsigned i = 0; i < 46; i++)
		publish(synthetic_audio(i, 20)); /* 0.981 s */
	stream_end(stream);
	assert_string_equal(r.told, "iFFe");
	assert_int_equal(r.fragments[0]->n_packets, 23);
	finish(&r);
}

/* Every JPEG is a keyframe; a fragment of each would be a waste. */
static void test_motion_jpeg_is_cut_by_time(void **state)
{
	struct recording r = { 0 };

	(void)state;
	tracks[0].parameters->codec_id = AV_CODEC_ID_MJPEG;
	stream_begin(stream, tracks, 1);
	subscribe(&r, false);
	pictures(0, 2 * HALF_SECOND, 1, PICTURE_BYTES);
	stream_end(stream);
	assert_string_equal(r.told, "iFFe");
	assert_int_equal(r.fragments[0]->n_packets, HALF_SECOND);
	finish(&r);
}

static void test_one_jpeg_a_second_is_a_fragment_each(void **state)
{
	struct recording r = { 0 };

	(void)state;
	tracks[0].parameters->codec_id = AV_CODEC_ID_MJPEG;
	stream_begin(stream, tracks, 1);
	subscribe(&r, false);
	for (unsigned i = 0; i < 3; i++)
		publish(synthetic_video(i * 25, true, PICTURE_BYTES));
	stream_end(stream);
	assert_string_equal(r.told, "iFFFe");
	assert_int_equal(r.fragments[0]->duration_us, 1000000);
	assert_int_equal(r.fragments[1]->duration_us, 1000000);
	assert_int_equal(r.fragments[2]->duration_us, 1000000); /* nothing follows: as before */
	finish(&r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_cuts_at_keyframes_and_half_seconds),
		TEST(test_fragments_keep_within_half_a_second),
		TEST(test_the_next_picture_says_how_long_the_last_one_was),
		TEST(test_sound_alone_is_cut_by_its_own_time),
		TEST(test_sound_goes_where_it_arrives),
		TEST(test_a_fragment_too_large_is_cut),
		TEST(test_the_end_gives_what_is_there),
		TEST(test_new_tracks_give_a_new_init),
		TEST(test_replay_begins_with_the_keyframe),
		TEST(test_what_is_kept_is_bounded),
		TEST(test_one_huge_picture_is_not_kept),
		TEST(test_readers_leave_inside_callbacks),
		TEST(test_the_last_reader_leaves_inside_a_callback),
		TEST(test_a_freed_stream_leaves_its_readers),
		TEST(test_what_mp4_cannot_carry_is_left_out),
		TEST(test_nothing_that_mp4_can_carry),
		TEST(test_sound_cuts_where_pictures_are_left_out),
		TEST(test_motion_jpeg_is_cut_by_time),
		TEST(test_one_jpeg_a_second_is_a_fragment_each),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
