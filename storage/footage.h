#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <libavcodec/codec_par.h>

#include "server/base/attributes.h"
#include "storage/catalogue.h"
#include "storage/mp4_reader.h"
#include "storage/volume.h"

/*
 * The frames of a camera's recordings, one fragment after the other, forward or backward from an instant, over the borders
 * of files and over gaps. Files are read by the volume's reader, and held while they are. Asynchronous: callbacks
 * on the reactor, never before the call returned.
 */
struct footage;

enum {
	FOOTAGE_GAP_US = 500000, /* what is more is a gap */
};

/* How the tracks of a piece are encoded. Shared by reference. */
struct footage_format {
	int refs;
	uint64_t init; /* the same for files with the same tracks and parameters */
	unsigned n, lead;
	int rotation;                          /* of the lead, as struct stream_track has it */
	AVCodecParameters *tracks[MP4_TRACKS]; /* codec_id AV_CODEC_ID_NONE: unknown */
};
struct footage_format *footage_format_ref(struct footage_format *format);
void footage_format_unref(struct footage_format **format);

struct footage_sample {
	unsigned track;
	bool keyframe;
	int64_t dts_us, pts_us, duration_us; /* instants */
	const uint8_t *p;
	size_t n;
};
/* What one fragment has. Of those of one group of pictures the first begins with its keyframe. */
struct footage_piece {
	STAILQ_ENTRY(footage_piece) entry; /* the owner's */
	struct footage_format *format;
	bool jumps; /* it does not follow from the one before: a beginning, a gap, backward each group */
	bool gap;                 /* nothing is recorded between them, or it is the first */
	int64_t start_us, end_us; /* decode times of the lead */
	int64_t group_start_us, group_end_us; /* backward: of its group of pictures */
	struct footage_sample *samples;       /* in the order of decoding, all tracks together */
	size_t n;
	uint8_t *data;
	size_t bytes;
};
void footage_piece_free(struct footage_piece *piece); /* NULL is fine */

/*
 * From the keyframe shown at at_us or before; where nothing is recorded then: forward from the first one behind, backward from
 * the last one before. Forward up to what is decoded before end_us; backward down to the group of pictures with end_us.
 */
struct footage_wish {
	int64_t at_us, end_us; /* end_us: INT64_MAX or INT64_MIN for none */
	bool backward;
	bool keyframes; /* of each group of pictures only the first fragment */
};
struct footage *footage_new(struct catalogue *catalogue, struct volume *volume, const char *camera,
	const struct footage_wish *wish);
void footage_free(struct footage *footage); /* NULL is fine; no callback after this */

enum footage_end {
	FOOTAGE_ENDS,    /* nothing else is recorded */
	FOOTAGE_REACHED, /* end_us */
	FOOTAGE_GROWS    /* not yet: the recording goes on */
};
/*
 * error: 0, -EAGAIN: ask again later, or what reading failed with. The piece is the callee's; NULL without error: there is no
 * more, now; asking again is fine.
 */
typedef void footage_fn(void *arg, int error, struct footage_piece *piece, enum footage_end end);
/* Gives the next piece. One at a time. */
void footage_next(struct footage *footage, footage_fn *done, void *arg);
