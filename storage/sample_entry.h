#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <libavcodec/codec_par.h>

#include "storage/box_writer.h"

/*
 * What MP4 can carry: one row per codec, with its sample entry (ISO/IEC 14496-12 section 12) and
 * what browsers make of it.
 */

/* Whether there is a row, and the parameters (extradata, size, rate) are fit for it. */
bool sample_entry_fits(const AVCodecParameters *p);
/* Whether browsers play it in MP4. */
bool sample_entry_is_web(const AVCodecParameters *p);
/* Whether pictures depend on others, so that only keyframes can begin something. */
bool sample_entry_has_keyframes(const AVCodecParameters *p);
/* RFC 6381, or the entry's own name where that has none. Returns ret. */
char *sample_entry_codec(char *ret, size_t size, const AVCodecParameters *p);
/* Writes the entry of a track with that id; sample_entry_fits(). */
void sample_entry_write(struct box_writer *w, unsigned id, const AVCodecParameters *p);
