#pragma once

#include <stdbool.h>

#include <openssl/types.h>

#include "server/base/attributes.h"

/* TLS (RFC 8446, RFC 5246) by OpenSSL for connections that nvrd makes: how far a peer is trusted. */

struct tls_client {
	bool verify;             /* against the system's authorities and the host's name */
	const char *fingerprint; /* "sha256:<hex>" of the only certificate that will do, or NULL */
	bool legacy;             /* TLS 1.0 and weak ciphers too, for old cameras */
};

/*
 * A session for a connection to `host` (a name or an address), which the caller frees by SSL_free
 * or gives to a bufferevent.
 */
SSL *tls_client_new(const struct tls_client *client, const char *host) MUST_CHECK;

/*
 * After the handshake: NULL when the peer may be talked to, else what is wrong with it, static. An
 * authority's word was checked by the handshake; here a fingerprint is.
 */
const char *tls_client_check(const struct tls_client *client, const SSL *ssl);

/* Why the handshake failed, static: the peer's certificate, or what OpenSSL says. */
const char *tls_failure(const SSL *ssl, unsigned long error);
/* Whether it failed for the peer's certificate. */
bool tls_is_untrusted(const SSL *ssl);

/* Says that nothing more will be sent. */
void tls_shutdown(SSL *ssl);
