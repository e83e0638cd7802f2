/*
 * What is to go: each camera's closed recordings, and its time-lapses beside them, are read from the oldest on, as many
 * as are taken, and never all of them.
 */
#include "storage/catalogue_retention.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "storage/catalogue_private.h"

/* A leap of the clock is believed after so much, or half of what a camera keeps. */
#define LEAP_US (24 * 60 * 60 * INT64_C(1000000))

#define ROW "SELECT id, path, start_us, end_us, bytes, volume FROM segments "
#define CLOSED(index, what) ROW "INDEXED BY " index " WHERE camera = ?1 AND state = 1 AND " what
/* By time; and those of before the clock was set, by id: the order in which they were recorded. */
#define DATED(index, class) CLOSED(index, "boot_us = 0 AND " class)
#define UNDATED(index, class) CLOSED(index, "boot_us <> 0 AND " class)
#define ON_VOLUME " AND volume = ?2"
#define BY_TIME " ORDER BY start_us"
#define BY_ID " ORDER BY id"
#define LAST_BEFORE " AND start_us <= ?2 ORDER BY start_us DESC LIMIT 1"
#define NEWEST                                                                      \
	"SELECT end_us FROM segments INDEXED BY segments_by_time WHERE camera = ?1" \
	" AND " CATALOGUE_IS_FOOTAGE " ORDER BY start_us DESC LIMIT 1"

/* What is asked about a camera. */
struct questions {
	const char *dated, *undated, *volume_dated, *volume_undated, *last_before;
};

static const struct questions about_recordings = {
	.dated = DATED("segments_by_age", CATALOGUE_IS_FOOTAGE) BY_TIME,
	.undated = UNDATED("segments_by_order", CATALOGUE_IS_FOOTAGE) BY_ID,
	.volume_dated = DATED("segments_by_volume_age", CATALOGUE_IS_FOOTAGE) ON_VOLUME BY_TIME,
	.volume_undated = UNDATED("segments_by_volume_order", CATALOGUE_IS_FOOTAGE) ON_VOLUME BY_ID,
	.last_before = DATED("segments_by_age", CATALOGUE_IS_FOOTAGE) LAST_BEFORE,
};
/* They are few, and mostly on the first volume: no volume has an index of them. */
static const struct questions about_timelapses = {
	.dated = DATED("timelapses_by_age", CATALOGUE_IS_TIMELAPSE) BY_TIME,
	.undated = UNDATED("timelapses_by_order", CATALOGUE_IS_TIMELAPSE) BY_ID,
	.volume_dated = DATED("timelapses_by_age", CATALOGUE_IS_TIMELAPSE) ON_VOLUME BY_TIME,
	.volume_undated = UNDATED("timelapses_by_order", CATALOGUE_IS_TIMELAPSE) ON_VOLUME BY_ID,
	.last_before = DATED("timelapses_by_age", CATALOGUE_IS_TIMELAPSE) LAST_BEFORE,
};

/* One row after the other of a question; the row stands here until the next. */
struct cursor {
	sqlite3_stmt *statement;
	bool is_dated;
	bool any, ended;  /* it had a row; it has no more */
	int64_t first_us; /* when its first row starts */
	struct catalogue_expired row;
	const struct cursor
		*before;      /* of the walk before: what that passed is taken already; or NULL */
	uint64_t taken_bytes; /* of those */
};

/* A camera's recordings, or its time-lapses: how much there is, and what of it comes next. */
struct camera_walk {
	char *camera;
	bool timelapse;
	const struct questions *questions;
	int64_t keep_us;
	uint64_t max_bytes;
	uint64_t bytes;    /* not taken yet, the open segment included */
	int64_t cutoff_us; /* what ended before is too old; INT64_MIN: nothing is */
	int64_t newest_us; /* of recordings */
	struct cursor dated, undated;
};

/* Over all recordings by their own limits; then over those of the volume by its limits. */
struct walk {
	struct catalogue *catalogue;
	const struct catalogue_rules *rules;
	const struct walk *before;      /* the first one, when this is the second */
	uint64_t max_bytes, free_bytes; /* of all together, or 0; to be freed */
	struct camera_walk *cameras;
	size_t n;
	uint64_t bytes; /* of all cameras, not taken yet */
	uint64_t freed; /* taken from the volume */
	int64_t held_us;
	bool any_dated;
	int error;
};

const char *catalogue_reason_name(enum catalogue_reason reason)
{
	static const char *const names[EXPIRED_REASONS] = {
		[EXPIRED_KEEP] = "keep",
		[EXPIRED_CAMERA_MAX_SIZE] = "camera_max_size",
		[EXPIRED_MAX_SIZE] = "max_size",
		[EXPIRED_RESERVE] = "reserve",
	};

	return names[reason];
}

void catalogue_rules_free(struct catalogue_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->n_cameras; i++)
		free(rules->cameras[i].camera);
	for (size_t i = 0; i < rules->n_spared; i++)
		free(rules->spared[i]);
	free(rules->cameras);
	free(rules->spared);
	free(rules);
}

/* --- reading --- */

static void walk_fail(struct walk *walk)
{
	if (walk->catalogue->db)
		catalogue_fail(walk->catalogue);
	walk->error = -EIO;
}

/* Whether the statement has a row; notes what is wrong with it. */
static bool walk_step(struct walk *walk, sqlite3_stmt *statement)
{
	int result = statement ? sqlite3_step(statement) : SQLITE_ERROR;

	if (result != SQLITE_ROW && result != SQLITE_DONE)
		walk_fail(walk);
	return result == SQLITE_ROW;
}

static sqlite3_stmt *walk_prepare(struct walk *walk, const char *sql, const char *camera)
{
	sqlite3_stmt *statement = catalogue_prepare(walk->catalogue, sql);

	if (statement)
		sqlite3_bind_text(statement, 1, camera, -1, SQLITE_STATIC);
	return statement;
}

/* The first column of the first row; INT64_MIN when there is none. Finalises the statement. */
static int64_t walk_number(struct walk *walk, sqlite3_stmt *statement)
{
	int64_t number =
		walk_step(walk, statement) ? sqlite3_column_int64(statement, 0) : INT64_MIN;

	sqlite3_finalize(statement);
	return number;
}

static bool walk_is_spared(const struct walk *walk, const char *path)
{
	for (size_t i = 0; i < walk->rules->n_spared; i++) {
		if (!strcmp(walk->rules->spared[i], path))
			return true;
	}
	return false;
}

/* Time tells which of two is older; where one has none, the order in which they came does. */
static bool is_older(const struct cursor *a, const struct cursor *b)
{
	if (a->is_dated && b->is_dated && a->row.start_us != b->row.start_us)
		return a->row.start_us < b->row.start_us;
	return a->row.id < b->row.id;
}

/* Whether the walk before has passed this row; notes how much that was. */
static bool cursor_is_taken(struct cursor *cursor)
{
	const struct cursor *before = cursor->before;

	if (!before || (!before->ended && !is_older(cursor, before)))
		return false;
	cursor->taken_bytes += cursor->row.bytes;
	return true;
}

/* Moves to the next row that is not spared. */
static void cursor_next(struct walk *walk, struct cursor *cursor)
{
	struct catalogue_expired *row = &cursor->row;

	do {
		free(row->path);
		row->path = NULL;
		cursor->ended = walk->error || !walk_step(walk, cursor->statement);
		if (cursor->ended)
			return;
		row->id = sqlite3_column_int64(cursor->statement, 0);
		row->path = xstrdup((const char *)sqlite3_column_text(cursor->statement, 1));
		row->start_us = sqlite3_column_int64(cursor->statement, 2);
		row->end_us = sqlite3_column_int64(cursor->statement, 3);
		row->bytes = (uint64_t)sqlite3_column_int64(cursor->statement, 4);
		row->volume = sqlite3_column_int64(cursor->statement, 5);
		if (!cursor->any)
			cursor->first_us = row->start_us;
		cursor->any = true;
	} while (walk_is_spared(walk, row->path) || cursor_is_taken(cursor));
}

static void cursor_open(
	struct walk *walk, struct cursor *cursor, const char *sql, const struct camera_walk *camera)
{
	cursor->statement = walk_prepare(walk, sql, camera->camera);
	if (cursor->statement && walk->before)
		sqlite3_bind_int64(cursor->statement, 2, walk->rules->volume);
	cursor->row.camera = camera->camera;
	cursor->row.timelapse = camera->timelapse;
	cursor_next(walk, cursor);
}

static void cursor_close(struct cursor *cursor)
{
	sqlite3_finalize(cursor->statement);
	free(cursor->row.path);
}

static void camera_add_open(const struct walk *walk, struct camera_walk *camera)
{
	const struct open_segment *open;

	LIST_FOREACH (open, &walk->catalogue->open, entry) {
		if (open->timelapse != camera->timelapse ||
			strcmp(open->camera, camera->camera) != 0)
			continue;
		camera->bytes += open->bytes;
		if (open->end_us > camera->newest_us)
			camera->newest_us = open->end_us;
	}
}

static void camera_set_rule(const struct walk *walk, struct camera_walk *camera)
{
	const struct catalogue_rules *rules = walk->rules;
	int64_t keep_us = walk->before ? rules->volume_keep_us : rules->keep_us;

	camera->keep_us = keep_us && !camera->timelapse ? keep_us : RULE_FOREVER;
	for (size_t i = 0; !walk->before && i < rules->n_cameras; i++) {
		if (rules->cameras[i].timelapse != camera->timelapse ||
			strcmp(rules->cameras[i].camera, camera->camera) != 0)
			continue;
		camera->keep_us = rules->cameras[i].keep_us;
		camera->max_bytes = rules->cameras[i].max_bytes;
	}
}

/* What of it is on the volume and was not taken before; new files are on the first volume. */
static void camera_open_volume(struct walk *walk, struct camera_walk *camera)
{
	for (size_t i = 0; i < walk->before->n; i++) {
		const struct camera_walk *before = &walk->before->cameras[i];

		if (before->timelapse != camera->timelapse ||
			strcmp(before->camera, camera->camera) != 0)
			continue;
		camera->dated.before = &before->dated;
		camera->undated.before = &before->undated;
	}
	if (!walk->rules->volume)
		camera_add_open(walk, camera);
	cursor_open(walk, &camera->dated, camera->questions->volume_dated, camera);
	cursor_open(walk, &camera->undated, camera->questions->volume_undated, camera);
	camera->bytes -= camera->dated.taken_bytes + camera->undated.taken_bytes;
}

static void walk_add_camera(struct walk *walk, const char *name, bool timelapse, int64_t bytes)
{
	struct camera_walk *camera;

	walk->cameras = xrealloc(walk->cameras, (walk->n + 1) * sizeof(*walk->cameras));
	camera = &walk->cameras[walk->n++];
	*camera = (struct camera_walk){
		.camera = xstrdup(name),
		.timelapse = timelapse,
		.questions = timelapse ? &about_timelapses : &about_recordings,
		.bytes = (uint64_t)bytes,
	};
	camera_set_rule(walk, camera);
	camera->dated.is_dated = true;
	if (walk->before) {
		camera_open_volume(walk, camera);
	} else {
		if (!timelapse)
			camera->newest_us =
				walk_number(walk, walk_prepare(walk, NEWEST, camera->camera));
		camera_add_open(walk, camera);
		cursor_open(walk, &camera->dated, camera->questions->dated, camera);
		cursor_open(walk, &camera->undated, camera->questions->undated, camera);
	}
	walk->bytes += camera->bytes;
	walk->any_dated = walk->any_dated || camera->dated.any;
}

/* --- age --- */

/* When the newest of anything ended that had begun at an instant; INT64_MIN: nothing had. */
static int64_t walk_newest_at(struct walk *walk, int64_t at_us)
{
	const struct walk *all = walk->before ? walk->before : walk;
	int64_t newest_us = INT64_MIN;

	for (size_t i = 0; i < all->n; i++) {
		const struct camera_walk *camera = &all->cameras[i];
		sqlite3_stmt *statement =
			walk_prepare(walk, camera->questions->last_before, camera->camera);
		int64_t end_us = INT64_MIN;

		if (statement)
			sqlite3_bind_int64(statement, 2, at_us);
		if (walk_step(walk, statement))
			end_us = sqlite3_column_int64(statement, 3);
		sqlite3_finalize(statement);
		if (end_us > newest_us)
			newest_us = end_us;
	}
	return newest_us;
}

/*
 * The instant from which age is counted for a camera that keeps so much. A clock that leaps ahead makes
 * everything old at once; but then there is a gap before the recordings of the last hours. Until the
 * clock has gone on for some time, age is counted from the other side of the gap. INT64_MIN: it is not judged.
 */
static int64_t walk_age_from(struct walk *walk, int64_t keep_us)
{
	const struct catalogue_rules *rules = walk->rules;
	int64_t leap_us = keep_us / 2 < LEAP_US ? keep_us / 2 : LEAP_US, newest_us;

	if (!rules->clock_is_set && walk->any_dated)
		return INT64_MIN;
	if (rules->steady_us >= leap_us)
		return rules->now_us;
	newest_us = walk_newest_at(walk, rules->now_us - leap_us);
	if (newest_us == INT64_MIN) /* nothing is as old as that; nor is there a gap */
		return walk->any_dated ? rules->now_us : INT64_MIN;
	return newest_us + leap_us < rules->now_us ? newest_us + leap_us : rules->now_us;
}

static void walk_set_cutoffs(struct walk *walk)
{
	int64_t keep_us = RULE_FOREVER, from_us = INT64_MIN;

	for (size_t i = 0; i < walk->n; i++) {
		struct camera_walk *camera = &walk->cameras[i];
		int64_t held_us;

		camera->cutoff_us = INT64_MIN;
		if (camera->keep_us == RULE_FOREVER)
			continue;
		if (camera->keep_us != keep_us) /* mostly all keep the same */
			from_us = walk_age_from(walk, camera->keep_us);
		keep_us = camera->keep_us;
		held_us = from_us == INT64_MIN ? INT64_MAX : walk->rules->now_us - from_us;
		if (held_us > walk->held_us)
			walk->held_us = held_us;
		if (from_us != INT64_MIN)
			camera->cutoff_us = from_us - keep_us;
	}
}

/* --- the order --- */

/* What the camera loses next; NULL when there is nothing left. */
static struct cursor *camera_head(struct camera_walk *camera)
{
	if (camera->undated.ended)
		return camera->dated.ended ? NULL : &camera->dated;
	if (camera->dated.ended || is_older(&camera->undated, &camera->dated))
		return &camera->undated;
	return &camera->dated;
}

/*
 * An undated one is too old when one that was recorded later is; or by its own clock when no clock
 * was ever set.
 */
static bool camera_is_too_old(
	const struct walk *walk, const struct camera_walk *camera, const struct cursor *head)
{
	const struct cursor *judged = walk->any_dated ? &camera->dated : head;

	return !judged->ended && judged->row.end_us < camera->cutoff_us;
}

/* Of all together the oldest recording goes; and when there is none left the oldest time-lapse. */
static bool camera_goes_before(struct camera_walk *a, struct camera_walk *b)
{
	if (a->timelapse != b->timelapse)
		return b->timelapse;
	return is_older(camera_head(a), camera_head(b));
}

/* Whether there is more than the limit of all together, and the next one's going helps it. */
static bool walk_is_too_large(const struct walk *walk, const struct camera_walk *next)
{
	bool stays = walk->before && walk->rules->volume_moves && next && next->timelapse;

	return walk->max_bytes && walk->bytes > walk->max_bytes && !stays;
}

/* The camera whose oldest goes next, and why; NULL when all keep to the rules. */
static struct camera_walk *walk_choose(struct walk *walk, enum catalogue_reason *reason)
{
	struct camera_walk *due = NULL, *oldest = NULL;

	for (size_t i = 0; i < walk->n; i++) {
		struct camera_walk *camera = &walk->cameras[i];
		const struct cursor *head = camera_head(camera);
		bool old;

		if (!head)
			continue;
		old = camera_is_too_old(walk, camera, head);
		if (!oldest || camera_goes_before(camera, oldest))
			oldest = camera;
		if (!old && (!camera->max_bytes || camera->bytes <= camera->max_bytes))
			continue;
		if (due && !is_older(head, camera_head(due)))
			continue;
		due = camera;
		*reason = old ? EXPIRED_KEEP : EXPIRED_CAMERA_MAX_SIZE;
	}
	if (due)
		return due;
	*reason = EXPIRED_MAX_SIZE;
	if (walk_is_too_large(walk, oldest))
		return oldest;
	*reason = EXPIRED_RESERVE;
	return walk->freed < walk->free_bytes ? oldest : NULL;
}

/* Hands out what is to go, and looks at what comes after it. */
static bool walk_next(struct walk *walk, catalogue_expired_fn *on_row, void *arg)
{
	enum catalogue_reason reason;
	struct camera_walk *camera = walk->error ? NULL : walk_choose(walk, &reason);
	struct cursor *head;

	if (!camera)
		return false;
	head = camera_head(camera);
	head->row.reason = reason;
	head->row.by_volume = walk->before;
	camera->bytes -= head->row.bytes;
	walk->bytes -= head->row.bytes;
	if (head->row.volume == walk->rules->volume) {
		walk->freed += head->row.bytes;
		on_row(arg, &head->row);
	}
	cursor_next(walk, head);
	return !walk->error;
}

/* --- a walk as a whole --- */

static void walk_begin(struct walk *walk)
{
	sqlite3_stmt *statement = catalogue_prepare(walk->catalogue,
		walk->before
			? "SELECT camera, timelapse, bytes FROM totals WHERE volume = ?1"
			  " ORDER BY camera, timelapse"
			: "SELECT camera, timelapse, sum(bytes) FROM totals GROUP BY camera, timelapse");

	if (statement && walk->before)
		sqlite3_bind_int64(statement, 1, walk->rules->volume);
	while (walk_step(walk, statement))
		walk_add_camera(walk, (const char *)sqlite3_column_text(statement, 0),
			sqlite3_column_int(statement, 1) != 0, sqlite3_column_int64(statement, 2));
	sqlite3_finalize(statement);
	if (walk->before)
		walk->any_dated = walk->before->any_dated;
	walk_set_cutoffs(walk);
}

static void walk_open(
	struct walk *walk, struct catalogue *catalogue, const struct catalogue_rules *rules)
{
	*walk = (struct walk){
		.catalogue = catalogue,
		.rules = rules,
		.max_bytes = rules->max_bytes,
	};
	walk_begin(walk);
}

/* The second walk, as long as the first is open. */
static void walk_open_volume(struct walk *walk, const struct walk *before)
{
	const struct catalogue_rules *rules = before->rules;

	*walk = (struct walk){
		.catalogue = before->catalogue,
		.rules = rules,
		.before = before,
		.max_bytes = rules->volume_max_bytes,
		.free_bytes = rules->free_bytes,
		.freed = before->freed,
		.error = before->error,
	};
	if (rules->volume_keep_us || rules->volume_max_bytes || walk->freed < walk->free_bytes)
		walk_begin(walk);
}

static void walk_close(struct walk *walk)
{
	for (size_t i = 0; i < walk->n; i++) {
		cursor_close(&walk->cameras[i].dated);
		cursor_close(&walk->cameras[i].undated);
		free(walk->cameras[i].camera);
	}
	free(walk->cameras);
}

int catalogue_walk_expired(struct catalogue *catalogue, const struct catalogue_rules *rules,
	catalogue_expired_fn *on_row, void *arg, int64_t *ret_held_us)
{
	struct walk walk, volume;

	walk_open(&walk, catalogue, rules);
	while (walk_next(&walk, on_row, arg))
		;
	walk_open_volume(&volume, &walk);
	while (walk_next(&volume, on_row, arg))
		;
	walk_close(&volume);
	walk_close(&walk);
	if (!volume.error)
		*ret_held_us = walk.held_us;
	return volume.error;
}

/* --- the plan, as a job --- */

struct plan_job {
	struct worker_job job;
	struct catalogue *catalogue;
	struct catalogue_rules *rules;
	size_t limit;
	catalogue_plan_fn *done;
	void *arg;
	/* the answer */
	int error;
	struct catalogue_plan plan;
};

static void plan_add_row(void *arg, const struct catalogue_expired *row)
{
	struct catalogue_plan *plan = arg;
	struct catalogue_expired *copy = &plan->rows[plan->n++];

	*copy = *row;
	copy->camera = xstrdup(row->camera);
	copy->path = xstrdup(row->path);
}

static void plan_add_cameras(struct catalogue_plan *plan, const struct walk *walk)
{
	plan->cameras = xcalloc(walk->n, sizeof(*plan->cameras));
	for (size_t i = 0; i < walk->n; i++) {
		const struct camera_walk *camera = &walk->cameras[i];
		const struct cursor *first = camera->dated.any ? &camera->dated : &camera->undated;

		if (camera->timelapse)
			continue;
		plan->cameras[plan->n_cameras++] = (struct catalogue_history){
			.camera = xstrdup(camera->camera),
			.bytes = camera->bytes,
			.oldest_us = first->any ? first->first_us : camera->newest_us,
			.newest_us = camera->newest_us,
		};
	}
}

static uint64_t volume_bytes(struct walk *walk)
{
	sqlite3_stmt *statement = catalogue_prepare(
		walk->catalogue, "SELECT coalesce(sum(bytes), 0) FROM totals WHERE volume = ?1");
	const struct open_segment *open;
	uint64_t bytes;

	if (statement)
		sqlite3_bind_int64(statement, 1, walk->rules->volume);
	bytes = (uint64_t)walk_number(walk, statement);
	LIST_FOREACH (open, &walk->catalogue->open, entry)
		bytes += walk->rules->volume ? 0 : open->bytes;
	return bytes;
}

static void plan_run(struct worker_job *worker_job)
{
	struct plan_job *job = CONTAINER_OF(worker_job, struct plan_job, job);
	struct catalogue_plan *plan = &job->plan;
	struct walk walk, volume;

	catalogue_follow(job->catalogue);
	walk_open(&walk, job->catalogue, job->rules);
	plan_add_cameras(plan, &walk);
	plan->age_held_us = walk.held_us;
	plan->volume_bytes = volume_bytes(&walk);
	plan->rows = xcalloc(job->limit, sizeof(*plan->rows));
	while (plan->n < job->limit && walk_next(&walk, plan_add_row, plan))
		;
	job->error = walk.error;
	if (plan->n < job->limit) {
		walk_open_volume(&volume, &walk);
		while (plan->n < job->limit && walk_next(&volume, plan_add_row, plan))
			;
		job->error = volume.error;
		walk_close(&volume);
	}
	walk_close(&walk);
	catalogue_mend(job->catalogue);
}

static void plan_job_free(struct plan_job *job)
{
	for (size_t i = 0; i < job->plan.n; i++) {
		free(job->plan.rows[i].camera);
		free(job->plan.rows[i].path);
	}
	for (size_t i = 0; i < job->plan.n_cameras; i++)
		free(job->plan.cameras[i].camera);
	free(job->plan.rows);
	free(job->plan.cameras);
	catalogue_rules_free(job->rules);
	free(job);
}

static void plan_done(struct worker_job *worker_job)
{
	static const struct catalogue_plan nothing;
	struct plan_job *job = CONTAINER_OF(worker_job, struct plan_job, job);

	job->done(job->arg, job->error, job->error ? &nothing : &job->plan);
	plan_job_free(job);
}

int catalogue_expired(struct catalogue *catalogue, struct catalogue_rules *rules, size_t limit,
	catalogue_plan_fn *done, void *arg)
{
	struct plan_job *job = xcalloc(1, sizeof(*job));

	job->job.run = plan_run;
	job->job.done = plan_done;
	job->job.bytes = sizeof(*job) + limit * sizeof(*job->plan.rows);
	job->catalogue = catalogue;
	job->rules = rules;
	job->limit = limit;
	job->done = done;
	job->arg = arg;
	if (worker_post(catalogue->worker, &job->job) == 0)
		return 0;
	plan_job_free(job);
	return -EAGAIN;
}

/* --- forgetting --- */

struct forget_job {
	struct worker_job job;
	struct catalogue *catalogue;
	size_t n;
	struct {
		int64_t id, volume;
		char *path;
	} rows[];
};

static void forget_run(struct worker_job *worker_job)
{
	struct forget_job *job = CONTAINER_OF(worker_job, struct forget_job, job);
	struct catalogue *catalogue = job->catalogue;
	sqlite3_stmt *statement;
	int forgotten = 0;
	bool failed;

	catalogue_follow(catalogue);
	statement = catalogue_prepare(catalogue,
		"DELETE FROM segments WHERE id = ?1 AND path = ?2 AND volume = ?3 AND state = 1");
	failed = !statement || catalogue_exec(catalogue, "BEGIN IMMEDIATE") < 0;

	for (size_t i = 0; !failed && i < job->n; i++) {
		sqlite3_bind_int64(statement, 1, job->rows[i].id);
		sqlite3_bind_text(statement, 2, job->rows[i].path, -1, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 3, job->rows[i].volume);
		failed = sqlite3_step(statement) != SQLITE_DONE;
		forgotten += sqlite3_changes(catalogue->db);
		sqlite3_reset(statement);
	}
	if (failed && statement)
		catalogue_fail(catalogue);
	sqlite3_finalize(statement);
	if (catalogue_exec(catalogue, failed ? "ROLLBACK" : "COMMIT") == 0 && !failed)
		metric_add(catalogue->segments, -forgotten);
}

static void forget_done(struct worker_job *worker_job)
{
	struct forget_job *job = CONTAINER_OF(worker_job, struct forget_job, job);

	for (size_t i = 0; i < job->n; i++)
		free(job->rows[i].path);
	free(job);
}

int catalogue_forget_expired(
	struct catalogue *catalogue, const struct catalogue_expired *rows, size_t n)
{
	struct forget_job *job = xcalloc(1, sizeof(*job) + n * sizeof(job->rows[0]));

	job->job.run = forget_run;
	job->job.done = forget_done;
	job->job.bytes = sizeof(*job) + n * sizeof(job->rows[0]);
	job->catalogue = catalogue;
	job->n = n;
	for (size_t i = 0; i < n; i++) {
		job->rows[i].id = rows[i].id;
		job->rows[i].volume = rows[i].volume;
		job->rows[i].path = xstrdup(rows[i].path);
	}
	if (worker_post(catalogue->worker, &job->job) == 0)
		return 0;
	forget_done(&job->job);
	return -EAGAIN;
}

/* --- beside a running nvrd --- */

/* What is open is known to nvrd alone; but its files tell how much they hold. */
static void read_open_segments(struct catalogue *catalogue, const char *root)
{
	sqlite3_stmt *statement =
		catalogue_prepare(catalogue, "SELECT camera, path, end_us, " CATALOGUE_IS_TIMELAPSE
					     " FROM segments WHERE state = 0");

	while (statement && sqlite3_step(statement) == SQLITE_ROW) {
		struct open_segment *open = xcalloc(1, sizeof(*open));
		char *path = xasprintf("%s/%s", root, sqlite3_column_text(statement, 1));
		struct stat st;

		open->camera = xstrdup((const char *)sqlite3_column_text(statement, 0));
		open->end_us = sqlite3_column_int64(statement, 2);
		open->timelapse = sqlite3_column_int(statement, 3) != 0;
		if (stat(path, &st) == 0)
			open->bytes = (uint64_t)st.st_size;
		LIST_INSERT_HEAD(&catalogue->open, open, entry);
		free(path);
	}
	sqlite3_finalize(statement);
}

/* Of what was opened with this result; -1: it cannot be read so. */
static int64_t read_version(struct catalogue *catalogue, int result)
{
	sqlite3_busy_timeout(catalogue->db, CATALOGUE_BUSY_MS);
	return result == SQLITE_OK ? catalogue_number(catalogue, "PRAGMA user_version") : -1;
}

struct catalogue *catalogue_open_to_read(const char *root, const char *file, char **why)
{
	struct catalogue *catalogue = xcalloc(1, sizeof(*catalogue));
	int result = sqlite3_open_v2(
		file, &catalogue->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	int64_t version;

	catalogue->file = xstrdup(file);
	catalogue->log = (struct log_name){ .kind = "catalogue" };
	LIST_INIT(&catalogue->open);
	*why = NULL;
	version = read_version(catalogue, result);
	if (version < 0 && catalogue_is_read_only(file)) { /* no room for shared memory */
		catalogue_close_database(catalogue);
		result = catalogue_open_file(catalogue, CATALOGUE_UNCHANGING);
		version = read_version(catalogue, result);
	}
	if (version < 0)
		*why = xstrdup(sqlite3_errmsg(catalogue->db));
	else if (version != CATALOGUE_SCHEMA_VERSION)
		*why = xstrdup("it was made by another version of nvrd; start this one once");
	if (*why) {
		catalogue_close(catalogue);
		return NULL;
	}
	read_open_segments(catalogue, root);
	return catalogue;
}
