/* The machine's clock: its steps, and whether anybody has set it. */
#include "server/base/wall_clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "server/base/log.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

enum {
	LOOK_US = 1000000,
	BOOT_ID_BYTES = 40,
	/* The kernel's NTP_PHASE_LIMIT, which it says while nobody sets the clock. STA_UNSYNC tells less:
	 * some set it to keep the kernel from writing the clock chip. */
	UNKNOWN_ERROR_US = 16000000
};

static struct {
	bool based, set;
	int64_t base_us;       /* media time when the monotonic clock was 0 */
	int64_t correction_us; /* when last looked at */
	char boot_id[BOOT_ID_BYTES];
	struct event *timer;
	void (*on_set)(void *arg);
	void *arg;
} wall_clock;

int64_t wall_clock_media_us(void)
{
	int64_t monotonic_us = reactor_monotonic_us();

	if (!wall_clock.based) {
		wall_clock.based = true;
		wall_clock.base_us = reactor_now_us() - monotonic_us;
	}
	return wall_clock.base_us + monotonic_us;
}

int64_t wall_clock_correction_us(void)
{
	return wall_clock.correction_us;
}

bool wall_clock_left(int64_t correction_us)
{
	return llabs(wall_clock.correction_us - correction_us) > WALL_CLOCK_STEP_US;
}

bool wall_clock_is_set(void)
{
	return wall_clock.set;
}

bool wall_clock_confirms(int64_t correction_us)
{
	return wall_clock.set && !wall_clock_left(correction_us);
}

int64_t wall_clock_boot_us(int64_t correction_us)
{
	struct timespec up;

	clock_gettime(CLOCK_BOOTTIME, &up);
	return wall_clock_media_us() + correction_us -
	       ((int64_t)up.tv_sec * 1000000 + up.tv_nsec / 1000);
}

const char *wall_clock_boot_id(void)
{
	FILE *file;

	if (*wall_clock.boot_id)
		return wall_clock.boot_id;
	file = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (!file)
		return "";
	if (fgets(wall_clock.boot_id, sizeof(wall_clock.boot_id), file))
		wall_clock.boot_id[strcspn(wall_clock.boot_id, "\n")] = '\0';
	(void)fclose(file);
	return wall_clock.boot_id;
}

/* --- watching --- */

bool wall_clock_kernel_knows(void)
{
	struct timex state = { 0 };

	return adjtimex(&state) >= 0 && state.maxerror < UNKNOWN_ERROR_US;
}

static void wall_clock_look(void)
{
	int64_t correction_us = reactor_now_us() - wall_clock_media_us();
	bool was_set = wall_clock.set;

	if (wall_clock_left(correction_us))
		log_warn(NULL, "the clock was set %s by %.1f s",
			correction_us > wall_clock.correction_us ? "forward" : "back",
			(double)llabs(correction_us - wall_clock.correction_us) / 1e6);
	wall_clock.correction_us = correction_us;
	wall_clock.set = was_set || wall_clock_kernel_knows();
	metric_set(metric_get(METRIC_CLOCK_SET), wall_clock.set);
	if (wall_clock.set && !was_set)
		wall_clock.on_set(wall_clock.arg);
}

static void wall_clock_on_timer(evutil_socket_t fd, short what, void *arg)
{
	bool was_set = wall_clock.set;

	(void)fd, (void)what, (void)arg;
	wall_clock_look();
	if (wall_clock.set && !was_set)
		log_info(NULL, "the machine's clock is set now");
	reactor_timer_start(wall_clock.timer, LOOK_US);
}

void wall_clock_watch(void (*on_set)(void *arg), void *arg)
{
	wall_clock.on_set = on_set;
	wall_clock.arg = arg;
	wall_clock.correction_us = reactor_now_us() - wall_clock_media_us();
	wall_clock.timer = reactor_timer_new(wall_clock_on_timer, NULL);
	reactor_timer_start(wall_clock.timer, LOOK_US);
	wall_clock_look();
	if (!wall_clock.set)
		log_info(NULL,
			"nobody has set the machine's clock yet: recordings are marked, and dated again when it is");
}

void wall_clock_unwatch(void)
{
	reactor_timer_free(&wall_clock.timer);
	wall_clock.set = false;
	wall_clock.correction_us = 0;
}
