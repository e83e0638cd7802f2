/* Hosts of socket addresses. */
#include "server/base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const struct sockaddr_in *v4_of(const struct sockaddr *address)
{
	return (const struct sockaddr_in *)(const void *)address;
}

static const struct sockaddr_in6 *v6_of(const struct sockaddr *address)
{
	return (const struct sockaddr_in6 *)(const void *)address;
}

uint32_t address_ipv4(const struct sockaddr *address)
{
	const struct in6_addr *v6;
	uint32_t v4;

	if (address->sa_family == AF_INET)
		return v4_of(address)->sin_addr.s_addr;
	if (address->sa_family != AF_INET6)
		return 0;
	v6 = &v6_of(address)->sin6_addr;
	memcpy(&v4, &v6->s6_addr[12], sizeof(v4));
	return IN6_IS_ADDR_V4MAPPED(v6) ? v4 : 0;
}

bool address_is_same_host(const struct sockaddr *a, const struct sockaddr *b)
{
	if (address_ipv4(a) || address_ipv4(b))
		return address_ipv4(a) == address_ipv4(b);
	return a->sa_family == AF_INET6 && b->sa_family == AF_INET6 &&
	       memcmp(&v6_of(a)->sin6_addr, &v6_of(b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

bool address_is_loopback(const struct sockaddr *address)
{
	uint32_t v4 = address_ipv4(address);

	if (v4)
		return ntohl(v4) >> 24 == IN_LOOPBACKNET;
	return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6_of(address)->sin6_addr);
}

uint16_t address_port(const struct sockaddr *address)
{
	return ntohs(address->sa_family == AF_INET6 ? v6_of(address)->sin6_port
						    : v4_of(address)->sin_port);
}

socklen_t address_bytes(const struct sockaddr *address)
{
	return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					      : sizeof(struct sockaddr_in);
}

char *address_write_host(char ret[ADDRESS_HOST_BYTES], const struct sockaddr *address)
{
	struct in_addr v4 = { .s_addr = address_ipv4(address) };
	const void *bytes = &v6_of(address)->sin6_addr;
	bool is_v4 = v4.s_addr || address->sa_family != AF_INET6;

	if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? &v4 : bytes, ret, ADDRESS_HOST_BYTES))
		*ret = '\0';
	return ret;
}
