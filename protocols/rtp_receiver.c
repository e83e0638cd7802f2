/* The media of a source that sends RTP: packets put in order, made whole, given their times, published. */
#include "protocols/rtp_receiver.h"

#include <stdlib.h>
#include <string.h>

#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "protocols/rtp_receiver_private.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/wall_clock.h"
#include "server/media/codec.h"
#include "server/media/event.h"

enum {
	OUR_SSRC = 0x6e767264,
	TICK_US = 1000000,
	EXPIRE_US = 100000,
	SILENCE_BYE_US = 2000000, /* what a camera says that plays on has no meaning */
	NO_PICTURE_US = 60000000, /* packets come, but no picture to begin with */
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
static void track_align_by_play(struct rtp_receiver_track *track, uint32_t timestamp)
{
	const struct rtp_receiver_track *lead = &track->receiver->tracks[0];

	if (track != lead && lead->clock.anchored && lead->has_play_time && track->has_play_time &&
		times_are_near(lead->play_time, lead->clock.last_rtp, lead->clock.hz) &&
		times_are_near(track->play_time, timestamp, track->clock.hz))
		(void)clock_align(&track->clock, track->play_time,
			clock_instant_us(&lead->clock, lead->play_time), reactor_monotonic_us());
}

static void media_give(struct rtp_receiver_track *track, AVPacket *packet)
{
	struct rtp_receiver *receiver = track->receiver;

	if (track->last_dts != AV_NOPTS_VALUE && packet->dts <= track->last_dts)
		return; /* sound that was moved back by a sender report */
	track->last_dts = packet->dts;
	packet->stream_index = track->index;
	stream_publish(receiver->order->stream, packet);
}

static void track_on_aac(void *arg, AVPacket *packet)
{
	struct rtp_receiver_track *track = arg;

	if (!track->receiver->stopped)
		media_give(track, packet);
}

/* The track as it is published: AAC comes between where that is wanted. */
static struct stream_track track_publish_as(struct rtp_receiver_track *track)
{
	struct rtp_receiver *receiver = track->receiver;
	struct stream_track as = { track->parameters, track->time_base, 0 };
	const char *why = sound_fit(&track->aac, &as, receiver->order->config->audio == AUDIO_AAC,
		receiver->dropped, track_on_aac, track);

	if (why)
		log_warn(receiver->log, "its sound cannot be made AAC: %s", why);
	return as;
}

/* Tells the stream what is known of the tracks. */
static void media_begin_run(struct rtp_receiver *receiver)
{
	struct stream_track tracks[RTP_RECEIVER_TRACKS];
	size_t n = 0;

	for (unsigned i = 0; i < receiver->n_tracks; i++) {
		struct rtp_receiver_track *track = &receiver->tracks[i];

		track->last_dts = AV_NOPTS_VALUE;
		track->stale = false;
		if (track->kind == SDP_APPLICATION || track->refused)
			continue;
		track->index = (int)n;
		tracks[n++] = track_publish_as(track);
	}
	stream_begin(receiver->order->stream, tracks, n);
}

static void media_publish(struct rtp_receiver_track *track, AVPacket *packet)
{
	if (track->aac)
		sound_push(track->aac, packet);
	else
		media_give(track, packet);
}

/* --- the hold: a camera may begin with seconds of the past at once --- */

static void media_drop_held(struct rtp_receiver *receiver)
{
	struct rtp_held_unit *unit;

	while ((unit = STAILQ_FIRST(&receiver->held))) {
		STAILQ_REMOVE_HEAD(&receiver->held, entry);
		av_packet_free(&unit->packet);
		free(unit);
	}
	receiver->held_bytes = 0;
}

static void media_hold(struct rtp_receiver_track *track, AVPacket *packet)
{
	struct rtp_held_unit *unit = xmalloc(sizeof(*unit));

	unit->track = track;
	unit->packet = packet;
	STAILQ_INSERT_TAIL(&track->receiver->held, unit, entry);
	track->receiver->held_bytes += (size_t)packet->size + sizeof(*unit);
}

/* How far each track's clock moves, in its time base, so that nothing came before it was made. */
static void media_settle_clocks(struct rtp_receiver *receiver, int64_t shifts[RTP_RECEIVER_TRACKS])
{
	int64_t lead_early_us = clock_early_us(&receiver->tracks[0].clock);

	for (unsigned i = 0; i < receiver->n_tracks; i++) {
		struct clock *clock = &receiver->tracks[i].clock;
		int64_t early_us = clock->led_us ? lead_early_us : clock_early_us(clock);

		if (clock->anchored)
			shifts[i] = clock_settle(clock, early_us);
	}
	decode_time_shift(&receiver->tracks[0].decode_time, shifts[0]);
}

/* Ends the hold: publishes what was held, with the times that are known now. */
static void media_end_hold(struct rtp_receiver *receiver)
{
	int64_t shifts[RTP_RECEIVER_TRACKS] = { 0 };
	struct rtp_held_unit *unit;

	reactor_timer_stop(receiver->hold_timer);
	receiver->holding = false;
	media_settle_clocks(receiver, shifts);
	media_begin_run(receiver);
	STAILQ_FOREACH (unit, &receiver->held, entry) {
		int64_t shift = shifts[unit->track - receiver->tracks];

		unit->packet->pts += shift;
		unit->packet->dts += shift;
		media_publish(unit->track, unit->packet);
	}
	media_drop_held(receiver);
	receiver->up = true;
	receiver->order->events->on_up(receiver->order->arg);
}

static void media_on_hold_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	media_end_hold(arg);
}

/* --- units --- */

/* What is on its way has times of before. */
static void media_drop_aac(struct rtp_receiver *receiver)
{
	for (unsigned i = 0; i < receiver->n_tracks; i++) {
		sound_free(receiver->tracks[i].aac);
		receiver->tracks[i].aac = NULL;
	}
}

static void media_begin(struct rtp_receiver *receiver)
{
	struct rtp_receiver_track *lead = &receiver->tracks[0];

	decode_time_init(&lead->decode_time, codec_reorder_frames(lead->parameters), FRAME_90K);
	if (receiver->running) {
		media_begin_run(receiver);
		return;
	}
	receiver->running = receiver->holding = true;
	reactor_timer_start(receiver->hold_timer, HOLD_US);
}

static AVPacket *track_make_packet(
	struct rtp_receiver_track *track, const struct rtp_unit *unit, int64_t pts)
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

static void track_on_metadata(const struct rtp_receiver_track *track, const struct rtp_unit *unit)
{
	event_publish(&(struct event_notice){
		.kind = EVENT_METADATA,
		.camera = track->receiver->order->camera,
		.at_us = reactor_now_us(),
		.data = unit->data,
		.bytes = unit->bytes,
	});
}

/*
 * Takes what a unit of sound tells of itself. Returns whether it fits the run; if it does not, the
 * next keyframe begins another, so that no picture is lost to the sound.
 */
static bool track_take_sound(struct rtp_receiver_track *track, const struct rtp_unit *unit)
{
	const struct rtp_receiver *receiver = track->receiver;

	if (unit->sets_changed && rtp_receiver_has_changed(track)) {
		if (!rtp_receiver_make_parameters(track))
			return false;
		track->stale = track->stale || (receiver->running && !receiver->holding);
	}
	return receiver->running && !track->stale;
}

static bool media_is_stale(const struct rtp_receiver *receiver)
{
	bool stale = false;

	for (unsigned i = 0; i < receiver->n_tracks; i++)
		stale = stale || receiver->tracks[i].stale;
	return stale;
}

/* Now, for a track that is yet to be anchored: by the picture's clock, which the local one may have left. */
static int64_t track_now_us(const struct rtp_receiver_track *track)
{
	const struct rtp_receiver_track *lead = &track->receiver->tracks[0];

	if (track == lead || !lead->clock.arrived)
		return wall_clock_media_us();
	return clock_arrival_us(&lead->clock, reactor_monotonic_us());
}

/*
 * The camera began anew, less than what a clock calls a leap by itself: so does GStreamer's server when
 * another reader of a shared mount plays. Its sound, on its own clock, went back as far.
 */
static void media_expect_leap(struct rtp_receiver *receiver)
{
	for (unsigned i = 0; i < receiver->n_tracks; i++)
		clock_expect_leap(&receiver->tracks[i].clock);
}

static void track_on_media(struct rtp_receiver_track *track, const struct rtp_unit *unit)
{
	struct rtp_receiver *receiver = track->receiver;
	bool video = track->kind == SDP_VIDEO;
	bool changed =
		video && (unit->sets_changed || (unit->keyframe && media_is_stale(receiver)));
	AVPacket *packet;
	int64_t pts;

	if (!video && !track_take_sound(track, unit))
		return;
	if (changed && receiver->holding)
		media_end_hold(receiver);
	if (changed && !rtp_receiver_make_parameters(track))
		return;
	if (!track->parameters)
		return;
	if (!track->clock.anchored)
		track_align_by_play(track, unit->timestamp);
	if (video && unit->keyframe && clock_is_behind(&track->clock, unit->timestamp))
		media_expect_leap(receiver);
	if (clock_stamp(&track->clock, unit->timestamp, track_now_us(track), reactor_monotonic_us(),
		    &pts) == CLOCK_JUMPED &&
		video) {
		log_warn(receiver->log, "the camera's clock jumped: a new recording begins");
		changed = true;
		if (receiver->holding)
			media_end_hold(receiver);
		media_drop_aac(receiver);
	}
	if (changed || !receiver->running)
		media_begin(receiver);
	packet = track_make_packet(track, unit, pts);
	if (video)
		receiver->unit_us = reactor_monotonic_us();
	if (receiver->holding) {
		media_hold(track, packet);
		if (receiver->held_bytes > HELD_BYTES)
			media_end_hold(receiver);
		return;
	}
	media_publish(track, packet);
	av_packet_free(&packet);
}

static void track_on_unit(void *arg, const struct rtp_unit *unit)
{
	struct rtp_receiver_track *track = arg;

	if (track->receiver->stopped)
		return;
	metric_add(track->frames, 1);
	if (track->kind == SDP_APPLICATION)
		track_on_metadata(track, unit);
	else
		track_on_media(track, unit);
}

static void track_on_dropped(void *arg, const char *why)
{
	struct rtp_receiver_track *track = arg;

	log_debug(track->receiver->log, "a unit is dropped: %s", why);
	metric_add(track->receiver->dropped, 1);
}

const struct rtp_depacketiser_events rtp_receiver_unit_events = {
	.on_unit = track_on_unit,
	.on_dropped = track_on_dropped,
};

/* --- packets --- */

static void track_on_packet(void *arg, const uint8_t *p, size_t n, bool gap)
{
	struct rtp_receiver_track *track = arg;
	struct rtp_packet packet;
	const char *why;

	if (rtp_parse(&packet, p, n, &why) == 0)
		rtp_depacketiser_push(track->depacketiser, &packet, gap);
}

/* Over TCP nothing is waited for: what is missing was left out by the source. */
void rtp_receiver_set_up(struct rtp_receiver_track *track, bool udp)
{
	rtp_reorder_free(track->reorder);
	track->reorder = rtp_reorder_new(
		udp ? RTP_REORDER_PACKETS : 0, track->clock.hz, track_on_packet, track);
}

static void track_on_rtp(struct rtp_receiver_track *track, const uint8_t *p, size_t n)
{
	struct rtp_receiver *receiver = track->receiver;
	int64_t now_us = reactor_monotonic_us();

	if (track->kind == SDP_VIDEO && n > 1 && sdp_has_type(&track->media, p[1] & 0x7f)) {
		receiver->picture_us = now_us;
		receiver->bye_us = 0;
	}
	metric_add(receiver->bytes, (double)n);
	rtp_reorder_push(track->reorder, p, n, now_us);
}

/*
 * Both tracks' sender reports together say how they lie to each other (RFC 3550 section 6.4.1). They
 * are believed when they come as far apart as they say, whatever day the camera thinks it is.
 */
static void media_align_by_reports(struct rtp_receiver *receiver)
{
	const struct rtp_receiver_track *lead = &receiver->tracks[0];
	struct rtp_receiver_track *track = &receiver->tracks[1];
	int64_t apart_us, came_apart_us, off_us;

	if (receiver->n_tracks < 2 || !lead->has_report || !track->has_report ||
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
		log_debug(receiver->log, "sound aligned by sender reports");
}

static void track_on_rtcp(struct rtp_receiver_track *track, const uint8_t *p, size_t n)
{
	struct rtcp_compound compound;
	const char *why;

	if (rtcp_parse(&compound, p, n, &why) < 0)
		return;
	if (compound.has_bye && track->kind == SDP_VIDEO)
		track->receiver->bye_us = reactor_monotonic_us();
	if (!compound.has_sender_report || !compound.sender.ntp)
		return;
	track->has_report = true;
	track->report_ntp = compound.sender.ntp;
	track->report_time = compound.sender.timestamp;
	track->report_arrived_us = reactor_monotonic_us();
	if (track->kind == SDP_AUDIO) /* so that each of its reports counts once */
		media_align_by_reports(track->receiver);
}

void rtp_receiver_take(struct rtp_receiver_track *track, const uint8_t *p, size_t n)
{
	if (track->receiver->stopped || !track->reorder)
		return;
	if (rtcp_is(p, n))
		track_on_rtcp(track, p, n);
	else
		track_on_rtp(track, p, n);
}

bool rtp_receiver_knows(const struct rtp_receiver *receiver, const uint8_t *p, size_t n)
{
	if (p[0] >> 6 != 2 || rtcp_is(p, n))
		return p[0] >> 6 == 2;
	for (unsigned i = 0; i < receiver->n_tracks; i++) {
		if (sdp_has_type(&receiver->tracks[i].media, p[1] & 0x7f))
			return true;
	}
	return false;
}

/* --- reports --- */

static size_t track_write_report(
	const struct rtp_receiver_track *track, uint8_t ret[RTP_REPORT_BYTES])
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
	return rtcp_write_receiver_report(ret, RTP_REPORT_BYTES, &reception, "nvrd");
}

void rtp_receiver_report(struct rtp_receiver_track *track)
{
	struct rtp_receiver *receiver = track->receiver;
	uint8_t report[RTP_REPORT_BYTES];
	size_t n = track_write_report(track, report);

	if (n > 0)
		receiver->events->on_report(
			receiver->arg, (unsigned)(track - receiver->tracks), report, n);
}

/* --- time --- */

/* Tells the owner when pictures begin to come damaged, and when they are whole again. */
static void media_look(struct rtp_receiver *receiver)
{
	double lost = metric_value(receiver->lost), dropped = metric_value(receiver->dropped);
	const char *why = dropped > receiver->dropped_before ? "pictures arrive damaged"
			  : lost > receiver->lost_before     ? "packets are lost on the way"
							     : NULL;

	receiver->lost_before = lost;
	receiver->dropped_before = dropped;
	if (!receiver->up || !why == !receiver->degraded)
		return;
	receiver->degraded = why;
	if (receiver->order->events->on_degraded)
		receiver->order->events->on_degraded(receiver->order->arg, why);
}

/* Adds what was lost since it was last counted. Returns how many packets came in all. */
static uint64_t track_count_losses(struct rtp_receiver_track *track)
{
	struct rtp_reorder_stats stats;

	if (!track->reorder)
		return 0;
	rtp_reorder_get_stats(track->reorder, &stats);
	metric_add(track->receiver->lost, (double)(stats.lost - track->lost_counted));
	track->lost_counted = stats.lost;
	return stats.received;
}

static void media_report(struct rtp_receiver *receiver)
{
	bool report = ++receiver->ticks % REPORT_TICKS == 0;

	for (unsigned i = 0; i < receiver->n_tracks; i++) {
		struct rtp_receiver_track *track = &receiver->tracks[i];

		if (track_count_losses(track) && report)
			rtp_receiver_report(track);
	}
	if (receiver->ticks % LOOK_TICKS == 0)
		media_look(receiver);
}

/* Whether pictures have stopped, or never started. */
static bool media_is_silent(const struct rtp_receiver *receiver, int64_t now_us)
{
	if (!receiver->picture_us)
		return now_us - receiver->started_us > receiver->first_us;
	return now_us - receiver->picture_us > receiver->silence_us &&
	       now_us - receiver->started_us > receiver->silence_us;
}

/* Whether the source said that there is no more, and sent none (RFC 3550 section 6.6). */
static bool media_is_at_end(const struct rtp_receiver *receiver, int64_t now_us)
{
	return receiver->bye_us && receiver->picture_us &&
	       now_us - receiver->bye_us > SILENCE_BYE_US;
}

/* Whether packets come out of which no picture can be made. */
static bool media_is_blind(const struct rtp_receiver *receiver, int64_t now_us)
{
	int64_t since_us =
		receiver->unit_us > receiver->started_us ? receiver->unit_us : receiver->started_us;

	return now_us - since_us > NO_PICTURE_US;
}

static const char *media_what_is_missing(const struct rtp_receiver *receiver)
{
	return receiver->tracks[0].parameters ? "no keyframe"
					      : "no keyframe with parameter sets that make sense";
}

static void media_on_tick_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rtp_receiver *receiver = arg;
	int64_t now_us = reactor_monotonic_us();

	(void)fd, (void)what;
	reactor_timer_start(receiver->tick_timer, TICK_US);
	media_report(receiver);
	if (media_is_silent(receiver, now_us))
		receiver->events->on_end(receiver->arg, SOURCE_STALLED, NULL);
	else if (media_is_at_end(receiver, now_us))
		receiver->events->on_end(
			receiver->arg, SOURCE_STALLED, "the camera says that this is the end");
	else if (media_is_blind(receiver, now_us))
		receiver->events->on_end(
			receiver->arg, SOURCE_NO_KEYFRAME, media_what_is_missing(receiver));
}

/* Gives up on packets that do not come any more. */
static void media_on_reorder_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rtp_receiver *receiver = arg;

	(void)fd, (void)what;
	reactor_timer_start(receiver->reorder_timer, EXPIRE_US);
	for (unsigned i = 0; i < receiver->n_tracks; i++) {
		if (receiver->tracks[i].reorder)
			rtp_reorder_expire(receiver->tracks[i].reorder, reactor_monotonic_us());
	}
}

/* --- life --- */

void rtp_receiver_init(struct rtp_receiver *receiver, const struct source_order *order,
	const struct log_name *log, const struct rtp_receiver_events *events, void *arg)
{
	*receiver =
		(struct rtp_receiver){ .order = order, .log = log, .events = events, .arg = arg };
	STAILQ_INIT(&receiver->held);
	receiver->bytes = metric_get(METRIC_CAMERA_BYTES, order->camera);
	receiver->lost = metric_get(METRIC_CAMERA_LOST_PACKETS, order->camera);
	receiver->dropped = metric_get(METRIC_CAMERA_DROPPED_FRAMES, order->camera);
	receiver->hold_timer = reactor_timer_new(media_on_hold_timer, receiver);
	receiver->tick_timer = reactor_timer_new(media_on_tick_timer, receiver);
	receiver->reorder_timer = reactor_timer_new(media_on_reorder_timer, receiver);
}

void rtp_receiver_start(struct rtp_receiver *receiver, int64_t first_us, int64_t silence_us)
{
	receiver->first_us = first_us;
	receiver->silence_us = silence_us;
	receiver->started_us = reactor_monotonic_us();
	reactor_timer_start(receiver->tick_timer, TICK_US);
	reactor_timer_start(receiver->reorder_timer, EXPIRE_US);
}

void rtp_receiver_stop(struct rtp_receiver *receiver)
{
	if (receiver->stopped)
		return;
	receiver->stopped = true;
	for (unsigned i = 0; i < receiver->n_tracks; i++)
		(void)track_count_losses(&receiver->tracks[i]);
	reactor_timer_stop(receiver->hold_timer);
	reactor_timer_stop(receiver->tick_timer);
	reactor_timer_stop(receiver->reorder_timer);
}

void rtp_receiver_drop_tracks(struct rtp_receiver *receiver)
{
	reactor_timer_stop(receiver->hold_timer);
	media_drop_held(receiver);
	media_drop_aac(receiver);
	receiver->holding = receiver->running = false;
	for (unsigned i = 0; i < receiver->n_tracks; i++) {
		struct rtp_receiver_track *track = &receiver->tracks[i];

		rtp_reorder_free(track->reorder);
		rtp_depacketiser_free(track->depacketiser);
		avcodec_parameters_free(&track->parameters);
	}
	receiver->n_tracks = 0;
}

void rtp_receiver_fini(struct rtp_receiver *receiver)
{
	rtp_receiver_drop_tracks(receiver);
	reactor_timer_free(&receiver->hold_timer);
	reactor_timer_free(&receiver->tick_timer);
	reactor_timer_free(&receiver->reorder_timer);
}
