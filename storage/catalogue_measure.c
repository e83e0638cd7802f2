/* Measures a segment that was cut off, and closes its file at the last whole fragment. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/base/metrics.h"
#include "storage/catalogue_private.h"
#include "storage/segment.h"

/* Closes the file; where that fails it is a recording all the same, up to its last whole fragment. */
static void measure_close(int fd, struct catalogue_segment *row, const struct log_name *log)
{
	uint64_t bytes;
	int error = segment_close(fd, &bytes);

	if (bytes)
		row->bytes = bytes;
	if (!error)
		return;
	log_warn(log, "%s: stays in fragments, closing it failed: %s", row->path, strerror(-error));
	metric_add(metric_get(METRIC_VOLUME_ERRORS, "close"), 1);
}

int catalogue_measure(int root, struct catalogue_segment *row, struct fragment_index *ret,
	const struct log_name *log)
{
	int fd = openat(root, row->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct segment_scan scan;
	int error;

	if (fd < 0 && errno != ENOENT)
		fd = openat(root, row->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	error = segment_scan(fd, &scan);
	if (!error) {
		row->end_us = scan.end_us;
		row->bytes = scan.bytes;
		*ret = (struct fragment_index){ scan.fragments, scan.n, scan.n };
		measure_close(fd, row, log);
	}
	close(fd);
	return error;
}
