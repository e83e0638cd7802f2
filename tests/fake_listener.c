/* A listening socket that is none, for servers that are fed without sockets. */
#include "tests/fake_listener.h"

#include <netinet/in.h>

#include "server/base/listener.h"

struct listener {
	void (*on_accept)(void *arg, int fd, const struct sockaddr *peer, int peer_bytes);
	void *arg;
};
static struct listener listener;

struct listener *listener_new(const char *address, bool loopback_only,
	void (*on_accept)(void *arg, int fd, const struct sockaddr *peer, int peer_bytes),
	void *arg)
{
	(void)address, (void)loopback_only;
	listener = (struct listener){ on_accept, arg };
	return &listener;
}

void listener_free(struct listener *l)
{
	(void)l;
}

const char *listener_address(const struct listener *l)
{
	(void)l;
	return "192.0.2.2:443";
}

void fake_listener_accept(void)
{
	static const struct sockaddr_in peer = { .sin_family = AF_INET };

	listener.on_accept(listener.arg, -1, (const struct sockaddr *)&peer, sizeof(peer));
}
