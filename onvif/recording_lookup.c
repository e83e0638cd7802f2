#include "onvif/recording_lookup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"

struct recording_lookup {
	struct catalogue *catalogue;
	struct catalogue_query *query;
	struct recording_found *rows;
	size_t n, at;
	int64_t at_us;
	struct event
		*timer; /* to say so later that there is nothing to ask, or nobody to be asked */
	recording_lookup_fn *done;
	void *arg;
};

static void lookup_go_on(struct recording_lookup *lookup);

static void lookup_next(struct recording_lookup *lookup)
{
	lookup->at++;
	lookup_go_on(lookup);
}

static void lookup_on_newest(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct recording_lookup *lookup = arg;

	lookup->query = NULL;
	if (error) {
		lookup->done(lookup->arg, error, NULL, 0);
		return;
	}
	if (n)
		lookup->rows[lookup->at].last = catalogue_segment_copy(rows);
	lookup_next(lookup);
}

static void lookup_on_first(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct recording_lookup *lookup = arg;
	struct recording_found *row = &lookup->rows[lookup->at];

	lookup->query = NULL;
	if (error) {
		lookup->done(lookup->arg, error, NULL, 0);
		return;
	}
	if (n)
		row->first_us = rows->start_us;
	if (n && lookup->at_us != RECORDING_LOOKUP_NEWEST)
		row->last = catalogue_segment_copy(rows);
	if (!n || lookup->at_us != RECORDING_LOOKUP_NEWEST) {
		lookup_next(lookup);
		return;
	}
	lookup->query = catalogue_newest(lookup->catalogue, row->camera, lookup_on_newest, lookup);
	if (!lookup->query)
		reactor_timer_start(lookup->timer, 0);
}

static void lookup_go_on(struct recording_lookup *lookup)
{
	bool is_newest = lookup->at_us == RECORDING_LOOKUP_NEWEST;

	if (lookup->at == lookup->n) {
		lookup->done(lookup->arg, 0, lookup->rows, lookup->n);
		return;
	}
	lookup->query = catalogue_list(lookup->catalogue, lookup->rows[lookup->at].camera,
		is_newest ? 0 : lookup->at_us, is_newest ? INT64_MAX : lookup->at_us + 1, NULL, 1,
		lookup_on_first, lookup);
	if (!lookup->query)
		reactor_timer_start(lookup->timer, 0);
}

static void lookup_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct recording_lookup *lookup = arg;

	(void)fd, (void)what;
	if (lookup->n)
		lookup->done(lookup->arg, -EAGAIN, NULL, 0);
	else
		lookup->done(lookup->arg, 0, lookup->rows, 0);
}

struct recording_lookup *recording_lookup_new(struct catalogue *catalogue, const char *const *names,
	size_t n, int64_t at_us, recording_lookup_fn *done, void *arg)
{
	struct recording_lookup *lookup = xcalloc(1, sizeof(*lookup));

	lookup->catalogue = catalogue;
	lookup->rows = xcalloc(n + 1, sizeof(*lookup->rows));
	lookup->n = n;
	lookup->at_us = at_us;
	lookup->done = done;
	lookup->arg = arg;
	lookup->timer = reactor_timer_new(lookup_on_timer, lookup);
	for (size_t i = 0; i < n; i++)
		snprintf(lookup->rows[i].camera, sizeof(lookup->rows[i].camera), "%s", names[i]);
	if (n)
		lookup_go_on(lookup);
	else
		reactor_timer_start(lookup->timer, 0);
	return lookup;
}

void recording_lookup_free(struct recording_lookup *lookup)
{
	if (!lookup)
		return;
	catalogue_cancel(lookup->query);
	reactor_timer_free(&lookup->timer);
	for (size_t i = 0; i < lookup->n; i++)
		catalogue_segment_free(lookup->rows[i].last);
	free(lookup->rows);
	free(lookup);
}
