/* Small files, read and written as a whole. */
#include "server/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/memory.h"

char *file_read(
	const char *path, size_t limit, int flags, struct stat *st, size_t *ret_bytes, char **why)
{
	return file_read_at(AT_FDCWD, path, limit, flags, st, ret_bytes, why);
}

char *file_read_at(int folder, const char *path, size_t limit, int flags, struct stat *st,
	size_t *ret_bytes, char **why)
{
	struct stat own;
	char *text = NULL;
	size_t n = 0;
	ssize_t got = -1;
	int fd = openat(folder, path,
		flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* no FIFO hangs */
	int error = 0;

	if (!st)
		st = &own;
	if (fd < 0 || fstat(fd, st) < 0) {
		error = errno;
		*why = xasprintf("cannot be read: %m");
		goto out;
	}
	if (!S_ISREG(st->st_mode)) {
		error = EINVAL;
		*why = xstrdup("is not a regular file");
		goto out;
	}
	text = xmalloc(limit + 1);
	while (n <= limit && (got = read(fd, text + n, limit + 1 - n)) > 0)
		n += (size_t)got;
	if (got < 0) {
		error = errno;
		*why = xasprintf("cannot be read: %m");
	} else if (n > limit) {
		error = EFBIG;
		*why = xasprintf("is larger than %zu bytes", limit);
	}
	if (*why) {
		explicit_bzero(text, n);
		free(text);
		text = NULL;
	} else {
		text[n] = '\0';
		*ret_bytes = n;
	}
out:
	if (fd >= 0)
		(void)close(fd);
	errno = error;
	return text;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t written = write(fd, p, n);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			p += written;
			n -= (size_t)written;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* So that the name is on the disk, too. */
static void sync_folder(int at, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? xstrndup(path, (size_t)(slash - path + 1)) : xstrdup(".");
	int fd = openat(at, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	free(folder);
}

/* Where the owner cannot be given, his group gets nothing. */
static int take_after(int fd, const struct stat *like)
{
	mode_t mode = like->st_mode & 07777;

	if (fchown(fd, like->st_uid, like->st_gid) < 0)
		mode &= ~(mode_t)077;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

static int give_name(int folder, const char *new, const char *path, bool may_replace)
{
	if (may_replace)
		return renameat(folder, new, folder, path) < 0 ? -errno : 0;
	if (linkat(folder, new, folder, path, 0) < 0)
		return -errno;
	return unlinkat(folder, new, 0) < 0 ? -errno : 0;
}

int file_write(const char *path, const char *p, size_t n, const struct stat *like, bool may_replace)
{
	return file_write_at(AT_FDCWD, path, p, n, like, may_replace);
}

int file_write_at(int folder, const char *path, const char *p, size_t n, const struct stat *like,
	bool may_replace)
{
	char *new = xasprintf("%s.new", path);
	int error, fd;

	(void)unlinkat(folder, new, 0); /* of a process that was killed here */
	fd = openat(folder, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	error = fd < 0 ? -errno : 0;
	if (!error && like)
		error = take_after(fd, like);
	if (!error)
		error = write_all(fd, p, n);
	if (fd >= 0 && close(fd) < 0 && !error)
		error = -errno;
	if (!error)
		error = give_name(folder, new, path, may_replace);
	if (error && fd >= 0)
		(void)unlinkat(folder, new, 0);
	if (!error)
		sync_folder(folder, path);
	free(new);
	return error;
}

int file_remove(const char *path)
{
	if (unlink(path) < 0)
		return -errno;
	sync_folder(AT_FDCWD, path);
	return 0;
}
