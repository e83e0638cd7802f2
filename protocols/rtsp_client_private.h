#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "protocols/digest_client.h"
#include "protocols/message.h"
#include "protocols/rtp_receiver.h"
#include "protocols/rtsp_client.h"
#include "protocols/rtsp_fields.h"
#include "protocols/rtsp_talk.h"
#include "protocols/uri.h"
#include "server/base/connection.h"
#include "server/base/datagram.h"
#include "server/base/reactor.h"

enum {
	RTSP_TARGET_BYTES = URI_PATH_BYTES + URI_HOST_BYTES + 32,
	RTSP_COOKIE_BYTES = 24,
	RTSP_BODY_BYTES = 256 << 10,
	RTSP_WAKEUP_BYTES = 256 << 10, /* taken at once; then the other cameras have their turn */
	RTSP_SILENCE_TCP_US = 10000000,
	RTSP_SILENCE_UDP_US = 20000000,
	RTSP_FIRST_UDP_US = 3000000, /* without a packet after PLAY: UDP is blocked on the way */
	RTSP_BACK_TRACK = RTP_RECEIVER_TRACKS, /* the back channel, which the receiver has not */
	RTSP_TRACKS,
};

/* How a URI's scheme is spoken: a row each. */
struct rtsp_scheme {
	const char *name;
	const char *inner; /* the scheme within requests */
	uint16_t port;
	bool tls, tunnel;
};

/* How the packets of the receiver's track of the same number travel, or those to the camera. */
struct rtsp_track {
	struct rtsp_client *client;
	uint8_t channel, rtcp_channel; /* when interleaved */
	bool has_server_port;          /* of UDP, said or learned */
	struct datagram_pair *udp;
};

enum rtsp_client_state {
	RTSP_CONNECTING,
	RTSP_TUNNEL, /* the HTTP tunnel is being opened */
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
	const struct rtsp_scheme *scheme; /* a row of rtsp_client.c */
	struct tls_client tls;
	struct connection *connection;
	struct connection *post; /* of a tunnel: where requests go; else NULL */
	char cookie[RTSP_COOKIE_BYTES];
	struct uri uri;                       /* of the camera, as connected to */
	char target[RTSP_TARGET_BYTES];       /* the URI of the request under way */
	char base[RTSP_TARGET_BYTES];         /* what was asked to be described */
	char session_base[RTSP_TARGET_BYTES]; /* Content-Base: what controls are relative to */
	char aggregate[RTSP_TARGET_BYTES];    /* what PLAY and TEARDOWN name */
	enum config_transport transport;      /* TRANSPORT_TCP or TRANSPORT_UDP, of this attempt */
	bool may_switch;                      /* transport: auto */

	/* requests */
	unsigned cseq, redirects;
	struct digest_client credentials;
	bool switched_signature; /* another URI was signed in this attempt */
	bool plain_play;         /* the camera does not like a Range in PLAY */
	enum rtsp_keepalive keepalive;
	bool keepalive_unanswered;
	int64_t keepalive_us; /* monotonic: when it was sent */
	char session[RTSP_SESSION_BYTES];
	unsigned session_timeout_s;
	struct event *step_timer, *keepalive_timer;

	/* input */
	size_t seen;          /* searched for the end of a head */
	size_t garbage_bytes; /* since the last packet; 0: in step with the camera */
	bool body_due;        /* a body is taken as long as it is */
	struct event *body_timer;
	struct log_repeated garbage;

	struct rtp_receiver receiver;
	struct rtsp_track tracks[RTSP_TRACKS];
	unsigned next_setup;

	/* the back channel */
	bool asks_back;         /* for it, by Require */
	bool has_back;          /* it was offered, and not refused since */
	struct sdp_media back;  /* what the camera listens to */
	struct rtsp_talk *talk; /* while it plays and listens */
	struct reactor_dead dead;
};

/* --- rtsp_client.c --- */

/* Ends the attempt: says TEARDOWN if there is a session, tells the owner once. `detail` may be NULL. */
void rtsp_client_end(struct rtsp_client *client, enum source_end end, const char *detail);
/* Connects to client->uri. */
void rtsp_client_connect(struct rtsp_client *client);
/* The row for this URI, or NULL when its scheme is none of RTSP's. */
const struct rtsp_scheme *rtsp_scheme_find(const struct uri *uri);

/* --- rtsp_client_steps.c: the conversation, one state after the other --- */

void rtsp_client_enter(struct rtsp_client *client, enum rtsp_client_state state);
void rtsp_client_send_keepalive(struct rtsp_client *client);
void rtsp_client_on_answer(
	struct rtsp_client *client, const struct message *answer, struct message_text body);
void rtsp_client_on_request(
	struct rtsp_client *client, const struct message *request, struct message_text body);

/* --- rtsp_client_input.c: bytes to messages and packets --- */

void rtsp_client_on_data(struct rtsp_client *client);
void rtsp_client_on_body_timer(evutil_socket_t fd, short what, void *arg);

/* --- rtsp_client_tunnel.c: RTSP over HTTP --- */

/* Asks for the half that comes to us. */
void rtsp_tunnel_send_get(struct rtsp_client *client);
/* The answer to it: opens the half that goes to the camera, then enters RTSP_OPTIONS. */
void rtsp_tunnel_on_answer(
	struct rtsp_client *client, const struct message *answer, struct message_text body);
/* Sends bytes through it. */
void rtsp_tunnel_write(struct rtsp_client *client, struct evbuffer *text);

/* --- rtsp_client_messages.c --- */

/* Sends a request; `fields` are further header lines, each with CRLF. */
void rtsp_client_send(
	struct rtsp_client *client, const char *method, const char *target, const char *fields);
/* Sends bytes to the camera, whichever way; empties the buffer. */
void rtsp_client_write(struct rtsp_client *client, struct evbuffer *text);
/* Answers a request of the camera's with 200 OK. */
void rtsp_client_send_ok(struct rtsp_client *client, const struct message *request);
/* Adds the Authorization field for a request, or nothing where nothing was asked for. */
void rtsp_client_add_authorization(
	struct rtsp_client *client, struct evbuffer *out, const char *method, const char *target);

/* --- rtsp_client_ports.c: how the packets of a track travel --- */

/* An interleaved packet; false when its channel is nobody's. */
bool rtsp_client_on_interleaved(
	struct rtsp_client *client, uint8_t channel, const uint8_t *p, size_t n);
bool rtsp_client_has_channel(const struct rtsp_client *client, uint8_t channel);
/* Sends a receiver report. */
void rtsp_client_on_report(void *arg, unsigned number, uint8_t *p, size_t n);
/* Sends a packet by the back channel, as rtsp_talk_send_fn. */
bool rtsp_client_say(void *arg, uint8_t *p, size_t n);

/* The camera did not set the track up: nothing will come of it. */
void rtsp_track_refused(struct rtsp_track *track);
/* The channels that the camera chose; over UDP it may have granted TCP instead. */
void rtsp_track_set_channels(
	struct rtsp_track *track, const struct rtsp_transport_answer *transport);
/* Opens the UDP ports of a track. Returns 0 or -errno. */
int rtsp_track_open_udp(struct rtsp_track *track) MUST_CHECK;
/* Where the camera sends from, and takes reports: makes holes in firewalls on the way. */
void rtsp_track_set_server_ports(struct rtsp_track *track, uint16_t rtp_port, uint16_t rtcp_port);
/* Forgets all tracks, also the receiver's and the back channel. */
void rtsp_client_drop_tracks(struct rtsp_client *client);
