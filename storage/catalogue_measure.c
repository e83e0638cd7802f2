/* Measures a segment that was cut off: walks its boxes to the last whole fragment. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/catalogue_private.h"
#include "storage/mp4_reader.h"

enum {
	MOOV_MOST = 1 << 20,
	MOOF_MOST = 4 << 20
};

#define FOURCC(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

struct measure {
	int fd;
	uint64_t size; /* of the file */
	struct mp4_movie movie;
	bool has_movie, has_first;
	uint64_t first_time; /* decode time of the first fragment, in the lead track's timescale */
	struct catalogue_segment *row;
	struct fragment_index *index;
};

/* A whole box in a new block, or NULL when it is too large or torn. */
static uint8_t *measure_load(
	const struct measure *m, uint64_t offset, uint64_t bytes, uint64_t most)
{
	uint8_t *p;

	if (bytes > most || offset + bytes > m->size)
		return NULL;
	p = malloc(bytes);
	if (p && pread(m->fd, p, bytes, (off_t)offset) != (ssize_t)bytes) {
		free(p);
		return NULL;
	}
	return p;
}

/* The header of the box at an offset, if the whole box is in the file. */
static bool measure_box(const struct measure *m, uint64_t offset, struct mp4_box *ret)
{
	uint8_t head[16];
	const char *why;
	ssize_t n = offset < m->size ? pread(m->fd, head, sizeof(head), (off_t)offset) : 0;

	return n > 0 && mp4_box_parse(ret, head, (size_t)n, &why) > 0 && !ret->to_end &&
	       ret->bytes <= m->size - offset;
}

static bool measure_movie(struct measure *m, uint64_t offset, uint64_t bytes)
{
	uint8_t *p = measure_load(m, offset, bytes, MOOV_MOST);
	const char *why;

	m->has_movie = p && mp4_moov_parse(&m->movie, p, bytes, &why) == 0;
	free(p);
	return m->has_movie;
}

static uint32_t measure_timescale(const struct measure *m, uint32_t id)
{
	for (unsigned i = 0; i < m->movie.n_tracks; i++) {
		if (m->movie.tracks[i].id == id)
			return m->movie.tracks[i].timescale;
	}
	return 0;
}

static int64_t measure_us(uint64_t time, uint32_t timescale)
{
	return (int64_t)(time / timescale * 1000000 + time % timescale * 1000000 / timescale);
}

/* Adds the moof at an offset and the mdat behind it. False when they are torn or odd. */
static bool measure_fragment(struct measure *m, uint64_t offset, const struct mp4_box *moof)
{
	struct catalogue_fragment entry = { .offset = offset };
	struct mp4_fragment fragment;
	struct mp4_box mdat;
	const char *why;
	uint32_t timescale;
	uint8_t *p;
	int error;

	if (!m->has_movie || !measure_box(m, offset + moof->bytes, &mdat) ||
		mdat.type != FOURCC('m', 'd', 'a', 't'))
		return false;
	p = measure_load(m, offset, moof->bytes, MOOF_MOST);
	error = p ? mp4_moof_parse(&fragment, p, moof->bytes, &m->movie, &why) : -EIO;
	free(p);
	if (error)
		return false;
	timescale = measure_timescale(m, fragment.tracks[0].id);
	if (!timescale || moof->bytes + mdat.bytes > UINT32_MAX)
		return false;
	if (!m->has_first)
		m->first_time = fragment.tracks[0].decode_time;
	m->has_first = true;
	entry.start_us = m->row->start_us +
			 measure_us(fragment.tracks[0].decode_time - m->first_time, timescale);
	entry.duration_us = (uint32_t)measure_us(fragment.tracks[0].duration, timescale);
	entry.bytes = (uint32_t)(moof->bytes + mdat.bytes);
	entry.keyframe = fragment.tracks[0].keyframe;
	fragment_index_add(m->index, &entry);
	m->row->bytes = offset + entry.bytes;
	m->row->end_us = entry.start_us + entry.duration_us;
	return true;
}

static void measure_walk(struct measure *m)
{
	struct mp4_box box;
	uint64_t offset = 0;

	while (measure_box(m, offset, &box)) {
		if (box.type == FOURCC('m', 'o', 'o', 'v') && !measure_movie(m, offset, box.bytes))
			return;
		if (box.type == FOURCC('m', 'o', 'o', 'f')) {
			if (!measure_fragment(m, offset, &box))
				return;
			offset = m->row->bytes;
		} else {
			offset += box.bytes;
		}
	}
}

int catalogue_measure(int root, struct catalogue_segment *row, struct fragment_index *ret)
{
	struct measure m = { .row = row, .index = ret };
	struct stat st;

	m.fd = openat(root, row->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (m.fd < 0)
		return -errno;
	if (fstat(m.fd, &st) < 0) {
		close(m.fd);
		return -EIO;
	}
	m.size = (uint64_t)st.st_size;
	measure_walk(&m);
	close(m.fd);
	return ret->n ? 0 : -ENODATA;
}
