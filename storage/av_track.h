#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>

#include "server/media/h264.h"
#include "server/media/h265.h"
#include "server/media/jpeg.h"

/*
 * One track that libavformat reads: from what its demuxers give to what a stream and a recording want
 * (server/media/stream.h), bytes and times. All of it for one thread at a time.
 */

enum {
	AV_PACKET_BYTES = 16 << 20, /* larger ones are nobody's pictures */
	AV_VIDEO_HZ = 90000,
};

struct av_track {
	AVStream *stream; /* NULL: none chosen */
	bool video;
	AVRational time_base; /* of what is made */
	int rotation;         /* struct stream_track */

	/* what it is made of */
	unsigned length_bytes; /* of NAL units in packets; 0: start codes */
	struct h264_sets h264;
	struct h265_sets h265;
	struct jpeg jpeg;              /* what the parameters were made of */
	AVBSFContext *adts;            /* takes ADTS headers off; NULL where there are none */
	AVCodecParameters *parameters; /* NULL until known */
	bool parameters_changed;       /* since the last item */
	bool damaged;                  /* until the next keyframe */

	/* times, in the stream's own base */
	bool paced;
	bool has_time, timeless; /* timeless: it has none; arrival or the frame rate give them */
	int64_t last, unwrapped, step;
	int64_t next_dts; /* sound: in time_base, where the last frame ended */
};

/* From one time of the stream to another, which may have wrapped; both count as close by. */
int64_t av_track_elapsed(const AVStream *stream, int64_t from, int64_t to);
/* Begins with a stream that libavformat found. Returns whether it can be recorded. */
bool av_track_open(struct av_track *track, AVStream *stream);
void av_track_fini(struct av_track *track);
/*
 * Makes one access unit as the stream wants it out of the packet, which is emptied. NULL: nothing is
 * to be published; *dropped counts what was damaged.
 */
AVPacket *av_track_convert(
	struct av_track *track, AVPacket *packet, int64_t arrival_us, size_t *dropped);
