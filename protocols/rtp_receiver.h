#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "protocols/rtp_depacketiser.h"
#include "protocols/rtp_reorder.h"
#include "protocols/sdp.h"
#include "server/base/attributes.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/clock.h"
#include "server/media/decode_time.h"
#include "server/media/sound.h"
#include "server/media/source.h"

/*
 * The media of a source that sends RTP: the tracks of its description, their packets put in order, made
 * whole, given their times, and published into a stream. How the packets travel, and who asked for
 * them, is the owner's: protocols/rtsp_client pulls, to protocols/rtsp_publish they are pushed.
 */

enum {
	RTP_RECEIVER_TRACKS = 3, /* one picture, one sound, metadata */
	RTP_REPORT_BYTES = 128
};

struct rtp_receiver;
struct rtp_encoding;

/* A unit that waits for the clock to settle. */
struct rtp_held_unit {
	STAILQ_ENTRY(rtp_held_unit) entry;
	struct rtp_receiver_track *track;
	AVPacket *packet;
};
STAILQ_HEAD(rtp_held_units, rtp_held_unit);

/* One track: from packets to the stream. */
struct rtp_receiver_track {
	struct rtp_receiver *receiver;
	const struct rtp_encoding *encoding; /* a row of rtp_receiver_tracks.c */
	int index;                           /* of the stream's track */
	enum sdp_kind kind;
	struct sdp_media media;
	size_t line;                 /* which of the description's media it is */
	bool refused;                /* it was not set up: nothing will come of it */
	struct rtp_reorder *reorder; /* NULL until it is set up */
	struct rtp_depacketiser *depacketiser;
	AVCodecParameters *parameters; /* NULL until they are known */
	AVRational time_base;
	struct clock clock;
	struct decode_time decode_time; /* video */
	int64_t last_dts;               /* of the run; AV_NOPTS_VALUE before the first */
	struct sound *aac;              /* what the run's units go through; or NULL */
	bool stale;                     /* the parameters are not those that the run began with */
	uint64_t lost_counted;
	/* what pairs this track's RTP time with the other's */
	bool has_play_time, has_report;
	uint32_t play_time; /* RTP-Info */
	uint64_t report_ntp;
	uint32_t report_time;
	int64_t report_arrived_us; /* monotonic; for our own reports */
	struct metric *frames;
};

struct rtp_receiver_events {
	/* A receiver report of a track (RFC 3550 section 6.4.2), to be sent to the source. */
	void (*on_report)(void *arg, unsigned track, uint8_t *p, size_t n);
	/* Nothing more is to be hoped for; the owner ends. `detail` may be NULL. */
	void (*on_end)(void *arg, enum source_end end, const char *detail);
};

/* Embedded. Its owner sets a track's `refused` and play time, and reads the rest. */
struct rtp_receiver {
	const struct source_order *order;
	const struct log_name *log;
	const struct rtp_receiver_events *events;
	void *arg;
	struct rtp_receiver_track tracks[RTP_RECEIVER_TRACKS];
	unsigned n_tracks;
	bool running, up; /* pictures have begun; the owner's owner was told */
	bool holding;     /* units wait in `held` */
	bool stopped;     /* what still comes is nobody's */
	int64_t first_us,
		silence_us; /* how long without media is too long, at the start and later */
	int64_t started_us; /* monotonic */
	int64_t picture_us; /* monotonic: the last packet of track 0, and the last unit */
	int64_t unit_us;
	int64_t bye_us; /* monotonic: RTCP BYE of track 0, after which nothing came; or 0 */
	struct rtp_held_units held; /* until the clock has settled; at most HELD_BYTES */
	size_t held_bytes;
	struct event *hold_timer, *tick_timer, *reorder_timer;
	unsigned ticks;
	const char *degraded;               /* why, as the owner was told */
	double lost_before, dropped_before; /* at the last look */
	struct metric *bytes, *lost, *dropped;
};

/*
 * All that is given outlives it. It tells order->events of on_up and on_degraded by itself; metrics are
 * those of order->camera.
 */
void rtp_receiver_init(struct rtp_receiver *receiver, const struct source_order *order,
	const struct log_name *log, const struct rtp_receiver_events *events, void *arg);
void rtp_receiver_fini(struct rtp_receiver *receiver);

/*
 * Chooses the tracks of a description: the first picture and the first sound that nvrd can record,
 * and ONVIF metadata. Returns SOURCE_STOPPED, or the reason to end, with a detail in `detail`.
 */
enum source_end rtp_receiver_choose(
	struct rtp_receiver *receiver, const struct sdp *sdp, char *detail, size_t size);
/* Whether another description, of a running session, has the same tracks. */
bool rtp_receiver_is_of(const struct rtp_receiver *receiver, const struct sdp *sdp);
/* Forgets the tracks, so that others can be chosen. */
void rtp_receiver_drop_tracks(struct rtp_receiver *receiver);

/* Packets of this track may come from now on: over UDP in any order. */
void rtp_receiver_set_up(struct rtp_receiver_track *track, bool udp);
/* RTP or RTCP of a track that was set up: what it is decides, not the way it came. */
void rtp_receiver_take(struct rtp_receiver_track *track, const uint8_t *p, size_t n);
/* Whether these bytes, 12 or more, begin a packet that one of our tracks may send. */
bool rtp_receiver_knows(const struct rtp_receiver *receiver, const uint8_t *p, size_t n);
/* Has a report of the track sent by on_report(), where there is something to report. */
void rtp_receiver_report(struct rtp_receiver_track *track);

/*
 * The source sends now: on_report() each five seconds, and on_end() when nothing has come for
 * `first_us` in the beginning or `silence_us` later, or nothing that makes a picture.
 */
void rtp_receiver_start(struct rtp_receiver *receiver, int64_t first_us, int64_t silence_us);
/* Nothing is published or called any more. */
void rtp_receiver_stop(struct rtp_receiver *receiver);
