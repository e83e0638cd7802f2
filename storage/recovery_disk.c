/* The folders and files of recordings, as they are on the disk. */
#include "storage/recovery_disk.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"

static const char root[] = "recordings";

void recovery_list_fini(struct recovery_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->entries[i].name);
	free(list->entries);
	*list = (struct recovery_list){ 0 };
}

void recovery_list_add(struct recovery_list *list, char *name, uint64_t bytes)
{
	if ((list->n & (list->n - 1)) == 0) /* full at each power of two */
		list->entries = xrealloc(
			list->entries, (list->n ? 2 * list->n : 1) * sizeof(*list->entries));
	list->entries[list->n++] = (struct recovery_entry){ name, bytes };
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(
		((const struct recovery_entry *)a)->name, ((const struct recovery_entry *)b)->name);
}

static void list_sort(struct recovery_list *list)
{
	if (list->n)
		qsort(list->entries, list->n, sizeof(*list->entries), compare_names);
}

/* Whether a name has this form: 'd' is a digit, 's' a sign, the rest is itself. */
static const char *match(const char *name, const char *form)
{
	for (; *form; form++, name++) {
		if (*form == 'd'       ? !isdigit((unsigned char)*name)
			: *form == 's' ? *name != '+' && *name != '-'
				       : *name != *form)
			return NULL;
	}
	return name;
}

static bool is_camera(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return n > 0 && n <= 63 && !name[n];
}

static bool is_day(const char *name)
{
	const char *end = match(name, "dddd-dd-dd");

	return end && !*end;
}

/* "14-30-00+0100.mp4", "14-30-00+0100_2.mp4"; "timelapse.mp4" likewise */
static bool is_recording(const char *name)
{
	const char *end = match(name, "dd-dd-ddsdddd");

	if (!end && strncmp(name, CATALOGUE_TIMELAPSE, strlen(CATALOGUE_TIMELAPSE)) == 0)
		end = name + strlen(CATALOGUE_TIMELAPSE);

	if (end && *end == '_')
		end += 1 + strspn(end + 1, "0123456789");
	return end && strcmp(end, ".mp4") == 0;
}

/* What a move leaves when it is interrupted: the name of a recording with VOLUME_PART behind it. */
static bool is_part(const char *name)
{
	const char *end = strstr(name, VOLUME_PART);
	char *whole;
	bool is;

	if (!end || strcmp(end, VOLUME_PART) != 0)
		return false;
	whole = xasprintf("%.*s", (int)(end - name), name);
	is = is_recording(whole);
	free(whole);
	return is;
}

/* Calls for each entry of a folder with that form of name. Returns 0 or -errno. */
static int each_entry(const struct volume *volume, const char *folder,
	bool (*is_wanted)(const char *name),
	void (*each)(const struct volume *volume, const char *folder, int fd, const char *name,
		struct recovery_list *list),
	struct recovery_list *list)
{
	int fd = volume_open_beneath(volume, folder, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -errno;
	}
	for (errno = 0; (entry = readdir(dir));
		errno = 0) { // NOLINT(concurrency-mt-unsafe): our own DIR
		if (is_wanted(entry->d_name))
			each(volume, folder, fd, entry->d_name, list);
	}
	fd = -errno;
	closedir(dir);
	return fd;
}

static void add_day(const struct volume *volume, const char *folder, int fd, const char *name,
	struct recovery_list *list)
{
	(void)volume, (void)fd;
	recovery_list_add(list, xasprintf("%s/%s", folder, name), 0);
}

static void add_days_of_camera(const struct volume *volume, const char *folder, int fd,
	const char *name, struct recovery_list *list)
{
	char *path = xasprintf("%s/%s", folder, name);

	(void)fd;
	(void)each_entry(volume, path, is_day, add_day, list); /* no folder: none of ours */
	free(path);
}

int recovery_list_days(const struct volume *volume, struct recovery_list *ret)
{
	int error;

	*ret = (struct recovery_list){ 0 };
	error = each_entry(volume, root, is_camera, add_days_of_camera, ret);
	list_sort(ret);
	return error;
}

static void add_file(const struct volume *volume, const char *folder, int fd, const char *name,
	struct recovery_list *list)
{
	struct stat st;

	(void)volume, (void)folder;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
		recovery_list_add(list, xstrdup(name), (uint64_t)st.st_size);
}

int recovery_remove(const struct volume *volume, const char *path)
{
	char *folder = xasprintf("%.*s", (int)(strrchr(path, '/') - path), path);
	int fd = volume_open_beneath(volume, folder, O_RDONLY | O_DIRECTORY, 0);
	int error = fd < 0 ? fd : unlinkat(fd, strrchr(path, '/') + 1, 0) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	free(folder);
	return error;
}

bool recovery_has(const struct volume *volume, const char *path)
{
	int fd = volume_open_beneath(volume, path, O_RDONLY | O_NONBLOCK, 0);

	if (fd >= 0)
		close(fd);
	return fd != -ENOENT;
}

int recovery_list_files(const struct volume *volume, const char *folder, struct recovery_list *ret,
	unsigned *halves)
{
	struct recovery_list parts = { 0 };
	int error;

	*ret = (struct recovery_list){ 0 };
	*halves = 0;
	error = each_entry(volume, folder, is_recording, add_file, ret);
	list_sort(ret);
	if (!error)
		(void)!each_entry(volume, folder, is_part, add_file, &parts);
	for (size_t i = 0; i < parts.n; i++) {
		char *path = xasprintf("%s/%s", folder, parts.entries[i].name);

		*halves += recovery_remove(volume, path) == 0;
		free(path);
	}
	recovery_list_fini(&parts);
	return error == -ENOENT || error == -ENOTDIR ? 0 : error;
}

/* Closes a file that was cut off, where it can be written. */
static void read_close(
	const struct volume *volume, const char *path, const struct log_name *log, uint64_t *bytes)
{
	int fd = volume_open_beneath(volume, path, O_RDWR, 0);
	uint64_t closed_bytes = 0;
	int error = fd < 0 ? fd : segment_close(fd, &closed_bytes);

	if (fd >= 0)
		close(fd);
	if (closed_bytes)
		*bytes = closed_bytes;
	if (!error)
		return;
	log_warn(log, "%s: stays in fragments, closing it failed: %s", path, strerror(-error));
	volume_count_error("close");
}

int recovery_read(struct volume *volume, const char *path, const struct log_name *log,
	struct segment_scan *ret, uint64_t *bytes, bool *closed)
{
	int fd, error;
	struct stat st;

	*closed = false;
	if (volume_is_writing(volume, path))
		return -EBUSY;
	fd = volume_open_beneath(volume, path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	error = segment_scan(fd, ret);
	if (!error && fstat(fd, &st) == 0)
		*bytes = ret->closed ? (uint64_t)st.st_size : ret->bytes;
	close(fd);
	if (error || ret->closed)
		return error;
	*closed = true;
	read_close(volume, path, log, bytes);
	return 0;
}
