#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/rtp.h"
#include "server/base/attributes.h"
#include "server/media/h264.h"
#include "server/media/h265.h"

/*
 * From RTP packets of one track, in order, to access units. One file per payload format behind this
 * interface: rtp_h264 (RFC 6184), rtp_h265 (RFC 7798), rtp_aac (RFC 3640). Pure but for the memory
 * that collects the unit.
 *
 * Pictures: nothing is given before the first keyframe with complete parameter sets, nor after a
 * loss before the next keyframe. Whether the marker bit can be trusted is learned from the first
 * picture, which therefore comes with the first packet of the second one.
 */
struct rtp_depacketiser;

/* An access unit larger than this is dropped. */
enum {
	RTP_UNIT_BYTES = 16 << 20
};

struct rtp_unit {
	/* NAL units with 4-byte lengths, or one raw AAC frame; valid during the call. */
	const uint8_t *data;
	size_t bytes;
	uint32_t timestamp; /* RTP time of its presentation */
	bool keyframe;      /* decoding may start here (IDR, IRAP, recovery point; audio: always) */
	/* Parameter sets differ from those of the unit before, or it is the first: ask for them anew. */
	bool sets_changed;
};

/* Neither may free the depacketiser. */
struct rtp_depacketiser_events {
	void (*on_unit)(void *arg, const struct rtp_unit *unit);
	/* A unit was damaged or its reference lost; dropped until the next keyframe. */
	void (*on_dropped)(void *arg, const char *why);
};

/* What SDP says of a track that matters here. */
struct rtp_format {
	const char *encoding; /* "H264", "H265", "MPEG4-GENERIC" */
	const char *fmtp;     /* its fmtp parameters, or "" */
	uint32_t clock_hz;
	uint8_t channels;
};

/* Returns NULL and a static *why when the encoding is not spoken or its fmtp is unusable. */
struct rtp_depacketiser *rtp_depacketiser_new(const struct rtp_format *format,
	const struct rtp_depacketiser_events *events, void *arg, const char **why) MUST_CHECK;
void rtp_depacketiser_free(struct rtp_depacketiser *depacketiser);

/*
 * Takes the next packet. `gap`: packets before it are lost. Units come by on_unit as they are
 * complete: by the marker, or by a change of the timestamp.
 */
void rtp_depacketiser_push(
	struct rtp_depacketiser *depacketiser, const struct rtp_packet *packet, bool gap);

/* The parameter sets from SDP and stream; NULL for another codec. */
const struct h264_sets *rtp_depacketiser_h264(const struct rtp_depacketiser *depacketiser);
const struct h265_sets *rtp_depacketiser_h265(const struct rtp_depacketiser *depacketiser);
/* The AudioSpecificConfig; NULL for another codec. */
const uint8_t *rtp_depacketiser_aac(const struct rtp_depacketiser *depacketiser, size_t *bytes);
