/*
 * A disk that is slow to read for tests, by LD_PRELOAD: while there is a file that $NVRD_TEST_COLD names, whoever sends bytes of a
 * file called "cold.bin", or reads them, waits.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum {
	STEP_US = 5000
};

static void wait_for_disk(int fd)
{
	const char *cold = getenv("NVRD_TEST_COLD");
	char link[64], path[PATH_MAX];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return;
	path[n] = '\0';
	while (cold && strstr(path, "/cold.bin") && access(cold, F_OK) == 0)
		(void)usleep(STEP_US);
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the headers say __out_fd */
ssize_t sendfile(int to, int from, off_t *offset, size_t n)
{
	static ssize_t (*real)(int, int, off_t *, size_t);

	if (!real)
		real = (ssize_t(*)(int, int, off_t *, size_t))dlsym(RTLD_NEXT, "sendfile");
	wait_for_disk(from);
	return real(to, from, offset, n);
}

ssize_t pread(int fd, void *ret, size_t n, off_t offset)
{
	static ssize_t (*real)(int, void *, size_t, off_t);

	if (!real)
		real = (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
	wait_for_disk(fd);
	return real(fd, ret, n, offset);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
