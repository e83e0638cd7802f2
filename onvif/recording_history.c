#include "onvif/recording_history.h"

#include <string.h>

#define JOINED_US INT64_C(2000000) /* a shorter gap between two files is none */

static void add_all(struct history *history, struct history_event event, bool has_audio)
{
	for (event.kind = HISTORY_RECORDING; event.kind <= HISTORY_VIDEO; event.kind++)
		history_add(history, &event);
	if (has_audio)
		history_add(history, &event);
}

static void add_change(const struct recording_history *recording, struct history *history,
	size_t camera, int64_t at_us, bool has_data)
{
	add_all(history,
		(struct history_event){ .at_us = at_us, .camera = camera, .value = has_data },
		recording->has_audio);
}

static void stretch_end(struct recording_history *recording, struct history *history, size_t camera)
{
	if (recording->in_stretch && !recording->is_open)
		add_change(recording, history, camera, recording->end_us, false);
	recording->in_stretch = false;
}

void recording_history_take(struct recording_history *recording, struct history *history,
	size_t camera, const struct catalogue_segment *row)
{
	int64_t start_us = history_start_us(history);

	if (recording->in_stretch && row->start_us > recording->end_us + JOINED_US)
		stretch_end(recording, history, camera);
	recording->has_audio = row->codecs && strchr(row->codecs, ',');
	if (!recording->in_stretch)
		add_change(recording, history, camera, row->start_us, true);
	if (row->start_us <= start_us && (row->end_us > start_us || row->state == SEGMENT_OPEN)) {
		recording->was_recording = true;
		recording->had_audio = recording->has_audio;
	}
	recording->in_stretch = true;
	recording->end_us = row->end_us;
	recording->is_open = row->state == SEGMENT_OPEN;
}

void recording_history_end(
	struct recording_history *recording, struct history *history, size_t camera)
{
	struct history_event start = { .at_us = history_start_us(history),
		.camera = camera,
		.value = recording->was_recording,
		.is_start_state = true };

	stretch_end(recording, history, camera);
	if (history->order.with_start)
		add_all(history, start, recording->had_audio);
}
