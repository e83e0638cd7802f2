#pragma once

#include <stdbool.h>

#include <libavcodec/codec_par.h>
#include <libavcodec/packet.h>
#include <libavutil/rational.h>

#include "server/base/attributes.h"
#include "server/media/stream.h"

struct metric;

/*
 * Makes AAC-LC or Opus of a source's sound (G.711, G.726, L16, whatever libavcodec decodes). One
 * worker named "sound" does it for all sources; it lives as long as there are any.
 */
struct sound;

enum sound_target {
	SOUND_AAC,      /* AAC-LC at the source's rate where AAC has it: small, for keeping */
	SOUND_AAC_SOON, /* AAC-LC at 48 kHz: frames are short and wait less, for who listens now */
	SOUND_OPUS,     /* at 48 kHz, frames of 20 ms */
};

/*
 * One frame, on the reactor; the packet is the caller's own again afterwards. pts = dts in
 * 1/sample_rate since 1970, duration and AV_PKT_FLAG_KEY are set, stream_index is not. It may free
 * the sound.
 */
typedef void sound_fn(void *arg, AVPacket *packet);

/* Whether it is sound, and not of that codec yet. */
bool sound_is_needed(const AVCodecParameters *from, enum sound_target target) MUST_CHECK;

/*
 * `from` is copied; packets come in from_base. `dropped` counts packets that were not taken or could
 * not be decoded; NULL is fine. Returns NULL and a static *why when libavcodec cannot do it.
 */
struct sound *sound_new(const AVCodecParameters *from, AVRational from_base,
	enum sound_target target, struct metric *dropped, sound_fn *on_packet, void *arg,
	const char **why) MUST_CHECK;
/* NULL is fine. on_packet is not called any more. */
void sound_free(struct sound *sound);

/* Complete, with AudioSpecificConfig or OpusHead: mono or stereo. Not to be changed. */
AVCodecParameters *sound_parameters(const struct sound *sound);
/* Makes of the source's track what is published in its place; the parameters are borrowed. */
void sound_describe_track(const struct sound *sound, struct stream_track *track);
/* Whether it was made for just such a source. */
bool sound_fits(const struct sound *sound, const AVCodecParameters *from, AVRational base);

/*
 * Puts AAC between a source and its stream where that is wanted and `track` needs it: *sound goes on
 * if it was made for just such a source, else it is freed, and another one is made like by
 * sound_new(); it is NULL where there is nothing to do. `track` is the source's, and afterwards
 * what is to be published; its parameters are borrowed. Returns NULL, or, static, why sound cannot
 * be made AAC and stays as it is.
 */
const char *sound_fit(struct sound **sound, struct stream_track *track, bool wanted,
	struct metric *dropped, sound_fn *on_packet, void *arg);

/*
 * Takes a reference to the packet; its pts counts. Frames come out some time later: two of them
 * (AAC at 8 kHz: 256 ms, at 48 kHz: 43 ms; Opus: 40 ms) and the wait for the worker. Their times follow the packets': what is missing for
 * up to a second becomes silence, what overlaps is left out, a drift is followed by a sample per
 * frame. A leap back of more than a second is passed on. With 512 packets or 1 MiB on
 * their way the packet is dropped.
 */
void sound_push(struct sound *sound, const AVPacket *packet);
