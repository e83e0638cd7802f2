#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "server/base/attributes.h"

/*
 * A bound, non-blocking UDP socket with room for buffer_bytes both ways where the kernel gives it; the port that was taken is
 * in the address. Where it is shared, others may have the port, too. Returns it, which is the caller's, or -1 and errno.
 */
int datagram_bind(struct sockaddr_storage *address, int buffer_bytes, bool shared) MUST_CHECK;

/*
 * A pair of UDP sockets, RTP on an even port and RTCP on the next (RFC 3550 section 11). Used by
 * the RTSP client to receive and by the RTSP server to send.
 */
struct datagram_pair;

enum datagram_kind {
	DATAGRAM_RTP,
	DATAGRAM_RTCP
};

struct datagram_events {
	/* One datagram; p is valid during the call. `from` is its source. */
	void (*on_datagram)(void *arg, enum datagram_kind kind, const uint8_t *p, size_t n,
		const struct sockaddr *from, socklen_t from_bytes);
};

/* Binds to the address family and host of `local` (its port is ignored), ports from the kernel. NULL and errno when none is to be had. */
struct datagram_pair *datagram_pair_new(
	const struct sockaddr *local, const struct datagram_events *events, void *arg);
/*
 * The same for a multicast group, by the interface that has the address `local`: RTP goes to the group's port from one
 * of the kernel's, RTCP to the next port; what anybody in the group sends there, we too, is received.
 */
struct datagram_pair *datagram_group_new(const struct sockaddr_in *local,
	const struct sockaddr_in *group, unsigned char ttl, const struct datagram_events *events,
	void *arg);
void datagram_pair_free(struct datagram_pair *pair);
uint16_t datagram_pair_port(const struct datagram_pair *pair); /* RTP's; RTCP's is one more */

/* Where datagrams of this kind are sent. */
void datagram_pair_set_peer(struct datagram_pair *pair, enum datagram_kind kind,
	const struct sockaddr *to, socklen_t to_bytes);

/*
 * Sends one datagram per iovec, up to 32 with one system call, those of one size as one message that the kernel cuts where it
 * can. What the kernel does not take is dropped. Returns how many went.
 */
size_t datagram_pair_send(
	struct datagram_pair *pair, enum datagram_kind kind, const struct iovec *packets, size_t n);
