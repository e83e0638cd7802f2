/*
 * A failing disk for tests, by LD_PRELOAD: $NVRD_TEST_DISK names a file that holds a struct test_disk
 * (tests/interop/disk.py writes it, also as the process runs). Operations that change what is at or
 * beneath its folder are numbered from 1; those that the test chooses fail, are late, are done by half,
 * or are the last thing that the process does.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	TRACE = 1 << 14, /* operations that are remembered */
	SLICE_NS = 5000000
};

enum operation {
	CREATE = 1, /* an open with O_CREAT, whether or not the file is there */
	WRITE = 2,
	SYNC = 4,
	TRUNCATE = 8,
	RENAME = 16,
	REMOVE = 32,
	MKDIR = 64,
	DATABASE = 128 /* as a bit of `operations`: also those on SQLite's files */
};

enum fate {
	PASS,
	FAIL, /* errno says how */
	HALF  /* of a write */
};

struct test_disk {
	/* what the test wants: these operations count; of them `at` and the run - 1 after it, and so on
	 * after each `every` (0: once), meet what follows. 0 as `at`: none. */
	_Atomic int64_t operations, at, every, run;
	_Atomic int64_t error, delay_us, kill; /* kill comes before the operation */
	_Atomic int64_t
		half; /* the first of each run, if a write, writes half; then it is killed or ends short */

	/* what has been: operations, those chosen, those that are late now, those of the main thread */
	_Atomic int64_t count, chosen, waiting, by_main;

	char folder[256];
	struct {
		int64_t operation, offset, bytes;
		char path[104]; /* from the folder on */
	} trace[TRACE];         /* of operation n at n % TRACE */
};

static struct test_disk *disk;

#define REAL(name)                                                           \
	({                                                                   \
		static __typeof__(&(name)) real;                             \
		if (!real)                                                   \
			real = (__typeof__(&(name)))dlsym(RTLD_NEXT, #name); \
		real;                                                        \
	})

__attribute__((constructor)) static void disk_map(void)
{
	const char *file = getenv("NVRD_TEST_DISK");
	int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		disk = p;
}

/*
 * Writes to ret which path from the folder on an operation is about: `name` as seen from the
 * descriptor `at`, or without a name `at` itself. False when it is elsewhere.
 */
static bool disk_locate(char ret[PATH_MAX], int at, const char *name)
{
	size_t folder = strlen(disk->folder);
	char link[32] = "/proc/self/cwd";
	ssize_t n = 0;

	if (!name || name[0] != '/') {
		if (at != AT_FDCWD)
			snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
		n = readlink(link, ret, PATH_MAX - 1);
		if (n < 0)
			return false;
		ret[n] = '\0';
	}
	if (name)
		snprintf(ret + n, PATH_MAX - (size_t)n, "%s%s", n ? "/" : "", name);
	if (strncmp(ret, disk->folder, folder) != 0 || (ret[folder] != '/' && ret[folder] != '\0'))
		return false;
	folder += ret[folder] == '/';
	memmove(ret, ret + folder, strlen(ret + folder) + 1);
	return true;
}

static bool disk_counts(enum operation operation, const char *path)
{
	if (strncmp(path, "nvrd.db", 7) == 0 && !(disk->operations & DATABASE))
		return false;
	return disk->operations & operation;
}

static void disk_note(
	int64_t number, enum operation operation, int64_t offset, size_t bytes, const char *path)
{
	disk->trace[number % TRACE].operation = operation;
	disk->trace[number % TRACE].offset = offset;
	disk->trace[number % TRACE].bytes = (int64_t)bytes;
	snprintf(disk->trace[number % TRACE].path, sizeof(disk->trace[0].path), "%.103s", path);
}

/* Which of its run an operation is, from 0 on; -1: it is not chosen. */
static int64_t disk_choose(int64_t number)
{
	int64_t at = disk->at, every = disk->every, nth = number - at;

	if (!at || nth < 0)
		return -1;
	if (every)
		nth %= every;
	return nth < disk->run ? nth : -1;
}

/* Ends early when the test makes the delay shorter. */
static void disk_wait(void)
{
	const struct timespec slice = { .tv_nsec = SLICE_NS };

	disk->waiting++;
	for (int64_t ns = 0; ns < disk->delay_us * 1000; ns += SLICE_NS)
		(void)nanosleep(&slice, NULL);
	disk->waiting--;
}

static void disk_end(void)
{
	(void)raise(SIGKILL);
}

static enum fate disk_judge(
	enum operation operation, int at, const char *name, int64_t offset, size_t bytes)
{
	char path[PATH_MAX];
	int before = errno;
	int64_t number, nth, error, kill;

	if (!disk || !disk->operations)
		return PASS;
	if (!disk_locate(path, at, name) || !disk_counts(operation, path)) {
		errno = before;
		return PASS;
	}
	number = ++disk->count;
	disk->by_main += gettid() == getpid();
	disk_note(number, operation, offset, bytes, path);
	nth = disk_choose(number);
	errno = before;
	if (nth < 0)
		return PASS;
	error = disk->error; /* as it is now: when the wait is over the test may want something else */
	kill = disk->kill;
	disk->chosen++;
	disk_wait();
	if (operation == WRITE && disk->half && nth == 0)
		return HALF;
	if (kill)
		disk_end();
	errno = error ? (int)error : before;
	return error ? FAIL : PASS;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the headers say __fd */

/* --- writing --- */

ssize_t write(int fd, const void *p, size_t n)
{
	switch (disk_judge(WRITE, fd, NULL, -1, n)) {
	case FAIL:
		return -1;
	case HALF:
		n = (size_t)REAL(write)(fd, p, n / 2);
		if (disk->kill)
			disk_end();
		return (ssize_t)n;
	default:
		return REAL(write)(fd, p, n);
	}
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset)
{
	size_t bytes = 0;
	ssize_t done;

	for (int i = 0; i < n; i++)
		bytes += parts[i].iov_len;
	switch (disk_judge(WRITE, fd, NULL, offset, bytes)) {
	case FAIL:
		return -1;
	case HALF:
		if (n > 1)
			done = REAL(pwritev)(fd, parts, n / 2, offset);
		else
			done = REAL(pwrite)(fd, parts[0].iov_base, parts[0].iov_len / 2, offset);
		if (disk->kill)
			disk_end();
		return done;
	default:
		return REAL(pwritev)(fd, parts, n, offset);
	}
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
	struct iovec part = { .iov_base = (void *)p, .iov_len = n };

	return pwritev(fd, &part, 1, offset);
}

int ftruncate(int fd, off_t bytes)
{
	return disk_judge(TRUNCATE, fd, NULL, bytes, 0) == FAIL ? -1 : REAL(ftruncate)(fd, bytes);
}

/* --- syncing --- */

int fsync(int fd)
{
	return disk_judge(SYNC, fd, NULL, -1, 0) == FAIL ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
	return disk_judge(SYNC, fd, NULL, -1, 0) == FAIL ? -1 : REAL(fdatasync)(fd);
}

/* --- names --- */

int openat(int at, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list words;

	va_start(words, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(words, mode_t);
	va_end(words);
	if (flags & O_CREAT && disk_judge(CREATE, at, name, -1, 0) == FAIL)
		return -1;
	return REAL(openat)(at, name, flags, mode);
}

int open(const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list words;

	va_start(words, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(words, mode_t);
	va_end(words);
	return openat(AT_FDCWD, name, flags, mode);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	if (disk_judge(RENAME, from, old, -1, 0) == FAIL)
		return -1;
	return REAL(renameat2)(from, old, to, new, flags);
}

int renameat(int from, const char *old, int to, const char *new)
{
	return renameat2(from, old, to, new, 0);
}

int rename(const char *old, const char *new)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int unlinkat(int at, const char *name, int flags)
{
	return disk_judge(REMOVE, at, name, -1, 0) == FAIL ? -1 : REAL(unlinkat)(at, name, flags);
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name)
{
	return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

int mkdirat(int at, const char *name, mode_t mode)
{
	return disk_judge(MKDIR, at, name, -1, 0) == FAIL ? -1 : REAL(mkdirat)(at, name, mode);
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

/* --- what has no function of its own: openat2() --- */

long syscall(long number, ...)
{
	const struct open_how *how;
	long words[6];
	va_list list;

	va_start(list,
		number); /* as the C library does: those that were not given are not looked at */
	for (size_t i = 0; i < 6; i++)
		words[i] = va_arg(list, long);
	va_end(list);
	how = (const struct open_how *)words[2]; // NOLINT(performance-no-int-to-ptr): so it came
	if (number == SYS_openat2 && how->flags & O_CREAT &&
		disk_judge(CREATE, (int)words[0],
			(const char *)words[1], // NOLINT(performance-no-int-to-ptr): so it came
			-1, 0) == FAIL)
		return -1;
	return REAL(syscall)(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

/* --- the same by the names that programs built for large files use; off_t has 64 bits --- */

_Static_assert(sizeof(off_t) == sizeof(off64_t), "one function serves both");
int open64(const char *name, int flags, ...) __attribute__((alias("open")));
int openat64(int at, const char *name, int flags, ...) __attribute__((alias("openat")));
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset) __attribute__((alias("pwrite")));
ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t offset)
	__attribute__((alias("pwritev")));
int ftruncate64(int fd, off64_t bytes) __attribute__((alias("ftruncate")));
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
