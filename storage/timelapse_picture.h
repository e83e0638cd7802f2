#pragma once

#include <libavcodec/codec_id.h>
#include <libavcodec/packet.h>

#include "server/base/attributes.h"

/*
 * A keyframe made fit to follow any other one: a copy, which the caller frees, or NULL when other pictures are needed to
 * decode it. Of data as stream.h has it. In a film of keyframes the pictures between are missing by which
 * decoders tell one from the next and find their order, therefore
 *
 * H.264: only IDR pictures, with an access unit delimiter before each. Without that, two of which the slice headers
 * say the same (idr_pic_id alone tells them apart, ITU-T H.264 section 7.4.1.2.4) are one picture to VLC.
 *
 * H.265: of CRA pictures BLA_N_LP ones are made (ITU-T H.265 section 7.4.2.2), the same but for their type, after which order
 * begins anew; else it is guessed from the few bits that slices have of it (section 8.3.1), and wrong.
 */
AVPacket *timelapse_picture(const AVPacket *packet, enum AVCodecID codec) MUST_CHECK;
