#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"
#include "server/media/event.h"

/*
 * What is recorded: one row per segment with its fragment index, in SQLite (WAL) behind a thread of
 * its own. A cache of what the disk says. Every call is asynchronous; callbacks come on the reactor, in the
 * order of the calls. No caller writes SQL or assumes SQLite.
 */
struct catalogue;

enum catalogue_state {
	SEGMENT_OPEN,
	SEGMENT_CLOSED
};

/* The stream of time-lapses, which are in the tree and no footage: who asks for times is not told of them. */
#define CATALOGUE_TIMELAPSE "timelapse"

struct catalogue_segment {
	int64_t id;
	char *camera, *stream; /* "porch", "main" */
	int64_t volume;        /* volume_id() */
	char *path;            /* on the volume: "recordings/porch/2026-11-20/14-30-00+0100.mp4" */
	int64_t start_us, end_us; /* end: of the last whole fragment */
	uint64_t bytes; /* up to the last whole fragment; once closed, of the whole file */
	char *codecs;   /* RFC 6381 */
	int width, height;
	enum catalogue_state state;
	/*
	 * While nobody had set the clock: when the machine was switched on, as the clock had it that
	 * start_us was read from (wall_clock_boot_us()). 0: start_us is the truth.
	 */
	int64_t boot_us;
	unsigned events; /* what happened in it: 1 << each enum event_kind; set by the catalogue */
};
void catalogue_segment_free(struct catalogue_segment *segment); /* contents and itself */
struct catalogue_segment *catalogue_segment_copy(const struct catalogue_segment *segment);

struct catalogue_fragment {
	int64_t start_us;
	uint32_t duration_us;
	uint32_t bytes;
	uint64_t offset;
	bool keyframe;
};

/*
 * A catalogue of which the database is `file`, "<storage.path>/nvrd.db". It has none until catalogue_enter():
 * questions fail with -EIO, changes wait. So they do when the database cannot be read or written later; what waits is
 * tried again each second, in its order.
 */
struct catalogue *catalogue_new(const char *file) MUST_CHECK;
/* The store is there, or there anew: opens the database, or makes one. A damaged one is set aside under another name. */
void catalogue_enter(struct catalogue *catalogue);
/* The store is gone: the database is closed, and nothing is touched there any more. */
void catalogue_leave(struct catalogue *catalogue);
/*
 * Both of the first at once. Blocks: at start only. NULL and a message in *why (caller frees) when a newer nvrd made
 * the database; whatever else is wrong with it may pass. One that an older nvrd made is brought up to date by the thread: that
 * takes long, and all else waits in its order, as for a store.
 */
struct catalogue *catalogue_open(const char *file, char **why) MUST_CHECK;
/* The same, and forgets all segments first, for recovery to find them again. */
struct catalogue *catalogue_open_without_segments(const char *file, char **why) MUST_CHECK;
void catalogue_close(struct catalogue *catalogue); /* waits for its queue */

typedef void catalogue_stale_fn(void *arg);
/*
 * on_stale comes when the rows may not agree with the disk: after each opening of the database, and when changes
 * had to be left out. storage/recovery.h makes them agree.
 */
void catalogue_watch(struct catalogue *catalogue, catalogue_stale_fn *on_stale, void *arg);

/* --- the recorder's side --- */

/*
 * Adds an open segment (copied). *ticket is given at once and good for the two calls below; it is the row's id as
 * long as the database could be opened at the start. 0 or -EAGAIN.
 */
int catalogue_add(struct catalogue *catalogue, const struct catalogue_segment *segment,
	int64_t *ticket) MUST_CHECK;
/* One more fragment is on disk. */
void catalogue_grow(
	struct catalogue *catalogue, int64_t ticket, const struct catalogue_fragment *fragment);
/* The file is closed with this many bytes; with 0 it is gone, and so is its row. */
void catalogue_finish(struct catalogue *catalogue, int64_t ticket, uint64_t bytes);
/* How many segments were closed since opening. */
uint64_t catalogue_finished(const struct catalogue *catalogue);

/* Between these instants a camera was not recorded though it should have been: "camera", "disk" … */
void catalogue_add_gap(struct catalogue *catalogue, const char *camera, int64_t start_us,
	int64_t end_us, const char *cause);
/*
 * Something happened at a camera between these instants; the recordings of that time say so. Added again with the same start it
 * ends later: what lasts is added as it begins, now and then, and when it is over.
 */
void catalogue_add_event(struct catalogue *catalogue, const char *camera, enum event_kind kind,
	int64_t start_us, int64_t end_us);
/*
 * The true time of a segment of before the clock was set: it starts so much later, and its file has
 * that path now.
 */
void catalogue_redate(struct catalogue *catalogue, int64_t id, const char *path, int64_t later_us);

typedef void catalogue_set_volume_fn(void *arg, int error);
/*
 * The file of a closed segment, at that path, is on volume `to` now instead of `from`. error -ESTALE: no row says so
 * any more. Returns 0 or -EAGAIN, done is not called then; done may be NULL.
 */
int catalogue_set_volume(struct catalogue *catalogue, int64_t id, const char *path, int64_t from,
	int64_t to, catalogue_set_volume_fn *done, void *arg) MUST_CHECK;
/* The volumes with recordings, at most so many. Blocks: at start only, before anything else is asked. Returns how many. */
size_t catalogue_volumes(struct catalogue *catalogue, int64_t *ret, size_t most);

/* --- asking --- */

struct catalogue_query; /* one in flight */
/* No callback comes after this. NULL is fine. */
void catalogue_cancel(struct catalogue_query *query);

/* Segments by start time: rows and their number (freed by the callee of this type's caller: valid during the call only). */
typedef void catalogue_segments_fn(
	void *arg, int error, const struct catalogue_segment *rows, size_t n);
/*
 * The footage of a camera that overlaps [from_us, to_us), oldest first, at most `limit`, of which the path is greater than `after` when
 * not NULL (for paging).
 */
struct catalogue_query *catalogue_list(struct catalogue *catalogue, const char *camera,
	int64_t from_us, int64_t to_us, const char *after, size_t limit,
	catalogue_segments_fn *done, void *arg) MUST_CHECK;
/* The segments in one folder ("recordings/porch/2026-11-20"), by name, at most `limit` after the name `after`. */
struct catalogue_query *catalogue_list_folder(struct catalogue *catalogue, const char *folder,
	const char *after, size_t limit, catalogue_segments_fn *done, void *arg) MUST_CHECK;
/*
 * A camera's segments by start, to be gone through in batches: those that start in [from_us, to_us] and end at or after
 * ended_us, behind the one that is after_us and after_id (its start and id; 0: from the beginning on).
 */
struct catalogue_span {
	int64_t from_us, to_us, ended_us;
	bool newest_first;
	int64_t after_us, after_id;
};
/* At most `limit`; time-lapses, too; with `folder` only what is in that one. */
struct catalogue_query *catalogue_search(struct catalogue *catalogue, const char *camera,
	const char *folder, const struct catalogue_span *span, size_t limit,
	catalogue_segments_fn *done, void *arg) MUST_CHECK;
/* The segment with that path, on whichever volume: one row, or none (n = 0). */
struct catalogue_query *catalogue_find(struct catalogue *catalogue, const char *path,
	catalogue_segments_fn *done, void *arg) MUST_CHECK;

/*
 * The first segment with an id greater than `after` of before the clock was set, since the machine
 * was switched on: one row, open or closed, or none.
 */
struct catalogue_query *catalogue_undated(struct catalogue *catalogue, int64_t after,
	catalogue_segments_fn *done, void *arg) MUST_CHECK;

/* The footage of a camera that ends last: one row, or none. */
struct catalogue_query *catalogue_newest(struct catalogue *catalogue, const char *camera,
	catalogue_segments_fn *done, void *arg) MUST_CHECK;

/* --- recovery's side --- */

/*
 * The first segment with an id greater than `after` that is open and that nobody writes now: it was cut off. One
 * row, or none.
 */
struct catalogue_query *catalogue_interrupted(struct catalogue *catalogue, int64_t after,
	catalogue_segments_fn *done, void *arg) MUST_CHECK;
/* All rows of a folder by name, on all volumes, also of those that are being made. */
struct catalogue_query *catalogue_folder_rows(struct catalogue *catalogue, const char *folder,
	catalogue_segments_fn *done, void *arg) MUST_CHECK;
/*
 * Takes a closed segment with its index, as a file says it (copied): a new one (id 0, unless its path on that
 * volume has a row already), or what a row should say. boot_id goes with boot_us, NULL is fine.
 */
void catalogue_adopt(struct catalogue *catalogue, const struct catalogue_segment *segment,
	const char *boot_id, const struct catalogue_fragment *fragments, size_t n);
/* The file is gone: so is its row. */
void catalogue_forget(struct catalogue *catalogue, int64_t id);

/* What happened at a camera, as catalogue_add_event() was told: one row for a kind that began then. */
struct catalogue_event {
	int64_t start_us, end_us; /* the end as it was last told: seconds ago of what lasts */
	enum event_kind kind;
};
typedef void catalogue_events_fn(
	void *arg, int error, const struct catalogue_event *events, size_t n);
/*
 * The events of a camera that overlap [from_us, to_us], by start and kind, at most `limit` behind `after` when not NULL (for
 * paging). What began more than a week before is not looked at.
 */
struct catalogue_query *catalogue_events(struct catalogue *catalogue, const char *camera,
	int64_t from_us, int64_t to_us, const struct catalogue_event *after, size_t limit,
	catalogue_events_fn *done, void *arg) MUST_CHECK;

/* Names: cameras that have recordings (camera NULL), or the days ("2026-11-20") of one camera. */
typedef void catalogue_names_fn(void *arg, int error, const char *const *names, size_t n);
struct catalogue_query *catalogue_names(struct catalogue *catalogue, const char *camera,
	catalogue_names_fn *done, void *arg) MUST_CHECK;

/* The folders that have rows of a volume: "recordings/porch/2026-11-20". */
struct catalogue_query *catalogue_folders(struct catalogue *catalogue, int64_t volume,
	catalogue_names_fn *done, void *arg) MUST_CHECK;

typedef void catalogue_index_fn(
	void *arg, int error, const struct catalogue_fragment *fragments, size_t n);
struct catalogue_query *catalogue_index(
	struct catalogue *catalogue, int64_t id, catalogue_index_fn *done, void *arg) MUST_CHECK;
