#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * Log lines to stderr, as text or as JSON lines. Every long-lived object embeds a log_name; a line
 * then reads `camera porch: rtsp 192.0.2.10: DESCRIBE: 401 Unauthorized`. Bytes outside printable
 * UTF-8 are escaped. Thread-safe: one line is one write.
 */

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG
};
enum log_format {
	LOG_TEXT,
	LOG_JSON
};

struct log_name {
	const struct log_name *parent; /* outlives this one; NULL at the top */
	const char *kind;              /* static: "camera", "rtsp", or NULL */
	const char *name;              /* owned by the object, or NULL */
	const char *doing;             /* static text of the current step, or NULL */
};

/* One returning message: at most one line a minute, with the count of what was left out. */
struct log_repeated {
	int64_t next_us; /* monotonic */
	unsigned suppressed;
};

void log_setup(enum log_level level, enum log_format format);
int log_enabled(enum log_level level);

void log_write(enum log_level level, const struct log_name *who, const char *format, ...)
	PRINTF(3, 4);
#define log_error(who, ...) log_write(LOG_ERROR, who, __VA_ARGS__)
#define log_warn(who, ...) log_write(LOG_WARN, who, __VA_ARGS__)
#define log_info(who, ...) log_write(LOG_INFO, who, __VA_ARGS__)
#define log_debug(who, ...)                                     \
	do {                                                    \
		if (log_enabled(LOG_DEBUG))                     \
			log_write(LOG_DEBUG, who, __VA_ARGS__); \
	} while (0)

/* An info line that is written whatever the level is. */
void log_always(const struct log_name *who, const char *format, ...) PRINTF(2, 3);

void log_write_repeated(struct log_repeated *again, enum log_level level,
	const struct log_name *who, const char *format, ...) PRINTF(4, 5);

/* Copies a peer's bytes with NUL for a message: control characters and what is not UTF-8 as \xNN; cut to size. */
void log_escape(char *ret, size_t size, const void *bytes, size_t n);
