#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * What was seen lately: a bounded set of hashes that expire. The hashes are keyed by the process (HMAC-SHA-256),
 * so that nothing can be learnt of a secret from them. now_us is of a clock that never steps.
 */
struct recent;

enum {
	RECENT_KEY_BYTES = 32
};

/* At most so many; the one that was longest not added makes room. */
struct recent *recent_new(size_t limit, int64_t life_us);
void recent_free(struct recent *recent); /* NULL is fine */
void recent_clear(struct recent *recent);

/* The hash of these texts, of any length; `parts` ends with a NULL. */
void recent_key(unsigned char ret[RECENT_KEY_BYTES], const char *const parts[]);
/* The same by a secret of the caller's: any process that knows it has the same hash. */
void recent_key_by(
	unsigned char ret[RECENT_KEY_BYTES], const char *secret, const char *const parts[]);

/* Whether it was added less than life_us ago. */
bool recent_has(
	const struct recent *recent, const unsigned char key[RECENT_KEY_BYTES], int64_t now_us);
/* Adds it, or begins its life anew. */
void recent_add(struct recent *recent, const unsigned char key[RECENT_KEY_BYTES], int64_t now_us);
