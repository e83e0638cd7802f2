#pragma once

#include "onvif/event_filter.h"
#include "onvif/onvif_call.h"

/*
 * Subscriptions that are pulled (ONVIF Core Specification, "Real-time Pull-Point Notification Interface"): what happens is kept for whoever has
 * subscribed, PULL_POINT_QUEUE messages at most (then the oldest goes, and is counted), until he pulls or his time is over.
 */
struct pull_point;

enum {
	PULL_POINTS_MOST = 64,
	PULL_POINT_QUEUE = 512
};

void pull_points_start(void);
void pull_points_stop(void); /* fine when not started */

/* NULL: there are too many. How everything is is its first messages. */
struct pull_point *pull_point_new(const struct auth_user *user, const struct event_filter *filter,
	int64_t life_us) MUST_CHECK;
/* The caller's own: by the request's path, or by its wsa:To. NULL: none. */
struct pull_point *pull_point_find(const struct onvif_call *call);
void pull_point_free(struct pull_point *point);

/* "subscription/<id>", below ONVIF_ROUTE. */
const char *pull_point_path(const struct pull_point *point);
/* UTC. */
int64_t pull_point_ends_us(const struct pull_point *point);
/* It ends so long from now, but not earlier than PULL_POINT_LIFE_LEAST_US nor later than …MOST_US. */
#define PULL_POINT_LIFE_US (INT64_C(60) * 1000000)
#define PULL_POINT_LIFE_LEAST_US (INT64_C(10) * 1000000)
#define PULL_POINT_LIFE_MOST_US (INT64_C(3600) * 1000000)
void pull_point_renew(struct pull_point *point, int64_t life_us);
/* How everything is, once more. */
void pull_point_synchronize(struct pull_point *point);
/* Answers with what there is, `most` messages at most; or when there is something, or after wait_us. Returns as handlers do. */
bool pull_point_pull(
	struct pull_point *point, struct onvif_call *call, int64_t wait_us, size_t most);
