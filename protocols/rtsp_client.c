/* The RTSP client's life: its connection, its timers, its end. */
#include "protocols/rtsp_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtsp_client_private.h"
#include "server/base/memory.h"

enum {
	CONNECT_US = 10000000,
	TIMEOUT_S = 60,
	SHORT_LIVES = 2,       /* then keepalives are tried another way */
	STARTLED_US = 2000000, /* an end so soon after a keepalive was an answer to it */
};

static const struct rtsp_scheme schemes[] = {
	{"rtsp",        "rtsp",  554, false, false},
	{ "rtsps",      "rtsps", 322, true,  false},
	{ "rtsp+http",  "rtsp",  80,  false, true },
	{ "rtsp+https", "rtsp",  443, true,  true },
};

const struct rtsp_scheme *rtsp_scheme_find(const struct uri *uri)
{
	for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
		if (!strcmp(schemes[i].name, uri->scheme))
			return &schemes[i];
	}
	return NULL;
}

/* --- the end --- */

/* Cameras hold a session's place until it times out, if they are not told. */
static void client_leave(struct rtsp_client *client)
{
	bool tell = client->session[0] && client->connection;

	if (client->receiver.up)
		client->memory->transport = client->transport;
	rtp_receiver_stop(&client->receiver);
	rtsp_talk_free(client->talk);
	client->talk = NULL;
	if (tell)
		rtsp_client_send(client, "TEARDOWN", client->aggregate, "");
	client->session[0] = '\0';
	if (tell) {
		connection_release(&client->connection);
		connection_release(&client->post);
	}
	connection_abandon(&client->connection);
	connection_abandon(&client->post);
}

/*
 * A session that ends about when it would time out was not kept alive, and one that ends upon a
 * keepalive was ended by it: after the second one the other method is tried.
 */
static void client_learn_from_life(struct rtsp_client *client, enum source_end end)
{
	struct rtsp_client_memory *memory = client->memory;
	int64_t timeout_us = (int64_t)client->session_timeout_s * 1000000;
	int64_t now_us = reactor_monotonic_us(), life_us = now_us - client->receiver.started_us;
	bool timed_out = life_us >= timeout_us * 4 / 5 &&
			 life_us <= timeout_us * 3 / 2 + RTSP_SILENCE_UDP_US;
	bool startled = client->keepalive_us && now_us - client->keepalive_us < STARTLED_US;

	if (client->state != RTSP_PLAYING)
		return;
	if ((end != SOURCE_CLOSED && end != SOURCE_STALLED) || !(timed_out || startled)) {
		memory->short_lives = 0;
		return;
	}
	if (++memory->short_lives < SHORT_LIVES)
		return;
	memory->short_lives = 0;
	memory->keepalive = client->keepalive == RTSP_KEEPALIVE_OPTIONS
				    ? RTSP_KEEPALIVE_GET_PARAMETER
				    : RTSP_KEEPALIVE_OPTIONS;
	log_info(&client->log, "sessions end early: the next is kept alive by %s",
		memory->keepalive == RTSP_KEEPALIVE_OPTIONS ? "OPTIONS" : "GET_PARAMETER");
}

/*
 * A camera that was asked for its back channel and then failed before it played is not asked the next time; when it
 * fails without, that was not it.
 */
static void client_learn_from_failure(struct rtsp_client *client, enum source_end end)
{
	bool begun = client->state >= RTSP_DESCRIBE && client->state <= RTSP_PLAY;

	if (!begun || (end != SOURCE_CLOSED && end != SOURCE_TIMEOUT && end != SOURCE_PROTOCOL))
		return;
	client->memory->no_backchannel = client->asks_back;
	if (client->asks_back)
		log_warn(&client->log, "it was asked for its back channel: next time it is not");
}

static void client_stop_timers(struct rtsp_client *client)
{
	reactor_timer_stop(client->keepalive_timer);
	reactor_timer_stop(client->body_timer);
}

void rtsp_client_end(struct rtsp_client *client, enum source_end end, const char *detail)
{
	if (client->state == RTSP_ENDED)
		return;
	client_learn_from_life(client, end);
	client_learn_from_failure(client, end);
	client_leave(client);
	client_stop_timers(client);
	rtsp_client_enter(client, RTSP_ENDED);
	client->order.events->on_end(client->order.arg, end, detail);
}

/* --- the connection --- */

static void client_on_open(void *arg)
{
	struct rtsp_client *client = arg;

	rtsp_client_enter(client, client->scheme->tunnel ? RTSP_TUNNEL : RTSP_OPTIONS);
}

static void client_on_data(void *arg)
{
	rtsp_client_on_data(arg);
}

static void client_on_close(void *arg, enum close_reason reason, const char *detail)
{
	static const enum source_end ends[] = {
		[CLOSE_NOT_FOUND] = SOURCE_HOST_UNKNOWN,
		[CLOSE_REFUSED] = SOURCE_REFUSED,
		[CLOSE_TIMEOUT] = SOURCE_TIMEOUT,
		[CLOSE_UNTRUSTED] = SOURCE_UNTRUSTED,
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

void rtsp_client_connect(struct rtsp_client *client)
{
	struct connection_target target = {
		.host = client->uri.host,
		.port = client->uri.port ? client->uri.port : client->scheme->port,
		.timeout_us = CONNECT_US,
		.tls = client->scheme->tls ? &client->tls : NULL,
	};

	snprintf(client->peer, sizeof(client->peer), strchr(target.host, ':') ? "[%s]:%u" : "%s:%u",
		target.host, target.port);
	snprintf(client->uri.scheme, sizeof(client->uri.scheme), "%s", client->scheme->inner);
	uri_write(client->base, sizeof(client->base), &client->uri);
	client->seen = 0;
	client->connection = connection_connect(
		&target, "rtsp_client", &client->log, &client_connection_events, client);
	connection_set_input_limit(
		client->connection, MESSAGE_HEAD_BYTES + RTSP_BODY_BYTES + RTSP_WAKEUP_BYTES);
	rtsp_client_enter(client, RTSP_CONNECTING);
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
	rtsp_client_send_keepalive(client);
	reactor_timer_start(
		client->keepalive_timer, (int64_t)client->session_timeout_s * 1000000 / 2);
}

/* --- media --- */

static void client_on_media_end(void *arg, enum source_end end, const char *detail)
{
	struct rtsp_client *client = arg;

	if (end == SOURCE_STALLED && client->may_switch && !client->receiver.picture_us)
		client->memory->transport =
			client->transport == TRANSPORT_UDP ? TRANSPORT_TCP : TRANSPORT_UDP;
	rtsp_client_end(client, end, detail);
}

static const struct rtp_receiver_events client_receiver_events = {
	.on_report = rtsp_client_on_report,
	.on_end = client_on_media_end,
};

/* --- life --- */

static void client_choose_transport(struct rtsp_client *client)
{
	enum config_transport wanted = client->order.config->transport;

	client->may_switch = wanted == TRANSPORT_AUTO && !client->scheme->tunnel;
	client->transport = client->may_switch ? client->memory->transport : wanted;
	if (client->transport == TRANSPORT_AUTO || client->scheme->tunnel || client->scheme->tls)
		client->transport = TRANSPORT_TCP; /* nothing is lost on the way */
}

static void client_make_timers(struct rtsp_client *client)
{
	client->step_timer = reactor_timer_new(client_on_step_timer, client);
	client->keepalive_timer = reactor_timer_new(client_on_keepalive_timer, client);
	client->body_timer = reactor_timer_new(rtsp_client_on_body_timer, client);
}

struct rtsp_client *rtsp_client_new(
	const struct source_order *order, struct rtsp_client_memory *memory, const char **why)
{
	struct rtsp_client *client = xcalloc(1, sizeof(*client));

	*why = "the URL names no host";
	if (uri_parse(&client->uri, order->url, strlen(order->url), why) < 0 ||
		!client->uri.host[0] || !(client->scheme = rtsp_scheme_find(&client->uri))) {
		explicit_bzero(&client->uri, sizeof(client->uri));
		free(client);
		return NULL;
	}
	client->order = *order;
	client->log =
		(struct log_name){ .parent = order->log, .kind = "rtsp", .name = client->peer };
	client->memory = memory;
	client->tls = (struct tls_client){ order->config->tls_verify,
		order->config->tls_fingerprint, order->config->tls == TLS_LEGACY };
	client->session_timeout_s = TIMEOUT_S;
	/* the main stream asks, so that the camera is asked once; what a tunnel's way there is for media is disputed */
	client->asks_back = order->config->backchannel && !memory->no_backchannel &&
			    !client->scheme->tunnel && !strchr(order->camera, '/');
	client_choose_transport(client);
	rtp_receiver_init(
		&client->receiver, &client->order, &client->log, &client_receiver_events, client);
	for (unsigned i = 0; i < RTSP_TRACKS; i++)
		client->tracks[i].client = client;
	client_make_timers(client);
	rtsp_client_connect(client);
	return client;
}

static void client_fini(void *object)
{
	struct rtsp_client *client = object;

	rtsp_client_drop_tracks(client);
	rtp_receiver_fini(&client->receiver);
	reactor_timer_free(&client->step_timer);
	reactor_timer_free(&client->keepalive_timer);
	reactor_timer_free(&client->body_timer);
	explicit_bzero(&client->uri, sizeof(client->uri));
	free(client);
}

void rtsp_client_free(struct rtsp_client *client)
{
	if (!client)
		return;
	if (client->state != RTSP_ENDED) {
		client_leave(client);
		client_stop_timers(client);
		rtsp_client_enter(client, RTSP_ENDED);
	}
	reactor_free_later(&client->dead, client_fini, client);
}
