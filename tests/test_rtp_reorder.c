/* The order of RTP packets: scripts of arrivals, and what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/rtp.h"
#include "protocols/rtp_reorder.h"

struct output {
	char text[8192];
	size_t n;
};

/* Writes "17 " per packet, with '!' before it where packets are lost, and the SSRC if it is not 1. */
static void on_packet(void *arg, const uint8_t *p, size_t n, bool gap)
{
	struct output *o = arg;
	struct rtp_packet packet;
	const char *why;

	assert_int_equal(rtp_parse(&packet, p, n, &why), 0);
	assert_int_equal(packet.payload_bytes, 1 + packet.sequence % 50);
	o->n += (size_t)snprintf(
		o->text + o->n, sizeof(o->text) - o->n, "%s%u", gap ? "!" : "", packet.sequence);
	if (packet.ssrc != 1)
		o->n += (size_t)snprintf(
			o->text + o->n, sizeof(o->text) - o->n, "@%u", packet.ssrc);
	o->n += (size_t)snprintf(o->text + o->n, sizeof(o->text) - o->n, " ");
	assert_true(o->n < sizeof(o->text));
}

static void push(struct rtp_reorder *r, unsigned sequence, unsigned ssrc, int64_t now_us)
{
	struct rtp_packet packet = { .sequence = (uint16_t)sequence, .ssrc = ssrc };
	size_t n = RTP_HEADER_BYTES + 1 + packet.sequence % 50;
	uint8_t *bytes = calloc(1, n);

	assert_non_null(bytes);
	rtp_write_header(bytes, &packet);
	rtp_reorder_push(r, bytes, n, now_us);
	free(bytes);
}

/*
 * Input: sequence numbers, "7@2" with another SSRC, "+50" lets 50 ms pass and expires, "a..b" is a
 * run.
 */
static void play(struct rtp_reorder *r, const char *script)
{
	int64_t now_us = 1000000;

	while (*script) {
		char *end;
		if (*script == ' ') {
			script++;
			continue;
		}
		if (*script == '+') {
			now_us += strtol(script + 1, &end, 10) * 1000;
			rtp_reorder_expire(r, now_us);
			script = end;
			continue;
		}
		unsigned first = (unsigned)strtoul(script, &end, 10), last = first, ssrc = 1;
		if (strncmp(end, "..", 2) == 0)
			last = (unsigned)strtoul(end + 2, &end, 10);
		if (*end == '@')
			ssrc = (unsigned)strtoul(end + 1, &end, 10);
		for (unsigned i = first; i <= last; i++)
			push(r, i, ssrc, now_us);
		script = end;
	}
}

// clang-format off
static const struct {
	const char *rule;
	unsigned window;
	const char *arrivals, *given;
	unsigned lost, duplicates, waiting;
} cases[] = {
	{ "in order", 64, "1 2 3", "1 2 3 ", 0, 0, 0 },
	{ "swapped", 64, "1 3 2 4", "1 2 3 4 ", 0, 0, 0 },
	{ "far ahead waits", 64, "1 3 4 5", "1 ", 0, 0, 1 },
	{ "waits 199 ms", 64, "1 3 +199", "1 ", 0, 0, 1 },
	{ "gives up after 200 ms", 64, "1 3 4 6 +200", "1 !3 4 !6 ", 2, 0, 0 },
	{ "a later hole waits its own time", 64, "1 3 +150 5 +50", "1 !3 ", 1, 0, 1 },
	{ "a push expires too", 64, "1 3 +199 5 +1 4", "1 !3 4 5 ", 1, 0, 0 },
	{ "doubled", 64, "1 2 2 4 4 3 3", "1 2 3 4 ", 0, 3, 0 },
	{ "late after giving up", 64, "1 3 +200 2 4", "1 !3 4 ", 1, 1, 0 },
	{ "the window is full", 4, "1 3 4 5 6 7", "1 !3 4 5 6 7 ", 1, 0, 0 },
	{ "the window moves", 4, "1 10 3 7 8 9 11", "1 !7 8 9 10 11 ", 5, 1, 0 },
	{ "wraps", 64, "65534 0 65535 1", "65534 65535 0 1 ", 0, 0, 0 },
	{ "wraps with a loss", 64, "65534 0 1 +200", "65534 !0 1 ", 1, 0, 0 },
	{ "over TCP nothing waits", 0, "1 3 4", "1 !3 4 ", 1, 0, 0 },
	{ "over TCP a double goes", 0, "1 2 2 3", "1 2 3 ", 0, 1, 0 },
	{ "a restart is believed at the second packet", 64, "5000 5001 7 8 9",
		"5000 5001 !7 8 9 ",
		0,
		0,
		0 },
	{ "one stray packet is not", 64, "5000 7 5001 5002", "5000 5001 5002 ", 0, 0, 0 },
	{ "two strays that do not follow each other are not", 64, "5000 7 9 5001",
		"5000 5001 ",
		0,
		0,
		0 },
	{ "another SSRC", 64, "5 6 7@2 8@2 9@2", "5 6 !7@2 8@2 9@2 ", 0, 0, 0 },
	{ "a stray SSRC", 64, "5 6 7@2 7 8", "5 6 7 8 ", 0, 0, 0 },
	{ "what waits is given before a restart", 64, "5 7 9000@2 9001@2",
		"5 !7 !9000@2 9001@2 ",
		1,
		0,
		0 },
	{ "a leap of thousands", 0, "1 3003 3004", "1 !3003 3004 ", 0, 0, 0 },
	{ "a loss of hundreds", 64, "1 502 +200", "1 !502 ", 500, 0, 0 },
};
// clang-format on

static void packets_come_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct output output = { .n = 0 };
		struct rtp_reorder *r = rtp_reorder_new(cases[i].window, 90000, on_packet, &output);
		struct rtp_reorder_stats stats;

		play(r, cases[i].arrivals);
		if (strcmp(output.text, cases[i].given) != 0)
			fail_msg("%s: given \"%s\" and not \"%s\"", cases[i].rule, output.text,
				cases[i].given);
		rtp_reorder_get_stats(r, &stats);
		if (stats.lost != cases[i].lost || stats.duplicates != cases[i].duplicates)
			fail_msg("%s: %u lost, %u doubled", cases[i].rule, (unsigned)stats.lost,
				(unsigned)stats.duplicates);
		assert_int_equal(rtp_reorder_is_waiting(r), cases[i].waiting);
		rtp_reorder_free(r);
	}
}

/* Any permutation within the window comes out in order without a loss. */
static void any_shuffle_within_the_window_is_undone(void **state)
{
	enum {
		PACKETS = 4000,
		BLOCK = 48
	};
	static unsigned order[PACKETS];
	uint32_t random = 1;
	struct output output = { .n = 0 };

	(void)state;
	struct rtp_reorder *r = rtp_reorder_new(64, 90000, on_packet, &output);
	for (unsigned i = 0; i < PACKETS; i++)
		order[i] = i;
	for (unsigned i = 1; i < PACKETS; i++) {
		unsigned block = i < BLOCK ? 1 : i - i % BLOCK;
		random = random * 1664525 + 1013904223;
		unsigned j = block + (random >> 8) % (i - block + 1);
		unsigned swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
	unsigned due = 65000;
	for (unsigned i = 0; i < PACKETS; i++) {
		output.n = 0;
		output.text[0] = '\0';
		push(r, 65000 + order[i], 1, 1000000 + i);
		for (char *p = output.text; *p; p = strchr(p, ' ') + 1)
			assert_int_equal(strtoul(p, NULL, 10), due++ & 0xffff);
	}
	assert_int_equal(due, 65000 + PACKETS);
	struct rtp_reorder_stats stats;
	rtp_reorder_get_stats(r, &stats);
	assert_int_equal(stats.received, PACKETS);
	assert_int_equal(stats.lost, 0);
	assert_int_equal(stats.highest_extended, 65000 + PACKETS - 1);
	rtp_reorder_free(r);
}

/* A keyframe's packets come at once; its first one, 20 ms late, comes behind them all. */
static void a_late_packet_behind_a_burst_is_no_loss(void **state)
{
	enum {
		BURST = 1000
	};
	struct output output = { .n = 0 };
	struct rtp_reorder_stats stats;
	char *at = output.text;

	(void)state;
	struct rtp_reorder *r = rtp_reorder_new(RTP_REORDER_PACKETS, 90000, on_packet, &output);
	push(r, 1, 1, 1000000);
	for (unsigned i = 3; i <= BURST; i++)
		push(r, i, 1, 1000000);
	assert_string_equal(output.text, "1 ");
	push(r, 2, 1, 1020000);
	for (unsigned i = 1; i <= BURST; i++)
		assert_int_equal(strtoul(at, &at, 10), i);
	rtp_reorder_get_stats(r, &stats);
	assert_int_equal(stats.lost, 0);
	assert_int_equal(stats.duplicates, 0);
	assert_false(rtp_reorder_is_waiting(r));
	rtp_reorder_free(r);
}

// clang-format off
static const struct {
	const char *rule;
	unsigned window, expected;
	const char *arrivals, *given;
	unsigned lost, duplicates;
} begins[] = {
	{ "it comes first", 64, 7, "7 8", "7 8 ", 0, 0 },
	{ "it comes later", 64, 7, "9 8 7 10", "7 8 9 10 ", 0, 0 },
	{ "it comes later, over the wrap", 64, 65535, "1 0 65535 2", "65535 0 1 2 ", 0, 0 },
	{ "it never comes, which is no loss", 64, 7, "9 +200 10 12 +200", "9 10 !12 ", 1, 0 },
	{ "the window ends the wait", 4, 7, "9 12 13 14 +200", "9 !12 13 14 ", 2, 0 },
	{ "one before it comes first", 64, 7, "6 7", "6 7 ", 0, 0 },
	{ "it is far from what comes", 64, 7, "700 701", "700 701 ", 0, 0 },
	{ "over TCP nothing waits", 0, 7, "9 10", "9 10 ", 0, 0 },
};
// clang-format on

static void the_first_is_waited_for_where_it_is_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(begins); i++) {
		struct output output = { .n = 0 };
		struct rtp_reorder *r =
			rtp_reorder_new(begins[i].window, 90000, on_packet, &output);
		struct rtp_reorder_stats stats;

		rtp_reorder_expect(r, (uint16_t)begins[i].expected);
		play(r, begins[i].arrivals);
		if (strcmp(output.text, begins[i].given) != 0)
			fail_msg("%s: given \"%s\" and not \"%s\"", begins[i].rule, output.text,
				begins[i].given);
		rtp_reorder_get_stats(r, &stats);
		assert_int_equal(stats.lost, begins[i].lost);
		assert_int_equal(stats.duplicates, begins[i].duplicates);
		assert_false(rtp_reorder_is_waiting(r));
		rtp_reorder_free(r);
	}
}

static void count_packet(void *arg, const uint8_t *p, size_t n, bool gap)
{
	unsigned *count = arg;

	(void)p, (void)n, (void)gap;
	++*count;
}

static void what_waits_is_bounded_in_bytes(void **state)
{
	enum {
		PACKET_BYTES = 65000,
		FIT = RTP_REORDER_BYTES / PACKET_BYTES,
		PACKETS = FIT + 10
	};
	static uint8_t bytes[PACKET_BYTES];
	struct rtp_reorder_stats stats;
	unsigned count = 0;

	(void)state;
	struct rtp_reorder *r = rtp_reorder_new(RTP_REORDER_PACKETS, 90000, count_packet, &count);
	for (unsigned i = 0; i <= PACKETS; i++) {
		struct rtp_packet packet = { .sequence = (uint16_t)(i > 0 ? i + 1 : 0) };
		rtp_write_header(bytes, &packet);
		rtp_reorder_push(r, bytes, sizeof(bytes), 1000000);
	}
	rtp_reorder_expire(r, 1000000 + RTP_REORDER_WAIT_US);
	assert_int_equal(count, 1 + FIT);
	struct rtp_packet next = { .sequence = PACKETS + 2 };
	rtp_write_header(bytes, &next);
	rtp_reorder_push(r, bytes, sizeof(bytes), 1300000);
	rtp_reorder_expire(r, 1300000 + RTP_REORDER_WAIT_US);
	assert_int_equal(count, 2 + FIT);
	rtp_reorder_get_stats(r, &stats);
	assert_int_equal(stats.lost, 1 + PACKETS - FIT);
	rtp_reorder_free(r);
}

static void malformed_packets_are_counted(void **state)
{
	struct output output = { .n = 0 };
	struct rtp_reorder *r = rtp_reorder_new(64, 90000, on_packet, &output);
	struct rtp_reorder_stats stats;

	(void)state;
	rtp_reorder_push(r, (const uint8_t *)"GET /", 5, 0);
	rtp_reorder_get_stats(r, &stats);
	assert_int_equal(stats.malformed, 1);
	assert_int_equal(stats.received, 0);
	rtp_reorder_free(r);
	rtp_reorder_free(NULL);
}

/* RFC 3550 appendix A.8: J += (|D| - J) / 16. */
static void jitter_is_the_standards(void **state)
{
	struct output output = { .n = 0 };
	struct rtp_reorder *r = rtp_reorder_new(0, 90000, on_packet, &output);
	struct rtp_reorder_stats stats;

	(void)state;
	push(r, 1, 1, 1000000);
	push(r, 2, 1, 1000000 + 16000); /* timestamps stand still: D is 1440 ticks */
	rtp_reorder_get_stats(r, &stats);
	assert_int_equal(stats.jitter, 1440 / 16);
	rtp_reorder_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_come_in_order),
		cmocka_unit_test(any_shuffle_within_the_window_is_undone),
		cmocka_unit_test(a_late_packet_behind_a_burst_is_no_loss),
		cmocka_unit_test(the_first_is_waited_for_where_it_is_known),
		cmocka_unit_test(what_waits_is_bounded_in_bytes),
		cmocka_unit_test(malformed_packets_are_counted),
		cmocka_unit_test(jitter_is_the_standards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
