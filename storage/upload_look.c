/* The folders of uploads: what is in them, what has changed, and whether somebody writes it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/upload_private.h"

enum {
	MEMORY_MOST = 1 << 20, /* files; those beyond are taken only when we see them closed */
	MEMORY_FIRST = 64,
	DEPTH_MOST = 8,
	QUIET_US = 4000000, /* a file that may be written unseen has not changed for so long */
	WATCHED = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR
};

/* One that was cut off, and may be continued: nobody has done so for so long. */
#define CUT_QUIET_US (INT64_C(3600) * 1000000)

/* --- files --- */

struct upload_identity upload_identity_of(const struct stat *st)
{
	return (struct upload_identity){ st->st_dev, st->st_ino, st->st_size, st->st_mtim,
		st->st_ctim };
}

static bool is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool upload_identity_equal(const struct upload_identity *a, const struct upload_identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
	       is_same_time(a->modified, b->modified) && is_same_time(a->changed, b->changed);
}

/*
 * Whether somebody has the file open for writing: then a lease on reading is refused. It is given back at
 * once; who opens the file in between breaks it by a signal, which shall be one that harms nobody.
 */
static bool is_written(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) < 0)
		return false;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return errno == EAGAIN;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* The time of the last change is the file system's: what it has in the future was changed by another clock. */
static bool is_quiet(const struct stat *st, int64_t now_us)
{
	int64_t age_us =
		now_us - (st->st_ctim.tv_sec * INT64_C(1000000) + st->st_ctim.tv_nsec / 1000);

	return age_us < 0 || age_us >= (st->st_mode & VOLUME_CUT_MODE ? CUT_QUIET_US : QUIET_US);
}

/* Who was cut off may go on where that was. */
static bool is_awaited(const struct stat *st)
{
	return st->st_mode & VOLUME_CUT_MODE && !is_quiet(st, reactor_now_us());
}

int upload_open(const struct volume *volume, const char *path, struct stat *st)
{
	int fd =
		volume_open_beneath(volume, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY, 0);
	int error = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		error = -errno;
	else if (!S_ISREG(st->st_mode))
		error = -EINVAL;
	else if (is_awaited(st) || is_written(fd))
		error = -EAGAIN;
	if (!error)
		return fd;
	close(fd);
	return error;
}

int upload_remove(
	const struct volume *volume, const char *path, const struct upload_identity *identity)
{
	struct upload_identity now;
	const char *name;
	int folder = volume_open_folder_of(volume, path, &name);
	struct stat st;
	int error = 0;

	if (folder < 0)
		return folder;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		error = -errno;
	} else {
		now = upload_identity_of(&st);
		error = upload_identity_equal(&now, identity) ? 0 : -ESTALE;
	}
	if (!error && unlinkat(folder, name, 0) < 0)
		error = -errno;
	close(folder);
	return error;
}

/* --- memory --- */

/* FNV-1a. The lowest bit says that the file stays one. */
static uint64_t key_add(uint64_t key, const void *p, size_t n)
{
	const uint8_t *bytes = p;

	for (size_t i = 0; i < n; i++)
		key = (key ^ bytes[i]) * UINT64_C(0x100000001b3);
	return key;
}

static uint64_t key_of(const char *path, const struct upload_identity *identity)
{
	uint64_t key = key_add(UINT64_C(0xcbf29ce484222325), path, strlen(path));

	key = key_add(key, &identity->device, sizeof(identity->device));
	key = key_add(key, &identity->inode, sizeof(identity->inode));
	key = key_add(key, &identity->bytes, sizeof(identity->bytes));
	key = key_add(key, &identity->modified, sizeof(identity->modified));
	key = key_add(key, &identity->changed, sizeof(identity->changed));
	return key & ~UINT64_C(1);
}

static void memory_add(struct upload_memory *memory, uint64_t key)
{
	if (memory->n == MEMORY_MOST)
		return;
	if (memory->n == memory->size) {
		memory->size = memory->size ? memory->size * 2 : MEMORY_FIRST;
		memory->keys = xrealloc(memory->keys, memory->size * sizeof(*memory->keys));
	}
	memory->keys[memory->n++] = key;
}

void upload_memory_fini(struct upload_memory *memory)
{
	free(memory->keys);
	*memory = (struct upload_memory){ 0 };
}

void upload_memory_keep(
	struct upload_memory *memory, const char *path, const struct upload_identity *identity)
{
	memory_add(memory, key_of(path, identity) | 1);
}

bool upload_memory_has(const struct upload_memory *memory, const char *path,
	const struct upload_identity *identity)
{
	uint64_t key = key_of(path, identity) | 1;

	for (size_t i = 0; i < memory->n; i++) {
		if (memory->keys[i] == key)
			return true;
	}
	return false;
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool memory_has(const struct upload_memory *sorted, uint64_t key)
{
	return sorted->n && bsearch(&key, sorted->keys, sorted->n, sizeof(key), compare_keys);
}

/* --- a look --- */

struct walk {
	struct upload_look *look;
	const struct volume *volume;
	int inotify;
	int64_t now_us;
	const struct upload_memory *before;
	struct upload_memory now;
};

static void walk_file(struct walk *walk, const char *path, const struct stat *st)
{
	struct upload_identity identity = upload_identity_of(st);
	struct upload_look *look = walk->look;
	uint64_t key = key_of(path, &identity);

	look->files++;
	if (is_awaited(st))
		return;
	if (memory_has(walk->before, key | 1)) {
		memory_add(&walk->now, key | 1);
		return;
	}
	memory_add(&walk->now, key);
	if (!memory_has(walk->before, key) || !is_quiet(st, walk->now_us))
		look->unsettled++;
	else if (look->n < UPLOAD_PATHS)
		look->paths[look->n++] = xstrdup(path);
	else
		look->more = true;
}

/* The folder itself, whatever its name leads to by now. */
static void walk_watch(struct walk *walk, int fd, const char *folder)
{
	struct upload_look *look = walk->look;
	char link[32];
	int id;

	if (walk->inotify < 0 || look->n_watches == UPLOAD_WATCHES)
		return;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	id = inotify_add_watch(walk->inotify, link, WATCHED);
	if (id >= 0)
		look->watches[look->n_watches++] = (struct upload_watch){ id, xstrdup(folder) };
}

static void walk_folder(struct walk *walk, const char *folder, unsigned depth);

/* Hidden files are somebody's unfinished business; links and devices nobody's uploads. */
static void walk_entry(
	struct walk *walk, int fd, const char *folder, const char *name, unsigned depth)
{
	struct stat st;
	char *path;

	if (name[0] == '.' || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	path = xasprintf("%s/%s", folder, name);
	if (S_ISREG(st.st_mode) && st.st_size > 0)
		walk_file(walk, path, &st);
	else if (S_ISDIR(st.st_mode) && depth < DEPTH_MOST)
		walk_folder(walk, path, depth + 1);
	free(path);
}

// NOLINTNEXTLINE(misc-no-recursion): DEPTH_MOST
static void walk_folder(struct walk *walk, const char *folder, unsigned depth)
{
	int fd = volume_open_beneath(walk->volume, folder, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	walk_watch(walk, fd, folder);  /* first, so that nothing comes unseen after the walk */
	while ((entry = readdir(dir))) // NOLINT(concurrency-mt-unsafe): our own DIR
		walk_entry(walk, fd, folder, entry->d_name, depth);
	closedir(dir);
}

void upload_look(struct upload_look *ret, const struct volume *volume, char *const *cameras,
	size_t n, int inotify, struct upload_memory *memory)
{
	struct walk walk = { ret, volume, inotify, reactor_now_us(), memory, { 0 } };

	if (memory->n)
		qsort(memory->keys, memory->n, sizeof(*memory->keys), compare_keys);
	for (size_t i = 0; i < n; i++) {
		char *folder = xasprintf("uploads/%s", cameras[i]);
		char *inside = xasprintf("%s/.", folder);

		if (volume_make_folders(volume, inside) < 0)
			volume_count_error("open");
		walk_folder(&walk, folder, 0);
		free(inside);
		free(folder);
	}
	upload_memory_fini(memory);
	*memory = walk.now;
}

void upload_look_free(struct upload_look *look)
{
	for (size_t i = 0; i < look->n; i++)
		free(look->paths[i]);
	for (size_t i = 0; i < look->n_watches; i++)
		free(look->watches[i].folder);
	free(look);
}
