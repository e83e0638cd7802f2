/* The look-up of a camera's services and streams, step by step. */
#include "onvif/camera_device.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"

struct camera_device {
	struct camera_caller *caller;
	enum camera_wish wish;
	camera_device_fn *done;
	void *arg;
	struct camera_services services;
	bool media2; /* which of the two is asked */
	struct camera_found found;
	struct reactor_dead dead;
};

static void device_end(struct camera_device *device, enum source_end end, const char *detail)
{
	device->done(device->arg, end, detail, end == SOURCE_STOPPED ? &device->found : NULL);
}

/* Passes on why there is no answer. */
static void device_fail(struct camera_device *device, const struct camera_reply *reply)
{
	device_end(device, reply->end, reply->detail);
}

static void device_ask(struct camera_device *device, const char *path, const char *action,
	bool open, struct soap_writer *writer, camera_reply_fn *done)
{
	struct camera_question question = { path, action, open, CAMERA_PATIENCE_US };

	camera_caller_ask(device->caller, &question, writer, done, device);
}

/* --- the stream --- */

static void device_ask_profiles(struct camera_device *device, bool media2);

/* What Media2 does not answer well, Media may. */
static void device_on_media_failed(struct camera_device *device, const struct camera_reply *reply)
{
	if (device->media2 && device->services.media[0] && camera_reply_is_no(reply))
		device_ask_profiles(device, false);
	else
		device_fail(device, reply);
}

static void device_on_uri(void *arg, const struct camera_reply *reply)
{
	struct camera_device *device = arg;
	struct camera_reply bad = { .end = SOURCE_PROTOCOL };

	if (reply->end != SOURCE_STOPPED)
		device_on_media_failed(device, reply);
	else if (camera_answer_uri(device->found.uri, reply->answer, &bad.detail) < 0)
		device_on_media_failed(device, &bad);
	else
		device_end(device, SOURCE_STOPPED, NULL);
}

static void device_ask_uri(struct camera_device *device, const char *token)
{
	const char *space = device->media2 ? SOAP_MEDIA2_SPACE : SOAP_MEDIA_SPACE;
	struct soap_writer writer;
	xmlNode *request, *setup;

	soap_writer_init(&writer);
	request = soap_add(writer.body, space, "GetStreamUri");
	if (device->media2) {
		soap_add_text(request, space, "Protocol", "RTSP");
	} else {
		setup = soap_add(request, space, "StreamSetup");
		soap_add_text(setup, SOAP_SCHEMA_SPACE, "Stream", "RTP-Unicast");
		setup = soap_add(setup, SOAP_SCHEMA_SPACE, "Transport");
		soap_add_text(setup, SOAP_SCHEMA_SPACE, "Protocol", "RTSP");
	}
	soap_add_text(request, space, "ProfileToken", token);
	device_ask(device, device->media2 ? device->services.media2 : device->services.media,
		device->media2 ? SOAP_MEDIA2_SPACE "/GetStreamUri"
			       : SOAP_MEDIA_SPACE "/GetStreamUri",
		false, &writer, device_on_uri);
}

/* A profile of Media2 may lack what the same one of Media has. */
static void device_on_control_profiles(
	struct camera_device *device, const struct camera_profiles *profiles)
{
	const struct camera_services *services = &device->services;
	const struct camera_profile *large = camera_profiles_main(profiles);
	const struct camera_profile *wanted = camera_profiles_ptz(profiles);

	if (large->source[0]) {
		memcpy(device->found.imaging, services->imaging, sizeof(services->imaging));
		memcpy(device->found.source, large->source, sizeof(large->source));
	}
	if (services->ptz[0] && !wanted && device->media2 && services->media[0]) {
		device_ask_profiles(device, false);
		return;
	}
	if (wanted) {
		memcpy(device->found.ptz, services->ptz, sizeof(services->ptz));
		memcpy(device->found.profile, wanted->token, sizeof(wanted->token));
		memcpy(device->found.node, wanted->node, sizeof(wanted->node));
	}
	device_end(device, SOURCE_STOPPED, NULL);
}

static void device_on_profiles(void *arg, const struct camera_reply *reply)
{
	struct camera_device *device = arg;
	struct camera_profiles profiles;
	const struct camera_profile *sub, *wanted;
	struct camera_reply bad = { .end = SOURCE_NO_VIDEO };

	if (reply->end != SOURCE_STOPPED) {
		device_on_media_failed(device, reply);
		return;
	}
	if (camera_answer_profiles(&profiles, reply->answer, &bad.detail) < 0) {
		device_fail(device, &bad);
		return;
	}
	if (device->wish == CAMERA_CONTROL) {
		device_on_control_profiles(device, &profiles);
		return;
	}
	sub = camera_profiles_sub(&profiles);
	device->found.has_sub = sub != NULL;
	wanted = device->wish == CAMERA_SUB ? sub : camera_profiles_main(&profiles);
	if (wanted)
		device_ask_uri(device, wanted->token);
	else
		device_end(device, SOURCE_NO_VIDEO, "it has one stream only");
}

static void device_ask_profiles(struct camera_device *device, bool media2)
{
	struct soap_writer writer;
	xmlNode *request;

	device->media2 = media2;
	soap_writer_init(&writer);
	request =
		soap_add(writer.body, media2 ? SOAP_MEDIA2_SPACE : SOAP_MEDIA_SPACE, "GetProfiles");
	if (media2) { /* what of the profiles is told */
		soap_add_text(request, SOAP_MEDIA2_SPACE, "Type", "VideoSource");
		soap_add_text(request, SOAP_MEDIA2_SPACE, "Type", "VideoEncoder");
		if (device->wish == CAMERA_CONTROL)
			soap_add_text(request, SOAP_MEDIA2_SPACE, "Type", "PTZ");
	}
	device_ask(device, media2 ? device->services.media2 : device->services.media,
		media2 ? SOAP_MEDIA2_SPACE "/GetProfiles" : SOAP_MEDIA_SPACE "/GetProfiles", false,
		&writer, device_on_profiles);
}

/* --- clock and services --- */

static void device_on_services_known(struct camera_device *device)
{
	const struct camera_services *services = &device->services;

	memcpy(device->found.events, services->events, sizeof(services->events));
	if ((device->wish == CAMERA_EVENTS && services->events[0]) ||
		(device->wish == CAMERA_CONTROL && !services->ptz[0] && !services->imaging[0]))
		device_end(device, SOURCE_STOPPED, NULL);
	else if (device->wish == CAMERA_EVENTS)
		device_end(device, SOURCE_FAULT, "it has no event service");
	else if (services->media2[0] || services->media[0])
		device_ask_profiles(device, services->media2[0] != '\0');
	else
		device_end(device, SOURCE_FAULT, "it has no media service");
}

static void device_on_capabilities(void *arg, const struct camera_reply *reply)
{
	struct camera_device *device = arg;
	const char *why;

	if (reply->end != SOURCE_STOPPED)
		device_fail(device, reply);
	else if (camera_answer_services(&device->services, reply->answer, &why) < 0)
		device_end(device, SOURCE_PROTOCOL, why);
	else
		device_on_services_known(device);
}

static void device_ask_capabilities(struct camera_device *device)
{
	struct soap_writer writer;

	soap_writer_init(&writer);
	soap_add_text(soap_add(writer.body, SOAP_DEVICE_SPACE, "GetCapabilities"),
		SOAP_DEVICE_SPACE, "Category", "All");
	device_ask(device, camera_caller_device_path(device->caller),
		SOAP_DEVICE_SPACE "/GetCapabilities", true, &writer, device_on_capabilities);
}

static void device_on_services(void *arg, const struct camera_reply *reply)
{
	struct camera_device *device = arg;
	const char *why;

	if (reply->end == SOURCE_STOPPED &&
		camera_answer_services(&device->services, reply->answer, &why) == 0)
		device_on_services_known(device);
	else if (reply->end == SOURCE_STOPPED || camera_reply_is_no(reply))
		device_ask_capabilities(device); /* before 2010 there were no others */
	else
		device_fail(device, reply);
}

static void device_on_time(void *arg, const struct camera_reply *reply)
{
	struct camera_device *device = arg;
	struct soap_writer writer;
	struct camera_time time;
	const char *why;

	if (reply->end == SOURCE_STOPPED && camera_answer_time(&time, reply->answer, &why) == 0) {
		int64_t now_us = reactor_now_us();

		camera_caller_set_clock(
			device->caller, time.utc_us - now_us, time.local_us - now_us);
	} else if (reply->end != SOURCE_STOPPED && reply->end != SOURCE_UNAUTHORIZED &&
		   !camera_reply_is_no(reply)) {
		device_fail(device, reply);
		return;
	}
	soap_writer_init(&writer);
	soap_add_bool(soap_add(writer.body, SOAP_DEVICE_SPACE, "GetServices"), SOAP_DEVICE_SPACE,
		"IncludeCapability", false);
	device_ask(device, camera_caller_device_path(device->caller),
		SOAP_DEVICE_SPACE "/GetServices", true, &writer, device_on_services);
}

/* --- life --- */

struct camera_device *camera_device_new(
	struct camera_caller *caller, enum camera_wish wish, camera_device_fn *done, void *arg)
{
	struct camera_device *device = xcalloc(1, sizeof(*device));
	struct soap_writer writer;

	device->caller = caller;
	device->wish = wish;
	device->done = done;
	device->arg = arg;
	soap_writer_init(&writer);
	soap_add(writer.body, SOAP_DEVICE_SPACE, "GetSystemDateAndTime");
	device_ask(device, camera_caller_device_path(caller),
		SOAP_DEVICE_SPACE "/GetSystemDateAndTime", true, &writer, device_on_time);
	return device;
}

static void device_fini(void *object)
{
	free(object);
}

void camera_device_free(struct camera_device *device)
{
	if (device)
		reactor_free_later(&device->dead, device_fini, device);
}
