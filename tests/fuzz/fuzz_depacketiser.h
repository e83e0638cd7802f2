#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/rtp_depacketiser.h"

/*
 * What the harnesses of the payload formats share. The input is a run of packets: a byte of flags
 * (1 marker, 2 gap, the rest advances the timestamp), two of length, the payload.
 */

static volatile uint8_t fuzz_sum; /* touches every byte of the units */

static inline void fuzz_on_unit(void *arg, const struct rtp_unit *unit)
{
	(void)arg;
	if (unit->bytes == 0 || unit->bytes > RTP_UNIT_BYTES)
		abort();
	for (size_t i = 0; i < unit->bytes; i++)
		fuzz_sum += unit->data[i];
}

static inline void fuzz_on_dropped(void *arg, const char *why)
{
	(void)arg;
	if (!why || !*why)
		abort();
}

static inline void fuzz_push(struct rtp_depacketiser *d, const uint8_t *p, size_t n)
{
	struct rtp_packet packet = { 0 };

	while (n >= 3) {
		size_t bytes = (size_t)p[1] << 8 | p[2];
		bool gap = p[0] & 2;
		packet.marker = p[0] & 1;
		packet.timestamp += p[0] >> 2;
		p += 3;
		n -= 3;
		bytes = bytes < n ? bytes : n;
		uint8_t *exact = malloc(bytes ? bytes : 1);
		if (!exact)
			return;
		memcpy(exact, p, bytes);
		packet.payload = exact;
		packet.payload_bytes = bytes;
		rtp_depacketiser_push(d, &packet, gap);
		free(exact);
		p += bytes;
		n -= bytes;
	}
}

/* The input begins with the fmtp, up to its NUL. */
static inline void fuzz_depacketiser(const char *encoding, const uint8_t *p, size_t n)
{
	static const struct rtp_depacketiser_events events = { fuzz_on_unit, fuzz_on_dropped };
	const uint8_t *end = n ? memchr(p, 0, n) : NULL;
	struct rtp_format format = { .encoding = encoding, .clock_hz = 48000, .channels = 2 };
	const char *why = NULL;

	if (!end)
		return;
	format.fmtp = (const char *)p;
	struct rtp_depacketiser *d = rtp_depacketiser_new(&format, &events, NULL, &why);
	if (!d && !why)
		abort();
	if (d)
		fuzz_push(d, end + 1, n - (size_t)(end + 1 - p));
	rtp_depacketiser_free(d);
}
