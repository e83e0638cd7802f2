#pragma once

#include <stdint.h>

/*
 * The RTP header extension of ONVIF replay (Streaming Specification, "RTP header extension"; RFC 3550 section 5.3.1): when what is
 * in the packet was recorded, and how it follows what was sent before. Pure.
 */

enum {
	RTP_ONVIF_BYTES = 16, /* with the four of any extension */
	RTP_ONVIF_PROFILE = 0xabac
};

enum rtp_onvif_flags {
	RTP_ONVIF_CLEAN = 0x80,         /* C: of an access unit that decoding can begin with */
	RTP_ONVIF_END = 0x40,           /* E: the last one of a contiguous section */
	RTP_ONVIF_DISCONTINUITY = 0x20, /* D: it does not follow the one sent before */
	RTP_ONVIF_TERMINAL = 0x10       /* T: nothing more comes of this track */
};

struct rtp_onvif {
	uint64_t ntp; /* 32.32, since 1900 */
	uint8_t flags;
	uint8_t cseq; /* the low byte of that of the PLAY */
};
void rtp_onvif_write(uint8_t ret[RTP_ONVIF_BYTES], const struct rtp_onvif *extension);
/* Sets flags in a packet, from its RTP header on, that has the extension right behind that header. */
void rtp_onvif_set(uint8_t *packet, uint8_t flags);
