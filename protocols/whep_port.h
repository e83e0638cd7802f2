#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "server/base/attributes.h"

/* The one port of all WebRTC sessions, by UDP and by TCP, and the addresses by which it can be reached. */
struct whep_port;

/* Between whom datagrams go: the peer, and which of our addresses it speaks to. */
struct whep_path {
	struct sockaddr_storage peer, local; /* local's port is not used */
	socklen_t peer_bytes;
	uint64_t stream; /* the TCP connection (whep_stream.h); 0: it goes by UDP */
};
bool whep_path_is_same(const struct whep_path *a, const struct whep_path *b); /* the peer is */

/* One datagram came; it may change the n bytes. */
typedef void whep_port_datagram_fn(const struct whep_path *from, uint8_t *p, size_t n);

/*
 * Binds to "address:port" as listener_new() does, by UDP and, where that can be had, by TCP. NULL and errno when that
 * fails.
 */
struct whep_port *whep_port_new(
	const char *address, bool loopback_only, whep_port_datagram_fn *on_datagram) MUST_CHECK;
void whep_port_free(struct whep_port *port); /* not from on_datagram; NULL is fine */
/* The address in use, as "127.0.0.1:8189". */
const char *whep_port_address(const struct whep_port *port);

/* Sends one datagram per iovec. Returns how many were taken: fewer mean that the way is full for now. */
size_t whep_port_send(
	struct whep_port *port, const struct whep_path *to, const struct iovec *packets, size_t n);

/*
 * Host candidates (RFC 8839 section 5.1) as whole SDP lines, which the caller frees: of `addresses` (NULL-ended), or,
 * where that is NULL, of the address that `reached` is (NULL: unknown), and then of those of our interfaces. Those by TCP come last.
 */
char *whep_port_candidates(const struct whep_port *port, char *const *addresses,
	const struct sockaddr *reached) MUST_CHECK;
