/* Streams whose sound is made another codec: readers of a source's stream that publish to others. */
#include "server/media/sound_stream.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

enum {
	HOLD_US = 1000000,       /* pictures wait no longer for their sound */
	LINGER_US = 5000000,     /* after the last reader */
	HELD_PACKET_BYTES = 256, /* what one costs beside its bytes */
	NAME_BYTES = 96,
	NO_TRACK = -1,
};

struct held_packet {
	STAILQ_ENTRY(held_packet) entry;
	AVPacket *packet;
	int64_t time_us; /* when it is decoded, UTC */
	int64_t came_us; /* monotonic */
};

struct sound_stream {
	LIST_ENTRY(sound_stream) entry;
	struct log_name log;
	enum sound_target target;
	struct stream *of;           /* the source's */
	struct stream_reader reader; /* of that */
	struct stream *made;         /* owned */
	struct event *linger_timer;

	/* of the run */
	struct sound *sound; /* NULL: the sound stays as it is */
	int track;           /* the first sound; NO_TRACK */
	int64_t made_us;     /* so far is the sound made, UTC */
	int64_t last;        /* the newest time of the sound that was published, in its time base */

	/*
	 * Other tracks' packets that wait for the sound. Limit STREAM_CACHE_BYTES, METRIC_SOUND_HELD_BYTES;
	 * when full they go out without it.
	 */
	STAILQ_HEAD(, held_packet) held;
	size_t held_bytes;
	bool is_late; /* there was no sound for so long that nothing waits for it */
	struct metric *held_metric, *dropped;
};

static LIST_HEAD(, sound_stream) all = LIST_HEAD_INITIALIZER(all);

static const char *sound_label(enum sound_target target)
{
	return target == SOUND_OPUS ? "opus" : "aac";
}

static bool has_pictures(const struct sound_stream *s)
{
	return s->target != SOUND_OPUS;
}

/* --- pictures, which wait --- */

static void sound_stream_publish(struct sound_stream *s, AVPacket *packet)
{
	stream_publish(s->made, packet);
}

static void sound_stream_let_go(struct sound_stream *s)
{
	struct held_packet *head = STAILQ_FIRST(&s->held);

	STAILQ_REMOVE_HEAD(&s->held, entry);
	s->held_bytes -= (size_t)head->packet->size + HELD_PACKET_BYTES;
	sound_stream_publish(s, head->packet);
	av_packet_free(&head->packet);
	free(head);
}

/* Publishes what belongs to times up to that one, and what has waited for too long. */
static void sound_stream_release(struct sound_stream *s, int64_t until_us)
{
	int64_t now_us = reactor_monotonic_us();
	struct held_packet *head;

	while ((head = STAILQ_FIRST(&s->held))) {
		s->is_late |= now_us - head->came_us > HOLD_US;
		if (!s->is_late && head->time_us > until_us)
			break;
		sound_stream_let_go(s);
	}
	metric_set(s->held_metric, (double)s->held_bytes);
}

static void sound_stream_release_all(struct sound_stream *s)
{
	sound_stream_release(s, INT64_MAX);
}

static void sound_stream_hold(struct sound_stream *s, const AVPacket *packet)
{
	AVRational base = stream_track(s->of, (size_t)packet->stream_index)->time_base;
	size_t bytes = (size_t)packet->size + HELD_PACKET_BYTES;
	struct held_packet *held = xmalloc(sizeof(*held));

	if (s->held_bytes + bytes > STREAM_CACHE_BYTES)
		sound_stream_release_all(s);
	held->packet = av_packet_clone(packet);
	if (!held->packet)
		abort();
	held->time_us = av_rescale_q(packet->dts, base, AV_TIME_BASE_Q);
	held->came_us = reactor_monotonic_us();
	STAILQ_INSERT_TAIL(&s->held, held, entry);
	s->held_bytes += bytes;
	sound_stream_release(s, s->made_us);
}

/* --- sound --- */

static void sound_stream_on_made(void *arg, AVPacket *packet)
{
	struct sound_stream *s = arg;
	AVRational base = { 1, sound_parameters(s->sound)->sample_rate };

	if (s->last != AV_NOPTS_VALUE && packet->dts <= s->last)
		return; /* the source's times went back */
	s->last = packet->dts;
	s->is_late = false;
	sound_stream_release(s, av_rescale_q(packet->pts, base, AV_TIME_BASE_Q));
	packet->stream_index = has_pictures(s) ? s->track : 0;
	sound_stream_publish(s, packet);
	s->made_us = av_rescale_q(packet->pts + packet->duration, base, AV_TIME_BASE_Q);
	sound_stream_release(s, s->made_us);
}

/* The sound as it comes. */
static void sound_stream_pass(struct sound_stream *s, AVPacket *packet)
{
	AVPacket *copy;

	if (has_pictures(s)) {
		sound_stream_publish(s, packet);
		return;
	}
	copy = av_packet_clone(packet);
	if (!copy)
		abort();
	copy->stream_index = 0;
	sound_stream_publish(s, copy);
	av_packet_free(&copy);
}

/* --- the source's runs --- */

static void sound_stream_on_packet(struct stream_reader *reader, AVPacket *packet)
{
	struct sound_stream *s = CONTAINER_OF(reader, struct sound_stream, reader);
	bool is_sound = packet->stream_index == s->track;

	if (is_sound && s->sound)
		sound_push(s->sound, packet);
	else if (is_sound)
		sound_stream_pass(s, packet);
	else if (has_pictures(s) && s->sound)
		sound_stream_hold(s, packet);
	else if (has_pictures(s))
		sound_stream_publish(s, packet);
}

/* What is on its way to be made is of the run that ends, or has times of before. */
static void sound_stream_end_run(struct sound_stream *s)
{
	sound_stream_release_all(s);
	sound_free(s->sound);
	s->sound = NULL;
	s->track = NO_TRACK;
}

/* Makes the encoder, and of the track what is published. */
static void sound_stream_make(struct sound_stream *s, struct stream_track *track)
{
	const char *why;

	if (!sound_is_needed(track->parameters, s->target))
		return;
	s->sound = sound_new(track->parameters, track->time_base, s->target, s->dropped,
		sound_stream_on_made, s, &why);
	if (s->sound)
		sound_describe_track(s->sound, track);
	else
		log_warn(&s->log, "its sound cannot be made %s: %s", sound_label(s->target), why);
}

static void sound_stream_on_tracks(struct stream_reader *reader)
{
	struct sound_stream *s = CONTAINER_OF(reader, struct sound_stream, reader);
	struct stream_track tracks[STREAM_TRACKS];
	size_t n = stream_tracks(s->of);

	sound_stream_end_run(s);
	for (size_t i = 0; i < n; i++)
		tracks[i] = *stream_track(s->of, i);
	s->track = stream_find_track(s->of, AVMEDIA_TYPE_AUDIO);
	s->made_us = INT64_MIN;
	s->last = AV_NOPTS_VALUE;
	s->is_late = false;
	if (s->track >= 0)
		sound_stream_make(s, &tracks[s->track]);
	if (has_pictures(s))
		stream_begin_derived(s->made, s->of, tracks, n);
	else if (s->track >= 0)
		stream_begin_derived(s->made, s->of, &tracks[s->track], 1);
	else
		stream_end(s->made);
}

static void sound_stream_free(struct sound_stream *s);

static void sound_stream_on_end(struct stream_reader *reader)
{
	struct sound_stream *s = CONTAINER_OF(reader, struct sound_stream, reader);

	sound_stream_end_run(s);
	if (stream_is_leaving(s->of))
		sound_stream_free(s);
	else
		stream_end(s->made);
}

static const struct stream_reader_events sound_stream_events = {
	.on_tracks = sound_stream_on_tracks,
	.on_packet = sound_stream_on_packet,
	.on_end = sound_stream_on_end,
};

/* --- life --- */

static void sound_stream_free(struct sound_stream *s)
{
	LIST_REMOVE(s, entry);
	stream_unsubscribe(&s->reader);
	sound_stream_end_run(s);
	reactor_timer_free(&s->linger_timer);
	stream_free(s->made);
	free(s);
}

static void sound_stream_on_linger(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	sound_stream_free(arg);
}

static void sound_stream_on_wanted(void *arg)
{
	struct sound_stream *s = arg;

	if (stream_is_wanted(s->made))
		reactor_timer_stop(s->linger_timer);
	else
		reactor_timer_start(s->linger_timer, LINGER_US);
}

static struct sound_stream *sound_stream_new(struct stream *of, enum sound_target target)
{
	struct sound_stream *s = xcalloc(1, sizeof(*s));
	char name[NAME_BYTES];

	(void)snprintf(name, sizeof(name), "%s %s", stream_name(of), sound_label(target));
	s->log = (struct log_name){ .kind = "stream", .name = stream_name(of) };
	s->target = target;
	s->of = of;
	s->track = NO_TRACK;
	STAILQ_INIT(&s->held);
	s->held_metric = metric_get(METRIC_SOUND_HELD_BYTES, stream_name(of));
	s->dropped = metric_get(METRIC_SOUND_DROPPED, stream_name(of));
	s->linger_timer = reactor_timer_new(sound_stream_on_linger, s);
	s->made = stream_new_derived(name);
	stream_on_wanted(s->made, sound_stream_on_wanted, s);
	LIST_INSERT_HEAD(&all, s, entry);
	reactor_timer_start(s->linger_timer, LINGER_US);
	/* Sound alone is of now: that of the past would only delay it. */
	stream_subscribe(of, &s->reader, &sound_stream_events, has_pictures(s));
	return s;
}

struct stream *sound_stream_of(struct stream *stream, enum sound_target target)
{
	int track = stream_find_track(stream, AVMEDIA_TYPE_AUDIO);
	struct sound_stream *s;

	if (track < 0 || !sound_is_needed(stream_track(stream, (size_t)track)->parameters, target))
		return NULL;
	LIST_FOREACH (s, &all, entry) {
		if (s->of == stream && s->target == target)
			return s->made;
	}
	return sound_stream_new(stream, target)->made;
}
