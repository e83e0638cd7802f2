/* ONVIF's replay extension, as bytes. */
#include "protocols/rtp_onvif.h"

#include <assert.h>

#include "protocols/rtp.h"

enum {
	NTP_AT = 4,
	FLAGS_AT = NTP_AT + 8,
	HAS_EXTENSION = 0x10
};

void rtp_onvif_write(uint8_t ret[RTP_ONVIF_BYTES], const struct rtp_onvif *extension)
{
	ret[0] = RTP_ONVIF_PROFILE >> 8;
	ret[1] = RTP_ONVIF_PROFILE & 0xff;
	ret[2] = 0;
	ret[3] = RTP_ONVIF_BYTES / 4 - 1;
	for (unsigned i = 0; i < 8; i++)
		ret[NTP_AT + i] = (uint8_t)(extension->ntp >> (56 - 8 * i));
	ret[FLAGS_AT] = extension->flags;
	ret[FLAGS_AT + 1] = extension->cseq;
	ret[FLAGS_AT + 2] = ret[FLAGS_AT + 3] = 0;
}

void rtp_onvif_set(uint8_t *packet, uint8_t flags)
{
	assert(packet[0] & HAS_EXTENSION);
	packet[RTP_HEADER_BYTES + FLAGS_AT] |= flags;
}
