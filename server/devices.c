#include "server/devices.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "onvif/discovery.h"
#include "onvif/onvif_call.h"
#include "onvif/onvif_identity.h"
#include "onvif/onvif_service.h"
#include "protocols/http_server.h"
#include "protocols/live.h"
#include "server/base/config.h"
#include "server/base/listener.h"
#include "server/base/log.h"
#include "server/base/memory.h"

/* Snapshots, and what else there is of one camera. */
static const struct http_route routes[] = {
	{"/live/",     HTTP_GET,      ROLE_VIEWER, live_get  },
	{ ONVIF_ROUTE, ONVIF_METHODS, ROLE_VIEWER, onvif_post},
	{ NULL,        0,             ROLE_VIEWER, NULL      },
};

struct device {
	TAILQ_ENTRY(device) entry;
	char *camera;
	struct http_server *server;
};

struct devices {
	TAILQ_HEAD(, device) all;
	size_t n;
};

static bool devices_listen(
	struct devices *devices, const struct config_device *config, bool loopback_only)
{
	struct http_server *server = http_server_new(config->address, loopback_only, NULL, routes);
	struct device *device;

	if (!server) {
		log_error(NULL, "onvif.devices.%s %s: %s", config->camera, config->address,
			strerror(errno));
		return false;
	}
	http_server_show_only(server, config->camera);
	log_info(NULL, "onvif: %s is a device at %s", config->camera, http_server_address(server));
	device = xcalloc(1, sizeof(*device));
	device->camera = xstrdup(config->camera);
	device->server = server;
	TAILQ_INSERT_TAIL(&devices->all, device, entry);
	devices->n++;
	return true;
}

struct devices *devices_new(const struct config *config, bool loopback_only)
{
	struct devices *devices = xcalloc(1, sizeof(*devices));
	const struct config_device *device;

	TAILQ_INIT(&devices->all);
	TAILQ_FOREACH (device, &config->onvif.devices, entry) {
		if (device->address && !devices_listen(devices, device, loopback_only)) {
			devices_free(devices);
			return NULL;
		}
	}
	return devices;
}

void devices_free(struct devices *devices)
{
	struct device *device;

	if (!devices)
		return;
	while ((device = TAILQ_FIRST(&devices->all))) {
		TAILQ_REMOVE(&devices->all, device, entry);
		http_server_free(device->server);
		free(device->camera);
		free(device);
	}
	free(devices);
}

/* --- who is to be found --- */

/* By IPv4, which also comes to [::]. What is no such place stays as it is. */
static void add_place(struct discovery_self *self, const struct http_server *server, bool tls)
{
	struct discovery_place *place = &self->places[self->places[0].port != 0];
	struct sockaddr_storage address;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (!server || !listener_resolve(http_server_address(server), false, &address))
		return;
	memcpy(&v4, &address, sizeof(v4));
	memcpy(&v6, &address, sizeof(v6));
	if (v4.sin_family == AF_INET)
		*place = (struct discovery_place){ tls, v4.sin_addr, ntohs(v4.sin_port) };
	else if (IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr))
		*place = (struct discovery_place){ .tls = tls, .port = ntohs(v6.sin6_port) };
}

void devices_announce(const struct devices *devices, struct discovery *discovery,
	const struct config *config, const struct http_server *http,
	const struct http_server *https)
{
	struct discovery_self *selves = xcalloc(devices->n + 1, sizeof(*selves));
	char uuid[ONVIF_UUID_BYTES];
	const struct device *device;
	size_t n = 0;

	if (config->onvif.discoverable) {
		selves[n].uuid = xstrdup(onvif_setup()->uuid);
		selves[n].scopes = onvif_write_scopes(config, NULL);
		add_place(&selves[n], http, false);
		add_place(&selves[n++], https, true);
		TAILQ_FOREACH (device, &devices->all, entry) {
			selves[n].uuid = xstrdup(
				onvif_identity_of(uuid, onvif_setup()->uuid, device->camera));
			selves[n].scopes = onvif_write_scopes(config, device->camera);
			add_place(&selves[n++], device->server, false);
		}
	}
	discovery_announce(discovery, selves, n);
	for (size_t i = 0; i < n; i++) {
		free(selves[i].uuid);
		free(selves[i].scopes);
	}
	free(selves);
}
