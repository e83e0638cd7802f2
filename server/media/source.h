#pragma once

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "server/base/log.h"
#include "server/media/stream.h"

/*
 * What every source (RTSP client, HTTP camera, libavformat, who publishes, test picture) has in common: it
 * publishes into a stream, tells once that media flows, and ends once with a reason. Whoever
 * supervises it (server/camera) decides when to try again.
 */

/* id, metric label, words */
#define SOURCE_ENDS(X)                                                              \
	X(SOURCE_STOPPED, "stopped", "stopped")                                     \
	X(SOURCE_HOST_UNKNOWN, "host_unknown", "the host name is unknown")          \
	X(SOURCE_REFUSED, "refused", "connection refused")                          \
	X(SOURCE_TIMEOUT, "timeout", "no answer in time")                           \
	X(SOURCE_UNTRUSTED, "untrusted", "the camera's certificate is not trusted") \
	X(SOURCE_UNAUTHORIZED, "unauthorized", "wrong user or password")            \
	X(SOURCE_NOT_FOUND, "not_found", "the camera does not know this path")      \
	X(SOURCE_NO_VIDEO, "no_video", "the camera offers no video track")          \
	X(SOURCE_UNSUPPORTED, "unsupported", "no codec that can be recorded")       \
	X(SOURCE_PROTOCOL, "protocol", "the camera's answer makes no sense")        \
	X(SOURCE_FAULT, "fault", "the camera says no")                              \
	X(SOURCE_BUSY, "busy", "the camera has no room for one more reader")        \
	X(SOURCE_STALLED, "stalled", "media stopped arriving")                      \
	X(SOURCE_NO_KEYFRAME, "no_keyframe", "no picture to begin with arrived")    \
	X(SOURCE_CLOSED, "closed", "the camera ended the connection")               \
	X(SOURCE_FAILED, "failed", "the source failed")

enum source_end {
#define X(id, metric, words) id,
	SOURCE_ENDS(X)
#undef X
};
const char *source_end_metric(enum source_end end);
const char *source_end_words(enum source_end end);

struct source_events {
	void (*on_up)(void *arg); /* the first complete access unit was published */
	/* Media arrives, but something is wrong with it: static words, or NULL when all is well again. */
	void (*on_degraded)(void *arg, const char *why);
	/*
	 * Of a source that others push into: whoever did so is gone, for that reason, and it waits for the
	 * next one.
	 */
	void (*on_left)(void *arg, enum source_end end, const char *detail);
	/* The camera has a smaller stream, too, to be had by the same URL; may be NULL. */
	void (*on_substream)(void *arg);
	/* It is over; called once, never from inside source_new/start. `detail` may be NULL. */
	void (*on_end)(void *arg, enum source_end end, const char *detail);
};

/*
 * What a source is made for. Everything outlives the source, but for the order itself, which is
 * copied.
 */
struct source_order {
	const char *url;                    /* what to pull: the camera's source or substream */
	const struct config_camera *config; /* its other options */
	struct stream *stream;
	const char *camera;         /* the label of metrics: "porch", "porch/sub" */
	const struct log_name *log; /* the parent of the source's own name */
	const struct source_events *events;
	void *arg;
	/* Set before on_end: how long the camera wants no visit (Retry-After); else left alone. */
	int64_t *retry_after_us;
};
