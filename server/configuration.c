/* The configuration's life: one thread, and what comes back from it. */
#include "server/configuration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

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

enum {
	JOBS = 64,
	JOBS_BYTES = 16 << 20
};

struct configuration {
	char *file;
	struct configuration_owner owner;
	struct worker *worker;
	bool reloading;
	struct config_folder *folder; /* the worker's */
};

struct job {
	struct worker_job job;
	struct configuration *configuration;
	struct tree_config_job *wish; /* NULL: a reload */
	char *own_certificate;        /* to be read, or NULL */
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

/* 0, or -EAGAIN: the wish stays the caller's. */
static int post(struct configuration *c, struct tree_config_job *wish)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->job.run = job_run;
	job->job.done = job_done;
	job->job.bytes = sizeof(*job) + (wish && wish->text ? evbuffer_get_length(wish->text) : 0);
	job->configuration = c;
	job->wish = wish;
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
