/* A session of the RTSP server: its transports, what it is sent, and how far behind it may be. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtcp.h"
#include "protocols/rtp.h"
#include "protocols/rtp_packetise.h"
#include "protocols/rtsp_server_private.h"
#include "server/base/address.h"
#include "server/base/auth.h"
#include "server/base/memory.h"

enum {
	TICK_US = 5000000,    /* sender reports and the look at the clock */
	EXPIRE_US = 65000000, /* RTSP_TIMEOUT_S and some grace */
	ROOM_BYTES = 1 << 20, /* for sources that wait for it; told of when half is free */
	/*
	 * UDP: packets at a time and the time between, about 100 Mbit/s. The group of pictures that
	 * waits at the start goes at so many times its own speed: the socket buffer of a player that
	 * just opens its decoders would not hold it.
	 */
	PACE_PACKETS = 32,
	PACE_US = 4000,
	PACE_SPEED = 4,
	PACE_LONGEST_US = 500000,
	REPORT_BYTES = 256,
	PARTS = 256,          /* of memory with one writev */
	TLS_BYTES = 64 << 10, /* encrypted at a time */
};
#define RTSP_CNAME "nvrd"

static void session_on_tick(evutil_socket_t fd, short what, void *arg);
static void session_on_pace(evutil_socket_t fd, short what, void *arg);

/* --- hosts --- */

static void host_set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET6)
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)address)->sin_port = htons(port);
}

size_t rtsp_sessions_of_host(const struct rtsp_server *server, const struct sockaddr *peer)
{
	const struct rtsp_session *session;
	size_t n = 0;

	LIST_FOREACH (session, &server->sessions, entry)
		n += address_is_same_host((const struct sockaddr *)&session->peer, peer);
	return n;
}

size_t rtsp_sessions_of_user(const struct rtsp_server *server, const char *user)
{
	const struct rtsp_session *session;
	size_t n = 0;

	LIST_FOREACH (session, &server->sessions, entry)
		n += session->user && strcmp(session->user, user) == 0;
	return n;
}

/* --- life --- */

void rtsp_source_free(struct rtsp_source *source)
{
	if (source)
		source->kind->free(source);
}

void rtsp_source_ready(struct rtsp_source *source)
{
	struct rtsp_connection *c = source->waiting;

	source->waiting = NULL;
	if (c)
		rtsp_connection_resume(c);
}

static struct rtsp_session *session_new(
	struct rtsp_server *server, struct rtsp_source *source, enum rtsp_over over)
{
	struct rtsp_session *s = xcalloc(1, sizeof(*s));

	s->server = server;
	s->log = (struct log_name){
		.parent = &server->log, .kind = "session", .name = source->name
	};
	s->source = source;
	source->session = s;
	s->over = over;
	for (size_t i = 0; i < STREAM_TRACKS; i++)
		s->tracks[i].session = s;
	s->seen_us = reactor_monotonic_us();
	s->timer = reactor_timer_new(session_on_tick, s);
	s->pace_timer = reactor_timer_new(session_on_pace, s);
	reactor_timer_start(s->timer, TICK_US);
	STAILQ_INIT(&s->queue);
	return s;
}

struct rtsp_session *rtsp_session_new(struct rtsp_connection *c, struct rtsp_source *source,
	const char *user, enum rtsp_over over)
{
	struct rtsp_session *s = session_new(c->server, source, over);
	const struct sockaddr *peer = connection_peer_address(c->connection);

	s->connection = c;
	auth_random_hex(s->id, (RTSP_ID_BYTES - 1) / 2);
	s->user = user ? xstrdup(user) : NULL;
	s->peer_bytes = peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						    : sizeof(struct sockaddr_in);
	memcpy(&s->peer, peer, s->peer_bytes);
	LIST_INSERT_HEAD(&c->server->sessions, s, entry);
	LIST_INSERT_HEAD(&c->sessions, s, connection_entry);
	metric_set(c->server->sessions_metric, (double)++c->server->n_sessions);
	rtsp_connection_update(c);
	return s;
}

struct rtsp_session *rtsp_session_new_sender(
	struct rtsp_multicast *group, struct rtsp_server *server, struct rtsp_source *source)
{
	struct rtsp_session *s = session_new(server, source, RTSP_OVER_UDP);

	s->log.kind = "multicast";
	s->group = group;
	return s;
}

struct rtsp_session *rtsp_session_find(struct rtsp_server *server, struct message_text id)
{
	struct rtsp_session *s;

	if (id.n != RTSP_ID_BYTES - 1)
		return NULL;
	LIST_FOREACH (s, &server->sessions, entry)
		if (memcmp(s->id, id.p, id.n) == 0)
			return s;
	return NULL;
}

/* --- the queue --- */

static void session_queue(struct rtsp_session *s, struct rtp_unit_packets *unit, int64_t now_us)
{
	struct rtsp_queued *queued = xcalloc(1, sizeof(*queued));

	queued->unit = rtp_unit_packets_ref(unit);
	queued->at_us = now_us;
	s->queued_bytes += unit->bytes;
	metric_add(s->server->queue_metric, (double)unit->bytes);
	STAILQ_INSERT_TAIL(&s->queue, queued, entry);
}

static void session_drop_first(struct rtsp_session *s)
{
	struct rtsp_queued *queued = STAILQ_FIRST(&s->queue);

	STAILQ_REMOVE_HEAD(&s->queue, entry);
	s->queued_bytes -= queued->unit->bytes;
	metric_add(s->server->queue_metric, -(double)queued->unit->bytes);
	rtp_unit_packets_unref(&queued->unit);
	free(queued);
}

static void session_drop_queue(struct rtsp_session *s)
{
	while (!STAILQ_EMPTY(&s->queue))
		session_drop_first(s);
}

/* --- ends --- */

static void session_fini(void *object)
{
	struct rtsp_session *s = object;

	reactor_timer_free(&s->timer);
	reactor_timer_free(&s->pace_timer);
	rtsp_source_free(s->source);
	free(s->user);
	free(s);
}

static void session_leave_connection(struct rtsp_session *s)
{
	struct rtsp_connection *c = s->connection;

	if (!c)
		return;
	s->connection = NULL;
	LIST_REMOVE(s, connection_entry);
	rtsp_connection_update(c);
}

void rtsp_session_end(struct rtsp_session *s)
{
	if (s->state == RTSP_ENDED)
		return;
	s->state = RTSP_ENDED;
	log_info(&s->log, "ended");
	s->source->kind->stop(s->source);
	rtsp_source_ready(s->source);
	session_drop_queue(s);
	reactor_timer_stop(s->timer);
	reactor_timer_stop(s->pace_timer);
	for (size_t i = 0; i < STREAM_TRACKS; i++) {
		datagram_pair_free(s->tracks[i].pair);
		s->tracks[i].pair = NULL;
	}
	reactor_free_later(&s->dead, session_fini, s);
	if (s->group)
		return; /* in no list */
	LIST_REMOVE(s, entry);
	metric_set(s->server->sessions_metric, (double)--s->server->n_sessions);
	session_leave_connection(s);
}

void rtsp_session_connection_ended(struct rtsp_session *s)
{
	session_leave_connection(s);
	if (s->over == RTSP_OVER_TCP || rtsp_source_is_published(s->source))
		rtsp_session_end(s);
}

void rtsp_session_touch(struct rtsp_session *s)
{
	s->seen_us = reactor_monotonic_us();
}

void rtsp_session_on_packet(struct rtsp_session *s, unsigned track, const uint8_t *p, size_t n)
{
	rtsp_session_touch(s);
	if (s->source->kind->on_packet)
		s->source->kind->on_packet(s->source, track, p, n);
}

/* --- transports --- */

/* RTCP, or what opens a hole in a NAT: the client lives, and its port is the one it sends from. */
static void track_on_datagram(void *arg, enum datagram_kind kind, const uint8_t *p, size_t n,
	const struct sockaddr *from, socklen_t from_bytes)
{
	struct rtsp_track *track = arg;

	if (!address_is_same_host(from, (struct sockaddr *)&track->session->peer))
		return;
	datagram_pair_set_peer(track->pair, kind, from, from_bytes);
	rtsp_session_on_packet(track->session, (unsigned)(track - track->session->tracks), p, n);
}

static const struct datagram_events track_datagram_events = { .on_datagram = track_on_datagram };

static int track_set_up_udp(struct rtsp_track *track, const struct rtsp_transport *transport)
{
	struct rtsp_session *s = track->session;
	struct sockaddr_storage local, to = s->peer;

	if (connection_local_address(s->connection->connection, &local) < 0)
		return -EADDRNOTAVAIL;
	track->pair = datagram_pair_new((struct sockaddr *)&local, &track_datagram_events, track);
	if (!track->pair)
		return errno ? -errno : -EADDRINUSE;
	for (enum datagram_kind kind = DATAGRAM_RTP; kind <= DATAGRAM_RTCP; kind++) {
		host_set_port(&to, transport->ports[kind]);
		datagram_pair_set_peer(track->pair, kind, (struct sockaddr *)&to, s->peer_bytes);
	}
	return 0;
}

int rtsp_session_set_up(
	struct rtsp_session *s, unsigned number, const struct rtsp_transport *transport)
{
	struct rtsp_track *track = &s->tracks[number];
	int result = 0;

	datagram_pair_free(track->pair);
	track->pair = NULL;
	track->set_up = false;
	switch (transport->over) {
	case RTSP_OVER_UDP:
		result = track_set_up_udp(track, transport);
		break;
	case RTSP_OVER_MULTICAST:
		result = rtsp_multicast_set_up(s->source, number);
		break;
	case RTSP_OVER_TCP:
		track->channels[0] =
			transport->has_channels ? transport->channels[0] : (uint8_t)(2 * number);
		track->channels[1] = transport->has_channels ? transport->channels[1]
							     : (uint8_t)(2 * number + 1);
		break;
	}
	track->set_up = result == 0;
	return result;
}

/* --- sending --- */

void rtsp_session_send_rtcp(struct rtsp_session *s, unsigned number, uint8_t *p, size_t n)
{
	struct rtsp_track *track = &s->tracks[number];
	struct iovec whole = { .iov_base = p, .iov_len = n };
	const uint8_t head[] = { '$', track->channels[1], (uint8_t)(n >> 8), (uint8_t)n };

	if (track->pair) {
		(void)datagram_pair_send(track->pair, DATAGRAM_RTCP, &whole, 1);
	} else if (s->over == RTSP_OVER_TCP && s->connection) {
		connection_write(s->connection->connection, head, sizeof(head));
		connection_write(s->connection->connection, p, n);
	}
}

/* Reports what RTP time `utc_us` is on every track. */
static void session_send_reports(struct rtsp_session *s, int64_t utc_us)
{
	uint8_t bytes[REPORT_BYTES];

	for (unsigned i = 0; i < STREAM_TRACKS; i++) {
		struct rtcp_sender_report report;
		if (!s->tracks[i].set_up || !s->source->kind->get_report ||
			!s->source->kind->get_report(s->source, i, utc_us, &report))
			continue;
		s->tracks[i].ssrc = report.ssrc;
		size_t n = rtcp_write_sender_report(bytes, sizeof(bytes), &report, RTSP_CNAME);
		if (n > 0)
			rtsp_session_send_rtcp(s, i, bytes, n);
	}
}

/* Sends up to `limit` of a queued unit's packets. Returns how many; some may be lost. */
static size_t session_send_packets(struct rtsp_session *s, struct rtsp_queued *queued, size_t limit)
{
	struct rtp_unit_packets *unit = queued->unit;
	const uint32_t *offsets = unit->offsets + queued->sent;
	struct iovec packets[PACE_PACKETS] = { 0 };
	size_t n = unit->n - queued->sent, went;

	if (n > limit)
		n = limit;
	for (size_t i = 0; i < n; i++) {
		packets[i].iov_base = unit->block + offsets[i] + RTP_INTERLEAVED_BYTES;
		packets[i].iov_len = offsets[i + 1] - offsets[i] - RTP_INTERLEAVED_BYTES;
	}
	went = datagram_pair_send(s->tracks[unit->track].pair, DATAGRAM_RTP, packets, n);
	metric_add(s->server->sent_metric,
		(double)(offsets[went] - offsets[0] - went * RTP_INTERLEAVED_BYTES));
	metric_add(s->server->dropped_metric, (double)(n - went));
	queued->sent += n;
	return n;
}

/* How long the unit is still to wait: its place in the media, at PACE_SPEED since the start. */
static int64_t session_pace_wait_us(
	const struct rtsp_session *s, const struct rtp_unit_packets *unit, int64_t now_us)
{
	int64_t due_us = s->pace_start_us + (unit->utc_us - s->pace_media_us) / PACE_SPEED;
	int64_t wait_us = due_us - now_us;

	if (s->source->kind->on_room)
		return 0; /* it came when it was due */
	return wait_us < PACE_LONGEST_US ? wait_us : PACE_LONGEST_US;
}

/* UDP: sends a portion of the queue, the rest a little later. */
static void session_pace(struct rtsp_session *s)
{
	int64_t now_us = reactor_monotonic_us(), wait_us = PACE_US;
	struct rtsp_queued *queued;
	size_t left = PACE_PACKETS;

	while ((queued = STAILQ_FIRST(&s->queue)) && left > 0) {
		int64_t unit_us = session_pace_wait_us(s, queued->unit, now_us);
		if (queued->sent == 0 && unit_us > PACE_US) {
			wait_us = unit_us;
			break;
		}
		left -= session_send_packets(s, queued, left);
		if (queued->sent < queued->unit->n)
			break;
		session_drop_first(s);
	}
	if (queued)
		reactor_timer_start(s->pace_timer, wait_us);
}

static void session_tell_room(struct rtsp_session *s)
{
	if (s->source->kind->on_room && rtsp_session_waiting(s) < ROOM_BYTES / 2)
		s->source->kind->on_room(s->source);
}

static void session_on_pace(evutil_socket_t fd, short what, void *arg)
{
	struct rtsp_session *s = arg;

	(void)fd, (void)what;
	if (s->state != RTSP_PLAYING)
		return;
	session_pace(s);
	session_tell_room(s);
}

/* --- sending over TCP --- */

/* The queue as memory for one writev. */
struct rtsp_gathered {
	struct iovec parts[PARTS];
	uint8_t heads[PARTS / 2][RTP_INTERLEAVED_BYTES];
	int n;
	size_t bytes;
};

static void gather(struct rtsp_gathered *to, uint8_t *p, size_t n)
{
	to->parts[to->n++] = (struct iovec){ p, n };
	to->bytes += n;
}

/* The unit from its packet `first` on, each packet with a head that names the channel; as many of them as there is place for. */
static void gather_packets(struct rtsp_gathered *to, const struct rtp_unit_packets *unit,
	size_t first, uint8_t channel)
{
	for (size_t i = first; i < unit->n && to->n + 2 <= PARTS; i++) {
		uint8_t *p = unit->block + unit->offsets[i], *head = to->heads[to->n / 2];

		memcpy(head, p, RTP_INTERLEAVED_BYTES);
		head[1] = channel;
		gather(to, head, RTP_INTERLEAVED_BYTES);
		gather(to, p + RTP_INTERLEAVED_BYTES,
			unit->offsets[i + 1] - unit->offsets[i] - RTP_INTERLEAVED_BYTES);
	}
}

/* What waits, from the first on; of units on the usual channel the block as it is. */
static void session_gather(const struct rtsp_session *s, struct rtsp_gathered *to)
{
	const struct rtsp_queued *queued;

	to->n = 0;
	to->bytes = 0;
	STAILQ_FOREACH (queued, &s->queue, entry) {
		const struct rtp_unit_packets *unit = queued->unit;
		uint8_t channel = s->tracks[unit->track].channels[0];
		size_t from = unit->offsets[queued->sent];

		if (to->n + 2 > PARTS)
			return;
		if (unit->block[1] == channel)
			gather(to, unit->block + from, unit->bytes - from);
		else
			gather_packets(to, unit, queued->sent, channel);
	}
}

/* Copies the first packet that waits, but for the bytes of it that have gone, to the output. */
static void session_copy_packet(struct rtsp_session *s, size_t gone)
{
	struct connection *c = s->connection->connection;
	struct rtsp_queued *queued = STAILQ_FIRST(&s->queue);
	const struct rtp_unit_packets *unit = queued->unit;
	const uint8_t *p = unit->block + unit->offsets[queued->sent];
	size_t n = unit->offsets[queued->sent + 1] - unit->offsets[queued->sent];
	const uint8_t head[] = { p[0], s->tracks[unit->track].channels[0], p[2], p[3] };

	if (gone < sizeof(head)) {
		connection_write(c, head + gone, sizeof(head) - gone);
		gone = sizeof(head);
	}
	connection_write(c, p + gone, n - gone);
	if (++queued->sent == unit->n)
		session_drop_first(s);
}

/* So many bytes of what waits have gone: no longer waits, and the rest of a packet is output. */
static void session_advance(struct rtsp_session *s, size_t n)
{
	while (n > 0) {
		struct rtsp_queued *queued = STAILQ_FIRST(&s->queue);
		const uint32_t *offsets = queued->unit->offsets;
		size_t packet = offsets[queued->sent + 1] - offsets[queued->sent];

		if (n < packet) {
			session_copy_packet(s, n);
			return;
		}
		n -= packet;
		if (++queued->sent == queued->unit->n)
			session_drop_first(s);
	}
}

/* False: the socket takes no more. */
static bool session_write(struct rtsp_session *s, int64_t now_us)
{
	struct rtsp_gathered gathered;

	session_gather(s, &gathered);
	size_t written =
		connection_write_now(s->connection->connection, gathered.parts, gathered.n);
	if (written > 0)
		s->progress_us = now_us;
	session_advance(s, written);
	return written == gathered.bytes;
}

static size_t session_output_bytes(const struct rtsp_session *s)
{
	return evbuffer_get_length(connection_output(s->connection->connection));
}

/* By TCP: sends what waits, as far as the socket takes it. What is left goes on when the output has gone: then there is some. */
static void session_send(struct rtsp_session *s, int64_t now_us)
{
	const struct connection *c;
	size_t output_bytes;
	bool tls;

	if (s->over != RTSP_OVER_TCP) /* the others need no connection, and may have none */
		return;
	c = s->connection->connection;
	tls = connection_is_tls(c);
	output_bytes = tls ? TLS_BYTES : 1;
	if (connection_has_unsent(c))
		return;
	while (!tls && !STAILQ_EMPTY(&s->queue) && session_write(s, now_us))
		;
	while (!STAILQ_EMPTY(&s->queue) && session_output_bytes(s) < output_bytes)
		session_copy_packet(s, 0);
}

void rtsp_session_on_drained(struct rtsp_session *s)
{
	if (s->state != RTSP_PLAYING)
		return;
	s->progress_us = reactor_monotonic_us();
	session_send(s, s->progress_us);
	session_tell_room(s);
}

/* --- how far behind --- */

size_t rtsp_session_waiting(struct rtsp_session *s)
{
	return s->queued_bytes + (s->over == RTSP_OVER_TCP ? session_output_bytes(s) : 0);
}

/* Whether more waits than may, or for longer. */
static bool session_is_behind(struct rtsp_session *s, int64_t now_us)
{
	const struct config_rtsp *limits = &s->server->config->rtsp;
	const struct rtsp_queued *first = STAILQ_FIRST(&s->queue);

	if (s->queued_bytes <= limits->queue_bytes)
		s->first_bytes = 0; /* the first group of pictures has gone */
	return s->queued_bytes > limits->queue_bytes + s->first_bytes ||
	       (first && s->over == RTSP_OVER_TCP && now_us - first->at_us > limits->queue_time_us);
}

/* What waits is old: it would hold memory, and keep the reader behind. */
static void session_begin_to_skip(struct rtsp_session *s)
{
	log_info(&s->log, "the reader is too slow; skipping to a keyframe");
	s->skipping = true;
	for (; !STAILQ_EMPTY(&s->queue); session_drop_first(s))
		metric_add(s->server->skipped_metric, 1);
}

/* Whether a slow reader goes without this unit: until a keyframe, and until it has taken what was on its way. */
static bool session_skips(
	struct rtsp_session *s, const struct rtp_unit_packets *unit, int64_t now_us)
{
	bool restart = unit->keyframe && (unit->track == 0 || !s->tracks[0].set_up);

	if (!s->skipping && session_is_behind(s, now_us))
		session_begin_to_skip(s);
	if (s->skipping && restart && rtsp_session_waiting(s) == 0)
		s->skipping = false;
	if (s->skipping)
		metric_add(s->server->skipped_metric, 1);
	return s->skipping;
}

void rtsp_session_take(struct rtsp_session *s, struct rtp_unit_packets *unit)
{
	if (!s->tracks[unit->track].set_up)
		return;
	int64_t now_us = reactor_monotonic_us();
	if (s->state == RTSP_STARTING) {
		session_queue(s, unit, now_us);
		return;
	}
	if (!s->source->kind->on_room && session_skips(s, unit, now_us))
		return;
	session_queue(s, unit, now_us);
	session_send(s, now_us);
	if (s->over != RTSP_OVER_TCP &&
		STAILQ_FIRST(&s->queue)->unit == unit) /* nothing waits before it */
		session_pace(s);
}

/* What waits is not for this reader any more; but recordings over TCP are whole, it is on its way. */
static void session_clear_queue(struct rtsp_session *s)
{
	while (s->over == RTSP_OVER_TCP && s->source->kind->on_room && !STAILQ_EMPTY(&s->queue))
		session_copy_packet(s, 0);
	session_drop_queue(s);
}

bool rtsp_session_has_room(struct rtsp_session *s)
{
	return rtsp_session_waiting(s) < ROOM_BYTES;
}

/* --- start and end --- */

int rtsp_session_start(
	struct rtsp_session *s, const struct message *message, struct evbuffer *fields)
{
	enum rtsp_state before = s->state;

	if (s->state == RTSP_READY || s->source->kind->on_room)
		s->state = RTSP_STARTING;
	int result = s->source->kind->play(s->source, message, fields);
	if (result > 0)
		s->state = before;
	else if (result < 0)
		s->state = RTSP_READY;
	if (result <= 0 && s->state != RTSP_PLAYING && s->source->kind->on_room)
		session_clear_queue(s); /* of where it was before */
	return result;
}

int64_t rtsp_session_start_us(const struct rtsp_session *s)
{
	const struct rtsp_queued *queued;
	int64_t start_us = INT64_MAX;

	STAILQ_FOREACH (queued, &s->queue, entry)
		if (queued->unit->utc_us < start_us)
			start_us = queued->unit->utc_us;
	return start_us == INT64_MAX ? reactor_now_us() : start_us;
}

void rtsp_session_flush(struct rtsp_session *s)
{
	if (s->state != RTSP_STARTING)
		return;
	s->state = RTSP_PLAYING;
	s->skipping = false;
	s->first_bytes = s->queued_bytes;
	s->progress_us = reactor_monotonic_us();
	s->pace_start_us = s->progress_us;
	s->pace_media_us = rtsp_session_start_us(s);
	session_send_reports(s, s->pace_media_us);
	if (s->source->kind->on_room) {
		s->source->kind->on_room(s->source);
	} else if (s->over == RTSP_OVER_UDP) {
		session_pace(s);
	} else {
		session_send(s, s->progress_us);
	}
}

void rtsp_session_pause(struct rtsp_session *s)
{
	if (s->state != RTSP_PLAYING)
		return;
	s->source->kind->stop(s->source);
	reactor_timer_stop(s->pace_timer);
	session_clear_queue(s);
	s->state = RTSP_READY;
}

/* RTCP BYE (RFC 3550 section 6.6) of every track, so that a UDP player does not wait. */
static void session_send_byes(struct rtsp_session *s)
{
	for (unsigned i = 0; i < STREAM_TRACKS; i++) {
		uint8_t bye[REPORT_BYTES];
		if (!s->tracks[i].set_up || !s->tracks[i].ssrc)
			continue; /* nothing was sent */
		size_t n = rtcp_write_bye(bye, sizeof(bye), s->tracks[i].ssrc, RTSP_CNAME);
		rtsp_session_send_rtcp(s, i, bye, n);
	}
}

void rtsp_session_finish(struct rtsp_session *s)
{
	session_send_byes(s);
	rtsp_session_pause(s);
}

/* Players connect anew. */
void rtsp_session_source_ended(struct rtsp_session *s)
{
	struct rtsp_connection *c = s->connection;

	if (s->state == RTSP_ENDED)
		return; /* when all stops, its server has gone before the camera */
	log_info(&s->log, "the stream ended");
	session_send_byes(s);
	rtsp_session_end(s);
	if (s->group)
		rtsp_multicast_on_end(s->group);
	if (c)
		rtsp_connection_finish(c);
}

/* TCP: nothing was taken for too long. A reader of recordings may take his time, while he is heard of. */
static bool session_is_stalled(struct rtsp_session *s, int64_t now_us)
{
	if (rtsp_session_waiting(s) == 0)
		s->progress_us = now_us;
	if (!s->source->kind->on_room)
		return now_us - s->progress_us > s->server->config->rtsp.write_timeout_us;
	return now_us - s->progress_us > EXPIRE_US && now_us - s->seen_us > EXPIRE_US;
}

static void session_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct rtsp_session *s = arg;
	int64_t now_us = reactor_monotonic_us();
	bool by_connection = s->over == RTSP_OVER_TCP && s->state == RTSP_PLAYING;

	(void)fd, (void)what;
	if (!by_connection && !s->group && now_us - s->seen_us > EXPIRE_US) {
		log_info(&s->log, "the reader was not heard of for %d s", RTSP_TIMEOUT_S);
		rtsp_session_end(s);
		return;
	}
	if (by_connection && session_is_stalled(s, now_us)) {
		connection_close(s->connection->connection, CLOSE_TOO_SLOW);
		return;
	}
	if (s->state == RTSP_PLAYING && (!by_connection || now_us - s->progress_us < TICK_US))
		session_send_reports(s, reactor_now_us());
	reactor_timer_start(s->timer, TICK_US);
}
