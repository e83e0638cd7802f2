#pragma once

#include "server/base/attributes.h"
#include "server/media/source.h"

/*
 * The camera behind `source: "http://…"`: JPEG pictures, one for each request, asked for in a fixed
 * beat (interval:), or an endless stream of them (multipart/x-mixed-replace). Published as Motion
 * JPEG, each picture with the time at which it began to arrive. Never two requests at once.
 */
struct http_camera;

/* Returns NULL and a static *why when the URL makes no sense. */
struct http_camera *http_camera_new(const struct source_order *order, const char **why) MUST_CHECK;
void http_camera_free(struct http_camera *camera); /* NULL is fine; on_end is not called */
