/* The Transport field of SETUP. */
#include <stdlib.h>

#include "protocols/rtsp_transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct rtsp_transport transport;

	if (rtsp_transport_parse(&transport, (const char *)p, n) == 0 && transport.udp &&
		transport.ports[0] == 0)
		abort();
	return 0;
}
