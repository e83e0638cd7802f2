#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "server/base/attributes.h"

/* Writes at an offset until nothing is left. All return 0 or -errno; what was written before a failure stays. Any thread. */

/* Changes the parts. */
int write_all_parts(int fd, struct iovec *parts, size_t n, uint64_t offset) MUST_CHECK;
int write_all(int fd, const void *p, size_t n, uint64_t offset) MUST_CHECK;
