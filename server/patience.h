#pragma once

#include <stdint.h>

#include "server/media/source.h"

/*
 * How long to wait before a camera is tried again: 1 s to 60 s, minutes after a refused password, and always up to a fifth
 * more, so that no two cameras stay in step.
 */
struct patience {
	int64_t wait_us; /* the next one, before jitter */
};

/* All is well: waits are short again. To be called first. */
void patience_reset(struct patience *patience);
/* How long to wait after this end; retry_after_us: what the camera asked for, or 0. */
int64_t patience_next_us(struct patience *patience, enum source_end end, int64_t retry_after_us);
