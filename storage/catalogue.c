/* The catalogue's thread, and what the recorder tells it. */
#include "storage/catalogue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/catalogue_private.h"

enum {
	QUEUE_JOBS = 1 << 16,
	QUEUE_BYTES = 64 << 20
};

void catalogue_segment_free(struct catalogue_segment *segment)
{
	if (!segment)
		return;
	free(segment->camera);
	free(segment->stream);
	free(segment->path);
	free(segment->codecs);
	free(segment);
}

struct catalogue_segment *catalogue_segment_copy(const struct catalogue_segment *segment)
{
	struct catalogue_segment *copy = xmalloc(sizeof(*copy));

	*copy = *segment;
	copy->camera = xstrdup(segment->camera);
	copy->stream = xstrdup(segment->stream);
	copy->path = xstrdup(segment->path);
	copy->codecs = xstrdup(segment->codecs);
	return copy;
}

/* --- jobs of the recorder --- */

void catalogue_job_fini(struct catalogue_job *job)
{
	catalogue_segment_free(job->segment);
	free(job->path);
	free(job->camera);
	free(job->index.fragments);
}

static void catalogue_job_done(struct worker_job *worker_job)
{
	struct catalogue_job *job = CONTAINER_OF(worker_job, struct catalogue_job, job);

	catalogue_job_fini(job);
	free(job);
}

static void change_run(struct worker_job *worker_job)
{
	struct catalogue_job *job = CONTAINER_OF(worker_job, struct catalogue_job, job);

	catalogue_wait(job);
	catalogue_settle(job->catalogue);
}

int catalogue_post(
	struct catalogue *catalogue, struct catalogue_job *job, void (*run)(struct worker_job *))
{
	job->job.run = run ? run : change_run;
	job->job.done = catalogue_job_done;
	job->job.bytes = sizeof(*job);
	job->catalogue = catalogue;
	if (worker_post(catalogue->worker, &job->job) == 0)
		return 0;
	log_write_repeated(&catalogue->again, LOG_ERROR, &catalogue->log,
		"the queue is full: recordings are made but not listed");
	catalogue->stale = true;
	catalogue_job_done(&job->job);
	return -EAGAIN;
}

struct open_segment *catalogue_find_open(const struct catalogue *catalogue, int64_t id)
{
	struct open_segment *open;

	LIST_FOREACH (open, &catalogue->open, entry) {
		if (open->id == id)
			return open;
	}
	return NULL;
}

static struct open_segment *find_ticket(const struct catalogue *catalogue, int64_t ticket)
{
	struct open_segment *open;

	LIST_FOREACH (open, &catalogue->open, entry) {
		if (open->ticket == ticket)
			return open;
	}
	return NULL;
}

int64_t catalogue_new_id(const struct catalogue *catalogue, int64_t ticket)
{
	return ticket > catalogue->last_id ? ticket : catalogue->last_id + 1;
}

/* The id of the row with that path; 0: none, or -EIO. */
static int64_t find_id(struct catalogue *catalogue, const char *path)
{
	sqlite3_stmt *statement = catalogue_prepare(
		catalogue, "SELECT id FROM segments WHERE volume = 0 AND path = ?1");
	int64_t id = 0;
	int result;

	if (!statement)
		return -EIO;
	sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		id = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	if (result == SQLITE_ROW || result == SQLITE_DONE)
		return id;
	catalogue_fail(catalogue);
	return -EIO;
}

int catalogue_insert_open(struct catalogue *catalogue, const struct open_segment *open)
{
	/* a path has a row already when the database was opened anew, or when its file was removed by hand */
	static const char sql[] =
		"INSERT INTO segments (id, camera, stream, path, folder, start_us, end_us, bytes, codecs,"
		" width, height, state, boot_us, boot_id)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0, ?7, ?8, ?9, 0, ?10, ?11)"
		" ON CONFLICT (volume, path) DO UPDATE SET start_us = excluded.start_us,"
		" end_us = excluded.end_us, bytes = 0, codecs = excluded.codecs, width = excluded.width,"
		" height = excluded.height, state = 0, fragments = NULL, boot_us = excluded.boot_us,"
		" boot_id = excluded.boot_id";
	const struct catalogue_segment *s = open->segment;
	const char *slash = strrchr(s->path, '/');
	int64_t id = find_id(catalogue, s->path);
	sqlite3_stmt *statement = id < 0 ? NULL : catalogue_prepare(catalogue, sql);

	if (!statement)
		return -EIO;
	catalogue->added = !id;
	catalogue->new_id = id ? id : catalogue_new_id(catalogue, open->ticket);
	sqlite3_bind_int64(statement, 1, catalogue->new_id);
	sqlite3_bind_text(statement, 2, s->camera, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 3, s->stream, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 4, s->path, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 5, s->path, slash ? (int)(slash - s->path) : 0, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 6, s->start_us);
	sqlite3_bind_text(statement, 7, s->codecs, -1, SQLITE_STATIC);
	sqlite3_bind_int(statement, 8, s->width);
	sqlite3_bind_int(statement, 9, s->height);
	sqlite3_bind_int64(statement, 10, s->boot_us);
	if (s->boot_us)
		sqlite3_bind_text(statement, 11, wall_clock_boot_id(), -1, SQLITE_STATIC);
	if (catalogue_finish_statement(catalogue, statement) < 0)
		return -EIO;
	return catalogue_mark_events(catalogue, catalogue->new_id);
}

static void add_run(struct worker_job *worker_job)
{
	struct catalogue_job *job = CONTAINER_OF(worker_job, struct catalogue_job, job);
	struct open_segment *open = xcalloc(1, sizeof(*open));

	open->ticket = job->ticket;
	open->segment = job->segment;
	open->camera = xstrdup(job->segment->camera);
	open->timelapse = strcmp(job->segment->stream, CATALOGUE_TIMELAPSE) == 0;
	open->end_us = job->segment->start_us;
	job->segment = NULL;
	LIST_INSERT_HEAD(&job->catalogue->open, open, entry);
	catalogue_settle(job->catalogue);
}

int catalogue_add(
	struct catalogue *catalogue, const struct catalogue_segment *segment, int64_t *ticket)
{
	struct catalogue_job *job = xcalloc(1, sizeof(*job));
	int64_t taken = catalogue->next_ticket;

	job->ticket = taken;
	job->segment = catalogue_segment_copy(segment);
	if (catalogue_post(catalogue, job, add_run) < 0)
		return -EAGAIN;
	catalogue->next_ticket++;
	*ticket = taken;
	return 0;
}

static void grow_run(struct worker_job *worker_job)
{
	struct catalogue_job *job = CONTAINER_OF(worker_job, struct catalogue_job, job);
	struct open_segment *open = find_ticket(job->catalogue, job->ticket);

	if (!open)
		return;
	fragment_index_add(&open->index, &job->fragment);
	open->end_us = job->fragment.start_us + job->fragment.duration_us;
	open->bytes = job->fragment.offset + job->fragment.bytes;
}

void catalogue_grow(
	struct catalogue *catalogue, int64_t ticket, const struct catalogue_fragment *fragment)
{
	struct catalogue_job *job = xcalloc(1, sizeof(*job));

	job->ticket = ticket;
	job->fragment = *fragment;
	(void)catalogue_post(catalogue, job, grow_run);
}

int catalogue_delete(struct catalogue *catalogue, int64_t id)
{
	sqlite3_stmt *statement =
		catalogue_prepare(catalogue, "DELETE FROM segments WHERE id = ?1");

	if (statement)
		sqlite3_bind_int64(statement, 1, id);
	if (catalogue_finish_statement(catalogue, statement) < 0)
		return -EIO;
	catalogue->added -= sqlite3_changes(catalogue->db);
	return 0;
}

int catalogue_update_closed(struct catalogue *catalogue, int64_t id, int64_t end_us, uint64_t bytes,
	const struct fragment_index *index)
{
	sqlite3_stmt *statement = catalogue_prepare(catalogue,
		"UPDATE segments SET end_us = ?2, bytes = ?3, fragments = ?4, state = 1 WHERE id = ?1");
	size_t blob_bytes;
	uint8_t *blob;

	if (!statement)
		return -EIO;
	blob = fragment_index_write(index, &blob_bytes);
	sqlite3_bind_int64(statement, 1, id);
	sqlite3_bind_int64(statement, 2, end_us);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)bytes);
	sqlite3_bind_blob(statement, 4, blob, (int)blob_bytes, free);
	return catalogue_finish_statement(catalogue, statement);
}

void catalogue_open_segment_free(struct open_segment *open)
{
	LIST_REMOVE(open, entry);
	catalogue_segment_free(open->segment);
	free(open->camera);
	free(open->index.fragments);
	free(open);
}

static int finish_apply(struct catalogue_job *job)
{
	struct catalogue *catalogue = job->catalogue;
	const struct open_segment *open = job->open;

	if (open->id < 0)
		return 0;
	if (job->bytes)
		return catalogue_update_closed(
			catalogue, open->id, open->end_us, job->bytes, &open->index);
	return catalogue_delete(catalogue, open->id);
}

static void finish_run(struct worker_job *worker_job)
{
	struct catalogue_job *job = CONTAINER_OF(worker_job, struct catalogue_job, job);

	job->open = find_ticket(job->catalogue, job->ticket);
	if (job->open)
		change_run(worker_job);
}

void catalogue_finish(struct catalogue *catalogue, int64_t ticket, uint64_t bytes)
{
	struct catalogue_job *job = xcalloc(1, sizeof(*job));

	job->ticket = ticket;
	job->bytes = bytes;
	job->apply = finish_apply;
	if (catalogue_post(catalogue, job, finish_run) == 0)
		catalogue->finished++;
}

uint64_t catalogue_finished(const struct catalogue *catalogue)
{
	return catalogue->finished;
}

/* Gaps of before the first recording are forgotten: nobody misses what is gone in any case. */
static int gap_apply(struct catalogue_job *job)
{
	sqlite3_stmt *add = catalogue_prepare(job->catalogue,
		"INSERT INTO gaps (camera, start_us, end_us, cause) VALUES (?1, ?2, ?3, ?4)");
	sqlite3_stmt *forget;

	if (!add)
		return -EIO;
	sqlite3_bind_text(add, 1, job->camera, -1, SQLITE_STATIC);
	sqlite3_bind_int64(add, 2, job->start_us);
	sqlite3_bind_int64(add, 3, job->end_us);
	sqlite3_bind_text(add, 4, job->cause, -1, SQLITE_STATIC);
	if (catalogue_finish_statement(job->catalogue, add) < 0)
		return -EIO;
	forget = catalogue_prepare(job->catalogue,
		"DELETE FROM gaps WHERE camera = ?1"
		" AND end_us < (SELECT min(start_us) FROM segments WHERE camera = ?1"
		" AND " CATALOGUE_IS_FOOTAGE ")");
	if (forget)
		sqlite3_bind_text(forget, 1, job->camera, -1, SQLITE_STATIC);
	return catalogue_finish_statement(job->catalogue, forget);
}

void catalogue_add_gap(struct catalogue *catalogue, const char *camera, int64_t start_us,
	int64_t end_us, const char *cause)
{
	struct catalogue_job *job = xcalloc(1, sizeof(*job));

	job->camera = xstrdup(camera);
	job->start_us = start_us;
	job->end_us = end_us;
	job->cause = cause;
	job->apply = gap_apply;
	(void)catalogue_post(catalogue, job, NULL);
}

/* The index of a closed segment, all of it so much later. */
static int index_move(sqlite3_stmt *row, int column, int64_t later_us, struct fragment_index *ret)
{
	int error = fragment_index_parse(
		ret, sqlite3_column_blob(row, column), (size_t)sqlite3_column_bytes(row, column));

	for (size_t i = 0; !error && i < ret->n; i++)
		ret->fragments[i].start_us += later_us;
	return error;
}

/* Reads the index of the row to be moved. Returns 1, 0 when there is none, or -EIO. */
static int redate_read(struct catalogue_job *job, struct fragment_index *index)
{
	sqlite3_stmt *row = catalogue_prepare(
		job->catalogue, "SELECT fragments FROM segments WHERE id = ?1 AND state = 1");
	int result, found;

	if (!row)
		return -EIO;
	sqlite3_bind_int64(row, 1, job->id);
	result = sqlite3_step(row);
	found = result == SQLITE_ROW && index_move(row, 0, job->later_us, index) == 0;
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		catalogue_fail(job->catalogue);
	sqlite3_finalize(row);
	return result == SQLITE_ROW || result == SQLITE_DONE ? found : -EIO;
}

static int redate_apply(struct catalogue_job *job)
{
	const char *slash = strrchr(job->path, '/');
	struct fragment_index index = { 0 };
	sqlite3_stmt *update;
	size_t bytes;
	uint8_t *blob;
	int found = redate_read(job, &index);

	if (found <= 0)
		return found;
	if (catalogue_redate_events(job->catalogue, job->id, job->later_us) < 0) {
		free(index.fragments);
		return -EIO;
	}
	update = catalogue_prepare(job->catalogue,
		"UPDATE segments SET path = ?2, folder = ?3, start_us = start_us + ?4, end_us = end_us + ?4,"
		" fragments = ?5, boot_us = 0, boot_id = NULL WHERE id = ?1");
	if (update) {
		blob = fragment_index_write(&index, &bytes);
		sqlite3_bind_int64(update, 1, job->id);
		sqlite3_bind_text(update, 2, job->path, -1, SQLITE_STATIC);
		sqlite3_bind_text(
			update, 3, job->path, slash ? (int)(slash - job->path) : 0, SQLITE_STATIC);
		sqlite3_bind_int64(update, 4, job->later_us);
		sqlite3_bind_blob(update, 5, blob, (int)bytes, free);
	}
	free(index.fragments);
	return catalogue_finish_statement(job->catalogue, update);
}

void catalogue_redate(struct catalogue *catalogue, int64_t id, const char *path, int64_t later_us)
{
	struct catalogue_job *job = xcalloc(1, sizeof(*job));

	job->id = id;
	job->path = xstrdup(path);
	job->later_us = later_us;
	job->apply = redate_apply;
	(void)catalogue_post(catalogue, job, NULL);
}

/* --- life --- */

struct catalogue *catalogue_new(const char *file)
{
	struct catalogue *catalogue = xcalloc(1, sizeof(*catalogue));

	catalogue->file = xstrdup(file);
	catalogue->log = (struct log_name){ .kind = "catalogue" };
	catalogue->next_ticket = 1;
	catalogue->has_properties = true; /* for all that is known */
	LIST_INIT(&catalogue->open);
	STAILQ_INIT(&catalogue->waiting);
	catalogue->segments = metric_get(METRIC_CATALOGUE_SEGMENTS);
	metric_set(catalogue->segments, 0);
	metric_set(metric_get(METRIC_CATALOGUE_OPEN), 0);
	(void)wall_clock_boot_id(); /* before the other thread asks for it too */
	catalogue->worker = worker_new("catalogue", QUEUE_JOBS, QUEUE_BYTES);
	catalogue->timer = reactor_timer_new(catalogue_on_timer, catalogue);
	reactor_timer_start(catalogue->timer, 0);
	return catalogue;
}

static struct catalogue *open_at_once(const char *file, bool in_a_hurry, char **why)
{
	struct catalogue *catalogue = catalogue_new(file);
	int result;

	catalogue->store++;
	catalogue->in_a_hurry = in_a_hurry;
	result = catalogue_connect(catalogue); /* its worker has nothing to do yet */
	catalogue->in_a_hurry = false;
	if (result == SQLITE_MISMATCH) {
		*why = xstrdup("it was made by a newer nvrd");
		catalogue_close(catalogue);
		return NULL;
	}
	catalogue->next_ticket = catalogue->last_id + 1;
	return catalogue;
}

struct catalogue *catalogue_open(const char *file, char **why)
{
	return open_at_once(file, true, why);
}

/* Forgets all segments, and nothing else; not in a database that is not sound all through. */
static int catalogue_empty(struct catalogue *catalogue)
{
	sqlite3_stmt *check = catalogue_prepare(catalogue, "PRAGMA quick_check(1)");
	bool sound = check && sqlite3_step(check) == SQLITE_ROW &&
		     !strcmp((const char *)sqlite3_column_text(check, 0), "ok");

	sqlite3_finalize(check);
	return sound ? catalogue_exec(catalogue, "DELETE FROM segments") : -EBADMSG;
}

struct catalogue *catalogue_open_without_segments(const char *file, char **why)
{
	struct catalogue *catalogue = open_at_once(file, false, why);

	if (catalogue && catalogue->db && catalogue_empty(catalogue) < 0) {
		catalogue_set_aside(catalogue);
		(void)catalogue_connect(catalogue);
	}
	if (!catalogue || (catalogue->db && catalogue->access != CATALOGUE_UNCHANGING))
		return catalogue;
	*why = xstrdup(catalogue->db ? "cannot be written" : "cannot be opened");
	catalogue_close(catalogue);
	return NULL;
}

void catalogue_close(struct catalogue *catalogue)
{
	if (!catalogue)
		return;
	reactor_timer_free(&catalogue->timer);
	catalogue->closing = true;
	worker_free(catalogue->worker);
	catalogue->retry_us = 0;
	if (catalogue->worker)
		catalogue_settle(catalogue);
	if (catalogue->waiting_jobs)
		log_error(&catalogue->log,
			"%zu changes could not be written: the next start finds what the files say",
			catalogue->waiting_jobs);
	catalogue_drop_waiting(catalogue);
	while (!LIST_EMPTY(&catalogue->open))
		catalogue_open_segment_free(LIST_FIRST(&catalogue->open));
	catalogue_forget_questions(catalogue);
	sqlite3_close(catalogue->db); /* the journal goes into the database, and is gone */
	free(catalogue->file);
	free(catalogue);
}
