/* Recordings that go from one volume to another. */
#include <errno.h>
#include <stdlib.h>

#include "server/base/memory.h"
#include "storage/catalogue_private.h"

struct volume_job {
	struct worker_job job;
	struct catalogue *catalogue;
	int64_t id, from, to;
	char *path;
	int error;
	catalogue_set_volume_fn *done;
	void *arg;
};

static void set_volume_run(struct worker_job *worker_job)
{
	struct volume_job *job = CONTAINER_OF(worker_job, struct volume_job, job);
	sqlite3_stmt *update;

	catalogue_follow(job->catalogue);
	update = catalogue_prepare(job->catalogue,
		"UPDATE segments SET volume = ?3 WHERE id = ?1 AND volume = ?2 AND path = ?4 AND state = 1");

	job->error = -EIO;
	if (!update)
		return;
	sqlite3_bind_int64(update, 1, job->id);
	sqlite3_bind_int64(update, 2, job->from);
	sqlite3_bind_int64(update, 3, job->to);
	sqlite3_bind_text(update, 4, job->path, -1, SQLITE_STATIC);
	job->error = catalogue_finish_statement(job->catalogue, update);
	if (!job->error && sqlite3_changes(job->catalogue->db) == 0)
		job->error = -ESTALE;
	catalogue_mend(job->catalogue);
}

static void volume_job_free(struct volume_job *job)
{
	free(job->path);
	free(job);
}

static void set_volume_done(struct worker_job *worker_job)
{
	struct volume_job *job = CONTAINER_OF(worker_job, struct volume_job, job);

	if (job->done)
		job->done(job->arg, job->error);
	volume_job_free(job);
}

int catalogue_set_volume(struct catalogue *catalogue, int64_t id, const char *path, int64_t from,
	int64_t to, catalogue_set_volume_fn *done, void *arg)
{
	struct volume_job *job = xcalloc(1, sizeof(*job));

	job->job.run = set_volume_run;
	job->job.done = set_volume_done;
	job->job.bytes = sizeof(*job);
	job->catalogue = catalogue;
	job->id = id;
	job->path = xstrdup(path);
	job->from = from;
	job->to = to;
	job->done = done;
	job->arg = arg;
	if (worker_post(catalogue->worker, &job->job) == 0)
		return 0;
	volume_job_free(job);
	return -EAGAIN;
}

size_t catalogue_volumes(struct catalogue *catalogue, int64_t *ret, size_t most)
{
	sqlite3_stmt *statement =
		catalogue_prepare(catalogue, "SELECT DISTINCT volume FROM totals ORDER BY volume");
	size_t n = 0;

	while (statement && n < most && sqlite3_step(statement) == SQLITE_ROW)
		ret[n++] = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return n;
}
