#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/media/picture.h"

struct http_request;
struct stream;

enum {
	HTTP_PICTURE_AGE_S = 86400, /* what was recorded stays what it is */
	HTTP_PICTURE_NAME_BYTES = 128,
};

/*
 * A picture as the answer to GET: docs/PICTURES.md. Embedded by who finds the keyframe. Validators and name say which picture
 * it is, so that one that the client has is not made again.
 */
struct http_picture {
	struct http_request *request;
	unsigned width; /* as asked for; 0: not said */
	char tag[PICTURE_TAG_BYTES];
	char cache_control[40];
	char source[PICTURE_SOURCE_BYTES];
	int64_t at_us;
	struct picture_request *making; /* NULL: none */
};

/* The query's "width" in *ret, 0 when there is none. False: it is nonsense, and has been answered. */
bool http_picture_width(struct http_request *request, unsigned *ret) MUST_CHECK;

/* All zeros before. False: the request has been answered. */
bool http_picture_init(struct http_picture *p, struct http_request *request) MUST_CHECK;
/*
 * Answers with the picture that this keyframe is, now or later; order->width is p's. It keeps for max_age_s seconds; 0:
 * clients are to ask each time.
 */
void http_picture_answer(struct http_picture *p, struct picture_order *order, int max_age_s);
void http_picture_fini(struct http_picture *p);

/* Answers that it could not be made: error as of decode_to_jpeg(), or -EAGAIN. */
void http_picture_refuse(struct http_request *request, int error);

/* The order for a packet that the stream gives just now. False: it is no keyframe of its picture. */
bool http_picture_of_stream(struct picture_order *ret, const struct stream *stream,
	const AVPacket *packet, unsigned width) MUST_CHECK;

/* For the field Content-Disposition: inline; filename="porch 20261120T143000.123Z.jpg" */
char *http_picture_name(char ret[HTTP_PICTURE_NAME_BYTES], const char *source, int64_t at_us);
