#pragma once

#include <stdbool.h>

#include <libxml/tree.h>

#include "server/base/attributes.h"

/*
 * What ONVIF's Imaging Service Specification says of a picture and its focus: messages are read by one table of the elements that are
 * known and written anew, so that they are as the schema wants them. Extensions, the exposure's window and errors of the focus are
 * none of these. Pure.
 */

enum imaging_content {
	IMAGING_SETTINGS,     /* tt:ImagingSettings20 */
	IMAGING_OPTIONS,      /* tt:ImagingOptions20 */
	IMAGING_MOVE,         /* tt:FocusMove */
	IMAGING_MOVE_OPTIONS, /* tt:MoveOptions20 */
	IMAGING_STATUS        /* tt:ImagingStatus20 */
};

/*
 * Adds to `to` what is known of the children of `from`, whose names count without their namespaces. What is not what it should be, or
 * lacks what it has to have, is left out; false: there was such a one.
 */
bool imaging_copy(xmlNode *to, const xmlNode *from, enum imaging_content content);
