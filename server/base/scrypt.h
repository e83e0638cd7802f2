#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/base/attributes.h"

/*
 * Passwords hashed by scrypt (RFC 7914), as text: "$scrypt$ln=15,r=8,p=1$<salt>$<hash>", with base64 (RFC 4648
 * section 4) without padding. Only who is given the password itself can check it, so not Digest.
 */

/*
 * NULL when the text is a whole hash with parameters that we take, else what is wrong (static): N = 2^ln from
 * 2^10 to 2^17, and at most 64 MiB for one check, 128 N r bytes, with at most 8 times the work of the default.
 */
const char *scrypt_check_text(const char *text);
/* Whether it is meant as such a hash: it begins as one. */
bool scrypt_is_hash(const char *text);

/*
 * Whether the password of n bytes is the one of the hash; false for a text that is none. Takes some 50 ms and
 * 32 MiB with the parameters of scrypt_hash(): not for the reactor.
 */
bool scrypt_matches(const char *text, const char *password, size_t n) MUST_CHECK;

/* The hash of a password with a new salt, which the caller frees. As slow as a check. */
char *scrypt_hash(const char *password);
