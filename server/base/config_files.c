/* The files of a configuration: read, replaced in memory, and understood as one. */
#include "server/base/config_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/config_private.h"
#include "server/base/file.h"
#include "server/base/memory.h"
#include "server/base/vault.h"

#define CAMERAS_PREFIX CONFIG_CAMERAS "/"
#define SUFFIX ".yaml"

/* --- names --- */

static bool has_suffix(const char *name)
{
	size_t n = strlen(name);

	return n > strlen(SUFFIX) && *name != '.' && !strcmp(name + n - strlen(SUFFIX), SUFFIX);
}

/* "porch" of "cameras/porch.yaml", which the caller frees; NULL of another file. */
static char *camera_of(const char *name)
{
	if (strncmp(name, CAMERAS_PREFIX, strlen(CAMERAS_PREFIX)) != 0)
		return NULL;
	name += strlen(CAMERAS_PREFIX);
	return has_suffix(name) && !strchr(name, '/')
		       ? xstrndup(name, strlen(name) - strlen(SUFFIX))
		       : NULL;
}

bool config_is_camera_file(const char *name)
{
	char *camera = camera_of(name);
	bool is = camera && !config_check_camera_name(camera);

	free(camera);
	return is;
}

/* --- the list --- */

static struct config_file *file_new(const char *name, char *text, size_t n)
{
	struct config_file *file = xcalloc(1, sizeof(*file));

	file->name = xstrdup(name);
	file->text = text;
	file->bytes = n;
	return file;
}

/* Takes it out of the list. */
static void file_free(struct config_files *files, struct config_file *file)
{
	TAILQ_REMOVE(&files->list, file, entry);
	files->bytes -= file->bytes;
	explicit_bzero(file->text, file->bytes);
	free(file->text);
	free(file->name);
	free(file);
}

static struct config_files *files_new(const char *file)
{
	struct config_files *files = xcalloc(1, sizeof(*files));

	files->file = xstrdup(file);
	TAILQ_INIT(&files->list);
	return files;
}

void config_files_free(struct config_files *files)
{
	struct config_file *file;

	if (!files)
		return;
	while ((file = TAILQ_FIRST(&files->list)))
		file_free(files, file);
	free(files->file);
	free(files);
}

void config_files_set(struct config_files *files, const char *name, const char *text, size_t n)
{
	struct config_file *file, *at, *new = NULL;

	if (text) {
		char *copy = xmalloc(n + 1);

		memcpy(copy, text, n);
		copy[n] = '\0';
		new = file_new(name, copy, n);
	}
	TAILQ_FOREACH (file, &files->list, entry) {
		if (!strcmp(file->name, name))
			break;
	}
	if (file && new)
		TAILQ_INSERT_BEFORE(file, new, entry);
	if (new)
		files->bytes += n;
	if (file)
		file_free(files, file);
	if (file || !new)
		return;
	at = TAILQ_FIRST(&files->list); /* the configuration's own stays first */
	while (at && TAILQ_NEXT(at, entry) && strcmp(TAILQ_NEXT(at, entry)->name, name) < 0)
		at = TAILQ_NEXT(at, entry);
	if (at)
		TAILQ_INSERT_AFTER(&files->list, at, new, entry);
	else
		TAILQ_INSERT_HEAD(&files->list, new, entry);
}

/* --- reading --- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int config_files_list(const char *file, char ***ret, size_t *n)
{
	char *path = config_beside(file, CONFIG_CAMERAS);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	free(path);
	*ret = NULL;
	*n = 0;
	if (!folder)
		return errno == ENOENT ? 0 : -errno;
	// NOLINTNEXTLINE(concurrency-mt-unsafe): of a folder that nobody else has
	while ((entry = readdir(folder))) {
		if (!has_suffix(entry->d_name))
			continue;
		if ((*n & (*n - 1)) == 0) /* a power of two: it is full */
			*ret = xrealloc(*ret, (*n ? 2 * *n : 1) * sizeof(char *));
		(*ret)[(*n)++] = xasprintf(CAMERAS_PREFIX "%s", entry->d_name);
	}
	(void)closedir(folder);
	if (*n) // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
		qsort(*ret, *n, sizeof(char *), by_name);
	return 0;
}

/* Reads one; false with a message. */
static bool files_add(
	struct config_files *files, const char *path, const char *name, int flags, char **errors)
{
	char *why = NULL;
	size_t n = 0;
	char *text = file_read(path, CONFIG_FILE_BYTES, flags, NULL, &n, &why);
	struct config_file *file = text ? file_new(name, text, n) : NULL;

	if (file) {
		TAILQ_INSERT_TAIL(&files->list, file, entry);
		files->bytes += n;
	} else {
		*errors = xasprintf("%s: %s\n", path, why);
	}
	free(why);
	return file;
}

static bool files_add_cameras(struct config_files *files, char **errors)
{
	char **names;
	size_t n;
	int error = config_files_list(files->file, &names, &n);
	bool ok = !error;

	if (error) {
		errno = -error;
		*errors =
			xasprintf("%s: the folder " CONFIG_CAMERAS " beside it: %m\n", files->file);
	}
	for (size_t i = 0; i < n; i++) {
		char *path = config_beside(files->file, names[i]);

		/* what is too much is said by parse() */
		if (ok && files->bytes <= CONFIG_FILES_BYTES)
			ok = files_add(files, path, names[i], O_NOFOLLOW, errors);
		free(path);
		free(names[i]);
	}
	free(names);
	return ok;
}

struct config_files *config_files_read(const char *file, char **errors)
{
	struct config_files *files = files_new(file);
	const char *slash = strrchr(file, '/');

	if (files_add(files, file, slash ? slash + 1 : file, 0, errors) &&
		files_add_cameras(files, errors))
		return files;
	config_files_free(files);
	return NULL;
}

/* --- understanding --- */

/* Returns the root, which the caller frees; NULL with messages, or of an empty file of a camera. */
static struct config_node *read_file(
	struct config_loading *l, const struct config_file *file, const char *folder)
{
	char *camera = camera_of(file->name);
	char *shown = xasprintf("%s%s", folder, file->name);
	const char *before = l->errors->file;
	struct config_node *root = NULL;

	l->errors->file = shown;
	if (!camera || file->bytes > 0)
		root = config_node_parse(file->text, file->bytes, l->errors);
	if (root && camera)
		config_read_camera(l, camera, root);
	else if (root)
		config_read(l, root);
	l->errors->file = before;
	free(shown);
	free(camera);
	return root;
}

static struct config *parse(
	const struct config_files *files, const char *folder, bool may_resolve, char **errors)
{
	const struct config_file *file = TAILQ_FIRST(&files->list);
	char *shown = xasprintf("%s%s", folder, file->name);
	struct config_errors found = { .file = shown };
	struct config_loading l = {
		.config = config_new(files->file), .errors = &found, .may_resolve = may_resolve
	};
	struct config_node *root = NULL;

	if (files->bytes > CONFIG_FILES_BYTES)
		config_fail(&found, 0, NULL, "with the files of cameras larger than %d bytes",
			CONFIG_FILES_BYTES);
	else
		root = read_file(&l, file, folder);
	while (root && (file = TAILQ_NEXT(file, entry)))
		config_node_free(read_file(&l, file, folder));
	if (root)
		config_read_end(&l, root);
	config_node_free(root);
	vault_free(l.opened);
	free(shown);
	if (found.count == 0)
		return l.config;
	config_free(l.config);
	*errors = found.text;
	return NULL;
}

struct config *config_files_parse(
	const struct config_files *files, const char *folder, char **errors)
{
	return parse(files, folder, true, errors);
}

struct config *config_parse_text(
	const char *file, const char *text, size_t n, bool may_resolve, char **errors)
{
	struct config_files *files = files_new(file);
	struct config *config;

	config_files_set(files, file, text, n);
	config = parse(files, "", may_resolve, errors);
	config_files_free(files);
	return config;
}

struct config *config_parse(const char *file, const char *text, size_t n, char **errors)
{
	return config_parse_text(file, text, n, true, errors);
}

struct config *config_load(const char *file, char **errors)
{
	struct config_files *files = config_files_read(file, errors);
	char *folder = config_beside(file, "");
	struct config *config = files ? config_files_parse(files, folder, errors) : NULL;

	if (config)
		config_set_written(config);
	config_files_free(files);
	free(folder);
	return config;
}

/* --- without its secrets --- */

struct sealing {
	const struct vault *vault;
	const char *text;
	size_t text_bytes;
	size_t at; /* so much of it is in `out` */
	char *out;
	size_t bytes, size;
};

static void sealing_add(struct sealing *s, const char *p, size_t n)
{
	if (n == 0)
		return;
	if (s->bytes + n > s->size) {
		s->size = 2 * s->size + n;
		s->out = xrealloc(s->out, s->size);
	}
	memcpy(s->out + s->bytes, p, n);
	s->bytes += n;
}

/* What is read from elsewhere, or sealed already, stays; and so does what is known not to be secret. */
static bool is_to_be_sealed(const struct config_node *node)
{
	const struct config_option *option = node->option;

	if (node->kind != NODE_SCALAR || config_node_is_empty(node))
		return false;
	if (node->tag && (!strcmp(node->tag, "!env") || !strcmp(node->tag, "!file")))
		return false;
	if (node->tag && !strcmp(node->tag, "!vault"))
		return !vault_is_sealed(node->value);
	if (!option)
		return true;
	return option->type == OPTION_SECRET &&
	       (!config_node_is_untagged(node) || config_is_secret(option, node->value));
}

/* A block may begin in the column of its key, with nothing before it in its line; another scalar may not. */
static bool needs_blank(const struct sealing *s, const struct config_node *node)
{
	size_t at = node->begin;

	if (!strchr("|>", s->text[at]))
		return false;
	while (at > 0 && s->text[at - 1] == ' ')
		at--;
	return at == 0 || strchr("\r\n", s->text[at - 1]);
}

static void seal_node(struct sealing *s, const struct config_node *node)
{
	static const char tag[] = "!vault ";
	const struct config_node *child;

	if (is_to_be_sealed(node)) {
		char *value = vault_seal(s->vault, node->option ? node->option->key : "",
			node->value, node->value_bytes);

		sealing_add(s, s->text + s->at, node->begin - s->at);
		sealing_add(s, " ", needs_blank(s, node));
		sealing_add(s, tag, strlen(tag));
		sealing_add(s, value, strlen(value));
		s->at = node->end;
		if (s->at < s->text_bytes)
			sealing_add(s, " ", s->text[s->at] == '#'); /* right behind quotes */
		free(value);
	}
	TAILQ_FOREACH (child, &node->children, entry)
		seal_node(s, child);
}

char *config_seal(const struct vault *vault, const char *name, const char *text, size_t n,
	size_t *ret_bytes, char **errors)
{
	struct sealing s = { .vault = vault, .text = text, .text_bytes = n };
	struct config_errors found = { .file = name }, ignored = { .file = name };
	struct config_node *root = config_node_parse(text, n, &found);
	struct config_loading l = {
		.config = config_new(name), .errors = &ignored, .vault = vault
	};
	char *camera = camera_of(name);

	if (root && camera)
		config_read_camera(&l, camera, root);
	else if (root)
		config_read(&l, root);
	if (root) {
		seal_node(&s, root);
		sealing_add(&s, text + s.at, n - s.at);
		sealing_add(&s, "", 1);
		*ret_bytes = s.bytes - 1;
	} else {
		*errors = found.text;
	}
	free(camera);
	free(ignored.text);
	config_free(l.config);
	config_node_free(root);
	return s.out;
}
