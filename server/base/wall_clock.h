#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * What the machine's clock says, and whether to believe it. Sources stamp by *media time*: UTC as
 * the clock had it when the process started, counted on by the monotonic clock, so that no step of the clock moves
 * or reorders what they stamp. The correction that makes it UTC is looked up where a stream's run
 * begins. All on the reactor.
 */

/* Media time, now: us since 1970. Never steps. */
int64_t wall_clock_media_us(void);
/* What makes UTC of media time, as the clock said when last looked at. */
int64_t wall_clock_correction_us(void);

enum {
	WALL_CLOCK_STEP_US = 1000000
}; /* what is off by less is the same time */

/* Whether UTC made with this correction is not what the clock says any more. */
bool wall_clock_left(int64_t correction_us);
/*
 * Whether somebody has set the clock since the machine was switched on (NTP, PTP, a GPS): until then it
 * may say anything. Once it was, it stays so.
 */
bool wall_clock_is_set(void);
/* The same as the kernel says now; it forgets when nobody sets the clock for hours. For who does not watch. */
bool wall_clock_kernel_knows(void);
/* Whether UTC made with this correction is the truth, as far as anybody can know. */
bool wall_clock_confirms(int64_t correction_us);
/*
 * When the machine was switched on, by the clock with this correction: two of them tell how far
 * their times are apart, in any process until it is switched off.
 */
int64_t wall_clock_boot_us(int64_t correction_us);
/* The kernel's name of the time since it was switched on; "" when it has none. The first call reads it. */
const char *wall_clock_boot_id(void);

/* Looks each second. Once the clock is set, on_set comes (at once when it is already). */
void wall_clock_watch(void (*on_set)(void *arg), void *arg);
void wall_clock_unwatch(void);
