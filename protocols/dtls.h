#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/rtp_security.h"
#include "server/base/attributes.h"

/*
 * DTLS (RFC 6347) as WebRTC uses it (RFC 5764, RFC 8827): we are the server, the peer proves by the fingerprint of its
 * certificate that it is who sent the offer, and the keys of SRTP come out. One certificate for the process.
 */

/* Makes the certificate. Blocks for some milliseconds, before the reactor runs. */
void dtls_init(void);
void dtls_fini(void); /* fine without dtls_init() */
/* "AB:CD:…" of SHA-256; between those. */
const char *dtls_fingerprint(void);

struct dtls;

enum {
	DTLS_DATAGRAM_BYTES = 1200 /* the largest that is sent */
};

enum dtls_event {
	DTLS_MORE,   /* nothing new */
	DTLS_OPEN,   /* hands are shaken: dtls_keys() */
	DTLS_CLOSED, /* the peer said farewell */
	DTLS_FAILED, /* dtls_failure() says why */
};

/* The peer's certificate must have this fingerprint, "AB:CD:…" by `hash` ("sha-256"). NULL: such a hash or text is not known. */
struct dtls *dtls_new(const char *hash, const char *fingerprint,
	void (*send)(void *arg, const uint8_t *p, size_t n), void *arg) MUST_CHECK;
void dtls_free(struct dtls *dtls); /* NULL is fine */

/* Whether n bytes are DTLS, not STUN or RTP that come to the same port (RFC 7983). */
bool dtls_is(const uint8_t *p, size_t n);

/* One datagram; calls `send` for what is to be said. */
enum dtls_event dtls_receive(struct dtls *dtls, const uint8_t *p, size_t n) MUST_CHECK;
/* When the peer is to be told again what it may have missed: in so many us; -1: never. */
int64_t dtls_timeout_us(struct dtls *dtls);
enum dtls_event dtls_on_timeout(struct dtls *dtls) MUST_CHECK;
const char *dtls_failure(const struct dtls *dtls); /* static */
/* Says farewell, if hands are shaken. */
void dtls_close(struct dtls *dtls);

/* After DTLS_OPEN. NULL: the peer takes none of our SRTP profiles. */
struct rtp_security *dtls_security(struct dtls *dtls) MUST_CHECK;
