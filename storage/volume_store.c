/*
 * Whether the store is there. A folder where nothing is mounted looks like an empty one, and writing into it
 * would fill another disk: the store is known by a marker file, and /etc/fstab says what must be mounted.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/auth.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "storage/volume_private.h"

#define MARKER VOLUME_MARKER

enum {
	WATCH_US = 2000000,
	MOUNT_BYTES = 4096
};

void volume_set_state(struct volume *volume, enum volume_state state)
{
	static const char *const names[VOLUME_STATES] = {
		[VOLUME_READY] = "ready",
		[VOLUME_FAILING] = "failing",
		[VOLUME_GONE] = "gone",
	};

	if (volume->state == state)
		return;
	volume->state = state;
	for (enum volume_state i = 0; i < VOLUME_STATES; i++)
		metric_set(metric_get(METRIC_VOLUME_STATE, volume->path, names[i]), i == state);
	if (state == VOLUME_GONE)
		metric_set(metric_get(METRIC_VOLUME_FREE, volume->path), 0);
}

bool volume_is_misconfigured(int error)
{
	switch (-error) {
	case EACCES:
	case EINVAL:
	case ELOOP:
	case ENAMETOOLONG:
	case ENOENT:
	case ENOTDIR:
	case EPERM:
		return true;
	}
	return false;
}

/* --- what must be mounted --- */

static bool is_at_or_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || !path[n]);
}

/* A path without symbolic links, as far as it exists. The caller frees it. */
static char *resolve(const char *path)
{
	char *copy = xstrdup(path), *found = NULL, *ret, *slash;
	size_t n = strlen(path);

	while (!(found = realpath(copy, NULL)) && (slash = strrchr(copy, '/')) && slash != copy) {
		n = (size_t)(slash - copy);
		*slash = '\0';
	}
	ret = found ? xasprintf("%s%s", strcmp(found, "/") ? found : "", path + n) : xstrdup(path);
	free(found);
	free(copy);
	return ret;
}

static bool is_mounted(const char *folder)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	char line[MOUNT_BYTES];
	struct mntent entry;
	bool found = !mounts; /* nobody can tell: it is not in the way */

	while (!found && getmntent_r(mounts, &entry, line, sizeof(line)))
		found = strcmp(entry.mnt_dir, folder) == 0;
	if (mounts)
		endmntent(mounts);
	return found;
}

/* The folder that /etc/fstab has for this path where nothing is mounted now, or NULL. The caller frees it. */
static char *find_unmounted(const char *path)
{
	FILE *table = setmntent("/etc/fstab", "r");
	char *resolved = resolve(path), *found = NULL;
	char line[MOUNT_BYTES];
	struct mntent entry;

	while (table && !found && getmntent_r(table, &entry, line, sizeof(line))) {
		char *folder = resolve(entry.mnt_dir);

		if (folder[0] == '/' && folder[1] && is_at_or_below(resolved, folder) &&
			!hasmntopt(&entry, "noauto") && !is_mounted(folder))
			found = folder;
		else
			free(folder);
	}
	if (table)
		endmntent(table);
	free(resolved);
	return found;
}

/* --- the marker --- */

int volume_read_marker(int folder, char ret[2 * VOLUME_ID_BYTES + 1])
{
	char text[2 * VOLUME_ID_BYTES + 1] = "";
	int fd = openat(folder, MARKER, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;
	int error;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	error = n < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error;
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return -ENOENT;
	}
	memcpy(ret, text, sizeof(text));
	return 0;
}

/* As long as it fails, nobody can tell the store from an empty folder; it is tried again. */
static bool marker_write(int folder, const char *id)
{
	char text[2 * VOLUME_ID_BYTES + 2];
	int n = snprintf(text, sizeof(text), "%s\n", id);
	int fd = openat(folder, MARKER, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		VOLUME_FILE_MODE);
	bool written;

	if (fd < 0)
		return false;
	written = write(fd, text, (size_t)n) == n && fsync(fd) == 0;
	close(fd);
	return written;
}

/* At the start whatever marker there is; later on it has to be that one. */
static int check_marker(struct volume *volume, int folder, char **why)
{
	char id[2 * VOLUME_ID_BYTES + 1];
	int error = volume_read_marker(folder, id);

	if (*volume->id) {
		if (!error && strcmp(id, volume->id) == 0)
			return 0;
		*why = error == -ENOENT ? xstrdup("its marker file " MARKER " is missing")
		       : error < 0      ? xasprintf(MARKER ": %s", strerror(-error))
				   : xstrdup("its marker file " MARKER " is that of another store");
		return -ENODEV;
	}
	if (error)
		auth_random_hex(id, VOLUME_ID_BYTES);
	memcpy(volume->id, id, sizeof(id));
	volume->marked = error != -ENOENT || marker_write(folder, id);
	return 0;
}

/* --- coming and going --- */

/* Makes a folder and those above it. */
static int make_folders(const char *path)
{
	char copy[PATH_MAX];

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
		return -ENAMETOOLONG;
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, VOLUME_FOLDER_MODE) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(copy, VOLUME_FOLDER_MODE) < 0 && errno != EEXIST ? -errno : 0;
}

/* What is there may be full, read-only, or fail for now: it is the store all the same. */
static int check_folder(struct volume *volume, int folder, char **why)
{
	int error;

	if (flock(folder, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		*why = xstrdup("another nvrd uses it");
		return -EBUSY;
	}
	if (faccessat(folder, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0 &&
		volume_is_misconfigured(-errno))
		return -errno;
	error = check_marker(volume, folder, why);
	if (!error && mkdirat(folder, "recordings", VOLUME_FOLDER_MODE) < 0 && errno != EEXIST &&
		volume_is_misconfigured(-errno))
		error = -errno;
	return error;
}

/* What does not happen without it. */
static const char *volume_loss(const struct volume *volume)
{
	return volume->number ? "nothing moves there" : "nothing is recorded";
}

/* What opens its files goes over to this folder; those of another instance get no more. */
static void volume_take(struct volume *volume, int folder)
{
	(void)dup3(folder, volume->folder, O_CLOEXEC);
	volume->instance++;
	volume->there = true;
	volume_set_state(volume, VOLUME_READY);
	if (faccessat(folder, ".", W_OK, AT_EACCESS) == 0)
		return;
	volume_set_state(volume, VOLUME_FAILING);
	log_error(&volume->log, "cannot be written: %s; %s", strerror(errno), volume_loss(volume));
}

int volume_enter(struct volume *volume, char **why)
{
	char *unmounted = find_unmounted(volume->path);
	int error = 0, folder = -1;

	*why = NULL;
	if (unmounted) {
		*why = xasprintf("%s is listed in /etc/fstab and not mounted", unmounted);
		free(unmounted);
		return -ENODEV;
	}
	if (!*volume->id) /* what is there later is found there, not made */
		error = make_folders(volume->path);
	if (!error) {
		folder = open(volume->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		error = folder < 0 ? -errno : check_folder(volume, folder, why);
	}
	if (!error)
		volume_take(volume, folder);
	else if (!*why)
		*why = xasprintf("cannot be written: %s", strerror(-error));
	if (folder >= 0)
		close(folder);
	return error;
}

static void volume_leave(struct volume *volume)
{
	volume->there = false; /* before its files cannot be found any more */
	(void)dup3(volume->nowhere, volume->folder, O_CLOEXEC);
	volume->instance++;
	volume_set_state(volume, VOLUME_GONE);
}

/* --- looking, now and then --- */

struct watch_job {
	struct worker_job job;
	struct volume *volume;
	bool left, came;
};

/* Whether the path leads where it did. */
static bool is_in_place(const struct volume *volume)
{
	struct stat now, ours;

	if (stat(volume->path, &now) < 0)
		return errno == ENOMEM;
	return fstat(volume->folder, &ours) == 0 && now.st_dev == ours.st_dev &&
	       now.st_ino == ours.st_ino;
}

static void watch_run(struct worker_job *worker_job)
{
	struct watch_job *job = CONTAINER_OF(worker_job, struct watch_job, job);
	struct volume *volume = job->volume;
	char *why = NULL;

	if (volume->there && is_in_place(volume)) {
		volume->marked = volume->marked || marker_write(volume->folder, volume->id);
		return;
	}
	job->left = volume->there;
	job->came = volume_enter(volume, &why) == 0;
	if (job->left && !job->came)
		volume_leave(volume);
	if (job->came)
		log_warn(&volume->log, "the store is there: %s",
			volume->number ? "moving goes on" : "recording goes on");
	else if (job->left)
		log_error(&volume->log, "the store is gone: %s; %s until it is back", why,
			volume_loss(volume));
	else
		log_write_repeated(
			&volume->again, LOG_ERROR, &volume->log, "the store is not there: %s", why);
	free(why);
}

static void watch_done(struct worker_job *worker_job)
{
	struct watch_job *job = CONTAINER_OF(worker_job, struct watch_job, job);
	struct volume *volume = job->volume;

	if (job->left && volume->on_change)
		volume->on_change(volume->on_change_arg, false);
	if (job->came && volume->on_change)
		volume->on_change(volume->on_change_arg, true);
	if (volume->on_change)
		reactor_timer_start(volume->watch_timer, WATCH_US);
	free(job);
}

static void volume_on_watch_timer(evutil_socket_t fd, short what, void *arg)
{
	struct volume *volume = arg;
	struct watch_job *job = xcalloc(1, sizeof(*job));

	(void)fd, (void)what;
	job->job.run = watch_run;
	job->job.done = watch_done;
	job->volume = volume;
	if (worker_post(volume->writer, &job->job) == 0)
		return;
	free(job);
	reactor_timer_start(volume->watch_timer, WATCH_US);
}

bool volume_is_there(const struct volume *volume)
{
	return volume->there;
}

void volume_watch(struct volume *volume, volume_change_fn *on_change, void *arg)
{
	volume->on_change = on_change;
	volume->on_change_arg = arg;
	volume->watch_timer = reactor_timer_new(volume_on_watch_timer, volume);
	reactor_timer_start(volume->watch_timer, WATCH_US);
}
