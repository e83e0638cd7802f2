#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* Datagrams of WS-Discovery (April 2005), as ONVIF devices send them (Core Specification, "Device discovery"). Pure. */

#define DISCOVERY_GROUP "239.255.255.250"

enum {
	DISCOVERY_PORT = 3702,
	DISCOVERY_BYTES = 32 << 10, /* the longest one that is read */
	DISCOVERY_TEXT_BYTES = 64
};

enum discovery_kind {
	DISCOVERY_HERE, /* a Hello, or an answer to a Probe */
	DISCOVERY_BYE
};

struct discovery_device {
	char endpoint[128]; /* "urn:uuid:…", which stays the same */
	/* Of what follows nothing is known after a Bye. */
	bool tls;
	uint16_t port;  /* of its device service; the host is whoever sends this */
	char path[128]; /* likewise, of letters that need no quoting */
	/* Of its scopes, printable ASCII; "" when unsaid. */
	char name[DISCOVERY_TEXT_BYTES], hardware[DISCOVERY_TEXT_BYTES];
	char profiles[DISCOVERY_TEXT_BYTES]; /* "Streaming, T" */
};

/*
 * Tells of the devices that send video in a datagram of n bytes; there may be none. Returns 0, or -EBADMSG and a static *why: it is no
 * message of WS-Discovery.
 */
typedef void discovery_fn(
	void *arg, enum discovery_kind kind, const struct discovery_device *device);
int discovery_message_parse(
	const char *p, size_t n, discovery_fn *tell, void *arg, const char **why) MUST_CHECK;

/* A Probe for devices that send video, of *bytes, which the caller frees; `uuid` is its own: 8-4-4-4-12 hexadecimal digits. */
char *discovery_write_probe(const char *uuid, size_t *bytes) MUST_CHECK;
