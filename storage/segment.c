/* A recording's file: its head, and what can be read from it. */
#include "storage/segment.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>

#include "server/base/memory.h"
#include "server/base/wall_clock.h"
#include "storage/segment_private.h"

enum {
	FRAGMENTS_FIRST = 64,
	FRAGMENTS_MOST = 1 << 20,
};

/* --- the head --- */

static void write_room(struct box_writer *w)
{
	size_t at = box_begin(w, "free");

	box_zeros(w, SEGMENT_ROOM_BYTES - 8);
	box_end(w, at);
}

/* NTP time of an instant, rounded up, so that rounding down gives the same microsecond. */
static uint64_t ntp_of_us(int64_t us)
{
	uint64_t fraction = (((uint64_t)(us % 1000000) << 32) + 999999) / 1000000;

	return (uint64_t)(us / 1000000 + SEGMENT_NTP_TO_UNIX_S) << 32 | fraction;
}

void segment_write_clock(struct box_writer *w, uint32_t track_id, int64_t origin_us, bool dated)
{
	size_t at = box_begin_full(w, "prft", 1, dated ? SEGMENT_PRFT_DATED : SEGMENT_PRFT_UNDATED);

	box_u32(w, track_id);
	box_u64(w, ntp_of_us(origin_us));
	box_u64(w, 0); /* the media time of that instant */
	box_end(w, at);
}

const uint8_t segment_boot_type[16] = { 0x6e, 0x76, 0x72, 0x64, 0x9f, 0x1b, 0x4c, 0x57, 0x8a, 0x60,
	0x62, 0x6f, 0x6f, 0x74, 0x3d, 0xe2 };

static void write_boot(struct box_writer *w, int64_t boot_us)
{
	size_t at = box_begin(w, "uuid");
	char id[SEGMENT_BOOT_ID_BYTES] = "";

	(void)snprintf(id, sizeof(id), "%s", wall_clock_boot_id());
	box_bytes(w, segment_boot_type, sizeof(segment_boot_type));
	box_u64(w, (uint64_t)boot_us);
	box_bytes(w, id, sizeof(id) - 1);
	box_end(w, at);
}

void segment_head(struct box_writer *w, const struct fragment_init *init, const char *camera,
	int64_t origin_us, int64_t boot_us)
{
	const struct segment_moov moov = {
		.p = init->data + init->ftyp_bytes,
		.n = init->bytes - init->ftyp_bytes,
		.created_us = boot_us ? 0 : origin_us,
		.camera = camera,
	};
	int error;

	box_bytes(w, init->data, init->ftyp_bytes);
	write_room(w);
	error = segment_moov_write(w, &moov);
	assert(!error); /* our own moov */
	(void)error;
	segment_write_clock(w, init->ids[init->lead], origin_us, !boot_us);
	if (boot_us)
		write_boot(w, boot_us);
}

const uint8_t segment_taken_type[16] = { 0x6e, 0x76, 0x72, 0x64, 0x51, 0xc0, 0x4e, 0x2a, 0xb3, 0x07,
	0x74, 0x61, 0x6b, 0x65, 0x6e, 0x1d };

void segment_write_taken(struct box_writer *w, int64_t since_origin_us)
{
	size_t at = box_begin(w, "uuid");

	box_bytes(w, segment_taken_type, sizeof(segment_taken_type));
	box_u64(w, (uint64_t)since_origin_us);
	box_end(w, at);
}

/* --- scanning --- */

static int64_t us_of(uint64_t time, uint32_t timescale)
{
	return av_rescale_rnd((int64_t)time, 1000000, timescale, AV_ROUND_DOWN);
}

/* The instant of a decode time: fragment_write_head() the other way round. */
static int64_t walk_instant(const struct segment_walk *walk, uint64_t time, uint32_t timescale)
{
	int64_t origin = av_rescale_rnd(walk->origin_us, timescale, 1000000, AV_ROUND_DOWN);

	return us_of((uint64_t)origin + time, timescale);
}

/* As struct fragment tells it: by the lead, or else the first track that is in it. */
static struct catalogue_fragment walk_entry(const struct segment_walk *walk)
{
	const struct mp4_fragment *f = &walk->fragment;
	uint32_t timescale =
		walk->movie.tracks[segment_find_track(&walk->movie, f->tracks[0].id)].timescale;

	return (struct catalogue_fragment){
		.start_us = walk->has_taken
				    ? walk->origin_us + walk->taken_us
				    : walk_instant(walk, f->tracks[0].decode_time, timescale),
		.duration_us = (uint32_t)us_of(f->tracks[0].duration, timescale),
		.bytes = (uint32_t)walk->bytes,
		.offset = walk->moof_at,
		.keyframe = f->tracks[0].id == walk->lead_id && f->tracks[0].keyframe,
	};
}

static int scan_fragments(struct segment_scan *scan, struct segment_walk *walk)
{
	size_t size = 0;
	int found;

	while ((found = segment_walk_next(walk)) > 0) {
		if (scan->n == FRAGMENTS_MOST)
			return -EFBIG;
		if (scan->n == size) {
			size = size ? size * 2 : FRAGMENTS_FIRST;
			scan->fragments =
				xrealloc(scan->fragments, size * sizeof(*scan->fragments));
		}
		scan->timelapse = scan->n ? scan->timelapse : walk->has_taken;
		scan->fragments[scan->n++] = walk_entry(walk);
	}
	if (found < 0 && found != -EBADMSG)
		return found;
	return scan->n ? 0 : -ENODATA;
}

static void scan_describe(struct segment_scan *scan, const struct segment_walk *walk)
{
	const struct catalogue_fragment *last = &scan->fragments[scan->n - 1];

	scan->dated = walk->dated;
	scan->boot_us = walk->boot_us;
	memcpy(scan->boot_id, walk->boot_id, sizeof(scan->boot_id));
	scan->closed = walk->is_closed;
	scan->bytes = walk->at;
	scan->start_us = scan->fragments[0].start_us;
	scan->end_us = last->start_us + last->duration_us;
	for (unsigned i = 0; i < walk->movie.n_tracks; i++) {
		const struct mp4_track *track = &walk->movie.tracks[i];
		size_t n = strlen(scan->codecs);

		(void)snprintf(scan->codecs + n, sizeof(scan->codecs) - n, "%s%s", n ? "," : "",
			track->codec_string);
		if (scan->width || track->handler != MP4_TYPE('v', 'i', 'd', 'e'))
			continue;
		scan->width = (int)track->width;
		scan->height = (int)track->height;
	}
}

int segment_scan(int fd, struct segment_scan *ret)
{
	struct segment_scan scan = { 0 };
	struct segment_walk walk;
	int error = segment_walk_begin(&walk, fd);

	if (!error)
		error = scan_fragments(&scan, &walk);
	if (!error) {
		scan_describe(&scan, &walk);
		*ret = scan;
	} else {
		segment_scan_fini(&scan);
	}
	segment_walk_end(&walk);
	return error;
}

void segment_scan_fini(struct segment_scan *scan)
{
	free(scan->fragments);
	scan->fragments = NULL;
}
