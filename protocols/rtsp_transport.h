#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* What a client asks for in the Transport field of SETUP (RFC 2326 section 12.39). Pure. */

enum rtsp_over {
	RTSP_OVER_TCP = 1 << 0, /* interleaved */
	RTSP_OVER_UDP = 1 << 1,
	RTSP_OVER_MULTICAST = 1 << 2,
};

struct rtsp_transport {
	enum rtsp_over over;
	bool record;       /* the client is to send */
	bool has_channels; /* TCP: the client chose them */
	uint8_t channels[2];
	uint16_t ports[2]; /* UDP: the client's, RTP and RTCP */
};

/*
 * The first of the alternatives in the n bytes that is among `allowed`, a set of enum rtsp_over: RTP/AVP/TCP,
 * RTP/AVP with client_port, RTP/AVP with multicast, whose group and ports are ours to say. A second channel or
 * port that is missing is one more than the first. Returns 0, or -ENOTSUP.
 */
int rtsp_transport_parse(
	struct rtsp_transport *ret, const char *p, size_t n, unsigned allowed) MUST_CHECK;
