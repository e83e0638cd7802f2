/* The Transport field of SETUP (RFC 2326 section 12.39). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/rtsp_transport.h"

enum {
	USUAL = RTSP_OVER_TCP | RTSP_OVER_UDP,
	ALL = USUAL | RTSP_OVER_MULTICAST
};

// clang-format off
static const struct {
	const char *field, *meant; /* of TCP and UDP; NULL: 461 */
} cases[] = {
	{ "RTP/AVP/TCP;unicast;interleaved=0-1", "tcp 0-1" },
	{ "RTP/AVP/TCP;unicast;interleaved=10-11", "tcp 10-11" },
	{ "RTP/AVP/TCP;interleaved=4", "tcp 4-5" },
	{ "RTP/AVP/TCP", "tcp" },
	{ "rtp/avp/tcp; unicast ; INTERLEAVED = 2 - 3", NULL },
	{ "rtp/avp/tcp; unicast ; INTERLEAVED = 2-3", "tcp 2-3" },
	{ "RTP/AVP;unicast;client_port=4588-4589", "udp 4588-4589" },
	{ "RTP/AVP/UDP;unicast;client_port=4588-4589;mode=\"PLAY\"", "udp 4588-4589" },
	{ "RTP/AVP;unicast;client_port=4588", "udp 4588-4589" },
	{ "RTP/AVP;unicast;client_port=4588-4590;mode=play", "udp 4588-4590" },
	{ "RTP/AVP;unicast;client_port=65535", NULL },
	{ "RTP/AVP;unicast;client_port=0-1", NULL },
	{ "RTP/AVP;unicast", NULL },
	{ "RTP/AVP;multicast;client_port=4588-4589", NULL },
	{ "RTP/AVP;multicast;ttl=127,RTP/AVP;unicast;client_port=3456-3457", "udp 3456-3457" },
	{ "RTP/AVP/TCP;interleaved=256-257, RTP/AVP/TCP;interleaved=0-1", "tcp 0-1" },
	{ "RTP/SAVP;unicast;client_port=4588-4589", NULL },
	{ "RAW/RAW/UDP;unicast;client_port=4588-4589,RTP/AVP;unicast;client_port=1-2", "udp 1-2" },
	{ "RTP/AVP/TCP;unicast;mode=record", "record" },
	{ "RTP/AVP;client_port=4588-4589;mode=\"RECORD\"", "record" },
	{ "RTP/AVP/TCP;unicast;mode=listen", NULL },
	{ "RTP/AVP/TCP;interleaved=", NULL },
	{ "RTP/AVP/TCP;interleaved=1-", NULL },
	{ "RTP/AVP/TCP;interleaved=-1", NULL },
	{ "RTP/AVP/TCP;interleaved=999999999999999999999-1", NULL },
	{ ";;,,;", NULL },
	{ "", NULL },
};

/* The same where only some are allowed. */
static const struct {
	const char *field;
	unsigned allowed;
	const char *meant;
} restricted[] = {
	{ "RTP/AVP;multicast", ALL, "multicast" },
	{ "RTP/AVP/UDP;multicast;port=5000-5001;ttl=5;mode=play", ALL, "multicast" },
	{ "RTP/AVP;multicast;client_port=5000-5001", ALL, "multicast" },
	{ "RTP/AVP;client_port=5000-5001;multicast", ALL, "multicast" },
	{ "RTP/AVP/TCP;multicast", ALL, "none" },
	{ "RTP/AVP;multicast,RTP/AVP/TCP;unicast;interleaved=0-1", USUAL, "tcp 0-1" },
	{ "RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP", RTSP_OVER_TCP, "tcp" },
	{ "RTP/AVP;unicast;client_port=5000-5001", RTSP_OVER_TCP, "none" },
	{ "RTP/AVP/TCP", 0, "none" },
};
// clang-format on

static void describe(char *ret, size_t size, const char *p, size_t n, unsigned allowed)
{
	struct rtsp_transport t;

	if (rtsp_transport_parse(&t, p, n, allowed) < 0)
		snprintf(ret, size, "none");
	else if (t.record)
		snprintf(ret, size, "record");
	else if (t.over == RTSP_OVER_MULTICAST)
		snprintf(ret, size, "multicast");
	else if (t.over == RTSP_OVER_UDP)
		snprintf(ret, size, "udp %u-%u", t.ports[0], t.ports[1]);
	else if (t.has_channels)
		snprintf(ret, size, "tcp %u-%u", t.channels[0], t.channels[1]);
	else
		snprintf(ret, size, "tcp");
}

static void the_first_that_can_be_served_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char text[64];
		describe(text, sizeof(text), cases[i].field, strlen(cases[i].field), USUAL);
		if (strcmp(text, cases[i].meant ? cases[i].meant : "none") != 0)
			fail_msg("%s: %s", cases[i].field, text);
	}
}

static void what_is_not_allowed_is_passed_over(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(restricted); i++) {
		char text[64];
		describe(text, sizeof(text), restricted[i].field, strlen(restricted[i].field),
			restricted[i].allowed);
		assert_string_equal(text, restricted[i].meant);
	}
}

static void no_cut_reads_beyond_the_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		for (size_t n = 0; n < strlen(cases[i].field); n++) {
			char text[64];
			char *exact = malloc(n ? n : 1);
			assert_non_null(exact);
			memcpy(exact, cases[i].field, n);
			describe(text, sizeof(text), exact, n, ALL);
			free(exact);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_can_be_served_is_taken),
		cmocka_unit_test(what_is_not_allowed_is_passed_over),
		cmocka_unit_test(no_cut_reads_beyond_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
