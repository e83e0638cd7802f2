#include "onvif/imaging_service.h"

#include <string.h>

#include "onvif/imaging_settings.h"
#include "onvif/pass_on.h"

#define TIMG SOAP_IMAGING_SPACE

void imaging_write_capabilities(xmlNode *parent)
{
	xmlNode *node = soap_add(parent, TIMG, "Capabilities");

	soap_set_bool(node, "ImageStabilization", false);
	soap_set_bool(node, "Presets", false);
}

#define ACTION(name) name, TIMG "/" name

/* An element with its content; without a name there is none. */
struct part {
	const char *name;
	enum imaging_content content;
};

// clang-format off
static const struct operation {
	const char *name, *action;
	struct part request, response; /* beside the video source's token */
} operations[] = {
	{ ACTION("GetImagingSettings"), { 0 }, { "ImagingSettings", IMAGING_SETTINGS } },
	{ ACTION("SetImagingSettings"), { "ImagingSettings", IMAGING_SETTINGS }, { 0 } },
	{ ACTION("GetOptions"), { 0 }, { "ImagingOptions", IMAGING_OPTIONS } },
	{ ACTION("GetMoveOptions"), { 0 }, { "MoveOptions", IMAGING_MOVE_OPTIONS } },
	{ ACTION("Move"), { "Focus", IMAGING_MOVE }, { 0 } },
	{ ACTION("Stop"), { 0 }, { 0 } },
	{ ACTION("GetStatus"), { 0 }, { "Status", IMAGING_STATUS } },
};
// clang-format on

static const struct operation *operation_of(const struct onvif_call *call)
{
	size_t i = 0;

	while (strcmp(operations[i].name, call->in.name) != 0)
		i++;
	return &operations[i];
}

/* What the camera says and is not as it should be is left out. */
static bool take(struct onvif_call *call, const struct soap_message *answer)
{
	const struct part *part = &operation_of(call)->response;
	const xmlNode *from;

	if (!part->name)
		return true;
	from = soap_child(answer->body, NULL, part->name);
	if (from)
		(void)imaging_copy(soap_add(call->answer, TIMG, part->name), from, part->content);
	return from != NULL;
}

/* The request as the camera is to get it. False: something in it makes no sense. */
static bool write_request(const struct onvif_call *call, const struct part *part, xmlNode *request)
{
	const xmlNode *from, *persistence = soap_child(call->in.body, TIMG, "ForcePersistence");
	bool persists;

	if (!part->name)
		return true;
	from = soap_child(call->in.body, TIMG, part->name);
	if (!from || !imaging_copy(soap_add(request, TIMG, part->name), from, part->content))
		return false;
	if (part->content != IMAGING_SETTINGS || !persistence)
		return true;
	if (!soap_bool(persistence, &persists))
		return false;
	soap_add_bool(request, TIMG, "ForcePersistence", persists);
	return true;
}

bool imaging_pass_on(struct onvif_call *call)
{
	const struct operation *operation = operation_of(call);
	struct camera_order order = { CAMERA_IMAGING, CAMERA_ASKS, operation->action, 0, 0, 0 };
	const struct config_camera *camera;
	struct camera_control *control;
	char token[ONVIF_TOKEN_BYTES];
	struct soap_writer writer;
	xmlNode *request;

	camera = onvif_call_text(call, "VideoSourceToken", token, sizeof(token))
			 ? onvif_camera_find(call, token)
			 : NULL;
	if (!camera)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_SOURCE);
	control = camera_control_find(camera->name, CAMERA_IMAGING);
	if (!control)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_IMAGING);
	soap_writer_init(&writer);
	request = soap_add(writer.body, TIMG, operation->name);
	soap_add_text(request, TIMG, "VideoSourceToken", camera_control_source(control));
	if (!write_request(call, &operation->request, request)) {
		soap_writer_fini(&writer);
		return onvif_call_refuse(call, ONVIF_FAULT_MISSING);
	}
	return pass_on(call, control, &order, &writer, take);
}
