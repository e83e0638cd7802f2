#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

struct sockaddr;

/*
 * STUN (RFC 8489) as ICE uses it (RFC 8445 section 7): Binding requests and their answers. Everything
 * but the HMAC is pure; that is in stun_integrity.c.
 */

enum {
	STUN_HEADER_BYTES = 20,
	STUN_TRANSACTION_BYTES = 12,
	STUN_INTEGRITY_BYTES = 20, /* of HMAC-SHA1 */
	STUN_UNKNOWN = 8,          /* so many unknown attributes are told */
	STUN_ANSWER_BYTES = 128    /* the longest that we write */
};

enum stun_type {
	STUN_BINDING_REQUEST = 0x0001,
	STUN_BINDING_INDICATION = 0x0011,
	STUN_BINDING_SUCCESS = 0x0101,
	STUN_BINDING_ERROR = 0x0111,
};

struct stun_message {
	uint16_t type;
	const uint8_t *transaction; /* STUN_TRANSACTION_BYTES */
	const uint8_t *username;    /* NULL: there is none */
	size_t username_bytes;
	const uint8_t *integrity; /* MESSAGE-INTEGRITY's value, or NULL */
	size_t integrity_at;      /* what it covers: so much of the message */
	bool has_fingerprint;     /* it was right */
	bool use_candidate, controlling, controlled;
	uint32_t priority;
	const uint8_t *mapped; /* XOR-MAPPED-ADDRESS's value, or NULL */
	size_t mapped_bytes;
	uint16_t error;                 /* ERROR-CODE, or 0 */
	uint16_t unknown[STUN_UNKNOWN]; /* comprehension-required attributes (section 6.3.1) */
	size_t n_unknown;
};

/* Whether n bytes are STUN, not DTLS or RTP that come to the same port (RFC 7983). */
bool stun_is(const uint8_t *p, size_t n);

/*
 * Parses one datagram, which the message fills. A FINGERPRINT is checked, MESSAGE-INTEGRITY is not;
 * what follows that counts for nothing (section 14.5). ret points into p. Returns 0, or -EBADMSG and a
 * static *why.
 */
int stun_parse(struct stun_message *ret, const uint8_t *p, size_t n, const char **why) MUST_CHECK;

/* Part of XOR-MAPPED-ADDRESS (section 14.2): the address in it. False: it is malformed. */
struct sockaddr_storage;
bool stun_mapped_address(const struct stun_message *message, struct sockaddr_storage *ret);

/* What a request is answered: success with the address that it came from, or an error. */
struct stun_answer {
	const uint8_t *transaction;
	const struct sockaddr *mapped; /* of a success; IPv4, IPv6, or IPv4 mapped into that */
	uint16_t error;                /* 0: success */
	const uint16_t *unknown;       /* of error 420 */
	size_t n_unknown;
};
/* Writes it without MESSAGE-INTEGRITY and FINGERPRINT. Returns its bytes. */
size_t stun_write_answer(uint8_t ret[STUN_ANSWER_BYTES], const struct stun_answer *answer);

/* Appends FINGERPRINT (section 14.7) to n bytes. Returns how many there are now. */
size_t stun_add_fingerprint(uint8_t *p, size_t n);
/* Says in the header how long a message of n bytes is. */
void stun_set_length(uint8_t *p, size_t n);

/* --- stun_integrity.c --- */

/* Whether MESSAGE-INTEGRITY (section 14.5) was made with this short-term password. False without one. */
bool stun_check_integrity(
	const struct stun_message *message, const uint8_t *p, const char *password);
/* Appends MESSAGE-INTEGRITY, then FINGERPRINT. The block has STUN_ANSWER_BYTES. Returns how many bytes there are now. */
size_t stun_seal(uint8_t *p, size_t n, const char *password);
