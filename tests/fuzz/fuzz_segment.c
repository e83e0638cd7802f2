/*
 * A recording's file with any bytes: scan it, close it. What closing says is what a scan then finds, and no
 * fragment that was whole is lost.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Closes the file that has been scanned. */
static void close_file(int fd, const struct segment_scan *before)
{
	struct segment_scan after;
	uint64_t bytes, again;
	int error = segment_close(fd, &bytes);

	if (segment_scan(fd, &after) < 0 || after.n != before->n || after.bytes != before->bytes ||
		after.end_us != before->end_us || after.closed != (before->closed || !error) ||
		bytes < after.bytes)
		abort();
	if (!error && (segment_close(fd, &again) < 0 || again != bytes))
		abort();
	segment_scan_fini(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);
	struct segment_scan scan;
	uint64_t bytes;

	if (fd < 0 || (n && pwrite(fd, p, n, 0) != (ssize_t)n))
		abort();
	if (segment_scan(fd, &scan) == 0) {
		if (!scan.n || scan.bytes > n || scan.start_us != scan.fragments[0].start_us)
			abort();
		close_file(fd, &scan);
		segment_scan_fini(&scan);
	} else {
		(void)!segment_close(fd, &bytes); /* fine where it looks closed already */
		if (bytes != n)
			abort();
	}
	close(fd);
	return 0;
}
