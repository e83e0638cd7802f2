/* Asking the catalogue: each question is one job; open segments are told as they are now. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/wall_clock.h"
#include "storage/catalogue_private.h"

/* No segment lasts longer. */
#define LONGEST_US (INT64_C(2) * 86400 * 1000000)

/* Nor is an event told of that does. */
#define LONGEST_EVENT_US (INT64_C(7) * 86400 * 1000000)

#define ROW \
	"SELECT id, camera, stream, path, start_us, end_us, bytes, codecs, width, height, state, boot_us, volume, events FROM segments "

/* By path, and without a look at the rows themselves. */
#define LISTED ROW "INDEXED BY segments_listed "

struct catalogue_query {
	struct worker_job job;
	struct catalogue *catalogue;
	bool cancelled; /* reactor */
	void *arg;
	catalogue_segments_fn *on_segments; /* which of the four is set says what is asked for */
	catalogue_names_fn *on_names;
	catalogue_events_fn *on_events;
	catalogue_index_fn *on_index;

	/* worker: the question ... */
	const char *sql;
	char *texts[2];     /* bound as ?1, ?2 */
	int64_t numbers[4]; /* bound as ?3 to ?6 */
	size_t limit;
	bool all;         /* also rows of files without a fragment */
	bool interrupted; /* but not those of files that are being written */

	/* ... and the answer */
	int error;
	struct catalogue_segment **segments; /* there is room for `size` */
	char **names;
	struct catalogue_event *events;
	size_t n, size;
	struct fragment_index index;
};

/* The row and its texts are one block: there are thousands of them. */
static struct catalogue_segment *query_new_row(sqlite3_stmt *statement)
{
	static const int columns[] = { 1, 2, 3, 7 };
	struct catalogue_segment *row;
	char **texts[ARRAY_LENGTH(columns)];
	const char *from[ARRAY_LENGTH(columns)];
	size_t bytes[ARRAY_LENGTH(columns)], all = sizeof(*row);
	char *at;

	for (size_t i = 0; i < ARRAY_LENGTH(columns); i++) {
		const unsigned char *text = sqlite3_column_text(statement, columns[i]);

		from[i] = text ? (const char *)text : "";
		bytes[i] = strlen(from[i]) + 1;
		all += bytes[i];
	}
	row = xmalloc(all);
	at = (char *)(row + 1);
	texts[0] = &row->camera, texts[1] = &row->stream, texts[2] = &row->path;
	texts[3] = &row->codecs;
	for (size_t i = 0; i < ARRAY_LENGTH(columns); i++) {
		*texts[i] = memcpy(at, from[i], bytes[i]);
		at += bytes[i];
	}
	return row;
}

static struct catalogue_segment *query_read_row(
	const struct catalogue *catalogue, sqlite3_stmt *statement)
{
	struct catalogue_segment *row = query_new_row(statement);
	const struct open_segment *open;

	row->id = sqlite3_column_int64(statement, 0);
	row->start_us = sqlite3_column_int64(statement, 4);
	row->end_us = sqlite3_column_int64(statement, 5);
	row->bytes = (uint64_t)sqlite3_column_int64(statement, 6);
	row->width = sqlite3_column_int(statement, 8);
	row->height = sqlite3_column_int(statement, 9);
	row->state = sqlite3_column_int(statement, 10) ? SEGMENT_CLOSED : SEGMENT_OPEN;
	row->boot_us = sqlite3_column_int64(statement, 11);
	row->volume = sqlite3_column_int64(statement, 12);
	row->events = (unsigned)sqlite3_column_int64(statement, 13);
	open = row->state == SEGMENT_OPEN ? catalogue_find_open(catalogue, row->id) : NULL;
	if (open) {
		row->end_us = open->end_us;
		row->bytes = open->bytes;
	}
	return row;
}

static sqlite3_stmt *query_prepare(struct catalogue_query *query)
{
	sqlite3_stmt *statement = catalogue_ask(query->catalogue, query->sql);
	int parameters;

	if (!statement)
		return NULL;
	parameters = sqlite3_bind_parameter_count(statement);
	for (int i = 0; i < 2 && i < parameters; i++) {
		if (query->texts[i])
			sqlite3_bind_text(statement, i + 1, query->texts[i], -1, SQLITE_STATIC);
	}
	for (int i = 0; i < (int)ARRAY_LENGTH(query->numbers) && i + 2 < parameters; i++)
		sqlite3_bind_int64(statement, i + 3, query->numbers[i]);
	return statement;
}

/* A file without any fragment on disk does not exist yet. */
static bool query_is_visible(
	const struct catalogue_query *query, const struct catalogue_segment *row)
{
	return query->all ||
	       (row->bytes > 0 && (!query->numbers[0] || row->end_us > query->numbers[0]));
}

static void query_add_segment(struct catalogue_query *query, sqlite3_stmt *statement)
{
	struct catalogue_segment *row = query_read_row(query->catalogue, statement);

	if (!query_is_visible(query, row) ||
		(query->interrupted && catalogue_find_open(query->catalogue, row->id))) {
		free(row);
		return;
	}
	if (query->n == query->size) {
		query->size = query->size ? 2 * query->size : 8;
		query->segments =
			xrealloc(query->segments, query->size * sizeof(struct catalogue_segment *));
	}
	query->segments[query->n++] = row;
}

static void query_add_name(struct catalogue_query *query, sqlite3_stmt *statement)
{
	query->names = xrealloc(query->names, (query->n + 1) * sizeof(char *));
	query->names[query->n++] = xstrdup((const char *)sqlite3_column_text(statement, 0));
}

static void query_add_event(struct catalogue_query *query, sqlite3_stmt *statement)
{
	if (query->n == query->size) {
		query->size = query->size ? 2 * query->size : 8;
		query->events = xrealloc(query->events, query->size * sizeof(*query->events));
	}
	query->events[query->n++] =
		(struct catalogue_event){ .start_us = sqlite3_column_int64(statement, 0),
			.kind = (enum event_kind)sqlite3_column_int(statement, 1),
			.end_us = sqlite3_column_int64(statement, 2) };
}

static void query_read_index(struct catalogue_query *query, sqlite3_stmt *statement)
{
	const struct open_segment *open = catalogue_find_open(query->catalogue, query->numbers[0]);
	const uint8_t *blob = sqlite3_column_blob(statement, 0);
	size_t n = (size_t)sqlite3_column_bytes(statement, 0);

	if (open) {
		for (size_t i = 0; i < open->index.n; i++)
			fragment_index_add(&query->index, &open->index.fragments[i]);
	} else {
		query->error = fragment_index_parse(&query->index, blob, n);
	}
}

static void query_run(struct worker_job *job)
{
	struct catalogue_query *query = CONTAINER_OF(job, struct catalogue_query, job);
	sqlite3_stmt *statement;
	int result;

	catalogue_follow(query->catalogue);
	statement = query_prepare(query);
	if (!statement) {
		query->error = -EIO;
		catalogue_mend(query->catalogue);
		return;
	}
	while ((result = sqlite3_step(statement)) == SQLITE_ROW &&
		(!query->limit || query->n < query->limit)) {
		if (query->on_segments)
			query_add_segment(query, statement);
		else if (query->on_names)
			query_add_name(query, statement);
		else if (query->on_events)
			query_add_event(query, statement);
		else
			query_read_index(query, statement);
	}
	if (result != SQLITE_ROW && result != SQLITE_DONE) {
		catalogue_fail(query->catalogue);
		query->error = -EIO;
	}
	sqlite3_reset(statement);
	catalogue_mend(query->catalogue);
}

static void query_free(struct catalogue_query *query)
{
	for (size_t i = 0; i < query->n; i++) {
		if (query->segments)
			free(query->segments[i]);
		if (query->names)
			free(query->names[i]);
	}
	free(query->segments);
	free(query->names);
	free(query->events);
	free(query->index.fragments);
	free(query->texts[0]);
	free(query->texts[1]);
	free(query);
}

/* Rows as an array of values, as callers like them. */
static void query_tell_segments(struct catalogue_query *query)
{
	struct catalogue_segment *rows = xcalloc(query->n, sizeof(*rows));

	for (size_t i = 0; i < query->n; i++)
		rows[i] = *query->segments[i];
	query->on_segments(query->arg, query->error, rows, query->n);
	free(rows);
}

static void query_done(struct worker_job *job)
{
	struct catalogue_query *query = CONTAINER_OF(job, struct catalogue_query, job);

	if (query->cancelled)
		;
	else if (query->on_segments)
		query_tell_segments(query);
	else if (query->on_names)
		query->on_names(
			query->arg, query->error, (const char *const *)query->names, query->n);
	else if (query->on_events)
		query->on_events(query->arg, query->error, query->events, query->n);
	else
		query->on_index(query->arg, query->error, query->index.fragments, query->index.n);
	query_free(query);
}

static struct catalogue_query *query_new(struct catalogue *catalogue, const char *sql, void *arg)
{
	struct catalogue_query *query = xcalloc(1, sizeof(*query));

	query->job.run = query_run;
	query->job.done = query_done;
	query->job.bytes = sizeof(*query);
	query->catalogue = catalogue;
	query->sql = sql;
	query->arg = arg;
	return query;
}

/* NULL when the queue is full: nobody is called back. */
static struct catalogue_query *query_post(struct catalogue_query *query)
{
	if (worker_post(query->catalogue->worker, &query->job) == 0)
		return query;
	query_free(query);
	return NULL;
}

void catalogue_cancel(struct catalogue_query *query)
{
	if (query)
		query->cancelled = true;
}

struct catalogue_query *catalogue_list(struct catalogue *catalogue, const char *camera,
	int64_t from_us, int64_t to_us, const char *after, size_t limit,
	catalogue_segments_fn *done, void *arg)
{
	/*
	 * An open segment's end is not in the table: query_is_visible() looks again. None lasts more than two days: what began
	 * before is not looked at.
	 */
	struct catalogue_query *query = query_new(catalogue,
		ROW
		"WHERE camera = ?1 AND path > ?2 AND (end_us > ?3 OR state = 0) AND start_us > ?3 - 172800000000"
		" AND start_us < ?4 AND " CATALOGUE_IS_FOOTAGE " ORDER BY start_us",
		arg);

	query->on_segments = done;
	query->texts[0] = xstrdup(camera);
	query->texts[1] = xstrdup(after ? after : "");
	query->numbers[0] = from_us;
	query->numbers[1] = to_us;
	query->limit = limit;
	return query_post(query);
}

struct catalogue_query *catalogue_list_folder(struct catalogue *catalogue, const char *folder,
	const char *after, size_t limit, catalogue_segments_fn *done, void *arg)
{
	struct catalogue_query *query =
		query_new(catalogue, LISTED "WHERE path > ?1 AND path < ?2 ORDER BY path", arg);

	/* '0' comes right after '/': between them stands all that is in the folder */
	query->on_segments = done;
	query->texts[0] = after ? xasprintf("%s/%s", folder, after) : xasprintf("%s/", folder);
	query->texts[1] = xasprintf("%s0", folder);
	query->limit = limit;
	return query_post(query);
}

struct catalogue_query *catalogue_search(struct catalogue *catalogue, const char *camera,
	const char *folder, const struct catalogue_span *span, size_t limit,
	catalogue_segments_fn *done, void *arg)
{
#define BY_TIME "INDEXED BY segments_by_time WHERE camera = ?1 "
#define BY_FOLDER "INDEXED BY segments_by_folder WHERE camera = ?1 AND folder = ?2 "
#define OLDEST_FIRST \
	"AND (start_us, id) > (?5, ?6) AND start_us <= ?4 AND (end_us > ?3 OR state = 0) ORDER BY start_us, id"
#define NEWEST_FIRST \
	"AND (start_us, id) < (?5, ?6) AND start_us >= ?4 AND (end_us > ?3 OR state = 0) ORDER BY start_us DESC, id DESC"
	static const char *const sql[2][2] = {
		{ROW BY_TIME OLDEST_FIRST,    ROW BY_TIME NEWEST_FIRST  },
		{ ROW BY_FOLDER OLDEST_FIRST, ROW BY_FOLDER NEWEST_FIRST},
	};
	struct catalogue_query *query =
		query_new(catalogue, sql[folder != NULL][span->newest_first], arg);
	int64_t ended_us = span->ended_us > 0 ? span->ended_us - 1 : 0;
	int64_t from_us =
		span->from_us > ended_us - LONGEST_US ? span->from_us : ended_us - LONGEST_US;

	query->on_segments = done;
	query->texts[0] = xstrdup(camera);
	query->texts[1] = folder ? xstrdup(folder) : NULL;
	query->numbers[0] = ended_us;
	query->numbers[1] = span->newest_first ? from_us : span->to_us;
	if (span->after_id) {
		query->numbers[2] = span->after_us;
		query->numbers[3] = span->after_id;
	} else {
		query->numbers[2] = span->newest_first ? span->to_us : from_us;
		query->numbers[3] = span->newest_first ? INT64_MAX : INT64_MIN;
	}
	query->limit = limit;
	return query_post(query);
}

struct catalogue_query *catalogue_find(
	struct catalogue *catalogue, const char *path, catalogue_segments_fn *done, void *arg)
{
	struct catalogue_query *query =
		query_new(catalogue, LISTED "WHERE path = ?1 ORDER BY volume", arg);

	query->on_segments = done;
	query->texts[0] = xstrdup(path);
	query->limit = 1;
	return query_post(query);
}

struct catalogue_query *catalogue_undated(
	struct catalogue *catalogue, int64_t after, catalogue_segments_fn *done, void *arg)
{
	struct catalogue_query *query =
		query_new(catalogue, ROW "WHERE boot_id = ?1 AND id > ?4 ORDER BY id", arg);

	query->on_segments = done;
	query->texts[0] = xstrdup(wall_clock_boot_id());
	query->numbers[1] = after;
	query->limit = 1;
	return query_post(query);
}

struct catalogue_query *catalogue_newest(
	struct catalogue *catalogue, const char *camera, catalogue_segments_fn *done, void *arg)
{
	struct catalogue_query *query = query_new(catalogue,
		ROW "WHERE camera = ?1 AND " CATALOGUE_IS_FOOTAGE " ORDER BY start_us DESC", arg);

	query->on_segments = done;
	query->texts[0] = xstrdup(camera);
	query->limit = 1;
	return query_post(query);
}

struct catalogue_query *catalogue_interrupted(
	struct catalogue *catalogue, int64_t after, catalogue_segments_fn *done, void *arg)
{
	struct catalogue_query *query =
		query_new(catalogue, ROW "WHERE state = 0 AND id > ?3 ORDER BY id", arg);

	query->on_segments = done;
	query->numbers[0] = after;
	query->limit = 1;
	query->all = true;
	query->interrupted = true;
	return query_post(query);
}

struct catalogue_query *catalogue_folder_rows(
	struct catalogue *catalogue, const char *folder, catalogue_segments_fn *done, void *arg)
{
	struct catalogue_query *query =
		query_new(catalogue, ROW "WHERE path > ?1 AND path < ?2 ORDER BY path", arg);

	query->on_segments = done;
	query->texts[0] = xasprintf("%s/", folder);
	query->texts[1] = xasprintf("%s0", folder);
	query->all = true;
	return query_post(query);
}

struct catalogue_query *catalogue_folders(
	struct catalogue *catalogue, int64_t volume, catalogue_names_fn *done, void *arg)
{
	struct catalogue_query *query = query_new(catalogue,
		"SELECT DISTINCT folder FROM segments INDEXED BY segments_by_folder WHERE volume = ?3 ORDER BY folder",
		arg);

	query->on_names = done;
	query->numbers[0] = volume;
	return query_post(query);
}

struct catalogue_query *catalogue_names(
	struct catalogue *catalogue, const char *camera, catalogue_names_fn *done, void *arg)
{
	static const char cameras[] = "SELECT DISTINCT camera FROM totals ORDER BY camera";
	static const char days[] =
		"SELECT DISTINCT substr(folder, length('recordings/' || ?1 || '/') + 1)"
		" FROM segments WHERE camera = ?1 ORDER BY folder";
	struct catalogue_query *query = query_new(catalogue, camera ? days : cameras, arg);

	query->on_names = done;
	query->texts[0] = camera ? xstrdup(camera) : NULL;
	return query_post(query);
}

struct catalogue_query *catalogue_index(
	struct catalogue *catalogue, int64_t id, catalogue_index_fn *done, void *arg)
{
	struct catalogue_query *query =
		query_new(catalogue, "SELECT fragments, ?1, ?2 FROM segments WHERE id = ?3", arg);

	query->on_index = done;
	query->numbers[0] = id;
	return query_post(query);
}

struct catalogue_query *catalogue_events(struct catalogue *catalogue, const char *camera,
	int64_t from_us, int64_t to_us, const struct catalogue_event *after, size_t limit,
	catalogue_events_fn *done, void *arg)
{
	struct catalogue_query *query = query_new(catalogue,
		"SELECT start_us, kind, end_us, ?2 FROM events WHERE camera = ?1 AND end_us >= ?3"
		" AND start_us <= ?4 AND (start_us, kind) > (?5, ?6) ORDER BY start_us, kind",
		arg);

	query->on_events = done;
	query->texts[0] = xstrdup(camera);
	query->numbers[0] = from_us;
	query->numbers[1] = to_us;
	query->numbers[2] = after ? after->start_us : from_us - LONGEST_EVENT_US;
	query->numbers[3] = after ? (int64_t)after->kind : -1;
	query->limit = limit;
	return query_post(query);
}
