#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "protocols/authenticate.h"
#include "protocols/message.h"
#include "protocols/rtcp.h"
#include "protocols/rtp_sender.h"
#include "protocols/rtsp_server.h"
#include "protocols/rtsp_transport.h"
#include "protocols/uri.h"
#include "server/base/config.h"
#include "server/base/connection.h"
#include "server/base/datagram.h"
#include "server/base/listener.h"
#include "server/base/log.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

/* What the parts of the RTSP server share: connections, requests, sessions. */

enum {
	/*
	 * Connections without a session, on all ports. One more, and the oldest goes: of those that have not
	 * sent a whole request, while there are any.
	 */
	RTSP_STRANGERS = 256,
	RTSP_BODY_BYTES = 16384,
	RTSP_REQUEST_S = 15, /* for a whole request, from its first byte or the start on */
	RTSP_TIMEOUT_S = 60, /* what SETUP promises */
	RTSP_ID_BYTES = 33,
	RTSP_NAME_BYTES = 256,
	RTSP_TALK_TRACK = STREAM_TRACKS - 1, /* of a camera that listens, which has fewer to send */
};

/* How much is known of a connection. */
enum rtsp_standing {
	RTSP_SILENT, /* no whole request came yet */
	RTSP_HEARD,
	RTSP_SERVED, /* it has a session */
	RTSP_STANDINGS
};
TAILQ_HEAD(rtsp_connections, rtsp_connection);
struct rtsp_multicast; /* one sender for all who ask for a stream's group by the same interface of ours */

struct rtsp_port {
	struct rtsp_server *server;
	struct listener *listener;    /* NULL: not listening */
	const struct tls_server *tls; /* NULL: plain */
};

struct rtsp_server {
	struct rtsp_port plain, secure;
	const struct config *config;
	struct log_name log;
	struct rtsp_connections connections[RTSP_STANDINGS]; /* the oldest first */
	size_t n_strangers;                                  /* connections without a session */
	LIST_HEAD(, rtsp_session) sessions;
	size_t n_sessions;
	LIST_HEAD(, rtsp_multicast) groups;
	struct tree *tree; /* of recordings; NULL: none are played */
	struct metric *sessions_metric, *skipped_metric, *sent_metric, *queue_metric,
		*dropped_metric;
};

struct rtsp_connection {
	TAILQ_ENTRY(rtsp_connection) entry;
	struct rtsp_server *server;
	enum rtsp_standing standing;
	struct connection *connection; /* NULL when it has ended; through HTTP that of the GET */
	struct rtsp_tunnel *tunnel;    /* whose POST brings the requests; NULL: `connection` does */
	LIST_HEAD(, rtsp_session) sessions;
	struct log_name log;
	char *peer;
	struct authenticate_asker asker;
	size_t seen; /* bytes of the input that hold no end of a head */
	bool ending; /* the rest of the input is not read */
	bool half;   /* a request has begun, and request_timer runs */
	struct event *request_timer;
	/* What was asked for last and no session plays yet, or NULL; ours. */
	struct rtsp_source *source;
	struct reactor_dead dead;
};

/* --- what a session plays: rtsp_live.c, rtsp_replay.c; or is sent: rtsp_publish.c --- */

/*
 * What a URL names. A connection has it while it is described; from SETUP on the session, which it sends its units to by
 * rtsp_session_take() and tells by rtsp_session_source_ended().
 */
struct rtsp_source {
	const struct rtsp_source_kind *kind;
	char name[RTSP_NAME_BYTES];
	struct rtsp_session *session; /* NULL: none yet */
	/* Whose request waits for it: paused, and read again after rtsp_source_ready(). */
	struct rtsp_connection *waiting;
};

/* Where a track's media begins, for RTP-Info: its first sequence number, and the RTP time of the start. */
struct rtsp_start {
	uint16_t sequence;
	uint32_t timestamp;
};

struct rtsp_source_kind {
	/*
	 * Whether it can be described and set up: 0; -EINPROGRESS: rtsp_source_ready() comes; -ENOENT; -ENOTCONN: not now; -ESTALE: it is no
	 * longer what its session set up.
	 */
	int (*check)(struct rtsp_source *source);
	/* Of what can be set up: as SDP, and whether a track is sent at all. */
	void (*write_sdp)(struct rtsp_source *source, const struct message *message,
		const char *host, struct evbuffer *out);
	bool (*takes_track)(struct rtsp_source *source, unsigned track);
	/*
	 * Whether one can talk there, by RTSP_TALK_TRACK: 0; -ENOENT; -ESTALE: to another codec than was described; -EBUSY: somebody
	 * else talks. NULL: one cannot.
	 */
	int (*check_talk)(struct rtsp_source *source);
	/* The track that a URL of SETUP names, or -ENOENT; NULL: by its number, as write_sdp said. */
	int (*find_track)(struct rtsp_source *source, struct message_text target);
	/*
	 * Starts, or goes elsewhere: units come, which wait until the session has answered. Adds to the answer's fields. 0; -EINPROGRESS:
	 * rtsp_source_ready() comes, and nothing was added; -ENOTCONN; or a status to answer with, and nothing has changed.
	 */
	int (*play)(
		struct rtsp_source *source, const struct message *message, struct evbuffer *fields);
	void (*stop)(
		struct rtsp_source *source); /* no unit comes after this; fine when not playing */
	/*
	 * It gives no more than rtsp_session_has_room() allows: there is room again, or playing begins. NULL: units come when they do, and a
	 * slow reader misses some.
	 */
	void (*on_room)(struct rtsp_source *source);
	/* While it plays; false when the track has nothing to say. */
	bool (*get_start)(struct rtsp_source *source, unsigned track, struct rtsp_start *ret);
	bool (*get_report)(struct rtsp_source *source, unsigned track, int64_t utc_us,
		struct rtcp_sender_report *ret);
	/* RTP or RTCP of the client's; NULL: it is of no interest. */
	void (*on_packet)(struct rtsp_source *source, unsigned track, const uint8_t *p, size_t n);
	/* Stops and frees it. */
	void (*free)(struct rtsp_source *source);
};

struct rtsp_source *rtsp_live_new(const char *name);
void rtsp_source_free(struct rtsp_source *source); /* NULL is fine */
/*
 * What an ANNOUNCE of a connection describes, to be pushed into the camera of that name; user may be NULL.
 * Its kind has neither description nor reports, and play() means to record. Returns 0; -ENOENT: nobody can publish under that
 * name; -EBUSY: somebody else does; -EBADMSG and *why; -ENOTSUP: nothing of it can be recorded (logged).
 */
int rtsp_publisher_new(struct rtsp_source **ret, const struct rtsp_connection *connection,
	const char *name, const char *user, struct message_text description,
	const char **why) MUST_CHECK;
bool rtsp_source_is_published(const struct rtsp_source *source);
/* What check() or play() said to wait for has happened: the request is read again. */
void rtsp_source_ready(struct rtsp_source *source);

/* --- rtsp_server_session.c --- */

enum rtsp_state {
	RTSP_READY,    /* tracks are set up */
	RTSP_STARTING, /* PLAY is being answered: units wait in the queue */
	RTSP_PLAYING,
	RTSP_ENDED,
};

struct rtsp_track {
	struct rtsp_session *session;
	bool set_up;
	uint32_t ssrc;              /* known from PLAY on */
	uint8_t channels[2];        /* TCP */
	struct datagram_pair *pair; /* UDP, and of the sender to a group; else NULL */
};

struct rtsp_queued {
	STAILQ_ENTRY(rtsp_queued) entry;
	struct rtp_unit_packets *unit;
	size_t sent;   /* packets of it */
	int64_t at_us; /* it came; monotonic */
};

struct rtsp_session {
	LIST_ENTRY(rtsp_session) entry; /* of the server's; not of a group's own */
	LIST_ENTRY(rtsp_session) connection_entry;
	struct rtsp_server *server;
	/* NULL once it ended, when only an interleaved session ends with it; and of a group's own */
	struct rtsp_connection *connection;
	struct rtsp_multicast *group; /* that it sends to; NULL: it is somebody's */
	char *user;                   /* NULL: there are no users */
	struct log_name log;
	char id[RTSP_ID_BYTES];
	struct rtsp_source *source; /* ours */
	enum rtsp_state state;
	enum rtsp_over over;
	struct rtsp_track tracks[STREAM_TRACKS];
	struct sockaddr_storage peer;
	socklen_t peer_bytes;
	int64_t seen_us; /* the client was heard of; monotonic */
	struct event *timer, *pace_timer;

	/*
	 * What waits to be sent (METRIC_READER_QUEUE_BYTES). Limits rtsp.queue beyond what it began with, and for TCP
	 * rtsp.queue_time: then units are left out up to a keyframe (METRIC_READER_SKIPPED). A connection that takes nothing for
	 * rtsp.write_timeout is closed (CLOSE_TOO_SLOW).
	 *
	 * TCP: the units go past the connection's output, which has answers, RTCP, and the rest of a packet that the socket took
	 * in part; while there is output, they wait.
	 */
	STAILQ_HEAD(, rtsp_queued) queue;
	size_t queued_bytes,
		first_bytes; /* the latter: that it began with, until it has caught up */
	int64_t pace_start_us, pace_media_us; /* UDP: when it started, and with which instant */
	bool skipping;
	int64_t progress_us; /* TCP: the socket took something */
	struct reactor_dead dead;
};

/* Takes the source over. */
struct rtsp_session *rtsp_session_new(struct rtsp_connection *connection,
	struct rtsp_source *source, const char *user, enum rtsp_over over);
/* The one that sends to a group: nobody's, and found by nobody. Takes the source over. */
struct rtsp_session *rtsp_session_new_sender(
	struct rtsp_multicast *group, struct rtsp_server *server, struct rtsp_source *source);
struct rtsp_session *rtsp_session_find(struct rtsp_server *server, struct message_text id);
/* Sets a track up. Returns 0 or negative errno. */
int rtsp_session_set_up(
	struct rtsp_session *s, unsigned number, const struct rtsp_transport *transport);
/* Has the source play; units wait until rtsp_session_flush(). Returns what it says. */
int rtsp_session_start(
	struct rtsp_session *session, const struct message *message, struct evbuffer *fields);
/* The instant where the session's media begins: the earliest of what waits, else now. */
int64_t rtsp_session_start_us(const struct rtsp_session *session);
/* Sends the first sender reports and what waits. */
void rtsp_session_flush(struct rtsp_session *session);
void rtsp_session_pause(struct rtsp_session *session);
/* A unit of its source. */
void rtsp_session_take(struct rtsp_session *session, struct rtp_unit_packets *unit);
/* Of sources with on_room: whether more may be given, and how many bytes wait. */
bool rtsp_session_has_room(struct rtsp_session *session);
size_t rtsp_session_waiting(struct rtsp_session *session);
/* All was given: says BYE, and is ready for another PLAY. */
void rtsp_session_finish(struct rtsp_session *session);
/* What was described is over. */
void rtsp_session_source_ended(struct rtsp_session *session);
/* The connection's output has gone. */
void rtsp_session_on_drained(struct rtsp_session *session);
/* Ends it without a word. */
void rtsp_session_end(struct rtsp_session *session);
/* The connection is gone or is about to go. */
void rtsp_session_connection_ended(struct rtsp_session *session);
/* RTP or RTCP of the client's, of one of its tracks. */
void rtsp_session_on_packet(
	struct rtsp_session *session, unsigned track, const uint8_t *p, size_t n);
void rtsp_session_send_rtcp(struct rtsp_session *session, unsigned number, uint8_t *p, size_t n);
/* The client was heard of. */
void rtsp_session_touch(struct rtsp_session *session);
size_t rtsp_sessions_of_host(const struct rtsp_server *server, const struct sockaddr *peer);
size_t rtsp_sessions_of_user(const struct rtsp_server *server, const char *user);

/* --- rtsp_multicast.c --- */

/* The group of a live stream with the port of its first track, as the configuration says; false: none. */
bool rtsp_multicast_find(
	const struct rtsp_server *server, const char *name, struct sockaddr_in *ret);
/* Describes a stream as sent to its group. False: it has none. */
bool rtsp_multicast_write_sdp(
	const struct rtsp_server *server, const char *name, const char *host, struct evbuffer *out);
/*
 * What a session plays that gets its stream by the group, from its connection's interface on: takes the live one over.
 * NULL and errno; then it does not.
 */
struct rtsp_source *rtsp_multicast_new(
	struct rtsp_connection *connection, struct rtsp_source *live) MUST_CHECK;
/* Sends a track to the group from now on. Returns 0 or negative errno. */
int rtsp_multicast_set_up(struct rtsp_source *source, unsigned number);
/* "destination=239.1.2.3;source=192.0.2.1;port=5004-5005;ttl=16" */
void rtsp_multicast_write_transport(
	struct rtsp_source *source, unsigned track, struct evbuffer *out);
/* The sender's stream has ended: so do all members. */
void rtsp_multicast_on_end(struct rtsp_multicast *group);

/* --- rtsp_tunnel.c --- */

struct http_request;
struct rtsp_tunnel;
/* For http_set_tunnel(), whose arg is the server. */
void rtsp_tunnel_take(void *arg, struct http_request *request);
void rtsp_tunnel_free(struct rtsp_tunnel *tunnel); /* NULL is fine */
struct evbuffer *rtsp_tunnel_input(struct rtsp_tunnel *tunnel);
/* As connection_pause() and connection_resume() by PAUSE_BUSY. */
void rtsp_tunnel_pause(struct rtsp_tunnel *tunnel);
void rtsp_tunnel_resume(struct rtsp_tunnel *tunnel);

/* --- rtsp_server.c --- */

/* What every connection has; its `connection` and what more there is to it is the caller's to set. */
struct rtsp_connection *rtsp_connection_new(struct rtsp_server *server);
void rtsp_connection_start(struct rtsp_connection *connection);
extern const struct connection_events rtsp_connection_events;
/* Takes what is in its input, wherever that came from. */
void rtsp_connection_read(struct rtsp_connection *connection);
void rtsp_connection_pause(struct rtsp_connection *connection);
void rtsp_connection_resume(struct rtsp_connection *connection);
/* Answers what is no request, and closes. */
void rtsp_connection_refuse(struct rtsp_connection *connection, int status, const char *why);
/* Writes what waits, then closes; nothing more is read. */
void rtsp_connection_finish(struct rtsp_connection *connection);
/* Its sessions came or went. */
void rtsp_connection_update(struct rtsp_connection *connection);
enum {
	RTSP_INPUT_BYTES = MESSAGE_HEAD_BYTES + RTSP_BODY_BYTES + 65540
};

/* --- rtsp_server_request.c --- */

/*
 * Answers one request with its body. Returns false when it waits for its source, or for who asks to be known:
 * then it stays at the head of the input, and comes again.
 */
bool rtsp_answer_request(struct rtsp_connection *connection, const struct message *message,
	struct message_text body);
/* Whether it has this option in Require. */
bool rtsp_message_requires(const struct message *message, const char *option);
/* Answers what could not be parsed, with `why` as the reason phrase. */
void rtsp_answer_malformed(struct rtsp_connection *connection, int status, const char *why);
