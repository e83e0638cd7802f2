#pragma once

#include <libavformat/avformat.h>

#include "server/base/attributes.h"

/* libavformat and libavdevice, loaded by who needs them first. */

/* All that is used of libavformat. */
struct av_library {
	__typeof__(&avformat_alloc_context) alloc_context;
	__typeof__(&avformat_open_input) open_input;
	__typeof__(&avformat_find_stream_info) find_stream_info;
	__typeof__(&avformat_close_input) close_input;
	__typeof__(&av_find_input_format) find_input_format;
	__typeof__(&av_read_frame) read_frame;
	__typeof__(&avio_alloc_context) io_alloc;
	__typeof__(&avio_context_free) io_free;
};

/* Any thread that may wait for disk. Returns NULL and a static *why when it is not there. */
const struct av_library *av_library_load(const char **why) MUST_CHECK;
/* One of libavdevice's inputs; libavformat is loaded. Likewise. */
const AVInputFormat *av_library_find_device(const char *name, const char **why) MUST_CHECK;

/*
 * What probing and making sound of another codec (sound.h) may run: a garbage stream reaches no other decoder. Sound that cannot
 * be recorded as it is wants one all the same, or its rate remains unknown.
 */
#define AV_LIBRARY_DECODERS                                                                     \
	"h264,hevc,mjpeg,libdav1d,aac,aac_latm,opus,libopus,pcm_mulaw,pcm_alaw,pcm_s16be,"      \
	"mp1,mp1float,mp2,mp2float,mp3,mp3float,ac3,eac3,vorbis,libvorbis,flac,speex,libspeex," \
	"nellymoser,s302m,pcm_dvd,pcm_bluray,pcm_u8,pcm_s16le,pcm_s24le,pcm_s24be,pcm_s32le,"   \
	"pcm_f32le,g722,g726,g726le,adpcm_ima_wav,adpcm_ms,adpcm_swf"
