/* The media of an RTSP camera: packets put in order, made whole, given their times, published. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "protocols/rtsp_client_private.h"
#include "server/base/log.h"
#include "server/media/aac.h"
#include "server/media/codec.h"

enum {
	REORDER_WINDOW = 64,
	REPORT_TICKS = 5,
	REPORT_BYTES = 128,
	FRAME_90K = 3600, /* a guess, until two pictures are known */
};

/* What a track's codec is made of: a row per encoding that can be recorded. */
static AVCodecParameters *parameters_of_h264(const struct rtp_depacketiser *d, const char **why)
{
	return codec_of_h264(rtp_depacketiser_h264(d), why);
}

static AVCodecParameters *parameters_of_h265(const struct rtp_depacketiser *d, const char **why)
{
	return codec_of_h265(rtp_depacketiser_h265(d), why);
}

static AVCodecParameters *parameters_of_aac(const struct rtp_depacketiser *d, const char **why)
{
	size_t n;
	const uint8_t *config = rtp_depacketiser_aac(d, &n);

	return codec_of_aac(config, n, why);
}

static const struct rtsp_encoding {
	const char *name;
	enum sdp_kind kind;
	AVCodecParameters *(*parameters)(const struct rtp_depacketiser *d, const char **why);
} encodings[] = {
	{"H264",           SDP_VIDEO, parameters_of_h264},
	{ "H265",          SDP_VIDEO, parameters_of_h265},
	{ "MPEG4-GENERIC", SDP_AUDIO, parameters_of_aac },
};

static const struct rtsp_encoding *encoding_find(const struct sdp_media *media)
{
	for (size_t i = 0; i < ARRAY_LENGTH(encodings); i++) {
		if (encodings[i].kind == media->kind && !strcmp(encodings[i].name, media->encoding))
			return &encodings[i];
	}
	return NULL;
}

/* --- units --- */

static bool track_make_parameters(struct rtsp_track *track)
{
	const char *why = "unknown";
	AVCodecParameters *made = track->encoding->parameters(track->depacketiser, &why);

	if (!made) {
		log_warn(&track->client->log, "%s: %s", track->media.encoding, why);
		return false;
	}
	avcodec_parameters_free(&track->parameters);
	track->parameters = made;
	/* RTP counts by the rtpmap's clock, whatever the codec says (HE-AAC doubles its rate) */
	track->time_base = (AVRational){ 1, (int)track->media.clock_hz };
	if (track->video || !track->media.clock_hz)
		track->time_base.den = track->video ? 90000 : made->sample_rate;
	return true;
}

/* RTP-Info says which RTP times of the tracks are the same instant. */
static void media_align_by_play(struct rtsp_client *client)
{
	const struct rtsp_track *lead = &client->tracks[0];

	for (unsigned i = 1; i < client->n_tracks; i++) {
		struct rtsp_track *track = &client->tracks[i];

		if (lead->has_play_time && track->has_play_time)
			(void)clock_align(&track->clock, track->play_time,
				clock_instant_us(&lead->clock, lead->play_time));
	}
}

/* Begins a run of the stream with what is known of the tracks. */
static void media_begin_run(struct rtsp_client *client)
{
	struct stream_track tracks[RTSP_TRACKS];
	size_t n = 0;

	for (unsigned i = 0; i < client->n_tracks; i++) {
		struct rtsp_track *track = &client->tracks[i];

		track->last_dts = AV_NOPTS_VALUE;
		if (track->video)
			decode_time_init(&track->decode_time,
				codec_reorder_frames(track->parameters), FRAME_90K);
		tracks[n++] = (struct stream_track){ track->parameters, track->time_base };
	}
	client->running = true;
	stream_begin(client->order.stream, tracks, n);
}

static void track_publish(struct rtsp_track *track, const struct rtp_unit *unit, int64_t pts)
{
	struct rtsp_client *client = track->client;
	int64_t dts = track->video ? decode_time_of(&track->decode_time, pts) : pts;
	AVPacket *packet;

	if (track->last_dts != AV_NOPTS_VALUE && dts <= track->last_dts)
		return; /* sound that was moved back by a sender report */
	packet = av_packet_alloc();
	if (!packet || av_new_packet(packet, (int)unit->bytes) < 0)
		abort();
	memcpy(packet->data, unit->data, unit->bytes);
	packet->stream_index = (int)(track - client->tracks);
	packet->pts = pts < dts ? dts : pts;
	packet->dts = dts;
	packet->duration = track->unit_duration;
	packet->flags = unit->keyframe ? AV_PKT_FLAG_KEY : 0;
	track->last_dts = dts;
	metric_add(track->frames, 1);
	stream_publish(client->order.stream, packet);
	av_packet_free(&packet);
}

static void track_on_unit(void *arg, const struct rtp_unit *unit)
{
	struct rtsp_track *track = arg;
	struct rtsp_client *client = track->client;
	bool begin = track->video && (!client->running || unit->sets_changed);
	int64_t pts;

	if (client->state == RTSP_ENDED || (!track->video && !client->running))
		return;
	if (begin && unit->sets_changed && !track_make_parameters(track))
		return;
	if (!track->parameters)
		return;
	if (clock_stamp(&track->clock, unit->timestamp, reactor_now_us(), reactor_monotonic_us(),
		    &pts) == CLOCK_JUMPED) {
		log_warn(&client->log, "the camera's clock jumped: a new recording begins");
		begin = true;
	}
	if (begin) {
		if (!client->running)
			media_align_by_play(client);
		media_begin_run(client);
	}
	track_publish(track, unit, pts);
	if (!client->up) {
		client->up = true;
		if (client->may_switch)
			client->memory->transport = client->transport;
		client->order.events->on_up(client->order.arg);
	}
}

static void track_on_dropped(void *arg, const char *why)
{
	struct rtsp_track *track = arg;

	log_debug(&track->client->log, "a picture is dropped: %s", why);
	metric_add(track->client->dropped, 1);
}

static const struct rtp_depacketiser_events track_unit_events = {
	.on_unit = track_on_unit,
	.on_dropped = track_on_dropped,
};

/* --- packets --- */

static void track_on_packet(void *arg, const uint8_t *p, size_t n, bool gap)
{
	struct rtsp_track *track = arg;
	struct rtp_packet packet;
	const char *why;

	if (rtp_parse(&packet, p, n, &why) == 0 && packet.payload_type == track->media.payload_type)
		rtp_depacketiser_push(track->depacketiser, &packet, gap);
}

static void track_on_rtp(struct rtsp_track *track, const uint8_t *p, size_t n)
{
	track->client->media_us = reactor_monotonic_us();
	metric_add(track->client->bytes, (double)n);
	rtp_reorder_push(track->reorder, p, n, track->client->media_us);
}

/* Both tracks' sender reports together say how they lie to each other (RFC 3550 section 6.4.1). */
static void media_align_by_reports(struct rtsp_client *client)
{
	const struct rtsp_track *lead = &client->tracks[0];
	struct rtsp_track *track = &client->tracks[1];
	int64_t apart_us;

	if (client->n_tracks < 2 || !lead->has_report || !track->has_report ||
		!lead->clock.anchored)
		return;
	apart_us = rtcp_us_of_ntp(track->report_ntp) - rtcp_us_of_ntp(lead->report_ntp);
	if (clock_align(&track->clock, track->report_time,
		    clock_instant_us(&lead->clock, lead->report_time) + apart_us))
		log_debug(&client->log, "sound aligned by sender reports");
}

static void track_on_rtcp(struct rtsp_track *track, const uint8_t *p, size_t n)
{
	struct rtcp_compound compound;
	const char *why;

	if (rtcp_parse(&compound, p, n, &why) < 0 || !compound.has_sender_report ||
		!compound.sender.ntp)
		return;
	track->has_report = true;
	track->report_ntp = compound.sender.ntp;
	track->report_time = compound.sender.timestamp;
	track->report_arrived_us = reactor_monotonic_us();
	media_align_by_reports(track->client);
}

/* Two tracks on the same channels are told apart by the payload type. */
static struct rtsp_track *media_find_channel(
	struct rtsp_client *client, uint8_t channel, const uint8_t *p, size_t n)
{
	struct rtsp_track *found = NULL;

	for (unsigned i = 0; i < client->n_tracks; i++) {
		struct rtsp_track *track = &client->tracks[i];

		if ((channel & ~1) != (track->channel & ~1))
			continue;
		if (!found || (n > 1 && (p[1] & 0x7f) == track->media.payload_type))
			found = track;
	}
	return found;
}

bool rtsp_media_on_interleaved(
	struct rtsp_client *client, uint8_t channel, const uint8_t *p, size_t n)
{
	struct rtsp_track *track = media_find_channel(client, channel, p, n);

	if (!track)
		return false;
	if (channel == track->channel)
		track_on_rtp(track, p, n);
	else
		track_on_rtcp(track, p, n);
	return true;
}

/* --- UDP --- */

static bool same_host(const struct sockaddr *a, const struct sockaddr *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr);
}

static void track_on_datagram(void *arg, enum datagram_kind kind, const uint8_t *p, size_t n,
	const struct sockaddr *from, socklen_t from_bytes)
{
	struct rtsp_track *track = arg;

	(void)from_bytes;
	if (!track->client->connection ||
		!same_host(from, connection_peer_address(track->client->connection)))
		return;
	if (kind == DATAGRAM_RTP)
		track_on_rtp(track, p, n);
	else
		track_on_rtcp(track, p, n);
}

static const struct datagram_events track_datagram_events = { .on_datagram = track_on_datagram };

int rtsp_media_open_udp(struct rtsp_track *track)
{
	struct sockaddr_storage local;
	int error = connection_local_address(track->client->connection, &local);

	if (error)
		return error;
	track->udp = datagram_pair_new((struct sockaddr *)&local, &track_datagram_events, track);
	return track->udp ? 0 : -errno;
}

static size_t track_write_report(const struct rtsp_track *track, uint8_t ret[REPORT_BYTES])
{
	struct rtcp_reception reception = { .ssrc = 0x6e767264 };
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

static void track_send_report(struct rtsp_track *track)
{
	uint8_t frame[4 + REPORT_BYTES];
	size_t n = track_write_report(track, frame + 4);
	struct iovec part = { .iov_base = frame + 4, .iov_len = n };

	if (!n)
		return;
	if (track->udp) {
		(void)datagram_pair_send(track->udp, DATAGRAM_RTCP, &part, 1);
		return;
	}
	frame[0] = '$';
	frame[1] = track->channel | 1;
	frame[2] = (uint8_t)(n >> 8);
	frame[3] = (uint8_t)n;
	connection_write(track->client->connection, frame, 4 + n);
}

void rtsp_media_set_server_port(struct rtsp_track *track, uint16_t rtp_port)
{
	uint8_t empty[RTP_HEADER_BYTES] = { 0x80 };
	struct iovec part = { .iov_base = empty, .iov_len = sizeof(empty) };
	struct sockaddr_storage to = { 0 };
	const struct sockaddr *peer = connection_peer_address(track->client->connection);
	bool v6 = peer->sa_family == AF_INET6;
	socklen_t n = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	uint16_t *port = v6 ? &((struct sockaddr_in6 *)&to)->sin6_port
			    : &((struct sockaddr_in *)&to)->sin_port;

	memcpy(&to, peer, n);
	*port = htons(rtp_port);
	datagram_pair_set_peer(track->udp, DATAGRAM_RTP, (struct sockaddr *)&to, n);
	*port = htons((uint16_t)(rtp_port + 1));
	datagram_pair_set_peer(track->udp, DATAGRAM_RTCP, (struct sockaddr *)&to, n);
	(void)datagram_pair_send(track->udp, DATAGRAM_RTP, &part, 1);
	track_send_report(track);
}

/* --- time --- */

void rtsp_media_tick(struct rtsp_client *client)
{
	bool report = ++client->ticks % REPORT_TICKS == 0;

	for (unsigned i = 0; i < client->n_tracks; i++) {
		struct rtsp_track *track = &client->tracks[i];
		struct rtp_reorder_stats stats;

		rtp_reorder_get_stats(track->reorder, &stats);
		metric_add(client->lost, (double)(stats.lost - track->lost_counted));
		track->lost_counted = stats.lost;
		if (report && stats.received)
			track_send_report(track);
	}
}

void rtsp_media_expire(struct rtsp_client *client)
{
	for (unsigned i = 0; i < client->n_tracks; i++)
		rtp_reorder_expire(client->tracks[i].reorder, reactor_monotonic_us());
}

/* --- tracks --- */

/* Returns false with *why when the track cannot be taken. */
static bool track_init(struct rtsp_client *client, const struct rtsp_encoding *encoding,
	const struct sdp_media *media, const char **why)
{
	struct rtsp_track *track = &client->tracks[client->n_tracks];
	struct rtp_format format = { media->encoding, media->fmtp, media->clock_hz,
		media->channels };

	*track = (struct rtsp_track){
		.client = client,
		.encoding = encoding,
		.video = media->kind == SDP_VIDEO,
		.media = *media,
	};
	track->depacketiser = rtp_depacketiser_new(&format, &track_unit_events, track, why);
	if (!track->depacketiser)
		return false;
	track->last_dts = AV_NOPTS_VALUE;
	track->frames = metric_get(
		METRIC_CAMERA_FRAMES, client->order.camera, track->video ? "video" : "audio");
	if (!track->video && !track_make_parameters(track)) {
		rtp_depacketiser_free(track->depacketiser);
		*why = "its configuration makes no sense";
		return false;
	}
	if (!track->video)
		track->unit_duration =
			(int64_t)(track->parameters->frame_size ? track->parameters->frame_size
								: 1024) *
			track->time_base.den / track->parameters->sample_rate;
	clock_init(&track->clock, track->video ? 90000 : (uint32_t)track->time_base.den);
	track->reorder = rtp_reorder_new(REORDER_WINDOW, track->clock.hz, track_on_packet, track);
	client->n_tracks++;
	return true;
}

/* Whether a media line may be what we look for; sound that the camera wants to hear is not. */
static bool media_fits(const struct sdp *sdp, const struct sdp_media *media, enum sdp_kind kind)
{
	bool backchannel =
		kind == SDP_AUDIO && media->direction == SDP_SENDONLY && sdp->n_media > 2;

	return media->kind == kind && !backchannel;
}

/*
 * Takes the first track of that kind that can be recorded. Returns whether there was any of the kind
 * at all; why the last one was not taken is in `detail`.
 */
static bool media_choose_kind(struct rtsp_client *client, const struct sdp *sdp, enum sdp_kind kind,
	char *detail, size_t size)
{
	bool found = false;

	for (size_t i = 0; i < sdp->n_media; i++) {
		const struct sdp_media *media = &sdp->media[i];
		const struct rtsp_encoding *encoding = encoding_find(media);
		const char *why = "not supported";

		if (!media_fits(sdp, media, kind))
			continue;
		found = true;
		if (encoding && track_init(client, encoding, media, &why))
			return true;
		snprintf(detail, size, "%s: %s",
			media->encoding[0] ? media->encoding : "unknown encoding", why);
	}
	return found;
}

enum source_end rtsp_media_choose(
	struct rtsp_client *client, const struct sdp *sdp, char *detail, size_t size)
{
	bool any = media_choose_kind(client, sdp, SDP_VIDEO, detail, size); /* it is track 0 */

	if (client->n_tracks == 0)
		return any ? SOURCE_UNSUPPORTED : SOURCE_NO_VIDEO;
	any = media_choose_kind(client, sdp, SDP_AUDIO, detail, size);
	if (any && client->n_tracks == 1)
		log_warn(&client->log, "without sound: %s", detail);
	return SOURCE_STOPPED;
}

void rtsp_media_free(struct rtsp_client *client)
{
	for (unsigned i = 0; i < client->n_tracks; i++) {
		struct rtsp_track *track = &client->tracks[i];

		datagram_pair_free(track->udp);
		rtp_reorder_free(track->reorder);
		rtp_depacketiser_free(track->depacketiser);
		avcodec_parameters_free(&track->parameters);
	}
	client->n_tracks = 0;
}
