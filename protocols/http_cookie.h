#pragma once

#include <stdbool.h>

#include "protocols/message.h"

/*
 * The cookies of a request (RFC 6265 section 4.2): `(struct http_cookies){ .message = m, .name = "a" }` goes through
 * those of that name, in all its Cookie fields, of which HTTP/2 makes several (RFC 9113 section 8.2.3).
 */
struct http_cookies {
	const struct message *message;
	const char *name;
	const struct message_field *field; /* that `rest` is of */
	struct message_text rest;
};

/* The next one's value; false: there is none. */
bool http_cookies_next(struct http_cookies *cookies, struct message_text *value);
