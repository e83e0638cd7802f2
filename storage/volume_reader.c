/* Reading files of a volume, on a thread of its own: a cold disk stops nobody else. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "server/base/memory.h"
#include "storage/volume_private.h"

enum {
	SEND_PATIENCE_MS = 2,  /* with a socket that is full, while nobody else wants the thread */
	SEND_BYTES = 512 << 10 /* by one call; then other readers have their turn */
};

struct volume_reader {
	struct worker_job job; /* the one that is under way */
	struct volume *volume;
	struct volume_hold hold; /* what is read is not removed */
	char *path;
	bool busy, freed;
	bool may_rest; /* the file was not being removed when it was opened */
	volume_reader_open_fn *on_open;
	volume_reader_data_fn *on_data;
	volume_reader_sent_fn *on_sent;
	void *arg;
	/* whoever runs the job, then the reactor */
	int fd;
	int error;
	uint64_t bytes;
	int64_t modified_us;
	uint8_t *p;
	int socket; /* the job's own descriptor of it */
	uint64_t offset;
	size_t n;
};

static void reader_fini(struct volume_reader *reader)
{
	volume_release(&reader->hold);
	if (reader->fd >= 0)
		close(reader->fd);
	free(reader->p);
	free(reader->path);
	free(reader);
}

/* After a job: true when its owner has left meanwhile, and the reader is gone. */
static bool reader_ended(struct volume_reader *reader)
{
	reader->busy = false;
	if (!reader->freed)
		return false;
	reader_fini(reader);
	return true;
}

static void open_run(struct worker_job *job)
{
	struct volume_reader *reader = CONTAINER_OF(job, struct volume_reader, job);
	struct stat st;

	reader->fd = volume_open_beneath(reader->volume, reader->path, O_RDONLY | O_NONBLOCK, 0);
	if (reader->fd < 0)
		reader->error = reader->fd;
	else if (fstat(reader->fd, &st) < 0)
		reader->error = -errno;
	else if (!S_ISREG(st.st_mode))
		reader->error = -EISDIR;
	if (reader->error) {
		if (reader->error != -ENOENT)
			volume_count_error("open");
		return;
	}
	reader->bytes = (uint64_t)st.st_size;
	reader->modified_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
}

static void open_done(struct worker_job *job)
{
	struct volume_reader *reader = CONTAINER_OF(job, struct volume_reader, job);
	int error = reader->error;

	if (reader_ended(reader))
		return;
	reader->on_open(reader->arg, error, reader->bytes, reader->modified_us);
	if (error)
		reader_fini(reader);
}

struct volume_reader *volume_reader_new(
	struct volume *volume, const char *path, volume_reader_open_fn *on_open, void *arg)
{
	struct volume_reader *reader = xcalloc(1, sizeof(*reader));

	reader->volume = volume;
	reader->path = xstrdup(path);
	volume_hold(volume, &reader->hold, reader->path);
	reader->may_rest = !volume->removing;
	reader->on_open = on_open;
	reader->arg = arg;
	reader->fd = -1;
	reader->job.run = open_run;
	reader->job.done = open_done;
	if (worker_post(volume->reader, &reader->job) < 0) {
		reader_fini(reader);
		return NULL;
	}
	reader->busy = true;
	return reader;
}

static void read_run(struct worker_job *job)
{
	struct volume_reader *reader = CONTAINER_OF(job, struct volume_reader, job);
	size_t done = 0;

	reader->error = 0;
	while (done < reader->n) {
		ssize_t n = pread(reader->fd, reader->p + done, reader->n - done,
			(off_t)(reader->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			reader->error = -errno;
			volume_count_error("read");
		}
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	reader->n = done;
}

static void read_on_sent(const void *data, size_t n, void *arg)
{
	(void)data, (void)n;
	free(arg);
}

static void read_done(struct worker_job *job)
{
	struct volume_reader *reader = CONTAINER_OF(job, struct volume_reader, job);
	struct evbuffer *data;

	if (reader_ended(reader))
		return;
	data = evbuffer_new();
	evbuffer_add_reference(data, reader->p, reader->n, read_on_sent, reader->p);
	reader->p = NULL;
	reader->on_data(reader->arg, reader->error, data);
	evbuffer_free(data);
}

int volume_reader_read(struct volume_reader *reader, uint64_t offset, size_t n,
	volume_reader_data_fn *on_data, void *arg)
{
	reader->job = (struct worker_job){ .run = read_run, .done = read_done, .bytes = n };
	reader->on_data = on_data;
	reader->arg = arg;
	reader->offset = offset;
	reader->n = n;
	reader->p = xmalloc(n);
	if (worker_post(reader->volume->reader, &reader->job) < 0) {
		free(reader->p);
		reader->p = NULL;
		return -EAGAIN;
	}
	reader->busy = true;
	return 0;
}

/* --- sending --- */

/* To hand the thread back for each time that a fast peer takes a moment costs more than the moment. */
static bool send_wait(const struct volume_reader *reader, size_t done)
{
	struct pollfd socket = { .fd = reader->socket, .events = POLLOUT };

	return done && worker_queued_jobs(reader->volume->reader) == 1 &&
	       poll(&socket, 1, SEND_PATIENCE_MS) == 1;
}

/* Goes on until all is sent, the socket stays full, or somebody else wants the thread. */
static int send_some(const struct volume_reader *reader, size_t *done)
{
	const struct worker *thread = reader->volume->reader;

	while (*done < reader->n && (*done == 0 || worker_queued_jobs(thread) == 1)) {
		off_t at = (off_t)(reader->offset + *done);
		size_t left = reader->n - *done;
		ssize_t n = sendfile(
			reader->socket, reader->fd, &at, left < SEND_BYTES ? left : SEND_BYTES);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && send_wait(reader, *done))
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0)
			return -ENODATA;
		*done += (size_t)n;
	}
	return 0;
}

static void send_run(struct worker_job *job)
{
	struct volume_reader *reader = CONTAINER_OF(job, struct volume_reader, job);
	size_t done = 0;

	reader->error = send_some(reader, &done);
	if (done) /* what is wrong shows again */
		reader->error = 0;
	if (reader->error == -EIO)
		volume_count_error("read");
	reader->n = done;
	close(reader->socket);
}

static void send_done(struct worker_job *job)
{
	struct volume_reader *reader = CONTAINER_OF(job, struct volume_reader, job);

	if (!reader_ended(reader))
		reader->on_sent(reader->arg, reader->error, reader->n);
}

int volume_reader_send(struct volume_reader *reader, int socket, uint64_t offset, size_t n,
	volume_reader_sent_fn *on_sent, void *arg)
{
	reader->job = (struct worker_job){ .run = send_run, .done = send_done };
	reader->on_sent = on_sent;
	reader->arg = arg;
	reader->offset = offset;
	reader->n = n;
	reader->socket = fcntl(socket, F_DUPFD_CLOEXEC, 0);
	if (reader->socket < 0)
		return -errno;
	if (worker_post(reader->volume->reader, &reader->job) < 0) {
		close(reader->socket);
		return -EAGAIN;
	}
	reader->busy = true;
	return 0;
}

bool volume_reader_rest(struct volume_reader *reader, void (*let_go)(void *arg), void *arg)
{
	if (reader->busy || !reader->may_rest)
		return false;
	reader->hold.let_go = let_go;
	reader->hold.arg = arg;
	return true;
}

void volume_reader_wake(struct volume_reader *reader)
{
	reader->hold.let_go = NULL;
}

void volume_reader_free(struct volume_reader *reader)
{
	if (!reader)
		return;
	if (reader->busy)
		reader->freed = true;
	else
		reader_fini(reader);
}
