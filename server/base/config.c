/*
 * A configuration's life: read, compared, freed; and the messages about what is wrong with it.
 */
#include "server/base/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/base/config_private.h"
#include "server/base/memory.h"
#include "server/base/tls.h"

void config_fail(struct config_errors *errors, int line, const char *path, const char *format, ...)
{
	char message[512];
	char place[16] = "";
	va_list args;

	if (++errors->count > CONFIG_ERRORS)
		return;
	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (line > 0)
		(void)snprintf(place, sizeof(place), ":%d", line);
	char *more = xasprintf("%s%s%s: %s%s%s\n", errors->text ? errors->text : "", errors->file,
		place, path ? path : "", path ? ": " : "", message);
	free(errors->text);
	errors->text = more;
}

const char *config_show(char ret[CONFIG_SHOWN_BYTES], const char *text)
{
	enum {
		SHOWN = 64
	};
	size_t n = 0;

	for (; n < SHOWN && text[n]; n++)
		ret[n] = text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?';
	(void)snprintf(ret + n, CONFIG_SHOWN_BYTES - n, "%s", text[n] ? "..." : "");
	return ret;
}

/* How many single-letter changes lead from a to b; both are at most CONFIG_SHOWN_BYTES long. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[CONFIG_SHOWN_BYTES + 1];
	size_t columns = strlen(b);

	for (size_t j = 0; j <= columns; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < columns; j++) {
			size_t change = diagonal + (a[i] != b[j]);
			size_t best = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;

			diagonal = row[j + 1];
			row[j + 1] = change < best ? change : best;
		}
	}
	return row[columns];
}

bool config_is_near(const char *given, const char *candidate)
{
	size_t n = strlen(candidate);
	size_t limit = n <= 3 ? 1 : n < 8 ? 2 : 3;

	if (strlen(given) > CONFIG_SHOWN_BYTES || n > CONFIG_SHOWN_BYTES)
		return false;
	return edit_distance(given, candidate) <= limit;
}

const char *config_check_camera_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";

	if (!*name || strspn(name, letters) != strlen(name) || strchr("_-", *name))
		return "a camera's name is made of a-z, 0-9, _ and -, and begins with a letter or digit";
	if (strlen(name) > 63)
		return "a camera's name has at most 63 letters";
	if (strcmp(name, "recordings") == 0)
		return "this name is kept for the replay of recordings";
	return NULL;
}

const char *config_check_user_name(const char *name)
{
	size_t n = strlen(name);

	if (n < 1 || n > 64)
		return "a user's name has 1 to 64 letters";
	for (size_t i = 0; i < n; i++) {
		if (name[i] < ' ' || name[i] > '~' || name[i] == ':' || name[i] == '"')
			return "a user's name is made of printable ASCII without : and \"";
	}
	return NULL;
}

struct config *config_new(const char *file)
{
	struct config *config = xcalloc(1, sizeof(*config));

	config->file = xstrdup(file);
	TAILQ_INIT(&config->users);
	TAILQ_INIT(&config->cameras);
	TAILQ_INIT(&config->storage.volumes);
	TAILQ_INIT(&config->onvif.devices);
	config_options_set_defaults("listen.", config);
	config_options_set_defaults("tls.", config);
	config_options_set_defaults("http.", config);
	config_options_set_defaults("rtsp.", config);
	config_options_set_defaults("webrtc.", config);
	config_options_set_defaults("onvif.", config);
	config_options_set_defaults("storage.", config);
	config_options_set_defaults("log.", config);
	return config;
}

void *config_add_user(struct config *config, const char *name, int line)
{
	struct auth_user *user = auth_user_new(name);

	user->line = line;
	config_options_set_defaults("users.*.", user);
	TAILQ_INSERT_TAIL(&config->users, user, entry);
	return user;
}

void *config_add_app_password(struct auth_user *user, int line)
{
	struct auth_app_password *app = auth_app_password_new(user);

	app->line = line;
	config_options_set_defaults("users.*.app_passwords[].", app);
	return app;
}

void *config_add_device(struct config *config, const char *camera, int line)
{
	struct config_device *device = xcalloc(1, sizeof(*device));

	device->camera = xstrdup(camera);
	device->line = line;
	TAILQ_INSERT_TAIL(&config->onvif.devices, device, entry);
	return device;
}

void *config_add_volume(struct config *config, int line)
{
	struct config_volume *volume = xcalloc(1, sizeof(*volume));

	volume->line = line;
	config_options_set_defaults("storage.volumes[].", volume);
	TAILQ_INSERT_TAIL(&config->storage.volumes, volume, entry);
	return volume;
}

void *config_add_camera(struct config *config, const char *name, int line)
{
	struct config_camera *camera = xcalloc(1, sizeof(*camera));

	camera->name = xstrdup(name);
	camera->line = line;
	config_options_set_defaults("cameras.*.", camera);
	TAILQ_INSERT_TAIL(&config->cameras, camera, entry);
	return camera;
}

struct config_camera *config_camera_copy(const struct config_camera *camera)
{
	struct config_camera *copy = xcalloc(1, sizeof(*copy));

	copy->name = xstrdup(camera->name);
	copy->line = camera->line;
	config_options_copy("cameras.*.", copy, camera);
	return copy;
}

void config_camera_free(struct config_camera *camera)
{
	if (!camera)
		return;
	config_options_clear("cameras.*.", camera);
	free(camera->name);
	free(camera);
}

static void free_devices(struct config *config)
{
	struct config_device *device;

	while ((device = TAILQ_FIRST(&config->onvif.devices))) {
		TAILQ_REMOVE(&config->onvif.devices, device, entry);
		free(device->camera);
		free(device->address);
		free(device);
	}
}

void config_free(struct config *config)
{
	struct auth_user *user;
	struct config_camera *camera;
	struct config_volume *volume;

	if (!config)
		return;
	while ((volume = TAILQ_FIRST(&config->storage.volumes))) {
		TAILQ_REMOVE(&config->storage.volumes, volume, entry);
		config_options_clear("storage.volumes[].", volume);
		free(volume);
	}
	free_devices(config);
	while ((user = TAILQ_FIRST(&config->users))) {
		TAILQ_REMOVE(&config->users, user, entry);
		auth_user_free(user);
	}
	while ((camera = TAILQ_FIRST(&config->cameras))) {
		TAILQ_REMOVE(&config->cameras, camera, entry);
		config_camera_free(camera);
	}
	config_options_clear("listen.", config);
	config_options_clear("tls.", config);
	config_options_clear("http.", config);
	config_options_clear("webrtc.", config);
	config_options_clear("onvif.", config);
	tls_server_free(config->tls.server);
	config_options_clear("storage.", config);
	config_options_clear("log.", config);
	free(config->file);
	free(config);
}

/* Whatever the clock says, it was not earlier than this. */
void config_set_written(struct config *config)
{
	struct auth_app_password *app;
	struct auth_user *user;
	struct stat st;

	if (stat(config->file, &st) < 0)
		return;
	TAILQ_FOREACH (user, &config->users, entry) {
		TAILQ_FOREACH (app, &user->app_passwords, entry)
			app->written_us = (int64_t)st.st_mtim.tv_sec * 1000000;
	}
}

struct config *config_demo(const char *store)
{
	struct config *config = config_new("(demo)");
	struct config_camera *camera = config_add_camera(config, "demo", 0);

	camera->source = xstrdup("test:");
	free(config->storage.path);
	config->storage.path = xstrdup(store);
	free(config->listen.http);
	config->listen.http = xstrdup("127.0.0.1:8080");
	free(config->listen.rtsp);
	config->listen.rtsp = xstrdup("127.0.0.1:8554");
	free(config->listen.https);
	config->listen.https = NULL;
	free(config->listen.rtsps);
	config->listen.rtsps = NULL;
	free(config->listen.ftp);
	config->listen.ftp = xstrdup("127.0.0.1:2121");
	free(config->listen.webrtc);
	config->listen.webrtc = xstrdup("127.0.0.1:8189");
	return config;
}

bool config_camera_is_pulled(const struct config_camera *camera)
{
	return camera->enabled && strcmp(camera->source, CONFIG_SOURCE_UPLOAD) != 0;
}

struct config_camera *config_find_camera(const struct config *config, const char *name)
{
	struct config_camera *camera;

	TAILQ_FOREACH (camera, &config->cameras, entry) {
		if (strcmp(camera->name, name) == 0)
			return camera;
	}
	return NULL;
}

const struct config_volume *config_find_volume(const struct config *config, const char *path)
{
	const struct config_volume *volume;

	TAILQ_FOREACH (volume, &config->storage.volumes, entry) {
		if (strcmp(volume->path, path) == 0)
			return volume;
	}
	return NULL;
}

uint64_t config_share_bytes(const struct config_share *share, uint64_t size_bytes)
{
	return share->percent ? size_bytes / 100 * share->percent : share->bytes;
}

bool config_has_secrets(const struct config *config)
{
	return config->has_secrets;
}

void config_camera_take_recording(struct config_camera *camera, const struct config_camera *from)
{
	free(camera->recording.schedule);
	camera->recording = from->recording;
	if (from->recording.schedule)
		camera->recording.schedule = xstrdup(from->recording.schedule);
}

/* Whether what stands below the prefix is the same, but for lists in it. */
static bool place_equal(const char *prefix, const void *a, const void *b)
{
	for (const struct config_option *o = config_options; o->key; o++) {
		if (config_option_has_prefix(o, prefix) && !strchr(o->key + strlen(prefix), '[') &&
			!config_option_equal(o, a, b))
			return false;
	}
	return true;
}

bool config_user_equal(const struct auth_user *a, const struct auth_user *b)
{
	const struct auth_app_password *one, *two;

	if (!a || !b)
		return a == b;
	one = TAILQ_FIRST(&a->app_passwords);
	two = TAILQ_FIRST(&b->app_passwords);
	while (one && two && place_equal("users.*.app_passwords[].", one, two)) {
		one = TAILQ_NEXT(one, entry);
		two = TAILQ_NEXT(two, entry);
	}
	return !one && !two && place_equal("users.*.", a, b);
}

bool config_camera_equal(const struct config_camera *a, const struct config_camera *b)
{
	for (const struct config_option *o = config_options; o->key; o++) {
		if (o->applies == APPLIES_CAMERA && config_option_has_prefix(o, "cameras.*.") &&
			!config_option_equal(o, a, b))
			return false;
	}
	return true;
}

bool config_shared_equal(const struct config *a, const struct config *b)
{
	for (const struct config_option *o = config_options; o->key; o++) {
		if (o->applies == APPLIES_CAMERA && !strchr(o->key, '*') &&
			!config_option_equal(o, a, b))
			return false;
	}
	return true;
}

static bool volumes_equal(const struct config *a, const struct config *b)
{
	const struct config_volume *one = TAILQ_FIRST(&a->storage.volumes);
	const struct config_volume *two = TAILQ_FIRST(&b->storage.volumes);

	while (one && two && strcmp(one->path, two->path) == 0) {
		one = TAILQ_NEXT(one, entry);
		two = TAILQ_NEXT(two, entry);
	}
	return !one && !two;
}

static bool devices_equal(const struct config *a, const struct config *b)
{
	const struct config_device *one = TAILQ_FIRST(&a->onvif.devices);
	const struct config_device *two = TAILQ_FIRST(&b->onvif.devices);

	while (one && two && strcmp(one->camera, two->camera) == 0 &&
		(one->address && two->address ? strcmp(one->address, two->address) == 0
					      : one->address == two->address)) {
		one = TAILQ_NEXT(one, entry);
		two = TAILQ_NEXT(two, entry);
	}
	return !one && !two;
}

static char *add_name(char *names, const char *name)
{
	char *more = xasprintf("%s%s%s", names ? names : "", names ? ", " : "", name);

	free(names);
	return more;
}

char *config_needs_restart(const struct config *before, const struct config *after)
{
	char *names = NULL;

	for (const struct config_option *o = config_options; o->key; o++) {
		bool is_fixed = o->applies == APPLIES_PROCESS || o->applies == APPLIES_LISTENER;

		if (is_fixed && !strpbrk(o->key, "*[") && !config_option_equal(o, before, after))
			names = add_name(names, o->key);
	}
	if (!volumes_equal(before, after))
		names = add_name(names, "storage.volumes");
	if (!devices_equal(before, after))
		names = add_name(names, "onvif.devices");
	return names;
}
