/*
 * Changes on their way into the database: made in order, each in a transaction, and tried again until it takes
 * them. The database comes and goes with its store, and a damaged one is made anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "storage/catalogue_private.h"

enum {
	WAITING_BYTES = 16 << 20, /* what is more is left out: recovery finds it in the files */
	BEAT_US = 1000000,
	DAMAGED_US =
		600000000 /* a disk that damages one database after the other is not filled with them */
};

static int result_of(int code)
{
	return code & 0xff; /* without the reason in the upper bits */
}

static bool is_damage(int code)
{
	return result_of(code) == SQLITE_CORRUPT || result_of(code) == SQLITE_NOTADB;
}

/* Whether it is worth while to try again: it was not the change's fault. */
static bool may_pass(int code)
{
	switch (result_of(code)) {
	case SQLITE_BUSY:
	case SQLITE_CANTOPEN:
	case SQLITE_CORRUPT:
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_LOCKED:
	case SQLITE_NOMEM:
	case SQLITE_NOTADB:
	case SQLITE_PERM:
	case SQLITE_PROTOCOL:
	case SQLITE_READONLY:
		return true;
	}
	return false;
}

/* --- the database comes and goes --- */

static bool store_is_there(const struct catalogue *catalogue)
{
	return catalogue->store & 1;
}

/* What the database knows of what is open is not known. Returns 0 or -EIO, logged. */
static int catalogue_begin(struct catalogue *catalogue)
{
	struct open_segment *open;
	int64_t last = catalogue_number(catalogue, "SELECT coalesce(max(id), 0) FROM segments");
	int64_t rows = catalogue_number(catalogue, "SELECT coalesce(sum(segments), 0) FROM totals");
	int64_t any = catalogue_number(catalogue, "SELECT EXISTS (SELECT 1 FROM properties)");

	if (last < 0 || rows < 0 || any < 0)
		return -EIO;
	catalogue->has_properties = any;
	if (last > catalogue->last_id)
		catalogue->last_id = last;
	LIST_FOREACH (open, &catalogue->open, entry)
		open->id = 0;
	metric_set(catalogue->segments, (double)rows);
	metric_set(metric_get(METRIC_CATALOGUE_OPEN), 1);
	catalogue->retry_us = 0;
	if (catalogue->known_store != catalogue->opened_store)
		catalogue->stale = true;
	catalogue->known_store = catalogue->opened_store;
	return 0;
}

bool catalogue_is_read_only(const char *file)
{
	struct statvfs st;

	return statvfs(file, &st) == 0 && st.f_flag & ST_RDONLY;
}

/*
 * Where there is no room for the shared memory of several processes, it does without: then none but this one can read. What cannot be
 * written at all is read as it is.
 */
static int open_somehow(struct catalogue *catalogue)
{
	int result = catalogue_open_database(catalogue, CATALOGUE_SHARED);

	for (enum catalogue_access access = CATALOGUE_ALONE; access <= CATALOGUE_UNCHANGING;
		access++) {
		if (result == SQLITE_OK || is_damage(result) || !may_pass(result))
			break;
		if (access == CATALOGUE_UNCHANGING && !catalogue_is_read_only(catalogue->file))
			break;
		catalogue_close_database(catalogue);
		result = catalogue_open_database(catalogue, access);
	}
	return result;
}

static void catalogue_disconnect(struct catalogue *catalogue)
{
	catalogue_close_database(catalogue);
	catalogue->has_properties = true; /* for all that is known */
	metric_set(metric_get(METRIC_CATALOGUE_OPEN), 0);
	metric_set(catalogue->segments, 0);
}

/*
 * The start does not wait for a database to be brought up to date: the worker opens it anew. Until then the start can see which
 * volumes it knows; before version 6 there was but one.
 */
static void catalogue_leave_old(struct catalogue *catalogue)
{
	int64_t last = catalogue_number(catalogue, "SELECT coalesce(max(id), 0) FROM segments");

	if (last > catalogue->last_id)
		catalogue->last_id = last;
	if (catalogue_number(catalogue, "PRAGMA user_version") < 6)
		catalogue_disconnect(catalogue);
	catalogue->opened_store = 0;
	catalogue->unsettled = true;
}

int catalogue_connect(struct catalogue *catalogue)
{
	int64_t now_us = reactor_monotonic_us();
	int result;

	catalogue->opened_us = now_us;
	catalogue->opened_store = catalogue->store;
	result = open_somehow(catalogue);
	if (is_damage(result) &&
		(!catalogue->damaged_us || now_us - catalogue->damaged_us > DAMAGED_US)) {
		catalogue->damaged_us = now_us;
		catalogue_set_aside(catalogue);
		result = open_somehow(catalogue);
	}
	if (result == SQLITE_SCHEMA && catalogue->in_a_hurry) {
		catalogue_leave_old(catalogue);
		return result;
	}
	if (result == SQLITE_OK && catalogue_begin(catalogue) == 0)
		return result;
	if (result != SQLITE_INTERRUPT) /* by the end of the process */
		log_write_repeated(&catalogue->trouble, LOG_ERROR, &catalogue->log,
			"%s cannot be opened: %s; what is recorded is not listed", catalogue->file,
			result == SQLITE_MISMATCH ? "it was made by a newer nvrd"
			: result == SQLITE_OK     ? sqlite3_errmsg(catalogue->db)
						  : sqlite3_errstr(result));
	catalogue_disconnect(catalogue);
	catalogue->unsettled = true;
	return result == SQLITE_OK ? SQLITE_IOERR : result;
}

void catalogue_follow(struct catalogue *catalogue)
{
	if (catalogue->db && catalogue->opened_store != catalogue->store)
		catalogue_disconnect(catalogue);
	if (!catalogue->db && store_is_there(catalogue) &&
		(catalogue->opened_store != catalogue->store ||
			reactor_monotonic_us() - catalogue->opened_us >= BEAT_US))
		(void)catalogue_connect(catalogue);
}

void catalogue_mend(struct catalogue *catalogue)
{
	if (!catalogue->db || !is_damage(catalogue->failure))
		return;
	catalogue->failure = SQLITE_OK;
	if (catalogue->damaged_us && reactor_monotonic_us() - catalogue->damaged_us <= DAMAGED_US)
		return;
	catalogue->damaged_us = reactor_monotonic_us();
	catalogue_set_aside(catalogue);
	(void)catalogue_connect(catalogue);
}

/* --- one change --- */

static int change_try(
	struct catalogue *catalogue, struct catalogue_job *job, const struct open_segment *open)
{
	int failure;

	catalogue->failure = SQLITE_OK;
	catalogue->new_id = catalogue->added = 0;
	if (catalogue_exec(catalogue, "BEGIN IMMEDIATE") == 0 &&
		(job ? job->apply(job) : catalogue_insert_open(catalogue, open)) == 0 &&
		catalogue_exec(catalogue, "COMMIT") == 0) {
		metric_add(catalogue->segments, catalogue->added);
		if (catalogue->new_id > catalogue->last_id)
			catalogue->last_id = catalogue->new_id;
		return SQLITE_OK;
	}
	failure = catalogue->failure ? catalogue->failure : SQLITE_ERROR;
	if (!sqlite3_get_autocommit(catalogue->db))
		(void)sqlite3_exec(catalogue->db, "ROLLBACK", NULL, NULL, NULL);
	return failure;
}

/* Whether to go on with the next one. */
static bool change_is_over(struct catalogue *catalogue, int result)
{
	if (result == SQLITE_OK)
		return true;
	if (may_pass(result)) {
		catalogue->retry_us = reactor_monotonic_us() + BEAT_US;
		catalogue_mend(catalogue);
		return false;
	}
	metric_add(metric_get(METRIC_CATALOGUE_ERRORS, "dropped"), 1);
	return true;
}

/* --- all that wait --- */

static size_t job_bytes(const struct catalogue_job *job)
{
	const struct fragment_index *index = job->open ? &job->open->index : &job->index;

	return sizeof(*job) + index->size * sizeof(*index->fragments);
}

static void waiting_free(struct catalogue_job *job)
{
	if (job->open)
		catalogue_open_segment_free(job->open);
	catalogue_job_fini(job);
	free(job);
}

static void waiting_remove_first(struct catalogue *catalogue)
{
	struct catalogue_job *job = STAILQ_FIRST(&catalogue->waiting);

	STAILQ_REMOVE_HEAD(&catalogue->waiting, entry);
	catalogue->waiting_jobs--;
	catalogue->waiting_bytes -= job_bytes(job);
	waiting_free(job);
}

void catalogue_drop_waiting(struct catalogue *catalogue)
{
	while (!STAILQ_EMPTY(&catalogue->waiting))
		waiting_remove_first(catalogue);
}

void catalogue_wait(struct catalogue_job *job)
{
	struct catalogue *catalogue = job->catalogue;
	struct catalogue_job *kept = xmalloc(sizeof(*kept));

	*kept = *job;
	*job = (struct catalogue_job){ .job = job->job, .catalogue = catalogue };
	if (catalogue->waiting_bytes + job_bytes(kept) > WAITING_BYTES) {
		metric_add(metric_get(METRIC_CATALOGUE_ERRORS, "dropped"), 1);
		catalogue->dropped = true;
		waiting_free(kept);
		return;
	}
	STAILQ_INSERT_TAIL(&catalogue->waiting, kept, entry);
	catalogue->waiting_jobs++;
	catalogue->waiting_bytes += job_bytes(kept);
}

/* The oldest segment without a row. */
static struct open_segment *find_unlisted(const struct catalogue *catalogue)
{
	struct open_segment *open, *oldest = NULL;

	LIST_FOREACH (open, &catalogue->open, entry) {
		if (!open->id && (!oldest || open->ticket < oldest->ticket))
			oldest = open;
	}
	return oldest;
}

/* Gives a segment its row. False: not now. */
static bool settle_open(struct catalogue *catalogue, struct open_segment *open)
{
	int result = change_try(catalogue, NULL, open);

	if (!change_is_over(catalogue, result))
		return false;
	open->id = result == SQLITE_OK ? catalogue->new_id : -1;
	return true;
}

/* What is over comes before what is open: a file may have got the name of one that was removed. */
static void settle_all(struct catalogue *catalogue)
{
	struct catalogue_job *job;
	struct open_segment *open;

	while ((job = STAILQ_FIRST(&catalogue->waiting))) {
		if (job->open && !job->open->id && !settle_open(catalogue, job->open))
			return;
		if (!change_is_over(catalogue, change_try(catalogue, job, NULL)))
			return;
		waiting_remove_first(catalogue);
	}
	while ((open = find_unlisted(catalogue))) {
		if (!settle_open(catalogue, open))
			return;
	}
	if (!catalogue->dropped)
		return;
	catalogue->dropped = false;
	catalogue->stale = true;
}

void catalogue_settle(struct catalogue *catalogue)
{
	catalogue_follow(catalogue);
	if (catalogue->db && reactor_monotonic_us() >= catalogue->retry_us)
		settle_all(catalogue);
	catalogue->unsettled = !catalogue->db || catalogue->access != CATALOGUE_SHARED ||
			       find_unlisted(catalogue) || catalogue->waiting_jobs;
	metric_set(metric_get(METRIC_CATALOGUE_WAITING), (double)catalogue->waiting_jobs);
}

/* --- now and then --- */

struct tick_job {
	struct worker_job job;
	struct catalogue *catalogue;
};

static void tick_run(struct worker_job *worker_job)
{
	struct catalogue *catalogue = CONTAINER_OF(worker_job, struct tick_job, job)->catalogue;

	if (catalogue->db && catalogue->access != CATALOGUE_SHARED) { /* perhaps it can, by now */
		catalogue_close_database(catalogue);
		catalogue->opened_us = 0;
	}
	catalogue_settle(catalogue);
}

static void tick_done(struct worker_job *worker_job)
{
	struct tick_job *job = CONTAINER_OF(worker_job, struct tick_job, job);

	job->catalogue->ticking = false;
	free(job);
}

static void catalogue_tick(struct catalogue *catalogue)
{
	struct tick_job *job = xcalloc(1, sizeof(*job));

	job->job.run = tick_run;
	job->job.done = tick_done;
	job->catalogue = catalogue;
	catalogue->ticking = worker_post(catalogue->worker, &job->job) == 0;
	if (!catalogue->ticking)
		free(job);
}

static void catalogue_tell(struct catalogue *catalogue)
{
	if (catalogue->on_stale && atomic_exchange(&catalogue->stale, false))
		catalogue->on_stale(catalogue->on_stale_arg);
}

void catalogue_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct catalogue *catalogue = arg;

	(void)fd, (void)what;
	catalogue_tell(catalogue);
	if (catalogue->unsettled && !catalogue->ticking)
		catalogue_tick(catalogue);
	reactor_timer_start(catalogue->timer, BEAT_US);
}

void catalogue_watch(struct catalogue *catalogue, catalogue_stale_fn *on_stale, void *arg)
{
	catalogue->on_stale = on_stale;
	catalogue->on_stale_arg = arg;
	catalogue_tell(catalogue);
}

/* The worker looks at it with its next job; there may be none for long. */
static void catalogue_set_store(struct catalogue *catalogue, bool there)
{
	if (store_is_there(catalogue) == there)
		return;
	catalogue->store++;
	catalogue->unsettled = true;
	if (!catalogue->ticking)
		catalogue_tick(catalogue);
}

void catalogue_enter(struct catalogue *catalogue)
{
	catalogue_set_store(catalogue, true);
}

void catalogue_leave(struct catalogue *catalogue)
{
	catalogue_set_store(catalogue, false);
}
