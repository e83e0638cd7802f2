/* One port for all sessions; each datagram leaves by the address that its peer speaks to. */
#include "protocols/whep_port.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "protocols/whep_stream.h"
#include "server/base/address.h"
#include "server/base/datagram.h"
#include "server/base/listener.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/network.h"
#include "server/base/reactor.h"

enum {
	BATCH = 32,
	ROUNDS = 4,            /* per wake-up */
	DATAGRAM_BYTES = 2048, /* what is longer is none of STUN, DTLS and RTCP */
	SOCKET_BYTES = 4 << 20,
	CANDIDATES = 16,
	CANDIDATE_BYTES = 128, /* a line of SDP */
	TCP_PREFERENCE = 125,  /* RFC 6544 section 4.2: by UDP first */
	PASSIVE_PREFERENCE = 4 << 13,
	ADDRESS_BYTES = 64,
	HOST_PREFERENCE = 126, /* RFC 8445 section 5.1.2.2 */
	CONTROL_BYTES = CMSG_SPACE(sizeof(struct in6_pktinfo)),
};

struct whep_port {
	int fd;
	struct event *read;
	whep_port_datagram_fn *on_datagram;
	struct whep_streams *streams; /* NULL: the port was not to be had by TCP */
	struct sockaddr_storage bound;
	char address[ADDRESS_BYTES];
};

/* What cmsg(3) asks of a block. */
struct control {
	_Alignas(struct cmsghdr) char bytes[CONTROL_BYTES];
};

/* One batch of the reactor's thread. */
static uint8_t datagrams[BATCH][DATAGRAM_BYTES];

bool whep_path_is_same(const struct whep_path *a, const struct whep_path *b)
{
	return a->stream == b->stream && a->peer_bytes == b->peer_bytes &&
	       memcmp(&a->peer, &b->peer, a->peer_bytes) == 0;
}

/* --- which address of ours --- */

static void read_local(struct msghdr *message, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct sockaddr_in v4 = { .sin_family = AF_INET };
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			v4.sin_addr = info.ipi_spec_dst;
			memcpy(ret, &v4, sizeof(v4));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			v6.sin6_addr = info.ipi6_addr;
			v6.sin6_scope_id =
				IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) ? info.ipi6_ifindex : 0;
			memcpy(ret, &v6, sizeof(v6));
		}
	}
}

/* Has the message leave by that address. */
static void write_local(
	struct msghdr *message, struct control *control, const struct sockaddr_storage *local)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)local;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)local;
	bool is_v4 = local->ss_family == AF_INET;
	struct in_pktinfo info = { .ipi_spec_dst = v4->sin_addr };
	struct in6_pktinfo info6 = { .ipi6_addr = v6->sin6_addr,
		.ipi6_ifindex = v6->sin6_scope_id };
	size_t n = is_v4 ? sizeof(info) : sizeof(info6);

	if (local->ss_family == AF_UNSPEC)
		return;
	memset(control, 0, sizeof(*control));
	message->msg_control = control->bytes;
	message->msg_controllen = CMSG_SPACE(n);
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	c->cmsg_level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6;
	c->cmsg_type = is_v4 ? IP_PKTINFO : IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), is_v4 ? (void *)&info : (void *)&info6, n);
}

/* --- both ways --- */

/* Reads one batch. Returns how many there were. */
static int port_receive(struct whep_port *port)
{
	static struct control controls[BATCH];
	static struct whep_path from[BATCH];
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	int n;

	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ .iov_base = datagrams[i], .iov_len = DATAGRAM_BYTES };
		memset(&from[i], 0, sizeof(from[i]));
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &from[i].peer,
			.msg_namelen = sizeof(from[i].peer),
			.msg_iov = &parts[i],
			.msg_iovlen = 1,
			.msg_control = controls[i].bytes,
			.msg_controllen = sizeof(controls[i].bytes),
		};
	}
	n = recvmmsg(port->fd, messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		if (messages[i].msg_hdr.msg_flags & MSG_TRUNC)
			continue;
		from[i].peer_bytes = messages[i].msg_hdr.msg_namelen;
		read_local(&messages[i].msg_hdr, &from[i].local);
		port->on_datagram(&from[i], datagrams[i], messages[i].msg_len);
	}
	return n;
}

static void port_on_read(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	for (int i = 0; i < ROUNDS; i++) {
		if (port_receive(arg) < BATCH)
			return;
	}
}

/* What is no sign of a full socket is the peer's loss: it has gone, or its network has. */
static bool is_full(int error)
{
	return error == EAGAIN || error == ENOBUFS;
}

/* One batch. Returns how many were taken or are lost. */
static unsigned port_send_batch(
	struct whep_port *port, const struct whep_path *to, const struct iovec *packets, unsigned n)
{
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct control control;
	struct sockaddr_storage peer = to->peer;

	memcpy(parts, packets, n * sizeof(*parts));
	for (unsigned i = 0; i < n; i++) {
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &peer,
			.msg_namelen = to->peer_bytes,
			.msg_iov = &parts[i],
			.msg_iovlen = 1,
		};
		write_local(&messages[i].msg_hdr, &control, &to->local);
	}
	int done = sendmmsg(port->fd, messages, n, MSG_DONTWAIT);
	if (done < 0)
		return is_full(errno) ? 0 : n;
	return (unsigned)done;
}

size_t whep_port_send(
	struct whep_port *port, const struct whep_path *to, const struct iovec *packets, size_t n)
{
	size_t sent = 0;

	if (to->stream)
		return whep_streams_send(port->streams, to->stream, packets, n);
	while (sent < n) {
		unsigned count = n - sent < BATCH ? (unsigned)(n - sent) : BATCH;
		unsigned done = port_send_batch(port, to, packets + sent, count);

		if (done == 0)
			break;
		sent += done;
	}
	return sent;
}

/* --- life --- */

/* Every datagram tells by which of our addresses it came. */
static void port_want_local(int fd, int family)
{
	int one = 1;

	(void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
}

struct whep_port *whep_port_new(
	const char *address, bool loopback_only, whep_port_datagram_fn *on_datagram)
{
	struct sockaddr_storage bound;
	char host[ADDRESS_HOST_BYTES];
	struct whep_port *port;
	int fd;

	if (listener_resolve(address, loopback_only, &bound) == 0) {
		errno = EINVAL;
		return NULL;
	}
	fd = datagram_bind(&bound, SOCKET_BYTES, false);
	if (fd < 0)
		return NULL;
	port_want_local(fd, bound.ss_family);
	port = xcalloc(1, sizeof(*port));
	port->fd = fd;
	port->bound = bound;
	port->on_datagram = on_datagram;
	(void)snprintf(port->address, sizeof(port->address),
		bound.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u",
		address_write_host(host, (struct sockaddr *)&bound),
		address_port((struct sockaddr *)&bound));
	port->read = event_new(reactor_base(), fd, EV_READ | EV_PERSIST, port_on_read, port);
	event_add(port->read, NULL);
	port->streams = whep_streams_new(port->address, loopback_only, on_datagram);
	if (!port->streams)
		log_warn(NULL, "webrtc: %s: not by TCP: %s", port->address, strerror(errno));
	return port;
}

void whep_port_free(struct whep_port *port)
{
	if (!port)
		return;
	whep_streams_free(port->streams);
	event_free(port->read);
	close(port->fd);
	free(port);
}

const char *whep_port_address(const struct whep_port *port)
{
	return port->address;
}

/* --- candidates --- */

struct candidates {
	struct network_address address[CANDIDATES];
	size_t n;
};

static void add_candidate(struct candidates *all, const struct network_address *address)
{
	for (size_t i = 0; i < all->n; i++) {
		if (memcmp(&all->address[i], address, sizeof(*address)) == 0)
			return;
	}
	if (all->n < CANDIDATES)
		all->address[all->n++] = *address;
}

static bool is_any(const struct sockaddr_storage *bound)
{
	return bound->ss_family == AF_INET6
		       ? IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)bound)->sin6_addr)
		       : ((const struct sockaddr_in *)bound)->sin_addr.s_addr == 0;
}

static bool is_link_local(const struct sockaddr *address)
{
	return address->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LINKLOCAL(
		       &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

/* Adds an address that the socket can be reached by. */
static void add_own(
	struct candidates *all, const struct whep_port *port, const struct sockaddr *address)
{
	struct network_address added;
	bool is_v6 = address->sa_family == AF_INET6 && address_ipv4(address) == 0;

	if (is_link_local(address) || (is_v6 && port->bound.ss_family == AF_INET) ||
		!network_address_of(&added, address))
		return;
	add_candidate(all, &added);
}

static void add_interfaces(struct candidates *all, const struct whep_port *port)
{
	struct ifaddrs *list = NULL;

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
		if (at->ifa_addr && (at->ifa_flags & IFF_UP) && !(at->ifa_flags & IFF_LOOPBACK) &&
			(at->ifa_addr->sa_family == AF_INET || at->ifa_addr->sa_family == AF_INET6))
			add_own(all, port, at->ifa_addr);
	}
	freeifaddrs(list);
}

static void find_candidates(struct candidates *all, const struct whep_port *port,
	char *const *addresses, const struct sockaddr *reached)
{
	struct network_address given;

	for (; addresses && *addresses; addresses++) {
		if (network_address_parse(&given, *addresses, strlen(*addresses)))
			add_candidate(all, &given);
	}
	if (all->n > 0)
		return;
	if (!is_any(&port->bound)) {
		add_own(all, port, (const struct sockaddr *)&port->bound);
		return;
	}
	if (reached)
		add_own(all, port, reached);
	add_interfaces(all, port);
}

char *whep_port_candidates(
	const struct whep_port *port, char *const *addresses, const struct sockaddr *reached)
{
	struct candidates all = { .n = 0 };
	char *lines = xcalloc(2 * CANDIDATES, CANDIDATE_BYTES), *at = lines;
	char host[INET6_ADDRSTRLEN];

	find_candidates(&all, port, addresses, reached);
	for (size_t i = 0; i < (port->streams ? 2 : 1) * all.n; i++) {
		bool tcp = i >= all.n;
		size_t nth = tcp ? i - all.n : i;
		unsigned local = (tcp ? PASSIVE_PREFERENCE | 0x1fff : UINT16_MAX) - (unsigned)nth;
		unsigned type = tcp ? TCP_PREFERENCE : HOST_PREFERENCE;

		at += snprintf(at, CANDIDATE_BYTES, "a=candidate:%zu 1 %s %u %s %u typ host%s\r\n",
			i + 1, tcp ? "tcp" : "udp", type << 24 | local << 8 | 255,
			network_address_write(&all.address[nth], host),
			address_port((const struct sockaddr *)&port->bound),
			tcp ? " tcptype passive" : "");
	}
	return lines;
}
