#pragma once

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
#include "server/base/connection.h"
#include "server/base/datagram.h"
#include "server/base/listener.h"
#include "server/base/log.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

/* What the parts of the RTSP server share: connections, requests, sessions. */

enum {
	RTSP_CONNECTIONS = 512,      /* more are closed at once */
	RTSP_SESSIONS = 256,         /* more get 503 */
	RTSP_SESSIONS_PER_HOST = 32, /* more get 453; our own host may have all */
	RTSP_BODY_BYTES = 16384,
	RTSP_TIMEOUT_S = 60, /* what SETUP promises */
	RTSP_ID_BYTES = 33,
	RTSP_NAME_BYTES = 256,
};

struct rtsp_server {
	struct listener *listener;
	struct log_name log;
	LIST_HEAD(, rtsp_connection) connections;
	LIST_HEAD(, rtsp_session) sessions;
	size_t n_connections, n_sessions;
	struct metric *sessions_metric, *skipped_metric, *sent_metric;
};

struct rtsp_connection {
	LIST_ENTRY(rtsp_connection) entry;
	struct rtsp_server *server;
	struct connection *connection; /* NULL when it has ended */
	struct log_name log;
	char *peer;
	struct authenticate_asker asker;
	size_t seen; /* bytes of the input that hold no end of a head */
	bool ending; /* the rest of the input is not read */
	/* What was asked for last and no session plays yet, or NULL; ours. */
	struct rtsp_source *source;
	struct reactor_dead dead;
};

/* --- what a session plays: rtsp_live.c --- */

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
	void (*write_sdp)(struct rtsp_source *source, const char *host, struct evbuffer *out);
	bool (*takes_track)(struct rtsp_source *source, unsigned track);
	/*
	 * Starts: units come, which wait until the session has answered. Adds to the answer's fields. 0; -EINPROGRESS:
	 * rtsp_source_ready() comes, and nothing was added; -ENOTCONN.
	 */
	int (*play)(
		struct rtsp_source *source, const struct message *message, struct evbuffer *fields);
	void (*stop)(
		struct rtsp_source *source); /* no unit comes after this; fine when not playing */
	/* While it plays; false when the track has nothing to say. */
	bool (*get_start)(struct rtsp_source *source, unsigned track, struct rtsp_start *ret);
	bool (*get_report)(struct rtsp_source *source, unsigned track, int64_t utc_us,
		struct rtcp_sender_report *ret);
	/* Stops and frees it. */
	void (*free)(struct rtsp_source *source);
};

struct rtsp_source *rtsp_live_new(const char *name);
void rtsp_source_free(struct rtsp_source *source); /* NULL is fine */
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
	struct datagram_pair *pair; /* UDP; NULL over TCP */
};

struct rtsp_queued {
	STAILQ_ENTRY(rtsp_queued) entry;
	struct rtp_unit_packets *unit;
	size_t sent; /* packets of it */
};

/* The output of TCP grew past `position` at this time; one mark per half second. */
struct rtsp_mark {
	uint64_t position;
	int64_t at_us;
};
enum {
	RTSP_MARKS = 16
};

struct rtsp_session {
	LIST_ENTRY(rtsp_session) entry;
	struct rtsp_server *server;
	struct rtsp_connection *connection; /* NULL once it ended; a UDP session lives on */
	struct log_name log;
	char id[RTSP_ID_BYTES];
	struct rtsp_source *source; /* ours */
	enum rtsp_state state;
	bool udp;
	struct rtsp_track tracks[STREAM_TRACKS];
	struct sockaddr_storage peer;
	socklen_t peer_bytes;
	int64_t seen_us; /* the client was heard of; monotonic */
	struct event *timer, *pace_timer;

	/*
	 * What waits to be sent: the queue for UDP, the connection's output for TCP. Limit limit_bytes
	 * or 5 s; then units are left out up to a keyframe (METRIC_READER_SKIPPED), and without any
	 * progress for 20 s the connection is closed.
	 */
	STAILQ_HEAD(, rtsp_queued) queue;
	size_t queued_bytes, limit_bytes;
	int64_t pace_start_us, pace_media_us; /* UDP: when it started, and with which instant */
	bool skipping;
	uint64_t written;  /* TCP: bytes given to the output */
	uint64_t consumed; /* of these the socket took, when last looked */
	int64_t progress_us;
	struct rtsp_mark marks[RTSP_MARKS];
	unsigned n_marks;
	struct reactor_dead dead;
};

/* Takes the source over. */
struct rtsp_session *rtsp_session_new(
	struct rtsp_connection *connection, struct rtsp_source *source, bool udp);
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
/* What was described is over. */
void rtsp_session_source_ended(struct rtsp_session *session);
/* Ends it without a word. */
void rtsp_session_end(struct rtsp_session *session);
/* The connection is gone or is about to go. */
void rtsp_session_connection_ended(struct rtsp_session *session);
/* The client was heard of. */
void rtsp_session_touch(struct rtsp_session *session);
size_t rtsp_sessions_of_host(const struct rtsp_server *server, const struct sockaddr *peer);

/* --- rtsp_server.c --- */

/* Writes what waits, then closes; nothing more is read. */
void rtsp_connection_finish(struct rtsp_connection *connection);
/* Sets the idle time: none while a session needs the connection. */
void rtsp_connection_update_idle(struct rtsp_connection *connection);

/* --- rtsp_server_methods.c --- */

/*
 * Answers one request with its body. Returns false when it waits for its source, or for who asks to be known:
 * then it stays at the head of the input, and comes again.
 */
bool rtsp_answer_request(struct rtsp_connection *connection, const struct message *message,
	struct message_text body);
/* Answers what could not be parsed, with `why` as the reason phrase. */
void rtsp_answer_malformed(struct rtsp_connection *connection, int status, const char *why);
