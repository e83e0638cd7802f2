/* Uploads on the reactor: who says that a file is whole, and the steps that each one takes. */
#include "storage/upload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/worker.h"
#include "storage/recovery.h"
#include "storage/upload_private.h"

enum {
	PATHS_MOST = 1024, /* that wait; when there are more the next look finds them */
	LOOK_US = 60 * 1000000,
	LOOK_SOON_US = 5 * 1000000, /* something is new: whether it stays as it is */
	LOOK_NOW_US = 200000,       /* a folder has come, and more of them may */
	EVENTS_BYTES = 1 << 14,
	NICE = 10
};

enum uploads_state {
	UPLOADS_OFF,
	UPLOADS_IDLE,
	UPLOADS_LOOKING,
	UPLOADS_CONVERTING,
	UPLOADS_MOVING, /* the recording to its place, by the volume */
	UPLOADS_REMOVING
};

struct upload_path {
	STAILQ_ENTRY(upload_path) entry;
	char *path; /* "uploads/porch/clip.mp4" */
};

struct uploads {
	struct volume *volume;
	struct catalogue *catalogue;
	struct log_name log;
	struct worker *worker;
	_Atomic bool stop; /* set by the reactor */
	int inotify;       /* -1: there is none, and looks must do */

	/* reactor */
	enum uploads_state state;
	bool started, freed;
	char **cameras;
	size_t n_cameras;
	struct upload_watch *watches; /* as of the last look */
	size_t n_watches;
	struct event *inotify_event;
	struct event *timer;  /* the next look, or the next try to move */
	int64_t look_us;      /* monotonic: when to look next */
	bool look_finds_more; /* than it could give */
	STAILQ_HEAD(, upload_path) paths;
	size_t n_paths;
	struct log_repeated failing, unreadable;
	struct reactor_dead dead;

	/* worker */
	struct upload_memory memory;
};

struct upload_job {
	struct worker_job job;
	struct uploads *uploads;
	/* a look */
	char **cameras;
	size_t n_cameras;
	struct upload_look *look;
	/* one upload */
	char *camera, *path;
	struct upload_conversion conversion;
	char *recording; /* where it is now */
	int error;       /* of removing the upload */
};

static void uploads_next(struct uploads *uploads);

static void uploads_enter(struct uploads *uploads, enum uploads_state state)
{
	static const char *const names[] = { "off", "idle", "looking", "converting", "moving",
		"removing" };

	log_debug(&uploads->log, "%s -> %s", names[uploads->state], names[state]);
	uploads->state = state;
}

/* --- jobs --- */

static char **copy_names(char *const *names, size_t n)
{
	char **copy = xcalloc(n ? n : 1, sizeof(*copy));

	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(names[i]);
	return copy;
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static void job_free(struct upload_job *job)
{
	free_names(job->cameras, job->n_cameras);
	if (job->look)
		upload_look_free(job->look);
	upload_conversion_fini(&job->conversion);
	free(job->camera);
	free(job->path);
	free(job->recording);
	free(job);
}

static void uploads_post(struct uploads *uploads, struct upload_job *job,
	void (*run)(struct worker_job *job), void (*done)(struct worker_job *job))
{
	job->uploads = uploads;
	job->job.run = run;
	job->job.done = done;
	if (worker_post(uploads->worker, &job->job) < 0)
		abort(); /* one at a time */
}

/* Whether nobody waits for the job any more. */
static bool job_is_late(struct upload_job *job)
{
	if (!job->uploads->freed)
		return false;
	job_free(job);
	return true;
}

/* --- the paths that wait --- */

static void uploads_add_path(struct uploads *uploads, const char *path)
{
	struct upload_path *added;

	if (uploads->n_paths == PATHS_MOST) {
		uploads->look_finds_more = true;
		return;
	}
	added = xcalloc(1, sizeof(*added));
	added->path = xstrdup(path);
	STAILQ_INSERT_TAIL(&uploads->paths, added, entry);
	metric_set(metric_get(METRIC_UPLOADS_WAITING), (double)++uploads->n_paths);
}

/* The first path that waits, which is the caller's; NULL when there is none. */
static char *uploads_take_path(struct uploads *uploads)
{
	struct upload_path *first = STAILQ_FIRST(&uploads->paths);
	char *path;

	if (!first)
		return NULL;
	STAILQ_REMOVE_HEAD(&uploads->paths, entry);
	metric_set(metric_get(METRIC_UPLOADS_WAITING), (double)--uploads->n_paths);
	path = first->path;
	free(first);
	return path;
}

static void uploads_drop_paths(struct uploads *uploads)
{
	char *path;

	while ((path = uploads_take_path(uploads)))
		free(path);
}

/* --- looking --- */

static void uploads_look_in(struct uploads *uploads, int64_t us)
{
	int64_t at_us = reactor_monotonic_us() + us;

	if (at_us < uploads->look_us)
		uploads->look_us = at_us;
	if (uploads->state == UPLOADS_IDLE)
		uploads_next(uploads);
}

static void look_run(struct worker_job *worker_job)
{
	struct upload_job *job = CONTAINER_OF(worker_job, struct upload_job, job);
	struct uploads *uploads = job->uploads;

	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread alone */
	job->look = xcalloc(1, sizeof(*job->look));
	upload_look(job->look, uploads->volume, job->cameras, job->n_cameras, uploads->inotify,
		&uploads->memory);
}

static void uploads_take_watches(struct uploads *uploads, struct upload_look *look)
{
	for (size_t i = 0; i < uploads->n_watches; i++)
		free(uploads->watches[i].folder);
	uploads->n_watches = look->n_watches;
	uploads->watches = xrealloc(uploads->watches,
		(look->n_watches ? look->n_watches : 1) * sizeof(*uploads->watches));
	memcpy(uploads->watches, look->watches, look->n_watches * sizeof(*uploads->watches));
	look->n_watches = 0;
}

static void look_done(struct worker_job *worker_job)
{
	struct upload_job *job = CONTAINER_OF(worker_job, struct upload_job, job);
	struct uploads *uploads = job->uploads;
	struct upload_look *look = job->look;

	if (job_is_late(job))
		return;
	log_debug(&uploads->log, "looked: %zu files, %zu new, %zu to be taken", look->files,
		look->unsettled, look->n);
	metric_set(metric_get(METRIC_UPLOADS_FILES), (double)look->files);
	uploads_take_watches(uploads, look);
	for (size_t i = 0; i < look->n; i++)
		uploads_add_path(uploads, look->paths[i]);
	uploads->look_finds_more = uploads->look_finds_more || look->more;
	if (look->unsettled)
		uploads_look_in(uploads, LOOK_SOON_US);
	job_free(job);
	uploads_enter(uploads, UPLOADS_IDLE);
	uploads_next(uploads);
}

static void uploads_look(struct uploads *uploads)
{
	struct upload_job *job = xcalloc(1, sizeof(*job));

	uploads->look_us = reactor_monotonic_us() + LOOK_US;
	uploads->look_finds_more = false;
	job->cameras = copy_names(uploads->cameras, uploads->n_cameras);
	job->n_cameras = uploads->n_cameras;
	uploads_enter(uploads, UPLOADS_LOOKING);
	uploads_post(uploads, job, look_run, look_done);
}

/* --- one upload --- */

/* One line for each upload, and its number. */
static void job_tell(const struct upload_job *job, const char *result, enum log_level level,
	const char *format, ...) PRINTF(4, 5);

static void job_tell(const struct upload_job *job, const char *result, enum log_level level,
	const char *format, ...)
{
	const struct log_name camera = { .kind = "camera", .name = job->camera };
	const struct log_name upload = { .parent = &camera,
		.kind = "upload",
		.name = strchr(job->path, '/') + 1 + strlen(job->camera) + 1 };
	char words[UPLOAD_WHY_BYTES + 256];
	va_list args;

	metric_add(metric_get(METRIC_UPLOADS, job->camera, result), 1);
	va_start(args, format);
	(void)vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	if (level == LOG_ERROR)
		log_write_repeated(&job->uploads->failing, level, &upload, "%s", words);
	else
		log_write(level, &upload, "%s", words);
}

/* What waits would fail as well: all is found again at the next look. */
static void uploads_on_failed(struct uploads *uploads)
{
	uploads_drop_paths(uploads);
	uploads->look_finds_more = false;
	uploads->look_us = reactor_monotonic_us() + LOOK_US;
}

static void uploads_settle(struct uploads *uploads, struct upload_job *job)
{
	job_free(job);
	uploads_enter(uploads, UPLOADS_IDLE);
	uploads_next(uploads);
}

static void remove_run(struct worker_job *worker_job)
{
	struct upload_job *job = CONTAINER_OF(worker_job, struct upload_job, job);
	struct uploads *uploads = job->uploads;

	job->error = upload_remove(uploads->volume, job->path, &job->conversion.identity);
	if (job->error && job->error != -ENOENT && job->error != -ESTALE)
		upload_memory_keep(&uploads->memory, job->path, &job->conversion.identity);
}

static void remove_done(struct worker_job *worker_job)
{
	struct upload_job *job = CONTAINER_OF(worker_job, struct upload_job, job);
	const struct upload_conversion *conversion = &job->conversion;
	const struct segment_scan *scan = &conversion->scan;

	if (job_is_late(job))
		return;
	if (conversion->end == UPLOAD_SAME)
		job_tell(job, "known", LOG_INFO, "removed: %s or one beside it is the same",
			conversion->target);
	else
		job_tell(job, "converted", LOG_INFO, "is now %s (%.1f s, %s, time from %s)",
			job->recording, (double)(scan->end_us - scan->start_us) / 1e6, scan->codecs,
			conversion->dated_by);
	if (job->error && job->error != -ENOENT)
		log_warn(&job->uploads->log, "%s stays beside its recording: %s", job->path,
			job->error == -ESTALE ? "it has changed" : strerror(-job->error));
	uploads_settle(job->uploads, job);
}

static void uploads_remove(struct uploads *uploads, struct upload_job *job)
{
	uploads_enter(uploads, UPLOADS_REMOVING);
	uploads_post(uploads, job, remove_run, remove_done);
}

static void uploads_fini(void *object)
{
	free(object);
}

static void uploads_on_moved(void *arg, int error, const char *path)
{
	struct upload_job *job = arg;
	struct uploads *uploads = job->uploads;
	const struct upload_conversion *conversion = &job->conversion;

	if (!error) {
		job->recording = xstrdup(path);
		recovery_add_row(uploads->catalogue, 0, volume_id(uploads->volume), path,
			&conversion->scan, conversion->bytes);
	}
	if (uploads->freed) { /* the next process finds that it is the same */
		job_free(job);
		reactor_free_later(&uploads->dead, uploads_fini, uploads);
	} else if (error) {
		job_tell(job, "failed", LOG_ERROR, "cannot become %s: %s", conversion->target,
			strerror(-error));
		uploads_on_failed(uploads);
		uploads_settle(uploads, job);
	} else {
		uploads_remove(uploads, job);
	}
}

/* The whole recording takes its place among the others. */
static void uploads_move(struct uploads *uploads, struct upload_job *job)
{
	uploads_enter(uploads, UPLOADS_MOVING);
	if (volume_move(uploads->volume, UPLOAD_PART, job->conversion.target, uploads_on_moved,
		    job) == 0)
		return;
	job_tell(job, "failed", LOG_ERROR, "cannot become %s: the disk is behind",
		job->conversion.target);
	uploads_on_failed(uploads);
	uploads_settle(uploads, job);
}

static void convert_run(struct worker_job *worker_job)
{
	struct upload_job *job = CONTAINER_OF(worker_job, struct upload_job, job);
	struct uploads *uploads = job->uploads;

	upload_convert(&job->conversion);
	if (job->conversion.end == UPLOAD_KEPT)
		upload_memory_keep(&uploads->memory, job->path, &job->conversion.identity);
}

static void convert_done(struct worker_job *worker_job)
{
	struct upload_job *job = CONTAINER_OF(worker_job, struct upload_job, job);
	struct upload_conversion *conversion = &job->conversion;
	struct uploads *uploads = job->uploads;

	if (job_is_late(job))
		return;
	switch (conversion->end) {
	case UPLOAD_MADE:
		uploads_move(uploads, job);
		return;
	case UPLOAD_SAME:
		uploads_remove(uploads, job);
		return;
	case UPLOAD_KEPT:
		job_tell(job, "kept", conversion->still ? LOG_DEBUG : LOG_INFO,
			"stays as a file: %s", conversion->why);
		break;
	case UPLOAD_FAILED:
		job_tell(job, "failed", LOG_ERROR, "%s; trying again later", conversion->why);
		uploads_on_failed(uploads);
		break;
	case UPLOAD_NOT_NOW:
		if (*conversion->why)
			log_write_repeated(&uploads->unreadable, LOG_WARN, &uploads->log, "%s %s",
				job->path, conversion->why);
		break;
	}
	uploads_settle(uploads, job);
}

/* "uploads/porch/clip.mp4": the camera, if it still is one. */
static const char *uploads_find_camera(const struct uploads *uploads, const char *path)
{
	const char *name = strchr(path, '/') + 1;

	for (size_t i = 0; i < uploads->n_cameras; i++) {
		size_t n = strlen(uploads->cameras[i]);

		if (strncmp(name, uploads->cameras[i], n) == 0 && name[n] == '/')
			return uploads->cameras[i];
	}
	return NULL;
}

static void uploads_convert(struct uploads *uploads, char *path, const char *camera)
{
	struct upload_job *job = xcalloc(1, sizeof(*job));

	job->path = path;
	job->camera = xstrdup(camera);
	job->conversion.volume = uploads->volume;
	job->conversion.memory = &uploads->memory;
	job->conversion.stop = &uploads->stop;
	job->conversion.camera = job->camera;
	job->conversion.path = job->path;
	uploads_enter(uploads, UPLOADS_CONVERTING);
	uploads_post(uploads, job, convert_run, convert_done);
}

/* --- what to do next --- */

static void uploads_next(struct uploads *uploads)
{
	int64_t wait_us = uploads->look_us - reactor_monotonic_us();
	const char *camera = NULL;
	char *path = NULL;

	if (wait_us <= 0) {
		uploads_look(uploads);
		return;
	}
	while (!camera && (path = uploads_take_path(uploads))) {
		camera = uploads_find_camera(uploads, path);
		if (!camera)
			free(path);
	}
	if (camera)
		uploads_convert(uploads, path, camera);
	else if (uploads->look_finds_more)
		uploads_look(uploads);
	else
		reactor_timer_start(uploads->timer, wait_us);
}

static void uploads_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct uploads *uploads = arg;

	(void)fd, (void)what;
	if (uploads->state == UPLOADS_IDLE)
		uploads_next(uploads);
}

/* --- inotify --- */

static const char *uploads_find_folder(const struct uploads *uploads, int watch)
{
	for (size_t i = 0; i < uploads->n_watches; i++) {
		if (uploads->watches[i].id == watch)
			return uploads->watches[i].folder;
	}
	return NULL;
}

static void uploads_on_change(struct uploads *uploads, const struct inotify_event *change)
{
	const char *folder = uploads_find_folder(uploads, change->wd);
	char *path;

	if (change->mask & (IN_Q_OVERFLOW | IN_ISDIR) || (change->len && !folder)) {
		uploads_look_in(uploads, LOOK_NOW_US);
		return;
	}
	if (!change->len || change->name[0] == '.' ||
		!(change->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)))
		return;
	path = xasprintf("%s/%s", folder, change->name);
	uploads_add_path(uploads, path);
	free(path);
}

static void uploads_on_inotify(evutil_socket_t fd, short what, void *arg)
{
	_Alignas(struct inotify_event) char bytes[EVENTS_BYTES];
	struct uploads *uploads = arg;
	ssize_t n = read(fd, bytes, sizeof(bytes));

	(void)what;
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *change =
			(const struct inotify_event *)(const void *)(bytes + at);

		uploads_on_change(uploads, change);
		at += (ssize_t)(sizeof(*change) + change->len);
	}
	if (uploads->state == UPLOADS_IDLE)
		uploads_next(uploads);
}

/* --- life --- */

struct uploads *uploads_new(struct volume *volume, struct catalogue *catalogue)
{
	struct uploads *uploads = xcalloc(1, sizeof(*uploads));

	uploads->volume = volume;
	uploads->catalogue = catalogue;
	uploads->log = (struct log_name){ .kind = "uploads" };
	STAILQ_INIT(&uploads->paths);
	uploads->timer = reactor_timer_new(uploads_on_timer, uploads);
	uploads->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (uploads->inotify < 0)
		log_warn(&uploads->log, "the kernel does not tell of them: %s", strerror(errno));
	uploads->worker = worker_new("upload", 1, 1);
	return uploads;
}

void uploads_apply(struct uploads *uploads, const struct config *config)
{
	const struct config_camera *camera;

	free_names(uploads->cameras, uploads->n_cameras);
	uploads->cameras = NULL;
	uploads->n_cameras = 0;
	TAILQ_FOREACH (camera, &config->cameras, entry) {
		if (!camera->enabled)
			continue;
		uploads->cameras = xrealloc(
			uploads->cameras, (uploads->n_cameras + 1) * sizeof(*uploads->cameras));
		uploads->cameras[uploads->n_cameras++] = xstrdup(camera->name);
	}
	uploads_look_in(uploads, 0);
}

static void start_run(struct worker_job *worker_job)
{
	struct upload_job *job = CONTAINER_OF(worker_job, struct upload_job, job);

	upload_remove_part(job->uploads->volume);
}

static void start_done(struct worker_job *worker_job)
{
	struct upload_job *job = CONTAINER_OF(worker_job, struct upload_job, job);

	if (!job_is_late(job))
		uploads_settle(job->uploads, job);
}

void uploads_start(struct uploads *uploads)
{
	if (uploads->started)
		return;
	uploads->started = true;
	if (uploads->inotify >= 0) {
		uploads->inotify_event = event_new(reactor_base(), uploads->inotify,
			EV_READ | EV_PERSIST, uploads_on_inotify, uploads);
		event_add(uploads->inotify_event, NULL);
	}
	uploads_post(uploads, xcalloc(1, sizeof(struct upload_job)), start_run, start_done);
}

void uploads_free(struct uploads *uploads)
{
	bool moving;

	if (!uploads)
		return;
	uploads->freed = true;
	moving = uploads->state == UPLOADS_MOVING;
	atomic_store(&uploads->stop, true);
	worker_free(uploads->worker);
	if (uploads->inotify_event)
		event_free(uploads->inotify_event);
	if (uploads->inotify >= 0)
		close(uploads->inotify);
	reactor_timer_free(&uploads->timer);
	uploads_drop_paths(uploads);
	free_names(uploads->cameras, uploads->n_cameras);
	for (size_t i = 0; i < uploads->n_watches; i++)
		free(uploads->watches[i].folder);
	free(uploads->watches);
	upload_memory_fini(&uploads->memory);
	if (!moving)
		reactor_free_later(&uploads->dead, uploads_fini, uploads);
}
