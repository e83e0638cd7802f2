#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <libavcodec/codec_par.h>
#include <libavcodec/packet.h>

#include "server/base/attributes.h"
#include "server/media/stream.h"

struct evbuffer;

/*
 * A CMAF fragment (ISO/IEC 23000-19): `moof` and `mdat` of about half a second of all tracks of a
 * stream. It is made once; recordings, HLS and live.mp4 send the same bytes. Its media are
 * references to the stream's packets, never copies; only the small head (moof and mdat header) is
 * copied when decode times are to count from somebody's own origin.
 */

/*
 * What stands before a run's fragments: `ftyp` and the initial `moov`. Shared by reference. Tracks
 * are numbered as in the stream; those that MP4 cannot carry have no id and are left out of moov and
 * fragments.
 */
struct fragment_init {
	int refs;
	unsigned n_tracks;                   /* of the stream */
	unsigned ids[STREAM_TRACKS];         /* track_ID: the index + 1; 0: left out */
	unsigned lead;                       /* the first track that is not left out, or 0 */
	bool has_keyframes;                  /* of the lead: few samples can begin something */
	AVRational time_base[STREAM_TRACKS]; /* of those left out too */
	size_t ftyp_bytes;                   /* `ftyp` is data[0 .. ftyp_bytes), the moov follows */
	size_t bytes;
	uint8_t *data;
	char codecs[96]; /* RFC 6381 or the sample entry's type, all tracks with an id, by commas */
	char video_codec[16]; /* "h264", "h265", "mjpeg", "av1"; "" without video */
	int width, height;
	/* Of only the tracks that browsers play: itself, another one that it owns, or NULL. */
	struct fragment_init *web;
};
/* Whether MP4 can carry such a track. */
bool fragment_carries(const AVCodecParameters *parameters);
/* Why browsers cannot play a stream of such tracks as MP4, for people; NULL when they can. */
const char *fragment_web_refusal(const struct stream_track *tracks, size_t n);
struct fragment_init *fragment_init_new(const struct stream_track *tracks, size_t n) MUST_CHECK;
struct fragment_init *fragment_init_ref(struct fragment_init *init);
void fragment_init_unref(struct fragment_init **init);
/* Whether a player of the one can go on with fragments of the other. */
bool fragment_init_equal(const struct fragment_init *a, const struct fragment_init *b);

struct fragment {
	int refs;
	struct fragment_init *init;
	uint32_t sequence; /* mfhd */
	bool keyframe;     /* begins with a keyframe of the lead track */
	int64_t start_us; /* UTC: the earliest decode time of the lead, else of the next track in it */
	int64_t duration_us;      /* of the same */
	size_t head_bytes, bytes; /* moof + mdat header; and with the media */
	uint8_t *head;            /* decode times count from 1970 */
	struct fragment_track {
		size_t tfdt_at; /* where the 64-bit baseMediaDecodeTime stands in head; 0: no traf */
		int64_t dts;    /* its value, in the track's time base since 1970 */
		int64_t duration;
		size_t traf_at, traf_bytes, offset_at; /* in head; trun's data offset */
		size_t first, n;                       /* its packets */
	} tracks[STREAM_TRACKS];
	AVPacket **packets; /* in the order of their bytes in mdat: by track */
	size_t n_packets;
	struct fragment *web; /* what fragment_web() made */
};
struct fragment *fragment_ref(struct fragment *fragment);
void fragment_unref(struct fragment **fragment);

/*
 * The same fragment with only the tracks of init->web: itself where these are all, else one made at
 * the first call (a head of its own, the same media), which lives as long as this one or as it is
 * referred to. NULL when there is nothing for browsers in it.
 */
struct fragment *fragment_web(struct fragment *fragment);

/*
 * The earliest decode time of any track, in us since 1970, rounded down: as origin it makes the
 * first decode times of a file (or a reader) zero or little more.
 */
int64_t fragment_origin_us(const struct fragment *fragment);

/* Writes the head with decode times counted from origin_us (clamped to 0). head_bytes fit in ret. */
void fragment_write_head(const struct fragment *fragment, int64_t origin_us, uint8_t *ret);

/* Appends head (rebased) and media by reference. */
void fragment_append(const struct fragment *fragment, int64_t origin_us, struct evbuffer *out);

/*
 * Fills iovecs for head (given, rebased) and media; there must be room for 1 + n_packets.
 */
void fragment_iovecs(const struct fragment *fragment, uint8_t *head, struct iovec *ret);

/* Makes a fragment of samples collected per track; for fragmenter, uploads and tests. See fragment.c. */
enum {
	FRAGMENT_US = 500000,
	FRAGMENT_BYTES = 8 << 20,
	FRAGMENT_SAMPLES = 1 << 14
};
struct fragment_builder;
struct fragment_builder *fragment_builder_new(struct fragment_init *init);
void fragment_builder_free(struct fragment_builder *builder);
/* Adds a reference to the packet (dts, pts, stream_index as in stream.h) of a track with an id. */
void fragment_builder_add(struct fragment_builder *builder, const AVPacket *packet);
/* Puts a whole box into the moof of the next fragment (copied). */
void fragment_builder_add_box(struct fragment_builder *builder, const void *box, size_t n);
size_t fragment_builder_bytes(const struct fragment_builder *builder);
bool fragment_builder_is_empty(const struct fragment_builder *builder);
/*
 * Whether a fragment ends before this packet: at every keyframe of the lead (where not every picture
 * is one), and where with it half a second would be over, or as much as memory shall hold. So
 * fragments are FRAGMENT_US long at most, unless pictures come unevenly or more seldom.
 */
bool fragment_builder_ends_before(const struct fragment_builder *builder, const AVPacket *packet);
/*
 * Ends the fragment: next_dts[track] (or AV_NOPTS_VALUE) gives the last sample's duration. Returns it
 * and is empty again.
 */
struct fragment *fragment_builder_take(struct fragment_builder *builder,
	const int64_t next_dts[STREAM_TRACKS], uint32_t sequence) MUST_CHECK;
