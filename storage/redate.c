/* Gives recordings of before the clock was set their true time, one after the other. */
#include "storage/redate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/recorder.h"
#include "storage/timelapse.h"

enum {
	AGAIN_US = 2000000, /* for those that are still open */
	QUIET_ROUNDS = 30   /* a run may begin just before the clock is set, its file just after */
};

struct redate {
	struct volume *first;  /* of all volumes */
	struct volume *volume; /* of the one at hand */
	struct volume_hold hold;
	struct catalogue *catalogue;
	struct log_name log;
	struct event *timer;
	struct catalogue_query *query;
	bool waiting; /* the volume has a job for us */
	bool freed;
	char *from, *to; /* paths of the one at hand, the same when it was right */
	struct reactor_dead dead;

	int64_t id, later_us; /* of the one at hand; ids rise */
	bool found;           /* one in this round */
	unsigned quiet;       /* rounds in a row that found none */
};

static void redate_look(struct redate *redate);

static void redate_sleep(struct redate *redate)
{
	redate->id = 0;
	redate->quiet = redate->found ? 0 : redate->quiet + 1;
	redate->found = false;
	if (redate->quiet < QUIET_ROUNDS)
		reactor_timer_start(redate->timer, AGAIN_US);
}

static void redate_fini(void *object)
{
	struct redate *redate = object;

	free(redate->from);
	free(redate->to);
	free(redate);
}

/* The last step, or an error: on to the next one. */
static void redate_settle(struct redate *redate, int error, const char *path)
{
	redate->waiting = false;
	if (!redate->freed)
		volume_release(&redate->hold);
	if (error) {
		log_error(&redate->log, "%s cannot get its true time: %s", redate->from,
			strerror(-error));
	} else {
		catalogue_redate(redate->catalogue, redate->id, path, redate->later_us);
		metric_add(metric_get(METRIC_REDATED), 1);
	}
	if (redate->freed)
		reactor_free_later(&redate->dead, redate_fini, redate);
	else
		redate_look(redate);
}

static void redate_on_moved(void *arg, int error, const char *path)
{
	redate_settle(arg, error, path);
}

/* The file says it: from here on every step may be taken again. */
static void redate_on_file(void *arg, int error)
{
	struct redate *redate = arg;

	if (!error && strcmp(redate->from, redate->to) != 0) {
		log_info(&redate->log, "%s is of %s", redate->from, redate->to);
		error = volume_move(
			redate->volume, redate->from, redate->to, redate_on_moved, redate);
		if (!error)
			return;
	}
	redate_settle(redate, error, redate->to);
}

static void redate_begin(struct redate *redate, const struct catalogue_segment *row)
{
	char path[RECORDER_PATH_BYTES];

	if (llabs(redate->later_us) <= WALL_CLOCK_STEP_US) {
		redate->later_us = 0;
		snprintf(path, sizeof(path), "%s", row->path);
	} else if (strcmp(row->stream, CATALOGUE_TIMELAPSE) == 0) {
		timelapse_path(path, sizeof(path), row->camera, row->start_us + redate->later_us);
	} else {
		recorder_path(path, sizeof(path), row->camera, row->start_us + redate->later_us);
	}
	free(redate->from);
	free(redate->to);
	redate->from = xstrdup(row->path);
	redate->to = xstrdup(path);
	if (volume_redate(redate->volume, redate->from, redate->later_us, redate_on_file, redate) <
		0) {
		redate_sleep(redate);
		return;
	}
	redate->waiting = true;
	volume_hold(redate->volume, &redate->hold, redate->from);
}

static void redate_on_row(void *arg, int error, const struct catalogue_segment *row, size_t n)
{
	struct redate *redate = arg;

	redate->query = NULL;
	if (error || !n) {
		redate_sleep(redate);
		return;
	}
	redate->id = row->id;
	redate->volume = volume_find(redate->first, row->volume);
	if (!redate->volume) { /* it is not there: they are dated when it is, or not at all */
		redate_look(redate);
		return;
	}
	redate->found = true;
	redate->later_us = wall_clock_boot_us(wall_clock_correction_us()) - row->boot_us;
	if (row->state == SEGMENT_OPEN || volume_is_held(redate->volume, row->path))
		redate_look(redate);
	else
		redate_begin(redate, row);
}

static void redate_look(struct redate *redate)
{
	redate->query = catalogue_undated(redate->catalogue, redate->id, redate_on_row, redate);
	if (!redate->query)
		redate_sleep(redate);
}

static void redate_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	redate_look(arg);
}

struct redate *redate_new(struct volume *volume, struct catalogue *catalogue)
{
	struct redate *redate = xcalloc(1, sizeof(*redate));

	redate->first = volume;
	redate->catalogue = catalogue;
	redate->log = (struct log_name){ .kind = "redate" };
	redate->timer = reactor_timer_new(redate_on_timer, redate);
	return redate;
}

void redate_start(struct redate *redate)
{
	redate->quiet = 0;
	reactor_timer_start(redate->timer, 0);
}

void redate_free(struct redate *redate)
{
	if (!redate)
		return;
	catalogue_cancel(redate->query);
	reactor_timer_free(&redate->timer);
	redate->freed = true;
	if (redate->waiting)
		volume_release(&redate->hold);
	else
		reactor_free_later(&redate->dead, redate_fini, redate);
}
