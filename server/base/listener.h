#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server/base/attributes.h"

struct listener;

/*
 * Listens on "address:port" ("0.0.0.0:8080", "[::]:8080", ":8080" for all addresses); port 0 takes a free one.
 * Each accepted socket (non-blocking, close-on-exec, TCP_NODELAY) is handed to on_accept, which
 * owns it. With loopback_only, an address that is not loopback becomes 127.0.0.1 with the same port.
 * Returns NULL with errno set and the reason logged by the caller.
 */
struct listener *listener_new(const char *address, bool loopback_only,
	void (*on_accept)(void *arg, int fd, const struct sockaddr *peer, int peer_bytes),
	void *arg);
/*
 * The address that listener_new() would bind to, for other sockets. Returns its length; 0: it cannot be understood.
 */
int listener_resolve(
	const char *address, bool loopback_only, struct sockaddr_storage *ret) MUST_CHECK;
void listener_free(struct listener *listener);

/* The address in use, as "127.0.0.1:8080"; valid while the listener lives. */
const char *listener_address(const struct listener *listener);
uint16_t listener_port(const struct listener *listener);
