/* Offers of browsers, what they take, and fragments of trickle ICE. */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/whep_offer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct whep_wanted wanted[] = {
		{"H264",  90000, 0, 100, 0},
		{ "H265", 90000, 0, 1,   0},
		{ "opus", 48000, 2, 0,   0},
		{ "PCMU", 8000,  1, 0,   0},
	};
	static struct whep_offer offer;
	const char *why = NULL;

	(void)whep_fragment_ufrag((const char *)p, n);
	if (whep_offer_parse(&offer, (const char *)p, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	for (size_t i = 0; i < offer.n_media; i++) {
		const struct whep_security security = whep_offer_security(&offer, &offer.media[i]);
		if (security.fingerprint.p && !security.hash.p)
			abort();
		for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++) {
			why = NULL;
			if (!whep_offer_choose(&offer.media[i], &wanted[k], &why) && !why)
				abort();
		}
	}
	return 0;
}
