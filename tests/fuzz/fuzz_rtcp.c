/* RTCP compounds; a sender report that was read is written and read to the same. */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/rtcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct rtcp_compound compound, again;
	const char *why = NULL;
	uint8_t bytes[128];
	size_t written;

	if (rtcp_parse(&compound, p, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	if (!compound.has_sender_report)
		return 0;
	(void)rtcp_us_of_ntp(compound.sender.ntp);
	written = rtcp_write_sender_report(bytes, sizeof(bytes), &compound.sender, "nvrd");
	if (!written || rtcp_parse(&again, bytes, written, &why) < 0)
		abort();
	if (again.sender.ntp != compound.sender.ntp ||
		again.sender.timestamp != compound.sender.timestamp ||
		again.sender.ssrc != compound.sender.ssrc)
		abort();
	return 0;
}
