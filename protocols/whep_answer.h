#pragma once

#include <stddef.h>
#include <stdint.h>

#include "protocols/whep_offer.h"

struct evbuffer;

/* Our answer to an offer (RFC 9429 section 5.3, RFC 9143): we send, by ICE-lite, and wait for DTLS. */

#define WHEP_CNAME "nvrd"

struct whep_answer_media {
	const struct whep_format *format; /* that is sent; NULL: refused */
	uint32_t ssrc;
};

struct whep_answer {
	const char *name; /* of the session */
	const struct whep_offer *offer;
	struct whep_answer_media
		media[WHEP_MEDIA];    /* as in the offer; at least one is not refused */
	const char *ufrag, *password; /* ours */
	const char *fingerprint;      /* "AB:CD:…", of SHA-256 */
	const char *candidates;       /* whole lines */
};

void whep_answer_write(const struct whep_answer *answer, struct evbuffer *out);
