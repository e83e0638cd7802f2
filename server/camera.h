#pragma once

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/*
 * Supervises one camera: picks its source by the URL's scheme, starts it again when it ends (after
 * 1 s to 60 s), and records its stream.
 */
struct camera;

/* Starts at once. The volume and the catalogue outlive the camera; the configuration is copied. */
struct camera *camera_new(const struct config_camera *config, int64_t segment_us,
	struct volume *volume, struct catalogue *catalogue) MUST_CHECK;

/* Takes new options: what changed restarts, readers of the stream stay. */
void camera_apply(struct camera *camera, const struct config_camera *config, int64_t segment_us);

/*
 * Ends the source and the open recording; on_stopped comes when the file is on disk, after which
 * the camera is gone.
 */
void camera_stop(struct camera *camera, void (*on_stopped)(void *arg), void *arg);

/* Something happened there so long ago: with record: events it is recorded. */
void camera_trigger(struct camera *camera, int64_t ago_us);

int64_t camera_event_hold_us(const struct camera *camera); /* event_hold: */
const char *camera_name(const struct camera *camera);
