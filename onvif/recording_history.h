#pragma once

#include "onvif/history.h"
#include "storage/catalogue.h"

/*
 * When one camera was recorded (ONVIF Recording Search Specification, "Mandatory events"): that a recording, and its tracks, begin and end
 * to have data. Files that follow each other are one stretch. Begins as zeroes. Pure.
 */
struct recording_history {
	bool in_stretch, has_audio, is_open;
	int64_t end_us;
	bool was_recording, had_audio; /* where the history begins */
};

/* The next recording, by start; what changes is added to the history. */
void recording_history_take(struct recording_history *recording, struct history *history,
	size_t camera, const struct catalogue_segment *row);
/* There are no more. */
void recording_history_end(
	struct recording_history *recording, struct history *history, size_t camera);
