/* What retention asks of a volume: how full it is, what must stay, and to remove a file. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "storage/volume_private.h"

#define RECORDINGS "recordings"

/* --- what must stay --- */

void volume_hold(struct volume *volume, struct volume_hold *hold, const char *path)
{
	hold->path = path;
	hold->moves = false;
	hold->let_go = NULL;
	LIST_INSERT_HEAD(&volume->holds, hold, entry);
}

void volume_release(struct volume_hold *hold)
{
	LIST_REMOVE(hold, entry);
}

bool volume_is_held(struct volume *volume, const char *path)
{
	struct volume_hold *hold, *next;

	for (hold = LIST_FIRST(&volume->holds); hold; hold = next) {
		next = LIST_NEXT(hold, entry);
		if (strcmp(hold->path, path) != 0)
			continue;
		if (!hold->let_go)
			return true;
		hold->let_go(hold->arg);
	}
	return volume->all_held;
}

void volume_hold_all(struct volume *volume, bool all)
{
	volume->all_held = all;
}

bool volume_is_moving(const struct volume *volume, const char *path)
{
	const struct volume_hold *hold;

	LIST_FOREACH (hold, &volume->holds, entry) {
		if (hold->moves && !strcmp(hold->path, path))
			return true;
	}
	return false;
}

size_t volume_held(const struct volume *volume, char **ret, size_t most)
{
	const struct volume_hold *hold;
	size_t n = 0;

	LIST_FOREACH (hold, &volume->holds, entry) {
		if (n < most && !hold->let_go)
			ret[n++] = xstrdup(hold->path);
	}
	return n;
}

/* --- removing --- */

struct remove_job {
	struct worker_job job;
	struct volume *volume;
	char *path;
	int error;
	volume_remove_fn *done;
	void *arg;
};

/* The folders of a path below recordings/, from the innermost on, as long as they are empty. Cuts the path. */
static void remove_empty_folders(const struct volume *volume, char *path)
{
	for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
		*slash = '\0';
		if (!strcmp(path, RECORDINGS) || unlinkat(volume->folder, path, AT_REMOVEDIR) < 0)
			return;
	}
}

static void remove_run(struct worker_job *worker_job)
{
	struct remove_job *job = CONTAINER_OF(worker_job, struct remove_job, job);
	const char *name;
	int folder = volume_open_folder_of(job->volume, job->path, &name);

	if (folder < 0) {
		job->error = folder;
	} else {
		if (unlinkat(folder, name, 0) < 0)
			job->error = -errno;
		close(folder);
	}
	if (!job->error || job->error == -ENOENT)
		remove_empty_folders(job->volume, job->path);
	else
		volume_count_error("remove");
}

static void remove_job_free(struct remove_job *job)
{
	free(job->path);
	free(job);
}

static void remove_done(struct worker_job *worker_job)
{
	struct remove_job *job = CONTAINER_OF(worker_job, struct remove_job, job);

	job->volume->removing--;
	job->done(job->arg, job->error);
	remove_job_free(job);
}

int volume_remove(struct volume *volume, const char *path, volume_remove_fn *done, void *arg)
{
	struct remove_job *job = xcalloc(1, sizeof(*job));

	job->job.run = remove_run;
	job->job.done = remove_done;
	job->volume = volume;
	job->path = xstrdup(path);
	job->done = done;
	job->arg = arg;
	if (worker_post(volume->writer, &job->job) == 0) {
		volume->removing++;
		return 0;
	}
	remove_job_free(job);
	return -EAGAIN;
}

/* --- files that nobody wants --- */

enum {
	DISCARDED_MOST = 1024
};

struct discarded {
	SLIST_ENTRY(discarded) entry;
	char *path;
	ino_t inode;
	off_t bytes;
};

static void discarded_forget(struct volume *volume)
{
	struct discarded *file = SLIST_FIRST(&volume->discarded);

	SLIST_REMOVE_HEAD(&volume->discarded, entry);
	volume->n_discarded--;
	free(file->path);
	free(file);
}

void volume_discard(struct volume *volume, const char *path, int fd)
{
	struct discarded *file;
	struct stat st;

	if (unlinkat(volume->folder, path, 0) == 0 || errno == ENOENT)
		return;
	volume_count_error("remove");
	if (volume->n_discarded == DISCARDED_MOST || fstat(fd, &st) < 0)
		return;
	file = xmalloc(sizeof(*file));
	*file = (struct discarded){
		.path = xstrdup(path), .inode = st.st_ino, .bytes = st.st_size
	};
	SLIST_INSERT_HEAD(&volume->discarded, file, entry);
	volume->n_discarded++;
}

/* Removes it if it still is what it was. Returns 0 or -errno. */
static int discarded_remove(const struct volume *volume, const struct discarded *file)
{
	struct stat st;

	if (fstatat(volume->folder, file->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (st.st_ino != file->inode || st.st_size != file->bytes)
		return 0;
	return unlinkat(volume->folder, file->path, 0) < 0 ? -errno : 0;
}

void volume_discard_again(struct volume *volume)
{
	while (!SLIST_EMPTY(&volume->discarded)) {
		if (discarded_remove(volume, SLIST_FIRST(&volume->discarded)) < 0)
			return;
		discarded_forget(volume);
	}
}

void volume_discard_none(struct volume *volume)
{
	while (!SLIST_EMPTY(&volume->discarded))
		discarded_forget(volume);
}

/* --- looking --- */

struct look_job {
	struct worker_job job;
	struct volume *volume;
	int error;
	struct volume_space space;
	volume_look_fn *done;
	void *arg;
};

static bool has_no_recordings(const struct volume *volume)
{
	int fd = volume_open_beneath(volume, RECORDINGS, O_RDONLY | O_DIRECTORY, 0);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool empty = true;

	if (!folder) {
		if (fd >= 0)
			close(fd);
		return true;
	}
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): a DIR of our own */
	while (empty && (entry = readdir(folder)))
		empty = entry->d_name[0] == '.'; /* itself, and what is in the making */
	closedir(folder);
	return empty;
}

static void look_run(struct worker_job *worker_job)
{
	struct look_job *job = CONTAINER_OF(worker_job, struct look_job, job);

	job->error = volume_measure(job->volume);
	job->space = job->volume->space;
	job->space.empty = has_no_recordings(job->volume);
}

static void look_done(struct worker_job *worker_job)
{
	struct look_job *job = CONTAINER_OF(worker_job, struct look_job, job);

	job->done(job->arg, job->error, &job->space);
	free(job);
}

int volume_look(struct volume *volume, volume_look_fn *done, void *arg)
{
	struct look_job *job = xcalloc(1, sizeof(*job));

	job->job.run = look_run;
	job->job.done = look_done;
	job->volume = volume;
	job->done = done;
	job->arg = arg;
	if (worker_post(volume->writer, &job->job) == 0)
		return 0;
	free(job);
	return -EAGAIN;
}
