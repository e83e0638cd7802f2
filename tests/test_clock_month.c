/* Thirty simulated days of two tracks' clocks: drift, wandering rates, jitter, stalls, local steps. */
#include "server/media/clock.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND_US INT64_C(1000000)
#define DAY_US (86400 * SECOND_US)
#define START_UTC (INT64_C(1795000000) * SECOND_US + 123457)
#define START_MONOTONIC (777 * SECOND_US)

enum {
	DAYS = 30,
	PICTURE_US = 40000,
	SEGMENT_S = 600,
	REPORT_S = 5,
};

/* How fast a camera's clock is at an instant, in ppm. */
typedef double rate_fn(double seconds, uint32_t *seed);

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static double rate_fast(double seconds, uint32_t *seed)
{
	(void)seconds, (void)seed;
	return 300;
}

/* With the warmth of the day, and a walk of its own. */
static double rate_wandering(double seconds, uint32_t *seed)
{
	static double walk;

	walk += ((double)(random_next(seed) % 2001) - 1000) / 1e5;
	if (walk > 60 || walk < -60)
		walk *= 0.9;
	return 200 * sin(seconds / 86400 * 2 * 3.14159265) + walk;
}

struct track {
	struct clock clock;
	double media_s; /* by the camera's own clock */
	int64_t last_us;
	uint32_t rtp_start;
};

static uint32_t track_rtp(const struct track *track)
{
	return track->rtp_start + (uint32_t)(uint64_t)llround(track->media_s * track->clock.hz);
}

static int64_t stamp_us(const struct track *track, int64_t stamp)
{
	int64_t hz = track->clock.hz;

	return stamp / hz * SECOND_US + stamp % hz * SECOND_US / hz;
}

struct month {
	struct track video, audio;
	rate_fn *video_rate, *audio_rate;
	uint32_t seed;
	int64_t now_us, step_us; /* true time since the start; how far the local clock was set */
	int64_t worst_late_us, worst_apart_us, worst_frame_us;
	unsigned segments;
};

/* What the network adds: up to 80 ms, and a stall of two seconds now and then. */
static int64_t month_delay(struct month *m)
{
	int64_t second = m->now_us / SECOND_US;

	return random_next(&m->seed) % 80000 + (second % 5000 == 4999 ? 2 * SECOND_US : 0);
}

static void month_stamp(struct month *m, struct track *track)
{
	int64_t delay_us = month_delay(m), stamp, us, off_us;

	assert_int_equal(clock_stamp(&track->clock, track_rtp(track),
				 START_UTC + m->now_us + delay_us + m->step_us,
				 START_MONOTONIC + m->now_us + delay_us, &stamp),
		CLOCK_OK);
	us = stamp_us(track, stamp);
	off_us = llabs(us - (START_UTC + m->now_us));
	if (off_us > m->worst_late_us)
		m->worst_late_us = off_us;
	if (track == &m->video && track->last_us) {
		int64_t frame_us = us - track->last_us - PICTURE_US;

		if (llabs(frame_us) > m->worst_frame_us)
			m->worst_frame_us = llabs(frame_us);
		/* a file is cut between two pictures: how they follow each other is its gap */
		if (us / SECOND_US / SEGMENT_S != track->last_us / SECOND_US / SEGMENT_S)
			m->segments++;
	}
	track->last_us = us;
}

/* Sender reports of both tracks, exact to two milliseconds; the camera thinks it is 2017. */
static void month_report(struct month *m)
{
	uint32_t video_rtp = track_rtp(&m->video), audio_rtp = track_rtp(&m->audio);
	int64_t noise_us = (int64_t)(random_next(&m->seed) % 4001) - 2000;
	int64_t apart_us;

	/* the same instant in both: what they mean must be the same too */
	(void)clock_align(&m->audio.clock, audio_rtp,
		clock_instant_us(&m->video.clock, video_rtp) + noise_us,
		START_MONOTONIC + m->now_us);
	apart_us = llabs(clock_instant_us(&m->video.clock, video_rtp) -
			 clock_instant_us(&m->audio.clock, audio_rtp));
	if (apart_us > m->worst_apart_us)
		m->worst_apart_us = apart_us;
}

static void month_run(struct month *m, int64_t sound_us)
{
	int64_t next_sound_us = 0, next_report_us = SECOND_US;
	double video_ppm = 0, audio_ppm = 0;

	clock_init(&m->video.clock, 90000);
	clock_init(&m->audio.clock, 48000);
	m->video.rtp_start = 0xfff00000;
	m->audio.rtp_start = 12345;
	m->seed = 1;
	for (int64_t i = 0; m->now_us < DAYS * DAY_US; i++) {
		m->now_us = i * PICTURE_US;
		if (i % 25 == 0) {
			video_ppm = m->video_rate((double)m->now_us / 1e6, &m->seed);
			audio_ppm = m->audio_rate((double)m->now_us / 1e6, &m->seed);
		}
		/* somebody sets the machine's clock by an hour, and back */
		m->step_us = m->now_us / DAY_US == 10 ? 3600 * SECOND_US : 0;
		month_stamp(m, &m->video);
		if (m->now_us >= next_sound_us) {
			month_stamp(m, &m->audio);
			next_sound_us += sound_us;
		}
		if (i == 5) {
			(void)clock_settle(&m->video.clock, clock_early_us(&m->video.clock));
			(void)clock_settle(&m->audio.clock, clock_early_us(&m->audio.clock));
		}
		if (m->now_us >= next_report_us) {
			month_report(m);
			next_report_us += REPORT_S * SECOND_US;
		}
		m->video.media_s += PICTURE_US / 1e6 * (1 + video_ppm / 1e6);
		m->audio.media_s += PICTURE_US / 1e6 * (1 + audio_ppm / 1e6);
	}
	print_message("at most %" PRId64 " us off, %" PRId64 " us apart, %" PRId64
		      " us between pictures; %u files\n",
		m->worst_late_us, m->worst_apart_us, m->worst_frame_us, m->segments);
	assert_true(m->worst_late_us < SECOND_US);
	assert_true(m->worst_apart_us < 50000);
	assert_true(m->worst_frame_us < PICTURE_US);
	assert_true(m->segments >= DAYS * 86400 / SEGMENT_S - 2);
}

static void a_month_300_ppm_fast(void **state)
{
	struct month month = { .video_rate = rate_fast, .audio_rate = rate_fast };

	(void)state;
	month_run(&month, 200000);
}

static void a_month_of_a_wandering_rate(void **state)
{
	struct month month = { .video_rate = rate_wandering, .audio_rate = rate_fast };

	(void)state;
	month_run(&month, 200000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_month_300_ppm_fast),
		cmocka_unit_test(a_month_of_a_wandering_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
