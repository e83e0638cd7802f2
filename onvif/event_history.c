#include "onvif/event_history.h"

/* Motion is told by rule and by camera. */
static void add_all(struct history *history, struct history_event event, enum event_kind kind)
{
	event.kind = HISTORY_TOPIC;
	event.topic = event_topic_of(kind);
	history_add(history, &event);
	if (event.topic == TOPIC_CELL_MOTION) {
		event.topic = TOPIC_MOTION_ALARM;
		history_add(history, &event);
	}
}

static void add_change(
	struct history *history, size_t camera, enum event_kind kind, int64_t at_us, bool value)
{
	add_all(history, (struct history_event){ .at_us = at_us, .camera = camera, .value = value },
		kind);
}

/* An event of a kind is over: what follows is another one. */
static void span_end(struct event_history *happened, struct history *history, size_t camera,
	enum event_kind kind)
{
	int64_t start_us = happened->spans[kind].start_us, end_us = happened->spans[kind].end_us;
	int64_t from_us = history_start_us(history);

	if (!happened->spans[kind].is_begun)
		return;
	happened->spans[kind].is_begun = false;
	add_change(history, camera, kind, start_us, true);
	add_change(history, camera, kind, end_us, false);
	if (start_us <= from_us && end_us > from_us)
		happened->were |= 1U << kind;
}

void event_history_take(struct event_history *happened, struct history *history, size_t camera,
	const struct catalogue_event *row)
{
	enum event_topic topic = event_topic_of(row->kind);
	int64_t end_us = row->end_us;

	if (topic == TOPICS)
		return;
	if (!event_topic_is_property(topic)) {
		add_change(history, camera, row->kind, row->start_us, true);
		return;
	}
	if (happened->lasting & 1U << row->kind && end_us >= happened->fresh_us)
		end_us = INT64_MAX;
	happened->seen |= 1U << row->kind;
	if (happened->spans[row->kind].is_begun &&
		row->start_us > happened->spans[row->kind].end_us)
		span_end(happened, history, camera, row->kind);
	if (!happened->spans[row->kind].is_begun) {
		happened->spans[row->kind].is_begun = true;
		happened->spans[row->kind].start_us = row->start_us;
		happened->spans[row->kind].end_us = end_us;
	} else if (end_us > happened->spans[row->kind].end_us) {
		happened->spans[row->kind].end_us = end_us;
	}
}

void event_history_end(struct event_history *happened, struct history *history, size_t camera)
{
	struct history_event start = {
		.at_us = history_start_us(history), .camera = camera, .is_start_state = true
	};

	for (enum event_kind kind = 0; kind < EVENT_KINDS; kind++) {
		span_end(happened, history, camera, kind);
		start.value = happened->were & 1U << kind;
		if (history->order.with_start && happened->seen & 1U << kind)
			add_all(history, start, kind);
	}
}
