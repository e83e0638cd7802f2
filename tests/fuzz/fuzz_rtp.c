/* RTP headers. */
#include <stdlib.h>

#include "protocols/rtp.h"

static volatile uint8_t sum; /* touches every byte of the payload */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct rtp_packet packet;
	const char *why = NULL;

	if (rtp_parse(&packet, p, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	for (size_t i = 0; i < packet.payload_bytes; i++)
		sum += packet.payload[i];
	return 0;
}
