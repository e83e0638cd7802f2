/* How a track's packets travel: channels of the connection, or UDP ports; and reports of them. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "protocols/rtsp_client_private.h"
#include "server/base/address.h"
#include "server/base/log.h"

enum {
	REPORT_BYTES = 128,
	OUR_SSRC = 0x6e767264
};

/* Over TCP nothing is waited for: what is missing was left out by the camera. */
static void track_make_reorder(struct rtsp_track *track)
{
	rtp_reorder_free(track->reorder);
	track->reorder = rtp_reorder_new(
		track->udp ? RTP_REORDER_PACKETS : 0, track->clock.hz, rtsp_track_on_packet, track);
}

/* --- channels --- */

void rtsp_track_refused(struct rtsp_track *track)
{
	track->refused = true;
	datagram_pair_free(track->udp);
	track->udp = NULL;
}

void rtsp_track_set_channels(
	struct rtsp_track *track, const struct rtsp_transport_answer *transport)
{
	struct rtsp_client *client = track->client;

	if (transport->has_channels) {
		track->channel = transport->channels[0];
		track->rtcp_channel = transport->channels[1];
	}
	datagram_pair_free(track->udp);
	track->udp = NULL;
	client->transport = TRANSPORT_TCP;
	track_make_reorder(track);
}

/* --- UDP --- */

static uint16_t *port_of(struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
					      : &((struct sockaddr_in *)address)->sin_port;
}

/* Some cameras send from other ports than they said: reports go back to where packets come from. */
static void track_learn_port(struct rtsp_track *track, const struct sockaddr *from, socklen_t n)
{
	struct sockaddr_storage to = { 0 };

	memcpy(&to, from, n < sizeof(to) ? n : sizeof(to));
	track->has_server_port = true;
	*port_of(&to) = htons((uint16_t)(ntohs(*port_of(&to)) + 1));
	datagram_pair_set_peer(track->udp, DATAGRAM_RTCP, (struct sockaddr *)&to, n);
}

static void track_on_datagram(void *arg, enum datagram_kind kind, const uint8_t *p, size_t n,
	const struct sockaddr *from, socklen_t from_bytes)
{
	struct rtsp_track *track = arg;

	if (!track->client->connection ||
		!address_is_same_host(from, connection_peer_address(track->client->connection)))
		return;
	if (kind == DATAGRAM_RTP && !track->has_server_port)
		track_learn_port(track, from, from_bytes);
	if (rtcp_is(p, n))
		rtsp_media_on_rtcp(track, p, n);
	else if (kind == DATAGRAM_RTP)
		rtsp_media_on_rtp(track, p, n);
}

static const struct datagram_events track_datagram_events = { .on_datagram = track_on_datagram };

int rtsp_track_open_udp(struct rtsp_track *track)
{
	struct sockaddr_storage local;
	int error = connection_local_address(track->client->connection, &local);

	if (error)
		return error;
	track->udp = datagram_pair_new((struct sockaddr *)&local, &track_datagram_events, track);
	return track->udp ? 0 : -errno;
}

void rtsp_track_set_server_ports(struct rtsp_track *track, uint16_t rtp_port, uint16_t rtcp_port)
{
	uint8_t empty[RTP_HEADER_BYTES] = { 0x80 };
	struct iovec part = { .iov_base = empty, .iov_len = sizeof(empty) };
	struct sockaddr_storage to = { 0 };
	const struct sockaddr *peer = connection_peer_address(track->client->connection);
	socklen_t n = peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						  : sizeof(struct sockaddr_in);

	track_make_reorder(track);
	if (!rtp_port)
		return; /* learned from the first packet */
	track->has_server_port = true;
	memcpy(&to, peer, n);
	*port_of(&to) = htons(rtp_port);
	datagram_pair_set_peer(track->udp, DATAGRAM_RTP, (struct sockaddr *)&to, n);
	*port_of(&to) = htons(rtcp_port);
	datagram_pair_set_peer(track->udp, DATAGRAM_RTCP, (struct sockaddr *)&to, n);
	(void)datagram_pair_send(track->udp, DATAGRAM_RTP, &part, 1);
	rtsp_track_send_report(track);
}

/* --- reports --- */

static size_t track_write_report(const struct rtsp_track *track, uint8_t ret[REPORT_BYTES])
{
	struct rtcp_reception reception = { .ssrc = OUR_SSRC };
	struct rtp_reorder_stats stats;

	rtp_reorder_get_stats(track->reorder, &stats);
	reception.about_ssrc = stats.ssrc;
	reception.highest_sequence = stats.highest_extended;
	reception.cumulative_lost = (uint32_t)stats.lost;
	reception.jitter = stats.jitter;
	if (track->has_report) {
		reception.last_sr = (uint32_t)(track->report_ntp >> 16);
		reception.delay_since_sr =
			(uint32_t)((reactor_monotonic_us() - track->report_arrived_us) * 65536 /
				   1000000);
	}
	return rtcp_write_receiver_report(ret, REPORT_BYTES, &reception, "nvrd");
}

void rtsp_track_send_report(struct rtsp_track *track)
{
	uint8_t frame[4 + REPORT_BYTES];
	size_t n = track_write_report(track, frame + 4);
	struct iovec part = { .iov_base = frame + 4, .iov_len = n };
	struct evbuffer *out;

	if (!n)
		return;
	if (track->udp) {
		(void)datagram_pair_send(track->udp, DATAGRAM_RTCP, &part, 1);
		return;
	}
	frame[0] = '$';
	frame[1] = track->rtcp_channel;
	frame[2] = (uint8_t)(n >> 8);
	frame[3] = (uint8_t)n;
	out = evbuffer_new();
	evbuffer_add(out, frame, 4 + n);
	rtsp_client_write(track->client, out);
	evbuffer_free(out);
}
