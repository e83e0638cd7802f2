#include "onvif/camera_clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "onvif/camera_answer.h"
#include "onvif/camera_caller.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/base/wall_clock.h"

#define TDS SOAP_DEVICE_SPACE
#define TT SOAP_SCHEMA_SPACE
#define SECOND_US INT64_C(1000000)
#define OFF_US (2 * SECOND_US)
#define WHOLE_US (SECOND_US / 2) /* cameras tell whole seconds: half a one less, usually */
#define FIRST_US (60 * SECOND_US)
#define AGAIN_US (86400 * SECOND_US)
#define REFUSED_US \
	(3600 * SECOND_US) /* it is not asked to be set more often: some lock users out */

enum {
	TELLINGS = 3 /* before it is given up: what was told may have been long on its way */
};

struct camera_clock {
	const char *url;
	const struct config_camera *config;
	const struct log_name *log;
	struct event *timer;          /* to the next look */
	struct camera_caller *caller; /* while it looks */
	int64_t asked_us;             /* what time it has */
	int64_t off_us;               /* ahead of us, as it was found */
	unsigned told;                /* so often, in this look */
	const char *complaint; /* the last one, static; NULL: none since it had the right time */
	int64_t refused_us;    /* monotonic, when it was given up; 0: never */
};

static void clock_ask_time(struct camera_clock *clock);

static void clock_end(struct camera_clock *clock, int64_t again_us)
{
	camera_caller_free(clock->caller);
	clock->caller = NULL;
	reactor_timer_start(clock->timer, again_us);
}

/* Once of each reason, until it has the right time. */
static void clock_complain(struct camera_clock *clock, const char *why, const char *detail)
{
	if (!clock->complaint || strcmp(clock->complaint, why) != 0)
		log_warn(clock->log, "its clock is %.1f s %s and is not set: %s%s%s",
			(double)llabs(clock->off_us) / 1e6, clock->off_us > 0 ? "ahead" : "behind",
			why, detail ? ": " : "", detail ? detail : "");
	clock->complaint = why;
}

static void clock_give_up(struct camera_clock *clock, const char *why, const char *detail)
{
	clock_complain(clock, why, detail);
	clock->refused_us = reactor_monotonic_us();
	clock_end(clock, AGAIN_US);
}

/* --- setting it --- */

static void clock_on_told(void *arg, const struct camera_reply *reply)
{
	struct camera_clock *clock = arg;

	if (reply->end == SOURCE_STOPPED) {
		clock->told++;
		clock_ask_time(clock);
	} else {
		clock_give_up(clock, source_end_words(reply->end), reply->detail);
	}
}

static void write_date_time(xmlNode *parent, int64_t utc_us)
{
	xmlNode *node = soap_add(parent, TDS, "UTCDateTime"), *part;
	time_t seconds = (time_t)((utc_us + SECOND_US / 2) / SECOND_US);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	part = soap_add(node, TT, "Time");
	soap_add_integer(part, TT, "Hour", utc.tm_hour);
	soap_add_integer(part, TT, "Minute", utc.tm_min);
	soap_add_integer(part, TT, "Second", utc.tm_sec);
	part = soap_add(node, TT, "Date");
	soap_add_integer(part, TT, "Year", utc.tm_year + 1900);
	soap_add_integer(part, TT, "Month", utc.tm_mon + 1);
	soap_add_integer(part, TT, "Day", utc.tm_mday);
}

static void clock_tell(struct camera_clock *clock, bool is_summer)
{
	struct camera_question question = { camera_caller_device_path(clock->caller),
		TDS "/SetSystemDateAndTime", false, CAMERA_PATIENCE_US };
	struct soap_writer writer;
	xmlNode *request;

	soap_writer_init(&writer);
	request = soap_add(writer.body, TDS, "SetSystemDateAndTime");
	soap_add_text(request, TDS, "DateTimeType", "Manual");
	soap_add_bool(request, TDS, "DaylightSavings", is_summer);
	write_date_time(request, reactor_now_us()); /* the zone stays what it is */
	camera_caller_ask(clock->caller, &question, &writer, clock_on_told, clock);
}

/* --- looking at it --- */

static bool clock_may_tell(const struct camera_clock *clock)
{
	return !clock->refused_us || reactor_monotonic_us() - clock->refused_us >= REFUSED_US;
}

static void clock_on_known(struct camera_clock *clock, const struct camera_time *time)
{
	int64_t now_us = reactor_now_us(), took_us = now_us - clock->asked_us;
	int64_t off_us = time->utc_us + WHOLE_US - (now_us - took_us / 2);
	bool is_right = llabs(off_us) <= OFF_US + took_us / 2;

	camera_caller_set_clock(clock->caller, time->utc_us - now_us, time->local_us - now_us);
	if (clock->told && is_right)
		log_info(clock->log, "its clock was %.1f s %s and is set",
			(double)llabs(clock->off_us) / 1e6, clock->off_us > 0 ? "ahead" : "behind");
	if (!clock->told || clock->told == TELLINGS)
		clock->off_us = off_us;
	if (is_right) {
		clock->complaint = NULL;
		clock_end(clock, AGAIN_US);
	} else if (clock->told == TELLINGS) {
		clock_give_up(clock, "it was told the time, and has another one", NULL);
	} else if (!wall_clock_is_set()) {
		clock_complain(clock, "nobody has set ours", NULL);
		clock_end(clock, FIRST_US);
	} else if (clock_may_tell(clock)) {
		clock_tell(clock, time->is_summer);
	} else {
		clock_end(clock, AGAIN_US);
	}
}

/* Where it tells no time, whoever pulls the camera or hears it says what is wrong. */
static void clock_on_time(void *arg, const struct camera_reply *reply)
{
	struct camera_clock *clock = arg;
	struct camera_time time;
	const char *why;

	if (reply->end == SOURCE_STOPPED && camera_answer_time(&time, reply->answer, &why) == 0)
		clock_on_known(clock, &time);
	else
		clock_end(clock, AGAIN_US);
}

static void clock_ask_time(struct camera_clock *clock)
{
	struct camera_question question = { camera_caller_device_path(clock->caller),
		TDS "/GetSystemDateAndTime", true, CAMERA_PATIENCE_US };
	struct soap_writer writer;

	soap_writer_init(&writer);
	soap_add(writer.body, TDS, "GetSystemDateAndTime");
	clock->asked_us = reactor_now_us();
	camera_caller_ask(clock->caller, &question, &writer, clock_on_time, clock);
}

void camera_clock_look(struct camera_clock *clock)
{
	const char *why;

	if (!clock || clock->caller)
		return;
	clock->caller = camera_caller_new(clock->url, clock->config, clock->log, &why);
	clock->told = 0;
	if (clock->caller)
		clock_ask_time(clock);
}

static void clock_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	camera_clock_look(arg);
}

/* --- life --- */

struct camera_clock *camera_clock_new(
	const char *url, const struct config_camera *config, const struct log_name *log)
{
	struct camera_clock *clock = xcalloc(1, sizeof(*clock));

	clock->url = url;
	clock->config = config;
	clock->log = log;
	clock->timer = reactor_timer_new(clock_on_timer, clock);
	reactor_timer_start(clock->timer, FIRST_US);
	return clock;
}

void camera_clock_free(struct camera_clock *clock)
{
	if (!clock)
		return;
	camera_caller_free(clock->caller);
	reactor_timer_free(&clock->timer);
	free(clock);
}
