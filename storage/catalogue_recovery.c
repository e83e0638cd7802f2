/* The catalogue as recovery puts it right: rows that files say, and rows without a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "storage/catalogue_private.h"

/* A row for a path that has none: with everything but what changes when it is closed. Returns its id; 0: there is one, or -EIO. */
static int64_t adopt_insert(struct catalogue_job *job)
{
	const struct catalogue_segment *s = job->segment;
	const char *slash = strrchr(s->path, '/');
	struct catalogue *catalogue = job->catalogue;
	int64_t id = catalogue_new_id(catalogue, job->ticket);
	sqlite3_stmt *insert = catalogue_prepare(catalogue,
		"INSERT INTO segments (id, camera, stream, path, folder, start_us, end_us, bytes, codecs,"
		" width, height, state, volume) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6, 0, '', 0, 0, 0, ?7"
		" WHERE NOT EXISTS (SELECT 1 FROM segments WHERE volume = ?7 AND path = ?4)");

	if (!insert)
		return -EIO;
	sqlite3_bind_int64(insert, 1, id);
	sqlite3_bind_text(insert, 2, s->camera, -1, SQLITE_STATIC);
	sqlite3_bind_text(insert, 3, s->stream, -1, SQLITE_STATIC);
	sqlite3_bind_text(insert, 4, s->path, -1, SQLITE_STATIC);
	sqlite3_bind_text(insert, 5, s->path, slash ? (int)(slash - s->path) : 0, SQLITE_STATIC);
	sqlite3_bind_int64(insert, 6, s->start_us);
	sqlite3_bind_int64(insert, 7, s->volume);
	if (catalogue_finish_statement(catalogue, insert) < 0)
		return -EIO;
	if (sqlite3_changes(catalogue->db) == 0)
		return 0;
	catalogue->added++;
	catalogue->new_id = id;
	return id;
}

static int adopt_apply(struct catalogue_job *job)
{
	const struct catalogue_segment *s = job->segment;
	struct catalogue *catalogue = job->catalogue;
	int64_t id = s->id ? s->id : adopt_insert(job);
	sqlite3_stmt *update;

	if (id <= 0)
		return (int)id;
	update = catalogue_prepare(catalogue,
		"UPDATE segments SET start_us = ?2, codecs = ?3, width = ?4, height = ?5, boot_us = ?6,"
		" boot_id = ?7 WHERE id = ?1");
	if (!update)
		return -EIO;
	sqlite3_bind_int64(update, 1, id);
	sqlite3_bind_int64(update, 2, s->start_us);
	sqlite3_bind_text(update, 3, s->codecs, -1, SQLITE_STATIC);
	sqlite3_bind_int(update, 4, s->width);
	sqlite3_bind_int(update, 5, s->height);
	sqlite3_bind_int64(update, 6, s->boot_us);
	if (*job->boot_id)
		sqlite3_bind_text(update, 7, job->boot_id, -1, SQLITE_STATIC);
	if (catalogue_finish_statement(catalogue, update) < 0)
		return -EIO;
	if (catalogue_update_closed(catalogue, id, s->end_us, s->bytes, &job->index) < 0)
		return -EIO;
	return catalogue_mark_events(catalogue, id);
}

void catalogue_adopt(struct catalogue *catalogue, const struct catalogue_segment *segment,
	const char *boot_id, const struct catalogue_fragment *fragments, size_t n)
{
	struct catalogue_job *job = xcalloc(1, sizeof(*job));

	job->ticket = segment->id ? 0 : catalogue->next_ticket++;
	job->segment = catalogue_segment_copy(segment);
	snprintf(job->boot_id, sizeof(job->boot_id), "%s", boot_id ? boot_id : "");
	for (size_t i = 0; i < n; i++)
		fragment_index_add(&job->index, &fragments[i]);
	job->apply = adopt_apply;
	(void)!catalogue_post(catalogue, job, NULL);
}

static int forget_apply(struct catalogue_job *job)
{
	return catalogue_delete(job->catalogue, job->id);
}

void catalogue_forget(struct catalogue *catalogue, int64_t id)
{
	struct catalogue_job *job = xcalloc(1, sizeof(*job));

	job->id = id;
	job->apply = forget_apply;
	(void)!catalogue_post(catalogue, job, NULL);
}
