/*
 * What a WebRTC session sends: shared packets under its own numbers, encrypted for it alone; what it missed
 * again (RFC 4585), and sender reports (RFC 3550 section 6.4).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "protocols/whep_private.h"
#include "server/base/auth.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"

enum {
	BATCH = 32,
	PUMP_PACKETS =
		64, /* at once; the rest of a group of pictures follows at the beat of PUMP_US */
	PUMP_US = 5000,
	LAG_US = 1000000,   /* of what is live: then to the next keyframe */
	REPLAY_US = 500000, /* so often is a group of pictures sent again */
	REPEATS = 2 * WHEP_HISTORY,
	REPORT_TICKS = 3,
	HURRY = 64, /* how much closer the times of cached pictures are */
	PACKET_BYTES = RTP_HEADER_BYTES + WHEP_PAYLOAD_BYTES + RTP_SECURITY_TRAILER_BYTES,
	MARKER = 0x80,
};

static uint8_t buffers[BATCH][PACKET_BYTES];

static struct whep_session *media_session(struct rtp_reader *reader)
{
	return CONTAINER_OF(reader, struct whep_session, media.reader);
}

static struct whep_session *sound_session(struct rtp_reader *reader)
{
	return CONTAINER_OF(reader, struct whep_session, media.sound_reader);
}

/* --- the queue --- */

static void queue_remove_head(struct whep_media_state *m)
{
	struct whep_queued *head = TAILQ_FIRST(&m->queue);

	TAILQ_REMOVE(&m->queue, head, entry);
	m->queue_bytes -= head->unit->bytes;
	rtp_unit_packets_unref(&head->unit);
	free(head);
}

static void queue_drop(struct whep_media_state *m)
{
	while (!TAILQ_EMPTY(&m->queue))
		queue_remove_head(m);
}

/* The peer, or our own network, does not take it: it goes on with the next keyframe. */
static void media_skip(struct whep_media_state *m)
{
	struct whep_queued *queued;

	TAILQ_FOREACH (queued, &m->queue, entry)
		metric_add(metric_get(METRIC_READER_SKIPPED, "webrtc"), 1);
	queue_drop(m);
	m->is_skipping = true;
}

/* --- packets --- */

/* Cached pictures are of the past; so that nobody waits for them to pass, they follow each other closely. */
static uint32_t replayed_timestamp(const struct whep_queued *queued)
{
	uint32_t newest = queued->track->unit_timestamp;

	return newest - (newest - queued->unit->timestamp) / HURRY;
}

static void begin_unit(struct whep_queued *queued)
{
	struct whep_track *t = queued->track;

	queued->is_begun = true;
	queued->timestamp =
		queued->is_replayed ? replayed_timestamp(queued) : queued->unit->timestamp;
	if (t->has_timestamp && (int32_t)(queued->timestamp - t->timestamp) <= 0)
		queued->timestamp = t->timestamp + 1; /* a replay: it may not go back */
	t->timestamp = queued->timestamp;
	t->has_timestamp = true;
}

/* Makes the packet of a unit in a buffer of PACKET_BYTES. Returns its bytes, or 0. */
static size_t write_packet(struct whep_session *s, const struct whep_track *t,
	const struct whep_sent *sent, uint8_t *ret)
{
	const struct rtp_unit_packets *unit = sent->unit;
	const uint8_t *from = unit->block + unit->offsets[sent->index] + RTP_INTERLEAVED_BYTES;
	size_t n =
		unit->offsets[sent->index + 1] - unit->offsets[sent->index] - RTP_INTERLEAVED_BYTES;
	struct rtp_packet header = {
		.payload_type = t->payload_type,
		.marker = (from[1] & MARKER) != 0,
		.sequence = sent->sequence,
		.timestamp = sent->timestamp,
		.ssrc = t->ssrc,
	};

	assert(n <= RTP_HEADER_BYTES + WHEP_PAYLOAD_BYTES);
	rtp_write_header(ret, &header);
	memcpy(ret + RTP_HEADER_BYTES, from + RTP_HEADER_BYTES, n - RTP_HEADER_BYTES);
	return rtp_security_protect_packet(s->security, ret, n);
}

static void remember(struct whep_media_state *m, const struct whep_sent *sent)
{
	struct whep_sent *place = &m->history[sent->sequence % WHEP_HISTORY];

	rtp_unit_packets_unref(&place->unit);
	*place = *sent;
	place->unit = rtp_unit_packets_ref(sent->unit);
}

/* Sends up to n packets of the queue's head. Returns how many were taken. */
static size_t send_some(struct whep_session *s, struct whep_queued *queued, size_t n)
{
	struct whep_track *t = queued->track;
	struct whep_sent sent = { queued->unit, (uint32_t)queued->at, queued->timestamp,
		t->next_sequence };
	struct iovec parts[BATCH];
	size_t taken;

	for (size_t i = 0; i < n; i++) {
		parts[i] = (struct iovec){ buffers[i], write_packet(s, t, &sent, buffers[i]) };
		sent.index++;
		sent.sequence++;
	}
	taken = whep_session_send(s, parts, n);
	for (size_t i = 0; i < taken; i++) {
		sent.index = (uint32_t)(queued->at + i);
		sent.sequence = t->next_sequence++;
		if (t->is_video)
			remember(&s->media, &sent);
		t->packets++;
		t->octets += (uint32_t)(queued->unit->offsets[sent.index + 1] -
					queued->unit->offsets[sent.index] - RTP_INTERLEAVED_BYTES -
					RTP_HEADER_BYTES);
	}
	queued->at += taken;
	return taken;
}

static bool is_late(const struct whep_media_state *m)
{
	const struct whep_queued *first = TAILQ_FIRST(&m->queue);
	const struct whep_queued *last = TAILQ_LAST(&m->queue, whep_queue);

	return m->queue_bytes > WHEP_QUEUE_BYTES ||
	       (first && !first->is_replayed && last->unit->utc_us - first->unit->utc_us > LAG_US);
}

static void media_pump(struct whep_session *s)
{
	struct whep_media_state *m = &s->media;
	struct whep_queued *head;
	size_t left = PUMP_PACKETS;

	if (is_late(m))
		media_skip(m);
	while ((head = TAILQ_FIRST(&m->queue)) && left > 0) {
		size_t n = head->unit->n - head->at;

		if (!head->is_begun)
			begin_unit(head);
		if (n > BATCH)
			n = BATCH;
		if (n > left)
			n = left;
		if (send_some(s, head, n) < n)
			break;
		left -= n;
		if (head->at == head->unit->n)
			queue_remove_head(m);
	}
	if (head)
		reactor_timer_start(m->pump_timer, PUMP_US);
	else
		reactor_timer_stop(m->pump_timer);
}

static void media_on_pump(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	media_pump(arg);
}

/* --- units --- */

static void media_queue(
	struct whep_media_state *m, struct whep_track *track, struct rtp_unit_packets *unit)
{
	struct whep_queued *queued = xcalloc(1, sizeof(*queued));

	queued->unit = rtp_unit_packets_ref(unit);
	queued->track = track;
	queued->is_replayed = m->is_replaying;
	m->queue_bytes += unit->bytes;
	TAILQ_INSERT_TAIL(&m->queue, queued, entry);
}

/* Whether pictures come in another order than they are shown: browsers cannot play that. */
static bool is_reordered(struct whep_track *t, const struct rtp_unit_packets *unit)
{
	bool back = t->has_unit && (int32_t)(unit->timestamp - t->unit_timestamp) < 0;

	t->unit_timestamp = unit->timestamp;
	t->has_unit = true;
	return back;
}

/* Whether the session gets this unit now. */
static bool is_wanted(
	struct whep_media_state *m, const struct whep_track *t, const struct rtp_unit_packets *unit)
{
	if (!m->is_open || (m->is_replaying && !t->is_video))
		return false; /* sound of the past would only delay that of now */
	if (t->is_video && unit->keyframe)
		m->is_skipping = false;
	if (!t->is_video || !m->is_skipping)
		return true;
	metric_add(metric_get(METRIC_READER_SKIPPED, "webrtc"), 1);
	return false;
}

static void media_on_unit(struct rtp_reader *reader, struct rtp_unit_packets *unit)
{
	struct whep_session *s = media_session(reader);
	struct whep_media_state *m = &s->media;
	struct whep_track *t = &m->tracks[unit->track];

	if (t->is_video && !m->is_replaying && is_reordered(t, unit)) {
		whep_session_end(s, WHEP_REORDERED);
		return;
	}
	if (!t->is_sent || !is_wanted(m, t, unit))
		return;
	media_queue(m, t, unit);
	if (!m->is_replaying)
		media_pump(s);
}

static void sound_on_unit(struct rtp_reader *reader, struct rtp_unit_packets *unit)
{
	struct whep_session *s = sound_session(reader);

	if (!s->media.is_open)
		return;
	media_queue(&s->media, &s->media.tracks[WHEP_SOUND], unit);
	media_pump(s);
}

static void media_on_end(struct rtp_reader *reader)
{
	whep_session_end(media_session(reader), WHEP_STREAM);
}

static const struct rtp_reader_events media_events = {
	.on_unit = media_on_unit,
	.on_end = media_on_end,
};

static void sound_on_end(struct rtp_reader *reader)
{
	whep_session_end(sound_session(reader), WHEP_STREAM);
}

static const struct rtp_reader_events sound_events = {
	.on_unit = sound_on_unit,
	.on_end = sound_on_end,
};

static void media_replay(struct whep_session *s)
{
	struct whep_media_state *m = &s->media;

	queue_drop(m);
	m->is_skipping = true; /* until the keyframe with which the group begins */
	m->is_replaying = true;
	m->replayed_us = reactor_monotonic_us();
	rtp_sender_replay(&m->reader);
	m->is_replaying = false;
	media_pump(s);
}

void whep_media_open(struct whep_session *s)
{
	s->media.is_open = true;
	media_replay(s);
}

/* --- feedback --- */

static void media_repeat(struct whep_session *s, const struct whep_track *t, uint16_t sequence)
{
	struct whep_media_state *m = &s->media;
	const struct whep_sent *sent = &m->history[sequence % WHEP_HISTORY];
	struct iovec part = { buffers[0], 0 };

	if (!sent->unit || sent->sequence != sequence || m->repeats_left == 0)
		return;
	m->repeats_left--;
	part.iov_len = write_packet(s, t, sent, buffers[0]);
	(void)whep_session_send(s, &part, 1);
	metric_add(metric_get(METRIC_WEBRTC_REPEATED), 1);
}

static void media_on_nacks(
	struct whep_session *s, const struct whep_track *t, const struct rtcp_feedback *feedback)
{
	for (size_t i = 0; i < feedback->n_nacks && s->media.repeats_left > 0; i++) {
		uint16_t behind, first = rtcp_feedback_nack(feedback, i, &behind);

		media_repeat(s, t, first);
		for (unsigned bit = 0; bit < 16; bit++) {
			if (behind >> bit & 1)
				media_repeat(s, t, (uint16_t)(first + bit + 1));
		}
	}
}

void whep_media_on_feedback(struct whep_session *s, const struct rtcp_feedback *feedback)
{
	struct whep_media_state *m = &s->media;

	for (size_t i = 0; feedback->nacks && i < WHEP_TRACKS; i++) {
		const struct whep_track *t = &m->tracks[i];
		if (t->is_sent && t->is_video && t->ssrc == feedback->nacks_about)
			media_on_nacks(s, t, feedback);
	}
	if (!feedback->wants_keyframe || reactor_monotonic_us() - m->replayed_us < REPLAY_US)
		return;
	metric_add(metric_get(METRIC_WEBRTC_REPLAYED), 1);
	media_replay(s);
}

/* --- reports --- */

static void media_report(struct whep_session *s, const struct whep_track *t)
{
	int64_t now_us = reactor_now_us();
	struct rtcp_sender_report report = {
		.ssrc = t->ssrc,
		.ntp = rtcp_ntp_of_us(now_us),
		.timestamp = rtp_sender_time(t->reader->sender, t->number, now_us),
		.packets = t->packets,
		.octets = t->octets,
	};
	size_t n = rtcp_write_sender_report(
		buffers[0], PACKET_BYTES - RTP_SECURITY_TRAILER_BYTES, &report, WHEP_CNAME);
	struct iovec part = { buffers[0], rtp_security_protect_report(s->security, buffers[0], n) };

	(void)whep_session_send(s, &part, 1);
}

void whep_media_on_tick(struct whep_session *s)
{
	struct whep_media_state *m = &s->media;

	m->repeats_left = REPEATS;
	if (!m->is_open || m->ticks++ % REPORT_TICKS != 0)
		return;
	for (unsigned i = 0; i < WHEP_TRACKS; i++) {
		if (m->tracks[i].is_sent && m->tracks[i].packets > 0)
			media_report(s, &m->tracks[i]);
	}
}

/* --- life --- */

static uint32_t media_random(void)
{
	char hex[9];

	auth_random_hex(hex, 4);
	return (uint32_t)strtoul(hex, NULL, 16);
}

static void track_init(
	struct whep_track *t, const struct rtp_reader *reader, unsigned number, bool is_video)
{
	*t = (struct whep_track){ .is_video = is_video, .reader = reader, .number = number };
	t->ssrc = media_random();
	/* RFC 3711 section 3.3.1: no wrap at once */
	t->next_sequence = (uint16_t)(media_random() & 0x7fff);
}

int whep_media_init(struct whep_session *s, struct stream *stream)
{
	struct whep_media_state *m = &s->media;
	int error;

	TAILQ_INIT(&m->queue);
	for (unsigned i = 0; i < stream_tracks(stream); i++)
		track_init(&m->tracks[i], &m->reader, i,
			stream_track(stream, i)->parameters->codec_type == AVMEDIA_TYPE_VIDEO);
	track_init(&m->tracks[WHEP_SOUND], &m->sound_reader, 0, false);
	m->history = xcalloc(WHEP_HISTORY, sizeof(*m->history));
	m->pump_timer = reactor_timer_new(media_on_pump, s);
	m->repeats_left = REPEATS;
	error = rtp_sender_subscribe_sized(stream, WHEP_PAYLOAD_BYTES, &m->reader, &media_events);
	if (error == 0 && s->has_ended)
		return -EILSEQ;
	return error;
}

void whep_media_fini(struct whep_session *s)
{
	struct whep_media_state *m = &s->media;

	rtp_sender_unsubscribe(&m->reader);
	rtp_sender_unsubscribe(&m->sound_reader);
	reactor_timer_free(&m->pump_timer);
	queue_drop(m);
	for (size_t i = 0; i < WHEP_HISTORY; i++)
		rtp_unit_packets_unref(&m->history[i].unit);
	free(m->history);
}

void whep_media_take(struct whep_session *s, unsigned track, uint8_t payload_type)
{
	s->media.tracks[track].is_sent = true;
	s->media.tracks[track].payload_type = payload_type;
}

void whep_media_take_sound(struct whep_session *s, struct stream *made)
{
	int error = rtp_sender_subscribe_sized(
		made, WHEP_PAYLOAD_BYTES, &s->media.sound_reader, &sound_events);

	assert(error == 0); /* it is up */
}
