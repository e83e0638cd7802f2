#pragma once

#include <event2/event.h>

#include "server/base/reactor.h"

/* Turns the reactor's loop until the condition holds; fails the test after ten seconds. */
#define REACTOR_UNTIL(condition)                                                \
	do {                                                                    \
		int64_t reactor_until_us = reactor_monotonic_us() + 10000000;   \
                                                                                \
		while (!(condition)) {                                          \
			/* the reactor's own beat wakes it */                   \
			(void)event_base_loop(reactor_base(), EVLOOP_ONCE);     \
			if (reactor_monotonic_us() > reactor_until_us)          \
				fail_msg("in vain waited for: %s", #condition); \
		}                                                               \
	} while (0)
