/* From metadata to events. Most documents tell where objects are, and nothing else: these are not parsed. */
#include "onvif/camera_events.h"

#include <stdlib.h>
#include <string.h>

#include "onvif/camera_subscription.h"
#include "onvif/event_message.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/media/event.h"

#define MESSAGE "NotificationMessage"

struct camera_events {
	struct event_listener listener;
};

static void camera_events_tell(void *arg, const struct event_message *message)
{
	const struct event_notice *document = *(const struct event_notice **)arg;

	event_publish(&(struct event_notice){
		.kind = message->kind,
		.phase = message->phase,
		.camera = document->camera,
		.source = message->source,
		.at_us = document->at_us, /* cameras' own clocks are not to be trusted */
	});
}

static void camera_events_on_notice(
	struct event_listener *listener, const struct event_notice *notice)
{
	(void)listener;
	if (notice->kind != EVENT_METADATA || camera_subscription_hears(notice->camera) ||
		!memmem(notice->data, notice->bytes, MESSAGE, strlen(MESSAGE)))
		return;
	if (event_messages_parse(notice->data, notice->bytes, camera_events_tell, &notice) < 0)
		metric_add(metric_get(METRIC_EVENTS_REFUSED, notice->camera), 1);
}

struct camera_events *camera_events_new(void)
{
	struct camera_events *events = xcalloc(1, sizeof(*events));

	events->listener.on_notice = camera_events_on_notice;
	event_subscribe(&events->listener);
	return events;
}

void camera_events_free(struct camera_events *events)
{
	if (!events)
		return;
	event_unsubscribe(&events->listener);
	free(events);
}
