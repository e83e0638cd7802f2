#pragma once

#include <stdbool.h>

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/* All cameras of the process: follows the configuration and stops them at the end. */
struct cameras;

struct cameras *cameras_new(struct volume *volume, struct catalogue *catalogue);

/* Starts what is new, changes what differs, stops what is gone; the rest does not notice. */
void cameras_apply(struct cameras *cameras, const struct config *config);

/* Something happened at one of them, so long ago; it may be gone by now. */
void cameras_trigger(struct cameras *cameras, const char *name, int64_t ago_us);

/* How long what lasts there is believed without being said again; of one that is gone, five minutes. */
int64_t cameras_event_hold_us(struct cameras *cameras, const char *name);

/* Stops all; on_stopped comes when every recording is on disk, and the object is gone then. */
void cameras_stop(struct cameras *cameras, void (*on_stopped)(void *arg), void *arg);
