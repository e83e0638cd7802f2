/*
 * Files from one volume to another, piece by piece: under another name until all of it is on the disk, so that
 * whatever ends it in between leaves nothing that could be taken for a recording.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "storage/volume_private.h"
#include "storage/write_all.h"

enum {
	PIECE_BYTES = 256 << 10, /* of a read and a write */
	SYNC_BYTES =
		8 << 20, /* so much at most waits for the disk: others on it are not held up long */
	PART_MODE = 0640
};

struct volume_copy {
	struct worker_job job; /* the step that is under way */
	struct volume *from, *to;
	char *path, *part;
	bool busy, freed; /* reactor */
	volume_copy_fn *done;
	void *arg;
	/* writer of `to`, then the reactor */
	int in, out;        /* -1: not open */
	uint64_t at, bytes; /* in the file, and in all */
	uint64_t synced;    /* up to there */
	struct timespec times[2];
	size_t n; /* wanted by the step */
	int error;
	bool finished;
};

/* --- comparing --- */

static ssize_t read_all(int fd, uint8_t *p, size_t n, uint64_t offset)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, p + done, n - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/* 1 or 0; or -errno. */
static int compare_bytes(int a, int b)
{
	uint8_t *p = xmalloc(2 * PIECE_BYTES);
	ssize_t n = 1, other = 1;
	bool same = true;

	for (uint64_t at = 0; same && n > 0; at += (uint64_t)n) {
		n = read_all(a, p, PIECE_BYTES, at);
		other = read_all(b, p + PIECE_BYTES, PIECE_BYTES, at);
		same = n == other && (n <= 0 || memcmp(p, p + PIECE_BYTES, (size_t)n) == 0);
	}
	free(p);
	return n < 0 ? (int)n : other < 0 ? (int)other : same;
}

int volume_compare(const struct volume *a, const struct volume *b, const char *path)
{
	int one = volume_open_beneath(a, path, O_RDONLY | O_NONBLOCK, 0);
	int two = volume_open_beneath(b, path, O_RDONLY | O_NONBLOCK, 0);
	int same = one < 0 ? one : two < 0 ? two : compare_bytes(one, two);

	if (one >= 0)
		close(one);
	if (two >= 0)
		close(two);
	return same;
}

/* --- the steps --- */

static void copy_close(struct volume_copy *copy)
{
	if (copy->in >= 0)
		close(copy->in);
	if (copy->out >= 0)
		close(copy->out);
	copy->in = copy->out = -1;
}

/* -ENOENT is kept for what is copied. */
static int of_target(int error)
{
	return error == -ENOENT ? -ENODEV : error;
}

static int copy_open(struct volume_copy *copy)
{
	struct stat st;
	int error;

	copy->in = volume_open_beneath(copy->from, copy->path, O_RDONLY | O_NONBLOCK, 0);
	if (copy->in < 0)
		return copy->in;
	if (fstat(copy->in, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	copy->bytes = (uint64_t)st.st_size;
	copy->at = copy->synced = 0;
	copy->times[0] = st.st_atim;
	copy->times[1] = st.st_mtim;
	error = volume_make_folders(copy->to, copy->path);
	if (error)
		return of_target(error);
	copy->out =
		volume_open_beneath(copy->to, copy->part, O_WRONLY | O_CREAT | O_TRUNC, PART_MODE);
	return copy->out < 0 ? of_target(copy->out) : 0;
}

static int copy_sync(struct volume_copy *copy)
{
	if (fdatasync(copy->out) < 0)
		return -errno;
	/* what was recorded long ago need not push out of memory what people look at */
	(void)posix_fadvise(copy->in, 0, (off_t)copy->at, POSIX_FADV_DONTNEED);
	(void)posix_fadvise(copy->out, 0, (off_t)copy->at, POSIX_FADV_DONTNEED);
	copy->synced = copy->at;
	return 0;
}

static int copy_bytes(struct volume_copy *copy)
{
	uint8_t *p = xmalloc(PIECE_BYTES);
	int error = 0;

	for (size_t left = copy->n; !error && left && copy->at < copy->bytes;) {
		size_t most = left < PIECE_BYTES ? left : PIECE_BYTES;
		uint64_t rest = copy->bytes - copy->at;
		ssize_t n = read_all(copy->in, p, rest < most ? (size_t)rest : most, copy->at);

		if (n <= 0) {
			error = n < 0 ? (int)n : -ENODATA; /* somebody cut it */
			break;
		}
		error = write_all(copy->out, p, (size_t)n, copy->at);
		copy->at += (uint64_t)n;
		left -= (size_t)n;
		copy->to->space.written_bytes += (uint64_t)n;
		if (!error && copy->at - copy->synced >= SYNC_BYTES)
			error = copy_sync(copy);
	}
	free(p);
	return error;
}

/* The folders of a path, which may be new, from the innermost on. */
static int sync_folders(const struct volume *volume, const char *path)
{
	char *folder = xstrdup(path);
	int error = 0;

	for (char *slash = strrchr(folder, '/'); !error && slash; slash = strrchr(folder, '/')) {
		int fd;

		*slash = '\0';
		fd = volume_open_beneath(volume, folder, O_RDONLY | O_DIRECTORY, 0);
		error = fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;
		if (fd >= 0)
			close(fd);
	}
	free(folder);
	return error;
}

/* Never over a file that is there; but that may be this one, from before a crash. */
static int copy_name(struct volume_copy *copy)
{
	const char *name, *part;
	int folder = volume_open_folder_of(copy->to, copy->path, &name);
	int error;

	if (folder < 0)
		return folder;
	part = strrchr(copy->part, '/') + 1;
	error = volume_rename(folder, part, folder, name);
	if (error == -EEXIST && volume_compare(copy->from, copy->to, copy->path) == 1)
		error = unlinkat(folder, part, 0) < 0 ? -errno : 0;
	close(folder);
	return error ? error : sync_folders(copy->to, copy->path);
}

static int copy_finish(struct volume_copy *copy)
{
	int error;

	(void)futimens(copy->out, copy->times);
	error = fsync(copy->out) < 0 ? -errno : copy_sync(copy);
	if (!error)
		error = of_target(copy_name(copy));
	copy->finished = !error;
	return error;
}

static void step_run(struct worker_job *job)
{
	struct volume_copy *copy = CONTAINER_OF(job, struct volume_copy, job);

	copy->error = copy->in < 0 ? copy_open(copy) : 0;
	if (!copy->error)
		copy->error = copy_bytes(copy);
	if (!copy->error && copy->at == copy->bytes)
		copy->error = copy_finish(copy);
	if (copy->error && copy->out >= 0) {
		const char *name;
		int folder = volume_open_folder_of(copy->to, copy->part, &name);

		if (folder >= 0) {
			(void)unlinkat(folder, name, 0);
			close(folder);
		}
	}
	if (copy->error || copy->finished)
		copy_close(copy);
}

static void copy_fini(struct volume_copy *copy)
{
	copy_close(copy);
	free(copy->path);
	free(copy->part);
	free(copy);
}

static void step_done(struct worker_job *job)
{
	struct volume_copy *copy = CONTAINER_OF(job, struct volume_copy, job);

	copy->busy = false;
	if (copy->freed)
		copy_fini(copy);
	else
		copy->done(copy->arg, copy->error, copy->finished);
}

struct volume_copy *volume_copy_new(struct volume *from, struct volume *to, const char *path)
{
	struct volume_copy *copy = xcalloc(1, sizeof(*copy));

	copy->from = from;
	copy->to = to;
	copy->path = xstrdup(path);
	copy->part = xasprintf("%s" VOLUME_PART, path);
	copy->in = copy->out = -1;
	return copy;
}

int volume_copy_step(struct volume_copy *copy, size_t bytes, volume_copy_fn *done, void *arg)
{
	copy->job = (struct worker_job){ .run = step_run, .done = step_done };
	copy->n = bytes;
	copy->done = done;
	copy->arg = arg;
	if (worker_post(copy->to->writer, &copy->job) < 0)
		return -EAGAIN;
	copy->busy = true;
	return 0;
}

void volume_copy_free(struct volume_copy *copy)
{
	if (!copy)
		return;
	if (copy->busy)
		copy->freed = true;
	else
		copy_fini(copy);
}
