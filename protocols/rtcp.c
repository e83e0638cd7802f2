/* RTCP sender and receiver reports (RFC 3550 section 6.4). */
#include "protocols/rtcp.h"

#include <errno.h>
#include <string.h>

#include "server/base/reader.h"

enum {
	SENDER_REPORT = 200,
	RECEIVER_REPORT = 201,
	SOURCE_DESCRIPTION = 202,
	BYE = 203,
	TYPE_LAST = 207, /* extended reports */
	CNAME_ITEM = 1,
	CNAME_MOST = 64,
};

static const int64_t ntp_epoch_s = 2208988800; /* 1900 to 1970 */

uint64_t rtcp_ntp_of_us(int64_t utc_us)
{
	uint64_t seconds = (uint64_t)(utc_us / 1000000 + ntp_epoch_s);
	uint64_t fraction = ((uint64_t)(utc_us % 1000000) << 32) / 1000000;

	return seconds << 32 | fraction;
}

int64_t rtcp_us_of_ntp(uint64_t ntp)
{
	int64_t seconds = (int64_t)(ntp >> 32) - ntp_epoch_s;

	/* rounded, so that there and back is the same */
	return seconds * 1000000 + (int64_t)(((ntp & UINT32_MAX) * 1000000 + (1U << 31)) >> 32);
}

bool rtcp_is(const uint8_t *p, size_t n)
{
	return n >= 4 && p[0] >> 6 == 2 && p[1] >= SENDER_REPORT && p[1] <= TYPE_LAST;
}

static bool parse_sender(struct rtcp_compound *ret, struct reader *r, unsigned blocks)
{
	struct rtcp_sender_report sender;

	sender.ssrc = reader_u32(r);
	sender.ntp = reader_u64(r);
	sender.timestamp = reader_u32(r);
	sender.packets = reader_u32(r);
	sender.octets = reader_u32(r);
	if (r->why)
		return false;
	ret->sender = sender;
	ret->has_sender_report = true;
	ret->has_receiver_report |= blocks > 0;
	return true;
}

/* One packet of the compound, of which `content` was there. False when it was broken. */
static bool parse_packet(
	struct rtcp_compound *ret, uint8_t flags, uint8_t type, struct reader *content)
{
	switch (type) {
	case SENDER_REPORT:
		return parse_sender(ret, content, flags & 0x1f);
	case RECEIVER_REPORT:
		ret->has_receiver_report = true;
		return true;
	case BYE:
		ret->has_bye = true;
		return true;
	default:
		return true;
	}
}

int rtcp_parse(struct rtcp_compound *ret, const uint8_t *p, size_t n, const char **why)
{
	struct reader r = reader_of(p, n);
	struct rtcp_compound compound = { 0 };
	bool any = false;

	while (reader_left(&r) > 0) {
		uint8_t first = reader_u8(&r);
		uint8_t type = reader_u8(&r);
		size_t bytes = reader_u16(&r) * (size_t)4;
		size_t there = bytes < reader_left(&r) ? bytes : reader_left(&r);
		struct reader content = reader_of(r.at, there);

		if (r.why || first >> 6 != 2)
			break;
		any |= parse_packet(&compound, first, type, &content);
		reader_skip(&r, there);
	}
	if (!any) {
		*why = "no RTCP packet in it is whole";
		return -EBADMSG;
	}
	*ret = compound;
	return 0;
}

/* --- writing: the callers' blocks are small, so one check at the start is enough --- */

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*p++ = (uint8_t)(v >> shift);
	return p;
}

/* A header whose length counts 32-bit words after the first. */
static uint8_t *put_header(uint8_t *p, unsigned count, unsigned type, unsigned words)
{
	return put_u32(p, 0x80000000U | count << 24 | type << 16 | words);
}

/* SDES with a CNAME, ended by at least one zero and padded to 32 bits. */
static uint8_t *put_cname(uint8_t *p, uint32_t ssrc, const char *cname)
{
	size_t n = strnlen(cname, CNAME_MOST);
	size_t words = 1 + (2 + n + 1 + 3) / 4;
	uint8_t *end = p + 4 + words * 4;

	p = put_header(p, 1, SOURCE_DESCRIPTION, (unsigned)words);
	p = put_u32(p, ssrc);
	*p++ = CNAME_ITEM;
	*p++ = (uint8_t)n;
	memcpy(p, cname, n);
	memset(p + n, 0, (size_t)(end - p) - n);
	return end;
}

static size_t cname_bytes(const char *cname)
{
	return 8 + (2 + strnlen(cname, CNAME_MOST) + 1 + 3) / 4 * 4;
}

size_t rtcp_write_sender_report(
	uint8_t *ret, size_t size, const struct rtcp_sender_report *report, const char *cname)
{
	uint8_t *p = ret;

	if (size < 28 + cname_bytes(cname))
		return 0;
	p = put_header(p, 0, SENDER_REPORT, 6);
	p = put_u32(p, report->ssrc);
	p = put_u32(p, (uint32_t)(report->ntp >> 32));
	p = put_u32(p, (uint32_t)report->ntp);
	p = put_u32(p, report->timestamp);
	p = put_u32(p, report->packets);
	p = put_u32(p, report->octets);
	return (size_t)(put_cname(p, report->ssrc, cname) - ret);
}

size_t rtcp_write_bye(uint8_t *ret, size_t size, uint32_t ssrc, const char *cname)
{
	uint8_t *p = ret;

	if (size < 16 + cname_bytes(cname))
		return 0;
	p = put_header(p, 0, RECEIVER_REPORT, 1);
	p = put_cname(put_u32(p, ssrc), ssrc, cname);
	p = put_header(p, 1, BYE, 1);
	return (size_t)(put_u32(p, ssrc) - ret);
}

size_t rtcp_write_receiver_report(
	uint8_t *ret, size_t size, const struct rtcp_reception *reception, const char *cname)
{
	uint8_t *p = ret;

	if (size < 32 + cname_bytes(cname))
		return 0;
	p = put_header(p, 1, RECEIVER_REPORT, 7);
	p = put_u32(p, reception->ssrc);
	p = put_u32(p, reception->about_ssrc);
	p = put_u32(p,
		(uint32_t)reception->fraction_lost << 24 | (reception->cumulative_lost & 0xffffff));
	p = put_u32(p, reception->highest_sequence);
	p = put_u32(p, reception->jitter);
	p = put_u32(p, reception->last_sr);
	p = put_u32(p, reception->delay_since_sr);
	return (size_t)(put_cname(p, reception->ssrc, cname) - ret);
}
