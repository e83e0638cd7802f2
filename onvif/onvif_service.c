/* SOAP over HTTP: from a request to a handler, by one table, and from its answer to the client. */
#include "onvif/onvif_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "onvif/device_service.h"
#include "onvif/event_service.h"
#include "onvif/imaging_service.h"
#include "onvif/media2_service.h"
#include "onvif/media_service.h"
#include "onvif/onvif_call.h"
#include "onvif/onvif_login.h"
#include "onvif/ptz_service.h"
#include "onvif/pull_point.h"
#include "onvif/recording_service.h"
#include "onvif/replay_service.h"
#include "onvif/search_service.h"
#include "protocols/authenticate.h"
#include "protocols/http_host.h"
#include "protocols/http_server.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"

/* Prefixes of actions (the WSDL of events, and of WS-BaseNotification). */
#define EVENT_PORT "http://www.onvif.org/ver10/events/wsdl/EventPortType/"
#define PULL_POINT "http://www.onvif.org/ver10/events/wsdl/PullPointSubscription/"
#define SUBSCRIPTION "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/"
#define CONTENT_TYPE "application/soap+xml; charset=utf-8"

static struct onvif_setup setup;

// clang-format off
/* What there is, who may, and what the response is called by WS-Addressing where that is used. */
static const struct onvif_operation {
	const char *space, *name;
	bool (*run)(struct onvif_call *call);
	enum onvif_access access;
	const char *action;
} operations[] = {
	{ SOAP_DEVICE_SPACE, "GetSystemDateAndTime", device_get_date, ONVIF_PRE_AUTH, NULL },
	{ SOAP_DEVICE_SPACE, "GetServices", device_get_services, ONVIF_PRE_AUTH, NULL },
	{ SOAP_DEVICE_SPACE, "GetServiceCapabilities", device_get_service_capabilities, ONVIF_PRE_AUTH, NULL },
	{ SOAP_DEVICE_SPACE, "GetCapabilities", device_get_capabilities, ONVIF_PRE_AUTH, NULL },
	{ SOAP_DEVICE_SPACE, "GetWsdlUrl", device_get_wsdl_url, ONVIF_PRE_AUTH, NULL },
	{ SOAP_DEVICE_SPACE, "GetHostname", device_get_hostname, ONVIF_PRE_AUTH, NULL },
	{ SOAP_DEVICE_SPACE, "GetEndpointReference", device_get_endpoint, ONVIF_PRE_AUTH, NULL },
	{ SOAP_DEVICE_SPACE, "GetDeviceInformation", device_get_information, ONVIF_READ_SYSTEM, NULL },
	{ SOAP_DEVICE_SPACE, "GetScopes", device_get_scopes, ONVIF_READ_SYSTEM, NULL },
	{ SOAP_DEVICE_SPACE, "GetDiscoveryMode", device_get_discovery_mode, ONVIF_READ_SYSTEM, NULL },
	{ SOAP_DEVICE_SPACE, "GetNetworkInterfaces", device_get_interfaces, ONVIF_READ_SYSTEM, NULL },
	{ SOAP_DEVICE_SPACE, "GetNetworkProtocols", device_get_protocols, ONVIF_READ_SYSTEM, NULL },
	{ SOAP_DEVICE_SPACE, "GetNetworkDefaultGateway", device_get_gateway, ONVIF_READ_SYSTEM, NULL },
	{ SOAP_DEVICE_SPACE, "GetDNS", device_get_dns, ONVIF_READ_SYSTEM, NULL },
	{ SOAP_DEVICE_SPACE, "GetNTP", device_get_ntp, ONVIF_READ_SYSTEM, NULL },
	{ SOAP_DEVICE_SPACE, "GetUsers", device_get_users, ONVIF_READ_SYSTEM_SECRET, NULL },
	{ SOAP_MEDIA_SPACE, "GetServiceCapabilities", device_get_service_capabilities, ONVIF_PRE_AUTH, NULL },
	{ SOAP_MEDIA_SPACE, "GetProfiles", media_get_profiles, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetProfile", media_get_profile, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetVideoSources", media_get_video_sources, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetAudioSources", media_get_audio_sources, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetVideoSourceConfigurations", media_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetCompatibleVideoSourceConfigurations", media_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetVideoSourceConfiguration", media_get_configuration, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetVideoSourceConfigurationOptions", media_get_options, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetVideoEncoderConfigurations", media_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetCompatibleVideoEncoderConfigurations", media_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetVideoEncoderConfiguration", media_get_configuration, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetVideoEncoderConfigurationOptions", media_get_options, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetAudioSourceConfigurations", media_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetCompatibleAudioSourceConfigurations", media_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetAudioSourceConfiguration", media_get_configuration, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetAudioSourceConfigurationOptions", media_get_options, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetAudioEncoderConfigurations", media_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetCompatibleAudioEncoderConfigurations", media_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetAudioEncoderConfiguration", media_get_configuration, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetAudioEncoderConfigurationOptions", media_get_options, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetGuaranteedNumberOfVideoEncoderInstances", media_get_encoder_instances, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetStreamUri", media_get_stream_uri, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "GetSnapshotUri", media_get_snapshot_uri, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA_SPACE, "SetSynchronizationPoint", media_set_synchronization_point, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetServiceCapabilities", device_get_service_capabilities, ONVIF_PRE_AUTH, NULL },
	{ SOAP_MEDIA2_SPACE, "GetProfiles", media2_get_profiles, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetVideoSourceConfigurations", media2_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetVideoSourceConfigurationOptions", media2_get_options, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetVideoEncoderConfigurations", media2_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetVideoEncoderConfigurationOptions", media2_get_options, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetAudioSourceConfigurations", media2_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetAudioSourceConfigurationOptions", media2_get_options, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetAudioEncoderConfigurations", media2_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetAudioEncoderConfigurationOptions", media2_get_options, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetVideoEncoderInstances", media2_get_encoder_instances, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetStreamUri", media2_get_stream_uri, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "GetSnapshotUri", media2_get_snapshot_uri, ONVIF_READ_MEDIA, NULL },
	{ SOAP_MEDIA2_SPACE, "SetSynchronizationPoint", media2_set_synchronization_point, ONVIF_READ_MEDIA, NULL },
	{ SOAP_PTZ_SPACE, "GetServiceCapabilities", device_get_service_capabilities, ONVIF_PRE_AUTH, NULL },
	{ SOAP_PTZ_SPACE, "GetNodes", ptz_get_nodes, ONVIF_READ_MEDIA, NULL },
	{ SOAP_PTZ_SPACE, "GetNode", ptz_get_node, ONVIF_READ_MEDIA, NULL },
	{ SOAP_PTZ_SPACE, "GetConfigurations", ptz_get_configurations, ONVIF_READ_MEDIA, NULL },
	{ SOAP_PTZ_SPACE, "GetConfiguration", ptz_get_configuration, ONVIF_READ_MEDIA, NULL },
	{ SOAP_PTZ_SPACE, "GetConfigurationOptions", ptz_get_options, ONVIF_READ_MEDIA, NULL },
	{ SOAP_PTZ_SPACE, "GetCompatibleConfigurations", ptz_get_compatible, ONVIF_READ_MEDIA, NULL },
	{ SOAP_PTZ_SPACE, "GetPresets", ptz_pass_on, ONVIF_READ_MEDIA, NULL },
	{ SOAP_PTZ_SPACE, "GetStatus", ptz_pass_on, ONVIF_READ_MEDIA, NULL },
	{ SOAP_PTZ_SPACE, "SetPreset", ptz_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_PTZ_SPACE, "RemovePreset", ptz_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_PTZ_SPACE, "GotoPreset", ptz_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_PTZ_SPACE, "GotoHomePosition", ptz_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_PTZ_SPACE, "SetHomePosition", ptz_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_PTZ_SPACE, "ContinuousMove", ptz_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_PTZ_SPACE, "RelativeMove", ptz_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_PTZ_SPACE, "AbsoluteMove", ptz_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_PTZ_SPACE, "Stop", ptz_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_IMAGING_SPACE, "GetServiceCapabilities", device_get_service_capabilities, ONVIF_PRE_AUTH, NULL },
	{ SOAP_IMAGING_SPACE, "GetImagingSettings", imaging_pass_on, ONVIF_READ_MEDIA, NULL },
	{ SOAP_IMAGING_SPACE, "GetOptions", imaging_pass_on, ONVIF_READ_MEDIA, NULL },
	{ SOAP_IMAGING_SPACE, "GetMoveOptions", imaging_pass_on, ONVIF_READ_MEDIA, NULL },
	{ SOAP_IMAGING_SPACE, "GetStatus", imaging_pass_on, ONVIF_READ_MEDIA, NULL },
	{ SOAP_IMAGING_SPACE, "SetImagingSettings", imaging_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_IMAGING_SPACE, "Move", imaging_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_IMAGING_SPACE, "Stop", imaging_pass_on, ONVIF_ACTUATE, NULL },
	{ SOAP_RECORDING_SPACE, "GetServiceCapabilities", device_get_service_capabilities, ONVIF_PRE_AUTH, NULL },
	{ SOAP_SEARCH_SPACE, "GetServiceCapabilities", device_get_service_capabilities, ONVIF_PRE_AUTH, NULL },
	{ SOAP_REPLAY_SPACE, "GetServiceCapabilities", device_get_service_capabilities, ONVIF_PRE_AUTH, NULL },
	{ SOAP_RECORDING_SPACE, "GetRecordings", recording_get_recordings, ONVIF_READ_MEDIA, NULL },
	{ SOAP_RECORDING_SPACE, "GetRecordingConfiguration", recording_get_configuration, ONVIF_READ_MEDIA, NULL },
	{ SOAP_RECORDING_SPACE, "GetTrackConfiguration", recording_get_track_configuration, ONVIF_READ_MEDIA, NULL },
	{ SOAP_RECORDING_SPACE, "GetRecordingJobs", recording_get_jobs, ONVIF_READ_MEDIA, NULL },
	{ SOAP_RECORDING_SPACE, "GetRecordingJobConfiguration", recording_get_job_configuration, ONVIF_READ_MEDIA, NULL },
	{ SOAP_RECORDING_SPACE, "GetRecordingJobState", recording_get_job_state, ONVIF_READ_MEDIA, NULL },
	{ SOAP_RECORDING_SPACE, "GetRecordingOptions", recording_get_options, ONVIF_READ_MEDIA, NULL },
	{ SOAP_SEARCH_SPACE, "GetRecordingSummary", search_get_summary, ONVIF_READ_MEDIA, NULL },
	{ SOAP_SEARCH_SPACE, "GetRecordingInformation", search_get_information, ONVIF_READ_MEDIA, NULL },
	{ SOAP_SEARCH_SPACE, "GetMediaAttributes", search_get_media_attributes, ONVIF_READ_MEDIA, NULL },
	{ SOAP_SEARCH_SPACE, "FindRecordings", search_find_recordings, ONVIF_READ_MEDIA, NULL },
	{ SOAP_SEARCH_SPACE, "GetRecordingSearchResults", search_get_recordings, ONVIF_READ_MEDIA, NULL },
	{ SOAP_SEARCH_SPACE, "FindEvents", search_find_events, ONVIF_READ_MEDIA, NULL },
	{ SOAP_SEARCH_SPACE, "GetEventSearchResults", search_get_events, ONVIF_READ_MEDIA, NULL },
	{ SOAP_SEARCH_SPACE, "GetSearchState", search_get_state, ONVIF_READ_MEDIA, NULL },
	{ SOAP_SEARCH_SPACE, "EndSearch", search_end, ONVIF_READ_MEDIA, NULL },
	{ SOAP_REPLAY_SPACE, "GetReplayUri", replay_get_uri, ONVIF_READ_MEDIA, NULL },
	{ SOAP_REPLAY_SPACE, "GetReplayConfiguration", replay_get_configuration, ONVIF_READ_MEDIA, NULL },
	{ SOAP_REPLAY_SPACE, "SetReplayConfiguration", replay_set_configuration, ONVIF_ACTUATE, NULL },
	{ SOAP_EVENTS_SPACE, "GetServiceCapabilities", device_get_service_capabilities, ONVIF_PRE_AUTH, EVENT_PORT "GetServiceCapabilitiesResponse" },
	{ SOAP_EVENTS_SPACE, "GetEventProperties", event_get_properties, ONVIF_READ_MEDIA, EVENT_PORT "GetEventPropertiesResponse" },
	{ SOAP_EVENTS_SPACE, "CreatePullPointSubscription", event_create_pull_point, ONVIF_READ_MEDIA, EVENT_PORT "CreatePullPointSubscriptionResponse" },
	{ SOAP_EVENTS_SPACE, "PullMessages", event_pull_messages, ONVIF_READ_MEDIA, PULL_POINT "PullMessagesResponse" },
	{ SOAP_EVENTS_SPACE, "SetSynchronizationPoint", event_set_synchronization_point, ONVIF_READ_MEDIA, PULL_POINT "SetSynchronizationPointResponse" },
	{ SOAP_WSNT_SPACE, "Renew", event_renew, ONVIF_READ_MEDIA, SUBSCRIPTION "RenewResponse" },
	{ SOAP_WSNT_SPACE, "Unsubscribe", event_end_subscription, ONVIF_READ_MEDIA, SUBSCRIPTION "UnsubscribeResponse" },
};
// clang-format on

/* --- what handlers use --- */

const struct onvif_setup *onvif_setup(void)
{
	return &setup;
}

char *onvif_call_uuid(const struct onvif_call *call, char ret[ONVIF_UUID_BYTES])
{
	if (call->camera)
		return onvif_identity_of(ret, setup.uuid, call->camera);
	memcpy(ret, setup.uuid, ONVIF_UUID_BYTES);
	return ret;
}

static bool camera_is_shown(const struct onvif_call *call, const struct config_camera *camera)
{
	return camera->enabled && strlen(camera->name) <= ONVIF_CAMERA_BYTES &&
	       auth_may_see(call->user, camera->name);
}

const struct config_camera *onvif_camera_next(
	const struct onvif_call *call, const struct config_camera *camera)
{
	camera = camera ? TAILQ_NEXT(camera, entry) : TAILQ_FIRST(&setup.config->cameras);
	while (camera && !camera_is_shown(call, camera))
		camera = TAILQ_NEXT(camera, entry);
	return camera;
}

const struct config_camera *onvif_camera_find(const struct onvif_call *call, const char *name)
{
	const struct config_camera *camera = config_find_camera(setup.config, name);

	return camera && camera_is_shown(call, camera) ? camera : NULL;
}

bool onvif_call_text(const struct onvif_call *call, const char *name, char *ret, size_t size)
{
	return soap_text(soap_child(call->in.body, call->in.space, name), ret, size);
}

static void call_write_fault(struct onvif_call *call, const char *code, const char *subcode,
	const char *subsubcode, const char *reason)
{
	soap_writer_fini(&call->out);
	soap_writer_init(&call->out);
	call->answer = NULL;
	call->action = NULL;
	if (!call->status)
		call->status = strcmp(code, "env:Sender") == 0 ? 400 : 500;
	soap_write_fault(&call->out, code, subcode, subsubcode, reason);
}

bool onvif_call_refuse(struct onvif_call *call, enum onvif_fault fault)
{
	static const struct {
		const char *code, *subcode, *subsubcode, *reason;
	} rows[] = {
#define X(name, code, subcode, subsubcode, reason) { code, subcode, subsubcode, reason },
		ONVIF_FAULTS(X)
#undef X
	};

	call_write_fault(call, rows[fault].code, rows[fault].subcode, rows[fault].subsubcode,
		rows[fault].reason);
	return true;
}

/* As a code of ONVIF's; false: it cannot be one. */
static bool write_code(char *ret, size_t size, const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	snprintf(ret, size, "ter:%s", name);
	return *name && !name[strspn(name, letters)];
}

bool onvif_call_fault(struct onvif_call *call, const struct soap_fault *fault)
{
	char subcode[sizeof(fault->subcode) + 4], subsubcode[sizeof(fault->subsubcode) + 4];
	bool has_subcode = write_code(subcode, sizeof(subcode), fault->subcode);
	bool has_both =
		has_subcode && write_code(subsubcode, sizeof(subsubcode), fault->subsubcode);

	call_write_fault(call, strcmp(fault->code, "Sender") == 0 ? "env:Sender" : "env:Receiver",
		has_subcode ? subcode : "ter:Action", has_both ? subsubcode : NULL, fault->reason);
	return true;
}

/* --- a call --- */

static void call_on_gone(void *context)
{
	struct onvif_call *call = context;

	if (call->on_gone)
		call->on_gone(call->later);
	soap_message_fini(&call->in);
	soap_writer_fini(&call->out);
	auth_user_free(call->user);
	free(call);
}

/* Where the request used WS-Addressing, or the WSDL does, the answer has it, too. */
static void call_address(struct onvif_call *call)
{
	char id[256];
	bool has_id =
		soap_text(soap_child(call->in.header, SOAP_WSA_SPACE, "MessageID"), id, sizeof(id));

	if (!call->action)
		return;
	soap_add_text(soap_writer_header(&call->out), SOAP_WSA_SPACE, "Action", call->action);
	if (has_id)
		soap_add_text(soap_writer_header(&call->out), SOAP_WSA_SPACE, "RelatesTo", id);
}

static void free_text(const void *data, size_t n, void *arg)
{
	(void)data, (void)n;
	free(arg);
}

void onvif_call_finish(struct onvif_call *call)
{
	struct evbuffer *body = evbuffer_new();
	size_t n;
	char *text;

	call_address(call);
	text = soap_writer_text(&call->out, &n);
	if (!body || evbuffer_add_reference(body, text, n, free_text, text) < 0)
		abort();
	http_answer(call->http, call->status ? call->status : 200, CONTENT_TYPE, body);
	evbuffer_free(body);
}

/* With how to say who asks. */
static void call_challenge(struct onvif_call *call)
{
	http_add_challenge(call->http);
	call->status = 401;
	(void)onvif_call_refuse(call, ONVIF_FAULT_NOT_AUTHORIZED);
}

/* Who calls, and whether he may. False: refused. */
static bool call_is_allowed(struct onvif_call *call, enum onvif_access access)
{
	const struct auth_user *user;

	if (access == ONVIF_PRE_AUTH)
		return true;
	switch (onvif_login(call, &user)) {
	case ONVIF_LOGIN_KNOWN:
		call->user = call->camera ? auth_user_copy_for(user, call->camera)
					  : auth_user_copy(user);
		if (!user || onvif_role_may(user->role, access))
			return true;
		break;
	case ONVIF_LOGIN_NOBODY:
		call_challenge(call);
		return false;
	case ONVIF_LOGIN_WRONG:
		break;
	case ONVIF_LOGIN_LATER:
		call->status = 429;
		(void)onvif_call_refuse(call, ONVIF_FAULT_LATER);
		return false;
	}
	(void)onvif_call_refuse(call, ONVIF_FAULT_NOT_AUTHORIZED);
	return false;
}

static const struct onvif_operation *operation_find(const char *space, const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(operations); i++) {
		if (!strcmp(operations[i].name, name) && !strcmp(operations[i].space, space))
			return &operations[i];
	}
	return NULL;
}

static bool space_is_known(const char *space)
{
	for (size_t i = 0; i < ARRAY_LENGTH(operations); i++) {
		if (!strcmp(operations[i].space, space))
			return true;
	}
	return false;
}

/* By namespace and name alone: some clients send all to the device service. Returns whether the answer stands. */
static bool call_run(struct onvif_call *call)
{
	const struct onvif_operation *o = operation_find(call->in.space, call->in.name);
	char response[80];

	if (!o)
		return onvif_call_refuse(call, space_is_known(call->in.space)
						       ? ONVIF_FAULT_UNSUPPORTED
						       : ONVIF_FAULT_UNKNOWN);
	if (!call_is_allowed(call, o->access))
		return true;
	snprintf(response, sizeof(response), "%sResponse", o->name);
	call->answer = soap_add(call->out.body, o->space, response);
	call->action = o->action;
	return o->run(call);
}

/* --- HTTP --- */

/* How the client knows us. False: it does not say. */
static bool call_find_base(struct onvif_call *call)
{
	struct message_text field = http_field(call->http, "Host"), host;
	bool is_ipv6;

	if (!http_host_parse(field, &host) || field.n >= sizeof(call->host) - 2)
		return false;
	is_ipv6 = memchr(host.p, ':', host.n) != NULL;
	snprintf(call->host, sizeof(call->host), is_ipv6 ? "[%.*s]" : "%.*s", (int)host.n, host.p);
	snprintf(call->base, sizeof(call->base), "%s://%.*s%s",
		http_is_secure(call->http) ? "https" : "http", (int)field.n, field.p,
		http_base(call->http));
	return true;
}

/* A web page of somebody else can make a browser send some types without asking us first. */
static bool is_from_a_page(const struct http_request *request)
{
	struct message_text type = http_field(request, "Content-Type");

	return http_field(request, "Origin").p &&
	       !message_text_starts(type, "application/soap+xml") &&
	       !message_text_starts(type, "application/xml") &&
	       !message_text_starts(type, "text/xml");
}

/* Clients that know Digest alone ask for a nonce by this. */
static bool call_is_empty(const struct onvif_call *call)
{
	return evbuffer_get_length(http_body(call->http)) == 0 && !http_user(call->http) &&
	       !authenticate_is_open();
}

static bool call_parse(struct onvif_call *call)
{
	struct evbuffer *body = http_body(call->http);
	size_t n = evbuffer_get_length(body);
	const char *p = n ? (const char *)evbuffer_pullup(body, -1) : "", *why;

	if (soap_message_parse(&call->in, p, n, SOAP_REQUEST_BYTES, &why) == 0)
		return true;
	call->status = n > SOAP_REQUEST_BYTES ? 413 : 400;
	log_debug(http_log(call->http), "onvif: %s", why);
	return false;
}

void onvif_post(struct http_request *request)
{
	struct onvif_call *call;

	if (is_from_a_page(request)) {
		http_answer_error(request, 415, "SOAP is of the type application/soap+xml");
		return;
	}
	call = xcalloc(1, sizeof(*call));
	call->http = request;
	call->camera = http_only_camera(request);
	http_set_context(request, call, call_on_gone);
	soap_writer_init(&call->out);
	if (!call_find_base(call)) {
		http_answer_error(request, 400, "the Host field is needed");
		return;
	}
	if (call_is_empty(call))
		call_challenge(call);
	else if (!call_parse(call))
		(void)onvif_call_refuse(call, ONVIF_FAULT_NOT_WELL_FORMED);
	else if (!call_run(call))
		return;
	onvif_call_finish(call);
}

/* --- life --- */

void onvif_service_start(
	const struct config *config, struct catalogue *catalogue, struct volume *volume)
{
	setup.config = config;
	setup.catalogue = catalogue;
	setup.volume = volume;
	(void)onvif_identity(setup.uuid, config->storage.path);
	pull_points_start();
}

void onvif_service_apply(const struct config *config)
{
	setup.config = config;
}

void onvif_service_set_rtsp(const char *address)
{
	snprintf(setup.rtsp, sizeof(setup.rtsp), "%s", address);
}

void onvif_service_stop(void)
{
	pull_points_stop();
	search_service_stop();
	onvif_login_fini();
	setup = (struct onvif_setup){ 0 };
}
