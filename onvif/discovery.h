#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * Finds ONVIF devices by WS-Discovery on the networks that the configuration names: asks each minute, and hears who says hello and
 * bye. Nothing is asked of the devices themselves. Tells there who we are, too, when it is told who that is.
 */
struct discovery;

/* Begins at once on these interfaces, NULL-ended or NULL; what cannot be used is logged. */
struct discovery *discovery_new(char *const interfaces[]) MUST_CHECK;
/* Takes other interfaces. */
void discovery_apply(struct discovery *discovery, char *const interfaces[]);
void discovery_free(struct discovery *discovery); /* NULL is fine */

/* Where we are found by HTTP. */
struct discovery_place {
	bool tls;
	struct in_addr host; /* INADDR_ANY: each address of the machine */
	uint16_t port;       /* host order; 0: there is no such place */
};
/* One device that we are. Whoever fills it in owns its texts. */
struct discovery_self {
	char *uuid;   /* 8-4-4-4-12 hexadecimal digits */
	char *scopes; /* URIs, with blanks between them */
	struct discovery_place places[2];
};
/*
 * Says hello for each of these, and answers who looks for them, until others are told of; says bye for those of before. The same as before
 * changes nothing; none (n is 0) is the end of it. Each is told of on the networks that its places are on. Copies.
 */
void discovery_announce(struct discovery *discovery, const struct discovery_self *selves, size_t n);

/* A device as a file: the block of a camera, ready to be taken over but for user and password. */
struct discovery_file {
	char name[96]; /* "porch-192-0-2-14.yaml" */
	char *text;
	int64_t seen_us; /* first; since 1970 UTC */
};
/* Those that are there, by name: *n of them, which the caller frees with discovery_files_free(). */
struct discovery_file *discovery_files(const struct discovery *discovery, size_t *n) MUST_CHECK;
void discovery_files_free(struct discovery_file *files, size_t n);
