/* What cameras answer in Session, Transport, RTP-Info, Content-Base and Location; the first byte says which. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/rtsp_fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void fuzz_base(const struct uri *connected, const char *text, size_t n)
{
	struct uri uri;

	rtsp_repair_base(&uri, connected, text, n);
	if (strcmp(uri.host, connected->host) || uri.path[0] != '/' || strpbrk(uri.path, " \r\n\t"))
		abort();
}

static void fuzz_location(const struct uri *connected, const char *text, size_t n)
{
	struct uri uri;

	if (rtsp_parse_location(&uri, connected, text, n) < 0)
		return;
	if (!strcmp(uri.password, "secret") && strcasecmp(uri.host, connected->host) &&
		!memmem(text, n, "secret", 6))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct uri connected = { .scheme = "rtsp",
		.host = "192.0.2.9",
		.path = "/live/ch0?a=b",
		.has_user = true,
		.user = "u",
		.password = "secret" };
	const char *text = (const char *)p + 1;
	struct rtsp_transport_answer transport;
	struct rtsp_session session;
	struct rtsp_rtp_info infos[4];

	if (n == 0)
		return 0;
	n--;
	switch (p[0]) {
	case 'S':
		if (rtsp_parse_session(&session, text, n) == 0 &&
			(!session.id[0] || session.timeout_s < 1 || session.timeout_s > 60))
			abort();
		break;
	case 'T':
		rtsp_parse_transport_answer(&transport, text, n);
		if (transport.has_channels && transport.lower != RTSP_LOWER_TCP)
			abort();
		break;
	case 'I':
		n = rtsp_parse_rtp_info(infos, 4, text, n);
		(void)rtsp_find_rtp_info(infos, n, "trackID=1", 1);
		break;
	case 'B':
		fuzz_base(&connected, text, n);
		break;
	default:
		fuzz_location(&connected, text, n);
	}
	return 0;
}
