/* The RTP packets of a stream: made once, kept for the current group of pictures, handed to readers. */
#include "protocols/rtp_sender.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>

#include "protocols/rtp.h"
#include "protocols/rtp_packetise.h"
#include "server/base/auth.h"
#include "server/base/log.h"
#include "server/base/memory.h"

enum {
	SETS_BYTES = 16384
};

struct sender_track {
	struct rtp_packetiser packetiser;
	bool video;
	bool refused; /* a unit could not be sent; said once in a run */
	AVRational time_base;
	int clock_hz;
	uint32_t offset; /* random start of the RTP time (RFC 3550 section 5.1) */
	uint8_t *sets;   /* NAL units with lengths, sent before each keyframe */
	size_t sets_bytes;
	uint32_t packets, octets, timestamp;
	int64_t utc_us;
};

struct cached_unit {
	STAILQ_ENTRY(cached_unit) entry;
	struct rtp_unit_packets *unit;
};

struct rtp_sender {
	TAILQ_ENTRY(rtp_sender) entry;
	struct stream *stream;
	struct log_name log;
	struct stream_reader reader;
	struct sender_track tracks[STREAM_TRACKS];
	size_t n_tracks;
	TAILQ_HEAD(, rtp_reader) readers;
	struct rtp_reader *next; /* of the walk in progress; unsubscribing moves it on */
	unsigned holds;          /* callbacks in progress: it is not freed */

	/* The units since the keyframe; limit STREAM_CACHE_BYTES, then dropped until the next one. */
	STAILQ_HEAD(, cached_unit) cache;
	size_t cache_bytes;
	bool caching;
};

/* reactor */
static TAILQ_HEAD(, rtp_sender) senders = TAILQ_HEAD_INITIALIZER(senders);

/* --- units --- */

struct rtp_unit_packets *rtp_unit_packets_ref(struct rtp_unit_packets *unit)
{
	unit->refs++;
	return unit;
}

void rtp_unit_packets_unref(struct rtp_unit_packets **unit)
{
	struct rtp_unit_packets *u = *unit;

	*unit = NULL;
	if (!u)
		return;
	assert(u->refs > 0);
	if (--u->refs == 0)
		free(u);
}

/* One block of memory for all of it; NULL when there is none. */
static struct rtp_unit_packets *unit_new(size_t packets, size_t bytes)
{
	size_t offsets_bytes = (packets + 1) * sizeof(uint32_t);
	struct rtp_unit_packets *unit = malloc(sizeof(*unit) + offsets_bytes + bytes);

	if (!unit)
		return NULL;
	memset(unit, 0, sizeof(*unit));
	unit->refs = 1;
	unit->offsets = (uint32_t *)(unit + 1);
	unit->block = (uint8_t *)(unit->offsets + packets + 1);
	return unit;
}

static const char *sender_packetise(
	struct sender_track *t, struct rtp_packets *out, const AVPacket *packet, uint32_t timestamp)
{
	const char *why;

	if (packet->flags & AV_PKT_FLAG_KEY && t->sets_bytes > 0)
		(void)rtp_packetise(&t->packetiser, out, t->sets, t->sets_bytes, timestamp);
	why = rtp_packetise(&t->packetiser, out, packet->data, (size_t)packet->size, timestamp);
	rtp_packets_mark(out);
	return why;
}

/* The packets of an access unit; NULL when there are none, and perhaps why. */
static struct rtp_unit_packets *sender_make_unit(
	struct sender_track *t, const AVPacket *packet, const char **why)
{
	AVRational clock = { 1, t->clock_hz };
	uint32_t timestamp = (uint32_t)av_rescale_q(packet->pts, t->time_base, clock) + t->offset;
	struct rtp_packets counted = { 0 };

	*why = sender_packetise(t, &counted, packet, timestamp);
	if (*why || counted.n == 0)
		return NULL;
	struct rtp_unit_packets *unit = unit_new(counted.n, counted.bytes);
	if (!unit)
		return NULL;
	struct rtp_packets written = { .block = unit->block, .offsets = unit->offsets };
	(void)sender_packetise(t, &written, packet, timestamp);
	assert(written.n == counted.n && written.bytes == counted.bytes);
	unit->offsets[written.n] = (uint32_t)written.bytes;
	unit->n = written.n;
	unit->bytes = written.bytes;
	unit->track = (unsigned)packet->stream_index;
	unit->keyframe = packet->flags & AV_PKT_FLAG_KEY;
	unit->timestamp = timestamp;
	unit->utc_us = av_rescale_q(packet->pts, t->time_base, AV_TIME_BASE_Q);
	t->packets += (uint32_t)unit->n;
	t->octets += (uint32_t)(unit->bytes - unit->n * (RTP_INTERLEAVED_BYTES + RTP_HEADER_BYTES));
	t->timestamp = timestamp;
	t->utc_us = unit->utc_us;
	return unit;
}

/* --- the group of pictures --- */

static void sender_drop_cache(struct rtp_sender *s)
{
	struct cached_unit *cached;

	while ((cached = STAILQ_FIRST(&s->cache))) {
		STAILQ_REMOVE_HEAD(&s->cache, entry);
		rtp_unit_packets_unref(&cached->unit);
		free(cached);
	}
	s->cache_bytes = 0;
	s->caching = false;
}

static void sender_cache(struct rtp_sender *s, struct rtp_unit_packets *unit)
{
	if (s->tracks[unit->track].video && unit->keyframe) {
		sender_drop_cache(s);
		s->caching = true;
	}
	if (!s->caching)
		return;
	if (s->cache_bytes + unit->bytes > STREAM_CACHE_BYTES) {
		sender_drop_cache(s);
		return;
	}
	struct cached_unit *cached = xmalloc(sizeof(*cached));
	cached->unit = rtp_unit_packets_ref(unit);
	s->cache_bytes += unit->bytes;
	STAILQ_INSERT_TAIL(&s->cache, cached, entry);
}

/* --- life --- */

static void sender_free(struct rtp_sender *s)
{
	stream_unsubscribe(&s->reader);
	sender_drop_cache(s);
	for (size_t i = 0; i < s->n_tracks; i++)
		free(s->tracks[i].sets);
	free(s);
}

static void sender_hold(struct rtp_sender *s)
{
	s->holds++;
}

/* Lets go of it; the last to do so frees a sender without readers. */
static void sender_release(struct rtp_sender *s)
{
	if (--s->holds > 0 || !TAILQ_EMPTY(&s->readers))
		return;
	TAILQ_REMOVE(&senders, s, entry);
	sender_free(s);
}

static void sender_end(struct rtp_sender *s)
{
	struct rtp_reader *reader;

	TAILQ_REMOVE(&senders, s, entry); /* whoever comes back in on_end gets a new one */
	sender_hold(s);
	while ((reader = TAILQ_FIRST(&s->readers))) {
		rtp_sender_unsubscribe(reader);
		reader->events->on_end(reader);
	}
	sender_free(s);
}

static uint32_t sender_random(void)
{
	char hex[9];

	auth_random_hex(hex, 4);
	return (uint32_t)strtoul(hex, NULL, 16);
}

static void sender_start_track(struct sender_track *t, const struct stream_track *from, unsigned i)
{
	const AVCodecParameters *parameters = from->parameters;
	const struct rtp_encoding *encoding = rtp_encoding_of(parameters);
	uint8_t sets[SETS_BYTES];

	if (!encoding)
		return;
	t->video = parameters->codec_type == AVMEDIA_TYPE_VIDEO;
	t->packetiser.encoding = encoding;
	t->packetiser.channels = (unsigned)parameters->ch_layout.nb_channels;
	t->packetiser.payload_type = rtp_payload_type(encoding, parameters, i);
	t->packetiser.channel = (uint8_t)(2 * i);
	t->packetiser.ssrc = sender_random();
	t->packetiser.next_sequence = (uint16_t)sender_random();
	t->offset = sender_random();
	t->time_base = from->time_base;
	t->clock_hz = rtp_clock_hz(encoding, parameters);
	t->sets_bytes = rtp_parameter_sets(parameters, sets, sizeof(sets));
	t->sets = xmalloc(t->sets_bytes);
	memcpy(t->sets, sets, t->sets_bytes);
}

static void sender_on_tracks(struct stream_reader *reader)
{
	struct rtp_sender *s = CONTAINER_OF(reader, struct rtp_sender, reader);

	if (s->n_tracks > 0) {
		sender_end(s);
		return;
	}
	s->n_tracks = stream_tracks(s->stream);
	for (unsigned i = 0; i < s->n_tracks; i++)
		sender_start_track(&s->tracks[i], stream_track(s->stream, i), i);
}

static void sender_on_packet(struct stream_reader *reader, AVPacket *packet)
{
	struct rtp_sender *s = CONTAINER_OF(reader, struct rtp_sender, reader);
	struct sender_track *t = &s->tracks[packet->stream_index];
	struct rtp_unit_packets *unit;
	struct rtp_reader *to;
	const char *why = NULL;

	if (!t->packetiser.encoding)
		return;
	unit = sender_make_unit(t, packet, &why);
	if (why && !t->refused)
		log_warn(&s->log, "RTSP readers do not get %s: %s",
			t->video ? "these pictures" : "this sound", why);
	t->refused |= why != NULL;
	if (!unit)
		return;
	sender_cache(s, unit);
	sender_hold(s);
	s->next = TAILQ_FIRST(&s->readers);
	while ((to = s->next)) {
		s->next = TAILQ_NEXT(to, entry);
		to->events->on_unit(to, unit);
	}
	rtp_unit_packets_unref(&unit);
	sender_release(s);
}

static void sender_on_end(struct stream_reader *reader)
{
	sender_end(CONTAINER_OF(reader, struct rtp_sender, reader));
}

static const struct stream_reader_events sender_events = {
	.on_tracks = sender_on_tracks,
	.on_packet = sender_on_packet,
	.on_end = sender_on_end,
};

static struct rtp_sender *sender_find(struct stream *stream)
{
	struct rtp_sender *s;

	TAILQ_FOREACH (s, &senders, entry)
		if (s->stream == stream)
			return s;
	return NULL;
}

static struct rtp_sender *sender_new(struct stream *stream)
{
	struct rtp_sender *s = xcalloc(1, sizeof(*s));

	s->stream = stream;
	s->log = (struct log_name){ .kind = "stream", .name = stream_name(stream) };
	TAILQ_INIT(&s->readers);
	STAILQ_INIT(&s->cache);
	TAILQ_INSERT_TAIL(&senders, s, entry);
	sender_hold(s); /* it has no reader yet */
	stream_subscribe(stream, &s->reader, &sender_events, true);
	s->holds--;
	return s;
}

/* --- readers --- */

int rtp_sender_subscribe(
	struct stream *stream, struct rtp_reader *reader, const struct rtp_reader_events *events)
{
	struct cached_unit *cached;

	if (!stream_is_up(stream))
		return -ENOTCONN;
	struct rtp_sender *s = sender_find(stream);
	if (!s)
		s = sender_new(stream);
	reader->sender = s;
	reader->events = events;
	/* At the head: a walk in progress does not reach it, it has that unit from the cache. */
	TAILQ_INSERT_HEAD(&s->readers, reader, entry);
	sender_hold(s);
	STAILQ_FOREACH (cached, &s->cache, entry) {
		events->on_unit(reader, cached->unit);
		if (!reader->sender)
			break;
	}
	sender_release(s);
	return 0;
}

void rtp_sender_unsubscribe(struct rtp_reader *reader)
{
	struct rtp_sender *s = reader->sender;

	if (!s)
		return;
	if (s->next == reader)
		s->next = TAILQ_NEXT(reader, entry);
	TAILQ_REMOVE(&s->readers, reader, entry);
	reader->sender = NULL;
	sender_hold(s);
	sender_release(s);
}

uint32_t rtp_sender_time(const struct rtp_sender *s, unsigned track, int64_t utc_us)
{
	const struct sender_track *t = &s->tracks[track];

	assert(track < s->n_tracks);
	return (uint32_t)av_rescale(utc_us, t->clock_hz, 1000000) + t->offset;
}

bool rtp_sender_get_state(const struct rtp_sender *s, unsigned track, struct rtp_sender_state *ret)
{
	const struct sender_track *t = &s->tracks[track];

	if (track >= s->n_tracks || !t->packetiser.encoding)
		return false;
	*ret = (struct rtp_sender_state){
		.next_sequence = t->packetiser.next_sequence,
		.ssrc = t->packetiser.ssrc,
		.packets = t->packets,
		.octets = t->octets,
		.timestamp = t->timestamp,
		.utc_us = t->utc_us,
	};
	return true;
}

bool rtp_sender_takes_track(const struct stream *stream, unsigned track)
{
	return track < stream_tracks(stream) &&
	       rtp_encoding_of(stream_track(stream, track)->parameters);
}
