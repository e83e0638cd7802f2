/* The configuration in the tree: questions to its keeper, and his answers as those of any part of the tree. */
#include "storage/tree_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/tree_private.h"
#include "storage/tree_put.h"

enum {
	LIST_MOST = 500
};

void tree_show_discovered(struct tree *tree, bool shown)
{
	tree->shows_discovered = shown;
}

static struct evbuffer *buffer_new(void)
{
	struct evbuffer *buffer = evbuffer_new();

	if (!buffer)
		abort();
	return buffer;
}

/* --- files --- */

struct tree_config_file {
	struct evbuffer *text;
	struct event *timer;
	uint64_t offset;
	size_t n;
	volume_reader_data_fn *on_data;
	void *arg;
};

static void file_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct tree_config_file *file = arg;
	struct evbuffer *data = buffer_new();
	size_t whole = evbuffer_get_length(file->text);
	const unsigned char *p = evbuffer_pullup(file->text, -1);

	(void)fd, (void)what;
	if (file->offset < whole)
		(void)evbuffer_add(data, p + file->offset,
			file->n < whole - file->offset ? file->n : whole - (size_t)file->offset);
	file->on_data(file->arg, 0, data);
	evbuffer_free(data);
}

void tree_config_file_read(struct tree_config_file *file, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg)
{
	file->offset = offset;
	file->n = n;
	file->on_data = on_data;
	file->arg = arg;
	reactor_timer_start(file->timer, 0);
}

/* Takes the text over. */
static struct tree_config_file *file_new(struct evbuffer *text)
{
	struct tree_config_file *file = xcalloc(1, sizeof(*file));

	file->text = text;
	file->timer = reactor_timer_new(file_on_timer, file);
	return file;
}

void tree_config_file_close(struct tree_config_file *file)
{
	if (!file)
		return;
	reactor_timer_free(&file->timer);
	evbuffer_free(file->text);
	free(file);
}

/* --- questions --- */

static void job_free(struct tree_config_job *job)
{
	if (job->text)
		evbuffer_free(job->text);
	free(job->entries);
	free(job->problem);
	free(job->path);
	free(job->to);
	free(job->etag);
	free(job->user);
	free(job);
}

static struct tree_config_job *job_new(struct tree *tree, enum tree_config_task task,
	const char *path, const struct auth_user *user, void *owner,
	void (*done)(struct tree_config_job *job))
{
	struct tree_config_job *job = xcalloc(1, sizeof(*job));

	job->tree = tree;
	job->task = task;
	job->path = xstrdup(path);
	job->user = user ? xstrdup(user->name) : NULL;
	job->owner = owner;
	job->done = done;
	return job;
}

/* NULL: busy, and the job is gone. */
static struct tree_config_job *job_post(struct tree_config_job *job)
{
	if (job->tree->config_post(job->tree->config_arg, job) == 0)
		return job;
	job_free(job);
	return NULL;
}

void tree_config_cancel(struct tree_config_job *job)
{
	if (job)
		job->owner = NULL;
}

/* What of a list is behind the request's name, and fits. */
static void tell_list(struct tree_request *request, struct tree_config_job *job)
{
	size_t first = 0, n;

	while (first < job->n && request->after &&
		strcmp(job->entries[first].name, request->after) <= 0)
		first++;
	n = job->n - first;
	tree_request_tell_list(
		request, job->entries + first, n < LIST_MOST ? n : LIST_MOST, n > LIST_MOST);
}

static void tell_file(struct tree_request *request, struct tree_config_job *job)
{
	struct tree_file *file = xcalloc(1, sizeof(*file));

	file->bytes = evbuffer_get_length(job->text);
	file->config = file_new(job->text);
	job->text = NULL;
	tree_request_end(request);
	request->on_open(request->arg, 0, &job->entries[0], file);
}

static void tell_change(struct tree_request *request, const struct tree_config_job *job)
{
	if (job->task == TREE_CONFIG_REMOVE)
		locks_forget(request->tree->locks, request->text);
	tree_request_end(request);
	if (!request->cancelled)
		request->on_changed(request->arg, 0, job->created);
}

static void request_on_done(struct tree_config_job *job)
{
	struct tree_request *request = job->owner;
	struct tree *tree = job->tree;

	if (request) {
		request->config = NULL;
		tree->problem = job->problem;
		if (job->error) {
			tree_request_fail(request, job->error);
		} else if (request->on_entry) {
			tree_request_end(request);
			request->on_entry(request->arg, 0, &job->entries[0]);
		} else if (request->on_list) {
			tell_list(request, job);
		} else if (request->on_open) {
			tell_file(request, job);
		} else {
			tell_change(request, job);
		}
		tree->problem = NULL;
	}
	job_free(job);
}

/* Of a request; NULL: there is no configuration. */
static struct tree_config_job *request_job(struct tree_request *request, enum tree_config_task task)
{
	if (request->tree->config_post)
		return job_new(request->tree, task, request->text, request->user, request,
			request_on_done);
	request->path.place = PLACE_NONE;
	return NULL;
}

static void request_ask(struct tree_request *request, enum tree_config_task task)
{
	struct tree_config_job *job = request_job(request, task);

	if (job)
		request->config = job_post(job);
}

void tree_config_find(struct tree_request *request)
{
	request_ask(request, TREE_CONFIG_FIND);
}

void tree_config_list(struct tree_request *request)
{
	request_ask(request, TREE_CONFIG_LIST);
}

void tree_config_open(struct tree_request *request)
{
	request_ask(request, TREE_CONFIG_READ);
}

void tree_config_remove(struct tree_request *request)
{
	request_ask(request, TREE_CONFIG_REMOVE);
}

void tree_config_copy(struct tree_request *request)
{
	struct tree_config_job *job = request_job(request, TREE_CONFIG_COPY);

	if (!job)
		return;
	job->to = xstrdup(request->to);
	if (!(request->flags & TREE_OVERWRITE))
		job->etag = xstrdup("");
	request->config = job_post(job);
}

/* --- writing --- */

struct config_put {
	struct tree_put put; /* first */
	struct tree *tree;
	const struct tree_put_events *events;
	void *arg;
	struct event *timer; /* to begin, or to fail */
	bool begun;
	struct tree_config_job *job; /* with the text; the keeper's once it is posted */
	bool posted;
};

static void put_free(struct config_put *put)
{
	reactor_timer_free(&put->timer);
	free(put);
}

/* The job belongs to this from here. */
static void put_on_done(struct tree_config_job *job)
{
	struct config_put *put = job->owner;
	struct tree *tree = job->tree;

	if (put) {
		const struct tree_put_events *events = put->events;
		void *arg = put->arg;

		put_free(put);
		tree->problem = job->problem;
		events->on_end(arg, job->error, job->created, job->error ? NULL : job->entries);
		tree->problem = NULL;
	}
	job_free(job);
}

static void put_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct config_put *put = arg;

	(void)fd, (void)what;
	if (put->begun) {
		put->job->error = -EAGAIN;
		put_on_done(put->job);
	} else {
		put->begun = true;
		put->events->on_begun(put->arg);
	}
}

static bool put_write(struct tree_put *tree_put, struct evbuffer *data)
{
	struct config_put *put = CONTAINER_OF(tree_put, struct config_put, put);

	(void)evbuffer_add_buffer(put->job->text, data); /* tree_put_limit() is kept to */
	return true;
}

static void put_commit(struct tree_put *tree_put, const char *etag, bool part)
{
	struct config_put *put = CONTAINER_OF(tree_put, struct config_put, put);

	put->job->etag = etag ? xstrdup(etag) : NULL;
	put->posted = !part && put->tree->config_post(put->tree->config_arg, put->job) == 0;
	if (!put->posted)
		reactor_timer_start(put->timer, 0);
}

/* What has been given to the keeper goes on. */
static void put_abort(struct tree_put *tree_put)
{
	struct config_put *put = CONTAINER_OF(tree_put, struct config_put, put);

	if (put->posted)
		put->job->owner = NULL;
	else
		job_free(put->job);
	put_free(put);
}

static const struct tree_put_methods put_methods = {
	.write = put_write,
	.commit = put_commit,
	.abort = put_abort,
	.leave = put_abort,
};

struct tree_put *tree_config_put(struct tree *tree, const char *path, const struct auth_user *user,
	const struct tree_put_events *events, void *arg)
{
	struct config_put *put;

	if (!tree->config_post)
		return NULL;
	put = xcalloc(1, sizeof(*put));
	put->put.methods = &put_methods;
	put->tree = tree;
	put->events = events;
	put->arg = arg;
	put->job = job_new(tree, TREE_CONFIG_WRITE, path, user, put, put_on_done);
	put->job->text = buffer_new();
	put->timer = reactor_timer_new(put_on_timer, put);
	reactor_timer_start(put->timer, 0);
	return &put->put;
}
