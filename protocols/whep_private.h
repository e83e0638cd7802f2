#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "protocols/rtcp_feedback.h"
#include "protocols/rtp_security.h"
#include "protocols/rtp_sender.h"
#include "protocols/whep_answer.h"
#include "protocols/whep_port.h"
#include "server/base/log.h"
#include "server/base/reactor.h"

/* What whep.c (the resource), whep_session.c (ICE, DTLS, life) and whep_media.c (what is sent) share. */

enum {
	WHEP_ID_BYTES = 33,       /* 128 random bits in hex, and NUL */
	WHEP_OUR_UFRAG_BYTES = 9, /* 32 bits: RFC 8445 section 5.3 asks for 24 */
	WHEP_ADDRESSES = 4,       /* of a peer that are remembered */
	/* With RTP's header and SRTP's tag 1188 bytes: they go through tunnels, too. */
	WHEP_PAYLOAD_BYTES = 1160,
	WHEP_HISTORY = RTP_SECURITY_REPEATED,
	/* Of a session: those of the stream, and sound that is made of theirs. */
	WHEP_SOUND = STREAM_TRACKS,
	WHEP_TRACKS,
	WHEP_QUEUE_BYTES =
		STREAM_CACHE_BYTES, /* units that wait to be sent, shared with others: then to the next keyframe */
};

#define WHEP_CONSENT_US (INT64_C(30) * 1000000) /* RFC 7675 section 5.1 */
#define WHEP_TICK_US INT64_C(1000000)

/* id, metric label, words */
#define WHEP_ENDS(X)                                                               \
	X(WHEP_DELETED, "deleted", "the client ended it")                          \
	X(WHEP_CLOSED, "closed", "the client said farewell")                       \
	X(WHEP_SILENT, "silent", "the client has not asked for more for too long") \
	X(WHEP_HANDSHAKE, "handshake", "the DTLS handshake failed")                \
	X(WHEP_STREAM, "stream", "the stream has ended or has other tracks")       \
	X(WHEP_REORDERED, "reordered", "the stream has B-frames")                  \
	X(WHEP_FORBIDDEN, "forbidden", "the user may not see it any more")         \
	X(WHEP_SHUTDOWN, "shutdown", "nvrd is stopping")

enum whep_end {
#define X(id, metric, words) id,
	WHEP_ENDS(X)
#undef X
};

struct whep_session;

/* A peer's address that a check came from: DTLS and RTCP from there are the session's. */
struct whep_address {
	LIST_ENTRY(whep_address) entry;
	struct whep_session *session; /* NULL: not used */
	struct whep_path path;
};

struct whep_queued {
	TAILQ_ENTRY(whep_queued) entry;
	struct rtp_unit_packets *unit;
	struct whep_track *track;
	size_t at; /* the next packet */
	bool is_replayed;
	bool is_begun;      /* its first packet was to be sent: it has a timestamp */
	uint32_t timestamp; /* it is sent with */
};

/* A packet that was sent. */
struct whep_sent {
	struct rtp_unit_packets *unit; /* NULL: none */
	uint32_t index, timestamp;
	uint16_t sequence;
};

/* A track of the stream, or WHEP_SOUND. */
struct whep_track {
	bool is_sent, is_video;
	const struct rtp_reader *reader; /* that has its units, as track `number` */
	unsigned number;
	uint8_t payload_type;
	uint32_t ssrc;
	uint16_t next_sequence;
	uint32_t packets, octets;
	bool has_timestamp;
	uint32_t timestamp;      /* the last one sent */
	uint32_t unit_timestamp; /* of the newest unit, as the stream has it */
	bool has_unit;
};

struct whep_media_state {
	struct rtp_reader reader;
	struct rtp_reader sound_reader; /* of the sound that is made, where it is sent */
	struct whep_track tracks[WHEP_TRACKS];
	TAILQ_HEAD(whep_queue, whep_queued) queue;
	size_t queue_bytes;
	struct event *pump_timer; /* more may be sent */
	bool is_open;             /* hands are shaken */
	bool is_replaying;        /* units come from the cache */
	bool is_skipping;         /* video waits for a keyframe */
	int64_t replayed_us;      /* monotonic; the last replay */
	unsigned repeats_left;    /* packets that may be sent again before the next tick */
	unsigned ticks;
	struct whep_sent *history; /* WHEP_HISTORY, of video, by sequence number */
};

struct whep_session {
	TAILQ_ENTRY(whep_session) entry;
	LIST_ENTRY(whep_session) ufrag_entry;
	struct reactor_dead dead;
	struct log_name log;
	char id[WHEP_ID_BYTES], ufrag[WHEP_OUR_UFRAG_BYTES], password[WHEP_ID_BYTES];
	char *user;   /* NULL: nobody was asked */
	char *stream; /* its name */
	char *peer_ufrag;
	bool has_ended;

	struct whep_path path; /* where media go; peer_bytes 0: nowhere yet */
	struct whep_address addresses[WHEP_ADDRESSES];
	size_t next_address; /* that makes room */
	int64_t heard_us;    /* monotonic; the last check */

	struct dtls *dtls;
	struct event *dtls_timer;
	struct rtp_security *security; /* NULL until hands are shaken */
	struct event *tick_timer;
	struct metric *sent;
	struct whep_media_state media;
};
TAILQ_HEAD(whep_sessions, whep_session);

/* --- whep_session.c --- */

/* All sessions. */
extern struct whep_sessions whep_sessions;
extern struct whep_port *whep_port;

/* For a peer that proves to be who sent the offer. NULL: its fingerprint is none. */
struct whep_session *whep_session_new(const char *stream, const char *user,
	struct message_text ufrag, struct message_text hash,
	struct message_text fingerprint) MUST_CHECK;
/* Ends it, by whomever; fine twice. It is freed after the callback chain. */
void whep_session_end(struct whep_session *session, enum whep_end why);
/* Sends datagrams to the peer. Returns how many were taken. */
size_t whep_session_send(struct whep_session *session, const struct iovec *packets, size_t n);
void whep_on_datagram(const struct whep_path *from, uint8_t *p, size_t n);

/* --- whep_media.c --- */

/* Subscribes, and looks at the units for B-frames. Returns 0, -ENOTCONN, or -EILSEQ when there are some. */
int whep_media_init(struct whep_session *session, struct stream *stream) MUST_CHECK;
void whep_media_fini(struct whep_session *session);
/* A track of the session is sent, by the peer's name for its codec. */
void whep_media_take(struct whep_session *session, unsigned track, uint8_t payload_type);
/* WHEP_SOUND comes from that stream, which is up and has nothing else (sound_stream_of()). */
void whep_media_take_sound(struct whep_session *session, struct stream *made);
/* Hands are shaken: the current group of pictures goes out. */
void whep_media_open(struct whep_session *session);
void whep_media_on_feedback(struct whep_session *session, const struct rtcp_feedback *feedback);
/* Once in WHEP_TICK_US. */
void whep_media_on_tick(struct whep_session *session);
