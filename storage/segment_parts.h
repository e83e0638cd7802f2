#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "storage/box_writer.h"
#include "storage/mp4_reader.h"

/* Parts of a recording's file (storage/segment.h) for who makes other files of them. */

enum {
	SEGMENT_ROOM_BYTES = 16, /* of `free`, which the header of a large mdat fits into */
};

/* What prft says. */
struct segment_clock {
	uint32_t track_id;
	int64_t origin_us; /* the instant of decode time 0 */
	bool dated;
};
/* The bytes of a whole prft at p, or -ENOTSUP when it is not as segment_write_clock() makes it. */
int segment_clock_parse(struct segment_clock *ret, const uint8_t *p, size_t n) MUST_CHECK;

/* The track of that id, by its number in the movie; -1 when there is none. */
int segment_find_track(const struct mp4_movie *movie, uint32_t id);

struct segment_tables;

/*
 * Writes a moov after one of fragment_init's (whole and parsed before), with the instant it was made.
 * With tables it is an ordinary file's; without it is for fragments, as it was. The camera's name is
 * added unless the given one has it.
 */
struct segment_moov {
	const uint8_t *p; /* the moov that is given */
	size_t n;
	int64_t created_us; /* 0: unknown */
	const char *camera; /* or NULL */
	const struct mp4_movie *movie;
	const struct segment_tables *tables;
};
/* Returns 0, or -EBADMSG when the boxes are not where they have to be. */
int segment_moov_write(struct box_writer *w, const struct segment_moov *moov) MUST_CHECK;
