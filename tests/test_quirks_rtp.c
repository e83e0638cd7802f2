/*
 * Oddities of cameras in RTP, RTCP, H.264 and H.265; each test is named after its row of
 * docs/CAMERAS.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "protocols/rtp_depacketiser.h"
#include "protocols/rtp_reorder.h"
#include "server/media/decode_time.h"

/* Parameter sets of 64x64 (A) and 96x64 (B) pictures as libx264 and libx265 make them. */
#define SPS_A "6742c00ad90426c044000003000400000300c83c489920"
#define SPS_B "6742c00ad90626c044000003000400000300c83c489920"
#define PPS "68cb83cb20"
#define SETS "1 - " SPS_A "\n1 - " PPS "\n"
#define VPS5 "40010c01ffff01600000030090000003000003001e959809"
#define SPS5 "42010101600000030090000003000003001ea020810596566924caf0168080000003008000000c84"
#define PPS5 "4401c172b42240"
#define SETS5 "1 - " VPS5 "\n1 - " SPS5 "\n1 - " PPS5 "\n"
/* two pictures, with which it learns that markers end pictures */
#define LEARN "1 m 6588aa\n2 m 4198aa\n"
#define LEARNT "1 key sets 6588aa\n2 4198aa\n"
#define LEARN5 "1 m 2601afaa\n2 m 0201d0aa\n"
#define LEARNT5 "1 key sets 2601afaa\n2 0201d0aa\n"

/* --- what comes out, as text --- */

struct output {
	char text[8192];
	size_t n;
};

static void output_put(struct output *o, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void output_put(struct output *o, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	o->n += (size_t)vsnprintf(o->text + o->n, sizeof(o->text) - o->n, format, list);
	va_end(list);
	assert_true(o->n < sizeof(o->text));
}

/* "<timestamp> [key] [sets] <NAL unit>,<NAL unit>" */
static void on_unit(void *arg, const struct rtp_unit *unit)
{
	struct output *o = arg;
	size_t at = 0;

	output_put(o, "%u %s%s", unit->timestamp, unit->keyframe ? "key " : "",
		unit->sets_changed ? "sets " : "");
	while (at < unit->bytes) {
		size_t n = 0;

		assert_true(unit->bytes - at >= 4);
		for (unsigned i = 0; i < 4; i++)
			n = n << 8 | unit->data[at++];
		assert_true(n > 0 && n <= unit->bytes - at);
		if (at > 4)
			output_put(o, ",");
		for (size_t i = 0; i < n && i < 64; i++)
			output_put(o, "%02x", unit->data[at + i]);
		at += n;
	}
	output_put(o, "\n");
}

static void on_dropped(void *arg, const char *why)
{
	(void)why;
	output_put(arg, "dropped\n");
}

static const struct rtp_depacketiser_events events = { on_unit, on_dropped };

static struct rtp_depacketiser *start(const char *encoding, const char *fmtp, struct output *o)
{
	struct rtp_format format = { .encoding = encoding, .fmtp = fmtp, .clock_hz = 90000 };
	const char *why = NULL;
	struct rtp_depacketiser *d = rtp_depacketiser_new(&format, &events, o, &why);

	if (!d)
		fail_msg("%s", why);
	return d;
}

static size_t from_hex(uint8_t *ret, size_t size, const char *hex, size_t n)
{
	size_t used = 0;

	for (size_t i = 0; i + 1 < n;) {
		char pair[3] = { hex[i], hex[i + 1], '\0' };

		if (hex[i] == ' ') {
			i++;
			continue;
		}
		assert_true(used < size);
		ret[used++] = (uint8_t)strtoul(pair, NULL, 16);
		i += 2;
	}
	return used;
}

/* "<timestamp> <flags> <hex>" per line; flags: m marker, g gap before, - none */
static void play(struct rtp_depacketiser *d, const char *packets)
{
	while (*packets) {
		size_t line = strcspn(packets, "\n");
		char *at;
		struct rtp_packet packet = { .timestamp = (uint32_t)strtoul(packets, &at, 10) };
		size_t flags = strcspn(at + 1, " \n");
		uint8_t bytes[512], *exact;
		size_t n = from_hex(bytes, sizeof(bytes), at + 1 + flags,
			line - (size_t)(at + 1 + flags - packets));

		exact = malloc(n ? n : 1);
		assert_non_null(exact);
		memcpy(exact, bytes, n);
		packet.marker = memchr(at + 1, 'm', flags) != NULL;
		packet.payload = exact;
		packet.payload_bytes = n;
		rtp_depacketiser_push(d, &packet, memchr(at + 1, 'g', flags) != NULL);
		free(exact);
		packets += line + (packets[line] == '\n');
	}
}

static void expect_units(
	const char *encoding, const char *fmtp, const char *packets, const char *units)
{
	struct output output = { .n = 0 };
	struct rtp_depacketiser *d = start(encoding, fmtp, &output);

	play(d, packets);
	rtp_depacketiser_free(d);
	if (strcmp(output.text, units))
		fail_msg("from\n%scame\n%sand not\n%s", packets, output.text, units);
}

static void expect(const char *packets, const char *units)
{
	expect_units("H264", "", packets, units);
}

static void expect5(const char *packets, const char *units)
{
	expect_units("H265", "", packets, units);
}

/* --- order --- */

/* "17 " for each packet, '!' before it where packets are lost. */
static void on_packet(void *arg, const uint8_t *p, size_t n, bool gap)
{
	struct rtp_packet packet;
	const char *why;

	assert_int_equal(rtp_parse(&packet, p, n, &why), 0);
	output_put(arg, "%s%u ", gap ? "!" : "", packet.sequence);
}

static void arrive(struct rtp_reorder *r, unsigned type, unsigned sequence, unsigned ssrc,
	size_t bytes, int64_t us)
{
	struct rtp_packet packet = {
		.payload_type = (uint8_t)type, .sequence = (uint16_t)sequence, .ssrc = ssrc
	};
	uint8_t *p = calloc(1, RTP_HEADER_BYTES + bytes);

	assert_non_null(p);
	rtp_write_header(p, &packet);
	rtp_reorder_push(r, p, RTP_HEADER_BYTES + bytes, us);
	free(p);
}

/* Sequence numbers of one source in this order, 1 ms apart. */
static void expect_order(const unsigned *sequence, size_t n, const char *given, uint64_t lost)
{
	struct output output = { .n = 0 };
	struct rtp_reorder *r = rtp_reorder_new(RTP_REORDER_PACKETS, 90000, on_packet, &output);
	struct rtp_reorder_stats stats;

	for (size_t i = 0; i < n; i++)
		arrive(r, 96, sequence[i], 1, 1, (int64_t)i * 1000);
	rtp_reorder_expire(r, 1000000);
	rtp_reorder_get_stats(r, &stats);
	rtp_reorder_free(r);
	assert_string_equal(output.text, given);
	assert_true(stats.lost == lost);
}

#define ORDER(given, lost, ...)                         \
	expect_order((const unsigned[]){ __VA_ARGS__ }, \
		sizeof((const unsigned[]){ __VA_ARGS__ }) / sizeof(unsigned), given, lost)

static void test_p1_loss_duplicates_and_wraps(void **state)
{
	(void)state;
	ORDER("1 2 3 4 ", 0, 1, 3, 2, 2, 4, 3);
	ORDER("1 !3 ", 1, 1, 3);
	ORDER("65534 65535 0 1 ", 0, 65534, 0, 65535, 1);
	ORDER("500 501 !0 1 2 ", 0, 500, 501, 65535 + 1, 1, 2);
}

static void test_q88_reordered_and_doubled(void **state)
{
	(void)state;
	ORDER("10 11 12 13 14 ", 0, 10, 14, 13, 12, 11, 11, 14);
}

static void test_q87_new_source_or_sequence(void **state)
{
	struct output output = { .n = 0 };
	struct rtp_reorder *r = rtp_reorder_new(RTP_REORDER_PACKETS, 90000, on_packet, &output);

	(void)state;
	arrive(r, 96, 7, 1, 1, 0);
	arrive(r, 96, 9000, 2, 1, 0); /* one of another source is not believed */
	arrive(r, 96, 8, 1, 1, 0);
	arrive(r, 96, 9000, 2, 1, 0);
	arrive(r, 96, 9001, 2, 1, 0); /* two are, and the first is not lost */
	arrive(r, 96, 0, 2, 1, 0);
	arrive(r, 96, 1, 2, 1, 0); /* a restart at 0 */
	rtp_reorder_free(r);
	assert_string_equal(output.text, "7 8 !9000 9001 !0 1 ");
}

static void test_p2_packets_of_64_kib(void **state)
{
	struct output output = { .n = 0 };
	struct rtp_reorder *r = rtp_reorder_new(RTP_REORDER_PACKETS, 90000, on_packet, &output);
	struct rtp_depacketiser *d = start("H264", "", &output);
	struct rtp_packet packet = { .timestamp = 2, .marker = 1, .payload_bytes = 60000 };
	uint8_t *payload = calloc(1, packet.payload_bytes);

	(void)state;
	arrive(r, 96, 1, 1, 10000, 0);
	arrive(r, 96, 3, 1, RTP_PACKET_BYTES - RTP_HEADER_BYTES, 0);
	arrive(r, 96, 2, 1, 10000, 0);
	rtp_reorder_free(r);
	assert_string_equal(output.text, "1 2 3 ");
	output.n = 0;
	assert_non_null(payload);
	play(d, SETS);
	memset(payload, 0xaa, packet.payload_bytes);
	payload[0] = 0x65;
	payload[1] = 0x88;
	packet.payload = payload;
	rtp_depacketiser_push(d, &packet, false);
	play(d, "3 m 4198\n");
	rtp_depacketiser_free(d);
	free(payload);
	assert_memory_equal(output.text, "2 key sets 6588aaaa", 19);
}

static void test_q85_foreign_payload_types(void **state)
{
	struct output output = { .n = 0 };
	struct rtp_reorder *r = rtp_reorder_new(RTP_REORDER_PACKETS, 90000, on_packet, &output);
	struct rtp_reorder_stats stats;

	(void)state;
	rtp_reorder_set_types(r, 96, 97);
	for (unsigned i = 0; i < 4; i++) {
		arrive(r, 50, 1 + i, 1, 1, 0); /* the same numbers, and first */
		arrive(r, i == 2 ? 97 : 96, 1 + i, 1, 1, 0);
		arrive(r, 50, 1 + i, 9, 1, 0);
	}
	rtp_reorder_get_stats(r, &stats);
	rtp_reorder_free(r);
	assert_string_equal(output.text, "1 2 3 4 ");
	assert_int_equal(stats.foreign, 8);
	assert_int_equal(stats.duplicates + stats.lost, 0);
}

/* --- the header --- */

static void expect_payload(const char *hex, const char *payload)
{
	uint8_t bytes[128], wanted[64];
	struct rtp_packet packet;
	const char *why = NULL;
	size_t n = from_hex(bytes, sizeof(bytes), hex, strlen(hex));
	int error = rtp_parse(&packet, bytes, n, &why);

	if (!payload) {
		assert_true(error < 0);
		assert_non_null(why);
		return;
	}
	if (error)
		fail_msg("%s: %s", hex, why);
	n = from_hex(wanted, sizeof(wanted), payload, strlen(payload));
	assert_int_equal(packet.payload_bytes, n);
	assert_memory_equal(packet.payload, wanted, n);
}

#define HEAD "60 0001 00000001 00000001 "

static void test_q86_everything_around_a_payload(void **state)
{
	(void)state;
	expect_payload("80" HEAD "6588", "6588");
	expect_payload("82" HEAD "11111111 22222222 6588", "6588");
	expect_payload("90" HEAD "bede 0001 00000000 6588", "6588");
	expect_payload("90" HEAD "bede 0000 6588", "6588");
	expect_payload("a0" HEAD "6588 0002", "6588");
	expect_payload("b1" HEAD "11111111 abac 0001 00000000 6588 000003", "6588");
	expect_payload("90" HEAD "bede ffff 00000000 6588", NULL);
	expect_payload("8f" HEAD "11111111", NULL);
	expect_payload("40" HEAD "6588", NULL);
	expect(SETS LEARN "3 m 78 0002 4199 0000 0000 0000\n4 m 78 0000\n5 m 4199\n",
		LEARNT "3 4199\n5 4199\n"); /* STAP-A with zeros as padding */
	expect(SETS LEARN "3 m 78 0002 4199 0000 ffff ff\n", LEARNT "3 4199\n");
}

static void test_p3_padding_extensions_and_markers(void **state)
{
	(void)state;
	expect_payload("a0" HEAD "0002", "");
	expect_payload("80" HEAD, "");
	expect(SETS LEARN "3 m \n3 m 4199\n4 - 4199\n5 m 4199\n",
		LEARNT "3 4199\n4 4199\n5 4199\n");
	expect("1 m " SPS_A "\n1 m " PPS "\n1 m 060501aa80\n" LEARN "3 m 060501aa80\n4 m 4199\n",
		"1 key sets 060501aa80,6588aa\n2 4198aa\n4 060501aa80,4199\n");
	/* one on each slice */
	expect(SETS "1 m 6588\n1 m 6544\n2 m 4199\n2 m 4144\n3 m 4199\n",
		"1 key sets 6588,6544\n2 4199,4144\n");
}

static void test_q83_tiny_packets(void **state)
{
	static const char *const tiny[] = { "", "80", "8060", "80 60 0001 00000001 000000",
		"24 00" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(tiny); i++)
		expect_payload(tiny[i], NULL);
}

/* --- RTCP --- */

#define SR_HEX "80c80006 00000001 e8b2345680000000 00015f90 0000000a 00000400 "

static void expect_rtcp(const char *hex, bool report, bool bye)
{
	uint8_t bytes[256], *exact;
	size_t n = from_hex(bytes, sizeof(bytes), hex, strlen(hex));
	struct rtcp_compound compound = { 0 };
	const char *why = NULL;

	exact = malloc(n ? n : 1);
	assert_non_null(exact);
	memcpy(exact, bytes, n);
	if (rtcp_parse(&compound, exact, n, &why) < 0)
		assert_non_null(why);
	free(exact);
	assert_int_equal(compound.has_sender_report, report);
	assert_int_equal(compound.has_bye, bye);
	if (report)
		assert_int_equal(compound.sender.timestamp, 90000);
}

static void test_q111_malformed_rtcp(void **state)
{
	(void)state;
	expect_rtcp(SR_HEX, true, false);
	/* SDES without a terminator, of which the length is one word short: BYE is not found */
	expect_rtcp(SR_HEX "81ca0002 00000001 01046e76 72640000 81cb0001 00000001", true, false);
	/* SDES beyond the end */
	expect_rtcp(SR_HEX "81ca00ff 00000001 0104", true, false);
	/* a report that promises blocks which are not there */
	expect_rtcp("81c8000c", false, false);
	expect_rtcp("81c8000c 00000001 e8b2345680000000 00015f90 0000000a 00000400", true, false);
	/* one that is too short for its content, then a right one */
	expect_rtcp("80c80001 00000001 " SR_HEX, true, false);
	/* unknown types and sources, then BYE of nobody */
	expect_rtcp("80d00001 00000009 80fa0000 " SR_HEX "80cb0000", true, true);
	/* garbage behind */
	expect_rtcp(SR_HEX "deadbeef", true, false);
	expect_rtcp("", false, false);
	expect_rtcp("00000000", false, false);
}

static void test_q82_rtcp_among_rtp(void **state)
{
	static const struct {
		const char *hex;
		bool rtcp;
	} cases[] = {
		{SR_HEX,			      true },
		{ "81c90001 00000001",                true },
		{ "81cb0001 00000001",                true },
		{ "8060 0001 00000001 00000001 6588", false},
		{ "80e0 0001 00000001 00000001 6588", false},
		{ "8000 0001 00000001 00000001 ff",   false},
		{ "00c8 0006",                        false},
		{ "80c8",			     false},
		{ "",				 false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint8_t bytes[64];
		size_t n = from_hex(bytes, sizeof(bytes), cases[i].hex, strlen(cases[i].hex));

		assert_int_equal(rtcp_is(bytes, n), cases[i].rtcp);
	}
}

/* --- H.264 --- */

static void test_q89_no_marker_at_all(void **state)
{
	(void)state;
	expect(SETS "1 - 6588aa\n2 - 4198aa\n3 - 4199\n4 - 4199\n", LEARNT "3 4199\n");
}

static void test_q90_markers_on_sets_and_sei(void **state)
{
	(void)state;
	expect("1 m " SPS_A "\n1 m " PPS "\n1 m 060501aa80\n1 m 6588aa\n2 m 4198aa\n"
	       "3 m " SPS_A "\n3 m " PPS "\n3 m 6588\n4 m 4199\n",
		"1 key sets 060501aa80,6588aa\n2 4198aa\n3 key 6588\n4 4199\n");
}

static void test_q91_sets_with_another_timestamp(void **state)
{
	(void)state;
	expect("100 m " SPS_A "\n101 m " PPS "\n102 m 6588aa\n103 m 4198aa\n104 - 4199\n",
		"102 key sets 6588aa\n103 4198aa\n");
	expect(SETS LEARN "7 - " SPS_B "\n8 - " PPS "\n3 m 6588\n4 m 4199\n",
		LEARNT "3 key sets 6588\n4 4199\n");
}

static void test_q92_a_unit_without_end(void **state)
{
	enum {
		PIECE = 60000
	};
	struct output output = { .n = 0 };
	struct rtp_depacketiser *d = start("H264", "", &output);
	uint8_t *payload = malloc(PIECE);

	(void)state;
	assert_non_null(payload);
	memset(payload, 0xaa, PIECE);
	payload[0] = 0x41;
	payload[1] = 0x48; /* slices that are never the first of a picture */
	play(d, SETS "1 - 6588\n");
	for (size_t bytes = 0; bytes < 3 * (size_t)RTP_UNIT_BYTES; bytes += PIECE) {
		struct rtp_packet packet = {
			.timestamp = 1, .payload = payload, .payload_bytes = PIECE
		};

		rtp_depacketiser_push(d, &packet, false);
	}
	play(d, "2 m 6588\n3 m 4198\n");
	rtp_depacketiser_free(d);
	free(payload);
	assert_string_equal(output.text, "dropped\n2 key sets 6588\n3 4198\n");
}

static void test_q93_glued_by_start_codes(void **state)
{
	(void)state;
	/* all in one packet, with and without a start code in front */
	expect("1 m " SPS_A "00000001" PPS "000001 6588aa\n2 m 4198aa\n3 m 4199\n",
		LEARNT "3 4199\n");
	expect("1 m 00000001" SPS_A "00000001" PPS "00000001 6588aa\n2 m 4198aa\n3 m 4199\n",
		LEARNT "3 4199\n");
	/* behind an AUD, and later slices too */
	expect("1 m 09f0 000001" SPS_A "000001" PPS
	       "000001 6588aa\n2 m 4198aa\n3 m 4199 000001 4144\n",
		LEARNT "3 4199,4144\n");
	/* in fragments: SPS, PPS and IDR as one "SPS" */
	expect("1 - 7c87 42c00ad90426c044000003000400000300c8\n1 m 7c47 3c48992000000001" PPS
	       "00000001 6588aa\n2 m 4198aa\n3 - 09f0\n",
		LEARNT);
	expect5("1 m " VPS5 "00000001" SPS5 "00000001" PPS5
		"00000001 2601afaa\n2 m 0201d0aa\n3 m 0201d0\n",
		LEARNT5 "3 0201d0\n");
}

static void test_q94_fragment_with_start_and_end(void **state)
{
	(void)state;
	expect(SETS LEARN "3 m 5cc1 99aa\n", LEARNT "3 4199aa\n");
	expect5(SETS5 LEARN5 "3 m 6201c1 d0aa\n", LEARNT5 "3 0201d0aa\n");
}

static void test_q95_fragments_of_changing_type(void **state)
{
	(void)state;
	expect(SETS LEARN "3 - 5c81 99aa\n3 - 5c05 bb\n3 m 5c67 ccdd\n", LEARNT "3 4199aabbccdd\n");
	expect(SETS LEARN "3 - 5ca1 99aa\n3 m 5c61 ccdd\n",
		LEARNT "3 4199aaccdd\n"); /* reserved bit */
	expect5(SETS5 LEARN5 "3 - 620181 d0aa\n3 m 620153 bb\n", LEARNT5 "3 0201d0aabb\n");
}

static void test_q96_empty_fragments(void **state)
{
	(void)state;
	expect(SETS LEARN
		"3 - 5c81\n3 - 5c01\n3 - 5c01 99aa\n3 - 5c01\n3 m 5c41\n4 m 5c\n5 m 4199\n",
		LEARNT "3 4199aa\n5 4199\n");
	expect5(SETS5 LEARN5 "3 - 620181\n3 - 620101 d0aa\n3 m 620141\n4 m 6201\n5 m 0201d0\n",
		LEARNT5 "3 0201d0aa\n5 0201d0\n");
}

static void test_q97_lost_fragments(void **state)
{
	(void)state;
	/* the middle, the start, the end: never half a picture, then nothing up to the next keyframe */
	expect(SETS LEARN "3 - 5c81 99aa\n3 mg 5c41 cc\n4 m 4199\n5 m 6588\n6 m 4199\n",
		LEARNT "dropped\ndropped\n5 key 6588\n6 4199\n");
	expect(SETS LEARN "3 mg 5c41 cc\n4 m 4199\n5 m 6588\n",
		LEARNT "dropped\ndropped\n5 key 6588\n");
	expect(SETS LEARN "3 - 5c81 99aa\n4 mg 4199\n5 m 6588\n",
		LEARNT "dropped\ndropped\n5 key 6588\n");
	/* whole pictures */
	expect(SETS LEARN "4 mg 4199\n5 m 4199\n6 m 6588\n",
		LEARNT "dropped\ndropped\n6 key 6588\n");
	/* start without end, end without start, though nothing was lost */
	expect(SETS LEARN "3 - 5c81 99aa\n4 m 6588\n", LEARNT "dropped\n4 key 6588\n");
	expect(SETS LEARN "3 m 5c41 cc\n4 m 6588\n", LEARNT "dropped\n4 key 6588\n");
}

static void test_q101_unknown_nal_types(void **state)
{
	(void)state;
	expect(SETS LEARN
		"3 - 5eaabb\n3 - 5faabb\n3 - 40aabb\n3 - 4eaabb\n3 - 54aabb\n3 - 57aa\n3 m 4199\n",
		LEARNT "3 4199\n");
	/* in an aggregation packet too */
	expect(SETS LEARN "3 m 78 0002 5eaa 0002 4199 0002 5caa\n", LEARNT "3 4199\n");
	expect5(SETS5 LEARN5 "3 - 5201aabb\n3 - 6001\n3 - 7e01aabb\n3 - 2c01afaa\n3 m 0201d0\n",
		LEARNT5 "3 0201d0\n");
}

static void test_q102_delimiter_before_the_sets(void **state)
{
	(void)state;
	expect("1 - 09f0\n1 - " SPS_A "\n1 - " PPS
	       "\n1 - 060501aa80\n1 m 6588aa\n2 - 09f0\n2 m 4198aa\n"
	       "3 - 09f0\n3 - 060501aa80\n3 - " SPS_A "\n3 - " PPS "\n3 m 6588\n4 m 4199\n",
		"1 key sets 060501aa80,6588aa\n2 4198aa\n3 key 060501aa80,6588\n4 4199\n");
	/* a keyframe without sets before it */
	expect(SETS LEARN "3 m 6588\n4 m 4199\n", LEARNT "3 key 6588\n4 4199\n");
}

static void test_q103_sets_change(void **state)
{
	(void)state;
	expect(SETS LEARN "3 - " SPS_B "\n3 - " PPS "\n3 m 6588\n4 m 4199\n",
		LEARNT "3 key sets 6588\n4 4199\n");
	expect5(SETS5 LEARN5 "3 - " PPS5 "80\n3 m 2601af\n", LEARNT5 "3 key sets 2601af\n");
}

static void test_p7_sets_resent_or_changed(void **state)
{
	(void)state;
	expect(SETS LEARN "3 - " SPS_A "\n3 - " PPS "\n3 m 6588\n4 - " SPS_A "00\n4 m 6588\n",
		LEARNT "3 key 6588\n4 key 6588\n");
	test_q103_sets_change(state);
}

static void test_p5_h264_in_every_shape(void **state)
{
	(void)state;
	/* several slices, SEI behind them, filler, zeros behind the NAL unit */
	expect(SETS LEARN "3 - 4199\n3 - 4144\n3 - 060501aa80\n3 m 0cffff80\n4 m 4199000000\n",
		LEARNT "3 4199,4144,060501aa80\n4 4199\n");
	/* an aggregate of all that makes a keyframe */
	expect("1 m 78 0002 09f0 0017" SPS_A "0005" PPS "0003 6588aa\n2 m 4198aa\n3 - 09f0\n",
		LEARNT);
	/* an aggregate that is cut */
	expect(SETS LEARN "3 m 78 0002 4199 0009 41\n4 m 6588\n", LEARNT "dropped\n4 key 6588\n");
	test_q93_glued_by_start_codes(state);
	test_q94_fragment_with_start_and_end(state);
	test_q97_lost_fragments(state);
	test_q101_unknown_nal_types(state);
}

static void test_p6_recovery_points_are_keyframes(void **state)
{
	(void)state;
	expect(SETS
		"1 m 4198\n2 - 0606018480\n2 m 4198aa\n3 m 4199\n4 - 0606018480\n4 m 4199\n5 m 4199\n",
		"2 key sets 0606018480,4198aa\n3 4199\n4 key 0606018480,4199\n5 4199\n");
}

/* --- H.265 --- */

static void test_q98_trail_n_is_a_picture(void **state)
{
	(void)state;
	expect5(SETS5 LEARN5 "3 m 0001d0aa\n4 m 0001d0bb\n", LEARNT5 "3 0001d0aa\n4 0001d0bb\n");
}

#define DON "sprop-max-don-diff=1"

static void test_q100_aggregates_with_decoding_order(void **state)
{
	(void)state;
	expect5(SETS5 LEARN5 "3 m 6001 0003 0201d0\n", LEARNT5 "3 0201d0\n");
	expect_units("H265", DON,
		"1 m 6001 0001 0018" VPS5 "00 0028" SPS5 "00 0007" PPS5 "00 0004 2601afaa\n"
		"2 m 0201 0002 d0aa\n3 m 6001 0003 0003 0201d0 00 0003 020150\n",
		LEARNT5 "3 0201d0,020150\n");
	/* PACI around a single NAL unit: A 0, cType 1, PHSsize 0 */
	expect5(SETS5 LEARN5 "3 m 6401 0200 d0aa\n", LEARNT5 "3 0201d0aa\n");
}

static void test_p8_h265_in_every_shape(void **state)
{
	(void)state;
	expect5(SETS5 LEARN5 "3 - 620181 d0aa\n3 - 620101 bb\n3 m 620141 cc\n",
		LEARNT5 "3 0201d0aabbcc\n");
	expect5(SETS5 LEARN5 "3 - 620181 d0aa\n3 mg 620141 cc\n4 m 0201d0\n5 m 2601af\n",
		LEARNT5 "dropped\ndropped\n5 key 2601af\n");
	expect5(SETS5 LEARN5
		"3 - 4601 50\n3 - 4e0101aa80\n3 - 0201d0\n3 - 020150\n3 m 5001 01aa80\n",
		LEARNT5 "3 4e0101aa80,0201d0,020150,500101aa80\n");
	test_q94_fragment_with_start_and_end(state);
	test_q100_aggregates_with_decoding_order(state);
}

/* --- sequence parameter sets of H.265, bit by bit --- */

struct bit_writer {
	uint8_t p[256];
	size_t bits;
};

static void put(struct bit_writer *w, unsigned n, uint64_t value)
{
	assert_true(w->bits + n <= sizeof(w->p) * 8);
	while (n-- > 0) {
		w->p[w->bits / 8] |= (uint8_t)((value >> n & 1) << (7 - w->bits % 8));
		w->bits++;
	}
}

static void put_ue(struct bit_writer *w, unsigned value)
{
	unsigned bits = 0;

	while ((value + 1) >> bits > 1)
		bits++;
	put(w, bits, 0);
	put(w, bits + 1, value + 1);
}

/* Up to the block sizes (ITU-T H.265 section 7.3.2.2.1): 1920x1080 cut out of 1920x1088. */
static void put_sps_head(struct bit_writer *w, unsigned sub_layers)
{
	put(w, 16, 0x4201);
	put(w, 4, 0);
	put(w, 3, sub_layers);
	put(w, 1, 1);
	put(w, 8, 1);
	put(w, 32, 0x60000000);
	put(w, 48, 0x900000000001); /* emulation prevention is not wanted here */
	put(w, 8, 93);
	for (unsigned i = 0; i < sub_layers; i++)
		put(w, 2, 3); /* each with profile and level */
	if (sub_layers)
		put(w, 2 * (8 - sub_layers), 0);
	for (unsigned i = 0; i < sub_layers; i++) {
		put(w, 32, 0xffffffff);
		put(w, 32, 0xffffffff);
		put(w, 32, 0xffffffff);
	}
	put_ue(w, 0);
	put_ue(w, 1);
	put_ue(w, 1920);
	put_ue(w, 1088);
	put(w, 1, 1);
	put_ue(w, 0);
	put_ue(w, 0);
	put_ue(w, 0);
	put_ue(w, 4);
	put_ue(w, 0);
	put_ue(w, 0);
	put_ue(w, 4);
	put(w, 1, 1);
	for (unsigned i = 0; i <= sub_layers; i++) {
		put_ue(w, 4);
		put_ue(w, 2);
		put_ue(w, 0);
	}
	for (unsigned i = 0; i < 6; i++)
		put_ue(w, 1);
}

/* Scaling lists, reference sets predicted from each other, a VUI with 25 pictures a second. */
static void put_sps_rest(struct bit_writer *w)
{
	put(w, 2, 3);
	for (unsigned list = 0; list < 6 * 3 + 2; list++) { /* all predicted */
		put(w, 1, 0);
		put_ue(w, 0);
	}
	put(w, 3, 0);
	put_ue(w, 2);
	put_ue(w, 1); /* explicit: one picture before */
	put_ue(w, 0);
	put_ue(w, 0);
	put(w, 1, 1);
	put(w, 1, 1); /* predicted from it */
	put(w, 1, 1);
	put_ue(w, 0);
	put(w, 2, 3);
	put(w, 1, 0); /* no long-term pictures */
	put(w, 2, 0);
	put(w, 1, 1);
	put(w, 4, 0);
	put(w, 3, 0);
	put(w, 1, 0);
	put(w, 1, 1);
	put(w, 32, 1);
	put(w, 32, 25);
	put(w, 8, 0x40);
}

/* With the emulation prevention bytes of a NAL unit. */
static size_t escaped(uint8_t *ret, const struct bit_writer *w)
{
	size_t n = 0, zeros = 0;

	for (size_t i = 0; i < (w->bits + 7) / 8; i++) {
		if (zeros >= 2 && w->p[i] <= 3) {
			ret[n++] = 3;
			zeros = 0;
		}
		zeros = w->p[i] ? 0 : zeros + 1;
		ret[n++] = w->p[i];
	}
	return n;
}

static void test_q99_odd_sequence_parameter_sets(void **state)
{
	(void)state;
	for (unsigned sub_layers = 0; sub_layers <= 6; sub_layers++) {
		for (int whole = 0; whole < 2; whole++) {
			struct bit_writer w = { .bits = 0 };
			struct h265_sps sps;
			uint8_t nal[512];
			const char *why = NULL;

			put_sps_head(&w, sub_layers);
			if (whole)
				put_sps_rest(&w);
			if (h265_sps_parse(&sps, nal, escaped(nal, &w), &why) < 0)
				fail_msg("%u: %s", sub_layers, why);
			assert_int_equal(sps.width, 1920);
			assert_int_equal(sps.height, 1080);
			assert_int_equal(sps.reorder_frames, 2);
			assert_int_equal(sps.temporal_layers, sub_layers + 1);
			assert_int_equal(sps.frame_rate_num, whole ? 25 : 0);
		}
	}
}

/* --- decode times --- */

/* Presentation times in decoding order; decode times rise, and stay below where that can be. */
static void expect_rising(unsigned depth, const int64_t *pts, size_t n, bool below)
{
	struct decode_time d;
	int64_t last = INT64_MIN;

	decode_time_init(&d, depth, 3600);
	for (size_t i = 0; i < n; i++) {
		int64_t dts = decode_time_of(&d, pts[i]);

		assert_true(dts > last);
		if (below)
			assert_true(dts <= pts[i]);
		last = dts;
	}
}

static void test_p9_decode_order_is_not_presentation_order(void **state)
{
	static const int64_t pts[] = { 7200, 21600, 14400, 10800, 18000, 36000, 28800, 25200,
		32400 };

	(void)state;
	expect_rising(2, pts, ARRAY_LENGTH(pts), true);
}

static void test_q105_more_reordering_than_promised(void **state)
{
	static const int64_t pts[] = { 0, 21600, 3600, 7200, 10800, 14400, 18000, 43200, 25200 };

	(void)state;
	expect_rising(0, pts, ARRAY_LENGTH(pts), false);
	expect_rising(1, pts, ARRAY_LENGTH(pts), false);
	expect_rising(DECODE_TIME_DEPTH, pts, ARRAY_LENGTH(pts), true);
}

static void test_q106_equal_and_falling_times(void **state)
{
	static const int64_t pts[] = { 100, 100, 100, 99, 5, 101, 101 };

	(void)state;
	expect_rising(0, pts, ARRAY_LENGTH(pts), false);
	expect_rising(2, pts, ARRAY_LENGTH(pts), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_p1_loss_duplicates_and_wraps),
		cmocka_unit_test(test_q88_reordered_and_doubled),
		cmocka_unit_test(test_q87_new_source_or_sequence),
		cmocka_unit_test(test_p2_packets_of_64_kib),
		cmocka_unit_test(test_q85_foreign_payload_types),
		cmocka_unit_test(test_q86_everything_around_a_payload),
		cmocka_unit_test(test_p3_padding_extensions_and_markers),
		cmocka_unit_test(test_q83_tiny_packets),
		cmocka_unit_test(test_q111_malformed_rtcp),
		cmocka_unit_test(test_q82_rtcp_among_rtp),
		cmocka_unit_test(test_q89_no_marker_at_all),
		cmocka_unit_test(test_q90_markers_on_sets_and_sei),
		cmocka_unit_test(test_q91_sets_with_another_timestamp),
		cmocka_unit_test(test_q92_a_unit_without_end),
		cmocka_unit_test(test_q93_glued_by_start_codes),
		cmocka_unit_test(test_q94_fragment_with_start_and_end),
		cmocka_unit_test(test_q95_fragments_of_changing_type),
		cmocka_unit_test(test_q96_empty_fragments),
		cmocka_unit_test(test_q97_lost_fragments),
		cmocka_unit_test(test_q101_unknown_nal_types),
		cmocka_unit_test(test_q102_delimiter_before_the_sets),
		cmocka_unit_test(test_q103_sets_change),
		cmocka_unit_test(test_p7_sets_resent_or_changed),
		cmocka_unit_test(test_p5_h264_in_every_shape),
		cmocka_unit_test(test_p6_recovery_points_are_keyframes),
		cmocka_unit_test(test_q98_trail_n_is_a_picture),
		cmocka_unit_test(test_q100_aggregates_with_decoding_order),
		cmocka_unit_test(test_p8_h265_in_every_shape),
		cmocka_unit_test(test_q99_odd_sequence_parameter_sets),
		cmocka_unit_test(test_p9_decode_order_is_not_presentation_order),
		cmocka_unit_test(test_q105_more_reordering_than_promised),
		cmocka_unit_test(test_q106_equal_and_falling_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
