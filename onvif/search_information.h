#pragma once

#include "onvif/onvif_call.h"
#include "onvif/recording_lookup.h"

/* What is told of a recording that was looked up: what it is, and what its media are. */

/* tt:RecordingInformation, as a child of that name. */
xmlNode *search_write_information(const struct onvif_call *call, xmlNode *parent, const char *space,
	const char *name, const struct recording_found *found);
/* tt:MediaAttributes of the one at an instant. */
void search_write_attributes(xmlNode *parent, const struct recording_found *found);
