/*
 * The chunked transfer coding (RFC 9112 section 7.1) as a state machine over bytes. Strict, because
 * what two parsers read differently is how requests are smuggled.
 */
#include "protocols/http_chunked.h"

#include <errno.h>

enum {
	CHUNK_SIZE_DIGITS = 8
};

static int http_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool http_is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static const char *http_chunked_size(struct http_chunked *c, char byte)
{
	int digit = http_hex(byte);

	if (digit >= 0) {
		if (++c->digits > CHUNK_SIZE_DIGITS)
			return "a chunk is too large";
		c->left = c->left << 4 | (unsigned)digit;
		return NULL;
	}
	if (c->digits == 0)
		return "a chunk has no size";
	if (byte == '\r')
		c->state = HTTP_CHUNKED_SIZE_LF;
	else if (byte == ';' || byte == ' ' || byte == '\t')
		c->state = HTTP_CHUNKED_EXTENSION;
	else
		return "a chunk's size is not a number";
	return NULL;
}

static const char *http_chunked_extension(struct http_chunked *c, char byte)
{
	if (byte == '\r')
		c->state = HTTP_CHUNKED_SIZE_LF;
	else if (http_is_control(byte))
		return "control character in a chunk's extension";
	else if (++c->line_bytes > HTTP_CHUNK_LINE_BYTES)
		return "a chunk's size line is too long";
	return NULL;
}

static const char *http_chunked_lf(struct http_chunked *c, char byte, enum http_chunked_state next)
{
	if (byte != '\n')
		return "a line does not end with CRLF";
	c->state = next;
	return NULL;
}

static const char *http_chunked_size_lf(struct http_chunked *c, char byte)
{
	enum http_chunked_state next = c->left ? HTTP_CHUNKED_DATA : HTTP_CHUNKED_TRAILER;

	c->digits = 0;
	c->line_bytes = 0;
	return http_chunked_lf(c, byte, next);
}

static const char *http_chunked_data_cr(struct http_chunked *c, char byte)
{
	if (byte != '\r')
		return "a chunk does not end with CRLF";
	c->state = HTTP_CHUNKED_DATA_LF;
	return NULL;
}

static const char *http_chunked_trailer(struct http_chunked *c, char byte)
{
	bool at_start = c->state == HTTP_CHUNKED_TRAILER;

	if (++c->line_bytes > HTTP_TRAILER_BYTES)
		return "the trailer is too long";
	if (byte == '\r')
		c->state = at_start ? HTTP_CHUNKED_END_LF : HTTP_CHUNKED_TRAILER_LF;
	else if (http_is_control(byte))
		return "control character in the trailer";
	else
		c->state = HTTP_CHUNKED_TRAILER_LINE;
	return NULL;
}

/* One byte that is not a chunk's data. */
static const char *http_chunked_byte(struct http_chunked *c, char byte)
{
	switch (c->state) {
	case HTTP_CHUNKED_SIZE:
		return http_chunked_size(c, byte);
	case HTTP_CHUNKED_EXTENSION:
		return http_chunked_extension(c, byte);
	case HTTP_CHUNKED_SIZE_LF:
		return http_chunked_size_lf(c, byte);
	case HTTP_CHUNKED_DATA_CR:
		return http_chunked_data_cr(c, byte);
	case HTTP_CHUNKED_DATA_LF:
		return http_chunked_lf(c, byte, HTTP_CHUNKED_SIZE);
	case HTTP_CHUNKED_TRAILER:
	case HTTP_CHUNKED_TRAILER_LINE:
		return http_chunked_trailer(c, byte);
	case HTTP_CHUNKED_TRAILER_LF:
		return http_chunked_lf(c, byte, HTTP_CHUNKED_TRAILER);
	case HTTP_CHUNKED_END_LF:
		return http_chunked_lf(c, byte, HTTP_CHUNKED_DONE);
	case HTTP_CHUNKED_DATA:
	case HTTP_CHUNKED_DONE:
		break;
	}
	return NULL;
}

ssize_t http_chunked_parse(struct http_chunked *c, const char *p, size_t n,
	struct message_text *data, const char **why)
{
	size_t at = 0;

	*data = (struct message_text){ NULL, 0 };
	while (at < n && c->state != HTTP_CHUNKED_DONE) {
		if (c->state == HTTP_CHUNKED_DATA) {
			size_t take = c->left < n - at ? (size_t)c->left : n - at;
			*data = (struct message_text){ p + at, take };
			c->left -= take;
			if (c->left == 0)
				c->state = HTTP_CHUNKED_DATA_CR;
			return (ssize_t)(at + take);
		}
		const char *wrong = http_chunked_byte(c, p[at++]);
		if (wrong) {
			*why = wrong;
			return -EBADMSG;
		}
	}
	return (ssize_t)at;
}
