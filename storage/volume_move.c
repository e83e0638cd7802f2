/* Files of a volume under another name: never over one that is there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "storage/volume_private.h"

struct move_job {
	struct worker_job job;
	struct volume *volume;
	char *from, *to;
	int error;
	volume_move_fn *done;
	void *arg;
};

int volume_open_folder_of(const struct volume *volume, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? xasprintf("%.*s", (int)(slash - path), path) : xstrdup(".");
	int fd = volume_open_beneath(volume, folder, O_RDONLY | O_DIRECTORY, 0);

	*name = slash ? slash + 1 : path;
	free(folder);
	return fd;
}

/* Some file systems know no RENAME_NOREPLACE; there one thread alone makes names in a folder. */
int volume_rename(int from, const char *old, int to, const char *new)
{
	struct stat st;

	if (renameat2(from, old, to, new, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (fstatat(to, new, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(from, old, to, new) < 0 ? -errno : 0;
}

static int move_between(struct move_job *job, int from, const char *old, int to)
{
	char *wanted = xstrdup(job->to);
	int error = -EEXIST;

	for (int i = 1; error == -EEXIST && i <= VOLUME_SUFFIX_MOST; i++) {
		free(job->to);
		job->to = volume_suffixed(wanted, i);
		error = volume_rename(from, old, to, strrchr(job->to, '/') + 1);
	}
	free(wanted);
	if (!error && (fsync(to) < 0 || fsync(from) < 0))
		volume_count_error("sync"); /* it has moved all the same */
	return error;
}

static void move_run(struct worker_job *worker_job)
{
	struct move_job *job = CONTAINER_OF(worker_job, struct move_job, job);
	const char *old, *new;
	int from = volume_open_folder_of(job->volume, job->from, &old), to;

	job->error = from < 0 ? from : volume_make_folders(job->volume, job->to);
	if (job->error) {
		if (from >= 0)
			close(from);
		return;
	}
	to = volume_open_folder_of(job->volume, job->to, &new);
	job->error = to < 0 ? to : move_between(job, from, old, to);
	if (to >= 0)
		close(to);
	close(from);
	if (!job->error) {
		char *folder = xasprintf("%.*s", (int)(old - job->from - 1), job->from);

		(void)unlinkat(job->volume->folder, folder, AT_REMOVEDIR); /* if it is empty now */
		free(folder);
	}
}

static void move_job_free(struct move_job *job)
{
	free(job->from);
	free(job->to);
	free(job);
}

static void move_done(struct worker_job *worker_job)
{
	struct move_job *job = CONTAINER_OF(worker_job, struct move_job, job);

	job->done(job->arg, job->error, job->to);
	move_job_free(job);
}

int volume_move(
	struct volume *volume, const char *from, const char *to, volume_move_fn *done, void *arg)
{
	struct move_job *job = xcalloc(1, sizeof(*job));

	job->job.run = move_run;
	job->job.done = move_done;
	job->volume = volume;
	job->from = xstrdup(from);
	job->to = xstrdup(to);
	job->done = done;
	job->arg = arg;
	if (worker_post(volume->writer, &job->job) == 0)
		return 0;
	move_job_free(job);
	return -EAGAIN;
}
