/* The RTSP client's conversation with a camera (RFC 2326): one state, one step after the other. */
#include "protocols/rtsp_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtsp_client_private.h"
#include "server/base/memory.h"

enum {
	RTSP_PORT = 554,
	STEP_US = 10000000,
	TICK_US = 1000000,
	EXPIRE_US = 100000,
	SILENCE_TCP_US = 10000000,
	SILENCE_UDP_US = 20000000,
	FIRST_UDP_US = 3000000, /* without a packet after PLAY: UDP is blocked on the way */
	REDIRECTS_MOST = 3,
	TIMEOUT_S = 60,
	TEXT_BYTES = 64 << 10,
	BODY_BYTES = 256 << 10,
	GARBAGE_BYTES = 256 << 10,
	WAKEUP_BYTES = 256 << 10, /* taken at once; then the other cameras have their turn */
	INTERLEAVED_HEAD = 4,
};

static void client_enter(struct rtsp_client *client, enum rtsp_client_state state);
static void client_connect(struct rtsp_client *client);

/* --- the end --- */

void rtsp_client_end(struct rtsp_client *client, enum source_end end, const char *detail)
{
	if (client->state == RTSP_ENDED)
		return;
	client_enter(client, RTSP_ENDED);
	connection_abandon(&client->connection);
	client->order.events->on_end(client->order.arg, end, detail);
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
	char reason[64], detail[160];

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (rows[i].status == answer->status)
			end = rows[i].end;
	}
	message_text_copy(reason, sizeof(reason), answer->reason);
	snprintf(detail, sizeof(detail), "%s: %d %s", client->log.doing, answer->status, reason);
	rtsp_client_end(client, end, detail);
}

/* --- the steps, in order --- */

static void send_options(struct rtsp_client *client)
{
	rtsp_client_send(client, "OPTIONS", client->base, "");
}

static void send_describe(struct rtsp_client *client)
{
	rtsp_client_send(client, "DESCRIBE", client->base, "Accept: application/sdp\r\n");
}

static void send_setup(struct rtsp_client *client)
{
	struct rtsp_track *track = &client->tracks[client->next_setup];
	char fields[128];
	struct uri uri;

	if (uri_join_control(&uri, &client->uri, client->aggregate, track->media.control) < 0) {
		rtsp_client_end(client, SOURCE_PROTOCOL, "a track's control is too long");
		return;
	}
	uri_write(client->target, sizeof(client->target), &uri);
	track->channel = (uint8_t)(2 * client->next_setup);
	if (client->transport == TRANSPORT_UDP && !track->udp && rtsp_media_open_udp(track) < 0) {
		rtsp_client_end(client, SOURCE_FAILED, "no UDP ports are to be had");
		return;
	}
	if (client->transport == TRANSPORT_UDP)
		snprintf(fields, sizeof(fields), "Transport: RTP/AVP;unicast;client_port=%u-%u\r\n",
			datagram_pair_port(track->udp), datagram_pair_port(track->udp) + 1U);
	else
		snprintf(fields, sizeof(fields),
			"Transport: RTP/AVP/TCP;unicast;interleaved=%u-%u\r\n", track->channel,
			track->channel + 1U);
	rtsp_client_send(client, "SETUP", client->target, fields);
}

static void send_play(struct rtsp_client *client)
{
	rtsp_client_send(client, "PLAY", client->aggregate, "Range: npt=0.000-\r\n");
}

static void send_keepalive(struct rtsp_client *client)
{
	rtsp_client_send(client, client->has_get_parameter ? "GET_PARAMETER" : "OPTIONS",
		client->aggregate, "");
}

static void on_options(
	struct rtsp_client *client, const struct message *answer, struct message_text body);
static void on_describe(
	struct rtsp_client *client, const struct message *answer, struct message_text body);
static void on_setup(
	struct rtsp_client *client, const struct message *answer, struct message_text body);
static void on_play(
	struct rtsp_client *client, const struct message *answer, struct message_text body);
static void on_keepalive(
	struct rtsp_client *client, const struct message *answer, struct message_text body);

static const struct rtsp_step {
	const char *name; /* in logs: what it is doing */
	void (*send)(struct rtsp_client *client);
	void (*on_answer)(
		struct rtsp_client *client, const struct message *answer, struct message_text body);
} steps[] = {
	[RTSP_CONNECTING] = {"connecting", NULL,          NULL        },
	[RTSP_OPTIONS] = { "OPTIONS",   send_options,  on_options  },
	[RTSP_DESCRIBE] = { "DESCRIBE",  send_describe, on_describe },
	[RTSP_SETUP] = { "SETUP",     send_setup,    on_setup    },
	[RTSP_PLAY] = { "PLAY",      send_play,     on_play     },
	[RTSP_PLAYING] = { "playing",   NULL,          on_keepalive},
	[RTSP_ENDED] = { "ended",     NULL,          NULL        },
};

static void client_enter(struct rtsp_client *client, enum rtsp_client_state state)
{
	log_debug(&client->log, "-> %s", steps[state].name);
	client->state = state;
	client->log.doing = steps[state].name;
	reactor_timer_stop(client->step_timer);
	if (state == RTSP_ENDED) {
		reactor_timer_stop(client->keepalive_timer);
		reactor_timer_stop(client->tick_timer);
		reactor_timer_stop(client->reorder_timer);
	} else if (state != RTSP_PLAYING) {
		reactor_timer_start(client->step_timer, STEP_US);
	}
	if (steps[state].send)
		steps[state].send(client);
}

/* --- what the camera answers --- */

static void on_options(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	(void)body;
	client->has_get_parameter =
		message_text_has_token(message_find(answer, "Public"), "GET_PARAMETER");
	client_enter(client, RTSP_DESCRIBE);
}

/* Content-Base, or Content-Location, or what was asked for (RFC 2326 appendix C.1.1). */
static void client_set_base(struct rtsp_client *client, const struct message *answer)
{
	struct message_text base = message_find(answer, "Content-Base");

	if (!base.n)
		base = message_find(answer, "Content-Location");
	if (base.n)
		message_text_copy(client->aggregate, sizeof(client->aggregate), base);
	else
		snprintf(client->aggregate, sizeof(client->aggregate), "%s", client->base);
}

static void client_redirect(struct rtsp_client *client, const struct message *answer)
{
	struct message_text location = message_find(answer, "Location");
	struct uri uri;
	const char *why;

	if (++client->redirects > REDIRECTS_MOST || !location.n ||
		uri_parse(&uri, location.p, location.n, &why) < 0 || strcmp(uri.scheme, "rtsp")) {
		client_end_by_status(client, answer);
		return;
	}
	if (!uri.has_user) { /* credentials are the owner's, for wherever this camera sends us */
		uri.has_user = client->uri.has_user;
		memcpy(uri.user, client->uri.user, sizeof(uri.user));
		memcpy(uri.password, client->uri.password, sizeof(uri.password));
	}
	client->uri = uri;
	connection_abandon(&client->connection);
	client_connect(client);
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
	end = rtsp_media_choose(client, sdp, detail, sizeof(detail));
	/* tracks are relative to the base, PLAY names the session's own control */
	if (end == SOURCE_STOPPED &&
		uri_join_control(&aggregate, &client->uri, client->aggregate, sdp->control) < 0)
		end = SOURCE_PROTOCOL;
	free(sdp);
	if (end != SOURCE_STOPPED) {
		rtsp_client_end(client, end, detail[0] ? detail : NULL);
		return;
	}
	uri_write(client->aggregate, sizeof(client->aggregate), &aggregate);
	client_enter(client, RTSP_SETUP);
}

/* The number after a parameter of Transport ("interleaved=", "server_port="), or -1. */
static int transport_number(struct message_text transport, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i + n < transport.n; i++) {
		int value = 0;
		size_t at = i + n;

		if (strncasecmp(transport.p + i, name, n))
			continue;
		while (at < transport.n && transport.p[at] >= '0' && transport.p[at] <= '9' &&
			value < 100000)
			value = value * 10 + (transport.p[at++] - '0');
		return at > i + n && value < 65536 ? value : -1;
	}
	return -1;
}

static void client_set_session(struct rtsp_client *client, const struct message *answer)
{
	struct message_text session = message_find(answer, "Session");
	int timeout = transport_number(session, "timeout=");
	const char *semicolon = session.n ? memchr(session.p, ';', session.n) : NULL;

	if (!session.n)
		return;
	if (semicolon)
		session.n = (size_t)(semicolon - session.p);
	while (session.n && session.p[session.n - 1] == ' ')
		session.n--;
	message_text_copy(client->session, sizeof(client->session), session);
	client->session_timeout_s =
		timeout > 0 && timeout < TIMEOUT_S ? (unsigned)timeout : TIMEOUT_S;
}

static void on_setup(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	struct rtsp_track *track = &client->tracks[client->next_setup];
	struct message_text transport = message_find(answer, "Transport");
	int number;

	(void)body;
	client_set_session(client, answer);
	number = transport_number(
		transport, client->transport == TRANSPORT_UDP ? "server_port=" : "interleaved=");
	if (client->transport == TRANSPORT_UDP)
		rtsp_media_set_server_port(track, number > 0 ? (uint16_t)number : 0);
	else if (number >= 0 && number < 255)
		track->channel = (uint8_t)number;
	if (++client->next_setup < client->n_tracks)
		client_enter(client, RTSP_SETUP);
	else
		client_enter(client, RTSP_PLAY);
}

/* RTP-Info: "url=…trackID=0;seq=1;rtptime=2,url=…": in the order of the tracks, or by their control. */
static void client_read_rtp_info(struct rtsp_client *client, struct message_text info)
{
	for (unsigned i = 0; i < client->n_tracks && info.n; i++) {
		const char *comma = memchr(info.p, ',', info.n);
		size_t n = comma ? (size_t)(comma - info.p) : info.n;
		uint64_t time;

		for (size_t at = 0; at + 8 < n; at++) {
			size_t end = at + 8;

			if (strncasecmp(info.p + at, "rtptime=", 8))
				continue;
			while (end < n && info.p[end] >= '0' && info.p[end] <= '9')
				end++;
			if (message_text_number(
				    (struct message_text){ info.p + at + 8, end - at - 8 },
				    UINT32_MAX, &time)) {
				client->tracks[i].play_time = (uint32_t)time;
				client->tracks[i].has_play_time = true;
			}
		}
		info.p += comma ? n + 1 : n;
		info.n -= comma ? n + 1 : n;
	}
}

static void on_play(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	(void)body;
	client_read_rtp_info(client, message_find(answer, "RTP-Info"));
	client->playing_us = reactor_monotonic_us();
	connection_set_paced(client->connection);
	client_enter(client, RTSP_PLAYING);
	reactor_timer_start(
		client->keepalive_timer, (int64_t)client->session_timeout_s * 1000000 / 2);
	reactor_timer_start(client->tick_timer, TICK_US);
	reactor_timer_start(client->reorder_timer, EXPIRE_US);
}

static void on_keepalive(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	(void)client, (void)answer, (void)body;
}

/* SETUP was refused for its transport: the other one, when the choice is ours. */
static bool client_switch_transport(struct rtsp_client *client)
{
	if (!client->may_switch || client->next_setup > 0)
		return false;
	client->may_switch = false;
	client->transport = client->transport == TRANSPORT_TCP ? TRANSPORT_UDP : TRANSPORT_TCP;
	client->memory->transport = client->transport;
	log_info(&client->log, "the camera wants %s",
		client->transport == TRANSPORT_UDP ? "UDP" : "TCP");
	client_enter(client, RTSP_SETUP);
	return true;
}

static void client_on_answer(
	struct rtsp_client *client, const struct message *answer, struct message_text body)
{
	const struct rtsp_step *step = &steps[client->state];
	struct message_text cseq = message_find(answer, "CSeq");
	uint64_t number;

	if (message_text_number(cseq, UINT32_MAX, &number) && number < client->cseq)
		return; /* late, to a request that was given up */
	if (answer->status < 200)
		return;
	if (answer->status == 401 && rtsp_client_take_challenge(client, answer)) {
		if (step->send)
			step->send(client);
		else
			send_keepalive(client);
		return;
	}
	if (client->state == RTSP_SETUP && answer->status == 461 && client_switch_transport(client))
		return;
	if (client->state == RTSP_PLAYING && answer->status >= 400) {
		client->has_get_parameter = false; /* the next keepalive is an OPTIONS */
		return;
	}
	if (answer->status >= 400 && client->state != RTSP_OPTIONS) { /* OPTIONS may be unknown */
		client_end_by_status(client, answer);
		return;
	}
	if (answer->status == 401) {
		client_end_by_status(client, answer);
		return;
	}
	if (step->on_answer)
		step->on_answer(client, answer, body);
}

/* Requests from the camera are answered; TEARDOWN ends. */
static void client_on_request(struct rtsp_client *client, const struct message *request)
{
	rtsp_client_send_ok(client, request);
	if (message_text_is(request->method, "TEARDOWN"))
		rtsp_client_end(client, SOURCE_CLOSED, "TEARDOWN from the camera");
}

/* --- bytes --- */

/* How many bytes of body follow a head; -1 to wait. Some cameras leave out the length. */
static ssize_t client_body_bytes(
	const struct rtsp_client *client, const struct message *m, const char *p, size_t n)
{
	uint64_t length;

	if (message_find(m, "Content-Length").p && message_content_length(m, &length) == 0)
		return length <= BODY_BYTES ? (ssize_t)length : -EMSGSIZE;
	if (m->is_request || client->state != RTSP_DESCRIBE || m->status != 200)
		return 0;
	return memmem(p, n, "m=", 2) ? (ssize_t)n : -EAGAIN;
}

/* Takes one message from the input. Returns whether there was a whole one. */
static bool client_take_message(struct rtsp_client *client, struct evbuffer *input)
{
	size_t n = evbuffer_get_length(input);
	const char *p, *why;
	struct message m;
	ssize_t used, body;

	if (n > TEXT_BYTES + BODY_BYTES)
		n = TEXT_BYTES + BODY_BYTES;
	p = (const char *)evbuffer_pullup(input, (ssize_t)n);
	used = message_parse(&m, p, n, client->seen, false, &why);
	if (used < 0) {
		rtsp_client_end(client, SOURCE_PROTOCOL, why);
		return false;
	}
	client->seen = n;
	body = used ? client_body_bytes(client, &m, p + used, n - (size_t)used) : -EAGAIN;
	if (body == -EMSGSIZE)
		rtsp_client_end(client, SOURCE_PROTOCOL, "the body is too long");
	if (body < 0 || (size_t)(used + body) > n)
		return false;
	client->seen = 0;
	if (m.is_request)
		client_on_request(client, &m);
	else
		client_on_answer(client, &m, (struct message_text){ p + used, (size_t)body });
	/* a new connection, or none, has another input */
	if (client->connection && connection_input(client->connection) == input)
		evbuffer_drain(input, (size_t)(used + body));
	return client->connection && connection_input(client->connection) == input;
}

/* Skips what is neither a packet nor a message. Returns whether to go on. */
static bool client_skip_garbage(struct rtsp_client *client, struct evbuffer *input)
{
	if (client->garbage_bytes == 0)
		log_warn(&client->log, "garbage between packets: skipping to the next one");
	client->garbage_bytes++;
	if (client->garbage_bytes > GARBAGE_BYTES) {
		rtsp_client_end(client, SOURCE_PROTOCOL, "nothing but garbage");
		return false;
	}
	evbuffer_drain(input, 1);
	return true;
}

/* Takes one interleaved packet (RFC 2326 section 10.12). Returns whether there was a whole one. */
static bool client_take_packet(struct rtsp_client *client, struct evbuffer *input)
{
	const uint8_t *p = evbuffer_pullup(input, INTERLEAVED_HEAD);
	size_t n = p ? (size_t)(p[2] << 8 | p[3]) : 0;
	bool plausible;

	if (!p)
		return false;
	p = evbuffer_pullup(input, (ssize_t)(INTERLEAVED_HEAD + n));
	if (!p)
		return false;
	plausible = n == 0 || p[INTERLEAVED_HEAD] >> 6 == 2;
	if (!plausible)
		return client_skip_garbage(client, input);
	(void)rtsp_media_on_interleaved(client, p[1], p + INTERLEAVED_HEAD, n);
	evbuffer_drain(input, INTERLEAVED_HEAD + n);
	return true;
}

static bool client_take(struct rtsp_client *client, struct evbuffer *input)
{
	unsigned char first;

	if (evbuffer_copyout(input, &first, 1) != 1)
		return false;
	if (first == '$')
		return client_take_packet(client, input);
	if ((first >= 'A' && first <= 'Z') || first == '\r' || first == '\n')
		return client_take_message(client, input);
	return client_skip_garbage(client, input);
}

static void client_on_data(void *arg)
{
	struct rtsp_client *client = arg;
	struct evbuffer *input = connection_input(client->connection);
	size_t before = evbuffer_get_length(input);

	while (client->state != RTSP_ENDED && client->connection &&
		connection_input(client->connection) == input) {
		if (before - evbuffer_get_length(input) > WAKEUP_BYTES) {
			/* go on in the next turn of the loop */
			connection_pause(client->connection, PAUSE_BUSY);
			connection_resume(client->connection, PAUSE_BUSY);
			return;
		}
		if (!client_take(client, input))
			return;
	}
}

/* --- the connection --- */

static void client_on_open(void *arg)
{
	client_enter(arg, RTSP_OPTIONS);
}

static void client_on_close(void *arg, enum close_reason reason, const char *detail)
{
	static const enum source_end ends[] = {
		[CLOSE_NOT_FOUND] = SOURCE_HOST_UNKNOWN,
		[CLOSE_REFUSED] = SOURCE_REFUSED,
		[CLOSE_TIMEOUT] = SOURCE_TIMEOUT,
	};
	struct rtsp_client *client = arg;
	enum source_end end = reason < ARRAY_LENGTH(ends) ? ends[reason] : SOURCE_CLOSED;
	char text[sizeof(client->peer) + 128];

	client->connection = NULL;
	snprintf(text, sizeof(text), "%s%s%s", client->peer, detail ? ": " : "",
		detail ? detail : "");
	rtsp_client_end(client, end == SOURCE_STOPPED ? SOURCE_CLOSED : end, text);
}

static const struct connection_events client_connection_events = {
	.on_open = client_on_open,
	.on_data = client_on_data,
	.on_close = client_on_close,
};

static void client_connect(struct rtsp_client *client)
{
	uint16_t port = client->uri.port ? client->uri.port : RTSP_PORT;

	snprintf(client->peer, sizeof(client->peer),
		strchr(client->uri.host, ':') ? "[%s]:%u" : "%s:%u", client->uri.host, port);
	uri_write(client->base, sizeof(client->base), &client->uri);
	client->seen = 0;
	client->connection = connection_connect(
		&(struct connection_target){ client->uri.host, port, STEP_US, NULL }, "rtsp_client",
		&client->log, &client_connection_events, client);
	connection_set_input_limit(client->connection, TEXT_BYTES + BODY_BYTES + WAKEUP_BYTES);
	client_enter(client, RTSP_CONNECTING);
	reactor_timer_stop(client->step_timer); /* the connection has its own */
}

/* --- timers --- */

static void client_on_step_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rtsp_client *client = arg;

	(void)fd, (void)what;
	rtsp_client_end(client, SOURCE_TIMEOUT, client->log.doing);
}

static void client_on_keepalive_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rtsp_client *client = arg;

	(void)fd, (void)what;
	send_keepalive(client);
	reactor_timer_start(
		client->keepalive_timer, (int64_t)client->session_timeout_s * 1000000 / 2);
}

/* Whether media has stopped; UDP that never started is perhaps blocked on its way. */
static bool client_is_silent(struct rtsp_client *client)
{
	bool udp = client->transport == TRANSPORT_UDP;
	int64_t since =
		client->media_us > client->playing_us ? client->media_us : client->playing_us;
	int64_t silent_us = reactor_monotonic_us() - since;

	if (udp && !client->media_us)
		return silent_us > FIRST_UDP_US;
	return silent_us > (udp ? SILENCE_UDP_US : SILENCE_TCP_US);
}

static void client_on_tick_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rtsp_client *client = arg;

	(void)fd, (void)what;
	rtsp_media_tick(client);
	if (client_is_silent(client)) {
		if (client->may_switch && !client->media_us)
			client->memory->transport =
				client->transport == TRANSPORT_UDP ? TRANSPORT_TCP : TRANSPORT_UDP;
		rtsp_client_end(client, SOURCE_STALLED, NULL);
		return;
	}
	reactor_timer_start(client->tick_timer, TICK_US);
}

static void client_on_reorder_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rtsp_client *client = arg;

	(void)fd, (void)what;
	rtsp_media_expire(client);
	reactor_timer_start(client->reorder_timer, EXPIRE_US);
}

/* --- life --- */

struct rtsp_client *rtsp_client_new(
	const struct source_order *order, struct rtsp_client_memory *memory, const char **why)
{
	struct rtsp_client *client = xcalloc(1, sizeof(*client));
	enum config_transport transport = order->config->transport;

	if (uri_parse(&client->uri, order->url, strlen(order->url), why) < 0 ||
		!client->uri.host[0]) {
		explicit_bzero(&client->uri, sizeof(client->uri));
		free(client);
		return NULL;
	}
	client->order = *order;
	client->log =
		(struct log_name){ .parent = order->log, .kind = "rtsp", .name = client->peer };
	client->memory = memory;
	client->may_switch = transport == TRANSPORT_AUTO;
	client->transport = client->may_switch ? memory->transport : transport;
	if (client->transport == TRANSPORT_AUTO)
		client->transport = TRANSPORT_TCP; /* nothing is lost on the way */
	client->session_timeout_s = TIMEOUT_S;
	client->bytes = metric_get(METRIC_CAMERA_BYTES, order->camera);
	client->lost = metric_get(METRIC_CAMERA_LOST_PACKETS, order->camera);
	client->dropped = metric_get(METRIC_CAMERA_DROPPED_FRAMES, order->camera);
	client->step_timer = reactor_timer_new(client_on_step_timer, client);
	client->keepalive_timer = reactor_timer_new(client_on_keepalive_timer, client);
	client->tick_timer = reactor_timer_new(client_on_tick_timer, client);
	client->reorder_timer = reactor_timer_new(client_on_reorder_timer, client);
	client_connect(client);
	return client;
}

static void client_fini(void *object)
{
	struct rtsp_client *client = object;

	rtsp_media_free(client);
	reactor_timer_free(&client->step_timer);
	reactor_timer_free(&client->keepalive_timer);
	reactor_timer_free(&client->tick_timer);
	reactor_timer_free(&client->reorder_timer);
	explicit_bzero(&client->uri, sizeof(client->uri));
	free(client);
}

void rtsp_client_free(struct rtsp_client *client)
{
	if (!client)
		return;
	if (client->state == RTSP_PLAY || client->state == RTSP_PLAYING) {
		rtsp_client_send(client, "TEARDOWN", client->aggregate, "");
		connection_release(&client->connection);
	}
	if (client->state != RTSP_ENDED)
		client_enter(client, RTSP_ENDED);
	connection_abandon(&client->connection);
	reactor_free_later(&client->dead, client_fini, client);
}
