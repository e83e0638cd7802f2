#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocols/rtp.h"
#include "server/base/attributes.h"
#include "server/media/h264.h"
#include "server/media/h265.h"
#include "server/media/jpeg.h"

/*
 * From RTP packets of one track, in order, to access units. One file per payload format behind this
 * interface: rtp_h264 (RFC 6184), rtp_h265 (RFC 7798), rtp_aac (RFC 3640), rtp_latm (RFC 6416),
 * rtp_pcm (RFC 3551), rtp_opus (RFC 7587), rtp_metadata (ONVIF). Pure but for the memory that
 * collects the unit.
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
	/*
	 * NAL units with 4-byte lengths; one raw AAC frame; an Opus packet; samples of PCM, those of
	 * 16 bits big endian; an XML document of ONVIF. Valid during the call.
	 */
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
	const char *encoding; /* upper case: "H264", "MPEG4-GENERIC", "VND.ONVIF.METADATA" */
	const char *fmtp;     /* its fmtp parameters, or "" */
	uint32_t clock_hz;
	uint8_t channels;
	/* Of the picture in pixels; 0: not said. JPEG needs it beyond 2040. */
	uint16_t width, height;
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

/*
 * What is known of a sound. Some of it only its packets tell (Opus, LATM in band, ADTS in place of
 * raw AAC): until then it is what the description says or a guess, and a unit with sets_changed
 * tells that it is another now.
 */
struct rtp_sound {
	const uint8_t *config; /* AAC: the AudioSpecificConfig; NULL for the others */
	size_t config_bytes;
	/* Of RTP: that of the description, but 48000 for Opus whatever it says. */
	uint32_t clock_hz;
	uint32_t hz; /* samples per second of the output */
	uint8_t channels;
	uint8_t sample_bits; /* PCM and G.726: coded bits of a sample of one channel; else 0 */
	bool aal2; /* G.726: the first sample is in a byte's high bits, not its low ones */
	uint32_t unit_ticks; /* how long the last unit lasts, in ticks of the RTP clock */
};
/* NULL for what is no sound. What it points to changes with the units. */
const struct rtp_sound *rtp_depacketiser_sound(const struct rtp_depacketiser *depacketiser);
/* The header of the JPEG that was given last; NULL for another codec. */
const struct jpeg *rtp_depacketiser_jpeg(const struct rtp_depacketiser *depacketiser);
