/* The folder /live/: from a path to a camera's stream and to the maker of the file asked for. */
#include "protocols/live.h"

#include <string.h>

#include <event2/buffer.h>

#include "protocols/hls.h"
#include "protocols/http_server.h"
#include "protocols/mp4_live.h"
#include "server/media/stream.h"

enum {
	CAMERA_NAME_BYTES = 64
};

/* What a camera's folder holds; `file` is a whole name, or a prefix when it ends with '-'. */
static const struct live_file {
	const char *file;
	void (*get)(struct http_request *request, struct stream *stream, const char *file);
} live_files[] = {
	{"index.m3u8", hls_get     },
	{ "init-",     hls_get     },
	{ "seg-",      hls_get     },
	{ "live.mp4",  mp4_live_get},
};

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

/* The cameras as a list of links: for people, and for the page, which reads it. */
static void live_list(struct http_request *request)
{
	struct evbuffer *body = evbuffer_new();

	evbuffer_add_printf(body,
		"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Live</title>\n"
		"<h1>Live</h1>\n<ul>\n");
	for (struct stream *s = stream_next(NULL); s; s = stream_next(s)) {
		const char *name = stream_name(s); /* a checked name needs no escaping */

		if (!auth_may_see(http_user(request), name))
			continue;
		evbuffer_add_printf(body,
			"<li class=\"%s\"><a href=\"%s/live.mp4\">%s</a> <a href=\"%s/index.m3u8\">HLS</a>"
			" <a href=\"/recordings/%s/\">recordings</a></li>\n",
			stream_is_up(s) ? "up" : "down", name, name, name, name);
	}
	evbuffer_add_printf(
		body, "</ul>\n<p><a href=\"/recordings/\">recordings</a></p>\n</html>\n");
	http_add_field(request, "Cache-Control", "no-store");
	http_answer(request, 200, "text/html; charset=utf-8", body);
	evbuffer_free(body);
}

void live_get(struct http_request *request)
{
	const char *rest = http_path(request) + strlen("/live");
	const char *slash;
	char camera[CAMERA_NAME_BYTES];
	struct stream *stream;
	const struct live_file *file;

	if (!*rest || !strcmp(rest, "/")) {
		live_list(request);
		return;
	}
	slash = strchr(++rest, '/');
	if (!slash || (size_t)(slash - rest) >= sizeof(camera)) {
		http_answer_error(request, 404, "There is no such live resource.");
		return;
	}
	memcpy(camera, rest, (size_t)(slash - rest));
	camera[slash - rest] = '\0';
	stream = stream_find(camera);
	file = live_find_file(slash + 1);
	if (!stream || !file || !auth_may_see(http_user(request), camera)) {
		http_answer_error(request, 404, "There is no such live resource.");
		return;
	}
	file->get(request, stream, slash + 1);
}
