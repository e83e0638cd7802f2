#pragma once

#include <stdbool.h>

#include "protocols/http_server.h"
#include "server/base/attributes.h"

struct config;

/*
 * WHEP (draft-ietf-wish-whep): live streams to browsers by WebRTC. A POST of an offer to
 * /live/<camera>/whep makes a session, which is a resource below it: PATCH takes trickled candidates (which
 * ICE-lite does not need), DELETE ends it. docs/WEBRTC.md says what there is.
 */

/*
 * Listens on listen.webrtc; `config` stays the caller's and lives until whep_apply() brings another or whep_stop().
 * NULL and errno when that fails; else the address in use. Without listen.webrtc, or without libsrtp2, the
 * resource answers 501.
 */
const char *whep_start(const struct config *config, bool loopback_only) MUST_CHECK;
bool whep_is_possible(void); /* nvrd was built with libsrtp2 */
bool whep_is_on(void);       /* it listens */
/* Another configuration: limits, and who may still see what. */
void whep_apply(const struct config *config);
/* Ends all sessions. Fine without whep_start(). */
void whep_stop(void);

#define WHEP_ROUTE "/live/*/whep/"
#define WHEP_SUB_ROUTE "/live/*/sub/whep/"
#define WHEP_METHODS (HTTP_OPTIONS | HTTP_POST | HTTP_PATCH | HTTP_DELETE)
/* For these routes: the resource itself, and its sessions. */
void whep_handle(struct http_request *request);
