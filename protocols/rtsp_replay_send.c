/* A replay's way from the disk to its session: pieces are read ahead, and sent when their frames are due. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>

#include "protocols/rtsp_replay_private.h"
#include "server/media/h264.h"
#include "server/media/h265.h"
#include "storage/tree.h"

enum {
	UNITS_PER_WAKE_UP = 64,
	KEYFRAMES_FROM = 4 * RTSP_SCALE_ONE, /* that fast or faster only they are played */
	LATE_US = 1000000,                   /* what is later is not caught up with */
	AGAIN_US = 200000,                   /* after the catalogue or the disk was busy */
	GROWS_US = 500000,                   /* until the recording has grown */
	RESUMES_US = 2000000,                /* until something may be recorded again */
	GRID_US = 10000                      /* whole in the RTP times of all clocks in use */
};

bool replay_is_backward(const struct rtsp_play *play)
{
	return play->scale < 0;
}

bool replay_has_only_keyframes(const struct rtsp_play *play)
{
	if (play->frames != RTSP_FRAMES_UNSAID)
		return play->frames == RTSP_FRAMES_INTRA;
	return play->rate_control && abs(play->scale) >= KEYFRAMES_FROM;
}

/* --- what is sent --- */

/* Whether no other picture refers to it (RFC 6184 section 5.3: nal_ref_idc; ITU-T H.265 table 7-1: sub-layer non-reference). */
static bool is_referred_to(enum AVCodecID codec, const struct footage_sample *sample)
{
	const uint8_t *nal;
	size_t at = 0, n;

	while (at < sample->n && (nal = rtp_nal_next(sample->p, sample->n, &at, &n))) {
		if (n < 2)
			continue;
		if (codec == AV_CODEC_ID_H264 && h264_nal_type(nal) >= 1 && h264_nal_type(nal) <= 5)
			return nal[0] & 0x60;
		if (codec == AV_CODEC_ID_HEVC && h265_nal_type(nal) < 32)
			return h265_nal_type(nal) >= 16 || h265_nal_type(nal) % 2 == 1;
	}
	return true;
}

static bool is_sound(const AVCodecParameters *parameters)
{
	return parameters->codec_type == AVMEDIA_TYPE_AUDIO;
}

/* Sound only as it was: neither faster nor slower, nor where pictures are left out. */
static bool takes_sound(const struct rtsp_replay *replay)
{
	if (replay_has_only_keyframes(&replay->play))
		return is_sound(replay->described->tracks[replay->described->lead]);
	return !replay->play.rate_control || replay->play.scale == RTSP_SCALE_ONE;
}

static bool takes_sample(struct rtsp_replay *replay, const struct footage_sample *sample)
{
	const struct rtp_encoding *encoding = replay->tracks[sample->track].rtp.packetiser.encoding;
	int64_t since_us = sample->pts_us - replay->keyframe_us;

	if (!encoding)
		return false;
	if (is_sound(replay->described->tracks[sample->track]))
		return takes_sound(replay);
	if (replay->play.frames == RTSP_FRAMES_PREDICTED)
		return is_referred_to(encoding->id, sample);
	if (!replay_has_only_keyframes(&replay->play))
		return true;
	if (!sample->keyframe ||
		(replay->keyframe_us != INT64_MIN && llabs(since_us) < replay->play.interval_us))
		return false;
	replay->keyframe_us = sample->pts_us;
	return true;
}

/* --- formats --- */

/* Whether what was described goes on as `to`: pictures bring their parameters along, sound does not. */
static bool is_same_track(const AVCodecParameters *described, const AVCodecParameters *to)
{
	if (described->codec_id != to->codec_id)
		return false;
	return !is_sound(to) ||
	       (described->sample_rate == to->sample_rate &&
		       described->ch_layout.nb_channels == to->ch_layout.nb_channels &&
		       described->extradata_size == to->extradata_size &&
		       !memcmp(described->extradata, to->extradata, (size_t)to->extradata_size));
}

static int find_track(const struct footage_format *format, const AVCodecParameters *described)
{
	for (unsigned i = 0; i < format->n; i++)
		if (is_same_track(described, format->tracks[i]))
			return (int)i;
	return -1;
}

/* Leaves in the piece what is sent of it, by the tracks as they are described. False: what leads is not in it. */
static bool piece_filter(struct rtsp_replay *replay, struct footage_piece *piece)
{
	const struct footage_format *described = replay->described;
	int from[MP4_TRACKS];
	size_t n = 0;

	for (unsigned i = 0; i < described->n; i++)
		from[i] = find_track(piece->format, described->tracks[i]);
	if (from[described->lead] < 0)
		return false;
	for (size_t k = 0; k < piece->n; k++) {
		struct footage_sample sample = piece->samples[k];
		unsigned i = 0;

		while (i < described->n && from[i] != (int)sample.track)
			i++;
		if (i == described->n || !replay->source.session->tracks[i].set_up)
			continue;
		sample.track = i;
		if (takes_sample(replay, &sample))
			piece->samples[n++] = sample;
	}
	piece->n = n;
	return true;
}

/* --- reading ahead --- */

static void replay_read(struct rtsp_replay *replay);

static void replay_count(struct rtsp_replay *replay, const struct footage_piece *piece, int sign)
{
	replay->n_pieces = (size_t)((ssize_t)replay->n_pieces + sign);
	replay->ahead_bytes += sign > 0 ? piece->bytes : -piece->bytes;
	metric_add(metric_get(METRIC_REPLAY_AHEAD_BYTES), sign * (double)piece->bytes);
}

static void replay_drop_piece(struct rtsp_replay *replay)
{
	struct footage_piece *piece = STAILQ_FIRST(&replay->pieces);

	STAILQ_REMOVE_HEAD(&replay->pieces, entry);
	replay_count(replay, piece, -1);
	footage_piece_free(piece);
	replay->sample = 0;
	replay->entered = false;
}

void replay_drop(struct rtsp_replay *replay)
{
	footage_free(replay->footage);
	replay->footage = NULL;
	replay->reading = false;
	replay_halt(replay);
	reactor_timer_stop(replay->read_timer);
	while (!STAILQ_EMPTY(&replay->pieces))
		replay_drop_piece(replay);
}

static void replay_end(struct rtsp_replay *replay, enum footage_end end)
{
	replay->ended = true;
	replay->end = end;
}

static void replay_take(struct rtsp_replay *replay, struct footage_piece *piece)
{
	if (!piece_filter(replay, piece)) {
		log_info(&replay->log, "the codec changed: what was described ends there");
		footage_piece_free(piece);
		replay_end(replay, FOOTAGE_ENDS);
		return;
	}
	if (piece->n == 0) {
		replay->skipped_jump = replay->skipped_jump || piece->jumps;
		replay->skipped_gap = replay->skipped_gap || piece->gap;
		footage_piece_free(piece);
		return;
	}
	piece->jumps = piece->jumps || replay->skipped_jump;
	piece->gap = piece->gap || replay->skipped_gap;
	replay->skipped_jump = replay->skipped_gap = false;
	STAILQ_INSERT_TAIL(&replay->pieces, piece, entry);
	replay_count(replay, piece, 1);
}

static void replay_read_later(struct rtsp_replay *replay, int64_t after_us)
{
	replay->reading = true;
	reactor_timer_start(replay->read_timer, after_us);
}

static void replay_on_piece(void *arg, int error, struct footage_piece *piece, enum footage_end end)
{
	struct rtsp_replay *replay = arg;

	replay->reading = false;
	if (error == -EAGAIN) {
		replay_read_later(replay, AGAIN_US);
	} else if (piece) {
		replay_take(replay, piece);
	} else if (error) {
		log_warn(&replay->log, "it cannot be read: %s", strerror(-error));
		replay_end(replay, FOOTAGE_ENDS);
	} else if (end == FOOTAGE_GROWS) {
		replay_read_later(replay, GROWS_US);
	} else {
		replay_end(replay, end);
	}
	if (replay->starting && (replay->ended || replay->n_pieces > 0))
		replay_on_first(replay);
	replay_read(replay);
	replay_send(replay);
}

/* Whether what was recorded is all sent, and more may come for a reader who waits for it. */
static bool replay_resumes(const struct rtsp_replay *replay)
{
	return replay->play.onvif && !replay_is_backward(&replay->play) &&
	       replay->end == FOOTAGE_ENDS && replay->end_us == INT64_MAX && replay->n_pieces == 0;
}

static void replay_read(struct rtsp_replay *replay)
{
	bool full = replay->n_pieces >= REPLAY_AHEAD_PIECES ||
		    replay->ahead_bytes >= REPLAY_AHEAD_BYTES;

	if (!replay->footage || replay->reading || replay->ended || (full && replay->n_pieces >= 2))
		return;
	replay->reading = true;
	footage_next(replay->footage, replay_on_piece, replay);
}

static void replay_on_read_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rtsp_replay *replay = arg;

	(void)fd, (void)what;
	footage_next(replay->footage, replay_on_piece, replay);
}

/* --- time --- */

static int64_t scaled(const struct rtsp_replay *replay, int64_t us)
{
	/* by the client's own control time passes as it was */
	return replay->play.rate_control ? av_rescale(us, RTSP_SCALE_ONE, abs(replay->play.scale))
					 : us;
}

/* A section begins: its time goes on where the one before ended. */
static void replay_begin_section(struct rtsp_replay *replay, const struct footage_piece *piece)
{
	struct replay_time *time = &replay->time;
	int64_t shift_us;

	if (!replay_is_backward(&replay->play))
		time->media_us = piece->samples[0].dts_us;
	else
		time->media_us =
			piece->group_end_us < replay->at_us ? piece->group_end_us : replay->at_us;
	shift_us = time->end_us - time->media_us;
	/* so that no RTP time is rounded by itself */
	shift_us += (GRID_US - shift_us % GRID_US) % GRID_US;
	time->play_us = time->media_us + shift_us;
}

/* When in playing a frame is shown. */
int64_t replay_play_us(const struct rtsp_replay *replay, int64_t media_us)
{
	const struct replay_time *time = &replay->time;
	int64_t since_us = media_us - time->media_us;

	return time->play_us +
	       scaled(replay, replay_is_backward(&replay->play) ? -since_us : since_us);
}

/*
 * When in playing a frame is sent. Backward the last one of a group is shown first: it is sent while the group behind it is
 * shown, in the time that it takes itself.
 */
static int64_t replay_due_us(const struct rtsp_replay *replay, const struct footage_piece *piece,
	const struct footage_sample *sample)
{
	if (!replay_is_backward(&replay->play) || replay_has_only_keyframes(&replay->play))
		return replay_play_us(replay, sample->dts_us);
	return replay_play_us(replay, piece->group_end_us) +
	       scaled(replay, sample->dts_us - piece->group_start_us);
}

int64_t replay_now_us(const struct rtsp_replay *replay)
{
	const struct replay_time *time = &replay->time;
	int64_t since_us = reactor_monotonic_us() - time->clock_us;

	return time->due_us + av_rescale(since_us, replay->play.speed, RTSP_SCALE_ONE);
}

static void replay_set_clock(struct replay_time *time, int64_t due_us)
{
	time->due_us = due_us;
	time->clock_us = reactor_monotonic_us();
}

/* How long a frame is still to wait. */
static int64_t replay_wait_us(struct rtsp_replay *replay, int64_t due_us)
{
	struct replay_time *time = &replay->time;
	int64_t early_us;

	if (!replay->play.rate_control)
		return 0;
	early_us = due_us - replay_now_us(replay);

	if (early_us < -LATE_US) /* the reader was slow */
		replay_set_clock(time, due_us);
	return av_rescale(early_us, RTSP_SCALE_ONE, replay->play.speed);
}

/* --- sending --- */

/* What the flags of its last packet are because of what follows the piece. */
static uint8_t flags_behind(const struct rtsp_replay *replay, const struct footage_piece *piece)
{
	const struct footage_piece *next = STAILQ_NEXT(piece, entry);

	if (next)
		return next->gap ? RTP_ONVIF_END : 0;
	return (uint8_t)(RTP_ONVIF_TERMINAL | (replay->end == FOOTAGE_REACHED ? 0 : RTP_ONVIF_END));
}

static void unit_set_flags(struct rtp_unit_packets *unit, size_t packet, uint8_t flags)
{
	rtp_onvif_set(unit->block + unit->offsets[packet] + RTP_INTERLEAVED_BYTES, flags);
}

static struct rtp_unit_packets *replay_packetise(
	struct rtsp_replay *replay, const struct footage_piece *piece, size_t i)
{
	const struct footage_sample *sample = &piece->samples[i];
	struct replay_track *track = &replay->tracks[sample->track];
	int64_t play_us = replay_play_us(replay, sample->pts_us);
	uint8_t extension[RTP_ONVIF_BYTES];
	const struct rtp_onvif said = {
		.ntp = rtcp_ntp_of_us(sample->pts_us),
		.flags = sample->keyframe ? RTP_ONVIF_CLEAN : 0,
		.cseq = replay->play.cseq,
	};
	const struct rtp_track_unit unit = {
		.p = sample->p,
		.n = sample->n,
		.keyframe = sample->keyframe,
		.timestamp = rtp_track_time(
			&track->rtp, replay->play.rate_control ? play_us : sample->pts_us),
		.utc_us = play_us,
	};

	if (replay->play.onvif)
		rtp_onvif_write(extension, &said);
	track->rtp.packetiser.extension = extension;
	track->rtp.packetiser.extension_bytes = replay->play.onvif ? sizeof(extension) : 0;
	struct rtp_unit_packets *packets = rtp_track_packetise(&track->rtp, &unit);
	track->rtp.packetiser.extension = NULL;
	if (packets && replay->play.onvif) {
		if (track->begins)
			unit_set_flags(packets, 0, RTP_ONVIF_DISCONTINUITY);
		if (replay->tracks[sample->track].last == i)
			unit_set_flags(packets, packets->n - 1, flags_behind(replay, piece));
	}
	track->begins = false;
	return packets;
}

/* The first piece is about to be sent. */
static void replay_enter_piece(struct rtsp_replay *replay)
{
	const struct footage_piece *piece = STAILQ_FIRST(&replay->pieces);
	const struct footage_format *described = replay->described;

	replay->entered = true;
	if (piece->gap)
		replay_begin_section(replay, piece);
	for (unsigned i = 0; i < described->n; i++) {
		struct replay_track *track = &replay->tracks[i];
		int from = find_track(piece->format, described->tracks[i]);

		track->begins = track->begins || piece->jumps;
		if (from >= 0 && piece->format->init != replay->init)
			rtp_track_set_parameters(&track->rtp, piece->format->tracks[from]);
	}
	replay->init = piece->format->init;
	for (size_t i = 0; i < piece->n; i++)
		replay->tracks[piece->samples[i].track].last = i;
}

static void replay_send_sample(struct rtsp_replay *replay, const struct footage_piece *piece)
{
	const struct footage_sample *sample = &piece->samples[replay->sample];
	int64_t end_us =
		replay_play_us(replay, sample->pts_us) + scaled(replay, sample->duration_us);
	struct rtp_unit_packets *packets = replay_packetise(replay, piece, replay->sample);
	const char *refused = replay->tracks[sample->track].rtp.refused;

	if (packets)
		rtsp_session_take(replay->source.session, packets);
	else if (refused)
		log_write_repeated(&replay->left_out, LOG_WARN, &replay->log,
			"a frame is left out: %s", refused);
	rtp_unit_packets_unref(&packets);
	if (end_us > replay->time.end_us)
		replay->time.end_us = end_us;
}

/* All was sent. */
static void replay_finish(struct rtsp_replay *replay)
{
	if (replay_resumes(replay)) {
		replay->ended = false;
		replay_read_later(replay, RESUMES_US);
		return;
	}
	if (rtsp_session_waiting(replay->source.session) > 0)
		return; /* on_room comes */
	replay->said_bye = true;
	rtsp_session_finish(replay->source.session);
}

/* Sends the next frame. False: it is not due, or not there, or there is no room for it. */
static bool replay_send_next(struct rtsp_replay *replay)
{
	struct footage_piece *piece = STAILQ_FIRST(&replay->pieces);
	int64_t wait_us;

	if (!piece) {
		if (replay->ended)
			replay_finish(replay);
		return false;
	}
	if (!STAILQ_NEXT(piece, entry) && !replay->ended)
		return false; /* what follows it is not known */
	if (!rtsp_session_has_room(replay->source.session))
		return false; /* on_room comes */
	if (!replay->entered)
		replay_enter_piece(replay);
	wait_us = replay_wait_us(
		replay, replay_due_us(replay, piece, &piece->samples[replay->sample]));
	if (wait_us > 0) {
		reactor_timer_start(replay->send_timer, wait_us);
		return false;
	}
	replay_send_sample(replay, piece);
	if (++replay->sample == piece->n)
		replay_drop_piece(replay);
	return true;
}

void replay_send(struct rtsp_replay *replay)
{
	const struct rtsp_session *session = replay->source.session;

	if (!replay->footage || replay->starting || session->state != RTSP_PLAYING)
		return;
	for (unsigned i = 0; i < UNITS_PER_WAKE_UP; i++)
		if (!replay_send_next(replay)) {
			replay_read(replay);
			return;
		}
	replay_read(replay);
	reactor_timer_start(replay->send_timer, 0);
}

static void replay_on_send_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	replay_send(arg);
}

/* --- beginning and ending --- */

void replay_begin(struct rtsp_replay *replay, const struct footage_wish *wish)
{
	replay_drop(replay);
	replay->footage = tree_footage(replay->tree, replay->camera, wish, replay->user);
	replay->ended = replay->skipped_jump = replay->skipped_gap = false;
	replay->keyframe_us = INT64_MIN;
	if (!replay->time.end_us)
		replay->time.end_us = reactor_now_us();
	if (replay->said_bye)
		for (unsigned i = 0; i < STREAM_TRACKS; i++)
			rtp_track_renew(&replay->tracks[i].rtp);
	replay->said_bye = false;
	replay_read(replay);
}

void replay_start_clock(struct rtsp_replay *replay)
{
	const struct footage_piece *piece = STAILQ_FIRST(&replay->pieces);

	if (!replay->entered)
		replay_enter_piece(replay);
	replay_set_clock(
		&replay->time, replay_due_us(replay, piece, &piece->samples[replay->sample]));
}

void replay_halt(struct rtsp_replay *replay)
{
	reactor_timer_stop(replay->send_timer);
}

void replay_init(struct rtsp_replay *replay)
{
	STAILQ_INIT(&replay->pieces);
	replay->read_timer = reactor_timer_new(replay_on_read_timer, replay);
	replay->send_timer = reactor_timer_new(replay_on_send_timer, replay);
}

void replay_fini(struct rtsp_replay *replay)
{
	replay_drop(replay);
	reactor_timer_free(&replay->read_timer);
	reactor_timer_free(&replay->send_timer);
}
