#pragma once

#include <stddef.h>

#include "server/base/attributes.h"

struct tls_server;

/*
 * The certificate of who has none: self-signed, EC P-256, for "localhost", the machine's name and its
 * addresses of now (RFC 5280). People compare its fingerprint, so it is made once and kept. All of this
 * blocks; for any thread.
 */

/*
 * Makes a key and its certificate: PEM text, *ret_bytes long and NUL-ended, which the caller frees by
 * memory_free_secret(). The clock is not asked: it may not be set yet.
 */
char *certificate_make(size_t *ret_bytes) MUST_CHECK;

/*
 * The one in the file, which is made first when there is none: readable by its owner only, and there whole or
 * not at all. NULL and what is wrong in *why, which the caller frees.
 */
struct tls_server *certificate_open(const char *file, char **why) MUST_CHECK;

/* A new one that no file keeps. */
struct tls_server *certificate_temporary(void) MUST_CHECK;
