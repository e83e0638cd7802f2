#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/base/attributes.h"

/*
 * The grammar that HTTP/1.1 (RFC 9112) and RTSP/1.0 (RFC 2326) share: a start line, header fields,
 * an empty line. Bodies are the connection's business. Values point into the parsed bytes.
 */

enum {
	MESSAGE_HEAD_BYTES = 32768,
	MESSAGE_FIELDS = 100
};

struct message_text {
	const char *p; /* not NUL-ended; NULL when absent */
	size_t n;
};

struct message_field {
	struct message_text name, value; /* value trimmed; obsolete line folding is refused */
};

struct message {
	bool is_request;
	struct message_text method, target; /* requests */
	int status;                         /* answers: 100 to 999 */
	struct message_text reason;
	struct message_text protocol; /* "HTTP/1.1", "RTSP/1.0" */
	struct message_field fields[MESSAGE_FIELDS];
	size_t n_fields;
};

/*
 * Parses a message head of the n bytes at p, of which the first `seen` were searched before without
 * finding its end (so that a slow drip stays linear). Empty lines before it are skipped. LF alone
 * ends a line too. Returns the bytes used, 0 for "more", or -EBADMSG / -EMSGSIZE and a static *why.
 * `strict` refuses what smuggling lives on (space before ':', bare CR, control characters, two
 * different Content-Length); without it (cameras' answers) odd fields are skipped instead.
 */
ssize_t message_parse(struct message *ret, const char *p, size_t n, size_t seen, bool strict,
	const char **why) MUST_CHECK;

/* The first field of that name (any case), or { NULL, 0 }; the next after `after` when not NULL. */
struct message_text message_find(const struct message *m, const char *name);
const struct message_field *message_find_next(
	const struct message *m, const char *name, const struct message_field *after);

/*
 * Content-Length: 0 and *ret when absent (0) or right; -EBADMSG when not a number, or two differ.
 */
int message_content_length(const struct message *m, uint64_t *ret) MUST_CHECK;

bool message_text_is(struct message_text t, const char *s);          /* any case */
bool message_text_starts(struct message_text t, const char *prefix); /* any case */
/* Whether a comma-separated list holds the token (any case). */
bool message_text_has_token(struct message_text t, const char *token);
/* Without the blanks around it. */
struct message_text message_text_trim(struct message_text t);
/* Cuts what stands before the separator (or all) off *rest, and the separator; trimmed. */
struct message_text message_text_cut(struct message_text *rest, char separator);
/* Copies with NUL, cut to size. Returns ret. */
char *message_text_copy(char *ret, size_t size, struct message_text t);
/* A decimal number up to max; false when it is anything else. */
bool message_text_number(struct message_text t, uint64_t max, uint64_t *ret);
