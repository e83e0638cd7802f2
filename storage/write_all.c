#include "storage/write_all.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

int write_all_parts(int fd, struct iovec *parts, size_t n, uint64_t offset)
{
	while (n) {
		ssize_t done = pwritev(fd, parts, n < IOV_MAX ? (int)n : IOV_MAX, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		offset += (uint64_t)done;
		while (n && (size_t)done >= parts->iov_len) {
			done -= (ssize_t)parts->iov_len;
			parts++, n--;
		}
		if (n) {
			parts->iov_base = (uint8_t *)parts->iov_base + done;
			parts->iov_len -= (size_t)done;
		}
	}
	return 0;
}

int write_all(int fd, const void *p, size_t n, uint64_t offset)
{
	const uint8_t *at = p;

	while (n) {
		ssize_t done = pwrite(fd, at, n, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		at += done;
		n -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}
