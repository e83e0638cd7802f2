#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "onvif/event_writer.h"
#include "server/media/event.h"

/* The topics that nvrd's event service tells of, what stands in their messages, and which kinds of notices make them. */

enum event_topic {
	TOPIC_CELL_MOTION,
	TOPIC_MOTION_ALARM,
	TOPIC_SIGNAL_LOSS,
	TOPIC_JOB_STATE,
	TOPIC_STORAGE_FAILURE,
	TOPIC_TAMPER,
	TOPIC_LINE,
	TOPIC_INPUT,
	TOPIC_PERSON,
	TOPIC_VEHICLE,
	TOPICS
};

/* Something that happened, or how something is. */
struct event_told {
	enum event_topic topic;
	enum event_operation operation;
	bool value;
	int64_t utc_us;
	char camera[64]; /* "": it is of no camera */
	char rule[160];  /* what of the camera; "": it has but one */
};

/* "VideoSource/MotionAlarm" */
const char *event_topic_path(enum event_topic topic);
/* Whether it has a state that lasts. */
bool event_topic_is_property(enum event_topic topic);
/* That of a kind of event; TOPICS: none. */
enum event_topic event_topic_of(enum event_kind kind);

/* As a message; it points into what is told. */
void event_topic_text(const struct event_told *told, struct event_text *ret);
/* wstop:TopicSet, as a child. */
void event_topic_write_set(xmlNode *parent);
