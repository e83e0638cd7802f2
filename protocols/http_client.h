#pragma once

#include "server/base/attributes.h"
#include "server/base/log.h"
#include "server/base/tls.h"
#include "server/media/source.h"

/*
 * An HTTP/1.1 client (RFC 9110, 9112) for cameras: one GET at a time, on a connection that is kept
 * where the server keeps it; Basic and Digest; up to three redirects.
 */
struct http_client;

struct http_client_events {
	/* A 200. The type is valid during the call, "" when unsaid. */
	void (*on_head)(void *arg, const char *content_type);
	void (*on_body)(void *arg, const uint8_t *p, size_t n);
	/* The answer is whole: SOURCE_STOPPED; else what went wrong. A new GET may be made from here. */
	void (*on_end)(void *arg, enum source_end end, const char *detail);
};

/* `url` is http:// or https://. Returns NULL and a static *why when it makes no sense. */
struct http_client *http_client_new(const char *url, const struct tls_client *tls,
	const struct log_name *log, const struct http_client_events *events, void *arg,
	const char **why) MUST_CHECK;
void http_client_free(struct http_client *client); /* fine inside a callback; NULL is fine */

/* Asks for the URL; not while an answer is on its way. */
void http_client_get(struct http_client *client);
/* How long the last answer wants no visit (Retry-After); 0 when it did not say. */
int64_t http_client_retry_after_us(const struct http_client *client);
