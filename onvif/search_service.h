#pragma once

#include <stdbool.h>

#include "onvif/onvif_call.h"

/*
 * ONVIF Recording Search: which recordings there are, and when they have data. A search belongs to the user who began it, and is
 * forgotten when nobody has asked for its results for as long as it said, an hour at most. There are at most
 * SEARCHES_MOST.
 */
enum {
	SEARCHES_MOST = 64
};
void search_write_capabilities(xmlNode *parent);
void search_service_stop(void);

bool search_get_summary(struct onvif_call *call);
bool search_get_information(struct onvif_call *call);
bool search_get_media_attributes(struct onvif_call *call);
bool search_find_recordings(struct onvif_call *call);
bool search_get_recordings(struct onvif_call *call);
bool search_find_events(struct onvif_call *call);
bool search_get_events(struct onvif_call *call);
bool search_get_state(struct onvif_call *call);
bool search_end(struct onvif_call *call);
