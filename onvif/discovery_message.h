#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onvif/discovery_scope.h"
#include "server/base/attributes.h"

/* Datagrams of WS-Discovery (April 2005), as ONVIF devices send them (Core Specification, "Device discovery"). Pure. */

#define DISCOVERY_GROUP "239.255.255.250"

enum {
	DISCOVERY_PORT = 3702,
	DISCOVERY_BYTES = 32 << 10, /* the longest one that is read */
	DISCOVERY_TEXT_BYTES = 64,
	DISCOVERY_ID_BYTES = 128, /* of a message, of a device */
	DISCOVERY_SCOPES_BYTES = 4096,
	DISCOVERY_ASKED_BYTES = 1024 /* of scopes, which each of us compares */
};

enum discovery_kind {
	DISCOVERY_HERE, /* a Hello, or an answer to a Probe */
	DISCOVERY_BYE
};

struct discovery_device {
	char endpoint[DISCOVERY_ID_BYTES]; /* "urn:uuid:…", which stays the same */
	/* Of what follows nothing is known after a Bye. */
	bool tls;
	uint16_t port;  /* of its device service; the host is whoever sends this */
	char path[128]; /* likewise, of letters that need no quoting */
	/* Of its scopes, printable ASCII; "" when unsaid. */
	char name[DISCOVERY_TEXT_BYTES], hardware[DISCOVERY_TEXT_BYTES];
	char profiles[DISCOVERY_TEXT_BYTES]; /* "Streaming, T" */
};

/* What somebody asks, who may mean a device of the types that we are: dn:NetworkVideoTransmitter, tds:Device. */
struct discovery_question {
	char id[DISCOVERY_ID_BYTES]; /* of the message; never "" */
	bool is_resolve;
	char endpoint[DISCOVERY_ID_BYTES]; /* of a Resolve */
	/* of a Probe */
	enum discovery_rule rule;
	char scopes[DISCOVERY_ASKED_BYTES];
};

/*
 * Tells of the devices that send video in a datagram of n bytes, or of what is asked in it; there may be nothing. Returns 0, or -EBADMSG
 * and a static *why: it is no message of WS-Discovery.
 */
struct discovery_events {
	void (*on_device)(
		void *arg, enum discovery_kind kind, const struct discovery_device *device);
	void (*on_question)(void *arg, const struct discovery_question *question);
};
int discovery_message_parse(const char *p, size_t n, const struct discovery_events *events,
	void *arg, const char **why) MUST_CHECK;

/* --- writing: a message of *bytes, which the caller frees; `uuid` is its own: 8-4-4-4-12 hexadecimal digits --- */

/* A Probe for devices that send video. */
char *discovery_write_probe(const char *uuid, size_t *bytes) MUST_CHECK;

enum discovery_statement {
	DISCOVERY_SAY_HELLO,
	DISCOVERY_SAY_BYE,
	DISCOVERY_SAY_MATCH,  /* a ProbeMatches with this device alone */
	DISCOVERY_SAY_RESOLVE /* a ResolveMatches */
};
/* What a device says of itself. */
struct discovery_words {
	const char *endpoint; /* "urn:uuid:…" */
	/* but for a Bye: */
	const char *scopes, *addresses; /* URIs, with blanks between them */
	uint32_t version;               /* of these */
	/* "Application sequencing": of this life of the program, and of the message in it */
	uint32_t instance, number;
	const char *relates_to; /* what a match answers */
};
char *discovery_write(enum discovery_statement statement, const char *uuid,
	const struct discovery_words *words, size_t *bytes) MUST_CHECK;
