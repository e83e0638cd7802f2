/* UDP socket pairs for RTP and RTCP; many datagrams per system call both ways. */
#include "server/base/datagram.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/util.h>

#include "server/base/address.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

enum {
	PORT_TRIES = 64,
	BATCH = 32,
	ROUNDS = 4, /* per wake-up */
	DATAGRAM_BYTES = 65536,
	BUFFER_BYTES = 2 << 20,
	RUN_BYTES = 65000, /* what the kernel takes as one */
};

struct datagram_pair {
	int fds[2]; /* by enum datagram_kind */
	struct event *reads[2];
	uint16_t port;
	bool cuts; /* the kernel cuts a message into datagrams (UDP_SEGMENT) */
	struct sockaddr_storage peers[2];
	socklen_t peer_bytes[2];
	const struct datagram_events *events; /* NULL once freed */
	void *arg;
	struct reactor_dead dead;
};

/* One batch of the reactor's thread; its pages are touched only as far as datagrams are long. */
static uint8_t datagrams[BATCH][DATAGRAM_BYTES];

static void datagram_set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET6)
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)address)->sin_port = htons(port);
}

int datagram_bind(struct sockaddr_storage *address, int buffer_bytes, bool shared)
{
	int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t n = address_bytes((struct sockaddr *)address);
	int one = 1;

	if (fd < 0)
		return -1;
	for (size_t i = 0; i < 2; i++) {
		(void)setsockopt(fd, SOL_SOCKET, i ? SO_RCVBUF : SO_SNDBUF, &buffer_bytes,
			sizeof(buffer_bytes));
		(void)setsockopt(fd, SOL_SOCKET, i ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &buffer_bytes,
			sizeof(buffer_bytes));
	}
	if (shared)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)address, n) < 0 ||
		getsockname(fd, (struct sockaddr *)address, &n) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

/* Takes a free even port and the one after it. */
static int datagram_bind_pair(struct datagram_pair *pair, const struct sockaddr *local)
{
	struct sockaddr_storage address = { 0 };

	for (int i = 0; i < PORT_TRIES; i++) {
		memcpy(&address, local, address_bytes(local));
		datagram_set_port(&address, 0);
		pair->fds[DATAGRAM_RTP] = datagram_bind(&address, BUFFER_BYTES, false);
		if (pair->fds[DATAGRAM_RTP] < 0)
			return -1;
		pair->port = address_port((struct sockaddr *)&address);
		datagram_set_port(&address, (uint16_t)(pair->port + 1));
		if (pair->port % 2 == 0 && (pair->fds[DATAGRAM_RTCP] = datagram_bind(
						    &address, BUFFER_BYTES, false)) >= 0)
			return 0;
		close(pair->fds[DATAGRAM_RTP]);
	}
	errno = EADDRINUSE;
	return -1;
}

/* Reads one batch. Returns how many there were. */
static int datagram_receive(struct datagram_pair *pair, enum datagram_kind kind)
{
	struct sockaddr_storage from[BATCH];
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	int n;

	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ .iov_base = datagrams[i], .iov_len = DATAGRAM_BYTES };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &from[i],
			.msg_namelen = sizeof(from[i]),
			.msg_iov = &parts[i],
			.msg_iovlen = 1,
		};
	}
	n = recvmmsg(pair->fds[kind], messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n && pair->events; i++)
		pair->events->on_datagram(pair->arg, kind, datagrams[i], messages[i].msg_len,
			(struct sockaddr *)&from[i], messages[i].msg_hdr.msg_namelen);
	return n;
}

static void datagram_on_read(evutil_socket_t fd, short what, void *arg)
{
	struct datagram_pair *pair = arg;
	enum datagram_kind kind = fd == pair->fds[DATAGRAM_RTP] ? DATAGRAM_RTP : DATAGRAM_RTCP;

	(void)what;
	/* the pair may be freed by a callback, which is deferred: `events` is NULL then */
	for (int i = 0; i < ROUNDS && pair->events; i++) {
		if (datagram_receive(pair, kind) < BATCH)
			return;
	}
}

/* Begins to read the pair's sockets. Returns it. */
static struct datagram_pair *datagram_pair_start(
	struct datagram_pair *pair, const struct datagram_events *events, void *arg)
{
	const int none = 0;

	pair->events = events;
	pair->arg = arg;
	/* a kernel that does not know it would send one large datagram */
	pair->cuts =
		setsockopt(pair->fds[DATAGRAM_RTP], SOL_UDP, UDP_SEGMENT, &none, sizeof(none)) == 0;
	for (int i = 0; i < 2; i++) {
		pair->reads[i] = event_new(
			reactor_base(), pair->fds[i], EV_READ | EV_PERSIST, datagram_on_read, pair);
		event_add(pair->reads[i], NULL);
	}
	return pair;
}

struct datagram_pair *datagram_pair_new(
	const struct sockaddr *local, const struct datagram_events *events, void *arg)
{
	struct datagram_pair *pair = xcalloc(1, sizeof(*pair));

	if (datagram_bind_pair(pair, local) < 0) {
		int error = errno;

		free(pair);
		errno = error;
		return NULL;
	}
	return datagram_pair_start(pair, events, arg);
}

/* A socket at an address of ours, or of a group's, that sends by the interface of `local`; -1 and errno. */
static int datagram_open_multicast(const struct sockaddr_in *at, bool joins,
	const struct sockaddr_in *local, unsigned char ttl)
{
	struct sockaddr_storage address = { 0 };
	struct ip_mreqn interface = { .imr_multiaddr = at->sin_addr,
		.imr_address = local->sin_addr };

	memcpy(&address, at, sizeof(*at));
	int fd = datagram_bind(&address, BUFFER_BYTES, joins);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof(interface)) < 0 ||
		setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl)) < 0 ||
		(joins && setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &interface,
				  sizeof(interface)) < 0)) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

struct datagram_pair *datagram_group_new(const struct sockaddr_in *local,
	const struct sockaddr_in *group, unsigned char ttl, const struct datagram_events *events,
	void *arg)
{
	struct datagram_pair *pair = xcalloc(1, sizeof(*pair));
	struct sockaddr_in rtcp = *group;

	rtcp.sin_port = htons((uint16_t)(ntohs(group->sin_port) + 1));
	pair->port = ntohs(group->sin_port);
	pair->fds[DATAGRAM_RTP] = datagram_open_multicast(local, false, local, ttl);
	pair->fds[DATAGRAM_RTCP] =
		pair->fds[DATAGRAM_RTP] < 0 ? -1 : datagram_open_multicast(&rtcp, true, local, ttl);
	if (pair->fds[DATAGRAM_RTCP] < 0) {
		int error = errno;

		if (pair->fds[DATAGRAM_RTP] >= 0)
			close(pair->fds[DATAGRAM_RTP]);
		free(pair);
		errno = error;
		return NULL;
	}
	datagram_pair_set_peer(pair, DATAGRAM_RTP, (const struct sockaddr *)group, sizeof(*group));
	datagram_pair_set_peer(pair, DATAGRAM_RTCP, (const struct sockaddr *)&rtcp, sizeof(rtcp));
	return datagram_pair_start(pair, events, arg);
}

static void datagram_pair_fini(void *object)
{
	struct datagram_pair *pair = object;

	for (int i = 0; i < 2; i++) {
		event_free(pair->reads[i]);
		close(pair->fds[i]);
	}
	free(pair);
}

void datagram_pair_free(struct datagram_pair *pair)
{
	if (!pair)
		return;
	pair->events = NULL;
	for (int i = 0; i < 2; i++)
		event_del(pair->reads[i]);
	reactor_free_later(&pair->dead, datagram_pair_fini, pair);
}

uint16_t datagram_pair_port(const struct datagram_pair *pair)
{
	return pair->port;
}

void datagram_pair_set_peer(struct datagram_pair *pair, enum datagram_kind kind,
	const struct sockaddr *to, socklen_t to_bytes)
{
	memcpy(&pair->peers[kind], to, to_bytes);
	pair->peer_bytes[kind] = to_bytes;
}

/* --- sending --- */

/* What one system call sends: messages of one datagram, or of several that the kernel cuts. */
struct datagram_batch {
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
	} sizes[BATCH];
	unsigned n;
};

/* How many of them the kernel can cut from one message: all of one size, the last one may be shorter. */
static size_t datagram_run(const struct iovec *parts, size_t n)
{
	size_t size = parts[0].iov_len, bytes = size, run = 1;

	while (run < n && parts[run - 1].iov_len == size && parts[run].iov_len <= size &&
		parts[run].iov_len > 0 && bytes + parts[run].iov_len <= RUN_BYTES)
		bytes += parts[run++].iov_len;
	return run;
}

/* The next message: so many datagrams. */
static void datagram_add(struct datagram_batch *batch, struct datagram_pair *pair,
	enum datagram_kind kind, struct iovec *parts, size_t run)
{
	struct cmsghdr *head = &batch->sizes[batch->n].head;
	struct msghdr *message = &batch->messages[batch->n++].msg_hdr;
	uint16_t size = (uint16_t)parts[0].iov_len;

	*message = (struct msghdr){
		.msg_name = &pair->peers[kind],
		.msg_namelen = pair->peer_bytes[kind],
		.msg_iov = parts,
		.msg_iovlen = run,
	};
	if (run == 1)
		return;
	*head = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(size)), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT
	};
	memcpy(CMSG_DATA(head), &size, sizeof(size));
	message->msg_control = head;
	message->msg_controllen = CMSG_SPACE(sizeof(size));
}

/* Returns how many of the packets went; 0 and errno. */
static size_t datagram_send_batch(
	struct datagram_pair *pair, enum datagram_kind kind, const struct iovec *packets, size_t n)
{
	struct datagram_batch batch;
	size_t sent = 0;
	int done;

	batch.n = 0;
	memcpy(batch.parts, packets, n * sizeof(*packets));
	for (size_t i = 0, run; i < n; i += run) {
		run = pair->cuts ? datagram_run(batch.parts + i, n - i) : 1;
		datagram_add(&batch, pair, kind, batch.parts + i, run);
	}
	done = sendmmsg(pair->fds[kind], batch.messages, batch.n, MSG_DONTWAIT);
	for (int i = 0; i < done; i++)
		sent += batch.messages[i].msg_hdr.msg_iovlen;
	return sent;
}

size_t datagram_pair_send(
	struct datagram_pair *pair, enum datagram_kind kind, const struct iovec *packets, size_t n)
{
	size_t sent = 0;

	while (sent < n) {
		size_t count = n - sent < BATCH ? n - sent : BATCH;
		size_t went = datagram_send_batch(pair, kind, packets + sent, count);

		sent += went;
		if (went > 0)
			continue;
		/* the way there may be too narrow for one datagram, or its device unable: each by itself then */
		if (!pair->cuts || errno == EAGAIN || errno == ENOBUFS ||
			datagram_run(packets + sent, count) == 1)
			break;
		pair->cuts = false;
	}
	return sent;
}
