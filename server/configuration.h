#pragma once

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "storage/tree.h"

/*
 * The configuration's life while nvrd runs: it is read again, and its files are shown and changed in the tree, all of it by one
 * thread, "config". A change is in force before its client hears of it.
 */
struct configuration;
struct discovery;

struct configuration_owner {
	/* Takes a configuration over; where it names no certificate, tls.server is that of own_certificate(). */
	void (*apply)(void *arg, struct config *config);
	/* The file of the certificate that is used when none is named, which the caller frees; NULL: it is not read again. */
	char *(*own_certificate)(void *arg);
	void *arg;
};

/* Keeps what is now in the file of `config`, and is the tree's keeper of "/config". */
struct configuration *configuration_new(const struct config *config, struct tree *tree,
	const struct configuration_owner *owner) MUST_CHECK;
/* Waits for what has begun, and applies it. Before the tree is freed. NULL is fine. */
void configuration_free(struct configuration *configuration);

/* What "/discovered" shows, until it is NULL. */
void configuration_set_discovery(
	struct configuration *configuration, const struct discovery *discovery);

/* Reads it again, and has it applied when it is right; else the log says why not. */
void configuration_reload(struct configuration *configuration);
