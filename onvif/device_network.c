/* What the device service tells of the network: as the machine has it. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/device_service.h"
#include "protocols/http_server.h"
#include "server/base/address.h"
#include "server/base/listener.h"

#define TDS SOAP_DEVICE_SPACE
#define TT SOAP_SCHEMA_SPACE

enum {
	INTERFACES = 64 /* that are told of */
};

static int count_bits(const uint8_t *p, size_t n)
{
	int bits = 0;

	for (size_t i = 0; i < n; i++)
		bits += __builtin_popcount(p[i]);
	return bits;
}

static int prefix_length(const struct sockaddr *mask)
{
	struct sockaddr_in6 six;
	struct sockaddr_in four;

	if (mask && mask->sa_family == AF_INET) {
		memcpy(&four, mask, sizeof(four));
		return count_bits((const uint8_t *)&four.sin_addr, sizeof(four.sin_addr));
	}
	if (mask && mask->sa_family == AF_INET6) {
		memcpy(&six, mask, sizeof(six));
		return count_bits((const uint8_t *)&six.sin6_addr, sizeof(six.sin6_addr));
	}
	return 0;
}

struct telling {
	struct onvif_call *call;
	const struct ifaddrs *all;
	/* Where the device listens that a camera is, if that is one of the machine's addresses: it has no other. "": all are told of. */
	char only[ADDRESS_HOST_BYTES];
};

static bool address_is_told(const struct telling *telling, const struct ifaddrs *a)
{
	char host[ADDRESS_HOST_BYTES];

	if (!a->ifa_addr ||
		(a->ifa_addr->sa_family != AF_INET && a->ifa_addr->sa_family != AF_INET6))
		return false;
	return !telling->only[0] || !strcmp(address_write_host(host, a->ifa_addr), telling->only);
}

/* The first address from there on; of one interface, or any (NULL). */
static const struct ifaddrs *find_address(
	const struct telling *telling, const struct ifaddrs *a, const char *name)
{
	while (a && (!address_is_told(telling, a) || (name && strcmp(a->ifa_name, name) != 0)))
		a = a->ifa_next;
	return a;
}

/* The addresses of one interface and family. */
static void write_addresses(
	const struct telling *telling, xmlNode *config, const char *name, int family)
{
	const struct ifaddrs *a = telling->all;
	char host[ADDRESS_HOST_BYTES];
	xmlNode *address;

	for (; (a = find_address(telling, a, name)); a = a->ifa_next) {
		if (a->ifa_addr->sa_family != family)
			continue;
		address = soap_add(config, TT, "Manual");
		soap_add_text(address, TT, "Address", address_write_host(host, a->ifa_addr));
		soap_add_integer(address, TT, "PrefixLength", prefix_length(a->ifa_netmask));
	}
}

/* A camera that is a device has another hardware address than the machine. */
static void write_info(const struct onvif_call *call, xmlNode *interface, const struct ifaddrs *a)
{
	char uuid[ONVIF_UUID_BYTES], own[ONVIF_HARDWARE_BYTES];
	xmlNode *info = soap_add(interface, TT, "Info");
	struct sockaddr_ll link;

	memcpy(&link, a->ifa_addr, sizeof(link));
	const unsigned char *mac = link.sll_addr;
	soap_add_text(info, TT, "Name", a->ifa_name);
	if (call->camera)
		soap_add_text(info, TT, "HwAddress",
			onvif_hardware_address(own, onvif_call_uuid(call, uuid)));
	else
		soap_add_format(info, TT, "HwAddress", "%02x:%02x:%02x:%02x:%02x:%02x", mac[0],
			mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void write_interface(const struct telling *telling, const struct ifaddrs *a)
{
	xmlNode *interface = soap_add(telling->call->answer, TDS, "NetworkInterfaces"), *config;

	soap_set(interface, "token", a->ifa_name);
	soap_add_bool(interface, TT, "Enabled", (a->ifa_flags & IFF_UP) != 0);
	write_info(telling->call, interface, a);
	config = soap_add(interface, TT, "IPv4");
	soap_add_bool(config, TT, "Enabled", true);
	config = soap_add(config, TT, "Config");
	write_addresses(telling, config, a->ifa_name, AF_INET);
	soap_add_bool(config, TT, "DHCP", false); /* it is not ours to know */
	config = soap_add(interface, TT, "IPv6");
	soap_add_bool(config, TT, "Enabled", true);
	config = soap_add(config, TT, "Config");
	soap_add_text(config, TT, "DHCP", "Off");
	write_addresses(telling, config, a->ifa_name, AF_INET6);
}

static void telling_init(
	struct telling *telling, struct onvif_call *call, const struct ifaddrs *all)
{
	struct sockaddr_storage address;

	*telling = (struct telling){ .call = call, .all = all };
	if (!call->camera || !listener_resolve(http_server_address_of(call->http), false, &address))
		return;
	(void)address_write_host(telling->only, (const struct sockaddr *)&address);
	if (!find_address(telling, all, NULL))
		telling->only[0] = '\0';
}

/* The loopback interface is told of only where there is no other: in test beds. */
bool device_get_interfaces(struct onvif_call *call)
{
	struct ifaddrs *all = NULL;
	struct telling telling;
	int n = 0;

	if (getifaddrs(&all) < 0)
		return onvif_call_refuse(call, ONVIF_FAULT_BUSY);
	telling_init(&telling, call, all);
	for (unsigned loopback = 0; loopback <= IFF_LOOPBACK && !n; loopback += IFF_LOOPBACK) {
		for (const struct ifaddrs *a = all; a && n < INTERFACES; a = a->ifa_next) {
			if (!a->ifa_addr || a->ifa_addr->sa_family != AF_PACKET ||
				(a->ifa_flags & IFF_LOOPBACK) != loopback ||
				(telling.only[0] && !find_address(&telling, all, a->ifa_name)))
				continue;
			write_interface(&telling, a);
			n++;
		}
	}
	freeifaddrs(all);
	return true;
}

static void write_protocol(xmlNode *answer, const char *name, const char *address)
{
	const char *port = address ? strrchr(address, ':') : NULL;
	xmlNode *protocol;

	if (!port)
		return;
	protocol = soap_add(answer, TDS, "NetworkProtocols");
	soap_add_text(protocol, TT, "Name", name);
	soap_add_bool(protocol, TT, "Enabled", true);
	soap_add_integer(protocol, TT, "Port", strtol(port + 1, NULL, 10));
}

bool device_get_protocols(struct onvif_call *call)
{
	const struct onvif_setup *setup = onvif_setup();

	if (call->camera) {
		write_protocol(call->answer, "HTTP", http_server_address_of(call->http));
	} else {
		write_protocol(call->answer, "HTTP", setup->config->listen.http);
		write_protocol(call->answer, "HTTPS", setup->config->listen.https);
	}
	write_protocol(call->answer, "RTSP", setup->rtsp);
	return true;
}

/* --- what is the machine's business, and not known here --- */

bool device_get_gateway(struct onvif_call *call)
{
	(void)soap_add(call->answer, TDS, "NetworkGateway");
	return true;
}

bool device_get_dns(struct onvif_call *call)
{
	soap_add_bool(soap_add(call->answer, TDS, "DNSInformation"), TT, "FromDHCP", false);
	return true;
}

bool device_get_ntp(struct onvif_call *call)
{
	soap_add_bool(soap_add(call->answer, TDS, "NTPInformation"), TT, "FromDHCP", false);
	return true;
}
