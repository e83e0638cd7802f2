/* The RTSP server's methods (RFC 2326 section 10), as a table: what each needs, and what it does. */
#include <errno.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/util.h>

#include "protocols/rtsp_replay.h"
#include "protocols/rtsp_server_request.h"
#include "protocols/rtsp_talk.h"
#include "server/base/audit.h"

#define RTSP_PUBLIC                                                                               \
	"OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, GET_PARAMETER, SET_PARAMETER, " \
	"TEARDOWN"

/* --- OPTIONS, DESCRIBE --- */

static void run_options(struct rtsp_request *r)
{
	rtsp_add_field(r, "Public: " RTSP_PUBLIC);
	if (r->session)
		rtsp_answer_session(r, 200);
	else
		rtsp_answer(r, 200);
}

/* As if there were none for who may not: players ask again without it then. */
static bool check_backchannel(struct rtsp_request *r)
{
	const char *why = NULL;

	if (!rtsp_message_requires(r->message, RTSP_BACKCHANNEL))
		return true;
	if (rtsp_check_talk(r) == -ENOENT || r->asks_group)
		why = "The camera has no back channel";
	else if (!rtsp_request_may(r, FOR_TALKERS))
		why = "This user may not talk";
	if (!why)
		return true;
	rtsp_add_field(r, "Unsupported: " RTSP_BACKCHANNEL);
	rtsp_answer_with(r, 551, why, NULL);
	return false;
}

static bool check_describe(struct rtsp_request *r)
{
	struct message_text accept = message_find(r->message, "Accept");

	if (!accept.p || accept.n == 0)
		return check_backchannel(r);
	for (size_t i = 0; i + 3 <= accept.n; i++) {
		struct message_text rest = { accept.p + i, accept.n - i };
		if (message_text_starts(rest, "application/sdp") ||
			message_text_starts(rest, "application/*") ||
			message_text_starts(rest, "*/*"))
			return check_backchannel(r);
	}
	rtsp_answer(r, 406);
	return false;
}

static void run_describe(struct rtsp_request *r)
{
	struct evbuffer *body = evbuffer_new();
	char host[64];

	rtsp_local_host(r, host, sizeof(host));
	if (!r->asks_group || !rtsp_multicast_write_sdp(r->c->server, r->name, host, body))
		r->source->kind->write_sdp(r->source, r->message, host, body);
	rtsp_add_field(r, "Content-Base: %s", r->base);
	rtsp_add_field(r, "Content-Type: application/sdp");
	rtsp_add_field(r, "Cache-Control: no-cache");
	rtsp_answer_with(r, 200, "OK", body);
	evbuffer_free(body);
}

/* --- ANNOUNCE --- */

#define RTSP_ALLOW "Allow: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"

static void answer_no_place(struct rtsp_request *r)
{
	if (!stream_find(r->name)) {
		rtsp_answer(r, 404);
		return;
	}
	rtsp_add_field(r, RTSP_ALLOW);
	rtsp_answer_with(r, 405, "This camera is not one to publish to", NULL);
}

static void answer_busy(struct rtsp_request *r)
{
	rtsp_add_field(r, RTSP_ALLOW);
	rtsp_answer_with(r, 455, "Somebody else publishes to this camera", NULL);
}

static bool check_announce(struct rtsp_request *r)
{
	struct message_text type = message_find(r->message, "Content-Type");

	if (r->session)
		rtsp_answer_session(r, 455);
	else if (!LIST_EMPTY(&r->c->sessions))
		rtsp_answer(r, 455);
	else if (r->body.n == 0 || !message_text_starts(type, "application/sdp"))
		rtsp_answer(r, 415);
	return !r->answered;
}

static void run_announce(struct rtsp_request *r)
{
	struct rtsp_connection *c = r->c;
	const char *why = "";

	rtsp_source_free(c->source);
	c->source = NULL;
	switch (rtsp_publisher_new(
		&c->source, c, r->name, r->user ? r->user->name : NULL, r->body, &why)) {
	case 0:
		rtsp_answer(r, 200);
		break;
	case -ENOENT:
		answer_no_place(r);
		break;
	case -EBUSY:
		answer_busy(r);
		break;
	case -ENOTSUP:
		rtsp_answer(r, 415);
		break;
	default:
		rtsp_answer_with(r, 400, why, NULL);
		break;
	}
}

/* --- PLAY, RECORD, PAUSE, TEARDOWN, parameters --- */

/* A track's URL will do where it is all that the session has. */
static bool check_aggregate(struct rtsp_request *r)
{
	const struct rtsp_session *s = r->session;

	if (!rtsp_names_source(r, s->source)) {
		rtsp_answer_session(r, 455);
		return false;
	}
	for (int i = 0; i < STREAM_TRACKS; i++)
		if (r->track != TRACK_NONE && i != r->track && s->tracks[i].set_up) {
			rtsp_answer_session(r, 460);
			return false;
		}
	return true;
}

static void add_rtp_info(struct rtsp_request *r)
{
	const struct rtsp_session *s = r->session;
	const char *before = "RTP-Info: ";

	for (unsigned i = 0; i < STREAM_TRACKS; i++) {
		struct rtsp_start start;
		if (!s->tracks[i].set_up || !s->source->kind->get_start(s->source, i, &start))
			continue;
		evbuffer_add_printf(r->fields, "%surl=%strackID=%u;seq=%u;rtptime=%u", before,
			r->base, i, start.sequence, start.timestamp);
		before = ",";
	}
	if (*before == ',')
		evbuffer_add(r->fields, "\r\n", 2);
}

static const char *over_words(enum rtsp_over over)
{
	switch (over) {
	case RTSP_OVER_TCP:
		return "TCP";
	case RTSP_OVER_UDP:
		return "UDP";
	case RTSP_OVER_MULTICAST:
		return "multicast";
	}
	return "";
}

static void run_play(struct rtsp_request *r)
{
	struct rtsp_session *s = r->session;
	int result = rtsp_session_start(s, r->message, r->fields);

	if (result == -EINPROGRESS) {
		rtsp_wait_for_source(r, s->source);
		return;
	}
	if (result > 0) {
		rtsp_answer_session(r, result);
		return;
	}
	if (result < 0) {
		rtsp_answer_unavailable(r); /* it went, or changed, since SETUP */
		rtsp_session_end(s);
		return;
	}
	log_info(&s->log, "%s plays over %s%s", r->c->peer, over_words(s->over),
		r->c->tunnel ? " through HTTP" : "");
	add_rtp_info(r);
	rtsp_answer_session(r, 200);
	rtsp_session_flush(s);
}

static void run_record(struct rtsp_request *r)
{
	const struct audit_actor actor = { r->user ? r->user->name : NULL,
		connection_peer_address(r->c->connection), "rtsp" };
	struct rtsp_session *s = r->session;
	int result = rtsp_session_start(s, r->message, r->fields);

	if (result == -EBUSY) {
		answer_busy(r);
		return;
	}
	if (result < 0) {
		rtsp_answer_session(r, 455); /* without its picture */
		return;
	}
	audit(&actor, "publish", "%s", s->source->name);
	log_info(&s->log, "%s publishes over %s%s", r->c->peer, over_words(s->over),
		r->c->tunnel ? " through HTTP" : "");
	rtsp_answer_session(r, 200);
	rtsp_session_flush(s);
}

/* Who publishes keeps his place while he pauses, for as long as media may be missing. */
static void run_pause(struct rtsp_request *r)
{
	if (!rtsp_source_is_published(r->session->source))
		rtsp_session_pause(r->session);
	rtsp_answer_session(r, 200);
}

static void run_teardown(struct rtsp_request *r)
{
	rtsp_answer(r, 200);
	rtsp_session_end(r->session);
}

/* Without a body it keeps the session alive; there are no parameters. */
static void run_parameter(struct rtsp_request *r)
{
	int status = r->body.n > 0 ? 451 : 200;

	if (r->session)
		rtsp_answer_session(r, status);
	else
		rtsp_answer(r, status);
}

static const struct rtsp_method methods[] = {
	{"OPTIONS",        NEEDS_NOTHING,                               NULL,             run_options   },
	{ "DESCRIBE",      NEEDS_USER | NEEDS_SOURCE | FOR_PLAYERS,     check_describe,   run_describe  },
	{ "ANNOUNCE",      NEEDS_USER | FOR_PUBLISHERS,                 check_announce,   run_announce  },
	{ "SETUP",         NEEDS_USER | NEEDS_SOURCE | FOR_ALL,         rtsp_check_setup, rtsp_run_setup},
	{ "PLAY",          NEEDS_USER | NEEDS_SESSION | FOR_PLAYERS,    check_aggregate,  run_play      },
	{ "RECORD",        NEEDS_USER | NEEDS_SESSION | FOR_PUBLISHERS, check_aggregate,  run_record    },
	{ "PAUSE",         NEEDS_USER | NEEDS_SESSION | FOR_ALL,        check_aggregate,  run_pause     },
	{ "GET_PARAMETER", NEEDS_USER | FOR_ALL,                        NULL,             run_parameter },
	{ "SET_PARAMETER", NEEDS_USER | FOR_ALL,                        NULL,             run_parameter },
	{ "TEARDOWN",      NEEDS_USER | NEEDS_SESSION | FOR_ALL,        check_aggregate,  run_teardown  },
};
/* Of RFC 2326, but not for a server to be asked. */
static const char *const methods_not_allowed[] = { "REDIRECT" };

bool rtsp_find_method(struct rtsp_request *r)
{
	for (size_t i = 0; i < ARRAY_LENGTH(methods); i++)
		if (message_text_is(r->message->method, methods[i].name))
			r->method = &methods[i];
	if (r->method)
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(methods_not_allowed); i++) {
		if (!message_text_is(r->message->method, methods_not_allowed[i]))
			continue;
		rtsp_add_field(r, "Allow: " RTSP_PUBLIC);
		rtsp_answer(r, 405);
		return false;
	}
	rtsp_add_field(r, "Public: " RTSP_PUBLIC);
	rtsp_answer(r, 501);
	return false;
}
