/*
 * The moov of a recording, after the one that fragment_init makes (ISO/IEC 14496-12 section 8): the
 * same boxes, with what that one does not know filled in.
 */
#include <errno.h>
#include <string.h>

#include <libavutil/mathematics.h>

#include "server/base/attributes.h"
#include "storage/segment_private.h"

enum {
	TEXT_UTF8 = 1, /* type of an item's value */
};

#define MAC_TO_UNIX_S INT64_C(2082844800) /* 1904 to 1970 */
#define TIMESCALE_MOST (1U << 30)

struct moov_writer {
	struct box_writer *w;
	const struct segment_moov *moov;
	uint32_t timescale; /* of the movie */
	uint64_t duration;  /* in it */
	unsigned tracks;    /* trak boxes begun: the last one's number + 1 */
};

/* --- times --- */

static const struct segment_table *moov_table(const struct moov_writer *m)
{
	return &m->moov->tables->tracks[m->tracks - 1];
}

/* A time of a track in the timescale of the movie. */
static uint64_t moov_time(const struct moov_writer *m, unsigned track, uint64_t time)
{
	return (uint64_t)av_rescale(
		(int64_t)time, m->timescale, m->moov->movie->tracks[track].timescale);
}

/* What is before a track's first picture; and all until its last one's end. */
static uint64_t moov_delay(const struct moov_writer *m, unsigned track)
{
	const struct segment_table *t = &m->moov->tables->tracks[track];

	return moov_time(m, track, t->start + segment_table_lead(t));
}

static uint64_t moov_length(const struct moov_writer *m, unsigned track)
{
	const struct segment_table *t = &m->moov->tables->tracks[track];

	return t->shown_end > 0 ? moov_time(m, track, (uint64_t)t->shown_end) : 0;
}

/*
 * A timescale in which the starts of all tracks are whole numbers, so that they are the same as in the
 * fragments; where that would be too large, the first track's, which is right to a tick of it.
 */
static uint32_t moov_timescale(const struct mp4_movie *movie)
{
	uint64_t common = 1;

	for (unsigned i = 0; i < movie->n_tracks; i++) {
		uint32_t hz = movie->tracks[i].timescale;

		common = common / (uint64_t)av_gcd((int64_t)common, hz) * hz;
		if (common > TIMESCALE_MOST)
			return movie->tracks[0].timescale;
	}
	return (uint32_t)common;
}

static void write_created(struct moov_writer *m)
{
	int64_t us = m->moov->created_us;
	uint64_t time = us ? (uint64_t)(us / 1000000 + MAC_TO_UNIX_S) : 0;

	box_u64(m->w, time);
	box_u64(m->w, time); /* modified */
}

/* --- boxes that are made anew, always with 64-bit times (version 1) --- */

/* Begins one of the three headers after what the given one has before its times; returns where. */
static size_t begin_header(
	struct moov_writer *m, const char *type, struct reader *r, uint8_t *version)
{
	uint32_t first = reader_u32(r);
	size_t at = box_begin_full(m->w, type, 1, first & 0xffffff);

	*version = (uint8_t)(first >> 24);
	reader_skip(r, *version ? 16 : 8);
	write_created(m);
	return at;
}

static void end_header(struct moov_writer *m, size_t at, struct reader *r)
{
	size_t n = reader_left(r);

	box_bytes(m->w, reader_bytes(r, n), n);
	box_end(m->w, at);
}

static void write_mvhd(struct moov_writer *m, struct reader *r)
{
	uint8_t version;
	size_t at = begin_header(m, "mvhd", r, &version);
	uint32_t timescale = reader_u32(r);

	reader_skip(r, version ? 8 : 4);
	box_u32(m->w, m->moov->tables ? m->timescale : timescale);
	box_u64(m->w, m->duration);
	end_header(m, at, r);
}

/*
 * An edit list that holds a track back until the time of what it shows first (section 8.6.6); there
 * the media begin, too, since an edit has to begin with a picture that can be shown. Its end is
 * that of the last picture shown, which with B-frames comes after the sum of all durations.
 */
static void write_edits(struct moov_writer *m)
{
	unsigned track = m->tracks - 1;
	uint64_t delay = moov_delay(m, track), length = moov_length(m, track);
	size_t edts, elst;

	if (!delay || length <= delay)
		return;
	edts = box_begin(m->w, "edts");
	elst = box_begin_full(m->w, "elst", 1, 0);
	box_u32(m->w, 2);
	box_u64(m->w, delay);
	box_u64(m->w, UINT64_MAX); /* nothing */
	box_u32(m->w, 0x10000);
	box_u64(m->w, length - delay);
	box_u64(m->w, segment_table_lead(moov_table(m)));
	box_u32(m->w, 0x10000);
	box_end(m->w, elst);
	box_end(m->w, edts);
}

static void write_tkhd(struct moov_writer *m, struct reader *r)
{
	uint8_t version;
	size_t at = begin_header(m, "tkhd", r, &version);

	box_u32(m->w, reader_u32(r)); /* id */
	reader_skip(r, 4 + (version ? 8 : 4));
	box_zeros(m->w, 4);
	box_u64(m->w, m->moov->tables ? moov_length(m, m->tracks - 1) : 0);
	end_header(m, at, r);
	if (m->moov->tables)
		write_edits(m);
}

static void write_mdhd(struct moov_writer *m, struct reader *r)
{
	uint8_t version;
	size_t at = begin_header(m, "mdhd", r, &version);
	const struct segment_table *table = m->moov->tables ? moov_table(m) : NULL;

	box_u32(m->w, reader_u32(r)); /* timescale */
	reader_skip(r, version ? 8 : 4);
	box_u64(m->w, table && table->samples ? segment_table_duration(table) : 0);
	end_header(m, at, r);
}

/* A title as iTunes has it, which players and ffprobe show. */
static void write_name(struct moov_writer *m)
{
	size_t udta = box_begin(m->w, "udta");
	size_t meta = box_begin_full(m->w, "meta", 0, 0);
	size_t hdlr = box_begin_full(m->w, "hdlr", 0, 0);
	size_t ilst, name, data;

	box_u32(m->w, 0);
	box_text(m->w, "mdirappl");
	box_zeros(m->w, 9);
	box_end(m->w, hdlr);
	ilst = box_begin(m->w, "ilst");
	name = box_begin(m->w, "\251nam");
	data = box_begin(m->w, "data");
	box_u32(m->w, TEXT_UTF8);
	box_u32(m->w, 0); /* any language */
	box_text(m->w, m->moov->camera);
	box_end(m->w, data);
	box_end(m->w, name);
	box_end(m->w, ilst);
	box_end(m->w, meta);
	box_end(m->w, udta);
}

/* --- the rest is copied, or left out --- */

static void write_children(struct moov_writer *m, const char *parent, struct reader *r);

static void write_container(struct moov_writer *m, const char *type, struct reader *r)
{
	size_t at = box_begin(m->w, type);

	if (!strcmp(type, "trak"))
		m->tracks++;
	write_children(m, type, r);
	if (!strcmp(type, "stbl") && m->moov->tables)
		segment_table_write(m->w, moov_table(m), m->moov->tables->is_large);
	if (!strcmp(type, "moov") && m->moov->camera)
		write_name(m);
	box_end(m->w, at);
}

/* What is not copied as it is, and where: a box of that name elsewhere is nothing special. */
// clang-format off
static const struct known_box {
	const char parent[5], type[5];
	bool is_container;
	void (*write)(struct moov_writer *m, struct reader *r);
	bool only_open; /* of fragments; something takes its place, or nothing */
} known_boxes[] = {
	{ "", "moov", .is_container = true },
	{ "moov", "mvhd", .write = write_mvhd },
	{ "moov", "mvex", .only_open = true },
	{ "moov", "trak", .is_container = true },
	{ "trak", "tkhd", .write = write_tkhd },
	{ "trak", "edts", .only_open = true },
	{ "trak", "mdia", .is_container = true },
	{ "mdia", "mdhd", .write = write_mdhd },
	{ "mdia", "minf", .is_container = true },
	{ "minf", "stbl", .is_container = true },
	{ "stbl", "stts", .only_open = true },
	{ "stbl", "ctts", .only_open = true },
	{ "stbl", "stss", .only_open = true },
	{ "stbl", "stsz", .only_open = true },
	{ "stbl", "stsc", .only_open = true },
	{ "stbl", "stco", .only_open = true },
	{ "stbl", "co64", .only_open = true },
};
// clang-format on

static const struct known_box *find_box(const char *parent, uint32_t type)
{
	for (size_t i = 0; i < ARRAY_LENGTH(known_boxes); i++) {
		const char *t = known_boxes[i].type;

		if (!strcmp(known_boxes[i].parent, parent) &&
			MP4_TYPE(t[0], t[1], t[2], t[3]) == type)
			return &known_boxes[i];
	}
	return NULL;
}

static void write_children(struct moov_writer *m, const char *parent, struct reader *r)
{
	struct reader content;
	uint32_t type;

	for (const uint8_t *from = r->at; mp4_box_next(r, &type, &content); from = r->at) {
		const struct known_box *known = find_box(parent, type);

		if (known && known->only_open && m->moov->tables)
			continue;
		if (known && known->is_container)
			write_container(m, known->type, &content);
		else if (known && known->write)
			known->write(m, &content);
		else
			box_bytes(m->w, from, (size_t)(r->at - from));
		if (content.why)
			reader_fail(r, content.why);
	}
}

int segment_moov_write(struct box_writer *w, const struct segment_moov *moov)
{
	struct moov_writer m = { .w = w, .moov = moov };
	struct reader r = reader_of(moov->p, moov->n);

	if (moov->tables) {
		m.timescale = moov_timescale(moov->movie);
		for (unsigned i = 0; i < moov->movie->n_tracks; i++) {
			uint64_t length = moov_length(&m, i);

			m.duration = length > m.duration ? length : m.duration;
		}
	}
	write_children(&m, "", &r);
	return r.why ? -EBADMSG : 0;
}
