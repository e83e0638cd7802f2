#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* SRTP (RFC 3711, RFC 7714) of one session by libsrtp2. Packets may be sent again as they were. */
struct rtp_security;

enum rtp_security_profile {
	RTP_SECURITY_AES128_SHA1_80,
	RTP_SECURITY_AES128_GCM
};

enum {
	RTP_SECURITY_KEY_BYTES = 16,
	RTP_SECURITY_SALT_BYTES = 14, /* at most: GCM has 12 */
	RTP_SECURITY_TRAILER_BYTES =
		148,                  /* libsrtp2's longest, and four, which protecting may add */
	RTP_SECURITY_REPEATED = 1024, /* packets that may be sent again */
};

/* How long the salt of a profile is. */
size_t rtp_security_salt_bytes(enum rtp_security_profile profile);

/* Whether nvrd was built with libsrtp2; and whether that can do AES-GCM. */
bool rtp_security_is_there(void);
bool rtp_security_has_gcm(void);

/* Keys and salts of what is sent and of what comes, one behind the other. NULL when libsrtp2 cannot. */
struct rtp_security *rtp_security_new(
	enum rtp_security_profile profile, const uint8_t *sent, const uint8_t *received) MUST_CHECK;
void rtp_security_free(struct rtp_security *srtp); /* NULL is fine */

/* Encrypts n bytes of RTP or RTCP in place; behind them is room for RTP_SECURITY_TRAILER_BYTES. Returns the bytes, or 0. */
size_t rtp_security_protect_packet(struct rtp_security *srtp, uint8_t *p, size_t n);
size_t rtp_security_protect_report(struct rtp_security *srtp, uint8_t *p, size_t n);
/*
 * Decrypts RTCP in place. Returns the bytes; 0: it is not authentic, or came before, or from one SSRC more than a
 * session's receiver has.
 */
size_t rtp_security_open_report(struct rtp_security *srtp, uint8_t *p, size_t n);
