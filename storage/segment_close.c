/*
 * Closing a file: what docs/STORAGE.md says of each step is why they come in this order. After any
 * of them the file plays, and closing can begin anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/segment_private.h"
#include "storage/write_all.h"

static int sync_data(int fd)
{
	return fdatasync(fd) < 0 ? -errno : 0;
}

/* What stands where the head has `free`: that, or with a size the header of an mdat. */
static int write_room(const struct segment_walk *walk, uint64_t mdat_bytes)
{
	struct box_writer w = { 0 };
	int error;

	box_u32(&w, mdat_bytes ? 1 : SEGMENT_ROOM_BYTES);
	box_text(&w, mdat_bytes ? "mdat" : "free");
	box_u64(&w, mdat_bytes);
	error = write_all(walk->fd, w.p, w.n, walk->room_at);
	free(w.p);
	return error ? error : sync_data(walk->fd);
}

/* Makes the file one of fragments that ends with the last whole one; it is not closed. */
static int close_cut(const struct segment_walk *walk)
{
	int error = walk->is_mdat ? write_room(walk, 0) : 0;

	if (error || walk->size == walk->at)
		return error;
	/* synced, so that what was cut cannot come back and look whole with new bytes at its end */
	return ftruncate(walk->fd, (off_t)walk->at) < 0 ? -errno : sync_data(walk->fd);
}

static int close_append(const struct segment_walk *walk, const uint8_t *moov, size_t n)
{
	int error = write_all(walk->fd, moov, n, walk->at);

	if (!error)
		error = sync_data(walk->fd);
	if (error)
		(void)!ftruncate(walk->fd, (off_t)walk->at);
	return error;
}

/* The tables of all fragments, as a moov. */
static int close_describe(struct segment_walk *walk, struct box_writer *ret)
{
	struct segment_tables tables = { .is_large = walk->limit > UINT32_MAX };
	int found, error = 0;

	while (!error && (found = segment_walk_next(walk)) != 0)
		error = found < 0 ? found : segment_tables_add(&tables, walk);
	if (!error && !tables.samples)
		error = -ENODATA;
	segment_tables_finish(&tables);
	if (!error)
		error = segment_moov_write(
			ret, &(struct segment_moov){ .p = walk->head,
				     .n = walk->head_bytes,
				     .created_us = walk->dated ? walk->origin_us : 0,
				     .movie = &walk->movie,
				     .tables = &tables });
	segment_tables_fini(&tables);
	return error;
}

static int close_walked(struct segment_walk *walk)
{
	struct box_writer moov = { 0 };
	int error = close_describe(walk, &moov);

	if (!error)
		error = close_cut(walk);
	if (!error)
		error = close_append(walk, moov.p, moov.n);
	if (!error)
		error = write_room(walk, walk->at - walk->room_at);
	free(moov.p);
	return error;
}

static uint64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

int segment_close(int fd, uint64_t *bytes)
{
	struct segment_walk walk;
	int error = segment_walk_begin(&walk, fd);

	if (!error && !walk.is_closed)
		error = close_walked(&walk);
	segment_walk_end(&walk);
	*bytes = size_of(fd);
	return error;
}

int segment_close_with(int fd, const uint8_t *moov, size_t n, uint64_t *bytes)
{
	struct segment_walk walk;
	int error = segment_walk_begin(&walk, fd);

	if (!error && !walk.is_closed) {
		walk.at = walk.size;
		error = close_append(&walk, moov, n);
		if (!error)
			error = write_room(&walk, walk.at - walk.room_at);
	}
	segment_walk_end(&walk);
	*bytes = size_of(fd);
	return error;
}

/* One write: prft, and that the box behind it is of no interest any more. */
static int write_redated(const struct segment_walk *walk, int64_t later_us)
{
	struct box_writer w = { 0 };
	int error;

	segment_write_clock(&w, walk->lead_id, walk->origin_us + later_us, true);
	if (walk->boot_us) {
		box_u32(&w, (uint32_t)(walk->at - walk->clock_at - w.n));
		box_text(&w, "free");
	}
	error = write_all(walk->fd, w.p, w.n, walk->clock_at);
	free(w.p);
	return error;
}

int segment_redate(int fd, int64_t later_us)
{
	struct segment_walk walk;
	int error = segment_walk_begin(&walk, fd);

	if (!error && !walk.dated) {
		error = write_redated(&walk, later_us);
		if (!error)
			error = sync_data(fd);
	}
	segment_walk_end(&walk);
	return error;
}
