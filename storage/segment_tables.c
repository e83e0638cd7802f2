/* Sample tables (ISO/IEC 14496-12 sections 8.6 and 8.7), grown in the form in which they are written. */
#include <errno.h>
#include <stdlib.h>

#include "server/base/attributes.h"
#include "storage/segment_private.h"

enum {
	SAMPLES_MOST = 1 << 24, /* of all tracks: more than a day of 60 pictures a second and AAC */
};

/* A sample on its way into a table, and whom to tell when it does not fit. */
struct table_adding {
	struct segment_tables *tables;
	const struct segment_walk *walk;
};

/* --- runs: a count and a value --- */

static void run_end(struct box_writer *w, uint32_t n, uint32_t value)
{
	if (!n)
		return;
	box_u32(w, n);
	box_u32(w, value);
}

/* stts: how long the sample before was, now that the next one's decode time is known. */
static void table_add_delta(struct segment_table *t, uint32_t delta)
{
	if (delta != t->delta || !t->deltas) {
		run_end(&t->stts, t->deltas, t->delta);
		t->delta = delta;
		t->deltas = 0;
	}
	t->deltas++;
}

static void table_add_composition(struct segment_table *t, int32_t composition)
{
	if (composition != t->composition || !t->compositions) {
		run_end(&t->ctts, t->compositions, (uint32_t)t->composition);
		t->composition = composition;
		t->compositions = 0;
	}
	t->compositions++;
	t->is_reordered = t->is_reordered || composition;
	t->is_negative = t->is_negative || composition < 0;
}

/* --- what is the same for all is not listed --- */

static void table_add_bytes(struct segment_table *t, uint32_t bytes)
{
	if (!t->samples)
		t->first_bytes = bytes;
	if (!t->has_sizes && bytes != t->first_bytes) {
		t->has_sizes = true;
		for (uint32_t i = 0; i < t->samples; i++)
			box_u32(&t->stsz, t->first_bytes);
	}
	if (t->has_sizes)
		box_u32(&t->stsz, bytes);
}

static void table_add_sync(struct segment_table *t, bool sync)
{
	if (!t->has_syncs && !sync) {
		t->has_syncs = true;
		for (uint32_t i = 1; i <= t->samples; i++)
			box_u32(&t->stss, i);
	}
	if (t->has_syncs && sync)
		box_u32(&t->stss, t->samples + 1);
}

/* --- chunks: samples one behind the other --- */

static void table_end_chunk(struct segment_table *t)
{
	if (!t->in_chunk || t->in_chunk == t->stsc_samples)
		return;
	box_u32(&t->stsc, t->chunks);
	box_u32(&t->stsc, t->in_chunk);
	box_u32(&t->stsc, 1); /* the only sample entry */
	t->stsc_entries++;
	t->stsc_samples = t->in_chunk;
}

static void table_add_place(struct segment_table *t, uint64_t offset, uint32_t bytes, bool is_large)
{
	if (!t->in_chunk || offset != t->chunk_end) {
		table_end_chunk(t);
		if (is_large)
			box_u64(&t->stco, offset);
		else
			box_u32(&t->stco, (uint32_t)offset);
		t->chunks++;
		t->in_chunk = 0;
	}
	t->in_chunk++;
	t->chunk_end = offset + bytes;
}

/* --- samples --- */

/*
 * Its times. Decode time may jump ahead where a source left something out: the sample before then
 * stays longer. Where it goes back, which the origin of a file can do to a track that was not in the first
 * fragment, the sample is decoded with the one before, and shown when it should be.
 */
static bool table_add_time(struct segment_table *t, const struct mp4_sample *sample)
{
	uint64_t time = sample->decode_time;
	int64_t shown = (int64_t)time + sample->composition, composition;

	if (!t->samples) {
		t->start = t->time = time;
		t->shown = shown;
	}
	if (time < t->time)
		time = t->time;
	if (shown < t->shown)
		t->shown = shown;
	if (shown + sample->duration > t->shown_end)
		t->shown_end = shown + sample->duration;
	composition = shown - (int64_t)time;
	if (time - t->time > UINT32_MAX || composition < INT32_MIN || composition > INT32_MAX)
		return false;
	if (t->samples)
		table_add_delta(t, (uint32_t)(time - t->time));
	table_add_composition(t, (int32_t)composition);
	t->time = time;
	t->last_duration = sample->duration;
	return true;
}

static void on_sample(void *arg, unsigned traf, const struct mp4_sample *sample)
{
	const struct table_adding *adding = arg;
	const struct segment_walk *walk = adding->walk;
	struct segment_tables *tables = adding->tables;
	int track = segment_find_track(&walk->movie, walk->fragment.tracks[traf].id);
	struct segment_table *t = &tables->tracks[track];

	if (tables->is_odd || !table_add_time(t, sample)) {
		tables->is_odd = true;
		return;
	}
	table_add_bytes(t, sample->bytes);
	table_add_sync(t, sample->sync);
	table_add_place(
		t, walk->moof_at + (uint64_t)sample->offset, sample->bytes, tables->is_large);
	t->samples++;
	tables->samples++;
}

int segment_tables_add(struct segment_tables *tables, const struct segment_walk *walk)
{
	struct table_adding adding = { .tables = tables, .walk = walk };
	const char *why;

	if (walk->fragment.samples > SAMPLES_MOST - tables->samples)
		return -EFBIG;
	tables->n = walk->movie.n_tracks;
	if (mp4_moof_samples(walk->moof, walk->moof_bytes, &walk->movie, on_sample, &adding, &why) <
		0)
		return -EBADMSG;
	return tables->is_odd ? -EBADMSG : 0;
}

void segment_tables_finish(struct segment_tables *tables)
{
	for (unsigned i = 0; i < tables->n; i++) {
		struct segment_table *t = &tables->tracks[i];

		if (!t->samples)
			continue;
		table_add_delta(t, t->last_duration);
		run_end(&t->stts, t->deltas, t->delta);
		run_end(&t->ctts, t->compositions, (uint32_t)t->composition);
		table_end_chunk(t);
	}
}

uint64_t segment_table_lead(const struct segment_table *table)
{
	return table->shown > (int64_t)table->start ? (uint64_t)table->shown - table->start : 0;
}

uint64_t segment_table_duration(const struct segment_table *table)
{
	return table->time - table->start + table->last_duration;
}

/* --- writing --- */

/* A full box with a count of entries and the entries, so many bytes each. */
static void write_entries(struct box_writer *w, const char *type, uint8_t version,
	const struct box_writer *entries, size_t bytes)
{
	size_t at = box_begin_full(w, type, version, 0);

	box_u32(w, (uint32_t)(entries->n / bytes));
	box_bytes(w, entries->p, entries->n);
	box_end(w, at);
}

static void write_sizes(struct box_writer *w, const struct segment_table *t)
{
	size_t at = box_begin_full(w, "stsz", 0, 0);

	box_u32(w, t->has_sizes ? 0 : t->first_bytes);
	box_u32(w, t->samples);
	box_bytes(w, t->stsz.p, t->stsz.n);
	box_end(w, at);
}

void segment_table_write(struct box_writer *w, const struct segment_table *table, bool is_large)
{
	write_entries(w, "stts", 0, &table->stts, 8);
	if (table->is_reordered)
		write_entries(w, "ctts", table->is_negative, &table->ctts, 8);
	if (table->has_syncs)
		write_entries(w, "stss", 0, &table->stss, 4);
	write_sizes(w, table);
	write_entries(w, "stsc", 0, &table->stsc, 12);
	write_entries(w, is_large ? "co64" : "stco", 0, &table->stco, is_large ? 8 : 4);
}

void segment_tables_fini(struct segment_tables *tables)
{
	for (unsigned i = 0; i < ARRAY_LENGTH(tables->tracks); i++) {
		struct segment_table *t = &tables->tracks[i];

		free(t->stts.p);
		free(t->ctts.p);
		free(t->stss.p);
		free(t->stsz.p);
		free(t->stsc.p);
		free(t->stco.p);
	}
}
