/* The media of an RTSP camera: packets put in order, made whole, given their times, published. */
#include <stdlib.h>
#include <string.h>

#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "protocols/rtsp_client_private.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/wall_clock.h"
#include "server/media/codec.h"
#include "server/media/event.h"

enum {
	REPORT_TICKS = 5,
	LOOK_TICKS = 10,
	HOLD_US = 200000,
	HELD_BYTES = 8 << 20,
	REPORT_NONSENSE_US = 1000000,
	REPORT_OLD_US = 60 * 1000000,
	FRAME_90K = 3600, /* a guess, until two pictures are known */
};

/* --- runs --- */

/* Whether an RTP time is within ten seconds of another. */
static bool times_are_near(uint32_t a, uint32_t b, uint32_t hz)
{
	int32_t apart = (int32_t)(a - b);

	return apart < (int32_t)(10 * hz) && apart > -(int32_t)(10 * hz);
}

/*
 * RTP-Info says which RTP times of the tracks are the same instant: where they are near the first
 * that come, since some cameras say anything.
 */
static void track_align_by_play(struct rtsp_track *track, uint32_t timestamp)
{
	const struct rtsp_track *lead = &track->client->tracks[0];

	if (track != lead && lead->clock.anchored && lead->has_play_time && track->has_play_time &&
		times_are_near(lead->play_time, lead->clock.last_rtp, lead->clock.hz) &&
		times_are_near(track->play_time, timestamp, track->clock.hz))
		(void)clock_align(&track->clock, track->play_time,
			clock_instant_us(&lead->clock, lead->play_time), reactor_monotonic_us());
}

static void media_give(struct rtsp_track *track, AVPacket *packet)
{
	struct rtsp_client *client = track->client;

	if (track->last_dts != AV_NOPTS_VALUE && packet->dts <= track->last_dts)
		return; /* sound that was moved back by a sender report */
	track->last_dts = packet->dts;
	packet->stream_index = track->index;
	stream_publish(client->order.stream, packet);
}

static void track_on_aac(void *arg, AVPacket *packet)
{
	struct rtsp_track *track = arg;

	if (track->client->state != RTSP_ENDED)
		media_give(track, packet);
}

/* The track as it is published: AAC comes between where that is wanted. */
static struct stream_track track_publish_as(struct rtsp_track *track)
{
	struct rtsp_client *client = track->client;
	struct stream_track as = { track->parameters, track->time_base, 0 };
	const char *why = sound_aac_fit(&track->aac, &as, client->order.config->audio == AUDIO_AAC,
		client->dropped, track_on_aac, track);

	if (why)
		log_warn(&client->log, "its sound cannot be made AAC: %s", why);
	return as;
}

/* Tells the stream what is known of the tracks. */
static void media_begin_run(struct rtsp_client *client)
{
	struct stream_track tracks[RTSP_TRACKS];
	size_t n = 0;

	for (unsigned i = 0; i < client->n_tracks; i++) {
		struct rtsp_track *track = &client->tracks[i];

		track->last_dts = AV_NOPTS_VALUE;
		track->stale = false;
		if (track->kind == SDP_APPLICATION || track->refused)
			continue;
		track->index = (int)n;
		tracks[n++] = track_publish_as(track);
	}
	stream_begin(client->order.stream, tracks, n);
}

static void media_publish(struct rtsp_track *track, AVPacket *packet)
{
	if (track->aac)
		sound_aac_push(track->aac, packet);
	else
		media_give(track, packet);
}

/* --- the hold: a camera may begin with seconds of the past at once --- */

static void media_drop_held(struct rtsp_client *client)
{
	struct rtsp_held_unit *unit;

	while ((unit = STAILQ_FIRST(&client->held))) {
		STAILQ_REMOVE_HEAD(&client->held, entry);
		av_packet_free(&unit->packet);
		free(unit);
	}
	client->held_bytes = 0;
}

static void media_hold(struct rtsp_track *track, AVPacket *packet)
{
	struct rtsp_held_unit *unit = xmalloc(sizeof(*unit));

	unit->track = track;
	unit->packet = packet;
	STAILQ_INSERT_TAIL(&track->client->held, unit, entry);
	track->client->held_bytes += (size_t)packet->size + sizeof(*unit);
}

/* How far each track's clock moves, in its time base, so that nothing came before it was made. */
static void media_settle_clocks(struct rtsp_client *client, int64_t shifts[RTSP_TRACKS])
{
	int64_t lead_early_us = clock_early_us(&client->tracks[0].clock);

	for (unsigned i = 0; i < client->n_tracks; i++) {
		struct clock *clock = &client->tracks[i].clock;
		int64_t early_us = clock->led_us ? lead_early_us : clock_early_us(clock);

		if (clock->anchored)
			shifts[i] = clock_settle(clock, early_us);
	}
	decode_time_shift(&client->tracks[0].decode_time, shifts[0]);
}

/* Ends the hold: publishes what was held, with the times that are known now. */
static void media_end_hold(struct rtsp_client *client)
{
	int64_t shifts[RTSP_TRACKS] = { 0 };
	struct rtsp_held_unit *unit;

	reactor_timer_stop(client->hold_timer);
	client->holding = false;
	media_settle_clocks(client, shifts);
	media_begin_run(client);
	STAILQ_FOREACH (unit, &client->held, entry) {
		int64_t shift = shifts[unit->track - client->tracks];

		unit->packet->pts += shift;
		unit->packet->dts += shift;
		media_publish(unit->track, unit->packet);
	}
	media_drop_held(client);
	client->up = true;
	client->memory->transport = client->transport;
	client->order.events->on_up(client->order.arg);
}

void rtsp_media_on_hold_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	media_end_hold(arg);
}

/* --- units --- */

/* What is on its way has times of before. */
static void media_drop_aac(struct rtsp_client *client)
{
	for (unsigned i = 0; i < client->n_tracks; i++) {
		sound_aac_free(client->tracks[i].aac);
		client->tracks[i].aac = NULL;
	}
}

static void media_begin(struct rtsp_client *client)
{
	struct rtsp_track *lead = &client->tracks[0];

	decode_time_init(&lead->decode_time, codec_reorder_frames(lead->parameters), FRAME_90K);
	if (client->running) {
		media_begin_run(client);
		return;
	}
	client->running = client->holding = true;
	reactor_timer_start(client->hold_timer, HOLD_US);
}

static AVPacket *track_make_packet(
	struct rtsp_track *track, const struct rtp_unit *unit, int64_t pts)
{
	const struct rtp_sound *sound = rtp_depacketiser_sound(track->depacketiser);
	AVPacket *packet = av_packet_alloc();

	if (!packet || av_new_packet(packet, (int)unit->bytes) < 0)
		abort();
	memcpy(packet->data, unit->data, unit->bytes);
	packet->dts = sound ? pts : decode_time_of(&track->decode_time, pts);
	packet->pts = pts < packet->dts ? packet->dts : pts;
	packet->duration = sound ? sound->unit_ticks : 0;
	packet->flags = unit->keyframe ? AV_PKT_FLAG_KEY : 0;
	return packet;
}

static void track_on_metadata(const struct rtsp_track *track, const struct rtp_unit *unit)
{
	event_publish(&(struct event_notice){
		.kind = EVENT_METADATA,
		.camera = track->client->order.camera,
		.at_us = reactor_now_us(),
		.data = unit->data,
		.bytes = unit->bytes,
	});
}

/*
 * Takes what a unit of sound tells of itself. Returns whether it fits the run; if it does not, the
 * next keyframe begins another, so that no picture is lost to the sound.
 */
static bool track_take_sound(struct rtsp_track *track, const struct rtp_unit *unit)
{
	const struct rtsp_client *client = track->client;

	if (unit->sets_changed && rtsp_track_changed(track)) {
		if (!rtsp_track_make_parameters(track))
			return false;
		track->stale = track->stale || (client->running && !client->holding);
	}
	return client->running && !track->stale;
}

static bool media_is_stale(const struct rtsp_client *client)
{
	bool stale = false;

	for (unsigned i = 0; i < client->n_tracks; i++)
		stale = stale || client->tracks[i].stale;
	return stale;
}

/* Now, for a track that is yet to be anchored: by the picture's clock, which the local one may have left. */
static int64_t track_now_us(const struct rtsp_track *track)
{
	const struct rtsp_track *lead = &track->client->tracks[0];

	if (track == lead || !lead->clock.arrived)
		return wall_clock_media_us();
	return clock_arrival_us(&lead->clock, reactor_monotonic_us());
}

/*
 * The camera began anew, less than what a clock calls a leap by itself: so does GStreamer's server when
 * another reader of a shared mount plays. Its sound, on its own clock, went back as far.
 */
static void media_expect_leap(struct rtsp_client *client)
{
	for (unsigned i = 0; i < client->n_tracks; i++)
		clock_expect_leap(&client->tracks[i].clock);
}

static void track_on_media(struct rtsp_track *track, const struct rtp_unit *unit)
{
	struct rtsp_client *client = track->client;
	bool video = track->kind == SDP_VIDEO;
	bool changed = video && (unit->sets_changed || (unit->keyframe && media_is_stale(client)));
	AVPacket *packet;
	int64_t pts;

	if (!video && !track_take_sound(track, unit))
		return;
	if (changed && client->holding)
		media_end_hold(client);
	if (changed && !rtsp_track_make_parameters(track))
		return;
	if (!track->parameters)
		return;
	if (!track->clock.anchored)
		track_align_by_play(track, unit->timestamp);
	if (video && unit->keyframe && clock_is_behind(&track->clock, unit->timestamp))
		media_expect_leap(client);
	if (clock_stamp(&track->clock, unit->timestamp, track_now_us(track), reactor_monotonic_us(),
		    &pts) == CLOCK_JUMPED &&
		video) {
		log_warn(&client->log, "the camera's clock jumped: a new recording begins");
		changed = true;
		if (client->holding)
			media_end_hold(client);
		media_drop_aac(client);
	}
	if (changed || !client->running)
		media_begin(client);
	packet = track_make_packet(track, unit, pts);
	if (video)
		client->unit_us = reactor_monotonic_us();
	if (client->holding) {
		media_hold(track, packet);
		if (client->held_bytes > HELD_BYTES)
			media_end_hold(client);
		return;
	}
	media_publish(track, packet);
	av_packet_free(&packet);
}

static void track_on_unit(void *arg, const struct rtp_unit *unit)
{
	struct rtsp_track *track = arg;

	if (track->client->state == RTSP_ENDED)
		return;
	metric_add(track->frames, 1);
	if (track->kind == SDP_APPLICATION)
		track_on_metadata(track, unit);
	else
		track_on_media(track, unit);
}

static void track_on_dropped(void *arg, const char *why)
{
	struct rtsp_track *track = arg;

	log_debug(&track->client->log, "a unit is dropped: %s", why);
	metric_add(track->client->dropped, 1);
}

const struct rtp_depacketiser_events rtsp_unit_events = {
	.on_unit = track_on_unit,
	.on_dropped = track_on_dropped,
};

/* --- packets --- */

void rtsp_track_on_packet(void *arg, const uint8_t *p, size_t n, bool gap)
{
	struct rtsp_track *track = arg;
	struct rtp_packet packet;
	const char *why;

	if (rtp_parse(&packet, p, n, &why) == 0)
		rtp_depacketiser_push(track->depacketiser, &packet, gap);
}

void rtsp_media_on_rtp(struct rtsp_track *track, const uint8_t *p, size_t n)
{
	struct rtsp_client *client = track->client;
	int64_t now_us = reactor_monotonic_us();

	if (!track->reorder)
		return;
	if (track->kind == SDP_VIDEO && n > 1 && sdp_has_type(&track->media, p[1] & 0x7f)) {
		client->picture_us = now_us;
		client->bye_us = 0;
	}
	metric_add(client->bytes, (double)n);
	rtp_reorder_push(track->reorder, p, n, now_us);
}

/*
 * Both tracks' sender reports together say how they lie to each other (RFC 3550 section 6.4.1). They
 * are believed when they come as far apart as they say, whatever day the camera thinks it is.
 */
static void media_align_by_reports(struct rtsp_client *client)
{
	const struct rtsp_track *lead = &client->tracks[0];
	struct rtsp_track *track = &client->tracks[1];
	int64_t apart_us, came_apart_us, off_us;

	if (client->n_tracks < 2 || !lead->has_report || !track->has_report ||
		!lead->clock.anchored || track->kind != SDP_AUDIO)
		return;
	apart_us = rtcp_us_of_ntp(track->report_ntp) - rtcp_us_of_ntp(lead->report_ntp);
	came_apart_us = track->report_arrived_us - lead->report_arrived_us;
	off_us = apart_us - came_apart_us;
	if (off_us > REPORT_NONSENSE_US || off_us < -REPORT_NONSENSE_US ||
		came_apart_us > REPORT_OLD_US || lead->clock.by_arrival)
		return;
	if (clock_follow_report(&track->clock, track->report_time,
		    clock_instant_us(&lead->clock, lead->report_time) + apart_us,
		    reactor_monotonic_us()))
		log_debug(&client->log, "sound aligned by sender reports");
}

void rtsp_media_on_rtcp(struct rtsp_track *track, const uint8_t *p, size_t n)
{
	struct rtcp_compound compound;
	const char *why;

	if (rtcp_parse(&compound, p, n, &why) < 0)
		return;
	if (compound.has_bye && track->kind == SDP_VIDEO)
		track->client->bye_us = reactor_monotonic_us();
	if (!compound.has_sender_report || !compound.sender.ntp)
		return;
	track->has_report = true;
	track->report_ntp = compound.sender.ntp;
	track->report_time = compound.sender.timestamp;
	track->report_arrived_us = reactor_monotonic_us();
	if (track->kind == SDP_AUDIO) /* so that each of its reports counts once */
		media_align_by_reports(track->client);
}

/* Two tracks on the same channels are told apart by the payload type. */
static struct rtsp_track *media_find_channel(
	struct rtsp_client *client, uint8_t channel, const uint8_t *p, size_t n)
{
	struct rtsp_track *found = NULL;

	for (unsigned i = 0; i < client->n_tracks; i++) {
		struct rtsp_track *track = &client->tracks[i];

		if (channel != track->channel && channel != track->rtcp_channel)
			continue;
		if (!found || (n > 1 && sdp_has_type(&track->media, p[1] & 0x7f)))
			found = track;
	}
	return found;
}

bool rtsp_media_has_channel(const struct rtsp_client *client, uint8_t channel)
{
	for (unsigned i = 0; i < client->n_tracks; i++) {
		if (channel == client->tracks[i].channel ||
			channel == client->tracks[i].rtcp_channel)
			return true;
	}
	return false;
}

bool rtsp_media_knows(const struct rtsp_client *client, const uint8_t *p, size_t n)
{
	if (p[0] >> 6 != 2 || rtcp_is(p, n))
		return p[0] >> 6 == 2;
	for (unsigned i = 0; i < client->n_tracks; i++) {
		if (sdp_has_type(&client->tracks[i].media, p[1] & 0x7f))
			return true;
	}
	return false;
}

bool rtsp_media_on_interleaved(
	struct rtsp_client *client, uint8_t channel, const uint8_t *p, size_t n)
{
	struct rtsp_track *track = media_find_channel(client, channel, p, n);

	if (!track)
		return false;
	/* what it is decides, not the channel: some cameras mix them up */
	if (rtcp_is(p, n))
		rtsp_media_on_rtcp(track, p, n);
	else
		rtsp_media_on_rtp(track, p, n);
	return true;
}

/* --- time --- */

/* Tells the owner when pictures begin to come damaged, and when they are whole again. */
static void media_look(struct rtsp_client *client)
{
	double lost = metric_value(client->lost), dropped = metric_value(client->dropped);
	const char *why = dropped > client->dropped_before ? "pictures arrive damaged"
			  : lost > client->lost_before     ? "packets are lost on the way"
							   : NULL;

	client->lost_before = lost;
	client->dropped_before = dropped;
	if (!client->up || !why == !client->degraded)
		return;
	client->degraded = why;
	if (client->order.events->on_degraded)
		client->order.events->on_degraded(client->order.arg, why);
}

/* Adds what was lost since it was last counted. Returns how many packets came in all. */
static uint64_t track_count_losses(struct rtsp_track *track)
{
	struct rtp_reorder_stats stats;

	if (!track->reorder)
		return 0;
	rtp_reorder_get_stats(track->reorder, &stats);
	metric_add(track->client->lost, (double)(stats.lost - track->lost_counted));
	track->lost_counted = stats.lost;
	return stats.received;
}

void rtsp_media_count_losses(struct rtsp_client *client)
{
	for (unsigned i = 0; i < client->n_tracks; i++)
		(void)track_count_losses(&client->tracks[i]);
}

void rtsp_media_tick(struct rtsp_client *client)
{
	bool report = ++client->ticks % REPORT_TICKS == 0;

	for (unsigned i = 0; i < client->n_tracks; i++) {
		struct rtsp_track *track = &client->tracks[i];

		if (track_count_losses(track) && report)
			rtsp_track_send_report(track);
	}
	if (client->ticks % LOOK_TICKS == 0)
		media_look(client);
}

void rtsp_media_expire(struct rtsp_client *client)
{
	for (unsigned i = 0; i < client->n_tracks; i++) {
		if (client->tracks[i].reorder)
			rtp_reorder_expire(client->tracks[i].reorder, reactor_monotonic_us());
	}
}

const char *rtsp_media_what_is_missing(const struct rtsp_client *client)
{
	return client->tracks[0].parameters ? "no keyframe"
					    : "no keyframe with parameter sets that make sense";
}

void rtsp_media_free(struct rtsp_client *client)
{
	media_drop_held(client);
	media_drop_aac(client);
	client->holding = client->running = false;
	for (unsigned i = 0; i < client->n_tracks; i++) {
		struct rtsp_track *track = &client->tracks[i];

		datagram_pair_free(track->udp);
		rtp_reorder_free(track->reorder);
		rtp_depacketiser_free(track->depacketiser);
		avcodec_parameters_free(&track->parameters);
	}
	client->n_tracks = client->next_setup = 0;
}
