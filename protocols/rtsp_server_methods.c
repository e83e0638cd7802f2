/* The RTSP server's methods (RFC 2326 section 10), as a table: what each needs, and what it does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/util.h>

#include "protocols/rtsp_replay.h"
#include "protocols/rtsp_server_private.h"
#include "protocols/rtsp_talk.h"
#include "server/base/audit.h"

enum {
	URL_BYTES = URI_HOST_BYTES + URI_PATH_BYTES + 64,
	RETRY_AFTER_S = 5,
	TRACK_NONE = -1
};

/* What a method needs before it is run. */
enum {
	NEEDS_NOTHING = 0,
	NEEDS_USER = 1 << 0,    /* credentials, when users are configured */
	NEEDS_SOURCE = 1 << 1,  /* something that can be played now and that the user may see */
	NEEDS_SESSION = 1 << 2, /* a session, else 454 */
	/* Whom it is for, else 455; each of them has a permission of its own. */
	FOR_PLAYERS = 1 << 3,
	FOR_PUBLISHERS = 1 << 4,
	FOR_ALL = FOR_PLAYERS | FOR_PUBLISHERS,
	FOR_TALKERS = 1 << 5, /* who are players */
};

struct rtsp_request {
	struct rtsp_connection *c;
	const struct message *message;
	const struct rtsp_method *method;
	struct message_text body, cseq;
	const struct auth_user *user;
	char name[RTSP_NAME_BYTES]; /* of what is to be played; "" for "*" */
	int track;                  /* or TRACK_NONE */
	bool asks_group;            /* the query says that it is to be described as multicast */
	char base[URL_BYTES];       /* rtsp://host:port/name/ */
	struct rtsp_source *source;
	struct rtsp_session *session;
	struct evbuffer *fields; /* of the answer, with CRLF */
	bool answered, waits;    /* waits: for the source, and is read again then */
};

struct rtsp_method {
	const char *name;
	unsigned needs;
	/* Answers and returns false when the request cannot be run; may be NULL. */
	bool (*check)(struct rtsp_request *r);
	void (*run)(struct rtsp_request *r);
};

#define RTSP_PUBLIC                                                                               \
	"OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, GET_PARAMETER, SET_PARAMETER, " \
	"TEARDOWN"

/* --- answers --- */

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{200,  "OK"			      },
	{ 400, "Bad Request"                     },
	{ 401, "Unauthorized"                    },
	{ 403, "Forbidden"                       },
	{ 404, "Not Found"                       },
	{ 405, "Method Not Allowed"              },
	{ 406, "Not Acceptable"                  },
	{ 415, "Unsupported Media Type"          },
	{ 429, "Too Many Requests"               }, /* HTTP's (RFC 6585); RTSP has no other word for it */
	{ 451, "Parameter Not Understood"        },
	{ 453, "Not Enough Bandwidth"            },
	{ 454, "Session Not Found"               },
	{ 455, "Method Not Valid in This State"  },
	{ 457, "Invalid Range"                   },
	{ 459, "Aggregate Operation Not Allowed" },
	{ 460, "Only Aggregate Operation Allowed"},
	{ 461, "Unsupported Transport"           },
	{ 500, "Internal Server Error"           },
	{ 501, "Not Implemented"                 },
	{ 503, "Service Unavailable"             },
	{ 505, "RTSP Version Not Supported"      },
	{ 551, "Option not supported"            },
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < ARRAY_LENGTH(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Error";
}

static void count_request(const char *method, int status)
{
	char text[8];

	(void)evutil_snprintf(text, sizeof(text), "%d", status);
	metric_add(metric_get(METRIC_RTSP_REQUESTS, method, text), 1);
}

void rtsp_answer_malformed(struct rtsp_connection *c, int status, const char *why)
{
	struct evbuffer *output = connection_output(c->connection);

	evbuffer_add_printf(
		output, "RTSP/1.0 %d %s\r\nServer: nvrd\r\nConnection: close\r\n\r\n", status, why);
	count_request("other", status);
}

PRINTF(2, 3)
static void add_field(struct rtsp_request *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	evbuffer_add_vprintf(r->fields, format, arguments);
	va_end(arguments);
	evbuffer_add(r->fields, "\r\n", 2);
}

static void answer_with(
	struct rtsp_request *r, int status, const char *reason, struct evbuffer *body)
{
	struct evbuffer *output = connection_output(r->c->connection);

	r->answered = true;
	evbuffer_add_printf(output, "RTSP/1.0 %d %s\r\n", status, reason);
	if (r->cseq.p)
		evbuffer_add_printf(output, "CSeq: %.*s\r\n", (int)r->cseq.n, r->cseq.p);
	evbuffer_add_printf(output, "Server: nvrd\r\n");
	evbuffer_add_buffer(output, r->fields);
	if (body)
		evbuffer_add_printf(output, "Content-Length: %zu\r\n", evbuffer_get_length(body));
	evbuffer_add(output, "\r\n", 2);
	if (body)
		evbuffer_add_buffer(output, body);
	count_request(r->method ? r->method->name : "other", status);
}

static void answer(struct rtsp_request *r, int status)
{
	answer_with(r, status, reason_of(status), NULL);
}

static void answer_session(struct rtsp_request *r, int status)
{
	add_field(r, "Session: %s", r->session->id);
	answer(r, status);
}

static void answer_unavailable(struct rtsp_request *r)
{
	add_field(r, "Retry-After: %d", RETRY_AFTER_S);
	answer(r, 503);
}

/* --- waiting --- */

/* The request is read again when the source can say more. */
static void wait_for_source(struct rtsp_request *r, struct rtsp_source *source)
{
	r->waits = true;
	rtsp_connection_pause(r->c);
	source->waiting = r->c;
}

/* --- OPTIONS, DESCRIBE --- */

static void run_options(struct rtsp_request *r)
{
	add_field(r, "Public: " RTSP_PUBLIC);
	if (r->session)
		answer_session(r, 200);
	else
		answer(r, 200);
}

/* Whether the user may do what is for one of these, by the scope of his password and his role. */
static bool may(const struct rtsp_request *r, unsigned whom)
{
	unsigned scopes = r->c->asker.scopes;

	return (whom & FOR_PLAYERS && scopes & SCOPE_RTSP) ||
	       (whom & FOR_PUBLISHERS && scopes & SCOPE_RTSP_PUBLISH &&
		       auth_may_operate(r->user)) ||
	       (whom & FOR_TALKERS && scopes & SCOPE_RTSP_TALK && auth_may_operate(r->user));
}

/* 0, or as check_talk() of a source says. */
static int check_talk(const struct rtsp_request *r)
{
	return r->source->kind->check_talk ? r->source->kind->check_talk(r->source) : -ENOENT;
}

/* As if there were none for who may not: players ask again without it then. */
static bool check_backchannel(struct rtsp_request *r)
{
	const char *why = NULL;

	if (!rtsp_message_requires(r->message, RTSP_BACKCHANNEL))
		return true;
	if (check_talk(r) == -ENOENT || r->asks_group)
		why = "The camera has no back channel";
	else if (!may(r, FOR_TALKERS))
		why = "This user may not talk";
	if (!why)
		return true;
	add_field(r, "Unsupported: " RTSP_BACKCHANNEL);
	answer_with(r, 551, why, NULL);
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
	answer(r, 406);
	return false;
}

/* Our own address without port and brackets, as this client reached it. */
static void local_host(const struct rtsp_request *r, char *ret, size_t size)
{
	struct sockaddr_storage local;
	const void *address;

	if (connection_local_address(r->c->connection, &local) < 0) {
		(void)evutil_snprintf(ret, size, "0.0.0.0");
		return;
	}
	if (local.ss_family == AF_INET6)
		address = &((const struct sockaddr_in6 *)(const void *)&local)->sin6_addr;
	else
		address = &((const struct sockaddr_in *)(const void *)&local)->sin_addr;
	if (!evutil_inet_ntop(local.ss_family, address, ret, size))
		(void)evutil_snprintf(ret, size, "0.0.0.0");
}

static void run_describe(struct rtsp_request *r)
{
	struct evbuffer *body = evbuffer_new();
	char host[64];

	local_host(r, host, sizeof(host));
	if (!r->asks_group || !rtsp_multicast_write_sdp(r->c->server, r->name, host, body))
		r->source->kind->write_sdp(r->source, r->message, host, body);
	add_field(r, "Content-Base: %s", r->base);
	add_field(r, "Content-Type: application/sdp");
	add_field(r, "Cache-Control: no-cache");
	answer_with(r, 200, reason_of(200), body);
	evbuffer_free(body);
}

/* --- ANNOUNCE --- */

#define RTSP_ALLOW "Allow: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"

static void answer_no_place(struct rtsp_request *r)
{
	if (!stream_find(r->name)) {
		answer(r, 404);
		return;
	}
	add_field(r, RTSP_ALLOW);
	answer_with(r, 405, "This camera is not one to publish to", NULL);
}

static void answer_busy(struct rtsp_request *r)
{
	add_field(r, RTSP_ALLOW);
	answer_with(r, 455, "Somebody else publishes to this camera", NULL);
}

static bool check_announce(struct rtsp_request *r)
{
	struct message_text type = message_find(r->message, "Content-Type");

	if (r->session)
		answer_session(r, 455);
	else if (!LIST_EMPTY(&r->c->sessions))
		answer(r, 455);
	else if (r->body.n == 0 || !message_text_starts(type, "application/sdp"))
		answer(r, 415);
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
		answer(r, 200);
		break;
	case -ENOENT:
		answer_no_place(r);
		break;
	case -EBUSY:
		answer_busy(r);
		break;
	case -ENOTSUP:
		answer(r, 415);
		break;
	default:
		answer_with(r, 400, why, NULL);
		break;
	}
}

/* --- SETUP --- */

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
	return r->track == RTSP_TALK_TRACK && check_talk(r) != -ENOENT;
}

static bool check_setup_talk(struct rtsp_request *r)
{
	if (!may(r, FOR_TALKERS))
		answer(r, 403);
	else if (check_talk(r) == -ESTALE)
		answer(r, 455);
	else if (check_talk(r) == -EBUSY)
		answer_with(r, 453, "Somebody else talks to this camera", NULL);
	return !r->answered;
}

static bool check_setup(struct rtsp_request *r)
{
	struct rtsp_session *s = r->session;

	if (r->source->kind->find_track)
		r->track = r->source->kind->find_track(r->source, r->message->target);
	else if (r->track == TRACK_NONE)
		r->track = only_track(r->source);
	if (r->track < 0 || (s && s->source != r->source))
		answer(r, 459);
	else if (!names_talk(r) && !r->source->kind->takes_track(r->source, (unsigned)r->track))
		answer(r, 404);
	else if (s && s->state != RTSP_READY)
		answer_session(r, 455);
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
		answer_unavailable(r);
		return false;
	}
	if (!connection_peer_is_loopback(r->c->connection) && has_enough(r)) {
		answer(r, 453);
		return false;
	}
	source = over == RTSP_OVER_MULTICAST ? rtsp_multicast_new(r->c, r->source) : r->source;
	if (!source) {
		log_warn(&r->c->log, "no multicast: %s", strerror(errno));
		answer(r, 461);
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
		add_field(r, "Transport: RTP/AVP/TCP;unicast;interleaved=%u-%u%s",
			track->channels[0], track->channels[1], mode);
		break;
	case RTSP_OVER_UDP:
		port = datagram_pair_port(track->pair);
		add_field(r, "Transport: RTP/AVP;unicast;client_port=%u-%u;server_port=%u-%u%s",
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

static void run_setup(struct rtsp_request *r)
{
	struct message_text field = message_find(r->message, "Transport");
	struct rtsp_transport transport;
	bool is_new = !r->session;

	if (rtsp_transport_parse(&transport, field.p, field.n, transports_allowed(r)) < 0 ||
		(r->session && r->session->over != transport.over)) {
		answer(r, 461);
		return;
	}
	if (transport.record && !rtsp_source_is_published(r->source) && !names_talk(r)) {
		answer(r, 455); /* ANNOUNCE comes first */
		return;
	}
	if (is_new && !open_session(r, transport.over))
		return;
	int result = rtsp_session_set_up(r->session, (unsigned)r->track, &transport);
	if (result < 0) {
		log_warn(&r->c->log, "no UDP ports: %s", strerror(-result));
		if (is_new)
			rtsp_session_end(r->session);
		answer(r, 500);
		return;
	}
	add_transport(r, &transport);
	add_field(r, "Session: %s;timeout=%d", r->session->id, RTSP_TIMEOUT_S);
	answer(r, 200);
}

/* --- PLAY, RECORD, PAUSE, TEARDOWN, parameters --- */

/* Whether the URL is the source's; what is published has track URLs of its own. */
static bool names_source(const struct rtsp_request *r, const struct rtsp_source *source)
{
	size_t n = strlen(source->name);

	if (strncmp(r->name, source->name, n) != 0)
		return false;
	return r->name[n] == '\0' || (r->name[n] == '/' && rtsp_source_is_published(source));
}

/* A track's URL will do where it is all that the session has. */
static bool check_aggregate(struct rtsp_request *r)
{
	const struct rtsp_session *s = r->session;

	if (!names_source(r, s->source)) {
		answer_session(r, 455);
		return false;
	}
	for (int i = 0; i < STREAM_TRACKS; i++)
		if (r->track != TRACK_NONE && i != r->track && s->tracks[i].set_up) {
			answer_session(r, 460);
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
		wait_for_source(r, s->source);
		return;
	}
	if (result > 0) {
		answer_session(r, result);
		return;
	}
	if (result < 0) {
		answer_unavailable(r); /* it went, or changed, since SETUP */
		rtsp_session_end(s);
		return;
	}
	log_info(&s->log, "%s plays over %s%s", r->c->peer, over_words(s->over),
		r->c->tunnel ? " through HTTP" : "");
	add_rtp_info(r);
	answer_session(r, 200);
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
		answer_session(r, 455); /* without its picture */
		return;
	}
	audit(&actor, "publish", "%s", s->source->name);
	log_info(&s->log, "%s publishes over %s%s", r->c->peer, over_words(s->over),
		r->c->tunnel ? " through HTTP" : "");
	answer_session(r, 200);
	rtsp_session_flush(s);
}

/* Who publishes keeps his place while he pauses, for as long as media may be missing. */
static void run_pause(struct rtsp_request *r)
{
	if (!rtsp_source_is_published(r->session->source))
		rtsp_session_pause(r->session);
	answer_session(r, 200);
}

static void run_teardown(struct rtsp_request *r)
{
	answer(r, 200);
	rtsp_session_end(r->session);
}

/* Without a body it keeps the session alive; there are no parameters. */
static void run_parameter(struct rtsp_request *r)
{
	int status = r->body.n > 0 ? 451 : 200;

	if (r->session)
		answer_session(r, status);
	else
		answer(r, status);
}

static const struct rtsp_method methods[] = {
	{"OPTIONS",        NEEDS_NOTHING,                               NULL,            run_options  },
	{ "DESCRIBE",      NEEDS_USER | NEEDS_SOURCE | FOR_PLAYERS,     check_describe,  run_describe },
	{ "ANNOUNCE",      NEEDS_USER | FOR_PUBLISHERS,                 check_announce,  run_announce },
	{ "SETUP",         NEEDS_USER | NEEDS_SOURCE | FOR_ALL,         check_setup,     run_setup    },
	{ "PLAY",          NEEDS_USER | NEEDS_SESSION | FOR_PLAYERS,    check_aggregate, run_play     },
	{ "RECORD",        NEEDS_USER | NEEDS_SESSION | FOR_PUBLISHERS, check_aggregate, run_record   },
	{ "PAUSE",         NEEDS_USER | NEEDS_SESSION | FOR_ALL,        check_aggregate, run_pause    },
	{ "GET_PARAMETER", NEEDS_USER | FOR_ALL,                        NULL,            run_parameter},
	{ "SET_PARAMETER", NEEDS_USER | FOR_ALL,                        NULL,            run_parameter},
	{ "TEARDOWN",      NEEDS_USER | NEEDS_SESSION | FOR_ALL,        check_aggregate, run_teardown },
};
/* Of RFC 2326, but not for a server to be asked. */
static const char *const methods_not_allowed[] = { "REDIRECT" };

/* --- what every request goes through; each step answers and returns false, or returns true --- */

static bool is_replay(const char *name)
{
	return strncmp(name, RTSP_REPLAY_PREFIX, strlen(RTSP_REPLAY_PREFIX)) == 0;
}

static bool find_method(struct rtsp_request *r)
{
	for (size_t i = 0; i < ARRAY_LENGTH(methods); i++)
		if (message_text_is(r->message->method, methods[i].name))
			r->method = &methods[i];
	if (r->method)
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(methods_not_allowed); i++) {
		if (!message_text_is(r->message->method, methods_not_allowed[i]))
			continue;
		add_field(r, "Allow: " RTSP_PUBLIC);
		answer(r, 405);
		return false;
	}
	add_field(r, "Public: " RTSP_PUBLIC);
	answer(r, 501);
	return false;
}

static bool check_head(struct rtsp_request *r)
{
	struct message_text cseq = message_find(r->message, "CSeq");
	uint64_t number;

	if (cseq.p && message_text_number(cseq, UINT32_MAX, &number))
		r->cseq = cseq;
	if (!message_text_is(r->message->protocol, "RTSP/1.0"))
		answer(r, 505);
	else if (!r->cseq.p)
		answer_with(r, 400, "CSeq is missing or no number", NULL);
	return !r->answered;
}

/* What may stand in Require (RFC 2326 section 12.32): both ONVIF's. */
static const struct {
	const char *option;
	bool for_recordings; /* else for what is live; both for the server */
} options[] = {
	{"onvif-replay",    true },
	{ RTSP_BACKCHANNEL, false},
};

static bool knows_option(const struct rtsp_request *r, struct message_text option)
{
	for (size_t i = 0; i < ARRAY_LENGTH(options); i++)
		if (message_text_is(option, options[i].option))
			return r->name[0] == '\0' ||
			       is_replay(r->name) == options[i].for_recordings;
	return false;
}

static bool check_require(struct rtsp_request *r)
{
	const struct message_field *field = NULL;

	while ((field = message_find_next(r->message, "Require", field))) {
		struct message_text rest = field->value;
		do {
			struct message_text option = message_text_cut(&rest, ',');
			if (knows_option(r, option))
				continue;
			add_field(r, "Unsupported: %.*s", (int)option.n, option.p);
			answer(r, 551);
			return false;
		} while (rest.n > 0);
	}
	return true;
}

bool rtsp_message_requires(const struct message *message, const char *option)
{
	const struct message_field *field = NULL;

	while ((field = message_find_next(message, "Require", field)))
		if (message_text_has_token(field->value, option))
			return true;
	return false;
}

/* Cuts "/trackID=<n>" and slashes off the end of the decoded path, and writes its number. */
static bool parse_track(char *path, int *ret)
{
	static const char prefix[] = "trackID=";
	size_t n = strlen(path);

	*ret = TRACK_NONE;
	while (n > 0 && path[n - 1] == '/')
		path[--n] = '\0';
	char *last = strrchr(path, '/');
	if (!last || strncmp(last + 1, prefix, sizeof(prefix) - 1) != 0)
		return true;
	const char *digit = last + sizeof(prefix);
	if (digit[0] < '0' || digit[0] > '9' || digit[1])
		return false;
	*ret = digit[0] - '0';
	while (last > path && last[-1] == '/')
		last--;
	*last = '\0';
	return true;
}

static void write_base(struct rtsp_request *r, struct uri *uri)
{
	struct sockaddr_storage local;
	char path[URI_PATH_BYTES / 4];

	if (uri->host[0] == '\0') {
		local_host(r, uri->host, sizeof(uri->host));
		if (connection_local_address(r->c->connection, &local) == 0)
			uri->port = ntohs(((struct sockaddr_in *)(void *)&local)->sin_port);
	}
	if (!r->c->tunnel && connection_is_tls(r->c->connection))
		(void)strcpy(uri->scheme, "rtsps");
	else if (uri->scheme[0] == '\0')
		(void)strcpy(uri->scheme, "rtsp");
	if (uri_encode_path(path, sizeof(path), r->name) < 0)
		path[0] = '\0';
	(void)evutil_snprintf(uri->path, sizeof(uri->path), "/%s/", path);
	(void)uri_write(r->base, sizeof(r->base), uri);
}

/* The name of what is to be played and the track out of the request's target. */
static bool parse_target(struct rtsp_request *r)
{
	struct message_text target = r->message->target;
	struct uri uri;
	char path[URI_PATH_BYTES];
	const char *why = "the URL makes no sense";

	r->track = TRACK_NONE;
	if (message_text_is(target, "*"))
		return true;
	if (uri_parse(&uri, target.p, target.n, &why) < 0 ||
		uri_decode_path(path, sizeof(path), uri.path, strcspn(uri.path, "?"), &why) < 0) {
		answer_with(r, 400, why, NULL);
		return false;
	}
	if (!parse_track(path, &r->track) || strlen(path + (path[0] == '/')) >= sizeof(r->name)) {
		answer(r, 404);
		return false;
	}
	const char *name = path + (path[0] == '/'), *query = strchr(uri.path, '?');
	if (!is_replay(name)) {
		(void)strcpy(r->name, name);
	} else if (rtsp_replay_name(r->name, sizeof(r->name), name, query ? query + 1 : "") < 0) {
		answer(r, 404);
		return false;
	}
	r->asks_group = strcmp(uri.path + strcspn(uri.path, "?"), "?multicast") == 0;
	write_base(r, &uri);
	return true;
}

static bool check_user(struct rtsp_request *r)
{
	const struct message *m = r->message;
	struct authenticate_asker *asker = &r->c->asker;
	enum authenticate_result result = authenticate(
		asker, m->method, m->target, message_find(m, "Authorization"), &r->user);

	switch (result) {
	case AUTHENTICATED:
		if (may(r, r->method->needs))
			return true;
		answer(r, 403);
		break;
	case AUTHENTICATE_MISSING:
	case AUTHENTICATE_WRONG:
	case AUTHENTICATE_STALE:
	case AUTHENTICATE_UNFIT:
		authenticate_write_challenge(r->fields, result,
			r->c->server->config->rtsp.basic || connection_is_tls(r->c->connection));
		answer(r, 401);
		break;
	case AUTHENTICATE_LATER:
		add_field(r, "Retry-After: %u", asker->retry_after_s);
		answer(r, 429);
		break;
	case AUTHENTICATE_PENDING:
		r->waits = true;
		rtsp_connection_pause(r->c);
		break;
	}
	return false;
}

/* A camera that the user may not see is as one that does not exist. */
static bool check_visible(struct rtsp_request *r)
{
	char camera[RTSP_NAME_BYTES];
	const char *name = r->name + (is_replay(r->name) ? strlen(RTSP_REPLAY_PREFIX) : 0);
	size_t n = strcspn(name, "/");

	memcpy(camera, name, n);
	camera[n] = '\0';
	if (n == 0 || auth_may_see(r->user, camera))
		return true;
	answer(r, 404);
	return false;
}

/* The session's, or what the connection has of that name, or is to have. */
static struct rtsp_source *find_source(struct rtsp_request *r)
{
	struct rtsp_connection *c = r->c;

	if (r->session && names_source(r, r->session->source))
		return r->session->source;
	if (c->source && !names_source(r, c->source)) {
		rtsp_source_free(c->source);
		c->source = NULL;
	}
	if (!c->source)
		c->source = c->server->tree && is_replay(r->name)
				    ? rtsp_replay_new(c->server->tree, r->name, r->user)
				    : rtsp_live_new(r->name);
	return c->source;
}

static bool check_source(struct rtsp_request *r)
{
	switch (r->source ? r->source->kind->check(r->source) : -ENOENT) {
	case 0:
		return true;
	case -EINPROGRESS:
		wait_for_source(r, r->source);
		break;
	case -ENOENT:
		answer(r, 404);
		break;
	case -ESTALE:
		answer_session(r, 455);
		break;
	default:
		answer_unavailable(r);
		break;
	}
	return false;
}

/* Interleaved media and what is published belong to their connection, any session to its user. */
static bool is_its_own(const struct rtsp_request *r)
{
	const struct rtsp_session *s = r->session;

	if (s->connection != r->c &&
		(s->over == RTSP_OVER_TCP || rtsp_source_is_published(s->source)))
		return false;
	return !r->user || (s->user && strcmp(s->user, r->user->name) == 0);
}

static bool check_session(struct rtsp_request *r)
{
	struct message_text id = message_find(r->message, "Session");

	if (id.p) {
		const char *end = memchr(id.p, ';', id.n);
		id.n = end ? (size_t)(end - id.p) : id.n;
		while (id.n > 0 && id.p[id.n - 1] == ' ')
			id.n--;
		r->session = rtsp_session_find(r->c->server, id);
	}
	if (r->session && !is_its_own(r))
		r->session = NULL;
	if (!r->session && (id.p || r->method->needs & NEEDS_SESSION)) {
		answer(r, 454);
		return false;
	}
	if (r->session)
		rtsp_session_touch(r->session);
	return true;
}

/* Players do not record, and publishers do not play. */
static bool check_purpose(struct rtsp_request *r)
{
	const struct rtsp_source *source = r->source    ? r->source
					   : r->session ? r->session->source
							: NULL;
	unsigned whom = source && rtsp_source_is_published(source) ? FOR_PUBLISHERS : FOR_PLAYERS;

	if (!source || !(r->method->needs & NEEDS_USER))
		return true;
	if (!(r->method->needs & whom))
		answer(r, 455);
	else if (!may(r, whom))
		answer(r, 403);
	return !r->answered;
}

static bool proceed(struct rtsp_request *r)
{
	if (!check_head(r) || !find_method(r) || !parse_target(r) || !check_require(r))
		return false;
	if (r->method->needs & NEEDS_USER && (!check_user(r) || !check_visible(r)))
		return false;
	if (!check_session(r))
		return false;
	if (r->method->needs & NEEDS_SOURCE)
		r->source = find_source(r);
	if (!check_purpose(r) || (r->method->needs & NEEDS_SOURCE && !check_source(r)))
		return false;
	return !r->method->check || r->method->check(r);
}

bool rtsp_answer_request(
	struct rtsp_connection *c, const struct message *message, struct message_text body)
{
	struct rtsp_request r = { .c = c, .message = message, .body = body };

	r.fields = evbuffer_new();
	if (proceed(&r))
		r.method->run(&r);
	evbuffer_free(r.fields);
	return !r.waits;
}
