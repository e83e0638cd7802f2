#pragma once

#include <stdbool.h>

#include "protocols/rtsp_client.h"
#include "server/base/attributes.h"
#include "server/media/source.h"

/*
 * The camera behind `source: "onvif://…"`: asks it by ONVIF where its largest stream is, or the one beside it, and pulls that by
 * RTSP with the same user, from the host that answered (Q117).
 */
struct camera_source;

/* As rtsp_client_new(). */
struct camera_source *camera_source_new(const struct source_order *order, bool sub,
	struct rtsp_client_memory *memory, const char **why) MUST_CHECK;
void camera_source_free(struct camera_source *source); /* NULL is fine; on_end is not called */
