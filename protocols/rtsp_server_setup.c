/* SETUP (RFC 2326 section 10.4): a session, and how one of its tracks is sent. */
#include <errno.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtsp_server_request.h"

/* The only track that is sent, or TRACK_NONE. */
static int only_track(struct rtsp_source *source)
{
	int only = TRACK_NONE;

	for (unsigned i = 0; i < STREAM_TRACKS; i++) {
		if (!source->kind->takes_track(source, i))
			continue;
		if (only != TRACK_NONE)
			return TRACK_NONE;
		only = (int)i;
	}
	return only;
}

/* Whether the request names the track by which one talks; the camera may listen no more. */
static bool names_talk(const struct rtsp_request *r)
{
	return r->track == RTSP_TALK_TRACK && rtsp_check_talk(r) != -ENOENT;
}

static bool check_setup_talk(struct rtsp_request *r)
{
	if (!rtsp_request_may(r, FOR_TALKERS))
		rtsp_answer(r, 403);
	else if (rtsp_check_talk(r) == -ESTALE)
		rtsp_answer(r, 455);
	else if (rtsp_check_talk(r) == -EBUSY)
		rtsp_answer_with(r, 453, "Somebody else talks to this camera", NULL);
	return !r->answered;
}

bool rtsp_check_setup(struct rtsp_request *r)
{
	struct rtsp_session *s = r->session;

	if (r->source->kind->find_track)
		r->track = r->source->kind->find_track(r->source, r->message->target);
	else if (r->track == TRACK_NONE)
		r->track = only_track(r->source);
	if (r->track < 0 || (s && s->source != r->source))
		rtsp_answer(r, 459);
	else if (!names_talk(r) && !r->source->kind->takes_track(r->source, (unsigned)r->track))
		rtsp_answer(r, 404);
	else if (s && s->state != RTSP_READY)
		rtsp_answer_session(r, 455);
	else if (names_talk(r))
		return check_setup_talk(r);
	return !r->answered;
}

/* Whether this host or this user has as many sessions as it may. */
static bool has_enough(const struct rtsp_request *r)
{
	const struct rtsp_server *server = r->c->server;
	const struct config_rtsp *limits = &server->config->rtsp;

	if (rtsp_sessions_of_host(server, connection_peer_address(r->c->connection)) >=
		limits->sessions_per_address) {
		log_warn(&r->c->log, "this host has %u sessions; one more is refused",
			limits->sessions_per_address);
		return true;
	}
	if (r->user && rtsp_sessions_of_user(server, r->user->name) >= limits->sessions_per_user) {
		log_warn(&r->c->log, "%s has %u sessions; one more is refused", r->user->name,
			limits->sessions_per_user);
		return true;
	}
	return false;
}

/* A new session, unless there are too many. */
static bool open_session(struct rtsp_request *r, enum rtsp_over over)
{
	struct rtsp_source *source;
	struct rtsp_server *server = r->c->server;
	const struct config_rtsp *limits = &server->config->rtsp;

	if (server->n_sessions >= limits->sessions) {
		log_warn(&server->log, "%u sessions are open; one more is refused",
			limits->sessions);
		rtsp_answer_unavailable(r);
		return false;
	}
	if (!connection_peer_is_loopback(r->c->connection) && has_enough(r)) {
		rtsp_answer(r, 453);
		return false;
	}
	source = over == RTSP_OVER_MULTICAST ? rtsp_multicast_new(r->c, r->source) : r->source;
	if (!source) {
		log_warn(&r->c->log, "no multicast: %s", strerror(errno));
		rtsp_answer(r, 461);
		return false;
	}
	r->session = rtsp_session_new(r->c, source, r->user ? r->user->name : NULL, over);
	r->c->source = NULL;
	return true;
}

static void add_transport(struct rtsp_request *r, const struct rtsp_transport *transport)
{
	const struct rtsp_track *track = &r->session->tracks[r->track];
	const char *mode = transport->record ? ";mode=record" : "";
	unsigned port;

	switch (transport->over) {
	case RTSP_OVER_TCP:
		rtsp_add_field(r, "Transport: RTP/AVP/TCP;unicast;interleaved=%u-%u%s",
			track->channels[0], track->channels[1], mode);
		break;
	case RTSP_OVER_UDP:
		port = datagram_pair_port(track->pair);
		rtsp_add_field(r,
			"Transport: RTP/AVP;unicast;client_port=%u-%u;server_port=%u-%u%s",
			transport->ports[0], transport->ports[1], port, port + 1, mode);
		break;
	case RTSP_OVER_MULTICAST:
		evbuffer_add_printf(r->fields, "Transport: RTP/AVP;multicast;");
		rtsp_multicast_write_transport(r->session->source, (unsigned)r->track, r->fields);
		evbuffer_add_printf(r->fields, "\r\n");
		break;
	}
}

/* What the client may ask for. RTP of its own is not encrypted, and does not go where HTTP is to lead. */
static unsigned transports_allowed(const struct rtsp_request *r)
{
	struct sockaddr_in group;

	if (connection_is_tls(r->c->connection) || r->c->tunnel)
		return RTSP_OVER_TCP;
	if (rtsp_source_is_published(r->source) || names_talk(r) ||
		!rtsp_multicast_find(r->c->server, r->name, &group))
		return RTSP_OVER_TCP | RTSP_OVER_UDP;
	return RTSP_OVER_TCP | RTSP_OVER_UDP | RTSP_OVER_MULTICAST;
}

void rtsp_run_setup(struct rtsp_request *r)
{
	struct message_text field = message_find(r->message, "Transport");
	struct rtsp_transport transport;
	bool is_new = !r->session;

	if (rtsp_transport_parse(&transport, field.p, field.n, transports_allowed(r)) < 0 ||
		(r->session && r->session->over != transport.over)) {
		rtsp_answer(r, 461);
		return;
	}
	if (transport.record && !rtsp_source_is_published(r->source) && !names_talk(r)) {
		rtsp_answer(r, 455); /* ANNOUNCE comes first */
		return;
	}
	if (is_new && !open_session(r, transport.over))
		return;
	int result = rtsp_session_set_up(r->session, (unsigned)r->track, &transport);
	if (result < 0) {
		log_warn(&r->c->log, "no UDP ports: %s", strerror(-result));
		if (is_new)
			rtsp_session_end(r->session);
		rtsp_answer(r, 500);
		return;
	}
	add_transport(r, &transport);
	rtsp_add_field(r, "Session: %s;timeout=%d", r->session->id, RTSP_TIMEOUT_S);
	rtsp_answer(r, 200);
}
