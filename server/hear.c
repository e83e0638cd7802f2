/* The supervisor of a camera's subscription. */
#include "server/hear.h"

#include <stdlib.h>
#include <string.h>

#include "onvif/camera_clock.h"
#include "onvif/camera_subscription.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/patience.h"

struct hear {
	struct config_camera *config;
	const struct log_name *log;
	struct log_repeated again;
	struct camera_subscription *subscription; /* NULL between attempts */
	struct camera_clock *clock;               /* NULL: it is not set */
	struct patience patience;
	enum source_end last_end;
	struct event *timer; /* to the next attempt, or to on_stopped */
	struct metric *up;
	void (*on_stopped)(void *arg); /* set when the end has begun */
	void *on_stopped_arg;
};

const char *hear_url(const struct config_camera *config)
{
	if (config->onvif)
		return config->onvif;
	return strncasecmp(config->source, "onvif", strlen("onvif")) == 0 ? config->source : NULL;
}

static void hear_on_up(void *arg)
{
	struct hear *hear = arg;

	log_info(hear->log, "its events are heard");
	hear->again = (struct log_repeated){ 0 };
	metric_set(hear->up, 1);
	patience_reset(&hear->patience);
	camera_clock_look(hear->clock);
}

static void hear_count_failure(const struct hear *hear, enum source_end end)
{
	metric_add(metric_get(METRIC_CAMERA_EVENTS_FAILURES, hear->config->name,
			   source_end_metric(end)),
		1);
}

static void hear_on_again(void *arg, enum source_end end, const char *detail)
{
	struct hear *hear = arg;

	hear_count_failure(hear, end);
	log_write_repeated(&hear->again, LOG_INFO, hear->log, "events: %s%s%s; subscribing anew",
		source_end_words(end), detail ? ": " : "", detail ? detail : "");
	camera_clock_look(hear->clock);
}

static void hear_on_end(void *arg, enum source_end end, const char *detail)
{
	struct hear *hear = arg;
	int64_t wait_us;

	camera_subscription_free(hear->subscription);
	hear->subscription = NULL;
	metric_set(hear->up, 0);
	hear_count_failure(hear, end);
	if (end != hear->last_end)
		hear->again = (struct log_repeated){ 0 };
	hear->last_end = end;
	wait_us = patience_next_us(&hear->patience, end, 0);
	log_write_repeated(&hear->again, LOG_WARN, hear->log,
		"events: %s%s%s; trying again in %.1f s", source_end_words(end), detail ? ": " : "",
		detail ? detail : "", (double)wait_us / 1e6);
	reactor_timer_start(hear->timer, wait_us);
}

static void hear_free(struct hear *hear)
{
	camera_subscription_free(hear->subscription);
	camera_clock_free(hear->clock);
	reactor_timer_free(&hear->timer);
	config_camera_free(hear->config);
	hear->on_stopped(hear->on_stopped_arg);
	free(hear);
}

static void hear_on_stopped(void *arg)
{
	hear_free(arg);
}

static const struct camera_subscription_events subscription_events = {
	.on_up = hear_on_up,
	.on_again = hear_on_again,
	.on_end = hear_on_end,
	.on_stopped = hear_on_stopped,
};

static void hear_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct hear *hear = arg;
	const char *why;

	(void)fd, (void)what;
	if (hear->on_stopped) {
		hear_free(hear);
		return;
	}
	hear->subscription = camera_subscription_new(hear->config->name, hear_url(hear->config),
		hear->config, hear->log, &subscription_events, hear, &why);
	if (!hear->subscription)
		hear_on_end(hear, SOURCE_FAILED, why);
}

struct hear *hear_new(const struct config_camera *config, const struct log_name *log)
{
	struct hear *hear = xcalloc(1, sizeof(*hear));

	hear->config = config_camera_copy(config);
	hear->log = log;
	hear->up = metric_get(METRIC_CAMERA_EVENTS_UP, config->name);
	metric_set(hear->up, 0);
	patience_reset(&hear->patience);
	hear->timer = reactor_timer_new(hear_on_timer, hear);
	reactor_timer_start(hear->timer, 0);
	if (config->set_clock)
		hear->clock = camera_clock_new(hear_url(hear->config), hear->config, log);
	return hear;
}

void hear_stop(struct hear *hear, void (*on_stopped)(void *arg), void *arg)
{
	hear->on_stopped = on_stopped;
	hear->on_stopped_arg = arg;
	metric_set(hear->up, 0);
	if (hear->subscription)
		camera_subscription_stop(hear->subscription);
	else
		reactor_timer_start(hear->timer, 0);
}
