#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/base/log.h"
#include "server/base/reactor.h"
#include "storage/fragmenter.h"
#include "storage/recorder.h"
#include "storage/recorder_queue.h"

struct metric;

/* What is missing between two recorded fragments. */
struct recorder_gap {
	bool open;
	int64_t from_us;   /* UTC: what was recorded or lost before ends here; 0: not known yet */
	int64_t since_us;  /* monotonic */
	const char *cause; /* "camera", "disk", "clock", "restart" */
	struct metric *metric; /* its length until now */
};

struct recorder {
	char *camera;
	struct stream *stream;
	struct volume *volume;
	struct catalogue *catalogue;
	struct catalogue_query *newest; /* the last recording of an earlier process */
	struct recorder_settings settings;
	struct log_name log;
	struct fragment_reader reader;

	struct recorder_queue queue;
	struct fragment_init *init;       /* of the run that is written */
	int64_t correction_us;            /* of its clock */
	struct recorder_segment *current; /* NULL: waits for a keyframe */
	unsigned segments;                /* files not closed yet */
	size_t in_flight_bytes;           /* in the hands of the volume */
	int64_t until_us;    /* an event is recorded until then, monotonic; 0: none is */
	int64_t last_end_us; /* of the last fragment that was given to a file */

	/* trouble with the disk */
	bool failing;                 /* a file failed, and not all files are closed yet */
	struct recorder_items failed; /* what they did not take, for another file */
	int64_t retry_us;             /* monotonic: no new file before */
	int64_t failed_since_us;      /* monotonic; 0: all is well */
	bool refused;                 /* it was an error of the disk, not only its slowness */
	uint64_t lost;                /* fragments since then */
	struct recorder_gap gap;
	struct event *timer; /* each second while there is trouble or a gap */
	struct metric *fragments, *bytes, *closed;

	bool stopping;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
	struct reactor_dead dead;
};

/* --- recorder_segment.c: one file --- */

/* Makes a file that begins with this fragment. Returns 0, or -EAGAIN when the volume takes nothing now. */
int recorder_segment_open(struct recorder *recorder, const struct fragment *first) MUST_CHECK;
/* Gives a fragment to the current file. Returns 0 and keeps the item, or -EAGAIN. */
int recorder_segment_append(struct recorder *recorder, struct recorder_item *item) MUST_CHECK;
/* Closes the current file; fine when there is none. */
void recorder_segment_close(struct recorder *recorder);
/* Whether the current file ends before this fragment. */
bool recorder_segment_is_full(const struct recorder *recorder, const struct fragment *fragment);

/* --- recorder_gap.c: what is missing --- */

void recorder_gap_init(struct recorder *recorder);
void recorder_gap_fini(struct recorder *recorder);
/* From this instant on something is missing; the first cause counts. */
void recorder_gap_begin(struct recorder *recorder, int64_t from_us, const char *cause);
/* A fragment that starts then is on disk. */
void recorder_gap_end(struct recorder *recorder, int64_t start_us);
void recorder_gap_measure(struct recorder *recorder);

/* --- recorder.c --- */

/* A file could not be made or written: it and what it did not take are tried anew. */
void recorder_fail(struct recorder *recorder, const char *doing, int error);
/* A fragment is on disk, in a file that was made at that instant (monotonic). */
void recorder_on_written(
	struct recorder *recorder, const struct fragment *fragment, int64_t made_us);
/* A file is closed. */
void recorder_on_segment_closed(struct recorder *recorder);
/* Writes what can be written now. */
void recorder_pump(struct recorder *recorder);
