#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocols/digest.h"
#include "protocols/message.h"
#include "protocols/rtp_depacketiser.h"
#include "protocols/rtp_reorder.h"
#include "protocols/rtsp_client.h"
#include "protocols/sdp.h"
#include "protocols/uri.h"
#include "server/base/connection.h"
#include "server/base/datagram.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/clock.h"
#include "server/media/decode_time.h"

enum {
	RTSP_TRACKS = 2
}; /* one picture, one sound */

/* The media side of one track: from packets to the stream. */
struct rtsp_track {
	struct rtsp_client *client;
	const struct rtsp_encoding *encoding; /* a row of rtsp_client_media.c */
	bool video;
	struct sdp_media media;
	uint8_t channel; /* of RTP when interleaved; RTCP's is one more */
	struct datagram_pair *udp;
	struct rtp_reorder *reorder;
	struct rtp_depacketiser *depacketiser;
	AVCodecParameters *parameters; /* NULL until they are known */
	AVRational time_base;
	struct clock clock;
	struct decode_time decode_time; /* video */
	int64_t last_dts;               /* of the run; AV_NOPTS_VALUE before the first */
	int64_t unit_duration;          /* audio: samples of a frame */
	uint64_t lost_counted;
	/* what pairs this track's RTP time with the other's */
	bool has_play_time, has_report;
	uint32_t play_time; /* RTP-Info */
	uint64_t report_ntp;
	uint32_t report_time;
	int64_t report_arrived_us; /* monotonic; for our own reports */
	struct metric *frames;
};

enum rtsp_client_state {
	RTSP_CONNECTING,
	RTSP_OPTIONS,
	RTSP_DESCRIBE,
	RTSP_SETUP,
	RTSP_PLAY,
	RTSP_PLAYING,
	RTSP_ENDED,
};

struct rtsp_client {
	struct log_name log;
	char peer[URI_HOST_BYTES + 8];
	struct source_order order;
	enum rtsp_client_state state;
	struct rtsp_client_memory *memory;
	struct connection *connection;
	struct uri uri;                                       /* of the camera, as connected to */
	char target[URI_PATH_BYTES + URI_HOST_BYTES + 32];    /* the URI of the request under way */
	char base[URI_PATH_BYTES + URI_HOST_BYTES + 32];      /* Content-Base of the description */
	char aggregate[URI_PATH_BYTES + URI_HOST_BYTES + 32]; /* what PLAY and TEARDOWN name */
	enum config_transport transport; /* TRANSPORT_TCP or TRANSPORT_UDP, of this attempt */
	bool may_switch;                 /* transport: auto */

	/* requests */
	unsigned cseq, redirects;
	bool sent_credentials; /* with the request under way */
	struct digest_challenge challenge;
	unsigned nonce_count;
	bool has_get_parameter;
	char session[256];
	unsigned session_timeout_s;
	size_t seen, garbage_bytes; /* of the input */
	struct event *step_timer, *keepalive_timer, *tick_timer, *reorder_timer;

	/* media */
	struct rtsp_track tracks[RTSP_TRACKS];
	unsigned n_tracks, next_setup;
	bool running, up;             /* a run of the stream has begun; on_up was called */
	int64_t media_us, playing_us; /* monotonic: the last packet, and PLAY's answer */
	unsigned ticks;
	struct metric *bytes, *lost, *dropped;
	struct reactor_dead dead;
};

/* --- rtsp_client.c --- */

/* Ends the attempt: tells the owner once. `detail` may be NULL. */
void rtsp_client_end(struct rtsp_client *client, enum source_end end, const char *detail);

/* --- rtsp_client_media.c --- */

/*
 * Chooses the tracks of a description: the first picture and the first sound that nvrd can record.
 * Returns 0, or the reason to end, with a detail in `detail`.
 */
enum source_end rtsp_media_choose(
	struct rtsp_client *client, const struct sdp *sdp, char *detail, size_t size);

/* Opens the UDP ports of a track. Returns 0 or -errno. */
int rtsp_media_open_udp(struct rtsp_track *track) MUST_CHECK;
/* Where the camera sends from, and takes reports: makes holes in firewalls on the way. */
void rtsp_media_set_server_port(struct rtsp_track *track, uint16_t rtp_port);

/* An interleaved packet; false when its channel is nobody's. */
bool rtsp_media_on_interleaved(
	struct rtsp_client *client, uint8_t channel, const uint8_t *p, size_t n);

/* Each second: counts losses, and sends receiver reports each five. */
void rtsp_media_tick(struct rtsp_client *client);
/* Gives up on packets that do not come any more. */
void rtsp_media_expire(struct rtsp_client *client);
void rtsp_media_free(struct rtsp_client *client);

/* --- rtsp_client_messages.c --- */

/* Sends a request; `fields` are further header lines, each with CRLF. */
void rtsp_client_send(
	struct rtsp_client *client, const char *method, const char *target, const char *fields);
/* Answers a request of the camera's with 200 OK. */
void rtsp_client_send_ok(struct rtsp_client *client, const struct message *request);
/*
 * Takes the challenges of a 401. Returns whether a new try with credentials makes sense.
 */
bool rtsp_client_take_challenge(struct rtsp_client *client, const struct message *answer);
