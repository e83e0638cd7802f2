#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onvif/onvif_call.h"
#include "storage/catalogue.h"

/* What the catalogue has of cameras, one question after the other: from when until when there is footage, and what it is. */
struct recording_lookup;

struct recording_found {
	char camera[ONVIF_CAMERA_BYTES + 1];
	int64_t first_us; /* when the first recording began; at an instant: that of the one there */
	struct catalogue_segment
		*last; /* the one that ends last, or is at that instant; NULL: there is none */
};

#define RECORDING_LOOKUP_NEWEST INT64_MIN /* no instant: the whole time */

/* error: 0, -EIO or -EAGAIN. The rows are the lookup's, in the order of the names. */
typedef void recording_lookup_fn(
	void *arg, int error, const struct recording_found *rows, size_t n);
/* Names are copied. Done is called later, once, unless it is freed before. */
struct recording_lookup *recording_lookup_new(struct catalogue *catalogue, const char *const *names,
	size_t n, int64_t at_us, recording_lookup_fn *done, void *arg) MUST_CHECK;
void recording_lookup_free(struct recording_lookup *lookup); /* NULL is fine */
