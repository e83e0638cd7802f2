/* Recordings as a source: what is described, where PLAY begins and ends. */
#include "protocols/rtsp_replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtsp_replay_private.h"
#include "server/base/memory.h"
#include "storage/clip_name.h"
#include "storage/tree.h"

enum {
	LOOKED_US =
		5000000, /* what was found out so long ago is still true before there is a session */
};

static struct rtsp_replay *replay_of(struct rtsp_source *source)
{
	return CONTAINER_OF(source, struct rtsp_replay, source);
}

/* --- names --- */

/* The value of a key in a query, with the marks of RFC 3339's extended form (and their escapes) left out. */
static bool query_find(char ret[RTSP_TIME_BYTES], const char *query, const char *key)
{
	size_t n = strlen(key), out = 0;

	for (const char *at = query; at && *at; at = strchr(at, '&')) {
		at += *at == '&';
		if (strncmp(at, key, n) != 0 || at[n] != '=')
			continue;
		for (at += n + 1; *at && *at != '&' && out < RTSP_TIME_BYTES - 1; at++) {
			if (!strncmp(at, "%3A", 3) || !strncmp(at, "%3a", 3))
				at += 2;
			else if (*at != '-' && *at != ':')
				ret[out++] = *at;
		}
		ret[out] = '\0';
		return true;
	}
	return false;
}

int rtsp_replay_name(char *ret, size_t size, const char *path, const char *query)
{
	char from[RTSP_TIME_BYTES] = "19700101T000000Z", to[RTSP_TIME_BYTES] = "";
	bool has_from = query_find(from, query, "from"), has_to = query_find(to, query, "to");
	const char *from_at = from, *to_at = to;
	int64_t us;
	int n;

	if ((has_from && (!clip_time_parse(&us, &from_at) || *from_at)) ||
		(has_to && (!clip_time_parse(&us, &to_at) || *to_at)))
		return -EBADMSG;
	if (has_from || has_to)
		n = snprintf(ret, size, "%s/%s--%s", path, from, to);
	else
		n = snprintf(ret, size, "%s", path);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* "<from>--[<to>]" */
static bool parse_bounds(struct rtsp_replay *replay, const char *at)
{
	if (!clip_time_parse(&replay->from_us, &at) || strncmp(at, "--", 2) != 0)
		return false;
	at += 2;
	return !*at ||
	       (clip_time_parse(&replay->to_us, &at) && !*at && replay->from_us < replay->to_us);
}

static bool parse_name(struct rtsp_replay *replay, const char *name)
{
	const char *camera = name + strlen(RTSP_REPLAY_PREFIX);
	size_t n = strcspn(camera, "/");

	(void)strncpy(replay->source.name, name, sizeof(replay->source.name) - 1);
	if (n == 0 || n >= sizeof(replay->camera))
		return false;
	memcpy(replay->camera, camera, n);
	replay->to_us = FOREVER;
	return !camera[n] || parse_bounds(replay, camera + n + 1);
}

/* --- what there is --- */

static void replay_look(struct rtsp_replay *replay);

/* When the first frame of what leads is shown. */
static int64_t first_shown_us(const struct footage_piece *piece)
{
	for (size_t i = 0; i < piece->n; i++)
		if (piece->samples[i].track == piece->format->lead)
			return piece->samples[i].pts_us;
	return piece->samples[0].pts_us;
}

static void look_on_piece(void *arg, int error, struct footage_piece *piece, enum footage_end end)
{
	struct rtsp_replay *replay = arg;

	(void)end;
	footage_free(replay->look);
	replay->look = NULL;
	if (!error && (!piece || piece->n == 0))
		error = -ENOENT;
	if (!error && !replay->looking_back) {
		replay->first_us = first_shown_us(piece);
		replay->looking_back = true;
		footage_format_unref(&replay->described);
		replay->described = footage_format_ref(piece->format);
		replay_look(replay);
	} else {
		if (!error) {
			replay->last_us = piece->group_end_us < replay->to_us ? piece->group_end_us
									      : replay->to_us;
			if (replay->from_us == 0) { /* what is newest is what most want */
				footage_format_unref(&replay->described);
				replay->described = footage_format_ref(piece->format);
			}
		}
		replay->looking_back = false;
		replay->error = error;
		replay->looked_us = reactor_monotonic_us();
		rtsp_source_ready(&replay->source);
	}
	footage_piece_free(piece);
}

/* Finds the beginning, then the end. */
static void replay_look(struct rtsp_replay *replay)
{
	const struct footage_wish forward = {
		.at_us = replay->from_us, .end_us = replay->to_us, .keyframes = true
	};
	const struct footage_wish backward = { .at_us = replay->to_us - 1,
		.end_us = replay->from_us,
		.backward = true,
		.keyframes = true };

	replay->look = tree_footage(replay->tree, replay->camera,
		replay->looking_back ? &backward : &forward, replay->user);
	footage_next(replay->look, look_on_piece, replay);
}

static int replay_check(struct rtsp_source *source)
{
	struct rtsp_replay *replay = replay_of(source);

	if (source->session)
		return 0;
	if (!replay->looked_us || reactor_monotonic_us() - replay->looked_us > LOOKED_US) {
		if (!replay->look)
			replay_look(replay);
		return -EINPROGRESS;
	}
	if (replay->error)
		replay->looked_us = 0; /* whoever asks next looks again */
	return replay->error == -ENOENT ? -ENOENT : replay->error ? -ENOTCONN : 0;
}

static void replay_write_sdp(struct rtsp_source *source, const struct message *message,
	const char *host, struct evbuffer *out)
{
	struct rtsp_replay *replay = replay_of(source);
	const struct footage_format *format = replay->described;
	const struct rtsp_range clock = { true, true, true, replay->first_us, replay->last_us };
	const struct rtsp_range npt = { false, true, true, 0, replay->last_us - replay->first_us };
	bool onvif = message_find(message, "Require").p;
	char attributes[256], texts[2][2 * RTSP_TIME_BYTES];
	struct rtp_sdp sdp = {
		.name = replay->camera, .address = host, .version = 1, .attributes = attributes
	};

	/* players take the first that they know, and ask in its unit */
	(void)rtsp_range_write(texts[0], onvif ? &clock : &npt);
	(void)rtsp_range_write(texts[1], onvif ? &npt : &clock);
	(void)snprintf(
		attributes, sizeof(attributes), "a=range:%s\r\na=range:%s\r\n", texts[0], texts[1]);
	for (unsigned i = 0; i < format->n; i++) {
		sdp.tracks[i] = format->tracks[i];
		sdp.track_attributes[i] = format->tracks[i]->codec_type == AVMEDIA_TYPE_VIDEO
						  ? "a=x-onvif-track:VIDEO001\r\n"
						  : "a=x-onvif-track:AUDIO001\r\n";
	}
	rtp_sdp_write(&sdp, out);
}

static bool replay_takes_track(struct rtsp_source *source, unsigned track)
{
	const struct footage_format *format = replay_of(source)->described;

	return track < format->n && rtp_encoding_of(format->tracks[track]);
}

/* --- PLAY --- */

/* Where the next frame is, in the media; there is one. */
static int64_t replay_position_us(const struct rtsp_replay *replay)
{
	return STAILQ_FIRST(&replay->pieces)->samples[replay->sample].pts_us;
}

/* An instant of a range. */
static int64_t instant_of(
	const struct rtsp_replay *replay, const struct rtsp_range *range, int64_t us)
{
	return range->is_clock ? us : replay->first_us + us;
}

static int64_t clamp(int64_t us, int64_t least, int64_t most)
{
	return us < least ? least : us > most ? most : us;
}

/* Where it begins and ends, by the URL, what was asked for, and where it is. */
static struct footage_wish replay_wish(struct rtsp_replay *replay, const struct rtsp_play *play)
{
	const struct rtsp_range *range = &play->range;
	bool backward = play->scale < 0;
	struct footage_wish wish = {
		.backward = backward,
		.keyframes = replay_has_only_keyframes(play),
		.end_us = backward ? (replay->from_us ? replay->from_us : INT64_MIN)
				   : (replay->to_us == FOREVER ? INT64_MAX : replay->to_us),
	};

	if (range->has_from)
		wish.at_us = instant_of(replay, range, range->from_us);
	else if (replay->n_pieces > 0)
		wish.at_us = replay_position_us(replay);
	else
		wish.at_us = backward ? replay->last_us : replay->from_us;
	wish.at_us = clamp(wish.at_us, replay->from_us, replay->to_us - 1);
	if (range->has_to && backward)
		wish.end_us =
			clamp(instant_of(replay, range, range->to_us), replay->from_us, INT64_MAX);
	else if (range->has_to)
		wish.end_us =
			clamp(instant_of(replay, range, range->to_us), INT64_MIN, replay->to_us);
	return wish;
}

/* Whether it goes on as it did before it was paused. */
static bool replay_resumes_with(const struct rtsp_replay *replay, const struct rtsp_play *play)
{
	const struct rtsp_play *was = &replay->play;

	return replay->footage && !play->range.has_from && !play->range.has_to &&
	       (replay->n_pieces > 0 || !replay->ended) && play->scale == was->scale &&
	       play->rate_control == was->rate_control && play->frames == was->frames &&
	       play->interval_us == was->interval_us;
}

void replay_on_first(struct rtsp_replay *replay)
{
	rtsp_source_ready(&replay->source);
}

/* The range as it is played, in the unit that was asked in. */
static void add_range(const struct rtsp_replay *replay, struct evbuffer *fields)
{
	const struct rtsp_play *play = &replay->play;
	bool is_clock = play->range.is_clock || (play->onvif && !play->has_range);
	int64_t zero_us = is_clock ? 0 : replay->first_us, end_us = replay->end_us;
	struct rtsp_range range = { .is_clock = is_clock, .has_from = true, .has_to = true };
	char text[2 * RTSP_TIME_BYTES];

	if (end_us == INT64_MAX || end_us == INT64_MIN) {
		range.has_to = !is_clock;
		end_us = replay_is_backward(play) ? replay->first_us : replay->last_us;
	}
	range.from_us = clamp(replay->shown_us - zero_us, 0, INT64_MAX);
	range.to_us = clamp(end_us - zero_us, 0, INT64_MAX);
	evbuffer_add_printf(fields, "Range: %s\r\n", rtsp_range_write(text, &range));
}

/* The first piece is there, or nothing is to be had: answers. */
static int replay_started(struct rtsp_replay *replay, struct evbuffer *fields)
{
	const struct rtsp_play *play = &replay->play;

	replay->starting = false;
	if (replay->n_pieces == 0) {
		replay_drop(replay);
		return 457;
	}
	replay_start_clock(replay);
	replay->shown_us = replay_position_us(replay);
	add_range(replay, fields);
	if (play->has_scale)
		evbuffer_add_printf(fields, "Scale: %s%d.%03d\r\n", play->scale < 0 ? "-" : "",
			abs(play->scale) / RTSP_SCALE_ONE, abs(play->scale) % RTSP_SCALE_ONE);
	if (!play->rate_control)
		evbuffer_add_printf(fields, "Rate-Control: no\r\n");
	return 0;
}

static void replay_set_up_tracks(struct rtsp_replay *replay)
{
	for (unsigned i = 0; i < replay->described->n; i++)
		if (!replay->tracks[i].rtp.clock_hz)
			rtp_track_init(&replay->tracks[i].rtp, replay->described->tracks[i], i);
}

static int replay_play(
	struct rtsp_source *source, const struct message *message, struct evbuffer *fields)
{
	struct rtsp_replay *replay = replay_of(source);
	const char *why = "";
	struct rtsp_play play;
	struct footage_wish wish;
	int status;

	if (replay->starting)
		return replay->ended || replay->n_pieces > 0 ? replay_started(replay, fields)
							     : -EINPROGRESS;
	status = rtsp_play_parse(&play, message, &why);
	if (status) {
		log_info(&replay->log, "PLAY: %s", why);
		return status;
	}
	replay_set_up_tracks(replay);
	replay_halt(replay);
	if (replay_resumes_with(replay, &play)) {
		replay->play = play;
		if (replay->n_pieces > 0)
			return replay_started(replay, fields);
		replay->starting = true;
		return -EINPROGRESS;
	}
	wish = replay_wish(replay, &play);
	replay->play = play;
	replay->at_us = wish.at_us;
	replay->end_us = wish.end_us;
	replay->starting = true;
	replay_begin(replay, &wish);
	return -EINPROGRESS;
}

static void replay_stop(struct rtsp_source *source)
{
	replay_halt(replay_of(source));
}

static void replay_on_room(struct rtsp_source *source)
{
	replay_send(replay_of(source));
}

static bool replay_get_start(struct rtsp_source *source, unsigned track, struct rtsp_start *ret)
{
	const struct rtsp_replay *replay = replay_of(source);
	const struct rtp_track *rtp = &replay->tracks[track].rtp;
	int64_t us = replay->shown_us;

	ret->sequence = rtp->packetiser.next_sequence;
	ret->timestamp =
		rtp_track_time(rtp, replay->play.rate_control ? replay_play_us(replay, us) : us);
	return true;
}

/* With the client in control of time there is nothing to say: both are zero, by the ONVIF specification. */
static bool replay_get_report(
	struct rtsp_source *source, unsigned track, int64_t utc_us, struct rtcp_sender_report *ret)
{
	const struct rtsp_replay *replay = replay_of(source);
	const struct rtp_track *rtp = &replay->tracks[track].rtp;
	bool timed = replay->play.rate_control;

	(void)utc_us;
	*ret = (struct rtcp_sender_report){
		.ssrc = rtp->packetiser.ssrc,
		.ntp = timed ? rtcp_ntp_of_us(reactor_now_us()) : 0,
		.timestamp = timed ? rtp_track_time(rtp, replay_now_us(replay)) : 0,
		.packets = rtp->packets,
		.octets = rtp->octets,
	};
	return true;
}

/* --- life --- */

static void replay_free(struct rtsp_source *source)
{
	struct rtsp_replay *replay = replay_of(source);

	footage_free(replay->look);
	replay_fini(replay);
	for (unsigned i = 0; i < STREAM_TRACKS; i++)
		rtp_track_fini(&replay->tracks[i].rtp);
	footage_format_unref(&replay->described);
	auth_user_free(replay->user);
	free(replay);
}

static const struct rtsp_source_kind rtsp_replay_kind = {
	.check = replay_check,
	.write_sdp = replay_write_sdp,
	.takes_track = replay_takes_track,
	.play = replay_play,
	.stop = replay_stop,
	.on_room = replay_on_room,
	.get_start = replay_get_start,
	.get_report = replay_get_report,
	.free = replay_free,
};

struct rtsp_source *rtsp_replay_new(
	struct tree *tree, const char *name, const struct auth_user *user)
{
	struct rtsp_replay *replay = xcalloc(1, sizeof(*replay));

	if (!parse_name(replay, name)) {
		free(replay);
		return NULL;
	}
	replay->source.kind = &rtsp_replay_kind;
	replay->log = (struct log_name){ .kind = "replay", .name = replay->camera };
	replay->tree = tree;
	replay->user = user ? auth_user_copy(user) : NULL;
	replay_init(replay);
	return &replay->source;
}
