#pragma once

#include <stdbool.h>

#include "onvif/event_writer.h"
#include "server/base/attributes.h"

/*
 * Message content filters (ONVIF Core Specification, "Message Content Filter", dialect ItemFilter): an XPath of terms such as
 * boolean(//tt:SimpleItem[@Name="Rule" and @Value="R1"]) with and, or, not() and parentheses. Prefixes do not count. Pure; it takes time
 * in proportion to the expression, for each item of the message.
 */
enum {
	ITEM_FILTER_BYTES = 512
};

/* Whether it is such an expression; "" is none. */
bool item_filter_is_valid(const char *expression) MUST_CHECK;
/* Whether a message, which has simple items only, meets a valid one. */
bool item_filter_has(const char *expression, const struct event_text *message) MUST_CHECK;
