#include "onvif/camera_answer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocols/uri.h"

#define SECOND_US INT64_C(1000000)

/* --- elements by their local names --- */

static const xmlNode *find_from(const xmlNode *node, const char *name)
{
	while (node && !soap_is(node, NULL, name))
		node = node->next;
	return node;
}

/* The first child of that name; NULL has none. */
static const xmlNode *find_child(const xmlNode *parent, const char *name)
{
	return soap_child(parent, NULL, name);
}

/* The first one of the children, by turns, as "a", "b", NULL. */
static const xmlNode *find_path(const xmlNode *node, const char *const names[])
{
	for (size_t i = 0; names[i]; i++)
		node = find_child(node, names[i]);
	return node;
}

#define FIND(node, ...) find_path(node, (const char *const[]){ __VA_ARGS__, NULL })

/* A number between limits, or -1. */
static int read_number(const xmlNode *node, int least, int most)
{
	int64_t value;

	return soap_integer(node, &value) && value >= least && value <= most ? (int)value : -1;
}

/* --- time --- */

/* A tt:DateTime. Returns false when it is none. */
static bool read_date_time(const xmlNode *node, int64_t *ret_us)
{
	const xmlNode *date = find_child(node, "Date"), *clock = find_child(node, "Time");
	int year = read_number(find_child(date, "Year"), 1970, 9999);
	int month = read_number(find_child(date, "Month"), 1, 12);
	struct tm tm = {
		.tm_year = year - 1900,
		.tm_mon = month - 1,
		.tm_mday = read_number(find_child(date, "Day"), 1, 31),
		.tm_hour = read_number(find_child(clock, "Hour"), 0, 24),
		.tm_min = read_number(find_child(clock, "Minute"), 0, 59),
		.tm_sec = read_number(find_child(clock, "Second"), 0, 61),
	};

	if (year < 0 || month < 0 || tm.tm_mday < 0 || tm.tm_hour < 0 || tm.tm_min < 0 ||
		tm.tm_sec < 0)
		return false;
	*ret_us = (int64_t)timegm(&tm) * SECOND_US;
	return true;
}

int camera_answer_time(struct camera_time *ret, const struct soap_message *answer, const char **why)
{
	const xmlNode *time = find_child(answer->body, "SystemDateAndTime");
	int64_t utc_us, local_us;
	bool is_summer = false;

	*why = "it does not say what time it has";
	if (!read_date_time(find_child(time, "UTCDateTime"), &utc_us))
		return -EBADMSG;
	if (!read_date_time(find_child(time, "LocalDateTime"), &local_us))
		local_us = utc_us;
	(void)soap_bool(find_child(time, "DaylightSavings"), &is_summer);
	*ret = (struct camera_time){ utc_us, local_us, is_summer };
	return 0;
}

/* --- services --- */

/* The path and query of an address, which may be a path alone. Returns false, and "" in ret, when it makes no sense. */
static bool read_path(const xmlNode *node, char ret[CAMERA_PATH_BYTES])
{
	char text[CAMERA_PATH_BYTES];
	struct uri uri;
	const char *why;

	ret[0] = '\0';
	if (!soap_text(node, text, sizeof(text)) || !text[0] ||
		uri_parse(&uri, text, strlen(text), &why) < 0 ||
		strlen(uri.path) >= CAMERA_PATH_BYTES)
		return false;
	memcpy(ret, uri.path, strlen(uri.path) + 1);
	return true;
}

static void read_services(struct camera_services *ret, const xmlNode *body)
{
	char space[80];

	for (const xmlNode *service = find_child(body, "Service"); service;
		service = find_from(service->next, "Service")) {
		const xmlNode *address = find_child(service, "XAddr");

		(void)soap_text(find_child(service, "Namespace"), space, sizeof(space));
		if (!strcmp(space, SOAP_MEDIA_SPACE))
			(void)read_path(address, ret->media);
		else if (!strcmp(space, SOAP_MEDIA2_SPACE))
			(void)read_path(address, ret->media2);
		else if (!strcmp(space, SOAP_EVENTS_SPACE))
			(void)read_path(address, ret->events);
		else if (!strcmp(space, SOAP_PTZ_SPACE))
			(void)read_path(address, ret->ptz);
		else if (!strcmp(space, SOAP_IMAGING_SPACE))
			(void)read_path(address, ret->imaging);
	}
}

int camera_answer_services(
	struct camera_services *ret, const struct soap_message *answer, const char **why)
{
	const xmlNode *capabilities = find_child(answer->body, "Capabilities");
	struct camera_services services = { 0 };

	*why = "it names no services for media and events";
	read_services(&services, answer->body);
	if (capabilities) {
		(void)read_path(FIND(capabilities, "Media", "XAddr"), services.media);
		(void)read_path(FIND(capabilities, "Events", "XAddr"), services.events);
		(void)read_path(FIND(capabilities, "PTZ", "XAddr"), services.ptz);
		(void)read_path(FIND(capabilities, "Imaging", "XAddr"), services.imaging);
	}
	if (!services.media[0] && !services.media2[0] && !services.events[0])
		return -EBADMSG;
	*ret = services;
	return 0;
}

/* --- media --- */

/* A Profiles element. Returns false when it has no video, or no token that fits. */
static bool read_profile(struct camera_profile *ret, const xmlNode *node)
{
	const xmlNode *two = find_child(node, "Configurations"); /* Media2 */
	const xmlNode *encoder = two ? find_child(two, "VideoEncoder")
				     : find_child(node, "VideoEncoderConfiguration");
	const xmlNode *source =
		two ? find_child(two, "VideoSource") : find_child(node, "VideoSourceConfiguration");
	const xmlNode *resolution = find_child(encoder, "Resolution");
	const xmlNode *ptz = two ? find_child(two, "PTZ") : find_child(node, "PTZConfiguration");
	int width = read_number(find_child(resolution, "Width"), 1, 65535);
	int height = read_number(find_child(resolution, "Height"), 1, 65535);
	char encoding[16];

	if (!encoder || !soap_attribute(node, "token", ret->token, sizeof(ret->token)))
		return false;
	(void)soap_text(find_child(source, "SourceToken"), ret->source, sizeof(ret->source));
	ret->ptz = ptz != NULL;
	(void)soap_text(find_child(ptz, "NodeToken"), ret->node, sizeof(ret->node));
	(void)soap_text(find_child(encoder, "Encoding"), encoding, sizeof(encoding));
	ret->jpeg = !strcasecmp(encoding, "JPEG");
	ret->pixels = width < 0 || height < 0 ? 0 : (uint64_t)width * (unsigned)height;
	return true;
}

int camera_answer_profiles(
	struct camera_profiles *ret, const struct soap_message *answer, const char **why)
{
	*why = "it has no profile with video";
	ret->n = 0;
	for (const xmlNode *node = find_child(answer->body, "Profiles");
		node && ret->n < CAMERA_PROFILES; node = find_from(node->next, "Profiles")) {
		if (read_profile(&ret->all[ret->n], node))
			ret->n++;
	}
	return ret->n ? 0 : -EBADMSG;
}

static bool profile_is_better(const struct camera_profile *a, const struct camera_profile *b)
{
	return a->jpeg == b->jpeg ? a->pixels > b->pixels : b->jpeg;
}

const struct camera_profile *camera_profiles_main(const struct camera_profiles *profiles)
{
	const struct camera_profile *best = &profiles->all[0];

	for (size_t i = 1; i < profiles->n; i++) {
		if (profile_is_better(&profiles->all[i], best))
			best = &profiles->all[i];
	}
	return best;
}

const struct camera_profile *camera_profiles_sub(const struct camera_profiles *profiles)
{
	const struct camera_profile *large = camera_profiles_main(profiles), *best = NULL;
	uint64_t enough = large->pixels / 4;

	for (size_t i = 0; i < profiles->n; i++) {
		const struct camera_profile *p = &profiles->all[i];

		if (p->pixels >= large->pixels || p->jpeg != large->jpeg ||
			strcmp(p->source, large->source) != 0)
			continue;
		if (!best ||
			(p->pixels <= enough ? best->pixels > enough || p->pixels > best->pixels
					     : p->pixels < best->pixels))
			best = p;
	}
	return best;
}

const struct camera_profile *camera_profiles_ptz(const struct camera_profiles *profiles)
{
	const struct camera_profile *large = camera_profiles_main(profiles);

	if (large->ptz)
		return large;
	for (size_t i = 0; i < profiles->n; i++) {
		const struct camera_profile *p = &profiles->all[i];

		if (p->ptz && !strcmp(p->source, large->source))
			return p;
	}
	return NULL;
}

int camera_answer_uri(
	char ret[CAMERA_PATH_BYTES], const struct soap_message *answer, const char **why)
{
	const xmlNode *one = find_child(answer->body, "MediaUri"); /* Media */
	const xmlNode *uri = find_child(one ? one : answer->body, "Uri");

	*why = "it does not say where its stream is";
	return soap_text(uri, ret, CAMERA_PATH_BYTES) && ret[0] ? 0 : -EBADMSG;
}

/* --- events --- */

int64_t camera_answer_lasts_us(const struct soap_message *answer, int64_t now_us)
{
	int64_t end_us;

	(void)soap_time(find_child(answer->body, "CurrentTime"), &now_us);
	if (!soap_time(find_child(answer->body, "TerminationTime"), &end_us) || end_us <= now_us)
		return 0;
	return end_us - now_us;
}

int camera_answer_subscribed(
	struct camera_subscribed *ret, const struct soap_message *answer, const char **why)
{
	const xmlNode *reference = find_child(answer->body, "SubscriptionReference");
	const xmlNode *address = find_child(reference, "Address");

	*why = "it does not say where its events are to be had";
	if (!read_path(address, ret->path) ||
		!soap_text(address, ret->address, sizeof(ret->address)))
		return -EBADMSG;
	ret->parameters = find_child(reference, "ReferenceParameters");
	return 0;
}

/* --- PTZ --- */

int camera_answer_node(struct camera_node *ret, const struct soap_message *answer,
	const char *token, const char **why)
{
	const xmlNode *first = find_child(answer->body, "PTZNode"), *node = first;
	char text[CAMERA_TOKEN_BYTES];

	*why = "it does not say how it can be moved";
	if (!first)
		return -EBADMSG;
	while (node && !(soap_attribute(node, "token", text, sizeof(text)) && !strcmp(text, token)))
		node = find_from(node->next, "PTZNode");
	if (!node)
		node = first;
	*ret = (struct camera_node){ .spaces = ptz_spaces_parse(
					     find_child(node, "SupportedPTZSpaces")) };
	ret->presets = read_number(find_child(node, "MaximumNumberOfPresets"), 0, INT_MAX);
	if (ret->presets < 0)
		ret->presets = 0;
	(void)soap_bool(find_child(node, "HomeSupported"), &ret->has_home);
	ret->has_fixed_home = soap_attribute(node, "FixedHomePosition", text, sizeof(text)) &&
			      (!strcmp(text, "true") || !strcmp(text, "1"));
	return 0;
}

bool camera_preset_next(const struct soap_message *answer, struct camera_preset *preset)
{
	const xmlNode *node = preset->element ? find_from(preset->element->next, "Preset")
					      : find_child(answer->body, "Preset");

	while (node && (!soap_attribute(node, "token", preset->token, sizeof(preset->token)) ||
			       !preset->token[0]))
		node = find_from(node->next, "Preset");
	if (!node)
		return false;
	preset->element = node;
	(void)soap_text(find_child(node, "Name"), preset->name, sizeof(preset->name));
	preset->has_position = ptz_vector_parse(&preset->position, find_child(node, "PTZPosition"));
	return true;
}

int camera_answer_preset(
	char ret[CAMERA_PRESET_BYTES], const struct soap_message *answer, const char **why)
{
	*why = "it does not say what it calls the preset";
	return soap_text(find_child(answer->body, "PresetToken"), ret, CAMERA_PRESET_BYTES) &&
			       ret[0]
		       ? 0
		       : -EBADMSG;
}

/* tt:MoveStatus; NULL: unsaid. */
static const char *read_movement(const xmlNode *node)
{
	static const char *const words[] = { "IDLE", "MOVING", "UNKNOWN" };
	char text[16];

	(void)soap_text(node, text, sizeof(text));
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		if (!strcmp(words[i], text))
			return words[i];
	}
	return NULL;
}

int camera_answer_status(
	struct camera_status *ret, const struct soap_message *answer, const char **why)
{
	const xmlNode *status = find_child(answer->body, "PTZStatus");
	const xmlNode *movement = find_child(status, "MoveStatus");

	*why = "it does not say how it stands";
	if (!status)
		return -EBADMSG;
	*ret = (struct camera_status){
		.pan_tilt = read_movement(find_child(movement, "PanTilt")),
		.zoom = read_movement(find_child(movement, "Zoom")),
	};
	ret->has_position = ptz_vector_parse(&ret->position, find_child(status, "Position"));
	(void)soap_text(find_child(status, "Error"), ret->error, sizeof(ret->error));
	return 0;
}
