#pragma once

struct catalogue;
struct config;
struct http_request;
struct volume;

/*
 * nvrd as an ONVIF device with a channel for each camera: SOAP over HTTP below /onvif/, with one table of operations. Who asks
 * says so by WS-UsernameToken or by HTTP. docs/ONVIF.md says what there is.
 */

/* Before the first call, and before the reactor runs; all outlive it. */
void onvif_service_start(
	const struct config *config, struct catalogue *catalogue, struct volume *volume);
/* Another configuration is in force, which lives until the next. */
void onvif_service_apply(const struct config *config);
/* Where RTSP is listened to: "0.0.0.0:8554". */
void onvif_service_set_rtsp(const char *address);
/* Ends subscriptions and searches; no call may be under way. May be called when it was not started. */
void onvif_service_stop(void);

/* POST below "/onvif/"; for a route with HTTP_ASKS_ITSELF. */
#define ONVIF_ROUTE "/onvif/"
#define ONVIF_METHODS (HTTP_POST | HTTP_ASKS_ITSELF)
void onvif_post(struct http_request *request);
