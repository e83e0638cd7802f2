#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/rtp_depacketiser.h"

/* Packets as text pushed into a depacketiser, and what comes of them as text. */

struct script_case {
	const char *rule, *encoding, *fmtp;
	/* "<timestamp> <flags> <hex>" per line; flags: m marker, g gap before, - none */
	const char *packets;
	/* "<timestamp> [sets] <ticks> <hex>" per unit, "dropped: <why>"; ticks only of sound */
	const char *units;
	uint32_t clock_hz;
	uint8_t channels;
};

struct script {
	struct rtp_depacketiser *depacketiser;
	char text[16384];
	size_t n;
};

PRINTF(2, 3)
static inline void script_add(struct script *s, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = vsnprintf(s->text + s->n, sizeof(s->text) - s->n, format, arguments);
	va_end(arguments);
	assert_true(n >= 0 && (size_t)n < sizeof(s->text) - s->n);
	s->n += (size_t)n;
}

static inline void script_on_unit(void *arg, const struct rtp_unit *unit)
{
	struct script *s = arg;
	const struct rtp_sound *sound = rtp_depacketiser_sound(s->depacketiser);

	assert_true(unit->keyframe);
	script_add(s, "%u%s ", unit->timestamp, unit->sets_changed ? " sets" : "");
	if (sound)
		script_add(s, "%u ", sound->unit_ticks);
	for (size_t i = 0; i < unit->bytes; i++)
		script_add(s, "%02x", unit->data[i]);
	script_add(s, "\n");
}

static inline void script_on_dropped(void *arg, const char *why)
{
	script_add(arg, "dropped: %s\n", why);
}

static inline void script_begin(struct script *s, const struct script_case *c)
{
	static const struct rtp_depacketiser_events events = { script_on_unit, script_on_dropped };
	struct rtp_format format = { .encoding = c->encoding,
		.fmtp = c->fmtp,
		.clock_hz = c->clock_hz,
		.channels = c->channels };
	const char *why = NULL;

	s->n = 0;
	s->text[0] = '\0';
	s->depacketiser = rtp_depacketiser_new(&format, &events, s, &why);
	if (!s->depacketiser)
		fail_msg("%s: %s", c->rule, why);
}

static inline int script_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The byte that two digits write. */
static inline uint8_t script_byte(const char *at)
{
	int high = script_digit(at[0]), low = high < 0 ? -1 : script_digit(at[1]);

	if (low < 0) {
		fail_msg("no hexadecimal digits: %.2s", at);
		return 0;
	}
	return (uint8_t)((unsigned)high << 4 | (unsigned)low);
}

/* Pushes a line's packet, in a block of its exact size, of at most `limit` bytes. Returns its bytes. */
static inline size_t script_push(struct script *s, const char *line, size_t limit)
{
	struct rtp_packet packet = { 0 };
	uint8_t bytes[2048];
	size_t n = 0;
	char *at;

	packet.timestamp = (uint32_t)strtoul(line, &at, 10);
	for (at++; *at && *at != ' ' && *at != '\n'; at++) {
		packet.marker |= *at == 'm';
		packet.sequence |= *at == 'g'; /* only to remember it */
	}
	for (; *at && *at != '\n'; at++) {
		if (*at == ' ')
			continue;
		assert_true(n < sizeof(bytes));
		bytes[n++] = script_byte(at);
		at++;
	}
	packet.payload_bytes = n < limit ? n : limit;
	uint8_t *exact = malloc(packet.payload_bytes ? packet.payload_bytes : 1);
	assert_non_null(exact);
	memcpy(exact, bytes, packet.payload_bytes);
	packet.payload = exact;
	rtp_depacketiser_push(s->depacketiser, &packet, packet.sequence);
	free(exact);
	return n;
}

/* Plays packets; that of line `cut_line` is cut to `cut` bytes. Returns that packet's bytes. */
static inline size_t script_play(struct script *s, const char *packets, size_t cut_line, size_t cut)
{
	size_t bytes = 0;

	for (size_t i = 0; *packets; i++) {
		size_t n = script_push(s, packets, i == cut_line ? cut : SIZE_MAX);
		if (i == cut_line)
			bytes = n;
		packets += strcspn(packets, "\n");
		packets += *packets == '\n';
	}
	return bytes;
}

/* Blanks are for the reader of the tables. */
static inline void script_strip(char *ret, const char *p)
{
	for (; *p; p++)
		if (*p != ' ')
			*ret++ = *p;
	*ret = '\0';
}

static inline void script_check(const struct script_case *c)
{
	static struct script s;
	static char expected[sizeof(s.text)], given[sizeof(s.text)];

	script_begin(&s, c);
	(void)script_play(&s, c->packets, SIZE_MAX, 0);
	rtp_depacketiser_free(s.depacketiser);
	script_strip(expected, c->units);
	script_strip(given, s.text);
	if (strcmp(given, expected) != 0)
		fail_msg("%s %s: gave\n%sand not\n%s", c->encoding, c->rule, s.text, c->units);
}

/* Every packet, cut at every length: nothing is read beyond it. */
static inline void script_cut(const struct script_case *c)
{
	static struct script s;
	size_t lines = 0;

	for (const char *p = c->packets; *p; p++)
		lines += *p == '\n';
	for (size_t line = 0; line < lines; line++) {
		size_t cut = 0, bytes;
		do {
			script_begin(&s, c);
			bytes = script_play(&s, c->packets, line, cut);
			rtp_depacketiser_free(s.depacketiser);
		} while (cut++ < bytes);
	}
}

/* Every case of a table, whole and cut. */
static inline void script_check_all(const struct script_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		script_check(&cases[i]);
		script_cut(&cases[i]);
	}
}
