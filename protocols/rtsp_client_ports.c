/* How the packets of a track travel: by channels of the connection, or UDP ports. */
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
	BACK_OUTPUT_BYTES =
		32 << 10, /* of the connection: seconds of speech, which is better dropped */
};

static bool track_is_back(const struct rtsp_track *track)
{
	return track == &track->client->tracks[RTSP_BACK_TRACK];
}

/* Not of the back channel. */
static struct rtp_receiver_track *track_media(const struct rtsp_track *track)
{
	struct rtsp_client *client = track->client;

	return &client->receiver.tracks[track - client->tracks];
}

/* --- channels --- */

void rtsp_track_refused(struct rtsp_track *track)
{
	if (track_is_back(track))
		track->client->has_back = false;
	else
		track_media(track)->refused = true;
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
	if (!track_is_back(track))
		rtp_receiver_set_up(track_media(track), false);
}

static bool track_has_channel(const struct rtsp_track *track, uint8_t channel)
{
	return channel == track->channel || channel == track->rtcp_channel;
}

bool rtsp_client_has_channel(const struct rtsp_client *client, uint8_t channel)
{
	for (unsigned i = 0; i < client->receiver.n_tracks; i++) {
		if (track_has_channel(&client->tracks[i], channel))
			return true;
	}
	return client->has_back && track_has_channel(&client->tracks[RTSP_BACK_TRACK], channel);
}

/* Two tracks on the same channels are told apart by the payload type. */
static struct rtsp_track *client_find_channel(
	struct rtsp_client *client, uint8_t channel, const uint8_t *p, size_t n)
{
	struct rtsp_track *found = NULL;

	for (unsigned i = 0; i < client->receiver.n_tracks; i++) {
		struct rtsp_track *track = &client->tracks[i];

		if (!track_has_channel(track, channel))
			continue;
		if (!found || (n > 1 && sdp_has_type(&track_media(track)->media, p[1] & 0x7f)))
			found = track;
	}
	return found;
}

bool rtsp_client_on_interleaved(
	struct rtsp_client *client, uint8_t channel, const uint8_t *p, size_t n)
{
	struct rtsp_track *track = client_find_channel(client, channel, p, n);

	if (track)
		rtp_receiver_take(track_media(track), p, n);
	return track;
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

	if (track_is_back(track) || !track->client->connection ||
		!address_is_same_host(from, connection_peer_address(track->client->connection)))
		return;
	if (kind == DATAGRAM_RTP && !track->has_server_port)
		track_learn_port(track, from, from_bytes);
	if (kind == DATAGRAM_RTP || rtcp_is(p, n))
		rtp_receiver_take(track_media(track), p, n);
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

	if (!track_is_back(track))
		rtp_receiver_set_up(track_media(track), true);
	else if (!rtp_port)
		rtsp_track_refused(track); /* it does not say where it listens */
	if (!rtp_port)
		return; /* learned from the first packet */
	track->has_server_port = true;
	memcpy(&to, peer, n);
	*port_of(&to) = htons(rtp_port);
	datagram_pair_set_peer(track->udp, DATAGRAM_RTP, (struct sockaddr *)&to, n);
	*port_of(&to) = htons(rtcp_port);
	datagram_pair_set_peer(track->udp, DATAGRAM_RTCP, (struct sockaddr *)&to, n);
	if (track_is_back(track))
		return;
	(void)datagram_pair_send(track->udp, DATAGRAM_RTP, &part, 1);
	rtp_receiver_report(track_media(track));
}

/* --- reports, and what is said --- */

/* False: it was dropped. */
static bool track_send(
	const struct rtsp_track *track, enum datagram_kind kind, uint8_t *p, size_t n)
{
	uint8_t channel = kind == DATAGRAM_RTP ? track->channel : track->rtcp_channel;
	const uint8_t head[] = { '$', channel, (uint8_t)(n >> 8), (uint8_t)n };
	struct iovec part = { .iov_base = p, .iov_len = n };
	struct evbuffer *out;

	if (track->udp)
		return datagram_pair_send(track->udp, kind, &part, 1) == 1;
	out = evbuffer_new();
	evbuffer_add(out, head, sizeof(head));
	evbuffer_add(out, p, n);
	rtsp_client_write(track->client, out);
	evbuffer_free(out);
	return true;
}

void rtsp_client_on_report(void *arg, unsigned number, uint8_t *p, size_t n)
{
	struct rtsp_client *client = arg;

	(void)track_send(&client->tracks[number], DATAGRAM_RTCP, p, n);
}

bool rtsp_client_say(void *arg, uint8_t *p, size_t n)
{
	struct rtsp_client *client = arg;
	size_t waiting = evbuffer_get_length(connection_output(client->connection));

	return waiting < BACK_OUTPUT_BYTES &&
	       track_send(&client->tracks[RTSP_BACK_TRACK], DATAGRAM_RTP, p, n);
}

/* --- the end --- */

void rtsp_client_drop_tracks(struct rtsp_client *client)
{
	for (unsigned i = 0; i < RTSP_TRACKS; i++) {
		datagram_pair_free(client->tracks[i].udp);
		client->tracks[i] = (struct rtsp_track){ .client = client };
	}
	rtp_receiver_drop_tracks(&client->receiver);
	client->next_setup = 0;
	client->has_back = false;
}
