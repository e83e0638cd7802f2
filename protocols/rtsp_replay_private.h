#pragma once

#include "protocols/rtp_onvif.h"
#include "protocols/rtp_track.h"
#include "protocols/rtsp_play.h"
#include "protocols/rtsp_server_private.h"
#include "storage/footage.h"

/* What rtsp_replay.c (what is described, and what PLAY means) and rtsp_replay_send.c (reading ahead and sending) share. */

enum {
	/* Read ahead, but for at least two pieces; then reading waits. METRIC_REPLAY_AHEAD_BYTES. */
	REPLAY_AHEAD_BYTES = 2 << 20,
	REPLAY_AHEAD_PIECES = 8
};

/* A track as it is described. */
struct replay_track {
	struct rtp_track rtp; /* without an encoding when it is not sent */
	bool begins;          /* the next unit follows a discontinuity */
	size_t last;          /* of the piece at hand: its last sample */
};

/*
 * How instants of the media become those of playing, which RTP times count: at `scale`, gaps closed, going on from PLAY to
 * PLAY (RFC 2326 appendix B).
 */
struct replay_time {
	int64_t media_us, play_us;
	int64_t end_us;           /* of what was sent, in playing */
	int64_t due_us, clock_us; /* what is played at which monotonic time */
};

struct rtsp_replay {
	struct rtsp_source source;
	struct log_name log;
	struct log_repeated left_out;
	struct tree *tree;
	struct auth_user *user; /* a copy, or NULL */
	char camera[RTSP_NAME_BYTES];
	int64_t from_us, to_us; /* of the URL; or 0, FOREVER */

	/* what DESCRIBE says */
	struct footage *look;
	bool looking_back; /* for the end */
	int64_t looked_us; /* monotonic: when all was known; 0: never */
	int error;
	struct footage_format *described;
	int64_t first_us, last_us; /* npt counts from the first */

	/* what is played */
	struct rtsp_play play;
	struct footage *footage;
	struct replay_track tracks[STREAM_TRACKS];
	uint64_t init;         /* of the format that is sent */
	int64_t at_us, end_us; /* where it began, where it ends */
	int64_t shown_us;      /* of the first frame */
	bool starting;         /* PLAY waits for the first piece */
	bool said_bye;

	/* reading ahead: pieces of which something is sent; the last one waits until what follows is known */
	STAILQ_HEAD(, footage_piece) pieces;
	size_t n_pieces, ahead_bytes, sample; /* sample: the next one of the first piece */
	bool entered;                         /* it is being sent */
	bool reading, ended;                  /* or reading waits; nothing comes behind them */
	enum footage_end end;
	bool skipped_jump, skipped_gap; /* of pieces of which nothing is sent */
	int64_t keyframe_us;            /* the last one, for the interval; INT64_MIN: none */
	struct event *read_timer, *send_timer;
	struct replay_time time;
};

#define FOREVER (INT64_C(253402300799) * 1000000)

/* --- rtsp_replay_send.c --- */

void replay_init(struct rtsp_replay *replay);
void replay_fini(struct rtsp_replay *replay);
/* Begins anew: drops what was read, and reads; replay_on_first() comes. */
void replay_begin(struct rtsp_replay *replay, const struct footage_wish *wish);
/* What is next is due now. */
void replay_start_clock(struct rtsp_replay *replay);
/* Sends what is due, as far as there is room for it. */
void replay_send(struct rtsp_replay *replay);
/* Sends nothing more, for now. */
void replay_halt(struct rtsp_replay *replay);
/* Forgets what was read, and the walk. */
void replay_drop(struct rtsp_replay *replay);
/* What is played now, and when in playing an instant is. */
int64_t replay_now_us(const struct rtsp_replay *replay);
int64_t replay_play_us(const struct rtsp_replay *replay, int64_t media_us);
bool replay_is_backward(const struct rtsp_play *play);
/* Only where groups of pictures begin. */
bool replay_has_only_keyframes(const struct rtsp_play *play);

/* --- rtsp_replay.c --- */

/* The first piece is there, or nothing comes. */
void replay_on_first(struct rtsp_replay *replay);
