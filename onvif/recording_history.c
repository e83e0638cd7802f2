#include "onvif/recording_history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/catalogue.h"

enum {
	BATCH = 500
};
#define JOINED_US INT64_C(2000000) /* a shorter gap between two files is none */

struct recording_history {
	struct catalogue *catalogue;
	struct catalogue_query *query;
	struct history_order order;
	char (*names)[ONVIF_CAMERA_BYTES + 1];
	size_t at;
	char *after; /* the path of the last row */
	/* the stretch that is under way */
	bool in_stretch, has_audio, is_open;
	int64_t end_us;
	bool was_recording; /* where it begins */
	bool had_audio;
	struct history_event *events;
	size_t n, size;
	struct event *timer;
	recording_history_fn *done;
	void *arg;
};

static void history_go_on(struct recording_history *history);

static bool is_full(const struct recording_history *history)
{
	return history->n >= history->order.most;
}

static void add(struct recording_history *history, int64_t at_us, enum history_kind kind,
	bool has_data, bool is_start_state)
{
	bool is_wanted = kind == HISTORY_RECORDING ? history->order.wants_recording
						   : history->order.wants_tracks;

	if (!is_wanted)
		return;
	if (history->n == history->size) {
		history->size = history->size ? 2 * history->size : 64;
		history->events =
			xrealloc(history->events, history->size * sizeof(*history->events));
	}
	history->events[history->n++] = (struct history_event){ .at_us = at_us,
		.camera = history->at,
		.kind = kind,
		.has_data = has_data,
		.is_start_state = is_start_state };
}

static void add_all(struct recording_history *history, int64_t at_us, bool has_data, bool has_audio,
	bool is_start_state)
{
	add(history, at_us, HISTORY_RECORDING, has_data, is_start_state);
	add(history, at_us, HISTORY_VIDEO, has_data, is_start_state);
	if (has_audio)
		add(history, at_us, HISTORY_AUDIO, has_data, is_start_state);
}

static void add_change(struct recording_history *history, int64_t at_us, bool has_data)
{
	const struct history_order *order = &history->order;

	if (at_us >= order->from_us && at_us <= order->to_us && !is_full(history))
		add_all(history, at_us, has_data, history->has_audio, false);
}

/* --- stretches --- */

static void stretch_end(struct recording_history *history)
{
	if (history->in_stretch && !history->is_open)
		add_change(history, history->end_us, false);
	history->in_stretch = false;
}

static void stretch_take(struct recording_history *history, const struct catalogue_segment *row)
{
	const struct history_order *order = &history->order;
	int64_t start_us = order->newest_first ? order->to_us : order->from_us;

	if (history->in_stretch && row->start_us > history->end_us + JOINED_US)
		stretch_end(history);
	history->has_audio = row->codecs && strchr(row->codecs, ',');
	if (!history->in_stretch)
		add_change(history, row->start_us, true);
	if (row->start_us <= start_us && (row->end_us > start_us || row->state == SEGMENT_OPEN)) {
		history->was_recording = true;
		history->had_audio = history->has_audio;
	}
	history->in_stretch = true;
	history->end_us = row->end_us;
	history->is_open = row->state == SEGMENT_OPEN;
}

static void camera_end(struct recording_history *history)
{
	const struct history_order *order = &history->order;
	int64_t start_us = order->newest_first ? order->to_us : order->from_us;

	stretch_end(history);
	if (order->with_start)
		add_all(history, start_us, history->was_recording, history->had_audio, true);
	history->was_recording = history->had_audio = history->is_open = false;
	free(history->after);
	history->after = NULL;
	history->at++;
}

/* --- the end --- */

static int compare_instants(const void *a, const void *b)
{
	const struct history_event *x = a, *y = b;

	if (x->at_us != y->at_us)
		return x->at_us < y->at_us ? -1 : 1;
	if (x->is_start_state != y->is_start_state)
		return x->is_start_state ? -1 : 1;
	if (x->camera != y->camera)
		return x->camera < y->camera ? -1 : 1;
	return (int)x->kind - (int)y->kind;
}

static int compare_backward(const void *a, const void *b)
{
	const struct history_event *x = a, *y = b;

	return x->at_us == y->at_us ? compare_instants(a, b) : compare_instants(b, a);
}

static void history_finish(struct recording_history *history, int error)
{
	size_t n = history->n < history->order.most ? history->n : history->order.most;

	if (history->n)
		qsort(history->events, history->n, sizeof(*history->events),
			history->order.newest_first ? compare_backward : compare_instants);
	history->done(history->arg, error, history->events, error ? 0 : n);
}

/* --- asking --- */

static void history_on_rows(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct recording_history *history = arg;

	history->query = NULL;
	if (error) {
		history_finish(history, error);
		return;
	}
	for (size_t i = 0; i < n; i++)
		stretch_take(history, &rows[i]);
	free(history->after);
	history->after = n ? xstrdup(rows[n - 1].path) : NULL;
	if (n < BATCH || is_full(history))
		camera_end(history);
	history_go_on(history);
}

static void history_go_on(struct recording_history *history)
{
	const struct history_order *order = &history->order;

	if (history->at == order->n_names || is_full(history)) {
		history_finish(history, 0);
		return;
	}
	history->query = catalogue_list(history->catalogue, history->names[history->at],
		order->from_us, order->to_us + 1, history->after, BATCH, history_on_rows, history);
	if (!history->query)
		reactor_timer_start(history->timer, 0);
}

static void history_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct recording_history *history = arg;

	(void)fd, (void)what;
	if (history->at == history->order.n_names)
		history_finish(history, 0);
	else
		history_finish(history, -EAGAIN);
}

struct recording_history *recording_history_new(struct catalogue *catalogue,
	const struct history_order *order, recording_history_fn *done, void *arg)
{
	struct recording_history *history = xcalloc(1, sizeof(*history));

	history->catalogue = catalogue;
	history->order = *order;
	if (history->order.most > HISTORY_MOST)
		history->order.most = HISTORY_MOST;
	history->names = xcalloc(order->n_names + 1, sizeof(*history->names));
	for (size_t i = 0; i < order->n_names; i++)
		snprintf(history->names[i], sizeof(history->names[i]), "%s", order->names[i]);
	history->timer = reactor_timer_new(history_on_timer, history);
	history->done = done;
	history->arg = arg;
	if (order->n_names)
		history_go_on(history);
	else
		reactor_timer_start(history->timer, 0);
	return history;
}

void recording_history_free(struct recording_history *history)
{
	if (!history)
		return;
	catalogue_cancel(history->query);
	reactor_timer_free(&history->timer);
	free(history->after);
	free(history->names);
	free(history->events);
	free(history);
}

const char *recording_history_name(const struct recording_history *history, size_t camera)
{
	return history->names[camera];
}
