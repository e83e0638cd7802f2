/* Log lines on stderr, as text or JSON lines; one write(2) each. */
#include "server/base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/base/metrics.h"

enum {
	LINE_BYTES = 4096,
	NAME_DEPTH = 8,
	NAME_BYTES = 192, /* of one name, or step: with all of them the message has room still */
	END_BYTES = 3,    /* what closes a line: "} and LF */
	REPEAT_US = 60000000
};

/* Stands where something was cut. */
#define ELLIPSIS "\xe2\x80\xa6"

static const char *const log_levels[] = { "error", "warn", "info", "debug" };

/* Set at start and by a reload; read by every thread. */
static _Atomic int log_level = LOG_INFO;
static _Atomic int log_form = LOG_TEXT;
static bool log_to_journal; /* which adds the time itself; known before any thread starts */

/* A line being made: cut, never overflowing. */
struct log_line {
	char text[LINE_BYTES];
	size_t n;
};

void log_setup(enum log_level level, enum log_format format)
{
	log_level = (int)level;
	log_form = (int)format;
	log_to_journal =
		getenv("JOURNAL_STREAM") != NULL; // NOLINT(concurrency-mt-unsafe): nobody sets it
}

int log_enabled(enum log_level level)
{
	return (int)level <= log_level;
}

/* Static text and numbers of ours; the limits of the rest leave room for all of it. */
static void log_puts(struct log_line *line, const char *s)
{
	size_t n = strlen(s);

	if (n > sizeof(line->text) - line->n)
		n = sizeof(line->text) - line->n;
	memcpy(line->text + line->n, s, n);
	line->n += n;
}

/*
 * The length of the UTF-8 sequence at p (of n bytes), or 0 when it is none (RFC 3629 section 4) or
 * a control character of two bytes.
 */
static size_t log_utf8(const unsigned char *p, size_t n)
{
	size_t length = p[0] < 0x80                   ? 1
			: p[0] >= 0xc2 && p[0] < 0xe0 ? 2
			: p[0] >= 0xe0 && p[0] < 0xf0 ? 3
			: p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						      : 0;

	if (length > n)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xe0 && p[1] < 0xa0) ||
		(p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
		(p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return length;
}

/*
 * Escapes control characters and bytes that are not UTF-8; for JSON also quotes and backslashes.
 * Returns the length; *rest is how many of the n bytes had no room.
 */
static size_t log_escape_into(
	char *ret, size_t size, const unsigned char *p, size_t n, bool json, size_t *rest)
{
	size_t used = 0, i = 0;

	while (i < n && used + 8 < size) {
		size_t length = log_utf8(p + i, n - i);

		if (length == 0 || p[i] < 0x20 || p[i] == 0x7f) {
			used += (size_t)snprintf(
				ret + used, size - used, json ? "\\u%04x" : "\\x%02x", p[i]);
			i++;
			continue;
		}
		if (json && (p[i] == '"' || p[i] == '\\'))
			ret[used++] = '\\';
		memcpy(ret + used, p + i, length);
		used += length;
		i += length;
	}
	ret[used] = '\0';
	*rest = n - i;
	return used;
}

void log_escape(char *ret, size_t size, const void *bytes, size_t n)
{
	size_t rest;

	if (size)
		ret[0] = '\0';
	if (size > 8)
		(void)log_escape_into(ret, size, bytes, n, false, &rest);
}

/* At most `limit` bytes of it, and the ellipsis when that is not all. */
static void log_put_escaped(struct log_line *line, const char *s, size_t limit, bool json)
{
	size_t room = sizeof(line->text) - END_BYTES - line->n, rest;

	if (room < sizeof(ELLIPSIS))
		return;
	room -= sizeof(ELLIPSIS) - 1;
	line->n += log_escape_into(line->text + line->n, limit < room ? limit : room,
		(const unsigned char *)s, strlen(s), json, &rest);
	if (rest)
		log_puts(line, ELLIPSIS);
}

/* RFC 3339 in local time with milliseconds. */
static void log_put_time(struct log_line *line)
{
	struct timespec now;
	struct tm tm;
	char date[32], zone[8], text[64];

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	snprintf(
		text, sizeof(text), "%s.%03ld%.3s:%s", date, now.tv_nsec / 1000000, zone, zone + 3);
	log_puts(line, text);
}

/* The chain of names, outermost first. Returns how many. */
static size_t log_chain(const struct log_name *who, const struct log_name *ret[NAME_DEPTH])
{
	size_t depth = 0;

	for (const struct log_name *at = who; at && depth < NAME_DEPTH; at = at->parent)
		depth++;
	for (size_t i = depth; i > 0; i--, who = who->parent)
		ret[i - 1] = who;
	return depth;
}

static void log_put_text(struct log_line *line, enum log_level level, const struct log_name *who,
	const char *message)
{
	static const char *const priorities[] = { "<3>", "<4>", "<6>", "<7>" };
	const struct log_name *chain[NAME_DEPTH];
	size_t depth = log_chain(who, chain);

	if (log_to_journal) {
		log_puts(line, priorities[level]);
	} else {
		log_put_time(line);
		log_puts(line, " ");
		log_puts(line, log_levels[level]);
		log_puts(line, " ");
	}
	for (size_t i = 0; i < depth; i++) {
		if (chain[i]->kind)
			log_puts(line, chain[i]->kind);
		if (chain[i]->kind && chain[i]->name)
			log_puts(line, " ");
		if (chain[i]->name)
			log_put_escaped(line, chain[i]->name, NAME_BYTES, false);
		if (chain[i]->kind || chain[i]->name)
			log_puts(line, ": ");
		if (chain[i]->doing) {
			log_put_escaped(line, chain[i]->doing, NAME_BYTES, false);
			log_puts(line, ": ");
		}
	}
	log_put_escaped(line, message, LINE_BYTES, false);
}

static void log_put_member(struct log_line *line, const char *key, const char *value, size_t limit)
{
	log_puts(line, ",\"");
	log_puts(line, key);
	log_puts(line, "\":\"");
	log_put_escaped(line, value, limit, true);
	log_puts(line, "\"");
}

static void log_put_json(struct log_line *line, enum log_level level, const struct log_name *who,
	const char *message)
{
	const struct log_name *chain[NAME_DEPTH];
	size_t depth = log_chain(who, chain);

	log_puts(line, "{\"time\":\"");
	log_put_time(line);
	log_puts(line, "\"");
	log_put_member(line, "level", log_levels[level], NAME_BYTES);
	for (size_t i = 0; i < depth; i++) {
		if (chain[i]->kind)
			log_put_member(line, chain[i]->kind, chain[i]->name ? chain[i]->name : "",
				NAME_BYTES);
		if (chain[i]->doing && i + 1 == depth)
			log_put_member(line, "doing", chain[i]->doing, NAME_BYTES);
	}
	log_put_member(line, "message", message, LINE_BYTES);
	log_puts(line, "}");
}

PRINTF(3, 0)
static void log_writev(
	enum log_level level, const struct log_name *who, const char *format, va_list args)
{
	struct log_line line = { .n = 0 };
	char message[LINE_BYTES];

	metric_add(metric_get(METRIC_LOG_MESSAGES, log_levels[level]), 1);
	if (vsnprintf(message, sizeof(message), format, args) < 0)
		return;
	if (log_form == LOG_JSON)
		log_put_json(&line, level, who, message);
	else
		log_put_text(&line, level, who, message);
	line.text[line.n++] = '\n';
	(void)!write(STDERR_FILENO, line.text, line.n);
}

void log_write(enum log_level level, const struct log_name *who, const char *format, ...)
{
	va_list args;

	if (!log_enabled(level))
		return;
	va_start(args, format);
	log_writev(level, who, format, args);
	va_end(args);
}

void log_always(const struct log_name *who, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_writev(LOG_INFO, who, format, args);
	va_end(args);
}

static int64_t log_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void log_write_repeated(struct log_repeated *again, enum log_level level,
	const struct log_name *who, const char *format, ...)
{
	int64_t now = log_monotonic_us();
	char message[LINE_BYTES];
	va_list args;

	if (!log_enabled(level))
		return;
	if (now < again->next_us) {
		again->suppressed++;
		return;
	}
	va_start(args, format);
	if (vsnprintf(message, sizeof(message), format, args) < 0)
		message[0] = '\0';
	va_end(args);
	if (again->suppressed)
		log_write(level, who, "%s (and %u times more in the last minute)", message,
			again->suppressed);
	else
		log_write(level, who, "%s", message);
	again->next_us = now + REPEAT_US;
	again->suppressed = 0;
}
