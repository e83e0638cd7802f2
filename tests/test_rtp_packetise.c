/* Packetising: what comes out of our depacketisers again, and what the standards' headers are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/rtp.h"
#include "protocols/rtp_depacketiser.h"
#include "protocols/rtp_packetise.h"
#include "server/media/jpeg.h"
#include "tests/jpeg_pictures.h"

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

static const struct rtp_encoding *encoding_of(enum AVCodecID id, int bits)
{
	const AVCodecParameters parameters = { .codec_id = id, .bits_per_coded_sample = bits };
	const struct rtp_encoding *encoding = rtp_encoding_of(&parameters);

	assert_non_null(encoding);
	return encoding;
}

/* Packetises twice, as the sender does. The caller frees block and offsets. */
static struct rtp_packets packetise(
	struct rtp_packetiser *s, const uint8_t *p, size_t n, uint32_t timestamp)
{
	struct rtp_packets counted = { 0 }, written = { 0 };

	const char *why = rtp_packetise(s, &counted, p, n, timestamp);
	written.block = malloc(counted.bytes ? counted.bytes : 1);
	written.offsets = malloc((counted.n ? counted.n : 1) * sizeof(*written.offsets));
	assert_ptr_equal(rtp_packetise(s, &written, p, n, timestamp), why);
	assert_true(!why || written.n == 0);
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
static void check_sizes(enum AVCodecID codec, const char *encoding, const char *fmtp,
	const uint8_t *key, const uint8_t *next, size_t header_bytes)
{
	static const size_t sizes[] = { 4, 5, 1398, 1399, 1400, 1401, 1402, 2796, 2797, 2798, 2799,
		2800, 4000, 65536 };
	static uint8_t unit[1 << 17];
	struct rtp_format format = { .encoding = encoding, .fmtp = fmtp, .clock_hz = 90000 };
	struct rtp_packetiser s = { .encoding = encoding_of(codec, 0),
		.payload_type = 96,
		.channel = 4,
		.next_sequence = 65530 };
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
					next[0], codec == AV_CODEC_ID_H264 ? 0x44 : next[1], 0x44 },
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
	check_sizes(AV_CODEC_ID_H264, "H264",
		"sprop-parameter-sets=Z0LACtkEJsBEAAADAAQAAAMAyDxImSA=,aMuDyyA=",
		(const uint8_t[]){ 0x65, 0x88 }, (const uint8_t[]){ 0x41, 0x99 }, 2);
}

static void h265_round_trip(void **state)
{
	(void)state;
	check_sizes(AV_CODEC_ID_HEVC, "H265",
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
	struct rtp_packetiser s = {
		.encoding = encoding_of(AV_CODEC_ID_AAC, 0), .payload_type = 97, .channel = 2
	};
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
	struct rtp_packetiser s = { .encoding = encoding_of(AV_CODEC_ID_H264, 0),
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
	struct rtp_packetiser s = { .encoding = encoding_of(AV_CODEC_ID_H264, 0) };

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

/* What a whole unit of a sound becomes: how many packets, their times, and the bytes joined again. */
static void check_sound(
	enum AVCodecID id, int bits, unsigned channels, size_t n, size_t most, uint32_t ticks)
{
	static uint8_t unit[4000];
	struct rtp_packetiser s = { .encoding = encoding_of(id, bits), .channels = channels };

	for (size_t i = 0; i < n; i++)
		unit[i] = (uint8_t)(i * 7);
	struct rtp_packets packets = packetise(&s, unit, n, 1000);
	assert_int_equal(packets.n, (n + most - 1) / most);
	for (size_t i = 0; i < packets.n; i++) {
		const uint8_t *p = packets.block + packets.offsets[i];
		size_t bytes = n - i * most < most ? n - i * most : most;
		struct rtp_packet packet;
		const char *why;
		assert_int_equal(rtp_parse(&packet, p + 4, (size_t)p[2] << 8 | p[3], &why), 0);
		assert_int_equal(packet.timestamp, 1000 + i * ticks);
		assert_int_equal(packet.payload_bytes, bytes);
		assert_memory_equal(packet.payload, unit + i * most, bytes);
	}
	free_packets(&packets);
}

/* RFC 3551 sections 4.5.4, 4.5.11 and 4.5.14: whole samples of all channels, and their time. */
static void samples_are_cut_between_samples(void **state)
{
	(void)state;
	check_sound(AV_CODEC_ID_PCM_MULAW, 8, 1, 160, 1400, 1400);
	check_sound(AV_CODEC_ID_PCM_ALAW, 8, 1, 3000, 1400, 1400);
	check_sound(AV_CODEC_ID_PCM_S16BE, 16, 2, 4000, 1376, 344);
	check_sound(AV_CODEC_ID_ADPCM_G726LE, 4, 1, 1500, 1400, 2800);
	check_sound(AV_CODEC_ID_ADPCM_G726, 5, 1, 1500, 1400, 2240);
}

static void opus_packets_are_not_cut(void **state)
{
	static uint8_t unit[1401];
	struct rtp_packetiser s = { .encoding = encoding_of(AV_CODEC_ID_OPUS, 0), .channels = 2 };
	struct rtp_packets packets = { 0 };

	(void)state;
	check_sound(AV_CODEC_ID_OPUS, 0, 2, 1400, 1400, 0);
	assert_non_null(rtp_packetise(&s, &packets, unit, sizeof(unit), 0));
	assert_int_equal(packets.n, 0);
}

/* --- JPEG --- */

static uint8_t *make_picture(size_t scan_bytes, size_t *ret)
{
	size_t head = sizeof(picture_q50_420) - 2; /* without its EOI */
	uint8_t *picture = malloc(head + scan_bytes + 2);

	assert_non_null(picture);
	memcpy(picture, picture_q50_420, head);
	memset(picture + head, 0x5a, scan_bytes);
	memcpy(picture + head + scan_bytes, "\xff\xd9", 2);
	*ret = head + scan_bytes + 2;
	return picture;
}

/* Sizes around every edge come out of our depacketiser, whose headers differ but say the same. */
static void jpeg_round_trip(void **state)
{
	static const size_t more[] = { 0, 1100, 1160, 1161, 1162, 1163, 1164, 2600, 70000 };
	struct rtp_format format = { .encoding = "JPEG", .fmtp = "", .clock_hz = 90000 };
	struct rtp_packetiser s = { .encoding = encoding_of(AV_CODEC_ID_MJPEG, 0), .channel = 4 };
	struct output *o = calloc(1, sizeof(*o));
	const char *why;
	struct rtp_depacketiser *d = rtp_depacketiser_new(&format, &depacketiser_events, o, &why);

	(void)state;
	assert_non_null(o);
	assert_non_null(d);
	for (size_t i = 0; i < ARRAY_LENGTH(more); i++) {
		struct jpeg was, is;
		size_t n;
		uint8_t *picture = make_picture(more[i], &n);
		uint16_t sequence = s.next_sequence;
		struct rtp_packets packets = packetise(&s, picture, n, (uint32_t)i);
		assert_int_equal(push_block(d, &packets, 4, sequence), 1);
		free_packets(&packets);
		if (i > 0) {
			assert_int_equal(o->units, i + 1);
			assert_int_equal(jpeg_parse(&was, picture, n, &why), 0);
			assert_int_equal(jpeg_parse(&is, o->unit, o->bytes, &why), 0);
			assert_true(jpeg_is_like(&was, &is));
			size_t scan = n - was.scan_at;
			assert_int_equal(o->bytes - is.scan_at, scan);
			assert_memory_equal(o->unit + is.scan_at, picture + was.scan_at, scan);
		}
		free(picture);
	}
	rtp_depacketiser_free(d);
	free(o);
}

/* RFC 2435 sections 3.1 and 3.1.8, for a picture of 32x16 in 4:2:0. */
static void jpeg_has_the_standards_headers(void **state)
{
	static const uint8_t first[] = { 0, 0, 0, 0, 1, 255, 4, 2, 0, 0, 0, 128, 0x10, 0x0b };
	static const uint8_t second[] = { 0, 0x00, 0x04, 0xec, 1, 255, 4, 2 };
	struct rtp_packetiser s = { .encoding = encoding_of(AV_CODEC_ID_MJPEG, 0),
		.payload_type = 26 };
	size_t n;
	uint8_t *picture = make_picture(2000, &n);
	struct rtp_packets packets = packetise(&s, picture, n, 0);

	(void)state;
	assert_int_equal(packets.n, 2);
	assert_memory_equal(packets.block + 16, first, sizeof(first));
	assert_memory_equal(packets.block + packets.offsets[1] + 16, second, sizeof(second));
	assert_int_equal(packets.block[5], 26);
	assert_int_equal(packets.block[packets.offsets[1] + 5], 26 | 0x80);
	free_packets(&packets);
	free(picture);
}

/* What the format cannot say is refused, and no byte of it is read beyond its end. */
static void jpegs_of_another_kind_are_refused(void **state)
{
	struct rtp_packetiser s = { .encoding = encoding_of(AV_CODEC_ID_MJPEG, 0) };
	struct rtp_packets packets = { 0 };
	size_t n;
	uint8_t *picture = make_picture(0, &n);
	struct jpeg jpeg;
	const char *why;

	(void)state;
	assert_int_equal(jpeg_parse(&jpeg, picture, n, &why), 0);
	for (size_t cut = 0; cut < jpeg.scan_at + 2; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);
		assert_non_null(exact);
		memcpy(exact, picture, cut);
		assert_non_null(rtp_packetise(&s, &packets, exact, cut, 0));
		free(exact);
	}
	for (size_t at = 0; at + 4 < jpeg.scan_at; at++) {
		if (picture[at] != 0xff || (picture[at + 1] != 0xc0 && picture[at + 1] != 0xc4))
			continue;
		picture[at + 1] ^= picture[at + 1] == 0xc0 ? 2 : 0; /* progressive */
		picture[at + 9] ^= picture[at + 1] == 0xc4 ? 1 : 0; /* another code */
		assert_non_null(rtp_packetise(&s, &packets, picture, n, 0));
		picture[at + 1] = picture[at + 1] == 0xc2 ? 0xc0 : picture[at + 1];
		picture[at + 9] ^= picture[at + 1] == 0xc4 ? 1 : 0;
	}
	assert_null(rtp_packetise(&s, &packets, picture, n, 0));
	free(picture);
}

/* --- AV1 --- */

/* Sections 4.4 and 5 of the payload format: no delimiter, no sizes, one OBU in each packet. */
static void av1_obus_lose_their_sizes(void **state)
{
	static uint8_t unit[2 + 4 + 2 + 3 + 1500] = { 0x12, 0, /* temporal delimiter */
		0x0a, 2, 0xaa, 0xbb,                           /* sequence header of two bytes */
		0x7a, 0,                                       /* padding */
		0x32, 0xdc, 0x0b };                            /* a frame of 1500 */
	static const uint8_t first[] = { 0x18, 0x08, 0xaa, 0xbb };
	static const uint8_t second[] = { 0x50, 0x30, 0x77 }, third[] = { 0x90, 0x77 };
	struct rtp_packetiser s = { .encoding = encoding_of(AV_CODEC_ID_AV1, 0) };

	(void)state;
	memset(unit + 11, 0x77, 1500);
	struct rtp_packets packets = packetise(&s, unit, sizeof(unit), 0);
	assert_int_equal(packets.n, 3);
	assert_int_equal(packets.offsets[1], 16 + sizeof(first));
	assert_memory_equal(packets.block + 16, first, sizeof(first));
	assert_memory_equal(packets.block + packets.offsets[1] + 16, second, sizeof(second));
	assert_int_equal(packets.offsets[2], packets.offsets[1] + 16 + 1400);
	assert_memory_equal(packets.block + packets.offsets[2] + 16, third, sizeof(third));
	assert_int_equal(packets.bytes, packets.offsets[2] + 16 + 1 + 1500 - 1398);
	free_packets(&packets);
	for (size_t n = 1; n < sizeof(unit); n++) {
		uint8_t *exact = malloc(n);
		assert_non_null(exact);
		memcpy(exact, unit, n);
		struct rtp_packets cut = { 0 };
		const char *why = rtp_packetise(&s, &cut, exact, n, 0);
		assert_int_equal(!why, n == 2 || n == 6 || n == 8);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h264_round_trip),
		cmocka_unit_test(h265_round_trip),
		cmocka_unit_test(aac_round_trip),
		cmocka_unit_test(fragments_have_the_standards_headers),
		cmocka_unit_test(broken_lengths_end_the_unit),
		cmocka_unit_test(samples_are_cut_between_samples),
		cmocka_unit_test(opus_packets_are_not_cut),
		cmocka_unit_test(jpeg_round_trip),
		cmocka_unit_test(jpeg_has_the_standards_headers),
		cmocka_unit_test(jpegs_of_another_kind_are_refused),
		cmocka_unit_test(av1_obus_lose_their_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
