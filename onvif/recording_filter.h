#pragma once

#include <stdbool.h>

#include <libxml/tree.h>

#include "server/base/attributes.h"

/*
 * RecordingInformationFilter (ONVIF Recording Search Specification, "XPath dialect"): which recordings are meant, such as
 * boolean(//Track[TrackType = "Video"]). What takes long is false. Pure.
 */
enum {
	RECORDING_FILTER_BYTES = 256
};

bool recording_filter_is_valid(const char *expression) MUST_CHECK;
/* Of a tt:RecordingInformation; its namespaces are taken away, as the dialect has none. */
bool recording_filter_has(const char *expression, xmlNode *information) MUST_CHECK;
