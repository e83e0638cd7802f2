#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "protocols/whep_port.h"

/*
 * TCP connections of WebRTC, for clients that UDP does not reach: passive candidates (RFC 6544), datagrams in the frames of RFC 4571. Part of
 * whep_port. There are at most WHEP_STREAMS: one more, and the oldest goes that was sent next to nothing, or the new one.
 */
struct whep_streams;

enum {
	WHEP_STREAMS = 256
};

/* Listens as listener_new() does. NULL and errno when that fails. */
struct whep_streams *whep_streams_new(
	const char *address, bool loopback_only, whep_port_datagram_fn *on_datagram) MUST_CHECK;
void whep_streams_free(struct whep_streams *streams); /* not from on_datagram; NULL is fine */
/* As whep_port_send(), over that connection; what is for one that has gone is lost. */
size_t whep_streams_send(
	struct whep_streams *streams, uint64_t id, const struct iovec *packets, size_t n);
