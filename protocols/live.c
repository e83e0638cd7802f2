/* The folder /live/: from a path to a camera's stream and to the maker of the file asked for. */
#include "protocols/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/hls.h"
#include "protocols/http_server.h"
#include "protocols/mjpeg_live.h"
#include "protocols/mp4_live.h"
#include "protocols/snapshot.h"
#include "protocols/whep.h"
#include "server/base/memory.h"
#include "server/media/stream.h"
#include "server/media/stream_wait.h"
#include "storage/fragment.h"

enum {
	STREAM_NAME_BYTES = 72
};

// clang-format off
/* What a camera's folder holds; `file` is a whole name, or a prefix when it ends with '-'. */
static const struct live_file {
	const char *file;
	void (*get)(struct http_request *request, struct stream *stream, const char *file);
	bool is_mp4; /* needs tracks that browsers play in MP4 */
} live_files[] = {
	{ "index.m3u8",   hls_get_index,  true  },
	{ "media.m3u8",   hls_get,        true  },
	{ "init-",        hls_get,        true  },
	{ "seg-",         hls_get,        true  },
	{ "part-",        hls_get,        true  },
	{ "live.mp4",     mp4_live_get,   true  },
	{ "live.mjpeg",   mjpeg_live_get, false },
	{ "snapshot.jpg", snapshot_get,   false },
};
// clang-format on

static const struct live_file *live_find_file(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(live_files); i++) {
		size_t n = strlen(live_files[i].file);
		bool prefix = live_files[i].file[n - 1] == '-';

		if (!strncmp(name, live_files[i].file, n) && (prefix || !name[n]))
			return &live_files[i];
	}
	return NULL;
}

/* Why a stream that is up cannot be had as MP4, or NULL. */
static const char *live_refusal(const struct stream *stream)
{
	struct stream_track tracks[STREAM_TRACKS];
	size_t n = stream_tracks(stream);

	for (size_t i = 0; i < n; i++)
		tracks[i] = *stream_track(stream, i);
	return n ? fragment_web_refusal(tracks, n) : NULL;
}

/* Links to what there is of a stream. */
static void live_list_files(struct evbuffer *body, const char *stream)
{
	for (size_t i = 0; i < ARRAY_LENGTH(live_files); i++) {
		const char *file = live_files[i].file;

		if (file[strlen(file) - 1] != '-')
			evbuffer_add_printf(body, " <a href=\"%s/%s\">%s</a>", stream, file, file);
	}
	if (whep_is_on())
		evbuffer_add_printf(body, " <a href=\"%s/whep\">whep</a>", stream);
}

/* The cameras as a list of links: for people, and for the page, which reads it. */
static void live_list(struct http_request *request)
{
	struct evbuffer *body = evbuffer_new();

	evbuffer_add_printf(body,
		"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Live</title>\n"
		"<h1>Live</h1>\n<ul>\n");
	for (struct stream *s = stream_next(NULL); s; s = stream_next(s)) {
		const char *name = stream_name(s); /* a checked name needs no escaping */

		if (strchr(name, '/') || !auth_may_see(http_user(request), name))
			continue; /* a substream belongs to its camera */
		char sub[STREAM_NAME_BYTES];
		(void)snprintf(sub, sizeof(sub), "%s/sub", name);
		evbuffer_add_printf(body, "<li class=\"%s\"><a href=\"%s/live.mp4\">%s</a>",
			stream_is_up(s) ? "up" : "down", name, name);
		live_list_files(body, name);
		if (stream_find(sub)) {
			evbuffer_add_printf(body, " sub:");
			live_list_files(body, sub);
		}
		evbuffer_add_printf(
			body, " <a href=\"../recordings/%s/\">recordings</a></li>\n", name);
	}
	evbuffer_add_printf(
		body, "</ul>\n<p><a href=\"../recordings/\">recordings</a></p>\n</html>\n");
	http_add_field(request, "Cache-Control", "no-store");
	http_answer(request, 200, "text/html; charset=utf-8", body);
	evbuffer_free(body);
}

/* What a path below /live/ names: "porch/live.mp4", "porch/sub/index.m3u8". */
struct live_target {
	char stream[STREAM_NAME_BYTES];
	const char *name; /* of the file, within the request's path */
	const struct live_file *file;
};

static bool live_parse(struct live_target *ret, const struct http_request *request)
{
	const char *path = http_path(request) + strlen("/live/");
	const char *slash = strrchr(path, '/');

	if (!slash || (size_t)(slash - path) >= sizeof(ret->stream))
		return false;
	memcpy(ret->stream, path, (size_t)(slash - path));
	ret->stream[slash - path] = '\0';
	ret->name = slash + 1;
	ret->file = live_find_file(ret->name);
	return ret->file != NULL;
}

/* Answers, whether the stream is up or not. */
static void live_answer(struct http_request *request)
{
	struct live_target target;
	struct stream *stream = live_parse(&target, request) ? stream_find(target.stream) : NULL;
	const char *refusal;

	if (!stream) {
		http_answer_error(request, 404, "There is no such live resource.");
		return;
	}
	refusal = target.file->is_mp4 ? live_refusal(stream) : NULL;
	if (refusal)
		http_answer_error(request, 415, "%s", refusal);
	else
		target.file->get(request, stream, target.name);
}

/* --- a request that waits for a substream --- */

struct live_waiter {
	struct stream_wait wait;
	struct http_request *request;
};

static void live_on_waiter_gone(void *context)
{
	struct live_waiter *waiter = context;

	stream_wait_stop(&waiter->wait);
	free(waiter);
}

static void live_on_ready(void *arg)
{
	struct live_waiter *waiter = arg;
	struct http_request *request = waiter->request;

	http_set_context(request, NULL, NULL);
	free(waiter);
	live_answer(request);
}

static void live_wait(struct http_request *request, struct stream *stream)
{
	struct live_waiter *waiter = xcalloc(1, sizeof(*waiter));

	waiter->request = request;
	http_set_context(request, waiter, live_on_waiter_gone);
	stream_wait_start(&waiter->wait, stream, live_on_ready, waiter);
}

void live_get(struct http_request *request)
{
	const char *rest = http_path(request) + strlen("/live");
	struct live_target target;
	struct stream *stream;

	if (!*rest || !strcmp(rest, "/")) {
		live_list(request);
		return;
	}
	stream = live_parse(&target, request) ? stream_find(target.stream) : NULL;
	if (stream && stream_wait_is_needed(stream))
		live_wait(request, stream);
	else
		live_answer(request);
}
