#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "server/base/attributes.h"

struct evbuffer;

/*
 * Text of HTML and XML in the making, behind what is in `out`: written straight into its memory, since a call of evbuffer_add() for
 * each piece costs more than the text. Between begin and end nobody else adds to `out`.
 */
struct markup {
	struct evbuffer *out;
	char *begin, *at, *end; /* room that is reserved in it; NULL: none yet */
};
struct markup markup_begin(struct evbuffer *out);
void markup_end(struct markup *markup); /* all of it is in `out` */

/* Makes room for at least n bytes more. */
void markup_reserve(struct markup *markup, size_t n);

/* Appends markup as it stands. Inline, so that the lengths of literals are known. */
static inline void markup_add_bytes(struct markup *markup, const char *p, size_t n)
{
	if ((size_t)(markup->end - markup->at) <= n)
		markup_reserve(markup, n);
	memcpy(markup->at, p, n);
	markup->at += n;
}

static inline void markup_add(struct markup *markup, const char *text)
{
	markup_add_bytes(markup, text, strlen(text));
}

/* The same by printf(), for what is not there by the thousand. */
void markup_add_format(struct markup *markup, const char *format, ...) PRINTF(2, 3);
/* Appends text that means itself in HTML and XML, inside elements and quoted attributes. */
void markup_add_text(struct markup *markup, const char *text);
/* Appends a path as a reference: percent-encoded, then escaped. */
void markup_add_path(struct markup *markup, const char *path);
/* Appends digits. */
void markup_add_number(struct markup *markup, uint64_t value);
