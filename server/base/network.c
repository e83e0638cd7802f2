/* IP addresses and networks. Pure functions of text. */
#include "server/base/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t v4_mapped[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

enum {
	V4_BITS = 8 * sizeof(v4_mapped) /* that come before an IPv4 address */
};

bool network_address_parse(struct network_address *ret, const char *p, size_t n)
{
	struct network_address found;
	char text[INET6_ADDRSTRLEN];

	if (n >= sizeof(text) || memchr(p, '\0', n))
		return false;
	memcpy(text, p, n);
	text[n] = '\0';
	memcpy(found.bytes, v4_mapped, sizeof(v4_mapped));
	if (inet_pton(AF_INET, text, found.bytes + sizeof(v4_mapped)) != 1 &&
		inet_pton(AF_INET6, text, found.bytes) != 1)
		return false;
	*ret = found;
	return true;
}

bool network_address_of(struct network_address *ret, const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

	if (address->sa_family == AF_INET) {
		memcpy(ret->bytes, v4_mapped, sizeof(v4_mapped));
		memcpy(ret->bytes + sizeof(v4_mapped), &v4->sin_addr, sizeof(v4->sin_addr));
	} else if (address->sa_family == AF_INET6) {
		memcpy(ret->bytes, &v6->sin6_addr, sizeof(ret->bytes));
	} else {
		return false;
	}
	return true;
}

const char *network_address_write(const struct network_address *address, char ret[INET6_ADDRSTRLEN])
{
	bool is_v4 = memcmp(address->bytes, v4_mapped, sizeof(v4_mapped)) == 0;
	const void *bytes = is_v4 ? address->bytes + sizeof(v4_mapped) : address->bytes;

	if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes, ret, INET6_ADDRSTRLEN))
		ret[0] = '\0';
	return ret;
}

bool network_parse(struct network *ret, const char *text)
{
	size_t n = strcspn(text, "/");
	bool is_v4 = !memchr(text, ':', n);
	unsigned most = is_v4 ? 32 : 128, bits = 0;
	struct network found;

	if (!network_address_parse(&found.address, text, n))
		return false;
	if (!text[n]) {
		bits = most;
	} else {
		const char *digits = text + n + 1;
		size_t length = strspn(digits, "0123456789");

		if (length < 1 || length > 3 || digits[length])
			return false;
		for (size_t i = 0; i < length; i++)
			bits = bits * 10 + (unsigned)(digits[i] - '0');
		if (bits > most)
			return false;
	}
	found.bits = bits + (is_v4 ? V4_BITS : 0);
	*ret = found;
	return true;
}

bool network_has(const struct network *network, const struct network_address *address)
{
	unsigned whole = network->bits / 8, rest = network->bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(network->address.bytes, address->bytes, whole) != 0)
		return false;
	return rest == 0 || ((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

bool network_group_parse(struct sockaddr_in *ret, const char *text)
{
	size_t n = strcspn(text, ":"), digits = strspn(text + n + (text[n] == ':'), "0123456789");
	const char *port_text = text + n + 1;
	struct sockaddr_in group = { .sin_family = AF_INET };
	unsigned long port = 5004;
	char host[INET_ADDRSTRLEN];

	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, &group.sin_addr) != 1)
		return false;
	if (text[n]) {
		if (digits < 4 || digits > 5 || port_text[digits])
			return false;
		port = strtoul(port_text, NULL, 10);
	}
	uint32_t address = ntohl(group.sin_addr.s_addr);
	if (!IN_MULTICAST(address) || address >> 8 == INADDR_UNSPEC_GROUP >> 8 || port % 2 ||
		port < 1024 || port > UINT16_MAX + 1 - NETWORK_GROUP_PORTS)
		return false;
	group.sin_port = htons((uint16_t)port);
	*ret = group;
	return true;
}
