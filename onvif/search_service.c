#include "onvif/search_service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "onvif/event_writer.h"
#include "onvif/recording_filter.h"
#include "onvif/recording_history.h"
#include "onvif/recording_lookup.h"
#include "onvif/recording_service.h"
#include "onvif/search_information.h"
#include "onvif/topic_filter.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

#define TSE SOAP_SEARCH_SPACE
#define TT SOAP_SCHEMA_SPACE
#define SECOND_US INT64_C(1000000)
#define KEEP_LEAST_US (10 * SECOND_US)
#define KEEP_MOST_US (3600 * SECOND_US)
#define WAIT_MOST_US (30 * SECOND_US)
#define EXPIRY_BEAT_US SECOND_US

enum {
	RESULTS_MOST = 500, /* in one answer */
	SEARCH_TOKEN_BYTES = 33
};

void search_write_capabilities(xmlNode *parent)
{
	xmlNode *node = soap_add(parent, TSE, "Capabilities");

	soap_set_bool(node, "MetadataSearch", false);
	soap_set_bool(node, "GeneralStartEvents", false);
}

/* --- searches --- */

struct search {
	LIST_ENTRY(search) entry;
	char token[SEARCH_TOKEN_BYTES];
	char *owner; /* user's name, or NULL */
	bool is_events, is_done;
	int64_t keep_us, expires_us;         /* monotonic */
	char filter[RECORDING_FILTER_BYTES]; /* of recordings; "": all */
	size_t most;                         /* results */
	struct recording_lookup *lookup;
	struct recording_history *history;
	const struct recording_found *recordings;
	const struct history_event *events;
	size_t n, at; /* results, and those that were told */
	/* the one that waits for it to be done */
	struct onvif_call *waiter;
	struct event *wait_timer;
};

static LIST_HEAD(, search) searches = LIST_HEAD_INITIALIZER(searches);
static size_t n_searches;
static struct event *expiry_timer;

static void search_answer(struct search *search, struct onvif_call *call);

static void search_free(struct search *search)
{
	LIST_REMOVE(search, entry);
	n_searches--;
	if (search->waiter)
		search->waiter->later = NULL;
	recording_lookup_free(search->lookup);
	recording_history_free(search->history);
	reactor_timer_free(&search->wait_timer);
	free(search->owner);
	free(search);
}

void search_service_stop(void)
{
	while (!LIST_EMPTY(&searches))
		search_free(LIST_FIRST(&searches));
	reactor_timer_free(&expiry_timer);
}

static void search_on_expiry(evutil_socket_t fd, short what, void *arg)
{
	int64_t now_us = reactor_monotonic_us();
	struct search *search, *next;

	(void)fd, (void)what, (void)arg;
	for (search = LIST_FIRST(&searches); search; search = next) {
		next = LIST_NEXT(search, entry);
		if (!search->waiter && now_us >= search->expires_us)
			search_free(search);
	}
	if (n_searches)
		reactor_timer_start(expiry_timer, EXPIRY_BEAT_US);
}

static void search_touch(struct search *search)
{
	search->expires_us = reactor_monotonic_us() + search->keep_us;
}

/* Somebody waits no longer: he is answered, or has gone. */
static struct onvif_call *search_take_waiter(struct search *search)
{
	struct onvif_call *call = search->waiter;

	reactor_timer_stop(search->wait_timer);
	search->waiter = NULL;
	if (call)
		call->later = NULL;
	return call;
}

static void search_on_waiter_gone(void *later)
{
	if (later)
		(void)search_take_waiter(later);
}

/* Afterwards the search may be gone: to answer lets the client's next request be handled, which may end it. */
static void search_wake(struct search *search)
{
	struct onvif_call *call = search_take_waiter(search);

	if (!call)
		return;
	search_answer(search, call);
	onvif_call_finish(call);
}

static void search_on_wait_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	search_wake(arg);
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static struct search *search_new(const struct onvif_call *call, bool is_events)
{
	struct search *search = xcalloc(1, sizeof(*search));
	const xmlNode *body = call->in.body;
	int64_t most = HISTORY_MOST, keep_us = KEEP_LEAST_US;

	(void)soap_integer(soap_child(body, TSE, "MaxMatches"), &most);
	(void)soap_duration(soap_child(body, TSE, "KeepAliveTime"), &keep_us);
	search->is_events = is_events;
	search->most = (size_t)(most > 0 ? clamp(most, 1, HISTORY_MOST) : HISTORY_MOST);
	search->keep_us = clamp(keep_us, KEEP_LEAST_US, KEEP_MOST_US);
	search->owner = call->user ? xstrdup(call->user->name) : NULL;
	search->wait_timer = reactor_timer_new(search_on_wait_timer, search);
	auth_random_hex(search->token, (SEARCH_TOKEN_BYTES - 1) / 2);
	search_touch(search);
	LIST_INSERT_HEAD(&searches, search, entry);
	if (!expiry_timer)
		expiry_timer = reactor_timer_new(search_on_expiry, NULL);
	if (n_searches++ == 0)
		reactor_timer_start(expiry_timer, EXPIRY_BEAT_US);
	return search;
}

static bool is_owner(const struct search *search, const struct onvif_call *call)
{
	return search->owner && call->user ? !strcmp(search->owner, call->user->name)
					   : !search->owner && !call->user;
}

/* The caller's own, of the request's SearchToken. */
static struct search *search_find(const struct onvif_call *call)
{
	char token[SEARCH_TOKEN_BYTES];
	struct search *search;

	if (!onvif_call_text(call, "SearchToken", token, sizeof(token)))
		return NULL;
	LIST_FOREACH (search, &searches, entry) {
		if (!strcmp(search->token, token) && is_owner(search, call))
			return search;
	}
	return NULL;
}

static bool search_begin(struct onvif_call *call, const struct search *search)
{
	soap_add_text(call->answer, TSE, "SearchToken", search->token);
	return true;
}

/* --- what is searched --- */

static bool list_has(const xmlNode *first, const char *text)
{
	char token[ONVIF_TOKEN_BYTES];

	for (; first; first = soap_next(first)) {
		if (soap_text(first, token, sizeof(token)) && !strcmp(token, text))
			return true;
	}
	return false;
}

/* Of IncludedSources, each of which has a Token. */
static bool sources_have(const xmlNode *first, const char *camera)
{
	for (; first; first = soap_next(first)) {
		if (list_has(soap_child(first, TT, "Token"), camera))
			return true;
	}
	return false;
}

/* The names of the cameras that the scope has, which the caller frees; the names are the configuration's. */
static const char **scope_cameras(
	const struct onvif_call *call, const xmlNode *scope, size_t *ret_n)
{
	const xmlNode *sources = soap_child(scope, TT, "IncludedSources");
	const xmlNode *recordings = soap_child(scope, TT, "IncludedRecordings");
	const struct config_camera *camera = NULL;
	const char **names = NULL;
	size_t n = 0;

	while ((camera = onvif_camera_next(call, camera))) {
		if ((sources && !sources_have(sources, camera->name)) ||
			(recordings && !list_has(recordings, camera->name)))
			continue;
		names = xrealloc(names, (n + 1) * sizeof(*names));
		names[n++] = camera->name;
	}
	*ret_n = n;
	return names;
}

static bool read_scope_filter(const xmlNode *scope, char ret[RECORDING_FILTER_BYTES])
{
	const xmlNode *filter = soap_child(scope, TT, "RecordingInformationFilter");

	ret[0] = '\0';
	return !filter || (soap_text(filter, ret, RECORDING_FILTER_BYTES) &&
				  (!ret[0] || recording_filter_is_valid(ret)));
}

/* --- FindRecordings --- */

static void search_on_recordings(void *arg, int error, const struct recording_found *rows, size_t n)
{
	struct search *search = arg;

	search->is_done = true;
	search->recordings = rows;
	search->n = error ? 0 : n;
	search_wake(search);
}

bool search_find_recordings(struct onvif_call *call)
{
	const xmlNode *scope = soap_child(call->in.body, TSE, "Scope");
	char filter[RECORDING_FILTER_BYTES];
	struct search *search;
	const char **names;
	size_t n;

	if (!scope)
		return onvif_call_refuse(call, ONVIF_FAULT_MISSING);
	if (!read_scope_filter(scope, filter))
		return onvif_call_refuse(call, ONVIF_FAULT_BAD_FILTER);
	if (n_searches == SEARCHES_MOST)
		return onvif_call_refuse(call, ONVIF_FAULT_TOO_MANY);
	search = search_new(call, false);
	memcpy(search->filter, filter, sizeof(filter));
	names = scope_cameras(call, scope, &n);
	search->lookup = recording_lookup_new(onvif_setup()->catalogue, names, n,
		RECORDING_LOOKUP_NEWEST, search_on_recordings, search);
	free(names);
	return search_begin(call, search);
}

/* Without footage there is no recording to be searched. */
static bool recording_is_meant(const struct search *search, const struct onvif_call *call,
	const struct recording_found *found)
{
	struct soap_writer scratch;
	bool is_meant;

	if (!found->last)
		return false;
	if (!search->filter[0])
		return true;
	soap_writer_init(&scratch);
	is_meant = recording_filter_has(search->filter,
		search_write_information(call, scratch.body, TT, "RecordingInformation", found));
	soap_writer_fini(&scratch);
	return is_meant;
}

static bool write_recording_result(
	struct search *search, const struct onvif_call *call, xmlNode *list)
{
	const struct recording_found *found = &search->recordings[search->at++];

	if (!recording_is_meant(search, call, found))
		return false;
	search_write_information(call, list, TT, "RecordingInformation", found);
	return true;
}

/* --- FindEvents --- */

static void search_on_events(void *arg, int error, const struct history_event *events, size_t n)
{
	struct search *search = arg;

	search->is_done = true;
	search->events = events;
	search->n = error ? 0 : n;
	search_wake(search);
}

/* The topic expressions of a filter; false: there is something else in it, or it is not understood. */
static bool read_topics(const xmlNode *filter, char ret[TOPIC_FILTER_BYTES])
{
	const xmlNode *topics = soap_child(filter, SOAP_WSNT_SPACE, "TopicExpression");

	ret[0] = '\0';
	if (soap_child(filter, SOAP_WSNT_SPACE, "MessageContent"))
		return false;
	return !topics || (soap_text(topics, ret, TOPIC_FILTER_BYTES) &&
				  topic_filter_is_valid(ret) && !soap_next(topics));
}

bool search_find_events(struct onvif_call *call)
{
	const xmlNode *body = call->in.body, *scope = soap_child(body, TSE, "Scope");
	struct history_order order = { .to_us = reactor_now_us() };
	char filter[RECORDING_FILTER_BYTES], topics[TOPIC_FILTER_BYTES];
	struct search *search;
	const char **names;

	if (!scope || !soap_time(soap_child(body, TSE, "StartPoint"), &order.from_us))
		return onvif_call_refuse(call, ONVIF_FAULT_MISSING);
	if (!read_scope_filter(scope, filter) || filter[0] ||
		!read_topics(soap_child(body, TSE, "SearchFilter"), topics))
		return onvif_call_refuse(call, ONVIF_FAULT_BAD_FILTER);
	if (n_searches == SEARCHES_MOST)
		return onvif_call_refuse(call, ONVIF_FAULT_TOO_MANY);
	(void)soap_time(soap_child(body, TSE, "EndPoint"), &order.to_us);
	(void)soap_bool(soap_child(body, TSE, "IncludeStartState"), &order.with_start);
	if (order.to_us < order.from_us) {
		int64_t from_us = order.from_us;

		order.newest_first = true;
		order.from_us = order.to_us;
		order.to_us = from_us;
	}
	order.wants_recording = topic_filter_has(topics, HISTORY_RECORDING_TOPIC);
	order.wants_tracks = topic_filter_has(topics, HISTORY_TRACK_TOPIC);
	search = search_new(call, true);
	order.most = search->most;
	names = scope_cameras(call, scope, &order.n_names);
	order.names = names;
	search->history =
		recording_history_new(onvif_setup()->catalogue, &order, search_on_events, search);
	free(names);
	return search_begin(call, search);
}

static void write_history_event(
	xmlNode *holder, const char *camera, const struct history_event *event)
{
	bool is_track = event->kind != HISTORY_RECORDING;
	struct event_text text = {
		.topic = is_track ? HISTORY_TRACK_TOPIC : HISTORY_RECORDING_TOPIC,
		.utc_us = event->at_us,
		.operation = event->is_start_state ? EVENT_OPERATION_INITIALIZED
						   : EVENT_OPERATION_CHANGED,
		.source = { { "RecordingToken", camera } },
		.data = { { is_track ? "IsDataPresent" : "IsRecording",
			event->has_data ? "true" : "false" } },
	};

	if (is_track)
		text.source[1] = (struct event_item){ "Track",
			event->kind == HISTORY_AUDIO ? RECORDING_AUDIO : RECORDING_VIDEO };
	event_write(holder, &text);
}

static bool write_event_result(struct search *search, const struct onvif_call *call, xmlNode *list)
{
	const struct history_event *event = &search->events[search->at++];
	const char *camera = recording_history_name(search->history, event->camera);
	xmlNode *node = soap_add(list, TT, "Result");

	(void)call;
	soap_add_text(node, TT, "RecordingToken", camera);
	soap_add_text(node, TT, "TrackToken",
		event->kind == HISTORY_AUDIO ? RECORDING_AUDIO : RECORDING_VIDEO);
	soap_add_time(node, TT, "Time", event->at_us);
	write_history_event(soap_add(node, TT, "Event"), camera, event);
	soap_add_bool(node, TT, "StartStateEvent", event->is_start_state);
	return true;
}

/* --- results --- */

static void search_answer(struct search *search, struct onvif_call *call)
{
	bool (*write)(struct search *, const struct onvif_call *, xmlNode *) =
		search->is_events ? write_event_result : write_recording_result;
	xmlNode *list = soap_add(call->answer, TSE, "ResultList"), *state;
	int64_t most = RESULTS_MOST, n = 0;

	search_touch(search);
	(void)soap_integer(soap_child(call->in.body, TSE, "MaxResults"), &most);
	most = clamp(most, 1, RESULTS_MOST);
	state = soap_add_text(list, TT, "SearchState", "Searching");
	while (search->is_done && search->at < search->n && n < most && search->most) {
		if (write(search, call, list)) {
			n++;
			search->most--;
		}
	}
	if (search->is_done && (search->at == search->n || !search->most))
		xmlNodeSetContent(state, (const xmlChar *)"Completed");
}

/* Waits for a search that is not done, if nobody else does. */
static bool search_get_results(struct onvif_call *call, bool is_events)
{
	struct search *search = search_find(call);
	int64_t wait_us = WAIT_MOST_US;

	if (!search || search->is_events != is_events)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_SEARCH);
	(void)soap_duration(soap_child(call->in.body, TSE, "WaitTime"), &wait_us);
	if (search->is_done || search->waiter || wait_us <= 0) {
		search_answer(search, call);
		return true;
	}
	search->waiter = call;
	call->later = search;
	call->on_gone = search_on_waiter_gone;
	reactor_timer_start(search->wait_timer, clamp(wait_us, 0, WAIT_MOST_US));
	return false;
}

bool search_get_recordings(struct onvif_call *call)
{
	return search_get_results(call, false);
}

bool search_get_events(struct onvif_call *call)
{
	return search_get_results(call, true);
}

bool search_get_state(struct onvif_call *call)
{
	const struct search *search = search_find(call);

	if (!search)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_SEARCH);
	soap_add_text(call->answer, TSE, "State",
		search->is_done && search->at == search->n ? "Completed" : "Searching");
	return true;
}

bool search_end(struct onvif_call *call)
{
	struct search *search = search_find(call);
	struct onvif_call *waiter;

	if (!search)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_SEARCH);
	soap_add_time(call->answer, TSE, "Endpoint", reactor_now_us());
	waiter = search_take_waiter(search);
	if (waiter)
		search_answer(search, waiter);
	search_free(search);
	if (waiter)
		onvif_call_finish(waiter);
	return true;
}

/* --- what is looked up for one answer --- */

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

	names = scope_cameras(call, NULL, &n);
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
	names = scope_cameras(call, NULL, &all);
	for (size_t i = 0; i < all; i++) {
		if (!tokens || list_has(tokens, names[i]))
			names[n++] = names[i];
	}
	is_answered = question_ask(call, names, n, at_us, answer_attributes);
	free(names);
	return is_answered;
}
