#include "onvif/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/recording_service.h"
#include "server/base/memory.h"

void history_init(struct history *history, const struct history_order *order,
	const char *const *names, size_t n_names)
{
	*history = (struct history){ .order = *order, .n_names = n_names };
	history->names = xcalloc(n_names + 1, sizeof(*history->names));
	for (size_t i = 0; i < n_names; i++)
		snprintf(history->names[i], sizeof(history->names[i]), "%s", names[i]);
}

void history_fini(struct history *history)
{
	free(history->names);
	free(history->events);
}

int64_t history_start_us(const struct history *history)
{
	return history->order.newest_first ? history->order.to_us : history->order.from_us;
}

/* --- the order --- */

/* At one instant: how things are comes first. */
static int compare_sources(const struct history_event *x, const struct history_event *y)
{
	if (x->is_start_state != y->is_start_state)
		return x->is_start_state ? -1 : 1;
	if (x->camera != y->camera)
		return x->camera < y->camera ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return (int)x->topic - (int)y->topic;
}

static int compare_forward(const void *a, const void *b)
{
	const struct history_event *x = a, *y = b;
	int order = compare_sources(x, y);

	if (x->at_us != y->at_us)
		return x->at_us < y->at_us ? -1 : 1;
	return order ? order : y->value - x->value; /* what has no length begins before it ends */
}

static int compare_backward(const void *a, const void *b)
{
	const struct history_event *x = a, *y = b;
	int order = compare_sources(x, y);

	if (x->at_us != y->at_us)
		return x->at_us > y->at_us ? -1 : 1;
	return order ? order : x->value - y->value;
}

void history_sort(struct history *history)
{
	if (history->n)
		qsort(history->events, history->n, sizeof(*history->events),
			history->order.newest_first ? compare_backward : compare_forward);
	if (history->n >= history->order.most) {
		history->n = history->order.most;
		history->is_cut = true;
		history->cut_us = history->events[history->n - 1].at_us;
	}
}

/* --- adding --- */

static bool is_behind_cut(const struct history *history, int64_t at_us)
{
	return history->is_cut &&
	       (history->order.newest_first ? at_us < history->cut_us : at_us > history->cut_us);
}

bool history_is_over(const struct history *history, int64_t at_us)
{
	return !history->order.newest_first && is_behind_cut(history, at_us);
}

static bool is_wanted(const struct history *history, const struct history_event *event)
{
	struct event_told told;
	struct event_text text;

	if (event->at_us < history->order.from_us || event->at_us > history->order.to_us ||
		is_behind_cut(history, event->at_us))
		return false;
	history_text(history, event, &told, &text);
	return event_filter_has(&history->order.filter, &text);
}

void history_add(struct history *history, const struct history_event *event)
{
	if (!is_wanted(history, event))
		return;
	if (history->n == 2 * history->order.most)
		history_sort(history);
	if (history->n == history->size) {
		history->size = history->size ? 2 * history->size : 64;
		history->events =
			xrealloc(history->events, history->size * sizeof(*history->events));
	}
	history->events[history->n++] = *event;
}

/* --- messages --- */

static void recording_text(
	const char *camera, const struct history_event *event, struct event_text *ret)
{
	bool is_track = event->kind != HISTORY_RECORDING;

	*ret = (struct event_text){
		.topic = is_track ? HISTORY_TRACK_TOPIC : HISTORY_RECORDING_TOPIC,
		.source = { { "RecordingToken", camera } },
		.data = { { is_track ? "IsDataPresent" : "IsRecording",
			event->value ? "true" : "false" } },
	};
	if (is_track)
		ret->source[1] = (struct event_item){ "Track",
			event->kind == HISTORY_AUDIO ? RECORDING_AUDIO : RECORDING_VIDEO };
}

void history_text(const struct history *history, const struct history_event *event,
	struct event_told *told, struct event_text *ret)
{
	const char *camera = history->names[event->camera];

	*told = (struct event_told){ .topic = event->topic, .value = event->value };
	snprintf(told->camera, sizeof(told->camera), "%s", camera);
	if (event->kind == HISTORY_TOPIC)
		event_topic_text(told, ret);
	else
		recording_text(camera, event, ret);
	ret->utc_us = event->at_us;
	if (event->is_start_state)
		ret->operation = EVENT_OPERATION_INITIALIZED;
	else if (event->kind == HISTORY_TOPIC && !event_topic_is_property(event->topic))
		ret->operation = EVENT_OPERATION_NONE;
	else
		ret->operation = EVENT_OPERATION_CHANGED;
}
