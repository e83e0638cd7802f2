/* Session descriptions, and the parameters inside their fmtp lines. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/base64.h"
#include "protocols/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct sdp sdp;
	const char *why = NULL;
	char value[SDP_VALUE_BYTES];
	uint8_t bytes[256];

	(void)!base64_parse(bytes, sizeof(bytes), (const char *)p, n);
	if (sdp_parse(&sdp, (const char *)p, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	for (size_t i = 0; i < sdp.n_media; i++) {
		const struct sdp_media *m = &sdp.media[i];

		if (strlen(m->encoding) >= sizeof(m->encoding) ||
			strlen(m->control) >= sizeof(m->control))
			abort();
		(void)sdp_fmtp_value(m->fmtp, "sprop-parameter-sets", value, sizeof(value));
	}
	return 0;
}
