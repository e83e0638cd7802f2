/* A camera's PTZ: looked up, then one command after the other; and what ends a continuous move. */
#include "onvif/camera_ptz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "onvif/camera_device.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

#define SECOND_US INT64_C(1000000)
#define RETRY_LEAST_US (10 * SECOND_US) /* of the look-up */
#define RETRY_MOST_US (320 * SECOND_US)
#define FAREWELL_US (2 * SECOND_US)
#define STOP_ACTION SOAP_PTZ_SPACE "/Stop"

enum {
	STOP_TRIES = 3
};

struct camera_command {
	TAILQ_ENTRY(camera_command) entry;
	struct camera_ptz *ptz;
	enum {
		COMMAND_WAITS,
		COMMAND_UNDER_WAY,
		COMMAND_REPLACED /* and is answered in the reactor's next turn */
	} state;
	struct camera_order order;
	struct soap_writer writer;
	camera_reply_fn *done; /* NULL: nobody waits for it */
	void *arg;
	struct event *timer; /* until it has to be answered */
};

struct camera_ptz {
	struct config_camera *config;
	const struct log_name *log;
	struct camera_caller *caller;
	struct event *timer; /* to the next look-up, or to on_stopped */
	/* the look-up */
	struct camera_device *device; /* while it lasts; commands wait for it */
	bool is_stale;                /* it has to be made before the next command */
	int64_t retry_us;             /* how long to wait after one that fails */
	bool is_known;
	struct camera_found found;
	struct camera_node node;

	TAILQ_HEAD(, camera_command) commands;
	struct camera_command *under_way;

	unsigned moving;          /* axes that move until they are stopped */
	int64_t stop_us;          /* when that is, by the monotonic clock */
	struct event *stop_timer; /* to that */
	int stops;                /* how often it was tried */

	void (*on_stopped)(void *arg); /* set when the end has begun */
	void *on_stopped_arg;
	LIST_ENTRY(camera_ptz) entry;
};

static LIST_HEAD(, camera_ptz) all = LIST_HEAD_INITIALIZER(all);

static void ptz_next(struct camera_ptz *ptz);

/* --- commands --- */

static void command_free(struct camera_command *command)
{
	TAILQ_REMOVE(&command->ptz->commands, command, entry);
	reactor_timer_free(&command->timer);
	soap_writer_fini(&command->writer);
	free(command);
}

static void command_tell(struct camera_command *command, const struct camera_reply *reply)
{
	camera_reply_fn *done = command->done;

	command->done = NULL;
	if (done)
		done(command->arg, reply);
}

/* Afterwards much may have changed: to answer lets a client's next request be handled. */
static void command_end(struct camera_command *command, const struct camera_reply *reply)
{
	camera_reply_fn *done = command->done;
	void *arg = command->arg;

	command_free(command);
	if (done)
		done(arg, reply);
}

static void command_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct camera_command *command = arg;

	(void)fd, (void)what;
	switch (command->state) {
	case COMMAND_WAITS:
		command_end(command, &(struct camera_reply){ .end = SOURCE_TIMEOUT });
		break;
	case COMMAND_UNDER_WAY: /* until the camera has answered, or not: what comes next must not overtake it */
		command_tell(command, &(struct camera_reply){ .end = SOURCE_TIMEOUT });
		break;
	case COMMAND_REPLACED:
		command_end(command, &(struct camera_reply){ .end = SOURCE_STOPPED });
		break;
	}
}

void camera_command_forget(struct camera_command *command)
{
	command->done = NULL;
}

static struct camera_command *ptz_find_waiting(const struct camera_ptz *ptz)
{
	struct camera_command *command, *first = NULL;

	TAILQ_FOREACH (command, &ptz->commands, entry) {
		if (command->state != COMMAND_WAITS)
			continue;
		if (command->order.kind == CAMERA_STOPS)
			return command;
		if (!first)
			first = command;
	}
	return first;
}

static void ptz_drop(const struct camera_ptz *ptz)
{
	metric_add(metric_get(METRIC_CAMERA_PTZ_DROPPED, ptz->config->name), 1);
}

/* Whether the older one, a move, need not be sent when the newer one is; nothing of it may come after a stop. */
static bool order_is_replaced(const struct camera_order *older, const struct camera_order *newer)
{
	unsigned axes = older->begins | older->ends, by = newer->begins | newer->ends;

	return newer->kind == CAMERA_STOPS ? axes & by : !(axes & ~by);
}

static void ptz_replace_moves(struct camera_ptz *ptz, const struct camera_order *order)
{
	struct camera_command *command;

	TAILQ_FOREACH (command, &ptz->commands, entry) {
		if (command->state != COMMAND_WAITS || command->order.kind != CAMERA_MOVES ||
			!order_is_replaced(&command->order, order))
			continue;
		command->state = COMMAND_REPLACED;
		reactor_timer_start(command->timer, 0);
		ptz_drop(ptz);
	}
}

static struct camera_command *ptz_add(struct camera_ptz *ptz, const struct camera_order *order,
	struct soap_writer *writer, camera_reply_fn *done, void *arg)
{
	struct camera_command *command = xcalloc(1, sizeof(*command));

	command->ptz = ptz;
	command->order = *order;
	command->writer = *writer;
	*writer = (struct soap_writer){ 0 };
	command->done = done;
	command->arg = arg;
	command->timer = reactor_timer_new(command_on_timer, command);
	reactor_timer_start(command->timer, CAMERA_PTZ_PATIENCE_US);
	TAILQ_INSERT_TAIL(&ptz->commands, command, entry);
	ptz_next(ptz);
	return command;
}

struct camera_command *camera_ptz_ask(struct camera_ptz *ptz, const struct camera_order *order,
	struct soap_writer *writer, camera_reply_fn *done, void *arg)
{
	const struct camera_command *command;
	size_t n = 0, most = order->kind == CAMERA_STOPS ? 2 * CAMERA_PTZ_QUEUE : CAMERA_PTZ_QUEUE;

	if (order->kind != CAMERA_ASKS)
		ptz_replace_moves(ptz, order);
	TAILQ_FOREACH (command, &ptz->commands, entry)
		n += command->state == COMMAND_WAITS;
	if (n >= most) {
		soap_writer_fini(writer);
		ptz_drop(ptz);
		return NULL;
	}
	return ptz_add(ptz, order, writer, done, arg);
}

/* --- what ends a continuous move --- */

static void ptz_on_stop_answer(void *arg, const struct camera_reply *reply);

static void write_stop(struct camera_ptz *ptz, struct soap_writer *writer)
{
	xmlNode *request;

	soap_writer_init(writer);
	request = soap_add(writer->body, SOAP_PTZ_SPACE, "Stop");
	soap_add_text(request, SOAP_PTZ_SPACE, "ProfileToken", ptz->found.profile);
	soap_add_bool(request, SOAP_PTZ_SPACE, "PanTilt", ptz->moving & PTZ_PAN_TILT);
	soap_add_bool(request, SOAP_PTZ_SPACE, "Zoom", ptz->moving & PTZ_ZOOM);
}

/* Moves that wait are not ended by it: they are newer than what it ends. */
static void ptz_stop_moving(struct camera_ptz *ptz)
{
	struct camera_order order = { CAMERA_STOPS, STOP_ACTION, 0, ptz->moving, 0 };
	struct soap_writer writer;

	ptz->stops++;
	write_stop(ptz, &writer);
	(void)ptz_add(ptz, &order, &writer, ptz_on_stop_answer, ptz);
}

static void ptz_on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	struct camera_ptz *ptz = arg;

	(void)fd, (void)what;
	log_debug(ptz->log, "nobody moves it on: it is stopped");
	ptz_stop_moving(ptz);
}

static void ptz_on_stop_answer(void *arg, const struct camera_reply *reply)
{
	struct camera_ptz *ptz = arg;

	if (reply->end == SOURCE_STOPPED || !ptz->moving || ptz->on_stopped)
		return;
	if (ptz->stops < STOP_TRIES) {
		ptz_stop_moving(ptz);
		return;
	}
	log_warn(ptz->log, "it moves, and cannot be stopped: %s%s%s", source_end_words(reply->end),
		reply->detail ? ": " : "", reply->detail ? reply->detail : "");
	ptz->moving = 0;
}

/* It may move from when the camera is asked to. Axes that begin at different times end with the first of them. */
static void ptz_begin_moving(struct camera_ptz *ptz, const struct camera_order *order)
{
	int64_t stop_us = reactor_monotonic_us() + order->lasts_us;

	if (!order->begins)
		return;
	if (!(ptz->moving & ~order->begins) || stop_us < ptz->stop_us)
		ptz->stop_us = stop_us;
	ptz->moving |= order->begins;
	ptz->stops = 0;
	reactor_timer_start(ptz->stop_timer, ptz->stop_us - reactor_monotonic_us());
}

static void ptz_end_moving(struct camera_ptz *ptz, unsigned axes)
{
	ptz->moving &= ~axes;
	if (!ptz->moving)
		reactor_timer_stop(ptz->stop_timer);
}

/* --- questions --- */

static void ptz_ask(struct camera_ptz *ptz, const char *action, int64_t patience_us,
	struct soap_writer *writer, camera_reply_fn *done)
{
	struct camera_question question = { ptz->found.ptz, action, false, patience_us };

	camera_caller_ask(ptz->caller, &question, writer, done, ptz);
}

static void ptz_on_reply(void *arg, const struct camera_reply *reply)
{
	struct camera_ptz *ptz = arg;
	struct camera_command *command = ptz->under_way;

	ptz->under_way = NULL;
	if (reply->end == SOURCE_STOPPED)
		ptz_end_moving(ptz, command->order.ends);
	else if (!reply->fault)
		ptz->is_stale = true; /* its clock may be another, after a reboot */
	command_end(command, reply);
	ptz_next(ptz);
}

static void ptz_look_up(struct camera_ptz *ptz);

/* What is to be done next, if there is something and the camera is not asked just now. */
static void ptz_next(struct camera_ptz *ptz)
{
	struct camera_command *command;

	if (ptz->under_way || ptz->device || ptz->on_stopped)
		return;
	if (ptz->is_stale) {
		ptz_look_up(ptz);
		return;
	}
	command = ptz->is_known ? ptz_find_waiting(ptz) : NULL;
	if (!command)
		return;
	command->state = COMMAND_UNDER_WAY;
	ptz->under_way = command;
	ptz_begin_moving(ptz, &command->order);
	ptz_ask(ptz, command->order.action, CAMERA_PTZ_PATIENCE_US, &command->writer, ptz_on_reply);
}

/* --- the look-up --- */

static void ptz_end_look_up(struct camera_ptz *ptz)
{
	camera_device_free(ptz->device);
	ptz->device = NULL;
	ptz_next(ptz);
}

/* What was known before is tried as it is. */
static void ptz_fail_look_up(struct camera_ptz *ptz, enum source_end end, const char *detail)
{
	log_debug(ptz->log, "whether it can be moved: %s%s%s", source_end_words(end),
		detail ? ": " : "", detail ? detail : "");
	if (!ptz->is_known) {
		if (end == SOURCE_UNAUTHORIZED)
			ptz->retry_us = RETRY_MOST_US;
		reactor_timer_start(ptz->timer, ptz->retry_us);
		ptz->retry_us = ptz->retry_us < RETRY_MOST_US ? 2 * ptz->retry_us : RETRY_MOST_US;
	}
	ptz_end_look_up(ptz);
}

static void ptz_on_nodes(void *arg, const struct camera_reply *reply)
{
	struct camera_ptz *ptz = arg;
	const char *why;

	if (reply->end != SOURCE_STOPPED) {
		ptz_fail_look_up(ptz, reply->end, reply->detail);
		return;
	}
	if (camera_answer_node(&ptz->node, reply->answer, ptz->found.node, &why) < 0) {
		ptz_fail_look_up(ptz, SOURCE_PROTOCOL, why);
		return;
	}
	if (!ptz->is_known)
		log_info(ptz->log, "it can be moved");
	ptz->is_known = true;
	ptz_end_look_up(ptz);
}

static void ptz_on_device(
	void *arg, enum source_end end, const char *detail, const struct camera_found *found)
{
	struct camera_ptz *ptz = arg;
	struct soap_writer writer;

	if (end != SOURCE_STOPPED) {
		ptz_fail_look_up(ptz, end, detail);
		return;
	}
	ptz->found = *found;
	if (!found->ptz[0]) {
		ptz->is_known = false;
		ptz_end_look_up(ptz);
		return;
	}
	soap_writer_init(&writer);
	soap_add(writer.body, SOAP_PTZ_SPACE, "GetNodes");
	ptz_ask(ptz, SOAP_PTZ_SPACE "/GetNodes", CAMERA_PATIENCE_US, &writer, ptz_on_nodes);
}

static void ptz_look_up(struct camera_ptz *ptz)
{
	ptz->is_stale = false;
	ptz->device = camera_device_new(ptz->caller, CAMERA_PTZ, ptz_on_device, ptz);
}

/* --- life --- */

static void ptz_free(struct camera_ptz *ptz)
{
	camera_caller_free(ptz->caller);
	reactor_timer_free(&ptz->timer);
	reactor_timer_free(&ptz->stop_timer);
	config_camera_free(ptz->config);
	if (ptz->on_stopped)
		ptz->on_stopped(ptz->on_stopped_arg);
	free(ptz);
}

static void ptz_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct camera_ptz *ptz = arg;

	(void)fd, (void)what;
	if (ptz->on_stopped)
		ptz_free(ptz);
	else
		ptz_look_up(ptz);
}

struct camera_ptz *camera_ptz_new(
	const struct config_camera *config, const char *url, const struct log_name *log)
{
	struct camera_ptz *ptz = xcalloc(1, sizeof(*ptz));
	const char *why;

	ptz->config = config_camera_copy(config);
	ptz->log = log;
	ptz->caller = camera_caller_new(url, ptz->config, log, &why);
	if (!ptz->caller) {
		ptz_free(ptz);
		return NULL;
	}
	TAILQ_INIT(&ptz->commands);
	ptz->timer = reactor_timer_new(ptz_on_timer, ptz);
	ptz->stop_timer = reactor_timer_new(ptz_on_stop_timer, ptz);
	ptz->retry_us = RETRY_LEAST_US;
	LIST_INSERT_HEAD(&all, ptz, entry);
	ptz_look_up(ptz);
	return ptz;
}

static void ptz_on_farewell(void *arg, const struct camera_reply *reply)
{
	(void)reply; /* whatever it says */
	ptz_free(arg);
}

void camera_ptz_stop(struct camera_ptz *ptz, void (*on_stopped)(void *arg), void *arg)
{
	struct camera_command *command;
	struct soap_writer writer;

	ptz->on_stopped = on_stopped;
	ptz->on_stopped_arg = arg;
	LIST_REMOVE(ptz, entry);
	camera_device_free(ptz->device);
	reactor_timer_stop(ptz->stop_timer);
	reactor_timer_start(ptz->timer, ptz->moving ? FAREWELL_US : 0);
	if (ptz->moving) {
		write_stop(ptz, &writer);
		ptz_ask(ptz, STOP_ACTION, FAREWELL_US, &writer, ptz_on_farewell);
	} else {
		camera_caller_free(ptz->caller);
		ptz->caller = NULL;
	}
	while ((command = TAILQ_FIRST(&ptz->commands)))
		command_end(command, &(struct camera_reply){ .end = SOURCE_CLOSED });
}

/* --- who can be moved --- */

struct camera_ptz *camera_ptz_find(const char *camera)
{
	struct camera_ptz *ptz;

	LIST_FOREACH (ptz, &all, entry) {
		if (ptz->is_known && !strcmp(ptz->config->name, camera))
			return ptz;
	}
	return NULL;
}

const struct camera_node *camera_ptz_node(const struct camera_ptz *ptz)
{
	return &ptz->node;
}

const char *camera_ptz_profile(const struct camera_ptz *ptz)
{
	return ptz->found.profile;
}
