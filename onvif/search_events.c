/* FindEvents: what the catalogue has of each camera, page by page, as changes in the order of time. */
#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "onvif/event_history.h"
#include "onvif/event_states.h"
#include "onvif/recording_history.h"
#include "onvif/recording_service.h"
#include "onvif/search_private.h"
#include "onvif/search_service.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

#define TSE SOAP_SEARCH_SPACE
#define TT SOAP_SCHEMA_SPACE
/* What lasts is written to the catalogue each ten seconds, by server/events.c. */
#define FRESH_US INT64_C(15000000)

enum {
	PAGE = 500
};

struct event_search {
	struct search *search;
	struct history history;
	bool wants_recordings, wants_topics;
	/* the camera that is looked at: its recordings, then its events */
	size_t camera;
	struct recording_history recording;
	struct event_history happened;
	char *after_path; /* the last row that was taken, or NULL */
	struct catalogue_event *after_event;
	struct catalogue_query *query;
	struct event *timer; /* to say so later that nobody can be asked, or nothing */
};

static void ask_recordings(struct event_search *events);
static void ask_events(struct event_search *events);

static void events_end(struct event_search *events, int error)
{
	history_sort(&events->history);
	search_done(events->search, error ? 0 : events->history.n);
}

static void events_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct event_search *events = arg;

	(void)fd, (void)what;
	events_end(events, events->camera < events->history.n_names ? -EAGAIN : 0);
}

/* Waits for the query. */
static void events_wait(struct event_search *events, struct catalogue_query *query)
{
	events->query = query;
	if (!query)
		reactor_timer_start(events->timer, 0);
}

static void forget_page(struct event_search *events)
{
	free(events->after_path);
	free(events->after_event);
	events->after_path = NULL;
	events->after_event = NULL;
}

/* A page has come. False: an error has, and the search has ended. */
static bool page_begin(struct event_search *events, int error)
{
	events->query = NULL;
	forget_page(events);
	if (error)
		events_end(events, error);
	return !error;
}

static void begin_camera(struct event_search *events)
{
	bool is_there = events->camera < events->history.n_names;

	if (is_there && events->wants_recordings)
		ask_recordings(events);
	else if (is_there && events->wants_topics)
		ask_events(events);
	else
		reactor_timer_start(events->timer, 0);
}

/* --- events --- */

static void on_events(void *arg, int error, const struct catalogue_event *rows, size_t n)
{
	struct event_search *events = arg;
	struct history *history = &events->history;

	if (!page_begin(events, error))
		return;
	for (size_t i = 0; i < n; i++)
		event_history_take(&events->happened, history, events->camera, &rows[i]);
	if (n == PAGE && !history_is_over(history, rows[n - 1].start_us)) {
		events->after_event = xmalloc(sizeof(*rows));
		*events->after_event = rows[n - 1];
		ask_events(events);
		return;
	}
	event_history_end(&events->happened, history, events->camera++);
	begin_camera(events);
}

/* The kinds that last at a camera, of which the catalogue cannot know the end. */
static unsigned find_lasting(const char *camera)
{
	unsigned lasting = 0;

	for (enum event_kind kind = 0; kind < EVENT_KINDS; kind++) {
		if (event_states_is_on(event_topic_of(kind), camera))
			lasting |= 1U << kind;
	}
	return lasting;
}

static void ask_events(struct event_search *events)
{
	const struct history *history = &events->history;
	const char *camera = history->names[events->camera];

	if (!events->after_event)
		events->happened = (struct event_history){ .lasting = find_lasting(camera),
			.fresh_us = reactor_now_us() - FRESH_US };
	events_wait(events,
		catalogue_events(onvif_setup()->catalogue, camera, history->order.from_us,
			history->order.to_us, events->after_event, PAGE, on_events, events));
}

/* --- recordings --- */

static void on_recordings(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct event_search *events = arg;
	struct history *history = &events->history;

	if (!page_begin(events, error))
		return;
	for (size_t i = 0; i < n; i++)
		recording_history_take(&events->recording, history, events->camera, &rows[i]);
	if (n == PAGE && !history_is_over(history, rows[n - 1].start_us)) {
		events->after_path = xstrdup(rows[n - 1].path);
		ask_recordings(events);
		return;
	}
	recording_history_end(&events->recording, history, events->camera);
	if (events->wants_topics) {
		ask_events(events);
		return;
	}
	events->camera++;
	begin_camera(events);
}

static void ask_recordings(struct event_search *events)
{
	const struct history *history = &events->history;

	if (!events->after_path)
		events->recording = (struct recording_history){ 0 };
	events_wait(events, catalogue_list(onvif_setup()->catalogue, history->names[events->camera],
				    history->order.from_us, history->order.to_us + 1,
				    events->after_path, PAGE, on_recordings, events));
}

/* --- results --- */

static bool events_write(void *arg, const struct onvif_call *call, xmlNode *list, size_t i)
{
	const struct event_search *events = arg;
	const struct history_event *event = &events->history.events[i];
	xmlNode *node = soap_add(list, TT, "Result");
	struct event_told told;
	struct event_text text;

	(void)call;
	history_text(&events->history, event, &told, &text);
	soap_add_text(node, TT, "RecordingToken", events->history.names[event->camera]);
	soap_add_text(node, TT, "TrackToken",
		event->kind == HISTORY_AUDIO ? RECORDING_AUDIO : RECORDING_VIDEO);
	soap_add_time(node, TT, "Time", event->at_us);
	event_write(soap_add(node, TT, "Event"), &text);
	soap_add_bool(node, TT, "StartStateEvent", event->is_start_state);
	return true;
}

static void events_free(void *arg)
{
	struct event_search *events = arg;

	catalogue_cancel(events->query);
	reactor_timer_free(&events->timer);
	forget_page(events);
	history_fini(&events->history);
	free(events);
}

/* --- the operation --- */

static void read_times(const xmlNode *body, struct history_order *order)
{
	(void)soap_time(soap_child(body, TSE, "EndPoint"), &order->to_us);
	(void)soap_bool(soap_child(body, TSE, "IncludeStartState"), &order->with_start);
	if (order->to_us < order->from_us) {
		int64_t from_us = order->from_us;

		order->newest_first = true;
		order->from_us = order->to_us;
		order->to_us = from_us;
	}
}

/* What the filter leaves over of the two tables. */
static void find_wants(struct event_search *events)
{
	const char *topics = events->history.order.filter.topics;

	events->wants_recordings = topic_filter_has(topics, HISTORY_RECORDING_TOPIC) ||
				   topic_filter_has(topics, HISTORY_TRACK_TOPIC);
	for (enum event_topic topic = 0; topic < TOPICS; topic++)
		events->wants_topics =
			events->wants_topics || topic_filter_has(topics, event_topic_path(topic));
}

const struct search_kind search_events_kind = { events_write, events_free };

bool search_find_events(struct onvif_call *call)
{
	const xmlNode *body = call->in.body, *scope = soap_child(body, TSE, "Scope");
	struct history_order order = { .to_us = reactor_now_us() };
	char filter[RECORDING_FILTER_BYTES];
	struct event_search *events;
	struct search *search;
	const char **names;
	size_t n;

	if (!scope || !soap_time(soap_child(body, TSE, "StartPoint"), &order.from_us))
		return onvif_call_refuse(call, ONVIF_FAULT_MISSING);
	if (!search_scope_filter(scope, filter) || filter[0] ||
		!event_filter_read(&order.filter, soap_child(body, TSE, "SearchFilter")))
		return onvif_call_refuse(call, ONVIF_FAULT_BAD_FILTER);
	events = xcalloc(1, sizeof(*events));
	events->timer = reactor_timer_new(events_on_timer, events);
	search = search_new(call, &search_events_kind, events);
	if (!search)
		return onvif_call_refuse(call, ONVIF_FAULT_TOO_MANY);
	events->search = search;
	read_times(body, &order);
	order.most = search_most(search);
	names = search_scope_cameras(call, scope, &n);
	history_init(&events->history, &order, names, n);
	free(names);
	find_wants(events);
	begin_camera(events);
	return search_begin(call, search);
}
