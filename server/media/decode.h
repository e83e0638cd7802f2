#pragma once

#include <libavcodec/codec_par.h>
#include <libavcodec/packet.h>

#include "server/base/attributes.h"

/*
 * A keyframe as a JPEG: decoded (whatever libavcodec decodes), scaled, turned, encoded. It computes, in the thread of who
 * calls it, for some milliseconds to a second; for the reactor there is server/media/picture.h.
 */
enum {
	DECODE_WIDTH_LEAST = 16,
	DECODE_SIDE_MOST = 16384,
	DECODE_PIXELS_MOST = 64 << 20,
	DECODE_BYTES_MOST = 16 << 20, /* of the keyframe */
};

struct decode_order {
	const AVCodecParameters *parameters; /* of its track */
	const AVPacket *packet;              /* as stream.h has it */
	int rotation;                        /* clockwise by 0, 90, 180 or 270 degrees */
	unsigned
		width; /* of the JPEG, at least DECODE_WIDTH_LEAST; 0, or more than there is: as it is */
};

/*
 * Returns 0 and in *ret the JPEG, the caller's own: 4:2:0 with square pixels and even sides, the proportions kept. Else,
 * with a static *why, -ENOTSUP: there is no decoder for it; -E2BIG: larger than the limits; -EBADMSG: it
 * cannot be decoded.
 */
int decode_to_jpeg(const struct decode_order *order, AVPacket **ret, const char **why) MUST_CHECK;

/* How wide a picture is as people see it: square pixels, turned. 0: unknown. */
unsigned decode_width(const AVCodecParameters *parameters, int rotation);
