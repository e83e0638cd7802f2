#pragma once

#include <stdbool.h>

#include "protocols/message.h"

/*
 * The Host field and target (RFC 9110 section 7.2, RFC 9112 section 3.2).
 */

/* Splits "name", "192.0.2.1:8080" or "[::1]:8080"; the host without brackets. False: malformed. */
bool http_host_parse(struct message_text value, struct message_text *host);

/* The port's digits of a value that can be split so; { NULL } without one, and where it is one that goes without saying. */
struct message_text http_host_port(struct message_text value);

/* Whether two of these are the same: any case, and without the ports 80 and 443, which go without saying. */
bool http_host_equal(struct message_text a, struct message_text b);

/*
 * Whether the host is this machine by a name that no DNS server can claim: "localhost", a loopback
 * literal, or the address that is listened on ("192.0.2.1:8080", "[::]:8080").
 */
bool http_host_is_ours(struct message_text host, const char *listening);

/*
 * Splits a request target in origin form ("/path?query") or absolute form ("http://host/path").
 * `authority` is { NULL } for origin form, `query` for none. "*" gives the path "*". False: neither.
 */
struct http_target {
	struct message_text authority, path, query;
};
bool http_target_parse(struct http_target *ret, struct message_text target);

/*
 * The value of a parameter in a query ("a=1&b=two+words"), decoded into ret with NUL. False when it
 * is absent, malformed, holds a NUL or is too long for size.
 */
bool http_query_find(struct message_text query, const char *name, char *ret, size_t size);
