#pragma once

#include <libxml/tree.h>

#include "onvif/event_writer.h"
#include "onvif/item_filter.h"
#include "onvif/topic_filter.h"

/* Which messages a subscription or a search wants (OASIS WS-BaseNotification, FilterType): by topic and by content. */
struct event_filter {
	char topics[TOPIC_FILTER_BYTES]; /* "": all */
	char content[ITEM_FILTER_BYTES]; /* "": any */
};

/* Of a filter's element; NULL has nothing in it. False: there is something else in it, or it is not understood. */
bool event_filter_read(struct event_filter *ret, const xmlNode *filter) MUST_CHECK;
bool event_filter_has(
	const struct event_filter *filter, const struct event_text *message) MUST_CHECK;
