#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * Finds ONVIF devices by WS-Discovery on the networks that the configuration names: asks each minute, and hears who says hello and
 * bye. Nothing is asked of the devices themselves.
 */
struct discovery;

/* Begins at once on these interfaces, NULL-ended or NULL; what cannot be used is logged. */
struct discovery *discovery_new(char *const interfaces[]) MUST_CHECK;
/* Takes other interfaces. */
void discovery_apply(struct discovery *discovery, char *const interfaces[]);
void discovery_free(struct discovery *discovery); /* NULL is fine */

/* A device as a file: the block of a camera, ready to be taken over but for user and password. */
struct discovery_file {
	char name[96]; /* "porch-192-0-2-14.yaml" */
	char *text;
	int64_t seen_us; /* first; since 1970 UTC */
};
/* Those that are there, by name: *n of them, which the caller frees with discovery_files_free(). */
struct discovery_file *discovery_files(const struct discovery *discovery, size_t *n) MUST_CHECK;
void discovery_files_free(struct discovery_file *files, size_t n);
