#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <libavcodec/avcodec.h>
#include <libavcodec/packet.h>

#include "server/base/attributes.h"

/*
 * A stream holds one source's tracks and its current group of pictures, and hands each access unit
 * to its readers as it comes: publish and subscribe, by direct calls on the reactor.
 *
 * Time: sources publish by media time (server/base/wall_clock.h), readers get UTC. The correction
 * is that of when the run began; when the clock has left it, the next keyframe begins another run.
 *
 * Packets: AVPacket with stream_index = track, pts and dts in the track's time base counted from
 * 1970 UTC (dts rises strictly within a track and a run), AV_PKT_FLAG_KEY on pictures where decoding may
 * start, data as in MP4: NAL units with 4-byte lengths (no AUD, no filler; parameter sets only when
 * they differ from the track's), raw AAC frames. duration is set for audio.
 */

enum {
	STREAM_TRACKS = 4,
	STREAM_ROTATION_AUTO = -1
};

struct stream_track {
	AVCodecParameters *parameters; /* complete, extradata = avcC / hvcC / AudioSpecificConfig */
	AVRational time_base;          /* 1/90000 for video, 1/sample_rate for audio */
	int rotation; /* video: a player turns it clockwise by 0, 90, 180 or 270 degrees */
};

struct stream;
struct stream_reader;

struct stream_reader_events {
	/*
	 * A run begins: tracks are (newly) known. Called on subscribing when they are known already,
	 * and again when they changed or the source came back. Timestamps may jump between runs.
	 */
	void (*on_tracks)(struct stream_reader *reader);
	/* One access unit; the reader may av_packet_ref/clone it, never change it. */
	void (*on_packet)(struct stream_reader *reader, AVPacket *packet);
	/* The run ended (source lost); the reader stays subscribed. */
	void (*on_end)(struct stream_reader *reader);
};

/* Embedded by whoever subscribes. */
struct stream_reader {
	TAILQ_ENTRY(stream_reader) entry;
	struct stream *stream; /* NULL when not subscribed */
	const struct stream_reader_events *events;
};

/* `name` is the camera's ("porch", "porch/sub"). One owner (the supervisor). */
struct stream *stream_new(const char *name);
/*
 * One that is made of another stream's packets, which are of UTC already: stream_find() and
 * stream_next() do not know it, stream_begin_derived() begins its runs.
 */
struct stream *stream_new_derived(const char *name);
void stream_free(struct stream *stream); /* readers get on_end and are unsubscribed */
const char *stream_name(const struct stream *stream);
/* The stream of that name, or NULL. */
struct stream *stream_find(const char *name);
/* The first stream (NULL), or the next one after `stream`; NULL at the end. */
struct stream *stream_next(struct stream *stream);

/* --- the source's side --- */

/*
 * Begins a run with these tracks (parameters are copied). Track 0 is video if there is any.
 * Within a run, calling it again means that parameter sets changed.
 */
void stream_begin(struct stream *stream, const struct stream_track *tracks, size_t n);
/* The same for one that is derived, from a stream that is up. */
void stream_begin_derived(struct stream *stream, const struct stream *from,
	const struct stream_track *tracks, size_t n);
/* The rotation of each run's pictures from the next on, whatever the source says; STREAM_ROTATION_AUTO: as it says. */
void stream_set_rotation(struct stream *stream, int degrees);
/*
 * Makes UTC of the packet's times and hands it to all readers; the caller keeps its reference. No-op
 * outside a run.
 */
void stream_publish(struct stream *stream, AVPacket *packet);
void stream_end(struct stream *stream);

/* --- the readers' side --- */

size_t stream_tracks(const struct stream *stream); /* 0 outside a run */
const struct stream_track *stream_track(const struct stream *stream, size_t i);
/* Index of the first track of that type, or -1. */
int stream_find_track(const struct stream *stream, enum AVMediaType type);
bool stream_is_up(const struct stream *stream);
/* Counts runs; changes whenever on_tracks is called. */
unsigned stream_run(const struct stream *stream);
/* Changes when a run begins whose tracks are not those of the run before: whoever described them to others is wrong now. */
unsigned stream_description(const struct stream *stream);
/* In on_end: the stream is being freed. */
bool stream_is_leaving(const struct stream *stream);
/* What was added to media time in the current run, or in the last one: us. */
int64_t stream_correction_us(const struct stream *stream);

/* Subscribes; on_tracks comes at once when the stream is up. With `replay`, the packets of the
 * current group of pictures follow, keyframe first. */
void stream_subscribe(struct stream *stream, struct stream_reader *reader,
	const struct stream_reader_events *events, bool replay);
void stream_unsubscribe(
	struct stream_reader *reader); /* fine when not subscribed; fine inside a callback */
size_t stream_readers(const struct stream *stream);

/*
 * Some streams are pulled only while somebody wants them: who reads them, or waits for them to come
 * up. on_wanted is called when the first came and when the last left; it may not change
 * the stream's run from there.
 */
bool stream_is_wanted(const struct stream *stream);
bool stream_is_on_demand(const struct stream *stream); /* it has an on_wanted */
void stream_on_wanted(struct stream *stream, void (*on_wanted)(void *arg), void *arg);

/* The current group of pictures is kept up to this many bytes. */
enum {
	STREAM_CACHE_BYTES = 8 << 20
};
