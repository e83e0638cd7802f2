#include "onvif/ptz_service.h"

#include <string.h>

#include "onvif/pass_on.h"
#include "server/base/reactor.h"

#define TPTZ SOAP_PTZ_SPACE
#define TT SOAP_SCHEMA_SPACE
#define FIELDS 2 /* the most that an operation has beside the profile */

void ptz_write_capabilities(xmlNode *parent)
{
	xmlNode *node = soap_add(parent, TPTZ, "Capabilities");

	soap_set_bool(node, "GetCompatibleConfigurations", true);
}

/* --- nodes and configurations --- */

bool ptz_has(const struct media_profile *profile)
{
	return profile->ptz != NULL;
}

void ptz_write_configuration(
	xmlNode *parent, const char *space, const char *name, const struct media_profile *profile)
{
	xmlNode *node = soap_add(parent, space, name);
	const char *camera = profile->camera->name;

	media_write_entity(node, camera, camera);
	soap_add_text(node, TT, "NodeToken", camera);
	ptz_spaces_write_defaults(node, camera_control_node(profile->ptz)->spaces);
	soap_add_duration(node, TT, "DefaultPTZTimeout", CAMERA_MOVE_US);
}

static void write_node(xmlNode *parent, const struct media_profile *profile)
{
	const struct camera_node *can = camera_control_node(profile->ptz);
	xmlNode *node = soap_add(parent, TPTZ, "PTZNode");

	soap_set(node, "token", profile->camera->name);
	soap_set_bool(node, "FixedHomePosition", can->has_fixed_home);
	soap_add_text(node, TT, "Name", profile->camera->name);
	ptz_spaces_write(node, "SupportedPTZSpaces", can->spaces);
	soap_add_integer(node, TT, "MaximumNumberOfPresets", can->presets);
	soap_add_bool(node, TT, "HomeSupported", can->has_home);
}

/* The camera that the request names in an element, if it can be moved. */
static bool find_asked(
	const struct onvif_call *call, const char *name, struct media_profile *profile)
{
	char token[ONVIF_TOKEN_BYTES];

	return onvif_call_text(call, name, token, sizeof(token)) &&
	       media_profile_find_camera(call, token, profile) && ptz_has(profile);
}

bool ptz_get_nodes(struct onvif_call *call)
{
	struct media_profile profile = { 0 };

	while (media_profile_next_camera(call, &profile)) {
		if (ptz_has(&profile))
			write_node(call->answer, &profile);
	}
	return true;
}

bool ptz_get_node(struct onvif_call *call)
{
	struct media_profile profile;

	if (!find_asked(call, "NodeToken", &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_NODE);
	write_node(call->answer, &profile);
	return true;
}

bool ptz_get_configurations(struct onvif_call *call)
{
	struct media_profile profile = { 0 };

	while (media_profile_next_camera(call, &profile)) {
		if (ptz_has(&profile))
			ptz_write_configuration(call->answer, TPTZ, "PTZConfiguration", &profile);
	}
	return true;
}

bool ptz_get_configuration(struct onvif_call *call)
{
	struct media_profile profile;

	if (!find_asked(call, "PTZConfigurationToken", &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_CONFIGURATION);
	ptz_write_configuration(call->answer, TPTZ, "PTZConfiguration", &profile);
	return true;
}

bool ptz_get_options(struct onvif_call *call)
{
	struct media_profile profile;
	xmlNode *options, *range;

	if (!find_asked(call, "ConfigurationToken", &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_CONFIGURATION);
	options = soap_add(call->answer, TPTZ, "PTZConfigurationOptions");
	ptz_spaces_write(options, "Spaces", camera_control_node(profile.ptz)->spaces);
	range = soap_add(options, TT, "PTZTimeout");
	soap_add_duration(range, TT, "Min", 0);
	soap_add_duration(range, TT, "Max", CAMERA_MOVE_US);
	return true;
}

bool ptz_get_compatible(struct onvif_call *call)
{
	struct media_profile profile;

	if (!media_profile_asked(call, &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
	if (ptz_has(&profile))
		ptz_write_configuration(call->answer, TPTZ, "PTZConfiguration", &profile);
	return true;
}

/* --- what the camera answers --- */

static bool take_presets(struct onvif_call *call, const struct soap_message *answer)
{
	struct camera_preset preset = { 0 };

	while (camera_preset_next(answer, &preset)) {
		xmlNode *node = soap_add(call->answer, TPTZ, "Preset");

		soap_set(node, "token", preset.token);
		if (preset.name[0])
			soap_add_text(node, TT, "Name", preset.name);
		if (preset.has_position)
			ptz_vector_write(node, TT, "PTZPosition", &preset.position);
	}
	return true;
}

static bool take_preset(struct onvif_call *call, const struct soap_message *answer)
{
	char token[CAMERA_PRESET_BYTES];
	const char *why;

	if (camera_answer_preset(token, answer, &why) < 0)
		return false;
	soap_add_text(call->answer, TPTZ, "PresetToken", token);
	return true;
}

static bool take_status(struct onvif_call *call, const struct soap_message *answer)
{
	struct camera_status status;
	const char *why;
	xmlNode *node, *movement;

	if (camera_answer_status(&status, answer, &why) < 0)
		return false;
	node = soap_add(call->answer, TPTZ, "PTZStatus");
	if (status.has_position)
		ptz_vector_write(node, TT, "Position", &status.position);
	if (status.pan_tilt || status.zoom) {
		movement = soap_add(node, TT, "MoveStatus");
		if (status.pan_tilt)
			soap_add_text(movement, TT, "PanTilt", status.pan_tilt);
		if (status.zoom)
			soap_add_text(movement, TT, "Zoom", status.zoom);
	}
	if (status.error[0])
		soap_add_text(node, TT, "Error", status.error);
	soap_add_time(node, TT, "UtcTime",
		reactor_now_us()); /* cameras' own clocks are not to be trusted */
	return true;
}

/* --- what the camera is asked --- */

/* An element of a request; false: it makes no sense. */
typedef bool copy_fn(
	xmlNode *to, const xmlNode *from, const char *name, struct camera_order *order);

static bool copy_text(
	xmlNode *to, const xmlNode *from, const char *name, struct camera_order *order)
{
	char text[CAMERA_PRESET_BYTES];

	(void)order;
	if (!soap_text(from, text, sizeof(text)))
		return false;
	soap_add_text(to, TPTZ, name, text);
	return true;
}

static bool copy_vector(
	xmlNode *to, const xmlNode *from, const char *name, struct ptz_vector *vector)
{
	if (!ptz_vector_parse(vector, from))
		return false;
	ptz_vector_write(to, TPTZ, name, vector);
	return true;
}

static bool copy_speed(
	xmlNode *to, const xmlNode *from, const char *name, struct camera_order *order)
{
	struct ptz_vector vector;

	(void)order;
	return copy_vector(to, from, name, &vector);
}

/* Where to: nothing moves on when it is there. */
static bool copy_place(
	xmlNode *to, const xmlNode *from, const char *name, struct camera_order *order)
{
	struct ptz_vector vector;

	if (!copy_vector(to, from, name, &vector))
		return false;
	order->ends = vector.axes;
	return true;
}

/* An axis without speed is stopped. */
static bool copy_velocity(
	xmlNode *to, const xmlNode *from, const char *name, struct camera_order *order)
{
	struct ptz_vector vector;

	if (!copy_vector(to, from, name, &vector))
		return false;
	if (vector.x != 0 || vector.y != 0)
		order->begins |= PTZ_PAN_TILT;
	if (vector.zoom != 0)
		order->begins |= PTZ_ZOOM;
	order->ends = vector.axes & ~order->begins;
	order->lasts_us = CAMERA_MOVE_US;
	return true;
}

static bool copy_timeout(
	xmlNode *to, const xmlNode *from, const char *name, struct camera_order *order)
{
	int64_t us;

	if (!soap_duration(from, &us) || us < 0)
		return false;
	if (us < order->lasts_us)
		order->lasts_us = us;
	soap_add_duration(to, TPTZ, name, order->lasts_us);
	return true;
}

/* "PanTilt" or "Zoom"; what is not said is stopped. */
static bool copy_stop(
	xmlNode *to, const xmlNode *from, const char *name, struct camera_order *order)
{
	bool value;

	if (!soap_bool(from, &value))
		return false;
	if (!value)
		order->ends &= strcmp(name, "Zoom") == 0 ? ~PTZ_ZOOM : ~PTZ_PAN_TILT;
	soap_add_bool(to, TPTZ, name, value);
	return true;
}

#define ACTION(name) name, TPTZ "/" name
#define BOTH (PTZ_PAN_TILT | PTZ_ZOOM)

// clang-format off
static const struct operation {
	const char *name, *action;
	enum camera_order_kind kind;
	unsigned ends; /* before its fields say so */
	struct field {
		const char *name;
		copy_fn *copy;
		bool is_needed;
	} fields[FIELDS];
	bool (*take)(struct onvif_call *call, const struct soap_message *answer); /* NULL: it is empty */
} operations[] = {
	{ ACTION("GetPresets"), CAMERA_ASKS, 0, { { 0 } }, take_presets },
	{ ACTION("GetStatus"), CAMERA_ASKS, 0, { { 0 } }, take_status },
	{ ACTION("SetPreset"), CAMERA_ASKS, 0, { { "PresetName", copy_text, false }, { "PresetToken", copy_text, false } }, take_preset },
	{ ACTION("RemovePreset"), CAMERA_ASKS, 0, { { "PresetToken", copy_text, true } }, NULL },
	{ ACTION("SetHomePosition"), CAMERA_ASKS, 0, { { 0 } }, NULL },
	{ ACTION("GotoPreset"), CAMERA_MOVES, BOTH, { { "PresetToken", copy_text, true }, { "Speed", copy_speed, false } }, NULL },
	{ ACTION("GotoHomePosition"), CAMERA_MOVES, BOTH, { { "Speed", copy_speed, false } }, NULL },
	{ ACTION("ContinuousMove"), CAMERA_MOVES, 0, { { "Velocity", copy_velocity, true }, { "Timeout", copy_timeout, false } }, NULL },
	{ ACTION("RelativeMove"), CAMERA_MOVES, 0, { { "Translation", copy_place, true }, { "Speed", copy_speed, false } }, NULL },
	{ ACTION("AbsoluteMove"), CAMERA_MOVES, 0, { { "Position", copy_place, true }, { "Speed", copy_speed, false } }, NULL },
	{ ACTION("Stop"), CAMERA_STOPS, BOTH, { { "PanTilt", copy_stop, false }, { "Zoom", copy_stop, false } }, NULL },
};
// clang-format on

static const struct operation *operation_of(const struct onvif_call *call)
{
	size_t i = 0;

	while (strcmp(operations[i].name, call->in.name) != 0)
		i++;
	return &operations[i];
}

/* The request as the camera is to get it. False: something in it makes no sense. */
static bool write_request(const struct onvif_call *call, const struct operation *operation,
	xmlNode *request, struct camera_order *order)
{
	for (size_t i = 0; i < FIELDS && operation->fields[i].name; i++) {
		const struct field *field = &operation->fields[i];
		const xmlNode *from = soap_child(call->in.body, TPTZ, field->name);

		if (from ? !field->copy(request, from, field->name, order) : field->is_needed)
			return false;
	}
	return true;
}

bool ptz_pass_on(struct onvif_call *call)
{
	const struct operation *operation = operation_of(call);
	struct camera_order order = { CAMERA_PTZ, operation->kind, operation->action, 0,
		operation->ends, 0 };
	struct media_profile profile;
	struct soap_writer writer;
	xmlNode *request;

	if (!media_profile_asked(call, &profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_PROFILE);
	if (!ptz_has(&profile))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_PTZ);
	soap_writer_init(&writer);
	request = soap_add(writer.body, TPTZ, operation->name);
	soap_add_text(request, TPTZ, "ProfileToken", camera_control_profile(profile.ptz));
	if (!write_request(call, operation, request, &order)) {
		soap_writer_fini(&writer);
		return onvif_call_refuse(call, ONVIF_FAULT_MISSING);
	}
	return pass_on(call, profile.ptz, &order, &writer, operation->take);
}
