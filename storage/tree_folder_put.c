/* A file that is being written: under a hidden name beside its own, until it is whole and synced. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/tree_folder_private.h"
#include "storage/tree_put.h"

enum {
	PUT_WAITING_BYTES = 256 << 10, /* beyond it the writer is to wait */
	PUT_SYNC_BYTES = 16 << 20,
	PUT_LARGE_BYTES = 16 << 20, /* from here on a file is written block by block */
	PUT_LARGE_MOST =
		32 /* at a time, since they hold two blocks each; further ones are written as small ones are */
};
#define PUT_RETRY_US (INT64_C(50) * 1000)

struct folder_put {
	struct tree_put put;   /* first */
	struct worker_job job; /* the one that is under way */
	struct tree_folder *folder;
	/* reactor */
	const struct tree_put_events *events;
	void *arg;
	struct evbuffer *waiting; /* for the job to come back */
	struct event *retry_timer;
	bool busy, begun, committing, aborted;
	bool left;         /* nobody is called back any more */
	bool large;        /* counted in folder->large */
	bool full;         /* the writer was told to wait */
	_Atomic bool stop; /* for the copy of what is kept */
	struct reactor_dead dead;
	/* whoever runs the job, then the reactor */
	char *path; /* on the volume */
	char *etag; /* that the target must have; "": must not be there; NULL: whatever */
	char hidden[TREE_FOLDER_HIDDEN_BYTES];
	int parent, fd, error;
	int source;     /* what is there, to be copied first; -1: nothing is */
	uint64_t keep;  /* so much of it */
	bool part;      /* it was cut off */
	uint64_t bytes; /* announced; or written since the last sync */
	uint64_t at;    /* the file's end */
	bool by_blocks; /* of a large one; a block waits until it is whole */
	bool all;       /* but the last need not be */
	bool past;      /* the page cache: O_DIRECT is set */
	struct evbuffer *data;
	bool created;
	char *aside;
	struct tree_entry entry;
};

static void put_go_on(struct folder_put *put);

/* --- on the thread --- */

static const char *put_name(const struct folder_put *put)
{
	return strrchr(put->path, '/') + 1;
}

static int put_check_target(const struct folder_put *put)
{
	struct tree_entry target;
	int error = tree_folder_look(&target, put->parent, put_name(put), put->path);

	if (error == -ENOENT)
		return put->etag && *put->etag ? -ESTALE : 0;
	if (error)
		return error;
	if (target.kind == TREE_COLLECTION)
		return -EISDIR;
	if (put->etag && !*put->etag)
		return -EEXIST;
	return put->etag && strcmp(put->etag, target.etag) != 0 ? -ESTALE : 0;
}

/* Finds out how much there is to be kept. */
static int put_open_source(struct folder_put *put)
{
	struct stat st;

	put->source =
		openat(put->parent, put_name(put), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (put->source < 0)
		return errno != ENOENT ? -errno : put->keep == TREE_KEEP_ALL ? 0 : -ERANGE;
	if (fstat(put->source, &st) < 0)
		return -errno;
	if (put->keep == TREE_KEEP_ALL)
		put->keep = (uint64_t)st.st_size;
	return put->keep > (uint64_t)st.st_size ? -ERANGE : 0;
}

static int put_open(struct folder_put *put)
{
	const char *name;
	int error = tree_folder_check_space(put->folder, put->bytes);

	if (error)
		return error;
	put->parent = volume_open_folder_of(put->folder->volume, put->path, &name);
	if (put->parent < 0)
		return put->parent == -ENOENT ? -ENOTDIR : put->parent;
	error = put_check_target(put);
	if (!error && put->keep)
		error = put_open_source(put);
	if (error)
		return error;
	tree_folder_hide(put->folder, put->hidden);
	put->fd = openat(put->parent, put->hidden,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, VOLUME_FILE_MODE);
	return put->fd < 0 ? -errno : 0;
}

static void put_open_run(struct worker_job *job)
{
	struct folder_put *put = CONTAINER_OF(job, struct folder_put, job);

	put->error = put_open(put);
	put->bytes = 0;
}

/* What is kept may be much: on the thread for what takes long. */
static void put_keep_run(struct worker_job *job)
{
	struct folder_put *put = CONTAINER_OF(job, struct folder_put, job);

	put->error =
		tree_folder_copy_content(put->folder, put->source, put->fd, put->keep, &put->stop);
	if (!put->error && lseek(put->fd, 0, SEEK_CUR) != (off_t)put->keep)
		put->error = -ERANGE; /* somebody has cut it meanwhile */
	close(put->source);
	put->source = -1;
	put->at = put->keep;
}

/* False: the file system knows no such thing. */
static bool put_set_past(struct folder_put *put, bool past)
{
	if (put->past != past && fcntl(put->fd, F_SETFL, past ? O_DIRECT : 0) == 0)
		put->past = past;
	return put->past == past;
}

/*
 * A whole block goes to the disk past the page cache: that costs a fraction, leaves the cache to files that somebody
 * reads, and is synced but for the metadata. Returns how much was written; -1 and EINVAL: it cannot be done here.
 */
static ssize_t put_write_block(struct folder_put *put)
{
	ssize_t n;

	if (!put_set_past(put, true)) {
		errno = EINVAL;
		return -1;
	}
	(void)evbuffer_copyout(put->data, put->folder->block, TREE_FOLDER_BLOCK_BYTES);
	n = write(put->fd, put->folder->block, TREE_FOLDER_BLOCK_BYTES);
	if (n > 0)
		(void)evbuffer_drain(put->data, (size_t)n);
	return n;
}

/* Up to where a block begins, or all. */
static ssize_t put_write_plain(struct folder_put *put)
{
	size_t n = evbuffer_get_length(put->data);
	size_t left = TREE_FOLDER_BLOCK_BYTES - (size_t)(put->at % TREE_FOLDER_BLOCK_BYTES);
	ssize_t written;

	(void)put_set_past(put, false);
	written = evbuffer_write_atmost(
		put->data, put->fd, (ev_ssize_t)(put->by_blocks && left < n ? left : n));
	put->bytes += written > 0 ? (uint64_t)written : 0;
	return written;
}

/* How much there must be for the thread to go on. */
static size_t put_least(const struct folder_put *put)
{
	return put->by_blocks && !put->all
		       ? TREE_FOLDER_BLOCK_BYTES - (size_t)(put->at % TREE_FOLDER_BLOCK_BYTES)
		       : 1;
}

static bool put_is_at_block(const struct folder_put *put)
{
	return put->by_blocks && put->at % TREE_FOLDER_BLOCK_BYTES == 0 &&
	       evbuffer_get_length(put->data) >= TREE_FOLDER_BLOCK_BYTES;
}

static int put_write(struct folder_put *put)
{
	int error = tree_folder_check_space(put->folder, evbuffer_get_length(put->data));

	while (!error && evbuffer_get_length(put->data) >= put_least(put)) {
		bool is_block = put_is_at_block(put);
		ssize_t n = is_block ? put_write_block(put) : put_write_plain(put);

		if (n >= 0)
			put->at += (uint64_t)n;
		else if (is_block && errno == EINVAL)
			put->by_blocks = false;
		else if (errno != EINTR)
			error = -errno;
	}
	if (error)
		return error;
	if (put->bytes < PUT_SYNC_BYTES)
		return 0;
	put->bytes = 0;
	return fdatasync(put->fd) < 0 ? -errno : 0; /* little is left for the end */
}

static void put_write_run(struct worker_job *job)
{
	struct folder_put *put = CONTAINER_OF(job, struct folder_put, job);

	put->error = put_write(put);
	if (put->error && put->error != -ENOSPC)
		volume_count_error("write");
}

/* Whoever looks for finished files shall know. */
static int put_mark_part(const struct folder_put *put)
{
	struct stat st;

	if (fstat(put->fd, &st) < 0 ||
		fchmod(put->fd, (st.st_mode & ~(mode_t)S_IFMT) | VOLUME_CUT_MODE) < 0)
		return -errno;
	return 0;
}

static int put_commit(struct folder_put *put)
{
	int error = put_check_target(put);

	if (!error && put->part)
		error = put_mark_part(put);
	if (!error && fsync(put->fd) < 0)
		error = -errno;
	if (close(put->fd) < 0 && !error)
		error = -errno;
	put->fd = -1;
	if (!error)
		error = tree_folder_place(put->folder, put->parent, put->hidden, put->parent,
			put->path, !put->etag || *put->etag, &put->created, &put->aside);
	if (error)
		return error;
	put->hidden[0] = '\0';
	return tree_folder_look(&put->entry, put->parent, put_name(put), put->path);
}

static void put_commit_run(struct worker_job *job)
{
	struct folder_put *put = CONTAINER_OF(job, struct folder_put, job);

	put->error = put_commit(put);
}

/* The end of any: what did not become a file goes. */
static void put_close_run(struct worker_job *job)
{
	struct folder_put *put = CONTAINER_OF(job, struct folder_put, job);

	if (put->fd >= 0)
		close(put->fd);
	if (put->source >= 0)
		close(put->source);
	if (put->hidden[0] && put->parent >= 0)
		(void)unlinkat(put->parent, put->hidden, 0);
	if (put->parent >= 0)
		close(put->parent);
}

/* --- on the reactor --- */

static void put_fini(void *object)
{
	struct folder_put *put = object;

	put->folder->large -= put->large;
	evbuffer_free(put->waiting);
	evbuffer_free(put->data);
	free(put->aside);
	free(put->path);
	free(put->etag);
	free(put);
}

static void put_close_done(struct worker_job *job)
{
	struct folder_put *put = CONTAINER_OF(job, struct folder_put, job);

	if (put->aside)
		tree_folder_reap(put->folder, put->aside);
	put->aside = NULL;
	put_fini(put);
}

/* Nobody is told anything any more. The queue keeps room for this. */
static void put_close(struct folder_put *put)
{
	reactor_timer_free(&put->retry_timer);
	put->job = (struct worker_job){ .run = put_close_run, .done = put_close_done };
	if (worker_post(put->folder->quick, &put->job) < 0) {
		put_close_run(&put->job);
		put_close_done(&put->job);
	}
}

static void put_done(struct worker_job *job)
{
	struct folder_put *put = CONTAINER_OF(job, struct folder_put, job);
	const struct tree_put_events *events = put->events;
	void *arg = put->arg;
	bool whole = put->committing && job->run == put_commit_run;

	put->busy = false;
	if (put->created)
		tree_folder_tell_created(put->folder, put->path);
	if (put->aborted || (put->left && (put->error || whole))) {
		put_close(put);
	} else if (put->error || whole) {
		events->on_end(arg, put->error, put->created, put->error ? NULL : &put->entry);
		put_close(put);
	} else if (!put->begun && put->source < 0) {
		put->begun = true;
		events->on_begun(arg);
	} else {
		put_go_on(put);
	}
}

static void put_post(struct folder_put *put, struct worker *worker,
	void (*run)(struct worker_job *), size_t bytes)
{
	put->job.run = run;
	put->job.done = put_done;
	put->job.bytes = bytes;
	put->busy = worker_post(worker, &put->job) == 0;
	if (!put->busy)
		reactor_timer_start(put->retry_timer, PUT_RETRY_US);
}

/* The file has become large, and goes on block by block. */
static void put_grow(struct folder_put *put)
{
	if (put->large || put->at < PUT_LARGE_BYTES || put->folder->large == PUT_LARGE_MOST)
		return;
	put->folder->large++;
	put->large = put->by_blocks = true;
}

/* Copies what is kept; writes what waits; then commits, if that is wanted; then the writer may go on. */
static void put_go_on(struct folder_put *put)
{
	struct worker *quick = put->folder->quick;
	size_t n;

	if (put->busy)
		return;
	if (put->source >= 0) {
		put_post(put, put->folder->slow, put_keep_run, 0);
		return;
	}
	put_grow(put);
	put->all = put->committing;
	(void)evbuffer_add_buffer(put->data, put->waiting);
	n = evbuffer_get_length(put->data);
	if (n >= put_least(put))
		put_post(put, quick, put_write_run, n);
	else if (put->committing)
		put_post(put, quick, put_commit_run, 0);
	if (put->full && !put->left && (put->busy || n < put_least(put))) {
		put->full = false;
		put->events->on_drained(put->arg);
	}
}

static void put_on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	put_go_on(arg);
}

static struct folder_put *put_of(struct tree_put *put)
{
	return CONTAINER_OF(put, struct folder_put, put);
}

static bool folder_put_write(struct tree_put *tree_put, struct evbuffer *data)
{
	struct folder_put *put = put_of(tree_put);
	size_t held;

	(void)evbuffer_add_buffer(put->waiting, data);
	put_go_on(put);
	held = evbuffer_get_length(put->waiting);
	if (!put->busy) /* the thread's queue is full */
		held += evbuffer_get_length(put->data);
	put->full = held >= (put->large ? TREE_FOLDER_BLOCK_BYTES : PUT_WAITING_BYTES);
	return !put->full;
}

static void folder_put_commit(struct tree_put *tree_put, const char *etag, bool part)
{
	struct folder_put *put = put_of(tree_put);

	put->part = part;
	put->etag = etag ? xstrdup(etag) : NULL;
	put->committing = true;
	put_go_on(put);
}

static void folder_put_abort(struct tree_put *tree_put)
{
	struct folder_put *put = put_of(tree_put);

	put->aborted = true;
	put->stop = true;
	if (!put->busy)
		put_close(put);
}

static void folder_put_leave(struct tree_put *tree_put)
{
	struct folder_put *put = put_of(tree_put);

	if (put->committing)
		put->left = true;
	else
		folder_put_abort(tree_put);
}

static const struct tree_put_methods put_methods = {
	.write = folder_put_write,
	.commit = folder_put_commit,
	.abort = folder_put_abort,
	.leave = folder_put_leave,
};

struct tree_put *tree_folder_put(struct tree_folder *folder, const char *path, uint64_t bytes,
	uint64_t keep, const struct tree_put_events *events, void *arg)
{
	struct folder_put *put = xcalloc(1, sizeof(*put));

	put->put.methods = &put_methods;
	put->folder = folder;
	put->path = xstrdup(path + 1);
	put->events = events;
	put->arg = arg;
	put->parent = put->fd = put->source = -1;
	put->bytes = bytes;
	put->keep = keep;
	put->waiting = evbuffer_new();
	put->data = evbuffer_new();
	if (!put->waiting || !put->data)
		abort();
	put->retry_timer = reactor_timer_new(put_on_retry, put);
	put_post(put, folder->quick, put_open_run, 0);
	if (put->busy)
		return &put->put;
	reactor_timer_free(&put->retry_timer);
	put_fini(put);
	return NULL;
}
