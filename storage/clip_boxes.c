/* The boxes of clips (ISO/IEC 14496-12). */
#include "storage/clip_boxes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>

#include "server/base/attributes.h"
#include "storage/segment_parts.h"

enum {
	MOST_TICKS = 100000000, /* a second, so that any instant can be said in them */
	TFHD = MP4_TYPE('t', 'f', 'h', 'd'),
	TFDT = MP4_TYPE('t', 'f', 'd', 't'),
	TRUN = MP4_TYPE('t', 'r', 'u', 'n'),
	TRAF = MP4_TYPE('t', 'r', 'a', 'f'),
	MFHD = MP4_TYPE('m', 'f', 'h', 'd'),
	FREE = MP4_TYPE('f', 'r', 'e', 'e'),
	BOX_HEADER = 8,
	MILLISECONDS = 1000,
	SAP_OF_TYPE_1 = 9, /* four bits: it starts with one, of type 1 */
	TRUN_OFFSET = 0x1,
	TRUN_FIRST_FLAGS = 0x4,
	TRUN_FIELDS = 0xf00, /* four bytes of each sample for each of these */
};

uint64_t clip_hash(uint64_t hash, const void *p, size_t n)
{
	const uint8_t *bytes = p;

	if (!hash)
		hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* --- times --- */

static int64_t ticks_of(int64_t us, uint32_t timescale)
{
	return av_rescale_rnd(us, timescale, 1000000, AV_ROUND_DOWN);
}

/* The instant of a decode time in the file, rounded down as struct fragment has it. */
static int64_t instant_of(const struct clip_head *head, int64_t time, uint32_t timescale)
{
	int64_t ticks = ticks_of(head->origin_us, timescale);

	if (__builtin_add_overflow(ticks, time, &ticks))
		ticks = time < 0 ? INT64_MIN : INT64_MAX; /* of a damaged file */
	return av_rescale_rnd(ticks, 1000000, timescale, AV_ROUND_DOWN);
}

static uint32_t timescale_of(const struct clip_head *head, uint32_t track_id)
{
	int track = segment_find_track(&head->movie, track_id);

	return track < 0 ? 0 : head->movie.tracks[track].timescale;
}

/* --- the head --- */

/* The whole box at *at, which moves behind it; false when there is none. */
static bool next_box(const uint8_t *p, size_t n, size_t *at, struct mp4_box *ret)
{
	const char *why;

	if (mp4_box_parse(ret, p + *at, n - *at, &why) <= 0 || ret->to_end || ret->bytes > n - *at)
		return false;
	*at += (size_t)ret->bytes;
	return true;
}

/* A hash of a moov without its times. */
static int hash_init(uint64_t *ret, const uint8_t *moov, size_t n)
{
	const struct segment_moov it = { .p = moov, .n = n };
	struct box_writer w = { 0 };
	int error = segment_moov_write(&w, &it);

	if (!error)
		*ret = clip_hash(0, w.p, w.n);
	free(w.p);
	return error;
}

int clip_head_parse(struct clip_head *ret, const uint8_t *p, size_t n)
{
	struct clip_head head = { 0 };
	struct segment_clock clock;
	struct mp4_box box;
	const char *why;
	size_t at = 0;
	int lead;

	if (!next_box(p, n, &at, &box) || box.type != MP4_TYPE('f', 't', 'y', 'p') ||
		n - at < SEGMENT_ROOM_BYTES)
		return -EBADMSG;
	head.room_at = at;
	head.moov_at = at += SEGMENT_ROOM_BYTES;
	if (!next_box(p, n, &at, &box) || box.type != MP4_TYPE('m', 'o', 'o', 'v') ||
		mp4_moov_parse(&head.movie, p + head.moov_at, (size_t)box.bytes, &why) < 0 ||
		hash_init(&head.init, p + head.moov_at, (size_t)box.bytes) < 0 ||
		segment_clock_parse(&clock, p + at, n - at) < 0)
		return -EBADMSG;
	head.moov_end = at;
	head.origin_us = clock.origin_us;
	lead = segment_find_track(&head.movie, clock.track_id);
	if (lead < 0)
		return -EBADMSG;
	for (size_t i = 0; i < head.movie.n_tracks; i++)
		if (head.movie.tracks[i].timescale > MOST_TICKS)
			return -EBADMSG;
	head.lead = (unsigned)lead;
	*ret = head;
	return 0;
}

bool clip_is_web(const struct mp4_track *track)
{
	static const char *const names[] = { "h264", "h265", "av1", "aac", "opus" };

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (!strcmp(track->name, names[i]))
			return true;
	}
	return false;
}

static bool shift_hides(const struct clip_shift *shift, uint32_t id)
{
	for (unsigned i = 0; i < shift->n; i++) {
		if (shift->tracks[i].id == id)
			return shift->tracks[i].hidden;
	}
	return false;
}

/* The id in a trex, or of the tkhd in a trak. */
static uint32_t track_id_of(uint32_t type, struct reader content)
{
	struct reader header = content;
	uint32_t child = type;

	while (type == MP4_TYPE('t', 'r', 'a', 'k') && child != MP4_TYPE('t', 'k', 'h', 'd')) {
		if (!mp4_box_next(&content, &child, &header))
			return 0;
	}
	reader_skip(&header, child == type ? 4 : reader_u8(&header) ? 19 : 11);
	return reader_u32(&header);
}

/* Makes `free` of what belongs to hidden tracks, among the children of a moov or mvex. */
static void hide_tracks(uint8_t *p, struct reader r, const struct clip_shift *shift)
{
	const uint8_t *start = r.at;
	struct reader content;
	uint32_t type;

	for (const uint8_t *from = r.at; mp4_box_next(&r, &type, &content); from = r.at) {
		if (type == MP4_TYPE('m', 'v', 'e', 'x'))
			hide_tracks(p + (content.at - start), content, shift);
		else if ((type == MP4_TYPE('t', 'r', 'a', 'k') ||
				 type == MP4_TYPE('t', 'r', 'e', 'x')) &&
			 shift_hides(shift, track_id_of(type, content)))
			box_set_u32(p + (from - start) + 4, FREE);
	}
}

void clip_patch_head(uint8_t *p, const struct clip_head *head, const struct clip_shift *shift)
{
	uint8_t *moov = p + head->moov_at;
	size_t n = head->moov_end - head->moov_at;
	struct reader r = reader_of(moov, n), content;
	uint32_t type;

	memset(p + head->room_at, 0, SEGMENT_ROOM_BYTES);
	box_set_u32(p + head->room_at, SEGMENT_ROOM_BYTES);
	box_set_u32(p + head->room_at + 4, FREE);
	if (mp4_box_next(&r, &type, &content))
		hide_tracks(moov + (content.at - moov), content, shift);
}

/* Copies a moov, and puts mehd into its mvex. */
static void write_long_moov(struct box_writer *w, struct reader r, int64_t duration_us)
{
	size_t moov = box_begin(w, "moov"), mvex, mehd;
	struct reader content;
	uint32_t type;

	reader_skip(&r, BOX_HEADER);
	for (const uint8_t *from = r.at; mp4_box_next(&r, &type, &content); from = r.at) {
		if (type != MP4_TYPE('m', 'v', 'e', 'x')) {
			box_bytes(w, from, (size_t)(r.at - from));
			continue;
		}
		mvex = box_begin(w, "mvex");
		mehd = box_begin_full(w, "mehd", 1, 0);
		box_u64(w, (uint64_t)duration_us /
				   (1000000 / MILLISECONDS)); /* the movie's timescale */
		box_end(w, mehd);
		box_bytes(w, content.at, reader_left(&content));
		box_end(w, mvex);
	}
	box_end(w, moov);
}

int clip_head_write(struct box_writer *w, const uint8_t *p, const struct clip_head *head,
	int64_t start_us, int64_t duration_us)
{
	const struct segment_moov it = {
		.p = p + head->moov_at,
		.n = head->moov_end - head->moov_at,
		.created_us = start_us,
	};
	struct box_writer moov = { 0 };
	int error = segment_moov_write(&moov, &it);

	if (!error) {
		box_bytes(w, p, head->room_at); /* ftyp */
		write_long_moov(w, reader_of(moov.p, moov.n), duration_us);
	}
	free(moov.p);
	return error;
}

void clip_sidx_write(struct box_writer *w, const struct clip_sidx *sidx)
{
	box_u32(w, CLIP_SIDX_BYTES + sidx->n * CLIP_REFERENCE_BYTES);
	box_text(w, "sidx");
	box_u32(w, 1 << 24); /* version 1 */
	box_u32(w, sidx->id);
	box_u32(w, sidx->timescale);
	box_u64(w, (uint64_t)sidx->first);
	box_u64(w, sidx->first_offset);
	box_u16(w, 0);
	box_u16(w, (uint16_t)sidx->n);
}

void clip_reference_write(struct box_writer *w, uint32_t bytes, uint32_t duration, bool keyframe)
{
	box_u32(w, bytes); /* the highest bit is 0: to media */
	box_u32(w, duration);
	box_u32(w, keyframe ? (uint32_t)SAP_OF_TYPE_1 << 28 : 0);
}

/* --- fragments --- */

void clip_shift_set(struct clip_shift *ret, const struct clip_head *head, int64_t origin_us)
{
	ret->n = head->movie.n_tracks;
	for (unsigned i = 0; i < ret->n; i++) {
		const struct mp4_track *track = &head->movie.tracks[i];

		ret->tracks[i].id = track->id;
		ret->tracks[i].delta = ticks_of(head->origin_us, track->timescale) -
				       ticks_of(origin_us, track->timescale);
	}
}

static int patch_time(uint8_t *tfdt, size_t n, int64_t delta)
{
	struct reader r = reader_of(tfdt, n);
	uint32_t version = reader_u32(&r) >> 24;
	uint64_t time = reader_u64(&r);

	if (r.why || version != 1 || time > INT64_MAX / 2 || delta > INT64_MAX / 2)
		return -EBADMSG;
	box_set_u64(tfdt + 4, delta > -(int64_t)time ? (uint64_t)((int64_t)time + delta) : 0);
	return 0;
}

/* traf is what is in the box, which begins 8 bytes before. */
static int patch_traf(uint8_t *traf, struct reader r, const struct clip_shift *shift)
{
	const uint8_t *start = r.at;
	const struct clip_track *track = NULL;
	struct reader content;
	uint32_t type, id;
	int error = 0;

	while (!error && mp4_box_next(&r, &type, &content)) {
		uint8_t *at = traf + (content.at - start);

		if (type == TFHD) {
			reader_skip(&content, 4);
			id = reader_u32(&content);
			for (unsigned i = 0; i < shift->n; i++)
				track = shift->tracks[i].id == id ? &shift->tracks[i] : track;
		} else if (type == TFDT && track) {
			error = patch_time(at, reader_left(&content), track->delta);
		}
	}
	if (!track || r.why)
		return -EBADMSG;
	if (track->hidden)
		box_set_u32(traf - 4, FREE);
	return error;
}

int clip_patch_moof(uint8_t *moof, size_t n, uint32_t sequence, const struct clip_shift *shift)
{
	struct reader r = reader_of(moof, n), content;
	uint32_t type;
	int error = 0;

	reader_skip(&r, CLIP_MOOF_HEADER_BYTES);
	while (!error && mp4_box_next(&r, &type, &content)) {
		uint8_t *at = moof + (content.at - moof);

		if (type == TRAF)
			error = patch_traf(at, content, shift);
		else if (type == MFHD && sequence && reader_left(&content) >= 8)
			box_set_u32(at + 4, sequence);
	}
	return error || r.why ? -EBADMSG : 0;
}

struct first_parser {
	const struct mp4_fragment *fragment;
	const struct clip_head *head;
	struct clip_first ret;
	bool seen[MP4_TRACKS]; /* by traf */
};

static void first_on_sample(void *arg, unsigned traf, const struct mp4_sample *sample)
{
	struct first_parser *f = arg;
	uint32_t id = f->fragment->tracks[traf].id, timescale = timescale_of(f->head, id);
	int64_t us;

	if (f->seen[traf] || !timescale || sample->decode_time > INT64_MAX / 4)
		return;
	f->seen[traf] = true;
	us = instant_of(f->head, (int64_t)sample->decode_time, timescale);
	if (us < f->ret.origin_us)
		f->ret.origin_us = us;
	if (id != f->head->movie.tracks[f->head->lead].id)
		return;
	f->ret.shown_us = av_rescale_rnd(sample->composition, 1000000, timescale, AV_ROUND_UP);
	f->ret.at = (uint64_t)sample->offset;
	f->ret.bytes = sample->bytes;
}

int clip_first_parse(
	struct clip_first *ret, const uint8_t *moof, size_t n, const struct clip_head *head)
{
	struct mp4_fragment fragment;
	struct first_parser f = { .fragment = &fragment, .head = head };
	const char *why;

	f.ret.origin_us = INT64_MAX;
	if (mp4_moof_parse(&fragment, moof, n, &head->movie, &why) < 0 ||
		mp4_moof_samples(moof, n, &head->movie, first_on_sample, &f, &why) < 0 ||
		f.ret.origin_us == INT64_MAX)
		return -EBADMSG;
	*ret = f.ret;
	return 0;
}

/* --- cutting --- */

/* How much of a traf is kept. */
struct cut_track {
	uint32_t timescale;
	uint64_t at, bytes; /* of its samples so far, one behind the other */
	uint32_t samples;
	int64_t duration;
	uint32_t kept; /* of these, and what they are */
	uint64_t kept_bytes;
	int64_t kept_duration;
};

struct cutter {
	const struct clip_head *head;
	int64_t to_us;
	struct mp4_fragment fragment;
	struct cut_track tracks[MP4_TRACKS];
	bool is_odd; /* not one run per track */
};

static void cut_on_sample(void *arg, unsigned traf, const struct mp4_sample *sample)
{
	struct cutter *c = arg;
	struct cut_track *t = &c->tracks[traf];
	uint64_t time = sample->decode_time;

	t->timescale = timescale_of(c->head, c->fragment.tracks[traf].id);
	if (!t->samples)
		t->at = (uint64_t)sample->offset;
	if (sample->offset < 0 || t->at + t->bytes != (uint64_t)sample->offset || !t->timescale ||
		time > INT64_MAX / 4) {
		c->is_odd = true;
		return;
	}
	t->samples++;
	t->bytes += sample->bytes;
	t->duration += sample->duration;
	if (instant_of(c->head, (int64_t)(time + (uint64_t)(int64_t)sample->composition),
		    t->timescale) >= c->to_us)
		return;
	t->kept = t->samples;
	t->kept_bytes = t->bytes;
	t->kept_duration = t->duration;
}

/* The first entries of a run; its offset stands at *offset_at. */
static int write_run(struct box_writer *w, struct reader r, uint32_t kept, size_t *offset_at)
{
	uint32_t first = reader_u32(&r), flags = first & 0xffffff, n = reader_u32(&r);
	size_t entry = (size_t)__builtin_popcount(flags & TRUN_FIELDS) * 4, trun;

	if (!(flags & TRUN_OFFSET) || n < kept)
		return -EBADMSG;
	reader_skip(&r, 4);
	trun = box_begin_full(w, "trun", (uint8_t)(first >> 24), flags);
	box_u32(w, kept);
	*offset_at = w->n;
	box_u32(w, 0);
	if (flags & TRUN_FIRST_FLAGS)
		box_u32(w, reader_u32(&r));
	if (entry * kept > reader_left(&r))
		return -EBADMSG;
	box_bytes(w, r.at, entry * kept);
	box_end(w, trun);
	return 0;
}

static int write_traf(struct box_writer *w, struct reader r, uint32_t kept, size_t *offset_at)
{
	size_t traf = box_begin(w, "traf");
	struct reader content;
	uint32_t type;
	int error = 0;

	for (const uint8_t *from = r.at; !error && mp4_box_next(&r, &type, &content); from = r.at) {
		if (type != TRUN)
			box_bytes(w, from, (size_t)(r.at - from));
		else if (*offset_at)
			error = -EBADMSG; /* a second run */
		else
			error = write_run(w, content, kept, offset_at);
	}
	box_end(w, traf);
	return error || !*offset_at ? -EBADMSG : 0;
}

static int write_cut(
	struct box_writer *w, struct reader r, const struct cutter *c, size_t offsets[])
{
	size_t moof = box_begin(w, "moof");
	struct reader content;
	unsigned traf = 0;
	uint32_t type;
	int error = 0;

	reader_skip(&r, CLIP_MOOF_HEADER_BYTES);
	for (const uint8_t *from = r.at; !error && mp4_box_next(&r, &type, &content); from = r.at) {
		if (type != TRAF)
			box_bytes(w, from, (size_t)(r.at - from));
		else if (c->tracks[traf].kept)
			error = write_traf(w, content, c->tracks[traf].kept, &offsets[traf]);
		traf += type == TRAF;
	}
	box_end(w, moof);
	return error;
}

/* mdat, and where in it each run begins. */
static void cut_finish(
	struct clip_tail *ret, struct box_writer *w, const struct cutter *c, const size_t offsets[])
{
	uint64_t at = w->n + BOX_HEADER;
	size_t mdat = w->n;

	ret->moof_bytes = w->n;
	box_u32(w, 0);
	box_text(w, "mdat");
	for (unsigned i = 0; i < c->fragment.n_tracks; i++) {
		const struct cut_track *t = &c->tracks[i];

		if (!t->kept)
			continue;
		box_set_u32(w->p + offsets[i], (uint32_t)at);
		ret->spans[ret->n++] = (struct clip_span){ t->at, t->kept_bytes };
		at += t->kept_bytes;
	}
	box_set_u32(w->p + mdat, (uint32_t)(at - mdat));
	ret->head = w->p;
	ret->head_bytes = w->n;
	ret->bytes = at;
}

static bool cut_counts(struct cutter *c, const uint8_t *moof, size_t n)
{
	const char *why;

	return mp4_moof_parse(&c->fragment, moof, n, &c->head->movie, &why) == 0 &&
	       mp4_moof_samples(moof, n, &c->head->movie, cut_on_sample, c, &why) == 0 &&
	       !c->is_odd;
}

enum clip_cut clip_cut(struct clip_tail *ret, const uint8_t *moof, size_t n,
	const struct clip_head *head, int64_t to_us)
{
	struct cutter c = { .head = head, .to_us = to_us };
	uint32_t lead_id = head->movie.tracks[head->lead].id;
	const struct cut_track *lead = &c.tracks[0]; /* or what is there in its stead */
	size_t offsets[MP4_TRACKS] = { 0 };
	struct clip_tail tail = { 0 };
	struct box_writer w = { 0 };
	bool all = true;

	if (!cut_counts(&c, moof, n))
		return CLIP_CUT_NONE;
	for (unsigned i = 0; i < c.fragment.n_tracks; i++) {
		all = all && c.tracks[i].kept == c.tracks[i].samples;
		if (c.fragment.tracks[i].id == lead_id)
			lead = &c.tracks[i];
	}
	if (all)
		return CLIP_CUT_NONE;
	if (!lead->kept)
		return CLIP_CUT_ALL;
	if (write_cut(&w, reader_of(moof, n), &c, offsets) < 0) {
		free(w.p);
		return CLIP_CUT_NONE;
	}
	cut_finish(&tail, &w, &c, offsets);
	tail.duration_us =
		av_rescale_rnd(lead->kept_duration, 1000000, lead->timescale, AV_ROUND_DOWN);
	*ret = tail;
	return CLIP_CUT_SOME;
}
