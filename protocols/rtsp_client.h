#pragma once

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "server/media/source.h"

/*
 * Pulls one camera by RTSP (RFC 2326) and publishes what it sends into a stream: OPTIONS, DESCRIBE,
 * SETUP, PLAY, keepalive, TEARDOWN. One attempt: the supervisor makes a new one after its end.
 */
struct rtsp_client;

/* The ways to keep a session alive. */
enum rtsp_keepalive {
	RTSP_KEEPALIVE_UNKNOWN,
	RTSP_KEEPALIVE_OPTIONS,
	RTSP_KEEPALIVE_GET_PARAMETER
};

/* What proved to work for a camera; the supervisor keeps it from one attempt to the next. */
struct rtsp_client_memory {
	enum config_transport transport; /* TRANSPORT_AUTO when nothing is known */
	enum rtsp_keepalive keepalive;
	bool signs_base;      /* in SETUP, credentials name the session's URI and not the track's */
	bool logged_in;       /* with the password as it is configured */
	bool no_backchannel;  /* the camera failed when it was asked for */
	unsigned short_lives; /* sessions in a row that ended when keepalives should have helped */
};

/* Starts pulling order->url. Returns NULL and a static *why when it makes no sense. */
struct rtsp_client *rtsp_client_new(const struct source_order *order,
	struct rtsp_client_memory *memory, const char **why) MUST_CHECK;

/* Says TEARDOWN and ends without calling on_end. NULL is fine. */
void rtsp_client_free(struct rtsp_client *client);
