#include "onvif/device_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "onvif/event_service.h"
#include "onvif/imaging_service.h"
#include "onvif/media2_service.h"
#include "onvif/media_service.h"
#include "onvif/ptz_service.h"
#include "onvif/recording_service.h"
#include "onvif/replay_service.h"
#include "onvif/search_service.h"
#include "server/base/reactor.h"

#define TDS SOAP_DEVICE_SPACE
#define TT SOAP_SCHEMA_SPACE
#define NAME "nvrd"
/* Of the specifications that the messages follow. */
#define VERSION_MAJOR 21
#define VERSION_MINOR 12

static bool is_discoverable(void)
{
	return onvif_setup()->config->onvif.discoverable;
}

/* --- services and what they can --- */

static void write_device_capabilities(xmlNode *parent)
{
	xmlNode *capabilities = soap_add(parent, TDS, "Capabilities"), *node;

	node = soap_add(capabilities, TDS, "Network");
	soap_set_bool(node, "IPVersion6", true);
	soap_set_integer(node, "NTP", 0);
	node = soap_add(capabilities, TDS, "Security");
	soap_set_bool(node, "TLS1.2", true);
	soap_set_bool(node, "DefaultAccessPolicy", true);
	soap_set_bool(node, "UsernameToken", true);
	soap_set_bool(node, "HttpDigest", true);
	soap_set(node, "HashingAlgorithms", "MD5,SHA-256");
	node = soap_add(capabilities, TDS, "System");
	soap_set_bool(node, "DiscoveryResolve", is_discoverable());
	soap_set_bool(node, "DiscoveryBye", is_discoverable());
	soap_set_bool(node, "RemoteDiscovery", false);
	soap_set_bool(node, "NetworkConfigNotSupported", true);
	soap_set_bool(node, "UserConfigNotSupported", true);
	soap_set(node, "HardwareType", "NetworkVideoRecorder");
}

static const struct service {
	const char *space, *path;
	void (*write_capabilities)(xmlNode *parent);
	const char *category; /* of GetCapabilities */
} services[] = {
	{SOAP_DEVICE_SPACE,     "device_service",    write_device_capabilities,    "Device"   },
	{ SOAP_MEDIA_SPACE,     "media_service",     media_write_capabilities,     "Media"    },
	{ SOAP_MEDIA2_SPACE,    "media2_service",    media2_write_capabilities,    NULL       },
	{ SOAP_PTZ_SPACE,       "ptz_service",       ptz_write_capabilities,       "PTZ"      },
	{ SOAP_IMAGING_SPACE,   "imaging_service",   imaging_write_capabilities,   "Imaging"  },
	{ SOAP_EVENTS_SPACE,    "event_service",     event_write_capabilities,     "Events"   },
	{ SOAP_RECORDING_SPACE, "recording_service", recording_write_capabilities, "Recording"},
	{ SOAP_SEARCH_SPACE,    "search_service",    search_write_capabilities,    "Search"   },
	{ SOAP_REPLAY_SPACE,    "replay_service",    replay_write_capabilities,    "Replay"   },
};

static void add_address(xmlNode *parent, const char *space, const struct onvif_call *call,
	const struct service *service)
{
	soap_add_format(parent, space, "XAddr", "%s/onvif/%s", call->base, service->path);
}

static void write_version(xmlNode *parent, const char *space, const char *name)
{
	xmlNode *version = soap_add(parent, space, name);

	soap_add_integer(version, TT, "Major", VERSION_MAJOR);
	soap_add_integer(version, TT, "Minor", VERSION_MINOR);
}

bool device_get_services(struct onvif_call *call)
{
	bool with_capabilities = false;

	(void)soap_bool(soap_child(call->in.body, TDS, "IncludeCapability"), &with_capabilities);
	for (size_t i = 0; i < ARRAY_LENGTH(services); i++) {
		xmlNode *node = soap_add(call->answer, TDS, "Service");

		soap_add_text(node, TDS, "Namespace", services[i].space);
		add_address(node, TDS, call, &services[i]);
		if (with_capabilities)
			services[i].write_capabilities(soap_add(node, TDS, "Capabilities"));
		write_version(node, TDS, "Version");
	}
	return true;
}

bool device_get_service_capabilities(struct onvif_call *call)
{
	for (size_t i = 0; i < ARRAY_LENGTH(services); i++) {
		if (!strcmp(services[i].space, call->in.space))
			services[i].write_capabilities(call->answer);
	}
	return true;
}

/* --- GetCapabilities, which older clients use --- */

static void write_old_device(xmlNode *node)
{
	xmlNode *system = soap_add(node, TT, "System");

	soap_add_bool(system, TT, "DiscoveryResolve", is_discoverable());
	soap_add_bool(system, TT, "DiscoveryBye", is_discoverable());
	soap_add_bool(system, TT, "RemoteDiscovery", false);
	soap_add_bool(system, TT, "SystemBackup", false);
	soap_add_bool(system, TT, "SystemLogging", false);
	soap_add_bool(system, TT, "FirmwareUpgrade", false);
	write_version(system, TT, "SupportedVersions");
}

static void write_old_events(xmlNode *node)
{
	soap_add_bool(node, TT, "WSSubscriptionPolicySupport", false);
	soap_add_bool(node, TT, "WSPullPointSupport", true);
	soap_add_bool(node, TT, "WSPausableSubscriptionManagerInterfaceSupport", false);
}

static void write_old_media(xmlNode *node)
{
	xmlNode *streaming = soap_add(node, TT, "StreamingCapabilities");

	soap_add_bool(streaming, TT, "RTPMulticast", false);
	soap_add_bool(streaming, TT, "RTP_TCP", true);
	soap_add_bool(streaming, TT, "RTP_RTSP_TCP", true);
}

static void write_old_recording(xmlNode *node)
{
	soap_add_bool(node, TT, "ReceiverSource", false);
	soap_add_bool(node, TT, "MediaProfileSource", true);
	soap_add_bool(node, TT, "DynamicRecordings", false);
	soap_add_bool(node, TT, "DynamicTracks", false);
	soap_add_integer(node, TT, "MaxStringLength", 64);
}

static void write_old_search(xmlNode *node)
{
	soap_add_bool(node, TT, "MetadataSearch", false);
}

/* In the order of the schema; the last ones are in an extension, and told only with all. */
static const struct old {
	const char *category;
	void (*write)(xmlNode *node); /* NULL: there is only the address */
	bool is_extension;
} olds[] = {
	{"Device",     write_old_device,    false},
	{ "Events",    write_old_events,    false},
	{ "Imaging",   NULL,                false},
	{ "Media",     write_old_media,     false},
	{ "PTZ",       NULL,                false},
	{ "Recording", write_old_recording, true },
	{ "Search",    write_old_search,    true },
	{ "Replay",    NULL,                true },
};

static const struct service *service_find(const char *category)
{
	for (size_t i = 0; i < ARRAY_LENGTH(services); i++) {
		if (services[i].category && !strcmp(services[i].category, category))
			return &services[i];
	}
	return NULL;
}

static bool is_wanted(const struct onvif_call *call, const struct old *old)
{
	const xmlNode *node = soap_child(call->in.body, TDS, "Category");
	char category[32];

	if (!node)
		return true;
	for (; node; node = soap_next(node)) {
		if (soap_text(node, category, sizeof(category)) &&
			(!strcmp(category, "All") || !strcmp(category, old->category)))
			return true;
	}
	return false;
}

bool device_get_capabilities(struct onvif_call *call)
{
	xmlNode *capabilities = soap_add(call->answer, TDS, "Capabilities"), *extension = NULL;

	for (size_t i = 0; i < ARRAY_LENGTH(olds); i++) {
		const struct service *service = service_find(olds[i].category);
		xmlNode *parent = capabilities;

		if (!service || !is_wanted(call, &olds[i]))
			continue;
		if (olds[i].is_extension && !extension)
			extension = soap_add(capabilities, TT, "Extension");
		if (olds[i].is_extension)
			parent = extension;
		parent = soap_add(parent, TT, olds[i].category);
		add_address(parent, TT, call, service);
		if (olds[i].write)
			olds[i].write(parent);
	}
	return true;
}

/* --- who it is --- */

bool device_get_information(struct onvif_call *call)
{
	char uuid[ONVIF_UUID_BYTES];

	soap_add_text(call->answer, TDS, "Manufacturer", NAME);
	soap_add_text(call->answer, TDS, "Model", NAME);
	soap_add_text(call->answer, TDS, "FirmwareVersion", NVRD_VERSION);
	soap_add_text(call->answer, TDS, "SerialNumber", onvif_call_uuid(call, uuid));
	soap_add_text(call->answer, TDS, "HardwareId", NAME);
	return true;
}

bool device_get_endpoint(struct onvif_call *call)
{
	char uuid[ONVIF_UUID_BYTES];

	soap_add_format(call->answer, TDS, "GUID", "urn:uuid:%s", onvif_call_uuid(call, uuid));
	return true;
}

bool device_get_scopes(struct onvif_call *call)
{
	char *scopes = onvif_write_scopes(onvif_setup()->config, call->camera), *rest = scopes;
	const char *scope;

	while ((scope = strsep(&rest, " "))) {
		xmlNode *node = soap_add(call->answer, TDS, "Scopes");

		soap_add_text(node, TT, "ScopeDef", "Fixed");
		soap_add_text(node, TT, "ScopeItem", scope);
	}
	free(scopes);
	return true;
}

bool device_get_discovery_mode(struct onvif_call *call)
{
	soap_add_text(call->answer, TDS, "DiscoveryMode",
		is_discoverable() ? "Discoverable" : "NonDiscoverable");
	return true;
}

bool device_get_wsdl_url(struct onvif_call *call)
{
	soap_add_text(
		call->answer, TDS, "WsdlUrl", "https://www.onvif.org/profiles/specifications/");
	return true;
}

bool device_get_hostname(struct onvif_call *call)
{
	xmlNode *node = soap_add(call->answer, TDS, "HostnameInformation");
	char name[256] = "";

	(void)gethostname(name, sizeof(name) - 1);
	soap_add_bool(node, TT, "FromDHCP", false);
	soap_add_text(node, TT, "Name", name);
	return true;
}

bool device_get_users(struct onvif_call *call)
{
	static const char *const levels[] = {
		[ROLE_VIEWER] = "User",
		[ROLE_OPERATOR] = "Operator",
		[ROLE_ADMIN] = "Administrator",
	};
	const struct auth_user *user;

	TAILQ_FOREACH (user, &onvif_setup()->config->users, entry) {
		xmlNode *node = soap_add(call->answer, TDS, "User");

		soap_add_text(node, TT, "Username", user->name);
		soap_add_text(node, TT, "UserLevel", levels[user->role]);
	}
	return true;
}

/* --- the clock --- */

static void write_instant(xmlNode *parent, const char *name, const struct tm *tm)
{
	xmlNode *instant = soap_add(parent, TT, name), *node;

	node = soap_add(instant, TT, "Time");
	soap_add_integer(node, TT, "Hour", tm->tm_hour);
	soap_add_integer(node, TT, "Minute", tm->tm_min);
	soap_add_integer(node, TT, "Second", tm->tm_sec);
	node = soap_add(instant, TT, "Date");
	soap_add_integer(node, TT, "Year", tm->tm_year + 1900);
	soap_add_integer(node, TT, "Month", tm->tm_mon + 1);
	soap_add_integer(node, TT, "Day", tm->tm_mday);
}

/* As POSIX writes a zone, of now: its sign is the other way round. */
static void write_zone(xmlNode *parent, const struct tm *local)
{
	long minutes = -local->tm_gmtoff / 60;

	soap_add_format(soap_add(parent, TT, "TimeZone"), TT, "TZ", "UTC%+03ld:%02ld", minutes / 60,
		labs(minutes) % 60);
}

bool device_get_date(struct onvif_call *call)
{
	xmlNode *node = soap_add(call->answer, TDS, "SystemDateAndTime");
	time_t now = (time_t)(reactor_now_us() / 1000000);
	struct tm utc, local;

	(void)gmtime_r(&now, &utc);
	(void)localtime_r(&now, &local);
	soap_add_text(node, TT, "DateTimeType", "NTP");
	soap_add_bool(node, TT, "DaylightSavings", local.tm_isdst > 0);
	write_zone(node, &local);
	write_instant(node, "UTCDateTime", &utc);
	write_instant(node, "LocalDateTime", &local);
	return true;
}
