/*
 * Thirty simulated days of a camera's picture and sound: clocks that drift each its own way, rates
 * that wander, jitter, stalls, local steps. Every picture is simulated (25 a second), and every unit
 * of AAC (1024 samples of 48 kHz) on three days, the first, the one with the local step and the last;
 * on the others one unit in nine.
 */
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
	SOUND_HZ = 48000,
	SOUND_TICKS = 1024,
	SOUND_SPARSE = 9,
	SEGMENT_S = 600,
	REPORT_US = 5 * 1000000,
	REPORT_NOISE_US = 2000,
	JITTER_US = 80000,
	LEAST_WAY_US = 3000,
	SETTLE_US = 200000,
};

/* A generator each, so that nothing depends on what ran before. */
static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* How fast a clock is: so much always, a wave, and a walk (all in ppm). */
struct drift {
	double always, wave, wave_hours, walk_most;
	double walk;
	uint32_t seed;
};

static double drift_ppm(struct drift *drift, double seconds)
{
	drift->walk += drift->walk_most * ((double)(random_next(&drift->seed) % 2001) - 1000) / 1e5;
	if (fabs(drift->walk) > drift->walk_most)
		drift->walk *= 0.9;
	return drift->always + drift->walk +
	       (drift->wave != 0 ? drift->wave * sin(seconds / 3600 / drift->wave_hours * 6.2832)
				 : 0);
}

struct track {
	struct clock clock;
	struct drift drift;
	double ppm;
	int64_t made_us; /* of the last unit, true time since the start */
	double media_s;  /* by the camera's own clock, then */
	int64_t came_us; /* when the last one did: none overtakes another */
	int64_t last_us; /* its time as recorded, since the start */
	int64_t last_made_us;
	uint32_t rtp_start;
};

/* Lets the track's own clock run to an instant of true time. */
static void track_run(struct track *track, int64_t to_us)
{
	if (to_us / SECOND_US != track->made_us / SECOND_US || !track->made_us)
		track->ppm = drift_ppm(&track->drift, (double)to_us / 1e6);
	track->media_s += (double)(to_us - track->made_us) / 1e6 * (1 + track->ppm / 1e6);
	track->made_us = to_us;
}

static uint32_t track_rtp(const struct track *track)
{
	return track->rtp_start + (uint32_t)(uint64_t)llround(track->media_s * track->clock.hz);
}

/* How far what is recorded is from the truth. */
static int64_t track_off_us(const struct track *track)
{
	return track->last_us - track->made_us;
}

struct month {
	int64_t days;
	struct track video, audio;
	uint32_t seed;
	bool settled;
	int64_t worst_off_us, worst_apart_us, worst_frame_us, worst_cut_us;
	unsigned files, sounds_dropped, runs;
	int64_t steps; /* of the sound, by reports */
};

static void note_worst(int64_t *worst_us, int64_t us)
{
	if (llabs(us) > *worst_us)
		*worst_us = llabs(us);
}

/* Somebody sets the machine's clock forward by an hour, then back by two, then right. */
static int64_t local_step_us(int64_t now_us)
{
	int64_t day = now_us / DAY_US;

	return day == 10 ? 3600 * SECOND_US : day == 14 || day == 15 ? -3600 * SECOND_US : 0;
}

/* Up to 80 ms, and each hour and a half a stall of two seconds, after which all comes at once. */
static int64_t month_way_us(struct month *m, int64_t made_us)
{
	int64_t into_us = made_us % (5400 * SECOND_US) - 5398 * SECOND_US;

	return LEAST_WAY_US + random_next(&m->seed) % JITTER_US +
	       (into_us > 0 ? 2 * SECOND_US - into_us : 0);
}

/* Makes a unit of a track, and stamps it when it comes. */
static void month_stamp(struct month *m, struct track *track, int64_t made_us)
{
	int64_t came_us = made_us + month_way_us(m, made_us), stamp, hz = track->clock.hz;

	track->last_made_us = track->made_us;
	track_run(track, made_us);
	if (came_us < track->came_us)
		came_us = track->came_us;
	track->came_us = came_us;
	m->runs += clock_stamp(&track->clock, track_rtp(track),
			   START_UTC + came_us + local_step_us(came_us), START_MONOTONIC + came_us,
			   &stamp) == CLOCK_JUMPED;
	track->last_us = stamp / hz * SECOND_US + stamp % hz * SECOND_US / hz - START_UTC;
	note_worst(&m->worst_off_us, track_off_us(track));
}

static void month_picture(struct month *m, int64_t made_us)
{
	struct track *track = &m->video;
	int64_t before_us = track->last_us, frame_us;

	month_stamp(m, track, made_us);
	if (made_us <= SETTLE_US + PICTURE_US)
		return; /* what was held is moved as a whole */
	frame_us = track->last_us - before_us - PICTURE_US;
	note_worst(&m->worst_frame_us, frame_us);
	/* a file is cut before a keyframe, here one a second: its gap is that of the two pictures */
	if (made_us % SECOND_US == 0 && made_us / SECOND_US % SEGMENT_S == 0) {
		note_worst(&m->worst_cut_us, frame_us);
		m->files++;
	}
}

static void month_sound(struct month *m, int64_t made_us)
{
	int64_t before_us = m->audio.last_us;

	month_stamp(m, &m->audio, made_us);
	m->sounds_dropped += made_us > SETTLE_US + PICTURE_US && m->audio.last_us <= before_us;
	/* both are known to the truth: what they are apart is what they are off, less */
	if (m->settled && made_us > 11 * SECOND_US)
		note_worst(&m->worst_apart_us, track_off_us(&m->audio) - track_off_us(&m->video));
}

/* Reports of both tracks at the same instant, exact to two milliseconds. */
static void month_report(struct month *m, int64_t now_us)
{
	struct track *video = &m->video, *audio = &m->audio;
	int64_t noise_us =
		(int64_t)(random_next(&m->seed) % (2 * REPORT_NOISE_US + 1)) - REPORT_NOISE_US;

	track_run(video, now_us);
	track_run(audio, now_us);
	m->steps += clock_follow_report(&audio->clock, track_rtp(audio),
		clock_instant_us(&video->clock, track_rtp(video)) + noise_us,
		START_MONOTONIC + now_us);
}

static void month_settle(struct month *m)
{
	m->settled = true;
	(void)clock_settle(&m->video.clock, clock_early_us(&m->video.clock));
	(void)clock_settle(&m->audio.clock, clock_early_us(&m->audio.clock));
}

static int64_t next_sound_us(int64_t *ticks, int64_t now_us)
{
	int64_t day = now_us / DAY_US;

	*ticks += SOUND_TICKS * (day == 0 || day == 10 || day == DAYS - 1 ? 1 : SOUND_SPARSE);
	return *ticks * 125 / 6; /* us per tick */
}

static void month_run(struct month *m)
{
	int64_t sound_us = 0, sound_ticks = 0, report_us = SECOND_US;

	clock_init(&m->video.clock, 90000);
	clock_init(&m->audio.clock, SOUND_HZ);
	m->video.rtp_start = 0xfff00000;
	m->audio.rtp_start = 12345;
	for (int64_t now_us = 0; now_us < m->days * DAY_US; now_us += PICTURE_US) {
		if (!m->settled && now_us > SETTLE_US)
			month_settle(m);
		month_picture(m, now_us);
		for (; sound_us < now_us; sound_us = next_sound_us(&sound_ticks, now_us))
			month_sound(m, sound_us);
		if (now_us >= report_us) {
			month_report(m, now_us);
			report_us += REPORT_US;
		}
	}
}

static void month_judge(const struct month *m)
{
	print_message("off %" PRId64 " us, apart %" PRId64 " us, between pictures %" PRId64
		      " us, at cuts %" PRId64 " us; %" PRId64 " steps, %u files\n",
		m->worst_off_us, m->worst_apart_us, m->worst_frame_us, m->worst_cut_us, m->steps,
		m->files);
	assert_int_equal(m->runs, 0);
	assert_true(m->worst_off_us < SECOND_US);
	assert_true(m->worst_frame_us < PICTURE_US);
	assert_true(m->worst_cut_us < PICTURE_US);
	assert_true(m->worst_apart_us < 50000);
	assert_int_equal(m->files, m->days * 86400 / SEGMENT_S - 1);
	/* nothing is heard of the alignment after it was made */
	assert_in_range(m->steps, 0, 1);
	assert_in_range(m->sounds_dropped, 0, 3);
}

static void a_month_of_pictures_300_ppm_fast_and_slow_sound(void **state)
{
	static struct month month = {
		.days = DAYS,
		.video.drift = { .always = 300 },
		.audio.drift = { .always = -100 },
		.seed = 1,
	};

	(void)state;
	month_run(&month);
	month_judge(&month);
}

static void three_days_of_slow_pictures_and_sound_300_ppm_fast(void **state)
{
	static struct month month = {
		.days = 3,
		.video.drift = { .always = -100 },
		.audio.drift = { .always = 300 },
		.seed = 2,
	};

	(void)state;
	month_run(&month);
	month_judge(&month);
}

static void a_month_of_a_wandering_rate(void **state)
{
	static struct month month = {
		.days = DAYS,
		.video.drift = {.wave = 200,   .wave_hours = 7, .walk_most = 50,  .seed = 3      },
		.audio.drift = { .always = 50, .wave = 60,      .wave_hours = 24, .walk_most = 30},
		.seed = 3,
	};

	(void)state;
	month_run(&month);
	month_judge(&month);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_month_of_pictures_300_ppm_fast_and_slow_sound),
		cmocka_unit_test(three_days_of_slow_pictures_and_sound_300_ppm_fast),
		cmocka_unit_test(a_month_of_a_wandering_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
