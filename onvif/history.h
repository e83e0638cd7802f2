#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onvif/event_filter.h"
#include "onvif/event_topics.h"
#include "onvif/onvif_call.h"

/*
 * What changed at cameras, and when: a list in the order of time that keeps the first of what is added to it (ONVIF Recording Search
 * Specification, "FindEvents").
 */

enum history_kind {
	HISTORY_RECORDING, /* tns1:RecordingHistory/Recording/State */
	HISTORY_VIDEO,     /* tns1:RecordingHistory/Track/State */
	HISTORY_AUDIO,
	HISTORY_TOPIC /* one of the event service */
};
#define HISTORY_RECORDING_TOPIC "RecordingHistory/Recording/State"
#define HISTORY_TRACK_TOPIC "RecordingHistory/Track/State"

struct history_event {
	int64_t at_us;
	size_t camera; /* index of the names */
	enum history_kind kind;
	enum event_topic topic; /* of HISTORY_TOPIC */
	bool value, is_start_state;
};

struct history_order {
	int64_t from_us, to_us; /* both are meant */
	bool newest_first;
	bool with_start; /* how things are where it begins */
	struct event_filter filter;
	size_t most; /* events, at least 1, HISTORY_MOST at most */
};
enum {
	HISTORY_MOST = 10000
};

struct history {
	struct history_order order;
	char (*names)[ONVIF_CAMERA_BYTES + 1]; /* owned */
	size_t n_names;
	struct history_event *events; /* owned */
	size_t n, size;
	bool is_cut; /* what comes behind this instant is not kept any more */
	int64_t cut_us;
};

/* Names are copied. The caller calls history_fini(). */
void history_init(struct history *history, const struct history_order *order,
	const char *const *names, size_t n_names);
void history_fini(struct history *history);
/* Where it begins: at the end, when the newest come first. */
int64_t history_start_us(const struct history *history);
/* Adds what is in its time and meets its filter. */
void history_add(struct history *history, const struct history_event *event);
/* Whether what happens at that instant and later cannot be among the first any more. */
bool history_is_over(const struct history *history, int64_t at_us);
/* Puts them in their order; nothing is added afterwards. */
void history_sort(struct history *history);

/* As a message of ONVIF; what it points to is valid as long as told and the history are. */
void history_text(const struct history *history, const struct history_event *event,
	struct event_told *told, struct event_text *ret);
