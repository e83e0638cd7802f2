/* The catalogue made to agree with the disks: first what was cut off, then volume by volume, folder by folder. */
#include "storage/recovery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/worker.h"
#include "storage/recovery_disk.h"

/* A file to be read, for a row that is to be put right or a new one. */
struct recovery_task {
	STAILQ_ENTRY(recovery_task) entry;
	int64_t id;    /* of its row; 0: it has none */
	bool was_open; /* when the last process ended */
	char *path;
	struct volume *volume;
	struct volume
		*twin; /* the row has it there; NULL: that is not there, or there is no other */
	int64_t twin_id;
	struct volume_hold hold; /* on the twin, while they are compared */
	bool is_twin;            /* there is a row, for another volume */
	bool is_missing;         /* there is a row, and there was no file */
};

enum recovery_step {
	STEP_INTERRUPTED, /* files that were open when the last process ended */
	STEP_DAYS,        /* which folders are on the disk */
	STEP_FOLDERS,     /* and which are in the catalogue */
	STEP_FILES,       /* of one folder: what is on the disk */
	STEP_ROWS         /* and what is in the catalogue */
};

enum {
	AGAIN_US = 1000000
};

struct recovery {
	struct volume *first;  /* of all */
	struct volume *volume; /* the one at hand */
	struct catalogue *catalogue;
	void (*done)(void *arg, const struct recovery_counts *counts);
	void *arg;
	struct log_name log;
	struct worker *worker;
	struct catalogue_query *query;
	struct recovery_counts counts;
	bool stopped;
	bool again; /* from the beginning, when it is over */
	struct event *timer;

	enum recovery_step step;
	int64_t interrupted; /* the last id of those that were open */
	struct recovery_list folders;
	size_t folder;              /* the one at hand */
	struct recovery_list files; /* in it */
	STAILQ_HEAD(, recovery_task) tasks;
};

/* What is to become of a file while a row names one of that path on another volume. */
enum recovery_twin {
	TWIN_STAYS,   /* one of them is being written, or this one is gone */
	TWIN_OTHER,   /* they are two files: it is left alone */
	TWIN_NAMED,   /* it is the only one: the row gets its volume */
	TWIN_REMOVED, /* they were the same */
};

/* What the worker does; one at a time. */
struct recovery_job {
	struct worker_job job;
	struct recovery *recovery;
	int error;
	struct recovery_list list;
	struct recovery_task *task;
	struct segment_scan scan;
	uint64_t bytes;
	bool closed;
	unsigned halves;
	enum recovery_twin twin;
};

static void recovery_next(struct recovery *recovery);

static void recovery_post(struct recovery *recovery, struct recovery_task *task,
	void (*run)(struct worker_job *), void (*done)(struct worker_job *))
{
	struct recovery_job *job = xcalloc(1, sizeof(*job));

	job->recovery = recovery;
	job->task = task;
	job->job.run = run;
	job->job.done = done;
	if (worker_post(recovery->worker, &job->job) < 0)
		abort(); /* one at a time */
}

static void task_free(struct recovery_task *task)
{
	free(task->path);
	free(task);
}

static void recovery_add_task(
	struct recovery *recovery, int64_t id, const char *folder, const char *name)
{
	struct recovery_task *task = xcalloc(1, sizeof(*task));

	task->id = id;
	task->path = xasprintf("%s/%s", folder, name);
	task->volume = recovery->volume;
	STAILQ_INSERT_TAIL(&recovery->tasks, task, entry);
}

static void recovery_add_missing(struct recovery *recovery, const struct catalogue_segment *row)
{
	struct recovery_task *task = xcalloc(1, sizeof(*task));

	task->id = row->id;
	task->path = xstrdup(row->path);
	task->volume = recovery->volume;
	task->is_missing = true;
	STAILQ_INSERT_TAIL(&recovery->tasks, task, entry);
}

/* A file of which a row says that it is on another volume. */
static void recovery_add_twin(struct recovery *recovery, const struct catalogue_segment *row)
{
	struct recovery_task *task = xcalloc(1, sizeof(*task));

	task->id = row->id;
	task->path = xstrdup(row->path);
	task->volume = recovery->volume;
	task->twin = volume_find(recovery->first, row->volume);
	task->twin_id = row->volume;
	task->is_twin = true;
	STAILQ_INSERT_TAIL(&recovery->tasks, task, entry);
}

/* --- one file --- */

static void read_run(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);

	job->error = recovery_read(job->task->volume, job->task->path, &job->recovery->log,
		&job->scan, &job->bytes, &job->closed);
}

/* "recordings/porch/2026-11-20/14-30-00+0100.mp4": the camera */
static char *camera_of(const char *path)
{
	const char *begin = strchr(path, '/') + 1;

	return xasprintf("%.*s", (int)strcspn(begin, "/"), begin);
}

void recovery_add_row(struct catalogue *catalogue, int64_t id, int64_t volume, const char *path,
	const struct segment_scan *scan, uint64_t bytes)
{
	struct catalogue_segment row = {
		.id = id,
		.camera = camera_of(path),
		.stream = xstrdup(scan->timelapse ? CATALOGUE_TIMELAPSE : "main"),
		.volume = volume,
		.path = xstrdup(path),
		.start_us = scan->start_us,
		.end_us = scan->end_us,
		.bytes = bytes,
		.codecs = xstrdup(scan->codecs),
		.width = scan->width,
		.height = scan->height,
		.boot_us = scan->dated ? 0 : scan->boot_us,
	};

	catalogue_adopt(
		catalogue, &row, scan->dated ? NULL : scan->boot_id, scan->fragments, scan->n);
	free(row.camera);
	free(row.stream);
	free(row.path);
	free(row.codecs);
}

static void recovery_adopt(struct recovery *recovery, const struct recovery_job *job)
{
	const struct recovery_task *task = job->task;

	recovery_add_row(recovery->catalogue, task->id, volume_id(task->volume), task->path,
		&job->scan, job->bytes);
	recovery->counts.closed += job->closed;
	recovery->counts.adopted += !task->id;
	recovery->counts.corrected += task->id && !task->was_open;
}

static void recovery_forget(struct recovery *recovery, int64_t id)
{
	catalogue_forget(recovery->catalogue, id);
	recovery->counts.forgotten++;
}

static void read_done(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);
	struct recovery *recovery = job->recovery;
	struct recovery_task *task = job->task;

	if (!job->error) {
		recovery_adopt(recovery, job);
		segment_scan_fini(&job->scan);
	} else if (task->id &&
		   (job->error == -ENOENT || (job->error == -ENODATA && task->was_open))) {
		recovery_forget(recovery, task->id); /* it never had a picture */
	} else if (job->error != -EBUSY && job->error != -ENODATA) {
		log_warn(&recovery->log, "%s: %s: left alone", task->path,
			job->error == -ENOTSUP ? "not made by nvrd" : strerror(-job->error));
		recovery->counts.unusable++;
	}
	task_free(task);
	free(job);
	recovery_next(recovery);
}

static bool recovery_do_task(struct recovery *recovery);

/* --- two files of one recording --- */

/* What the row names stays. Nothing is removed unless every byte of it is there as well. */
static void twin_run(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);
	const struct recovery_task *task = job->task;

	job->twin = TWIN_OTHER;
	if (volume_is_writing(task->twin, task->path) ||
		volume_is_writing(task->volume, task->path) ||
		!recovery_has(task->volume, task->path))
		job->twin = TWIN_STAYS;
	else if (!recovery_has(task->twin, task->path))
		job->twin = TWIN_NAMED;
	else if (volume_compare(task->twin, task->volume, task->path) == 1 &&
		 recovery_remove(task->volume, task->path) == 0)
		job->twin = TWIN_REMOVED;
}

static void twin_done(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);
	struct recovery *recovery = job->recovery;
	struct recovery_task *task = job->task;

	switch (job->twin) {
	case TWIN_STAYS:
		break;
	case TWIN_OTHER:
		log_warn(&recovery->log, "%s/%s: another file of that name is on %s: left alone",
			volume_path(task->volume), task->path, volume_path(task->twin));
		recovery->counts.unusable++;
		break;
	case TWIN_NAMED:
		(void)!catalogue_set_volume(recovery->catalogue, task->id, task->path,
			task->twin_id, volume_id(task->volume), NULL, NULL);
		recovery->counts.corrected++;
		break;
	case TWIN_REMOVED:
		recovery->counts.doubled++;
		break;
	}
	volume_release(&task->hold);
	task_free(task);
	free(job);
	recovery_next(recovery);
}

/* What is being moved, or read where it was, has two copies for a good reason; where one is not there nobody can tell. */
static bool recovery_do_twin(struct recovery *recovery, struct recovery_task *task)
{
	if (!task->twin || volume_is_moving(task->twin, task->path) ||
		volume_is_held(task->volume, task->path)) {
		task_free(task);
		return recovery_do_task(recovery);
	}
	volume_hold(task->twin, &task->hold, task->path);
	recovery_post(recovery, task, twin_run, twin_done);
	return true;
}

/* A file that was not there when its folder was read may have been made or moved there since. */
static void missing_run(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);

	job->error = recovery_has(job->task->volume, job->task->path) ? 0 : -ENOENT;
}

static void missing_done(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);
	struct recovery *recovery = job->recovery;

	if (job->error)
		recovery_forget(recovery, job->task->id);
	task_free(job->task);
	free(job);
	recovery_next(recovery);
}

static bool recovery_do_task(struct recovery *recovery)
{
	struct recovery_task *task = STAILQ_FIRST(&recovery->tasks);

	if (!task)
		return false;
	STAILQ_REMOVE_HEAD(&recovery->tasks, entry);
	if (task->is_twin)
		return recovery_do_twin(recovery, task);
	if (task->is_missing) {
		recovery_post(recovery, task, missing_run, missing_done);
		return true;
	}
	recovery_post(recovery, task, read_run, read_done);
	return true;
}

/* --- what was cut off --- */

static void recovery_on_interrupted(
	void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct recovery *recovery = arg;
	struct recovery_task *task;

	recovery->query = NULL;
	if (error || !n) {
		recovery->step = STEP_DAYS;
	} else {
		recovery->interrupted = rows[0].id;
		if (!volume_find(recovery->first, rows[0].volume)) {
			recovery_next(recovery);
			return;
		}
		task = xcalloc(1, sizeof(*task));
		task->volume = volume_find(recovery->first, rows[0].volume);
		task->id = rows[0].id;
		task->was_open = true;
		task->path = xstrdup(rows[0].path);
		STAILQ_INSERT_TAIL(&recovery->tasks, task, entry);
	}
	recovery_next(recovery);
}

/* --- one folder --- */

/* The rows of one path, which are `n` from here on; returns the one of this volume, or NULL. */
static const struct catalogue_segment *row_here(
	const struct recovery *recovery, const struct catalogue_segment *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].volume == volume_id(recovery->volume))
			return &rows[i];
	}
	return NULL;
}

static size_t rows_of_path(const struct catalogue_segment *rows, size_t n)
{
	size_t same = 1;

	while (same < n && strcmp(rows[same].path, rows[0].path) == 0)
		same++;
	return same;
}

/* A path: its file, if there is one here, and its rows, on whichever volume. */
static void recovery_compare(struct recovery *recovery, const struct recovery_entry *file,
	const struct catalogue_segment *rows, size_t n)
{
	const char *folder = recovery->folders.entries[recovery->folder].name;
	const struct catalogue_segment *row = row_here(recovery, rows, n);

	if (!n)
		recovery_add_task(recovery, 0, folder, file->name);
	else if (!row && file)
		recovery_add_twin(recovery, &rows[0]);
	else if (!row || row->state != SEGMENT_CLOSED)
		;
	else if (!file)
		recovery_add_missing(recovery, row);
	else if (file->bytes != row->bytes)
		recovery_add_task(recovery, row->id, folder, file->name);
}

/* Two sorted lists side by side. */
static void recovery_on_rows(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct recovery *recovery = arg;
	const struct recovery_list *files = &recovery->files;
	size_t file = 0, row = 0;

	recovery->query = NULL;
	while (!error && (file < files->n || row < n)) {
		int order = file == files->n ? 1
			    : row == n       ? -1
					     : strcmp(files->entries[file].name,
						       strrchr(rows[row].path, '/') + 1);
		size_t same = order < 0 ? 0 : rows_of_path(rows + row, n - row);

		recovery_compare(
			recovery, order > 0 ? NULL : &files->entries[file], rows + row, same);
		file += order <= 0;
		row += same;
	}
	recovery_list_fini(&recovery->files);
	recovery->folder++;
	recovery->step = STEP_FILES;
	recovery_next(recovery);
}

static void files_run(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);
	const struct recovery *recovery = job->recovery;

	job->error = recovery_list_files(recovery->volume,
		recovery->folders.entries[recovery->folder].name, &job->list, &job->halves);
}

static void files_done(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);
	struct recovery *recovery = job->recovery;
	const char *folder = recovery->folders.entries[recovery->folder].name;

	recovery->files = job->list;
	recovery->counts.doubled += job->halves;
	if (job->error) { /* what cannot be read is not gone */
		log_warn(&recovery->log, "%s: %s", folder, strerror(-job->error));
		recovery_list_fini(&recovery->files);
		recovery->counts.unusable++;
		recovery->folder++;
	} else {
		recovery->step = STEP_ROWS;
	}
	free(job);
	recovery_next(recovery);
}

/* --- which folders there are --- */

/* Those of the catalogue that are not on the disk come last. */
static void recovery_on_folders(void *arg, int error, const char *const *names, size_t n)
{
	struct recovery *recovery = arg;
	struct recovery_list *list = &recovery->folders;
	size_t on_disk = list->n, at = 0;

	recovery->query = NULL;
	if (n && !on_disk) { /* perhaps nothing is mounted there */
		log_error(&recovery->log,
			"%s holds no recordings, but the catalogue knows some: nothing is forgotten",
			volume_path(recovery->volume));
		n = 0;
	}
	for (size_t i = 0; !error && i < n; i++) {
		while (at < on_disk && strcmp(list->entries[at].name, names[i]) < 0)
			at++;
		if (at == on_disk || strcmp(list->entries[at].name, names[i]) != 0)
			recovery_list_add(list, xstrdup(names[i]), 0);
	}
	recovery->step = STEP_FILES;
	recovery_next(recovery);
}

static void days_run(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);

	job->error = recovery_list_days(job->recovery->volume, &job->list);
}

static void days_done(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);
	struct recovery *recovery = job->recovery;

	recovery->folders = job->list;
	recovery->step = STEP_FOLDERS;
	if (job->error) { /* nothing is forgotten that may only be out of sight */
		log_error(&recovery->log, "the recordings cannot be listed: %s",
			strerror(-job->error));
		recovery_list_fini(&recovery->folders);
		recovery->step = STEP_FILES;
	}
	free(job);
	recovery_next(recovery);
}

/* --- one after the other --- */

static struct volume *last_volume(const struct recovery *recovery)
{
	struct volume *volume = recovery->first;

	while (volume_next(volume))
		volume = volume_next(volume);
	return volume;
}

static void recovery_restart(struct recovery *recovery)
{
	recovery_list_fini(&recovery->folders);
	recovery->volume = last_volume(recovery);
	recovery->counts = (struct recovery_counts){ 0 };
	recovery->step = STEP_INTERRUPTED;
	recovery->interrupted = 0;
	recovery->folder = 0;
	recovery->stopped = recovery->again = false;
	reactor_timer_start(recovery->timer, 0);
}

static void recovery_finish(struct recovery *recovery)
{
	const struct recovery_counts *c = &recovery->counts;

	recovery->stopped = true;
	if (c->closed || c->adopted || c->corrected || c->forgotten || c->doubled || c->unusable)
		log_info(&recovery->log,
			"%u recordings closed that were cut off, %u found without a row, %u rows corrected,"
			" %u without a file forgotten, %u second copies removed, %u files left alone",
			c->closed, c->adopted, c->corrected, c->forgotten, c->doubled, c->unusable);
	if (recovery->again)
		recovery_restart(recovery);
	else
		recovery->done(recovery->arg, c);
}

/*
 * From the last volume to the first: what has moved, with a row that a power cut set back, is found where it is
 * before it is missed where it was.
 */
static void recovery_next_volume(struct recovery *recovery)
{
	struct volume *volume = recovery->first;

	if (recovery->volume == recovery->first) {
		recovery_finish(recovery);
		return;
	}
	while (volume_next(volume) != recovery->volume)
		volume = volume_next(volume);
	recovery->volume = volume;
	recovery_list_fini(&recovery->folders);
	recovery->folder = 0;
	recovery->step = STEP_DAYS;
	recovery_next(recovery);
}

static void recovery_next(struct recovery *recovery)
{
	struct catalogue *catalogue = recovery->catalogue;

	if (recovery->stopped || recovery_do_task(recovery))
		return;
	switch (recovery->step) {
	case STEP_INTERRUPTED:
		recovery->query = catalogue_interrupted(
			catalogue, recovery->interrupted, recovery_on_interrupted, recovery);
		break;
	case STEP_DAYS:
		recovery_post(recovery, NULL, days_run, days_done);
		return;
	case STEP_FOLDERS:
		recovery->query = catalogue_folders(
			catalogue, volume_id(recovery->volume), recovery_on_folders, recovery);
		break;
	case STEP_FILES:
		if (recovery->folder < recovery->folders.n)
			recovery_post(recovery, NULL, files_run, files_done);
		else
			recovery_next_volume(recovery);
		return;
	case STEP_ROWS:
		recovery->query = catalogue_folder_rows(catalogue,
			recovery->folders.entries[recovery->folder].name, recovery_on_rows,
			recovery);
		break;
	}
	if (!recovery->query) /* the catalogue is busy */
		reactor_timer_start(recovery->timer, AGAIN_US);
}

static void recovery_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	recovery_next(arg);
}

struct recovery *recovery_new(struct volume *volume, struct catalogue *catalogue,
	void (*done)(void *arg, const struct recovery_counts *counts), void *arg)
{
	struct recovery *recovery = xcalloc(1, sizeof(*recovery));

	recovery->first = volume;
	recovery->volume = last_volume(recovery);
	recovery->catalogue = catalogue;
	recovery->done = done;
	recovery->arg = arg;
	recovery->log = (struct log_name){ .kind = "recovery" };
	STAILQ_INIT(&recovery->tasks);
	recovery->timer = reactor_timer_new(recovery_on_timer, recovery);
	recovery->worker = worker_new("recovery", 1, 1 << 20);
	reactor_timer_start(recovery->timer, 0);
	return recovery;
}

void recovery_again(struct recovery *recovery)
{
	recovery->again = true;
	if (recovery->stopped)
		recovery_restart(recovery);
}

void recovery_free(struct recovery *recovery)
{
	struct recovery_task *task;

	if (!recovery)
		return;
	recovery->stopped = true;
	catalogue_cancel(recovery->query);
	worker_free(recovery->worker);
	while ((task = STAILQ_FIRST(&recovery->tasks))) {
		STAILQ_REMOVE_HEAD(&recovery->tasks, entry);
		task_free(task);
	}
	recovery_list_fini(&recovery->folders);
	recovery_list_fini(&recovery->files);
	reactor_timer_free(&recovery->timer);
	free(recovery);
}
