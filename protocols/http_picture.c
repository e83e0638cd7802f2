/* Pictures over HTTP: the query, validators, names, and the wait for the worker. */
#include "protocols/http_picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/http_condition.h"
#include "protocols/http_server.h"
#include "server/media/decode.h"
#include "server/media/stream.h"
#include "storage/clip_name.h"

enum {
	WIDTH_DIGITS = 5,
};

bool http_picture_width(struct http_request *request, unsigned *ret)
{
	char text[WIDTH_DIGITS + 2];
	size_t n;

	*ret = 0;
	if (!http_query(request, "width", text, sizeof(text)))
		return true;
	n = strspn(text, "0123456789");
	if (n > 0 && n <= WIDTH_DIGITS && !text[n])
		*ret = (unsigned)strtoul(text, NULL, 10) & ~1U;
	if (*ret >= DECODE_WIDTH_LEAST)
		return true;
	http_answer_error(
		request, 400, "width is a number of pixels, at least %d", DECODE_WIDTH_LEAST);
	return false; /* and what the request owned is gone */
}

bool http_picture_init(struct http_picture *p, struct http_request *request)
{
	p->request = request;
	return http_picture_width(request, &p->width);
}

void http_picture_fini(struct http_picture *p)
{
	picture_cancel(p->making);
	p->making = NULL;
}

void http_picture_refuse(struct http_request *request, int error)
{
	switch (error) {
	case -EAGAIN:
		http_add_field(request, "Retry-After", "1");
		http_answer_error(request, 503, "too many pictures are being made");
		break;
	case -ENOTSUP:
		http_answer_error(request, 415, "no picture can be made of what the camera sends");
		break;
	default:
		http_answer_error(request, 500, "the picture cannot be decoded");
		break;
	}
}

/* --- which one it is --- */

char *http_picture_name(char ret[HTTP_PICTURE_NAME_BYTES], const char *source, int64_t at_us)
{
	const char *camera = strchr(source, '/');
	char time[CLIP_TIME_BYTES];
	char *p;

	(void)snprintf(ret, HTTP_PICTURE_NAME_BYTES, "inline; filename=\"%s %s.jpg\"",
		camera ? camera + 1 : source, clip_time_write(time, at_us));
	for (p = strchr(ret, '/'); p; p = strchr(p, '/')) /* of a substream */
		*p = '-';
	return ret;
}

bool http_picture_of_stream(struct picture_order *ret, const struct stream *stream,
	const AVPacket *packet, unsigned width)
{
	int video = stream_find_track(stream, AVMEDIA_TYPE_VIDEO);
	const struct stream_track *track;

	if (video < 0 || packet->stream_index != video || !(packet->flags & AV_PKT_FLAG_KEY))
		return false;
	track = stream_track(stream, (size_t)video);
	*ret = (struct picture_order){
		.at_us = av_rescale_q(packet->pts, track->time_base, AV_TIME_BASE_Q),
		.live = true,
		.parameters = track->parameters,
		.packet = packet,
		.rotation = track->rotation,
		.width = width,
	};
	(void)snprintf(ret->source, sizeof(ret->source), "live/%s", stream_name(stream));
	return true;
}

/* --- the answer --- */

static void picture_add_fields(const struct http_picture *p)
{
	char date[HTTP_DATE_BYTES], name[HTTP_PICTURE_NAME_BYTES];

	http_add_field(p->request, "ETag", "%s", p->tag);
	http_add_field(p->request, "Last-Modified", "%s", http_date_write(date, p->at_us));
	http_add_field(p->request, "Cache-Control", "%s", p->cache_control);
	http_add_field(p->request, "Content-Disposition", "%s",
		http_picture_name(name, p->source, p->at_us));
}

static void picture_send(const struct http_picture *p, const struct picture *picture)
{
	struct evbuffer *body = evbuffer_new();

	if (!body)
		abort();
	picture_append(picture, body);
	picture_add_fields(p);
	http_answer(p->request, 200, "image/jpeg", body);
	evbuffer_free(body);
}

static void picture_on_made(void *arg, int error, struct picture *picture)
{
	struct http_picture *p = arg;

	p->making = NULL;
	if (error)
		http_picture_refuse(p->request, error);
	else
		picture_send(p, picture);
}

/* Whether the client's conditions have been answered. */
static bool picture_answer_conditions(const struct http_picture *p)
{
	const struct http_conditions conditions = {
		.if_match = http_field(p->request, "If-Match"),
		.if_none_match = http_field(p->request, "If-None-Match"),
		.if_modified_since = http_field(p->request, "If-Modified-Since"),
		.if_unmodified_since = http_field(p->request, "If-Unmodified-Since"),
	};

	switch (http_condition_judge(&conditions, p->tag, p->at_us)) {
	case HTTP_CONDITION_NOT_MODIFIED:
		picture_add_fields(p);
		http_answer(p->request, 304, NULL, NULL);
		return true;
	case HTTP_CONDITION_FAILED:
		http_answer_error(p->request, 412, "the picture is not the one that was asked for");
		return true;
	case HTTP_CONDITION_PROCEED:
		break;
	}
	return false;
}

void http_picture_answer(struct http_picture *p, struct picture_order *order, int max_age_s)
{
	struct picture *picture;
	int error;

	order->width = p->width;
	p->at_us = order->at_us;
	memcpy(p->source, order->source, sizeof(p->source));
	(void)picture_tag(p->tag, order);
	(void)snprintf(p->cache_control, sizeof(p->cache_control),
		max_age_s ? "private, max-age=%d" : "private, no-cache", max_age_s);
	if (picture_answer_conditions(p))
		return;
	error = picture_find(order, &picture);
	if (error == -EINPROGRESS) {
		p->making = picture_get(order, picture_on_made, p);
		error = p->making ? 0 : -EAGAIN;
		picture = NULL;
	}
	if (error) {
		http_picture_refuse(p->request, error);
	} else if (picture) {
		picture_send(p, picture);
		picture_unref(&picture);
	}
}
