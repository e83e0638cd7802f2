/* Text into HTML and XML: the characters that mean something there, and paths in references. */
#include "protocols/markup.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "protocols/uri.h"

enum {
	MARKUP_PATH_BYTES = 3 * 1024,
	MARKUP_ROOM_BYTES = 4 << 10 /* reserved at least */
};

struct markup markup_begin(struct evbuffer *out)
{
	return (struct markup){ .out = out };
}

void markup_end(struct markup *markup)
{
	struct evbuffer_iovec room = { .iov_base = markup->begin,
		.iov_len = (size_t)(markup->at - markup->begin) };

	if (room.iov_len && evbuffer_commit_space(markup->out, &room, 1) < 0)
		abort();
	markup->begin = markup->at = markup->end = NULL;
}

void markup_reserve(struct markup *markup, size_t n)
{
	struct evbuffer_iovec room;

	markup_end(markup);
	if (n < MARKUP_ROOM_BYTES)
		n = MARKUP_ROOM_BYTES;
	if (evbuffer_reserve_space(markup->out, (ev_ssize_t)n, &room, 1) != 1)
		abort();
	markup->begin = markup->at = room.iov_base;
	markup->end = markup->begin + room.iov_len;
}

void markup_add_format(struct markup *markup, const char *format, ...)
{
	va_list arguments;

	markup_end(markup);
	va_start(arguments, format);
	(void)evbuffer_add_vprintf(markup->out, format, arguments);
	va_end(arguments);
}

static const char *markup_entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default: /* a control character may not even be escaped in XML 1.0 */
		return "?";
	}
}

void markup_add_text(struct markup *markup, const char *text)
{
	/* what means something, or may not be there */
	static const bool special[256] = { [0 ... 0x1f] = true,
		[0x7f] = true,
		['&'] = true,
		['<'] = true,
		['>'] = true,
		['"'] = true,
		['\''] = true };

	while (*text) {
		size_t plain = 0;

		while (!special[(unsigned char)text[plain]])
			plain++;
		markup_add_bytes(markup, text, plain);
		text += plain;
		if (*text)
			markup_add(markup, markup_entity(*text++));
	}
}

void markup_add_number(struct markup *markup, uint64_t value)
{
	char digits[20], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + value % 10);
	while ((value /= 10));
	markup_add_bytes(markup, at, (size_t)(digits + sizeof(digits) - at));
}

void markup_add_path(struct markup *markup, const char *path)
{
	char encoded[MARKUP_PATH_BYTES];

	if (uri_encode_path(encoded, sizeof(encoded), path) == 0)
		markup_add_text(markup, encoded);
}
