/* The RTP packets of a stream: made once, kept for the current group of pictures, handed to readers. */
#include "protocols/rtp_sender.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

enum {
	PLAUSIBLE_US =
		1000000, /* between the length of an absence by the clock and by the units' times */
};

static int64_t reconnect_us = 60000000; /* how long readers wait for a source that was lost */

struct sender_track {
	struct rtp_track rtp;
	AVRational time_base;
	bool video;
	bool refused; /* a unit could not be sent: that was said */
};

struct cached_unit {
	STAILQ_ENTRY(cached_unit) entry;
	struct rtp_unit_packets *unit;
};

struct rtp_sender {
	TAILQ_ENTRY(rtp_sender) entry;
	struct stream *stream;
	size_t payload_bytes; /* of a packet; 0: as usual */
	struct log_name log;
	struct stream_reader reader;
	struct sender_track tracks[STREAM_TRACKS];
	size_t n_tracks;
	unsigned description; /* of the stream, as the tracks are */
	struct event *away;   /* the source has been lost: readers wait for it, not forever */
	TAILQ_HEAD(, rtp_reader) readers;
	struct rtp_reader *next; /* of the walk in progress; unsubscribing moves it on */
	unsigned holds;          /* callbacks in progress: it is not freed */

	/* RTP time goes on from one run to the next, whatever the clock and the camera do. */
	int64_t correction_us;       /* of the run */
	int64_t newest_us, taken_us; /* the newest unit's instant, and when it came; monotonic */
	bool was_away;

	/* The units since the keyframe; limit STREAM_CACHE_BYTES, then dropped until the next one. */
	STAILQ_HEAD(, cached_unit) cache;
	size_t cache_bytes;
	bool caching;
};

/* reactor */
static TAILQ_HEAD(, rtp_sender) senders = TAILQ_HEAD_INITIALIZER(senders);

static struct rtp_unit_packets *sender_make_unit(struct sender_track *t, const AVPacket *packet)
{
	AVRational clock = { 1, t->rtp.clock_hz };
	const struct rtp_track_unit unit = {
		.p = packet->data,
		.n = (size_t)packet->size,
		.keyframe = packet->flags & AV_PKT_FLAG_KEY,
		.timestamp =
			(uint32_t)av_rescale_q(packet->pts, t->time_base, clock) + t->rtp.offset,
		.utc_us = av_rescale_q(packet->pts, t->time_base, AV_TIME_BASE_Q),
	};

	return rtp_track_packetise(&t->rtp, &unit);
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
	reactor_timer_free(&s->away);
	sender_drop_cache(s);
	for (size_t i = 0; i < s->n_tracks; i++)
		rtp_track_fini(&s->tracks[i].rtp);
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

static void sender_end(struct rtp_sender *s, const char *reason)
{
	struct metric *ended = metric_get(METRIC_READERS_ENDED, reason);
	struct rtp_reader *reader;

	TAILQ_REMOVE(&senders, s, entry); /* whoever comes back in on_end gets a new one */
	sender_hold(s);
	while ((reader = TAILQ_FIRST(&s->readers))) {
		rtp_sender_unsubscribe(reader);
		metric_add(ended, 1);
		reader->events->on_end(reader);
	}
	sender_free(s);
}

/* Units' instants are so much later than they were: RTP times shall not be. */
static void sender_shift(struct rtp_sender *s, int64_t later_us)
{
	for (size_t i = 0; i < s->n_tracks; i++) {
		struct rtp_track *t = &s->tracks[i].rtp;
		if (t->packetiser.encoding)
			t->offset -= (uint32_t)av_rescale(later_us, t->clock_hz, 1000000);
	}
	s->newest_us += later_us;
}

/* The first unit after an absence: RTP time has gone on as long as that took, unless the unit's own says nearly so. */
static void sender_come_back(struct rtp_sender *s, int64_t utc_us)
{
	int64_t expected_us = s->newest_us + reactor_monotonic_us() - s->taken_us;
	int64_t later_us = utc_us - expected_us;

	s->was_away = false;
	if (later_us > PLAUSIBLE_US || later_us < -PLAUSIBLE_US || utc_us <= s->newest_us)
		sender_shift(s, later_us);
}

/* The same tracks again, after an absence or with another clock: readers go on. */
static void sender_go_on(struct rtp_sender *s)
{
	int64_t correction_us = stream_correction_us(s->stream);

	reactor_timer_stop(s->away);
	sender_drop_cache(s);
	if (!s->was_away)
		sender_shift(s, correction_us - s->correction_us);
	s->correction_us = correction_us;
}

static void sender_on_tracks(struct stream_reader *reader)
{
	struct rtp_sender *s = CONTAINER_OF(reader, struct rtp_sender, reader);

	if (s->n_tracks > 0 && s->description == stream_description(s->stream)) {
		sender_go_on(s);
		return;
	}
	if (s->n_tracks > 0) {
		sender_end(s, "changed");
		return;
	}
	s->description = stream_description(s->stream);
	s->correction_us = stream_correction_us(s->stream);
	s->n_tracks = stream_tracks(s->stream);
	for (unsigned i = 0; i < s->n_tracks; i++) {
		const struct stream_track *from = stream_track(s->stream, i);
		rtp_track_init(&s->tracks[i].rtp, from->parameters, i);
		s->tracks[i].rtp.packetiser.payload_bytes = s->payload_bytes;
		s->tracks[i].time_base = from->time_base;
		s->tracks[i].video = from->parameters->codec_type == AVMEDIA_TYPE_VIDEO;
	}
}

static void sender_on_packet(struct stream_reader *reader, AVPacket *packet)
{
	struct rtp_sender *s = CONTAINER_OF(reader, struct rtp_sender, reader);
	struct sender_track *t = &s->tracks[packet->stream_index];
	struct rtp_unit_packets *unit;
	struct rtp_reader *to;

	if (!t->rtp.packetiser.encoding)
		return;
	if (s->was_away)
		sender_come_back(s, av_rescale_q(packet->pts, t->time_base, AV_TIME_BASE_Q));
	unit = sender_make_unit(t, packet);
	if (t->rtp.refused && !t->refused) {
		log_warn(&s->log, "RTP readers do not get %s: %s",
			t->video ? "these pictures" : "this sound", t->rtp.refused);
		t->refused = true;
	}
	if (!unit)
		return;
	if (unit->utc_us > s->newest_us)
		s->newest_us = unit->utc_us;
	s->taken_us = reactor_monotonic_us();
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
	struct rtp_sender *s = CONTAINER_OF(reader, struct rtp_sender, reader);

	if (stream_is_leaving(s->stream)) {
		sender_end(s, "removed");
		return;
	}
	s->was_away = true;
	sender_drop_cache(s);
	reactor_timer_start(s->away, reconnect_us);
}

static void sender_on_away(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	sender_end(arg, "away");
}

static const struct stream_reader_events sender_events = {
	.on_tracks = sender_on_tracks,
	.on_packet = sender_on_packet,
	.on_end = sender_on_end,
};

static struct rtp_sender *sender_find(struct stream *stream, size_t payload_bytes)
{
	struct rtp_sender *s;

	TAILQ_FOREACH (s, &senders, entry)
		if (s->stream == stream && s->payload_bytes == payload_bytes)
			return s;
	return NULL;
}

static struct rtp_sender *sender_new(struct stream *stream, size_t payload_bytes)
{
	struct rtp_sender *s = xcalloc(1, sizeof(*s));

	s->stream = stream;
	s->payload_bytes = payload_bytes;
	s->away = reactor_timer_new(sender_on_away, s);
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

void rtp_sender_set_reconnect(int64_t us)
{
	reconnect_us = us;
}

int rtp_sender_subscribe(
	struct stream *stream, struct rtp_reader *reader, const struct rtp_reader_events *events)
{
	return rtp_sender_subscribe_sized(stream, 0, reader, events);
}

void rtp_sender_replay(struct rtp_reader *reader)
{
	struct rtp_sender *s = reader->sender;
	struct cached_unit *cached;

	sender_hold(s);
	STAILQ_FOREACH (cached, &s->cache, entry) {
		reader->events->on_unit(reader, cached->unit);
		if (!reader->sender)
			break;
	}
	sender_release(s);
}

int rtp_sender_subscribe_sized(struct stream *stream, size_t payload_bytes,
	struct rtp_reader *reader, const struct rtp_reader_events *events)
{
	if (!stream_is_up(stream))
		return -ENOTCONN;
	struct rtp_sender *s = sender_find(stream, payload_bytes);
	if (!s)
		s = sender_new(stream, payload_bytes);
	reader->sender = s;
	reader->events = events;
	/* At the head: a walk in progress does not reach it, it has that unit from the cache. */
	TAILQ_INSERT_HEAD(&s->readers, reader, entry);
	rtp_sender_replay(reader);
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
	assert(track < s->n_tracks);
	return rtp_track_time(&s->tracks[track].rtp, utc_us);
}

bool rtp_sender_get_state(const struct rtp_sender *s, unsigned track, struct rtp_sender_state *ret)
{
	const struct rtp_track *t = &s->tracks[track].rtp;

	if (track >= s->n_tracks || !t->packetiser.encoding)
		return false;
	*ret = (struct rtp_sender_state){
		.next_sequence = t->packetiser.next_sequence,
		.ssrc = t->packetiser.ssrc,
		.packets = t->packets,
		.octets = t->octets,
	};
	return true;
}

bool rtp_sender_takes_track(const struct stream *stream, unsigned track)
{
	return track < stream_tracks(stream) &&
	       rtp_encoding_of(stream_track(stream, track)->parameters);
}

void rtp_sender_write_sdp(struct stream *stream, const char *address, const struct rtp_group *group,
	const char *track_attributes, struct evbuffer *out)
{
	struct rtp_sdp sdp = {
		.name = stream_name(stream),
		.address = address,
		.version = stream_run(stream),
		.attributes = "a=range:npt=now-\r\n",
		.group = group,
	};

	for (unsigned i = 0; i < stream_tracks(stream); i++) {
		sdp.tracks[i] = stream_track(stream, i)->parameters;
		sdp.track_attributes[i] = track_attributes;
	}
	rtp_sdp_write(&sdp, out);
}
