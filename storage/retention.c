/* Makes room: a look at the volume, a plan of the catalogue, then one file after the other. */
#include "storage/retention.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/tier.h"

enum {
	LOOK_US = 2000000,
	PLAN_US = 10000000,   /* age goes on without anything happening */
	STUCK_US = 600000000, /* what could not be deleted is tried again */
	MARGIN_US = 10000000, /* so much recording must fit beside the reserve */
	EARLIER = 5,          /* so many times that more, and recordings are moved */
	UNSEEN_US = 30000000, /* some file systems free space late */
	STEP_US = 60000000,   /* a clock that moves by more has leapt */
	BATCH_ROWS = 256,
	SPARED_MOST = 1024, /* held paths in a plan; all are asked for again before they go */
	STUCK_MOST = 64,
	CATALOGUE_BYTES = 8 << 20, /* what the catalogue's journal may take at once, ... */
	CATALOGUE_SHARE = 8        /* ... at most that part of a small volume */
};

/* Age that is held back by more is said. */
#define HELD_BACK_US (24 * 60 * 60 * INT64_C(1000000))

enum retention_state {
	RETENTION_IDLE, /* the timer runs */
	RETENTION_LOOKS,
	RETENTION_PLANS,
	RETENTION_REMOVES
};

struct retention {
	struct retention *behind; /* of the next volume */
	struct volume *first;     /* of all volumes */
	struct volume *volume;
	struct catalogue *catalogue;
	const struct config *config; /* in force; NULL: not begun */
	struct log_name log;
	struct tier *tier; /* NULL: there is nothing to move to */
	bool shares;       /* the file system with the volume behind */
	bool may_move;
	struct event *timer;
	enum retention_state state;
	bool freed;
	struct reactor_dead dead;

	bool changed;       /* the configuration, since the last plan */
	bool due;           /* the next plan, without waiting for its time */
	uint64_t finished;  /* segments at the last plan */
	uint64_t arrived;   /* bytes written then, on a volume that is not recorded to */
	int64_t planned_us; /* monotonic */
	bool held_back;     /* age was, at the last plan */

	int64_t looked_us; /* monotonic; 0: never */
	struct volume_space space;
	uint64_t margin_bytes; /* written in MARGIN_US */
	uint64_t wanted_bytes; /* so much is missing of reserve and margin */
	uint64_t moving_bytes; /* so much is to move on, that this does not happen */

	int64_t steady_us; /* monotonic: since when the clock goes steadily, ... */
	int64_t offset_us; /* ... and by how much it is ahead of the monotonic one */

	/* What was deleted and is not seen as free space yet: it is not deleted for once more. */
	uint64_t unseen_bytes;
	int64_t unseen_until_us; /* monotonic */

	/* The batch; those before `gone` are not there any more. */
	struct catalogue_expired *rows;
	size_t n, next, gone;
	bool full; /* there may be more after it */
	uint64_t deleted_bytes;

	char *stuck[STUCK_MOST]; /* paths that could not be deleted */
	size_t n_stuck;
	int64_t stuck_us; /* monotonic: when the first came */

	char **cameras; /* of which there are metrics */
	size_t n_cameras;
	struct log_repeated again, space_again;
};

static void retention_look(struct retention *retention);
static void retention_remove_next(struct retention *retention);

/* --- what the configuration says --- */

static void rules_add(struct catalogue_rules *rules, const struct catalogue_rule *rule)
{
	rules->cameras = xrealloc(rules->cameras, (rules->n_cameras + 1) * sizeof(*rules->cameras));
	rules->cameras[rules->n_cameras++] = *rule;
}

struct catalogue_rules *retention_rules(const struct config *config)
{
	struct catalogue_rules *rules = xcalloc(1, sizeof(*rules));
	const struct config_camera *camera;

	rules->keep_us = config->storage.keep_us;
	rules->max_bytes = config->storage.max_bytes;
	TAILQ_FOREACH (camera, &config->cameras, entry) {
		const struct catalogue_rule recordings = {
			.camera = xstrdup(camera->name),
			.keep_us = camera->keep_us ? camera->keep_us : rules->keep_us,
			.max_bytes = camera->max_bytes,
		};
		const struct catalogue_rule timelapses = {
			.camera = xstrdup(camera->name),
			.timelapse = true,
			.keep_us = camera->timelapse_keep_us,
			.max_bytes = camera->timelapse_max_bytes,
		};

		rules_add(rules, &recordings);
		rules_add(rules, &timelapses);
	}
	return rules;
}

void retention_add_volume_rules(
	struct catalogue_rules *rules, const struct config *config, const char *path, int64_t id)
{
	const struct config_volume *limits = config_find_volume(config, path);

	rules->volume = id;
	rules->volume_keep_us = limits ? limits->keep_us : 0;
	rules->volume_max_bytes = limits ? limits->max_bytes : 0;
}

uint64_t retention_reserve(const struct config *config, uint64_t size_bytes)
{
	return config_share_bytes(&config->storage.reserve, size_bytes);
}

/* --- life --- */

static void retention_forget_stuck(struct retention *retention)
{
	for (size_t i = 0; i < retention->n_stuck; i++)
		free(retention->stuck[i]);
	retention->n_stuck = 0;
}

static void retention_drop_batch(struct retention *retention)
{
	for (size_t i = 0; i < retention->n; i++) {
		free(retention->rows[i].camera);
		free(retention->rows[i].path);
	}
	free(retention->rows);
	retention->rows = NULL;
	retention->n = retention->next = retention->gone = 0;
}

static void retention_fini(void *object)
{
	struct retention *retention = object;

	retention_drop_batch(retention);
	retention_forget_stuck(retention);
	for (size_t i = 0; i < retention->n_cameras; i++)
		free(retention->cameras[i]);
	free(retention->cameras);
	free(retention);
}

/* Waits for the timer; or ends, when its owner has left. */
static void retention_rest(struct retention *retention)
{
	retention->state = RETENTION_IDLE;
	if (retention->freed)
		reactor_free_later(&retention->dead, retention_fini, retention);
	else
		reactor_timer_start(retention->timer, LOOK_US);
}

/* --- removing --- */

/* The batch's end: its rows go in one transaction; the next batch comes at once while there is one. */
static void retention_finish_batch(struct retention *retention)
{
	bool more = retention->full && retention->gone && !retention->changed && !retention->freed;

	if (retention->gone && catalogue_forget_expired(
				       retention->catalogue, retention->rows, retention->gone) < 0)
		more = false; /* they come again, and are found gone */
	if (retention->deleted_bytes) {
		retention->unseen_bytes += retention->deleted_bytes;
		retention->unseen_until_us = reactor_monotonic_us() + UNSEEN_US;
	}
	retention->due = retention->due || more;
	retention_drop_batch(retention);
	if (more)
		retention_look(retention);
	else
		retention_rest(retention);
}

static void retention_count(struct retention *retention, const struct catalogue_expired *row)
{
	metric_add(metric_get(METRIC_RETENTION_DELETED, row->camera,
			   catalogue_reason_name(row->reason)),
		1);
	metric_add(metric_get(METRIC_RETENTION_BYTES), (double)row->bytes);
	if (!row->timelapse)
		metric_add(metric_get(METRIC_RECORDED_BYTES, row->camera), -(double)row->bytes);
	retention->deleted_bytes += row->bytes;
}

/* Others go on without it, after a while: perhaps nothing can be deleted. */
static void retention_fail(
	struct retention *retention, const struct catalogue_expired *row, int error)
{
	metric_add(metric_get(METRIC_RETENTION_ERRORS), 1);
	log_write_repeated(&retention->again, LOG_ERROR, &retention->log, "cannot delete %s: %s",
		row->path, strerror(-error));
	retention->due = true;
	if (retention->n_stuck == STUCK_MOST)
		return;
	if (!retention->n_stuck)
		retention->stuck_us = reactor_monotonic_us();
	retention->stuck[retention->n_stuck++] = xstrdup(row->path);
}

static void retention_on_removed(void *arg, int error)
{
	struct retention *retention = arg;
	struct catalogue_expired *row = &retention->rows[retention->next++];
	struct catalogue_expired other = retention->rows[retention->gone];

	if (error && error != -ENOENT) {
		retention_fail(retention, row, error);
		retention_finish_batch(retention);
		return;
	}
	if (!error)
		retention_count(retention, row);
	retention->rows[retention->gone++] = *row;
	*row = other;
	retention_remove_next(retention);
}

/* One at a time: what is to be written in between is not kept waiting for more than one file. */
static void retention_remove_next(struct retention *retention)
{
	while (retention->next < retention->n && !retention->changed && !retention->freed) {
		const char *path = retention->rows[retention->next].path;

		if (volume_is_held(retention->volume, path)) {
			retention->next++;
			continue;
		}
		if (volume_remove(retention->volume, path, retention_on_removed, retention) < 0)
			break;
		return;
	}
	retention_finish_batch(retention);
}

/* --- what the plan tells besides --- */

static bool plan_has_camera(const struct catalogue_plan *plan, const char *camera)
{
	for (size_t i = 0; i < plan->n_cameras; i++) {
		if (!strcmp(plan->cameras[i].camera, camera))
			return true;
	}
	return false;
}

static void metrics_of_camera(
	const char *camera, double bytes, int64_t oldest_us, int64_t newest_us)
{
	metric_set(metric_get(METRIC_RECORDED_BYTES, camera), bytes);
	metric_set(metric_get(METRIC_OLDEST_RECORDING, camera), (double)oldest_us / 1e6);
	metric_set(metric_get(METRIC_NEWEST_RECORDING, camera), (double)newest_us / 1e6);
}

static void retention_tell_metrics(struct retention *retention, const struct catalogue_plan *plan)
{
	for (size_t i = 0; i < retention->n_cameras; i++) {
		if (!plan_has_camera(plan, retention->cameras[i]))
			metrics_of_camera(retention->cameras[i], 0, 0, 0);
		free(retention->cameras[i]);
	}
	retention->n_cameras = plan->n_cameras;
	retention->cameras =
		xrealloc(retention->cameras, plan->n_cameras * sizeof(*retention->cameras));
	for (size_t i = 0; i < plan->n_cameras; i++) {
		const struct catalogue_history *history = &plan->cameras[i];

		retention->cameras[i] = xstrdup(history->camera);
		metrics_of_camera(history->camera, (double)history->bytes, history->oldest_us,
			history->newest_us);
	}
}

static void retention_tell_age(struct retention *retention, int64_t held_us)
{
	bool held_back = held_us > HELD_BACK_US;

	if (held_back && !retention->held_back && held_us == INT64_MAX)
		log_info(
			&retention->log, "nothing is deleted by age: nobody has set the clock yet");
	else if (held_back && !retention->held_back)
		log_warn(&retention->log,
			"the clock is %.1f hours ahead of what was recorded: age is counted from then until it has gone steadily for a day",
			(double)held_us / 3600e6);
	retention->held_back = held_back;
}

/* --- the plan --- */

/* What a person should know of how room is made. */
static void retention_tell_space(struct retention *retention, const struct catalogue_plan *plan)
{
	const struct catalogue_expired *last = plan->n ? &plan->rows[plan->n - 1] : NULL;
	uint64_t reserve = retention_reserve(retention->config, retention->space.size_bytes);

	if (last && last->by_volume && !volume_is_last(retention->volume))
		log_write_repeated(&retention->space_again, LOG_WARN, &retention->log,
			"%s has no room left and recordings do not move on (fast enough): the oldest are deleted",
			volume_path(retention->volume));
	if (last && last->timelapse && last->reason >= EXPIRED_MAX_SIZE)
		log_write_repeated(&retention->space_again, LOG_WARN, &retention->log,
			"no recordings are left that may go to make room: the oldest time-lapses are deleted");
	if (!last && retention->space.free_bytes < reserve)
		log_write_repeated(&retention->space_again, LOG_WARN, &retention->log,
			"%.1f MB free, which is less than the reserve, and no recording may go",
			(double)retention->space.free_bytes / 1e6);
	if (last && retention->space.empty)
		log_write_repeated(&retention->space_again, LOG_ERROR, &retention->log,
			"%s holds no recordings, but the catalogue knows some: nothing is deleted",
			volume_path(retention->volume));
}

static void retention_on_plan(void *arg, int error, const struct catalogue_plan *plan)
{
	struct retention *retention = arg;

	if (error || retention->freed) {
		retention_rest(retention);
		return;
	}
	metric_set(metric_get(METRIC_VOLUME_BYTES, volume_path(retention->volume)),
		(double)plan->volume_bytes);
	if (retention->volume == retention->first) { /* of all volumes */
		retention_tell_metrics(retention, plan);
		retention_tell_age(retention, plan->age_held_us);
	}
	retention_tell_space(retention, plan);
	if (!plan->n || retention->space.empty) {
		retention_rest(retention);
		return;
	}
	retention->rows = xcalloc(plan->n, sizeof(*retention->rows));
	for (; retention->n < plan->n; retention->n++) {
		struct catalogue_expired *row = &retention->rows[retention->n];

		*row = plan->rows[retention->n];
		row->camera = xstrdup(row->camera);
		row->path = xstrdup(row->path);
	}
	retention->full = plan->n == BATCH_ROWS;
	retention->deleted_bytes = 0;
	retention->state = RETENTION_REMOVES;
	retention_remove_next(retention);
}

static void retention_spare(struct retention *retention, struct catalogue_rules *rules)
{
	struct volume *volume;

	rules->spared = xcalloc(SPARED_MOST + STUCK_MOST, sizeof(char *));
	for (volume = retention->first; volume; volume = volume_next(volume))
		rules->n_spared += volume_held(
			volume, rules->spared + rules->n_spared, SPARED_MOST - rules->n_spared);
	for (size_t i = 0; i < retention->n_stuck; i++)
		rules->spared[rules->n_spared++] = xstrdup(retention->stuck[i]);
}

static struct catalogue_rules *retention_rules_now(struct retention *retention)
{
	struct catalogue_rules *rules = retention_rules(retention->config);

	retention_add_volume_rules(rules, retention->config, volume_path(retention->volume),
		volume_id(retention->volume));
	rules->now_us = reactor_now_us();
	rules->steady_us = retention->looked_us - retention->steady_us;
	rules->clock_is_set = wall_clock_is_set();
	retention_spare(retention, rules);
	return rules;
}

/* Moves what the volume has no more room for; what cannot move stays as long as there is any. */
static void retention_move(struct retention *retention)
{
	struct catalogue_rules *rules;

	if (!retention->tier || !retention->may_move || !tier_is_idle(retention->tier) ||
		retention->space.empty)
		return;
	rules = retention_rules_now(retention);
	rules->free_bytes = retention->moving_bytes;
	tier_run(retention->tier, rules, (double)retention->margin_bytes * 1e6 / MARGIN_US,
		&retention->config->storage.reserve);
}

static void retention_plan(struct retention *retention)
{
	struct catalogue_rules *rules = retention_rules_now(retention);
	uint64_t expected = volume_expected(retention->volume);

	if (!volume_is_last(retention->volume))
		rules->volume_keep_us = rules->volume_max_bytes = 0;
	if (rules->volume_max_bytes > expected)
		rules->volume_max_bytes -= expected;
	rules->free_bytes = retention->wanted_bytes;
	retention->changed = retention->due = false;
	retention->planned_us = retention->looked_us;
	retention->finished = catalogue_finished(retention->catalogue);
	retention->arrived = retention->space.written_bytes;
	retention->state = RETENTION_PLANS;
	if (catalogue_expired(
		    retention->catalogue, rules, BATCH_ROWS, retention_on_plan, retention) < 0)
		retention_rest(retention);
}

/* --- the look --- */

/* Follows the rate of writing: up at once, down slowly. */
static void retention_set_margin(
	struct retention *retention, int64_t now_us, const struct volume_space *space)
{
	uint64_t written = space->written_bytes - retention->space.written_bytes;
	double took_us = (double)(now_us - retention->looked_us);
	uint64_t margin = 0;

	if (retention->looked_us && took_us > 0)
		margin = (uint64_t)((double)written * MARGIN_US / took_us);
	retention->margin_bytes -= retention->margin_bytes / 8;
	if (margin > retention->margin_bytes)
		retention->margin_bytes = margin;
}

/* Bytes that were deleted and did not become free yet, as far as the volume tells since the last look. */
static uint64_t retention_unseen(
	struct retention *retention, int64_t now_us, const struct volume_space *space)
{
	const struct volume_space *before = &retention->space;
	int64_t freed = (int64_t)(space->free_bytes - before->free_bytes) +
			(int64_t)(space->written_bytes - before->written_bytes);
	uint64_t missing = retention->unseen_bytes;

	if (freed > 0)
		missing -= (uint64_t)freed < missing ? (uint64_t)freed : missing;
	if (missing && now_us > retention->unseen_until_us) {
		log_write_repeated(&retention->space_again, LOG_WARN, &retention->log,
			"deleting recordings makes no space: are there snapshots, or does somebody else write?");
		missing = 0;
	}
	retention->unseen_bytes = missing;
	return missing;
}

static void retention_watch_clock(struct retention *retention, int64_t now_us)
{
	int64_t offset_us = reactor_now_us() - now_us;

	if (!retention->looked_us || llabs(offset_us - retention->offset_us) > STEP_US)
		retention->steady_us = now_us;
	retention->offset_us = offset_us;
}

static bool retention_is_due(const struct retention *retention, int64_t now_us)
{
	return retention->wanted_bytes || retention->moving_bytes || retention->changed ||
	       retention->due || (retention->tier && tier_wants_more(retention->tier)) ||
	       retention->finished != catalogue_finished(retention->catalogue) ||
	       (retention->volume != retention->first &&
		       retention->arrived != retention->space.written_bytes) ||
	       now_us - retention->planned_us >= PLAN_US;
}

/* The catalogue is on the first volume. */
static uint64_t retention_catalogue_margin(
	const struct retention *retention, const struct volume_space *space)
{
	uint64_t share = space->size_bytes / CATALOGUE_SHARE;

	if (retention->volume != retention->first)
		return 0;
	return share < CATALOGUE_BYTES ? share : CATALOGUE_BYTES;
}

/*
 * What is missing of what must be free. Moving takes its time and begins earlier. Where the volume behind is
 * on the same file system it frees nothing: there the oldest go, and here only when that is not enough.
 */
static void retention_set_wanted(
	struct retention *retention, const struct volume_space *space, uint64_t there)
{
	uint64_t target = retention_reserve(retention->config, space->size_bytes);
	uint64_t early;

	if (!retention->shares)
		target += retention->margin_bytes + retention_catalogue_margin(retention, space) +
			  volume_expected(retention->volume);
	early = target + EARLIER * retention->margin_bytes +
		retention_catalogue_margin(retention, space);
	retention->wanted_bytes = target > there ? target - there : 0;
	retention->moving_bytes =
		retention->tier && !retention->shares && early > there ? early - there : 0;
}

static void retention_on_look(void *arg, int error, const struct volume_space *space)
{
	struct retention *retention = arg;
	int64_t now_us = reactor_monotonic_us();
	uint64_t there;

	if (error || retention->freed) {
		retention_rest(retention);
		return;
	}
	retention_watch_clock(retention, now_us);
	retention_set_margin(retention, now_us, space);
	there = space->free_bytes + retention_unseen(retention, now_us, space);
	retention_set_wanted(retention, space, there);
	retention->space = *space;
	retention->looked_us = now_us;
	if (retention->n_stuck && now_us - retention->stuck_us > STUCK_US)
		retention_forget_stuck(retention);
	if (!retention_is_due(retention, now_us)) {
		retention_rest(retention);
		return;
	}
	retention_move(retention);
	retention_plan(retention);
}

static void retention_look(struct retention *retention)
{
	retention->state = RETENTION_LOOKS;
	if (volume_look(retention->volume, retention_on_look, retention) < 0)
		retention_rest(retention);
}

static void retention_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	retention_look(arg);
}

static struct retention *retention_new_of(
	struct volume *first, struct volume *volume, struct catalogue *catalogue)
{
	struct retention *retention = xcalloc(1, sizeof(*retention));
	struct volume *target = volume_target(volume), *next = volume_next(volume);

	retention->first = first;
	retention->volume = volume;
	retention->catalogue = catalogue;
	retention->log = (struct log_name){ .kind = "retention" };
	retention->timer = reactor_timer_new(retention_on_timer, retention);
	if (target) {
		retention->tier = tier_new(volume, catalogue);
		retention->shares = volume_shares(volume, target);
	}
	if (next)
		retention->behind = retention_new_of(first, next, catalogue);
	return retention;
}

struct retention *retention_new(struct volume *volume, struct catalogue *catalogue)
{
	return retention_new_of(volume, volume, catalogue);
}

void retention_apply(struct retention *retention, const struct config *config)
{
	for (; retention; retention = retention->behind) {
		retention->config = config;
		retention->changed = true;
		if (retention->tier)
			tier_stop(retention->tier);
		if (retention->state == RETENTION_IDLE)
			reactor_timer_start(retention->timer, 0);
	}
}

void retention_let_move(struct retention *retention)
{
	for (; retention; retention = retention->behind) {
		retention->may_move = retention->due = true;
		if (retention->state == RETENTION_IDLE)
			reactor_timer_start(retention->timer, 0);
	}
}

void retention_free(struct retention *retention)
{
	if (!retention)
		return;
	retention_free(retention->behind);
	tier_free(retention->tier);
	retention->tier = NULL;
	reactor_timer_free(&retention->timer);
	retention->freed = true;
	if (retention->state == RETENTION_IDLE)
		reactor_free_later(&retention->dead, retention_fini, retention);
}
