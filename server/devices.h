#pragma once

#include <stdbool.h>

#include "server/base/attributes.h"

struct config;
struct discovery;
struct http_server;

/*
 * Cameras that are ONVIF devices of their own (onvif.devices): a listener for each, which shows that camera alone. And what WS-Discovery
 * tells of them and of nvrd itself.
 */
struct devices;

/* Listens. NULL, with the reason logged, when one cannot. */
struct devices *devices_new(const struct config *config, bool loopback_only) MUST_CHECK;
void devices_free(struct devices *devices); /* closes all connections; NULL is fine */
/* Tells who is to be found by the configuration; `http` and `https` are nvrd's own, or NULL. Again when another is in force. */
void devices_announce(const struct devices *devices, struct discovery *discovery,
	const struct config *config, const struct http_server *http,
	const struct http_server *https);
