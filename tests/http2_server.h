#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * The HTTP server with a fake connection (tests/fake_connection.h) that speaks HTTP/2, and these resources:
 *
 * /hello     GET: the Cookie field, or "hello"; admins only below /hello/admin
 * /echo      PROPFIND: the request's body
 * /big       GET: HTTP2_BIG_BYTES, made as the client takes them
 * /part      GET: HTTP2_PART_BYTES, in blocks of 1 KiB
 * /ticks     GET: a line each second, without end
 * /never     GET: nothing ever
 * /abort     GET: the beginning of a body, then the answer is broken off
 * /put       PUT: as it comes; "N bytes"
 * /put-slow  PUT: the same, a piece every 10 ms
 * /put-no    PUT: 412 before the body
 */
enum {
	HTTP2_BIG_BYTES = 1 << 20,
	HTTP2_PART_BYTES = 64 << 10,
};

void http2_server_start(void);
void http2_server_stop(void);
/* A client's connection stands, in place of the one before. */
void http2_server_connect(void);

/* Requests that a handler has, and has not been told the end of. */
int http2_server_requests(void);
/* The most that waited for one client, and that one handler got of a body at once. */
size_t http2_server_most_unsent(void);
size_t http2_server_most_received(void);
