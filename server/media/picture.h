#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libavcodec/codec_par.h>
#include <libavcodec/packet.h>

#include "server/base/attributes.h"

struct evbuffer;

/*
 * Keyframes as JPEGs for people who ask: of each keyframe and width one, made in the worker "picture" (server/media/decode.h),
 * once however many ask, and kept while there is room. JPEGs of cameras are what they are.
 */
struct picture;

enum {
	PICTURE_JOBS = 64, /* waiting or being made; what is more is refused */
	PICTURE_JOB_BYTES = 64 << 20,
	PICTURE_KEPT = 1024,           /* with those that cannot be decoded */
	PICTURE_KEPT_BYTES = 32 << 20, /* the one asked for longest ago goes */
	PICTURE_SOURCE_BYTES = 96,
};

struct picture_order {
	char source[PICTURE_SOURCE_BYTES]; /* what it is a picture of: "live/porch/sub" */
	int64_t at_us;                     /* when it is shown */
	bool live; /* its source's earlier ones are not asked for any more */
	const AVCodecParameters *parameters;
	const AVPacket *packet; /* the keyframe, as stream.h has it */
	int rotation;
	unsigned width; /* 0, or at least DECODE_WIDTH_LEAST */
};

/* What tells a picture from all others of its source. */
#define PICTURE_TAG_BYTES 48
char *picture_tag(char ret[PICTURE_TAG_BYTES], const struct picture_order *order);

/*
 * What is there already: 0 and in *ret a reference of the caller's. -EINPROGRESS: picture_get() has it made. Else it was tried,
 * and failed as decode_to_jpeg() does.
 */
int picture_find(const struct picture_order *order, struct picture **ret) MUST_CHECK;

/*
 * error: 0, or as decode_to_jpeg(); the picture is valid during the call (picture_ref() to keep it), NULL with an error. Called
 * on the reactor, not before picture_get() has returned. NULL: too many are waiting. The order is copied, its packet referred to.
 */
typedef void picture_fn(void *arg, int error, struct picture *picture);
struct picture_request;
struct picture_request *picture_get(
	const struct picture_order *order, picture_fn *done, void *arg) MUST_CHECK;
/* No callback after this; what nobody waits for is not made. NULL is fine. */
void picture_cancel(struct picture_request *request);

struct picture *picture_ref(struct picture *picture);
void picture_unref(struct picture **picture);
const char *picture_source(const struct picture *picture);
int64_t picture_at_us(const struct picture *picture);
size_t picture_bytes(const struct picture *picture);
/* Appends the JPEG by reference. */
void picture_append(const struct picture *picture, struct evbuffer *out);

/* Ends the worker and forgets all; nobody waits for any. */
void picture_fini(void);
