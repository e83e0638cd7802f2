/* Answers of ONVIF cameras, each read as the answer to every question: text ends, numbers are in their limits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/camera_answer.h"
#include "onvif/imaging_settings.h"
#include "onvif/soap_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_text(const char *text, size_t size)
{
	if (!memchr(text, 0, size))
		abort();
}

static void check_profiles(const struct soap_message *message)
{
	struct camera_profiles profiles;
	const struct camera_profile *large, *small;
	const char *why;

	if (camera_answer_profiles(&profiles, message, &why) < 0)
		return;
	large = camera_profiles_main(&profiles);
	small = camera_profiles_sub(&profiles);
	if (!profiles.n || profiles.n > CAMERA_PROFILES ||
		(small && small->pixels >= large->pixels))
		abort();
	check_text(large->token, sizeof(large->token));
}

static void check_vector(const struct ptz_vector *vector)
{
	if (vector->x != vector->x || vector->axes & ~(PTZ_PAN_TILT | PTZ_ZOOM))
		abort();
	check_text(vector->zoom_space, sizeof(vector->zoom_space));
}

static void check_ptz(const struct soap_message *message)
{
	struct camera_node node;
	struct camera_preset preset = { 0 };
	struct camera_status status;
	char token[CAMERA_PRESET_BYTES];
	const char *why;

	if (camera_answer_node(&node, message, "n", &why) == 0 && node.presets < 0)
		abort();
	while (camera_preset_next(message, &preset)) {
		check_text(preset.token, sizeof(preset.token));
		check_text(preset.name, sizeof(preset.name));
		if (preset.has_position)
			check_vector(&preset.position);
	}
	if (camera_answer_preset(token, message, &why) == 0)
		check_text(token, sizeof(token));
	if (camera_answer_status(&status, message, &why) == 0 && status.has_position)
		check_vector(&status.position);
}

/* What was written is found good, and written again as it is. */
static void check_imaging(const struct soap_message *message, enum imaging_content content)
{
	struct soap_writer first, second;
	char *text, *again;
	size_t bytes;

	soap_writer_init(&first);
	soap_writer_init(&second);
	(void)imaging_copy(first.body, message->body, content);
	if (!imaging_copy(second.body, first.body, content))
		abort();
	text = soap_writer_text(&first, &bytes);
	again = soap_writer_text(&second, &bytes);
	if (strcmp(strstr(text, "Body"), strstr(again, "Body")) !=
		0) /* the envelope names spaces */
		abort();
	free(text);
	free(again);
	soap_writer_fini(&first);
	soap_writer_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct soap_message message;
	struct camera_time time;
	struct camera_services services;
	struct camera_subscribed subscribed;
	char uri[CAMERA_PATH_BYTES];
	const char *why = NULL;

	if (soap_message_parse(&message, (const char *)p, n, SOAP_ANSWER_BYTES, &why) < 0)
		return 0;
	if (camera_answer_time(&time, &message, &why) == 0 && time.utc_us < 0)
		abort();
	if (camera_answer_services(&services, &message, &why) == 0)
		check_text(services.events, sizeof(services.events));
	check_profiles(&message);
	if (camera_answer_uri(uri, &message, &why) == 0)
		check_text(uri, sizeof(uri));
	check_ptz(&message);
	for (enum imaging_content content = IMAGING_SETTINGS; content <= IMAGING_STATUS; content++)
		check_imaging(&message, content);
	if (camera_answer_subscribed(&subscribed, &message, &why) == 0)
		check_text(subscribed.path, sizeof(subscribed.path));
	if (camera_answer_lasts_us(&message, 0) < 0)
		abort();
	soap_message_fini(&message);
	return 0;
}
