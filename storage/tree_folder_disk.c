/* What is done with the files of a plain folder, on its threads: every name is looked up from a descriptor of its folder. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "storage/tree_folder_private.h"
#include "storage/tree_name.h"

enum {
	DISK_DEPTH = 2 * TREE_FOLDER_DEPTH, /* of what others have put there */
	COPY_BYTES = 8 << 20,               /* between two looks at the free space */
	BUFFER_BYTES = 1 << 16
};

/* What browsers may show; anything else is for saving. No markup: it would speak for this server. */
static const struct {
	const char *extension, *type;
} content_types[] = {
	{".mp4",   "video/mp4"                },
	{ ".m4v",  "video/mp4"                },
	{ ".mov",  "video/quicktime"          },
	{ ".mkv",  "video/x-matroska"         },
	{ ".webm", "video/webm"               },
	{ ".avi",  "video/x-msvideo"          },
	{ ".ts",   "video/mp2t"               },
	{ ".jpg",  "image/jpeg"               },
	{ ".jpeg", "image/jpeg"               },
	{ ".png",  "image/png"                },
	{ ".txt",  "text/plain; charset=utf-8"},
};

/* --- names and space --- */

void tree_folder_hide(struct tree_folder *folder, char ret[TREE_FOLDER_HIDDEN_BYTES])
{
	(void)snprintf(ret, TREE_FOLDER_HIDDEN_BYTES, TREE_PART "%s-%" PRIu64, folder->tag,
		++folder->made);
}

static bool is_hidden(const char *name)
{
	return !strncasecmp(name, TREE_PART, strlen(TREE_PART));
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

int tree_folder_check_space(const struct tree_folder *folder, uint64_t bytes)
{
	uint64_t free_bytes, size_bytes, reserve;
	int error = volume_free(folder->volume, &free_bytes, &size_bytes);

	if (error)
		return error;
	reserve = size_bytes / 100 * folder->reserve_percent + folder->reserve_bytes;
	return free_bytes < reserve || free_bytes - reserve < bytes ? -ENOSPC : 0;
}

/* A folder that something is to be put into: -ENOTDIR when there is none. */
static int open_target(const struct tree_folder *folder, const char *path, const char **name)
{
	int fd = volume_open_folder_of(folder->volume, path, name);

	return fd == -ENOENT ? -ENOTDIR : fd;
}

/* --- looking --- */

static const char *content_type_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < ARRAY_LENGTH(content_types); i++) {
		const char *extension = content_types[i].extension;

		if ((dot[1] | 0x20) == extension[1] && !strcasecmp(dot, extension))
			return content_types[i].type;
	}
	return "application/octet-stream";
}

static int64_t us_of(struct statx_timestamp t)
{
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

int tree_folder_look(struct tree_entry *ret, int parent, const char *name, const char *path)
{
	size_t bytes = strlen(path);
	struct statx st;
	bool is_file;

	if (bytes + 2 > sizeof(ret->path))
		return -ENOENT;
	if (statx(parent, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	is_file = S_ISREG(st.stx_mode);
	if (!is_file && !S_ISDIR(st.stx_mode))
		return -ENOENT;
	*ret = (struct tree_entry){ .kind = is_file ? TREE_FILE : TREE_COLLECTION };
	ret->path[0] = '/'; /* without printf(): there are thousands of them */
	memcpy(ret->path + 1, path, bytes + 1);
	ret->name = (const char *)memrchr(ret->path, '/', bytes + 1) + 1;
	ret->modified_us = us_of(st.stx_mtime);
	ret->created_us = st.stx_mask & STATX_BTIME ? us_of(st.stx_btime) : 0;
	if (!is_file)
		return 0;
	ret->bytes = st.stx_size;
	ret->content_type = content_type_of(ret->name);
	tree_write_etag(ret->etag, 4,
		(const uint64_t[]){ st.stx_ino, (uint64_t)st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec,
			st.stx_size });
	return 0;
}

void tree_folder_look_at_space(const struct tree_folder *folder, struct tree_entry *entry)
{
	uint64_t free_bytes, size_bytes, reserve;

	if (entry->kind != TREE_COLLECTION ||
		volume_free(folder->volume, &free_bytes, &size_bytes) < 0)
		return;
	reserve = size_bytes / 100 * folder->reserve_percent + folder->reserve_bytes;
	entry->has_space = true;
	entry->free_bytes = free_bytes > reserve ? free_bytes - reserve : 0;
	entry->used_bytes = size_bytes - free_bytes;
}

int tree_folder_find_run(const struct tree_folder *folder, const char *path, struct tree_entry *ret)
{
	const char *name;
	int parent = volume_open_folder_of(folder->volume, path, &name);
	int error;

	if (parent < 0)
		return parent == -ENOTDIR || parent == -ELOOP ? -ENOENT : parent;
	error = tree_folder_look(ret, parent, name, path);
	close(parent);
	if (!error)
		tree_folder_look_at_space(folder, ret);
	return error;
}

/* --- removing --- */

// NOLINTNEXTLINE(misc-no-recursion): DISK_DEPTH
static int remove_tree(
	const struct tree_folder *folder, int parent, const char *name, unsigned depth)
{
	const struct dirent *entry;
	int fd, error = 0, worse;
	DIR *dir;

	if (unlinkat(parent, name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth == 0 || folder->stopping)
		return -ELOOP;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
	while ((entry = readdir(dir))) { // NOLINT(concurrency-mt-unsafe): our own DIR
		if (is_dots(entry->d_name))
			continue;
		worse = remove_tree(folder, fd, entry->d_name, depth - 1);
		error = worse ? worse : error;
	}
	closedir(dir);
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && !error)
		error = -errno;
	return error;
}

static void remove_aside(struct tree_folder *folder, int parent, const char *name)
{
	int error = remove_tree(folder, parent, name, DISK_DEPTH);

	if (!error || error == -ENOENT || folder->stopping)
		return;
	volume_count_error("remove");
	log_error(&folder->log, "%s cannot be removed: %s", name, strerror(-error));
}

void tree_folder_reap_run(struct tree_folder *folder, const char *aside)
{
	const char *name;
	int parent = volume_open_folder_of(folder->volume, aside, &name);

	if (parent < 0)
		return;
	remove_aside(folder, parent, name);
	close(parent);
}

/* Hidden names of this process are in use. */
static bool is_left_over(const struct tree_folder *folder, const char *name)
{
	size_t n = strlen(TREE_PART);

	return is_hidden(name) && strncmp(name + n, folder->tag, strlen(folder->tag)) != 0;
}

// NOLINTNEXTLINE(misc-no-recursion): DISK_DEPTH
static void clean(struct tree_folder *folder, int parent, const char *name, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (!folder->stopping &&
		(entry = readdir(dir))) { // NOLINT(concurrency-mt-unsafe): our own DIR
		if (is_dots(entry->d_name))
			continue;
		if (is_left_over(folder, entry->d_name))
			remove_aside(folder, fd, entry->d_name);
		else if (depth && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
			clean(folder, fd, entry->d_name, depth - 1);
	}
	closedir(dir);
}

void tree_folder_clean_run(struct tree_folder *folder)
{
	int root = volume_open_beneath(folder->volume, ".", O_RDONLY | O_DIRECTORY, 0);

	if (root < 0)
		return;
	clean(folder, root, folder->name, DISK_DEPTH);
	close(root);
}

/* --- making, setting aside, placing --- */

int tree_folder_make_run(const struct tree_folder *folder, const char *path)
{
	const char *name;
	int parent, error = tree_folder_check_space(folder, 0);

	if (error)
		return error;
	parent = open_target(folder, path, &name);
	if (parent < 0)
		return parent;
	if (mkdirat(parent, name, VOLUME_FOLDER_MODE) < 0)
		error = -errno;
	else if (fsync(parent) < 0)
		volume_count_error("sync"); /* it is there all the same */
	close(parent);
	return error;
}

int tree_folder_remove_run(const struct tree_folder *folder, const char *path)
{
	const char *name;
	int parent = volume_open_folder_of(folder->volume, path, &name);
	int error = 0;

	if (parent < 0)
		return parent == -ENOTDIR || parent == -ELOOP ? -ENOENT : parent;
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0)
		error = errno == EEXIST ? -ENOTEMPTY : -errno;
	else if (fsync(parent) < 0)
		volume_count_error("sync");
	close(parent);
	return error;
}

int tree_folder_set_modified_run(
	const struct tree_folder *folder, const char *path, int64_t modified_us)
{
	struct timespec times[] = {
		{.tv_nsec = UTIME_OMIT                   },
		{ .tv_sec = modified_us / 1000000, .tv_nsec = modified_us % 1000000 * 1000 }
	};
	struct tree_entry entry;
	const char *name;
	int parent = volume_open_folder_of(folder->volume, path, &name);
	int error;

	if (parent < 0)
		return parent == -ENOTDIR || parent == -ELOOP ? -ENOENT : parent;
	error = tree_folder_look(&entry, parent, name, path);
	if (!error && utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		error = -errno;
	close(parent);
	return error;
}

static char *path_beside(const char *path, const char *name)
{
	return xasprintf("%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
}

/* Gives what is at the path a hidden name. */
static int set_aside(struct tree_folder *folder, int parent, const char *path, char **aside)
{
	char hidden[TREE_FOLDER_HIDDEN_BYTES];

	tree_folder_hide(folder, hidden);
	if (renameat(parent, strrchr(path, '/') + 1, parent, hidden) < 0)
		return -errno;
	*aside = path_beside(path, hidden);
	return 0;
}

int tree_folder_delete_run(struct tree_folder *folder, const char *path, char **aside)
{
	struct tree_entry entry;
	const char *name;
	int parent = volume_open_folder_of(folder->volume, path, &name);
	int error;

	if (parent < 0)
		return parent == -ENOTDIR || parent == -ELOOP ? -ENOENT : parent;
	error = tree_folder_look(&entry, parent, name, path);
	if (!error && entry.kind == TREE_COLLECTION)
		error = set_aside(folder, parent, path, aside);
	else if (!error && unlinkat(parent, name, 0) < 0)
		error = -errno;
	if (!error && fsync(parent) < 0)
		volume_count_error("sync");
	close(parent);
	return error;
}

int tree_folder_place(struct tree_folder *folder, int from, const char *old, int to,
	const char *path, bool overwrite, bool *created, char **aside)
{
	const char *name = strrchr(path, '/') + 1;
	struct tree_entry source = { 0 }, target = { 0 };
	int error = tree_folder_look(&source, from, old, path);
	bool taken;

	if (error)
		return error;
	error = tree_folder_look(&target, to, name, path);
	if (error && error != -ENOENT)
		return error;
	taken = error == 0;
	if (taken && !overwrite)
		return -EEXIST;
	if (taken && source.kind == TREE_FILE && target.kind == TREE_FILE) {
		error = renameat(from, old, to, name) < 0 ? -errno : 0;
	} else {
		error = taken ? set_aside(folder, to, path, aside) : 0;
		if (!error)
			error = volume_rename(from, old, to, name);
		if (error && *aside) { /* as if nothing had been */
			(void)renameat(to, strrchr(*aside, '/') + 1, to, name);
			free(*aside);
			*aside = NULL;
		}
	}
	if (!error && (fsync(to) < 0 || (from != to && fsync(from) < 0)))
		volume_count_error("sync");
	*created = !error && !taken;
	return error;
}

int tree_folder_move_run(struct tree_folder *folder, const char *from, const char *to,
	bool overwrite, bool *created, char **aside)
{
	const char *old, *name;
	int source = volume_open_folder_of(folder->volume, from, &old);
	int target, error;

	if (source < 0)
		return source == -ENOTDIR || source == -ELOOP ? -ENOENT : source;
	target = open_target(folder, to, &name);
	if (target < 0) {
		struct tree_entry entry;

		error = tree_folder_look(&entry, source, old, from);
		close(source);
		return error ? error : target;
	}
	error = tree_folder_place(folder, source, old, target, to, overwrite, created, aside);
	close(source);
	close(target);
	return error;
}

/* --- copying --- */

/* For file systems that cannot do it by themselves. Returns bytes copied or -errno. */
static ssize_t copy_by_hand(int from, int to, size_t bytes)
{
	char buffer[BUFFER_BYTES];
	ssize_t n = read(from, buffer, bytes < sizeof(buffer) ? bytes : sizeof(buffer));

	for (ssize_t done = 0; done < n;) {
		ssize_t written = write(to, buffer + done, (size_t)(n - done));

		if (written < 0)
			return -errno;
		done += written;
	}
	return n < 0 ? -errno : n;
}

static ssize_t copy_some(int from, int to, size_t bytes, bool *by_hand)
{
	ssize_t n;

	if (*by_hand)
		return copy_by_hand(from, to, bytes);
	n = copy_file_range(from, NULL, to, NULL, bytes, 0);
	if (n >= 0)
		return n;
	*by_hand = errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
	return *by_hand ? copy_by_hand(from, to, bytes) : -errno;
}

int tree_folder_copy_content(const struct tree_folder *folder, int from, int to, uint64_t bytes,
	const _Atomic bool *stop)
{
	bool by_hand = false;
	ssize_t n = 1;
	int error = 0;

	while (!error && n > 0 && bytes > 0) {
		size_t most = bytes < COPY_BYTES ? (size_t)bytes : COPY_BYTES;

		error = folder->stopping || *stop ? -ECANCELED
						  : tree_folder_check_space(folder, most);
		if (error)
			break;
		n = copy_some(from, to, most, &by_hand);
		bytes -= n > 0 ? (uint64_t)n : 0;
		error = n < 0 ? (int)n : fdatasync(to) < 0 ? -errno : 0;
	}
	return error;
}

static int copy_file(
	const struct tree_folder *folder, int from, const char *name, int to, const char *new_name)
{
	int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int out, error;

	if (in < 0)
		return -errno;
	out = openat(to, new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		VOLUME_FILE_MODE);
	error = out < 0 ? -errno
			: tree_folder_copy_content(folder, in, out, UINT64_MAX, &folder->stopping);
	close(in);
	if (out >= 0 && close(out) < 0 && !error)
		error = -errno;
	return error;
}

static int copy_tree(const struct tree_folder *folder, int from, const char *name, int to,
	const char *new_name, unsigned depth, bool deep);

/* What is being made by others, and what went meanwhile, is left out. */
// NOLINTNEXTLINE(misc-no-recursion): DISK_DEPTH
static int copy_members(const struct tree_folder *folder, int from, int to, unsigned depth)
{
	int fd = dup(from);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int error = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return -EMFILE;
	}
	while (!error && (entry = readdir(dir))) { // NOLINT(concurrency-mt-unsafe): our own DIR
		if (is_dots(entry->d_name) || is_hidden(entry->d_name))
			continue;
		error = copy_tree(folder, from, entry->d_name, to, entry->d_name, depth - 1, true);
		if (error == -ENOENT)
			error = 0;
	}
	closedir(dir);
	return error;
}

// NOLINTNEXTLINE(misc-no-recursion): DISK_DEPTH
static int copy_collection(const struct tree_folder *folder, int from, const char *name, int to,
	const char *new_name, unsigned depth, bool deep)
{
	int in, out, error;

	if (depth == 0)
		return -ELOOP;
	in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		return -errno;
	error = mkdirat(to, new_name, VOLUME_FOLDER_MODE) < 0 ? -errno : 0;
	out = error ? -1 : openat(to, new_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (!error && out < 0)
		error = -errno;
	if (!error && deep)
		error = copy_members(folder, in, out, depth);
	if (!error && fsync(out) < 0)
		error = -errno;
	close(in);
	if (out >= 0)
		close(out);
	return error;
}

// NOLINTNEXTLINE(misc-no-recursion): DISK_DEPTH
static int copy_tree(const struct tree_folder *folder, int from, const char *name, int to,
	const char *new_name, unsigned depth, bool deep)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISREG(st.st_mode))
		return copy_file(folder, from, name, to, new_name);
	if (S_ISDIR(st.st_mode))
		return copy_collection(folder, from, name, to, new_name, depth, deep);
	return -ENOENT; /* a link or a device */
}

int tree_folder_copy_run(struct tree_folder *folder, const char *from, const char *to,
	unsigned flags, bool *created, char **aside)
{
	char hidden[TREE_FOLDER_HIDDEN_BYTES];
	const char *name, *new_name = "";
	int source = volume_open_folder_of(folder->volume, from, &name);
	struct tree_entry entry;
	int target, error;

	if (source < 0)
		return source == -ENOTDIR || source == -ELOOP ? -ENOENT : source;
	error = tree_folder_look(&entry, source, name, from);
	target = error ? error : open_target(folder, to, &new_name);
	if (target < 0) {
		close(source);
		return target;
	}
	/* found out again at the end, but then all the work was in vain */
	if (!(flags & TREE_OVERWRITE) && tree_folder_look(&entry, target, new_name, to) == 0) {
		error = -EEXIST;
	} else {
		tree_folder_hide(folder, hidden);
		error = copy_tree(
			folder, source, name, target, hidden, DISK_DEPTH, !(flags & TREE_SHALLOW));
		if (!error)
			error = tree_folder_place(folder, target, hidden, target, to,
				flags & TREE_OVERWRITE, created, aside);
		if (error)
			remove_aside(folder, target, hidden);
	}
	close(source);
	close(target);
	return error;
}
