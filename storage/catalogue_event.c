/* What happened at cameras: a row for each event, and a mark at the recordings of its time. */
#include <errno.h>
#include <stdlib.h>

#include "server/base/memory.h"
#include "storage/catalogue_private.h"

/* No segment lasts longer. */
#define LONGEST_US "172800000000"

/* Runs a statement whose parameters are whole numbers. */
static int event_run(struct catalogue *catalogue, const char *sql, const int64_t *numbers, int n,
	const char *camera)
{
	sqlite3_stmt *statement = catalogue_prepare(catalogue, sql);

	for (int i = 0; statement && i < n; i++)
		sqlite3_bind_int64(statement, i + 1, numbers[i]);
	if (statement && camera)
		sqlite3_bind_text(statement, n + 1, camera, -1, SQLITE_STATIC);
	return catalogue_finish_statement(catalogue, statement);
}

int catalogue_mark_events(struct catalogue *catalogue, int64_t id)
{
	/* the segments that are open end nowhere yet; a sum of different powers of two is their union */
	return event_run(catalogue,
		"UPDATE segments SET events = (SELECT coalesce(sum(DISTINCT 1 << e.kind), 0)"
		" FROM events e WHERE e.camera = segments.camera AND e.end_us >= segments.start_us"
		" AND (segments.state = 0 OR e.start_us <= segments.end_us)) WHERE id = ?1",
		&id, 1, NULL);
}

int catalogue_redate_events(struct catalogue *catalogue, int64_t id, int64_t later_us)
{
	const int64_t numbers[] = { id, later_us };

	return event_run(catalogue,
		"UPDATE OR REPLACE events SET start_us = start_us + ?2, end_us = end_us + ?2"
		" WHERE camera = (SELECT camera FROM segments WHERE id = ?1)"
		" AND start_us BETWEEN (SELECT start_us FROM segments WHERE id = ?1)"
		" AND (SELECT end_us FROM segments WHERE id = ?1)",
		numbers, ARRAY_LENGTH(numbers), NULL);
}

/* Events of before the first recording are forgotten, as gaps are. */
static int event_apply(struct catalogue_job *job)
{
	struct catalogue *catalogue = job->catalogue;
	const int64_t row[] = { job->start_us, job->kind, job->end_us };
	int error = event_run(catalogue,
		"INSERT INTO events (start_us, kind, end_us, camera) VALUES (?1, ?2, ?3, ?4)"
		" ON CONFLICT DO UPDATE SET end_us = max(end_us, excluded.end_us)",
		row, ARRAY_LENGTH(row), job->camera);

	if (!error)
		error = event_run(catalogue,
			"UPDATE segments SET events = events | (1 << ?2) WHERE camera = ?4"
			" AND start_us BETWEEN ?1 - " LONGEST_US " AND ?3"
			" AND (end_us >= ?1 OR state = 0) AND NOT events & (1 << ?2)",
			row, ARRAY_LENGTH(row), job->camera);
	if (!error)
		error = event_run(catalogue,
			"DELETE FROM events WHERE camera = ?1 AND end_us <"
			" (SELECT min(start_us) FROM segments WHERE camera = ?1"
			" AND " CATALOGUE_IS_FOOTAGE ")",
			NULL, 0, job->camera);
	return error;
}

void catalogue_add_event(struct catalogue *catalogue, const char *camera, enum event_kind kind,
	int64_t start_us, int64_t end_us)
{
	struct catalogue_job *job = xcalloc(1, sizeof(*job));

	job->camera = xstrdup(camera);
	job->kind = kind;
	job->start_us = start_us;
	job->end_us = end_us;
	job->apply = event_apply;
	(void)!catalogue_post(catalogue, job, NULL);
}
