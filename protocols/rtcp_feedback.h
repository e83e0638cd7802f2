#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * What a receiver asks for by RTCP: packets again (generic NACK, RFC 4585 section 6.2.1), a picture to
 * begin with (PLI, RFC 4585 section 6.3.1; FIR, RFC 5104 section 4.3.1).
 */

struct rtcp_feedback {
	bool wants_keyframe;
	const uint8_t *nacks; /* the first generic NACK's items, 4 bytes each; NULL: none */
	size_t n_nacks;
	uint32_t nacks_about; /* SSRC */
};

/*
 * Parses a compound, or what RFC 5506 allows alone; what is not understood is skipped. ret points into
 * p. Returns 0, or -EBADMSG and a static *why when any packet in it is broken.
 */
int rtcp_feedback_parse(
	struct rtcp_feedback *ret, const uint8_t *p, size_t n, const char **why) MUST_CHECK;

/* The sequence numbers of item i: the first, and bit k for the one k + 1 behind it. */
uint16_t rtcp_feedback_nack(const struct rtcp_feedback *feedback, size_t i, uint16_t *behind);
