/* Several volumes: which they are, and what makes a folder one of them. */
#include "storage/volume_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/memory.h"
#include "storage/volume_private.h"

enum {
	NUMBER_DIGITS = 12, /* of the marker are the number in rows: 48 bits */
	HEXADECIMAL = 16,
	KNOWN_MOST = 64 /* volumes with recordings */
};

/* --- as a list --- */

int64_t volume_id(const struct volume *volume)
{
	return volume->number;
}

struct volume *volume_next(const struct volume *volume)
{
	return volume->next;
}

struct volume *volume_target(const struct volume *volume)
{
	return volume->target_missing ? NULL : volume->next;
}

bool volume_is_last(const struct volume *volume)
{
	return !volume->next && !volume->target_missing;
}

struct volume *volume_find(struct volume *first, int64_t id)
{
	struct volume *volume = first;

	while (volume && volume->number != id)
		volume = volume->next;
	return volume;
}

bool volume_shares(const struct volume *a, const struct volume *b)
{
	struct stat one, two;

	return fstat(a->folder, &one) == 0 && fstat(b->folder, &two) == 0 &&
	       one.st_dev == two.st_dev;
}

void volume_expect(struct volume *volume, uint64_t bytes)
{
	volume->expected_bytes = bytes;
}

uint64_t volume_expected(const struct volume *volume)
{
	return volume->expected_bytes;
}

/* --- the marker --- */

static int64_t number_of(const char digits[2 * VOLUME_ID_BYTES + 1])
{
	char text[NUMBER_DIGITS + 1];
	int64_t number;

	snprintf(text, sizeof(text), "%.*s", NUMBER_DIGITS, digits);
	number = strtoll(text, NULL, HEXADECIMAL);
	return number ? number : 1; /* 0 is the first volume */
}

/* Reads the digits. Returns 0, -ENOENT when there is none, -ENODATA when it is empty, or -errno. */
static int read_marker(const char *path, char digits[2 * VOLUME_ID_BYTES + 1])
{
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = folder < 0 ? -errno : volume_read_marker(folder, digits);
	struct stat st;

	if (folder >= 0 && error == -ENOENT &&
		fstatat(folder, VOLUME_MARKER, &st, AT_SYMLINK_NOFOLLOW) == 0)
		error = st.st_size ? -EBADMSG : -ENODATA;
	if (folder >= 0)
		close(folder);
	return error;
}

int64_t volume_list_read_id(const char *path)
{
	char digits[2 * VOLUME_ID_BYTES + 1];

	return read_marker(path, digits) == 0 ? number_of(digits) : 0;
}

/* --- opening --- */

static bool is_mount(const char *path)
{
	char *above = xasprintf("%s/..", path);
	struct stat own, other;
	bool differs =
		stat(path, &own) == 0 && stat(above, &other) == 0 && own.st_dev != other.st_dev;

	free(above);
	return differs;
}

/* Whether the catalogue has recordings on a volume that none of the configuration's is. */
static bool one_is_missing(const struct config *config, struct catalogue *catalogue)
{
	int64_t known[KNOWN_MOST];
	size_t n = catalogue_volumes(catalogue, known, KNOWN_MOST);
	const struct config_volume *row;

	for (size_t i = 0; i < n; i++) {
		bool there = known[i] == 0;

		TAILQ_FOREACH (row, &config->storage.volumes, entry)
			there = there || volume_list_read_id(row->path) == known[i];
		if (!there)
			return true;
	}
	return false;
}

/* Whether a folder may be a volume: with a marker, or one that may get one. Or why not (the caller frees it). */
static bool may_be_volume(const char *path, bool missing, char **why)
{
	char digits[2 * VOLUME_ID_BYTES + 1];
	struct stat st;
	bool there = stat(path, &st) == 0;
	int error = there ? read_marker(path, digits) : -errno;

	if (there && error == -ENOENT && missing && !is_mount(path))
		*why = xstrdup(
			"it has no " VOLUME_MARKER
			", and a volume with recordings is missing: is nothing mounted there? "
			"To begin there anew, make that file, empty");
	else if (error == -EBADMSG)
		*why = xstrdup("its " VOLUME_MARKER " is damaged");
	else if (error && (!there || (error != -ENOENT && error != -ENODATA)))
		*why = xstrdup(strerror(-error));
	return !*why;
}

static struct volume *open_one(struct volume *first, const char *path, unsigned number,
	bool missing, int64_t sync_us, char **why)
{
	static const char *const threads[CONFIG_VOLUMES][2] = {
		{"volume 2",  "reader 2"},
		{ "volume 3", "reader 3"},
		{ "volume 4", "reader 4"},
		{ "volume 5", "reader 5"},
		{ "volume 6", "reader 6"},
		{ "volume 7", "reader 7"},
		{ "volume 8", "reader 8"},
		{ "volume 9", "reader 9"},
	};
	struct volume *volume = NULL;

	if (may_be_volume(path, missing, why))
		volume = volume_open_as(path, sync_us, threads[number][0], threads[number][1], why);
	if (!volume)
		return NULL;
	volume->number = number_of(volume->id);
	if (volume_is_there(volume) && !volume_find(first, volume->number))
		return volume;
	*why = xstrdup(volume_is_there(volume) ? "its " VOLUME_MARKER
						 " is the same as that of another one"
					       : "it is not there");
	volume_close(volume);
	return NULL;
}

unsigned volume_list_open(
	struct volume *first, const struct config *config, struct catalogue *catalogue)
{
	bool missing = !volume_is_there(first) || one_is_missing(config, catalogue);
	struct volume *last = first;
	const struct config_volume *row;
	unsigned number = 0, absent = 0;

	TAILQ_FOREACH (row, &config->storage.volumes, entry) {
		char *why = NULL;

		if (strcmp(row->path, first->path) == 0)
			continue;
		last->next = open_one(
			first, row->path, number++, missing, config->storage.sync_us, &why);
		if (last->next) {
			if (volume_shares(last, last->next))
				log_warn(&last->log, "%s is on the same file system", row->path);
			last = last->next;
			continue;
		}
		log_error(NULL,
			"storage.volumes: %s: %s; recordings do not move there until nvrd is started with it",
			row->path, why);
		last->target_missing = true;
		absent++;
		free(why);
	}
	return absent;
}
