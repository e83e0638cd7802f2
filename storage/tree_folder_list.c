/*
 * Listing a plain folder in pages: its names are read and sorted once, not for each page. What is kept of them belongs to the
 * thread, is of one listing at a time, and has a limit; whatever does not fit is read again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "storage/tree_folder_private.h"
#include "storage/tree_name.h"

enum {
	NAMES_MOST = 16384 /* are kept, of at most TREE_NAME_BYTES: the first ones, in order */
};

struct tree_folder_names {
	char *path;           /* of the folder */
	struct timespec when; /* it was last changed, before it was read */
	char **p;             /* sorted; there is room for twice NAMES_MOST */
	size_t n;
	bool cut; /* there are more behind the last one */
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts, and leaves the first. */
static void names_cut(struct tree_folder_names *names)
{
	qsort(names->p, names->n, sizeof(*names->p), compare_names);
	names->cut = names->cut || names->n > NAMES_MOST;
	while (names->n > NAMES_MOST)
		free(names->p[--names->n]);
}

static void names_add(struct tree_folder_names *names, const char *name)
{
	if (names->n == (size_t)2 * NAMES_MOST)
		names_cut(names);
	names->p[names->n++] = xstrdup(name);
}

void tree_folder_list_forget(struct tree_folder *folder)
{
	struct tree_folder_names *names = folder->names;

	folder->names = NULL;
	if (!names)
		return;
	for (size_t i = 0; i < names->n; i++)
		free(names->p[i]);
	free(names->p);
	free(names->path);
	free(names);
}

static bool is_listed(const struct dirent *entry, const char *after)
{
	const char *name = entry->d_name;
	bool may_exist =
		entry->d_type == DT_REG || entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;

	return may_exist && (!after || strcmp(name, after) > 0) &&
	       tree_name_is_fine(name, strlen(name));
}

/* The place of the first name behind `after`. */
static size_t names_find(const struct tree_folder_names *names, const char *after)
{
	size_t low = 0, high = after ? names->n : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(names->p[middle], after) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Whether what is kept is what is there, behind a name that was told before. */
static bool names_fit(const struct tree_folder_names *names, const char *path, const char *after,
	const struct stat *st)
{
	return names && after && !strcmp(names->path, path) &&
	       names->when.tv_sec == st->st_mtim.tv_sec &&
	       names->when.tv_nsec == st->st_mtim.tv_nsec &&
	       (!names->cut || names_find(names, after) < names->n);
}

static int names_read(struct tree_folder *folder, DIR *dir, const char *path, const char *after)
{
	struct tree_folder_names *names;
	const struct dirent *entry;
	struct stat st;

	if (fstat(dirfd(dir), &st) < 0)
		return -errno;
	if (names_fit(folder->names, path, after, &st))
		return 0;
	tree_folder_list_forget(folder);
	names = folder->names = xcalloc(1, sizeof(*names));
	names->path = xstrdup(path);
	names->when = st.st_mtim;
	names->p = xcalloc((size_t)2 * NAMES_MOST, sizeof(*names->p));
	while ((entry = readdir(dir))) { // NOLINT(concurrency-mt-unsafe): our own DIR
		if (is_listed(entry, after))
			names_add(names, entry->d_name);
	}
	names_cut(names);
	return 0;
}

static int open_listed(const struct tree_folder *folder, const char *path, DIR **dir)
{
	int fd = volume_open_beneath(folder->volume, path, O_RDONLY | O_DIRECTORY, 0);
	struct tree_entry entry;

	if (fd == -ENOTDIR || fd == -ELOOP)
		return tree_folder_find_run(folder, path, &entry) == 0 ? -ENOTDIR : -ENOENT;
	if (fd < 0)
		return fd;
	*dir = fdopendir(fd);
	if (*dir)
		return 0;
	close(fd);
	return -ENOMEM;
}

int tree_folder_list_run(struct tree_folder *folder, const char *path, const char *after,
	size_t limit, const struct auth_user *user, struct tree_entry **ret, size_t *n, bool *more)
{
	bool is_top = !strcmp(path, folder->name);
	const struct tree_folder_names *names;
	DIR *dir;
	int error = open_listed(folder, path, &dir);
	size_t i;

	if (error)
		return error;
	error = names_read(folder, dir, path, after);
	if (error) {
		closedir(dir);
		return error;
	}
	names = folder->names;
	*ret = xcalloc(limit < names->n ? limit : names->n, sizeof(**ret));
	*n = 0;
	for (i = names_find(names, after); i < names->n && *n < limit; i++) {
		char *whole;

		if (is_top && !auth_may_see(user, names->p[i]))
			continue;
		whole = xasprintf("%s/%s", path, names->p[i]);
		if (tree_folder_look(&(*ret)[*n], dirfd(dir), names->p[i], whole) == 0)
			tree_folder_look_at_space(folder, &(*ret)[(*n)++]);
		free(whole);
	}
	*more = i < names->n || names->cut;
	if (!*more)
		tree_folder_list_forget(folder);
	closedir(dir);
	return 0;
}
