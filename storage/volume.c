/* The writer of a volume: files are made, appended, synced and closed on one thread. */
#include "storage/volume.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "storage/segment.h"
#include "storage/volume_private.h"
#include "storage/write_all.h"

enum {
	WRITER_JOBS = 1 << 16,
	READER_JOBS = 1024,
	READER_BYTES = 64 << 20,
	MEASURE_US = 2000000,
};

struct volume_file {
	LIST_ENTRY(volume_file) entry; /* of the volume, while it has a descriptor */
	struct volume *volume;
	/* reactor */
	const struct volume_file_events *events;
	void *arg;
	/* writer, after volume_create() */
	char *path;
	int fd;
	unsigned instance;           /* of the store; in a later one nothing more is written */
	int error;                   /* the first failure, after which nothing more is written */
	uint64_t bytes, plain_bytes; /* in all, and of those what is no fragment */
	int64_t synced_us;           /* monotonic */
};

struct volume_job {
	struct worker_job job;
	struct volume_file *file;
	struct fragment *fragment; /* an append; or ... */
	uint8_t *p;                /* ... plain bytes */
	size_t n;
	int64_t origin_us;
	int error;
	uint64_t offset;
};

/* --- what both threads use --- */

int volume_open_beneath(const struct volume *volume, const char *path, int flags, int mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = (uint64_t)mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, volume->folder, path, &how, sizeof(how));

	if (fd < 0 &&
		errno == ENOSYS) /* a kernel before 5.6; paths are checked by the tree as well */
		fd = openat(volume->folder, path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd >= 0)
		return (int)fd;
	return volume->there ? -errno
			     : -ENODEV; /* which nobody takes for a file that was removed */
}

void volume_count_error(const char *operation)
{
	metric_add(metric_get(METRIC_VOLUME_ERRORS, operation), 1);
}

int volume_free(const struct volume *volume, uint64_t *free_bytes, uint64_t *size_bytes)
{
	struct statvfs st;

	if (!volume->there)
		return -ENODEV;
	if (fstatvfs(volume->folder, &st) < 0)
		return -errno;
	*free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	*size_bytes = (uint64_t)st.f_blocks * st.f_frsize;
	return 0;
}

int volume_measure(struct volume *volume)
{
	int error = volume_free(volume, &volume->space.free_bytes, &volume->space.size_bytes);

	volume->measured_us = reactor_monotonic_us();
	if (error)
		return error;
	metric_set(metric_get(METRIC_VOLUME_FREE, volume->path), (double)volume->space.free_bytes);
	return 0;
}

/* --- opening the volume --- */

static void volume_fini(struct volume *volume)
{
	if (volume->folder >= 0)
		close(volume->folder);
	if (volume->nowhere >= 0)
		close(volume->nowhere);
	volume_discard_none(volume);
	pthread_mutex_destroy(&volume->writing_mutex);
	free(volume->path);
	free(volume);
}

struct volume *volume_open(const char *path, int64_t sync_us, char **why)
{
	return volume_open_as(path, sync_us, "volume", "reader", why);
}

struct volume *volume_open_as(
	const char *path, int64_t sync_us, const char *writer, const char *reader, char **why)
{
	struct volume *volume = xcalloc(1, sizeof(*volume));
	int error;

	volume->path = xstrdup(path);
	volume->nowhere = open("/dev/null", O_PATH | O_CLOEXEC);
	volume->folder = fcntl(volume->nowhere, F_DUPFD_CLOEXEC, 0);
	volume->sync_us = sync_us;
	LIST_INIT(&volume->writing);
	SLIST_INIT(&volume->discarded);
	pthread_mutex_init(&volume->writing_mutex, NULL);
	LIST_INIT(&volume->holds);
	volume->log = (struct log_name){ .kind = "volume", .name = volume->path };
	volume_set_state(volume, VOLUME_GONE);
	error = volume_enter(volume, why);
	if (error == -EBUSY || volume_is_misconfigured(error)) {
		volume_fini(volume);
		return NULL;
	}
	if (error < 0) {
		log_error(&volume->log, "%s: nothing is recorded until it is there", *why);
		free(*why);
		*why = NULL;
	}
	(void)!volume_measure(volume);
	volume->writer = worker_new(writer, WRITER_JOBS, VOLUME_QUEUE_BYTES);
	volume->reader = worker_new(reader, READER_JOBS, READER_BYTES);
	return volume;
}

void volume_close(struct volume *volume)
{
	if (!volume)
		return;
	volume->on_change = NULL;
	volume_close(volume->next);
	worker_free(volume->writer);
	worker_free(volume->reader);
	reactor_timer_free(&volume->watch_timer);
	volume_fini(volume);
}

void volume_set_sync(struct volume *volume, int64_t sync_us)
{
	volume->sync_us = sync_us;
}

size_t volume_queued_bytes(const struct volume *volume)
{
	return worker_queued_bytes(volume->writer);
}

const char *volume_path(const struct volume *volume)
{
	return volume->path;
}

/* --- jobs --- */

static void file_free(struct volume_file *file)
{
	free(file->path);
	free(file);
}

/* Refuses when half of the jobs are there: the other half is for closing, which never is refused. */
static int file_post(struct volume_file *file, struct volume_job *job)
{
	if (worker_queued_jobs(file->volume->writer) >= WRITER_JOBS / 2)
		return -EAGAIN;
	return worker_post(file->volume->writer, &job->job);
}

static struct volume_job *job_new(struct volume_file *file, void (*run)(struct worker_job *),
	void (*done)(struct worker_job *), size_t bytes)
{
	struct volume_job *job = xcalloc(1, sizeof(*job));

	job->job.run = run;
	job->job.done = done;
	job->job.bytes = bytes;
	job->file = file;
	return job;
}

static void job_free(struct volume_job *job)
{
	fragment_unref(&job->fragment);
	free(job->p);
	free(job);
}

/* --- creating --- */

int volume_make_folders(const struct volume *volume, const char *path)
{
	char copy[PATH_MAX];

	if (!volume->there)
		return -ENODEV;
	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
		return -ENAMETOOLONG;
	for (char *slash = strchr(copy, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdirat(volume->folder, copy, VOLUME_FOLDER_MODE) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

char *volume_suffixed(const char *path, int i)
{
	const char *dot = strrchr(path, '.');

	return i == 1 ? xstrdup(path) : xasprintf("%.*s_%d%s", (int)(dot - path), path, i, dot);
}

/* Creates the file under its name, or another one when that is taken. */
static int file_create(struct volume_file *file)
{
	char *wanted = xstrdup(file->path);
	int fd = volume_make_folders(file->volume, wanted);

	if (fd == 0)
		fd = -EEXIST;
	for (int i = 1; fd == -EEXIST && i <= VOLUME_SUFFIX_MOST; i++) {
		free(file->path);
		file->path = volume_suffixed(wanted, i);
		fd = volume_open_beneath(
			file->volume, file->path, O_RDWR | O_CREAT | O_EXCL, VOLUME_FILE_MODE);
	}
	free(wanted);
	return fd;
}

/* What became of an operation tells how the disk is. */
static void file_tell_state(const struct volume_file *file, int error)
{
	if (file->volume->there && file->instance == file->volume->instance)
		volume_set_state(file->volume, error ? VOLUME_FAILING : VOLUME_READY);
}

static void create_run(struct worker_job *worker_job)
{
	struct volume_job *job = CONTAINER_OF(worker_job, struct volume_job, job);
	struct volume_file *file = job->file;

	pthread_mutex_lock(&file->volume->writing_mutex);
	file->fd = file_create(file);
	if (file->fd >= 0)
		LIST_INSERT_HEAD(&file->volume->writing, file, entry);
	pthread_mutex_unlock(&file->volume->writing_mutex);
	file->synced_us = reactor_monotonic_us();
	file->instance = file->volume->instance;
	if (file->fd >= 0) {
		volume_discard_again(file->volume);
		return;
	}
	volume_count_error("open");
	file_tell_state(file, file->fd);
	job->error = file->error = file->fd;
}

static void create_done(struct worker_job *worker_job)
{
	struct volume_job *job = CONTAINER_OF(worker_job, struct volume_job, job);
	struct volume_file *file = job->file;

	file->events->on_open(file->arg, job->error, file->path);
	job_free(job);
}

struct volume_file *volume_create(
	struct volume *volume, const char *path, const struct volume_file_events *events, void *arg)
{
	struct volume_file *file = xcalloc(1, sizeof(*file));
	struct volume_job *job = job_new(file, create_run, create_done, 0);

	file->volume = volume;
	file->events = events;
	file->arg = arg;
	file->path = xstrdup(path);
	file->fd = -1;
	if (file_post(file, job) < 0) {
		job_free(job);
		file_free(file);
		return NULL;
	}
	return file;
}

bool volume_is_writing(struct volume *volume, const char *path)
{
	const struct volume_file *file;
	bool found = false;

	pthread_mutex_lock(&volume->writing_mutex);
	LIST_FOREACH (file, &volume->writing, entry)
		found = found || strcmp(file->path, path) == 0;
	pthread_mutex_unlock(&volume->writing_mutex);
	return found;
}

/* --- appending --- */

int volume_write_fragment(
	int fd, const struct fragment *fragment, int64_t origin_us, uint64_t offset)
{
	struct iovec *parts = xmalloc((fragment->n_packets + 1) * sizeof(*parts));
	uint8_t *head = xmalloc(fragment->head_bytes);
	int error;

	fragment_write_head(fragment, origin_us, head);
	fragment_iovecs(fragment, head, parts);
	error = write_all_parts(fd, parts, fragment->n_packets + 1, offset);
	free(head);
	free(parts);
	return error;
}

static int append_write(struct volume_job *job)
{
	if (job->file->instance != job->file->volume->instance)
		return -ENODEV;
	if (job->fragment)
		return volume_write_fragment(
			job->file->fd, job->fragment, job->origin_us, job->offset);
	return write_all(job->file->fd, job->p, job->n, job->offset);
}

/* Syncs when the last sync is too long ago. */
static int append_sync(struct volume_file *file)
{
	int64_t now = reactor_monotonic_us();
	int error;

	if (now - file->synced_us < file->volume->sync_us)
		return 0;
	file->synced_us = now;
	error = fdatasync(file->fd) < 0 ? -errno : 0;
	metric_observe(
		metric_get(METRIC_VOLUME_SYNC), (double)(reactor_monotonic_us() - now) / 1e6);
	if (error)
		volume_count_error("sync");
	return error;
}

static void append_run(struct worker_job *worker_job)
{
	struct volume_job *job = CONTAINER_OF(worker_job, struct volume_job, job);
	struct volume_file *file = job->file;

	job->offset = file->bytes;
	job->error = file->error ? file->error : append_write(job);
	if (job->error && !file->error)
		volume_count_error("write");
	if (!job->error)
		job->error = append_sync(file);
	if (!job->error) {
		file->bytes += job->n;
		file->volume->space.written_bytes += job->n;
		file->plain_bytes += job->fragment ? 0 : job->n;
	} else if (!file->error) {
		file->error = job->error;
		(void)!ftruncate(file->fd, (off_t)file->bytes); /* no half fragments */
	}
	file_tell_state(file, job->error);
	if (reactor_monotonic_us() - file->volume->measured_us > MEASURE_US)
		(void)!volume_measure(file->volume);
}

static void append_done(struct worker_job *worker_job)
{
	struct volume_job *job = CONTAINER_OF(worker_job, struct volume_job, job);

	job->file->events->on_append(job->file->arg, job->error, job->offset, job->n);
	job_free(job);
}

static int append_post(struct volume_job *job)
{
	if (file_post(job->file, job) == 0)
		return 0;
	job_free(job);
	return -EAGAIN;
}

int volume_append_bytes(struct volume_file *file, const void *p, size_t n)
{
	struct volume_job *job = job_new(file, append_run, append_done, n);

	job->p = xmalloc(n);
	memcpy(job->p, p, n);
	job->n = n;
	return append_post(job);
}

int volume_append_fragment(struct volume_file *file, struct fragment *fragment, int64_t origin_us)
{
	struct volume_job *job = job_new(file, append_run, append_done, fragment->bytes);

	job->fragment = fragment_ref(fragment);
	job->n = fragment->bytes;
	job->origin_us = origin_us;
	return append_post(job);
}

/* --- closing --- */

static int sync_folder_of(const struct volume_file *file)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(file->path, '/');
	int fd, error;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - file->path) : 1,
		slash ? file->path : ".");
	fd = volume_open_beneath(file->volume, folder, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	error = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return error;
}

/* Makes an ordinary MP4 of it, synced. Where that fails it stays what it was, a file of fragments. */
static int file_finish(struct volume_file *file, const struct volume_job *job)
{
	uint64_t bytes;
	int error = job->p && !file->error ? segment_close_with(file->fd, job->p, job->n, &bytes)
					   : segment_close(file->fd, &bytes);

	if (bytes)
		file->bytes = bytes;
	if (!error)
		return 0;
	volume_count_error("close");
	(void)fsync(file->fd);
	return error;
}

static void close_run(struct worker_job *worker_job)
{
	struct volume_job *job = CONTAINER_OF(worker_job, struct volume_job, job);
	struct volume_file *file = job->file;
	int error;

	if (file->fd < 0) {
		job->error = file->error;
		return;
	}
	if (file->bytes == file->plain_bytes) { /* not one picture in it */
		volume_discard(file->volume, file->path, file->fd);
		file->bytes = 0;
	} else {
		job->error = file_finish(file, job);
	}
	pthread_mutex_lock(&file->volume->writing_mutex);
	LIST_REMOVE(file, entry);
	pthread_mutex_unlock(&file->volume->writing_mutex);
	error = close(file->fd) < 0 ? -errno : sync_folder_of(file);
	if (error)
		volume_count_error("sync");
	if (!job->error)
		job->error = error;
}

static void close_done(struct worker_job *worker_job)
{
	struct volume_job *job = CONTAINER_OF(worker_job, struct volume_job, job);
	struct volume_file *file = job->file;

	file->events->on_close(file->arg, job->error, file->bytes);
	file_free(file);
	job_free(job);
}

void volume_file_close(struct volume_file *file)
{
	volume_file_close_with(file, NULL, 0);
}

void volume_file_close_with(struct volume_file *file, uint8_t *moov, size_t n)
{
	struct volume_job *job = job_new(file, close_run, close_done, 0);
	int error;

	job->p = moov;
	job->n = n;
	error = worker_post(file->volume->writer, &job->job);

	assert(error == 0); /* no bytes, and file_post() keeps room for the job */
	(void)error;
}
