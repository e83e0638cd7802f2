/* The catalogue's thread, its schema, and what the recorder tells it. */
#include "storage/catalogue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"
#include "storage/catalogue_private.h"

enum {
	QUEUE_JOBS = 1 << 16,
	QUEUE_BYTES = 64 << 20,
	UPGRADE_STEPS = 10000 /* of SQLite, between two looks whether it is wanted still */
};

/* Makes the tables of version 1; the database is then brought up to date like an old one. */
static const char schema[] = "CREATE TABLE segments ("
			     " id INTEGER PRIMARY KEY,"
			     " camera TEXT NOT NULL,"
			     " stream TEXT NOT NULL,"
			     " volume INTEGER NOT NULL DEFAULT 0,"
			     " path TEXT NOT NULL,"
			     " folder TEXT NOT NULL," /* the path's folder */
			     " start_us INTEGER NOT NULL,"
			     " end_us INTEGER NOT NULL,"
			     " bytes INTEGER NOT NULL,"
			     " codecs TEXT NOT NULL,"
			     " width INTEGER NOT NULL,"
			     " height INTEGER NOT NULL,"
			     " state INTEGER NOT NULL," /* enum catalogue_state */
			     " fragments BLOB);"
			     "CREATE UNIQUE INDEX segments_by_path ON segments (volume, path);"
			     "CREATE INDEX segments_by_folder ON segments (camera, folder);"
			     "CREATE INDEX segments_by_time ON segments (camera, start_us);";

/* What makes each version of the one before. */
static const char *const upgrades[CATALOGUE_SCHEMA_VERSION] = {
	schema,
	/* of segments from before the clock was set: wall_clock_boot_id(), wall_clock_boot_us() */
	"ALTER TABLE segments ADD COLUMN boot_id TEXT;"
	"ALTER TABLE segments ADD COLUMN boot_us INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX segments_undated ON segments (boot_id) WHERE boot_id IS NOT NULL;",
	/* what should have been recorded and was not */
	"CREATE TABLE gaps ("
	" camera TEXT NOT NULL,"
	" start_us INTEGER NOT NULL,"
	" end_us INTEGER NOT NULL,"
	" cause TEXT NOT NULL);"
	"CREATE INDEX gaps_by_time ON gaps (camera, start_us);",
	/*
	 * What retention, and the start with a million rows, ask for without reading the rows. INSERT OR REPLACE
	 * would pass the triggers by.
	 */
	"CREATE INDEX segments_open ON segments (state) WHERE state = 0;"
	"CREATE INDEX segments_by_age ON segments (camera, start_us) WHERE state = 1 AND boot_us = 0;"
	"CREATE INDEX segments_by_order ON segments (camera) WHERE state = 1 AND boot_us <> 0;"
	"CREATE TABLE totals ("
	" camera TEXT PRIMARY KEY,"
	" bytes INTEGER NOT NULL," /* an open segment has none yet */
	" segments INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO totals SELECT camera, sum(bytes), count(*) FROM segments GROUP BY camera;"
	"CREATE TRIGGER segments_count_added AFTER INSERT ON segments BEGIN"
	" INSERT INTO totals VALUES (new.camera, new.bytes, 1) ON CONFLICT (camera)"
	"  DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_changed AFTER UPDATE OF bytes ON segments BEGIN"
	" UPDATE totals SET bytes = bytes + new.bytes - old.bytes WHERE camera = old.camera;"
	"END;"
	"CREATE TRIGGER segments_count_removed AFTER DELETE ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - old.bytes, segments = segments - 1 WHERE camera = old.camera;"
	" DELETE FROM totals WHERE camera = old.camera AND segments = 0;"
	"END;",
	/* the same without time-lapses, which stay: their bytes are not counted, their rows not read */
	"DROP INDEX segments_by_age;"
	"DROP INDEX segments_by_order;"
	"CREATE INDEX segments_by_age ON segments (camera, start_us)"
	" WHERE state = 1 AND boot_us = 0 AND " CATALOGUE_IS_FOOTAGE ";"
	"CREATE INDEX segments_by_order ON segments (camera)"
	" WHERE state = 1 AND boot_us <> 0 AND " CATALOGUE_IS_FOOTAGE ";"
	"DROP TRIGGER segments_count_added;"
	"DROP TRIGGER segments_count_changed;"
	"DROP TRIGGER segments_count_removed;"
	"CREATE TRIGGER segments_count_added AFTER INSERT ON segments BEGIN"
	" INSERT INTO totals VALUES (new.camera, (new." CATALOGUE_IS_FOOTAGE ") * new.bytes, 1)"
	"  ON CONFLICT (camera) DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_changed AFTER UPDATE OF bytes ON segments"
	" WHEN new." CATALOGUE_IS_FOOTAGE " BEGIN"
	" UPDATE totals SET bytes = bytes + new.bytes - old.bytes WHERE camera = old.camera;"
	"END;"
	"CREATE TRIGGER segments_count_removed AFTER DELETE ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - (old." CATALOGUE_IS_FOOTAGE ") * old.bytes,"
	"  segments = segments - 1 WHERE camera = old.camera;"
	" DELETE FROM totals WHERE camera = old.camera AND segments = 0;"
	"END;",
	/* several volumes: totals of each, and what lies on each by age */
	"DROP INDEX segments_by_path;"
	"CREATE UNIQUE INDEX segments_by_path ON segments (path, volume);"
	"DROP INDEX segments_by_folder;"
	"CREATE INDEX segments_by_folder ON segments (camera, folder, volume);"
	"CREATE INDEX segments_by_volume_age ON segments (volume, camera, start_us)"
	" WHERE state = 1 AND boot_us = 0 AND " CATALOGUE_IS_FOOTAGE ";"
	"CREATE INDEX segments_by_volume_order ON segments (volume, camera)"
	" WHERE state = 1 AND boot_us <> 0 AND " CATALOGUE_IS_FOOTAGE ";"
	"DROP TRIGGER segments_count_added; DROP TRIGGER segments_count_changed;"
	"DROP TRIGGER segments_count_removed; DROP TABLE totals;"
	"CREATE TABLE totals ("
	" camera TEXT NOT NULL,"
	" volume INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL," /* an open segment has none yet, time-lapses none at all */
	" segments INTEGER NOT NULL,"
	" PRIMARY KEY (camera, volume)) WITHOUT ROWID;"
	"INSERT INTO totals SELECT camera, volume, sum((" CATALOGUE_IS_FOOTAGE
	") * bytes), count(*)"
	" FROM segments GROUP BY camera, volume;"
	"CREATE TRIGGER segments_count_added AFTER INSERT ON segments BEGIN"
	" INSERT INTO totals VALUES (new.camera, new.volume, (new." CATALOGUE_IS_FOOTAGE
	") * new.bytes, 1)"
	"  ON CONFLICT (camera, volume) DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_changed AFTER UPDATE OF bytes ON segments"
	" WHEN new." CATALOGUE_IS_FOOTAGE " BEGIN"
	" UPDATE totals SET bytes = bytes + new.bytes - old.bytes"
	"  WHERE camera = old.camera AND volume = old.volume;"
	"END;"
	"CREATE TRIGGER segments_count_moved AFTER UPDATE OF volume ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - (old." CATALOGUE_IS_FOOTAGE
	") * old.bytes, segments = segments - 1"
	"  WHERE camera = old.camera AND volume = old.volume;"
	" DELETE FROM totals WHERE camera = old.camera AND volume = old.volume AND segments = 0;"
	" INSERT INTO totals VALUES (new.camera, new.volume, (new." CATALOGUE_IS_FOOTAGE
	") * new.bytes, 1)"
	"  ON CONFLICT (camera, volume) DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_removed AFTER DELETE ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - (old." CATALOGUE_IS_FOOTAGE
	") * old.bytes, segments = segments - 1"
	"  WHERE camera = old.camera AND volume = old.volume;"
	" DELETE FROM totals WHERE camera = old.camera AND volume = old.volume AND segments = 0;"
	"END;",
	/* what people attach to names of the tree: catalogue_resource.c */
	"CREATE TABLE locks ("
	" token TEXT PRIMARY KEY,"
	" path TEXT NOT NULL,"
	" user TEXT NOT NULL,"
	" owner TEXT NOT NULL,"
	" exclusive INTEGER NOT NULL,"
	" deep INTEGER NOT NULL,"
	" expires_us INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE properties ("
	" path TEXT NOT NULL,"
	" space TEXT NOT NULL,"
	" name TEXT NOT NULL,"
	" folder TEXT NOT NULL," /* the path's */
	" value TEXT NOT NULL,"
	" PRIMARY KEY (path, space, name)) WITHOUT ROWID;"
	"CREATE INDEX properties_by_folder ON properties (folder, path);",
	/* retention of time-lapses as well: totals of their own, and which of them are old */
	"CREATE INDEX timelapses_by_age ON segments (camera, start_us)"
	" WHERE state = 1 AND boot_us = 0 AND " CATALOGUE_IS_TIMELAPSE ";"
	"CREATE INDEX timelapses_by_order ON segments (camera)"
	" WHERE state = 1 AND boot_us <> 0 AND " CATALOGUE_IS_TIMELAPSE ";"
	"DROP TRIGGER segments_count_added; DROP TRIGGER segments_count_changed;"
	"DROP TRIGGER segments_count_moved; DROP TRIGGER segments_count_removed; DROP TABLE totals;"
	"CREATE TABLE totals ("
	" camera TEXT NOT NULL,"
	" timelapse INTEGER NOT NULL," /* 1: of its time-lapses; 0: of its recordings */
	" volume INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL," /* an open segment has none yet */
	" segments INTEGER NOT NULL,"
	" PRIMARY KEY (camera, timelapse, volume)) WITHOUT ROWID;"
	"INSERT INTO totals SELECT camera, " CATALOGUE_IS_TIMELAPSE ", volume, sum(bytes), count(*)"
	" FROM segments GROUP BY 1, 2, 3;"
	"CREATE TRIGGER segments_count_added AFTER INSERT ON segments BEGIN"
	" INSERT INTO totals VALUES (new.camera, new." CATALOGUE_IS_TIMELAPSE
	", new.volume, new.bytes, 1)"
	"  ON CONFLICT (camera, timelapse, volume)"
	"  DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_changed AFTER UPDATE OF bytes ON segments BEGIN"
	" UPDATE totals SET bytes = bytes + new.bytes - old.bytes"
	"  WHERE camera = old.camera AND timelapse = (old." CATALOGUE_IS_TIMELAPSE
	") AND volume = old.volume;"
	"END;"
	"CREATE TRIGGER segments_count_moved AFTER UPDATE OF volume ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - old.bytes, segments = segments - 1"
	"  WHERE camera = old.camera AND timelapse = (old." CATALOGUE_IS_TIMELAPSE
	") AND volume = old.volume;"
	" DELETE FROM totals WHERE camera = old.camera AND volume = old.volume AND segments = 0;"
	" INSERT INTO totals VALUES (new.camera, new." CATALOGUE_IS_TIMELAPSE
	", new.volume, new.bytes, 1)"
	"  ON CONFLICT (camera, timelapse, volume)"
	"  DO UPDATE SET bytes = bytes + excluded.bytes, segments = segments + 1;"
	"END;"
	"CREATE TRIGGER segments_count_removed AFTER DELETE ON segments BEGIN"
	" UPDATE totals SET bytes = bytes - old.bytes, segments = segments - 1"
	"  WHERE camera = old.camera AND timelapse = (old." CATALOGUE_IS_TIMELAPSE
	") AND volume = old.volume;"
	" DELETE FROM totals WHERE camera = old.camera AND volume = old.volume AND segments = 0;"
	"END;",
	/* all that listings tell, beside the index of fragments, which is a hundred times as large */
	"ALTER TABLE segments ADD COLUMN events INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX segments_listed ON segments (path, volume, camera, stream, start_us, end_us,"
	" bytes, codecs, width, height, state, boot_us, events);"
	"CREATE TABLE events ("
	" camera TEXT NOT NULL,"
	" start_us INTEGER NOT NULL,"
	" kind INTEGER NOT NULL," /* enum event_kind */
	" end_us INTEGER NOT NULL,"
	" PRIMARY KEY (camera, start_us, kind)) WITHOUT ROWID;",
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

/* --- SQL --- */

void catalogue_fail(struct catalogue *catalogue)
{
	catalogue->failure = sqlite3_errcode(catalogue->db);
	metric_add(metric_get(METRIC_CATALOGUE_ERRORS, "failed"), 1);
	log_write_repeated(&catalogue->trouble, LOG_ERROR, &catalogue->log, "%s",
		sqlite3_errmsg(catalogue->db));
}

int catalogue_exec(struct catalogue *catalogue, const char *sql)
{
	if (catalogue->db && sqlite3_exec(catalogue->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	if (catalogue->db)
		catalogue_fail(catalogue);
	return -EIO;
}

sqlite3_stmt *catalogue_prepare(struct catalogue *catalogue, const char *sql)
{
	sqlite3_stmt *statement = NULL;

	if (!catalogue->db)
		return NULL;
	if (sqlite3_prepare_v2(catalogue->db, sql, -1, &statement, NULL) != SQLITE_OK)
		catalogue_fail(catalogue);
	return statement;
}

sqlite3_stmt *catalogue_ask(struct catalogue *catalogue, const char *sql)
{
	for (size_t i = 0; i < CATALOGUE_QUESTIONS; i++) {
		if (!catalogue->questions[i].statement) {
			catalogue->questions[i].sql = sql;
			catalogue->questions[i].statement = catalogue_prepare(catalogue, sql);
		}
		if (catalogue->questions[i].sql == sql)
			return catalogue->questions[i].statement;
	}
	abort(); /* one that is not static */
}

int catalogue_finish_statement(struct catalogue *catalogue, sqlite3_stmt *statement)
{
	if (!statement)
		return -EIO;
	(void)sqlite3_step(statement);
	if (sqlite3_finalize(statement) == SQLITE_OK)
		return 0;
	catalogue_fail(catalogue);
	return -EIO;
}

int64_t catalogue_number(struct catalogue *catalogue, const char *sql)
{
	sqlite3_stmt *statement = catalogue_prepare(catalogue, sql);
	int64_t number = -1;

	if (statement && sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
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

/* --- opening --- */

static int catalogue_is_closing(void *arg)
{
	const struct catalogue *catalogue = arg;

	return catalogue->closing;
}

/*
 * Makes the tables, or brings those of an older nvrd up to date: all of it or nothing, which for a million rows takes half a
 * minute. An SQLite result code.
 */
static int catalogue_upgrade(struct catalogue *catalogue, int64_t version)
{
	char *done = xasprintf("PRAGMA user_version = %d; COMMIT", CATALOGUE_SCHEMA_VERSION);
	int result;

	if (version && !catalogue->closing)
		log_info(&catalogue->log,
			"%s is brought up to date; recordings are not listed until then",
			catalogue->file);
	sqlite3_progress_handler(catalogue->db, UPGRADE_STEPS, catalogue_is_closing, catalogue);
	result = sqlite3_exec(catalogue->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (; result == SQLITE_OK && version < CATALOGUE_SCHEMA_VERSION; version++)
		result = sqlite3_exec(catalogue->db, upgrades[version], NULL, NULL, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_exec(catalogue->db, done, NULL, NULL, NULL);
	if (!sqlite3_get_autocommit(catalogue->db))
		(void)sqlite3_exec(catalogue->db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_progress_handler(catalogue->db, 0, NULL, NULL);
	free(done);
	return result;
}

/* A file that nobody changes, as SQLite's URI. */
static char *unchanging_uri(const char *file)
{
	char *uri = xmalloc(3 * strlen(file) + 32), *end = stpcpy(uri, "file:");

	for (; *file; file++) {
		if (strchr("%?#", *file))
			end += snprintf(end, 4, "%%%02X", (unsigned)*file);
		else
			*end++ = *file;
	}
	stpcpy(end, "?immutable=1");
	return uri;
}

static int catalogue_open_file(struct catalogue *catalogue, enum catalogue_access access)
{
	char *uri;
	int result;

	if (access != CATALOGUE_UNCHANGING)
		return sqlite3_open_v2(catalogue->file, &catalogue->db,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	uri = unchanging_uri(catalogue->file);
	result = sqlite3_open_v2(uri, &catalogue->db,
		SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	free(uri);
	return result;
}

int catalogue_open_database(struct catalogue *catalogue, enum catalogue_access access)
{
	static const char *const pragmas[] = {
		[CATALOGUE_SHARED] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
		[CATALOGUE_ALONE] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
				    "PRAGMA synchronous = NORMAL",
		[CATALOGUE_UNCHANGING] = "",
	};
	int result = catalogue_open_file(catalogue, access);
	int64_t version;

	catalogue->access = access;
	if (result != SQLITE_OK)
		return result;
	sqlite3_busy_timeout(catalogue->db, CATALOGUE_BUSY_MS);
	result = sqlite3_exec(catalogue->db, pragmas[access], NULL, NULL, NULL);
	if (result != SQLITE_OK)
		return result;
	catalogue->failure = SQLITE_OK;
	version = catalogue_number(catalogue, "PRAGMA user_version");
	if (version < 0)
		return catalogue->failure ? catalogue->failure : SQLITE_CORRUPT;
	if (version > CATALOGUE_SCHEMA_VERSION)
		return SQLITE_MISMATCH;
	if (version == CATALOGUE_SCHEMA_VERSION)
		return SQLITE_OK;
	return version && catalogue->in_a_hurry ? SQLITE_SCHEMA
						: catalogue_upgrade(catalogue, version);
}

static void catalogue_forget_questions(struct catalogue *catalogue)
{
	for (size_t i = 0; i < CATALOGUE_QUESTIONS; i++) {
		sqlite3_finalize(catalogue->questions[i].statement);
		catalogue->questions[i].statement = NULL;
	}
}

void catalogue_close_database(struct catalogue *catalogue)
{
	catalogue_forget_questions(catalogue);
	/* the journal may lie elsewhere than its name leads by now: nothing is removed */
	if (catalogue->db)
		(void)sqlite3_db_config(
			catalogue->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	sqlite3_close(catalogue->db);
	catalogue->db = NULL;
}

void catalogue_set_aside(struct catalogue *catalogue)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	long long now = (long long)time(NULL);

	catalogue_close_database(catalogue);
	for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++) {
		char *from = xasprintf("%s%s", catalogue->file, suffixes[i]);
		char *to = xasprintf("%s.damaged-%lld%s", catalogue->file, now, suffixes[i]);

		if (rename(from, to) == 0 && i == 0)
			log_warn(&catalogue->log, "damaged: set aside as %s", to);
		free(from);
		free(to);
	}
	catalogue->known_store = 0;
	metric_add(metric_get(METRIC_CATALOGUE_ERRORS, "damaged"), 1);
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
