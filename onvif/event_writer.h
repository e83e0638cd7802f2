#pragma once

#include <stdint.h>

#include "onvif/soap_writer.h"

/* Notifications as ONVIF has them (Core Specification, "Notification Content"). */

#define EVENT_WRITER_ITEMS 3

struct event_item {
	const char *name, *value; /* name NULL: none any more */
};

enum event_operation {
	EVENT_OPERATION_NONE, /* it is no property */
	EVENT_OPERATION_INITIALIZED,
	EVENT_OPERATION_CHANGED,
	EVENT_OPERATION_DELETED
};

struct event_text {
	const char *topic; /* "VideoSource/MotionAlarm" */
	int64_t utc_us;
	enum event_operation operation;
	struct event_item source[EVENT_WRITER_ITEMS], data[EVENT_WRITER_ITEMS];
};

/* Into an element of the type wsnt:NotificationMessageHolderType. */
void event_write(xmlNode *holder, const struct event_text *event);
