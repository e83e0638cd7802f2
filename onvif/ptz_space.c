#include "onvif/ptz_space.h"

#include "onvif/soap_message.h"
#include "onvif/soap_writer.h"

#define TT SOAP_SCHEMA_SPACE
#define GENERIC "http://www.onvif.org/ver10/tptz/"

// clang-format off
/* In the order of tt:PTZSpaces; a set has the bit of each row's number. */
static const struct row {
	const char *name;
	const char *as_default; /* of a configuration, as misspelt there; NULL: there is none */
	const char *uri;
	bool has_y;
	const char *least;
} rows[] = {
	{ "AbsolutePanTiltPositionSpace", "DefaultAbsolutePantTiltPositionSpace", GENERIC "PanTiltSpaces/PositionGenericSpace", true, "-1" },
	{ "AbsoluteZoomPositionSpace", "DefaultAbsoluteZoomPositionSpace", GENERIC "ZoomSpaces/PositionGenericSpace", false, "0" },
	{ "RelativePanTiltTranslationSpace", "DefaultRelativePanTiltTranslationSpace", GENERIC "PanTiltSpaces/TranslationGenericSpace", true, "-1" },
	{ "RelativeZoomTranslationSpace", "DefaultRelativeZoomTranslationSpace", GENERIC "ZoomSpaces/TranslationGenericSpace", false, "-1" },
	{ "ContinuousPanTiltVelocitySpace", "DefaultContinuousPanTiltVelocitySpace", GENERIC "PanTiltSpaces/VelocityGenericSpace", true, "-1" },
	{ "ContinuousZoomVelocitySpace", "DefaultContinuousZoomVelocitySpace", GENERIC "ZoomSpaces/VelocityGenericSpace", false, "-1" },
	{ "PanTiltSpeedSpace", NULL, GENERIC "PanTiltSpaces/GenericSpeedSpace", false, "0" },
	{ "ZoomSpeedSpace", NULL, GENERIC "ZoomSpaces/ZoomGenericSpeedSpace", false, "0" },
};
// clang-format on

/* --- vectors --- */

bool ptz_vector_parse(struct ptz_vector *ret, const xmlNode *node)
{
	const xmlNode *pan_tilt = soap_child(node, NULL, "PanTilt");
	const xmlNode *zoom = soap_child(node, NULL, "Zoom");
	struct ptz_vector vector = { 0 };

	if (!node ||
		(pan_tilt && (!soap_attribute_number(pan_tilt, "x", &vector.x) ||
				     !soap_attribute_number(pan_tilt, "y", &vector.y))) ||
		(zoom && !soap_attribute_number(zoom, "x", &vector.zoom)))
		return false;
	vector.axes = (pan_tilt ? PTZ_PAN_TILT : 0) | (zoom ? PTZ_ZOOM : 0);
	(void)soap_attribute(
		pan_tilt, "space", vector.pan_tilt_space, sizeof(vector.pan_tilt_space));
	(void)soap_attribute(zoom, "space", vector.zoom_space, sizeof(vector.zoom_space));
	*ret = vector;
	return true;
}

static void write_number(xmlNode *node, const char *name, double value)
{
	soap_set_format(node, name, "%.7g", value);
}

void ptz_vector_write(
	xmlNode *parent, const char *space, const char *name, const struct ptz_vector *vector)
{
	xmlNode *node = soap_add(parent, space, name), *axis;

	if (vector->axes & PTZ_PAN_TILT) {
		axis = soap_add(node, TT, "PanTilt");
		write_number(axis, "x", vector->x);
		write_number(axis, "y", vector->y);
		if (vector->pan_tilt_space[0])
			soap_set(axis, "space", vector->pan_tilt_space);
	}
	if (vector->axes & PTZ_ZOOM) {
		axis = soap_add(node, TT, "Zoom");
		write_number(axis, "x", vector->zoom);
		if (vector->zoom_space[0])
			soap_set(axis, "space", vector->zoom_space);
	}
}

/* --- spaces --- */

unsigned ptz_spaces_parse(const xmlNode *node)
{
	unsigned spaces = 0;

	for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (soap_child(node, NULL, rows[i].name))
			spaces |= 1U << i;
	}
	return spaces;
}

static void write_range(xmlNode *parent, const char *name, const char *least)
{
	xmlNode *range = soap_add(parent, TT, name);

	soap_add_text(range, TT, "Min", least);
	soap_add_text(range, TT, "Max", "1");
}

void ptz_spaces_write(xmlNode *parent, const char *name, unsigned spaces)
{
	xmlNode *node = soap_add(parent, TT, name), *space;

	for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (!(spaces & 1U << i))
			continue;
		space = soap_add(node, TT, rows[i].name);
		soap_add_text(space, TT, "URI", rows[i].uri);
		write_range(space, "XRange", rows[i].least);
		if (rows[i].has_y)
			write_range(space, "YRange", rows[i].least);
	}
}

void ptz_spaces_write_defaults(xmlNode *parent, unsigned spaces)
{
	for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (spaces & 1U << i && rows[i].as_default)
			soap_add_text(parent, TT, rows[i].as_default, rows[i].uri);
	}
}
