#pragma once

#include <stdbool.h>

#include "server/base/attributes.h"
#include "server/media/source.h"

/*
 * The camera behind `source: "av:…"`: whatever libavformat opens (RTMP, SRT, HLS, MPEG-TS over UDP,
 * files, V4L2), read by a thread of its own and published as libavcodec's packets.
 */
struct av_source;

/*
 * Starts reading order->url: "av:" and a URL, or the absolute path of a file. Returns NULL and a
 * static *why when it makes no sense.
 */
struct av_source *av_source_new(const struct source_order *order, const char **why) MUST_CHECK;

/*
 * Ends it without calling on_end; NULL is fine. Returns at once: the thread may still be inside
 * libavformat, and is joined when it came back from there.
 */
void av_source_free(struct av_source *source);

/*
 * Turns the loop until the threads of all freed sources have ended, for two seconds at most; for
 * the end of the process, before reactor_fini(). What hangs in the kernel stays behind. Returns
 * whether nothing did.
 */
bool av_source_fini_all(void);
