/* Text into HTML and XML: the characters that mean something there, and paths in references. */
#include "protocols/markup.h"

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

void markup_add_text(struct evbuffer *out, const char *text)
{
	static const char special[] = "&<>\"'\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d"
				      "\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c"
				      "\x1d\x1e\x1f\x7f";

	while (*text) {
		size_t plain = strcspn(text, special);
		(void)evbuffer_add(out, text, plain);
		text += plain;
		if (*text)
			markup_add(out, markup_entity(*text++));
	}
}

void markup_add_path(struct evbuffer *out, const char *path)
{
	char encoded[MARKUP_PATH_BYTES];

	if (uri_encode_path(encoded, sizeof(encoded), path) == 0)
		markup_add_text(out, encoded);
}
