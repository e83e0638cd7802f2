#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "protocols/rtp_track.h"
#include "server/base/attributes.h"
#include "server/media/stream.h"

struct evbuffer;

/*
 * One packetisation: the RTP packets of a stream are built once, while anyone reads them, and shared
 * by reference.
 */
struct rtp_sender;

struct rtp_reader;
struct rtp_reader_events {
	void (*on_unit)(struct rtp_reader *reader, struct rtp_unit_packets *unit);
	/*
	 * The tracks changed, or the source did not come back in time: what was described is over, the reader
	 * unsubscribed. When it comes back in time, units go on with the same SSRC, sequence numbers and RTP time.
	 */
	void (*on_end)(struct rtp_reader *reader);
};
struct rtp_reader {
	TAILQ_ENTRY(rtp_reader) entry;
	struct rtp_sender *sender;
	const struct rtp_reader_events *events;
};

/* How long readers wait for a source that was lost; from its next absence on. A minute unless said. */
void rtp_sender_set_reconnect(int64_t us);

/* Subscribes to the sender of a stream that is up (made on first use, freed after its last reader);
 * the units of the current group of pictures come first. Returns 0, or -ENOTCONN. */
int rtp_sender_subscribe(struct stream *stream, struct rtp_reader *reader,
	const struct rtp_reader_events *events) MUST_CHECK;
/* The same with at most so many bytes of payload in a packet: made once for all who ask for that size. */
int rtp_sender_subscribe_sized(struct stream *stream, size_t payload_bytes,
	struct rtp_reader *reader, const struct rtp_reader_events *events) MUST_CHECK;
/* Gives a reader that is subscribed the units of the current group of pictures once more. */
void rtp_sender_replay(struct rtp_reader *reader);
void rtp_sender_unsubscribe(struct rtp_reader *reader);

/* The RTP time of a track at an instant (microseconds since 1970). */
uint32_t rtp_sender_time(const struct rtp_sender *sender, unsigned track, int64_t utc_us);

/* For RTP-Info and sender reports: the next sequence number, SSRC, and the counts so far. */
struct rtp_sender_state {
	uint16_t next_sequence;
	uint32_t ssrc, packets, octets;
};
/* False when the track has no codec that is sent. */
bool rtp_sender_get_state(
	const struct rtp_sender *sender, unsigned track, struct rtp_sender_state *ret);

/* Whether this track of a stream that is up is sent at all. */
bool rtp_sender_takes_track(const struct stream *stream, unsigned track);

/*
 * The stream as SDP, sent to a group, or (NULL) to wherever each reader is, with whole lines of attributes for each
 * track, or NULL.
 */
void rtp_sender_write_sdp(struct stream *stream, const char *address, const struct rtp_group *group,
	const char *track_attributes, struct evbuffer *out);
