/* Footage that is missing: how much, since when, and why. */
#include "server/base/metrics.h"
#include "storage/recorder_private.h"

enum {
	GAP_US = 500000 /* less is how cameras are */
};

void recorder_gap_init(struct recorder *recorder)
{
	recorder->gap.metric = metric_get(METRIC_RECORDER_GAP, recorder->camera);
	metric_set(recorder->gap.metric, 0);
}

void recorder_gap_fini(struct recorder *recorder)
{
	metric_set(recorder->gap.metric, 0);
}

void recorder_gap_begin(struct recorder *recorder, int64_t from_us, const char *cause)
{
	struct recorder_gap *gap = &recorder->gap;

	if (gap->open)
		return;
	gap->open = true;
	gap->from_us = from_us;
	gap->since_us = reactor_monotonic_us();
	gap->cause = cause;
	reactor_timer_start(recorder->timer, RECORDER_BEAT_US);
}

void recorder_gap_end(struct recorder *recorder, int64_t start_us)
{
	struct recorder_gap *gap = &recorder->gap;
	int64_t missing_us = start_us - gap->from_us;

	if (!gap->open)
		return;
	gap->open = false;
	metric_set(gap->metric, 0);
	if (missing_us < GAP_US)
		return;
	catalogue_add_gap(
		recorder->catalogue, recorder->camera, gap->from_us, start_us, gap->cause);
	metric_add(metric_get(METRIC_RECORDER_MISSING, recorder->camera, gap->cause),
		(double)missing_us / 1e6);
}

void recorder_gap_measure(struct recorder *recorder)
{
	const struct recorder_gap *gap = &recorder->gap;

	if (gap->open)
		metric_set(gap->metric, (double)(reactor_monotonic_us() - gap->since_us) / 1e6);
}
