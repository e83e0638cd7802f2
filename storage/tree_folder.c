/* The threads of a plain folder, and what is asked of them. */
#include "storage/tree_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "storage/tree_folder_private.h"

enum {
	QUICK_JOBS = 8192, /* half of them are for the ends of writes, which are never refused */
	QUICK_BYTES = 64 << 20,
	SLOW_JOBS = 1024,
	SLOW_BYTES = 1 << 20,
	TAG_RANDOM_BYTES = 8,
	DIRECT_ALIGNMENT = 4096 /* of memory and offsets, enough for all disks */
};

struct tree_folder_request {
	struct worker_job job;
	struct tree_folder *folder;
	bool cancelled;                     /* reactor */
	tree_folder_entries_fn *on_entries; /* which of the two is set says what is asked for */
	tree_changed_fn *on_changed;
	void *arg;
	/* the worker: the question ... */
	char *path, *to, *after; /* on the volume */
	unsigned flags;
	int64_t modified_us;
	size_t limit;
	struct auth_user *user;
	/* ... and the answer */
	int error;
	struct tree_entry *entries;
	size_t n;
	bool more, created;
	char *aside;
};

/* --- life --- */

static void request_free(struct tree_folder_request *request)
{
	auth_user_free(request->user);
	free(request->entries);
	free(request->path);
	free(request->to);
	free(request->after);
	free(request->aside);
	free(request);
}

static void request_tell(struct tree_folder_request *request)
{
	struct tree_entry *entries = request->error ? NULL : request->entries;

	if (entries)
		request->entries = NULL;
	request->on_entries(request->arg, request->error, entries, request->n, request->more);
}

static void request_done(struct worker_job *job)
{
	struct tree_folder_request *request = CONTAINER_OF(job, struct tree_folder_request, job);

	if (request->aside)
		tree_folder_reap(request->folder, request->aside);
	request->aside = NULL;
	if (request->created && !request->to)
		tree_folder_tell_created(request->folder, request->path);
	if (!request->cancelled && request->on_entries)
		request_tell(request);
	else if (!request->cancelled && request->on_changed)
		request->on_changed(request->arg, request->error, request->created);
	request_free(request);
}

void tree_folder_cancel(struct tree_folder_request *request)
{
	if (request)
		request->cancelled = true;
}

static struct tree_folder_request *request_new(
	struct tree_folder *folder, const char *path, void (*run)(struct worker_job *), void *arg)
{
	struct tree_folder_request *request = xcalloc(1, sizeof(*request));

	request->job.run = run;
	request->job.done = request_done;
	request->job.bytes = sizeof(*request);
	request->folder = folder;
	request->path = xstrdup(path + 1); /* without the leading slash */
	request->arg = arg;
	return request;
}

/* NULL when the queue is full: nobody is called back. */
static struct tree_folder_request *request_post(struct tree_folder_request *request)
{
	struct tree_folder *folder = request->folder;

	if (worker_queued_jobs(folder->quick) < QUICK_JOBS / 2 &&
		worker_post(folder->quick, &request->job) == 0)
		return request;
	request_free(request);
	return NULL;
}

static void reap_run(struct worker_job *job)
{
	struct tree_folder_request *request = CONTAINER_OF(job, struct tree_folder_request, job);

	tree_folder_reap_run(request->folder, request->path);
}

void tree_folder_reap(struct tree_folder *folder, char *aside)
{
	struct tree_folder_request *request = request_new(folder, "/", reap_run, NULL);

	free(request->path);
	request->path = aside;
	if (worker_post(folder->slow, &request->job) < 0)
		request_free(request); /* the next start finds it */
}

static void clean_run(struct worker_job *job)
{
	struct tree_folder_request *request = CONTAINER_OF(job, struct tree_folder_request, job);

	tree_folder_clean_run(request->folder);
}

void tree_folder_tell_created(const struct tree_folder *folder, const char *path)
{
	char *whole = xasprintf("/%s", path);

	folder->on_created(folder->arg, whole);
	free(whole);
}

struct tree_folder *tree_folder_new(
	struct volume *volume, const char *name, tree_folder_created_fn *on_created, void *arg)
{
	struct tree_folder *folder = xcalloc(1, sizeof(*folder));
	char *inside = xasprintf("%s/.", name);
	struct tree_folder_request *clean;

	folder->volume = volume;
	folder->name = xstrdup(name);
	folder->on_created = on_created;
	folder->arg = arg;
	folder->log = (struct log_name){ .kind = "folder", .name = folder->name };
	auth_random_hex(folder->tag, TAG_RANDOM_BYTES);
	folder->block = aligned_alloc(DIRECT_ALIGNMENT, TREE_FOLDER_BLOCK_BYTES);
	if (!folder->block)
		abort();
	folder->quick = worker_new("folder", QUICK_JOBS, QUICK_BYTES);
	folder->slow = worker_new("folder-slow", SLOW_JOBS, SLOW_BYTES);
	if (volume_make_folders(volume, inside) < 0)
		volume_count_error("open");
	free(inside);
	clean = request_new(folder, "/", clean_run, NULL);
	if (worker_post(folder->slow, &clean->job) < 0)
		request_free(clean);
	return folder;
}

void tree_folder_free(struct tree_folder *folder)
{
	if (!folder)
		return;
	folder->stopping = true;
	worker_free(folder->quick);
	worker_free(folder->slow);
	tree_folder_list_forget(folder);
	free(folder->block);
	free(folder->name);
	free(folder);
}

void tree_folder_set_reserve(struct tree_folder *folder, const struct config_share *reserve)
{
	folder->reserve_percent = reserve->percent;
	folder->reserve_bytes = reserve->percent ? 0 : reserve->bytes;
}

/* --- looking --- */

static void find_run(struct worker_job *job)
{
	struct tree_folder_request *request = CONTAINER_OF(job, struct tree_folder_request, job);

	request->entries = xcalloc(1, sizeof(*request->entries));
	request->n = 1;
	request->error = tree_folder_find_run(request->folder, request->path, request->entries);
}

struct tree_folder_request *tree_folder_find(
	struct tree_folder *folder, const char *path, tree_folder_entries_fn *done, void *arg)
{
	struct tree_folder_request *request = request_new(folder, path, find_run, arg);

	request->on_entries = done;
	return request_post(request);
}

static void list_run(struct worker_job *job)
{
	struct tree_folder_request *request = CONTAINER_OF(job, struct tree_folder_request, job);

	request->error = tree_folder_list_run(request->folder, request->path, request->after,
		request->limit, request->user, &request->entries, &request->n, &request->more);
}

struct tree_folder_request *tree_folder_list(struct tree_folder *folder, const char *path,
	const char *after, size_t limit, const struct auth_user *user, tree_folder_entries_fn *done,
	void *arg)
{
	struct tree_folder_request *request = request_new(folder, path, list_run, arg);

	request->on_entries = done;
	request->after = after ? xstrdup(after) : NULL;
	request->limit = limit;
	request->user = auth_user_copy(user);
	return request_post(request);
}

/* --- changing --- */

static void make_run(struct worker_job *job)
{
	struct tree_folder_request *request = CONTAINER_OF(job, struct tree_folder_request, job);

	request->error = tree_folder_make_run(request->folder, request->path);
	request->created = !request->error;
}

struct tree_folder_request *tree_folder_make(
	struct tree_folder *folder, const char *path, tree_changed_fn *done, void *arg)
{
	struct tree_folder_request *request = request_new(folder, path, make_run, arg);

	request->on_changed = done;
	return request_post(request);
}

static void delete_run(struct worker_job *job)
{
	struct tree_folder_request *request = CONTAINER_OF(job, struct tree_folder_request, job);

	request->error = tree_folder_delete_run(request->folder, request->path, &request->aside);
}

struct tree_folder_request *tree_folder_delete(
	struct tree_folder *folder, const char *path, tree_changed_fn *done, void *arg)
{
	struct tree_folder_request *request = request_new(folder, path, delete_run, arg);

	request->on_changed = done;
	return request_post(request);
}

static void remove_run(struct worker_job *job)
{
	struct tree_folder_request *request = CONTAINER_OF(job, struct tree_folder_request, job);

	request->error = tree_folder_remove_run(request->folder, request->path);
}

struct tree_folder_request *tree_folder_remove(
	struct tree_folder *folder, const char *path, tree_changed_fn *done, void *arg)
{
	struct tree_folder_request *request = request_new(folder, path, remove_run, arg);

	request->on_changed = done;
	return request_post(request);
}

static void modified_run(struct worker_job *job)
{
	struct tree_folder_request *request = CONTAINER_OF(job, struct tree_folder_request, job);

	request->error =
		tree_folder_set_modified_run(request->folder, request->path, request->modified_us);
}

struct tree_folder_request *tree_folder_set_modified(struct tree_folder *folder, const char *path,
	int64_t modified_us, tree_changed_fn *done, void *arg)
{
	struct tree_folder_request *request = request_new(folder, path, modified_run, arg);

	request->on_changed = done;
	request->modified_us = modified_us;
	return request_post(request);
}

static void copy_run(struct worker_job *job)
{
	struct tree_folder_request *request = CONTAINER_OF(job, struct tree_folder_request, job);

	if (request->flags & TREE_MOVE)
		request->error = tree_folder_move_run(request->folder, request->path, request->to,
			request->flags & TREE_OVERWRITE, &request->created, &request->aside);
	else
		request->error = tree_folder_copy_run(request->folder, request->path, request->to,
			request->flags, &request->created, &request->aside);
}

struct tree_folder_request *tree_folder_copy(struct tree_folder *folder, const char *from,
	const char *to, unsigned flags, tree_changed_fn *done, void *arg)
{
	struct tree_folder_request *request = request_new(folder, from, copy_run, arg);

	request->on_changed = done;
	request->to = xstrdup(to + 1);
	request->flags = flags;
	if (flags & TREE_MOVE)
		return request_post(request);
	if (worker_post(folder->slow, &request->job) == 0)
		return request;
	request_free(request);
	return NULL;
}
