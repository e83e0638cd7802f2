#pragma once

#include <stdint.h>

struct evbuffer;

/* Appends text that means itself in HTML and XML, inside elements and quoted attributes. */
void markup_add_text(struct evbuffer *out, const char *text);
/* Appends a path as a reference: percent-encoded, then escaped. */
void markup_add_path(struct evbuffer *out, const char *path);
/* Appends markup as it stands. */
void markup_add(struct evbuffer *out, const char *markup);
/* Appends digits: in listings of thousands, where printf() is slow. */
void markup_add_number(struct evbuffer *out, uint64_t value);
