/* The file of sessions: when it is read and written, and by whom. */
#include "server/base/login_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/base/attributes.h"
#include "server/base/file.h"
#include "server/base/log.h"
#include "server/base/login_session.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/base/worker.h"

#define RETRY_US INT64_C(60000000)

struct login_store {
	struct login_sessions *sessions;
	login_store_folder_fn *folder;
	void *arg;
	struct worker *worker; /* NULL until there is something to do */
	bool is_read, is_busy, is_failing, is_ending;
	bool has_come;    /* the folder, while a job was under way */
	int64_t retry_us; /* not before that, by the monotonic clock */
};

/* One reading, or one writing. */
struct store_job {
	struct worker_job job;
	struct login_store *store; /* the reactor's */
	login_store_folder_fn *folder;
	void *arg;
	bool reads, is_there; /* is_there: something was read, or could not be */
	int error;            /* the folder's, or of writing */
	char *why;            /* what was wrong with what was read */
	struct login_file file;
};

/* --- on the worker --- */

static void read_in(struct store_job *job, int folder)
{
	const char *wrong = NULL;
	size_t n = 0;
	char *text = file_read_at(
		folder, LOGIN_STORE_FILE, LOGIN_FILE_BYTES, O_NOFOLLOW, NULL, &n, &job->why);

	job->is_there = text || errno != ENOENT;
	if (text && login_file_parse(&job->file, text, n, &wrong) < 0)
		job->why = xstrdup(wrong);
	if (job->why)
		job->file.n = 0;
	free(text);
}

static void write_in(struct store_job *job, int folder)
{
	char *text = xmalloc(LOGIN_FILE_BYTES);
	size_t n = login_file_write(text, &job->file);

	job->error = file_write_at(folder, LOGIN_STORE_FILE, text, n, NULL, true);
	free(text);
}

static void job_run(struct worker_job *worker_job)
{
	struct store_job *job = CONTAINER_OF(worker_job, struct store_job, job);
	int folder = job->folder(job->arg);

	if (folder < 0) {
		job->error = folder;
		return;
	}
	if (job->reads)
		read_in(job, folder);
	else
		write_in(job, folder);
	(void)close(folder);
}

/* --- on the reactor --- */

static void take_read(struct login_store *store, const struct store_job *job)
{
	store->is_read = true;
	if (!job->is_there)
		return;
	if (job->why) {
		log_warn(NULL, LOGIN_STORE_FILE ": %s: everybody has to log in again", job->why);
		login_sessions_not_saved(store->sessions); /* so that it is replaced */
		return;
	}
	login_sessions_load(store->sessions, &job->file, login_now());
}

/* That the folder is away has been said by who knows. */
static void say_kept(struct login_store *store, int error)
{
	if (error == -ENODEV)
		return;
	errno = -error;
	if (error && !store->is_failing)
		log_warn(NULL, LOGIN_STORE_FILE
			": cannot be written: %m: sessions of the page end with nvrd");
	else if (!error && store->is_failing)
		log_info(NULL, LOGIN_STORE_FILE ": can be written again");
	store->is_failing = error;
}

static void job_done(struct worker_job *worker_job)
{
	struct store_job *job = CONTAINER_OF(worker_job, struct store_job, job);
	struct login_store *store = job->store;

	store->is_busy = false;
	store->retry_us = job->error && !store->has_come ? reactor_monotonic_us() + RETRY_US : 0;
	store->has_come = false;
	if (!job->reads || job->error)
		say_kept(store, job->error);
	if (!job->reads && job->error)
		login_sessions_not_saved(store->sessions);
	if (job->reads && !job->error)
		take_read(store, job);
	free(job->why);
	free(job);
	login_store_look(store);
}

static struct store_job *job_new(struct login_store *store)
{
	struct store_job *job = xcalloc(1, sizeof(*job));

	job->job = (struct worker_job){ .run = job_run, .done = job_done, .bytes = sizeof(*job) };
	job->store = store;
	job->folder = store->folder;
	job->arg = store->arg;
	job->reads = !store->is_read;
	if (!job->reads)
		login_sessions_save(store->sessions, login_now(), &job->file);
	store->is_busy = true;
	return job;
}

static void job_do(struct store_job *job)
{
	job_run(&job->job);
	job_done(&job->job);
}

struct login_store *login_store_new(
	struct login_sessions *sessions, login_store_folder_fn *folder, void *arg)
{
	struct login_store *store = xcalloc(1, sizeof(*store));

	store->sessions = sessions;
	store->folder = folder;
	store->arg = arg;
	return store;
}

void login_store_read(struct login_store *store)
{
	job_do(job_new(store));
}

void login_store_look(struct login_store *store)
{
	struct store_job *job;

	if (!store || store->is_busy || store->is_ending)
		return;
	if (store->is_read && !login_sessions_are_new(store->sessions))
		return;
	if (reactor_monotonic_us() < store->retry_us)
		return;
	if (!store->worker)
		store->worker = worker_new("sessions", 1, sizeof(*job));
	job = job_new(store);
	if (worker_post(store->worker, &job->job) < 0)
		abort(); /* it has no other */
}

void login_store_come(struct login_store *store)
{
	if (!store)
		return;
	store->retry_us = 0;
	store->has_come = store->is_busy;
	login_store_look(store);
}

void login_store_free(struct login_store *store)
{
	if (!store)
		return;
	store->is_ending = true;
	worker_free(store->worker);
	if (store->is_read && login_sessions_are_used(store->sessions))
		job_do(job_new(store));
	free(store);
}
