/* Gives recordings of before the clock was set their true time, one after the other. */
#include "storage/redate.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/recorder.h"

enum {
	AGAIN_US = 2000000, /* for those that are still open */
	QUIET_ROUNDS = 30   /* a run may begin just before the clock is set, its file just after */
};

struct redate {
	struct volume *volume;
	struct catalogue *catalogue;
	struct log_name log;
	struct event *timer;
	struct catalogue_query *query;
	bool moving; /* the volume has a job for us */
	bool freed;
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
	free(object);
}

static void redate_settle(struct redate *redate, const char *path)
{
	catalogue_redate(redate->catalogue, redate->id, path, redate->later_us);
	metric_add(metric_get(METRIC_REDATED), 1);
}

static void redate_on_moved(void *arg, int error, const char *path)
{
	struct redate *redate = arg;

	redate->moving = false;
	if (error)
		log_error(&redate->log, "%s cannot get its true time: %s", path, strerror(-error));
	else
		redate_settle(redate, path);
	if (redate->freed)
		reactor_free_later(&redate->dead, redate_fini, redate);
	else
		redate_look(redate);
}

static void redate_move(struct redate *redate, const struct catalogue_segment *row)
{
	char path[RECORDER_PATH_BYTES];

	recorder_path(path, sizeof(path), row->camera, row->start_us + redate->later_us);
	log_info(&redate->log, "%s is of %s", row->path, strchr(path, '/') + 1);
	if (volume_move(redate->volume, row->path, path, redate_on_moved, redate) == 0)
		redate->moving = true;
	else
		redate_sleep(redate);
}

static void redate_on_row(void *arg, int error, const struct catalogue_segment *row, size_t n)
{
	struct redate *redate = arg;

	redate->query = NULL;
	if (error || !n) {
		redate_sleep(redate);
		return;
	}
	redate->found = true;
	redate->id = row->id;
	redate->later_us = wall_clock_boot_us(wall_clock_correction_us()) - row->boot_us;
	if (row->state == SEGMENT_OPEN) {
		redate_look(redate);
	} else if (llabs(redate->later_us) > WALL_CLOCK_STEP_US) {
		redate_move(redate, row);
	} else {
		redate->later_us = 0;
		redate_settle(redate, row->path);
		redate_look(redate);
	}
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

	redate->volume = volume;
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
	if (!redate->moving)
		reactor_free_later(&redate->dead, redate_fini, redate);
}
