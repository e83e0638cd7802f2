/* HASH (draft-bryan-ftpext-hash): a file is read piece by piece, and each is hashed on a thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <openssl/evp.h>

#include "protocols/ftp_private.h"
#include "server/base/memory.h"

enum {
	READ_BYTES = 256 << 10
};
#define RETRY_US (INT64_C(50) * 1000)

const char *const ftp_hash_names[] = { "SHA-256", "SHA-512", "SHA-1", "MD5", NULL };

struct ftp_hash {
	struct worker_job job;       /* the piece that is being hashed */
	struct ftp_session *session; /* NULL when nobody waits for it any more */
	struct worker *worker;
	struct tree_request *pending;
	struct tree_file *file;
	uint64_t at, bytes;
	struct event *retry_timer;
	bool busy; /* on the thread */
	struct reactor_dead dead;
	/* the thread, then the reactor */
	EVP_MD_CTX *context;
	struct evbuffer *data;
	bool failed;
};

static void hash_read(struct ftp_hash *hash);

static void hash_fini(void *object)
{
	struct ftp_hash *hash = object;

	evbuffer_free(hash->data);
	EVP_MD_CTX_free(hash->context);
	free(hash);
}

static void hash_free(struct ftp_hash *hash)
{
	tree_cancel(hash->pending);
	hash->pending = NULL;
	tree_file_close(hash->file);
	hash->file = NULL;
	reactor_timer_free(&hash->retry_timer);
	if (!hash->busy)
		reactor_free_later(&hash->dead, hash_fini, hash);
}

void ftp_hash_cancel(struct ftp_hash *hash)
{
	if (!hash)
		return;
	hash->session = NULL;
	hash_free(hash);
}

static void hash_fail(struct ftp_hash *hash, int error)
{
	struct ftp_session *s = hash->session;

	s->hash = NULL;
	hash_free(hash);
	ftp_finish_error(s, error);
}

static void hash_tell(struct ftp_hash *hash)
{
	struct ftp_session *s = hash->session;
	unsigned char bytes[EVP_MAX_MD_SIZE];
	char text[2 * EVP_MAX_MD_SIZE + 1] = "";
	unsigned n = 0;

	if (!EVP_DigestFinal_ex(hash->context, bytes, &n)) {
		hash_fail(hash, -EIO);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		(void)snprintf(text + 2 * (size_t)i, 3, "%02x", bytes[i]);
	s->hash = NULL;
	ftp_finish(s, 213, "%s 0-%" PRIu64 " %s %s", ftp_hash_names[s->hash_algorithm], hash->bytes,
		text, s->argument);
	hash_free(hash);
}

static void hash_run(struct worker_job *job)
{
	struct ftp_hash *hash = CONTAINER_OF(job, struct ftp_hash, job);
	size_t n;

	while ((n = evbuffer_get_contiguous_space(hash->data)) > 0) {
		if (!EVP_DigestUpdate(hash->context, evbuffer_pullup(hash->data, (ssize_t)n), n))
			hash->failed = true;
		evbuffer_drain(hash->data, n);
	}
}

static void hash_done(struct worker_job *job)
{
	struct ftp_hash *hash = CONTAINER_OF(job, struct ftp_hash, job);

	hash->busy = false;
	if (!hash->session)
		hash_fini(hash);
	else if (hash->failed)
		hash_fail(hash, -EIO);
	else
		hash_read(hash);
}

static void hash_on_data(void *arg, int error, struct evbuffer *data)
{
	struct ftp_hash *hash = arg;
	size_t n = error ? 0 : evbuffer_get_length(data);

	if (n == 0) {
		hash_fail(hash, error ? error : -EIO);
		return;
	}
	hash->at += n;
	evbuffer_add_buffer(hash->data, data);
	hash->job = (struct worker_job){ .run = hash_run, .done = hash_done, .bytes = n };
	hash->busy = worker_post(hash->worker, &hash->job) == 0;
	if (!hash->busy)
		hash_fail(hash, -EAGAIN);
}

static void hash_read(struct ftp_hash *hash)
{
	uint64_t left = hash->bytes - hash->at;
	int error;

	if (left == 0) {
		hash_tell(hash);
		return;
	}
	error = tree_file_read(hash->file, hash->at, left < READ_BYTES ? (size_t)left : READ_BYTES,
		hash_on_data, hash);
	if (error == -EAGAIN)
		reactor_timer_start(hash->retry_timer, RETRY_US);
	else if (error)
		hash_fail(hash, error);
}

static void hash_on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	hash_read(arg);
}

static void hash_on_open(
	void *arg, int error, const struct tree_entry *entry, struct tree_file *file)
{
	struct ftp_hash *hash = arg;
	EVP_MD *algorithm;

	hash->pending = NULL;
	if (error) {
		hash_fail(hash, error);
		return;
	}
	hash->file = file;
	hash->bytes = entry->bytes;
	algorithm = EVP_MD_fetch(NULL, ftp_hash_names[hash->session->hash_algorithm], NULL);
	if (algorithm && hash->context && EVP_DigestInit_ex2(hash->context, algorithm, NULL))
		hash_read(hash);
	else
		hash_fail(hash, -EIO);
	EVP_MD_free(algorithm);
}

void ftp_hash_start(struct ftp_session *s)
{
	struct ftp_hash *hash = xcalloc(1, sizeof(*hash));

	hash->session = s;
	hash->worker = s->server->hash;
	hash->context = EVP_MD_CTX_new();
	hash->data = evbuffer_new();
	hash->retry_timer = reactor_timer_new(hash_on_retry, hash);
	s->hash = hash;
	hash->pending = tree_open(s->server->tree, s->path, s->user, hash_on_open, hash);
	if (!hash->pending)
		hash_fail(hash, -EAGAIN);
}
