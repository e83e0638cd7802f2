#pragma once

#include <stdbool.h>

#include <libxml/tree.h>

#include "server/base/attributes.h"

/*
 * Coordinates of ONVIF's PTZ Service Specification: vectors, and the spaces in which a camera can be moved. Of the latter only the
 * generic ones are told, which every camera has to have for what it can ("PTZ Node"). Pure.
 */

/* What moves; a set of these. */
#define PTZ_PAN_TILT 1U
#define PTZ_ZOOM 2U

enum {
	PTZ_SPACE_BYTES = 128
};

/* tt:PTZVector, tt:PTZSpeed. */
struct ptz_vector {
	unsigned axes; /* which it has */
	double x, y, zoom;
	char pan_tilt_space[PTZ_SPACE_BYTES], zoom_space[PTZ_SPACE_BYTES]; /* URIs; "": unsaid */
};
/* Names count without their namespaces. False: there is no node, or no number where one has to be. */
bool ptz_vector_parse(struct ptz_vector *ret, const xmlNode *node) MUST_CHECK;
void ptz_vector_write(
	xmlNode *parent, const char *space, const char *name, const struct ptz_vector *vector);

/* The spaces of tt:PTZSpaces, as a set; those of a NULL node are none. */
unsigned ptz_spaces_parse(const xmlNode *node);
/* As tt:PTZSpaces, and as the defaults of a tt:PTZConfiguration. */
void ptz_spaces_write(xmlNode *parent, const char *name, unsigned spaces);
void ptz_spaces_write_defaults(xmlNode *parent, unsigned spaces);
