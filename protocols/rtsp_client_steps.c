/* The conversation with a camera (RFC 2326): one state, one step after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/rtsp_client_private.h"
#include "server/base/memory.h"

enum {
	STEP_US = 10000000,
	REDIRECTS_MOST = 3,
	REFUSED_LOGIN_S = 60,
};

/* --- what is sent --- */

static void send_options(struct rtsp_client *client)
{
	rtsp_client_send(client, "OPTIONS", client->base, "");
}

static void send_describe(struct rtsp_client *client)
{
	rtsp_client_send(client, "DESCRIBE", client->base, "Accept: application/sdp\r\n");
}

/* Of the track that is being set up. */
static const struct sdp_media *setup_media(const struct rtsp_client *client)
{
	return client->next_setup == RTSP_BACK_TRACK
		       ? &client->back
		       : &client->receiver.tracks[client->next_setup].media;
}

static void send_setup(struct rtsp_client *client)
{
	struct rtsp_track *track = &client->tracks[client->next_setup];
	char fields[128];
	struct uri uri;

	if (uri_join_control(
		    &uri, &client->uri, client->session_base, setup_media(client)->control) < 0) {
		rtsp_client_end(client, SOURCE_PROTOCOL, "a track's control is too long");
		return;
	}
	uri_write(client->target, sizeof(client->target), &uri);
	track->channel = (uint8_t)(2 * client->next_setup);
	track->rtcp_channel = track->channel + 1;
	if (client->transport == TRANSPORT_UDP && !track->udp && rtsp_track_open_udp(track) < 0) {
		rtsp_client_end(client, SOURCE_FAILED, "no UDP ports are to be had");
		return;
	}
	if (client->transport == TRANSPORT_UDP)
		snprintf(fields, sizeof(fields), "Transport: RTP/AVP;unicast;client_port=%u-%u\r\n",
			datagram_pair_port(track->udp), datagram_pair_port(track->udp) + 1U);
	else
		snprintf(fields, sizeof(fields),
			"Transport: RTP/AVP/TCP;unicast;interleaved=%u-%u\r\n", track->channel,
			track->rtcp_channel);
	rtsp_client_send(client, "SETUP", client->target, fields);
}

static void send_play(struct rtsp_client *client)
{
	rtsp_client_send(client, "PLAY", client->aggregate,
		client->plain_play ? "" : "Range: npt=0.000-\r\n");
}

/* An answer is not waited for; who never answers one method is asked by the other. */
void rtsp_client_send_keepalive(struct rtsp_client *client)
{
	if (client->keepalive_unanswered && client->keepalive == RTSP_KEEPALIVE_GET_PARAMETER)
		client->keepalive = RTSP_KEEPALIVE_OPTIONS;
	client->keepalive_unanswered = true;
	client->keepalive_us = reactor_monotonic_us();
	digest_client_begin(&client->credentials);
	rtsp_client_send(client,
		client->keepalive == RTSP_KEEPALIVE_GET_PARAMETER ? "GET_PARAMETER" : "OPTIONS",
		client->aggregate, "");
}

typedef void answer_fn(
	struct rtsp_client *client, const struct message *answer, struct message_text body);
static answer_fn on_options, on_describe, on_setup, on_play, on_keepalive;

static const struct rtsp_step {
	const char *name; /* in logs: what it is doing */
	void (*send)(struct rtsp_client *client);
	answer_fn *on_answer;
} steps[] = {
	[RTSP_CONNECTING] = {"connecting", NULL,                 NULL                 },
	[RTSP_TUNNEL] = { "GET",       rtsp_tunnel_send_get, rtsp_tunnel_on_answer},
	[RTSP_OPTIONS] = { "OPTIONS",   send_options,         on_options           },
	[RTSP_DESCRIBE] = { "DESCRIBE",  send_describe,        on_describe          },
	[RTSP_SETUP] = { "SETUP",     send_setup,           on_setup             },
	[RTSP_PLAY] = { "PLAY",      send_play,            on_play              },
	[RTSP_PLAYING] = { "playing",   NULL,                 on_keepalive         },
	[RTSP_ENDED] = { "ended",     NULL,                 NULL                 },
};

void rtsp_client_enter(struct rtsp_client *client, enum rtsp_client_state state)
{
	log_debug(&client->log, "-> %s", steps[state].name);
	client->state = state;
	client->log.doing = steps[state].name;
	digest_client_begin(&client->credentials);
	reactor_timer_stop(client->step_timer);
	if (state != RTSP_CONNECTING && state != RTSP_PLAYING && state != RTSP_ENDED)
		reactor_timer_start(client->step_timer, STEP_US);
	if (steps[state].send)
		steps[state].send(client);
}

/* --- refusals --- */

static void client_stay_away(struct rtsp_client *client, uint64_t seconds)
{
	if (client->order.retry_after_us)
		*client->order.retry_after_us = (int64_t)seconds * 1000000;
}

static void client_take_retry_after(struct rtsp_client *client, const struct message *answer)
{
	uint64_t seconds;

	if (message_text_number(message_find(answer, "Retry-After"), 1000000, &seconds))
		client_stay_away(client, seconds);
}

/* Ends with what the camera answered, as "DESCRIBE: 404 Not Found". */
static void client_end_by_status(struct rtsp_client *client, const struct message *answer)
{
	static const struct {
		int status;
		enum source_end end;
	} rows[] = {
		{401,  SOURCE_UNAUTHORIZED},
		{ 403, SOURCE_UNAUTHORIZED},
		{ 404, SOURCE_NOT_FOUND   },
		{ 410, SOURCE_NOT_FOUND   },
		{ 453, SOURCE_BUSY        },
		{ 503, SOURCE_BUSY        },
	};
	enum source_end end = SOURCE_PROTOCOL;
	const char *more = "";
	char reason[64], detail[224];

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (rows[i].status == answer->status)
			end = rows[i].end;
	}
	/* Dahua says 401 to one reader too many */
	if (answer->status == 401 && client->memory->logged_in) {
		end = SOURCE_BUSY;
		more = ", although it took this password before";
		client_stay_away(client, REFUSED_LOGIN_S);
	}
	client_take_retry_after(client, answer);
	message_text_copy(reason, sizeof(reason), answer->reason);
	snprintf(detail, sizeof(detail), "%s: %d %s%s", client->log.doing, answer->status, reason,
		more);
	rtsp_client_end(client, end, detail);
}

/* SETUP was refused, perhaps for its transport: the other one, when the choice is ours. */
static bool client_switch_transport(struct rtsp_client *client, int status)
{
	static const int refusals[] = { 400, 406, 415, 461, 500, 501, 551 };
	bool is_refusal = false;

	for (size_t i = 0; i < ARRAY_LENGTH(refusals); i++)
		is_refusal = is_refusal || refusals[i] == status;
	if (!is_refusal || !client->may_switch || client->next_setup > 0)
		return false;
	client->may_switch = false;
	client->transport = client->transport == TRANSPORT_TCP ? TRANSPORT_UDP : TRANSPORT_TCP;
	log_info(&client->log, "the camera refuses this transport (%d): trying %s", status,
		client->transport == TRANSPORT_UDP ? "UDP" : "TCP");
	rtsp_client_drop_tracks(client);
	client->session[0] = '\0';
	rtsp_client_enter(client, RTSP_DESCRIBE); /* Hikvision wants it before each first SETUP */
	return true;
}

/* Credentials were refused for a track, after they did for the description: signs another URI. */
static bool client_switch_signature(struct rtsp_client *client)
{
	if (client->state != RTSP_SETUP || !client->memory->logged_in)
		return false;
	client->memory->signs_base = !client->memory->signs_base;
	if (client->switched_signature) /* and back: that was not it */
		return false;
	client->switched_signature = true;
	send_setup(client);
	return true;
}

static void client_switch_keepalive(struct rtsp_client *client)
{
	client->keepalive = client->keepalive == RTSP_KEEPALIVE_OPTIONS
				    ? RTSP_KEEPALIVE_GET_PARAMETER
				    : RTSP_KEEPALIVE_OPTIONS;
	client->memory->keepalive = client->keepalive;
}

/* An answer of 400 or more. Returns whether the step goes on all the same. */
static bool client_bear(struct rtsp_client *client, int status)
{
	switch (client->state) {
	case RTSP_OPTIONS: /* some do not know it */
		return status != 401;
	case RTSP_SETUP:
		if (setup_media(client)->kind != SDP_VIDEO) {
			log_warn(&client->log, "without a track: the camera answers %d", status);
			return true;
		}
		return false;
	case RTSP_PLAYING:
		return true;
	case RTSP_CONNECTING:
	case RTSP_TUNNEL:
	case RTSP_DESCRIBE:
	case RTSP_PLAY:
	case RTSP_ENDED:
		return false;
	}
	return false;
}

/* The description, without what only some cameras have. Not where there is no room, or nothing. */
static bool client_stop_asking_back(struct rtsp_client *client, int status)
{
	if (client->state != RTSP_DESCRIBE || !client->asks_back || status == 404 ||
		status == 453 || status == 503)
		return false;
	log_warn(
		&client->log, "asked for its back channel it answers %d: going on without", status);
	client->asks_back = false;
	send_describe(client);
	return true;
}

/* Tries what may help against this refusal. Returns whether the request was sent anew. */
static bool client_try_again(struct rtsp_client *client, const struct message *answer)
{
	const struct rtsp_step *step = &steps[client->state];

	if (answer->status == 401 &&
		digest_client_take(&client->credentials, answer, &client->uri)) {
		if (step->send)
			step->send(client);
		else
			rtsp_client_send(client, "OPTIONS", client->aggregate, "");
		return true;
	}
	if (answer->status == 401)
		return client_switch_signature(client);
	if (client_stop_asking_back(client, answer->status))
		return true;
	if (client->state == RTSP_SETUP && client_switch_transport(client, answer->status))
		return true;
	if (client->state == RTSP_PLAY && !client->plain_play && answer->status != 404 &&
		answer->status < 500) {
		client->plain_play = true;
		send_play(client);
		return true;
	}
	return false;
}

void rtsp_client_on_answer(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	const struct rtsp_step *step = &steps[client->state];

	/* Cameras count CSeq as they like; one request is under way, so answers come in order. */
	if (answer->status < 200 || !step->on_answer)
		return;
	if (answer->status >= 400 && client_try_again(client, answer))
		return;
	if (answer->status >= 400 && !client_bear(client, answer->status)) {
		client_end_by_status(client, answer);
		return;
	}
	if (client->credentials.challenge.scheme != DIGEST_NONE && answer->status < 300)
		client->memory->logged_in = true;
	step->on_answer(client, answer, body);
}

/* --- what the camera answers --- */

static void on_options(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	(void)body;
	client->keepalive = client->memory->keepalive;
	if (client->keepalive == RTSP_KEEPALIVE_UNKNOWN)
		client->keepalive =
			message_text_has_token(message_find(answer, "Public"), "GET_PARAMETER")
				? RTSP_KEEPALIVE_GET_PARAMETER
				: RTSP_KEEPALIVE_OPTIONS;
	rtsp_client_enter(client, RTSP_DESCRIBE);
}

/* Content-Base, or Content-Location, or what was asked for (RFC 2326 appendix C.1.1). */
static void client_set_base(struct rtsp_client *client, const struct message *answer)
{
	struct message_text base = message_find(answer, "Content-Base");
	struct uri uri;

	if (!base.n)
		base = message_find(answer, "Content-Location");
	if (base.n) {
		rtsp_repair_base(&uri, &client->uri, base.p, base.n);
		uri_write(client->session_base, sizeof(client->session_base), &uri);
		explicit_bzero(&uri, sizeof(uri));
	} else {
		memcpy(client->session_base, client->base, sizeof(client->session_base));
	}
}

static void client_redirect(struct rtsp_client *client, const struct message *answer)
{
	struct message_text location = message_find(answer, "Location");
	struct uri uri;

	if (++client->redirects > REDIRECTS_MOST ||
		rtsp_parse_location(&uri, &client->uri, location.p, location.n) < 0 ||
		client->scheme->tunnel) {
		client_end_by_status(client, answer);
		return;
	}
	client->uri = uri;
	client->scheme = rtsp_scheme_find(&uri);
	client->credentials = (struct digest_client){ 0 };
	explicit_bzero(&uri, sizeof(uri));
	connection_abandon(&client->connection);
	rtsp_client_connect(client);
}

/* Takes what the camera listens to, and whatever else it offers to listen to, out of the description. */
static void client_choose_back(struct rtsp_client *client, struct sdp *sdp)
{
	bool is_back[SDP_MEDIA];

	for (size_t i = 0; i < sdp->n_media; i++)
		is_back[i] = sdp_is_asked_backchannel(sdp, i);
	for (size_t i = 0; i < sdp->n_media; i++) {
		if (!is_back[i])
			continue;
		if (!client->has_back)
			client->back = sdp->media[i];
		client->has_back = true;
		sdp->media[i].kind = SDP_OTHER;
	}
	if (!client->has_back)
		log_warn(&client->log, "the camera has no back channel");
	client->asks_back = client->has_back;
}

static void on_describe(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	char detail[128] = "";
	const char *why = "";
	enum source_end end;
	struct uri aggregate;
	struct sdp *sdp;

	if (answer->status == 301 || answer->status == 302) {
		client_redirect(client, answer);
		return;
	}
	client_set_base(client, answer);
	sdp = xmalloc(sizeof(*sdp));
	if (sdp_parse(sdp, body.p, body.n, &why) < 0) {
		rtsp_client_end(client, SOURCE_PROTOCOL, why);
		free(sdp);
		return;
	}
	if (client->asks_back)
		client_choose_back(client, sdp);
	end = rtp_receiver_choose(&client->receiver, sdp, detail, sizeof(detail));
	/* tracks are relative to the base, PLAY names the session's own control */
	if (end == SOURCE_STOPPED &&
		uri_join_control(&aggregate, &client->uri, client->session_base, sdp->control) < 0)
		end = SOURCE_PROTOCOL;
	free(sdp);
	if (end != SOURCE_STOPPED) {
		rtsp_client_end(client, end, detail[0] ? detail : NULL);
		return;
	}
	uri_write(client->aggregate, sizeof(client->aggregate), &aggregate);
	rtsp_client_enter(client, RTSP_SETUP);
}

/* The first SETUP's id stays, whatever later answers say. */
static void client_set_session(struct rtsp_client *client, const struct message *answer)
{
	struct message_text field = message_find(answer, "Session");
	struct rtsp_session session;

	if (rtsp_parse_session(&session, field.p, field.n) < 0)
		return;
	if (!client->session[0])
		snprintf(client->session, sizeof(client->session), "%s", session.id);
	if (session.has_timeout)
		client->session_timeout_s = session.timeout_s;
}

/* The receiver's tracks, then the back channel. */
static bool client_has_next_setup(struct rtsp_client *client)
{
	if (client->next_setup == RTSP_BACK_TRACK)
		return false;
	if (++client->next_setup < client->receiver.n_tracks)
		return true;
	client->next_setup = RTSP_BACK_TRACK;
	return client->has_back;
}

static void on_setup(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	unsigned number = client->next_setup;
	struct rtsp_track *track = &client->tracks[number];
	struct message_text field = message_find(answer, "Transport");
	struct rtsp_transport_answer transport;

	(void)body;
	client_set_session(client, answer);
	rtsp_parse_transport_answer(&transport, field.p, field.n);
	if (answer->status >= 300)
		rtsp_track_refused(track);
	else if (client->transport == TRANSPORT_UDP && transport.lower != RTSP_LOWER_TCP)
		rtsp_track_set_server_ports(
			track, transport.server_ports[0], transport.server_ports[1]);
	else
		rtsp_track_set_channels(track, &transport);
	if (transport.has_ssrc && number != RTSP_BACK_TRACK &&
		client->receiver.tracks[number].reorder)
		rtp_reorder_prefer(client->receiver.tracks[number].reorder, transport.ssrc);
	rtsp_client_enter(client, client_has_next_setup(client) ? RTSP_SETUP : RTSP_PLAY);
}

static void on_play(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	struct message_text field = message_find(answer, "RTP-Info");
	struct rtsp_rtp_info infos[RTP_RECEIVER_TRACKS];
	size_t n = rtsp_parse_rtp_info(infos, RTP_RECEIVER_TRACKS, field.p, field.n);
	bool udp = client->transport == TRANSPORT_UDP;

	(void)body;
	client_set_session(client, answer);
	for (unsigned i = 0; i < client->receiver.n_tracks; i++) {
		struct rtp_receiver_track *track = &client->receiver.tracks[i];
		const struct rtsp_rtp_info *info =
			rtsp_find_rtp_info(infos, n, track->media.control, i);

		track->has_play_time = info && info->has_time;
		track->play_time = info ? info->time : 0;
		if (info && info->has_sequence && track->reorder)
			rtp_reorder_expect(track->reorder, info->sequence);
	}
	if (client->has_back)
		client->talk =
			rtsp_talk_new(client->order.camera, &client->back, rtsp_client_say, client);
	if (client->talk)
		log_info(&client->log, "the camera listens to %s", client->back.encoding);
	connection_set_paced(client->connection);
	rtsp_client_enter(client, RTSP_PLAYING);
	reactor_timer_start(
		client->keepalive_timer, (int64_t)client->session_timeout_s * 1000000 / 2);
	rtp_receiver_start(&client->receiver, udp ? RTSP_FIRST_UDP_US : RTSP_SILENCE_TCP_US,
		udp ? RTSP_SILENCE_UDP_US : RTSP_SILENCE_TCP_US);
}

static void on_keepalive(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	(void)body;
	client->keepalive_unanswered = false;
	if (answer->status < 300)
		client->memory->keepalive = client->keepalive;
	else if (answer->status >= 400)
		client_switch_keepalive(client);
}

/* --- what the camera asks --- */

static void on_announce(struct rtsp_client *client, struct message_text body)
{
	struct sdp *sdp = xmalloc(sizeof(*sdp));
	const char *why;
	bool same = sdp_parse(sdp, body.p, body.n, &why) < 0 ||
		    rtp_receiver_is_of(&client->receiver, sdp);

	free(sdp);
	if (!same)
		rtsp_client_end(client, SOURCE_CLOSED, "the camera announced other tracks");
}

void rtsp_client_on_request(
	struct rtsp_client *client, const struct message *request, struct message_text body)
{
	rtsp_client_send_ok(client, request);
	if (message_text_is(request->method, "ANNOUNCE"))
		on_announce(client, body);
	else if (message_text_is(request->method, "TEARDOWN"))
		rtsp_client_end(client, SOURCE_CLOSED, "TEARDOWN from the camera");
	else if (message_text_is(request->method, "REDIRECT"))
		rtsp_client_end(client, SOURCE_CLOSED, "REDIRECT from the camera");
}
