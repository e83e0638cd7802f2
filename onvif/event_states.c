#include "onvif/event_states.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "onvif/onvif_call.h"
#include "onvif/recording_service.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/media/stream.h"
#include "storage/volume.h"

enum {
	STATES_MOST = 2048 /* what is more is told, and not remembered */
};
#define BEAT_US INT64_C(1000000)
#define SILENT_US \
	(INT64_C(300) * 1000000) /* as in server/events.c: some forget to say that it is over */

struct state {
	LIST_ENTRY(state) entry;
	struct event_told told;
	int64_t heard_us;   /* monotonic */
	bool is_of_notices; /* and else of what is looked at */
};

static struct {
	struct event_listener listener;
	event_states_fn *tell;
	LIST_HEAD(, state) list;
	size_t n;
	struct event *timer;
	bool is_wanted;
} states;

static struct state *state_find(enum event_topic topic, const char *camera, const char *rule)
{
	struct state *state;

	LIST_FOREACH (state, &states.list, entry) {
		if (state->told.topic == topic && !strcmp(state->told.camera, camera) &&
			!strcmp(state->told.rule, rule))
			return state;
	}
	return NULL;
}

static void state_free(struct state *state)
{
	LIST_REMOVE(state, entry);
	states.n--;
	free(state);
}

static struct event_told told_of(enum event_topic topic, const char *camera, const char *rule)
{
	struct event_told told = { .topic = topic, .utc_us = reactor_now_us() };

	snprintf(told.camera, sizeof(told.camera), "%s", camera);
	snprintf(told.rule, sizeof(told.rule), "%s", rule);
	return told;
}

/* It is so; tells it when it was not so. Returns the state, or NULL. */
static struct state *state_set(
	enum event_topic topic, const char *camera, const char *rule, bool value)
{
	struct state *state = state_find(topic, camera, rule);
	struct event_told told = told_of(topic, camera, rule);
	bool is_new = !state;

	told.value = value;
	told.operation = is_new ? EVENT_OPERATION_INITIALIZED : EVENT_OPERATION_CHANGED;
	if (is_new && states.n < STATES_MOST) {
		state = xcalloc(1, sizeof(*state));
		LIST_INSERT_HEAD(&states.list, state, entry);
		states.n++;
	}
	if (!state || is_new || state->told.value != value) {
		if (state)
			state->told = told;
		states.tell(&told);
	}
	if (state)
		state->heard_us = reactor_monotonic_us();
	return state;
}

/* --- notices --- */

bool event_states_is_on(enum event_topic topic, const char *camera)
{
	const struct state *state;

	LIST_FOREACH (state, &states.list, entry) {
		if (state->told.topic == topic && state->told.value &&
			!strcmp(state->told.camera, camera))
			return true;
	}
	return false;
}

static void notice_set(enum event_topic topic, const char *camera, const char *rule, bool value)
{
	struct state *state = state_set(topic, camera, rule, value);

	if (state)
		state->is_of_notices = true;
	if (topic == TOPIC_CELL_MOTION)
		(void)state_set(TOPIC_MOTION_ALARM, camera, "",
			event_states_is_on(TOPIC_CELL_MOTION, camera));
}

/* What has no length is told as something that begins and ends, where its topic has a state. */
static void on_notice(struct event_listener *listener, const struct event_notice *notice)
{
	enum event_topic topic = event_topic_of(notice->kind);
	const char *rule = notice->source ? notice->source : "";
	struct event_told told;

	(void)listener;
	if (topic == TOPICS)
		return;
	if (!event_topic_is_property(topic)) {
		told = told_of(topic, notice->camera, rule);
		if (notice->phase != EVENT_ENDS)
			states.tell(&told);
		return;
	}
	if (notice->phase != EVENT_ENDS)
		notice_set(topic, notice->camera, rule, true);
	if (notice->phase != EVENT_BEGINS)
		notice_set(topic, notice->camera, rule, false);
}

/* --- what is looked at --- */

static void look_at_camera(const struct config_camera *camera)
{
	const struct stream *stream = stream_find(camera->name);

	(void)state_set(TOPIC_SIGNAL_LOSS, camera->name, "", !stream || !stream_is_up(stream));
	(void)state_set(TOPIC_JOB_STATE, camera->name, "", recording_is_active(camera));
	(void)state_set(TOPIC_MOTION_ALARM, camera->name, "",
		event_states_is_on(TOPIC_CELL_MOTION, camera->name));
}

/* What no camera has any more, and what nobody has said the end of. */
static void look_for_ends(void)
{
	int64_t now_us = reactor_monotonic_us();
	struct state *state, *next;

	for (state = LIST_FIRST(&states.list); state; state = next) {
		next = LIST_NEXT(state, entry);
		if (state->told.camera[0] &&
			!config_find_camera(onvif_setup()->config, state->told.camera))
			state_free(state);
		else if (state->is_of_notices && state->told.value &&
			 now_us - state->heard_us >= SILENT_US)
			notice_set(state->told.topic, state->told.camera, state->told.rule, false);
	}
}

static void look(void)
{
	const struct onvif_setup *setup = onvif_setup();
	const struct config_camera *camera;

	look_for_ends();
	TAILQ_FOREACH (camera, &setup->config->cameras, entry) {
		if (camera->enabled && strlen(camera->name) <= ONVIF_CAMERA_BYTES)
			look_at_camera(camera);
	}
	(void)state_set(TOPIC_STORAGE_FAILURE, "", "", !volume_is_there(setup->volume));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	look();
	if (states.is_wanted)
		reactor_timer_start(states.timer, BEAT_US);
}

void event_states_want(bool is_wanted)
{
	if (is_wanted && !states.is_wanted) {
		look();
		reactor_timer_start(states.timer, BEAT_US);
	}
	states.is_wanted = is_wanted;
}

void event_states_each(event_states_each_fn *tell, void *arg)
{
	const struct state *state;
	struct event_told told;

	LIST_FOREACH (state, &states.list, entry) {
		told = state->told;
		told.operation = EVENT_OPERATION_INITIALIZED;
		tell(arg, &told);
	}
}

/* --- life --- */

void event_states_start(event_states_fn *tell)
{
	LIST_INIT(&states.list);
	states.tell = tell;
	states.timer = reactor_timer_new(on_timer, NULL);
	states.listener.on_notice = on_notice;
	event_subscribe(&states.listener);
}

void event_states_stop(void)
{
	if (!states.timer)
		return;
	event_unsubscribe(&states.listener);
	reactor_timer_free(&states.timer);
	while (!LIST_EMPTY(&states.list))
		state_free(LIST_FIRST(&states.list));
	states.is_wanted = false;
}
