/*
 * Walks the YAML tree along the table of options, collects what is wrong with file and line, and
 * checks what the rows cannot: names and references.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/base/config_private.h"
#include "server/base/file.h"
#include "server/base/memory.h"
#include "server/base/network.h"
#include "server/base/tls.h"
#include "server/base/vault.h"

#define DEVICES "onvif.devices"

enum {
	PATH_BYTES = 3 * CONFIG_SHOWN_BYTES
};

/* The path of a child for messages. */
static const char *join(char ret[PATH_BYTES], const char *path, const char *key)
{
	char shown[CONFIG_SHOWN_BYTES];

	if (snprintf(ret, PATH_BYTES, "%s%s%s", path, *path ? "." : "", config_show(shown, key)) <
		0)
		ret[0] = '\0'; /* a longer one is cut: it is only shown */
	return ret;
}

char *config_beside(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');
	int folder_bytes = name[0] == '/' || !slash ? 0 : (int)(slash + 1 - file);

	return xasprintf("%.*s%s", folder_bytes, file, name);
}

/* The content of a !file, which stands beside the configuration. */
static char *resolve_file(
	struct config_loading *l, const struct config_node *node, const char *path)
{
	char *name = config_beside(l->config->file, node->value);
	char shown[CONFIG_SHOWN_BYTES];
	char *why = NULL;
	size_t n = 0;
	char *text = file_read(name, CONFIG_VALUE_BYTES, 0, NULL, &n, &why);

	if (!why && strlen(text) != n)
		why = xstrdup("holds a NUL");
	if (!why && vault_is_key(text))
		why = xstrdup("is the key of a vault");
	if (why) {
		config_fail(l->errors, node->line, path, "the file %s %s",
			config_show(shown, node->value), why);
		memory_free_secret(text);
		text = NULL;
	} else if (n > 0 && text[n - 1] == '\n') {
		text[n - 1] = '\0';
		if (n > 1 && text[n - 2] == '\r')
			text[n - 2] = '\0';
	}
	free(why);
	free(name);
	return text;
}

static char *resolve_env(struct config_loading *l, const struct config_node *node, const char *path)
{
	char shown[CONFIG_SHOWN_BYTES];
	/* Nothing in the process changes the environment. */
	const char *value = getenv(node->value); // NOLINT(concurrency-mt-unsafe)

	if (value)
		return xstrdup(value);
	config_fail(l->errors, node->line, path, "the environment variable %s is not set",
		config_show(shown, node->value));
	return NULL;
}

/* The vault of the configuration's folder; NULL with a message. */
static const struct vault *find_vault(
	struct config_loading *l, const struct config_node *node, const char *path)
{
	char *file, *why = NULL;

	if (l->vault)
		return l->vault;
	file = config_beside(l->config->file, CONFIG_KEY_FILE);
	l->opened = vault_open(file, false, &why);
	l->vault = l->opened;
	if (!l->vault)
		config_fail(l->errors, node->line, path, "the key %s %s", file, why);
	free(why);
	free(file);
	return l->vault;
}

static char *resolve_vault(struct config_loading *l, const struct config_option *option,
	const struct config_node *node, const char *path)
{
	const struct vault *vault;
	const char *why = NULL;
	char *secret;
	size_t n;

	if (option->type != OPTION_SECRET) { /* others are shown */
		config_fail(l->errors, node->line, path, "!vault is for secrets only");
		return NULL;
	}
	vault = find_vault(l, node, path);
	if (!vault)
		return NULL;
	secret = vault_unseal(vault, option->key, node->value, &n, &why);
	if (secret && strlen(secret) == n)
		return secret;
	config_fail(l->errors, node->line, path, "the !vault value %s", why ? why : "holds a NUL");
	memory_free_secret(secret);
	return NULL;
}

bool config_node_is_untagged(const struct config_node *node)
{
	return !node->tag || strcmp(node->tag, "!") == 0 ||
	       strcmp(node->tag, "tag:yaml.org,2002:str") == 0;
}

/* The text of a scalar, with its tag followed; the caller frees it. NULL with a message. */
static char *resolve(struct config_loading *l, const struct config_option *option,
	const struct config_node *node, const char *path)
{
	char shown[CONFIG_SHOWN_BYTES];
	bool is_env, is_vault;

	if (config_node_is_untagged(node))
		return xstrdup(node->value);
	is_env = strcmp(node->tag, "!env") == 0;
	is_vault = strcmp(node->tag, "!vault") == 0;
	if (!is_env && !is_vault && strcmp(node->tag, "!file") != 0)
		config_fail(l->errors, node->line, path,
			"unknown tag %s (only !env, !file and !vault)",
			config_show(shown, node->tag));
	else if (!l->may_resolve && !(is_vault && l->vault))
		config_fail(l->errors, node->line, path, "%s is not allowed here", node->tag);
	else if (is_vault)
		return resolve_vault(l, option, node, path);
	else
		return is_env ? resolve_env(l, node, path) : resolve_file(l, node, path);
	return NULL;
}

bool config_node_is_empty(const struct config_node *node)
{
	return node->kind == NODE_SCALAR && node->plain && !node->tag &&
	       (!*node->value || strcmp(node->value, "~") == 0 || strcmp(node->value, "null") == 0);
}

/* A section: a mapping, or nothing at all when everything in it is commented out. */
static bool check_map(struct config_loading *l, const struct config_node *node, const char *path)
{
	if (node->kind == NODE_MAP && config_node_is_untagged(node))
		return true;
	if (!config_node_is_empty(node))
		config_fail(l->errors, node->line, path, "expected 'key: value' lines below it");
	return false;
}

static int by_key_and_line(const void *a, const void *b)
{
	const struct config_node *one = *(const struct config_node *const *)a;
	const struct config_node *two = *(const struct config_node *const *)b;
	int order = strcmp(one->key, two->key);

	return order ? order : (one->line > two->line) - (one->line < two->line);
}

/* Sorts, because a hostile file may hold tens of thousands of keys. */
static void check_duplicates(
	struct config_loading *l, const struct config_node *map, const char *path)
{
	const struct config_node **sorted;
	const struct config_node *child;
	char shown[PATH_BYTES];
	size_t count = 0;

	TAILQ_FOREACH (child, &map->children, entry)
		count++;
	// NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
	sorted = xcalloc(count + 1, sizeof(*sorted));
	count = 0;
	TAILQ_FOREACH (child, &map->children, entry)
		sorted[count++] = child;
	// NOLINTNEXTLINE(bugprone-sizeof-expression)
	qsort(sorted, count, sizeof(*sorted), by_key_and_line);
	for (size_t i = 1; i < count; i++) {
		if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
			config_fail(l->errors, sorted[i]->line, join(shown, path, sorted[i]->key),
				"is given twice, first in line %d", sorted[i - 1]->line);
	}
	free(sorted);
}

/*
 * What may have been meant by an unknown key: an option or a section of the same section, else an option
 * of another, by its whole name. In buf or static; NULL when nothing is near.
 */
static const char *suggest(const char *prefix, const char *key, char buf[CONFIG_KEY_BYTES])
{
	const char *elsewhere = NULL;

	for (const struct config_option *o = config_options; o->key; o++) {
		if (config_option_has_prefix(o, prefix)) {
			const char *name = o->key + strlen(prefix);

			(void)snprintf(
				buf, CONFIG_KEY_BYTES, "%.*s", (int)strcspn(name, "."), name);
			if (config_is_near(key, buf))
				return buf;
		}
		if (!elsewhere && !strchr(o->key, '*') &&
			config_is_near(key, strchr(o->key, '.') + 1))
			elsewhere = o->key;
	}
	return elsewhere;
}

static void fail_unknown(struct config_loading *l, const struct config_node *node, const char *path,
	const char *meant)
{
	if (meant)
		config_fail(l->errors, node->line, path, "unknown key (did you mean %s?)", meant);
	else
		config_fail(l->errors, node->line, path, "unknown key");
}

/* One name of a list, which is checked by the option. NULL: it is wrong, and that was said. */
static char *read_name(struct config_loading *l, const struct config_option *option,
	struct config_node *item, const char *path)
{
	char shown[CONFIG_SHOWN_BYTES];
	const char *why;

	item->option = option;
	if (item->kind != NODE_SCALAR || !config_node_is_untagged(item)) {
		config_fail(l->errors, item->line, path, "expected names only");
		return NULL;
	}
	why = option->check ? option->check(item->value) : NULL;
	if (!why)
		return xstrdup(item->value);
	config_fail(l->errors, item->line, path, "\"%s\" %s", config_show(shown, item->value), why);
	return NULL;
}

/* A list of names into its field. */
static void read_names(struct config_loading *l, const struct config_option *option, void *object,
	struct config_node *node, const char *path)
{
	char ***field = (char ***)(void *)((char *)object + option->offset);
	struct config_node *item;
	size_t count = 0;

	TAILQ_FOREACH (item, &node->children, entry)
		count++;
	char **names = xcalloc(count + 1, sizeof(*names));
	count = 0;
	TAILQ_FOREACH (item, &node->children, entry) {
		char *name = read_name(l, option, item, path);

		if (name)
			names[count++] = name;
	}
	*field = names;
}

/* Cameras take passwords before an '@', or as parameters of the path; av: takes them anywhere but in a file's name. */
bool config_is_secret(const struct config_option *option, const char *text)
{
	static const char *const networks[] = { "rtsp:", "rtsps:", "rtsp+http:", "rtsp+https:",
		"onvif:", "onvif+https:", "http:", "https:" };

	if (strncmp(option->key, "cameras.", strlen("cameras.")) != 0)
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(networks); i++) {
		if (strncasecmp(text, networks[i], strlen(networks[i])) == 0)
			return strpbrk(text, "@=") != NULL;
	}
	return strncasecmp(text, "av:/", strlen("av:/")) != 0 && strcmp(text, "test:") != 0 &&
	       strcmp(text, CONFIG_SOURCE_UPLOAD) != 0 && strcmp(text, CONFIG_SOURCE_PUBLISH) != 0;
}

static void read_option(struct config_loading *l, const struct config_option *option, void *object,
	struct config_node *node, const char *path)
{
	char buf[CONFIG_WHY_BYTES];
	bool is_written = config_node_is_untagged(node); /* else it may come from anywhere */
	char *text;

	node->option = option;

	if (option->type == OPTION_NAMES && node->kind == NODE_LIST) {
		read_names(l, option, object, node, path);
		return;
	}
	if (node->kind != NODE_SCALAR) {
		config_fail(l->errors, node->line, path, "expected one value");
		return;
	}
	if (config_node_is_empty(node)) {
		config_fail(l->errors, node->line, path, "the value is missing");
		return;
	}
	text = resolve(l, option, node, path);
	if (!text)
		return;
	const char *why = config_option_set(option, object, text, is_written, buf);
	if (why)
		config_fail(l->errors, node->line, path, "%s", why);
	if (option->type == OPTION_SECRET && is_written && config_is_secret(option, text))
		l->config->has_secrets = true;
	memory_free_secret(text);
}

/* Of a section's own options; those below it are asked for where they begin. */
static void check_required(struct config_loading *l, const char *prefix,
	const struct config_node *node, const char *path)
{
	char shown[PATH_BYTES];

	for (const struct config_option *o = config_options; o->key; o++) {
		if (!o->required || !config_option_has_prefix(o, prefix) ||
			strchr(o->key + strlen(prefix), '.'))
			continue;
		if (!config_node_find(node, o->key + strlen(prefix)))
			config_fail(l->errors, node->line,
				join(shown, path, o->key + strlen(prefix)), "must be given");
	}
}

/* Whether there is a section of that name below a section: rows `prefix`name.*; its prefix in ret. */
static bool find_subsection(char ret[CONFIG_KEY_BYTES], const char *prefix, const char *name)
{
	if (strpbrk(name, "*[") ||
		snprintf(ret, CONFIG_KEY_BYTES, "%s%s.", prefix, name) >= CONFIG_KEY_BYTES)
		return false;
	for (const struct config_option *o = config_options; o->key; o++) {
		if (config_option_has_prefix(o, ret))
			return true;
	}
	return false;
}

static void read_options(struct config_loading *l, const char *prefix, void *object,
	struct config_node *map, const char *path);

static void *add_volume(struct config_loading *l, void *object, int line)
{
	(void)object;
	return config_add_volume(l->config, line);
}

static void *add_app_password(struct config_loading *l, void *object, int line)
{
	(void)l;
	return config_add_app_password(object, line);
}

/* Options that are lists of mappings. */
static const struct list {
	const char *key;
	const char *prefix; /* of the rows of what is in them */
	size_t limit;
	const char *items, *example;
	void *(*add)(struct config_loading *l, void *object, int line);
} lists[] = {
	{"storage.volumes",        "storage.volumes[].",       CONFIG_VOLUMES,     "volumes",
         "[{path: /mnt/warm, keep: 90d}]",                    add_volume      },
	{ "users.*.app_passwords", "users.*.app_passwords[].", AUTH_APP_PASSWORDS, "passwords",
         "[{name: phone, password: \"...\", scope: [live]}]", add_app_password},
};

static const struct list *find_list(const char *prefix, const char *name)
{
	size_t n = strlen(prefix);

	for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
		if (strncmp(lists[i].key, prefix, n) == 0 && strcmp(lists[i].key + n, name) == 0)
			return &lists[i];
	}
	return NULL;
}

static void read_list(struct config_loading *l, const struct list *list, void *object,
	struct config_node *node, const char *path)
{
	struct config_node *item;
	size_t n = 0;

	if (node->kind != NODE_LIST) {
		if (!config_node_is_empty(node))
			config_fail(l->errors, node->line, path, "expected a list such as %s",
				list->example);
		return;
	}
	TAILQ_FOREACH (item, &node->children, entry) {
		if (++n > list->limit) {
			config_fail(l->errors, item->line, path, "has more than %zu %s",
				list->limit, list->items);
			return;
		}
		if (check_map(l, item, path)) {
			read_options(l, list->prefix, list->add(l, object, item->line), item, path);
			check_required(l, list->prefix, item, path);
		}
	}
}

/* onvif.devices: an address for each camera. */
static void read_devices(struct config_loading *l, struct config_node *map, const char *path)
{
	const struct config_option *option = config_options;
	struct config_node *child;
	char shown[PATH_BYTES];
	size_t n = 0;

	while (strcmp(option->key, DEVICES ".*") != 0)
		option++;
	if (!check_map(l, map, path))
		return;
	check_duplicates(l, map, path);
	TAILQ_FOREACH (child, &map->children, entry) {
		if (++n > CONFIG_DEVICES) {
			config_fail(l->errors, child->line, path, "has more than %d devices",
				CONFIG_DEVICES);
			return;
		}
		read_option(l, option, config_add_device(l->config, child->key, child->line), child,
			join(shown, path, child->key));
	}
}

/* Reads a mapping's options, the rows `prefix`*, into object. */
static void read_options(struct config_loading *l, const char *prefix, void *object,
	struct config_node *map, const char *path)
{
	struct config_node *child;
	char shown[PATH_BYTES], below[CONFIG_KEY_BYTES], meant[CONFIG_KEY_BYTES];

	check_duplicates(l, map, path);
	TAILQ_FOREACH (child, &map->children, entry) {
		/* a dot in a key of the table stands between a section and what is in it */
		const struct config_option *option =
			strchr(child->key, '.') ? NULL : config_option_find(prefix, child->key);
		const struct list *list = find_list(prefix, child->key);

		join(shown, path, child->key);
		if (list) {
			read_list(l, list, object, child, shown);
		} else if (strcmp(shown, DEVICES) == 0) {
			read_devices(l, child, shown);
		} else if (option) {
			read_option(l, option, object, child, shown);
		} else if (!find_subsection(below, prefix, child->key)) {
			fail_unknown(l, child, shown, suggest(prefix, child->key, meant));
		} else if (check_map(l, child, shown)) {
			read_options(l, below, object, child, shown);
			check_required(l, below, child, shown);
		}
	}
}

/* Sections of which the keys are names that a person chose. */
static const struct collection {
	const char *section;
	const char *prefix;
	const char *(*check_name)(const char *name);
	void *(*new)(struct config *config, const char *name, int line);
} collections[] = {
	{"users",    "users.*.",   config_check_user_name,   config_add_user  },
	{ "cameras", "cameras.*.", config_check_camera_name, config_add_camera},
};

static void read_member(struct config_loading *l, const struct collection *c, const char *name,
	struct config_node *node)
{
	const char *why = c->check_name(name);
	char path[PATH_BYTES];

	join(path, c->section, name);
	if (why)
		config_fail(l->errors, node->line, path, "%s", why);
	void *object = c->new (l->config, name, node->line);
	if (check_map(l, node, path))
		read_options(l, c->prefix, object, node, path);
	check_required(l, c->prefix, node, path);
}

static void read_collection(
	struct config_loading *l, const struct collection *c, struct config_node *map)
{
	struct config_node *child;

	check_duplicates(l, map, c->section);
	TAILQ_FOREACH (child, &map->children, entry)
		read_member(l, c, child->key, child);
}

/* A listener that a given section leaves out is off. */
static void switch_off_listeners(struct config *config)
{
	char buf[CONFIG_WHY_BYTES];

	for (const struct config_option *o = config_options; o->key; o++) {
		if (o->type == OPTION_ADDRESS && config_option_has_prefix(o, "listen."))
			(void)config_option_set(o, config, "off", true, buf);
	}
}

static const struct collection *find_collection(const char *key)
{
	for (size_t i = 0; i < ARRAY_LENGTH(collections); i++) {
		if (strcmp(key, collections[i].section) == 0)
			return &collections[i];
	}
	return NULL;
}

/* The section that may have been meant by key, or the section itself; NULL when there is none. */
static const char *find_section(const char *key, bool *is_exact, char buf[CONFIG_KEY_BYTES])
{
	static const char *const sections[] = { "listen", "tls", "http", "rtsp", "webrtc", "onvif",
		"storage", "log", "users", "cameras" };
	const char *near = NULL;

	for (size_t i = 0; i < ARRAY_LENGTH(sections); i++) {
		*is_exact = strcmp(key, sections[i]) == 0;
		if (*is_exact)
			return sections[i];
		if (config_is_near(key, sections[i]))
			near = sections[i];
	}
	return near ? near : suggest("-", key, buf);
}

void config_read(struct config_loading *l, struct config_node *root)
{
	struct config_node *child;

	check_duplicates(l, root, "");
	TAILQ_FOREACH (child, &root->children, entry) {
		const struct collection *collection = find_collection(child->key);
		char path[PATH_BYTES];
		char prefix[32], meant[CONFIG_KEY_BYTES];
		bool is_exact;
		const char *section = find_section(child->key, &is_exact, meant);

		join(path, "", child->key);
		if (!is_exact) {
			fail_unknown(l, child, path, section);
			continue;
		}
		if (strcmp(section, "listen") == 0)
			switch_off_listeners(l->config);
		if (!check_map(l, child, path))
			continue;
		(void)snprintf(prefix, sizeof(prefix), "%s.", section);
		if (collection)
			read_collection(l, collection, child);
		else
			read_options(l, prefix, l->config, child, path);
	}
}

void config_read_camera(struct config_loading *l, const char *name, struct config_node *root)
{
	const struct config_camera *other = config_find_camera(l->config, name);
	char path[PATH_BYTES];

	if (other)
		config_fail(l->errors, root->line, join(path, "cameras", name),
			"is given twice, first in line %d of %s", other->line,
			basename(l->config->file));
	else
		read_member(l, find_collection("cameras"), name, root);
}

/* Whether the camera is there, which a line speaks of. */
static void check_camera(struct config_loading *l, int line, const char *path, const char *name)
{
	const struct config_camera *camera;
	const char *near = NULL;
	char shown[CONFIG_SHOWN_BYTES];

	if (config_find_camera(l->config, name))
		return;
	TAILQ_FOREACH (camera, &l->config->cameras, entry) {
		if (!near && config_is_near(name, camera->name))
			near = camera->name;
	}
	config_fail(l->errors, line, path,
		near ? "there is no camera \"%s\" (did you mean %s?)"
		     : "there is no camera \"%s\"%s",
		config_show(shown, name), near ? near : "");
}

static void check_user_cameras(struct config_loading *l, const struct auth_user *user)
{
	char path[PATH_BYTES];
	char shown[CONFIG_SHOWN_BYTES];

	(void)snprintf(path, sizeof(path), "users.%s.cameras", config_show(shown, user->name));
	for (char **name = user->cameras; name && *name; name++)
		check_camera(l, user->line, path, *name);
}

/* Whether both take the same port; 0 is any. */
static bool is_same_address(const char *a, const char *b)
{
	size_t n = strlen(a);

	return b && strcmp(a, b) == 0 && !(n > 2 && strcmp(a + n - 2, ":0") == 0);
}

/* Cameras that are not there, and addresses that something else has. */
static void check_devices(struct config_loading *l)
{
	const struct config *config = l->config;
	const struct config_device *device, *other;
	char path[PATH_BYTES];

	TAILQ_FOREACH (device, &config->onvif.devices, entry) {
		(void)join(path, DEVICES, device->camera);
		check_camera(l, device->line, path, device->camera);
		if (!device->address)
			continue;
		TAILQ_FOREACH (other, &config->onvif.devices, entry) {
			if (other == device)
				break;
			if (is_same_address(device->address, other->address))
				config_fail(l->errors, device->line, path,
					"the address is given twice, first in line %d",
					other->line);
		}
		if (is_same_address(device->address, config->listen.http) ||
			is_same_address(device->address, config->listen.https))
			config_fail(l->errors, device->line, path,
				"nvrd itself listens at this address");
	}
}

/* Who is to be found needs a network to be found on. */
static void check_discoverable(struct config_loading *l, const struct config_node *root)
{
	const struct config_node *section = config_node_find(root, "onvif");

	if (section && l->config->onvif.discoverable && !l->config->onvif.discover)
		config_fail(l->errors, section->line, "onvif.discoverable",
			"needs onvif.discover, which says on which interfaces");
}

/* The words of a scope, and names that are given twice. */
static void check_app_passwords(struct config_loading *l, const struct auth_user *user)
{
	struct auth_app_password *app, *other;
	char path[PATH_BYTES], shown[CONFIG_SHOWN_BYTES];

	(void)snprintf(
		path, sizeof(path), "users.%s.app_passwords", config_show(shown, user->name));
	TAILQ_FOREACH (app, &user->app_passwords, entry) {
		if (app->scope && !app->scope[0])
			config_fail(l->errors, app->line, path, "the scope is empty");
		for (char **word = app->scope; word && *word; word++) {
			unsigned scopes = auth_scope_find(*word);

			if (!scopes)
				config_fail(l->errors, app->line, path,
					"there is no scope \"%s\": dav, dav:read, ftp, ftp:read, live, "
					"rtsp, rtsp:publish, metrics",
					config_show(shown, *word));
			app->scopes |= scopes;
		}
		other = app;
		while ((other = TAILQ_PREV(other, auth_app_passwords, entry))) {
			if (app->name && other->name && strcmp(app->name, other->name) == 0)
				config_fail(l->errors, app->line, path,
					"a name is given twice, first in line %d", other->line);
		}
	}
}

static void cut_slashes(char *path)
{
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
}

/* The same folder twice, or the first one elsewhere than first. */
static void check_volumes(struct config_loading *l)
{
	struct config_volume *volume, *other;

	cut_slashes(l->config->storage.path);
	TAILQ_FOREACH (volume, &l->config->storage.volumes, entry) {
		if (!volume->path)
			continue; /* said already */
		cut_slashes(volume->path);
		if (strcmp(volume->path, l->config->storage.path) == 0 &&
			volume != TAILQ_FIRST(&l->config->storage.volumes))
			config_fail(l->errors, volume->line, "storage.volumes",
				"storage.path must be the first volume");
		other = volume;
		while ((other = TAILQ_PREV(other, config_volumes, entry))) {
			if (other->path && strcmp(volume->path, other->path) == 0)
				config_fail(l->errors, volume->line, "storage.volumes",
					"a path is given twice, first in line %d", other->line);
		}
	}
}

/* Two cameras that send to the same ports of a group. */
static void check_groups(struct config_loading *l)
{
	struct config_camera *camera, *other;
	struct sockaddr_in a, b;
	char path[PATH_BYTES];

	TAILQ_FOREACH (camera, &l->config->cameras, entry) {
		other = camera;
		while (camera->multicast && network_group_parse(&a, camera->multicast) &&
			(other = TAILQ_PREV(other, config_cameras, entry))) {
			if (!other->multicast || !network_group_parse(&b, other->multicast) ||
				a.sin_addr.s_addr != b.sin_addr.s_addr ||
				abs(ntohs(a.sin_port) - ntohs(b.sin_port)) >= NETWORK_GROUP_PORTS)
				continue;
			(void)join(path, "cameras", camera->name);
			config_fail(l->errors, camera->line, path,
				"multicast goes to ports that %s takes, too: choose another group, or a port "
				"that is %d away",
				other->name, NETWORK_GROUP_PORTS);
		}
	}
}

/* Whether the name of a file may be shown: it is not read from somewhere else. */
static bool is_written_in(const struct config_node *section, const char *key)
{
	const struct config_node *node = config_node_find(section, key);

	return node && config_node_is_untagged(node);
}

/* Reads the certificate, so that it is known to be right. */
static void check_tls(struct config_loading *l, const struct config_node *root)
{
	const struct config_node *section = config_node_find(root, "tls");
	struct config *config = l->config;
	int line = section ? section->line : 0;
	char *why = NULL;

	if (!config->tls.certificate != !config->tls.key)
		config_fail(l->errors, line, config->tls.key ? "tls.certificate" : "tls.key",
			"must be given, too");
	if (!config->tls.certificate || !config->tls.key || !l->may_resolve)
		return;
	char *certificate = config_beside(config->file, config->tls.certificate);
	char *key = config_beside(config->file, config->tls.key);
	bool may_show = is_written_in(section, "certificate") && is_written_in(section, "key");
	config->tls.server = tls_server_load(certificate, key, &why);
	if (!config->tls.server)
		config_fail(l->errors, line, "tls", "%s",
			may_show ? why : "the certificate or its key cannot be used");
	free(why);
	free(certificate);
	free(key);
}

void config_read_end(struct config_loading *l, const struct config_node *root)
{
	const struct auth_user *user;

	check_volumes(l);
	check_groups(l);
	check_tls(l, root);
	check_devices(l);
	check_discoverable(l, root);
	TAILQ_FOREACH (user, &l->config->users, entry) {
		if (l->errors->count < CONFIG_ERRORS)
			check_user_cameras(l, user);
		if (l->errors->count < CONFIG_ERRORS)
			check_app_passwords(l, user);
	}
}
