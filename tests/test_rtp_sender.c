/* The one packetisation that all readers of a stream share. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/rtp_sender.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/codec.h"
#include "tests/fake_connection.h"

static const uint8_t sps[] = { 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44, 0x00, 0x00,
	0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x48, 0x99, 0x20 };
static const uint8_t pps[] = { 0x68, 0xcb, 0x83, 0xcb, 0x20 };
static const uint8_t vps5[] = { 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03,
	0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x1e, 0x95, 0x98, 0x09 };
static const uint8_t sps5[] = { 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00,
	0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x1e, 0xa0, 0x20, 0x81, 0x05, 0x96, 0x56, 0x69, 0x24,
	0xca, 0xf0, 0x16, 0x80, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x0c, 0x84 };
static const uint8_t pps5[] = { 0x44, 0x01, 0xc1, 0x72, 0xb4, 0x22, 0x40 };

static size_t write_nal(
	uint8_t *ret, const uint8_t *header, size_t header_bytes, size_t bytes, uint8_t fill)
{
	for (unsigned i = 0; i < 4; i++)
		ret[i] = (uint8_t)(bytes >> (24 - 8 * i));
	memset(ret + 4, fill, bytes);
	memcpy(ret + 4, header, header_bytes);
	return 4 + bytes;
}

static AVCodecParameters *h264_parameters(void)
{
	struct h264_sets sets = { 0 };
	const char *why;

	assert_int_equal(h264_sets_add(&sets, sps, sizeof(sps)), 1);
	assert_int_equal(h264_sets_add(&sets, pps, sizeof(pps)), 1);
	AVCodecParameters *parameters = codec_of_h264(&sets, &why);
	assert_non_null(parameters);
	return parameters;
}

static AVCodecParameters *h265_parameters(void)
{
	struct h265_sets *sets = calloc(1, sizeof(*sets));
	const char *why;

	assert_non_null(sets);
	assert_int_equal(h265_sets_add(sets, vps5, sizeof(vps5)), 1);
	assert_int_equal(h265_sets_add(sets, sps5, sizeof(sps5)), 1);
	assert_int_equal(h265_sets_add(sets, pps5, sizeof(pps5)), 1);
	AVCodecParameters *parameters = codec_of_h265(sets, &why);
	assert_non_null(parameters);
	free(sets);
	return parameters;
}

/* Begins a run of video and AAC-LC 48000/2. */
static void begin(struct stream *stream, AVCodecParameters *video)
{
	const char *why;
	AVCodecParameters *audio = codec_of_aac((const uint8_t *)"\x11\x90", 2, &why);
	const struct stream_track tracks[] = {
		{video,  { 1, 90000 }, 0},
                { audio, { 1, 48000 }, 0}
	};

	assert_non_null(audio);
	stream_begin(stream, tracks, 2);
	avcodec_parameters_free(&audio);
	avcodec_parameters_free(&video);
}

static void publish(struct stream *stream, int track, int64_t pts, bool key, size_t bytes)
{
	AVPacket *packet = av_packet_alloc();

	assert_non_null(packet);
	assert_int_equal(av_new_packet(packet, (int)(track == 0 ? bytes + 4 : bytes)), 0);
	if (track == 0)
		(void)write_nal(packet->data,
			key ? (const uint8_t[]){ 0x65, 0x88 } : (const uint8_t[]){ 0x41, 0x99 }, 2,
			bytes, 0xaa);
	else
		memset(packet->data, 0x21, bytes);
	packet->stream_index = track;
	packet->pts = packet->dts = pts;
	packet->flags = key ? AV_PKT_FLAG_KEY : 0;
	stream_publish(stream, packet);
	av_packet_free(&packet);
}

struct test_reader {
	struct rtp_reader reader;
	char text[512]; /* "v2k " for a keyframe of two packets, "a1 ", "end" */
	uint16_t first_sequence[2];
	uint32_t first_timestamp[2];
	const uint8_t *last_block;
	uint32_t last_timestamp;
	bool leave; /* at the next unit */
	bool has[2];
};

static void test_on_unit(struct rtp_reader *reader, struct rtp_unit_packets *unit)
{
	struct test_reader *t = CONTAINER_OF(reader, struct test_reader, reader);
	size_t n = strlen(t->text);

	snprintf(t->text + n, sizeof(t->text) - n, "%c%zu%s ", unit->track == 0 ? 'v' : 'a',
		unit->n, unit->keyframe && unit->track == 0 ? "k" : "");
	assert_int_equal(unit->offsets[unit->n], unit->bytes);
	if (!t->has[unit->track]) {
		t->has[unit->track] = true;
		t->first_sequence[unit->track] = (uint16_t)(unit->block[6] << 8 | unit->block[7]);
		t->first_timestamp[unit->track] = unit->timestamp;
	}
	t->last_block = unit->block;
	t->last_timestamp = unit->timestamp;
	if (t->leave)
		rtp_sender_unsubscribe(reader);
}

static void test_on_end(struct rtp_reader *reader)
{
	struct test_reader *t = CONTAINER_OF(reader, struct test_reader, reader);

	assert_null(reader->sender);
	strcat(t->text, "end");
}

static const struct rtp_reader_events test_events = { test_on_unit, test_on_end };

static void readers_share_and_late_ones_begin_at_the_keyframe(void **state)
{
	struct stream *stream = stream_new("porch");
	struct test_reader early = { 0 }, late = { 0 };
	struct rtp_sender_state sender;

	(void)state;
	assert_int_equal(rtp_sender_subscribe(stream, &early.reader, &test_events), -ENOTCONN);
	begin(stream, h264_parameters());
	publish(stream, 0, 90000, true, 3000);
	assert_int_equal(rtp_sender_subscribe(stream, &early.reader, &test_events), 0);
	assert_string_equal(early.text, "v5k "); /* SPS, PPS, three pieces */
	publish(stream, 1, 48000, true, 200);
	publish(stream, 0, 93600, false, 100);
	assert_int_equal(rtp_sender_subscribe(stream, &late.reader, &test_events), 0);
	assert_string_equal(early.text, "v5k a1 v1 ");
	assert_string_equal(late.text, early.text);
	assert_ptr_equal(late.last_block, early.last_block);
	assert_int_equal(late.first_sequence[0], early.first_sequence[0]);

	assert_true(rtp_sender_get_state(late.reader.sender, 0, &sender));
	assert_int_equal(sender.next_sequence, (uint16_t)(late.first_sequence[0] + 6));
	assert_int_equal(sender.packets, 6);
	/* Both tracks' first units are one second after 1970. */
	assert_int_equal(rtp_sender_time(late.reader.sender, 0, 1000000), late.first_timestamp[0]);
	assert_int_equal(rtp_sender_time(late.reader.sender, 1, 1000000), late.first_timestamp[1]);

	early.leave = true;
	publish(stream, 0, 97200, true, 100);
	publish(stream, 0, 100800, false, 100);
	assert_string_equal(early.text, "v5k a1 v1 v3k ");
	assert_string_equal(late.text, "v5k a1 v1 v3k v1 ");
	stream_end(stream);
	stream_free(stream);
	assert_string_equal(early.text, "v5k a1 v1 v3k ");
	assert_string_equal(late.text, "v5k a1 v1 v3k v1 end");
}

/* What a unit of the video says of itself. */
static uint16_t sequence_of(const struct test_reader *reader)
{
	return (uint16_t)(reader->last_block[6] << 8 | reader->last_block[7]);
}

static uint32_t time_of(const struct test_reader *reader)
{
	return reader->last_timestamp;
}

/* The source is lost, and comes back with its times anywhere: for the reader it was silent for that long. */
static void check_return(int64_t pts)
{
	struct stream *stream = stream_new("porch");
	struct test_reader reader = { 0 };

	fake_clock_set(0);
	begin(stream, h264_parameters());
	publish(stream, 0, 90000 * 100, true, 10);
	assert_int_equal(rtp_sender_subscribe(stream, &reader.reader, &test_events), 0);
	publish(stream, 0, 90000 * 100 + 3600, false, 10);
	assert_string_equal(reader.text, "v3k v1 ");
	uint16_t sequence = sequence_of(&reader);
	uint32_t timestamp = time_of(&reader);
	stream_end(stream);
	assert_string_equal(reader.text, "v3k v1 ");
	assert_int_equal(stream_readers(stream), 1);
	fake_clock_set(5000000);
	begin(stream, h264_parameters());
	publish(stream, 0, pts, true, 10);
	assert_string_equal(reader.text, "v3k v1 v3k ");
	assert_int_equal(sequence_of(&reader), (uint16_t)(sequence + 1));
	int64_t gone = (int32_t)(time_of(&reader) - timestamp);
	assert_in_range(gone, 90000 * 4, 90000 * 6);
	/* a report of now says the same as the packets */
	assert_int_equal(rtp_sender_time(reader.reader.sender, 0, av_rescale(pts, 1000000, 90000)),
		time_of(&reader));
	publish(stream, 0, pts + 3600, false, 10);
	assert_int_equal(time_of(&reader), (uint32_t)(timestamp + gone + 3600));
	stream_free(stream);
	assert_string_equal(reader.text, "v3k v1 v3k v1 end");
}

static void readers_wait_for_a_source_that_comes_back(void **state)
{
	(void)state;
	check_return(90000 * 105);
	check_return(90000 * 105 + 45000);
	check_return(90000 * 99);   /* the clock was set back meanwhile */
	check_return(90000 * 3700); /* and forth */
	check_return(0);
}

static void readers_do_not_wait_forever(void **state)
{
	struct stream *stream = stream_new("porch");
	struct test_reader reader = { 0 };

	(void)state;
	begin(stream, h264_parameters());
	publish(stream, 0, 0, true, 10);
	assert_int_equal(rtp_sender_subscribe(stream, &reader.reader, &test_events), 0);
	stream_end(stream);
	fake_clock_set(fake_clock() + 59000000);
	event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
	assert_string_equal(reader.text, "v3k ");
	fake_clock_set(fake_clock() + 2000000);
	event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
	assert_string_equal(reader.text, "v3k end");
	assert_int_equal(stream_readers(stream), 0);
	stream_free(stream);
}

static void a_run_that_begins_again_goes_on(void **state)
{
	struct stream *stream = stream_new("porch");
	struct test_reader reader = { 0 };

	(void)state;
	begin(stream, h264_parameters());
	publish(stream, 0, 90000, true, 10);
	assert_int_equal(rtp_sender_subscribe(stream, &reader.reader, &test_events), 0);
	uint32_t timestamp = time_of(&reader);
	begin(stream, h264_parameters());
	publish(stream, 0, 93600, true, 10);
	assert_string_equal(reader.text, "v3k v3k ");
	assert_int_equal(time_of(&reader), timestamp + 3600);
	stream_free(stream);
}

static void changed_tracks_end_the_readers(void **state)
{
	struct stream *stream = stream_new("porch");
	struct test_reader reader = { 0 };

	(void)state;
	begin(stream, h264_parameters());
	publish(stream, 0, 0, true, 10);
	assert_int_equal(rtp_sender_subscribe(stream, &reader.reader, &test_events), 0);
	begin(stream, h265_parameters());
	assert_string_equal(reader.text, "v3k end");
	/* and may come again at once */
	publish(stream, 0, 3600, true, 10);
	assert_int_equal(rtp_sender_subscribe(stream, &reader.reader, &test_events), 0);
	stream_free(stream);
	assert_string_equal(reader.text, "v3k endv4k end");
}

static void a_reader_may_leave_in_its_first_unit(void **state)
{
	struct stream *stream = stream_new("porch");
	struct test_reader reader = { .leave = true };

	(void)state;
	begin(stream, h264_parameters());
	publish(stream, 0, 0, true, 10);
	publish(stream, 0, 3600, false, 10);
	assert_int_equal(rtp_sender_subscribe(stream, &reader.reader, &test_events), 0);
	assert_string_equal(reader.text, "v3k ");
	assert_int_equal(stream_readers(stream), 0);
	stream_free(stream);
}

static char *sdp_of(struct stream *stream, const char *address)
{
	struct evbuffer *out = evbuffer_new();

	rtp_sender_write_sdp(stream, address, NULL, NULL, out);
	size_t n = evbuffer_get_length(out);
	char *text = calloc(1, n + 1);
	assert_non_null(text);
	evbuffer_remove(out, text, n);
	evbuffer_free(out);
	return text;
}

static void the_sdp_says_what_is_sent(void **state)
{
	struct stream *stream = stream_new("porch");
	char *text;

	(void)state;
	begin(stream, h264_parameters());
	text = sdp_of(stream, "127.0.0.1");
	assert_string_equal(text,
		"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=porch\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
		"a=tool:nvrd\r\na=control:*\r\na=range:npt=now-\r\n"
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
		"a=fmtp:96 packetization-mode=1;profile-level-id=42C00A;"
		"sprop-parameter-sets=Z0LACtkEJsBEAAADAAQAAAMAyDxImSA=,aMuDyyA=\r\n"
		"a=control:trackID=0\r\n"
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n"
		"a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
		"indexdeltalength=3;config=1190\r\na=control:trackID=1\r\n");
	free(text);
	begin(stream, h265_parameters());
	text = sdp_of(stream, "::1");
	assert_non_null(strstr(text, "o=- 2 1 IN IP6 ::1\r\n"));
	assert_non_null(strstr(text, "c=IN IP6 ::\r\n"));
	assert_non_null(strstr(text,
		"a=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwAelZgJ;"
		"sprop-sps=QgEBAWAAAAMAkAAAAwAAAwAeoCCBBZZWaSTK8BaAgAAAAwCAAAAMhA==;"
		"sprop-pps=RAHBcrQiQA==\r\n"));
	free(text);
	stream_free(stream);
}

static void begin_sound(struct stream *stream, enum AVCodecID id, int hz, int channels, int bits)
{
	const char *why;
	AVCodecParameters *audio = codec_of_sound(id, hz, channels, &why);

	assert_non_null(audio);
	audio->bits_per_coded_sample = bits;
	const struct stream_track track = {
		audio, {1, hz},
                 0
	};
	stream_begin(stream, &track, 1);
	avcodec_parameters_free(&audio);
}

/* RFC 3551 section 6 for types and names, RFC 7587 section 7 for Opus. */
static void the_sdp_names_sounds_as_the_standards_do(void **state)
{
	static const struct {
		enum AVCodecID id;
		int hz, channels, bits;
		const char *says;
	} rows[] = {
		{AV_CODEC_ID_PCM_MULAW,     8000,  1, 8,
                 "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control"                      },
		{ AV_CODEC_ID_PCM_ALAW,     8000,  1, 8,
                 "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control"                      },
		{ AV_CODEC_ID_PCM_ALAW,     16000, 2, 8,
                 "AVP 96\r\na=rtpmap:96 PCMA/16000/2\r\na=control"                               },
		{ AV_CODEC_ID_PCM_S16BE,    48000, 2, 16, "a=rtpmap:96 L16/48000/2\r\na=control" },
		{ AV_CODEC_ID_ADPCM_G726LE, 8000,  1, 4,  "a=rtpmap:96 G726-32/8000\r\na=control"},
		{ AV_CODEC_ID_ADPCM_G726,   8000,  1, 2,
                 "a=rtpmap:96 AAL2-G726-16/8000\r\na=control"                                    },
		{ AV_CODEC_ID_OPUS,         48000, 1, 0,
                 "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 sprop-stereo=0\r\n"                      },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct stream *stream = stream_new("porch");
		begin_sound(stream, rows[i].id, rows[i].hz, rows[i].channels, rows[i].bits);
		char *text = sdp_of(stream, "127.0.0.1");
		if (!strstr(text, rows[i].says))
			fail_msg("%s is not in %s", rows[i].says, text);
		free(text);
		stream_free(stream);
	}
}

static int set_up(void **state)
{
	(void)state;
	reactor_init();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	reactor_fini();
	metrics_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_share_and_late_ones_begin_at_the_keyframe),
		cmocka_unit_test(readers_wait_for_a_source_that_comes_back),
		cmocka_unit_test(readers_do_not_wait_forever),
		cmocka_unit_test(a_run_that_begins_again_goes_on),
		cmocka_unit_test(changed_tracks_end_the_readers),
		cmocka_unit_test(a_reader_may_leave_in_its_first_unit),
		cmocka_unit_test(the_sdp_says_what_is_sent),
		cmocka_unit_test(the_sdp_names_sounds_as_the_standards_do),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
