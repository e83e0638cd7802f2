#pragma once

#include "server/media/sound.h"
#include "server/media/stream.h"

/*
 * A stream with its sound made another codec while somebody listens: once however many they are,
 * ended some seconds after the last. What is recorded knows nothing of it.
 *
 * SOUND_AAC_SOON has all tracks of the stream, for MP4: pictures wait until the sound of their time
 * is made, or a second at most. SOUND_OPUS is the first sound alone, for RTP, where pictures go
 * their own way.
 */

/*
 * The stream that is made of `stream`: its runs are those of that one. NULL where that one is good as
 * it is: it is not up, has no sound, or has it by that codec. To be subscribed at once; it is freed when
 * nobody does for some seconds, and with that one. A source that comes back with other sound is passed on as
 * it is where it needs no encoder, or has no decoder.
 */
struct stream *sound_stream_of(struct stream *stream, enum sound_target target);
