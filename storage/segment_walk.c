/* Reading a recording's file: its head, and one fragment after the other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "storage/segment_private.h"

enum {
	FTYP_MOST = 256, /* with it the room for mdat's header lies within the first sector */
	MOOV_MOST = 1 << 20,
	MOOF_MOST = 4 << 20,
	MOOF_USUAL = 4096, /* one read of so much has most of them whole */
	BOX_HEADER_MOST = 16,
	PRFT_BYTES = 32,
	BOOT_BYTES = 8 + 16 + 8 + SEGMENT_BOOT_ID_BYTES - 1,
	TAKEN_BYTES = 16 + 8, /* without the header */
};

/* --- reading the head --- */

/* Reads n bytes, fewer only at the end of the file. The number, or -errno. */
static ssize_t read_at(int fd, void *p, size_t n, uint64_t offset)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, (uint8_t *)p + done, n - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/* The header of a box: 1; 0 when there is none; or -errno. */
static int read_header(int fd, uint64_t offset, struct mp4_box *ret)
{
	uint8_t head[BOX_HEADER_MOST];
	const char *why;
	ssize_t n = read_at(fd, head, sizeof(head), offset);

	if (n < 0)
		return (int)n;
	return mp4_box_parse(ret, head, (size_t)n, &why) > 0 && !ret->to_end;
}

/* The same of one that ends before the limit. */
static int walk_box(const struct segment_walk *walk, uint64_t offset, struct mp4_box *ret)
{
	int found = offset < walk->limit ? read_header(walk->fd, offset, ret) : 0;

	return found > 0 ? ret->bytes <= walk->limit - offset : found;
}

static bool is_room(const struct mp4_box *box)
{
	return box->type == MP4_TYPE('f', 'r', 'e', 'e') && box->bytes == SEGMENT_ROOM_BYTES;
}

/* An mdat's header in the same place. */
static bool is_filled_room(const struct mp4_box *box)
{
	return box->type == MP4_TYPE('m', 'd', 'a', 't') && box->header_bytes == SEGMENT_ROOM_BYTES;
}

/* ftyp, and the room behind it. */
static int walk_room(struct segment_walk *walk)
{
	struct mp4_box box;
	int found = walk_box(walk, 0, &box);

	if (found <= 0)
		return found ? found : -ENODATA;
	if (box.type != MP4_TYPE('f', 't', 'y', 'p') || box.bytes > FTYP_MOST)
		return -ENOTSUP;
	walk->room_at = box.bytes;
	walk->at = box.bytes + SEGMENT_ROOM_BYTES;
	if (walk->size < walk->at)
		return -ENODATA;
	found = read_header(walk->fd, walk->room_at, &box);
	if (found <= 0)
		return found ? found : -ENOTSUP;
	walk->is_mdat = is_filled_room(&box);
	if (walk->is_mdat && box.bytes < walk->size - walk->room_at)
		walk->limit = walk->room_at + box.bytes;
	return walk->is_mdat || is_room(&box) ? 0 : -ENOTSUP;
}

/* Whether a whole moov ends a file of which all before is one mdat. */
static int walk_is_closed(struct segment_walk *walk)
{
	uint64_t limit = walk->limit;
	struct mp4_box box;
	int found;

	if (!walk->is_mdat)
		return 0;
	walk->limit = walk->size;
	found = walk_box(walk, limit, &box);
	walk->limit = limit;
	walk->is_closed = found > 0 && box.type == MP4_TYPE('m', 'o', 'o', 'v') &&
			  limit + box.bytes == walk->size;
	return found < 0 ? found : 0;
}

static int walk_moov(struct segment_walk *walk)
{
	struct mp4_box box;
	const char *why;
	int found = walk_box(walk, walk->at, &box);

	if (found <= 0)
		return found ? found : -ENODATA;
	if (box.type != MP4_TYPE('m', 'o', 'o', 'v') || box.bytes > MOOV_MOST)
		return -ENOTSUP;
	walk->head_bytes = (size_t)box.bytes;
	walk->head = xmalloc(walk->head_bytes);
	found = (int)read_at(walk->fd, walk->head, walk->head_bytes, walk->at);
	if (found < 0)
		return found;
	walk->at += box.bytes;
	return (size_t)found < walk->head_bytes
		       ? -ENODATA
		       : mp4_moov_parse(&walk->movie, walk->head, walk->head_bytes, &why);
}

/* The seconds begin anew in 2036: small ones are of that era. */
static int64_t ntp_to_us(uint64_t ntp)
{
	int64_t seconds = (int64_t)(ntp >> 32);

	if (!(ntp >> 63))
		seconds += INT64_C(1) << 32;
	return (seconds - SEGMENT_NTP_TO_UNIX_S) * 1000000 +
	       (int64_t)((ntp & UINT32_MAX) * 1000000 >> 32);
}

int segment_clock_parse(struct segment_clock *ret, const uint8_t *p, size_t n)
{
	struct reader r = reader_of(p, n);
	uint32_t bytes = reader_u32(&r), type = reader_u32(&r), flags = reader_u32(&r);

	ret->track_id = reader_u32(&r);
	ret->origin_us = ntp_to_us(reader_u64(&r));
	ret->dated = (flags & SEGMENT_PRFT_DATED) == SEGMENT_PRFT_DATED;
	if (bytes != PRFT_BYTES || type != MP4_TYPE('p', 'r', 'f', 't') || flags >> 24 != 1 ||
		reader_u64(&r) != 0 || r.why)
		return -ENOTSUP;
	return PRFT_BYTES;
}

static int walk_clock(struct segment_walk *walk)
{
	uint8_t p[PRFT_BYTES];
	struct segment_clock clock;
	ssize_t n = read_at(walk->fd, p, sizeof(p), walk->at);

	if (n < 0)
		return (int)n;
	if (n < PRFT_BYTES)
		return -ENODATA;
	if (segment_clock_parse(&clock, p, sizeof(p)) < 0)
		return -ENOTSUP;
	walk->lead_id = clock.track_id;
	walk->origin_us = clock.origin_us;
	walk->dated = clock.dated;
	walk->clock_at = walk->at;
	walk->at += PRFT_BYTES;
	return segment_find_track(&walk->movie, walk->lead_id) < 0 ? -EBADMSG : 0;
}

/* Of an undated file: when the machine was switched on. */
static int walk_boot(struct segment_walk *walk)
{
	uint8_t p[BOOT_BYTES];
	struct reader r;
	ssize_t n = read_at(walk->fd, p, sizeof(p), walk->at);

	if (n < 0)
		return (int)n;
	if (n < BOOT_BYTES || memcmp(p + 8, segment_boot_type, sizeof(segment_boot_type)) != 0)
		return 0;
	r = reader_of(p, sizeof(p));
	if (reader_u32(&r) != BOOT_BYTES)
		return 0;
	if (reader_u32(&r) == MP4_TYPE('u', 'u', 'i', 'd')) {
		r = reader_of(p + 8 + sizeof(segment_boot_type), 8);
		walk->boot_us = (int64_t)reader_u64(&r);
		memcpy(walk->boot_id, p + BOOT_BYTES - (SEGMENT_BOOT_ID_BYTES - 1),
			SEGMENT_BOOT_ID_BYTES - 1);
	}
	walk->at += BOOT_BYTES;
	return 0;
}

int segment_find_track(const struct mp4_movie *movie, uint32_t id)
{
	for (unsigned i = 0; i < movie->n_tracks; i++) {
		if (movie->tracks[i].id == id)
			return (int)i;
	}
	return -1;
}

int segment_walk_begin(struct segment_walk *walk, int fd)
{
	struct stat st;
	int error;

	*walk = (struct segment_walk){ .fd = fd };
	if (fstat(fd, &st) < 0)
		return -errno;
	walk->size = walk->limit = (uint64_t)st.st_size;
	error = walk_room(walk);
	if (!error)
		error = walk_is_closed(walk);
	if (!error)
		error = walk_moov(walk);
	if (!error)
		error = walk_clock(walk);
	return error ? error : walk_boot(walk);
}

void segment_walk_end(struct segment_walk *walk)
{
	free(walk->head);
	free(walk->moof);
}

/* --- walking --- */

/* Reads so many bytes, or as many as there are, into walk->moof. The number, or -errno. */
static ssize_t walk_read(struct segment_walk *walk, size_t wanted)
{
	if (wanted > walk->moof_size) {
		walk->moof = xrealloc(walk->moof, wanted);
		walk->moof_size = wanted;
	}
	if (wanted > walk->limit - walk->at)
		wanted = (size_t)(walk->limit - walk->at);
	return read_at(walk->fd, walk->moof, wanted, walk->at);
}

/* Has the moof in walk->moof, with the header of its mdat. 1; 0 when they are not whole; or -errno. */
static int walk_load(struct segment_walk *walk, struct mp4_box *moof, struct mp4_box *mdat)
{
	size_t wanted = MOOF_USUAL;
	const char *why;

	for (unsigned i = 0; i < 2; i++) {
		ssize_t n = walk_read(walk, wanted);

		if (n < 0)
			return (int)n;
		if (mp4_box_parse(moof, walk->moof, (size_t)n, &why) <= 0 || moof->to_end ||
			moof->type != MP4_TYPE('m', 'o', 'o', 'f') || moof->bytes > MOOF_MOST)
			return 0;
		if ((size_t)n > moof->bytes && mp4_box_parse(mdat, walk->moof + moof->bytes,
						       (size_t)n - moof->bytes, &why) > 0)
			return !mdat->to_end && mdat->type == MP4_TYPE('m', 'd', 'a', 't');
		wanted = (size_t)moof->bytes + BOX_HEADER_MOST;
	}
	return 0;
}

/* Whether a parsed moof is one of ours, and points into its mdat only. */
static bool walk_is_ours(const struct segment_walk *walk, const struct mp4_box *mdat)
{
	const struct mp4_fragment *f = &walk->fragment;
	uint64_t media = mdat->bytes - mdat->header_bytes;

	if (!f->is_relative || !f->samples || f->samples > media ||
		f->data_at < (int64_t)(walk->moof_bytes + mdat->header_bytes) ||
		f->data_to > (int64_t)walk->bytes)
		return false;
	for (unsigned i = 0; i < f->n_tracks; i++) {
		int track = segment_find_track(&walk->movie, f->tracks[i].id);
		uint32_t hz;

		if (track < 0)
			return false;
		hz = walk->movie.tracks[track].timescale;
		/* a lifetime, so that no sum of times overflows; an index has 32 bits for a length */
		if (f->tracks[i].decode_time / hz > INT32_MAX ||
			f->tracks[i].decode_time > INT64_MAX / 4 ||
			f->tracks[i].duration / hz >= UINT32_MAX / 1000000)
			return false;
	}
	return true;
}

/* Looks for the time-lapse's box in a parsed moof. False when it is nonsense. */
static bool walk_taken(struct segment_walk *walk, const struct mp4_box *moof)
{
	struct reader content, r = reader_of(walk->moof + moof->header_bytes,
				       walk->moof_bytes - moof->header_bytes);
	uint32_t type;

	walk->has_taken = false;
	while (!walk->has_taken && mp4_box_next(&r, &type, &content)) {
		if (type != MP4_TYPE('u', 'u', 'i', 'd') || reader_left(&content) != TAKEN_BYTES ||
			memcmp(content.at, segment_taken_type, sizeof(segment_taken_type)) != 0)
			continue;
		reader_skip(&content, sizeof(segment_taken_type));
		walk->taken_us = (int64_t)reader_u64(&content);
		walk->has_taken = true;
	}
	return !walk->has_taken ||
	       (walk->taken_us / 1000000 < INT32_MAX && walk->taken_us / 1000000 > -INT32_MAX);
}

int segment_walk_next(struct segment_walk *walk)
{
	struct mp4_box moof, mdat;
	const char *why;
	int found = walk->at < walk->limit ? walk_load(walk, &moof, &mdat) : 0;

	if (found <= 0 || mdat.bytes > walk->limit - walk->at - moof.bytes)
		return found < 0 ? found : 0;
	if (moof.bytes + mdat.bytes > UINT32_MAX)
		return -EBADMSG;
	walk->moof_at = walk->at;
	walk->moof_bytes = (size_t)moof.bytes;
	walk->bytes = moof.bytes + mdat.bytes;
	if (mp4_moof_parse(&walk->fragment, walk->moof, walk->moof_bytes, &walk->movie, &why) < 0 ||
		!walk_is_ours(walk, &mdat) || !walk_taken(walk, &moof))
		return -EBADMSG;
	walk->at += walk->bytes;
	return 1;
}
