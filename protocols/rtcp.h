#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* RTCP (RFC 3550 section 6): the sender and receiver reports that nvrd reads and writes. */

struct rtcp_sender_report {
	uint32_t ssrc;
	uint64_t ntp;       /* 32.32 fixed point since 1900 */
	uint32_t timestamp; /* RTP time of the same instant */
	uint32_t packets, octets;
};

struct rtcp_compound {
	bool has_sender_report;
	struct rtcp_sender_report sender;
	bool has_receiver_report; /* RR, or SR with blocks */
	bool has_bye;
};

/*
 * Whether the n bytes are RTCP and not RTP, on whatever channel or port they came: cameras mix them
 * up (RFC 5761 section 4 for how they are told apart).
 */
bool rtcp_is(const uint8_t *p, size_t n);

/*
 * Parses a compound packet; unknown packet types are skipped. It is read up to the first packet that
 * is broken, which costs only itself and those behind it; one that is cut short counts when what
 * we need of it is there. Returns 0, or -EBADMSG and *why when nothing at all can be read.
 */
int rtcp_parse(struct rtcp_compound *ret, const uint8_t *p, size_t n, const char **why) MUST_CHECK;

/* Writes SR + SDES(CNAME), or an RR + SDES. Returns the bytes, 0 when ret is too small. */
size_t rtcp_write_sender_report(
	uint8_t *ret, size_t size, const struct rtcp_sender_report *report, const char *cname);
struct rtcp_reception {
	uint32_t ssrc, about_ssrc, highest_sequence, cumulative_lost, jitter, last_sr,
		delay_since_sr;
	uint8_t fraction_lost;
};
size_t rtcp_write_receiver_report(
	uint8_t *ret, size_t size, const struct rtcp_reception *reception, const char *cname);

/*
 * Writes an empty RR + SDES + BYE (RFC 3550 section 6.1: a BYE does not stand alone; ffmpeg overlooks one that does). Returns as above.
 */
size_t rtcp_write_bye(uint8_t *ret, size_t size, uint32_t ssrc, const char *cname);

/* 32.32 NTP time of microseconds since 1970, and back. */
uint64_t rtcp_ntp_of_us(int64_t utc_us);
int64_t rtcp_us_of_ntp(uint64_t ntp);
