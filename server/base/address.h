#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Hosts of socket addresses, IPv4 and IPv6; an IPv4 address that is mapped into IPv6 is the same as that. */

enum {
	ADDRESS_HOST_BYTES = 46
};

/* The IPv4 address in the network's order; 0 when it is none. */
uint32_t address_ipv4(const struct sockaddr *address);
bool address_is_same_host(const struct sockaddr *a, const struct sockaddr *b);
bool address_is_loopback(const struct sockaddr *address);
uint16_t address_port(const struct sockaddr *address);
/* What bind(2) and connect(2) want to know of an IPv4 or IPv6 address. */
socklen_t address_bytes(const struct sockaddr *address);
/* "192.0.2.1", "2001:db8::1". Returns ret. */
char *address_write_host(char ret[ADDRESS_HOST_BYTES], const struct sockaddr *address);
