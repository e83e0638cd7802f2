#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;

/* IP addresses and networks (RFC 4291, RFC 4632). An IPv4 address is held as ::ffff:192.0.2.1. */

struct network_address {
	uint8_t bytes[16];
};
struct network {
	struct network_address address;
	unsigned bits; /* of it that count, of 128 */
};

/* n bytes of text: "192.0.2.1" or "2001:db8::1". False: neither. */
bool network_address_parse(struct network_address *ret, const char *p, size_t n);
/* False: of another family. */
bool network_address_of(struct network_address *ret, const struct sockaddr *address);
/* Returns ret. */
const char *network_address_write(
	const struct network_address *address, char ret[INET6_ADDRSTRLEN]);

/* "10.0.0.0/8", "2001:db8::/32", or an address alone. False: none of them. */
bool network_parse(struct network *ret, const char *text);
bool network_has(const struct network *network, const struct network_address *address);

/*
 * A multicast group for RTP: "239.1.2.3" or "239.1.2.3:5004", port 5004 (RFC 3551 section 8) when there is none;
 * 224.0.0.x is for routing. The port is even and has NETWORK_GROUP_PORTS - 1 behind it. False: it is none.
 */
enum {
	NETWORK_GROUP_PORTS = 16
};
bool network_group_parse(struct sockaddr_in *ret, const char *text);
