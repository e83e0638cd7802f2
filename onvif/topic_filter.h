#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/base/attributes.h"

/*
 * Topic expressions (OASIS WS-Topics' concrete and full dialects, as far as ONVIF's ConcreteSet has them): paths of names with
 * alternatives, "tns1:Device/Trigger//.|tns1:VideoSource/MotionAlarm". Prefixes do not count, '*' is any name, "//." all below. Pure.
 */
enum {
	TOPIC_FILTER_BYTES = 512
};

/* Whether it is such an expression. */
bool topic_filter_is_valid(const char *expression) MUST_CHECK;
/* Whether a topic without prefixes ("VideoSource/MotionAlarm") is among those of a valid one; of "" all are. */
bool topic_filter_has(const char *expression, const char *topic) MUST_CHECK;
