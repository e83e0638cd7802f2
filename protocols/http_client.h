#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/base/log.h"
#include "server/base/tls.h"
#include "server/media/source.h"

/*
 * An HTTP/1.1 client (RFC 9110, 9112) for cameras: one GET or POST at a time, on a connection that is
 * kept where the server keeps it; Basic and Digest; up to three redirects.
 */
struct http_client;

struct http_client_events {
	/*
	 * A 200; of a POST also 400 and 500, with which SOAP's faults come (SOAP 1.2 Part 2 section 7.4.2). The
	 * type is valid during the call, "" when unsaid.
	 */
	void (*on_head)(void *arg, const char *content_type);
	void (*on_body)(void *arg, const uint8_t *p, size_t n);
	/* The answer is whole: SOURCE_STOPPED; else what went wrong. A new request may be made from here. */
	void (*on_end)(void *arg, enum source_end end, const char *detail);
};

/* `url` is http:// or https://. Returns NULL and a static *why when it makes no sense. */
struct http_client *http_client_new(const char *url, const struct tls_client *tls,
	const struct log_name *log, const struct http_client_events *events, void *arg,
	const char **why) MUST_CHECK;
void http_client_free(struct http_client *client); /* fine inside a callback; NULL is fine */

/* Asks for the URL; not while an answer is on its way. */
void http_client_get(struct http_client *client);
/*
 * Posts n bytes, which are copied, to a path of the URL's host; not while an answer is on its way. The answer
 * has to begin within patience_us. `type` is a Content-Type.
 */
void http_client_post(struct http_client *client, const char *path, const char *type, const void *p,
	size_t n, int64_t patience_us);
/* How long the last answer wants no visit (Retry-After); 0 when it did not say. */
int64_t http_client_retry_after_us(const struct http_client *client);
