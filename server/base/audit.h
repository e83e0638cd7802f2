#pragma once

#include "server/base/attributes.h"

struct sockaddr;

/*
 * Who did what: a log line for each login, failed login, change of files by people, publishing of a camera, talk to
 * one, and change of the configuration. It is written whatever log.level says: as JSON with the members audit (what was done), user,
 * address and protocol; as text `audit login: user anna: address 192.0.2.1: protocol http: …`.
 */

struct audit_actor {
	const char *user;               /* as he named himself; NULL: nobody was asked for a name */
	const struct sockaddr *address; /* NULL: it did not come from the network */
	const char *protocol;           /* static: "http", "rtsp", "ftp", "signal" */
};

/* `what` is a static word: "login", "login-failed", "delete", …; the message says what of, without secrets. */
void audit(const struct audit_actor *actor, const char *what, const char *format, ...) PRINTF(3, 4);

/* The address as text, without a port. */
enum {
	AUDIT_ADDRESS_BYTES = 46
};
void audit_write_address(char ret[AUDIT_ADDRESS_BYTES], const struct sockaddr *address);
