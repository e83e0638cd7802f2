#pragma once

#include <stdbool.h>

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "server/base/log.h"
#include "server/media/source.h"

/*
 * Hears the events of one camera by ONVIF's PullPoint (Core Specification, "Real-time Pull-Point Notification Interface"), and publishes
 * them (server/media/event.h). It renews as the camera wants it, and subscribes anew when the camera has forgotten it. One
 * attempt: the supervisor (server/hear.h) makes a new one after its end.
 */
struct camera_subscription;

struct camera_subscription_events {
	void (*on_up)(void *arg); /* the camera tells: once */
	/* It was forgotten, or silent, and is subscribed to anew. */
	void (*on_again)(void *arg, enum source_end end, const char *detail);
	void (*on_end)(void *arg, enum source_end end, const char *detail); /* once */
	void (*on_stopped)(void *arg); /* after camera_subscription_stop() */
};

/* `camera` is its name, and `url` as of a source; all that is given outlives it. NULL and a static *why when the URL makes no sense. */
struct camera_subscription *camera_subscription_new(const char *camera, const char *url,
	const struct config_camera *config, const struct log_name *log,
	const struct camera_subscription_events *events, void *arg, const char **why) MUST_CHECK;
/* Tells the camera that nobody hears any more; on_stopped comes within two seconds, later than this, and nothing else does. */
void camera_subscription_stop(struct camera_subscription *subscription);
void camera_subscription_free(struct camera_subscription *subscription); /* NULL is fine */

/* Whether that camera tells somebody of its events in this way now. */
bool camera_subscription_hears(const char *camera);
