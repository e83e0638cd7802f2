#pragma once

#include <stdbool.h>

#include "server/base/attributes.h"

/*
 * Re-exports live streams: rtsp://host:8554/<camera> (RFC 2326) over interleaved TCP and UDP, from
 * packets that protocols/rtp_sender makes once per stream. Access by protocols/authenticate.
 */
struct rtsp_server;

/* Listens; NULL and errno when that fails. */
struct rtsp_server *rtsp_server_new(const char *address, bool loopback_only) MUST_CHECK;
void rtsp_server_free(struct rtsp_server *server); /* ends all sessions */
const char *rtsp_server_address(const struct rtsp_server *server);
