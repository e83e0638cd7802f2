#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocols/message.h"
#include "server/base/attributes.h"

/* Chunked request bodies (RFC 9112 section 7.1), read as they come. */

enum {
	HTTP_CHUNK_LINE_BYTES = 256,
	HTTP_TRAILER_BYTES = 8192
};

enum http_chunked_state {
	HTTP_CHUNKED_SIZE,
	HTTP_CHUNKED_EXTENSION,
	HTTP_CHUNKED_SIZE_LF,
	HTTP_CHUNKED_DATA,
	HTTP_CHUNKED_DATA_CR,
	HTTP_CHUNKED_DATA_LF,
	HTTP_CHUNKED_TRAILER, /* at the start of a line */
	HTTP_CHUNKED_TRAILER_LINE,
	HTTP_CHUNKED_TRAILER_LF,
	HTTP_CHUNKED_END_LF,
	HTTP_CHUNKED_DONE,
};

struct http_chunked { /* all zero at the start */
	enum http_chunked_state state;
	uint64_t left;     /* of the chunk */
	unsigned digits;   /* of the size, seen so far */
	size_t line_bytes; /* of the size line, or of the trailer so far */
};

/*
 * Takes up to n bytes. Returns how many were used, with the body bytes among them in *data (at most
 * one run per call: call again while bytes are left and the state is not HTTP_CHUNKED_DONE), or
 * -EBADMSG and a static *why. Lines must end with CRLF; extensions and trailers are skipped.
 */
ssize_t http_chunked_parse(struct http_chunked *c, const char *p, size_t n,
	struct message_text *data, const char **why) MUST_CHECK;
