/* The clock in a recording's file, set right once it is known. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "storage/segment.h"
#include "storage/volume_private.h"

struct redate_job {
	struct worker_job job;
	struct volume *volume;
	char *path;
	int64_t later_us;
	int error;
	volume_redate_fn *done;
	void *arg;
};

static void redate_run(struct worker_job *worker_job)
{
	struct redate_job *job = CONTAINER_OF(worker_job, struct redate_job, job);
	int fd = volume_open_beneath(job->volume, job->path, O_RDWR, 0);

	job->error = fd < 0 ? fd : segment_redate(fd, job->later_us);
	if (fd >= 0)
		close(fd);
}

static void redate_job_free(struct redate_job *job)
{
	free(job->path);
	free(job);
}

static void redate_done(struct worker_job *worker_job)
{
	struct redate_job *job = CONTAINER_OF(worker_job, struct redate_job, job);

	job->done(job->arg, job->error);
	redate_job_free(job);
}

int volume_redate(struct volume *volume, const char *path, int64_t later_us, volume_redate_fn *done,
	void *arg)
{
	struct redate_job *job = xcalloc(1, sizeof(*job));

	job->job.run = redate_run;
	job->job.done = redate_done;
	job->volume = volume;
	job->path = xstrdup(path);
	job->later_us = later_us;
	job->done = done;
	job->arg = arg;
	if (worker_post(volume->writer, &job->job) == 0)
		return 0;
	redate_job_free(job);
	return -EAGAIN;
}
