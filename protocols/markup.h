#pragma once

struct evbuffer;

/* Appends text that means itself in HTML and XML, inside elements and quoted attributes. */
void markup_add_text(struct evbuffer *out, const char *text);
/* Appends a path as a reference: percent-encoded, then escaped. */
void markup_add_path(struct evbuffer *out, const char *path);
/* Appends markup as it stands. */
void markup_add(struct evbuffer *out, const char *markup);
