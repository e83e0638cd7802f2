#include "onvif/pull_point.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "onvif/event_states.h"
#include "protocols/http_server.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

#define TEV SOAP_EVENTS_SPACE
#define PATH "subscription/"

enum {
	ID_DIGITS = 32
};

struct waiting_event {
	STAILQ_ENTRY(waiting_event) entry;
	struct event_told told;
};

struct pull_point {
	LIST_ENTRY(pull_point) entry;
	char path[sizeof(PATH) + ID_DIGITS];
	struct auth_user *user; /* owned copy, or NULL */
	struct event_filter filter;
	STAILQ_HEAD(, waiting_event) queue;
	size_t n;
	int64_t life_us, ends_us; /* of the monotonic clock */
	struct event *life_timer;
	/* the one that waits for messages */
	struct onvif_call *waiter;
	size_t waiter_most;
	struct event *wait_timer;
};

static LIST_HEAD(, pull_point) points;
static size_t n_points;

static void point_answer(struct pull_point *point, struct onvif_call *call, size_t most);

/* --- those who wait --- */

static struct onvif_call *point_take_waiter(struct pull_point *point)
{
	struct onvif_call *call = point->waiter;

	reactor_timer_stop(point->wait_timer);
	point->waiter = NULL;
	if (call)
		call->later = NULL;
	return call;
}

static void point_on_waiter_gone(void *later)
{
	if (later)
		(void)point_take_waiter(later);
}

/* Afterwards the point may be gone: to answer lets the client's next request be handled, which may end it. */
static void point_wake(struct pull_point *point)
{
	struct onvif_call *call = point_take_waiter(point);

	if (!call)
		return;
	point_answer(point, call, point->waiter_most);
	onvif_call_finish(call);
}

/* In the reactor's next turn, with all that has happened until then. */
static void point_wake_soon(struct pull_point *point)
{
	if (point->waiter && point->n)
		reactor_timer_start(point->wait_timer, 0);
}

static void point_on_wait_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	point_wake(arg);
}

static void point_live(struct pull_point *point, int64_t life_us)
{
	point->ends_us = reactor_monotonic_us() + life_us;
	reactor_timer_start(point->life_timer, life_us);
}

/* --- messages --- */

static void point_drop_first(struct pull_point *point)
{
	struct waiting_event *first = STAILQ_FIRST(&point->queue);

	STAILQ_REMOVE_HEAD(&point->queue, entry);
	point->n--;
	free(first);
}

static bool point_may_tell(const struct auth_user *user, const struct event_told *told)
{
	return !told->camera[0] || auth_may_see(user, told->camera);
}

static void point_add(void *arg, const struct event_told *told)
{
	struct pull_point *point = arg;
	struct waiting_event *event;
	struct event_text text;

	event_topic_text(told, &text);
	if (!point_may_tell(point->user, told) || !event_filter_has(&point->filter, &text))
		return;
	if (point->n == PULL_POINT_QUEUE) {
		point_drop_first(point);
		metric_add(metric_get(METRIC_ONVIF_EVENTS_DROPPED), 1);
	}
	event = xcalloc(1, sizeof(*event));
	event->told = *told;
	STAILQ_INSERT_TAIL(&point->queue, event, entry);
	point->n++;
}

static void points_tell(const struct event_told *told)
{
	struct pull_point *point;

	LIST_FOREACH (point, &points, entry) {
		point_add(point, told);
		point_wake_soon(point);
	}
}

static void point_answer(struct pull_point *point, struct onvif_call *call, size_t most)
{
	pull_point_renew(point, point->life_us);
	soap_add_time(call->answer, TEV, "CurrentTime", reactor_now_us());
	soap_add_time(call->answer, TEV, "TerminationTime", pull_point_ends_us(point));
	while (most && point->n) {
		const struct event_told *told = &STAILQ_FIRST(&point->queue)->told;
		struct event_text text;

		if (point_may_tell(call->user, told)) { /* he may see less than when it was kept */
			event_topic_text(told, &text);
			event_write(soap_add(call->answer, SOAP_WSNT_SPACE, "NotificationMessage"),
				&text);
			most--;
		}
		point_drop_first(point);
	}
}

void pull_point_synchronize(struct pull_point *point)
{
	event_states_each(point_add, point);
	point_wake_soon(point);
}

bool pull_point_pull(
	struct pull_point *point, struct onvif_call *call, int64_t wait_us, size_t most)
{
	struct onvif_call *before = point_take_waiter(point);
	bool is_answered = point->n || wait_us <= 0;

	if (before)
		point_answer(point, before, 0); /* the client has given it up, it seems */
	if (is_answered) {
		point_answer(point, call, most);
	} else {
		point->waiter = call;
		point->waiter_most = most;
		call->later = point;
		call->on_gone = point_on_waiter_gone;
		reactor_timer_start(point->wait_timer, wait_us);
		point_live(point, point->life_us + wait_us);
	}
	if (before)
		onvif_call_finish(before); /* see point_wake() */
	return is_answered;
}

/* --- life --- */

void pull_point_free(struct pull_point *point)
{
	struct onvif_call *call = point_take_waiter(point);

	if (call)
		point_answer(point, call, point->waiter_most);
	LIST_REMOVE(point, entry);
	if (--n_points == 0)
		event_states_want(false);
	metric_set(metric_get(METRIC_ONVIF_SUBSCRIPTIONS), (double)n_points);
	while (point->n)
		point_drop_first(point);
	reactor_timer_free(&point->life_timer);
	reactor_timer_free(&point->wait_timer);
	auth_user_free(point->user);
	free(point);
	if (call)
		onvif_call_finish(call);
}

static void point_on_life_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	pull_point_free(arg);
}

struct pull_point *pull_point_new(
	const struct auth_user *user, const struct event_filter *filter, int64_t life_us)
{
	struct pull_point *point;
	char id[ID_DIGITS + 1];

	if (n_points == PULL_POINTS_MOST)
		return NULL;
	point = xcalloc(1, sizeof(*point));
	auth_random_hex(id, ID_DIGITS / 2);
	snprintf(point->path, sizeof(point->path), PATH "%s", id);
	point->filter = *filter;
	point->user = auth_user_copy(user);
	STAILQ_INIT(&point->queue);
	point->life_timer = reactor_timer_new(point_on_life_timer, point);
	point->wait_timer = reactor_timer_new(point_on_wait_timer, point);
	pull_point_renew(point, life_us);
	event_states_want(true); /* before it hears what changes by that */
	LIST_INSERT_HEAD(&points, point, entry);
	n_points++;
	metric_set(metric_get(METRIC_ONVIF_SUBSCRIPTIONS), (double)n_points);
	pull_point_synchronize(point);
	return point;
}

void pull_point_renew(struct pull_point *point, int64_t life_us)
{
	if (life_us < PULL_POINT_LIFE_LEAST_US)
		life_us = PULL_POINT_LIFE_LEAST_US;
	if (life_us > PULL_POINT_LIFE_MOST_US)
		life_us = PULL_POINT_LIFE_MOST_US;
	point->life_us = life_us;
	point_live(point, life_us);
}

int64_t pull_point_ends_us(const struct pull_point *point)
{
	return reactor_now_us() + point->ends_us - reactor_monotonic_us();
}

const char *pull_point_path(const struct pull_point *point)
{
	return point->path;
}

static bool is_owner(const struct pull_point *point, const struct onvif_call *call)
{
	return point->user && call->user ? !strcmp(point->user->name, call->user->name)
					 : !point->user && !call->user;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

struct pull_point *pull_point_find(const struct onvif_call *call)
{
	char to[512];
	struct pull_point *point;

	(void)soap_text(soap_child(call->in.header, SOAP_WSA_SPACE, "To"), to, sizeof(to));
	LIST_FOREACH (point, &points, entry) {
		if ((ends_with(http_path(call->http), point->path) || ends_with(to, point->path)) &&
			is_owner(point, call))
			return point;
	}
	return NULL;
}

void pull_points_start(void)
{
	event_states_start(points_tell);
}

void pull_points_stop(void)
{
	while (!LIST_EMPTY(&points))
		pull_point_free(LIST_FIRST(&points));
	event_states_stop();
}
