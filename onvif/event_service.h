#pragma once

#include <stdbool.h>

#include "onvif/onvif_call.h"

/* ONVIF's event service: topics, and subscriptions that are pulled (pull_point.h). */
void event_write_capabilities(xmlNode *parent);

bool event_get_properties(struct onvif_call *call);
bool event_create_pull_point(struct onvif_call *call);
bool event_pull_messages(struct onvif_call *call);
bool event_set_synchronization_point(struct onvif_call *call);
bool event_renew(struct onvif_call *call);
bool event_end_subscription(struct onvif_call *call);
