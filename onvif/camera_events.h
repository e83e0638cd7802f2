#pragma once

/*
 * Events that cameras tell in the metadata track of their RTSP streams become notices of events (server/media/event.h), unless the
 * camera tells us by a subscription (onvif/camera_subscription.h), too.
 */
struct camera_events;

struct camera_events *camera_events_new(void);
void camera_events_free(struct camera_events *events); /* NULL is fine */
