#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/message.h"
#include "protocols/uri.h"
#include "server/base/attributes.h"

/*
 * What cameras write into the header fields of their answers (RFC 2326 section 12), read with
 * patience. Pure. Each function takes a field's value as message_find() gives it; a field that is
 * not there is n == 0.
 */

enum {
	RTSP_SESSION_BYTES = 512,
	RTSP_SESSION_TIMEOUT_S = 60
};

/* Session: "id;timeout=60" */
struct rtsp_session {
	char id[RTSP_SESSION_BYTES]; /* printable */
	/* 1 to 60: when to count on its end. 60 when nothing, 0 or nonsense is said, or more. */
	unsigned timeout_s;
	bool has_timeout; /* it was said */
};

/* Returns 0, or -EBADMSG when there is no id, or one that cannot be sent back whole. */
int rtsp_parse_session(struct rtsp_session *ret, const char *p, size_t n) MUST_CHECK;

enum rtsp_lower {
	RTSP_LOWER_UNSAID, /* take it for what was asked */
	RTSP_LOWER_TCP,    /* also "RTP/AVP" and even "RTP/AVP/UDP", when there is interleaved= */
	RTSP_LOWER_UDP
};

/* Transport of an answer to SETUP: all of it is optional, and what makes no sense counts as unsaid. */
struct rtsp_transport_answer {
	enum rtsp_lower lower;
	bool multicast;
	bool has_channels; /* else those that were asked for */
	uint8_t channels
		[2]; /* RTP, RTCP; the second is one more when it is missing; may be the same */
	/* RTP, RTCP; the second is one more when it is missing; 0: unsaid, learn it from packets */
	uint16_t server_ports[2];
	bool has_ssrc; /* a hint and no more: cameras send others */
	uint32_t ssrc;
	/*
	 * For logs. Media is taken from, and sent to, the address that was connected to whatever these
	 * say; { NULL, 0 } when unsaid.
	 */
	struct message_text source, destination;
};

void rtsp_parse_transport_answer(struct rtsp_transport_answer *ret, const char *p, size_t n);

/* One stream of RTP-Info, in an answer to PLAY. A hint: for live media nothing of it is needed. */
struct rtsp_rtp_info {
	struct message_text url; /* as written: absolute, a path, wrong; { NULL, 0 } when unsaid */
	bool has_sequence, has_time;
	uint16_t sequence;
	uint32_t time;
};

/* Fills at most `most` streams. Returns how many. */
size_t rtsp_parse_rtp_info(struct rtsp_rtp_info *ret, size_t most, const char *p, size_t n);

/*
 * Which of the n streams is the track with this SDP control: the one whose URL ends as the control
 * does, else the one at the track's place among those set up (from 0). NULL when there is none.
 */
const struct rtsp_rtp_info *rtsp_find_rtp_info(
	const struct rtsp_rtp_info *infos, size_t n, const char *control, size_t place);

/*
 * The base for controls, from Content-Base or Content-Location: `connected` (scheme, host, port and
 * credentials of the camera, path of the request) with the path and query that the value means; the
 * host that it names never counts. Without brackets around IPv6, with the scheme doubled or missing,
 * relative: repaired. When nothing can be made of it, `connected` itself. Use:
 *
 *	rtsp_repair_base(&base, &client->uri, value.p, value.n);
 *	uri_write(client->aggregate, sizeof(client->aggregate), &base);
 *	… uri_join_control(&uri, &client->uri, client->aggregate, media->control)
 */
void rtsp_repair_base(struct uri *ret, const struct uri *connected, const char *p, size_t n);

/*
 * Where a redirect's Location leads: another host counts here, but "0.0.0.0" and a bare path mean
 * the connected one. User and password go along only to the same host. Returns 0, or -EBADMSG when
 * it is missing, broken, or not rtsp, rtsps or rtspu.
 */
int rtsp_parse_location(
	struct uri *ret, const struct uri *connected, const char *p, size_t n) MUST_CHECK;
