/* The configuration's life: one thread, and what comes back from it. */
#include "server/configuration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "onvif/discovery.h"
#include "server/base/audit.h"
#include "server/base/certificate.h"
#include "server/base/config_folder.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/tls.h"
#include "server/base/worker.h"
#include "storage/tree_config.h"

#define ROOT "/config"
#define DISCOVERED "/discovered"

enum {
	JOBS = 64,
	JOBS_BYTES = 16 << 20
};

struct configuration {
	char *file;
	struct configuration_owner owner;
	struct worker *worker;
	bool reloading;
	const struct discovery *discovery; /* NULL: nothing is looked for */
	struct config_folder *folder;      /* the worker's */
};

struct job {
	struct worker_job job;
	struct configuration *configuration;
	struct tree_config_job *wish; /* NULL: a reload */
	char *own_certificate;        /* to be read, or NULL */
	bool answered;                /* nothing is left to be done */
	int64_t now_us;
	/* the result */
	struct config *config; /* to be applied; or NULL */
	char *errors;          /* of a reload */
};

static void job_free(struct job *job)
{
	free(job->own_certificate);
	free(job->errors);
	free(job);
}

/* --- on the thread --- */

/* What the tree's path is in the folder. */
static const char *name_of(const char *path)
{
	path += strlen(ROOT);
	return *path ? path + 1 : path;
}

static void entry_of(struct tree_entry *ret, const struct config_folder_entry *entry)
{
	*ret = (struct tree_entry){ .kind = entry->is_collection ? TREE_COLLECTION : TREE_FILE,
		.bytes = entry->bytes,
		.modified_us = entry->modified_us,
		.content_type = entry->is_collection ? NULL : "application/yaml" };
	(void)snprintf(
		ret->path, sizeof(ret->path), ROOT "%s%s", *entry->name ? "/" : "", entry->name);
	(void)snprintf(ret->etag, sizeof(ret->etag), "%s", entry->etag);
	ret->name = strrchr(ret->path, '/') + 1;
}

static void answer(
	struct tree_config_job *wish, const struct config_folder_entry *entries, size_t n)
{
	wish->entries = xcalloc(n + 1, sizeof(*wish->entries));
	wish->n = n;
	for (size_t i = 0; i < n; i++)
		entry_of(&wish->entries[i], &entries[i]);
}

static void run_find(struct job *job, bool with_text)
{
	struct tree_config_job *wish = job->wish;
	struct config_folder_entry entry;
	char *text = NULL;

	wish->error = config_folder_find(job->configuration->folder, name_of(wish->path), &entry,
		with_text ? &text : NULL, &wish->problem);
	if (!wish->error)
		answer(wish, &entry, 1);
	if (wish->error || !with_text)
		return;
	wish->text = text ? evbuffer_new() : NULL;
	if (!wish->text)
		wish->error = -EISDIR;
	else if (evbuffer_add(wish->text, text, entry.bytes) < 0)
		abort();
	free(text);
}

static void run_list(struct job *job)
{
	struct config_folder_entry *entries = NULL;
	size_t n = 0;

	job->wish->error = config_folder_list(
		job->configuration->folder, name_of(job->wish->path), &entries, &n);
	if (!job->wish->error)
		answer(job->wish, entries, n);
	free(entries);
}

/* The file of that name gets that text. */
static void run_change(struct job *job, const char *path, const char *text, size_t n)
{
	struct tree_config_job *wish = job->wish;
	struct config_folder_entry entry;
	struct config_folder_change change = { .name = name_of(path),
		.text = text,
		.bytes = n,
		.etag = wish->etag,
		.now_us = job->now_us };

	wish->error = config_folder_change(job->configuration->folder, &change, &job->config,
		&wish->created, &entry, &wish->problem);
	if (!wish->error)
		answer(wish, &entry, 1);
}

static void run_write(struct job *job)
{
	struct evbuffer *text = job->wish->text;
	size_t n = evbuffer_get_length(text);

	run_change(job, job->wish->path, n ? (const char *)evbuffer_pullup(text, -1) : "", n);
}

/* As it is shown, so that secrets stay sealed. */
static void run_copy(struct job *job)
{
	struct tree_config_job *wish = job->wish;
	struct config_folder_entry entry;
	char *text = NULL;

	wish->error = config_folder_find(
		job->configuration->folder, name_of(wish->path), &entry, &text, &wish->problem);
	if (!wish->error && !text)
		wish->error = -ENOTSUP;
	if (!wish->error)
		run_change(job, wish->to, text, entry.bytes);
	free(text);
}

static void run_wish(struct job *job)
{
	switch (job->wish->task) {
	case TREE_CONFIG_FIND:
	case TREE_CONFIG_READ:
		run_find(job, job->wish->task == TREE_CONFIG_READ);
		break;
	case TREE_CONFIG_LIST:
		run_list(job);
		break;
	case TREE_CONFIG_WRITE:
		run_write(job);
		break;
	case TREE_CONFIG_COPY:
		run_copy(job);
		break;
	case TREE_CONFIG_REMOVE:
		run_change(job, job->wish->path, NULL, 0);
		break;
	}
}

static void job_run(struct worker_job *worker_job)
{
	struct job *job = CONTAINER_OF(worker_job, struct job, job);
	char *why = NULL;

	if (job->answered)
		return;
	if (job->wish)
		run_wish(job);
	else
		job->config = config_folder_reload(job->configuration->folder, &job->errors);
	if (!job->config || job->config->tls.server || !job->own_certificate)
		return;
	job->config->tls.server = certificate_open(job->own_certificate, &why);
	if (why)
		log_error(NULL, "TLS: %s: the former certificate stays", why);
	free(why);
}

/* --- on the reactor --- */

/* Logs each line of a message of several lines. */
static void log_lines(enum log_level level, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		log_write(level, NULL, "%s", line);
}

static bool is_change(const struct job *job)
{
	return !job->wish || job->wish->task == TREE_CONFIG_WRITE ||
	       job->wish->task == TREE_CONFIG_COPY || job->wish->task == TREE_CONFIG_REMOVE;
}

/* What is wrong with it is told to whoever sent it. */
static void tell(struct job *job, bool applied)
{
	struct audit_actor actor = { .protocol = job->wish ? "http" : "signal",
		.user = job->wish ? job->wish->user : NULL };
	const char *file = job->configuration->file;

	if (applied)
		audit(&actor, "configuration", "%s: applied", file);
	else if (job->wish)
		audit(&actor, "configuration", "%s: a change was refused", file);
	if (job->errors) {
		log_lines(LOG_ERROR, job->errors);
		log_error(NULL, "%s: not applied, the former configuration stays", file);
	}
	metric_add(metric_get(METRIC_CONFIG_RELOADS, applied ? "applied" : "refused"), 1);
}

static void job_done(struct worker_job *worker_job)
{
	struct job *job = CONTAINER_OF(worker_job, struct job, job);
	struct configuration *c = job->configuration;
	bool applied = job->config;

	if (applied)
		c->owner.apply(c->owner.arg, job->config);
	if (is_change(job))
		tell(job, applied);
	if (job->wish)
		job->wish->done(job->wish);
	else
		c->reloading = false;
	job_free(job);
}

/* --- what was discovered --- */

static void discovered_entry(struct tree_entry *ret, const struct discovery_file *file)
{
	*ret = (struct tree_entry){ .kind = file ? TREE_FILE : TREE_COLLECTION,
		.bytes = file ? strlen(file->text) : 0,
		.modified_us = file ? file->seen_us : 0,
		.content_type = file ? "application/yaml" : NULL };
	snprintf(ret->path, sizeof(ret->path), DISCOVERED "%s%s", file ? "/" : "",
		file ? file->name : "");
	ret->name = strrchr(ret->path, '/') + 1;
	if (file)
		config_folder_write_etag(ret->etag, file->text, strlen(file->text));
}

/* The file goes into the wish; what is to be copied is written. */
static void discovered_answer(struct tree_config_job *wish, const struct discovery_file *file)
{
	char *from = wish->path;

	wish->text = file ? evbuffer_new() : NULL;
	if (wish->text && evbuffer_add(wish->text, file->text, strlen(file->text)) < 0)
		abort();
	if (wish->task != TREE_CONFIG_COPY) {
		discovered_entry(&wish->entries[0], file);
		wish->error = wish->task == TREE_CONFIG_READ && !file ? -EISDIR : 0;
		return;
	}
	free(wish->entries); /* the writing's answer takes the place */
	wish->entries = NULL;
	wish->path = wish->to;
	wish->to = from;
	wish->task = TREE_CONFIG_WRITE;
}

/* What is asked of /discovered is answered here. Returns whether that is all. */
static bool discovered_ask(const struct configuration *c, struct tree_config_job *wish)
{
	const char *name = wish->path + strlen(DISCOVERED);
	struct discovery_file *files;
	size_t n, i = 0;

	if (strncmp(wish->path, DISCOVERED, strlen(DISCOVERED)) != 0)
		return false;
	wish->error = -ENOENT;
	if (!c->discovery)
		return true;
	files = discovery_files(c->discovery, &n);
	wish->entries = xcalloc(n + 1, sizeof(*wish->entries));
	while (*name && i < n && strcmp(files[i].name, name + 1) != 0)
		i++;
	if (wish->task == TREE_CONFIG_LIST && !*name) {
		wish->error = 0;
		for (wish->n = 0; wish->n < n; wish->n++)
			discovered_entry(&wish->entries[wish->n], &files[wish->n]);
	} else if (wish->task == TREE_CONFIG_LIST && i < n) {
		wish->error = -ENOTDIR;
	} else if (!*name ? wish->task != TREE_CONFIG_COPY : i < n) {
		discovered_answer(wish, *name ? &files[i] : NULL);
	}
	discovery_files_free(files, n);
	return wish->task != TREE_CONFIG_WRITE;
}

/* --- jobs --- */

/* 0, or -EAGAIN: the wish stays the caller's. */
static int post(struct configuration *c, struct tree_config_job *wish)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->job.run = job_run;
	job->job.done = job_done;
	job->job.bytes = sizeof(*job) + (wish && wish->text ? evbuffer_get_length(wish->text) : 0);
	job->configuration = c;
	job->wish = wish;
	job->answered = wish && discovered_ask(c, wish);
	job->now_us = reactor_now_us();
	if (is_change(job))
		job->own_certificate = c->owner.own_certificate(c->owner.arg);
	if (worker_post(c->worker, &job->job) == 0)
		return 0;
	job_free(job);
	return -EAGAIN;
}

static int on_wish(void *arg, struct tree_config_job *wish)
{
	return post(arg, wish);
}

struct configuration *configuration_new(
	const struct config *config, struct tree *tree, const struct configuration_owner *owner)
{
	struct configuration *c = xcalloc(1, sizeof(*c));

	c->file = xstrdup(config->file);
	c->owner = *owner;
	c->folder = config_folder_new(c->file, !TAILQ_EMPTY(&config->users));
	c->worker = worker_new("config", JOBS, JOBS_BYTES);
	tree_set_config(tree, on_wish, c);
	return c;
}

void configuration_free(struct configuration *c)
{
	if (!c)
		return;
	worker_free(c->worker);
	config_folder_free(c->folder);
	free(c->file);
	free(c);
}

void configuration_reload(struct configuration *c)
{
	if (c->reloading || post(c, NULL) < 0)
		log_warn(NULL, "%s: a reload is under way already", c->file);
	else
		c->reloading = true;
}

void configuration_set_discovery(struct configuration *c, const struct discovery *discovery)
{
	c->discovery = discovery;
}
