/* The set of cameras, kept equal to the configuration. */
#include "server/cameras.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/camera.h"

#define EVENT_HOLD_US INT64_C(300000000) /* of a camera that is gone */

struct cameras_entry {
	TAILQ_ENTRY(cameras_entry) entry;
	struct cameras *cameras;
	struct camera *camera;
	bool stopping;
};

struct cameras {
	TAILQ_HEAD(cameras_list, cameras_entry) list;
	struct volume *volume;
	struct catalogue *catalogue;
	const struct config *config;   /* in force */
	void (*on_stopped)(void *arg); /* set when the end has begun */
	void *on_stopped_arg;
};

struct cameras *cameras_new(struct volume *volume, struct catalogue *catalogue)
{
	struct cameras *cameras = xcalloc(1, sizeof(*cameras));

	TAILQ_INIT(&cameras->list);
	cameras->volume = volume;
	cameras->catalogue = catalogue;
	return cameras;
}

static struct cameras_entry *cameras_find(struct cameras *cameras, const char *name)
{
	struct cameras_entry *e;

	TAILQ_FOREACH (e, &cameras->list, entry) {
		if (!strcmp(camera_name(e->camera), name))
			return e;
	}
	return NULL;
}

static void cameras_start(struct cameras *cameras, const struct config_camera *config)
{
	struct cameras_entry *e = xcalloc(1, sizeof(*e));

	e->cameras = cameras;
	e->camera = camera_new(
		config, cameras->config->storage.segment_us, cameras->volume, cameras->catalogue);
	TAILQ_INSERT_TAIL(&cameras->list, e, entry);
}

static void cameras_finish(struct cameras *cameras)
{
	if (!cameras->on_stopped || !TAILQ_EMPTY(&cameras->list))
		return;
	cameras->on_stopped(cameras->on_stopped_arg);
	free(cameras);
}

/* One camera is gone; a camera of its name may have come back into the configuration meanwhile. */
static void cameras_on_stopped(void *arg)
{
	struct cameras_entry *e = arg;
	struct cameras *cameras = e->cameras;
	const struct config_camera *again;

	TAILQ_REMOVE(&cameras->list, e, entry);
	again = cameras->on_stopped ? NULL
				    : config_find_camera(cameras->config, camera_name(e->camera));
	if (again)
		cameras_start(cameras, again);
	free(e);
	cameras_finish(cameras);
}

static void cameras_stop_one(struct cameras_entry *e)
{
	if (e->stopping)
		return;
	e->stopping = true;
	camera_stop(e->camera, cameras_on_stopped, e);
}

void cameras_apply(struct cameras *cameras, const struct config *config)
{
	struct cameras_entry *e, *next;
	const struct config_camera *c;

	cameras->config = config;
	TAILQ_FOREACH (c, &config->cameras, entry) {
		e = cameras_find(cameras, c->name);
		if (!e)
			cameras_start(cameras, c);
		else if (!e->stopping)
			camera_apply(e->camera, c, config->storage.segment_us);
	}
	for (e = TAILQ_FIRST(&cameras->list); e; e = next) {
		next = TAILQ_NEXT(e, entry);
		if (!config_find_camera(config, camera_name(e->camera)))
			cameras_stop_one(e);
	}
}

void cameras_trigger(struct cameras *cameras, const char *name, int64_t ago_us)
{
	struct cameras_entry *e = cameras_find(cameras, name);

	if (e && !e->stopping)
		camera_trigger(e->camera, ago_us);
}

int64_t cameras_event_hold_us(struct cameras *cameras, const char *name)
{
	struct cameras_entry *e = cameras_find(cameras, name);

	return e ? camera_event_hold_us(e->camera) : EVENT_HOLD_US;
}

void cameras_stop(struct cameras *cameras, void (*on_stopped)(void *arg), void *arg)
{
	struct cameras_entry *e, *next;

	cameras->on_stopped = on_stopped;
	cameras->on_stopped_arg = arg;
	if (TAILQ_EMPTY(&cameras->list)) {
		cameras_finish(cameras);
		return;
	}
	for (e = TAILQ_FIRST(&cameras->list); e; e = next) {
		next = TAILQ_NEXT(e, entry);
		cameras_stop_one(e);
	}
}
