/* What is looked up in the catalogue for one answer. */
#include <stdlib.h>

#include "onvif/recording_lookup.h"
#include "onvif/search_information.h"
#include "onvif/search_private.h"
#include "onvif/search_service.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

#define TSE SOAP_SEARCH_SPACE
#define TT SOAP_SCHEMA_SPACE

struct question {
	struct onvif_call *call;
	struct recording_lookup *lookup;
	bool (*answer)(struct onvif_call *call, const struct recording_found *rows, size_t n);
};

static void question_on_gone(void *later)
{
	struct question *question = later;

	recording_lookup_free(question->lookup);
	free(question);
}

static void question_on_rows(void *arg, int error, const struct recording_found *rows, size_t n)
{
	struct question *question = arg;

	if (error)
		(void)onvif_call_refuse(question->call, ONVIF_FAULT_BUSY);
	else
		(void)question->answer(question->call, rows, n);
	onvif_call_finish(question->call);
}

static bool question_ask(struct onvif_call *call, const char *const *names, size_t n, int64_t at_us,
	bool (*answer)(struct onvif_call *call, const struct recording_found *rows, size_t n))
{
	struct question *question = xcalloc(1, sizeof(*question));

	question->call = call;
	question->answer = answer;
	call->later = question;
	call->on_gone = question_on_gone;
	question->lookup = recording_lookup_new(
		onvif_setup()->catalogue, names, n, at_us, question_on_rows, question);
	return false;
}

static bool answer_summary(struct onvif_call *call, const struct recording_found *rows, size_t n)
{
	xmlNode *summary = soap_add(call->answer, TSE, "Summary");
	int64_t from_us = INT64_MAX, until_us = 0, now_us = reactor_now_us();
	int64_t count = 0;

	for (size_t i = 0; i < n; i++) {
		if (!rows[i].last)
			continue;
		count++;
		if (rows[i].first_us < from_us)
			from_us = rows[i].first_us;
		if (rows[i].last->end_us > until_us)
			until_us = rows[i].last->end_us;
	}
	soap_add_time(summary, TT, "DataFrom", count ? from_us : now_us);
	soap_add_time(summary, TT, "DataUntil", count ? until_us : now_us);
	soap_add_integer(summary, TT, "NumberRecordings", count);
	return true;
}

bool search_get_summary(struct onvif_call *call)
{
	const char **names;
	bool is_answered;
	size_t n;

	names = search_scope_cameras(call, NULL, &n);
	is_answered = question_ask(call, names, n, RECORDING_LOOKUP_NEWEST, answer_summary);
	free(names);
	return is_answered;
}

static bool answer_information(
	struct onvif_call *call, const struct recording_found *rows, size_t n)
{
	(void)n;
	search_write_information(call, call->answer, TSE, "RecordingInformation", rows);
	return true;
}

bool search_get_information(struct onvif_call *call)
{
	const struct config_camera *camera;
	char token[ONVIF_TOKEN_BYTES];
	const char *name;

	if (!onvif_call_text(call, "RecordingToken", token, sizeof(token)))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_RECORDING);
	camera = onvif_camera_find(call, token);
	if (!camera)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_RECORDING);
	name = camera->name;
	return question_ask(call, &name, 1, RECORDING_LOOKUP_NEWEST, answer_information);
}

static bool answer_attributes(struct onvif_call *call, const struct recording_found *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].last)
			search_write_attributes(call->answer, &rows[i]);
	}
	return true;
}

bool search_get_media_attributes(struct onvif_call *call)
{
	const xmlNode *tokens = soap_child(call->in.body, TSE, "RecordingTokens");
	const char **names;
	bool is_answered;
	int64_t at_us;
	size_t n = 0, all;

	if (!soap_time(soap_child(call->in.body, TSE, "Time"), &at_us))
		return onvif_call_refuse(call, ONVIF_FAULT_MISSING);
	names = search_scope_cameras(call, NULL, &all);
	for (size_t i = 0; i < all; i++) {
		if (!tokens || search_list_has(tokens, names[i]))
			names[n++] = names[i];
	}
	is_answered = question_ask(call, names, n, at_us, answer_attributes);
	free(names);
	return is_answered;
}
