/* The catalogue made to agree with the disk: first what was cut off, then folder by folder. */
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
	struct volume *volume;
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
	STAILQ_INSERT_TAIL(&recovery->tasks, task, entry);
}

/* --- one file --- */

static void read_run(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);

	job->error = recovery_read(job->recovery->volume, job->task->path, &job->recovery->log,
		&job->scan, &job->bytes, &job->closed);
}

/* "recordings/porch/2026-11-20/14-30-00+0100.mp4": the camera */
static char *camera_of(const char *path)
{
	const char *begin = strchr(path, '/') + 1;

	return xasprintf("%.*s", (int)strcspn(begin, "/"), begin);
}

void recovery_add_row(struct catalogue *catalogue, int64_t id, const char *path,
	const struct segment_scan *scan, uint64_t bytes)
{
	struct catalogue_segment row = {
		.id = id,
		.camera = camera_of(path),
		.stream = xstrdup(scan->timelapse ? CATALOGUE_TIMELAPSE : "main"),
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

	recovery_add_row(recovery->catalogue, task->id, task->path, &job->scan, job->bytes);
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

static bool recovery_do_task(struct recovery *recovery)
{
	struct recovery_task *task = STAILQ_FIRST(&recovery->tasks);

	if (!task)
		return false;
	STAILQ_REMOVE_HEAD(&recovery->tasks, entry);
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
		task = xcalloc(1, sizeof(*task));
		task->id = rows[0].id;
		task->was_open = true;
		task->path = xstrdup(rows[0].path);
		STAILQ_INSERT_TAIL(&recovery->tasks, task, entry);
	}
	recovery_next(recovery);
}

/* --- one folder --- */

/* Two sorted lists side by side: a row's file, a row without a file, a file without a row. */
static void recovery_on_rows(void *arg, int error, const struct catalogue_segment *rows, size_t n)
{
	struct recovery *recovery = arg;
	const struct recovery_list *files = &recovery->files;
	const char *folder = recovery->folders.entries[recovery->folder].name;
	size_t file = 0, row = 0;

	recovery->query = NULL;
	while (!error && (file < files->n || row < n)) {
		const char *name = row < n ? strrchr(rows[row].path, '/') + 1 : NULL;
		int order = file == files->n ? 1
			    : row == n       ? -1
					     : strcmp(files->entries[file].name, name);

		if (order < 0) {
			recovery_add_task(recovery, 0, folder, files->entries[file].name);
		} else if (rows[row].state == SEGMENT_CLOSED && order > 0) {
			recovery_forget(recovery, rows[row].id);
		} else if (rows[row].state == SEGMENT_CLOSED &&
			   files->entries[file].bytes != rows[row].bytes) {
			recovery_add_task(recovery, rows[row].id, folder, name);
		}
		file += order <= 0;
		row += order >= 0;
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

	job->error = recovery_list_files(
		recovery->volume, recovery->folders.entries[recovery->folder].name, &job->list);
}

static void files_done(struct worker_job *worker_job)
{
	struct recovery_job *job = CONTAINER_OF(worker_job, struct recovery_job, job);
	struct recovery *recovery = job->recovery;
	const char *folder = recovery->folders.entries[recovery->folder].name;

	recovery->files = job->list;
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
			"there are no recordings, but the catalogue knows some: nothing is forgotten");
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

static void recovery_restart(struct recovery *recovery)
{
	recovery_list_fini(&recovery->folders);
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
	if (c->closed || c->adopted || c->corrected || c->forgotten || c->unusable)
		log_info(&recovery->log,
			"%u recordings closed that were cut off, %u found without a row, %u rows corrected,"
			" %u without a file forgotten, %u files left alone",
			c->closed, c->adopted, c->corrected, c->forgotten, c->unusable);
	if (recovery->again)
		recovery_restart(recovery);
	else
		recovery->done(recovery->arg, c);
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
		recovery->query = catalogue_folders(catalogue, recovery_on_folders, recovery);
		break;
	case STEP_FILES:
		if (recovery->folder < recovery->folders.n)
			recovery_post(recovery, NULL, files_run, files_done);
		else
			recovery_finish(recovery);
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

	recovery->volume = volume;
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
