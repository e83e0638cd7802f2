/*
 * A machine's clock for tests, by LD_PRELOAD: $NVRD_TEST_CLOCK names a file of two int64: by how many
 * microseconds CLOCK_REALTIME is wrong, and whether NTP has set it. The test changes it as it runs.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

struct test_clock {
	volatile int64_t wrong_us, set;
};

static const struct test_clock *test_clock(void)
{
	static const struct test_clock *shared;
	static const struct test_clock right;
	const char *file = getenv("NVRD_TEST_CLOCK");
	int fd;

	if (shared)
		return shared;
	fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return &right;
	shared = mmap(NULL, sizeof(*shared), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return shared;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the headers say __tp */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	static int (*real)(clockid_t, struct timespec *);
	int64_t us;
	int result;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	result = real(id, ret);
	if (id != CLOCK_REALTIME || result != 0)
		return result;
	us = ret->tv_sec * INT64_C(1000000) + ret->tv_nsec / 1000 + test_clock()->wrong_us;
	ret->tv_sec = us / 1000000;
	ret->tv_nsec = us % 1000000 * 1000;
	return 0;
}

int adjtimex(struct timex *ret)
{
	*ret = (struct timex){ .maxerror = test_clock()->set ? 1000 : 16000000 };
	return test_clock()->set ? TIME_OK : TIME_ERROR;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
