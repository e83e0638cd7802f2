#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/attributes.h"
#include "server/media/stream.h"
#include "storage/fragment.h"

/*
 * Cuts a stream into fragments while anyone wants them: at every keyframe (where not every picture
 * is one), and before half a second is over. One fragmenter per stream, made by its first reader and
 * freed after its last; it keeps the fragments of the current group of pictures (the stream's own
 * packets, by reference). Tracks that MP4 cannot carry are left out.
 */
struct fragment_reader;
struct fragment_reader_events {
	/* A run begins: new tracks, new parameter sets, or the source came back. */
	void (*on_init)(struct fragment_reader *reader, struct fragment_init *init);
	void (*on_fragment)(struct fragment_reader *reader, struct fragment *fragment);
	/* The run ended; all its fragments were given. */
	void (*on_end)(struct fragment_reader *reader);
};
struct fragment_reader {
	TAILQ_ENTRY(fragment_reader) entry;
	struct fragmenter *fragmenter; /* NULL when not subscribed */
	const struct fragment_reader_events *events;
};

/* Subscribes; when the stream is up on_init follows at once, and with `replay` the fragments of the
 * current group of pictures. */
void fragmenter_subscribe(struct stream *stream, struct fragment_reader *reader,
	const struct fragment_reader_events *events, bool replay);
/* Gives now what would be given with the next cut; to all readers. */
void fragmenter_flush(struct fragment_reader *reader);
void fragmenter_unsubscribe(struct fragment_reader *reader); /* fine inside a callback */
