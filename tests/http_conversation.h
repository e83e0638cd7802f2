#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/base/auth.h"

/* Conversations with an HTTP server in the same process and on the same reactor, for tests. */

enum http_conversation_pace {
	WHOLE,
	BYTE_BY_BYTE,
	HALF_CLOSED /* our end is shut after sending */
};

/*
 * Connects to "127.0.0.1:port", sends n bytes and returns all that comes until the server closes
 * (NUL-ended, *answer_bytes long); the caller frees it. Fails the test after ten seconds.
 */
char *http_conversation(const char *address, const char *request, size_t n,
	enum http_conversation_pace pace, size_t *answer_bytes);

/* The same for text, whole. */
char *http_say(const char *address, const char *request);

/* A non-blocking socket connected to "127.0.0.1:port". */
int http_connect(const char *address);

/* A list with the users anna (admin, "secret", all cameras) and nas (viewer, "p:w", only porch). */
void http_test_users_init(struct auth_users *users);
void http_test_users_fini(struct auth_users *users);

/* Splits off the body: what follows the first empty line. */
const char *http_body_of(const char *answer);
/* Decodes a chunked body in place; returns its length, or -1. */
long http_unchunk(char *body);
