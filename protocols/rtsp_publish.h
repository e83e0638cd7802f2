#pragma once

#include "server/base/attributes.h"
#include "server/media/source.h"

/*
 * A camera that others push into by RTSP (ANNOUNCE and RECORD, RFC 2326 sections 10.3 and 10.11): a place
 * that waits, one publisher at a time. It publishes into the order's stream, tells of each that came by
 * on_up and of each that went by on_left, and never ends by itself.
 */
struct rtsp_publish;

struct rtsp_publish *rtsp_publish_new(const struct source_order *order) MUST_CHECK;
/* Ends whoever publishes, without calling on_left. NULL is fine. */
void rtsp_publish_free(struct rtsp_publish *place);
