#pragma once

#include <stdbool.h>

#include <libavcodec/codec_par.h>
#include <libavcodec/packet.h>
#include <libavutil/rational.h>

#include "server/base/attributes.h"
#include "server/media/stream.h"

struct metric;

/*
 * Makes AAC-LC of a source's sound (G.711, G.726, L16, Opus, whatever libavcodec decodes), on the
 * way from the source into its stream. One worker named "sound" does it for all sources; it lives
 * as long as there are any.
 */
struct sound_aac;

/*
 * One frame, on the reactor; the packet is the caller's own again afterwards. pts = dts in
 * 1/sample_rate since 1970, duration and AV_PKT_FLAG_KEY are set, stream_index is not. It may free
 * the sound_aac.
 */
typedef void sound_aac_fn(void *arg, AVPacket *packet);

/* Whether it is sound, and not AAC yet. */
bool sound_aac_is_needed(const AVCodecParameters *from) MUST_CHECK;

/*
 * `from` is copied; packets come in from_base. `dropped` counts packets that were not taken or could
 * not be decoded; NULL is fine. Returns NULL and a static *why when libavcodec cannot do it.
 */
struct sound_aac *sound_aac_new(const AVCodecParameters *from, AVRational from_base,
	struct metric *dropped, sound_aac_fn *on_packet, void *arg, const char **why) MUST_CHECK;
/* NULL is fine. on_packet is not called any more. */
void sound_aac_free(struct sound_aac *sound);

/* Complete, with AudioSpecificConfig: mono or stereo, at the source's rate where AAC has it. Not to be changed. */
AVCodecParameters *sound_aac_parameters(const struct sound_aac *sound);
/* Whether it was made for just such a source. */
bool sound_aac_fits(const struct sound_aac *sound, const AVCodecParameters *from, AVRational base);

/*
 * Puts AAC between a source and its stream where that is wanted and `track` needs it: *sound goes on
 * if it was made for just such a source, else it is freed, and another one is made like by
 * sound_aac_new(); it is NULL where there is nothing to do. `track` is the source's, and afterwards
 * what is to be published; its parameters are borrowed. Returns NULL, or, static, why sound cannot
 * be made AAC and stays as it is.
 */
const char *sound_aac_fit(struct sound_aac **sound, struct stream_track *track, bool wanted,
	struct metric *dropped, sound_aac_fn *on_packet, void *arg);

/*
 * Takes a reference to the packet; its pts counts. Frames come out some time later: two of them
 * (256 ms at 8 kHz) and the wait for the worker. Their times follow the packets': what is missing for
 * up to a second becomes silence, what overlaps is left out, a drift is followed by a sample per
 * frame. A leap back of more than a second is passed on. With 256 packets or 512 KiB on
 * their way the packet is dropped.
 */
void sound_aac_push(struct sound_aac *sound, const AVPacket *packet);
