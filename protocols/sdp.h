#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * Session descriptions (RFC 8866) as cameras write them: line by line, order-free, what is not
 * understood is skipped. Only what a player needs is kept.
 */

enum {
	SDP_MEDIA = 16,
	SDP_VALUE_BYTES = 2048
};

enum sdp_kind {
	SDP_VIDEO,
	SDP_AUDIO,
	SDP_APPLICATION,
	SDP_OTHER
};
enum sdp_direction {
	SDP_UNSAID,
	SDP_SENDRECV,
	SDP_SENDONLY,
	SDP_RECVONLY,
	SDP_INACTIVE
};

struct sdp_media {
	enum sdp_kind kind;
	uint8_t payload_type; /* of its m= line the first that is known, else the first */
	uint8_t mapped_type;  /* that its rtpmap names, mostly the same; packets may carry either */
	char encoding[32];    /* upper case, of rtpmap or of the static table; "" if unknown */
	uint32_t clock_hz;    /* 0 when unknown */
	uint8_t channels;     /* audio; 1 when unsaid */
	/* of the picture in pixels, by a=x-dimensions or a=framesize; 0 when unsaid */
	uint16_t width, height;
	enum sdp_direction direction;
	char control[SDP_VALUE_BYTES]; /* "" when unsaid */
	char fmtp[SDP_VALUE_BYTES]; /* parameters after the payload type; "" when there are none */
};

struct sdp {
	char control[SDP_VALUE_BYTES]; /* session level */
	char name[128];                /* first s= */
	struct sdp_media media[SDP_MEDIA];
	size_t n_media; /* every m= line counts, so that its index stays true */
};

/* Parses the n bytes. Returns 0, or -EBADMSG and a static *why when there is no media line at all. */
int sdp_parse(struct sdp *ret, const char *p, size_t n, const char **why) MUST_CHECK;

/* Whether packets of this payload type are of the media. */
static inline bool sdp_has_type(const struct sdp_media *media, unsigned type)
{
	return type == media->payload_type || type == media->mapped_type;
}

/*
 * Whether media line i is sound that the camera wants to hear and not to send: there must be another
 * one that it sends, for cameras confuse the directions.
 */
bool sdp_is_backchannel(const struct sdp *sdp, size_t i);

/*
 * The same, of a description that was asked for with ONVIF's back channel: another media that it sends, also a picture, will
 * do.
 */
bool sdp_is_asked_backchannel(const struct sdp *sdp, size_t i);

/*
 * A parameter of an fmtp ("config", "sprop-parameter-sets"; any case). Copies its value with NUL.
 * Returns the length, or -1 when it is absent or does not fit.
 */
int sdp_fmtp_value(const char *fmtp, const char *name, char *ret, size_t size);
