/* Text into HTML and XML: the characters that mean something there, and paths in references. */
#include "protocols/markup.h"

#include <stdbool.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/uri.h"

enum {
	MARKUP_PATH_BYTES = 3 * 1024
};

void markup_add(struct evbuffer *out, const char *markup)
{
	(void)evbuffer_add(out, markup, strlen(markup));
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

/* Whether a character means something, or may not be there. */
static bool markup_is_special(unsigned char c)
{
	return c < 0x20 || c == 0x7f || c == '&' || c == '<' || c == '>' || c == '"' || c == '\'';
}

void markup_add_text(struct evbuffer *out, const char *text)
{
	while (*text) {
		size_t plain = 0;

		while (text[plain] && !markup_is_special((unsigned char)text[plain]))
			plain++;
		(void)evbuffer_add(out, text, plain);
		text += plain;
		if (*text)
			markup_add(out, markup_entity(*text++));
	}
}

void markup_add_number(struct evbuffer *out, uint64_t value)
{
	char digits[20], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + value % 10);
	while ((value /= 10));
	(void)evbuffer_add(out, at, (size_t)(digits + sizeof(digits) - at));
}

void markup_add_path(struct evbuffer *out, const char *path)
{
	char encoded[MARKUP_PATH_BYTES];

	if (uri_encode_path(encoded, sizeof(encoded), path) == 0)
		markup_add_text(out, encoded);
}
