#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* What a client asks for in the Transport field of SETUP (RFC 2326 section 12.39). Pure. */

struct rtsp_transport {
	bool udp;          /* else interleaved */
	bool has_channels; /* TCP: the client chose them */
	uint8_t channels[2];
	uint16_t ports[2]; /* UDP: the client's, RTP and RTCP */
};

/*
 * The first of the alternatives in the n bytes that can be served: unicast RTP/AVP over TCP, or over
 * UDP with client_port. A second channel or port that is missing is one more than the first.
 * Returns 0, or -ENOTSUP.
 */
int rtsp_transport_parse(struct rtsp_transport *ret, const char *p, size_t n) MUST_CHECK;
