#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "server/base/attributes.h"

/*
 * TLS (RFC 8446, RFC 5246) by OpenSSL, for connections that nvrd makes (how far a peer is trusted) and
 * for those that it accepts (what it shows).
 */

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

/*
 * What nvrd shows to who connects: a certificate and its key. From TLS 1.2 on. Listeners keep the
 * pointer; what is behind it may change while they run, and sessions go on with what they began with.
 */
struct tls_server;

/*
 * Reads PEM: the certificate, then those that lead from it to its authority, and the key, which has no
 * passphrase; both may be one file. NULL and what is wrong, with the file's name, in *why, which the
 * caller frees. Blocks; for any thread.
 */
struct tls_server *tls_server_load(const char *certificate, const char *key, char **why) MUST_CHECK;
/* The same from n bytes that hold both; `name` is for messages. */
struct tls_server *tls_server_parse(
	const char *name, const char *pem, size_t n, char **why) MUST_CHECK;
/* From now on sessions begin with what `with` holds, which is freed. */
void tls_server_replace(struct tls_server *server, struct tls_server *with);
/* NULL is fine. Sessions go on. */
void tls_server_free(struct tls_server *server);

/* "sha256:AB:CD:…" of the certificate, as browsers show it. Returns ret. */
enum {
	TLS_FINGERPRINT_BYTES = 104
};
const char *tls_server_fingerprint(
	const struct tls_server *server, char ret[TLS_FINGERPRINT_BYTES]);
/* Until when the certificate is valid, as an instant. */
int64_t tls_server_until_us(const struct tls_server *server);

/* A session that waits for the peer's hello; the caller's as that of tls_client_new(). */
SSL *tls_server_session(const struct tls_server *server) MUST_CHECK;

/*
 * Before the handshake: the protocols that may come inside (RFC 7301), the liked ones first, each as a byte of length and its
 * name; static. A peer that knows none of them goes on without.
 */
void tls_offer(SSL *ssl, const char *protocols);
/* After it: whether both chose this one. */
bool tls_speaks(const SSL *ssl, const char *protocol);

/* Before the handshake: the peer gets nothing by which a later session could go on with this one. */
void tls_withhold_tickets(SSL *ssl);

/* Says that nothing more will be sent. False: the socket is full; again later. */
bool tls_shutdown(SSL *ssl);
/* Whether the peer has said so: without it what came may be cut off. */
bool tls_is_ended(const SSL *ssl);
/* Whether something was read from the socket that nobody has taken yet. */
bool tls_has_pending(const SSL *ssl);
/* Whether the error, the newest of a connection, only says that the peer went without a word. */
bool tls_is_cut(unsigned long error);
/*
 * Whether the peer has ended its side, seen by looking ahead, for who does not read now. Nothing is
 * taken away.
 */
bool tls_peer_has_shut(SSL *ssl);
