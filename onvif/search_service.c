#include "onvif/search_service.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "onvif/history.h"
#include "onvif/search_private.h"
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
	const struct search_kind *kind;
	void *arg; /* the kind's, owned */
	bool is_done;
	int64_t keep_us, expires_us; /* monotonic */
	size_t most;                 /* results */
	size_t n, at;                /* results, and those that were told */
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
	search->kind->free(search->arg);
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

struct search *search_new(const struct onvif_call *call, const struct search_kind *kind, void *arg)
{
	const xmlNode *body = call->in.body;
	int64_t most = HISTORY_MOST, keep_us = KEEP_LEAST_US;
	struct search *search;

	if (n_searches == SEARCHES_MOST) {
		kind->free(arg);
		return NULL;
	}
	search = xcalloc(1, sizeof(*search));
	(void)soap_integer(soap_child(body, TSE, "MaxMatches"), &most);
	(void)soap_duration(soap_child(body, TSE, "KeepAliveTime"), &keep_us);
	search->kind = kind;
	search->arg = arg;
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

bool search_begin(struct onvif_call *call, const struct search *search)
{
	soap_add_text(call->answer, TSE, "SearchToken", search->token);
	return true;
}

size_t search_most(const struct search *search)
{
	return search->most;
}

void search_done(struct search *search, size_t n)
{
	search->is_done = true;
	search->n = n;
	search_wake(search);
}

/* --- results --- */

static void search_answer(struct search *search, struct onvif_call *call)
{
	xmlNode *list = soap_add(call->answer, TSE, "ResultList"), *state;
	int64_t most = RESULTS_MOST, n = 0;

	search_touch(search);
	(void)soap_integer(soap_child(call->in.body, TSE, "MaxResults"), &most);
	most = clamp(most, 1, RESULTS_MOST);
	state = soap_add_text(list, TT, "SearchState", "Searching");
	while (search->is_done && search->at < search->n && n < most && search->most) {
		if (search->kind->write(search->arg, call, list, search->at++)) {
			n++;
			search->most--;
		}
	}
	if (search->is_done && (search->at == search->n || !search->most))
		xmlNodeSetContent(state, (const xmlChar *)"Completed");
}

/* Waits for a search that is not done, if nobody else does. */
static bool search_get_results(struct onvif_call *call, const struct search_kind *kind)
{
	struct search *search = search_find(call);
	int64_t wait_us = WAIT_MOST_US;

	if (!search || search->kind != kind)
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
	return search_get_results(call, &search_recordings_kind);
}

bool search_get_events(struct onvif_call *call)
{
	return search_get_results(call, &search_events_kind);
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
