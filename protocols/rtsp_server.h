#pragma once

#include <stdbool.h>

#include "server/base/attributes.h"

struct config;
struct tls_server;

/*
 * Re-exports live streams: rtsp://host:8554/<camera> (RFC 2326) over interleaved TCP, UDP and multicast, by TLS
 * (rtsps) and through HTTP, from packets that protocols/rtp_sender makes once per stream; and plays recordings:
 * rtsp://host:8554/recordings/<camera> (protocols/rtsp_replay.h). Access by protocols/authenticate. docs/RTSP.md says
 * what there is.
 */
struct rtsp_server;
struct tree;

/*
 * Takes what comes through HTTP (http_set_tunnel()), too. The configuration says how many sessions there may be, and
 * the groups of cameras; it must live until it is replaced by rtsp_server_apply(). Recordings are played from the
 * tree, which outlives it; NULL: none are.
 */
struct rtsp_server *rtsp_server_new(const struct config *config, struct tree *tree) MUST_CHECK;
void rtsp_server_free(struct rtsp_server *server); /* ends all sessions */

/*
 * Listens, by TLS where `tls` is not NULL, which must outlive the server. Once each. Returns the address in use,
 * valid while the server lives; or NULL and errno.
 */
const char *rtsp_server_listen(struct rtsp_server *server, const char *address, bool loopback_only,
	const struct tls_server *tls) MUST_CHECK;

/* Sessions that there are go on. NULL as server is fine. */
void rtsp_server_apply(struct rtsp_server *server, const struct config *config);
