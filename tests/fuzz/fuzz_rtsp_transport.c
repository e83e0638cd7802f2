/* The Transport field of SETUP. */
#include <stdlib.h>

#include "protocols/rtsp_transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct rtsp_transport transport;

	for (unsigned allowed = 0; allowed < 8; allowed++) {
		if (rtsp_transport_parse(&transport, (const char *)p, n, allowed) < 0)
			continue;
		if (!(transport.over & allowed) ||
			(transport.over == RTSP_OVER_UDP && transport.ports[0] == 0))
			abort();
	}
	return 0;
}
