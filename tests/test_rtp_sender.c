/* Packetising, and the one packetisation that all readers of a stream share. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "protocols/rtp.h"
#include "protocols/rtp_depacketiser.h"
#include "protocols/rtp_packetise.h"
#include "protocols/rtp_sender.h"
#include "server/base/metrics.h"
#include "server/media/codec.h"

static const uint8_t sps[] = { 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44, 0x00, 0x00,
	0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x48, 0x99, 0x20 };
static const uint8_t pps[] = { 0x68, 0xcb, 0x83, 0xcb, 0x20 };
static const uint8_t vps5[] = { 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03,
	0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x1e, 0x95, 0x98, 0x09 };
static const uint8_t sps5[] = { 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00,
	0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x1e, 0xa0, 0x20, 0x81, 0x05, 0x96, 0x56, 0x69, 0x24,
	0xca, 0xf0, 0x16, 0x80, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x0c, 0x84 };
static const uint8_t pps5[] = { 0x44, 0x01, 0xc1, 0x72, 0xb4, 0x22, 0x40 };

/* --- packets --- */

struct output {
	uint8_t unit[1 << 17];
	size_t bytes, units;
	uint32_t timestamp;
	bool keyframe;
};

static void on_unit(void *arg, const struct rtp_unit *unit)
{
	struct output *o = arg;

	assert_true(unit->bytes <= sizeof(o->unit));
	memcpy(o->unit, unit->data, unit->bytes);
	o->bytes = unit->bytes;
	o->timestamp = unit->timestamp;
	o->keyframe = unit->keyframe;
	o->units++;
}

static void on_dropped(void *arg, const char *why)
{
	(void)arg;
	fail_msg("%s", why);
}

static const struct rtp_depacketiser_events depacketiser_events = { on_unit, on_dropped };

/* Checks a block's framing, and pushes its packets. Returns how many were marked. */
static size_t push_block(struct rtp_depacketiser *d, const struct rtp_packets *packets,
	uint8_t channel, uint16_t sequence)
{
	size_t at = 0, marked = 0;

	for (size_t i = 0; i < packets->n; i++) {
		const uint8_t *p = packets->block + at;
		size_t n = (size_t)p[2] << 8 | p[3];
		struct rtp_packet packet;
		const char *why;
		assert_int_equal(packets->offsets[i], at);
		assert_int_equal(p[0], '$');
		assert_int_equal(p[1], channel);
		assert_int_equal(rtp_parse(&packet, p + 4, n, &why), 0);
		assert_true(packet.payload_bytes <= RTP_PAYLOAD_BYTES);
		assert_int_equal(packet.sequence, (uint16_t)(sequence + i));
		marked += (size_t)packet.marker;
		assert_true(!packet.marker || i + 1 == packets->n);
		rtp_depacketiser_push(d, &packet, false);
		at += 4 + n;
	}
	assert_int_equal(at, packets->bytes);
	return marked;
}

/* Packetises twice, as the sender does. The caller frees block and offsets. */
static struct rtp_packets packetise(
	struct rtp_packetiser *s, const uint8_t *p, size_t n, uint32_t timestamp)
{
	struct rtp_packets counted = { 0 }, written = { 0 };

	rtp_packetise(s, &counted, p, n, timestamp);
	written.block = malloc(counted.bytes ? counted.bytes : 1);
	written.offsets = malloc((counted.n ? counted.n : 1) * sizeof(*written.offsets));
	rtp_packetise(s, &written, p, n, timestamp);
	rtp_packets_mark(&written);
	assert_int_equal(written.bytes, counted.bytes);
	assert_int_equal(written.n, counted.n);
	return written;
}

static void free_packets(struct rtp_packets *packets)
{
	free(packets->block);
	free(packets->offsets);
}

static size_t write_nal(
	uint8_t *ret, const uint8_t *header, size_t header_bytes, size_t bytes, uint8_t fill)
{
	for (unsigned i = 0; i < 4; i++)
		ret[i] = (uint8_t)(bytes >> (24 - 8 * i));
	memset(ret + 4, fill, bytes);
	memcpy(ret + 4, header, header_bytes);
	return 4 + bytes;
}

/* What is packetised comes out of our depacketiser again, for NAL units around every edge. */
static void check_sizes(enum rtp_codec codec, const char *encoding, const char *fmtp,
	const uint8_t *key, const uint8_t *next, size_t header_bytes)
{
	static const size_t sizes[] = { 4, 5, 1398, 1399, 1400, 1401, 1402, 2796, 2797, 2798, 2799,
		2800, 4000, 65536 };
	static uint8_t unit[1 << 17];
	struct rtp_format format = { .encoding = encoding, .fmtp = fmtp, .clock_hz = 90000 };
	struct rtp_packetiser s = {
		.codec = codec, .payload_type = 96, .channel = 4, .next_sequence = 65530
	};
	struct output *o = calloc(1, sizeof(*o));
	const char *why;
	struct rtp_depacketiser *d = rtp_depacketiser_new(&format, &depacketiser_events, o, &why);

	assert_non_null(o);
	assert_non_null(d);
	for (size_t i = 0; i < 2 * ARRAY_LENGTH(sizes); i++) {
		const uint8_t *header = i == 0 ? key : next;
		size_t n = write_nal(unit, header, header_bytes, sizes[i / 2], 0x55);
		if (i % 2 == 1) /* and a second slice */
			n += write_nal(unit + n,
				(uint8_t[]){
					next[0], codec == RTP_CODEC_H264 ? 0x44 : next[1], 0x44 },
				3, 20, 0x66);
		uint16_t sequence = s.next_sequence;
		struct rtp_packets packets = packetise(&s, unit, n, (uint32_t)i);
		assert_int_equal(push_block(d, &packets, 4, sequence), 1);
		free_packets(&packets);
		if (i == 0) /* the markers are not trusted yet */
			continue;
		assert_int_equal(o->units, i + 1);
		assert_int_equal(o->timestamp, i);
		assert_int_equal(o->bytes, n);
		assert_memory_equal(o->unit, unit, n);
	}
	rtp_depacketiser_free(d);
	free(o);
}

static void h264_round_trip(void **state)
{
	(void)state;
	check_sizes(RTP_CODEC_H264, "H264",
		"sprop-parameter-sets=Z0LACtkEJsBEAAADAAQAAAMAyDxImSA=,aMuDyyA=",
		(const uint8_t[]){ 0x65, 0x88 }, (const uint8_t[]){ 0x41, 0x99 }, 2);
}

static void h265_round_trip(void **state)
{
	(void)state;
	check_sizes(RTP_CODEC_H265, "H265",
		"sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwAelZgJ; "
		"sprop-sps=QgEBAWAAAAMAkAAAAwAAAwAeoCCBBZZWaSTK8BaAgAAAAwCAAAAMhA==; "
		"sprop-pps=RAHBcrQiQA==",
		(const uint8_t[]){ 0x26, 0x01, 0xaf }, (const uint8_t[]){ 0x02, 0x01, 0xd0 }, 3);
}

static void aac_round_trip(void **state)
{
	static const size_t sizes[] = { 1, 2, 1395, 1396, 1397, 2792, 2793, 8191 };
	static uint8_t unit[8192];
	struct rtp_format format = {
		.encoding = "MPEG4-GENERIC", .fmtp = "config=1190", .clock_hz = 48000, .channels = 2
	};
	struct rtp_packetiser s = { .codec = RTP_CODEC_AAC, .payload_type = 97, .channel = 2 };
	struct output *o = calloc(1, sizeof(*o));
	const char *why;
	struct rtp_depacketiser *d = rtp_depacketiser_new(&format, &depacketiser_events, o, &why);
	struct rtp_packets packets;

	(void)state;
	assert_non_null(o);
	assert_non_null(d);
	memset(unit, 0x21, sizeof(unit));
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		uint16_t sequence = s.next_sequence;
		packets = packetise(&s, unit, sizes[i], (uint32_t)i);
		assert_int_equal(push_block(d, &packets, 2, sequence), 1);
		free_packets(&packets);
		assert_int_equal(o->units, i + 1);
		assert_int_equal(o->bytes, sizes[i]);
		assert_memory_equal(o->unit, unit, sizes[i]);
	}
	packets = packetise(&s, unit, 8192, 0); /* 13 bits cannot say it */
	assert_int_equal(packets.n, 0);
	free_packets(&packets);
	rtp_depacketiser_free(d);
	free(o);
}

/* RFC 6184 section 5.8: the bytes of FU indicator and FU header. */
static void fragments_have_the_standards_headers(void **state)
{
	static uint8_t unit[4 + 2800];
	struct rtp_packetiser s = { .codec = RTP_CODEC_H264,
		.payload_type = 96,
		.ssrc = 0x01020304,
		.next_sequence = 0x1234 };
	static const uint8_t first[] = { '$', 0, 0x05, 0x84, 0x80, 0x60, 0x12, 0x34, 0, 0, 0, 9, 1,
		2, 3, 4, 0x7c, 0x85, 0x88 };
	static const uint8_t last[] = { '$', 0, 0, 0x11, 0x80, 0xe0, 0x12, 0x36, 0, 0, 0, 9, 1, 2,
		3, 4, 0x7c, 0x45, 0xaa, 0xaa, 0xaa };

	(void)state;
	size_t n = write_nal(unit, (const uint8_t[]){ 0x65, 0x88 }, 2, 2800, 0xaa);
	struct rtp_packets packets = packetise(&s, unit, n, 9);
	assert_int_equal(packets.n, 3);
	assert_memory_equal(packets.block, first, sizeof(first));
	assert_memory_equal(packets.block + packets.offsets[2], last, sizeof(last));
	free_packets(&packets);
}

static void broken_lengths_end_the_unit(void **state)
{
	static const uint8_t unit[] = { 0, 0, 0, 2, 0x41, 0x99, 0, 0, 0, 9, 0x41 };
	struct rtp_packetiser s = { .codec = RTP_CODEC_H264 };

	(void)state;
	for (size_t n = 0; n <= sizeof(unit); n++) {
		uint8_t *exact = malloc(n ? n : 1);
		assert_non_null(exact);
		memcpy(exact, unit, n);
		struct rtp_packets packets = packetise(&s, exact, n, 0);
		assert_int_equal(packets.n, n >= 6);
		free_packets(&packets);
		free(exact);
	}
}

/* --- the sender --- */

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
	assert_int_equal(sender.utc_us, 1040000);
	/* Both tracks' first units are one second after 1970. */
	assert_int_equal(rtp_sender_time(late.reader.sender, 0, 1000000), late.first_timestamp[0]);
	assert_int_equal(rtp_sender_time(late.reader.sender, 1, 1000000), late.first_timestamp[1]);

	early.leave = true;
	publish(stream, 0, 97200, true, 100);
	publish(stream, 0, 100800, false, 100);
	assert_string_equal(early.text, "v5k a1 v1 v3k ");
	assert_string_equal(late.text, "v5k a1 v1 v3k v1 ");
	stream_end(stream);
	assert_string_equal(early.text, "v5k a1 v1 v3k ");
	assert_string_equal(late.text, "v5k a1 v1 v3k v1 end");
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
	begin(stream, h264_parameters());
	assert_string_equal(reader.text, "v3k end");
	/* and may come again at once */
	publish(stream, 0, 3600, true, 10);
	assert_int_equal(rtp_sender_subscribe(stream, &reader.reader, &test_events), 0);
	stream_free(stream);
	assert_string_equal(reader.text, "v3k endv3k end");
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

	rtp_sender_write_sdp(stream, address, out);
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

static int tear_down(void **state)
{
	(void)state;
	metrics_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h264_round_trip),
		cmocka_unit_test(h265_round_trip),
		cmocka_unit_test(aac_round_trip),
		cmocka_unit_test(fragments_have_the_standards_headers),
		cmocka_unit_test(broken_lengths_end_the_unit),
		cmocka_unit_test(readers_share_and_late_ones_begin_at_the_keyframe),
		cmocka_unit_test(changed_tracks_end_the_readers),
		cmocka_unit_test(a_reader_may_leave_in_its_first_unit),
		cmocka_unit_test(the_sdp_says_what_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
