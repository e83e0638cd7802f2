/* Cuts streams into fragments, once for all who want them. */
#include "storage/fragmenter.h"

#include <stdlib.h>

#include "server/base/memory.h"

struct kept_fragment {
	STAILQ_ENTRY(kept_fragment) entry;
	struct fragment *fragment;
};

struct fragmenter {
	LIST_ENTRY(fragmenter) entry;
	struct stream_reader reader; /* its stream is the key; NULL once that is freed */
	TAILQ_HEAD(, fragment_reader) readers;
	struct fragment_reader *cursor; /* the next to be told, while telling */
	unsigned telling;               /* depth of calls to readers */

	struct fragment_init *init; /* of the run; NULL outside one */
	struct fragment_builder *builder;
	uint32_t sequence;

	/* since the last keyframe, by reference; limit STREAM_CACHE_BYTES, then none until the next */
	STAILQ_HEAD(, kept_fragment) kept;
	size_t kept_bytes;
};

static LIST_HEAD(, fragmenter) fragmenters = LIST_HEAD_INITIALIZER(fragmenters);

/* --- the current group of pictures --- */

static void fragmenter_forget(struct fragmenter *f)
{
	struct kept_fragment *kept;

	while ((kept = STAILQ_FIRST(&f->kept))) {
		STAILQ_REMOVE_HEAD(&f->kept, entry);
		fragment_unref(&kept->fragment);
		free(kept);
	}
	f->kept_bytes = 0;
}

static void fragmenter_keep(struct fragmenter *f, struct fragment *fragment)
{
	struct kept_fragment *kept;

	if (fragment->keyframe || f->kept_bytes + fragment->bytes > STREAM_CACHE_BYTES)
		fragmenter_forget(f);
	if (!fragment->keyframe && STAILQ_EMPTY(&f->kept))
		return;
	if (fragment->bytes > STREAM_CACHE_BYTES)
		return;
	kept = xcalloc(1, sizeof(*kept));
	kept->fragment = fragment_ref(fragment);
	STAILQ_INSERT_TAIL(&f->kept, kept, entry);
	f->kept_bytes += fragment->bytes;
}

/* --- telling readers, who may leave while they are told --- */

static void fragmenter_free(struct fragmenter *f)
{
	LIST_REMOVE(f, entry);
	stream_unsubscribe(&f->reader);
	fragmenter_forget(f);
	fragment_builder_free(f->builder);
	fragment_init_unref(&f->init);
	free(f);
}

/* Calls one of a reader's events for each; `fragment` may be NULL. */
static void fragmenter_tell(struct fragmenter *f, struct fragment *fragment, bool end)
{
	struct fragment_reader *reader;

	f->telling++;
	for (reader = TAILQ_FIRST(&f->readers); reader; reader = f->cursor) {
		f->cursor = TAILQ_NEXT(reader, entry);
		if (end)
			reader->events->on_end(reader);
		else if (fragment)
			reader->events->on_fragment(reader, fragment);
		else
			reader->events->on_init(reader, f->init);
	}
	f->telling--;
}

/* Frees it when its last reader has left; only where nothing of it is used any more. */
static void fragmenter_collect(struct fragmenter *f)
{
	if (!f->telling && TAILQ_EMPTY(&f->readers))
		fragmenter_free(f);
}

/* --- cutting --- */

static void fragmenter_cut(struct fragmenter *f, const AVPacket *next)
{
	int64_t next_dts[STREAM_TRACKS];
	struct fragment *fragment;

	if (!f->builder || fragment_builder_is_empty(f->builder))
		return;
	for (unsigned t = 0; t < STREAM_TRACKS; t++)
		next_dts[t] = AV_NOPTS_VALUE;
	if (next)
		next_dts[next->stream_index] = next->dts;
	fragment = fragment_builder_take(f->builder, next_dts, ++f->sequence);
	fragmenter_keep(f, fragment);
	fragmenter_tell(f, fragment, false);
	fragment_unref(&fragment);
}

static void fragmenter_on_packet(struct stream_reader *reader, AVPacket *packet)
{
	struct fragmenter *f = CONTAINER_OF(reader, struct fragmenter, reader);

	if (!f->builder || !f->init->ids[packet->stream_index] || packet->size <= 0)
		return;
	f->telling++;
	if (fragment_builder_ends_before(f->builder, packet))
		fragmenter_cut(f, packet);
	fragment_builder_add(f->builder, packet);
	f->telling--;
	fragmenter_collect(f);
}

/* Gives what is there and leaves the run. */
static void fragmenter_finish_run(struct fragmenter *f)
{
	fragmenter_cut(f, NULL);
	fragmenter_forget(f);
	fragment_builder_free(f->builder);
	f->builder = NULL;
	fragment_init_unref(&f->init);
}

static void fragmenter_begin_run(struct fragmenter *f)
{
	struct stream_track tracks[STREAM_TRACKS];
	size_t n = stream_tracks(f->reader.stream);

	for (size_t i = 0; i < n; i++)
		tracks[i] = *stream_track(f->reader.stream, i);
	f->init = fragment_init_new(tracks, n);
	f->builder = fragment_builder_new(f->init);
}

static void fragmenter_on_tracks(struct stream_reader *reader)
{
	struct fragmenter *f = CONTAINER_OF(reader, struct fragmenter, reader);

	f->telling++;
	if (f->init)
		fragmenter_finish_run(f);
	fragmenter_begin_run(f);
	fragmenter_tell(f, NULL, false);
	f->telling--;
	fragmenter_collect(f);
}

static void fragmenter_on_end(struct stream_reader *reader)
{
	struct fragmenter *f = CONTAINER_OF(reader, struct fragmenter, reader);

	f->telling++;
	if (f->init) {
		fragmenter_finish_run(f);
		fragmenter_tell(f, NULL, true);
	}
	f->telling--;
	fragmenter_collect(f);
}

static const struct stream_reader_events fragmenter_reader_events = {
	.on_tracks = fragmenter_on_tracks,
	.on_packet = fragmenter_on_packet,
	.on_end = fragmenter_on_end,
};

/* --- readers --- */

/* A stream that was freed took its reader off: such a fragmenter only serves whom it has. */
static struct fragmenter *fragmenter_find(const struct stream *stream)
{
	struct fragmenter *f;

	LIST_FOREACH (f, &fragmenters, entry) {
		if (f->reader.stream == stream)
			return f;
	}
	return NULL;
}

static struct fragmenter *fragmenter_new(struct stream *stream)
{
	struct fragmenter *f = xcalloc(1, sizeof(*f));

	TAILQ_INIT(&f->readers);
	STAILQ_INIT(&f->kept);
	LIST_INSERT_HEAD(&fragmenters, f, entry);
	f->telling++; /* nobody reads yet, but somebody will */
	stream_subscribe(stream, &f->reader, &fragmenter_reader_events, true);
	f->telling--;
	return f;
}

static void fragmenter_replay(struct fragmenter *f, struct fragment_reader *reader)
{
	const struct kept_fragment *kept;

	STAILQ_FOREACH (kept, &f->kept, entry) {
		if (reader->fragmenter != f)
			return; /* it left meanwhile */
		reader->events->on_fragment(reader, kept->fragment);
	}
}

void fragmenter_subscribe(struct stream *stream, struct fragment_reader *reader,
	const struct fragment_reader_events *events, bool replay)
{
	struct fragmenter *f = fragmenter_find(stream);

	if (!f)
		f = fragmenter_new(stream);
	reader->fragmenter = f;
	reader->events = events;
	TAILQ_INSERT_HEAD(&f->readers, reader, entry); /* whoever is being told is further on */
	f->telling++;
	if (f->init)
		events->on_init(reader, f->init);
	if (replay && f->init)
		fragmenter_replay(f, reader);
	f->telling--;
	fragmenter_collect(f);
}

void fragmenter_flush(struct fragment_reader *reader)
{
	struct fragmenter *f = reader->fragmenter;

	if (!f || f->telling)
		return;
	f->telling++;
	fragmenter_cut(f, NULL);
	f->telling--;
	fragmenter_collect(f);
}

void fragmenter_unsubscribe(struct fragment_reader *reader)
{
	struct fragmenter *f = reader->fragmenter;

	if (!f)
		return;
	reader->fragmenter = NULL;
	if (f->cursor == reader)
		f->cursor = TAILQ_NEXT(reader, entry);
	TAILQ_REMOVE(&f->readers, reader, entry);
	fragmenter_collect(f);
}
