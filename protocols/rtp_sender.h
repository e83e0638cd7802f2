#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/attributes.h"
#include "server/media/stream.h"

struct evbuffer;

/*
 * One packetisation: the RTP packets of a stream are built once, while anyone reads them, and shared
 * by reference. A unit is one access unit as one block of bytes in which every packet stands behind
 * its 4-byte interleaved header (RFC 2326 section 10.12) with channel 2 * track, so that a TCP
 * reader of the usual channels takes the block as it is, and UDP sends the pieces of it.
 */
struct rtp_unit_packets {
	int refs;
	unsigned track;
	bool keyframe;
	uint32_t timestamp; /* RTP */
	int64_t utc_us;     /* presentation */
	size_t bytes;       /* the block */
	uint8_t *block;
	size_t n;          /* packets in it */
	uint32_t *offsets; /* n + 1: where each packet's interleaved header stands */
};
struct rtp_unit_packets *rtp_unit_packets_ref(struct rtp_unit_packets *unit);
void rtp_unit_packets_unref(struct rtp_unit_packets **unit);

struct rtp_sender;

struct rtp_reader;
struct rtp_reader_events {
	void (*on_unit)(struct rtp_reader *reader, struct rtp_unit_packets *unit);
	/* The run ended or the tracks changed: what was described is over, the reader unsubscribed. */
	void (*on_end)(struct rtp_reader *reader);
};
struct rtp_reader {
	TAILQ_ENTRY(rtp_reader) entry;
	struct rtp_sender *sender;
	const struct rtp_reader_events *events;
};

/* Subscribes to the sender of a stream that is up (made on first use, freed after its last reader);
 * the units of the current group of pictures come first. Returns 0, or -ENOTCONN. */
int rtp_sender_subscribe(struct stream *stream, struct rtp_reader *reader,
	const struct rtp_reader_events *events) MUST_CHECK;
void rtp_sender_unsubscribe(struct rtp_reader *reader);

/* The RTP time of a track at an instant (microseconds since 1970). */
uint32_t rtp_sender_time(const struct rtp_sender *sender, unsigned track, int64_t utc_us);

/* For RTP-Info and sender reports: the next sequence number, SSRC, and the counts so far. */
struct rtp_sender_state {
	uint16_t next_sequence;
	uint32_t ssrc, packets, octets;
	uint32_t timestamp; /* of the newest unit, and its instant */
	int64_t utc_us;
};
/* False when the track has no codec that is sent. */
bool rtp_sender_get_state(
	const struct rtp_sender *sender, unsigned track, struct rtp_sender_state *ret);

/* Whether this track of a stream that is up is sent at all. */
bool rtp_sender_takes_track(const struct stream *stream, unsigned track);

/* The stream as SDP (RFC 8866, RFC 6184, 7798, 3640): tracks as "a=control:trackID=<n>". */
void rtp_sender_write_sdp(struct stream *stream, const char *address, struct evbuffer *out);
