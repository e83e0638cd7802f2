/* What every request to the RTSP server goes through: see rtsp_server_request.h. */
#include "protocols/rtsp_server_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/util.h>

#include "protocols/rtsp_replay.h"
#include "protocols/rtsp_talk.h"

enum {
	RETRY_AFTER_S = 5
};

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

void rtsp_add_field(struct rtsp_request *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	evbuffer_add_vprintf(r->fields, format, arguments);
	va_end(arguments);
	evbuffer_add(r->fields, "\r\n", 2);
}

void rtsp_answer_with(struct rtsp_request *r, int status, const char *reason, struct evbuffer *body)
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

void rtsp_answer(struct rtsp_request *r, int status)
{
	rtsp_answer_with(r, status, reason_of(status), NULL);
}

void rtsp_answer_session(struct rtsp_request *r, int status)
{
	rtsp_add_field(r, "Session: %s", r->session->id);
	rtsp_answer(r, status);
}

void rtsp_answer_unavailable(struct rtsp_request *r)
{
	rtsp_add_field(r, "Retry-After: %d", RETRY_AFTER_S);
	rtsp_answer(r, 503);
}

void rtsp_wait_for_source(struct rtsp_request *r, struct rtsp_source *source)
{
	r->waits = true;
	rtsp_connection_pause(r->c);
	source->waiting = r->c;
}

/* --- what is asked about it --- */

bool rtsp_request_may(const struct rtsp_request *r, unsigned whom)
{
	unsigned scopes = r->c->asker.scopes;

	return (whom & FOR_PLAYERS && scopes & SCOPE_RTSP) ||
	       (whom & FOR_PUBLISHERS && scopes & SCOPE_RTSP_PUBLISH &&
		       auth_may_operate(r->user)) ||
	       (whom & FOR_TALKERS && scopes & SCOPE_RTSP_TALK && auth_may_operate(r->user));
}

int rtsp_check_talk(const struct rtsp_request *r)
{
	return r->source->kind->check_talk ? r->source->kind->check_talk(r->source) : -ENOENT;
}

bool rtsp_names_source(const struct rtsp_request *r, const struct rtsp_source *source)
{
	size_t n = strlen(source->name);

	if (strncmp(r->name, source->name, n) != 0)
		return false;
	return r->name[n] == '\0' || (r->name[n] == '/' && rtsp_source_is_published(source));
}

void rtsp_local_host(const struct rtsp_request *r, char *ret, size_t size)
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

/* --- what every request goes through; each step answers and returns false, or returns true --- */

static bool is_replay(const char *name)
{
	return strncmp(name, RTSP_REPLAY_PREFIX, strlen(RTSP_REPLAY_PREFIX)) == 0;
}

static bool check_head(struct rtsp_request *r)
{
	struct message_text cseq = message_find(r->message, "CSeq");
	uint64_t number;

	if (cseq.p && message_text_number(cseq, UINT32_MAX, &number))
		r->cseq = cseq;
	if (!message_text_is(r->message->protocol, "RTSP/1.0"))
		rtsp_answer(r, 505);
	else if (!r->cseq.p)
		rtsp_answer_with(r, 400, "CSeq is missing or no number", NULL);
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
			rtsp_add_field(r, "Unsupported: %.*s", (int)option.n, option.p);
			rtsp_answer(r, 551);
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
		rtsp_local_host(r, uri->host, sizeof(uri->host));
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
		rtsp_answer_with(r, 400, why, NULL);
		return false;
	}
	if (!parse_track(path, &r->track) || strlen(path + (path[0] == '/')) >= sizeof(r->name)) {
		rtsp_answer(r, 404);
		return false;
	}
	const char *name = path + (path[0] == '/'), *query = strchr(uri.path, '?');
	if (!is_replay(name)) {
		(void)strcpy(r->name, name);
	} else if (rtsp_replay_name(r->name, sizeof(r->name), name, query ? query + 1 : "") < 0) {
		rtsp_answer(r, 404);
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
		if (rtsp_request_may(r, r->method->needs))
			return true;
		rtsp_answer(r, 403);
		break;
	case AUTHENTICATE_MISSING:
	case AUTHENTICATE_WRONG:
	case AUTHENTICATE_STALE:
	case AUTHENTICATE_UNFIT:
		authenticate_write_challenge(r->fields, result,
			r->c->server->config->rtsp.basic || connection_is_tls(r->c->connection));
		rtsp_answer(r, 401);
		break;
	case AUTHENTICATE_LATER:
		rtsp_add_field(r, "Retry-After: %u", asker->retry_after_s);
		rtsp_answer(r, 429);
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
	rtsp_answer(r, 404);
	return false;
}

/* The session's, or what the connection has of that name, or is to have. */
static struct rtsp_source *find_source(struct rtsp_request *r)
{
	struct rtsp_connection *c = r->c;

	if (r->session && rtsp_names_source(r, r->session->source))
		return r->session->source;
	if (c->source && !rtsp_names_source(r, c->source)) {
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
		rtsp_wait_for_source(r, r->source);
		break;
	case -ENOENT:
		rtsp_answer(r, 404);
		break;
	case -ESTALE:
		rtsp_answer_session(r, 455);
		break;
	default:
		rtsp_answer_unavailable(r);
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
		rtsp_answer(r, 454);
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
		rtsp_answer(r, 455);
	else if (!rtsp_request_may(r, whom))
		rtsp_answer(r, 403);
	return !r->answered;
}

static bool proceed(struct rtsp_request *r)
{
	if (!check_head(r) || !rtsp_find_method(r) || !parse_target(r) || !check_require(r))
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
