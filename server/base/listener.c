/* A listening socket and the addresses that people write for it. */
#include "server/base/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/listener.h>
#include <event2/util.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

enum {
	BACKLOG = 128,
	RETRY_US = 1000000,
	ADDRESS_BYTES = 64
};

struct listener {
	struct evconnlistener *events;
	void (*on_accept)(void *arg, int fd, const struct sockaddr *peer, int peer_bytes);
	void *arg;
	char address[ADDRESS_BYTES];
	uint16_t port;
	struct log_name log;
	struct log_repeated again;
	struct event *retry_timer; /* accepting again after the process ran out of descriptors */
};

/* "host:port" as a socket address; ":port" is every address. Returns its length, or 0. */
static int listener_parse(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	const char *colon = strrchr(text, ':');
	char host[ADDRESS_BYTES], *bracket, *end;
	unsigned long port;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return 0;
	port = strtoul(colon + 1, &end, 10);
	if (*end || port > UINT16_MAX)
		return 0;
	memset(ret, 0, sizeof(*ret));
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (!host[0])
		snprintf(host, sizeof(host), "0.0.0.0");
	else if (!strcmp(host, "localhost"))
		snprintf(host, sizeof(host), "127.0.0.1");
	if (evutil_inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof(*v4);
	}
	bracket = strchr(host, ']');
	if (host[0] != '[' || !bracket || bracket[1])
		return 0;
	*bracket = '\0';
	if (evutil_inet_pton(AF_INET6, host + 1, &v6->sin6_addr) != 1)
		return 0;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	return sizeof(*v6);
}

static bool listener_is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	if (address->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int listener_to_loopback(struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	uint16_t port = address->ss_family == AF_INET ? v4->sin_port
						      : ((struct sockaddr_in6 *)address)->sin6_port;

	*v4 = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	return sizeof(*v4);
}

static void listener_on_accept(struct evconnlistener *events, evutil_socket_t fd,
	struct sockaddr *peer, int peer_bytes, void *arg)
{
	struct listener *listener = arg;
	int one = 1;

	(void)events;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	listener->on_accept(listener->arg, fd, peer, peer_bytes);
}

/* Out of descriptors: waiting beats spinning on the same error. */
static void listener_on_error(struct evconnlistener *events, void *arg)
{
	struct listener *listener = arg;

	log_write_repeated(&listener->again, LOG_ERROR, &listener->log, "accept: %s",
		evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	evconnlistener_disable(events);
	reactor_timer_start(listener->retry_timer, RETRY_US);
}

static void listener_on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)fd, (void)what;
	evconnlistener_enable(listener->events);
}

static void listener_name(struct listener *listener)
{
	struct sockaddr_storage address = { 0 };
	socklen_t n = sizeof(address);
	char host[INET6_ADDRSTRLEN] = "?";
	bool v6;

	if (getsockname(evconnlistener_get_fd(listener->events), (struct sockaddr *)&address, &n) <
		0)
		return;
	v6 = address.ss_family == AF_INET6;
	// NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): getsockname has filled it
	listener->port = ntohs(v6 ? ((struct sockaddr_in6 *)&address)->sin6_port
				  : ((struct sockaddr_in *)&address)->sin_port);
	evutil_inet_ntop(address.ss_family,
		v6 ? (void *)&((struct sockaddr_in6 *)&address)->sin6_addr
		   : (void *)&((struct sockaddr_in *)&address)->sin_addr,
		host, sizeof(host));
	snprintf(listener->address, sizeof(listener->address), v6 ? "[%s]:%u" : "%s:%u", host,
		listener->port);
}

int listener_resolve(const char *address, bool loopback_only, struct sockaddr_storage *ret)
{
	int n = listener_parse(address, ret);

	return n && loopback_only && !listener_is_loopback(ret) ? listener_to_loopback(ret) : n;
}

struct listener *listener_new(const char *address, bool loopback_only,
	void (*on_accept)(void *arg, int fd, const struct sockaddr *peer, int peer_bytes),
	void *arg)
{
	struct sockaddr_storage socket_address;
	int n = listener_resolve(address, loopback_only, &socket_address);
	struct listener *listener;

	if (!n) {
		errno = EINVAL;
		return NULL;
	}
	listener = xcalloc(1, sizeof(*listener));
	listener->on_accept = on_accept;
	listener->arg = arg;
	listener->events = evconnlistener_new_bind(reactor_base(), listener_on_accept, listener,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, BACKLOG,
		(struct sockaddr *)&socket_address, n);
	if (!listener->events) {
		int error = errno;

		free(listener);
		errno = error;
		return NULL;
	}
	evconnlistener_set_error_cb(listener->events, listener_on_error);
	listener->retry_timer = reactor_timer_new(listener_on_retry, listener);
	listener_name(listener);
	listener->log = (struct log_name){ .kind = "listener", .name = listener->address };
	return listener;
}

void listener_free(struct listener *listener)
{
	if (!listener)
		return;
	reactor_timer_free(&listener->retry_timer);
	evconnlistener_free(listener->events);
	free(listener);
}

const char *listener_address(const struct listener *listener)
{
	return listener->address;
}

uint16_t listener_port(const struct listener *listener)
{
	return listener->port;
}
