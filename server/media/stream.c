#include "server/media/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/wall_clock.h"

/* Streams by name, their readers, and the cache of the current group of pictures. */

/* What a kept packet costs beside its bytes; bounds the number of tiny packets too. */
enum {
	CACHED_PACKET_BYTES = 256
};

struct cached_packet {
	STAILQ_ENTRY(cached_packet) entry;
	AVPacket *packet;
};
STAILQ_HEAD(cached_packets, cached_packet);

/* A walk in progress, on the stack: readers may come and go in the callbacks of each step. */
struct stream_walk {
	struct stream_walk *outer;
	struct stream_reader *next; /* the next to call; unsubscribing moves it on */
	struct stream_reader *only; /* of a replay: cleared when it unsubscribes */
};

enum stream_cache {
	CACHE_WAITING,
	CACHE_KEEPING,
	CACHE_OVERFLOWN
};

struct stream {
	TAILQ_ENTRY(stream) entry;
	char *name;
	bool is_derived; /* not listed; its packets are of UTC already */
	unsigned run, description;
	bool leaving;
	size_t tracks_count; /* 0 outside a run */
	/* of the run, or of the last one; parameters NULL: no track */
	struct stream_track tracks[STREAM_TRACKS];
	int64_t correction_us;             /* of this run: from media time to UTC */
	int64_t correction[STREAM_TRACKS]; /* the same in each track's time base */
	int rotation;                      /* stream_set_rotation() */
	TAILQ_HEAD(, stream_reader) readers;
	struct stream_walk *walk; /* the innermost, NULL when none */
	void (*on_wanted)(void *arg);
	void *on_wanted_arg;

	/*
	 * The group of pictures; limit STREAM_CACHE_BYTES, when full it is dropped until the next
	 * keyframe, METRIC_STREAM_CACHE_OVERFLOWS.
	 */
	enum stream_cache cache_state;
	struct cached_packets cache;
	size_t cache_bytes;
	struct metric *cache_metric, *overflows_metric;
};

/* reactor */
static TAILQ_HEAD(, stream) streams = TAILQ_HEAD_INITIALIZER(streams);

/* --- walking over readers --- */

static void stream_walk_begin(
	struct stream *stream, struct stream_walk *walk, struct stream_reader *next)
{
	*walk = (struct stream_walk){ .outer = stream->walk, .next = next };
	stream->walk = walk;
}

static void stream_walk_end(struct stream *stream, struct stream_walk *walk)
{
	assert(stream->walk == walk);
	stream->walk = walk->outer;
}

static struct stream_reader *stream_walk_next(struct stream_walk *walk)
{
	struct stream_reader *reader = walk->next;

	if (reader)
		walk->next = TAILQ_NEXT(reader, entry);
	return reader;
}

static void stream_tell_all(struct stream *stream, AVPacket *packet,
	void (*tell)(struct stream_reader *reader, AVPacket *packet))
{
	struct stream_walk walk;
	struct stream_reader *reader;

	stream_walk_begin(stream, &walk, TAILQ_FIRST(&stream->readers));
	while ((reader = stream_walk_next(&walk)))
		tell(reader, packet);
	stream_walk_end(stream, &walk);
}

static void stream_tell_tracks(struct stream_reader *reader, AVPacket *packet)
{
	(void)packet;
	if (reader->events->on_tracks)
		reader->events->on_tracks(reader);
}

static void stream_tell_packet(struct stream_reader *reader, AVPacket *packet)
{
	if (reader->events->on_packet)
		reader->events->on_packet(reader, packet);
}

static void stream_tell_end(struct stream_reader *reader, AVPacket *packet)
{
	(void)packet;
	if (reader->events->on_end)
		reader->events->on_end(reader);
}

/* --- the cache --- */

static void stream_cache_drop(struct stream *stream)
{
	struct cached_packet *cached;

	while ((cached = STAILQ_FIRST(&stream->cache))) {
		STAILQ_REMOVE_HEAD(&stream->cache, entry);
		av_packet_free(&cached->packet);
		free(cached);
	}
	stream->cache_bytes = 0;
}

static void stream_cache_add(struct stream *stream, const AVPacket *packet)
{
	size_t bytes = (size_t)packet->size + CACHED_PACKET_BYTES;
	struct cached_packet *cached;
	AVPacket *copy;

	if (stream->cache_bytes + bytes > STREAM_CACHE_BYTES) {
		stream->cache_state = CACHE_OVERFLOWN;
		stream_cache_drop(stream);
		metric_add(stream->overflows_metric, 1);
		return;
	}
	copy = av_packet_clone(packet);
	if (!copy) { /* without memory for it the group is no longer whole */
		stream->cache_state = CACHE_OVERFLOWN;
		stream_cache_drop(stream);
		return;
	}
	cached = xmalloc(sizeof(*cached));
	cached->packet = copy;
	STAILQ_INSERT_TAIL(&stream->cache, cached, entry);
	stream->cache_bytes += bytes;
}

/* Calls a new reader with what is cached, keyframe first. */
static void stream_replay(struct stream *stream, struct stream_reader *reader)
{
	struct stream_walk walk;
	struct cached_packet *cached;

	stream_walk_begin(stream, &walk, NULL);
	walk.only = reader;
	if (reader->events->on_tracks)
		reader->events->on_tracks(reader);
	STAILQ_FOREACH (cached, &stream->cache, entry) {
		if (!walk.only)
			break;
		stream_tell_packet(reader, cached->packet);
	}
	stream_walk_end(stream, &walk);
}

/* --- life --- */

static struct stream *stream_make(const char *name)
{
	struct stream *stream = xcalloc(1, sizeof(*stream));

	stream->name = xstrdup(name);
	stream->rotation = STREAM_ROTATION_AUTO;
	TAILQ_INIT(&stream->readers);
	STAILQ_INIT(&stream->cache);
	stream->cache_metric = metric_get(METRIC_STREAM_CACHE_BYTES, name);
	stream->overflows_metric = metric_get(METRIC_STREAM_CACHE_OVERFLOWS, name);
	metric_set(stream->cache_metric, 0);
	return stream;
}

struct stream *stream_new(const char *name)
{
	struct stream *stream = stream_make(name);

	assert(!stream_find(name));
	TAILQ_INSERT_TAIL(&streams, stream, entry);
	return stream;
}

struct stream *stream_new_derived(const char *name)
{
	struct stream *stream = stream_make(name);

	stream->is_derived = true;
	return stream;
}

static void stream_forget_tracks(struct stream *stream)
{
	for (size_t i = 0; i < STREAM_TRACKS; i++)
		avcodec_parameters_free(&stream->tracks[i].parameters);
}

static void stream_end_run(struct stream *stream)
{
	assert(!stream->walk); /* a run is never changed from a reader's callback */
	stream->tracks_count = 0;
	stream->cache_state = CACHE_WAITING;
	stream_cache_drop(stream);
	metric_set(stream->cache_metric, 0);
}

void stream_free(struct stream *stream)
{
	struct stream_reader *reader;

	if (!stream)
		return;
	assert(!stream->walk);
	if (!stream->is_derived)
		TAILQ_REMOVE(&streams, stream, entry);
	stream->on_wanted = NULL;
	stream->leaving = true;
	stream_end_run(stream);
	while ((reader = TAILQ_FIRST(&stream->readers))) {
		stream_tell_end(reader, NULL);
		if (reader == TAILQ_FIRST(&stream->readers))
			stream_unsubscribe(reader);
	}
	metrics_forget("stream", stream->name);
	stream_forget_tracks(stream);
	free(stream->name);
	free(stream);
}

const char *stream_name(const struct stream *stream)
{
	return stream->name;
}

struct stream *stream_find(const char *name)
{
	struct stream *stream;

	TAILQ_FOREACH (stream, &streams, entry) {
		if (strcmp(stream->name, name) == 0)
			return stream;
	}
	return NULL;
}

struct stream *stream_next(struct stream *stream)
{
	return stream ? TAILQ_NEXT(stream, entry) : TAILQ_FIRST(&streams);
}

/* --- the source's side --- */

static AVCodecParameters *stream_copy_parameters(const AVCodecParameters *from)
{
	AVCodecParameters *parameters = avcodec_parameters_alloc();

	if (!parameters || avcodec_parameters_copy(parameters, from) < 0)
		abort();
	return parameters;
}

static bool stream_track_is_like(const struct stream_track *a, const struct stream_track *b)
{
	const AVCodecParameters *p = a->parameters, *q = b->parameters;

	if (!p || !q)
		return p == q;
	return p->codec_id == q->codec_id && !av_cmp_q(a->time_base, b->time_base) &&
	       p->width == q->width && p->height == q->height && p->sample_rate == q->sample_rate &&
	       p->ch_layout.nb_channels == q->ch_layout.nb_channels &&
	       p->bits_per_coded_sample == q->bits_per_coded_sample &&
	       p->extradata_size == q->extradata_size &&
	       (p->extradata_size == 0 ||
		       !memcmp(p->extradata, q->extradata, (size_t)p->extradata_size));
}

static void stream_begin_corrected(
	struct stream *stream, const struct stream_track *tracks, size_t n, int64_t correction_us)
{
	struct stream_track copies[STREAM_TRACKS] = { 0 };
	bool alike = true;

	assert(n > 0 && n <= STREAM_TRACKS);
	/* Copied first: the caller may hand us our own. */
	for (size_t i = 0; i < n; i++) {
		copies[i].parameters = stream_copy_parameters(tracks[i].parameters);
		copies[i].time_base = tracks[i].time_base;
		copies[i].rotation = stream->rotation == STREAM_ROTATION_AUTO ? tracks[i].rotation
									      : stream->rotation;
	}
	for (size_t i = 0; i < STREAM_TRACKS; i++)
		alike = alike && stream_track_is_like(&stream->tracks[i], &copies[i]);
	stream_end_run(stream);
	stream_forget_tracks(stream);
	memcpy(stream->tracks, copies, sizeof(copies));
	stream->tracks_count = n;
	stream->run++;
	stream->description += !alike;
	stream->correction_us = correction_us;
	for (size_t i = 0; i < n; i++)
		stream->correction[i] = stream->is_derived
						? 0
						: av_rescale_q(correction_us, AV_TIME_BASE_Q,
							  stream->tracks[i].time_base);
	stream_tell_all(stream, NULL, stream_tell_tracks);
}

void stream_begin(struct stream *stream, const struct stream_track *tracks, size_t n)
{
	stream_begin_corrected(stream, tracks, n, wall_clock_correction_us());
}

void stream_begin_derived(struct stream *stream, const struct stream *from,
	const struct stream_track *tracks, size_t n)
{
	stream_begin_corrected(stream, tracks, n, from->correction_us);
}

/*
 * Whether the packet belongs to what readers can use: with a video track, nothing comes before the
 * first keyframe of a run.
 */
static bool stream_admit(struct stream *stream, const AVPacket *packet)
{
	bool video = stream->tracks[0].parameters->codec_type == AVMEDIA_TYPE_VIDEO;

	if (!video)
		return true;
	if (packet->stream_index == 0 && packet->flags & AV_PKT_FLAG_KEY) {
		stream_cache_drop(stream);
		stream->cache_state = CACHE_KEEPING;
	}
	if (stream->cache_state == CACHE_WAITING)
		return false;
	if (stream->cache_state == CACHE_KEEPING)
		stream_cache_add(stream, packet);
	metric_set(stream->cache_metric, (double)stream->cache_bytes);
	return true;
}

void stream_publish(struct stream *stream, AVPacket *packet)
{
	if (!stream->tracks_count)
		return;
	assert(packet->stream_index >= 0 && (size_t)packet->stream_index < stream->tracks_count);
	if (!stream->is_derived && packet->stream_index == 0 && packet->flags & AV_PKT_FLAG_KEY &&
		wall_clock_left(stream->correction_us))
		stream_begin(stream, stream->tracks, stream->tracks_count);
	packet->pts += stream->correction[packet->stream_index];
	packet->dts += stream->correction[packet->stream_index];
	if (stream_admit(stream, packet))
		stream_tell_all(stream, packet, stream_tell_packet);
}

void stream_set_rotation(struct stream *stream, int degrees)
{
	stream->rotation = degrees;
}

void stream_end(struct stream *stream)
{
	if (!stream->tracks_count)
		return;
	stream_end_run(stream);
	stream_tell_all(stream, NULL, stream_tell_end);
}

/* --- the readers' side --- */

size_t stream_tracks(const struct stream *stream)
{
	return stream->tracks_count;
}

const struct stream_track *stream_track(const struct stream *stream, size_t i)
{
	assert(i < stream->tracks_count);
	return &stream->tracks[i];
}

int stream_find_track(const struct stream *stream, enum AVMediaType type)
{
	for (size_t i = 0; i < stream->tracks_count; i++)
		if (stream->tracks[i].parameters->codec_type == type)
			return (int)i;
	return -1;
}

bool stream_is_up(const struct stream *stream)
{
	return stream->tracks_count > 0;
}

unsigned stream_run(const struct stream *stream)
{
	return stream->run;
}

unsigned stream_description(const struct stream *stream)
{
	return stream->description;
}

bool stream_is_leaving(const struct stream *stream)
{
	return stream->leaving;
}

int64_t stream_correction_us(const struct stream *stream)
{
	return stream->correction_us;
}

bool stream_is_wanted(const struct stream *stream)
{
	return !TAILQ_EMPTY(&stream->readers);
}

bool stream_is_on_demand(const struct stream *stream)
{
	return stream->on_wanted != NULL;
}

void stream_on_wanted(struct stream *stream, void (*on_wanted)(void *arg), void *arg)
{
	stream->on_wanted = on_wanted;
	stream->on_wanted_arg = arg;
}

static void stream_tell_wanted(struct stream *stream)
{
	if (stream->on_wanted)
		stream->on_wanted(stream->on_wanted_arg);
}

void stream_subscribe(struct stream *stream, struct stream_reader *reader,
	const struct stream_reader_events *events, bool replay)
{
	reader->stream = stream;
	reader->events = events;
	/* At the head: a walk in progress does not reach it, it has what the replay gave. */
	TAILQ_INSERT_HEAD(&stream->readers, reader, entry);
	if (!TAILQ_NEXT(reader, entry))
		stream_tell_wanted(stream);
	if (!stream->tracks_count)
		return;
	if (replay)
		stream_replay(stream, reader);
	else
		stream_tell_tracks(reader, NULL);
}

void stream_unsubscribe(struct stream_reader *reader)
{
	struct stream *stream = reader->stream;

	if (!stream)
		return;
	for (struct stream_walk *walk = stream->walk; walk; walk = walk->outer) {
		if (walk->next == reader)
			walk->next = TAILQ_NEXT(reader, entry);
		if (walk->only == reader)
			walk->only = NULL;
	}
	TAILQ_REMOVE(&stream->readers, reader, entry);
	reader->stream = NULL;
	if (TAILQ_EMPTY(&stream->readers))
		stream_tell_wanted(stream);
}

size_t stream_readers(const struct stream *stream)
{
	size_t count = 0;
	struct stream_reader *reader;

	TAILQ_FOREACH (reader, &stream->readers, entry) {
		count++;
	}
	return count;
}
