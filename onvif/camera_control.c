/* What a camera is told by ONVIF: it is looked up, then one command after the other; and what ends a continuous move. */
#include "onvif/camera_control.h"

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
	struct camera_control *control;
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

struct camera_control {
	struct config_camera *config;
	const struct log_name *log;
	struct camera_caller *caller;
	struct event *timer; /* to the next look-up, or to on_stopped */
	/* the look-up */
	struct camera_device *device; /* while it lasts; commands wait for it */
	bool is_stale;                /* it has to be made before the next command */
	int64_t retry_us;             /* how long to wait after one that fails */
	bool is_known;                /* one has answered all that there is to know */
	struct camera_found found;
	bool can_move; /* as the node says */
	struct camera_node node;

	TAILQ_HEAD(, camera_command) commands;
	struct camera_command *under_way;

	unsigned moving;          /* axes that move until they are stopped */
	int64_t stop_us;          /* when that is, by the monotonic clock */
	struct event *stop_timer; /* to that */
	int stops;                /* how often it was tried */

	void (*on_stopped)(void *arg); /* set when the end has begun */
	void *on_stopped_arg;
	LIST_ENTRY(camera_control) entry;
};

static LIST_HEAD(, camera_control) all = LIST_HEAD_INITIALIZER(all);

static void control_next(struct camera_control *control);

/* --- commands --- */

static void command_free(struct camera_command *command)
{
	TAILQ_REMOVE(&command->control->commands, command, entry);
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

static bool control_has(const struct camera_control *control, enum camera_service service)
{
	return service == CAMERA_PTZ ? control->can_move : control->found.imaging[0] != '\0';
}

static struct camera_command *control_find_waiting(const struct camera_control *control)
{
	struct camera_command *command, *first = NULL;

	TAILQ_FOREACH (command, &control->commands, entry) {
		if (command->state != COMMAND_WAITS ||
			!control_has(control, command->order.service))
			continue;
		if (command->order.kind == CAMERA_STOPS)
			return command;
		if (!first)
			first = command;
	}
	return first;
}

static void control_drop(const struct camera_control *control)
{
	metric_add(metric_get(METRIC_CAMERA_PTZ_DROPPED, control->config->name), 1);
}

/* Whether the older one, a move, need not be sent when the newer one is; nothing of it may come after a stop. */
static bool order_is_replaced(const struct camera_order *older, const struct camera_order *newer)
{
	unsigned axes = older->begins | older->ends, by = newer->begins | newer->ends;

	return newer->kind == CAMERA_STOPS ? axes & by : !(axes & ~by);
}

static void control_replace_moves(struct camera_control *control, const struct camera_order *order)
{
	struct camera_command *command;

	TAILQ_FOREACH (command, &control->commands, entry) {
		if (command->state != COMMAND_WAITS || command->order.kind != CAMERA_MOVES ||
			!order_is_replaced(&command->order, order))
			continue;
		command->state = COMMAND_REPLACED;
		reactor_timer_start(command->timer, 0);
		control_drop(control);
	}
}

static struct camera_command *control_add(struct camera_control *control,
	const struct camera_order *order, struct soap_writer *writer, camera_reply_fn *done,
	void *arg)
{
	struct camera_command *command = xcalloc(1, sizeof(*command));

	command->control = control;
	command->order = *order;
	command->writer = *writer;
	*writer = (struct soap_writer){ 0 };
	command->done = done;
	command->arg = arg;
	command->timer = reactor_timer_new(command_on_timer, command);
	reactor_timer_start(command->timer, CAMERA_COMMAND_US);
	TAILQ_INSERT_TAIL(&control->commands, command, entry);
	control_next(control);
	return command;
}

struct camera_command *camera_control_ask(struct camera_control *control,
	const struct camera_order *order, struct soap_writer *writer, camera_reply_fn *done,
	void *arg)
{
	const struct camera_command *command;
	size_t n = 0, most = order->kind == CAMERA_STOPS ? 2 * CAMERA_QUEUE : CAMERA_QUEUE;

	if (order->kind != CAMERA_ASKS)
		control_replace_moves(control, order);
	TAILQ_FOREACH (command, &control->commands, entry)
		n += command->state == COMMAND_WAITS;
	if (n >= most) {
		soap_writer_fini(writer);
		control_drop(control);
		return NULL;
	}
	return control_add(control, order, writer, done, arg);
}

/* --- what ends a continuous move --- */

static void control_on_stop_answer(void *arg, const struct camera_reply *reply);

static void write_stop(struct camera_control *control, struct soap_writer *writer)
{
	xmlNode *request;

	soap_writer_init(writer);
	request = soap_add(writer->body, SOAP_PTZ_SPACE, "Stop");
	soap_add_text(request, SOAP_PTZ_SPACE, "ProfileToken", control->found.profile);
	soap_add_bool(request, SOAP_PTZ_SPACE, "PanTilt", control->moving & PTZ_PAN_TILT);
	soap_add_bool(request, SOAP_PTZ_SPACE, "Zoom", control->moving & PTZ_ZOOM);
}

/* Moves that wait are not ended by it: they are newer than what it ends. */
static void control_stop_moving(struct camera_control *control)
{
	struct camera_order order = { CAMERA_PTZ, CAMERA_STOPS, STOP_ACTION, 0, control->moving,
		0 };
	struct soap_writer writer;

	control->stops++;
	write_stop(control, &writer);
	(void)control_add(control, &order, &writer, control_on_stop_answer, control);
}

static void control_on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	struct camera_control *control = arg;

	(void)fd, (void)what;
	log_debug(control->log, "nobody moves it on: it is stopped");
	control_stop_moving(control);
}

static void control_on_stop_answer(void *arg, const struct camera_reply *reply)
{
	struct camera_control *control = arg;

	if (reply->end == SOURCE_STOPPED || !control->moving || control->on_stopped)
		return;
	if (control->stops < STOP_TRIES) {
		control_stop_moving(control);
		return;
	}
	log_warn(control->log, "it moves, and cannot be stopped: %s%s%s",
		source_end_words(reply->end), reply->detail ? ": " : "",
		reply->detail ? reply->detail : "");
	control->moving = 0;
}

/* It may move from when the camera is asked to. Axes that begin at different times end with the first of them. */
static void control_begin_moving(struct camera_control *control, const struct camera_order *order)
{
	int64_t stop_us = reactor_monotonic_us() + order->lasts_us;

	if (!order->begins)
		return;
	if (!(control->moving & ~order->begins) || stop_us < control->stop_us)
		control->stop_us = stop_us;
	control->moving |= order->begins;
	control->stops = 0;
	reactor_timer_start(control->stop_timer, control->stop_us - reactor_monotonic_us());
}

static void control_end_moving(struct camera_control *control, unsigned axes)
{
	control->moving &= ~axes;
	if (!control->moving)
		reactor_timer_stop(control->stop_timer);
}

/* --- questions --- */

static void control_ask(struct camera_control *control, enum camera_service service,
	const char *action, int64_t patience_us, struct soap_writer *writer, camera_reply_fn *done)
{
	const char *path = service == CAMERA_PTZ ? control->found.ptz : control->found.imaging;
	struct camera_question question = { path, action, false, patience_us };

	camera_caller_ask(control->caller, &question, writer, done, control);
}

static void control_on_reply(void *arg, const struct camera_reply *reply)
{
	struct camera_control *control = arg;
	struct camera_command *command = control->under_way;

	control->under_way = NULL;
	if (reply->end == SOURCE_STOPPED)
		control_end_moving(control, command->order.ends);
	else if (!reply->fault)
		control->is_stale = true; /* its clock may be another, after a reboot */
	command_end(command, reply);
	control_next(control);
}

static void control_look_up(struct camera_control *control);

/* What is to be done next, if there is something and the camera is not asked just now. */
static void control_next(struct camera_control *control)
{
	struct camera_command *command;

	if (control->under_way || control->device || control->on_stopped)
		return;
	if (control->is_stale) {
		control_look_up(control);
		return;
	}
	command = control_find_waiting(control);
	if (!command)
		return;
	command->state = COMMAND_UNDER_WAY;
	control->under_way = command;
	control_begin_moving(control, &command->order);
	control_ask(control, command->order.service, command->order.action, CAMERA_COMMAND_US,
		&command->writer, control_on_reply);
}

/* --- the look-up --- */

static void control_end_look_up(struct camera_control *control)
{
	camera_device_free(control->device);
	control->device = NULL;
	control_next(control);
}

/* What was known before is tried as it is. */
static void control_fail_look_up(
	struct camera_control *control, enum source_end end, const char *detail)
{
	log_debug(control->log, "whether it can be controlled: %s%s%s", source_end_words(end),
		detail ? ": " : "", detail ? detail : "");
	if (!control->is_known) {
		if (end == SOURCE_UNAUTHORIZED)
			control->retry_us = RETRY_MOST_US;
		reactor_timer_start(control->timer, control->retry_us);
		control->retry_us =
			control->retry_us < RETRY_MOST_US ? 2 * control->retry_us : RETRY_MOST_US;
	}
	control_end_look_up(control);
}

static void control_on_nodes(void *arg, const struct camera_reply *reply)
{
	struct camera_control *control = arg;
	const char *why;

	if (reply->end != SOURCE_STOPPED) {
		control_fail_look_up(control, reply->end, reply->detail);
		return;
	}
	if (camera_answer_node(&control->node, reply->answer, control->found.node, &why) < 0) {
		control_fail_look_up(control, SOURCE_PROTOCOL, why);
		return;
	}
	if (!control->can_move)
		log_info(control->log, "it can be moved");
	control->can_move = control->is_known = true;
	control_end_look_up(control);
}

static void control_on_device(
	void *arg, enum source_end end, const char *detail, const struct camera_found *found)
{
	struct camera_control *control = arg;
	struct soap_writer writer;

	if (end != SOURCE_STOPPED) {
		control_fail_look_up(control, end, detail);
		return;
	}
	if (found->imaging[0] && !control->found.imaging[0])
		log_info(control->log, "its picture can be set");
	control->found = *found;
	if (!found->ptz[0]) {
		control->can_move = false;
		control->is_known = true;
		control_end_look_up(control);
		return;
	}
	soap_writer_init(&writer);
	soap_add(writer.body, SOAP_PTZ_SPACE, "GetNodes");
	control_ask(control, CAMERA_PTZ, SOAP_PTZ_SPACE "/GetNodes", CAMERA_PATIENCE_US, &writer,
		control_on_nodes);
}

static void control_look_up(struct camera_control *control)
{
	control->is_stale = false;
	control->device =
		camera_device_new(control->caller, CAMERA_CONTROL, control_on_device, control);
}

/* --- life --- */

static void control_free(struct camera_control *control)
{
	camera_caller_free(control->caller);
	reactor_timer_free(&control->timer);
	reactor_timer_free(&control->stop_timer);
	config_camera_free(control->config);
	if (control->on_stopped)
		control->on_stopped(control->on_stopped_arg);
	free(control);
}

static void control_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct camera_control *control = arg;

	(void)fd, (void)what;
	if (control->on_stopped) {
		control_free(control);
		return;
	}
	control->is_stale = true;
	control_next(control);
}

struct camera_control *camera_control_new(
	const struct config_camera *config, const char *url, const struct log_name *log)
{
	struct camera_control *control = xcalloc(1, sizeof(*control));
	const char *why;

	control->config = config_camera_copy(config);
	control->log = log;
	control->caller = camera_caller_new(url, control->config, log, &why);
	if (!control->caller) {
		control_free(control);
		return NULL;
	}
	TAILQ_INIT(&control->commands);
	control->timer = reactor_timer_new(control_on_timer, control);
	control->stop_timer = reactor_timer_new(control_on_stop_timer, control);
	control->retry_us = RETRY_LEAST_US;
	LIST_INSERT_HEAD(&all, control, entry);
	control_look_up(control);
	return control;
}

static void control_on_farewell(void *arg, const struct camera_reply *reply)
{
	(void)reply; /* whatever it says */
	control_free(arg);
}

void camera_control_stop(struct camera_control *control, void (*on_stopped)(void *arg), void *arg)
{
	struct camera_command *command;
	struct soap_writer writer;

	control->on_stopped = on_stopped;
	control->on_stopped_arg = arg;
	LIST_REMOVE(control, entry);
	camera_device_free(control->device);
	reactor_timer_stop(control->stop_timer);
	reactor_timer_start(control->timer, control->moving ? FAREWELL_US : 0);
	if (control->moving) {
		write_stop(control, &writer);
		control_ask(control, CAMERA_PTZ, STOP_ACTION, FAREWELL_US, &writer,
			control_on_farewell);
	} else {
		camera_caller_free(control->caller);
		control->caller = NULL;
	}
	while ((command = TAILQ_FIRST(&control->commands)))
		command_end(command, &(struct camera_reply){ .end = SOURCE_CLOSED });
}

/* --- what can be controlled --- */

struct camera_control *camera_control_find(const char *camera, enum camera_service service)
{
	struct camera_control *control;

	LIST_FOREACH (control, &all, entry) {
		if (control_has(control, service) && !strcmp(control->config->name, camera))
			return control;
	}
	return NULL;
}

const struct camera_node *camera_control_node(const struct camera_control *control)
{
	return &control->node;
}

const char *camera_control_profile(const struct camera_control *control)
{
	return control->found.profile;
}

const char *camera_control_source(const struct camera_control *control)
{
	return control->found.source;
}
