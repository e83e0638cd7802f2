/* An ONVIF camera's stream: looked up, then pulled. */
#include "onvif/camera_source.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/camera_device.h"
#include "protocols/uri.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

struct camera_source {
	struct source_order order;
	struct rtsp_client_memory *memory;
	struct camera_caller *caller; /* while it is looked up */
	struct camera_device *device;
	struct rtsp_client *rtsp; /* when it was looked up */
	char *url;                /* of the stream; secret */
	struct reactor_dead dead;
};

static void source_end(struct camera_source *source, enum source_end end, const char *detail)
{
	source->order.events->on_end(source->order.arg, end, detail);
}

/* --- the stream's URL --- */

/* What stands for itself in any part of a URI (RFC 3986 section 2.3); the rest is escaped. */
static void encode(char ret[3 * URI_USER_BYTES], const char *text)
{
	for (; *text; text++) {
		if (isalnum((unsigned char)*text) || strchr("-._~", *text))
			*ret++ = *text;
		else
			ret += sprintf(ret, "%%%02X", (unsigned char)*text);
	}
	*ret = '\0';
}

/* The URL of a stream at `path` of the host and user of `from`. */
static char *write_url(const struct uri *from, const struct uri *stream)
{
	char user[3 * URI_USER_BYTES], password[3 * URI_USER_BYTES], port[8] = "";
	bool v6 = strchr(from->host, ':') != NULL;
	char *url;

	encode(user, from->user);
	encode(password, from->password);
	if (stream->port)
		snprintf(port, sizeof(port), ":%u", stream->port);
	url = from->has_user ? xasprintf("%s://%s:%s@%s%s%s%s%s", stream->scheme, user, password,
				       v6 ? "[" : "", from->host, v6 ? "]" : "", port, stream->path)
			     : xasprintf("%s://%s%s%s%s%s", stream->scheme, v6 ? "[" : "",
				       from->host, v6 ? "]" : "", port, stream->path);
	explicit_bzero(password, sizeof(password));
	return url;
}

/* Returns false when what the camera says is no URI of RTSP. */
static bool source_set_url(struct camera_source *source, const char *said)
{
	struct uri from, stream;
	const char *why;

	if (uri_parse(&stream, said, strlen(said), &why) < 0 ||
		(strcmp(stream.scheme, "rtsp") != 0 && strcmp(stream.scheme, "rtsps") != 0) ||
		uri_parse(&from, source->order.url, strlen(source->order.url), &why) < 0)
		return false;
	source->url = write_url(&from, &stream);
	explicit_bzero(&from, sizeof(from));
	return true;
}

/* --- the look-up --- */

static void source_on_device(
	void *arg, enum source_end end, const char *detail, const struct camera_found *found)
{
	struct camera_source *source = arg;
	const char *why = "what it says where its stream is";

	if (end != SOURCE_STOPPED) {
		source_end(source, end, detail);
		return;
	}
	camera_caller_free(source->caller);
	source->caller = NULL;
	if (found->has_sub && source->order.events->on_substream)
		source->order.events->on_substream(source->order.arg);
	if (source_set_url(source, found->uri)) {
		source->order.url = source->url;
		source->rtsp = rtsp_client_new(&source->order, source->memory, &why);
	}
	if (!source->rtsp)
		source_end(source, SOURCE_PROTOCOL, why);
}

/* --- life --- */

struct camera_source *camera_source_new(const struct source_order *order, bool sub,
	struct rtsp_client_memory *memory, const char **why)
{
	struct camera_source *source = xcalloc(1, sizeof(*source));

	source->order = *order;
	source->memory = memory;
	source->caller = camera_caller_new(order->url, order->config, order->log, why);
	if (!source->caller) {
		free(source);
		return NULL;
	}
	source->device = camera_device_new(
		source->caller, sub ? CAMERA_SUB : CAMERA_MAIN, source_on_device, source);
	return source;
}

static void source_fini(void *object)
{
	struct camera_source *source = object;

	memory_free_secret(source->url);
	free(source);
}

void camera_source_free(struct camera_source *source)
{
	if (!source)
		return;
	camera_caller_free(source->caller);
	camera_device_free(source->device);
	rtsp_client_free(source->rtsp);
	source->caller = NULL;
	reactor_free_later(&source->dead, source_fini, source);
}
