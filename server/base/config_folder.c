/* The configuration's files from afar: what is shown of them, and how they are changed. */
#include "server/base/config_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "server/base/config_private.h"
#include "server/base/file.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/vault.h"

#define PREVIOUS "previous"
#define TIME_FORMAT ".YYYY-MM-DDTHH-MM-SS.mmmZ"

enum {
	FOLDER_MODE = 0700,
	TIME_BYTES = sizeof(TIME_FORMAT),
	HASH_BYTES = 32
};

struct config_folder {
	char *file;       /* as given */
	const char *main; /* its name */
	bool has_users;   /* in what is applied */
	struct log_name log;
};

enum kind {
	KIND_NONE,
	KIND_ROOT,
	KIND_MAIN,
	KIND_CAMERAS,
	KIND_CAMERA,
	KIND_PREVIOUS,
	KIND_VERSION
};

struct config_folder *config_folder_new(const char *file, bool has_users)
{
	struct config_folder *folder = xcalloc(1, sizeof(*folder));
	const char *slash;

	folder->file = xstrdup(file);
	folder->has_users = has_users;
	slash = strrchr(folder->file, '/');
	folder->main = slash ? slash + 1 : folder->file;
	folder->log = (struct log_name){ .kind = "configuration" };
	return folder;
}

void config_folder_free(struct config_folder *folder)
{
	if (!folder)
		return;
	free(folder->file);
	free(folder);
}

/* Takes over what may be applied; else frees it, and NULL and *why. */
static struct config *accept_config(
	const struct config_folder *folder, struct config *config, char **why)
{
	bool has_users = config && !TAILQ_EMPTY(&config->users);

	if (!config || has_users || !folder->has_users)
		return config;
	*why = xasprintf("%s: users: removing all of them needs a restart\n", folder->main);
	config_free(config);
	return NULL;
}

struct config *config_folder_reload(struct config_folder *folder, char **errors)
{
	struct config *config = accept_config(folder, config_load(folder->file, errors), errors);

	if (config)
		folder->has_users = !TAILQ_EMPTY(&config->users);
	return config;
}

/* --- names --- */

/* Whether it ends as a version does. */
static bool has_time(const char *name)
{
	size_t n = strlen(name);

	if (n < TIME_BYTES)
		return false;
	name += n - (TIME_BYTES - 1);
	for (size_t i = 0; TIME_FORMAT[i]; i++) {
		bool is_digit = strchr("YMDHSm", TIME_FORMAT[i]);

		if (is_digit ? name[i] < '0' || name[i] > '9' : name[i] != TIME_FORMAT[i])
			return false;
	}
	return true;
}

/*
 * The file that a version in PREVIOUS is of, as config_seal() wants it, which the caller frees: "cameras/porch.yaml" of
 * "cameras.porch.yaml.<time>". NULL: it is none.
 */
static char *version_of(const struct config_folder *folder, const char *version)
{
	char *name =
		has_time(version) ? xstrndup(version, strlen(version) - (TIME_BYTES - 1)) : NULL;

	if (!name || !strcmp(name, folder->main))
		return name;
	if (!strncmp(name, CONFIG_CAMERAS ".", strlen(CONFIG_CAMERAS "."))) {
		name[strlen(CONFIG_CAMERAS)] = '/';
		if (config_is_camera_file(name))
			return name;
	}
	free(name);
	return NULL;
}

static enum kind kind_of(const struct config_folder *folder, const char *name)
{
	char *version;
	bool is_version;

	if (!*name)
		return KIND_ROOT;
	if (!strcmp(name, folder->main))
		return KIND_MAIN;
	if (!strcmp(name, CONFIG_CAMERAS))
		return KIND_CAMERAS;
	if (!strcmp(name, PREVIOUS))
		return KIND_PREVIOUS;
	if (config_is_camera_file(name))
		return KIND_CAMERA;
	if (strncmp(name, PREVIOUS "/", strlen(PREVIOUS "/")) != 0)
		return KIND_NONE;
	version = version_of(folder, name + strlen(PREVIOUS "/"));
	is_version = version && !strchr(name + strlen(PREVIOUS "/"), '/');
	free(version);
	return is_version ? KIND_VERSION : KIND_NONE;
}

static bool is_collection(enum kind kind)
{
	return kind == KIND_ROOT || kind == KIND_CAMERAS || kind == KIND_PREVIOUS;
}

/* --- looking --- */

/* Whether any file holds what only a key that is there can open. */
static bool needs_key(const struct config_folder *folder)
{
	char *errors = NULL;
	struct config_files *files = config_files_read(folder->file, &errors);
	const struct config_file *file;
	bool needs = !files;

	if (files) {
		TAILQ_FOREACH (file, &files->list, entry)
			needs = needs || strstr(file->text, "!vault");
	}
	config_files_free(files);
	free(errors);
	return needs;
}

/* The vault, made where nothing is in it yet. NULL and *why. */
static struct vault *open_vault(const struct config_folder *folder, char **why)
{
	char *path = config_beside(folder->file, CONFIG_KEY_FILE);
	struct stat st;
	bool may_make = lstat(path, &st) < 0 && !needs_key(folder);
	char *wrong = NULL;
	struct vault *vault = vault_open(path, may_make, &wrong);

	if (!vault)
		*why = xasprintf("the key " CONFIG_KEY_FILE " %s", wrong);
	free(wrong);
	free(path);
	return vault;
}

void config_folder_write_etag(char ret[CONFIG_ETAG_BYTES], const void *p, size_t n)
{
	unsigned char hash[HASH_BYTES];

	if (EVP_Digest(p, n, hash, NULL, EVP_sha256(), NULL) != 1)
		abort();
	ret[0] = '"';
	for (int i = 0; i < (CONFIG_ETAG_BYTES - 3) / 2; i++)
		(void)snprintf(ret + 1 + 2 * i, 3, "%02x", hash[i]);
	(void)snprintf(ret + CONFIG_ETAG_BYTES - 2, 2, "\"");
}

/* One file, as it is and as it is shown. */
struct look {
	char *text;   /* as it is; may be secret */
	char *sealed; /* NULL and `why`: it cannot be shown */
	size_t bytes, sealed_bytes;
	char *why;
	struct stat st;
};

static void look_fini(struct look *look)
{
	if (look->text)
		explicit_bzero(look->text, look->bytes);
	free(look->text);
	free(look->sealed);
	free(look->why);
}

/* The text sealed as the file of that name; NULL and *why. */
static char *seal(const struct config_folder *folder, const char *name, const char *text, size_t n,
	size_t *ret_bytes, char **why)
{
	struct vault *vault = open_vault(folder, why);
	char *sealed = vault ? config_seal(vault, name, text, n, ret_bytes, why) : NULL;

	vault_free(vault);
	return sealed;
}

static int look_at(const struct config_folder *folder, const char *name, struct look *ret)
{
	enum kind kind = kind_of(folder, name);
	char *path = config_beside(folder->file, name), *why = NULL, *real = NULL;
	int error = 0;

	/* whoever starts nvrd may name a link; within the folder there are none */
	ret->text = file_read(path, CONFIG_FILE_BYTES, kind == KIND_MAIN ? 0 : O_NOFOLLOW, &ret->st,
		&ret->bytes, &why);
	if (!ret->text && (errno == ENOENT || errno == ELOOP)) {
		error = -ENOENT;
	} else if (!ret->text) {
		log_error(&folder->log, "%s %s", path, why);
		error = -EIO;
	} else {
		real = kind == KIND_VERSION ? version_of(folder, name + strlen(PREVIOUS "/"))
					    : xstrdup(name);
		ret->sealed =
			seal(folder, real, ret->text, ret->bytes, &ret->sealed_bytes, &ret->why);
	}
	free(real);
	free(why);
	free(path);
	return error;
}

static void entry_set(struct config_folder_entry *entry, const char *name, const struct look *look)
{
	*entry = (struct config_folder_entry){
		.bytes = look->sealed ? look->sealed_bytes : 0,
		.modified_us = (int64_t)look->st.st_mtim.tv_sec * 1000000 +
			       look->st.st_mtim.tv_nsec / 1000,
	};
	(void)snprintf(entry->name, sizeof(entry->name), "%s", name);
	if (look->sealed) {
		config_folder_write_etag(entry->etag, look->sealed, look->sealed_bytes);
	} else { /* a hash of what cannot be shown would tell something about it */
		int64_t known[] = { (int64_t)look->st.st_ino, (int64_t)look->st.st_size,
			look->st.st_mtim.tv_sec, look->st.st_mtim.tv_nsec };

		config_folder_write_etag(entry->etag, known, sizeof(known));
	}
}

int config_folder_find(struct config_folder *folder, const char *name,
	struct config_folder_entry *entry, char **ret, char **why)
{
	enum kind kind = kind_of(folder, name);
	struct look look = { 0 };
	int error;

	if (kind == KIND_NONE)
		return -ENOENT;
	if (is_collection(kind)) {
		*entry = (struct config_folder_entry){ .is_collection = true };
		(void)snprintf(entry->name, sizeof(entry->name), "%s", name);
		return 0;
	}
	error = look_at(folder, name, &look);
	if (!error)
		entry_set(entry, name, &look);
	if (!error && ret && look.sealed) {
		*ret = look.sealed;
		look.sealed = NULL;
	} else if (!error && ret) {
		*why = look.why;
		look.why = NULL;
		error = -EBADMSG;
	}
	look_fini(&look);
	return error;
}

/* --- listing --- */

struct names {
	char **names;
	size_t n;
};

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->names[i]);
	free(names->names);
}

static void names_add(struct names *names, char *name)
{
	names->names = xrealloc(names->names, (names->n + 1) * sizeof(char *));
	names->names[names->n++] = name;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_time(const void *a, const void *b)
{
	const char *one = *(char *const *)a, *two = *(char *const *)b;

	return strcmp(one + strlen(one) - (TIME_BYTES - 1), two + strlen(two) - (TIME_BYTES - 1));
}

/* The names of all versions, unsorted. */
static struct names list_versions(const struct config_folder *folder)
{
	char *path = config_beside(folder->file, PREVIOUS);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct names names = { 0 };

	free(path);
	// NOLINTNEXTLINE(concurrency-mt-unsafe): of a folder that nobody else has
	while (dir && (entry = readdir(dir))) {
		char *name = xasprintf(PREVIOUS "/%s", entry->d_name);

		if (kind_of(folder, name) == KIND_VERSION)
			names_add(&names, name);
		else
			free(name);
	}
	if (dir)
		(void)closedir(dir);
	return names;
}

static struct names list_cameras(const struct config_folder *folder)
{
	struct names names = { 0 };
	int error = config_files_list(folder->file, &names.names, &names.n);

	errno = -error;
	if (error)
		log_error(&folder->log, "the folder " CONFIG_CAMERAS " cannot be read: %m");
	return names;
}

int config_folder_list(
	struct config_folder *folder, const char *name, struct config_folder_entry **ret, size_t *n)
{
	enum kind kind = kind_of(folder, name);
	struct names names = { 0 };

	if (!is_collection(kind))
		return kind == KIND_NONE ? -ENOENT : -ENOTDIR;
	if (kind == KIND_ROOT) {
		names_add(&names, xstrdup(CONFIG_CAMERAS));
		names_add(&names, xstrdup(folder->main));
		names_add(&names, xstrdup(PREVIOUS));
	} else {
		names = kind == KIND_CAMERAS ? list_cameras(folder) : list_versions(folder);
	}
	if (names.n) // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
		qsort(names.names, names.n, sizeof(char *), by_name);
	*ret = xcalloc(names.n + 1, sizeof(**ret));
	*n = 0;
	for (size_t i = 0; i < names.n; i++) {
		if (config_folder_find(folder, names.names[i], &(*ret)[*n], NULL, NULL) == 0)
			(*n)++;
	}
	names_free(&names);
	return 0;
}

/* --- what was --- */

/* The oldest go when there are too many, but not the one that was just made, whatever the clock said. */
static void prune(const struct config_folder *folder, const char *newest)
{
	struct names names = list_versions(folder);
	size_t left = names.n;

	if (names.n) // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
		qsort(names.names, names.n, sizeof(char *), by_time);
	for (size_t i = 0; left > CONFIG_PREVIOUS; i++) {
		char *path = config_beside(folder->file, names.names[i]);

		if (strcmp(names.names[i], newest) != 0) {
			(void)unlink(path);
			left--;
		}
		free(path);
	}
	names_free(&names);
}

static char *version_name(const char *name, int64_t at_us)
{
	time_t seconds = (time_t)(at_us / 1000000);
	char *version, *slash;
	struct tm tm;

	if (!gmtime_r(&seconds, &tm))
		memset(&tm, 0, sizeof(tm));
	version = xasprintf(PREVIOUS "/%s.%04d-%02d-%02dT%02d-%02d-%02d.%03dZ", name,
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		(int)(at_us / 1000 % 1000));
	slash = strchr(version + strlen(PREVIOUS "/"), '/');
	if (slash)
		*slash = '.';
	return version;
}

static int make_folder(const struct config_folder *folder, const char *name)
{
	char *path = config_beside(folder->file, name);
	int error = mkdir(path, FOLDER_MODE) < 0 && errno != EEXIST ? -errno : 0;

	free(path);
	return error;
}

/* Keeps what is there; what cannot be sealed as it is. */
static int keep(const struct config_folder *folder, const char *name, const struct look *look,
	int64_t now_us)
{
	const char *text = look->sealed ? look->sealed : look->text;
	size_t n = look->sealed ? look->sealed_bytes : look->bytes;
	int error = make_folder(folder, PREVIOUS);
	char *version = NULL, *path;

	do {
		free(version);
		version = version_name(name, now_us);
		path = config_beside(folder->file, version);
		if (!error || error == -EEXIST)
			error = file_write(path, text, n, NULL, false);
		free(path);
		now_us += 1000;
	} while (error == -EEXIST);
	if (!error)
		prune(folder, version);
	free(version);
	return error;
}

/* --- changing --- */

/* Whether the target is what it has to be. `look` is NULL when nothing is there. */
static int check_target(const struct config_folder *folder,
	const struct config_folder_change *change, const struct look *look, char **why)
{
	enum kind kind = kind_of(folder, change->name);
	char *path = config_beside(folder->file, change->name);
	struct config_folder_entry entry;
	struct stat st;
	bool is_link = lstat(path, &st) == 0 && !S_ISREG(st.st_mode);

	free(path);
	if (kind == KIND_MAIN ? !change->text : kind != KIND_CAMERA)
		return kind == KIND_NONE ? -EINVAL : -ENOTSUP;
	if (is_link) {
		*why = xasprintf(
			"%s: is not a regular file: change what it leads to\n", change->name);
		return -EBADMSG;
	}
	if (!look)
		return change->etag && *change->etag ? -ESTALE : change->text ? 0 : -ENOENT;
	if (change->etag && !*change->etag)
		return -EEXIST;
	entry_set(&entry, change->name, look);
	if (change->etag && strcmp(change->etag, entry.etag) != 0)
		return -ESTALE;
	if (change->text && !change->bytes && look->bytes) {
		*why = xasprintf("%s: would be empty: delete it instead\n", change->name);
		return -EBADMSG;
	}
	return 0;
}

/* The configuration as it will be with that text; NULL and *why. */
static struct config *parse_with(const struct config_folder *folder, const char *name,
	const char *text, size_t n, char **why)
{
	struct config_files *files = config_files_read(folder->file, why);
	struct config *config = NULL;

	if (files) {
		config_files_set(files, name, text, n);
		config = config_files_parse(files, "", why);
	}
	config_files_free(files);
	return accept_config(folder, config, why);
}

static int write_it(const struct config_folder *folder, const struct config_folder_change *change,
	const struct look *look, const char *sealed, size_t n)
{
	bool is_same = look && sealed && look->bytes == n && !memcmp(look->text, sealed, n);
	char *path = config_beside(folder->file, change->name);
	int error = look && !is_same ? keep(folder, change->name, look, change->now_us) : 0;

	if (!error && sealed && kind_of(folder, change->name) == KIND_CAMERA)
		error = make_folder(folder, CONFIG_CAMERAS);
	if (!error && !is_same)
		error = sealed ? file_write(path, sealed, n, look ? &look->st : NULL, true)
			       : file_remove(path);
	free(path);
	if (!error || error == -ENOSPC)
		return error;
	errno = -error;
	log_error(&folder->log, "%s cannot be written: %m", change->name);
	return -EIO;
}

/* With `look` at what is there, or NULL. */
static int change_it(struct config_folder *folder, const struct config_folder_change *change,
	const struct look *look, struct config **ret, struct config_folder_entry *entry, char **why)
{
	int error = check_target(folder, change, look, why);
	struct config *config = NULL;
	char *sealed = NULL;
	size_t n = 0;

	if (error)
		return error;
	config = parse_with(folder, change->name, change->text, change->bytes, why);
	if (config && change->text) {
		sealed = seal(folder, change->name, change->text, change->bytes, &n, why);
		config_free(config);
		config = sealed ? parse_with(folder, change->name, sealed, n, why) : NULL;
	}
	error = config ? write_it(folder, change, look, sealed, n) : -EBADMSG;
	if (error) {
		config_free(config);
	} else {
		config_set_written(config);
		folder->has_users = !TAILQ_EMPTY(&config->users);
		*ret = config;
	}
	*entry = (struct config_folder_entry){ .bytes = n, .modified_us = change->now_us };
	(void)snprintf(entry->name, sizeof(entry->name), "%s", change->name);
	if (sealed && n == change->bytes && !memcmp(sealed, change->text, n))
		config_folder_write_etag(entry->etag, sealed, n);
	free(sealed);
	return error;
}

int config_folder_change(struct config_folder *folder, const struct config_folder_change *change,
	struct config **ret, bool *created, struct config_folder_entry *entry, char **why)
{
	enum kind kind = kind_of(folder, change->name);
	bool is_file = kind == KIND_MAIN || kind == KIND_CAMERA;
	struct look look = { 0 };
	int error = is_file ? look_at(folder, change->name, &look) : -ENOENT;

	*created = error == -ENOENT;
	if (!error || error == -ENOENT)
		error = change_it(folder, change, error ? NULL : &look, ret, entry, why);
	look_fini(&look);
	return error;
}
