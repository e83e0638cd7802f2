#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libavcodec/codec_par.h>

#include "protocols/rtp_packetise.h"
#include "server/media/stream.h"

struct evbuffer;

/*
 * A track as RTP: how its access units become packets, and how SDP describes it (RFC 8866).
 *
 * A unit is one access unit as one block of bytes in which every packet stands behind its 4-byte interleaved header (RFC
 * 2326 section 10.12) with channel 2 * track, so that a TCP reader of the usual channels takes the block as it is, and UDP
 * sends the pieces of it. Shared by reference.
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

struct rtp_track {
	unsigned number;
	struct rtp_packetiser packetiser;
	int clock_hz;
	uint32_t offset; /* random start of the RTP time (RFC 3550 section 5.1) */
	uint8_t *sets;   /* NAL units with lengths, sent before each keyframe */
	size_t sets_bytes;
	uint32_t packets, octets; /* sent */
	const char *refused;      /* why the last unit could not be sent, or NULL; static text */
};
/* Zeroed memory; with a random SSRC, sequence number and offset. Without packetiser.encoding it is not sent. */
void rtp_track_init(struct rtp_track *track, const AVCodecParameters *parameters, unsigned number);
void rtp_track_fini(struct rtp_track *track);
/* After a BYE: another SSRC. */
void rtp_track_renew(struct rtp_track *track);
/* From now on with other parameter sets. */
void rtp_track_set_parameters(struct rtp_track *track, const AVCodecParameters *parameters);
/* The RTP time of an instant (microseconds since 1970). */
uint32_t rtp_track_time(const struct rtp_track *track, int64_t utc_us);

struct rtp_track_unit {
	const uint8_t *p; /* as rtp_packetise() takes it */
	size_t n;
	bool keyframe;
	uint32_t timestamp; /* RTP */
	int64_t utc_us;
};
/* Its packets, the last one marked; NULL when there are none, or when it is `refused`. */
struct rtp_unit_packets *rtp_track_packetise(
	struct rtp_track *track, const struct rtp_track_unit *unit) MUST_CHECK;

/* --- rtp_sdp.c --- */

/* Where something is multicast. */
struct rtp_group {
	const char *address;
	unsigned ttl, port; /* of the first track; the next one has port + 2 */
};

struct rtp_sdp {
	const char *name, *address; /* of the session; ours, without brackets */
	unsigned version;
	const char *attributes;                         /* of the session, whole lines */
	const AVCodecParameters *tracks[STREAM_TRACKS]; /* NULL: left out */
	const char *track_attributes[STREAM_TRACKS];    /* whole lines, or NULL */
	const struct rtp_group *group;                  /* RFC 2326 appendix C.1.7; NULL: none */
};
/* Tracks are "a=control:trackID=<n>"; those that are not sent are left out. */
void rtp_sdp_write(const struct rtp_sdp *sdp, struct evbuffer *out);
