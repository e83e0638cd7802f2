#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/media/jpeg.h"

/*
 * JPEG pictures out of a stream of bytes, by their own markers: so it does not matter how a camera
 * spells the boundaries and lengths of multipart/x-mixed-replace (RFC 2046 section 5.1), or whether
 * it has any. Pure but for the memory that collects a picture.
 */

enum {
	MJPEG_BYTES = 16 << 20 /* a larger picture is dropped */
};

struct mjpeg_events {
	/* A whole picture; p is valid during the call. */
	void (*on_picture)(void *arg, const struct jpeg *jpeg, const uint8_t *p);
	/* The first bytes of a picture are here. May be NULL. */
	void (*on_begin)(void *arg);
	/* One that was cut short, or makes no sense: dropped. */
	void (*on_dropped)(void *arg, const char *why);
};

struct mjpeg { /* all zeros at first, but for events and arg */
	const struct mjpeg_events *events;
	void *arg;
	uint8_t *data;
	size_t n, capacity;
	size_t from;      /* what is before it in data is done with */
	struct jpeg jpeg; /* as far as the picture at data + from has been read */
	int begun;        /* a picture begins at data + from */
};

/* Takes the next bytes. The events may not free it. */
void mjpeg_push(struct mjpeg *mjpeg, const uint8_t *p, size_t n);
/* The stream has ended: what is still collected was cut short. */
void mjpeg_end(struct mjpeg *mjpeg);
void mjpeg_fini(struct mjpeg *mjpeg);
