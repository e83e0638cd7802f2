/*
 * Listing a plain folder in pages: its names are read and sorted once, not for each page, and not for the next listing when nothing
 * has come or gone. What is kept of them belongs to the thread, is of one folder at a time, and has a limit; whatever does not fit
 * is read again. What is told of the files is looked at each time.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/tree_folder_private.h"
#include "storage/tree_name.h"

enum {
	NAMES_MOST = 16384 /* are kept, of at most TREE_NAME_BYTES: the first ones, in order */
};
#define NAMES_SETTLE_US (INT64_C(3) * 1000000) /* FAT's times count by 2 s */

struct tree_folder_names {
	char *path;           /* of the folder */
	char *after;          /* those behind this name were read; NULL: all */
	struct timespec when; /* it was last changed, before it was read */
	bool settled;         /* that long ago: with the next change it has another time */
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
	free(names->after);
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

/* Whether what is kept is what is there behind that name. */
static bool names_fit(const struct tree_folder_names *names, const char *path, const char *after,
	const struct stat *st)
{
	if (!names || strcmp(names->path, path) != 0 || names->when.tv_sec != st->st_mtim.tv_sec ||
		names->when.tv_nsec != st->st_mtim.tv_nsec)
		return false;
	if (!after)
		return names->settled && !names->after;
	return (!names->after || strcmp(names->after, after) <= 0) &&
	       (!names->cut || names_find(names, after) < names->n);
}

static int names_read(struct tree_folder_names *names, int fd)
{
	int copy = fcntl(
		fd, F_DUPFD_CLOEXEC, 0); /* whose place is at the beginning: nobody has read yet */
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return -EMFILE;
	}
	while ((entry = readdir(dir))) { // NOLINT(concurrency-mt-unsafe): our own DIR
		if (is_listed(entry, names->after))
			names_add(names, entry->d_name);
	}
	names_cut(names);
	closedir(dir);
	return 0;
}

/* Has what is to be listed in folder->names. */
static int names_get(struct tree_folder *folder, int fd, const char *path, const char *after)
{
	struct tree_folder_names *names;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (names_fit(folder->names, path, after, &st))
		return 0;
	tree_folder_list_forget(folder);
	names = folder->names = xcalloc(1, sizeof(*names));
	names->path = xstrdup(path);
	names->after = after ? xstrdup(after) : NULL;
	names->when = st.st_mtim;
	names->settled = (int64_t)st.st_mtim.tv_sec * 1000000 + NAMES_SETTLE_US < reactor_now_us();
	names->p = xcalloc((size_t)2 * NAMES_MOST, sizeof(*names->p));
	return names_read(names, fd);
}

static int open_listed(const struct tree_folder *folder, const char *path)
{
	int fd = volume_open_beneath(folder->volume, path, O_RDONLY | O_DIRECTORY, 0);
	struct tree_entry entry;

	if (fd == -ENOTDIR || fd == -ELOOP)
		return tree_folder_find_run(folder, path, &entry) == 0 ? -ENOTDIR : -ENOENT;
	return fd;
}

/* The entries of the names from the i-th on; *i is then behind the last one. Returns how many. */
static size_t look_at_names(const struct tree_folder *folder, int fd, const struct auth_user *user,
	size_t *i, struct tree_entry *ret, size_t limit)
{
	const struct tree_folder_names *names = folder->names;
	bool is_top = !strcmp(names->path, folder->name);
	char path[sizeof(ret->path) + TREE_NAME_BYTES + 1];
	size_t n = 0, folder_bytes = strlen(names->path) + 1;

	if (folder_bytes >= sizeof(ret->path))
		return 0;
	(void)snprintf(path, sizeof(path), "%s/", names->path);
	for (; *i < names->n && n < limit; ++*i) {
		const char *name = names->p[*i];

		if (is_top && !auth_may_see(user, name))
			continue;
		memcpy(path + folder_bytes, name, strlen(name) + 1);
		if (tree_folder_look(&ret[n], fd, name, path) == 0)
			tree_folder_look_at_space(folder, &ret[n++]);
	}
	return n;
}

int tree_folder_list_run(struct tree_folder *folder, const char *path, const char *after,
	size_t limit, const struct auth_user *user, struct tree_entry **ret, size_t *n, bool *more)
{
	int fd = open_listed(folder, path);
	const struct tree_folder_names *names;
	int error = fd < 0 ? fd : names_get(folder, fd, path, after);
	size_t i, left;

	if (error)
		tree_folder_list_forget(folder);
	if (!error) {
		names = folder->names;
		i = names_find(names, after);
		left = names->n - i;
		*ret = xmalloc((limit < left ? limit : left) * sizeof(**ret));
		*n = look_at_names(folder, fd, user, &i, *ret, limit);
		*more = i < names->n || names->cut;
		if (!*more && !names->settled)
			tree_folder_list_forget(folder);
	}
	if (fd >= 0)
		close(fd);
	return error;
}
