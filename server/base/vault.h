#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/base/attributes.h"

/*
 * Secrets at rest: AES-256-GCM (NIST SP 800-38D) with a key that is in a file of its own. A sealed value is the base64
 * (RFC 4648 section 4) of a version, 1, the nonce of 12 bytes, what is encrypted, and the tag of 16 bytes. The nonce is
 * made of the secret by HMAC-SHA-256, so that the same secret in the same place always looks the same, and no nonce is
 * ever used for two of them. A place, such as "cameras.*.source", is authenticated with it: elsewhere it is of no use.
 */
struct vault;

enum {
	VAULT_KEY_BYTES = 32
};

/*
 * The vault of which a file has the key, made with a new one where there is no file and `make` says so. NULL and what
 * is wrong in *why, which the caller frees: no other user of the machine may be able to read it. Blocks.
 */
struct vault *vault_open(const char *file, bool make, char **why) MUST_CHECK;
/* The same of a key at hand. */
struct vault *vault_new(const unsigned char key[VAULT_KEY_BYTES]) MUST_CHECK;
void vault_free(struct vault *vault); /* forgets the key; NULL is fine */

/* The n bytes as text, which the caller frees. */
char *vault_seal(const struct vault *vault, const char *place, const char *secret, size_t n);
/* The secret, NUL-ended, for memory_free_secret(); or NULL and what is wrong (static). */
char *vault_unseal(const struct vault *vault, const char *place, const char *text,
	size_t *ret_bytes, const char **why) MUST_CHECK;
/* Whether a text looks like a sealed value. */
bool vault_is_sealed(const char *text);
/* Whether a text is what a file with a key holds: nobody may be shown that. */
bool vault_is_key(const char *text);
