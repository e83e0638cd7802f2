#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onvif/onvif_call.h"

struct catalogue;

/*
 * When cameras were recorded, as events of the past (ONVIF Recording Search Specification, "Mandatory events"): that a recording, and its tracks,
 * begin and end to have data. Files that follow each other are one stretch.
 */
struct recording_history;

enum history_kind {
	HISTORY_RECORDING, /* tns1:RecordingHistory/Recording/State */
	HISTORY_VIDEO,     /* tns1:RecordingHistory/Track/State */
	HISTORY_AUDIO
};
struct history_event {
	int64_t at_us;
	size_t camera; /* index of the names */
	enum history_kind kind;
	bool has_data, is_start_state;
};
#define HISTORY_RECORDING_TOPIC "RecordingHistory/Recording/State"
#define HISTORY_TRACK_TOPIC "RecordingHistory/Track/State"

struct history_order {
	const char *const *names; /* copied */
	size_t n_names;
	int64_t from_us, to_us;
	bool newest_first;
	bool with_start; /* how things are where it begins */
	bool wants_recording, wants_tracks;
	size_t most; /* events, HISTORY_MOST at most */
};
enum {
	HISTORY_MOST = 10000
};

/* error: 0, -EIO or -EAGAIN. The events are in the order of time, and the history's. */
typedef void recording_history_fn(
	void *arg, int error, const struct history_event *events, size_t n);
struct recording_history *recording_history_new(struct catalogue *catalogue,
	const struct history_order *order, recording_history_fn *done, void *arg) MUST_CHECK;
void recording_history_free(struct recording_history *history); /* NULL is fine */
const char *recording_history_name(const struct recording_history *history, size_t camera);
