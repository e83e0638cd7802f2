#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* URIs of rtsp and http (RFC 3986), as cameras and clients write them. */

enum {
	URI_HOST_BYTES = 256,
	URI_USER_BYTES = 256,
	URI_PATH_BYTES = 2048
};

struct uri {
	char scheme[16];               /* lower case; "" for a path alone */
	char user[URI_USER_BYTES];     /* percent-decoded; "" when there is none */
	char password[URI_USER_BYTES]; /* percent-decoded; secret */
	bool has_user;
	char host[URI_HOST_BYTES]; /* without brackets */
	uint16_t port;             /* 0 when not given */
	/* "/path?query" as written, never decoded; "/" when empty; without fragment. */
	char path[URI_PATH_BYTES];
};

/* Parses the n bytes. Returns 0, or -EBADMSG and a static reason in *why. */
int uri_parse(struct uri *ret, const char *p, size_t n, const char **why) MUST_CHECK;

/*
 * Writes "scheme://host:port/path" without user and password (safe to log and to send). The port
 * is left out when 0. Returns ret.
 */
char *uri_write(char *ret, size_t size, const struct uri *uri);

/*
 * The URI of an SDP `control` against a base (RFC 2326 appendix C.1.1, as players do it): absolute
 * controls keep only their path and query (the host stays the connected one), "*" and "" are the
 * base itself, anything else is appended as text after one '/', unless it repeats the base's path; a
 * query of the base stays in place. `base` is Content-Base, Content-Location or the request's URI, in
 * this order; of it, too, only path and query count, however its host is written (IPv6 without
 * brackets, "rtsp://rtsp://host/", "192.0.2.1:554/"); "" is connected's path, and a relative one is
 * merged with it. Blanks and control characters are percent-encoded. Writes to ret. Returns 0, or
 * -ENAMETOOLONG.
 */
int uri_join_control(struct uri *ret, const struct uri *connected, const char *base,
	const char *control) MUST_CHECK;

/*
 * Percent-decodes a path (not the query) and removes dot segments. Returns 0 with a NUL-ended path
 * in ret that starts with '/', or -EBADMSG: bad escape, encoded NUL or '/', a climb above the root.
 */
int uri_decode_path(char *ret, size_t size, const char *p, size_t n, const char **why) MUST_CHECK;

/* Percent-encodes what may not stand in a path segment; '/' is kept. Returns 0 or -ENAMETOOLONG. */
int uri_encode_path(char *ret, size_t size, const char *path) MUST_CHECK;
